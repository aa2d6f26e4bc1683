// Package rooms holds no code: its test keeps the walls of the house.
package rooms

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fastship/fastship/"

// A direction says which rooms a room may import, and why no others.
type direction struct {
	room    string
	imports []string
	reason  string
}

// The first row whose room is a prefix of the importing package applies.
var directions = []direction{
	{"cmd/fastship", []string{"cmd", "internal/container", "internal/gcpace"}, "main makes the context, calls cli.Main and exits; a re-executed container init never reaches cli, and the collector is the whole process's"},
	{"cmd", []string{"cmd", "stages", "runner", "cache", "deploy", "internal"}, "cmd wires everything"},
	{"stages/internal", []string{"stages/internal", "runner", "cache", "internal"}, "what stages share knows none of them"},
	{"stages/source", []string{"stages/source", "stages/internal", "runner", "cache", "internal"}, "road joins stages, no stage imports another"},
	{"stages/maven", []string{"stages/maven", "stages/internal", "runner", "cache", "internal"}, "road joins stages, no stage imports another"},
	{"stages/image", []string{"stages/image", "stages/internal", "runner", "cache", "internal"}, "road joins stages, no stage imports another"},
	{"stages/push", []string{"stages/push", "stages/internal", "runner", "cache", "internal"}, "road joins stages, no stage imports another"},
	{"stages/rollout", []string{"stages/rollout", "stages/internal", "runner", "cache", "deploy", "internal"}, "road joins stages, no stage imports another"},
	{"runner", []string{"runner", "cache", "internal"}, "the words know no stage"},
	{"cache", []string{"cache", "internal"}, "memory knows nothing of what it keeps"},
	{"deploy/ecstest", []string{"deploy/ecstest", "cache", "internal"}, "the double must not share a reading with the client; it keeps unpacked images in the cache"},
	{"deploy", []string{"deploy", "internal"}, "deploying works without stages and without a cache"},
	{"internal/bench", []string{"internal", "cache"}, "a program of its own, that drives what it measures"},
	{"internal", []string{"internal"}, "small things that know nothing of the product"},
}

// A supplier says which rooms may import a third-party module, and why.
type supplier struct {
	module string
	rooms  []string
	reason string
}

var suppliers = []supplier{
	{"github.com/aws/", []string{"internal/awsconf", "cache/s3", "deploy/ecs", "stages/push", "stages/buildspec", "runner/worker"}, "the SDK is big and its types leak: each use has one room"},
	{"github.com/minio/", []string{"cache/s3"}, "one S3 client, one room"},
	{"github.com/google/go-containerregistry", []string{"stages/image", "stages/push", "stages/internal/oci", "cmd/internal/sandbox", "deploy/ecstest"}, "images are made, sent and, in the sandbox, run"},
	{"github.com/moby/", []string{"internal/container", "stages/image"}, "the Docker engine is an output and a place to run, nothing else"},
	{"github.com/spf13/cobra", []string{"cmd/internal/cli"}, "flags are read once, in cmd"},
	{"github.com/CycloneDX/", []string{"stages/image/sbom"}, "the bill of materials has one writer"},
	{"golang.org/x/crypto", []string{"stages/push/sign"}, "what the standard library has no word for: cosign's key files"},
	{"github.com/goccy/go-yaml", []string{"cmd/internal/spec", "stages/buildspec", "deploy/ecs"}, "files for people are read where they mean something"},
}

func TestImportsStayWithinTheirRooms(t *testing.T) {
	seen := 0
	eachImport(t, func(file, from, imported string) {
		seen++
		to, ours := strings.CutPrefix(imported, module)
		if ours {
			checkDirection(t, file, from, to)
			return
		}
		if strings.HasSuffix(file, "_test.go") {
			return // a test may hold any double or validator
		}
		for _, s := range suppliers {
			if strings.HasPrefix(imported, s.module) && !within(from, s.rooms) {
				t.Errorf("%s imports %s, which belongs to %v: %s", file, imported, s.rooms, s.reason)
			}
		}
	})
	if seen < 100 {
		t.Fatalf("saw only %d imports: the walk is broken", seen)
	}
}

func checkDirection(t *testing.T, file, from, to string) {
	for _, d := range directions {
		if !within(from, []string{d.room}) {
			continue
		}
		// A test may drive its room through the doubles and stores of others.
		if strings.HasSuffix(file, "_test.go") && within(to, []string{"deploy/ecstest", "cache", "internal", from}) {
			return
		}
		if !within(to, d.imports) {
			t.Errorf("%s imports %s; %s may import %v: %s", file, to, d.room, d.imports, d.reason)
		}
		return
	}
	t.Errorf("%s is in no known room; the rooms are in docs/architecture.md", file)
}

func TestOnlyKnownRoomsStandAtTheTop(t *testing.T) {
	known := map[string]bool{}
	for _, name := range strings.Fields(".ci .git .github .gitattributes .gitignore .fastship CHANGELOG.md CONTRIBUTING.md LICENSE README.md cache cmd deploy docs go.mod go.sum internal runner stages testdata") {
		known[name] = true
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !known[e.Name()] {
			t.Errorf("%s stands at the top; only the rooms of docs/architecture.md do", e.Name())
		}
	}
}

const root = "../.."

func eachImport(t *testing.T, f func(file, from, imported string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || (strings.HasPrefix(name, ".") && p != root)) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f(rel, path.Dir(rel), imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func within(pkg string, rooms []string) bool {
	for _, r := range rooms {
		if pkg == r || strings.HasPrefix(pkg, r+"/") || (strings.HasSuffix(r, "/") && strings.HasPrefix(pkg, r)) {
			return true
		}
	}
	return false
}
