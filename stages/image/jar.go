package image

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/stages/image/appjar"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// OfJar is the input for a jar that no build of this run made, at an absolute
// path: all but the JDK. Its name is the file's, and it has no commit, so the
// image's time is the epoch. state is the project's state folder, or empty.
// release is the Java release that the application's classes need, 0 when
// unknown; main is image.main. It reads only; the errors are appjar.Open's.
func OfJar(ctx context.Context, path, main, state string) (in In, release int, err error) {
	in.book = stamp.Open(state)
	app, err := appjar.Open(ctx, path, appjar.Options{Main: main, Digest: in.book.Digest, Known: openReleased(state).digest})
	if err != nil {
		return in, 0, err
	}
	defer app.Close()
	in.Jar, err = in.book.Digest(path)
	in.Jar.Name = path
	in.Name = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	return in, app.Release, err
}
