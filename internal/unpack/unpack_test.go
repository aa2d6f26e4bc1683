package unpack

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// entries is a layer in short: "name" a file, "name/" a directory, "name ->
// target" a symlink, "name => target" a hard link, each line one.
func archive(t testing.TB, entries string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for line := range strings.Lines(entries) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		h := &tar.Header{Name: line, Mode: 0o640, Typeflag: tar.TypeReg, Size: int64(len(line)), ModTime: time.Unix(1e9, 0), Uid: os.Getuid(), Gid: os.Getgid()}
		if name, target, ok := strings.Cut(line, " -> "); ok {
			h.Name, h.Linkname, h.Typeflag, h.Size = name, target, tar.TypeSymlink, 0
		} else if name, target, ok := strings.Cut(line, " => "); ok {
			h.Name, h.Linkname, h.Typeflag, h.Size = name, target, tar.TypeLink, 0
		} else if strings.HasSuffix(line, "/") {
			h.Typeflag, h.Size, h.Mode = tar.TypeDir, 0, 0o750
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, line); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// list shows a tree in the same words, sorted; a file with its content where
// that is another's.
func list(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		switch d.Type() {
		case fs.ModeDir:
			name += "/"
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			name += " -> " + target
		default:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if string(content) != name {
				name += " = " + string(content)
			}
		}
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// unpackAll unpacks layers onto each other in dir.
func unpackAll(t testing.TB, dir string, layers ...[]byte) error {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, l := range layers {
		u := &Unpacker{root: root, owners: os.Geteuid() == 0, onto: true, seen: map[string]struct{}{}, room: 1 << 20}
		if err := u.Unpack(bytes.NewReader(l)); err != nil {
			return err
		}
	}
	return nil
}

func TestUnpack(t *testing.T) {
	for name, c := range map[string]struct {
		layers []string
		want   string
	}{
		"plain":                 {[]string{"a/\na/b\na/c -> b\na/d => a/b"}, "a/|a/b|a/c -> b|a/d = a/b"},
		"parents are made":      {[]string{"a/b/c"}, "a/|a/b/|a/b/c"},
		"dots":                  {[]string{"./a\n./b/./c\n/d"}, "a = ./a|b/|b/c = ./b/./c|d = /d"},
		"upwards stays inside":  {[]string{"../../a\nb/../../../c"}, "a = ../../a|c = b/../../../c"},
		"later wins":            {[]string{"a", "a -> b", "a/\na/c"}, "a/|a/c"},
		"directories merge":     {[]string{"a/\na/b", "a/\na/c"}, "a/|a/b|a/c"},
		"file over directory":   {[]string{"a/b", "a"}, "a"},
		"whiteout":              {[]string{"a/b\na/c", "a/.wh.b"}, "a/|a/c"},
		"whiteout of directory": {[]string{"a/b/c\nd", ".wh.a"}, "d"},
		"whiteout of nothing":   {[]string{"a", "b/.wh.c"}, "a|b/"},
		"opaque":                {[]string{"a/b\na/c/d", "a/.wh..wh..opq\na/e"}, "a/|a/e"},
		"opaque comes last":     {[]string{"a/b\na/c/d", "a/e\na/c/f\na/.wh..wh..opq"}, "a/|a/c/|a/c/f|a/e"},
		"through a symlink":     {[]string{"usr/lib/\nlib -> usr/lib", "lib/x"}, "lib -> usr/lib|usr/|usr/lib/|usr/lib/x = lib/x"},
		"absolute symlink":      {[]string{"run/\nvar/run -> /run", "var/run/x"}, "run/|run/x = var/run/x|var/|var/run -> /run"},
		"symlink to nothing":    {[]string{"a -> b/c", "a/x"}, "a -> b/c|b/|b/c/|b/c/x = a/x"},
		"symlink upwards":       {[]string{"a -> ../../../b", "a/x"}, "a -> ../../../b|b/|b/x = a/x"},
		"replaces a symlink":    {[]string{"b\na -> b", "a"}, "a|b"},
		"hard link upwards":     {[]string{"a\nb => ../../a"}, "a|b = a"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var layers [][]byte
			for _, l := range c.layers {
				layers = append(layers, archive(t, l))
			}
			if err := unpackAll(t, dir, layers...); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(list(t, dir), "|"); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	for name, c := range map[string]struct{ layer, want string }{
		"symlinks in a ring":   {"a -> b\nb -> a\na/x", "too many symlinks"},
		"file as parent":       {"a\na/b", "not a directory"},
		"hard link to nothing": {"a => b", "no such file"},
		"root as a file":       {"..", "entry other than a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := unpackAll(t, t.TempDir(), archive(t, c.layer)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
		})
	}
}

func TestUnpackIsBounded(t *testing.T) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := w.WriteHeader(&tar.Header{Name: "big", Typeflag: tar.TypeReg, Size: 2 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := unpackAll(t, t.TempDir(), buf.Bytes()); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
}

func TestUnpackKeepsModesAndTimes(t *testing.T) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range []tar.Header{
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "setuid", Typeflag: tar.TypeReg, Mode: 0o4755},
		{Name: "closed", Typeflag: tar.TypeReg, Mode: 0o400},
	} {
		h.ModTime, h.Uid, h.Gid = time.Unix(1, 0), os.Getuid(), os.Getgid()
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := unpackAll(t, dir, buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"tmp": "dtrwxrwxrwx", "setuid": "urwxr-xr-x", "closed": "-r--------"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().String() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		if !info.IsDir() && !info.ModTime().Equal(time.Unix(1, 0)) {
			t.Errorf("%s: %v", name, info.ModTime())
		}
	}
}

// FuzzUnpack lays any two archives onto each other: whatever they hold,
// nothing outside of the tree changes.
func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, "a -> ../outside\n"), archive(f, "a/x\n.wh.a\n"))
	f.Add(archive(f, "a -> /\nb => a/outside/kept\n"), archive(f, "a/outside/.wh..wh..opq\n"))
	f.Add(archive(f, "a/b/c\nd -> a/b\n"), archive(f, "d/../../e\nd/.wh..wh.x\n"))
	f.Add([]byte("\x1f\x8b"), []byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, lower, upper []byte) {
		top := t.TempDir()
		inside := filepath.Join(top, "a/b/inside")
		outside := filepath.Join(top, "outside")
		for _, dir := range []string{inside, outside} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(outside, "kept"), []byte("kept"), 0o644); err != nil {
			t.Fatal(err)
		}
		before := outsideOf(t, top, inside)
		for _, raw := range [][]byte{lower, upper} {
			plain, done, err := Decompress(bytes.NewReader(raw))
			if err != nil {
				continue
			}
			root, err := os.OpenRoot(inside)
			if err != nil {
				t.Fatal(err)
			}
			u := &Unpacker{root: root, onto: true, seen: map[string]struct{}{}, room: 1 << 20}
			_ = u.Unpack(io.LimitReader(plain, 1<<20)) // what it refuses is not the point
			done()
			root.Close()
		}
		if after := outsideOf(t, top, inside); after != before {
			t.Errorf("outside of the tree:\n%s\nbecame\n%s", before, after)
		}
	})
}

func outsideOf(t *testing.T, top, inside string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if path == inside {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(&b, path, info.Mode(), info.Size())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
