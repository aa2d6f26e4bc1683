package scratch

import (
	"fmt"
	"os"
)

// File makes a temporary file without a name: it is gone when it is closed, or
// when its process ends, however that is.
func File() (*os.File, error) {
	f, err := os.CreateTemp("", "fastship-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	return f, nil
}
