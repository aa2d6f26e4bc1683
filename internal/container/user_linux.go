package container

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

type user struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

// resolveUser reads "", "name", "uid", "name:group" or "uid:gid" by the
// container's /etc/passwd and /etc/group, as container engines do: a number
// need not stand in them; without a group, it is the user's, and the user's
// further groups come with it.
func resolveUser(spec string) (user, error) {
	name, group, hasGroup := strings.Cut(spec, ":")
	if name == "" {
		name = "0"
	}
	u := user{home: "/"}
	number, notNumber := strconv.ParseUint(name, 10, 31)
	u.uid = uint32(number)
	entry := find("/etc/passwd", 6, func(f []string) bool { return f[0] == name })
	if entry == nil && notNumber == nil {
		entry = find("/etc/passwd", 6, func(f []string) bool { return f[2] == name })
	}
	if entry != nil {
		uid, err1 := strconv.ParseUint(entry[2], 10, 31)
		gid, err2 := strconv.ParseUint(entry[3], 10, 31)
		if err1 != nil || err2 != nil {
			return user{}, fmt.Errorf("unable to find user %s: its line in /etc/passwd has no numbers", name)
		}
		u.uid, u.gid, u.home = uint32(uid), uint32(gid), entry[5]
		name = entry[0]
	} else if notNumber != nil {
		return user{}, fmt.Errorf("unable to find user %s: no matching entries in passwd file", name)
	}
	if hasGroup {
		gid, err := resolveGroup(group)
		u.gid = gid
		return u, err
	}
	for _, f := range entries("/etc/group", 4) {
		if gid, err := strconv.ParseUint(f[2], 10, 31); err == nil && slices.Contains(strings.Split(f[3], ","), name) {
			u.groups = append(u.groups, uint32(gid))
		}
	}
	return u, nil
}

func resolveGroup(group string) (uint32, error) {
	if f := find("/etc/group", 3, func(f []string) bool { return f[0] == group }); f != nil {
		if gid, err := strconv.ParseUint(f[2], 10, 31); err == nil {
			return uint32(gid), nil
		}
	}
	gid, err := strconv.ParseUint(group, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("unable to find group %s: no matching entries in group file", group)
	}
	return uint32(gid), nil
}

// find returns the first entry that ok accepts, or nil.
func find(file string, fields int, ok func([]string) bool) []string {
	all := entries(file, fields)
	if i := slices.IndexFunc(all, ok); i >= 0 {
		return all[i]
	}
	return nil
}

// entries reads a file like /etc/passwd; lines with fewer fields are left out.
func entries(file string, fields int) [][]string {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil // an image without one has numbers only
	}
	var all [][]string
	for line := range strings.Lines(string(raw)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) >= fields {
			all = append(all, f)
		}
	}
	return all
}
