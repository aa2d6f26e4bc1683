// Package extra finds the files that go into the image beside the
// application: image.files. It reads the project's folder and nothing else.
package extra

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/fastship/fastship/internal/fault"
)

// Files is one item of image.files: what is copied, where to, and how it
// lies there. Of two items that give one path the later counts.
type Files struct {
	From    string   `yaml:"from"`    // a folder or a file, relative to the project's folder
	Into    string   `yaml:"into"`    // a folder of the image; or the file's own path, when From is a file and no slash ends it
	Include []string `yaml:"include"` // patterns, relative to From; default: all
	Exclude []string `yaml:"exclude"` // patterns of what is left out of that
	Mode    string   `yaml:"mode"`    // of files, octal; default 0755 for what the owner may execute, else 0644
	DirMode string   `yaml:"dirMode"` // of folders; default 0755
	Owner   string   `yaml:"owner"`   // UID:GID or UID, which is its group then too; default 0:0
	Time    string   `yaml:"time"`    // RFC 3339, or a date; default 1970-01-01T00:00:01Z
}

// rule is an item that was understood.
type rule struct {
	key      string // image.files[0], for errors
	from     string // slash path, clean, relative to the project
	into     string // slash path without a leading slash, empty for the root
	whole    bool   // into ends in a slash, or is left out: a folder for sure
	include  []string
	exclude  []string
	mode     fs.FileMode
	keepMode bool // mode is left open
	dirMode  fs.FileMode
	uid, gid int
	owned    bool // owner or dirMode are said: they hold for the folder into as well
	time     time.Time
}

// understand holds an item against its grammar.
func understand(number int, f Files) (rule, error) {
	r := rule{key: fmt.Sprintf("image.files[%d]", number), include: f.Include, exclude: f.Exclude, dirMode: 0o755, keepMode: f.Mode == ""}
	bad := func(key string, err error) error {
		return fault.New(fault.BadInput, fault.HintOf(err), "%s.%s: %w", r.key, key, err)
	}
	for _, check := range []struct {
		key, value string
		check      func(string) error
	}{{"from", f.From, CheckFrom}, {"into", f.Into, CheckInto}, {"mode", f.Mode, CheckMode}, {"dirMode", f.DirMode, CheckMode}, {"owner", f.Owner, CheckOwner}, {"time", f.Time, CheckTime}} {
		if check.value == "" && check.key != "from" {
			continue
		}
		if err := check.check(check.value); err != nil {
			return r, bad(check.key, err)
		}
	}
	for key, patterns := range map[string][]string{"include": f.Include, "exclude": f.Exclude} {
		for _, p := range patterns {
			if err := CheckPattern(p); err != nil {
				return r, bad(key, err)
			}
		}
	}
	r.from = path.Clean(f.From)
	r.into = strings.Trim(path.Clean("/"+f.Into), "/")
	r.whole = f.Into == "" || strings.HasSuffix(f.Into, "/")
	r.mode, r.owned = 0o644, f.Owner != "" || f.DirMode != ""
	if f.Mode != "" {
		r.mode = mode(f.Mode)
	}
	if f.DirMode != "" {
		r.dirMode = mode(f.DirMode)
	}
	r.uid, r.gid = owner(f.Owner)
	r.time, _ = parseTime(f.Time) // the zero time is the layer's own
	return r, nil
}

var (
	modeForm  = regexp.MustCompile(`^[0-7]{3,4}$`)
	ownerForm = regexp.MustCompile(`^[0-9]{1,9}(:[0-9]{1,9})?$`)
)

// CheckFrom wants a path below the project's folder. Like the other functions
// of its kind it gives an error with a hint that does not name the key.
func CheckFrom(s string) error {
	clean := path.Clean(s)
	switch {
	case s == "":
		return fault.New(fault.BadInput, "name a folder or file of the project", "nothing to copy is named")
	case path.IsAbs(s):
		return fault.New(fault.BadInput, "write it relative to the project's folder", "%s is absolute, and another machine has other folders", s)
	case clean == ".." || strings.HasPrefix(clean, "../"):
		return fault.New(fault.BadInput, "copy it into the project, or let the build put it into target", "%s is outside the project", s)
	case strings.ContainsRune(s, 0) || !utf8.ValidString(s):
		return fault.New(fault.BadInput, "", "%q is no path", s)
	}
	return nil
}

// links are the folders that are symbolic links in most base images.
var links = map[string]string{
	"bin": "/usr/local/bin", "sbin": "/usr/local/sbin", "lib": "/usr/local/lib", "lib32": "/usr/local/lib", "lib64": "/usr/local/lib", "libx32": "/usr/local/lib",
	"var/run": "/run", "var/lock": "/run/lock",
}

// CheckInto wants a clean absolute path of the image.
func CheckInto(s string) error {
	clean := path.Clean(s)
	switch {
	case !path.IsAbs(s):
		return fault.New(fault.BadInput, "write /"+s, "%q is not absolute", s)
	case clean != s && clean+"/" != s || strings.ContainsRune(s, 0) || !utf8.ValidString(s):
		return fault.New(fault.BadInput, "write "+clean, "%q is not a clean path", s)
	}
	return checkTarget(strings.Trim(clean, "/"))
}

// checkTarget refuses a place of the image that is not the user's: what
// fastship puts there itself, and what is a link in the base.
func checkTarget(p string) error {
	if p == "app/app.jar" || p == "app/lib" || strings.HasPrefix(p, "app/lib/") {
		return fault.New(fault.BadInput, "choose another folder, such as /app/extra", "/%s is the application's", p)
	}
	for link, instead := range links {
		if p == link || strings.HasPrefix(p, link+"/") {
			return fault.New(fault.BadInput, "write "+instead, "/%s is a symbolic link in most base images, and a folder of that name would hide it", link)
		}
	}
	return nil
}

// CheckMode holds an octal mode against its grammar.
func CheckMode(s string) error {
	if !modeForm.MatchString(s) {
		return fault.New(fault.BadInput, "write three or four octal digits, such as 0755", "%q is no mode", s)
	}
	return nil
}

// CheckOwner holds UID:GID against its grammar.
func CheckOwner(s string) error {
	if !ownerForm.MatchString(s) {
		return fault.New(fault.BadInput, "write numbers, such as 65532:65532: names mean something in the base's /etc/passwd alone", "%q is no owner", s)
	}
	return nil
}

// CheckTime holds a time against its grammar.
func CheckTime(s string) error {
	t, err := parseTime(s)
	if err != nil || t.Unix() < 0 {
		return fault.New(fault.BadInput, "write a time such as 2026-01-31T12:00:00Z, or a date", "%q is no time since 1970", s)
	}
	return nil
}

// CheckPattern holds a pattern against doublestar's grammar.
func CheckPattern(s string) error {
	if !doublestar.ValidatePattern(s) {
		return fault.New(fault.BadInput, "write a pattern such as **/*.sh", "%q is no pattern", s)
	}
	if path.IsAbs(s) || strings.HasPrefix(s, "../") {
		return fault.New(fault.BadInput, "write it relative to from", "%q leads out of the folder", s)
	}
	return nil
}

func mode(s string) fs.FileMode {
	n, _ := strconv.ParseUint(s, 8, 32)
	m := fs.FileMode(n & 0o777)
	for bit, mode := range map[uint64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if n&bit != 0 {
			m |= mode
		}
	}
	return m
}

func owner(s string) (uid, gid int) {
	user, group, ok := strings.Cut(s, ":")
	if !ok {
		group = user
	}
	uid, _ = strconv.Atoi(user)
	gid, _ = strconv.Atoi(group)
	return uid, gid
}

func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, s)
}

// built tells of a path that the build makes: nothing can be said of it
// before Maven has run.
func (r rule) built() bool { return slices.Contains(strings.Split(r.from, "/"), "target") }
