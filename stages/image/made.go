package image

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/stages/image/inspect"
)

// keepMade records what the image was made of, beside what the one before it
// was, for fastship image inspect to tell why a layer was made again. A record
// that cannot be written is missed there and nowhere else.
func (s *Step) keepMade(out Out, app application) {
	if s.deps.State == "" {
		return
	}
	file := filepath.Join(s.deps.State, inspect.MadeFile)
	old, err := os.ReadFile(file)
	if err == nil && bytes.HasPrefix(old, []byte(`{"digest":"`+out.Digest+`"`)) {
		return // it is not decoded at each run
	}
	now := inspect.Record{Made: inspect.Made{
		Digest: out.Digest, Base: out.Base,
		Packing: s.config.packing() + ", " + s.config.codec(true).Name + ", " + s.config.codec(false).Name,
	}}
	for _, l := range out.Layers {
		now.Layers = append(now.Layers, inspect.MadeLayer{Role: l.Name, Digest: string(l.Digest), Inputs: app.Inputs[l.Name]})
	}
	var before inspect.Record
	if err == nil && json.Unmarshal(old, &before) == nil {
		now.Previous = &before.Made
	}
	if text, err := json.Marshal(now); err == nil {
		_ = atomicfile.Write(file, text, 0o644)
	}
}

// inputsOf are a layer's files, as they are recorded.
func inputsOf(files []layerFile) []inspect.Input {
	all := make([]inspect.Input, len(files))
	for i, f := range files {
		all[i] = inspect.Input{Path: f.Path, Digest: string(f.Digest)}
	}
	return all
}
