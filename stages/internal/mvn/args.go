package mvn

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cache"
)

const extClassPath = "maven.ext.class.path"

// Args is everything that reaches Maven besides the goals: the arguments of
// the command line, of MAVEN_ARGS and of .mvn/maven.config, and the JVM's.
type Args struct {
	user   []string // user properties and options, the strongest last
	system []string // the JVM's options, the strongest last
}

// ReadArgs collects the arguments that Maven will see when it runs in dir. It
// reads .mvn under root, the folder that Maven calls the multi-module one.
func ReadArgs(h Host, root string, commandLine []string) Args {
	var a Args
	a.user = append(a.user, fileArgs(filepath.Join(root, ".mvn", "maven.config"))...)
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
	if v, ok := property(a.user, name); ok {
		return v, true
	}
	return property(a.system, name)
}

// Digest names all of it, for cache keys.
func (a Args) Digest() cache.Digest {
	return cache.Digest("sha256:" + string(cache.NewKey("maven-args", "1").Add("user", a.user).Add("system", a.system).Key()))
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

// Option returns the last value of an option, in any of its spellings, such
// as "-P" and "--activate-profiles".
func (a Args) Option(names ...string) (string, bool) {
	value, found := "", false
	for i, arg := range a.user {
		for _, name := range names {
			if arg == name && i+1 < len(a.user) {
				value, found = a.user[i+1], true
			} else if v, ok := strings.CutPrefix(arg, name+"="); ok {
				value, found = v, true
			} else if v, ok := strings.CutPrefix(arg, name); ok && len(name) == 2 {
				value, found = v, true // -Pci
			}
		}
	}
	return value, found
}

func property(args []string, name string) (string, bool) {
	value, found := "", false
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
		if n, v, ok := strings.Cut(arg, "="); n == name {
			value, found = v, true
			if !ok {
				value = "true"
			}
		}
	}
	return value, found
}
