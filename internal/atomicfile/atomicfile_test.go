package atomicfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.json")
	for _, text := range []string{"one", "two and more"} {
		if err := Write(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	if err := Write(filepath.Join(dir, "no", "folder"), nil, 0o600); err == nil {
		t.Error("no error for a folder that is not there")
	}
}

func TestCheckPlace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, good := range map[string]bool{
		file: true, filepath.Join(dir, "new"): true, filepath.Join(dir, "a", "b", "new"): true,
		dir: false, filepath.Join(file, "new"): false, filepath.Join(file, "a", "new"): false, "/": false,
	} {
		if err := CheckPlace(path); (err == nil) != good {
			t.Errorf("%s: %v", path, err)
		}
	}
}
