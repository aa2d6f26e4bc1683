package mvn

import (
	"slices"
	"testing"
)

func TestVersionsAreOrderedAsMavenOrdersThem(t *testing.T) {
	want := []string{"3.6.3", "3.8.1", "3.9.0-alpha-1", "3.9", "3.9.9", "3.9.16", "4.0.0-alpha-13", "4.0.0-beta-5", "4.0.0-rc-2", "4.0.0-rc-10", "4.0.0"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, CompareVersions)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if CompareVersions("3.9", "3.9.0") != 0 || CompareVersions("1.8.0", "1.8") != 0 {
		t.Error("a missing number is not 0")
	}
}

func TestRange(t *testing.T) {
	for spec, c := range map[string]struct{ in, out []string }{
		"3.9.9":            {[]string{"3.9.9", "3.9.16", "4.0.0"}, []string{"3.9.8", "3.8.7", "3.9.9-rc-1"}},
		"[3.9,)":           {[]string{"3.9.0", "4.0.0"}, []string{"3.8.9"}},
		"(3.9.1,)":         {[]string{"3.9.2"}, []string{"3.9.1"}},
		"[3.6.3,4)":        {[]string{"3.6.3", "3.9.16"}, []string{"3.6.2", "4.0.0"}},
		"(,3.9]":           {[]string{"3.8.7", "3.9.0"}, []string{"3.9.1"}},
		"[3.9.9]":          {[]string{"3.9.9"}, []string{"3.9.8", "3.9.10"}},
		"[3.6,3.7),[3.9,)": {[]string{"3.6.3", "3.9.1"}, []string{"3.8.7"}},
		"[1.8, 18)":        {[]string{"1.8.0", "17.0.1"}, []string{"1.7", "18"}},
	} {
		r, ok := ParseRange(spec)
		if !ok {
			t.Errorf("%s is not read", spec)
		}
		for _, v := range c.in {
			if !r.Holds(v) {
				t.Errorf("%s does not hold %s", spec, v)
			}
		}
		for _, v := range c.out {
			if r.Holds(v) {
				t.Errorf("%s holds %s", spec, v)
			}
		}
	}
	for _, spec := range []string{"", "${x}", "[", "[3.9", "3.9,4]", "[,]", "[3.9,)x"} {
		if r, ok := ParseRange(spec); ok {
			t.Errorf("%q is read as %v", spec, r)
		}
	}
}
