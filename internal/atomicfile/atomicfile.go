// Package atomicfile writes small files that are there in whole or not at
// all, whoever reads or is killed meanwhile.
package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Write makes path hold content, with that mode, by renaming a new file in
// the same folder. The folder must be there. What a killed Write leaves begins
// with a dot and the file's name.
func Write(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when it was renamed
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
