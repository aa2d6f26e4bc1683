package main

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// packings are the ways to put libraries into layers. The first is the one
// that the others are compared with.
var packings = []struct{ jars, compression string }{
	{"verbatim", "gzip"}, {"verbatim", "zstd"}, {"stored", "gzip"}, {"stored", "zstd"},
}

// packed is one image of the project.
type packed struct {
	base, libraries, application, whole int64 // compressed bytes
	digests                             map[string]int64
	names                               map[string]string // of layers, by digest
}

// beyond is the bytes of p's layers that the image before did not have.
func (p packed) beyond(before packed) (n int64) {
	for digest, size := range p.digests {
		if _, there := before.digests[digest]; !there {
			n += size
		}
	}
	return n
}

// layers weighs the image of orders, or of another project, in each packing;
// of orders also the layers that a one-line change sends.
func layers(ctx context.Context, h *host) error {
	flags := flag.NewFlagSet("layers", flag.ContinueOnError)
	other := flags.String("project", "", "the folder of another Maven project to weigh; it is copied")
	if err := flags.Parse(h.args); err != nil {
		return err
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return err
	}
	p, err := newProject(h, "ours", mvn)
	if err != nil {
		return err
	}
	if *other != "" {
		p.dir = filepath.Join(h.dir, "ours", filepath.Base(*other))
		if err := os.CopyFS(p.dir, os.DirFS(*other)); err != nil {
			return err
		}
	}
	fmt.Printf("%s, MB as pushed\n\n| libraries | layers | base | libraries | application | image | of the first | sent after a one-line change | after a new version of one library | of one family |\n|---|---|---|---|---|---|---|---|---|---|\n", filepath.Base(p.dir))
	env := []string{"FASTSHIP_CACHE_DIR=" + filepath.Join(h.dir, "cache")}
	var first int64
	for i, way := range packings {
		config := fmt.Sprintf("maven: {args: [-DskipTests]}\nimage: {repository: %s/layers, jars: %s, compression: %s, train: never}\n", h.registry, way.jars, way.compression)
		if err := os.WriteFile(filepath.Join(p.dir, "fastship.yaml"), []byte(config), 0o644); err != nil {
			return err
		}
		if _, err := command(ctx, p.dir, env, h.fastship, "run", "--result", "../result.json"); err != nil {
			return err
		}
		is, err := p.weigh()
		if err != nil {
			return err
		}
		jar, family, err := p.resent(is)
		if err != nil {
			return err
		}
		sent := "–"
		if *other == "" {
			if err := p.edit(i); err != nil {
				return err
			}
			if _, err := command(ctx, p.dir, env, h.fastship, "run", "--result", "../result.json"); err != nil {
				return err
			}
			changed, err := p.weigh()
			if err != nil {
				return err
			}
			sent = fmt.Sprintf("%.1f kB", float64(changed.beyond(is))/1e3)
		}
		if i == 0 {
			first = is.whole
		}
		mb := func(n int64) float64 { return float64(n) / 1e6 }
		fmt.Printf("| %s | %s | %.1f | %.1f | %.3f | %.1f | %.2f × | %s | %.1f MB | %.1f MB |\n", way.jars, way.compression,
			mb(is.base), mb(is.libraries), mb(is.application), mb(is.whole), float64(is.whole)/float64(first), sent, jar/1e6, family/1e6)
	}
	return nil
}

// weigh reads the last run's result, which must have pushed.
func (p *project) weigh() (packed, error) {
	b, err := os.ReadFile(filepath.Join(p.dir, "..", "result.json"))
	if err != nil {
		return packed{}, err
	}
	var result struct {
		Image struct {
			Size   int64
			Layers []struct {
				Name, Digest string
				Size         int64
			}
			Reference string
		}
	}
	if err := json.Unmarshal(b, &result); err != nil {
		return packed{}, err
	}
	is := packed{whole: result.Image.Size, digests: map[string]int64{}, names: map[string]string{}}
	for _, l := range result.Image.Layers {
		is.digests[l.Digest], is.names[l.Digest] = l.Size, l.Name
		switch l.Name {
		case "base":
			is.base += l.Size
		case "application":
			is.application += l.Size
		default:
			is.libraries += l.Size
		}
	}
	if result.Image.Reference == "" || is.base == 0 || is.application == 0 {
		return is, errors.New("the last run pushed nothing: " + string(b))
	}
	return is, nil
}

// resent is what a new version of one library sends, in bytes, as the mean
// over all libraries, and over all families that are released together.
func (p *project) resent(is packed) (jar, family float64, err error) {
	layers := map[string][]string{} // digests, by family
	jars := 0.0
	for digest, name := range is.names {
		if !strings.HasPrefix(name, "dependencies") {
			continue
		}
		files, err := p.filesIn(digest)
		if err != nil {
			return 0, 0, err
		}
		for _, f := range files {
			jars++
			jar += float64(is.digests[digest])
			of := f
			if i := strings.IndexFunc(f, func(r rune) bool { return !unicode.IsLetter(r) }); i > 0 {
				of = strings.ToLower(f[:i])
			}
			if !slices.Contains(layers[of], digest) {
				layers[of] = append(layers[of], digest)
			}
		}
	}
	for _, digests := range layers {
		for _, d := range digests {
			family += float64(is.digests[d])
		}
	}
	if jars == 0 {
		return 0, 0, nil
	}
	return jar / jars, family / float64(len(layers)), nil
}

// filesIn lists the names of the files of one layer of the last image.
func (p *project) filesIn(digest string) (names []string, err error) {
	f, err := os.Open(filepath.Join(p.dir, ".fastship", "image", "blobs", "sha256", strings.TrimPrefix(digest, "sha256:")))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := bufio.NewReader(f)
	magic, err := b.Peek(2)
	if err != nil {
		return nil, err
	}
	var content io.Reader
	if magic[0] == 0x1f {
		content, err = gzip.NewReader(b)
	} else {
		content, err = zstd.NewReader(b)
	}
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(content); ; {
		h, err := t.Next()
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg {
			names = append(names, path.Base(h.Name))
		}
	}
}
