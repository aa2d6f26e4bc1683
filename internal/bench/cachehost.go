package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	minioUser   = "fastship-bench"
	minioSecret = "fastship-bench-secret"
	minioBucket = "bench"
)

// cacheHost is what the cache's benchmark stands on: minio on loopback, this
// program for its steps, and the repository that is saved and restored.
type cacheHost struct {
	*host
	program    string
	minio      string // host:port
	repository string
	only       string // one part; empty: all
	files      int
	bytes      int64
	folders    int // made by fresh
	prefix     int // of the store: each first save has its own
}

func newCacheHost(ctx context.Context, h *host) (*cacheHost, error) {
	c := &cacheHost{host: h}
	var err error
	if c.program, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, name := range []string{"curl", "tar", "zstd", "zip", "unzip"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, fmt.Errorf("%w: install %s", err, name)
		}
	}
	flags := flag.NewFlagSet("cache", flag.ContinueOnError)
	flags.StringVar(&c.repository, "repository", "", "a Maven repository to save and restore; default: that of testdata/apps/orders")
	flags.StringVar(&c.only, "only", "", "one part: save, wire, restore, more or maven")
	if err := flags.Parse(h.args); err != nil {
		return nil, err
	}
	if err := c.startMinIO(ctx); err != nil {
		return nil, err
	}
	if c.repository == "" {
		if err := c.resolveOrders(ctx); err != nil {
			return nil, err
		}
	}
	files, err := filesBelow(c.repository)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		c.files++
		c.bytes += f.Size
	}
	return c, nil
}

// startMinIO runs minio on a free port, with its data on the same disk.
func (c *cacheHost) startMinIO(ctx context.Context) error {
	program, err := exec.LookPath("minio")
	if err != nil {
		gopath, _ := exec.Command("go", "env", "GOPATH").Output()
		program = filepath.Join(strings.TrimSpace(string(gopath)), "bin", "minio")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c.minio = l.Addr().String()
	l.Close()
	server := exec.CommandContext(ctx, program, "server", "--quiet", "--address", c.minio, filepath.Join(c.dir, "minio"))
	server.Env = append(os.Environ(), "MINIO_ROOT_USER="+minioUser, "MINIO_ROOT_PASSWORD="+minioSecret, "MINIO_BROWSER=off", "MINIO_UPDATE=off")
	if err := server.Start(); err != nil {
		return fmt.Errorf("start minio: %w; install it by: go install github.com/minio/minio@latest", err)
	}
	c.stop = append(c.stop, func() { server.Process.Kill(); server.Wait() })
	for range 150 {
		if _, err = c.shell(ctx, c.curl("-X", "PUT", c.object(""))); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("start minio: %w", err)
}

// resolveOrders fills a repository by building orders.
func (c *cacheHost) resolveOrders(ctx context.Context) error {
	project := filepath.Join(c.dir, "orders")
	if err := os.CopyFS(project, os.DirFS("testdata/apps/orders")); err != nil {
		return err
	}
	c.repository = filepath.Join(c.dir, "repository")
	_, err := command(ctx, project, nil, "mvn", "-q", "-B", "-DskipTests", "package", "-Dmaven.repo.local="+c.repository)
	return err
}

// object is the URL of an object outside of the cache's own.
func (c *cacheHost) object(name string) string {
	return "http://" + c.minio + "/" + minioBucket + "/" + name
}

// curl is the leanest S3 client there is: it signs the request, not the body.
func (c *cacheHost) curl(args ...string) string {
	return "curl -sSf --aws-sigv4 aws:amz:us-east-1:s3 --user " + minioUser + ":" + minioSecret + " " + strings.Join(args, " ")
}

func (c *cacheHost) shell(ctx context.Context, script string) (usage, error) {
	return command(ctx, c.dir, nil, "bash", "-c", "set -eo pipefail; "+script)
}

// step runs one step of ours against minio, or what stands in front of it.
func (c *cacheHost) step(ctx context.Context, address string, args ...string) (usage, stepResult, error) {
	store := "s3://" + minioBucket + "/cache" + strconv.Itoa(c.prefix) + "?path-style=true&region=us-east-1&endpoint=" + url.QueryEscape("http://"+address)
	env := []string{storeVariable + "=" + store, "AWS_ACCESS_KEY_ID=" + minioUser, "AWS_SECRET_ACCESS_KEY=" + minioSecret}
	u, err := command(ctx, c.dir, env, c.program, append([]string{stepVerb}, args...)...)
	if err != nil {
		return u, stepResult{}, err
	}
	var r stepResult
	if err := json.Unmarshal(u.out, &r); err != nil {
		return u, r, fmt.Errorf("%s: %w: %s", args[0], err, u.out)
	}
	u.wall -= r.After
	return u, r, nil
}

// fresh returns a folder that never was, all dirty pages written out, so that
// no round pays for the one before. Folders go at the end: ext4 passes over
// inodes deleted in the last half minute one by one, which would be measured.
func (c *cacheHost) fresh() string {
	c.folders++
	unix.Sync()
	return filepath.Join(c.dir, fmt.Sprintf("out-%d", c.folders))
}

// drop removes the folders that were made so far.
func (c *cacheHost) drop() error {
	var errs []error
	for n := range c.folders {
		errs = append(errs, os.RemoveAll(filepath.Join(c.dir, fmt.Sprintf("out-%d", n+1))))
	}
	return errors.Join(errs...)
}
