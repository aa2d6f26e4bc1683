package maven

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/stages/internal/mvn"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// skipVersion changes whenever a kept job must not be taken any more.
const skipVersion = "1"

// identity names a job by all that it reads, as far as that is known before
// Maven runs. Values are digests: no secret can be read out of them.
type identity struct {
	key    cache.Key
	parts  cache.KeyParts
	files  []File // what counts as input
	reason string // why the job has no key and must run; empty when it has one
}

// sideEffects are what a command line asks for beyond files under target.
var sideEffects = regexp.MustCompile(`^(?:install|deploy|site-deploy)$|^[^:]+:`)

// identify reads what names the job. It starts no process.
func (s *Step) identify(ctx context.Context, j *job, in In) identity {
	var id identity
	j.book = stamp.Open(s.deps.State)
	switch {
	case s.deps.Cache == nil || s.deps.Cache.Blobs == nil:
		id.reason = "there is no cache"
	case len(in.Files) == 0:
		id.reason = "the source's files are not known"
	}
	if _, other := j.args.Option("-f", "--file"); other {
		id.reason = "--file names another pom"
	}
	for _, goal := range s.config.Goals {
		if sideEffects.MatchString(goal) {
			id.reason = "the goal " + goal + " has effects outside target"
		}
	}
	if id.reason != "" || ctx.Err() != nil {
		return id
	}
	texts, err := j.texts()
	if err != nil {
		id.reason = err.Error()
		return id
	}
	id.files = inputs(in.Files, s.config.Inputs, texts.poms)
	jdk, err := jdkIdentity(j.choice.JDK)
	if err == nil {
		var maven string
		maven, err = j.launcherIdentity()
		names := append(slices.Clone(s.config.Environment), alwaysRead()...)
		id.parts = cache.NewKey("maven-job", skipVersion).
			Add("source", string(digest(id.files))).
			Add("poms", string(j.tree.Digest)).
			Add("goals", s.config.Goals).
			Add("module", s.config.Module).
			Add("profiles", s.config.Profiles).
			Add("arguments", string(j.args.Digest())).
			Add(".mvn", string(cache.Sum([]byte(texts.dotMvn)))).
			Add("JDK", jdk).
			Add("Maven", maven).
			Add("system", runtime.GOOS+"/"+runtime.GOARCH).
			Add("settings", string(cache.Sum([]byte(texts.settings)))).
			Add("toolchains", string(cache.Sum([]byte(texts.toolchains))))
		id.parts = append(id.parts, environment(j.host, append(names, environmentIn(texts.poms+texts.dotMvn+texts.settings)...))...)
	}
	if err != nil {
		return identity{reason: err.Error()}
	}
	id.key = id.parts.Key()
	return id
}

// alwaysRead are the variables that change what javac and tests do unasked.
func alwaysRead() []string {
	return []string{"LANG", "LC_ALL", "LC_CTYPE", "TZ", "SOURCE_DATE_EPOCH"}
}

var environmentName = regexp.MustCompile(`\benv\.([A-Za-z_][A-Za-z0-9_]*)`)

// environmentIn names the variables that a text refers to: ${env.X}, and env.X
// as a profile's activation has it.
func environmentIn(text string) []string {
	var names []string
	for _, m := range environmentName.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// environment are key parts with the digests of variables.
func environment(h mvn.Host, names []string) cache.KeyParts {
	names = slices.Clone(names)
	slices.Sort(names)
	var parts cache.KeyParts
	for _, n := range slices.Compact(names) {
		parts = parts.Add("environment "+n, string(cache.Sum([]byte(h.Getenv(n)))))
	}
	return parts
}

func digest(files []File) cache.Digest {
	var b bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&b, "%s %s %s\x00", f.Mode, f.ID, f.Path) // no path has a zero byte
	}
	return cache.Sum(b.Bytes())
}

// jobTexts are the files around the source that shape a job.
type jobTexts struct{ poms, dotMvn, settings, toolchains string }

func (j *job) texts() (jobTexts, error) {
	var t jobTexts
	seen := map[string]bool{}
	for _, m := range j.tree.Modules {
		for _, p := range m.Chain {
			if seen[p.Path] {
				continue
			}
			seen[p.Path] = true
			text, err := os.ReadFile(p.Path)
			if err != nil {
				return t, err
			}
			t.poms += string(text)
		}
	}
	var err error
	if t.dotMvn, err = folderText(filepath.Join(mvn.MultiModuleRoot(j.dir), ".mvn")); err != nil {
		return t, err
	}
	users, _ := j.args.Option("-s", "--settings")
	global, _ := j.args.Option("-gs", "--global-settings")
	for _, path := range []string{cmp.Or(users, j.settingsPath()), global} {
		text, err := withoutSecrets(absolute(j.dir, path))
		if path != global && j.said.text != "" { // they came in a variable: there is no file yet
			text, err = strip(path, []byte(j.said.text))
		}
		if err != nil {
			return t, err
		}
		t.settings += text + "\x00"
	}
	chains, _ := j.args.Option("-t", "--toolchains")
	text, err := readOptional(absolute(j.dir, cmp.Or(chains, filepath.Join(j.host.Home, ".m2", "toolchains.xml"))))
	t.toolchains = string(text)
	return t, err
}

func absolute(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func readOptional(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// folderText is the content of all files in a folder, each after its path; an
// absent folder has none.
func folderText(dir string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path) // path is below dir
		b.WriteString(rel + "\x00" + string(text) + "\x00")
		return err
	})
	return b.String(), err
}

// withoutSecrets is what a settings.xml says apart from its servers, which
// hold credentials alone, and the proxies' passwords.
func withoutSecrets(path string) (string, error) {
	text, err := readOptional(path)
	if err != nil {
		return "", fmt.Errorf("read Maven's settings: %w", err)
	}
	return strip(path, text)
}

func strip(path string, text []byte) (string, error) {
	var b strings.Builder
	in := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return "", fmt.Errorf("read Maven's settings %s: %w", path, err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			if t.Name.Local == "servers" || t.Name.Local == "password" {
				if err := in.Skip(); err != nil {
					return "", fmt.Errorf("read Maven's settings %s: %w", path, err)
				}
				continue
			}
			fmt.Fprintf(&b, "<%s>", t.Name.Local)
		case xml.EndElement:
			b.WriteString("</>")
		case xml.CharData:
			b.WriteString(strings.TrimSpace(string(t)))
		}
	}
}

// jdkIdentity is a JDK's version with the digest of its own release file,
// which names vendor and build. The folder it lies in does not count.
func jdkIdentity(j mvn.JDK) (string, error) {
	text, err := readOptional(filepath.Join(j.Home, "release"))
	return j.Version + " " + string(cache.Sum(text)), err
}

// launcherIdentity is Maven's version with the digest of what its folder says
// of it: its jars by name and size, its script and its settings.
func (j *job) launcherIdentity() (string, error) {
	l := j.launcher
	if l.Path == "" {
		return l.Version, nil // the distribution that fastship pins
	}
	script, err := filepath.EvalSymlinks(l.Path)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(script)
	if err != nil {
		return "", err
	}
	parts := cache.NewKey("maven", "1").Add("script", string(cache.Sum(text)))
	if !l.Wrapper {
		home := filepath.Dir(filepath.Dir(script))
		settings, err := withoutSecrets(filepath.Join(home, "conf", "settings.xml"))
		if err != nil {
			return "", err
		}
		parts = parts.Add("settings", settings)
		for _, pattern := range []string{"lib/*.jar", "lib/ext/*.jar", "lib/ext/*/*.jar"} {
			jars, _ := filepath.Glob(filepath.Join(home, pattern)) // the pattern is well-formed
			for _, jar := range jars {
				info, err := os.Stat(jar)
				if err != nil {
					return "", err
				}
				parts = parts.Add(filepath.Base(jar), info.Size())
			}
		}
	}
	return l.Version + " " + string(parts.Key()), nil
}
