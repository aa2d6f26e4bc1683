package appjar

import (
	"context"
	"fmt"
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
func (a *App) read(ctx context.Context, path string) error {
	f := a.archive.Lookup(manifestName)
	web := hasDir(a.archive, "WEB-INF/")
	if f == nil && !web && a.options.Main == "" {
		return fault.New(fault.ImageFailed, mainClassHint, "no %s, so nothing says how it is started", manifestName)
	}
	var m manifest
	var packed []byte
	if f != nil {
		var err error
		if packed, err = zipfs.Read(f, maxText); err != nil {
			return err
		}
		if m, err = parseManifest(packed); err != nil {
			return fault.New(fault.ImageFailed, "let the build's own plug-in write the manifest: Java reads no line of another form", "%s: %w", manifestName, err)
		}
		a.manifest = packed
	}
	quarkus := strings.HasPrefix(m.get("Main-Class"), quarkusRunner)
	if main := a.options.Main; main != "" && !quarkus {
		var err error
		if m, a.manifest, err = m.starting(main); err != nil {
			return fmt.Errorf("%s: %w", manifestName, err)
		}
	}
	if err := a.layOut(ctx, m, path, web, quarkus); err != nil {
		return err
	}
	a.unsign(packed)
	return nil
}

func (a *App) layOut(ctx context.Context, m manifest, path string, web, quarkus bool) error {
	springBoot := m.get("Spring-Boot-Version") != ""
	switch {
	case springBoot && web:
		return a.readBoot(m, war())
	case web || strings.HasSuffix(path, ".war"):
		return notExecutable(m)
	case hasDir(a.archive, "BOOT-INF/") || (springBoot && m.get("Start-Class") != ""):
		return a.readBoot(m, jar())
	case quarkus && a.options.Main != "":
		return fault.New(fault.ImageFailed, "leave image.main out; quarkus.package.main-class names another class at build time", "image.main: it is a Quarkus application, whose classes are joined when it is built")
	case quarkus:
		return a.readQuarkus(ctx, m, path)
	}
	return a.readRunnable(ctx, m, path)
}

// notExecutable says of a war why java -jar cannot start it.
func notExecutable(m manifest) error {
	hint := "package it to start by itself: spring-boot-maven-plugin's repackage goal, with the embedded server's starter as a dependency; or put the war into an image of a servlet container"
	what := "has no server inside"
	if m.get("Main-Class") != "" {
		what = "is no Spring Boot war, whose launcher and layout fastship knows"
	}
	return fault.New(fault.ImageFailed, hint, "a war for a servlet container: it %s", what)
}

const mainClassHint = "let the build write it: spring-boot-maven-plugin's repackage goal, or maven-jar-plugin's archive/manifest/mainClass"

func hasDir(archive *zipfs.Archive, dir string) bool {
	for _, f := range archive.Files() {
		if strings.HasPrefix(f.Name, dir) {
			return true
		}
	}
	return false
}
