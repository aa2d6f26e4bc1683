package mvn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Recording is where Maven's JVM writes down which classes it loads. That
// costs nothing that could be measured.
type Recording struct{ dir string }

// Classes are those that Maven's JVM loaded in one run.
type Classes struct {
	ClassPath string   // the JVM's own, as it was given: the launcher's jar
	options   []string // that have to be the same when they are archived
	list      []byte   // as -XX:DumpLoadedClassList writes it
}

// classesPrefix is that of the temporary folders of recordings and archives.
const classesPrefix = "fastship-classes-"

// ClassesDir makes a temporary folder, and removes those that a killed run
// left behind yesterday or earlier.
func ClassesDir() (string, error) {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), classesPrefix+"*")) // the pattern is well-formed, or finds nothing
	for _, dir := range left {
		if info, err := os.Lstat(dir); err == nil && info.IsDir() && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(dir) // another user's stays
		}
	}
	return os.MkdirTemp("", classesPrefix)
}

// NewRecording makes a temporary folder, which Close removes.
func NewRecording() (*Recording, error) {
	dir, err := ClassesDir()
	if err != nil {
		return nil, err
	}
	r := &Recording{dir}
	if !plainPath.MatchString(dir) {
		r.Close()
		return nil, fmt.Errorf("record classes in %s: MAVEN_OPTS cannot hold the folder's name", dir)
	}
	return r, nil
}

// Close removes the folder.
func (r *Recording) Close() { _ = os.RemoveAll(r.dir) }

const (
	listSuffix = ".classes"
	logSuffix  = ".log"
)

// Flags make a JVM record. A Maven that the build starts inherits them: the
// process ID keeps the two apart, and the time tells which was first.
func (r *Recording) Flags() []string {
	return []string{
		"-XX:DumpLoadedClassList=" + filepath.Join(r.dir, "%p"+listSuffix),
		"-Xlog:class+load=info,arguments=info:file=" + filepath.Join(r.dir, "%p"+logSuffix) + ":timemillis",
	}
}

// launcherClass is what every Maven since 2 starts with, alone on the JVM's
// class path; the JVM says from where it was loaded.
const launcherClass = "org.codehaus.plexus.classworlds.launcher.Launcher source: file:"

// dumpOption are the options that JDK 24 and newer want to be the same
// (JDK-8328313).
var dumpOption = regexp.MustCompile(`(?:^|\s)(--(?:enable-native-access|add-modules)=\S+)`)

// Classes reads the recording of the first JVM that made one. Classes out of
// the folders named are left out, and those that need them: what is
// temporary, or what the project made itself.
func (r *Recording) Classes(without ...string) (Classes, error) {
	logs, _ := filepath.Glob(filepath.Join(r.dir, "*"+logSuffix)) // the pattern is well-formed
	if len(logs) == 0 {
		return Classes{}, errors.New("no classes were recorded")
	}
	var first loadLog
	for _, path := range logs {
		log, err := readLoadLog(path)
		if err != nil {
			return Classes{}, fmt.Errorf("read the recorded classes: %w", err)
		}
		if first.millis == 0 || log.millis < first.millis {
			first = log
		}
	}
	if !plainPath.MatchString(first.classPath) {
		return Classes{}, errors.New("the JVM has no launcher that is known")
	}
	pid := strings.TrimSuffix(filepath.Base(first.path), logSuffix)
	lists, _ := filepath.Glob(filepath.Join(r.dir, "*"+pid+listSuffix)) // JDK 17 says pid123
	if len(lists) != 1 {
		return Classes{}, fmt.Errorf("%d lists of classes were recorded instead of one", len(lists))
	}
	text, err := os.ReadFile(lists[0])
	if err != nil {
		return Classes{}, fmt.Errorf("read the recorded classes: %w", err)
	}
	return Classes{first.classPath, first.options, archivable(text, append(without, r.dir))}, nil
}

// loadLog is what a JVM logged.
type loadLog struct {
	path      string
	millis    int64 // since the epoch, of the first line
	classPath string
	options   []string
}

func readLoadLog(path string) (loadLog, error) {
	f, err := os.Open(path)
	if err != nil {
		return loadLog{}, err
	}
	defer f.Close()
	log := loadLog{path: path}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		stamp, text, _ := strings.Cut(lines.Text(), "] ") // [1763902345123ms] text
		if log.millis == 0 {
			log.millis, _ = strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(stamp, "["), "ms"), 10, 64)
		}
		if from, ok := strings.CutPrefix(text, launcherClass); ok && log.classPath == "" {
			log.classPath = from
		}
		if args, ok := strings.CutPrefix(text, "jvm_args: "); ok {
			for _, option := range dumpOption.FindAllStringSubmatch(args, -1) {
				log.options = append(log.options, option[1])
			}
		}
	}
	return log, lines.Err()
}

// archivable is a class list without the classes out of the folders named or
// out of files that are gone, and without those that need them: the JVM that
// dumps does not go on after a class that it lacks (classListParser.cpp).
func archivable(list []byte, without []string) []byte {
	var out bytes.Buffer
	gone, known := map[string]bool{}, map[string]bool{}
	for line := range bytes.Lines(list) {
		c := parseClassLine(string(line))
		if c.source != "" {
			if _, ok := known[c.source]; !ok {
				known[c.source] = exists(c.source) && !slices.ContainsFunc(without, func(dir string) bool { return strings.HasPrefix(c.source, dir+"/") })
			}
		}
		if (c.source != "" && !known[c.source]) || slices.ContainsFunc(c.needs, func(id string) bool { return gone[id] }) {
			gone[c.id] = true
			continue
		}
		out.Write(line)
	}
	return out.Bytes()
}

// classLine is a line such as
// "org/x/A id: 836 super: 0 interfaces: 17 835 source: /x/a.jar".
type classLine struct {
	id, source string
	needs      []string // IDs
}

func parseClassLine(line string) (c classLine) {
	rest, source, _ := strings.Cut(strings.TrimRight(line, "\n"), " source: ")
	c.source = source
	key := ""
	for _, word := range strings.Fields(rest) {
		switch {
		case strings.HasSuffix(word, ":"):
			key = word
		case key == "id:":
			c.id = word
		case key == "super:", key == "interfaces:":
			c.needs = append(c.needs, word)
		}
	}
	return c
}
