package maven

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
)

// TestAWrappersMavenIsRunFromTheCache runs the distribution that a wrapper
// names on two hosts without it: the second asks for nothing.
func TestAWrappersMavenIsRunFromTheCache(t *testing.T) {
	needMaven(t)
	project := files(t, "pom.xml", `<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>a</artifactId><version>1</version><packaging>pom</packaging></project>`,
		"mvnw", "#!/bin/sh\necho the script ran\nexit 1\n",
		".mvn/wrapper/maven-wrapper.properties", "distributionUrl=https://repo.maven.apache.org/maven2/org/apache/maven/apache-maven/3.9.11/apache-maven-3.9.11-bin.zip\n")
	if err := os.Chmod(project+"/mvnw", 0o755); err != nil {
		t.Fatal(err)
	}
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	client := &http.Client{Transport: counted{&asked}}
	for host, want := range []int32{2, 2} { // the archive and its sha512, once
		s := step(t, Config{Dir: project, Goals: []string{"validate"}, Tune: TuneOff}, "MAVEN_USER_HOME="+t.TempDir())
		s.deps.Cache = &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Errorf("cache: %v", err) }}
		s.deps.HTTP = client
		r := runStep(t, t.Context(), s)
		if strings.Contains(r.output(), "the script ran") || !strings.Contains(r.output(), "BUILD SUCCESS") || !strings.Contains(r.said(), "Maven 3.9.11 from the distribution that the project's ./mvnw names") {
			t.Fatalf("host %d: %v\n%s\n%s", host, r.err, r.said(), r.output())
		}
		if asked.Load() != want {
			t.Errorf("host %d: %d requests, want %d", host, asked.Load(), want)
		}
	}
	// Out of reach, the project's own script is left to bring it.
	closed := httptest.NewServer(nil)
	closed.Close()
	s := step(t, Config{Dir: project, Goals: []string{"validate"}, Tune: TuneOff}, "MAVEN_USER_HOME="+t.TempDir(), "MVNW_REPOURL="+closed.URL)
	s.deps.Cache = &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Errorf("cache: %v", err) }}
	if r := runStep(t, t.Context(), s); !strings.Contains(r.output(), "the script ran") || !strings.Contains(r.said(), "./mvnw is left to bring it") {
		t.Errorf("unreachable: %s\n%s", r.said(), r.output())
	}
}

type counted struct{ n *atomic.Int32 }

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}
