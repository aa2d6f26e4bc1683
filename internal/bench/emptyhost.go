package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
)

const emptyHostPairs = 9

// emptyHost measures the Maven stage of a one-line change in orders, with
// tests, on a host that has nothing but the bucket, beside bare `mvn package`
// of the same change with a warm local repository.
func emptyHost(ctx context.Context, c *cacheHost) ([]bound, error) {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return nil, err
	}
	p, err := newMavenPair(c.host, mvn, "empty-host", nil)
	if err != nil {
		return nil, err
	}
	store := "s3://" + minioBucket + "/team?path-style=true&region=us-east-1&endpoint=" + url.QueryEscape("http://"+c.minio)
	var ours, bare sample
	for i := range emptyHostPairs + 2 { // the first saves the repository, the second looks whether it helps
		home := c.fresh()
		if err := os.MkdirAll(home, 0o755); err != nil {
			return nil, err
		}
		p.env = []string{
			"HOME=" + home, "FASTSHIP_CACHE_DIR=" + filepath.Join(home, "cache"), "FASTSHIP_CACHE_STORE=" + store,
			"AWS_ACCESS_KEY_ID=" + minioUser, "AWS_SECRET_ACCESS_KEY=" + minioSecret,
		}
		u, b, err := p.run(ctx, i)
		if err != nil {
			return nil, err
		}
		if i > 1 {
			ours, bare = append(ours, u.wall), append(bare, b.wall)
		}
	}
	fmt.Printf("empty host, warm S3: fastship %s s; warm mvn package %s s\n\n", ours, bare)
	return []bound{{"empty host, warm S3: Maven stage with tests, of warm mvn package", ratios(ours, bare), 0.95, "×"}}, c.drop()
}
