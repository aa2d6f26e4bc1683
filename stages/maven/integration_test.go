package maven

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

func TestRunTellsACompileError(t *testing.T) {
	needMaven(t)
	r := runStep(t, t.Context(), step(t, Config{Dir: app(t, "broken/compile-error")}))
	mustFail(t, r.err, fault.BuildFailed, "src/main/java/com/example/Main.java:5: incompatible types: java.lang.String cannot be converted to int")
	found := of[runner.Diagnostic](r)
	if len(found) != 1 || found[0].Line != 5 || found[0].Column != 22 || !strings.Contains(found[0].Source, "int ") {
		t.Errorf("diagnostics %+v", found)
	}
}

func TestRunTellsAFailingTest(t *testing.T) {
	needMaven(t)
	r := runStep(t, t.Context(), step(t, Config{Dir: app(t, "broken/failing-test")}))
	mustFail(t, r.err, fault.TestsFailed, "PriceTest.roundsUp: gross of 11 ==> expected: <14> but was: <13>", "see src/test/java/com/example/PriceTest.java:20")
	if r.out.Tests != (runner.Tests{Run: 3, Failed: 1}) {
		t.Errorf("tests %+v", r.out.Tests)
	}
	found := of[runner.TestFailure](r)
	if len(found) != 1 || found[0].Frame != "src/test/java/com/example/PriceTest.java:20" {
		t.Errorf("failures %+v", found)
	}
}

func TestRunAsksForTheModule(t *testing.T) {
	needMaven(t)
	dir := app(t, "broken/two-apps")
	r := runStep(t, t.Context(), step(t, Config{Dir: dir}))
	mustFail(t, r.err, fault.BadInput, "api (api/target/api-1.0.0.jar)", "worker (worker/target/worker-1.0.0.jar)", "maven.module")
	r = runStep(t, t.Context(), step(t, Config{Dir: dir, Module: "worker"}))
	if r.err != nil || filepath.Base(r.out.Jar.Name) != "worker-1.0.0.jar" {
		t.Errorf("module worker: %v, %+v", r.err, r.out)
	}
	if strings.Contains(r.output(), "Building api") {
		t.Error("module worker does not need api, which was built")
	}
}
