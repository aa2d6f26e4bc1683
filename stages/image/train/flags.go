package train

import (
	"slices"
	"strings"
)

// obstacle is a JVM option with which an archive of this kind is not used, or
// not to be used.
type obstacle struct{ prefix, why string }

var obstacles = []obstacle{
	{"-javaagent:", "an agent changes classes while they are loaded"},
	{"-agentlib:", "an agent may change classes while they are loaded"},
	{"-agentpath:", "an agent may change classes while they are loaded"},
	{"-Xrun", "an agent may change classes while they are loaded"},
	{"-Xshare:", "it says itself what is to be done about archives"},
	{"-XX:SharedArchiveFile", "it names an archive of its own"},
	{"-XX:ArchiveClassesAtExit", "it names an archive of its own"},
	{"-XX:+AutoCreateSharedArchive", "it names an archive of its own"},
	{"-XX:AOT", "it names a cache of its own"},
	{"-XX:Flags=", "it names a file of flags of its own"},
	{"-Xbootclasspath", "archives want the JVM's own boot class path"},
	{"--patch-module", "the JVM takes no archive with it"},
	{"--limit-modules", "the JVM takes no archive with it"},
	{"--upgrade-module-path", "the JVM takes no archive with it"},
	{"--module-path", "archives of modules are another kind"},
	{"-p", "archives of modules are another kind"},
	{"-m", "archives of modules are another kind"},
	{"--module", "archives of modules are another kind"},
	{"-cp", "it is another class path"},
	{"-classpath", "it is another class path"},
	{"--class-path", "it is another class path"},
	{"@", "what is in that file of arguments is not known"},
}

// exactly are the options above whose names begin other ones.
var exactly = []string{"-p", "-m", "-cp", "-classpath", "--module"}

// Unfit tells why JVM options or the variables that hold some keep an archive
// out of use; empty when they do not. Env is NAME=value.
func Unfit(flags, env []string) string {
	if why := unfit(flags); why != "" {
		return "image.jvm has " + why
	}
	for _, name := range optionVariables {
		for _, pair := range env {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				if why := unfit(strings.Fields(value)); why != "" {
					return name + " has " + why
				}
			}
		}
	}
	return ""
}

// optionVariables are read by the JVM and by the java program.
var optionVariables = []string{"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}

func unfit(flags []string) string {
	for _, flag := range flags {
		for _, o := range obstacles {
			if flag == o.prefix || strings.HasPrefix(flag, o.prefix) && !slices.Contains(exactly, o.prefix) {
				return flag + ": " + o.why
			}
		}
	}
	return ""
}

// archiveFlags are those of the user's flags that an archive has to be made
// with, because the layout of objects depends on them, or the modules.
func archiveFlags(flags []string) []string {
	return slices.DeleteFunc(slices.Clone(flags), func(flag string) bool {
		for _, part := range []string{
			"-XX:+UnlockExperimentalVMOptions", "-XX:+UnlockDiagnosticVMOptions",
			"UseCompressedOops", "UseCompressedClassPointers", "UseCompactObjectHeaders", "ObjectAlignmentInBytes",
			"--add-modules=", "--enable-native-access=", "--add-opens=", "--add-exports=", "--enable-preview",
		} {
			if strings.Contains(flag, part) {
				return false
			}
		}
		return true
	})
}

// choosesCollector tells whether the environment chooses one: two are an error.
func choosesCollector(env []string) bool {
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if slices.Contains(optionVariables, name) && strings.Contains(value, "-XX:+Use") && strings.Contains(value, "GC") {
			return true
		}
	}
	return false
}
