package mvn

import (
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
)

const extClassPath = "maven.ext.class.path"

// Args is everything that reaches Maven besides the goals: the arguments of
// the command line, of MAVEN_ARGS and of .mvn/maven.config, and the JVM's.
type Args struct {
	config []string // .mvn/maven.config's
	user   []string // MAVEN_ARGS' and the command line's, which win over config's
	system []string // the JVM's options, the strongest last
}

// ReadArgs collects the arguments that Maven will see when it runs in dir. It
// reads .mvn under root, the folder that Maven calls the multi-module one.
func ReadArgs(h Host, root string, commandLine []string) Args {
	var a Args
	a.config = append(a.config, fileArgs(filepath.Join(root, ".mvn", "maven.config"))...)
	a.user = append(a.user, strings.Fields(h.Getenv("MAVEN_ARGS"))...)
	a.user = append(a.user, commandLine...)
	a.system = append(a.system, strings.Fields(h.Getenv("JAVA_TOOL_OPTIONS"))...)
	a.system = append(a.system, strings.Fields(h.Getenv("JDK_JAVA_OPTIONS"))...)
	a.system = append(a.system, fileArgs(filepath.Join(root, ".mvn", "jvm.config"))...)
	a.system = append(a.system, strings.Fields(h.Getenv("MAVEN_OPTS"))...)
	return a
}

// fileArgs reads a file of arguments: Maven 3.8 splits it at white space, 3.9
// at line ends; for what is looked up here both give the same.
func fileArgs(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var args []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			args = append(args, strings.Fields(line)...)
		}
	}
	return args
}

// Property is the value of -Dname, as Maven's user and system properties have
// it: the last one wins, and a user property wins over the JVM's.
func (a Args) Property(name string) (string, bool) {
	if v, ok := property(a.all(), name); ok {
		return v, true
	}
	return property(a.system, name)
}

// Digest names all of it, for cache keys.
func (a Args) Digest() cache.Digest {
	return cache.Digest("sha256:" + string(cache.NewKey("maven-args", "1").Add("user", a.all()).Add("system", a.system).Key()))
}

// Extensions is the user's own maven.ext.class.path, or empty.
func (a Args) Extensions() string {
	v, _ := a.Property(extClassPath)
	return v
}

// Flag tells whether -Dname is set to anything but false, as the switches
// skipTests and maven.test.skip are read.
func (a Args) Flag(name string) bool {
	v, ok := a.Property(name)
	return ok && v != "false"
}

// all are the user's arguments in the order in which properties win: the last.
func (a Args) all() []string { return slices.Concat(a.config, a.user) }

// Option returns the value of an option, in any of its spellings, such as "-P"
// and "--activate-profiles". Of several the first counts, as in Maven's parser,
// and the command line's before .mvn/maven.config's.
func (a Args) Option(names ...string) (string, bool) {
	if v, ok := a.Given(names...); ok {
		return v, true
	}
	return first(options(a.config, names))
}

// Given is Option without what .mvn/maven.config says.
func (a Args) Given(names ...string) (string, bool) { return first(options(a.user, names)) }

// Options are all values of an option that may be repeated.
func (a Args) Options(names ...string) []string {
	return append(options(a.user, names), options(a.config, names)...)
}

func first(values []string) (string, bool) {
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

func options(args, names []string) (values []string) {
	for i, arg := range args {
		for _, name := range names {
			if (arg == name || "-"+arg == name) && i+1 < len(args) {
				values = append(values, args[i+1])
			} else if v, ok := strings.CutPrefix(arg, name+"="); ok {
				values = append(values, v)
			} else if v, ok := strings.CutPrefix(arg, name); ok && attached(name, v) {
				values = append(values, v)
			}
		}
	}
	return values
}

// attached tells whether -Pci or -sci.xml is an option with its value. The
// small letters begin other options too, such as -show-version.
func attached(name, value string) bool {
	return len(name) == 2 && value != "" && (name[1] < 'a' || strings.ContainsAny(value, "./"))
}

func property(args []string, name string) (string, bool) {
	value, found := "", false
	for n, v := range properties(args) {
		if n == name {
			value, found = v, true
		}
	}
	return value, found
}

// properties yields what -D and --define set, in order.
func properties(args []string) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i, arg := range args {
			if (arg == "-D" || arg == "--define") && i+1 < len(args) {
				arg = args[i+1]
			} else if rest, ok := strings.CutPrefix(arg, "--define="); ok {
				arg = rest
			} else if rest, ok := strings.CutPrefix(arg, "-D"); ok {
				arg = rest
			} else {
				continue
			}
			n, v, ok := strings.Cut(arg, "=")
			if !ok {
				v = "true"
			}
			if !yield(n, v) {
				return
			}
		}
	}
}
