package maven

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/runner"
	"github.com/fastship/fastship/stages/internal/mvn"
	"github.com/fastship/fastship/stages/internal/stamp"
)

// out is what is known of the job without its artifact.
func (a *attempt) out(j *job) Out {
	o := Out{Maven: a.report.Maven, JavaHome: j.choice.JDK.Home, Repository: j.repo.Path, JavaMajor: j.choice.JDK.Major, Release: last(j.want.Releases)}
	if a.report.JavaHome != "" {
		// A JDK 8 names its own JRE.
		o.JavaHome, o.JavaMajor = strings.TrimSuffix(a.report.JavaHome, "/jre"), a.report.JavaMajor
	}
	for _, p := range a.report.Projects {
		o.ReactorIDs = append(o.ReactorIDs, p.ID())
	}
	return o
}

// outcome counts the tests, then takes the application or tells why there is
// none.
func (s *Step) outcome(env runner.Env, j *job, a attempt) (Out, error) {
	out := a.out(j)
	results := readTests(env, j, &a)
	out.Tests = results.tests
	if a.exit.Code != 0 {
		return out, s.failure(j, &a, results)
	}
	if len(a.report.Projects) == 0 {
		return out, fault.New(fault.BuildFailed, "remove what keeps Maven from loading extensions, or name goals that build the project",
			"learn from Maven what it built: %s ended well but reported no project", j.launcherText())
	}
	app, err := choose(j, &a)
	if err != nil {
		return out, err
	}
	p := app.project
	out.GroupID, out.ArtifactID, out.Version = p.Group, p.Artifact, p.Version
	out.Packaging = strings.TrimPrefix(filepath.Ext(app.file), ".")
	if len(p.Releases) > 0 {
		out.Release = last(p.Releases)
	}
	for _, l := range p.Classpath {
		out.Libraries = append(out.Libraries, Library{File: filepath.Base(l.File), Group: l.Group, Name: l.Artifact, Version: l.Version})
	}
	out.Jar, err = describe(j.book, app.file)
	j.book.Save() // the image's stage knows the jar by it
	return out, err
}

// wanted are the modules that the application may come from: the one asked for,
// else all.
func (j *job) wanted(projects []*mvn.Project) []*mvn.Project {
	if j.module == nil {
		return projects
	}
	var all []*mvn.Project
	for _, p := range projects {
		if samePath(p.Basedir, filepath.Join(j.dir, j.module.Dir)) && (j.module.Pom.Artifact == "" || p.Artifact == j.module.Pom.Artifact) {
			all = append(all, p)
		}
	}
	return all
}

// choose takes the one application of the build.
func choose(j *job, a *attempt) (application, error) {
	projects := j.wanted(a.report.Projects)
	apps := a.applications(projects, runnable)
	if len(apps) == 0 && j.main != "" {
		apps = a.applications(projects, func(file string) bool { return holds(file, j.main) })
	}
	switch len(apps) {
	case 1:
		return apps[0], nil
	case 0:
		return application{}, noApplication(j, projects)
	}
	var names []string
	for _, app := range apps {
		names = append(names, fmt.Sprintf("%s (%s)", mvn.Relative(j.dir, app.project.Basedir), mvn.Relative(j.dir, app.file)))
	}
	return application{}, fault.New(fault.BadInput, "set maven.module in fastship.yaml to one of them",
		"several modules make an application: %s", strings.Join(names, ", "))
}

func samePath(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// noApplication says what was built instead of an application.
func noApplication(j *job, projects []*mvn.Project) error {
	var seen []string
	for _, p := range projects {
		for _, f := range artifacts(p) {
			seen = append(seen, mvn.Relative(j.dir, f))
		}
	}
	if len(seen) == 0 && !slices.ContainsFunc(projects, func(p *mvn.Project) bool { return p.Packaging != "pom" }) {
		return fault.New(fault.BadInput, "leave <packaging> out, or list the <modules> that make a jar",
			"%s made no jar or war: the packaging is pom", j.commandLine())
	}
	if len(seen) == 0 {
		return fault.New(fault.BadInput, "use a goal that packages the project, such as package or verify",
			"%s made no jar or war", j.commandLine())
	}
	if j.main != "" {
		return fault.New(fault.BadInput, "correct image.main; it is a class's full name",
			"image.main: no %s in %s, and no Main-Class in a manifest", j.main, strings.Join(seen, ", "))
	}
	return fault.New(fault.BadInput, "set image.main, or have the build name the main class: spring-boot-maven-plugin's repackage, or mainClass in the manifest of maven-jar-plugin or maven-shade-plugin",
		"no Main-Class in the manifest of %s: java -jar cannot start it", strings.Join(seen, ", "))
}

// describe names the application's file by its digest.
func describe(book *stamp.Book, file string) (runner.Descriptor, error) {
	d, err := book.Digest(file)
	if err != nil {
		return d, fmt.Errorf("hash the application: %w", err)
	}
	d.Name, d.MediaType = file, "application/java-archive"
	return d, nil
}
