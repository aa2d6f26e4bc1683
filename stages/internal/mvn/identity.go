package mvn

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
)

// Identity names this Maven for cache keys, without starting it: its version
// and the names and sizes of its libraries, or the text of the project's
// wrapper, which names a distribution. A distribution that is still to be
// downloaded has the same identity before and after. The error is that of
// reading; what has no identity must not be part of a key.
func (l Launcher) Identity() (cache.Digest, error) {
	key := cache.NewKey("maven-identity", "1").Add("version", l.Version)
	var err error
	switch {
	case l.Wrapper:
		key, err = addFiles(key, filepath.Join(l.wrapped, "mvnw"), wrapperProperties(l.wrapped))
	case l.Provided:
		key = key.Add("distribution", l.SHA512)
	default:
		key, err = addLibraries(key, l.Path)
	}
	if err != nil {
		return "", err
	}
	return cache.Digest("sha256:" + string(key.Key())), nil
}

// addFiles adds the contents of the files that are there.
func addFiles(key cache.KeyParts, paths ...string) (cache.KeyParts, error) {
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		key = key.Add(filepath.Base(path), string(text))
	}
	return key, nil
}

// addLibraries adds names and sizes below lib and boot of the installation
// that the mvn script is part of, lib/ext included. Debian's jars are links to
// /usr/share/java: the sizes are those of their targets. A script that is part
// of no installation stands for itself.
func addLibraries(key cache.KeyParts, mvn string) (cache.KeyParts, error) {
	script, err := filepath.EvalSymlinks(mvn)
	if err != nil {
		return nil, err
	}
	home := filepath.Dir(filepath.Dir(script))
	type library struct {
		Name string
		Size int64
	}
	var found []library
	for _, folder := range []string{"boot", "lib"} {
		top := filepath.Join(home, folder)
		err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := filepath.Rel(home, path)
			if err != nil {
				return err
			}
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			found = append(found, library{filepath.ToSlash(name), info.Size()})
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if len(found) == 0 {
		return addFiles(key, script)
	}
	return key.Add("libraries", found), nil
}

// Identity names this JDK for cache keys: by its release file, which holds
// version, vendor, build and source revision, else by its version and place.
func (j JDK) Identity() (cache.Digest, error) {
	key := cache.NewKey("jdk-identity", "1").Add("version", j.Version)
	text, err := os.ReadFile(filepath.Join(j.Home, "release"))
	switch {
	case err == nil:
		key = key.Add("release", string(text))
	case errors.Is(err, fs.ErrNotExist):
		key = key.Add("home", j.Home)
	default:
		return "", err
	}
	return cache.Digest("sha256:" + string(key.Key())), nil
}

// Digest names what the settings say to a build: mirrors, profiles,
// repositories, proxies' hosts and the rest, as written, so that ${env.X}
// stays a name. Left out are credentials and what is a matter of the machine:
// all of <servers> but the IDs, user names, the local repository's place, and
// every element whose name tells of a password or token; a renewed token does
// not change it. Empty settings have a digest, too.
func (s Settings) Digest() cache.Digest {
	key := cache.NewKey("maven-settings", "1").Add("text", s.said)
	return cache.Digest("sha256:" + string(key.Key()))
}

var variableName = regexp.MustCompile(`\benv\.([A-Za-z_][A-Za-z0-9_]*)`)

// Variables names the environment variables that the settings refer to outside
// of credentials, as ${env.X} or as a profile's activation, sorted.
func (s Settings) Variables() []string {
	var names []string
	for _, m := range variableName.FindAllStringSubmatch(s.said, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var (
	// secretElement tells the elements that hold credentials by their names.
	secretElement = regexp.MustCompile(`(?i)^(user(name)?|privateKey)$|passw|passphrase|token|secret|credential|api-?key|authorization`)
	// machineElement are those that say nothing on what is built.
	machineElement = regexp.MustCompile(`^(localRepository|interactiveMode)$`)
)

// said is a settings.xml without comments, white space and credentials: one
// line an element or text.
func said(text []byte) string {
	d := xml.NewDecoder(bytes.NewReader(text))
	var out strings.Builder
	var path []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return out.String() // ReadSettings has read the same text before
		}
		switch t := token.(type) {
		case xml.StartElement:
			name := t.Name.Local
			inServer := len(path) > 2 && path[1] == "servers"
			if secretElement.MatchString(name) || machineElement.MatchString(name) || (inServer && name != "id") {
				if d.Skip() != nil {
					return out.String()
				}
				continue
			}
			path = append(path, name)
			out.WriteString("<" + name + ">\n")
		case xml.EndElement:
			path = path[:len(path)-1]
			out.WriteString("</>\n")
		case xml.CharData:
			if v := strings.TrimSpace(string(t)); v != "" {
				out.WriteString(strings.ReplaceAll(v, "\n", " ") + "\n")
			}
		}
	}
}
