package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	mavenPairs     = 9
	mavenPairsSlow = 5  // where a bare build takes longer than slowPair
	slowPair       = 20 // seconds
	// mavenWarm are the runs before: the first compiles all of it, the second
	// records the classes of Maven's JVM, the third starts from their archive.
	mavenWarm = 3
)

// mavenStage measures a one-line change in orders, Maven stage alone, beside
// bare `mvn package` of the same change, with tests and without. The run ends
// with the stage: fastship's own start is in its time, image and push are not.
// Tuning is on its default, so the trial of the other way counts as well. Both
// make the same jar, byte for byte, else it is an error.
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
		{"without tests", []string{"-DskipTests"}, 0.95, 0.85},
		{"with tests", nil, 0.8, 0},
	} {
		wall, cpu, err := mavenRatios(ctx, h, mvn, c.name, c.args)
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

// mavenRatios runs interleaved pairs and returns their ratios.
func mavenRatios(ctx context.Context, h *host, mvn, name string, args []string) (wall, cpu sample, err error) {
	p, err := newMavenPair(h, mvn, strings.ReplaceAll(name, " ", "-"), args)
	if err != nil {
		return nil, nil, err
	}
	fmt.Printf("%s, load %s\n", name, load())
	var wallOurs, wallBare, cpuOurs, cpuBare sample
	for i, pairs := 0, mavenPairs; i < mavenWarm+pairs; i++ {
		u, b, err := p.run(ctx, i)
		if err != nil {
			return nil, nil, err
		}
		if i < mavenWarm {
			if b.wall > slowPair {
				pairs = mavenPairsSlow
			}
			continue
		}
		fmt.Printf("pair %d: fastship %.2f s, CPU %.2f s; mvn package %.2f s, CPU %.2f s\n", i-mavenWarm+1, u.wall, u.cpu, b.wall, b.cpu)
		wallOurs, wallBare = append(wallOurs, u.wall), append(wallBare, b.wall)
		cpuOurs, cpuBare = append(cpuOurs, u.cpu), append(cpuBare, b.cpu)
	}
	wall, cpu = ratios(wallOurs, wallBare), ratios(cpuOurs, cpuBare)
	fmt.Printf("load %s\n\n%s: fastship %s s, CPU %s s; mvn package %s s, CPU %s s; ratio %s, CPU %s\n\n",
		load(), name, wallOurs, cpuOurs, wallBare, cpuBare, wall, cpu)
	return wall, cpu, nil
}

// mavenPair is orders twice: for fastship, and for bare Maven.
type mavenPair struct {
	h          *host
	mvn        string
	args, env  []string
	ours, bare *project
}

func newMavenPair(h *host, mvn, folder string, args []string) (*mavenPair, error) {
	p := &mavenPair{h: h, mvn: mvn, args: args, env: []string{"FASTSHIP_CACHE_DIR=" + filepath.Join(h.dir, folder+"-cache")}}
	var err error
	if p.ours, err = newProject(h, folder+"-ours", mvn); err != nil {
		return nil, err
	}
	if p.bare, err = newProject(h, folder+"-bare", mvn); err != nil {
		return nil, err
	}
	for _, of := range []*project{p.ours, p.bare} { // both start mvn itself: a wrapper would tell less of Maven's version
		if err := os.Remove(filepath.Join(of.dir, "mvnw")); err != nil {
			return nil, err
		}
	}
	config := "maven:\n  args: [" + strings.Join(args, ", ") + "]\n"
	return p, os.WriteFile(filepath.Join(p.ours.dir, "fastship.yaml"), []byte(config), 0o644)
}

// run makes the i-th change in both and builds both.
func (p *mavenPair) run(ctx context.Context, i int) (ours, bare usage, err error) {
	if err := p.ours.edit(i); err != nil {
		return ours, bare, err
	}
	edited, err := os.ReadFile(filepath.Join(p.ours.dir, editedFile))
	if err != nil {
		return ours, bare, err
	}
	ours, err = command(ctx, p.ours.dir, p.env, p.h.fastship, "run", "--until", "maven", "--result", "../result.json")
	if err != nil {
		return ours, bare, err
	}
	if err := os.WriteFile(filepath.Join(p.bare.dir, editedFile), edited, 0o644); err != nil {
		return ours, bare, err
	}
	bare, err = command(ctx, p.bare.dir, nil, p.mvn, append([]string{"-B", "-ntp", "package"}, p.args...)...)
	if err != nil {
		return ours, bare, err
	}
	return ours, bare, p.same()
}

// same holds that fastship ran Maven, and that both jars are the same.
func (p *mavenPair) same() error {
	text, err := os.ReadFile(filepath.Join(p.ours.dir, "..", "result.json"))
	if err != nil {
		return err
	}
	var result struct {
		Stages map[string]struct{ Status string }
		Jar    struct{ Path string }
	}
	if err := json.Unmarshal(text, &result); err != nil {
		return err
	}
	if result.Stages["maven"].Status != "ran" {
		return fmt.Errorf("the Maven stage did not run: %s", text)
	}
	made, err := os.ReadFile(result.Jar.Path)
	if err != nil {
		return err
	}
	other, err := os.ReadFile(filepath.Join(p.bare.dir, "target", filepath.Base(result.Jar.Path)))
	if err != nil {
		return err
	}
	if !bytes.Equal(made, other) {
		return errors.New("the jar differs from that of bare Maven")
	}
	return nil
}

// load are the means of runnable processes over 1, 5 and 15 minutes.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 3 {
		return strings.Join(fields[:3], " ")
	}
	return "unknown"
}
