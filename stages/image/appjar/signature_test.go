package appjar

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestSigned: a signature stays where it holds, and is left out, and that is
// said, where Java would refuse the jar for it.
func TestSigned(t *testing.T) {
	signed := func(manifest string, more map[string]string) map[string]string {
		files := map[string]string{manifestName: manifest, "META-INF/K.SF": "x", "META-INF/k.rsa": "x", "META-INF/SIG-EXTRA": "x", "META-INF/services/k.SF": "no signature"}
		for name, content := range more {
			files[name] = content
		}
		return files
	}
	main := map[string]string{"a/Main.class": class(8)}
	for name, c := range map[string]struct {
		files   map[string]string
		options Options
		kept    bool
	}{
		"plain":           {signed(plainManifest, main), Options{}, true},
		"another main":    {signed(plainManifest, map[string]string{"b/Other.class": class(8)}), Options{Main: "b.Other"}, false},
		"thin, as it is":  {signed("Manifest-Version: 1.0\nMain-Class: a.Main\nClass-Path: lib/x.jar  \n\n", main), Options{}, true},
		"thin, elsewhere": {signed("Manifest-Version: 1.0\nMain-Class: a.Main\nClass-Path: libs/x.jar\n\n", main), Options{}, false},
		"Spring Boot":     {signed(bootManifest, map[string]string{"BOOT-INF/classes/a/Main.class": class(8)}), Options{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, lib := range []string{"lib", "libs"} {
				write(t, filepath.Join(dir, lib, "x.jar"), pack(t, map[string]string{"x": "y"}))
			}
			a := open(t, write(t, filepath.Join(dir, "app.jar"), pack(t, c.files)), c.options)
			names := a.Names()
			for _, file := range []string{"META-INF/K.SF", "META-INF/k.rsa", "META-INF/SIG-EXTRA"} {
				if slices.Contains(names, file) != c.kept {
					t.Errorf("%s: kept %v", file, !c.kept)
				}
			}
			if !slices.Contains(names, "META-INF/services/k.SF") {
				t.Error("a service is no signature")
			}
			if said := strings.Contains(strings.Join(a.Warnings, "\n"), "the jar is signed"); said == c.kept {
				t.Errorf("warnings %q", a.Warnings)
			}
			if c.kept && string(a.manifest) != c.files[manifestName] {
				t.Errorf("manifest %q", a.manifest)
			}
		})
	}
}

// TestBootMarker: Spring Boot marks a jar with signed libraries by a file that
// looks like a signature and is none.
func TestBootMarker(t *testing.T) {
	files := map[string]string{manifestName: bootManifest, "META-INF/BOOT.SF": "", "BOOT-INF/classes/a/Main.class": class(8)}
	a := open(t, write(t, filepath.Join(t.TempDir(), "app.jar"), pack(t, files)), Options{})
	if len(a.Warnings) != 0 || slices.Contains(a.Names(), "META-INF/BOOT.SF") {
		t.Errorf("%q, %q", a.Warnings, a.Names())
	}
}
