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
		if err := s.tokens(t.Context(), j); err != nil || j.host.Getenv("CA_TOKEN") != fmt.Sprintf("t0ken-%d", want) {
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
