package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// mavenPairs bounds the time: a pair with tests takes half a minute.
const mavenPairs = 7

// mavenStage measures a one-line change in orders, Maven stage alone, beside
// bare `mvn package` of the same change, with tests and without. The run ends
// with the stage: fastship's own start is in its time, image and push are not.
// Tuning is on its default, so the trial of the other way counts as well.
func mavenStage(ctx context.Context, h *host) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return err
	}
	var bounds []bound
	for _, c := range []struct {
		name      string
		args      []string
		wall, cpu float64 // bounds as ratios; 0 for none
	}{
		{"with tests", nil, 0.8, 0},
		{"without tests", []string{"-DskipTests"}, 0.95, 0.85},
	} {
		wall, cpu, err := mavenPair(ctx, h, mvn, c.name, c.args)
		if err != nil {
			return err
		}
		bounds = append(bounds, bound{"Maven stage, one-line change " + c.name + ", of bare mvn package", wall, c.wall, "×"})
		if c.cpu > 0 {
			bounds = append(bounds, bound{"the same, CPU seconds", cpu, c.cpu, "×"})
		}
	}
	return report(bounds)
}

// mavenPair runs interleaved pairs and returns their ratios.
func mavenPair(ctx context.Context, h *host, mvn, name string, args []string) (wall, cpu sample, err error) {
	folder := strings.ReplaceAll(name, " ", "-")
	ours, err := newProject(h, folder+"-ours", mvn)
	if err != nil {
		return nil, nil, err
	}
	bare, err := newProject(h, folder+"-bare", mvn)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range []*project{ours, bare} { // both start mvn itself: a wrapper would tell less of Maven's version
		if err := os.Remove(filepath.Join(p.dir, "mvnw")); err != nil {
			return nil, nil, err
		}
	}
	config := "maven:\n  args: [" + strings.Join(args, ", ") + "]\n"
	if err := os.WriteFile(filepath.Join(ours.dir, "fastship.yaml"), []byte(config), 0o644); err != nil {
		return nil, nil, err
	}
	env := []string{"FASTSHIP_CACHE_DIR=" + filepath.Join(h.dir, folder+"-cache")}
	var wallOurs, wallBare, cpuOurs, cpuBare sample
	for i := range mavenPairs + 1 {
		if err := ours.edit(i); err != nil {
			return nil, nil, err
		}
		u, err := command(ctx, ours.dir, env, h.fastship, "run", "--until", "maven")
		if err != nil {
			return nil, nil, err
		}
		if err := bare.edit(i); err != nil {
			return nil, nil, err
		}
		b, err := command(ctx, bare.dir, nil, mvn, append([]string{"-B", "-ntp", "package"}, args...)...)
		if err != nil {
			return nil, nil, err
		}
		fmt.Printf("%s, pair %d: fastship %.2f s, CPU %.2f s; mvn package %.2f s, CPU %.2f s\n", name, i, u.wall, u.cpu, b.wall, b.cpu)
		if i == 0 {
			continue // compiles all of it, and warms the page cache
		}
		wallOurs, wallBare = append(wallOurs, u.wall), append(wallBare, b.wall)
		cpuOurs, cpuBare = append(cpuOurs, u.cpu), append(cpuBare, b.cpu)
	}
	fmt.Printf("\n%s: fastship %s s, CPU %s s; mvn package %s s, CPU %s s\n\n", name, wallOurs, cpuOurs, wallBare, cpuBare)
	return ratios(wallOurs, wallBare), ratios(cpuOurs, cpuBare), nil
}
