package maven

import (
	"path/filepath"
	"slices"
	"strings"
)

// arguments are Maven's, without the spy's. Batch mode also turns off colour.
// Never -o: plug-ins that declare requiresOnline would be skipped silently,
// and the output would be another one.
func (s *Step) arguments(j *job) []string {
	args := j.understood([]string{"-B", noProgress})
	if j.settings != "" {
		args = append(args, "-s", j.settings)
	}
	args = append(args, j.handed()...)
	if len(s.config.Profiles) > 0 {
		args = append(args, "-P", strings.Join(s.config.Profiles, ","))
	}
	if _, chosen := j.args.Option("-pl", "--projects"); j.module != nil && !chosen && len(j.tree.Modules) > 1 {
		args = append(args, "-pl", j.module.Dir, "-am")
	}
	return slices.Concat(args, s.config.Args, s.config.Goals)
}

// handed are the arguments that give a Maven that fastship brings the global
// settings of the one that is installed.
func (j *job) handed() []string {
	if file := j.globalArgument(); file != "" && j.named(globalOption) == "" {
		return []string{"-gs", file}
	}
	return nil
}

// noProgress is new in Maven 3.6.1 (MNG-6605).
const noProgress = "--no-transfer-progress"

// understood leaves out what the Maven chosen does not know.
func (j *job) understood(args []string) []string {
	if j.launcher.AtLeast(3, 6, 1) {
		return args
	}
	return slices.DeleteFunc(args, func(a string) bool { return a == noProgress })
}

// commandLine is the job as a person would type it.
func (j *job) commandLine() string {
	program := j.launcher.Path
	if !j.launcher.Wrapper {
		program = "mvn" // launcherText says which
	} else if rel, err := filepath.Rel(j.dir, program); err == nil && filepath.IsLocal(rel) {
		program = "./" + rel
	}
	words := []string{program}
	for _, a := range j.arguments {
		words = append(words, quote(a))
	}
	return strings.Join(words, " ")
}

func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\n'\"\\$`&|;<>()*?[]{}~#!") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
