package deploy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/fault"
)

func TestFits(t *testing.T) {
	bare := ImageFacts{Bare: true, Platform: "linux/amd64"}
	for _, c := range []struct {
		name, keys, extra string // of the container, of the definition
		image             ImageFacts
		bad, hint, doubt  string
	}{
		{name: "nothing special", image: bare},
		{name: "shell health check", keys: `"healthCheck": {"command": ["CMD-SHELL", "curl -f localhost || exit 1"]}`, image: bare, bad: "needs a shell, which the image does not have: CMD-SHELL curl", hint: "load balancer"},
		{name: "curl health check", keys: `"healthCheck": {"command": ["CMD", "/usr/bin/curl", "localhost"]}`, image: bare, bad: "calls /usr/bin/curl, which the image does not have", hint: "image.base"},
		{name: "java health check", keys: `"healthCheck": {"command": ["CMD", "java", "-version"]}`, image: bare},
		{name: "a program of the user's", keys: `"healthCheck": {"command": ["CMD", "/usr/bin/probe"]}`, image: ImageFacts{Bare: true, Files: true}},
		{name: "a shell in spite of files", keys: `"healthCheck": {"command": ["CMD-SHELL", "probe"]}`, image: ImageFacts{Bare: true, Files: true}, bad: "needs a shell", hint: "image.debug"},
		{name: "disabled health check", keys: `"healthCheck": {"command": ["NONE"]}`, image: bare},
		{name: "an image with a shell", keys: `"healthCheck": {"command": ["CMD-SHELL", "curl"]}, "entryPoint": ["sh", "-c", "java"]`, image: ImageFacts{}},
		{name: "shell entry point", keys: `"entryPoint": ["/bin/sh", "-c", "java -jar app.jar"]`, image: bare, bad: "the entryPoint of container app in web:7 needs a shell", hint: "take entryPoint out"},
		{name: "shell command", keys: `"command": ["bash", "run.sh"]`, image: bare, bad: "the command of container app", hint: "take command out"},
		{name: "JAVA_OPTS", keys: `"environment": [{"name": "JAVA_OPTS", "value": "-Xmx1g"}]`, image: bare, doubt: "JAVA_TOOL_OPTIONS"},
		{name: "JAVA_TOOL_OPTIONS", keys: `"environment": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx1g"}]`, image: bare},
		{name: "read-only root", keys: `"readonlyRootFilesystem": true`, image: bare, doubt: "no writable /tmp"},
		{name: "read-only root with /tmp", keys: `"readonlyRootFilesystem": true, "mountPoints": [{"sourceVolume": "tmp", "containerPath": "/tmp"}]`, image: bare},
		{name: "read-only /tmp", keys: `"readonlyRootFilesystem": true, "mountPoints": [{"containerPath": "/tmp", "readOnly": true}]`, image: bare, doubt: "no writable /tmp"},
		{name: "ARM64", extra: `"runtimePlatform": {"cpuArchitecture": "ARM64"},`, image: bare, bad: "web:7 runs on linux/arm64, the image is for linux/amd64", hint: "linux/amd64"},
		{name: "Windows", extra: `"runtimePlatform": {"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"},`, image: bare, bad: "windows/amd64"},
		{name: "another container's", keys: `"essential": true}, {"name": "proxy", "healthCheck": {"command": ["CMD-SHELL", "x"]}`, image: bare},
	} {
		keys := c.keys
		if keys != "" {
			keys = ", " + keys
		}
		raw := `{` + c.extra + `"containerDefinitions": [{"name": "app"` + keys + `}]}`
		if !json.Valid([]byte(raw)) {
			t.Fatal(raw)
		}
		bad, doubts := TaskDefinition{ARN: "x/web:7", Raw: json.RawMessage(raw)}.Fits("app", c.image)
		if (len(bad) > 0) != (c.bad != "") || len(bad) > 0 && (!strings.Contains(bad[0].Error(), c.bad) || !strings.Contains(fault.HintOf(bad[0]), c.hint) || fault.ClassOf(bad[0]) != fault.BadInput) {
			t.Errorf("%s: %v, want %q", c.name, bad, c.bad)
		}
		if (len(doubts) > 0) != (c.doubt != "") || len(doubts) > 0 && !strings.Contains(doubts[0], c.doubt) {
			t.Errorf("%s: doubts %q, want %q", c.name, doubts, c.doubt)
		}
	}
}

// TestFitsPlatforms: an image for several platforms fits where one of them
// does, and none fits Windows.
func TestFitsPlatforms(t *testing.T) {
	on := func(platform string) TaskDefinition {
		return TaskDefinition{ARN: "web:1", Raw: []byte(`{"runtimePlatform": ` + platform + `, "containerDefinitions": [{"name": "app"}]}`)}
	}
	for _, c := range []struct {
		platform string
		image    ImageFacts
		want     string
	}{
		{`{"cpuArchitecture": "ARM64"}`, ImageFacts{Platforms: []string{"linux/amd64", "linux/arm64"}}, ""},
		{`{"cpuArchitecture": "ARM64"}`, ImageFacts{Platforms: []string{"linux/amd64"}}, "task definition web:1 runs on linux/arm64, the image is for linux/amd64"},
		{`{"cpuArchitecture": "ARM64"}`, ImageFacts{}, ""},
		{`{"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE", "cpuArchitecture": "X86_64"}`, ImageFacts{}, "task definition web:1 runs on Windows (windows/amd64)"},
	} {
		bad, _ := on(c.platform).Fits("app", c.image)
		got := ""
		if len(bad) > 0 {
			got = bad[0].Error()
		}
		if got != c.want {
			t.Errorf("%s, %+v: %q", c.platform, c.image, got)
		}
	}
}
