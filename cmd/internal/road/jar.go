package road

import (
	"context"

	"github.com/fastship/fastship/stages/image"
	"github.com/fastship/fastship/stages/maven"
)

// TakeJar makes o begin with a jar (an absolute path) instead of the source,
// with a JDK of this machine to link the base from. It reads only.
func (o *Options) TakeJar(ctx context.Context, path string) error {
	in, release, err := image.OfJar(ctx, path, o.Spec.Image.Main, o.stateDir())
	if err != nil {
		return err
	}
	if base := o.Spec.Image.Base; base == "" || base == "jlink" {
		if in.JavaHome, in.JavaMajor, err = maven.AnyJDK(ctx, o.Environ, o.Home, release); err != nil {
			return err
		}
	}
	o.Jar = &in
	return nil
}
