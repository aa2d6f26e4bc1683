package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"golang.org/x/sys/unix"

	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/sizes"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/image/archive"
	"github.com/fastship/fastship/stages/image/engine"
)

// Outputs are places for the image beside its layout and a registry. They get
// the image of this machine's architecture where there are several.
type Outputs struct {
	Archive string // a docker-archive's file, absolute; empty for none
	Engine  string // name:tag in the Docker engine; empty for none
	Copy    string // a folder for one more OCI layout, absolute; empty for none
	// Whole says that the layout itself is wanted with every layer, though the
	// image is one that would be pushed.
	Whole bool
}

// any tells whether every layer's bytes are needed here.
func (o Outputs) any() bool { return o != Outputs{} }

// check looks at places and names, and asks whether the engine is there.
func (o Outputs) check(ctx context.Context, getenv func(string) (string, bool)) error {
	if o.Archive != "" {
		if err := atomicfile.CheckPlace(o.Archive); err != nil {
			return fault.New(fault.BadInput, "name a file", "image.outputs.archive: %w", err)
		}
		if err := checkReplaceable(o.Archive); err != nil {
			return err
		}
		if err := checkWritable(filepath.Dir(o.Archive)); err != nil {
			return err
		}
	}
	if o.Copy != "" {
		if err := checkLayout(o.Copy); err != nil {
			return err
		}
		if err := checkWritable(o.Copy); err != nil {
			return err
		}
	}
	if o.Engine == "" {
		return nil
	}
	if err := CheckEngineName(o.Engine); err != nil {
		return fault.New(fault.BadInput, fault.HintOf(err), "image.outputs.engine: %w", err)
	}
	e, err := engine.Connect(ctx, getenv)
	if err != nil {
		return err
	}
	return e.Close()
}

// checkWritable asks the system whether files can be made in a folder, or in
// the nearest one above it that is there.
func checkWritable(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		err := unix.Access(dir, unix.W_OK|unix.X_OK)
		if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
			continue
		}
		if err != nil && !errors.Is(err, unix.EROFS) { // a plan may be made where nothing can be written
			return fault.New(fault.Missing, "make the folder writable, or name another place", "write to %s: %w", dir, err)
		}
		return nil
	}
}

// checkReplaceable wants no file, an empty one, or a tar archive: what else is
// there, a jar or the project's own file, is not to be lost by a wrong name.
func checkReplaceable(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.New(fault.BadInput, "name another file", "image.outputs.archive: %w", err)
	}
	defer f.Close()
	_, err = tar.NewReader(f).Next()
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return fault.New(fault.BadInput, "name another file, or remove this one", "image.outputs.archive: %s is there and is no archive of an image", path)
}

// CheckEngineName holds a name in a Docker engine against its grammar. The
// error has a hint and does not name the key.
func CheckEngineName(s string) error {
	_, err := engineTag(s)
	return err
}

// engineTag reads a name in an engine, such as orders or acme/orders:v1, and
// gives it with its tag.
func engineTag(s string) (string, error) {
	tag, err := name.NewTag(s, name.WeakValidation)
	if err != nil || strings.Contains(s, "@") {
		return "", fault.New(fault.BadInput, "write a name and a tag in lower-case letters, such as acme/orders:v1", "%q is no name of an image", s)
	}
	if strings.HasSuffix(s, ":"+tag.TagStr()) {
		return s, nil
	}
	return s + ":" + tag.TagStr(), nil
}

// lines are the outputs' part of a plan.
func (o Outputs) lines() []string {
	var lines []string
	for place, verb := range map[string]string{o.Copy: "copy the OCI layout to ", o.Archive: "write the docker-archive ", o.Engine: "load it into the Docker engine as "} {
		if place != "" {
			lines = append(lines, verb+place)
		}
	}
	slices.Sort(lines)
	return lines
}

// deliver writes the image to its other places.
func (s *Step) deliver(ctx context.Context, env runner.Env, in In, out Out) error {
	o := s.config.Outputs
	if o.Copy+o.Archive+o.Engine == "" {
		return nil
	}
	image, err := imageOf(out)
	if err != nil {
		return err
	}
	if o.Copy != "" {
		if err := copyLayout(ctx, out.Layout, o.Copy); err != nil {
			return err
		}
		env.Emit(runner.Note{Text: "the OCI layout is in " + o.Copy})
	}
	if o.Archive != "" {
		names := []string{}
		if tag, err := engineTag(archiveName(in, o)); err == nil {
			names = append(names, tag)
		}
		note, err := writeArchive(ctx, image, names, o.Archive)
		if err != nil {
			return err
		}
		env.Emit(runner.Note{Text: note})
	}
	if o.Engine == "" {
		return nil
	}
	tag, err := engineTag(o.Engine)
	if err != nil {
		return err
	}
	e, err := engine.Connect(ctx, s.deps.Getenv)
	if err != nil {
		return fault.As(fault.ImageFailed, err)
	}
	defer e.Close()
	loaded, err := e.Load(ctx, image, tag)
	if err != nil {
		return err
	}
	env.Emit(runner.Note{Text: fmt.Sprintf("%s is in the Docker engine, as %s: %s sent, %d layers there already", tag, shortID(loaded.ID), sizes.Text(loaded.Sent), loaded.Reused)})
	return nil
}

// archiveName is the engine's name for the image, else the application's.
func archiveName(in In, o Outputs) string {
	if o.Engine != "" {
		return o.Engine
	}
	return strings.ToLower(in.Name)
}

func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(len(id), 12)]
}

// imageOf opens the image of a layout that this machine could run.
func imageOf(out Out) (v1.Image, error) {
	x, err := layout.ImageIndexFromPath(out.Layout)
	if err != nil {
		return nil, err
	}
	h, err := v1.NewHash(out.Digest)
	if err != nil {
		return nil, err
	}
	manifest, err := x.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range manifest.Manifests {
		switch {
		case d.Digest != h:
		case d.MediaType.IsIndex():
			inner, err := x.ImageIndex(h)
			if err != nil {
				return nil, err
			}
			image, err := pick(out.Layout, inner, here())
			if err != nil {
				return nil, fault.New(fault.ImageFailed, "add it to image.platforms", "image.outputs: the image is not for this machine, %s", platformName(here()))
			}
			return image, nil
		default:
			return x.Image(h)
		}
	}
	return nil, fmt.Errorf("the image layout %s has no image %s", out.Layout, out.Digest)
}

// writeArchive writes a docker-archive by renaming, unless the same is there.
func writeArchive(ctx context.Context, image v1.Image, names []string, path string) (note string, err error) {
	plan, err := archive.New(image, names, 0)
	if err != nil {
		return "", err
	}
	if f, err := os.Open(path); err == nil {
		same := plan.Same(f)
		f.Close()
		if same {
			return path + " holds the image already", nil
		}
	}
	err = os.MkdirAll(filepath.Dir(path), 0o755)
	if err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone already when it was renamed
	err = errors.Join(plan.Write(ctx, f), f.Chmod(0o644))
	info, statErr := f.Stat()
	if err := errors.Join(err, statErr, f.Close()); err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", fmt.Errorf("write %s: %w", path, err)
	}
	return fmt.Sprintf("the image is in %s, %s, for docker load", path, sizes.Text(info.Size())), nil
}
