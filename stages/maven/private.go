package maven

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/fastship/fastship/internal/scratch"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// privatePrefix begins the names of folders that hold settings for the time of
// a run.
const privatePrefix = "fastship-settings-"

// privatePlaces are where they may lie, the best first: in memory, the user's
// own before the host's.
func privatePlaces(h mvn.Host) []string {
	var all []string
	for _, dir := range []string{h.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if info, err := os.Stat(dir); filepath.IsAbs(dir) && err == nil && info.IsDir() {
			all = append(all, dir)
		}
	}
	return append(all, os.TempDir())
}

// placeSettings writes the settings that are in no file, for the time of the
// run, where nobody else can read them. What a killed run left of its own
// is removed.
func (j *job) placeSettings(env runner.Env) (remove func(), err error) {
	places := privatePlaces(j.host)
	for _, place := range places {
		scratch.Sweep(place, privatePrefix)
	}
	if j.said.text == "" {
		return func() {}, nil
	}
	if len(j.said.served) > 0 {
		env.Emit(runner.Note{Text: j.servedText()})
	}
	var failed []error
	for _, place := range places {
		file, remove, err := writePrivate(place, j.said.text)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if i := slices.Index(j.arguments, j.settings); i > 0 && j.arguments[i-1] == "-s" {
			j.arguments[i] = file
		} else {
			j.arguments = slices.Concat([]string{"-s", file}, j.arguments) // the first -s counts
		}
		j.settings = file
		return remove, nil
	}
	return nil, fmt.Errorf("write Maven's settings: %w", errors.Join(failed...))
}

func writePrivate(place, text string) (file string, remove func(), err error) {
	dir, remove, err := scratch.Dir(place, privatePrefix) // mode 0700
	if err != nil {
		return "", nil, err
	}
	file = filepath.Join(dir, "settings.xml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		remove()
		return "", nil, err
	}
	return file, remove, nil
}
