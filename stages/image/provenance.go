package image

import (
	"fmt"
	"path/filepath"

	"github.com/fastship/fastship/stages/image/sbom"
)

const (
	slsaPredicate = "https://slsa.dev/provenance/v1"
	// manual is where buildType and builder are explained, as SLSA asks for.
	manual = "https://github.com/fastship/fastship/blob/main/docs/attestations.md"
)

// Build is what is known of how the jar was built, for the provenance.
// Nothing in it may be a secret: Maven's arguments are left out for that.
type Build struct {
	Maven    string   // its version; empty for a jar that another tool built, or another time
	Goals    []string // as configured; empty for Maven's default here
	Profiles []string
	Module   string
	Host     string // the CI system: github, codebuild; empty outside CI
	Run      string // the CI system's page of the run; empty outside CI
}

// statement is an in-toto statement (in-toto/attestation, spec/v1).
type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     any        `json:"predicate"`
}

// resource is a resource descriptor, as far as it is used here.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// slsa is SLSA's provenance v1 (slsa.dev/spec/v1.0/provenance).
type slsa struct {
	BuildDefinition struct {
		BuildType            string     `json:"buildType"`
		ExternalParameters   parameters `json:"externalParameters"`
		InternalParameters   internals  `json:"internalParameters"`
		ResolvedDependencies []resource `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string `json:"invocationId,omitempty"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

// parameters are what the user decides.
type parameters struct {
	Source   string   `json:"source,omitempty"`
	Revision string   `json:"revision,omitempty"`
	Dirty    bool     `json:"dirty,omitempty"` // the tree had changes that no commit has
	Goals    []string `json:"goals,omitempty"` // none for a jar that somebody else built
	Profiles []string `json:"profiles,omitempty"`
	Module   string   `json:"module,omitempty"`
}

// internals are what fastship decided.
type internals struct {
	Maven      string   `json:"maven,omitempty"`
	Java       string   `json:"java,omitempty"` // of a linked base
	JavaVendor string   `json:"javaVendor,omitempty"`
	Platforms  []string `json:"platforms"`
	Base       string   `json:"base"`
}

// provenance writes where the image comes from. It names no path, host or
// user, and no argument.
func provenance(in In, below []base, out Out, bill sbom.Document) ([]byte, error) {
	var p slsa
	d := &p.BuildDefinition
	d.BuildType = manual + "#build-type"
	goals := in.Build.Goals
	if len(goals) == 0 && in.Build.Maven != "" {
		goals = []string{"package"}
	}
	d.ExternalParameters = parameters{Source: in.Source, Revision: in.Revision, Dirty: in.Dirty, Goals: goals, Profiles: in.Build.Profiles, Module: in.Build.Module}
	d.InternalParameters = internals{Maven: in.Build.Maven, Java: below[0].jdk.Version, JavaVendor: below[0].jdk.Vendor, Base: out.Base}
	for _, b := range below {
		d.InternalParameters.Platforms = append(d.InternalParameters.Platforms, platformName(b.platform))
	}
	d.ResolvedDependencies = dependencies(in, below, bill)
	host := in.Build.Host
	if host == "" {
		host = "local"
	}
	p.RunDetails.Builder.ID = manual + "#builder-" + host
	p.RunDetails.Metadata.InvocationID = in.Build.Run
	raw, err := compact(statement{
		Type: "https://in-toto.io/Statement/v1", PredicateType: slsaPredicate, Predicate: p,
		Subject: []resource{{Name: in.Name, Digest: digestSet(out.Digest)}},
	})
	if err != nil {
		return nil, fmt.Errorf("write the provenance: %w", err)
	}
	return raw, nil
}

// dependencies are what went into the image: the source, unless its tree was
// another than the commit's; the jar, where nobody here built it; the base; the
// libraries.
func dependencies(in In, below []base, bill sbom.Document) []resource {
	list := []resource{}
	if in.Source != "" && in.Revision != "" && !in.Dirty {
		list = append(list, resource{URI: "git+" + in.Source, Digest: map[string]string{"gitCommit": in.Revision}})
	}
	if in.Build.Maven == "" && in.Jar.Digest != "" {
		list = append(list, resource{Name: filepath.Base(in.Jar.Name), Digest: digestSet(string(in.Jar.Digest))})
	}
	for _, b := range below {
		if b.digest != "" {
			list = append(list, resource{URI: b.ref, Digest: digestSet(b.digest)})
		}
	}
	for _, l := range bill.Libraries {
		list = append(list, resource{Name: l.Path, URI: l.Jar.URL(), Digest: map[string]string{"sha256": l.SHA256}})
	}
	return list
}

func digestSet(digest string) map[string]string {
	const prefix = len("sha256:")
	return map[string]string{"sha256": digest[prefix:]}
}
