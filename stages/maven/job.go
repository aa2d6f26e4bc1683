package maven

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/internal/mvn"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// job is a Maven run that is ready to start: all that reading alone can tell.
type job struct {
	dir      string
	host     mvn.Host
	tree     *mvn.Tree
	args     mvn.Args
	repo     mvn.Repository
	module   *mvn.Module // nil when none is asked for
	main     string      // the class to start, empty where the jar names it
	settings string      // absolute, or empty
	said     saidSettings
	remotes  []mvn.Remote // repositories that the poms on disk name
	held     []held       // tokens of this run
	asked    time.Time    // when the last of them was
	refitted bool         // another JDK or Maven was taken after what Maven said
	heard    string       // Maven's version as it said it itself; empty before it ran
	required mvn.Required // the enforcer's rules
	pinned   bool         // maven.version names one
	launcher mvn.Launcher
	want     mvn.Want
	choice   mvn.Choice
	key      cache.Key // remembers what the project asks for
	asks     asks      // that memory
	known    bool      // there is one, from an earlier run of Maven

	book *stamp.Book // digests of what the job made; nil until it runs

	arguments []string // Maven's, without the spy's
	tuning    tuning   // settled just before Maven starts
	archive   classArchive
	foretold  bool // an attempt has told Foreseen all there is to tell
}

// prepare reads what there is to read and writes nothing.
func (s *Step) prepare(ctx context.Context, dir string) (*job, error) {
	j := &job{dir: dir, main: s.config.Main, host: mvn.Host{Environ: s.deps.Environ, Home: s.deps.Home}}
	if err := findPom(dir); err != nil {
		return nil, err
	}
	tree, err := mvn.ReadTree(dir)
	if err != nil {
		return nil, err
	}
	j.tree = tree
	if s.config.Module != "" {
		if j.module, err = tree.FindModule(s.config.Module); err != nil {
			return nil, err
		}
	}
	if j.settings, err = settingsFile(dir, s.config.Settings); err != nil {
		return nil, err
	}
	j.args = mvn.ReadArgs(j.host, mvn.MultiModuleRoot(dir), s.config.Args)
	s.remember(ctx, j)
	if err := s.chooseMaven(j); err != nil {
		return nil, err
	}
	if err := s.readSettings(j); err != nil {
		return nil, err
	}
	s.chooseRepository(j)
	s.wants(j)
	j.choice, err = mvn.ChooseJDK(ctx, j.host, j.want)
	if err != nil && j.known {
		// What Maven said may hang on more than the key holds, such as a
		// profile that the environment switches on: it may not block a run.
		j.known, j.want.Releases = false, j.tree.Releases(j.args, s.profiles(j))
		j.choice, err = mvn.ChooseJDK(ctx, j.host, j.want)
	}
	if err != nil {
		return nil, err
	}
	j.arguments = s.arguments(j)
	if setting := s.config.Repository; j.repo.Path != "" && setting != "" && setting != "auto" {
		j.use(j.repo.Path)
	}
	return j, nil
}

// profiles are those named in the configuration and in Maven's arguments.
func (s *Step) profiles(j *job) []string {
	named := slices.Clone(s.config.Profiles)
	for _, list := range j.args.Options("-P", "--activate-profiles") {
		named = append(named, strings.Split(list, ",")...)
	}
	return named
}

// findPom says what is wrong with a folder that holds no pom.xml.
func findPom(dir string) error {
	pom := filepath.Join(dir, "pom.xml")
	info, err := os.Stat(pom)
	switch {
	case err == nil && !info.IsDir():
		return nil
	case err == nil:
		return fault.New(fault.BadInput, "", "read %s: it is a folder", pom)
	case !os.IsNotExist(err):
		return fault.New(fault.BadInput, "", "read the project's pom: %w", err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fault.New(fault.BadInput, "name the folder that holds the pom.xml", "%s is not a folder", dir)
	}
	for _, name := range []string{"build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return fault.New(fault.BadInput, "fastship builds Maven projects", "%s has no pom.xml but a %s: Gradle projects are not supported", dir, name)
		}
	}
	hint := "run fastship in the folder that holds the pom.xml, or name that folder"
	var below []string
	for _, pattern := range []string{"*/pom.xml", "*/*/pom.xml"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is well-formed
		for _, f := range found {
			if rel, err := filepath.Rel(dir, filepath.Dir(f)); err == nil && !strings.HasPrefix(rel, ".") {
				below = append(below, rel)
			}
		}
	}
	if len(below) > 0 {
		hint = "name the project's folder: " + strings.Join(below[:min(len(below), 5)], ", ")
	}
	return fault.New(fault.BadInput, hint, "no pom.xml in %s", dir)
}

func settingsFile(dir, name string) (string, error) {
	if name == "" {
		return "", nil
	}
	if strings.HasPrefix(name, fromVariable) {
		return name, nil // no file yet: placeSettings writes it
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", fault.New(fault.BadInput, "correct maven.settings or create the file", "read maven.settings: %w", err)
	}
	if info.IsDir() {
		return "", fault.New(fault.BadInput, "correct maven.settings", "read maven.settings: %s is a folder", name)
	}
	return name, nil
}

func (j *job) jdkText() string {
	return fmt.Sprintf("JDK %s in %s, %s", j.choice.JDK.Version, j.choice.JDK.Home, j.choice.Reason)
}

func (j *job) launcherText() string {
	version := j.launcher.Version
	if version != "" {
		version = " " + version
	}
	return fmt.Sprintf("Maven%s from %s", version, j.launcher.Origin)
}
