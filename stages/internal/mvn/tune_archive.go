package mvn

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A class archive (JEP 310, AppCDS) holds the classes that Maven's own JVM
// loads, parsed and verified. It is a static one, dumped by a JVM of its own
// that runs none of Maven's code: a dynamic one (JEP 350) is written by Maven's
// JVM at its exit, which takes a second of the build's time.
const minArchiveJava = 17 // older JDKs were not tried

// archiveFlag are flags that decide on class archives, or on which classes a
// JVM has: with one of them there is no archive of ours.
var archiveFlag = regexp.MustCompile(`(?:^|\s)(?:-Xshare:|-Xlog:\S*(?:cds|aot)|-Xbootclasspath|-Xrun|-(?:javaagent|agentlib|agentpath):|--(?:patch-module|upgrade-module-path|limit-modules)|` +
	`-XX:(?:Shared(?:ArchiveFile|ClassListFile)|DumpLoadedClassList|ArchiveClassesAtExit|AOT\w*|[+-](?:AutoCreateSharedArchive|RecordDynamicDumpInfo|UseSharedSpaces|VerifySharedSpaces|UseCompressed\w+|UseCompactObjectHeaders))\b)\S*`)

// plainPath is a path that survives the mvn script's splitting at spaces and
// its eval, and the JVM's splitting at commas and colons.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9._/@+-]+$`)

// CanArchive tells whether Maven's JVM can start from a class archive of ours:
// a HotSpot of a release that was tried, and no word of the user's on the
// matter.
func CanArchive(h Host, root string, j JDK) bool {
	own := jvmOptions(h, root) + " " + h.Getenv("MAVEN_DEBUG_OPTS")
	if archiveFlag.MatchString(own) || hiddenFlags.MatchString(own) {
		return false
	}
	release, err := os.ReadFile(filepath.Join(j.Home, "release"))
	return j.Major >= minArchiveJava && err == nil && !strings.Contains(strings.ToLower(string(release)), "openj9")
}

// Stamp is a file as a JVM recognises it: an archive fits only the very jars,
// by place, size and time, that it was made with.
type Stamp struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	Time int64  `json:"time"` // nanoseconds since the epoch
}

// NewStamp reads a file's stamp.
func NewStamp(path string) (Stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}, err
	}
	return Stamp{path, info.Size(), info.ModTime().UnixNano()}, nil
}

// Holds tells whether the file is still the same.
func (s Stamp) Holds() bool {
	now, err := NewStamp(s.Path)
	return err == nil && now == s
}

// Stamps are those of what a JVM checks of its own JDK.
func (j JDK) Stamps() []Stamp {
	var all []Stamp
	for _, name := range []string{"lib/modules", "lib/server/libjvm.so", "lib/server/libjvm.dylib"} {
		if s, err := NewStamp(filepath.Join(j.Home, filepath.FromSlash(name))); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// ArchiveFlags start a JVM from an archive, where it fits; where it does not,
// or is damaged, the JVM starts without it and without a word. ok is false for
// a path that cannot be written in MAVEN_OPTS. The checksums are verified:
// that takes some milliseconds.
func ArchiveFlags(path string, j JDK) (flags []string, ok bool) {
	flags = []string{"-XX:SharedArchiveFile=" + path, "-Xshare:auto", "-XX:+VerifySharedSpaces", "-Xlog:cds*=off", "-Xlog:class+path*=off"}
	if j.Major >= 25 {
		flags = append(flags, "-Xlog:aot*=off") // an older JVM does not know the tag, and would not start
	}
	return flags, plainPath.MatchString(path)
}
