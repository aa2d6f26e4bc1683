package rollout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

const fileYAML = `
family: web
networkMode: awsvpc
requiresCompatibilities: [FARGATE]
cpu: "512"
memory: "1024"
containerDefinitions:
  - name: app
    image: to-be-replaced
    portMappings: [{containerPort: 8080}]
    environment:
      - {name: STAGE, value: "${STAGE:-test}"}
      - {name: PRICE, value: "$${PRICE}"}
`

// TestDefinitionFile: a file is the truth; what it says already is not
// registered again.
func TestDefinitionFile(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "taskdef.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	deps := Deps{Getenv: func(name string) (string, bool) { return map[string]string{"STAGE": "prod"}[name], name == "STAGE" }}
	virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1}, deps, func(w *world) {
		w.step.cfg.Dir, w.step.cfg.TaskDefinition = dir, "taskdef.yaml"
		write(fileYAML)
		_, diff, err := w.step.Diff(w.Context(), image2)
		if text := strings.Join(diff, "\n"); err != nil || !strings.Contains(text, `-   "cpu": "256",`) || !strings.Contains(text, `+   "cpu": "512",`) || !strings.Contains(text, `"value": "prod"`) || strings.Contains(text, "mountPoints") {
			t.Errorf("diff %v:\n%s", err, text)
		}
		if r, err := w.run(w.Context(), image2); err != nil || !strings.HasSuffix(r.Out.TaskDefinition, "web:2") {
			t.Fatal(r, err)
		}
		api, err := w.step.deps.Connect(w.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		d, err := api.TaskDefinition(w.Context(), "web:2")
		if err != nil || !strings.Contains(string(d.Raw), `"${PRICE}"`) || !strings.Contains(string(d.Raw), image2) {
			t.Errorf("%s, %v", d.Raw, err)
		}
		if r, err := w.run(w.Context(), image2); err != nil || r.Status != runner.Cached {
			t.Errorf("the same again: %+v, %v", r, err)
		}
		write(strings.Replace(fileYAML, `"1024"`, `"2048"`, 1))
		if r, err := w.run(w.Context(), image2); err != nil || !strings.HasSuffix(r.Out.TaskDefinition, "web:3") {
			t.Errorf("more memory: %+v, %v", r, err)
		}
		if n := w.double.Counts(); n["RegisterTaskDefinition"] != 2 || n["UpdateService"] != 2 {
			t.Errorf("calls %v", n)
		}
	})
}

// TestDefinitionFileFaults: each names the file and the remedy, before any call
// that writes.
func TestDefinitionFileFaults(t *testing.T) {
	for _, c := range []struct{ name, text, err, hint string }{
		{"absent", "", "taskdef.json: no such file", "relative to fastship.yaml"},
		{"neither", "{family: [", "deploy.taskDefinition: taskdef.json: ", "RegisterTaskDefinition"},
		{"a list", "[1]", "it is no object", "RegisterTaskDefinition"},
		{"a variable", `{"family": "web", "containerDefinitions": [{"name": "app", "image": "${NOWHERE}"}]}`, "containerDefinitions[0].image: ${NOWHERE} is not set", "${VAR:-default}"},
		{"a size", `{"family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "8192", "containerDefinitions": [{"name": "app", "image": "x"}]}`, "no task with cpu 256 and memory 8192", "512, 1024 or 2048"},
		{"big", `{"family": "` + strings.Repeat("x", 600<<10) + `"}`, "bytes", "64 KiB"},
		{"ambiguous", `{"family": "web", "containerDefinitions": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}`, "a (x), b (y)", "deploy.container"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.text != "" {
				if err := os.WriteFile(filepath.Join(dir, "taskdef.json"), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			virtual(t, ecstest.Script{}, ecstest.ServiceSeed{Desired: 1}, Deps{}, func(w *world) {
				w.step.cfg.Dir, w.step.cfg.TaskDefinition = dir, "taskdef.json"
				err := w.step.Check(w.Context())
				if fault.ClassOf(err) != fault.BadInput || !strings.Contains(err.Error(), c.err) || !strings.Contains(fault.HintOf(err), c.hint) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v (class %d), hint %q", err, fault.ClassOf(err), fault.HintOf(err))
				}
				w.reads()
			})
		})
	}
}
