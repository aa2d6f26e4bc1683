package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	imagePairs  = 9
	wholePairs  = 5 // of runs with tests
	farTrip     = 20 * time.Millisecond
	largeBytes  = 1 << 30
	craneModule = "github.com/google/go-containerregistry/cmd/crane@v0.22.1"
)

// imageHost is what the parts of the image's benchmark share: a registry
// behind a meter, the peers' base, and orders for each contender.
type imageHost struct {
	*host
	mvn    string
	meter  *meter
	base   string // the peers'
	ours   *project
	jib    jib
	theirs *project // Jib's
	env    []string // of fastship
}

// imageParts are run in this order; --only names one.
var imageParts = []struct {
	name string
	run  func(context.Context, *imageHost) ([]bound, error)
}{
	{"change", imageChange}, {"far", imageFar}, {"cold", imageCold}, {"size", imageSize},
	{"whole", imageWhole}, {"unchanged", imageUnchanged}, {"large", imageLarge}, {"startup", imageStartup},
}

// imageBench measures image and push of orders beside Jib's mojo, docker build
// and push, and crane append.
func imageBench(ctx context.Context, h *host) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	only := flags.String("only", "", "run one part: change, far, cold, size, whole, unchanged, large, startup")
	if err := flags.Parse(h.args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i, err := newImageHost(ctx, h)
	if err != nil {
		return err
	}
	var bounds []bound
	for _, part := range imageParts {
		if *only != "" && part.name != *only {
			continue
		}
		load, _ := os.ReadFile("/proc/loadavg")
		fmt.Printf("%s, load %s\n", part.name, strings.Join(strings.Fields(string(load))[:3], " "))
		got, err := part.run(ctx, i)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Println()
		bounds = append(bounds, got...)
	}
	return report(bounds)
}

func newImageHost(ctx context.Context, h *host) (*imageHost, error) {
	i := &imageHost{host: h, env: []string{"FASTSHIP_CACHE_DIR=" + filepath.Join(h.dir, "cache")}}
	var err error
	if i.mvn, err = exec.LookPath("mvn"); err != nil {
		return nil, err
	}
	if i.meter, err = newMeter(ctx, h.registry); err != nil {
		return nil, err
	}
	if i.base, err = h.debianJRE(ctx); err != nil {
		return nil, err
	}
	if i.ours, err = newProject(h, "ours", i.mvn); err != nil {
		return nil, err
	}
	if i.theirs, err = newProject(h, "jib", i.mvn); err != nil {
		return nil, err
	}
	i.base = strings.Replace(i.base, h.registry, i.meter.address, 1)
	i.jib = jib{mvn: i.mvn, dir: i.theirs.dir, base: i.base, to: i.meter.address + "/jib", cache: filepath.Join(h.dir, "jib-cache")}
	if err := i.configure(i.meter.address + "/orders"); err != nil {
		return nil, err
	}
	if _, err := i.run(ctx); err != nil { // links the base, fills the cache
		return nil, err
	}
	_, _, err = i.jib.run(ctx, "first", "compile")
	return i, err
}

// configure writes fastship.yaml: where to push, and further keys of image.
func (i *imageHost) configure(repository string, keys ...string) error {
	if !slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, "train:") }) {
		keys = append(keys, "train: never") // measured apart, by startup
	}
	return i.write("maven: {args: [-DskipTests]}\n", repository, append(keys, "sbom: false", "provenance: false")...)
}

func (i *imageHost) write(head, repository string, keys ...string) error {
	text := head + "image: {" + strings.Join(append([]string{"repository: " + repository}, keys...), ", ") + "}\n"
	return os.WriteFile(filepath.Join(i.ours.dir, "fastship.yaml"), []byte(text), 0o644)
}

// ran is what one run of fastship says of itself.
type ran struct {
	usage
	image, push float64 // seconds
	digest      string
	size        int64
	base        string // its layer's digest
	status      string // of push
}

func (i *imageHost) run(ctx context.Context, more ...string) (ran, error) {
	u, err := command(ctx, i.ours.dir, append(i.env, more...), i.fastship, "run", "--result", "../result.json")
	if err != nil {
		return ran{}, err
	}
	b, err := os.ReadFile(filepath.Join(i.ours.dir, "..", "result.json"))
	if err != nil {
		return ran{}, err
	}
	var result struct {
		Stages map[string]struct {
			Seconds float64
			Status  string
		}
		Image struct {
			Digest, Reference string
			Size              int64
			Layers            []struct{ Name, Digest string }
		}
	}
	if err := json.Unmarshal(b, &result); err != nil {
		return ran{}, err
	}
	r := ran{usage: u, image: result.Stages["image"].Seconds, push: result.Stages["push"].Seconds, status: result.Stages["push"].Status, digest: result.Image.Digest, size: result.Image.Size}
	if result.Image.Reference == "" || len(result.Image.Layers) < 2 || r.push <= 0 {
		return r, fmt.Errorf("no image was pushed: %s", b)
	}
	r.base = result.Image.Layers[0].Digest
	return r, nil
}

// changed edits one line and runs; the image must be a new one.
func (i *imageHost) changed(ctx context.Context, n int) (ran, error) {
	if err := i.ours.edit(n); err != nil {
		return ran{}, err
	}
	r, err := i.run(ctx)
	if err == nil && (r.digest == i.ours.digest || r.status != "ran") {
		err = errors.New("the edit made no new image")
	}
	i.ours.digest = r.digest
	return r, err
}

// imageChange compares a one-line change's image and push, all on loopback.
func imageChange(ctx context.Context, i *imageHost) ([]bound, error) {
	crane, err := i.crane(ctx)
	if err != nil {
		return nil, err
	}
	var took, requests, kilobytes, jibs, dockers, cranes sample
	for n := range imagePairs {
		var r ran
		asked, _, sent, err := i.meter.count(func() (err error) { r, err = i.changed(ctx, n); return err })
		if err != nil {
			return nil, err
		}
		if err := i.theirs.edit(n); err != nil {
			return nil, err
		}
		_, mojo, err := i.jib.run(ctx, fmt.Sprint("change", n), "compile")
		if err != nil {
			return nil, err
		}
		docker, err := i.docker(ctx, n)
		if err != nil {
			return nil, err
		}
		append1, err := i.append(ctx, crane, n)
		if err != nil {
			return nil, err
		}
		took, requests, kilobytes = append(took, r.image+r.push), append(requests, float64(asked)), append(kilobytes, float64(sent)/1e3)
		jibs, dockers, cranes = append(jibs, mojo), append(dockers, docker), append(cranes, append1)
		fmt.Printf("round %d: fastship image %.3f s + push %.3f s, %d requests, %.1f kB; Jib's mojo %.2f s; docker build + push %.2f s; crane append of the classes alone %.2f s\n",
			n+1, r.image, r.push, asked, float64(sent)/1e3, mojo, docker, append1)
	}
	fmt.Printf("\nJib's mojo %s s; docker build + push %s s; crane append %s s, of which fastship takes %s ×\n", jibs, dockers, cranes, ratios(took, cranes))
	return []bound{
		{"image + push after a one-line change, loopback", took, 0.06, "s"},
		{"its requests, the look at the tag included", requests, 6, "requests"},
		{"its bytes", kilobytes, 100, "kB"},
		{"the same, of Jib's mojo", ratios(took, jibs), 0.1, "×"},
		{"the same, of docker build + push", ratios(took, dockers), 1.0 / 30, "×"},
	}, nil
}

// imageFar pushes through a round trip of 20 ms.
func imageFar(ctx context.Context, i *imageHost) ([]bound, error) {
	w, err := newWire(ctx, i.meter.address, gigabit, farTrip)
	if err != nil {
		return nil, err
	}
	if err := i.configure(w.address + "/orders"); err != nil {
		return nil, err
	}
	defer i.configure(i.meter.address + "/orders")
	if _, err := i.changed(ctx, 0); err != nil {
		return nil, err
	}
	var took sample
	for n := range imagePairs {
		r, err := i.changed(ctx, n+1)
		if err != nil {
			return nil, err
		}
		took = append(took, r.image+r.push)
		fmt.Printf("round %d: image %.3f s + push %.3f s\n", n+1, r.image, r.push)
	}
	return []bound{{"image + push after a one-line change, 20 ms round trip", took, 0.25, "s"}}, nil
}

// manifest reads one image's manifest.
func (i *imageHost) manifest(ctx context.Context, repository, tag string) (layers []string, size int64, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/v2/%s/manifests/%s", i.registry, repository, tag), nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept", "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	var manifest struct {
		Config struct{ Size int64 }
		Layers []struct {
			Digest string
			Size   int64
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&manifest); err != nil {
		return nil, 0, err
	}
	size = manifest.Config.Size
	for _, l := range manifest.Layers {
		layers, size = append(layers, l.Digest), size+l.Size
	}
	if len(layers) == 0 {
		return nil, 0, fmt.Errorf("%s:%s has no layers: %s", repository, tag, answer.Status)
	}
	return layers, size, nil
}

// imageSize weighs the images as they are pulled.
func imageSize(ctx context.Context, i *imageHost) ([]bound, error) {
	defer i.configure(i.meter.address + "/orders")
	_, jibs, err := i.manifest(ctx, "jib", "first")
	if err != nil {
		return nil, err
	}
	var of sample
	for _, train := range []string{"never", "auto"} {
		if err := i.configure(i.meter.address+"/orders", "compression: zstd", "train: "+train); err != nil {
			return nil, err
		}
		r, err := i.run(ctx)
		if err != nil {
			return nil, err
		}
		of = append(of, float64(r.size)/float64(jibs))
		fmt.Printf("train: %s: %.1f MB; Jib's %.1f MB\n", train, float64(r.size)/1e6, float64(jibs)/1e6)
	}
	return []bound{
		{"whole image, compressed, untrained, of Jib's on a Debian JRE", of[:1], 0.35, "×"},
		{"whole image, compressed, trained, of Jib's on a Debian JRE", of[1:], 0.5, "×"},
	}, nil
}

// imageWhole compares whole runs with tests after a one-line change.
func imageWhole(ctx context.Context, i *imageHost) ([]bound, error) {
	defer i.configure(i.meter.address + "/orders")
	if err := i.write("", i.meter.address+"/orders"); err != nil {
		return nil, err
	}
	args := i.jib.args("whole", "package")
	args[2] = "-DskipTests=false"
	var of sample
	for n := range wholePairs + 3 {
		r, err := i.changed(ctx, n)
		if err != nil {
			return nil, err
		}
		if err := i.theirs.edit(n); err != nil {
			return nil, err
		}
		u, err := command(ctx, i.theirs.dir, nil, i.mvn, args...)
		if err != nil {
			return nil, err
		}
		if n < 3 {
			continue // Maven's tuning makes its archive and its trial
		}
		of = append(of, r.wall/u.wall)
		fmt.Printf("pair %d: fastship run %.2f s; mvn package jib:build %.2f s\n", n-2, r.wall, u.wall)
	}
	return []bound{{"one-line change, whole run with tests, of mvn package jib:build", of, 0.8, "×"}}, nil
}

// imageUnchanged counts what a run with nothing to do asks the registry.
func imageUnchanged(ctx context.Context, i *imageHost) ([]bound, error) {
	if _, err := i.run(ctx); err != nil {
		return nil, err
	}
	var wall, requests, reads sample
	for range 21 {
		var r ran
		asked, read, _, err := i.meter.count(func() (err error) { r, err = i.run(ctx); return err })
		if err != nil {
			return nil, err
		}
		wall, requests, reads = append(wall, r.wall), append(requests, float64(asked)), append(reads, float64(read))
	}
	return []bound{
		{"no change: whole process", wall, 0.15, "s"},
		{"its requests to the registry", requests, 1, "requests"},
		{"blobs read from it", reads, 0, "blobs"},
	}, nil
}

// imageLarge makes and pushes an image of 1 GB.
func imageLarge(ctx context.Context, i *imageHost) ([]bound, error) {
	p := &imageHost{host: i.host, env: i.env, ours: &project{dir: filepath.Join(i.dir, "large", "hello")}}
	if err := os.CopyFS(p.ours.dir, os.DirFS("testdata/apps/hello")); err != nil {
		return nil, err
	}
	os.RemoveAll(filepath.Join(p.ours.dir, "target"))
	resources := filepath.Join(p.ours.dir, "src", "main", "resources")
	if err := os.MkdirAll(resources, 0o755); err != nil {
		return nil, err
	}
	if err := writeNoise(filepath.Join(resources, "large.bin"), largeBytes); err != nil {
		return nil, err
	}
	if err := p.configure(i.meter.address + "/large"); err != nil {
		return nil, err
	}
	r, err := p.run(ctx)
	if err != nil {
		return nil, err
	}
	fmt.Printf("an image of %.0f MB: image %.1f s, push %.1f s\n", float64(r.size)/1e6, r.image, r.push)
	return []bound{{"1 GB image, peak memory of fastship", sample{float64(r.memory) / (1 << 20)}, 150, "MiB"}}, nil
}
