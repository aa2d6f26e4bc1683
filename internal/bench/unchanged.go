package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	unchangedPairs = 21
	documentPairs  = 9
)

// unchanged measures a run with nothing to do, image and push included, beside
// `mvn -version`; then runs whose commit changes documentation alone. Every
// run must have said that Maven was skipped, and Maven's wrapper must not have
// been started.
func unchanged(ctx context.Context, h *host) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return err
	}
	p, err := newProject(h, "ours", mvn)
	if err != nil {
		return err
	}
	env := []string{"FASTSHIP_CACHE_DIR=" + filepath.Join(h.dir, "cache")}
	fastship := func(push string) (usage, error) {
		p.forget()
		u, err := command(ctx, p.dir, env, h.fastship, "run", "--result", "../result.json")
		if err == nil && push != "" {
			err = p.skipped(push)
		}
		return u, err
	}
	if _, err := fastship(""); err != nil { // links the base, fills the cache
		return err
	}
	var wall, cpu, memory, version sample
	for i := range unchangedPairs + 1 {
		u, err := fastship("cached")
		if err != nil {
			return err
		}
		v, err := command(ctx, p.dir, nil, mvn, "-version")
		if err != nil {
			return err
		}
		if i == 0 {
			continue // hashes once what the next runs know by its stamp
		}
		wall, cpu, memory, version = append(wall, u.wall), append(cpu, u.cpu), append(memory, float64(u.memory)/(1<<20)), append(version, v.wall)
	}
	var documents sample
	for i := range documentPairs {
		if err := p.document(i); err != nil {
			return err
		}
		u, err := fastship("ran")
		if err != nil {
			return err
		}
		documents = append(documents, u.wall)
	}
	fmt.Printf("mvn -version: %s s; fastship run: CPU %s s, peak memory %s MiB; after a commit of documentation: %s s\n\n", version, cpu, memory, documents)
	return report([]bound{
		{"no change: whole process, Maven skipped, image and push there", wall, 0.15, "s"},
		{"the same, of mvn -version", ratios(wall, version), 1, "×"},
	})
}

// skipped holds that the last run started no Maven, and how its push ended.
func (p *project) skipped(push string) error {
	if _, err := os.Stat(p.log); err == nil {
		return fmt.Errorf("%s: Maven was started", p.log)
	}
	b, err := os.ReadFile(filepath.Join(p.dir, "..", "result.json"))
	if err != nil {
		return err
	}
	var result struct {
		Stages map[string]struct{ Status string }
	}
	if err := json.Unmarshal(b, &result); err != nil {
		return err
	}
	if result.Stages["maven"].Status != "cached" || result.Stages["push"].Status != push {
		return fmt.Errorf("want maven cached and push %s: %s", push, b)
	}
	return nil
}

// document commits a change of a document.
func (p *project) document(i int) error {
	if err := os.WriteFile(filepath.Join(p.dir, "NOTES.md"), fmt.Appendf(nil, "note %d\n", i), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{{"add", "NOTES.md"}, {"-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qm", "notes"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = p.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("git %v: %w: %s", args, err, out)
		}
	}
	return nil
}
