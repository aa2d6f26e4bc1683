package maven

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/runner"
)

// keyFile holds the last run's key, in the project's state folder.
const keyFile = "maven-key.json"

// lastKey is what named the last run's job. It holds digests and no values of
// the environment.
type lastKey struct {
	Key   cache.Key         `json:"key"` // first: a run without changes reads no more than that
	Parts cache.KeyParts    `json:"parts"`
	Files map[string]string `json:"files"` // path → mode and digest
}

// explain says what differs from the last run's key, where that is asked for,
// and keeps this one's.
func (s *Step) explain(env runner.Env, id identity) {
	if s.deps.State == "" {
		return
	}
	file := filepath.Join(s.deps.State, keyFile)
	if s.deps.Explain {
		env.Emit(runner.Note{Text: explanation(file, id)})
	}
	if id.reason != "" || keptKey(file) == id.key {
		return
	}
	now := lastKey{Key: id.key, Parts: id.parts, Files: map[string]string{}}
	for _, f := range id.files {
		now.Files[f.Path] = f.Mode + " " + f.ID
	}
	text, err := json.Marshal(now)
	if err == nil {
		err = os.WriteFile(file, text, 0o644)
	}
	if err != nil {
		env.Emit(runner.Warning{Text: fmt.Sprintf("keep the key for --explain: %v", err)})
	}
}

// keptKey is the key at the head of a key file, or empty.
func keptKey(file string) cache.Key {
	in, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer in.Close()
	head := make([]byte, len(`{"key":"`)+64)
	if _, err := io.ReadFull(in, head); err != nil {
		return ""
	}
	key, _ := strings.CutPrefix(string(head), `{"key":"`)
	return cache.Key(key)
}

func explanation(file string, id identity) string {
	if id.reason != "" {
		return "Maven cannot be skipped: " + id.reason
	}
	var last lastKey
	text, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(text, &last) != nil {
		return "there is no earlier run to compare with"
	}
	before := map[string]string{}
	for _, p := range last.Parts {
		before[p.Name] = p.Value
	}
	var changes []string
	for _, p := range id.parts {
		old, known := before[p.Name]
		delete(before, p.Name)
		switch {
		case known && old == p.Value:
		case p.Name == "source":
			changes = append(changes, "source changed: "+changedFiles(last.Files, id.files))
		case p.Name == "JDK" || p.Name == "Maven":
			was, _, _ := strings.Cut(old, " ")
			is, _, _ := strings.Cut(p.Value, " ")
			if was == is {
				changes = append(changes, p.Name+" "+is+" is another build")
			} else {
				changes = append(changes, fmt.Sprintf("%s %s → %s", p.Name, was, is))
			}
		default:
			changes = append(changes, p.Name+" changed")
		}
	}
	for _, p := range last.Parts {
		if _, gone := before[p.Name]; gone {
			changes = append(changes, p.Name+" is not read any more")
		}
	}
	if len(changes) == 0 {
		return "nothing that Maven reads differs from the last run"
	}
	return "since the last run: " + strings.Join(changes, "; ")
}

// maxNamed bounds the files that an explanation names.
const maxNamed = 5

func changedFiles(before map[string]string, files []File) string {
	var names []string
	left := len(before)
	for _, f := range files {
		old, known := before[f.Path]
		if known {
			left--
		}
		if old != f.Mode+" "+f.ID {
			names = append(names, f.Path)
		}
	}
	if left > 0 {
		names = append(names, fmt.Sprintf("%d removed", left))
	}
	if more := len(names) - maxNamed; more > 0 {
		names = append(names[:maxNamed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}
