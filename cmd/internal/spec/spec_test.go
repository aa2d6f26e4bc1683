package spec_test

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/maven"
	"github.com/fastship/fastship/stages/rollout"
)

func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

var noVars = environment(nil)

const full = `version: 1
maven:
  goals: [clean, verify]
  module: app
  profiles:
    - prod
    - "!dev"
  args: [-q, "-Drevision=1.0"]
  settings: ci/settings.xml
image: { repository: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/acme/orders, tags: [v1, latest], insecure: true, base: jlink, modules: [java.sql], jvm: [-Xmx256m] }
deploy:
  cluster: main
  service: arn:aws:ecs:eu-central-1:123456789012:service/main/orders
  container: app
  timeout: 20m
  region: eu-central-1
`

func fullSpec() *spec.Spec {
	s := &spec.Spec{
		Version: 1,
		Maven: maven.Config{
			Goals: []string{"clean", "verify"}, Module: "app", Profiles: []string{"prod", "!dev"},
			Args: []string{"-q", "-Drevision=1.0"}, Settings: "ci/settings.xml",
		},
		Deploy: rollout.Config{
			Cluster: "main", Service: "arn:aws:ecs:eu-central-1:123456789012:service/main/orders",
			Container: "app", Timeout: 20 * time.Minute, Region: "eu-central-1",
		},
	}
	s.Image.Repository = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/acme/orders"
	s.Image.Tags = []string{"v1", "latest"}
	s.Image.PushConfig.Insecure = true
	s.Image.Base = "jlink"
	s.Image.Modules = []string{"java.sql"}
	s.Image.JVM = []string{"-Xmx256m"}
	return s
}

func TestParse(t *testing.T) {
	for name, text := range map[string]string{
		"unix":        full,
		"windows":     "\uFEFF" + strings.ReplaceAll(full, "\n", "\r\n"),
		"old mac":     strings.ReplaceAll(full, "\n", "\r"),
		"with header": "%YAML 1.2\n---\n" + full + "...\n---\n",
		"no version":  strings.TrimPrefix(full, "version: 1\n"),
	} {
		got, err := spec.Parse("fastship.yaml", []byte(text), noVars)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(got, fullSpec()) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	s := fullSpec()
	if i := s.Image.Image(); !i.Insecure || !i.Pushed || i.Base != "jlink" {
		t.Errorf("the image stage gets %+v", i)
	}
	if p := s.Image.Push(); !reflect.DeepEqual(p, s.Image.PushConfig) {
		t.Errorf("the push stage gets %+v", p)
	}
	for _, empty := range []string{"", "\n", "# nothing\n", "---\n", "version: 1", "maven:\nimage:\ndeploy: ~\n", "maven: {goals: , module: }", "maven: {\n\tmodule: ,\n\t}", "{}", "image: {repository: ''}"} {
		got, err := spec.Parse("fastship.yaml", []byte(empty), noVars)
		if err != nil || !reflect.DeepEqual(got, &spec.Spec{Version: 1}) {
			t.Errorf("%q: %+v, %v", empty, got, err)
		}
	}
}

// TestPlain: where a number can mean nothing but its own text, it needs no
// quotes; null in a mapping leaves its name out.
func TestPlain(t *testing.T) {
	got, err := spec.Parse("fastship.yaml", []byte(`
image:
  env: {PORT: 8080, RATIO: 1.10, ON: yes, EMPTY: "", LEFT_OUT: ~, HOME: "${HOME_DIR:-/srv}"}
  ports: [8080, 53/udp, "9000-9010"]
  user: 1000
  healthCheck: {command: [/probe, 8080], interval: 5s, retries: 2}
`), noVars)
	if err != nil {
		t.Fatal(err)
	}
	i := got.Image.ImageConfig
	if want := map[string]string{"PORT": "8080", "RATIO": "1.10", "ON": "yes", "EMPTY": "", "HOME": "/srv"}; !reflect.DeepEqual(i.Env, want) {
		t.Errorf("env %v", i.Env)
	}
	if !reflect.DeepEqual(i.Ports, []string{"8080", "53/udp", "9000-9010"}) || i.User != "1000" {
		t.Errorf("ports %v, user %v", i.Ports, i.User)
	}
	if h := i.HealthCheck; h.Interval != 5*time.Second || h.Retries != 2 || !reflect.DeepEqual(h.Command, []string{"/probe", "8080"}) {
		t.Errorf("health check %+v", h)
	}
}

func TestExpansion(t *testing.T) {
	vars := environment(map[string]string{"TAG": "v7", "EMPTY": "", "T": "90s", "ON": "true", "ODD": "a: [${TAG}]\n#"})
	got, err := spec.Parse("fastship.yaml", []byte(`
maven:
  module: pre-${TAG}-${NONE:-none}-${EMPTY:-empty}-${EMPTY}-$HOME-$$-$${TAG}-$$${TAG}
  args: ['${ODD}', "${TAG}", "${NONE:-x:-y z}"]
  settings: |-
    ${TAG}
    lines
  goals: ["${NONE:-package}"]
image:
  repository: ${NONE:-example.com}/a
  insecure: ${ON}
  tags:
    - ${TAG}
deploy:
  timeout: ${NOT_SET:-10m}
`), vars)
	if err != nil {
		t.Fatal(err)
	}
	want := &spec.Spec{Version: 1}
	want.Maven = maven.Config{
		Module: "pre-v7-none-empty--$HOME-$$-${TAG}-$${TAG}", Args: []string{"a: [${TAG}]\n#", "v7", "x:-y z"},
		Settings: "v7\nlines", Goals: []string{"package"},
	}
	want.Image.Repository, want.Image.PushConfig.Insecure, want.Image.Tags = "example.com/a", true, []string{"v7"}
	want.Deploy.Timeout = 10 * time.Minute
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	got, err = spec.Parse("fastship.yaml", []byte("version: ${V:-1}\ndeploy:\n  timeout: ${T}\n"), vars)
	if err != nil || got.Deploy.Timeout != 90*time.Second {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnchors(t *testing.T) {
	got, err := spec.Parse("fastship.yaml", []byte(`
maven:
  goals: &goals [package]
  profiles: *goals
  module: &m !!str 7
image: &image
  tags: [*m]
deploy:
  <<: {cluster: a, region: eu-west-1}
  cluster: b
`), noVars)
	if err != nil {
		t.Fatal(err)
	}
	want := &spec.Spec{Version: 1, Maven: maven.Config{Goals: []string{"package"}, Profiles: []string{"package"}, Module: "7"}}
	want.Image.Tags = []string{"7"}
	want.Deploy = rollout.Config{Cluster: "b", Region: "eu-west-1"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestErrors holds the first line of each error and, behind " | ", its remedy.
func TestErrors(t *testing.T) {
	vars := environment(map[string]string{"UPPER": "example.com/Acme", "EMPTY": "", "WORD": "soon"})
	for text, want := range map[string]string{
		// keys
		"mavn: {}":                         `1:1: unknown key "mavn"; did you mean "maven"? | the keys: version, maven, cache, image, deploy, envs`,
		"maven:\n  goal: [x]":              `2:3: unknown key "goal" in maven; did you mean "goals"? | the keys in maven: goals, module, profiles, args, settings, repository, tune, version, inputs, environment`,
		"tags: [x]":                        `1:1: unknown key "tags"; did you mean image.tags?`,
		"repositry: x":                     `1:1: unknown key "repositry"; did you mean maven.repository or image.repository?`,
		"deploy: {time-out: 3m}":           `1:10: unknown key "time-out" in deploy; did you mean "timeout"?`,
		"image: {jar: x}":                  `1:9: unknown key "jar" in image`,
		"xyzzy: 1":                         `1:1: unknown key "xyzzy" | the keys: version, maven, cache, image, deploy, envs`,
		"${UPPER}: 1":                      `1:1: unknown key "${UPPER}"`,
		"1: 2":                             `1:1: unknown key "1"`,
		"? maven\n: x":                     `1:1: write a key as name: value`,
		"maven:\n  goals: [a]\n  goals: 1": `3:3: goals is there twice, first in line 2 | keep one of them`,
		"maven:\nmaven:":                   `2:1: maven is there twice, first in line 1`,
		// versions come first
		"mavn: {}\nversion: 2":          `2:10: written for a newer fastship: version 2, this one knows 1 | install a newer fastship, or write the file for version 1`,
		"version: 0":                    `1:10: there is no version 0; this fastship knows 1 | write version: 1`,
		"version: '1'":                  `1:10: version wants a whole number, not text`,
		"version: 1.0":                  `1:10: version wants a whole number, not a number`,
		"version: ${WORD}":              `1:10: version wants a whole number, not "soon"`,
		"version: 99999999999999999999": `1:10: version wants a whole number, not text`,
		// types
		"text":                           `1:1: fastship.yaml wants keys and values, not text`,
		"- a":                            `1:1: fastship.yaml wants keys and values, not a list`,
		"maven: x":                       `1:8: maven wants keys and values, not text`,
		"maven: {tune: fast}":            `1:15: maven.tune: "fast" is none of them | write auto, on or off`,
		"deploy: {waitFor: ever}":        `1:19: deploy.waitFor: "ever" is none of them | write deployed, healthy or steady`,
		"deploy: {rollback: maybe}":      `1:20: deploy.rollback: "maybe" is none of them | write auto, ask or never`,
		"maven:\n  goals: package":       `2:10: maven.goals wants a list, not text | write [package]`,
		"maven: {goals: clean package}":  `1:16: maven.goals wants a list, not text | write [clean, package]`,
		"image: {jvm: '-Xmx1g, -Xss1m'}": `1:14: image.jvm wants a list, not text | write [-Xmx1g, -Xss1m]`,
		"image: {ports: 8080}":           `1:16: image.ports wants a list, not a number | write ["8080"]`,
		"image: {files: [{from: a, include: '*.conf'}]}": `1:36: image.files.include wants a list, not text | write ["*.conf"]`,
		"image: {healthCheck: {command: a}}":             `1:`,
		"image: {args: [--x: 5]}":                        `1:16: image.args wants text, not keys and values | where the colon belongs to the text, put the text in quotes`,
		"image: {bsae: jlink}":                           `1:9: unknown key "bsae" in image; did you mean "base"?`,
		"image: {base: Not A Ref!!}":                     `1:15: image.base: "Not A Ref!!" is no repository name: "Not A Ref!!" | use a-z, 0-9 and single . _ - between them`,
		"maven: {goals: {a: b}}":                         `1:16: maven.goals wants a list, not keys and values`,
		"maven: {module: [a]}":                           `1:17: maven.module wants text, not a list`,
		"maven: {goals: [[a]]}":                          `1:17: maven.goals wants text, not a list`,
		"maven: {goals: [~]}":                            `1:17: maven.goals wants text, not nothing`,
		"maven: {goals: ['']}":                           `1:17: an empty item in maven.goals | leave it out`,
		"maven: {goals: ['${EMPTY}']}":                   `1:17: an empty item in maven.goals`,
		"image:\n  tags: [v1, 1.10]":                     `2:14: image.tags wants text, not the number 1.10 | put it in quotes: "1.10"`,
		"image: {tags: [yes, true]}":                     `1:21: image.tags wants text, not the boolean true`,
		"image: {insecure: 'true'}":                      `1:19: image.insecure wants true or false, not text`,
		"image: {insecure: yes}":                         `1:19: image.insecure wants true or false, not text`,
		"image: {insecure: '${WORD}'}":                   `1:19: image.insecure wants true or false, not "soon"`,
		"maven:\n  module:\n    a: b":                    `3:5: maven.module wants text, not keys and values`,
		// values
		"deploy: {timeout: 900}":                        `1:19: deploy.timeout wants a duration such as 15m or 90s, not "900"`,
		"deploy: {timeout: 15 min}":                     `1:19: deploy.timeout wants a duration such as 15m or 90s, not "15 min"`,
		"deploy: {timeout: 0s}":                         `1:19: deploy.timeout must be longer than nothing`,
		"deploy: {timeout: -1m}":                        `1:19: deploy.timeout must be longer than nothing`,
		"image:\n  repository: example.com/Acme/Orders": `2:15: image.repository: "example.com/Acme/Orders" has capital letters, which no registry takes: example.com/acme/orders | write example.com/acme/orders`,
		"image:\n  repository: ${UPPER}":                `2:15: image.repository: "example.com/Acme" has capital letters, which no registry takes: example.com/acme`,
		"image:\n  repository: localhost:5000/a:v1":     `2:15: image.repository: "localhost:5000/a:v1" has the tag v1 in it | write localhost:5000/a here and the tag in image.tags`,
		"image: {repository: 'h.io/a@sha256:00'}":       `1:21: image.repository: "h.io/a@sha256:00" has the digest sha256:00 in it | write h.io/a`,
		"image: {repository: 'https://h.io/a'}":         `1:21: image.repository: "https://h.io/a" is a URL; a repository has no scheme | write h.io/a`,
		"image: {repository: acme/orders}":              `1:21: image.repository: "acme/orders" names no registry | write host/name; Docker Hub's host is docker.io`,
		"image: {repository: h.io/a//b}":                `1:21: image.repository: "h.io/a//b" is no repository name: ""`,
		"image: {repository: h.io/-a}":                  `1:21: image.repository: "h.io/-a" is no repository name: "-a"`,
		"image: {tags: [ok, a/b]}":                      `1:20: image.tags: "a/b" is no tag`,
		"image: {base: Jlink}":                          `1:15: image.base: "Jlink" is no image | write jlink`,
		"image: {base: h.io/Java:21}":                   `1:15: image.base: "h.io/Java:21" has capital letters`,
		"image: {base: 'h.io/java@sha256:0'}":           `1:15: image.base: "sha256:0" is no digest`,
		"image: {modules: [java-sql]}":                  `1:19: image.modules: "java-sql" is no Java module`,
		"image: {jvm: [Xmx1g]}":                         `1:15: image.jvm: "Xmx1g" is no JVM flag`,
		"image: {env: [a]}":                             `1:14: image.env wants keys and values, not a list`,
		"image: {env: {A: [b]}}":                        `1:18: image.env wants text, not a list`,
		"image: {env: {A B: c}}":                        `1:15: image.env: "A B" is no name of an environment variable | write NAME: value`,
		"image: {env: {A: '${NOPE}'}}":                  `1:18: image.env: the environment variable NOPE is not set`,
		"image: {ports: [8080, 99999]}":                 `1:23: image.ports: "99999" is no port | ports are 1 to 65535`,
		"image: {healthCheck: {retrys: 3}}":             `1:23: unknown key "retrys" in image.healthCheck; did you mean "retries"?`,
		"image: {healthCheck: {retries: many}}":         `1:32: image.healthCheck.retries wants a whole number, not text`,
		"maven: {goals: [-DskipTests]}":                 `1:17: maven.goals: "-DskipTests" is an argument, not a goal | move it to maven.args`,
		"maven: {goals: [clean package]}":               `1:17: maven.goals: "clean package" is no goal`,
		"maven: {profiles: ['a,b']}":                    `1:20: maven.profiles: "a,b" is no profile`,
		"deploy: {cluster: a b}":                        `1:19: deploy.cluster: "a b" is no name in ECS`,
		"deploy: {service: 'arn:aws:s3:::x'}":           `1:19: deploy.service: "arn:aws:s3:::x" is no ARN in ECS`,
		"deploy: {region: Frankfurt}":                   `1:18: deploy.region: "Frankfurt" is no AWS region`,
		// variables
		"\nmaven: {module: '${NOPE}'}": `2:17: maven.module: the environment variable NOPE is not set | set it, or give a default: ${NOPE:-…}`,
		"maven: {module: '${NOPE'}":    `1:17: maven.module: ${NOPE has no } | close it, or write $${ for the two characters`,
		"maven: {args: ['${a.b}']}":    `1:16: maven.args: ${a.b} names no environment variable | to pass it on as it is, write $${a.b}`,
		"maven: {args: ['${}']}":       `1:16: maven.args: ${} names no environment variable`,
		// YAML
		"maven:\n\tgoals: [a]":                  `2:1: a tab in the indentation, which YAML does not allow | indent with spaces`,
		"maven:\n  \tgoals: [a]":                `2:3: a tab in the indentation, which YAML does not allow`,
		"maven: {module: 'x":                    `1:17: not YAML: could not find end character of single-quoted text`,
		"maven: {goals: [a}":                    `1:`,
		"a: b: c":                               `1:4: not YAML: mapping value is not allowed in this context | give the keys of one section the same indentation, and put a value with ": " in it in quotes`,
		"image: {files: [{include: [*.conf]}]}": `1:28: no anchor &.conf in this file | where it is text, put it in quotes: "*.conf"`,
		"maven:\n---\nimage:":                   `3:1: a second document begins here; fastship.yaml has one | keep one of them`,
		"maven: *x":                             `1:8: no anchor &x in this file`,
		"maven: &a {<<: *a}":                    `1:16: << of a mapping that has << itself`,
		"maven: {<<: [a]}":                      `1:13: << wants keys and values, not a list`,
		"maven: {module: !!int 1}":              `1:17: the tag !!int has no meaning here | leave it out`,
		"maven: \x00":                           `1:8: control character U+0000`,
		"maven: \xff":                           `1:8: not UTF-8 text`,
		"maven: {args: [${NOPE:-x}]}":           `1:`,
		strings.Repeat("[", 70):                 `1:65: nested too deeply`,
		strings.Repeat("#\n", 40000):            `1:1: the file has 80000 bytes; 32768 are the most`,
	} {
		_, err := spec.Parse("fastship.yaml", []byte(text), vars)
		if err == nil {
			t.Errorf("%q: no error", text)
			continue
		}
		line, excerpt, _ := strings.Cut(err.Error(), "\n")
		got := strings.TrimPrefix(line, "fastship.yaml:")
		message, hint, hinted := strings.Cut(want, " | ")
		if !strings.HasPrefix(got, message) || hinted && fault.HintOf(err) != hint {
			t.Errorf("%q:\n got %s | %s\nwant %s", text, got, fault.HintOf(err), want)
		}
		if fault.ClassOf(err) != fault.BadInput {
			t.Errorf("%q: not bad input", text)
		}
		if !strings.Contains(excerpt, "> ") || !strings.HasSuffix(excerpt, "^") {
			t.Errorf("%q: the excerpt is\n%s", text, excerpt)
		}
	}
}

func TestExcerpt(t *testing.T) {
	_, err := spec.Parse("ci/fastship.yaml", []byte("version: 1\nmaven:\n  é: 1\n"), noVars)
	want := "ci/fastship.yaml:3:3: unknown key \"é\" in maven\n  2 | maven:\n> 3 |   é: 1\n        ^"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	e, ok := errors.AsType[*spec.Error](err)
	if !ok || e.Line != 3 || e.Column != 3 || e.File != "ci/fastship.yaml" {
		t.Errorf("as a value: %+v", e)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "fastship.yaml")
	got, err := spec.Load(file, noVars)
	if err != nil || !reflect.DeepEqual(got, &spec.Spec{Version: 1}) {
		t.Errorf("no file: %+v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "fastship.yml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := spec.Load(file, noVars); fault.ClassOf(err) != fault.BadInput || fault.HintOf(err) != "rename it to fastship.yaml" {
		t.Errorf("fastship.yml: %v", err)
	}
	if err := os.WriteFile(file, []byte(full), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err = spec.Load(file, noVars)
	if err != nil || !reflect.DeepEqual(got, fullSpec()) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := spec.Load(dir, noVars); fault.ClassOf(err) != fault.BadInput {
		t.Errorf("a folder: %v", err)
	}
}

// FuzzParse holds that every text is either a Spec or bad input with a place.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{full, "", "a: &a [*a]", "maven: {goals: [\"${X}\"]}", "? a", "%YAML 1.2\n--- |\n x", "<<: {a: b}", "maven: !!str\n", "maven: &x\n  <<: *x", "- - - -", "a: |2\n x", "\"\\x\"", "maven: {<<: ~}", "&a : *a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := spec.Parse("fastship.yaml", text, environment(map[string]string{"X": "x"}))
		if (s == nil) == (err == nil) {
			t.Fatalf("%v and %v", s, err)
		}
		if err == nil {
			return
		}
		e, ok := errors.AsType[*spec.Error](err)
		if !ok || fault.ClassOf(err) != fault.BadInput || e.Line < 1 || e.Column < 1 {
			t.Fatalf("%q: %v", text, err)
		}
		if strings.Contains(e.Message, "runtime error") {
			t.Logf("the parser panics on %q", text)
		}
	})
}
