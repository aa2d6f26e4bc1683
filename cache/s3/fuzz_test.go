package s3

import (
	"bytes"
	"errors"
	"testing"

	"github.com/fastship/fastship/cache"
)

// FuzzObject reads any bytes as a pointer: they are refused as absent, or
// their first line is the sum over the name and the rest.
func FuzzObject(f *testing.F) {
	for _, v := range []pointerBody{{}, {Mark: "m", Value: []byte("v")}} {
		b, err := frame(pointerFormat, "main", v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("main", b)
		f.Add("other", b)
		f.Add("main", b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		var body pointerBody
		err := unframe(pointerFormat, name, b, &body)
		if err != nil {
			if !errors.Is(err, cache.ErrNotFound) {
				t.Errorf("refused as %v", err)
			}
			return
		}
		if first, rest, _ := bytes.Cut(b, []byte("\n")); string(first) != head(pointerFormat, name, rest) {
			t.Errorf("%q is taken for pointer %q", b, name)
		}
	})
}
