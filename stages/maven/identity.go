package maven

import (
	"context"
	"errors"
	"fmt"
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
const skipVersion = "3"

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
	if reason := floating(texts.extensions); reason != "" {
		id.reason = reason
		return id
	}
	if id.files, err = s.files(j, in.Files, texts.poms); err != nil {
		id.reason = err.Error()
		return id
	}
	links, err := j.linked(id.files, in.Files)
	if err != nil {
		id.reason = err.Error()
		return id
	}
	jdk, err := j.choice.JDK.Identity()
	if err == nil {
		var maven cache.Digest
		maven, err = j.launcher.Identity()
		names := slices.Concat(s.config.Environment, alwaysRead(), environmentIn(texts.poms+texts.dotMvn), texts.variables)
		id.parts = cache.NewKey("maven-job", skipVersion).
			Add("source", string(digest(id.files))).
			Add("linked files", string(digest(links))).
			Add("poms", string(j.tree.Digest)).
			Add("goals", s.config.Goals).
			Add("module", s.config.Module).
			Add("profiles", s.config.Profiles).
			Add("arguments", string(j.args.Digest())).
			Add(".mvn", string(cache.Sum([]byte(texts.dotMvn)))).
			Add("JDK", j.choice.JDK.Version+" "+string(jdk)).
			Add("Maven", j.launcher.Version+" "+string(maven)).
			Add("system", runtime.GOOS+"/"+runtime.GOARCH).
			Add("settings", string(texts.settings)).
			Add("toolchains", string(cache.Sum([]byte(texts.toolchains)))).
			Add("user's Maven files", string(cache.Sum([]byte(texts.own)))).
			Add("files that profiles ask for", j.present(askedIn(texts.poms)))
		if j.main != "" {
			id.parts = id.parts.Add("main class", j.main)
		}
		id.parts = append(id.parts, environment(j.host, names)...)
	}
	if err != nil {
		return identity{reason: err.Error()}
	}
	id.key = id.parts.Key()
	return id
}

// files are those that count, of the source and beyond it.
func (s *Step) files(j *job, listed []File, poms string) ([]File, error) {
	if reason := j.outside(listed); reason != "" && len(s.config.Inputs) == 0 {
		return nil, errors.New(reason + "; maven.inputs would say what counts")
	}
	more, err := j.beyond(listed, poms)
	if err != nil {
		return nil, err
	}
	return inputs(slices.Concat(listed, more), s.config.Inputs, poms), nil
}

// alwaysRead are the variables that change what javac and tests do unasked.
func alwaysRead() []string {
	return []string{"LANG", "LC_ALL", "LC_CTYPE", "TZ", "SOURCE_DATE_EPOCH"}
}

// environmentIn names the variables that a text refers to: ${env.X}, and env.X
// as a profile's activation has it. Hundreds of poms are read for it after each
// build; a regular expression takes ten times as long.
func environmentIn(text string) []string {
	const mark = "env."
	var names []string
	for at := 0; ; {
		next := strings.Index(text[at:], mark)
		if next < 0 {
			return names
		}
		begin := at + next
		at = begin + len(mark)
		end := at
		for end < len(text) && isWord(text[end]) && (end > at || text[end] > '9') {
			end++
		}
		if end > at && (begin == 0 || !isWord(text[begin-1])) {
			names, at = append(names, text[at:end]), end
		}
	}
}

// isWord tells what a variable's name is made of; digits do not begin one.
func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
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
	var text []byte
	for _, f := range files { // a large project has tens of thousands
		text = append(append(append(text, f.Mode...), ' '), f.ID...)
		text = append(append(append(text, ' '), f.Path...), 0) // no path has a zero byte
	}
	return cache.Sum(text)
}

// jobTexts are the files around the source that shape a job.
type jobTexts struct {
	poms, dotMvn, extensions, toolchains string
	own                                  string // of the user and the host, apart from settings
	settings                             cache.Digest
	variables                            []string // that the settings name
}

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
	root := mvn.MultiModuleRoot(j.dir)
	var err error
	if t.dotMvn, err = folderText(filepath.Join(root, ".mvn")); err != nil {
		return t, err
	}
	if t.extensions, err = readOptional(filepath.Join(root, ".mvn", "extensions.xml")); err != nil {
		return t, err
	}
	for _, path := range j.host.Toolchains {
		text, err := readOptional(path)
		if err != nil {
			return t, err
		}
		t.toolchains += text + "\x00"
	}
	for _, path := range ownFiles(j.host) {
		text, err := readOptional(path)
		if err != nil {
			return t, err
		}
		t.own += text + "\x00"
	}
	return t, j.settingsTexts(&t)
}

// settingsTexts is what the settings say, all files merged.
func (j *job) settingsTexts(t *jobTexts) error {
	t.settings, t.variables = j.said.user.Digest(), j.said.user.Variables()
	return j.said.err
}

// ownFiles are read by mvn's script and, in a user's folder, by Maven 4
// (https://maven.apache.org/configure.html).
func ownFiles(h mvn.Host) []string {
	own := filepath.Join(h.Home, ".m2")
	files := []string{filepath.Join(own, "maven-user.properties"), filepath.Join(own, "maven-system.properties"), filepath.Join(own, "extensions.xml")}
	if h.Getenv("MAVEN_SKIP_RC") == "" {
		files = append(files, "/usr/local/etc/mavenrc", "/etc/mavenrc", filepath.Join(h.Home, ".mavenrc"))
	}
	return files
}

var (
	versionElement = regexp.MustCompile(`<version>\s*([^<]*?)\s*</version>`)
	floatingMark   = regexp.MustCompile(`SNAPSHOT|LATEST|RELEASE|[\[(,]`)
)

// floating says which core extension has no fixed version. Maven resolves them
// before the spy is there to see.
func floating(extensions string) string {
	for _, m := range versionElement.FindAllStringSubmatch(extensions, -1) {
		if floatingMark.MatchString(m[1]) {
			return ".mvn/extensions.xml has the version " + m[1]
		}
	}
	return ""
}

// askedIn names the files whose presence switches profiles on or off.
func askedIn(poms string) []string {
	var all []string
	for _, element := range []string{"exists>", "missing>"} {
		for rest := poms; ; {
			_, after, ok := strings.Cut(rest, "<"+element)
			if !ok {
				break
			}
			name, end, _ := strings.Cut(after, "<")
			if strings.HasPrefix(end, "/"+element) {
				all = append(all, strings.Trim(name, " \t\r\n\f"))
			}
			rest = after
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// present tells which of the files outside the source are there. Those of the
// source count as its files do.
func (j *job) present(files []string) []string {
	home := strings.NewReplacer("${user.home}", j.host.Home, "${env.HOME}", j.host.Getenv("HOME"))
	var all []string
	for _, f := range files {
		if path := home.Replace(f); filepath.IsAbs(path) {
			_, err := os.Stat(path)
			all = append(all, fmt.Sprintf("%s %v", f, err == nil))
		}
	}
	return all
}

func absolute(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func readOptional(path string) (string, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
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
