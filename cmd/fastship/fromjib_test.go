package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// anyBase is the base that a document's example names.
var anyBase = regexp.MustCompile(`(?m)^  base: .*\n`)

// writeExample is "example DOC N FILE": the N-th block of YAML in docs/DOC, on
// the base that javabase made at java.
func writeExample(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: example DOC N FILE")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	doc, err := os.ReadFile(filepath.Join(ts.Getenv("APPS"), "..", "..", "docs", args[0]))
	ts.Check(err)
	blocks := strings.Split(string(doc), "```yaml\n")
	if n < 1 || n >= len(blocks) {
		ts.Fatalf("docs/%s has %d blocks of YAML", args[0], len(blocks)-1)
	}
	block, _, _ := strings.Cut(blocks[n], "```")
	block = strings.Replace(anyBase.ReplaceAllString(block, ""), "image:\n", "image:\n  base: oci:java\n", 1)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(block), 0o644))
}

// TestFromJib: docs/from-jib.md has every setting of Jib's Maven plug-in 3.4
// and of its command line (jib-maven-plugin/README.md, "Extended Usage" and
// "System Properties").
func TestFromJib(t *testing.T) {
	doc, err := os.ReadFile("../../docs/from-jib.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{
		"from.image", "from.auth", "from.credHelper", "from.platforms", "to.image", "to.auth", "to.credHelper", "to.tags",
		"container.appRoot", "container.args", "container.creationTime", "container.entrypoint", "INHERIT", "container.environment",
		"container.expandClasspathDependencies", "container.extraClasspath", "container.filesModificationTime", "container.format",
		"container.jvmFlags", "container.labels", "container.mainClass", "container.ports", "container.user", "container.volumes", "container.workingDirectory",
		"paths.path.from", "into", "paths.path.includes", "excludes", "permissions", "allowInsecureRegistries", "containerizingMode", "skip", "pluginExtensions",
		"outputPaths.tar", "outputPaths.digest", "imageId", "imageJson", "dockerClient.executable", "dockerClient.environment", "settings.xml",
		"jib:build", "jib:dockerBuild", "jib:buildTar", "jib.httpTimeout", "jib.useOnlyProjectCache", "jib.baseImageCache", "jib.applicationCache",
		"jib.alwaysCacheBaseImage", "jib.console", "jib.serialize", "jib.disableUpdateChecks", "jib.containerize", "jib.requireVersion", "jib.skipExistingImages",
		"sendCredentialsOverHttp", "docker://", "tar://", "--offline", "DOCKER_CONFIG", "DOCKER_HOST", "packaging",
	} {
		if !strings.Contains(string(doc), "`"+setting) {
			t.Errorf("docs/from-jib.md does not say what becomes of %s", setting)
		}
	}
}
