package road

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/push"
)

// recordFile holds the outputs of the stages that last ended well, for --from.
const recordFile = "outputs.json"

// readRecord returns the outputs of earlier runs by stage name; a folder that
// has none gives an empty map.
func readRecord(dir string) (map[string]json.RawMessage, error) {
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the last run's outputs: %w", err)
	}
	record := map[string]json.RawMessage{}
	if err := json.Unmarshal(b, &record); err != nil {
		return nil, fault.New(fault.BadInput, "run once without --from", "read the last run's outputs in %s: %w", filepath.Join(dir, recordFile), err)
	}
	return record, nil
}

// LastImage is the image (repository@digest) that the last run of the project
// in dir pushed for an environment (empty: none); empty when none did.
func LastImage(dir, env string) (string, error) {
	record, err := readRecord(RecordDir(dir, env))
	if err != nil || record[stagePush] == nil {
		return "", err
	}
	out, err := decode[push.Out](record[stagePush])
	return out.Reference, err
}

// writeRecord keeps the outputs of a run. A stage that failed has none, and
// neither has one after it: what is recorded is always one chain.
func writeRecord(dir string, report runner.Report) error {
	record := map[string]json.RawMessage{}
	for _, s := range report.Steps {
		if s.Err != nil || s.Status == runner.Cancelled || len(s.Out) == 0 {
			break
		}
		record[s.Name] = s.Out
	}
	b, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, recordFile), b)
}
