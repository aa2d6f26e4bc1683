package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestString(t *testing.T) {
	for name, c := range map[string]struct {
		secrets  []string
		in, want string
	}{
		"nothing to mask":     {nil, "text", "text"},
		"plain":               {[]string{"hunter2"}, "pw=hunter2;", "pw=***;"},
		"at both ends":        {[]string{"hunter2"}, "hunter2 and hunter2", "*** and ***"},
		"longest first":       {[]string{"pass", "password1"}, "password1 pass passw", "*** *** ***w"},
		"overlapping":         {[]string{"abcdef", "defghi"}, "xabcdefghix", "x***x"},
		"one within another":  {[]string{"xsecretx", "cret"}, "xsecrety", "xse***y"},
		"begins and fails":    {[]string{"abcabd"}, "abcabcabd abcab", "abc*** abcab"},
		"touching":            {[]string{"abcd"}, "abcdabcd", "***"},
		"too short":           {[]string{"abc", "", " "}, "abc", "abc"},
		"space is not secret": {[]string{" tok3n\n"}, "[tok3n]", "[***]"},
		"several lines":       {[]string{"first line\nsecond line\n}"}, "first line\nsecond line\n}", "***"},
		"one of its lines":    {[]string{"first line\n  second line\n}"}, "> second line }", "> *** }"},
		"lines with CRLF":     {[]string{"first line\r\nsecond line"}, "first line\nsecond line", "***\n***"},
		"unicode":             {[]string{"pässwörd"}, "x pässwörd y", "x *** y"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := New(c.secrets...).String(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestFormsAreMasked(t *testing.T) {
	const secret = "p<a>ss/wörd+?&\"1\n=="
	r := New(secret)
	quoted, _ := json.Marshal(secret)
	for name, in := range map[string]string{
		"base64":           base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64, raw":      base64.RawStdEncoding.EncodeToString([]byte(secret)),
		"base64 URL":       base64.URLEncoding.EncodeToString([]byte(secret)),
		"base64 URL, raw":  base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"query":            url.QueryEscape(secret),
		"path":             url.PathEscape(secret),
		"query, lower hex": strings.NewReplacer("%2F", "%2f", "%2B", "%2b", "%3F", "%3f", "%C3%B6", "%c3%b6", "%3C", "%3c", "%3E", "%3e", "%0A", "%0a", "%3D", "%3d").Replace(url.QueryEscape(secret)),
		"JSON":             string(quoted[1 : len(quoted)-1]),
	} {
		if got := r.String("<" + in + ">"); got != "<***>" {
			t.Errorf("%s: %s became %s", name, in, got)
		}
	}
}

func TestBase64WithinALongerTextIsMasked(t *testing.T) {
	const secret = "correct horse"
	r := New(secret)
	for _, user := range []string{"u:", "us:", "usr:", "user:"} {
		for _, after := range []string{"", "\n", "ab", "abc"} {
			in := base64.StdEncoding.EncodeToString([]byte(user + secret + after))
			got := r.String("Authorization: Basic " + in)
			masked := strings.TrimPrefix(got, "Authorization: Basic ")
			before, rest, ok := strings.Cut(masked, Mask)
			if !ok {
				t.Errorf("%q%q: %s", user, after, got)
				continue
			}
			// What is left of the secret: less than a character's bits at
			// each end.
			if left := in[len(before) : len(in)-len(rest)]; len(left) < (len(secret)*8-10)/6 {
				t.Errorf("%q%q: only %s of %s is masked", user, after, left, in)
			}
		}
	}
}

func TestWriterAcrossChunks(t *testing.T) {
	const in = "begin hunter2 hunter hunter2hunter2 base64 aHVudGVyMg== multi line one\nmulti line two end hun"
	r := New("hunter2", "multi line one\nmulti line two")
	want := r.String(in)
	if want != "begin *** hunter *** base64 *** *** end hun" {
		t.Fatalf("String gives %q", want)
	}
	for size := 1; size <= len(in); size++ {
		var out bytes.Buffer
		w := r.Writer(&out)
		for chunk := range slices.Chunk([]byte(in), size) {
			if n, err := w.Write(chunk); n != len(chunk) || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("chunks of %d: %q", size, out.String())
		}
	}
}

func TestWriterHoldsBackNoMoreThanItMust(t *testing.T) {
	var out bytes.Buffer
	w := New("hunter2").Writer(&out)
	for _, step := range []struct{ in, want string }{
		{"text\n", "text\n"},
		{"hunt", ""}, {"ing", "hunting"},
		{"hunter", ""}, {"2", ""}, {" ", "*** "},
		{"hun", ""},
	} {
		out.Reset()
		if _, err := w.Write([]byte(step.in)); err != nil || out.String() != step.want {
			t.Errorf("after %q: %q, want %q; %v", step.in, out.String(), step.want, err)
		}
	}
	out.Reset()
	if err := w.Flush(); err != nil || out.String() != "hun" {
		t.Errorf("flush gives %q, %v", out.String(), err)
	}
}

func TestAddWhileWriting(t *testing.T) {
	var out bytes.Buffer
	r := New("abcdefgh")
	w := r.Writer(&out)
	_, _ = w.Write([]byte("x abcdefghabcd"))
	r.Add("cdxyz!", "efghzz")
	_, _ = w.Write([]byte("xyz! efghzz abcdefgh"))
	_ = w.Close()
	if got := out.String(); got != "x ***ab*** *** ***" {
		t.Errorf("got %q", got)
	}
}

func TestAddIsSafeForConcurrentUse(t *testing.T) {
	r := New()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			w := r.Writer(&bytes.Buffer{})
			for j := range 50 {
				secret := strings.Repeat(string(rune('a'+i)), 8) + string(rune('0'+j%10))
				r.Add(secret)
				if got := r.String(secret); got != Mask {
					t.Errorf("%q after its Add", got)
				}
				_, _ = w.Write([]byte(secret))
			}
		})
	}
	wg.Wait()
}

func TestWriterReportsError(t *testing.T) {
	want := errors.New("disk full")
	w := New("hunter2").Writer(failing{want})
	if _, err := w.Write([]byte("text")); err != want {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (w failing) Write([]byte) (int, error) { return 0, w.err }

func TestFromEnv(t *testing.T) {
	got := FromEnv([]string{
		"HOME=/home/me", "PATH=/bin", "EMPTY_TOKEN=", "NOVALUE_TOKEN",
		"GITHUB_TOKEN=ghp_1", "my_secret_thing=s3cr3t=x", "Db_Password=tiger1", "PASSWD=correct", "SSH_PASSPHRASE=open sesame",
		"AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=aws/secret", "AWS_SESSION_TOKEN=session", "AWS_REGION=eu-west-1",
		"TOKEN_REQUIRED=true", "SECRETS=Enabled", "TOKEN_TTL=3600", "PASSWORD_MODE=file", "PIN_PASSWORD=12",
		"AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/token", "PASSWORD_FILE=not/a/path", "SIGNING_PRIVATE_KEY=-----BEGIN\nabc",
	})
	want := []string{
		"ghp_1", "s3cr3t=x", "tiger1", "correct", "open sesame",
		"AKIAEXAMPLE", "aws/secret", "session", "not/a/path", "-----BEGIN\nabc",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// FuzzWriter: no secret survives, however the text is cut, and what is not
// secret survives whole.
func FuzzWriter(f *testing.F) {
	f.Add("hunter2", "abcabd", "pw=hunter2 abcabcabd", []byte{3, 1, 2})
	f.Add("aaaa", "aaaaab", "aaaaaaaaabaaa", []byte{1})
	f.Add("first line\nsecond line", "second line x", "second line xfirst line", []byte{5, 5})
	f.Fuzz(func(t *testing.T, a, b, text string, cuts []byte) {
		if strings.Contains(a+b+text, "*") {
			t.Skip("an asterisk cannot be told from a mask")
		}
		r := New(a)
		var out bytes.Buffer
		w := r.Writer(&out)
		whole := a + text + b + a
		rest := whole
		for i, c := range cuts {
			n := min(int(c), len(rest))
			_, _ = w.Write([]byte(rest[:n]))
			rest = rest[n:]
			if i == 0 {
				r.Add(b)
			}
		}
		r.Add(b)
		_, _ = w.Write([]byte(rest))
		_ = w.Close()
		for i, got := range []string{out.String(), r.String(whole)} {
			for j, secret := range []string{a, b} {
				if i == 0 && j == 1 && len(cuts) > 0 {
					continue // what was written before b was added may hold it
				}
				if secret = strings.TrimSpace(secret); len(secret) >= Min && strings.Contains(got, secret) {
					t.Errorf("%q survives in %q", secret, got)
				}
			}
		}
		if !isMasking(out.String(), whole) {
			t.Errorf("%q became %q", whole, out.String())
		}
	})
}

// isMasking tells whether masked can come from whole by replacing runs of
// bytes with masks: the pieces between masks occur in it in order.
func isMasking(masked, whole string) bool {
	for piece := range strings.SplitSeq(masked, Mask) {
		_, after, ok := strings.Cut(whole, piece)
		if !ok {
			return false
		}
		whole = after
	}
	return true
}

func BenchmarkWriter(b *testing.B) {
	var secrets []string
	for i := range 30 {
		secrets = append(secrets, strings.Repeat(string(rune('A'+i)), 40))
	}
	w := New(secrets...).Writer(discard{})
	line := []byte("[INFO] Downloaded from central: https://repo.maven.apache.org/maven2/org/foo/foo-1.2.jar (12 kB at 3 MB/s)\n")
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		_, _ = w.Write(line)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
