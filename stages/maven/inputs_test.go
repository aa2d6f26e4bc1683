package maven

import (
	"strings"
	"testing"
)

func TestInputs(t *testing.T) {
	for _, c := range []struct {
		path, poms string
		patterns   []string
		want       bool
	}{
		{"src/main/java/A.java", "", nil, true},
		{"README.md", "", nil, false},
		{"README.md", "<file>README.md</file>", nil, true},
		{"README.md", "<directory>${basedir}</directory>", nil, true},
		{"api/README.md", "", nil, false},
		{"api/src/main/resources/help.md", "", nil, true},
		{"docs/a/b.txt", "", nil, false},
		{"api/docs/b.txt", "", nil, true},
		{".github/workflows/x.yml", "", nil, false},
		{"fastship.yaml", "", nil, false},
		{"data/x.bin", "", nil, true},
		{"data/x.bin", "", []string{"!data/"}, false},
		{"README.md", "", []string{"!data/"}, true},
		{"data/x.bin", "", []string{"src/"}, false},
		{"a/src/x", "", []string{"src/"}, true},
		{"data/x.bin", "", []string{"data", "!*.bin", "data/x.*"}, true},
		{"pom.xml", "", []string{"!**"}, true},
		{"../pom.xml", "", []string{"!**"}, true},
		{".mvn/jvm.config", "", []string{"!**"}, true},
		{"docs", "", []string{"!docs/"}, true},
	} {
		got := len(inputs([]File{{Path: c.path}}, c.patterns, c.poms)) == 1
		if got != c.want {
			t.Errorf("%s with %q and poms %q: %v, want %v", c.path, c.patterns, c.poms, got, c.want)
		}
	}
}

func TestEnvironmentIn(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "",
		"${env.HOME}/x ${env.A_1}":       "HOME A_1",
		"<name>env.CI</name>":            "CI",
		"env.X":                          "X",
		"myenv.X ${my.env.Y} _env.Z":     "Y",
		"env. env.1 env.- ${env.}":       "",
		"myenv.env.A":                    "A",
		"env.env.A env.é ${env.Ü}":       "env",
		"ends with env.":                 "",
		"${env.A}${env.B}env.Cenv.D-env": "A B Cenv",
	} {
		if got := strings.Join(environmentIn(text), " "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestAskedIn(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "",
		"<exists>a</exists>": "a",
		"<missing>\n\t${user.home}/b c\r\n</missing><exists> a </exists>": "${user.home}/b c|a",
		"<exists>b</exists><missing>b</missing>":                          "b",
		"<exists>a<!-- no --></exists><exists/>":                          "",
		"<exists><exists>a</exists>":                                      "a",
		"<exists></exists>":                                               "",
		"<missing>never closed":                                           "",
	} {
		if got := strings.Join(askedIn(text), "|"); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
