package maven

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/stages/internal/mvn"
)

func TestCodeArtifactTokensReachMavenAndAreRenewed(t *testing.T) {
	const settings = `<settings><servers><server><id>ca</id><username>aws</username><password>${env.CA_TOKEN}</password></server></servers>
<mirrors><mirror><id>ca</id><mirrorOf>*</mirrorOf><url>https://corp-111122223333.d.codeartifact.eu-west-1.amazonaws.com/maven/r/</url></mirror></mirrors></settings>`
	c := Config{Dir: files(t, "pom.xml", "<project/>", "settings.xml", settings), Settings: "settings.xml"}
	s, secrets := talking(t, c)
	asked, lasts := 0, 12*time.Hour
	s.deps.Token = func(_ context.Context, w mvn.Token) (string, time.Time, error) {
		asked++
		if w.Domain != "corp" || w.Owner != "111122223333" || w.Region != "eu-west-1" {
			t.Errorf("asked for %+v", w)
		}
		return fmt.Sprintf("t0ken-%d", asked), time.Now().Add(lasts), nil
	}
	if err := s.Check(t.Context()); err != nil || asked != 0 {
		t.Fatalf("Check asked %d times, %v", asked, err)
	}
	if r := runStep(t, t.Context(), s); !strings.Contains(r.output(), "CA_TOKEN=t0ken-1") || asked != 1 || !slices.Contains(*secrets, "t0ken-1") {
		t.Errorf("asked %d times, secrets %q\n%s", asked, *secrets, r.output())
	}
	j, err := s.prepare(t.Context(), c.Dir)
	if err != nil {
		t.Fatal(err)
	}
	lasts = time.Minute
	for want := 2; want <= 3; want++ {
		j.asked = time.Time{} // long ago
		if err := s.tokens(t.Context(), silent, j); err != nil || j.host.Getenv("CA_TOKEN") != fmt.Sprintf("t0ken-%d", want) {
			t.Errorf("before start %d: %q, %v", want, j.host.Getenv("CA_TOKEN"), err)
		}
	}
	gone := errors.New("refused")
	s.deps.Token = func(context.Context, mvn.Token) (string, time.Time, error) { return "", time.Time{}, gone }
	if r := runStep(t, t.Context(), s); !errors.Is(r.err, gone) {
		t.Errorf("error %v", r.err)
	}
	s, _ = talking(t, c, "CA_TOKEN=mine")
	if r := runStep(t, t.Context(), s); !strings.Contains(r.output(), "CA_TOKEN=mine") {
		t.Errorf("the user's own token\n%s", r.output())
	}
}

func TestARepositoryOfThePomIsServed(t *testing.T) {
	const project = `<project><repositories><repository><id>corp</id><url>https://corp-111122223333.d.codeartifact.eu-west-1.amazonaws.com/maven/r/</url></repository></repositories></project>`
	const own = `<settings><servers><server><id>x</id><password>s3cret</password></server></servers></settings>`
	s, _ := talking(t, Config{Dir: files(t, "pom.xml", project, "own.xml", own), Settings: "own.xml"}, "XDG_RUNTIME_DIR="+t.TempDir())
	asked := 0
	s.deps.Token = func(context.Context, mvn.Token) (string, time.Time, error) {
		asked++
		return "t0ken-1", time.Now().Add(12 * time.Hour), nil
	}
	r := runStep(t, t.Context(), s)
	out := r.output()
	if !strings.Contains(out, "<id>x</id><password>s3cret</password></server><server><id>corp</id><username>aws</username><password>${env.FASTSHIP_CODEARTIFACT_TOKEN_1}</password></server></servers>") ||
		!strings.Contains(out, "FASTSHIP_CODEARTIFACT_TOKEN_1=t0ken-1") || !strings.Contains(out, "modes 600\nmodes 700") || asked != 1 {
		t.Errorf("asked %d times; Maven saw\n%s", asked, out)
	}
	if !strings.Contains(r.said(), "settings.xml has no <server> for corp of CodeArtifact: fastship adds it") {
		t.Errorf("said\n%s", r.said())
	}
	for name, c := range map[string]Config{
		"in the arguments": {Dir: s.config.Dir, Args: []string{"-s", "own.xml"}},
		"none":             {Dir: s.config.Dir},
	} {
		s.config.Args, s.config.Settings = c.Args, ""
		if out := runStep(t, t.Context(), s).output(); !strings.Contains(out, "<id>corp</id>") || strings.Contains(out, "<id>x</id>") != (c.Args != nil) {
			t.Errorf("settings %s: Maven saw\n%s", name, out)
		}
	}
	s.deps.Token = func(context.Context, mvn.Token) (string, time.Time, error) {
		return "", time.Time{}, errors.New("no credentials")
	}
	if r = runStep(t, t.Context(), s); strings.Count(r.said(), "warning: no credentials; Maven is left without it") != 1 || !strings.Contains(r.output(), "<id>corp</id>") {
		t.Errorf("without credentials said\n%s", r.said())
	}
}
