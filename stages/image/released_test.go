package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/stages/image/appjar"
)

// TestReleased: a released library is known by what the jar's directory says
// of it; a snapshot, and what is broken or another size, is not.
func TestReleased(t *testing.T) {
	state, memory := t.TempDir(), newCache(t)
	c := Config{Base: "oci:" + baseLayout(t, here().Architecture), Layout: t.TempDir()}
	libraries := map[string]string{"BOOT-INF/lib/big-1.0.jar": library(t, "good"), "BOOT-INF/lib/own-1.0-SNAPSHOT.jar": library(t, "own")}
	runIn := func(extra string) Out {
		if extra != "" {
			libraries["BOOT-INF/lib/"+extra] = library(t, extra)
		}
		in := bootJar(t, t.TempDir(), time.Now(), libraries)
		r, err := New(c, Deps{Cache: memory, State: state}).Run(t.Context(), (&told{}).env(), in)
		if err != nil {
			t.Fatal(err)
		}
		return r.Out
	}
	first := runIn("")
	file := filepath.Join(state, releasedFile)
	e := openReleased(state)
	seen := false
	for entry := range e.known {
		seen = seen || entry.Name == "big-1.0.jar"
		if strings.Contains(entry.Name, "SNAPSHOT") {
			t.Errorf("%s is known", entry.Name)
		}
		if e.digest(entry) == "" || e.digest(appjar.Entry{Name: entry.Name, Size: entry.Size + 1, CRC: entry.CRC}) != "" {
			t.Errorf("%+v: known by its name alone, or not at all", entry)
		}
	}
	before := len(e.known)
	if !seen {
		t.Errorf("known: %v", e.known)
	}
	if again := runIn(""); again.Digest != first.Digest {
		t.Errorf("digest %s, then %s", first.Digest, again.Digest)
	}
	if more := runIn("new-2.0.jar"); more.Digest == first.Digest || len(openReleased(state).known) != before+1 {
		t.Errorf("a new library: %+v", openReleased(state).known)
	}
	if err := os.WriteFile(file, []byte(releasedFormat+"\nnonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if len(openReleased(state).known) != 0 {
		t.Error("nonsense is known")
	}
}
