package extra

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/fault"
)

// project writes files below a new folder; a text that begins with "-> " is a
// symbolic link.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(files[name], "-> "); ok {
			err = os.Symlink(target, at)
		} else {
			mode := fs.FileMode(0o600)
			if strings.HasSuffix(name, ".sh") {
				mode = 0o700
			}
			err = os.WriteFile(at, []byte(files[name]), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func lines(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		line := fmt.Sprintf("%s %s %d:%d", e.Path, e.Mode, e.UID, e.GID)
		if !e.Time.IsZero() {
			line += " " + e.Time.UTC().Format(time.RFC3339)
		}
		out = append(out, line)
	}
	return out
}

var files = map[string]string{
	"ops/run.sh": "#!", "ops/etc/app.conf": "a", "ops/etc/deep/more.conf": "b", "ops/README.md": "c", "ops/etc/NOTES.md": "d",
	"agent.jar": "PK", "ops/latest": "-> etc", "ops/link.conf": "-> ../agent.jar",
}

func TestFind(t *testing.T) {
	dir := project(t, files)
	for _, c := range []struct {
		name  string
		items []Files
		want  []string
	}{
		{"a folder with its links", []Files{{From: "ops", Into: "/srv/ops", Exclude: []string{"**/*.md"}}}, []string{
			"srv drwxr-xr-x 0:0", "srv/ops drwxr-xr-x 0:0", "srv/ops/etc drwxr-xr-x 0:0", "srv/ops/etc/app.conf -rw-r--r-- 0:0", "srv/ops/etc/deep drwxr-xr-x 0:0",
			"srv/ops/etc/deep/more.conf -rw-r--r-- 0:0", "srv/ops/latest drwxr-xr-x 0:0", "srv/ops/latest/app.conf -rw-r--r-- 0:0", "srv/ops/latest/deep drwxr-xr-x 0:0",
			"srv/ops/latest/deep/more.conf -rw-r--r-- 0:0", "srv/ops/link.conf -rw-r--r-- 0:0", "srv/ops/run.sh -rwxr-xr-x 0:0",
		}},
		{"patterns, modes, owner, time", []Files{{From: "ops/", Into: "/data/", Include: []string{"etc/*.conf", "run.sh"}, Mode: "4640", DirMode: "0750", Owner: "1000", Time: "2026-01-31"}}, []string{
			"data drwxr-x--- 1000:1000 2026-01-31T00:00:00Z", "data/etc drwxr-x--- 1000:1000 2026-01-31T00:00:00Z",
			"data/etc/app.conf urw-r----- 1000:1000 2026-01-31T00:00:00Z", "data/run.sh urw-r----- 1000:1000 2026-01-31T00:00:00Z",
		}},
		{"a folder by its name", []Files{{From: "ops", Into: "/data", Include: []string{"etc/deep/"}}}, []string{
			"data drwxr-xr-x 0:0", "data/etc drwxr-xr-x 0:0", "data/etc/deep drwxr-xr-x 0:0", "data/etc/deep/more.conf -rw-r--r-- 0:0",
		}},
		{"a file into a folder", []Files{{From: "agent.jar", Into: "/opt/agent/"}}, []string{"opt drwxr-xr-x 0:0", "opt/agent drwxr-xr-x 0:0", "opt/agent/agent.jar -rw-r--r-- 0:0"}},
		{"a file by another name", []Files{{From: "agent.jar", Into: "/opt/otel.jar"}}, []string{"opt drwxr-xr-x 0:0", "opt/otel.jar -rw-r--r-- 0:0"}},
		{"a file into the root", []Files{{From: "agent.jar"}}, []string{"agent.jar -rw-r--r-- 0:0"}},
		{"folders of every system keep what they have", []Files{{From: "agent.jar", Into: "/tmp/", Owner: "5:6"}, {From: "agent.jar", Into: "/root/x/", DirMode: "0711"}}, []string{
			"root drwx------ 0:0", "root/x drwx--x--x 0:0", "root/x/agent.jar -rw-r--r-- 0:0", "tmp dtrwxrwxrwx 0:0", "tmp/agent.jar -rw-r--r-- 5:6",
		}},
		{"the later counts", []Files{{From: "ops/etc", Into: "/e", Mode: "0600"}, {From: "ops/etc", Into: "/e", Include: []string{"*.md"}, Mode: "0444"}}, []string{
			"e drwxr-xr-x 0:0", "e/NOTES.md -r--r--r-- 0:0", "e/app.conf -rw------- 0:0", "e/deep drwxr-xr-x 0:0", "e/deep/more.conf -rw------- 0:0",
		}},
	} {
		if err := Check(t.Context(), dir, c.items); err != nil {
			t.Errorf("%s: Check: %v", c.name, err)
		}
		found, err := Find(t.Context(), dir, c.items)
		if got := lines(found); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v\n got %s\nwant %s", c.name, err, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
		for _, e := range found {
			if e.Mode.IsDir() {
				continue
			}
			r, err := e.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(r)
			want, readErr := os.ReadFile(e.Source)
			if err := errors.Join(err, readErr, r.Close()); err != nil || string(b) != string(want) || int64(len(b)) != e.Size {
				t.Errorf("%s: %s holds %q, want %q: %v", c.name, e.Path, b, want, err)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	dir := project(t, files)
	outside := filepath.Join(filepath.Dir(dir), "secret")
	for at, target := range map[string]string{"out": outside, "up": "../secret", "round": ".", "gone": "nowhere"} {
		if err := os.MkdirAll(filepath.Join(dir, "bad", at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, "bad", at, "link")); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(outside, []byte("s"), 0o600), os.Symlink("../../../secret", filepath.Join(dir, "bad", "up", "higher")),
		os.MkdirAll(filepath.Join(dir, "empty"), 0o755), os.MkdirAll(filepath.Join(dir, "white"), 0o755),
		os.WriteFile(filepath.Join(dir, "white", ".wh.x"), nil, 0o600),
		os.MkdirAll(filepath.Join(dir, "latin"), 0o755), os.WriteFile(filepath.Join(dir, "latin", "\xe9"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(dir, "empty", "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for want, f := range map[string]Files{
		"image.files[0].from: nothing to copy":                                             {},
		"image.files[0].from: /etc is absolute":                                            {From: "/etc"},
		"image.files[0].from: a/../../x is outside the project":                            {From: "a/../../x"},
		"image.files[0].from: no nowhere in the project":                                   {From: "nowhere"},
		"image.files[0].from: no file in bad/none":                                         {From: "bad/none"},
		`image.files[0].into: "etc" is not absolute | write /etc`:                          {From: "ops", Into: "etc"},
		`image.files[0].into: "/a/../b" is not a clean path | write /b`:                    {From: "ops", Into: "/a/../b"},
		"image.files[0].into: /bin is a symbolic link in most base images | write /usr/lo": {From: "ops", Into: "/bin/x"},
		"image.files[0].into: /app/lib/x is the application's":                             {From: "ops", Into: "/app/lib/x"},
		`image.files[0].mode: "0999" is no mode`:                                           {From: "ops", Mode: "0999"},
		`image.files[0].dirMode: "rwx" is no mode`:                                         {From: "ops", DirMode: "rwx"},
		`image.files[0].owner: "nobody" is no owner`:                                       {From: "ops", Owner: "nobody"},
		`image.files[0].time: "1969-12-31" is no time since 1970`:                          {From: "ops", Time: "1969-12-31"},
		`image.files[0].include: "[a" is no pattern`:                                       {From: "ops", Include: []string{"[a"}},
		`image.files[0].exclude: "../x" leads out of the folder`:                           {From: "ops", Exclude: []string{"../x"}},
		`image.files[0].include: "*.sql" matches nothing in ops`:                           {From: "ops", Include: []string{"run.sh", "*.sql"}},
		"image.files[0]: include and exclude go with a folder":                             {From: "agent.jar", Include: []string{"*"}},
		"image.files[0].from: no file in ops":                                              {From: "ops", Exclude: []string{"**"}},
		"image.files[0]: the link bad/out/link leads out of the project, to " + outside:    {From: "bad/out", Into: "/x"},
		"image.files[0]: the link bad/up/higher leads out of the project":                  {From: "bad/up", Into: "/x", Exclude: []string{"link"}},
		"image.files[0]: the link bad/round/link leads to a folder that it is in":          {From: "bad/round", Into: "/x"},
		"image.files[0]: the link bad/gone/link leads to nowhere, which is not there":      {From: "bad/gone", Into: "/x"},
		"image.files[0]: empty/s is neither":                                               {From: "empty", Into: "/x"},
		"image.files[0]: white/.wh.x: a name that begins with .wh. means deletion":         {From: "white", Into: "/x"},
	} {
		if f.From == "bad/none" {
			if err := os.MkdirAll(filepath.Join(dir, "bad", "none"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		err := Check(t.Context(), dir, []Files{f})
		message, hint, _ := strings.Cut(want, " | ")
		if err == nil || !strings.HasPrefix(err.Error(), message) || fault.ClassOf(err) != fault.BadInput || !strings.HasPrefix(fault.HintOf(err), hint) {
			t.Errorf("%+v: %v (hint %q)\nwant %s", f, err, fault.HintOf(err), want)
		}
	}
	// A file where another item has a folder, and the other way round.
	for _, items := range [][]Files{
		{{From: "ops/etc", Into: "/a/b"}, {From: "agent.jar", Into: "/a"}},
		{{From: "agent.jar", Into: "/a"}, {From: "ops/etc", Into: "/a/b"}},
	} {
		if err := Check(t.Context(), dir, items); err == nil || !strings.Contains(err.Error(), "image.files[1]: ") || !strings.Contains(err.Error(), "in the image") {
			t.Errorf("%+v: %v", items, err)
		}
	}
}

// TestBuilt: what the build makes is looked for when it is there.
func TestBuilt(t *testing.T) {
	dir := project(t, files)
	items := []Files{{From: "target/agents", Into: "/opt/agents"}}
	if err := Check(t.Context(), dir, items); err != nil {
		t.Error(err)
	}
	if _, err := Find(t.Context(), dir, items); fault.ClassOf(err) != fault.ImageFailed || !strings.Contains(err.Error(), "no target/agents in the project") {
		t.Errorf("%v", err)
	}
}

// FuzzUnderstand holds that every item is either refused with a hint's class
// or stays within project and image.
func FuzzUnderstand(f *testing.F) {
	f.Add("ops", "/x", "**/*.sh", "0755", "1:2", "2026-01-31")
	f.Add("a/..", "/", "{a,b", "7", ":", "now")
	f.Fuzz(func(t *testing.T, from, into, pattern, mode, owner, when string) {
		r, err := understand(0, Files{From: from, Into: into, Include: []string{pattern}, Mode: mode, Owner: owner, Time: when})
		if err != nil {
			if fault.ClassOf(err) != fault.BadInput {
				t.Fatalf("%v", err)
			}
			return
		}
		if !fs.ValidPath(r.from) || r.into != "" && !fs.ValidPath(r.into) || r.uid < 0 || r.gid < 0 || r.time.Unix() < 0 && !r.time.IsZero() {
			t.Fatalf("%q %q: %+v", from, into, r)
		}
	})
}
