package mvn

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Flags for a JVM that lives for seconds and has few cores: the first
// compiler alone, since the optimising one fights the application for the
// cores and seldom earns its time back, and a collector without helper threads.
// Measured on Maven and on surefire's JVMs.
const (
	flagCompiler  = "-XX:TieredStopAtLevel=1"
	flagCollector = "-XX:+UseSerialGC"
)

// Variables that a JVM, or Maven's script, reads its options from.
const (
	envMavenOpts   = "MAVEN_OPTS"
	envToolOptions = "JAVA_TOOL_OPTIONS"
	envJavaOptions = "JDK_JAVA_OPTIONS"
	envOldOptions  = "_JAVA_OPTIONS"
)

// Tuning is what tuned JVMs are started with. The zero value changes nothing.
type Tuning struct {
	Maven    []string // for Maven's own JVM alone, in MAVEN_OPTS
	Children []string // for every JVM of the job, in JAVA_TOOL_OPTIONS
	Archive  []string // for Maven's own JVM: the class archive to start from, or to be made
	Kept     []string // the user's own flags that are left to decide, for people
}

var (
	collectorFlag = regexp.MustCompile(`-XX:[+-]Use(?:\w*GC|\w*Collector)\b`)
	compilerFlag  = regexp.MustCompile(`-Xint\b|-Xcomp\b|-Xmixed\b|-XX:(?:TieredStopAtLevel=|[+-]TieredCompilation\b|CompilationMode=|[+-]UseJVMCICompiler\b)\S*`)
	// hiddenFlags name files that may hold any flag.
	hiddenFlags = regexp.MustCompile(`-XX:(?:Flags|VMOptionsFile)=\S*|(?:^|\s)@[^\s{]\S*`)
)

// Tune settles the flags for a job: of each kind only where nobody has chosen.
// The user's choices stand in the JVM's options in the environment, in
// .mvn/jvm.config under root, in Maven's arguments, and in the poms (argLine,
// jvmArguments, compilerArgs; any text counts). What an inherited remote pom
// sets is not seen here: a JVM that will not start tells.
func Tune(h Host, root string, t *Tree, args []string) Tuning {
	own := jvmOptions(h, root)
	build := strings.Join(slices.Concat(args, strings.Fields(h.Getenv("MAVEN_ARGS")), fileArgs(filepath.Join(root, ".mvn", "maven.config"))), " ") + " " + t.text()
	var tuning Tuning
	for _, kind := range []struct {
		flag  string
		users *regexp.Regexp
	}{{flagCompiler, compilerFlag}, {flagCollector, collectorFlag}} {
		found := append(kind.users.FindAllString(own, -1), hiddenFlags.FindAllString(own, -1)...)
		switch inBuild := kind.users.FindAllString(build, -1); {
		case len(found) > 0:
			tuning.Kept = append(tuning.Kept, found...)
		case len(inBuild) > 0:
			tuning.Kept = append(tuning.Kept, inBuild...)
			tuning.Maven = append(tuning.Maven, kind.flag)
		default:
			tuning.Children = append(tuning.Children, kind.flag)
		}
	}
	for i, flag := range tuning.Kept {
		tuning.Kept[i] = strings.TrimSpace(flag)
	}
	slices.Sort(tuning.Kept)
	tuning.Kept = slices.Compact(tuning.Kept)
	return tuning
}

// jvmOptions are those of the user's own for Maven's JVM.
func jvmOptions(h Host, root string) string {
	return strings.Join([]string{
		h.Getenv(envToolOptions), h.Getenv(envJavaOptions), h.Getenv(envOldOptions), h.Getenv(envMavenOpts),
		strings.Join(fileArgs(filepath.Join(root, ".mvn", "jvm.config")), " "),
	}, " ")
}

// text is all the poms' text; a pom that cannot be read again has none.
func (t *Tree) text() string {
	var all strings.Builder
	seen := map[string]bool{}
	for _, m := range t.Modules {
		for _, p := range m.Chain {
			if !seen[p.Path] {
				seen[p.Path] = true
				text, _ := os.ReadFile(p.Path) // the tree was read from it just now
				all.Write(text)
				all.WriteByte('\n')
			}
		}
	}
	return all.String()
}

// Empty tells that nothing is changed.
func (t Tuning) Empty() bool { return len(t.Maven) == 0 && len(t.Children) == 0 }

// Flags are all of them but the archive's.
func (t Tuning) Flags() []string { return slices.Concat(t.Children, t.Maven) }

// Env are the variables that carry the flags, before the user's own values, so
// that of two settings of one flag the user's wins.
func (t Tuning) Env(h Host) []string {
	var env []string
	for _, v := range []struct {
		name  string
		flags []string
	}{{envMavenOpts, slices.Concat(t.Archive, t.Maven)}, {envToolOptions, t.Children}} {
		if len(v.flags) > 0 {
			env = append(env, v.name+"="+joined(v.flags, h.Getenv(v.name)))
		}
	}
	return env
}

func joined(flags []string, users string) string {
	return strings.TrimSpace(strings.Join(flags, " ") + " " + users)
}

// levels are what Maven and surefire put before a line of a JVM they started.
var levels = regexp.MustCompile(`^(?:\[[A-Za-z]+\] ?)*`)

// Quiet takes a line of the build's output and returns it as it would be
// without the flags: a JVM says which JAVA_TOOL_OPTIONS it picked up. keep is
// false for a line that would not be there.
func (t Tuning) Quiet(h Host, line string) (quiet string, keep bool) {
	if len(t.Children) == 0 {
		return line, true
	}
	const said = "Picked up " + envToolOptions + ": "
	users := h.Getenv(envToolOptions)
	level := levels.FindString(line)
	if line[len(level):] != said+joined(t.Children, users) {
		return line, true
	}
	return level + said + users, users != ""
}

// refusals are what a JVM says that does not start for its flags (HotSpot's
// arguments.cpp and gcConfig.cpp), and what the launcher says in its place.
var refusals = regexp.MustCompile(`^(?:Error: )?(?:Multiple garbage collectors selected|Conflicting collector combinations|Unrecognized VM option|VM option .* is (?:diagnostic|experimental)|Improperly specified VM option|Error occurred during initialization of VM|Could not create the Java Virtual Machine)`)

// Refused tells whether a line of the build's output is a JVM that does not
// start with its flags.
func Refused(line string) bool {
	return refusals.MatchString(strings.TrimSpace(line[len(levels.FindString(line)):]))
}
