package maven

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// saidSettings are the user's settings, read once for a job.
type saidSettings struct {
	user mvn.Settings
	text string // where they came in a variable: the file for Maven is still to be written
	err  error  // of class fault.BadInput; it is Maven's to say unless fastship needs them
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

// fromVariable marks maven.settings as the name of a variable that holds the
// file's text.
const fromVariable = "env:"

// readSettings reads them and tells the secrets in them, which a build may
// print.
func (s *Step) readSettings(j *job) error {
	if err := otherPom(s.config.Args); err != nil {
		return err
	}
	var settings mvn.Settings
	file := j.settingsPath()
	name, variable := strings.CutPrefix(s.config.Settings, fromVariable)
	if variable {
		text := j.host.Getenv(name)
		if strings.TrimSpace(text) == "" {
			return fault.New(fault.Missing, "set "+name+" to the text of a settings.xml, or correct maven.settings", "read maven.settings: the variable %s is empty or not set", name)
		}
		var err error
		if settings, err = mvn.ParseSettings(j.host, "in the variable "+name, []byte(text)); err != nil {
			return fault.New(fault.BadInput, "set "+name+" to the text of a settings.xml", "%w", err)
		}
		j.said.text = text
		j.host = j.host.Without(name) // Maven and what it starts have no use for it
	} else {
		var err error
		if settings, err = mvn.ReadSettings(j.host, file); err != nil {
			j.said.err = fault.New(fault.BadInput, "correct "+file, "%w", err)
			return nil
		}
	}
	// An encrypted password that stays one is told where it is needed.
	_ = settings.Decrypt(j.host, j.args)
	j.said.user = settings
	if s.deps.Secret != nil {
		s.deps.Secret(settings.Secrets()...)
	}
	return nil
}

// placeSettings writes the settings that came in a variable for the time of
// the run, where nobody else can read them.
func (j *job) placeSettings() (remove func(), err error) {
	if j.said.text == "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "fastship-settings-") // mode 0700
	if err != nil {
		return nil, fmt.Errorf("make a folder for Maven's settings: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	file := filepath.Join(dir, "settings.xml")
	if err := os.WriteFile(file, []byte(j.said.text), 0o600); err != nil {
		remove()
		return nil, fmt.Errorf("write Maven's settings: %w", err)
	}
	if i := slices.Index(j.arguments, j.settings); i > 0 && j.arguments[i-1] == "-s" {
		j.arguments[i] = file
	}
	j.settings = file
	return remove, nil
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
