package maven

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// saidSettings are the settings that Maven will read, once for a job.
type saidSettings struct {
	user   mvn.Settings // the user's over the project's and the global ones
	text   string       // what is not in a file yet: it came in a variable, or servers were added
	served []string     // IDs of the servers that were added
	err    error        // of class fault.BadInput; it is Maven's to say unless fastship needs them
}

// Spellings of Maven's options that name files.
var (
	settingsOption   = []string{"-s", "--settings"}
	globalOption     = []string{"-gs", "--global-settings", "-is", "--install-settings"} // -is is Maven 4's name
	toolchainsOption = []string{"-t", "--toolchains"}
	globalToolchains = []string{"-gt", "--global-toolchains", "-it", "--install-toolchains"}
)

// named is the file that an option in the arguments names, absolute; empty
// without one.
func (j *job) named(option []string) string {
	file, _ := j.args.Option(option...)
	return absolute(j.dir, file)
}

// settingsPath is the settings.xml that Maven will read, there or not: that of
// maven.settings, else -s in the arguments, else the user's own.
func (j *job) settingsPath() string {
	return cmp.Or(j.settings, j.named(settingsOption), mvn.UserSettings(j.host))
}

// globalPath is the settings.xml in Maven's own installation, or the one that
// the arguments name instead; empty where that is not on this machine yet. A
// Maven that fastship brings takes the installed one's: this machine's mirrors
// are often in there.
func (j *job) globalPath() string {
	return cmp.Or(j.named(globalOption), j.launcher.Conf("settings.xml"), j.installedConf())
}

func (j *job) installedConf() string {
	if !j.launcher.Provided || j.launcher.Wrapper {
		return ""
	}
	return mvn.InstalledConf(j.host, "settings.xml")
}

// globalArgument is the global settings.xml that Maven has to be told of:
// the arguments' own, or the installed Maven's where another one is brought
// and it says anything; else empty.
func (j *job) globalArgument() string {
	if named := j.named(globalOption); named != "" {
		return named
	}
	installed := j.installedConf()
	if s, err := mvn.ReadSettings(j.host, installed); installed == "" || err != nil || !s.Speak() {
		return ""
	}
	return installed
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
	if err := s.checkOptions(j); err != nil {
		return err
	}
	j.readToolchains()
	user, err := s.userSettings(j)
	if err != nil {
		return err
	}
	for _, file := range j.weakerSettings() {
		weaker, err := mvn.ReadSettings(j.host, file)
		if err != nil && j.said.err == nil {
			j.said.err = fault.New(fault.BadInput, "correct "+file, "%w", err)
		}
		if weaker.Speak() { // else it counts for nothing, and not every Maven has one
			user = user.Over(weaker)
		}
	}
	// An encrypted password that stays one is told where it is needed.
	_ = user.Decrypt(j.host, j.args)
	j.said.user = user
	s.serve(j)
	if s.deps.Secret != nil {
		s.deps.Secret(j.secrets()...)
	}
	return nil
}

// secrets are those of settings, arguments and wrapper.
func (j *job) secrets() []string {
	return slices.Concat(j.said.user.Secrets(), j.args.Secrets(), mvn.WrapperSecrets(j.host, j.dir), mvn.WrapperSecrets(j.host, mvn.MultiModuleRoot(j.dir)))
}

// weakerSettings are the files that Maven reads besides the user's, the
// strongest first. Maven 4 knows one of the project's.
func (j *job) weakerSettings() []string {
	var all []string
	if j.launcher.AtLeast(4) {
		all = append(all, filepath.Join(mvn.MultiModuleRoot(j.dir), ".mvn", "settings.xml"))
	}
	if global := j.globalPath(); global != "" {
		all = append(all, global)
	}
	return all
}

// userSettings are those of the variable or the file.
func (s *Step) userSettings(j *job) (mvn.Settings, error) {
	name, variable := strings.CutPrefix(s.config.Settings, fromVariable)
	if !variable {
		file := j.settingsPath()
		settings, err := mvn.ReadSettings(j.host, file)
		if err != nil {
			j.said.err = fault.New(fault.BadInput, "correct "+file, "%w", err)
		}
		return settings, nil
	}
	text := j.host.Getenv(name)
	if strings.TrimSpace(text) == "" {
		return mvn.Settings{}, fault.New(fault.Missing, "set "+name+" to the text of a settings.xml, or correct maven.settings", "read maven.settings: the variable %s is empty or not set", name)
	}
	settings, err := mvn.ParseSettings(j.host, "in the variable "+name, []byte(text))
	if err != nil {
		return mvn.Settings{}, fault.New(fault.BadInput, "set "+name+" to the text of a settings.xml", "%w", err)
	}
	j.said.text = text
	j.host = j.host.Without(name) // Maven and what it starts have no use for it
	return settings, nil
}

// checkOptions finds two settings files where one can count, and files that
// are named and not there.
func (s *Step) checkOptions(j *job) error {
	if also, ok := j.args.Given(settingsOption...); ok && j.settings != "" {
		return fault.New(fault.BadInput, "drop one of them", "maven.settings is %s, and -s in maven.args or MAVEN_ARGS names %s", s.config.Settings, also)
	}
	for _, option := range [][]string{settingsOption, globalOption, toolchainsOption, globalToolchains} {
		file := j.named(option)
		if file == "" || option[0] == "-s" && j.settings != "" { // what .mvn/maven.config says does not count then
			continue
		}
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			return fault.New(fault.BadInput, "create the file, or correct "+option[0]+" in maven.args, MAVEN_ARGS or .mvn/maven.config", "Maven is told to read %s, which is no file", file)
		}
	}
	return nil
}

// readToolchains lets the look-up of JDKs see the files that Maven will read.
func (j *job) readToolchains() {
	users := cmp.Or(j.named(toolchainsOption), filepath.Join(j.host.Home, ".m2", "toolchains.xml"))
	j.host.Toolchains = []string{users}
	global := j.named(globalToolchains)
	if global == "" && !j.launcher.Wrapper { // a wrapper's distribution has what every Maven comes with: nothing
		global = j.launcher.Conf("toolchains.xml")
	}
	if global != "" {
		j.host.Toolchains = append(j.host.Toolchains, global)
	}
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
