package push

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestReferrersTagRace has many writers of one list: nobody's entry is lost.
func TestReferrersTagRace(t *testing.T) {
	s := newServer(t)
	in := makeImage(t, t.TempDir(), random(10))
	run := func(attachments func(context.Context, string) ([]Attachment, error)) error {
		deps := anonymous()
		deps.Attachments = attachments
		var b background
		if _, err := New(Config{Repository: s.host() + "/x"}, deps).Run(t.Context(), b.env(), in); err != nil {
			return err
		}
		return b.join(t.Context())
	}
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			kind := fmt.Sprintf("application/x-%d", i)
			if err := run(func(context.Context, string) ([]Attachment, error) {
				return []Attachment{{Name: kind, MediaType: kind, Content: []byte(kind)}}, nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	// A late writer may have overwritten one that had looked already: that
	// window stays, and the next run closes it.
	for range 4 {
		if len(listed(t, s.URL+"/v2/x/", in.Digest)) == 4 {
			return
		}
		for i := range 4 {
			kind := fmt.Sprintf("application/x-%d", i)
			if err := run(func(context.Context, string) ([]Attachment, error) {
				return []Attachment{{Name: kind, MediaType: kind, Content: []byte(kind)}}, nil
			}); err != nil {
				t.Error(err)
			}
		}
	}
	t.Errorf("%v", listed(t, s.URL+"/v2/x/", in.Digest))
}

// TestReferrersTagKeepsOthers: what others wrote stays as it was.
func TestReferrersTagKeepsOthers(t *testing.T) {
	theirs := json.RawMessage(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + strings.Repeat("a", 64) + `","size":5,"x-own":true}`)
	x := referrerIndex{Manifests: []json.RawMessage{theirs}}
	a, err := document(Attachment{Name: "sbom", MediaType: "a/b", Content: []byte("x")}, manifest{digest: "sha256:" + strings.Repeat("b", 64)})
	if err != nil {
		t.Fatal(err)
	}
	added, err := x.add([]artifact{a})
	again, err2 := x.add([]artifact{a})
	if !added || again || err != nil || err2 != nil || len(x.Manifests) != 2 || !bytes.Equal(x.Manifests[0], theirs) {
		t.Errorf("%v %v %s %v %v", added, again, x.Manifests, err, err2)
	}
	x.Manifests[0] = json.RawMessage(`7`)
	if _, err := x.add([]artifact{a}); err == nil {
		t.Error("a list of numbers")
	}
}
