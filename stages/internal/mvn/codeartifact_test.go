package mvn

import "testing"

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
	got := s.Tokens(Host{})
	if len(got) != 1 || got[0] != (Token{"CODEARTIFACT_AUTH_TOKEN", "my-domain", "111122223333", "eu-west-1"}) {
		t.Errorf("%+v", got)
	}
	if got := s.Tokens(Host{Environ: []string{"CODEARTIFACT_AUTH_TOKEN=x"}}); len(got) != 0 {
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
