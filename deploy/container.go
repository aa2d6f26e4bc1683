package deploy

import (
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// ChooseContainer finds the container whose image is to be replaced: the
// configured one, else the only one, else the one whose image comes from
// repository, else the only essential one. Sidecars are normal; only what
// stays ambiguous is an error, which lists the containers. repository is
// host/name without tag or digest and may be empty.
func ChooseContainer(containers []ContainerDefinition, configured, repository string) (string, error) {
	if configured != "" {
		if !slices.ContainsFunc(containers, func(c ContainerDefinition) bool { return c.Name == configured }) {
			return "", fault.New(fault.BadInput, "set deploy.container to one of "+list(containers),
				"find container %q in the task definition: it has %s", configured, list(containers))
		}
		return configured, nil
	}
	if len(containers) == 1 {
		return containers[0].Name, nil
	}
	rules := []func(ContainerDefinition) bool{
		func(c ContainerDefinition) bool { return repository != "" && Repository(c.Image) == repository },
		ContainerDefinition.IsEssential,
	}
	for _, rule := range rules {
		if matching := filter(containers, rule); len(matching) == 1 {
			return matching[0].Name, nil
		}
	}
	return "", fault.New(fault.BadInput, "set deploy.container to one of "+list(containers),
		"choose the container to deploy: the task definition has %s", list(containers))
}

// Repository is an image reference without its tag and digest.
func Repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndexByte(image, ':'); colon > strings.LastIndexByte(image, '/') {
		image = image[:colon]
	}
	return image
}

func filter[T any](all []T, keep func(T) bool) []T {
	var kept []T
	for _, v := range all {
		if keep(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

// list names containers with their images: "web (repo/web:1), proxy (envoy)".
func list(containers []ContainerDefinition) string {
	var words []string
	for _, c := range containers {
		words = append(words, c.Name+" ("+c.Image+")")
	}
	return strings.Join(words, ", ")
}
