package jre

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/near"
	"github.com/fastship/fastship/internal/proc"
)

// Needs is what an application needs of its base.
type Needs struct {
	Modules []string `json:"modules,omitempty"` // complete, sorted
	Natives []Native `json:"natives,omitempty"` // what its jars load
	// English says that jdk.localedata is not among the modules: the
	// application shows no other language.
	English bool `json:"english,omitempty"`
}

// Inspect finds what jars, an application and its libraries, need of a base made
// of jdk. See Modules. It does not read the libraries that watch sees; nil
// reads all of which nothing is known.
func Inspect(ctx context.Context, c *cache.Cache, jdk JDK, jars []Jar, extra []string, watch *Watch) (Needs, error) {
	found, err := referencesOf(ctx, c, jars, watch)
	if err != nil {
		return Needs{}, err
	}
	var n Needs
	for _, refs := range found {
		n.Natives = append(n.Natives, refs.Natives...)
	}
	if n.Modules, err = modules(ctx, c, jdk, found, extra); err != nil {
		return Needs{}, err
	}
	n.English = jdk.Major >= 9 && !slices.Contains(n.Modules, localeData)
	return n, nil
}

// Modules lists, sorted, the modules of jdk that a base for jars needs: those
// whose packages the classes name, as jdeps would find, what these modules
// require, a set for what is used by name only, and extra, which the user
// asked for. No JVM is started when the JDK is that of an earlier run.
//
// An extra module that the JDK does not have is a fault.BadInput.
func Modules(ctx context.Context, c *cache.Cache, jdk JDK, jars []Jar, extra []string) ([]string, error) {
	n, err := Inspect(ctx, c, jdk, jars, extra, nil)
	return n.Modules, err
}

func modules(ctx context.Context, c *cache.Cache, jdk JDK, found []references, extra []string) ([]string, error) {
	if err := CheckModules(jdk, extra); err != nil {
		return nil, err
	}
	if jdk.Major < 9 {
		return modules8(found), nil
	}
	id, err := jdk.identity()
	if err != nil {
		return nil, err
	}
	owners, err := owners(ctx, c, jdk, id)
	if err != nil {
		return nil, err
	}
	roots := make(map[string]bool)
	add := func(module string) {
		if _, known := slices.BinarySearch(jdk.Modules, module); known {
			roots[module] = true
		}
	}
	for _, module := range slices.Concat(safeModules(), extra) {
		add(module)
	}
	for _, refs := range found {
		if refs.Locales {
			add(localeData)
		}
		for _, pkg := range refs.packages(jdk.Major) {
			add(owners[pkg])
		}
		for _, module := range refs.Requires {
			add(module)
		}
	}
	for module, with := range companions() {
		if roots[module] {
			for _, m := range with {
				add(m)
			}
		}
	}
	return closure(ctx, c, jdk, id, slices.Sorted(maps.Keys(roots)))
}

// ModuleRules names what besides jars and JDK decides on the modules: a key
// that holds it is another one when fastship changes its mind.
func ModuleRules() cache.Digest {
	rules := cache.NewKey("module rules", scanVersion).Add("safe", safeModules()).Add("companions", companions())
	return cache.Digest("sha256:" + string(rules.Key()))
}

// referencesOf reads the application's jars and, all in one cached piece, the
// libraries: a run with unchanged libraries looks up one action, not hundreds.
func referencesOf(ctx context.Context, c *cache.Cache, jars []Jar, watch *Watch) ([]references, error) {
	var own, libraries []Jar
	key := cache.NewKey("class references of libraries", scanVersion)
	for _, jar := range jars {
		if !jar.library() {
			own = append(own, jar)
			continue
		}
		libraries = append(libraries, jar)
		key = key.Add("jar", string(jar.Digest))
	}
	found, err := scan(ctx, c, own, nil)
	if err != nil {
		return nil, err
	}
	union, _, _, err := cache.Do(ctx, c, key.Key(), func(ctx context.Context) (references, []cache.Descriptor, error) {
		found, err := scan(ctx, c, libraries, watch)
		return merge(found), nil, err
	})
	for _, jar := range libraries {
		watch.known(jar.Digest)
	}
	return append(found, union), err
}

func merge(all []references) references {
	s := scanner{packages: make(map[int]map[string]bool)}
	for _, refs := range all {
		s.requires = append(s.requires, refs.Requires...)
		s.natives = append(s.natives, refs.Natives...)
		s.add(0, refs.Packages)
		for version, packages := range refs.Versions {
			s.add(version, packages)
		}
	}
	return s.references()
}

func (s *scanner) add(version int, packages []string) {
	set := s.set(version)
	for _, pkg := range packages {
		set[pkg] = true
	}
}

// owners maps each package of the JDK, with slashes, to its module. The JDK's
// own tool tells it, once.
func owners(ctx context.Context, c *cache.Cache, jdk JDK, id cache.Digest) (map[string]string, error) {
	key := cache.NewKey("packages of a JDK", "1").Add("jdk", string(id)).Key()
	table, _, _, err := cache.Do(ctx, c, key, func(ctx context.Context) (map[string]string, []cache.Descriptor, error) {
		table := make(map[string]string)
		module := ""
		err := run(ctx, jdk.tool("jimage"), []string{"list", jdk.Home + "/lib/modules"}, func(line string) {
			if name, ok := strings.CutPrefix(line, "Module: "); ok {
				module = name
				return
			}
			line = strings.TrimSpace(line)
			if slash := strings.LastIndexByte(line, '/'); slash > 0 && strings.HasSuffix(line, ".class") {
				table[line[:slash]] = module
			}
		})
		if err == nil && table["java/lang"] != "java.base" {
			err = fmt.Errorf("list the packages of %s: jimage's output has no java.lang in java.base", jdk)
		}
		return table, nil, err
	})
	return table, err
}

// CheckModules tells whether a base of jdk can be given the modules of those
// names (image.modules). The error is of class fault.BadInput.
func CheckModules(jdk JDK, names []string) error {
	for _, name := range names {
		if jdk.Major < 9 {
			return fault.New(fault.BadInput, "leave image.modules out: a JDK 8 base has all of Java", "image.modules: JDK 8 has no module %q", name)
		}
		if _, known := slices.BinarySearch(jdk.Modules, name); known {
			continue
		}
		hint := "this JDK has: " + strings.Join(jdk.Modules, ", ")
		if guess := near.Names(name, jdk.Modules, 1); len(guess) > 0 {
			hint = fmt.Sprintf("did you mean %s? java --list-modules tells what this JDK has", guess[0])
		}
		return fault.New(fault.BadInput, hint, "image.modules: %s has no module %q", jdk, name)
	}
	return nil
}

// run starts a tool of the JDK in an environment that holds nothing of this
// machine's Java settings, and tells its output line by line.
func run(ctx context.Context, path string, args []string, stdout func(line string)) error {
	if stdout == nil {
		stdout = func(string) {}
	}
	return runTool(ctx, path, args, stdout, func(string) {})
}

// runTelling is run for a tool whose warnings are to be told, on whichever
// stream it prints them.
func runTelling(ctx context.Context, path string, args []string, line func(string)) error {
	return runTool(ctx, path, args, line, line)
}

func runTool(ctx context.Context, path string, args []string, stdout, stderr func(line string)) error {
	const kept = 5
	var out, last []string // what it complained about: jlink does on its standard output
	keep := func(lines *[]string, tell func(string)) func(string) {
		return func(line string) {
			if *lines = append(*lines, line); len(*lines) > kept {
				*lines = (*lines)[1:]
			}
			tell(line)
		}
	}
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "TZ=UTC"}
	exit, err := proc.Run(ctx, proc.Cmd{Path: path, Args: args, Dir: "/", Env: env, Stdout: keep(&out, stdout), Stderr: keep(&last, stderr)})
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("%s ended with code %d: %s", path, exit.Code, strings.Join(append(out, last...), "; "))
	}
	return nil
}
