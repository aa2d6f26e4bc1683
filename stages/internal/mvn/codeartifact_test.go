package mvn

import (
	"slices"
	"testing"
)

func TestTokensThatCodeArtifactHasToGive(t *testing.T) {
	const text = `<settings><servers>
<server><id>ca</id><username>aws</username><password>${env.CODEARTIFACT_AUTH_TOKEN}</password></server>
<server><id>again</id><password>${env.CODEARTIFACT_AUTH_TOKEN}</password></server>
<server><id>fixed</id><password>x${env.A}</password></server><server><id>else</id><password>${env.B}</password></server></servers>
<mirrors><mirror><id>ca</id><mirrorOf>*</mirrorOf><url>https://my-domain-111122223333.d.codeartifact.eu-west-1.amazonaws.com/maven/r/</url></mirror></mirrors>
<profiles><profile><repositories><repository><id>again</id><url>https://d-111122223333.d.codeartifact.us-east-1.amazonaws.com/maven/r/</url></repository>
<repository><id>fixed</id><url>https://d-111122223333.d.codeartifact.us-east-1.amazonaws.com/maven/r/</url></repository>
<repository><id>else</id><url>https://repo.corp/maven</url></repository></repositories></profile></profiles></settings>`
	s, err := ParseSettings(Host{}, "settings.xml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := s.Tokens(Host{}, nil)
	if len(got) != 1 || got[0] != (Token{"CODEARTIFACT_AUTH_TOKEN", "my-domain", "111122223333", "eu-west-1"}) {
		t.Errorf("%+v", got)
	}
	if got := s.Tokens(Host{Environ: []string{"CODEARTIFACT_AUTH_TOKEN=x"}}, nil); len(got) != 0 {
		t.Errorf("a token that is there is asked for: %+v", got)
	}
	s.Fill("CODEARTIFACT_AUTH_TOKEN", "t0ken")
	if _, server := s.Central(); server.Password != "t0ken" || s.Servers[2].Password != "x" {
		t.Errorf("filled: %+v", s.Servers)
	}
	for _, url := range []string{"http://d-111122223333.d.codeartifact.us-east-1.amazonaws.com/", "https://d-111122223333.d.codeartifact.us-east-1.amazonaws.com.evil.example/", "https://d-1.d.codeartifact.us-east-1.amazonaws.com/", ":"} {
		if got, ok := codeArtifactOf(url); ok {
			t.Errorf("%s is taken for %+v", url, got)
		}
	}
}

func TestRepositoriesInPomsAreServed(t *testing.T) {
	const corp = "https://corp-111122223333.d.codeartifact.eu-west-1.amazonaws.com/maven/r/"
	poms := []Remote{{"known", corp}, {"new", corp}, {"new", corp}, {"other", "https://b-111122223333.d.codeartifact.eu-west-1.amazonaws.com/maven/r/"},
		{"mirrored", corp}, {"else", "https://repo.corp/"}}
	read := func() Settings {
		return parsed(t, Host{}, `<settings><servers><server><id>known</id><username>aws</username><password>${env.TOKEN}</password></server></servers>
<mirrors><mirror><id>m</id><mirrorOf>mirrored,else</mirrorOf><url>https://repo.corp/all</url></mirror></mirrors></settings>`)
	}
	s := read()
	added := s.Serve(Host{}, poms)
	if len(added) != 2 || added[0].ID != "new" || added[1].ID != "other" || added[0].variable == added[1].variable {
		t.Errorf("added %+v", added)
	}
	tokens := s.Tokens(Host{}, poms)
	if len(tokens) != 3 || tokens[0] != (Token{"TOKEN", "corp", "111122223333", "eu-west-1"}) || tokens[0].Added() || tokens[2].Domain != "b" || !tokens[2].Added() {
		t.Errorf("tokens %+v", tokens)
	}
	s = read()
	set := Host{Environ: []string{"CODEARTIFACT_AUTH_TOKEN=mine"}}
	if added := s.Serve(set, poms); len(added) != 2 || added[1].Password != "mine" || len(s.Tokens(set, poms)) != 1 {
		t.Errorf("with a token at hand: %+v, then asks for %+v", added, s.Tokens(set, poms))
	}
}

func TestServersAreInserted(t *testing.T) {
	added := []Server{{ID: "a&b", Username: "aws", variable: "V"}}
	for name, text := range map[string]string{
		"nothing":       "",
		"empty":         "<settings/>",
		"empty, spaced": "<?xml version='1.0'?>\n<settings xmlns='http://maven.apache.org/SETTINGS/1.2.0' />\n",
		"no servers":    "<settings><mirrors/><!-- <servers> --></settings>",
		"servers":       "<settings><servers><server><id>x</id></server></servers></settings>",
		"a server":      "<settings><servers><server/></servers></settings>",
		"no server":     "<settings><servers/><profiles><profile><servers/></profile></profiles></settings>",
	} {
		got, err := InsertServers([]byte(text), added)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := parsed(t, Host{Environ: []string{"V=t0ken"}}, string(got))
		if last := s.Servers[len(s.Servers)-1]; last.ID != "a&b" || last.Username != "aws" || last.Password != "t0ken" || last.variable != "V" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got, err := InsertServers([]byte("<settings><servers>"), added); err == nil {
		t.Errorf("a broken text gave %s", got)
	}
}

func TestRemotesOfPoms(t *testing.T) {
	tree := enforced(t, `<project><properties><ca>https://r.corp</ca></properties>
<repositories><repository><id>a</id><url>${ca}/a</url></repository><repository><id>far</id><url>${parent.url}</url></repository></repositories>
<pluginRepositories><pluginRepository><id>p</id><url>${ca}/${path}</url></pluginRepository></pluginRepositories>
<distributionManagement><repository><id>d</id><url>${ca}/d</url></repository><snapshotRepository><id>s</id><url>${ca}/s</url></snapshotRepository></distributionManagement>
<profiles><profile><id>on</id><repositories><repository><id>in</id><url>x</url></repository></repositories></profile>
<profile><id>off</id><repositories><repository><id>out</id><url>x</url></repository></repositories></profile></profiles></project>`)
	got := tree.Remotes(Args{user: []string{"-Dpath=plugins"}}, []string{"on"})
	want := []Remote{{"a", "https://r.corp/a"}, {"p", "https://r.corp/plugins"}, {"d", "https://r.corp/d"}, {"s", "https://r.corp/s"}, {"in", "x"}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
