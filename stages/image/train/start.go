package train

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fastship/fastship/internal/container"
)

const (
	loadedFile  = "loaded.classes" // what the training start loaded
	wantedFile  = "wanted.classes" // what of it goes into the archive
	archiveFile = "classes.jsa"
)

// stopGrace is how long the application has to end by SIGTERM.
const stopGrace = 15 * time.Second

var versionLine = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

// findRelease asks the JVM for its release where the image does not say it.
func (t *training) findRelease(ctx context.Context) error {
	if t.Release > 0 {
		return nil
	}
	out := &tail{}
	if _, err := t.complete(ctx, out, "ask the JVM for its version", false, "-version"); err != nil {
		return err
	}
	for _, line := range out.lines {
		if m := versionLine.FindStringSubmatch(line); m != nil {
			t.Release, _ = strconv.Atoi(m[1])
		}
	}
	if t.Release < OldestJava {
		return &Refused{Reason: fmt.Sprintf("the base's Java is %d, and archives of the class path come with %d", t.Release, OldestJava)}
	}
	return nil
}

// start starts the application and returns the names of the classes that the
// archive shall have. A start that fails is of use too: what it loaded until
// then it will load again.
func (t *training) start(ctx context.Context) (Archive, []string, error) {
	out := &tail{}
	c, place, err := t.execute(ctx, false, out, t.startArguments()...)
	if failed, ok := errors.AsType[*container.StartError](err); ok {
		return Archive{}, nil, &Refused{Reason: fmt.Sprintf("start the application: %v", failed)}
	}
	if err != nil {
		return Archive{}, nil, err
	}
	var a Archive
	a.Start, a.Ready = t.watch(ctx, c, out)
	if ctx.Err() != nil {
		return a, nil, context.Cause(ctx)
	}
	loaded, err := os.Open(container.Written(place, "/"+Folder+"/"+loadedFile))
	if err != nil {
		return a, nil, &Refused{Reason: fmt.Sprintf("the JVM left no list of classes: %s", a.Start)}
	}
	defer loaded.Close()
	list, libraries, err := t.choose(loaded)
	if err != nil {
		return a, nil, fmt.Errorf("read the list of classes: %w", err)
	}
	if libraries == 0 {
		return a, nil, &Refused{Reason: fmt.Sprintf("the start came to no class of a library: %s", a.Start)}
	}
	a.Classes = len(list)
	return a, list, nil
}

// startArguments start the application as the image will, but for a short
// life: C1 alone, and an end when the context of a Spring application is
// refreshed (Spring Framework 6.1 and later), before it serves or consumes
// anything.
func (t *training) startArguments() []string {
	return slices.Concat(
		[]string{
			"-XX:TieredStopAtLevel=1",
			"-XX:DumpLoadedClassList=/" + Folder + "/" + loadedFile,
			"-Dspring.context.exit=onRefresh",
		},
		t.Options, t.Flags, t.launch(), t.Args)
}

// launch is the end of the command line, from the class path on.
func (t *training) launch() []string {
	if t.Whole {
		return []string{"-jar", t.App}
	}
	return []string{"-cp", t.classPath(), t.Main}
}

func (t *training) classPath() string {
	return strings.Join(append(slices.Clone(t.Libraries), t.App), ":")
}

// watch waits until the application ends, answers at a port, or has had its
// time; then it ends it by SIGTERM. It tells how far it came.
func (t *training) watch(ctx context.Context, c *container.Container, out *tail) (how string, ready bool) {
	limit := t.limit(startLimit)
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-c.Done():
			exit := c.Wait()
			if exit.Code == 0 {
				return "it started and ended by itself", true
			}
			return fmt.Sprintf("it ended with %s: %s", exit, out.cause()), false
		case <-timeout.C:
			c.Stop(stopGrace)
			return fmt.Sprintf("it did not answer within %s", limit), false
		case <-tick.C:
			if port := answering(ctx, c); port > 0 {
				c.Stop(stopGrace)
				return fmt.Sprintf("it answered at port %d", port), true
			}
		}
	}
}

// answering asks every port that the application listens on for / by HTTP and
// returns the first that says anything at all.
func answering(ctx context.Context, c *container.Container) int {
	listeners, err := c.Listening(ctx)
	if err != nil {
		return 0
	}
	for _, l := range listeners {
		client := http.Client{
			Timeout: 10 * time.Second,
			Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return c.Dial(ctx, l.Port)
				},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://localhost:%d/", l.Port), nil)
		if err != nil {
			return 0
		}
		if response, err := client.Do(request); err == nil {
			response.Body.Close()
			return l.Port
		}
	}
	return 0
}

// tail keeps a program's last lines.
type tail struct {
	mu    sync.Mutex
	lines []string
}

const tailLines = 200

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) == tailLines {
		t.lines = t.lines[1:]
	}
	t.lines = append(t.lines, line)
}

// cause is the line that says most likely why the program failed: the last
// cause of a stack trace, else the first error, else the last line.
func (t *tail) cause() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last, caused, wrong string
	for _, line := range t.lines {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "Caused by: "):
			caused = strings.TrimPrefix(line, "Caused by: ")
		case wrong == "" && (strings.HasPrefix(line, "Error") || strings.HasPrefix(line, "Exception in thread")):
			wrong = line
		}
		if line != "" && !strings.HasPrefix(line, "at ") && !strings.HasPrefix(line, "...") {
			last = line
		}
	}
	for _, line := range []string{caused, wrong, last} {
		if line != "" {
			const most = 300
			if r := []rune(line); len(r) > most {
				line = string(r[:most]) + "…"
			}
			return line
		}
	}
	return "it printed nothing"
}

// choose reads a class list and returns, sorted, the lines that the archive
// shall have, and how many of them are certainly a library's.
func (t *training) choose(loaded *os.File) (list []string, libraries int, err error) {
	foreign := map[string]bool{}
	if !t.Whole {
		if foreign, err = t.classes(append(slices.Clone(t.Others), t.App)); err != nil {
			return nil, 0, err
		}
	}
	ours, err := t.classes(slices.Concat(t.Libraries, t.wholeJars()))
	if err != nil {
		return nil, 0, err
	}
	list, err = chosen(bufio.NewReaderSize(loaded, 64<<10), foreign)
	for _, line := range list {
		if ours[line] {
			libraries++
		}
	}
	return list, libraries, err
}

func (t *training) wholeJars() []string {
	if t.Whole {
		return append(slices.Clone(t.Others), t.App)
	}
	return nil
}
