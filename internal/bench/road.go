package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	roadPairs    = 9
	versionPairs = 21
)

// road measures a one-line change in orders, image and push included, beside
// bare `mvn package` of the same change; tests are left out of both. Maven is
// reached through a wrapper that writes down when it ran, so that fastship's
// own time is its wall less its Maven child's.
func road(ctx context.Context, h *host) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return err
	}
	ours, err := newProject(h, "ours", mvn)
	if err != nil {
		return err
	}
	bare, err := newProject(h, "bare", mvn)
	if err != nil {
		return err
	}
	env := []string{"FASTSHIP_CACHE_DIR=" + filepath.Join(h.dir, "cache")}
	if _, err := command(ctx, ours.dir, env, h.fastship, "run"); err != nil { // links the base, fills the cache
		return err
	}
	if _, err := command(ctx, bare.dir, nil, mvn, bareArgs...); err != nil {
		return err
	}
	var own, whole, plain, memory, ownCPU sample
	for i := range roadPairs {
		if err := ours.edit(i); err != nil {
			return err
		}
		ours.forget()
		u, err := command(ctx, ours.dir, env, h.fastship, "run", "--result", "../result.json")
		if err != nil {
			return err
		}
		if err := ours.isNew(); err != nil {
			return err
		}
		child, err := ours.mavenSeconds()
		if err != nil {
			return err
		}
		if err := bare.edit(i); err != nil {
			return err
		}
		b, err := command(ctx, bare.dir, nil, mvn, bareArgs...)
		if err != nil {
			return err
		}
		own, whole, plain = append(own, u.wall-child), append(whole, u.wall), append(plain, b.wall)
		memory, ownCPU = append(memory, float64(u.memory)/(1<<20)), append(ownCPU, u.cpu-b.cpu)
		fmt.Printf("pair %d: fastship run %.2f s, of which Maven %.2f s; mvn package %.2f s\n", i+1, u.wall, child, b.wall)
	}
	var version sample
	for range versionPairs {
		u, err := command(ctx, h.dir, nil, h.fastship, "version")
		if err != nil {
			return err
		}
		version = append(version, 1000*u.wall)
	}
	binary, err := os.Stat(h.fastship)
	if err != nil {
		return err
	}
	fmt.Printf("\nfastship run: %s s; mvn package: %s s; ratio %s; CPU above bare Maven %s s\n\n", whole, plain, ratios(whole, plain), ownCPU)
	return report([]bound{
		{"own time after a one-line change, image and push included", own, 0.3, "s"},
		{"fastship version", version, 20, "ms"},
		{"binary", sample{float64(binary.Size()) / (1 << 20)}, 24, "MiB"},
		{"peak memory of fastship itself", memory, 150, "MiB"},
	})
}

var bareArgs = []string{"-B", "-ntp", "package", "-DskipTests"}

// project is a copy of orders.
type project struct {
	dir, log string
	digest   string // of the last image
}

const editedFile = "src/main/java/com/example/orders/HomeController.java"

func newProject(h *host, name, mvn string) (*project, error) {
	p := &project{dir: filepath.Join(h.dir, name, "orders"), log: filepath.Join(h.dir, name, "maven.log")}
	if err := os.CopyFS(p.dir, os.DirFS("testdata/apps/orders")); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(p.dir, "target")); err != nil {
		return nil, err
	}
	config := fmt.Sprintf("maven:\n  args: [-DskipTests]\nimage:\n  repository: %s/orders\n", h.registry)
	if err := os.WriteFile(filepath.Join(p.dir, "fastship.yaml"), []byte(config), 0o644); err != nil {
		return nil, err
	}
	wrapper := fmt.Sprintf("#!/bin/sh\ndate +%%s.%%N >> %[1]s\n%[2]s \"$@\"\ncode=$?\ndate +%%s.%%N >> %[1]s\nexit $code\n", p.log, mvn)
	if err := os.WriteFile(filepath.Join(p.dir, "mvnw"), []byte(wrapper), 0o755); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qm", "orders"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = p.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("git %v: %w: %s", args, err, out)
		}
	}
	return p, nil
}

// edit changes one line of one controller.
func (p *project) edit(i int) error {
	file := filepath.Join(p.dir, editedFile)
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	lines := bytes.Split(b, []byte("\n"))
	for n, line := range lines {
		if before, _, ok := bytes.Cut(line, []byte(`GREETING = "`)); ok {
			lines[n] = fmt.Appendf(nil, `%sGREETING = "orders, pair %d of %d";`, before, i, time.Now().UnixNano())
			return os.WriteFile(file, bytes.Join(lines, []byte("\n")), 0o644)
		}
	}
	return fmt.Errorf("%s has no line to edit", editedFile)
}

// isNew holds that the last run made and pushed another image than the one
// before: a run that skipped its work would be fast.
func (p *project) isNew() error {
	b, err := os.ReadFile(filepath.Join(p.dir, "..", "result.json"))
	if err != nil {
		return err
	}
	var result struct {
		Stages map[string]struct{ Status string }
		Image  struct{ Reference, Digest string }
	}
	if err := json.Unmarshal(b, &result); err != nil {
		return err
	}
	if result.Image.Digest == p.digest || result.Image.Reference == "" || result.Stages["push"].Status != "ran" {
		return fmt.Errorf("no new image was pushed: %s", b)
	}
	p.digest = result.Image.Digest
	return nil
}

func (p *project) forget() { os.Remove(p.log) }

// mavenSeconds sums what the wrapper wrote down since forget.
func (p *project) mavenSeconds() (float64, error) {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return 0, err
	}
	stamps := strings.Fields(string(b))
	if len(stamps) == 0 || len(stamps)%2 != 0 {
		return 0, fmt.Errorf("%s: want pairs of times, have %d", p.log, len(stamps))
	}
	total := 0.0
	for i := 0; i < len(stamps); i += 2 {
		start, err := strconv.ParseFloat(stamps[i], 64)
		if err != nil {
			return 0, err
		}
		end, err := strconv.ParseFloat(stamps[i+1], 64)
		if err != nil {
			return 0, err
		}
		total += end - start
	}
	return total, nil
}
