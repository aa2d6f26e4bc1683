package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// coldWays are what cold makes the image with: the layers that Fargate takes,
// those that every engine does, and the libraries as they are.
var coldWays = []struct{ name, keys string }{
	{"zstd", "compression: zstd"}, {"gzip", "compression: gzip"}, {"zstd, verbatim", "compression: zstd, jars: verbatim"},
}

// imageCold makes the image where nothing of the application is known, with
// the base at hand on both sides, and pushes it to a repository that has the
// base alone. Every run has a line changed, so that Maven runs and libraries are
// foreseen. What Maven waits for that shows in the whole run, beside that of a
// change whose libraries are known; and what the image takes where no Maven runs
// before it is measured, too. The bounds are for the first way.
func imageCold(ctx context.Context, i *imageHost) ([]bound, error) {
	seed := filepath.Join(i.dir, "cache")
	bases := make([]string, len(coldWays))
	images, ours := make([]sample, len(coldWays)), make([]sample, len(coldWays)) // ours: image and push
	var jibs, more, alone sample
	for w, way := range coldWays {
		if err := i.configure(i.meter.address+"/orders", way.keys); err != nil {
			return nil, err
		}
		first, err := i.run(ctx)
		if err != nil {
			return nil, err
		}
		bases[w] = first.base
	}
	for n := range imagePairs {
		known, err := i.known(ctx, 100*n)
		if err != nil {
			return nil, err
		}
		fmt.Printf("round %d:", n+1)
		for w, way := range coldWays {
			if err := i.ours.edit(100*n + w + 1); err != nil {
				return nil, err
			}
			repository := fmt.Sprint("cold-", w, "-", n)
			err := i.forgetful(seed, repository, way.keys, bases[w], func(cache string) error {
				r, err := i.run(ctx, cache)
				images[w], ours[w] = append(images[w], r.image), append(ours[w], r.image+r.push)
				if w == 0 {
					more = append(more, r.wall-known.wall)
				}
				fmt.Printf(" fastship, %s: image %.2f s + push %.2f s;", way.name, r.image, r.push)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
		err = i.forgetful(seed, fmt.Sprint("alone-", n), coldWays[0].keys, bases[0], func(cache string) error {
			took, err := i.image(ctx, cache)
			alone = append(alone, took)
			return err
		})
		if err != nil {
			return nil, err
		}
		j := i.jib
		j.to = fmt.Sprintf("%s/jibcold%d", i.meter.address, n)
		if err := i.mountBase(ctx, fmt.Sprint("jibcold", n)); err != nil {
			return nil, err
		}
		os.RemoveAll(filepath.Join(j.cache, "application"))
		_, mojo, err := j.run(ctx, "cold", "compile")
		if err != nil {
			return nil, err
		}
		jibs = append(jibs, mojo)
		fmt.Printf(" of the jar alone %.2f s; Jib's mojo %.2f s\n", alone[n], mojo)
	}
	for w, way := range coldWays {
		fmt.Printf("%s: image %v s; image and push %v s, of Jib's mojo %v\n", way.name, images[w], ours[w], ratios(ours[w], jibs))
	}
	fmt.Printf("%s: image of a jar that is there, without Maven before it, %v s\n", coldWays[0].name, alone)
	fmt.Printf("%s: the whole run takes %v s longer than where the libraries are known, of Jib's mojo %v\n", coldWays[0].name, more, ratios(more, jibs))
	return []bound{
		{"image cold, base cached, zstd", images[0], 1, "s"},
		{"image cold and its push, zstd, of Jib's mojo cold", ratios(ours[0], jibs), 0.2, "×"},
	}, i.configure(i.meter.address + "/orders")
}

// known is the run of a one-line change with everything else known.
func (i *imageHost) known(ctx context.Context, n int) (ran, error) {
	if err := i.configure(i.meter.address+"/orders", coldWays[0].keys); err != nil {
		return ran{}, err
	}
	return i.changed(ctx, n)
}

// forgetful configures a repository that has the base alone, and calls run with
// the variable for a cache like seed that has forgotten the application.
func (i *imageHost) forgetful(seed, repository, keys, base string, run func(cache string) error) error {
	cache := filepath.Join(i.dir, repository)
	defer os.RemoveAll(cache)
	if err := linkTree(cache, seed); err != nil {
		return err
	}
	if err := forgetApplication(cache); err != nil {
		return err
	}
	if err := forgetPushes(cache); err != nil {
		return err
	}
	os.RemoveAll(filepath.Join(i.ours.dir, ".fastship"))
	if err := i.configure(i.meter.address+"/"+repository, keys); err != nil {
		return err
	}
	if err := i.mount(repository, "orders", base); err != nil {
		return err
	}
	return run("FASTSHIP_CACHE_DIR=" + cache)
}

// image makes the image of the jar that Maven made last, without Maven, and
// returns how long its stage took, seconds.
func (i *imageHost) image(ctx context.Context, cache string) (float64, error) {
	file := filepath.Join(i.dir, "alone.json")
	if _, err := command(ctx, i.ours.dir, append(i.env, cache), i.fastship, "image", "build", "target/orders-1.0.0.jar", "--result", file); err != nil {
		return 0, err
	}
	var result struct {
		Stages map[string]struct{ Seconds float64 }
		Image  struct{ Layers []struct{ Name string } }
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &result)
	}
	if err == nil && (len(result.Image.Layers) < 10 || result.Stages["image"].Seconds == 0) {
		err = fmt.Errorf("no image of many layers was made: %s", b)
	}
	return result.Stages["image"].Seconds, err
}

// linkTree makes a tree of links to the files of another: nothing is written
// that the disk would be busy with while a contender runs. Caches replace files
// and never change them.
func linkTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, relative), 0o755)
		}
		return os.Link(path, filepath.Join(to, relative))
	})
}

// libraryLayer is in the actions of library layers: dependencies/spring.
const libraryLayer = `"name":"dependencies/`

// forgetApplication removes what a cache knows of the application and of its
// libraries: layers, modules, what their classes refer to.
func forgetApplication(cache string) error {
	actions := filepath.Join(cache, "actions")
	entries, err := os.ReadDir(actions)
	if err != nil {
		return err
	}
	removed := map[string]int{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(actions, e.Name()))
		if err != nil {
			return err
		}
		for _, sign := range []string{libraryLayer, `"name":"application"`, `{"outputs":{"kind":`, `{"outputs":{"packages":`} {
			if strings.Contains(string(b), sign) {
				if err := os.Remove(filepath.Join(actions, e.Name())); err != nil {
					return err
				}
				removed[sign]++
				break
			}
		}
	}
	if removed[libraryLayer] < 10 {
		return fmt.Errorf("these actions tell of the application: %v; does the cache look otherwise now?", removed)
	}
	return nil
}

// forgetPushes removes what a cache knows of the registries' repositories: else
// blobs that another one holds are mounted, and none is sent.
func forgetPushes(cache string) error {
	files, err := filepath.Glob(filepath.Join(cache, "registries", "registry-*.json"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no notes of a registry (%v): does the cache look otherwise now?", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		notes := map[string]json.RawMessage{}
		if err := json.Unmarshal(raw, &notes); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		delete(notes, "repositories")
		if raw, err = json.Marshal(notes); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil { // the seed has it too
			return err
		}
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// mount makes a blob of one repository known in another.
func (i *imageHost) mount(repository, from, digest string) error {
	answer, err := http.Post(fmt.Sprintf("http://%s/v2/%s/blobs/uploads/?mount=%s&from=%s", i.registry, repository, url.QueryEscape(digest), from), "", nil)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("mount %s: %s", digest, answer.Status)
	}
	return nil
}

// mountBase makes the base of the peers known in a repository.
func (i *imageHost) mountBase(ctx context.Context, repository string) error {
	layers, _, err := i.manifest(ctx, "debian-jre", "17")
	for _, l := range layers {
		if err == nil {
			err = i.mount(repository, "debian-jre", l)
		}
	}
	return err
}
