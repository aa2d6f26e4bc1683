package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Difference is what an image has that another has not. The layers that both
// have are neither sent nor pulled again by whoever has the other.
type Difference struct {
	Name   string        `json:"name"`
	Digest string        `json:"digest,omitempty"`
	Bytes  int64         `json:"bytes"`            // of what the other has not: layers, manifest, config
	Config []string      `json:"config,omitempty"` // which settings differ, and how
	Layers []LayerChange `json:"layers"`           // bottom first; those that went, last
}

// States of layers and entries.
const (
	Same    = "same"
	Changed = "changed"
	Added   = "added"
	Removed = "removed"
)

// LayerChange is what became of one layer.
type LayerChange struct {
	Role    string   `json:"role"`
	State   string   `json:"state"`
	Bytes   int64    `json:"bytes"`            // as it is kept, 0 when it went
	Was     int64    `json:"was"`              // of the other's, 0 when it came
	Unread  bool     `json:"unread,omitempty"` // one of the two was not read: Changes are not known
	Changes []Change `json:"changes,omitempty"`
}

// Change is what became of one file, link or folder.
type Change struct {
	Path   string   `json:"path"`
	State  string   `json:"state"`
	Bytes  int64    `json:"bytes"`
	Was    int64    `json:"was"`
	Note   string   `json:"note,omitempty"`   // what is to be said of it: spring-core 6.2.1 → 6.2.2
	Inside []string `json:"inside,omitempty"` // entries of a jar: +added, -removed, ~changed
}

// Compare tells what differs in now from before.
func Compare(now, before *Report) *Difference {
	d := &Difference{Name: before.Name, Digest: before.Digest, Bytes: now.Bytes, Config: settings(now, before)}
	pairs := pair(now.Layers, before.Layers)
	for _, p := range pairs {
		c := LayerChange{}
		switch {
		case p.now == nil:
			c.Role, c.State, c.Was = p.before.Role, Removed, p.before.Bytes
		case p.before == nil:
			c.Role, c.State, c.Bytes = p.now.Role, Added, p.now.Bytes
		case p.now.DiffID == p.before.DiffID:
			c.Role, c.State, c.Bytes, c.Was = p.now.Role, Same, p.now.Bytes, p.before.Bytes
			// A docker-archive has no digests: what it was pulled as is not known.
			if p.now.Digest == p.before.Digest || p.now.Digest == "" || p.before.Digest == "" {
				d.Bytes -= p.now.Bytes
			} else {
				c.State = Changed
				c.Changes = []Change{{Path: "/", State: Changed, Note: "the same files, compressed otherwise: " + p.before.MediaType + " → " + p.now.MediaType}}
			}
		default:
			c.Role, c.State, c.Bytes, c.Was = p.now.Role, Changed, p.now.Bytes, p.before.Bytes
		}
		if c.State != Same && c.Changes == nil {
			c.Changes, c.Unread = entries(p.now, p.before)
		}
		d.Layers = append(d.Layers, c)
	}
	unmove(d.Layers)
	return d
}

// settings compares what the two configs say to whoever starts them.
func settings(now, before *Report) []string {
	var all []string
	say := func(name, a, b string) {
		if a != b {
			all = append(all, fmt.Sprintf("%s: %s → %s", name, quoted(b), quoted(a)))
		}
	}
	say("platform", now.Platform, before.Platform)
	say("base", now.Base, before.Base)
	say("user", now.User, before.User)
	say("workdir", now.Workdir, before.Workdir)
	say("revision", now.Revision, before.Revision)
	say("entrypoint", strings.Join(now.Entrypoint, " "), strings.Join(before.Entrypoint, " "))
	say("healthCheck", now.HealthCheck, before.HealthCheck)
	say("args", strings.Join(now.Args, " "), strings.Join(before.Args, " "))
	for name, pair := range map[string][2][]string{
		"env": {now.Env, before.Env}, "ports": {now.Ports, before.Ports}, "volumes": {now.Volumes, before.Volumes}, "labels": {now.Labels, before.Labels},
	} { // sets: what both have is not told
		say(name, strings.Join(without(pair[0], pair[1]), " "), strings.Join(without(pair[1], pair[0]), " "))
	}
	slices.Sort(all)
	return all
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}

func quoted(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

type layerPair struct{ now, before *Layer }

// pair matches layers: those of the same content first, then those of one
// role. Each is in one pair, those without a match alone.
func pair(now, before []Layer) []layerPair {
	pairs := make([]layerPair, len(now))
	used := make([]bool, len(before))
	match := func(same func(a, b Layer) bool) {
		for i := range now {
			pairs[i].now = &now[i]
			for j := range before {
				if pairs[i].before == nil && !used[j] && same(now[i], before[j]) {
					pairs[i].before, used[j] = &before[j], true
				}
			}
		}
	}
	match(func(a, b Layer) bool { return a.DiffID == b.DiffID })
	match(func(a, b Layer) bool { return a.Role == b.Role })
	for j := range before {
		if !used[j] {
			pairs = append(pairs, layerPair{before: &before[j]})
		}
	}
	return pairs
}

// entries compares what two layers hold; one of them may be nil. unread tells
// that one which is there was not read.
func entries(now, before *Layer) (changes []Change, unread bool) {
	var is, was map[string]entry
	if now != nil {
		is, unread = now.entries, !now.Read
	}
	if before != nil {
		was, unread = before.entries, unread || !before.Read
	}
	if unread {
		return nil, true
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		a := is[name]
		b, there := was[name]
		switch {
		case !there && a.kind != '5':
			changes = append(changes, Change{Path: name, State: Added, Bytes: a.size, Note: coordinates(a)})
		case there && !alike(a, b):
			changes = append(changes, Change{Path: name, State: Changed, Bytes: a.size, Was: b.size, Note: note(a, b), Inside: inside(a.jar, b.jar)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if _, there := is[name]; !there && was[name].kind != '5' {
			changes = append(changes, Change{Path: name, State: Removed, Was: was[name].size, Note: coordinates(was[name])})
		}
	}
	return versions(changes, is, was), false
}

func alike(a, b entry) bool {
	a.jar, b.jar = nil, nil
	if a.kind == '5' && b.kind == '5' {
		return a.mode == b.mode && a.owner == b.owner
	}
	return a == b
}

func coordinates(e entry) string {
	if e.jar == nil || e.jar.Version == "" {
		return ""
	}
	return e.jar.Name + " " + e.jar.Version
}

// note says what of an entry changed, beside its bytes.
func note(a, b entry) string {
	var parts []string
	if a.kind != b.kind {
		parts = append(parts, "it is of another kind")
	}
	if a.mode != b.mode {
		parts = append(parts, fmt.Sprintf("mode %04o → %04o", b.mode, a.mode))
	}
	if a.owner != b.owner {
		parts = append(parts, "owner "+b.owner+" → "+a.owner)
	}
	if a.link != b.link {
		parts = append(parts, "link to "+b.link+" → "+a.link)
	}
	if len(parts) == 0 && a.jar != nil && b.jar != nil && coordinates(a) != "" && coordinates(a) == coordinates(b) {
		parts = append(parts, coordinates(a)+", with other bytes")
	}
	return strings.Join(parts, ", ")
}

// versions makes one change of a jar that went and one of the same artifact
// that came.
func versions(changes []Change, is, was map[string]entry) []Change {
	var out []Change
	gone := map[string]string{} // artifact → path
	for _, c := range changes {
		if j := was[c.Path].jar; c.State == Removed && j != nil {
			gone[j.Name] = c.Path
		}
	}
	merged := map[string]bool{}
	for _, c := range changes {
		j := is[c.Path].jar
		if c.State == Added && j != nil && gone[j.Name] != "" {
			old := was[gone[j.Name]]
			c.State, c.Was = Changed, old.size
			c.Note = fmt.Sprintf("%s %s → %s", j.Name, quoted(old.jar.Version), quoted(j.Version))
			merged[gone[j.Name]] = true
			delete(gone, j.Name)
		}
		out = append(out, c)
	}
	return slices.DeleteFunc(out, func(c Change) bool { return c.State == Removed && merged[c.Path] })
}

// maxInside bounds how many entries of one jar are told.
const maxInside = 50

// inside tells which entries of a jar differ.
func inside(a, b *Jar) []string {
	if a == nil || b == nil || a.Broken != "" || b.Broken != "" {
		return nil
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a.entries)) {
		old, there := b.entries[name]
		switch {
		case !there:
			all = append(all, "+"+name)
		case old != a.entries[name]:
			all = append(all, "~"+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.entries)) {
		if _, there := a.entries[name]; !there {
			all = append(all, "-"+name)
		}
	}
	if len(all) > maxInside {
		all = append(all[:maxInside], fmt.Sprintf("… and %d more", len(all)-maxInside))
	}
	return all
}

// unmove marks what only lies in another layer now.
func unmove(layers []LayerChange) {
	added := map[string]*Change{}
	for i := range layers {
		for j := range layers[i].Changes {
			if c := &layers[i].Changes[j]; c.State == Added {
				added[c.Path] = c
			}
		}
	}
	for i := range layers {
		for j := range layers[i].Changes {
			c := &layers[i].Changes[j]
			if a := added[c.Path]; c.State == Removed && a != nil && a.Bytes == c.Was {
				c.Note, a.Note = "moved to another layer", "moved from another layer"
			}
		}
	}
}
