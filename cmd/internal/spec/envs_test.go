package spec_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fastship/fastship/cmd/internal/spec"
	"github.com/fastship/fastship/internal/fault"
)

const twoEnvs = `
envs:
  staging:
    deploy: { cluster: staging, timeout: 5m }
  production:
    image: { repository: 210987654321.dkr.ecr.eu-west-1.amazonaws.com/orders }
    deploy: { cluster: "${CLUSTER}", service: orders-live, role: "arn:aws:iam::210987654321:role/ship", region: eu-west-1, before: [] }
image: { repository: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/orders, tags: [v1], jvm: [-Xmx256m] }
deploy: { cluster: dev, service: orders, before: [java, -version] }
`

func loadEnv(t *testing.T, text, env string, vars map[string]string) (*spec.Spec, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "fastship.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return spec.LoadEnv(file, env, environment(vars))
}

// TestEnvs: an environment lies over the rest of the file, wherever it stands;
// what it does not say stays, and so does what the image is made of.
func TestEnvs(t *testing.T) {
	none, err := loadEnv(t, twoEnvs, "", nil) // no CLUSTER: that is production's matter
	if err != nil || none.Deploy.Cluster != "dev" || none.Env != "" || len(none.Envs) != 2 {
		t.Fatalf("%+v, %v", none, err)
	}
	staging, err := loadEnv(t, twoEnvs, "staging", nil)
	if err != nil || staging.Env != "staging" || staging.Deploy.Cluster != "staging" || staging.Deploy.Service != "orders" ||
		staging.Deploy.Timeout != 5*time.Minute || len(staging.Deploy.Before) != 2 || staging.Image.Repository != none.Image.Repository {
		t.Errorf("%+v, %v", staging, err)
	}
	live, err := loadEnv(t, twoEnvs, "production", map[string]string{"CLUSTER": "live"})
	if err != nil || live.Deploy.Cluster != "live" || live.Deploy.Service != "orders-live" || live.Deploy.Region != "eu-west-1" || len(live.Deploy.Before) != 0 ||
		live.Deploy.Role != "arn:aws:iam::210987654321:role/ship" || live.Image.Repository != "210987654321.dkr.ecr.eu-west-1.amazonaws.com/orders" ||
		live.Image.Tags[0] != "v1" || live.Image.JVM[0] != "-Xmx256m" {
		t.Errorf("%+v, %v", live, err)
	}
}

// TestEnvErrors: an environment is read whether it is asked for or not, and a
// name that is not there brings near ones.
func TestEnvErrors(t *testing.T) {
	for _, c := range []struct{ text, env, want, hint string }{
		{twoEnvs, "prodution", `fastship.yaml has no environment "prodution"`, "near names: production"},
		{twoEnvs, "x", `fastship.yaml has no environment "x"`, "its environments: production, staging"},
		{"maven: {}", "x", `fastship.yaml has no environment "x"`, "add it under envs, or leave --env out: there are none"},
		{twoEnvs, "production", `fastship.yaml:7:24: envs.production.deploy.cluster: the environment variable CLUSTER is not set`, "set it, or give a default: ${CLUSTER:-…}"},
		{"envs: {a: {deploy: {clustr: x}}}", "", `fastship.yaml:1:21: unknown key "clustr" in envs.a.deploy; did you mean "cluster"?`, ""},
		{"envs: {a: {maven: {}}}", "", `fastship.yaml:1:12: unknown key "maven" in envs.a`, "the keys in envs.a: image, deploy"},
		{"envs: {a: {image: {jvm: [-X]}}}", "", `fastship.yaml:1:20: unknown key "jvm" in envs.a.image`, ""},
		{"envs: {a: {deploy: {region: Frankfurt}}}", "b", `fastship.yaml:1:29: envs.a.deploy.region: "Frankfurt" is no AWS region`, ""},
		{"envs: {a: {deploy: {role: deployer}}}", "", `fastship.yaml:1:27: envs.a.deploy.role: "deployer" is no ARN of a role`, "copy the ARN from aws iam get-role"},
		{"envs: {a.b: {}}", "", `fastship.yaml:1:8: "a.b" is no name of an environment`, ""},
		{"envs: [a]", "", `fastship.yaml:1:7: envs wants keys and values, not a list`, ""},
	} {
		_, err := loadEnv(t, c.text, c.env, nil)
		if err == nil || fault.ClassOf(err) != fault.BadInput {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		line := firstLine(err.Error())
		if len(line) < len(c.want) || line[:len(c.want)] != c.want || c.hint != "" && fault.HintOf(err) != c.hint {
			t.Errorf("%q:\n got %s | %s\nwant %s | %s", c.text, line, fault.HintOf(err), c.want, c.hint)
		}
	}
}

func firstLine(s string) string {
	for i, r := range s {
		if r == '\n' {
			return s[:i]
		}
	}
	return s
}
