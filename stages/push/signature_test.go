package push

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

// TestSigningIsClosed: without the signature there is no tag.
func TestSigningIsClosed(t *testing.T) {
	s := newServer(t)
	s.misbehave(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, ".sig") && r.Method == http.MethodPut {
			w.WriteHeader(403)
			return true
		}
		return false
	})
	in := makeImage(t, t.TempDir(), random(10))
	deps := anonymous()
	deps.Attachments, deps.Cache = documentsOf, newMemory(t)
	config := Config{Repository: s.host() + "/x", Tags: []string{"v1"}, Sign: Sign{Key: keyFile(t)}}
	var b background
	if _, err := New(config, deps).Run(t.Context(), b.env(), in); fault.ClassOf(err) != fault.ImageFailed {
		t.Errorf("%v", err)
	}
	if resp, err := http.Head(s.URL + "/v2/x/manifests/v1"); err != nil || resp.StatusCode != 404 || len(b.left) != 0 {
		t.Errorf("the tag moved: %v, %v", resp.StatusCode, err)
	}
	s.misbehave(nil)
	if _, err := New(config, deps).Run(t.Context(), b.env(), in); err != nil {
		t.Fatal(err)
	}
	if by := listed(t, s.URL+"/v2/x/", in.Digest); len(by) != 4 {
		t.Errorf("%+v", by)
	}
	s.take()
	if _, err := New(config, deps).Run(t.Context(), b.env(), in); err != nil {
		t.Fatal(err)
	}
	if got := s.take(); len(got) > 2 {
		t.Errorf("unchanged: %v", got)
	}
	// Where nothing is remembered the signatures there are seen to be ours.
	deps.Cache = nil
	before := tagDigest(t, s, in, ".att")
	if _, err := New(config, deps).Run(t.Context(), b.env(), in); err != nil || tagDigest(t, s, in, ".att") != before {
		t.Errorf("signed again: %v", err)
	}
	// Another key's come beside them.
	config.Sign.Key = keyFile(t)
	if _, err := New(config, deps).Run(t.Context(), b.env(), in); err != nil || tagDigest(t, s, in, ".att") == before {
		t.Errorf("not signed by another key: %v", err)
	}
}

// TestCopyBringsSignatures: an image that is promoted is as signed as it was.
func TestCopyBringsSignatures(t *testing.T) {
	s, target := newServer(t), newServer(t)
	in := makeImage(t, t.TempDir(), random(10))
	deps := anonymous()
	deps.Attachments = documentsOf
	r, err := New(Config{Repository: s.host() + "/x", Sign: Sign{Key: keyFile(t)}}, deps).Run(t.Context(), (&events{}).env(), in)
	if err != nil {
		t.Fatal(err)
	}
	from := CopyIn{Reference: r.Out.Reference, Tags: []string{"v1"}}
	if _, err := NewCopy(Config{Repository: target.host() + "/x"}, anonymous(), from).Run(t.Context(), (&events{}).env(), from); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".sig", ".att"} {
		if tagDigest(t, s, in, suffix) != tagDigest(t, target, in, suffix) {
			t.Errorf("%s is another one", suffix)
		}
	}
	if by := listed(t, target.URL+"/v2/x/", in.Digest); len(by) != 4 {
		t.Errorf("%+v", by)
	}
}

func tagDigest(t *testing.T, s *server, in In, suffix string) string {
	t.Helper()
	resp, err := http.Head(s.URL + "/v2/x/manifests/" + strings.Replace(in.Digest, ":", "-", 1) + suffix)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	return resp.Header.Get("Docker-Content-Digest")
}

func TestPlanTellsOfTheKey(t *testing.T) {
	s := newServer(t)
	step := New(Config{Repository: s.host() + "/x", Sign: Sign{Key: "awskms:///alias/x"}}, anonymous())
	for _, in := range []In{{}, makeImage(t, t.TempDir(), random(10))} {
		p, err := step.Plan(t.Context(), in)
		if err != nil || !slices.Contains(p.Lines, "sign it by awskms:///alias/x before it gets its tags") {
			t.Errorf("%q, %v", p.Lines, err)
		}
	}
}

func TestCheckReadsTheKey(t *testing.T) {
	s := newServer(t)
	err := New(Config{Repository: s.host() + "/x", Sign: Sign{Key: "absent.key"}, Dir: t.TempDir()}, anonymous()).Check(t.Context())
	if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "absent.key") || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

// TestCosign has cosign itself look at what a push left in Debian's registry,
// in ggcr's, and with its own key.
func TestCosign(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("set FASTSHIP_INTEGRATION=1")
	}
	cosign, err := exec.LookPath("cosign")
	if err != nil {
		t.Skip("no cosign: go install github.com/sigstore/cosign/v2/cmd/cosign@latest")
	}
	home := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(cosign, args...)
		cmd.Dir, cmd.Env = home, []string{"HOME=" + home, "COSIGN_PASSWORD=a secret", "PATH=" + os.Getenv("PATH")}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("cosign %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("generate-key-pair")
	for name, host := range map[string]string{"ggcr": withReferrers(t).host(), "distribution": distribution(t)} {
		t.Run(name, func(t *testing.T) {
			in := makeImage(t, t.TempDir(), random(10))
			deps := anonymous()
			deps.Attachments = documentsOf
			deps.Getenv = func(name string) (string, bool) { return "a secret", name == "COSIGN_PASSWORD" }
			step := New(Config{Repository: host + "/team/orders", Tags: []string{"v1"}, Sign: Sign{Key: "cosign.key"}, Dir: home}, deps)
			if err := step.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			var b background
			if _, err := step.Run(t.Context(), b.env(), in); err != nil {
				t.Fatal(err)
			}
			common := []string{"--key", "cosign.pub", "--insecure-ignore-tlog=true", "--allow-http-registry"}
			if said := run(slices.Concat([]string{"verify", host + "/team/orders:v1"}, common)...); !strings.Contains(said, in.Digest) {
				t.Errorf("cosign verify: %s", said)
			}
			for _, kind := range []string{"cyclonedx", "slsaprovenance1"} {
				if said := run(slices.Concat([]string{"verify-attestation", host + "/team/orders:v1", "--type", kind}, common)...); !strings.Contains(said, "payload") {
					t.Errorf("cosign verify-attestation %s: %s", kind, said)
				}
			}
			if by := listed(t, "http://"+host+"/v2/team/orders/", in.Digest); len(by) != 4 {
				t.Errorf("referrers %+v", by)
			}
		})
	}
}
