package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/s3/s3test"
	"github.com/fastship/fastship/cache/tree"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
)

// policy is a document of docs/cache.md for the tests' bucket and a prefix.
func policy(t *testing.T, name, prefix string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "policies", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("BUCKET", s3test.Bucket, "PREFIX", prefix).Replace(string(b))
}

// TestDocumentShowsThePolicies holds the text that people copy to the files
// that are tried below.
func TestDocumentShowsThePolicies(t *testing.T) {
	doc, err := os.ReadFile("../../docs/cache.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/policies/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(doc, []byte("```json\n"+string(want)+"```\n")) {
			t.Errorf("docs/cache.md does not show %s as it is", file)
		}
	}
}

// TestPolicies tries the two policies against a server that enforces them.
func TestPolicies(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") == "" {
		t.Skip("set FASTSHIP_INTEGRATION=1 to run real servers")
	}
	endpoint, prefix := servers.Start(t, s3test.MinIO), "team/"+rand.Text()
	as := func(role, scope string) *Store {
		t.Helper()
		session, err := credentials.NewSTSAssumeRole(endpoint, credentials.STSAssumeRoleOptions{AccessKey: s3test.AccessKey, SecretKey: s3test.SecretKey, Policy: policy(t, role, prefix), Location: s3test.Region})
		if err != nil {
			t.Fatal(err)
		}
		v, err := session.GetWithContext(&credentials.CredContext{Context: t.Context()})
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseURL("s3://" + s3test.Bucket + "/" + prefix + "?path-style=true&region=" + s3test.Region + "&endpoint=" + url.QueryEscape(endpoint))
		if err != nil {
			t.Fatal(err)
		}
		c.RequestTimeout, c.Budget = time.Minute, 5*time.Minute
		c.Scope, c.Credentials = scope, awscredentials.NewStaticCredentialsProvider(v.AccessKeyID, v.SecretAccessKey, v.SessionToken)
		s, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	trusted, untrusted := as("trusted", "trusted"), as("untrusted", "untrusted/pr-1")
	t.Run("trusted does everything", func(t *testing.T) { everything(t, trusted, nil) })
	t.Run("untrusted does everything in its own scope", func(t *testing.T) { everything(t, untrusted, as("untrusted", "trusted")) })

	b := []byte("what trusted builds read")
	d, err := put(t, trusted, b)
	if err != nil {
		t.Fatal(err)
	}
	key := cache.Key(strings.Repeat("k", 64))
	if err := trusted.PutAction(t.Context(), key, cache.Action{Outputs: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	version, err := trusted.PutPointer(t.Context(), "main", []byte("1"), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("untrusted reads trusted", func(t *testing.T) {
		s := as("untrusted", "trusted")
		r, err := s.Open(t.Context(), d, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, b) {
			t.Errorf("blob %q, %v", got, err)
		}
		if _, err := s.GetAction(t.Context(), key); err != nil {
			t.Error(err)
		}
		if p, err := s.GetPointer(t.Context(), "main"); err != nil || string(p.Value) != "1" {
			t.Errorf("pointer %q, %v", p.Value, err)
		}
		if _, err := s.GetPointer(t.Context(), "absent"); !errors.Is(err, cache.ErrNotFound) {
			t.Errorf("an absent pointer is no refusal: %v", err)
		}
	})
	large := make([]byte, maxSingle+1)
	_, _ = rand.Read(large)
	t.Run("untrusted writes nothing into trusted", func(t *testing.T) {
		for name, write := range map[string]func(s *Store) error{
			"blob":           func(s *Store) error { _, err := put(t, s, []byte("poison")); return err },
			"large blob":     func(s *Store) error { _, err := put(t, s, large); return err },
			"action":         func(s *Store) error { return s.PutAction(t.Context(), key, cache.Action{}) },
			"new pointer":    func(s *Store) error { _, err := s.PutPointer(t.Context(), "other", nil, ""); return err },
			"known pointer":  func(s *Store) error { _, err := s.PutPointer(t.Context(), "main", nil, version); return err },
			"delete blob":    func(s *Store) error { return s.Delete(t.Context(), d) },
			"delete action":  func(s *Store) error { return s.DeleteAction(t.Context(), key) },
			"delete pointer": func(s *Store) error { return s.DeletePointer(t.Context(), "main") },
			"renew": func(s *Store) error {
				s.now = func() time.Time { return time.Now().Add(13 * time.Hour) }
				_, err := put(t, s, b)
				return err
			},
		} {
			if err := write(as("untrusted", "trusted")); !errors.Is(err, cache.ErrReadOnly) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p, err := trusted.GetPointer(t.Context(), "main"); err != nil || p.Version != version {
			t.Errorf("pointer: %+v, %v", p, err)
		}
		for range trusted.ListPointers(t.Context(), "other") {
			t.Error("there is another pointer")
		}
	})
	t.Run("trusted reads nothing untrusted", func(t *testing.T) {
		if _, err := put(t, untrusted, b); err != nil {
			t.Fatal(err)
		}
		s := as("trusted", "untrusted/pr-1")
		if _, err := s.Open(t.Context(), d, 0, -1); err == nil || errors.Is(err, cache.ErrNotFound) {
			t.Errorf("open: %v", err)
		}
		for _, err := range s.List(t.Context()) {
			if err == nil {
				t.Error("it was listed")
			}
		}
	})
	t.Run("the lifecycle is one", func(t *testing.T) {
		rules := lifecycle.NewConfiguration()
		if err := json.Unmarshal([]byte(policy(t, "lifecycle", prefix)), rules); err != nil {
			t.Fatal(err)
		}
		if len(rules.Rules) != 2 || rules.Rules[1].AbortIncompleteMultipartUpload.DaysAfterInitiation != 1 {
			t.Errorf("%+v", rules)
		}
		rules.Rules = rules.Rules[:1] // minio drops unfinished uploads by itself and refuses a rule for them
		owner := s3test.Client(t, endpoint)
		if err := owner.SetBucketLifecycle(t.Context(), s3test.Bucket, rules); err != nil {
			t.Fatal(err)
		}
		got, err := owner.GetBucketLifecycle(t.Context(), s3test.Bucket)
		if err != nil || got.Rules[0].RuleFilter.Prefix != prefix+"/v1/untrusted/" || got.Rules[0].Expiration.Days != 14 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("nobody leaves the prefix", func(t *testing.T) {
		for _, s := range []*Store{trusted, untrusted} {
			if _, err := s.core.PutObject(t.Context(), s.bucket, "team/other", bytes.NewReader(b), int64(len(b)), "", "", s.putOptions()); status(err) != 403 {
				t.Errorf("write: %v", err)
			}
			if _, err := s.core.ListObjectsV2(s.bucket, "team/", "", "", "", 1); status(err) != 403 {
				t.Errorf("list: %v", err)
			}
		}
	})
}

// everything uses each request that the product sends.
func everything(t *testing.T, own *Store, base *Store) {
	t.Helper()
	ctx := t.Context()
	large := make([]byte, maxSingle+1)
	_, _ = rand.Read(large)
	if err := own.Put(ctx, cache.Sum(nil), int64(len(large)), bytes.NewReader(large)); !errors.Is(err, cache.ErrCorrupt) {
		t.Errorf("an upload that is dropped: %v", err)
	}
	d, err := put(t, own, large)
	if err != nil {
		t.Fatal(err)
	}
	own.now = func() time.Time { return time.Now().Add(13 * time.Hour) }
	if _, err := put(t, own, large); err != nil {
		t.Errorf("renew: %v", err)
	}
	own.now = time.Now
	if _, err := own.Stat(ctx, cache.Sum([]byte("absent"))); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("an absent blob: %v", err)
	}
	if _, err := own.GetAction(ctx, "absent"); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("an absent action: %v", err)
	}
	if err := errors.Join(own.Delete(ctx, d), own.PutAction(ctx, "a", cache.Action{Outputs: []byte(`{}`)}), own.Check(ctx)); err != nil {
		t.Error(err)
	}
	var warned []error
	cfg := tree.Config{Own: own, Warn: func(err error) { warned = append(warned, err) }}
	if base != nil {
		cfg.Base = base
	}
	c := tree.New(cfg)
	save := func(from *tree.Tree, path string) *tree.Tree {
		t.Helper()
		got, err := c.Save(ctx, tree.Change{Pointer: "main", From: from, Add: []tree.File{{Path: path, Size: int64(len(path)), Mode: 0o644,
			Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(path)), nil }}}})
		if err != nil {
			t.Fatal(err)
		}
		return got.Tree
	}
	save(save(nil, "a.pom"), "b.pom")
	found, _, err := c.Find(ctx, "absent", "main")
	if err != nil || found.Len() != 2 {
		t.Fatalf("%v, %v", found, err)
	}
	var want []tree.Entry
	for e := range found.All() {
		want = append(want, e)
	}
	missing, err := c.Fetch(ctx, found, want, func(_ context.Context, e tree.Entry, r io.Reader) error {
		b, err := io.ReadAll(r)
		if string(b) != e.Path || e.Mode != fs.FileMode(0o644) {
			t.Errorf("%s holds %q", e.Path, b)
		}
		return err
	})
	if err != nil || len(missing) > 0 {
		t.Errorf("%v, %v", missing, err)
	}
	if got, err := c.Verify(ctx, false); err != nil {
		t.Errorf("verify: %+v, %v", got, err)
	}
	late2 := tree.New(tree.Config{Own: own, Now: func() time.Time { return time.Now().Add(90 * 24 * time.Hour) }})
	if got, err := late2.GC(ctx, tree.GCOptions{}); err != nil {
		t.Errorf("gc: %+v, %v", got, err)
	}
	for b, err := range own.List(ctx) {
		t.Errorf("gc left %v, %v", b, err)
	}
	if len(warned) > 0 {
		t.Errorf("warnings: %v", errors.Join(warned...))
	}
}
