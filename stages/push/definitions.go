package push

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"github.com/fastship/fastship/internal/atomicfile"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
)

// Files are what CodePipeline's deploy actions read. Paths are absolute;
// empty ones are not written.
type Files struct {
	// Definitions is imagedefinitions.json, for Amazon ECS: which container
	// gets the image (CodePipeline user guide, image definitions file
	// reference). It may have 100 KB; one container takes less than 2.
	Definitions string
	// Detail is imageDetail.json, for CodeDeployToECS: the image alone.
	Detail string
	// Container is the name in Definitions: the container's, not the
	// repository's.
	Container string
}

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
	_, _, err := s.container(ctx)
	return err
}

// container is the configured name, else what the service's task definition
// says, else the repository's last word: guessed, since nothing else is known.
func (s *Step) container(ctx context.Context) (name string, guessed bool, err error) {
	name = s.config.Files.Container
	if name == "" && s.deps.Container != nil {
		if name, err = s.deps.Container(ctx); err != nil {
			return "", false, err
		}
	}
	if name == "" {
		name, guessed = path.Base(s.config.Repository), true
	}
	if !containerForm.MatchString(name) {
		return "", false, fault.New(fault.BadInput, "set deploy.container to the container's name in the task definition", "image.outputs.imageDefinitions: %q is no name of a container in ECS", name)
	}
	return name, guessed, nil
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
	name, guessed, err := s.container(ctx)
	if err != nil {
		return fault.As(fault.ImageFailed, err)
	}
	if err := writeJSON(f.Definitions, []definition{{name, reference}}); err != nil {
		return err
	}
	if guessed {
		env.Emit(runner.Warning{Text: fmt.Sprintf("%s is for the container %q, after the repository: set deploy.container if the task definition has another", filepath.Base(f.Definitions), name)})
	}
	env.Emit(runner.Note{Text: fmt.Sprintf("wrote %s, for the container %s", f.Definitions, name)})
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
