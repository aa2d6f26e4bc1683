package proc

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func linesOf(chunks ...string) []string {
	var got []string
	l := NewLines(func(line string) { got = append(got, line) })
	for _, c := range chunks {
		_, _ = l.Write([]byte(c))
	}
	l.Flush()
	return got
}

func TestLines(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"unix":               {"a\nb\n", []string{"a", "b"}},
		"no last ending":     {"a\nb", []string{"a", "b"}},
		"windows":            {"a\r\nb\r\n", []string{"a", "b"}},
		"blank lines":        {"a\n\n\r\nb\r\n\r\n", []string{"a", "", "", "b", ""}},
		"progress":           {"1%\r2%\r3%\n", []string{"1%", "2%", "3%"}},
		"progress, CR first": {"\r1%\r2%\nend", []string{"1%", "2%", "end"}},
		"doubled CR":         {"a\r\r\nb\n", []string{"a", "b"}},
		"invalid UTF-8":      {"caf\xe9!\n", []string{"caf\uFFFD!"}},
		"nothing":            {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := linesOf(c.in); !slices.Equal(got, c.want) {
				t.Errorf("whole: got %q, want %q", got, c.want)
			}
			if got := linesOf(strings.Split(c.in, "")...); !slices.Equal(got, c.want) {
				t.Errorf("byte by byte: got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLinesBoundsHugeLines(t *testing.T) {
	in := strings.Repeat("x", MaxLine-1) + strings.Repeat("é", MaxLine) + "\nnext\n"
	got := linesOf(in)
	if last := got[len(got)-1]; last != "next" {
		t.Errorf("last line %q", last)
	}
	pieces := got[:len(got)-1]
	if strings.Join(pieces, "")+"\nnext\n" != in {
		t.Error("the pieces do not make up the line")
	}
	for i, p := range pieces {
		if len(p) > MaxLine || !utf8.ValidString(p) {
			t.Errorf("piece %d: %d bytes, valid %v", i, len(p), utf8.ValidString(p))
		}
	}
}

func FuzzLines(f *testing.F) {
	f.Add("a\r\nb\rc\n\n\xff", uint8(1))
	f.Fuzz(func(t *testing.T, in string, cut uint8) {
		whole := linesOf(in)
		i := min(int(cut), len(in))
		if got := linesOf(in[:i], in[i:]); !slices.Equal(got, whole) {
			t.Errorf("cut at %d: %q, whole: %q", i, got, whole)
		}
		for _, l := range whole {
			if strings.ContainsAny(l, "\r\n") || !utf8.ValidString(l) {
				t.Errorf("line %q", l)
			}
		}
	})
}
