package appjar

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/zipfs"
)

const (
	manifestName = "META-INF/MANIFEST.MF"
	// maxText bounds manifests and indexes: the largest seen are some
	// hundred kilobytes (signed jars).
	maxText = 16 << 20
)

// read tells the jar's kind, in the order in which one kind could be taken
// for the next, and lays it out.
func read(archive *zipfs.Archive, path, main string) (*App, error) {
	f := archive.Lookup(manifestName)
	if f == nil {
		return nil, fault.New(fault.ImageFailed, mainClassHint, "%s has no %s, so nothing says how it is started", path, manifestName)
	}
	raw, err := zipfs.Read(f, maxText)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", manifestName, err)
	}
	if main != "" {
		if m, raw, err = m.starting(main); err != nil {
			return nil, fmt.Errorf("%s: %w", manifestName, err)
		}
	}
	a := &App{archive: archive, manifest: raw, modified: archive.Modified()}
	web, boot := hasDir(archive, "WEB-INF/"), hasDir(archive, "BOOT-INF/")
	springBoot := m.get("Spring-Boot-Version") != ""
	switch {
	case web && springBoot:
		return nil, unsupported(path, "an executable Spring Boot war", "set <packaging>jar</packaging> in the pom")
	case web || strings.HasSuffix(path, ".war"):
		return nil, unsupported(path, "a war for a servlet container", "package the application as a jar with a Main-Class")
	case boot || (springBoot && m.get("Start-Class") != ""):
		return a, a.readBoot(m)
	case strings.HasPrefix(m.get("Main-Class"), "io.quarkus.bootstrap.runner."):
		return nil, unsupported(path, "a Quarkus fast-jar", "set quarkus.package.jar.type=uber-jar")
	}
	return a, a.readRunnable(m, path)
}

const mainClassHint = "let the build write it: spring-boot-maven-plugin's repackage goal, or maven-jar-plugin's archive/manifest/mainClass"

func unsupported(path, kind, hint string) error {
	return fault.New(fault.ImageFailed, hint, "%s is %s, which fastship cannot make an image of yet", filepath.Base(path), kind)
}

func hasDir(archive *zipfs.Archive, dir string) bool {
	for _, f := range archive.Files() {
		if strings.HasPrefix(f.Name, dir) {
			return true
		}
	}
	return false
}
