package deploy

import (
	"encoding/json"
	"strings"
)

// Platform is what the definition's tasks run on, as container images name it:
// linux/amd64, linux/arm64, windows/amd64. ECS's defaults are Linux on X86_64.
func (t TaskDefinition) Platform() string {
	var d struct {
		Platform struct {
			System string `json:"operatingSystemFamily"`
			CPU    string `json:"cpuArchitecture"`
		} `json:"runtimePlatform"`
	}
	_ = json.Unmarshal(t.Raw, &d) // unreadable: the defaults
	system, cpu := "linux", "amd64"
	if strings.HasPrefix(d.Platform.System, "WINDOWS") {
		system = "windows"
	}
	if d.Platform.CPU == "ARM64" {
		cpu = "arm64"
	}
	return system + "/" + cpu
}
