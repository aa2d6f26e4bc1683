package mvn

import (
	"archive/zip"
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/internal/fault"
)

// archive is a distribution in miniature.
func archive(t *testing.T, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range names {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		w, err := z.CreateHeader(h)
		if err == nil && !strings.HasSuffix(name, "/") {
			_, err = w.Write([]byte("#!/bin/sh\n"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func store(t *testing.T) *cache.Cache {
	t.Helper()
	s, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &cache.Cache{Blobs: s, Actions: s, Warn: func(err error) { t.Errorf("cache: %v", err) }}
}

func distributionOf(content []byte) Distribution {
	sum := sha512.Sum512(content)
	return Distribution{Version: "1.2.3", SHA512: hex.EncodeToString(sum[:]), HTTP: http.DefaultClient}
}

func TestTheDistributionIsDownloadedOnce(t *testing.T) {
	content := archive(t, "apache-maven-1.2.3/", "apache-maven-1.2.3/bin/mvn", "apache-maven-1.2.3/lib/a.jar")
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		user, password, _ := r.BasicAuth()
		if r.URL.Path != "/maven/org/apache/maven/apache-maven/1.2.3/apache-maven-1.2.3-bin.zip" || user != "ci" || password != "pw" || r.Header.Get("X-Team") != "blue" {
			t.Errorf("request %s as %s:%s, %v", r.URL, user, password, r.Header)
		}
		_, _ = w.Write(content)
	}))
	defer server.Close()
	settings := Settings{
		Mirrors: []Mirror{{ID: "corp", Of: "*", URL: server.URL + "/maven"}},
		Servers: []Server{{ID: "corp", Username: "ci", Password: "pw", Headers: []Header{{"X-Team", "blue"}}}},
	}
	c, d := store(t), distributionOf(content)
	var progress [][2]int64
	d.Tell = func(done, total int64) { progress = append(progress, [2]int64{done, total}) }
	if d.Kept(t.Context(), c) {
		t.Error("kept before it was there")
	}
	for range 2 {
		mvn, release, err := d.Provide(t.Context(), c, settings)
		if err != nil {
			t.Fatal(err)
		}
		if !executable(mvn) {
			t.Errorf("%s cannot be run", mvn)
		}
		release()
	}
	if asked.Load() != 1 || !d.Kept(t.Context(), c) {
		t.Errorf("%d downloads, kept %v", asked.Load(), d.Kept(t.Context(), c))
	}
	if n := int64(len(content)); len(progress) == 0 || progress[len(progress)-1] != [2]int64{n, n} {
		t.Errorf("progress %v", progress)
	}
}

func TestADistributionThatIsNotTheOnePinnedIsNotKept(t *testing.T) {
	content := archive(t, "apache-maven-1.2.3/bin/mvn")
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		server  Server
		want    []string
	}{
		"other bytes": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content[1:]) }, Server{}, []string{"sha512 is", "not the archive that Apache published"}},
		"cut short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99999")
			_, _ = w.Write(content)
		}, Server{}, []string{"unexpected EOF"}},
		"not there":    {http.NotFound, Server{}, []string{"404 Not Found", "install Maven"}},
		"unauthorized": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, Server{}, []string{"401 Unauthorized", "credentials of <server> corp"}},
		"encrypted":    {http.NotFound, Server{ID: "corp", Username: "ci", Password: "{jSMOWnoPFgsHVpMvz5VrIt5kRbzGpI8u+9EF1iFQyJQ=}"}, []string{"encrypted"}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			store, d := store(t), distributionOf(content)
			s := Settings{Mirrors: []Mirror{{ID: "corp", Of: "central", URL: server.URL}}, Servers: []Server{c.server}}
			_, _, err := d.Provide(t.Context(), store, s)
			if fault.ClassOf(err) != fault.Missing {
				t.Fatalf("class %v: %v", fault.ClassOf(err), err)
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error()+fault.HintOf(err), part) {
					t.Errorf("%q is not in %v (%s)", part, err, fault.HintOf(err))
				}
			}
			if d.Kept(t.Context(), store) {
				t.Error("it was kept")
			}
			for b, err := range store.Blobs.List(t.Context()) {
				t.Errorf("blob %v was kept (%v)", b, err)
			}
		})
	}
}

func TestUnpackStaysInItsFolder(t *testing.T) {
	path := t.TempDir() + "/x.zip"
	if err := os.WriteFile(path, archive(t, "../outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unpack(path, t.TempDir()); err == nil {
		t.Error("a file was written outside of the folder")
	}
}
