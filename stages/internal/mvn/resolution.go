package mvn

import "encoding/json"

// Repackage are the settings of spring-boot-maven-plugin's goal repackage that
// decide on an application's libraries, as written: empty where nothing is.
type Repackage struct {
	Version              string   `json:"version"` // of the plugin
	Skip                 string   `json:"skip"`
	ExcludeDevtools      string   `json:"excludeDevtools"`
	ExcludeDockerCompose string   `json:"excludeDockerCompose"`
	ExcludeGroupIDs      string   `json:"excludeGroupIds"` // separated by commas
	Includes             []string `json:"includes"`        // group:artifact[:classifier]
	Excludes             []string `json:"excludes"`        // likewise
	IncludeOptional      string   `json:"includeOptional"`
	LayoutFactory        string   `json:"layoutFactory"` // "true" when the project has its own
}

// Resolution are the dependencies of a module as Maven resolved them, without
// those of its tests.
type Resolution struct {
	Repository   string       `json:"repository"` // Maven's, absolute
	Dependencies []Dependency `json:"dependencies"`
}

// Dependency is a resolved dependency, with all that packagers ask about.
type Dependency struct {
	Group      string `json:"group"`
	Artifact   string `json:"artifact"`
	Version    string `json:"version"` // as asked for: a snapshot says SNAPSHOT
	Classifier string `json:"classifier"`
	Extension  string `json:"extension"` // jar, for tests and bundles too
	Scope      string `json:"scope"`     // compile, runtime, provided or system
	Optional   bool   `json:"optional"`
	File       string `json:"file"` // absolute
}

// resolution adds a module's dependencies. One that is not known is of a later
// spy.
func (r *Report) resolution(line []byte) error {
	var said struct {
		Project string
		Resolution
	}
	if err := json.Unmarshal(line, &said); err != nil {
		return err
	}
	if p := r.Project(said.Project); p != nil {
		p.Resolution = &said.Resolution
	}
	return nil
}
