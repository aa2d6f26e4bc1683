package push

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// Files are what CodePipeline's deploy actions read. Paths are absolute;
// empty ones are not written.
type Files struct {
	// Definitions is imagedefinitions.json, for Amazon ECS: which container
	// gets the image (CodePipeline user guide, image definitions file
	// reference). It may have 100 KB; one container takes less than 2. The
	// action deploys one service, and refuses a name that its task definition
	// lacks: services whose containers have other names get other files.
	Definitions string
	// Detail is imageDetail.json, for CodeDeployToECS: the image alone.
	Detail string
	// Container is the name in Definitions: the container's, not the
	// repository's. Empty asks Deps.Containers.
	Container string
}

// Container is the one of a service that gets the image.
type Container struct{ Service, Name string }

// containerForm is that of ContainerDefinition.name in ECS's API.
var containerForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

// checkFiles looks at paths and asks for the container's name.
func (s *Step) checkFiles(ctx context.Context) error {
	f := s.config.Files
	for key, file := range map[string]string{"image.outputs.imageDefinitions": f.Definitions, "image.outputs.imageDetail": f.Detail} {
		if file == "" {
			continue
		}
		if err := atomicfile.CheckPlace(file); err != nil {
			return fault.New(fault.BadInput, "name a file", "%s: %w", key, err)
		}
	}
	if f.Definitions == "" {
		return nil
	}
	list, _, err := s.containers(ctx)
	if err != nil {
		return err
	}
	for _, c := range list[1:] {
		if err := atomicfile.CheckPlace(definitionsFile(f.Definitions, list[0], c)); err != nil {
			return fault.New(fault.BadInput, "name another file", "image.outputs.imageDefinitions: %w", err)
		}
	}
	return nil
}

// containers are the services'; without any, the configured name, else the
// repository's last word: guessed, since nothing else is known.
func (s *Step) containers(ctx context.Context) (list []Container, guessed bool, err error) {
	if name := s.config.Files.Container; name != "" {
		list = []Container{{Name: name}}
	} else if s.deps.Containers != nil {
		if list, err = s.deps.Containers(ctx); err != nil {
			return nil, false, err
		}
	}
	if len(list) == 0 {
		list, guessed = []Container{{Name: path.Base(s.config.Repository)}}, true
	}
	for _, c := range list {
		if !containerForm.MatchString(c.Name) {
			return nil, false, fault.New(fault.BadInput, "set deploy.container to the container's name in the task definition", "image.outputs.imageDefinitions: %q is no name of a container in ECS", c.Name)
		}
	}
	return list, guessed, nil
}

// definitionsFile is where a service's file goes: where the container has
// another name than the first service's, into one of its own,
// imagedefinitions-SERVICE.json.
func definitionsFile(file string, first, c Container) string {
	if c.Name == first.Name {
		return file
	}
	ext := filepath.Ext(file)
	return strings.TrimSuffix(file, ext) + "-" + c.Service + ext
}

// definition is an item of imagedefinitions.json.
type definition struct {
	Name     string `json:"name"`
	ImageURI string `json:"imageUri"`
}

// detail is imageDetail.json.
type detail struct {
	ImageURI string `json:"ImageURI"`
}

// writeFiles names the image that was pushed, by its digest.
func (s *Step) writeFiles(ctx context.Context, env runner.Env, reference string) error {
	f := s.config.Files
	if f.Detail != "" {
		if err := writeJSON(f.Detail, detail{reference}); err != nil {
			return err
		}
		env.Emit(runner.Note{Text: "wrote " + f.Detail})
	}
	if f.Definitions == "" {
		return nil
	}
	list, guessed, err := s.containers(ctx)
	if err != nil {
		return fault.As(fault.ImageFailed, err)
	}
	for i, c := range list {
		file := definitionsFile(f.Definitions, list[0], c)
		if i > 0 && file == f.Definitions {
			continue // the same for this service
		}
		if err := writeJSON(file, []definition{{c.Name, reference}}); err != nil {
			return err
		}
		if guessed {
			env.Emit(runner.Warning{Text: fmt.Sprintf("%s is for the container %q, after the repository: set deploy.container if the task definition has another", filepath.Base(file), c.Name)})
		}
		env.Emit(runner.Note{Text: fmt.Sprintf("wrote %s, for the container %s", file, c.Name)})
	}
	return nil
}

func writeJSON(file string, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = atomicfile.Write(file, append(b, '\n'), 0o644)
	}
	if err != nil {
		return fault.As(fault.ImageFailed, fmt.Errorf("write %s: %w", file, err))
	}
	return nil
}
