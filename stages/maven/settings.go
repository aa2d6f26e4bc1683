package maven

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// saidSettings are the user's settings, read once for a job.
type saidSettings struct {
	user mvn.Settings
	err  error // of class fault.BadInput; it is Maven's to say unless fastship needs them
}

// settingsPath is the settings.xml that Maven will read, there or not: that of
// maven.settings, whose -s comes first and wins, else -s in the arguments.
func (j *job) settingsPath() string {
	named, _ := j.args.Option("-s", "--settings")
	if named != "" && !filepath.IsAbs(named) {
		named = filepath.Join(j.dir, named)
	}
	return cmp.Or(j.settings, named, mvn.UserSettings(j.host))
}

// readSettings reads them and tells the secrets in them, which a build may
// print.
func (s *Step) readSettings(j *job) error {
	if err := otherPom(s.config.Args); err != nil {
		return err
	}
	file := j.settingsPath()
	settings, err := mvn.ReadSettings(j.host, file)
	if err != nil {
		j.said.err = fault.New(fault.BadInput, "correct "+file, "%w", err)
		return nil
	}
	j.said.user = settings
	if s.deps.Secret != nil {
		s.deps.Secret(settings.Secrets()...)
	}
	return nil
}

// otherPom refuses -f in maven.args: everything that fastship reads by itself
// would be of another project than the one built.
func otherPom(args []string) error {
	modes := []string{"-fae", "-ff", "-fn"} // how to go on after a failure
	i := slices.IndexFunc(args, func(a string) bool {
		return a == "--file" || strings.HasPrefix(a, "--file=") || (strings.HasPrefix(a, "-f") && !slices.Contains(modes, a))
	})
	if i < 0 {
		return nil
	}
	return fault.New(fault.BadInput, "run fastship in the folder of that pom.xml, or name that folder as its argument", "maven.args has %s: fastship builds the pom.xml of its own folder", args[i])
}
