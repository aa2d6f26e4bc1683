package push

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

func TestFilesNameThePushedImage(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	in := makeImage(t, t.TempDir(), random(1000))
	repository := s.host() + "/team/orders"
	files := Files{Definitions: filepath.Join(dir, "target", "imagedefinitions.json"), Detail: filepath.Join(dir, "imageDetail.json")}
	uri := repository + "@" + in.Digest
	found := func(name string, err error) Deps {
		d := anonymous()
		d.Containers = func(context.Context) ([]Container, error) {
			if name == "" {
				return nil, err
			}
			return []Container{{"web", name}, {"worker", name}}, err
		}
		return d
	}
	for _, c := range []struct {
		name       string
		configured string
		deps       Deps
		want       string
	}{
		{"configured", "web", found("other", nil), "web"},
		{"of the task definition", "", found("app", nil), "app"},
		{"guessed", "", anonymous(), "orders"},
		{"guessed again", "", found("", nil), "orders"}, // and the image is there already
	} {
		f := files
		f.Container = c.configured
		step := New(Config{Repository: repository, Files: f}, c.deps)
		if err := step.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		var e events
		if _, err := step.Run(t.Context(), e.env(), in); err != nil {
			t.Fatal(err)
		}
		for file, want := range map[string]string{
			f.Definitions: `[{"name":"` + c.want + `","imageUri":"` + uri + `"}]` + "\n",
			f.Detail:      `{"ImageURI":"` + uri + `"}` + "\n",
		} {
			if got, err := os.ReadFile(file); err != nil || string(got) != want {
				t.Errorf("%s: %s, %v, want %s", c.name, got, err, want)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}

	refused := errors.New("AccessDeniedException")
	for want, c := range map[string]struct {
		files Files
		repo  string
		deps  Deps
	}{
		"AccessDeniedException": {Files{Definitions: files.Definitions}, repository, found("", refused)},
		`image.outputs.imageDefinitions: "team.orders" is no name of a container`: {Files{Definitions: files.Definitions}, s.host() + "/team.orders", anonymous()},
		`image.outputs.imageDefinitions: "a b" is no name`:                        {Files{Definitions: files.Definitions, Container: "a b"}, repository, anonymous()},
		"image.outputs.imageDetail: " + dir + " is not a file":                    {Files{Detail: dir}, repository, anonymous()},
	} {
		err := New(Config{Repository: c.repo, Files: c.files}, c.deps).Check(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, refused) && fault.ClassOf(err) != fault.BadInput {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestFilesOfSeveralServices: a service whose container has another name has a
// file of its own, since CodePipeline refuses names that it does not find.
func TestFilesOfSeveralServices(t *testing.T) {
	s, dir := newServer(t), t.TempDir()
	in := makeImage(t, t.TempDir(), random(1000))
	d := anonymous()
	d.Containers = func(context.Context) ([]Container, error) {
		return []Container{{"web", "app"}, {"api", "app"}, {"worker", "job"}}, nil
	}
	step := New(Config{Repository: s.host() + "/team/orders", Files: Files{Definitions: filepath.Join(dir, "imagedefinitions.json")}}, d)
	if err := step.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	var e events
	if _, err := step.Run(t.Context(), e.env(), in); err != nil {
		t.Fatal(err)
	}
	for file, name := range map[string]string{"imagedefinitions.json": "app", "imagedefinitions-worker.json": "job"} {
		want := `[{"name":"` + name + `","imageUri":"` + s.host() + "/team/orders@" + in.Digest + `"}]` + "\n"
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", file, got, err, want)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}

	taken := filepath.Join(dir, "imagedefinitions-worker.json")
	if err := errors.Join(os.Remove(taken), os.Mkdir(taken, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := step.Check(t.Context()); fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), "imagedefinitions-worker.json is not a file") {
		t.Error(err)
	}
}
