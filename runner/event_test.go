package runner_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/fastship/fastship/runner"
)

func TestEventIsOneFlatObject(t *testing.T) {
	at := time.Date(2025, 3, 1, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	for want, e := range map[string]runner.Event{
		`{"time":"2025-03-01T11:00:00Z","event":"stage-started","stage":"maven"}`:                           {Time: at, Stage: "maven", Body: runner.StageStarted{}},
		`{"time":"2025-03-01T11:00:00Z","event":"note","text":"a \"quoted\" word"}`:                         {Time: at, Body: runner.Note{Text: `a "quoted" word`}},
		`{"time":"2025-03-01T11:00:00Z","event":"log","stage":"maven","stream":"stderr","line":"[ERROR]"}`:  {Time: at, Stage: "maven", Body: runner.Log{Stream: "stderr", Line: "[ERROR]"}},
		`{"time":"2025-03-01T11:00:00Z","event":"tests","stage":"maven","run":3,"failed":0,"skipped":1}`:    {Time: at, Stage: "maven", Body: runner.Tests{Run: 3, Skipped: 1}},
		`{"time":"2025-03-01T11:00:00Z","event":"stage-finished","stage":"a","status":"ran","seconds":1.5}`: {Time: at, Stage: "a", Body: runner.StageFinished{Status: runner.Ran, Seconds: 1.5}},
	} {
		b, err := json.Marshal(e)
		if err != nil || string(b) != want {
			t.Errorf("got  %s, %v\nwant %s", b, err, want)
		}
	}
}
