package engine

import (
	"encoding/json"
	"reflect"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/types/image"
)

// same tells whether the engine's image is the one of file: its layers, and
// all of its config that the engine shows. What the engine leaves out is its
// history.
func same(there image.InspectResponse, file *v1.ConfigFile) bool {
	created, err := time.Parse(time.RFC3339Nano, there.Created)
	return err == nil && created.Equal(file.Created.Time) &&
		there.Os == file.OS && there.Architecture == file.Architecture && there.Variant == file.Variant &&
		len(there.RootFS.Layers) == len(file.RootFS.DiffIDs) && common(there, file.RootFS.DiffIDs) == len(file.RootFS.DiffIDs) &&
		reflect.DeepEqual(said(there.Config), said(file.Config))
}

// said is what a config says, whichever of the two packages wrote it down: its
// JSON without what is empty. It is nil for what has no JSON.
func said(config any) map[string]any {
	raw, err := json.Marshal(config)
	if err != nil {
		return nil
	}
	var all map[string]any
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	for name, value := range all {
		if v := reflect.ValueOf(value); !v.IsValid() || v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
			delete(all, name)
		}
	}
	return all
}
