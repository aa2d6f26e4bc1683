package source

import "testing"

// FuzzParsers holds that what git, a pom or a .gitignore says cannot crash
// the step, and that a match never depends on being asked twice.
func FuzzParsers(f *testing.F) {
	f.Add("H 100644 abc 0\tpath\x00", "a/b")
	f.Add("# branch.oid (initial)\x001 .M N... 100644 100644 100644 a b x\x00? y/\x00", "x")
	f.Add("2 R. N... 1 1 1 a b R100 new\x00old\x00u UU N... 1 2 3 4 a b c p\x00", "p")
	f.Add("<project><parent><relativePath>../x</relativePath></parent><modules><module>../m</module>", "m")
	f.Add("*.log\n!a/**\n[\n\\ \n{a,b}\n", "a/x.log")
	f.Fuzz(func(t *testing.T, text, name string) {
		_, _ = parseIndex(text)
		_, _ = parseStatus(text)
		_, _ = references([]byte(text))
		_ = withoutCredentials(text)
		if r, ok := parseIgnore(text); ok {
			if first, again := r.match(name), r.match(name); first != again {
				t.Errorf("%q matches %q now and then", text, name)
			}
		}
		isOutput(name, func(string) bool { return true })
	})
}
