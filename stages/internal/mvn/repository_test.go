package mvn

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestChooseRepository(t *testing.T) {
	dir := t.TempDir()
	h := Host{Home: "/home/me"}
	opts := Host{Home: "/home/me", Environ: []string{"MAVEN_OPTS=-Dmaven.repo.local=/opts"}}
	for name, c := range map[string]struct {
		host         Host
		args         []string
		wish         RepositoryWish
		path, reason string // no path: leased
	}{
		"own store":         {h, nil, RepositoryWish{}, "/home/me/.m2/repository", "host's own"},
		"shared store":      {h, nil, RepositoryWish{Shared: true}, "", "shared"},
		"CI":                {h, nil, RepositoryWish{CI: true}, "", "CI"},
		"user, in CI":       {h, nil, RepositoryWish{Setting: "user", Shared: true, CI: true}, "/home/me/.m2/repository", "is user"},
		"leased":            {h, nil, RepositoryWish{Setting: "leased"}, "", "is leased"},
		"a path":            {h, nil, RepositoryWish{Setting: ".repo"}, filepath.Join(dir, ".repo"), "maven.repository names"},
		"property":          {h, []string{"-Dmaven.repo.local=r"}, RepositoryWish{Shared: true}, filepath.Join(dir, "r"), "-Dmaven.repo.local"},
		"MAVEN_OPTS":        {opts, nil, RepositoryWish{CI: true}, "/opts", "-Dmaven.repo.local"},
		"arguments win":     {opts, []string{"-Dmaven.repo.local=/a"}, RepositoryWish{CI: true}, "/a", "-Dmaven.repo.local"},
		"settings":          {h, nil, RepositoryWish{CI: true, Local: "/home/me/repo"}, "/home/me/repo", "localRepository in settings.xml"},
		"leased overrules":  {opts, nil, RepositoryWish{Setting: "leased"}, "", "overrules -Dmaven.repo.local"},
		"user has settings": {h, nil, RepositoryWish{Setting: "user", Local: "/home/me/repo"}, "/home/me/repo", "is user"},
	} {
		c.wish.Dir = dir
		r := ChooseRepository(c.host, ReadArgs(c.host, dir, c.args), c.wish)
		if r.Path != c.path || r.Leased != (c.path == "") || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
