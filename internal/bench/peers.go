package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// jibPlugin is the peer, by the newest version there is.
const jibPlugin = "com.google.cloud.tools:jib-maven-plugin:3.5.1"

// debianJRE pushes the peers' base to h's registry: a minimal Debian with its
// Java 17, as a gzip layer. It is made by debootstrap once, and its tar is
// kept in the user's cache folder.
func (h *host) debianJRE(ctx context.Context) (ref string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	archive := filepath.Join(cache, "fastship-bench", "debian-jre-17.tar")
	if _, err := os.Stat(archive); err != nil {
		if err := debootstrap(ctx, archive); err != nil {
			return "", err
		}
	}
	ref = h.registry + "/debian-jre:17"
	if _, err := command(ctx, h.dir, nil, "docker", "import", archive, ref); err != nil {
		return "", err
	}
	h.stop = append(h.stop, func() { exec.Command("docker", "rmi", "-f", ref).Run() })
	_, err = command(ctx, h.dir, nil, "docker", "push", "-q", ref)
	return ref, err
}

func debootstrap(ctx context.Context, archive string) error {
	if _, err := exec.LookPath("debootstrap"); err != nil {
		return errors.New("debootstrap is not installed: apt-get install debootstrap")
	}
	root, err := os.MkdirTemp("", "fastship-bench-debian-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "making the peers' base by debootstrap, once: about a minute")
	if _, err := command(ctx, root, nil, "debootstrap", "--variant=minbase", "--include=openjdk-17-jre-headless", "bookworm", root); err != nil {
		return err
	}
	if _, err := command(ctx, root, nil, "tar", "-C", root, "--exclude=./var/cache/apt/*", "--exclude=./var/lib/apt/lists/*", "--exclude=./dev/*", "-cf", archive+".new", "."); err != nil {
		return err
	}
	return os.Rename(archive+".new", archive)
}

// jib is Jib in a project.
type jib struct {
	mvn, dir string
	base     string // a reference in a registry over plain http
	to       string // a reference without a tag
	cache    string // a folder; Jib's two caches lie below it
}

// args asks Maven for goals with Jib behind them.
func (j jib) args(tag string, goals ...string) []string {
	args := append([]string{"-B", "-ntp", "-DskipTests"}, goals...)
	return append(args, jibPlugin+":build", "-Djib.from.image="+j.base, "-Djib.to.image="+j.to+":"+tag, "-Djib.allowInsecureRegistries=true",
		"-Djib.baseImageCache="+filepath.Join(j.cache, "base"), "-Djib.applicationCache="+filepath.Join(j.cache, "application"), "-Djib.console=plain")
}

// run builds and pushes. It returns the whole process's usage and the seconds
// of Jib's own mojo, by the times at the lines of Maven's log.
func (j jib) run(ctx context.Context, tag string, goals ...string) (usage, float64, error) {
	env := []string{"MAVEN_OPTS=-Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"}
	u, err := command(ctx, j.dir, env, j.mvn, j.args(tag, goals...)...)
	if err != nil {
		return u, 0, err
	}
	seconds, err := mojoSeconds(u.out)
	return u, seconds, err
}

// logTime is how such a line begins: 12:00:00.123 [INFO] text.
var logTime = regexp.MustCompile(`^(\d\d:\d\d:\d\d\.\d{3}) \[[A-Z]+\] ?(.*)`)

// mojoSeconds is the time from the line that announces Jib's mojo to that of
// Maven's verdict.
func mojoSeconds(log []byte) (float64, error) {
	var start time.Time
	for line := range bytes.Lines(log) {
		m := logTime.FindSubmatch(bytes.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		at, err := time.Parse("15:04:05.000", string(m[1]))
		text := string(m[2])
		switch {
		case err != nil:
			return 0, err
		case strings.HasPrefix(text, "--- ") && strings.Contains(text, "jib"):
			start = at
		case text == "BUILD SUCCESS" && !start.IsZero():
			took := at.Sub(start)
			if took < 0 { // past midnight
				took += 24 * time.Hour
			}
			return took.Seconds(), nil
		}
	}
	return 0, fmt.Errorf("the log does not show when Jib's mojo began and ended:\n%s", log)
}
