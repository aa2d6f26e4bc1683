package maven

import (
	"context"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// AnyJDK finds a JDK for a jar that is built already, as the job finds one: of
// JAVA_HOME or PATH, else the installed one nearest to release, the Java
// release that the jar needs (0 when unknown). home is the user's home folder.
// The error is of class fault.Missing and lists what was found.
func AnyJDK(ctx context.Context, environ []string, home string, release int) (javaHome string, major int, err error) {
	want := mvn.Want{}
	if release > 0 {
		want.Releases = []int{release}
	}
	choice, err := mvn.ChooseJDK(ctx, mvn.Host{Environ: environ, Home: home}, want)
	return choice.JDK.Home, choice.JDK.Major, err
}
