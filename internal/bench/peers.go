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

// crane is the peer that appends one layer.
func (i *imageHost) crane(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(cache, "fastship-bench")
	program := filepath.Join(bin, "crane")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	_, err = command(ctx, i.dir, []string{"GOBIN=" + bin, "GOFLAGS="}, "go", "install", craneModule)
	return program, err
}

// append puts the classes alone, as a layer, on what was pushed before: the
// least that crane can be asked for.
func (i *imageHost) append(ctx context.Context, crane string, n int) (float64, error) {
	layer := filepath.Join(i.dir, "layer.tar")
	start := time.Now()
	if _, err := command(ctx, filepath.Join(i.ours.dir, "target"), nil, "tar", "-cf", layer, "orders-1.0.0.jar.original"); err != nil {
		return 0, err
	}
	_, err := command(ctx, i.dir, nil, crane, "append", "--insecure", "-b", i.meter.address+"/jib:first", "-f", layer, "-t", fmt.Sprintf("%s/jib:append%d", i.meter.address, n))
	return time.Since(start).Seconds(), err
}

// docker builds and pushes the jar that Maven made.
func (i *imageHost) docker(ctx context.Context, n int) (float64, error) {
	folder := filepath.Join(i.dir, "docker")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return 0, err
	}
	jar, err := os.ReadFile(filepath.Join(i.ours.dir, "target", "orders-1.0.0.jar"))
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(folder, "app.jar"), jar, 0o644); err != nil {
		return 0, err
	}
	from := strings.Replace(i.base, i.meter.address, i.registry, 1)
	file := "FROM " + from + "\nCOPY app.jar /app.jar\nENTRYPOINT [\"java\", \"-jar\", \"/app.jar\"]\n"
	if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(file), 0o644); err != nil {
		return 0, err
	}
	ref := fmt.Sprintf("%s/docker:change%d", i.registry, n)
	start := time.Now()
	if _, err := command(ctx, folder, nil, "docker", "build", "-q", "-t", ref, "."); err != nil {
		return 0, err
	}
	_, err = command(ctx, folder, nil, "docker", "push", "-q", ref)
	took := time.Since(start).Seconds()
	exec.Command("docker", "rmi", "-f", ref).Run()
	return took, err
}
