package maven

import (
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
	"github.com/fastship/fastship/cache/dir"
	"github.com/fastship/fastship/stages/internal/mvn"
)

// TestARemoteParentsRulesAreMet takes a company's parent out of a repository.
// Its enforcer plugin really runs, and lets only the newer Maven through.
func TestARemoteParentsRulesAreMet(t *testing.T) {
	needMaven(t)
	const parent = `<project><modelVersion>4.0.0</modelVersion><groupId>com.corp</groupId><artifactId>parent</artifactId><version>7</version><packaging>pom</packaging>
<properties><maven.min>3.9.10</maven.min></properties>
<build><plugins><plugin><groupId>org.apache.maven.plugins</groupId><artifactId>maven-enforcer-plugin</artifactId><version>3.5.0</version><executions>
<execution><id>versions</id><goals><goal>enforce</goal></goals><configuration><rules>
<requireMavenVersion><version>[${maven.min},3.99)</version></requireMavenVersion><requireJavaVersion><version>[8,90)</version></requireJavaVersion>
</rules></configuration></execution></executions></plugin></plugins></build></project>`
	remote := files(t, "com/corp/parent/7/parent-7.pom", parent)
	project := files(t, "pom.xml", `<project><modelVersion>4.0.0</modelVersion><parent><groupId>com.corp</groupId><artifactId>parent</artifactId><version>7</version><relativePath/></parent>
<artifactId>child</artifactId><packaging>pom</packaging>
<repositories><repository><id>corp</id><url>file://`+remote+`</url></repository></repositories></project>`)
	store, err := dir.Open(t.TempDir(), dir.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := step(t, Config{Dir: project, Goals: []string{"validate"}, Tune: TuneOff})
	s.deps.Cache = &cache.Cache{Blobs: store, Actions: store, Warn: func(err error) { t.Errorf("cache: %v", err) }}
	if l := mvn.FindLauncher(mvn.Host{Environ: s.deps.Environ}, project, project); l.AtLeast(3, 9, 10) && !l.AtLeast(4) {
		t.Skipf("Maven %s meets the rule", l.Version)
	}
	r := runStep(t, t.Context(), s)
	if n := strings.Count(r.output(), "enforcer-plugin:3.5.0:enforce (versions)") + strings.Count(r.output(), "- enforcer:3.5.0:enforce (versions)"); n != 1 || !strings.Contains(r.output(), "BUILD SUCCESS") {
		t.Fatalf("the plugin ran %d times, %v\n%s\n%s", n, r.err, r.said(), r.output())
	}
	const why = "Maven " + mvn.PinnedMaven + " from Maven's distribution: com.corp:parent:7 wants Maven [3.9.10,3.99), and PATH has "
	if !strings.Contains(r.said(), "Maven was started anew as "+why) {
		t.Errorf("said\n%s", r.said())
	}
	if p, err := s.Plan(t.Context(), In{}); err != nil || !strings.HasPrefix(p.Lines[1], "with "+why) {
		t.Errorf("the next run has forgotten: %q, %v", p.Lines, err)
	}
}
