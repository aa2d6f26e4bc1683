package appjar

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/zipfs"
)

// findRelease learns the Java release that the application needs from the
// class file version of its own classes: all of a Spring Boot archive's, and
// only the main class of others, which may carry other people's classes for
// several releases.
func (a *App) findRelease(classes string) (err error) {
	a.Release, err = a.release(func(origin string) bool {
		if classes == "" {
			return origin == classFile(a.Main)
		}
		return strings.HasPrefix(origin, classes)
	})
	return err
}

// release is the highest Java release that the jar's classes for any release
// need, as far as they are own: a class is asked for by its name where it was
// packed.
func (j ownJar) release(own func(origin string) bool) (int, error) {
	highest := 0
	for _, e := range j.entries {
		if e.file == nil || !strings.HasSuffix(e.name, ".class") || strings.HasPrefix(e.name, "META-INF/") || !own(e.file.Name) {
			continue
		}
		release, err := classRelease(e.file)
		if err != nil {
			return highest, err
		}
		highest = max(highest, release)
	}
	return highest, nil
}

// sampled is how many of a library's classes are looked at.
const sampled = 3

// Release is the Java release that a library needs: the lowest that some of
// its classes do, since a few may be for newer releases that use them alone.
// Zero when it has no classes outside META-INF.
func Release(library *zip.Reader) int {
	lowest, seen := 0, 0
	for _, f := range library.File {
		if !strings.HasSuffix(f.Name, ".class") || strings.HasPrefix(f.Name, "META-INF/") || path.Base(f.Name) == "module-info.class" {
			continue
		}
		release, err := classRelease(f)
		if err != nil {
			continue
		}
		if seen++; lowest == 0 || release < lowest {
			lowest = release
		}
		if seen == sampled {
			break
		}
	}
	return lowest
}

// classRelease reads a class file's head: u4 magic, u2 minor, u2 major (JVMS
// 4.1); major 45 is Java 1.1, 52 is Java 8.
func classRelease(f *zip.File) (int, error) {
	r, err := f.Open()
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", f.Name, err)
	}
	defer r.Close()
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || binary.BigEndian.Uint32(head[:]) != 0xcafebabe {
		return 0, fault.New(fault.ImageFailed, "build it again (clean package)", "%s is not a class file", f.Name)
	}
	return int(binary.BigEndian.Uint16(head[6:])) - 44, nil
}

var (
	// “#Mon Nov 23 07:00:12 UTC 2026”, as java.util.Properties.store and
	// older maven-archivers write.
	propertiesDate = regexp.MustCompile(`(?m)^#((?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d{1,2} \d\d:\d\d:\d\d \S+ \d{4})\r?$`)
	buildTime      = regexp.MustCompile(`(?m)^(?:git\.)?build\.time\s*[=:]\s*(.+?)\r?$`)
	manifestTime   = regexp.MustCompile(`(?mi)^(?:Build-Time|Build-Timestamp|Build-Date|Built-On|Implementation-Build-Date): (.+?)\r?$`)
)

// findTimes warns of files into which the build wrote the time of day: they
// change with every build, and the image's digest with them.
func (a *App) findTimes() {
	var found []string
	if a.timeOfDay(a.manifest, manifestTime) {
		found = append(found, manifestName)
	}
	for _, e := range a.entries {
		if e.file == nil || e.file.UncompressedSize64 > 1<<20 {
			continue
		}
		base := path.Base(e.name)
		maven := strings.HasPrefix(e.name, "META-INF/maven/") && base == "pom.properties"
		if !maven && base != "build-info.properties" && base != "git.properties" {
			continue
		}
		b, err := zipfs.Read(e.file, 1<<20)
		if err != nil {
			continue // a broken entry is found when it is used
		}
		if a.timeOfDay(b, propertiesDate, buildTime) {
			found = append(found, e.name)
		}
	}
	if len(found) > 0 {
		a.Warnings = append(a.Warnings, fmt.Sprintf("the build wrote the time of day into %s: every build gives another image; set project.build.outputTimestamp in the pom, and use maven-jar-plugin 3.2 or later", strings.Join(found, ", ")))
	}
}

// timeOfDay tells whether text holds a time that is the clock's: shortly
// before the jar was written, and not the one constant time that all entries
// have when the pom sets project.build.outputTimestamp.
func (a *App) timeOfDay(text []byte, patterns ...*regexp.Regexp) bool {
	for _, p := range patterns {
		for _, match := range p.FindAllSubmatch(text, -1) {
			t, ok := parseTime(strings.ReplaceAll(string(match[1]), `\:`, ":"))
			age := a.modified.Sub(t)
			if !ok || (age > -time.Minute && age < 2*time.Hour && !a.constant(t)) {
				return true
			}
		}
	}
	return false
}

func parseTime(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", time.UnixDate} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// constant tells whether t is the time of every entry that this build made.
// Zip times are local and even: whole quarters of an hour and two seconds do
// not count. 1980 is what build tools give to entries they copy.
func (a *App) constant(t time.Time) bool {
	for _, e := range a.entries {
		if e.file == nil || e.file.Modified.Year() <= 1980 {
			continue
		}
		off := t.Sub(e.file.Modified).Abs() % (15 * time.Minute)
		if off > 2*time.Second && off < 15*time.Minute-2*time.Second {
			return false
		}
	}
	return true
}
