package jre

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/fastship/fastship/cache"
)

// closure adds to modules those they require, and so on, as the JDK resolves
// them (java.lang.module.Configuration): what is only for the compiler does
// not count.
func closure(ctx context.Context, c *cache.Cache, jdk JDK, id cache.Digest, modules []string) ([]string, error) {
	graph, err := requirements(ctx, c, jdk, id)
	if err != nil {
		return nil, err
	}
	all := make(map[string]bool)
	var add func(module string)
	add = func(module string) {
		if all[module] {
			return
		}
		all[module] = true
		for _, m := range graph[module] {
			add(m)
		}
	}
	add("java.base")
	for _, module := range modules {
		add(module)
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// requirements maps each module of the JDK to those it requires. The JDK's own
// tool gives their descriptors, once: a JVM for each new set of modules would
// hold up every image that has another library.
func requirements(ctx context.Context, c *cache.Cache, jdk JDK, id cache.Digest) (map[string][]string, error) {
	key := cache.NewKey("requirements of a JDK's modules", "1").Add("jdk", string(id)).Key()
	graph, _, _, err := cache.Do(ctx, c, key, func(ctx context.Context) (map[string][]string, []cache.Descriptor, error) {
		dir, release, err := workspace()
		if err != nil {
			return nil, nil, err
		}
		defer release()
		args := []string{"extract", "--include", "regex:/.*/module-info.class", "--dir", dir, filepath.Join(jdk.Home, "lib", "modules")}
		if err := run(ctx, jdk.tool("jimage"), args, nil); err != nil {
			return nil, nil, err
		}
		graph, err := readRequirements(dir)
		if err != nil {
			return nil, nil, fmt.Errorf("read what the modules of %s require: %w", jdk, err)
		}
		return graph, nil, nil
	})
	return graph, err
}

// readRequirements reads dir/MODULE/module-info.class of every module.
func readRequirements(dir string) (map[string][]string, error) {
	modules, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	graph := make(map[string][]string, len(modules))
	for _, module := range modules {
		path := filepath.Join(dir, module.Name(), "module-info.class")
		class, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		p, err := parsePool(class)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		graph[module.Name()] = p.requires()
	}
	if _, ok := graph["java.base"]; !ok {
		return nil, errors.New("jimage gave no descriptor of java.base")
	}
	return graph, nil
}
