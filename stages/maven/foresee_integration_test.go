package maven

import (
	"reflect"
	"testing"

	"github.com/fastship/fastship/stages/internal/mvn"
)

// TestMavenTellsHowApplicationsArePackaged has a module for each form. Phases
// are written out, so that Maven needs none of the plug-ins.
func TestMavenTellsHowApplicationsArePackaged(t *testing.T) {
	needMaven(t)
	const bootPlugin = `<groupId>org.springframework.boot</groupId><artifactId>spring-boot-maven-plugin</artifactId><version>4.1.2</version>`
	execution := func(id, phase, goal, configuration string) string {
		return "<execution><id>" + id + "</id><phase>" + phase + "</phase><goals><goal>" + goal + "</goal></goals><configuration>" + configuration + "</configuration></execution>"
	}
	plugin := func(head, configuration string, executions ...string) string {
		text := "<plugin>" + head + "<executions>"
		for _, e := range executions {
			text += e
		}
		return text + "</executions><configuration>" + configuration + "</configuration></plugin>"
	}
	repackage := func(configuration string) string { return execution("r", "package", "repackage", configuration) }
	quarkus := plugin(`<groupId>io.quarkus.platform</groupId><artifactId>quarkus-maven-plugin</artifactId><version>3.20.0</version>`, "", execution("b", "package", "build", ""))
	shade := plugin(`<artifactId>maven-shade-plugin</artifactId><version>3.6.0</version>`, "", execution("s", "package", "shade", ""))
	jar := plugin(`<artifactId>maven-jar-plugin</artifactId>`, "<archive><manifest><addClasspath>true</addClasspath><mainClass>x.Main</mainClass></manifest></archive>", execution("j", "package", "jar", ""))
	copies := func(configuration string) string {
		return plugin(`<artifactId>maven-dependency-plugin</artifactId>`, configuration, execution("c", "package", "copy-dependencies", ""))
	}
	cases := map[string]struct {
		plugins, properties string
		want                mvn.Project
	}{
		"plain":   {plugin(bootPlugin, ""), "", mvn.Project{}},
		"default": {plugin(bootPlugin, "", repackage("")), "", mvn.Project{Repackage: &mvn.Repackage{}}},
		"set": {plugin(bootPlugin, `<excludeGroupIds>a,b</excludeGroupIds><includeOptional>true</includeOptional><excludeDevtools> false </excludeDevtools>
<excludes><exclude><groupId>g</groupId><artifactId>a</artifactId></exclude><exclude><groupId>g</groupId><artifactId>a</artifactId><classifier>c</classifier></exclude><exclude>h:b</exclude></excludes>`,
			repackage("<excludeDockerCompose>false</excludeDockerCompose>")), "", mvn.Project{Repackage: &mvn.Repackage{
			ExcludeGroupIDs: "a,b", IncludeOptional: "true", ExcludeDevtools: "false", ExcludeDockerCompose: "false", Excludes: []string{"g:a", "g:a:c", "h:b"},
		}}},
		"properties": {plugin(bootPlugin, "<skip>${mine}</skip>", repackage("")), "<spring-boot.includes>g:a, h:b:c</spring-boot.includes><mine>true</mine>",
			mvn.Project{Repackage: &mvn.Repackage{Includes: []string{"g:a", "h:b:c"}, Skip: "true"}}},
		"unknown":  {plugin(bootPlugin, "<skip>${nobodys}</skip>", repackage("")), "", mvn.Project{}},
		"off":      {plugin(bootPlugin, "", execution("r", "none", "repackage", "")), "", mvn.Project{}},
		"layout":   {plugin(bootPlugin, `<layoutFactory implementation="x.Layout"/>`, repackage("")), "", mvn.Project{Repackage: &mvn.Repackage{LayoutFactory: "true"}}},
		"same":     {plugin(bootPlugin, "", repackage(""), execution("q", "package", "repackage", "")), "", mvn.Project{Repackage: &mvn.Repackage{}}},
		"two":      {plugin(bootPlugin, "", repackage(""), execution("q", "package", "repackage", "<includeOptional>true</includeOptional>")), "", mvn.Project{}},
		"shaded":   {plugin(bootPlugin, "", repackage("")) + shade, "", mvn.Project{}},
		"quarkus":  {quarkus, "", mvn.Project{Quarkus: "3.20.0"}},
		"uber":     {quarkus, "<quarkus.package.jar.type>uber-jar</quarkus.package.jar.type>", mvn.Project{}},
		"thin":     {jar + copies("<includeScope>runtime</includeScope><stripVersion>false</stripVersion>"), "", mvn.Project{Thin: true}},
		"stripped": {jar + copies("<stripVersion>true</stripVersion>"), "", mvn.Project{}},
		"alone":    {jar, "", mvn.Project{}},
	}
	var modules string
	project := []string{"", ""}
	for name, c := range cases {
		modules += "<module>" + name + "</module>"
		project = append(project, name+"/pom.xml", `<project><modelVersion>4.0.0</modelVersion><parent><groupId>g</groupId><artifactId>root</artifactId><version>1</version></parent>
<artifactId>`+name+`</artifactId><properties>`+c.properties+`</properties><build><plugins>`+c.plugins+`</plugins></build></project>`)
	}
	project[0], project[1] = "pom.xml", `<project><modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>root</artifactId><version>1</version><packaging>pom</packaging><modules>`+modules+`</modules></project>`
	for maven, path := range mavens(t) {
		t.Run(maven, func(t *testing.T) {
			dir := files(t, project...)
			s := step(t, Config{Dir: dir, Goals: []string{"validate"}, Tune: TuneOff}, "PATH="+path)
			j, err := s.prepare(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			a, err := s.attempt(t.Context(), silent, j, false)
			if err != nil || a.exit.Code != 0 {
				t.Fatalf("%v, %+v, %v, %v", err, a.exit, a.said, a.stderr)
			}
			for name, c := range cases {
				p := a.report.Project("g:" + name)
				if p == nil {
					t.Errorf("%s: not told of", name)
					continue
				}
				if c.want.Repackage != nil {
					c.want.Repackage.Version = "4.1.2"
				}
				if !reflect.DeepEqual(p.Repackage, c.want.Repackage) || p.Quarkus != c.want.Quarkus || p.Thin != c.want.Thin {
					t.Errorf("%s: repackage %+v, quarkus %q, thin %t; want %+v, %q, %t", name, p.Repackage, p.Quarkus, p.Thin, c.want.Repackage, c.want.Quarkus, c.want.Thin)
				}
			}
		})
	}
}
