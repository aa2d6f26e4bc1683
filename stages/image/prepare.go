package image

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/stages/image/jre"
)

// needsFile, in the project's state folder, is what the last application
// needed of its base. It changes as seldom as the base does.
const needsFile = "needs.json"

// prepared is the base that the application gets if it needs what the last one
// needed: looked up, not made, so that nothing is kept under a key that is
// older than what it is made of.
type prepared struct {
	targets []target
	needs   []byte // as JSON
	bases   []base // fewer than targets when one has to be made
}

// Prepare implements runner.Preparer: it looks up the base, and makes the layers
// of libraries that are foreseen.
func (s *Step) Prepare(ctx context.Context) {
	s.prepareBase(ctx)
	s.makeAhead(ctx)
}

// prepareBase identifies the JDK, and looks up the base with all that goes into
// its key.
func (s *Step) prepareBase(ctx context.Context) {
	s.mu.Lock()
	p := &prepared{targets: slices.Clone(s.checked), needs: s.lastNeeds()}
	s.mu.Unlock()
	var needs jre.Needs
	if len(p.targets) == 0 || json.Unmarshal(p.needs, &needs) != nil {
		return
	}
	s.settle(ctx)
	for _, t := range p.targets {
		if _, err := t.linker.Identity(); err != nil || ctx.Err() != nil {
			return // Run says why
		}
		request, err := s.request(t, needs)
		if err != nil {
			return
		}
		b, ok := jre.Lookup(ctx, s.deps.Cache, request)
		if !ok {
			break // Run makes it
		}
		p.bases = append(p.bases, linkedBase(t, b, true))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prepared = p
}

// again gives the JDKs the identities that Prepare has read.
func (s *Step) again(targets []target) []target {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.prepared == nil {
		return targets
	}
	for i := range min(len(targets), len(s.prepared.targets)) {
		targets[i].jdk = targets[i].jdk.Again(s.prepared.targets[i].jdk)
		targets[i].linker = targets[i].linker.Again(s.prepared.targets[i].linker)
	}
	return targets
}

// takePrepared returns the bases that Prepare has found, once, where they are
// those of these targets and needs; else nil.
func (s *Step) takePrepared(targets []target, needs jre.Needs) []base {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.prepared
	s.prepared = nil
	text, err := json.Marshal(needs)
	if p == nil || len(p.bases) != len(targets) || err != nil || !bytes.Equal(p.needs, text) {
		return nil
	}
	for i, t := range targets {
		now, err := t.jdk.Identity()
		then, thenErr := p.targets[i].jdk.Identity()
		if err != nil || thenErr != nil || now != then || !t.platform.Equals(p.targets[i].platform) {
			return nil
		}
	}
	return p.bases
}

// lastNeeds reads what the last application needed; nothing when nobody knows.
func (s *Step) lastNeeds() []byte {
	if s.deps.State == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(s.deps.State, needsFile))
	if err != nil {
		return nil
	}
	return text
}

// keepNeeds writes them down for the next run. Without them nothing is
// prepared.
func (s *Step) keepNeeds(n jre.Needs) {
	text, err := json.Marshal(n)
	if err != nil || s.deps.State == "" || s.config.Base != jlink || bytes.Equal(s.lastNeeds(), text) {
		return
	}
	_ = atomicfile.Write(filepath.Join(s.deps.State, needsFile), text, 0o644)
}
