package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// startupRounds is how often each image is started, one after the other in
// each round; --rounds says another number.
const startupRounds = 9

// contestant is an image whose start is measured.
type contestant struct {
	name, reference string
	size            int64 // bytes, compressed
	took            sample
	cpu             sample // seconds of processor until then: what a busy machine leaves comparable
}

// startup measures the time from docker run to the first HTTP 200, on one
// processor and with 1 GB, of fastship's image in each way of training beside
// Jib's image of the same project.
func startup(ctx context.Context, h *host) error {
	flags := flag.NewFlagSet("startup", flag.ContinueOnError)
	rounds := flags.Int("rounds", startupRounds, "how often each image is started")
	project := flags.String("project", "", "another project than orders: a folder with a pom.xml, copied")
	repository := flags.String("repository", "", "Maven's local repository for --project; default: Maven's own")
	path := flags.String("path", "/", "what is asked for")
	if err := flags.Parse(h.args); err != nil {
		return err
	}
	i, err := newImageHost(ctx, h)
	if err != nil {
		return err
	}
	args := []string{"-DskipTests"}
	if *repository != "" {
		args = append(args, "-Dmaven.repo.local="+*repository)
	}
	if *project != "" {
		if err := i.take(*project); err != nil {
			return err
		}
	}
	bounds, err := i.startups(ctx, *rounds, args, *path)
	if err != nil {
		return err
	}
	return report(bounds)
}

// imageStartup is startup as a part of the image's benchmark.
func imageStartup(ctx context.Context, i *imageHost) ([]bound, error) {
	defer i.configure(i.meter.address + "/orders")
	return i.startups(ctx, startupRounds, []string{"-DskipTests"}, "/")
}

// startups builds the contestants and starts them one after the other, in as
// many rounds.
func (i *imageHost) startups(ctx context.Context, rounds int, mavenArgs []string, path string) ([]bound, error) {
	all, err := i.contestants(ctx, mavenArgs)
	if err != nil {
		return nil, err
	}
	for n := range rounds {
		fmt.Printf("round %d, load %s:", n+1, load())
		for _, c := range all {
			took, cpu, err := firstAnswer(ctx, c.reference, path)
			if err != nil {
				return nil, fmt.Errorf("start %s: %w", c.name, err)
			}
			c.took, c.cpu = append(c.took, took), append(c.cpu, cpu)
			fmt.Printf(" %s %.2f s (%.2f of processor)", c.name, took, cpu)
		}
		fmt.Print("; medians so far:")
		for _, c := range all {
			fmt.Printf(" %s %.2f s (%.2f)", c.name, c.took.median(), c.cpu.median())
		}
		fmt.Println()
	}
	fmt.Printf("\n| image | compressed, MB | first HTTP 200, s | of processor, s | of Jib's |\n|---|---|---|---|---|\n")
	for _, c := range all {
		fmt.Printf("| %s | %.1f | %s | %s | %s × |\n", c.name, float64(c.size)/1e6, c.took, c.cpu, ratios(c.cpu, all[0].cpu))
	}
	fmt.Println()
	jibs, libraries, full := all[0], all[2], all[3]
	return []bound{
		{"first HTTP 200, archive of libraries, of Jib's", ratios(libraries.took, jibs.took), 0.6, "×"},
		{"first HTTP 200, archive of all, of Jib's", ratios(full.took, jibs.took), 0.5, "×"},
	}, nil
}

// take replaces orders by copies of another project.
func (i *imageHost) take(dir string) error {
	for _, p := range []*project{i.ours, i.theirs} {
		if err := os.RemoveAll(p.dir); err != nil {
			return err
		}
		if err := os.CopyFS(p.dir, os.DirFS(dir)); err != nil {
			return fmt.Errorf("copy %s: %w", dir, err)
		}
		if err := os.RemoveAll(filepath.Join(p.dir, "target")); err != nil {
			return err
		}
	}
	return nil
}

// contestants builds, pushes and pulls the images: Jib's first.
func (i *imageHost) contestants(ctx context.Context, mavenArgs []string) ([]*contestant, error) {
	_, _, err := i.jib.run(ctx, "startup", append(mavenArgs, "compile")...)
	if err != nil {
		return nil, err
	}
	_, size, err := i.manifest(ctx, "jib", "startup")
	if err != nil {
		return nil, err
	}
	all := []*contestant{{name: "Jib's", reference: i.registry + "/jib:startup", size: size}}
	for _, train := range []string{"never", "auto", "full"} {
		head := fmt.Sprintf("maven: {args: [%s], repository: user}\n", strings.Join(mavenArgs, ", "))
		// Gzip, which every engine reads.
		if err := i.write(head, i.meter.address+"/startup-"+train, "compression: gzip", "train: "+train); err != nil {
			return nil, err
		}
		r, err := i.run(ctx)
		if err != nil {
			return nil, err
		}
		result, err := os.ReadFile(filepath.Join(i.ours.dir, "..", "result.json"))
		if err != nil {
			return nil, err
		}
		if trained := bytes.Contains(result, []byte(`"cds"`)); trained != (train != "never") {
			return nil, fmt.Errorf("train: %s, and trained is %v:\n%s", train, trained, r.out)
		}
		all = append(all, &contestant{name: "train: " + train, reference: i.registry + "/startup-" + train + "@" + r.digest, size: r.size})
	}
	for _, c := range all {
		if _, err := command(ctx, "", nil, "docker", "pull", "-q", c.reference); err != nil {
			return nil, err
		}
		reference := c.reference
		i.stop = append(i.stop, func() { exec.Command("docker", "rmi", "-f", reference).Run() })
	}
	return all, nil
}

// firstAnswer starts a container and returns the seconds until it answers 200,
// and those of processor that its program took.
func firstAnswer(ctx context.Context, reference, path string) (took, cpu float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	start := time.Now()
	u, err := command(ctx, "", nil, "docker", "run", "-d", "--cpus", "1", "-m", "1g", "-p", "127.0.0.1::8080", reference)
	if err != nil {
		return 0, 0, err
	}
	id := strings.TrimSpace(string(u.out))
	defer exec.Command("docker", "rm", "-f", id).Run()
	if u, err = command(ctx, "", nil, "docker", "port", id, "8080/tcp"); err != nil {
		return 0, 0, err
	}
	address := "http://" + strings.Fields(string(u.out))[0] + path
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	for ctx.Err() == nil {
		if answer, err := client.Get(address); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				took = time.Since(start).Seconds()
				cpu, err = processor(ctx, id)
				return took, cpu, err
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	logs, _ := exec.Command("docker", "logs", "--tail", "20", id).CombinedOutput()
	return 0, 0, errors.New("no HTTP 200 in five minutes:\n" + string(logs))
}

// processor is what a container's first process has had, in seconds: fields 14
// and 15 of proc(5)'s stat, in hundredths.
func processor(ctx context.Context, id string) (float64, error) {
	u, err := command(ctx, "", nil, "docker", "inspect", "-f", "{{.State.Pid}}", id)
	if err != nil {
		return 0, err
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(u.out)), "stat"))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return float64(user+system) / 100, err
}
