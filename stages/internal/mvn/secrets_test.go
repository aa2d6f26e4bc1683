package mvn

import (
	"path/filepath"
	"slices"
	"testing"
)

func TestSecretsOfSettings(t *testing.T) {
	h := Host{Home: "/home/me", Environ: []string{"GPG=from-the-environment"}}
	s := parsed(t, h, `<settings>
<servers><server><id>a</id><username>me</username><password>pw-1</password><privateKey>${user.home}/.ssh/id</privateKey><passphrase>${env.GPG}</passphrase>
<configuration><httpHeaders><property><name>X-Auth</name><value>header-1</value></property></httpHeaders></configuration></server></servers>
<proxies><proxy><password>proxy-1</password></proxy></proxies>
<profiles><profile><properties><sonar.token>squ_1234</sonar.token><sonar.token.check>true</sonar.token.check><gpg.passphrase>${gpg.elsewhere}</gpg.passphrase>
<db.password>tiger</db.password><api-key>k3y-12345</api-key></properties>
<repositories><repository><url>https://me:in-the-url@repo.corp/maven</url></repository></repositories></profile></profiles></settings>`)
	want := []string{"from-the-environment", "header-1", "in-the-url", "k3y-12345", "proxy-1", "pw-1", "squ_1234", "tiger"}
	if got := s.Secrets(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSecretsOfArguments(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, ".mvn", "maven.config"), "-Dsonar.token=squ_1\n", 0o644)
	h := Host{Environ: []string{"MAVEN_OPTS=-Djavax.net.ssl.trustStorePassword=changeit -Xmx1g", "MAVEN_ARGS=-Dapi_key=k3y-1"}}
	got := ReadArgs(h, root, []string{"-Dgpg.passphrase=abc", "-DskipTests", "-Dtoken.file=/run/token", "-Dsecrets=true", "--define", "db.password=tiger"}).Secrets()
	if want := []string{"abc", "changeit", "k3y-1", "squ_1", "tiger"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSecretsOfTheWrapper(t *testing.T) {
	root := t.TempDir()
	write(t, wrapperProperties(root), "distributionUrl=https\\://u:in-properties@repo.corp/apache-maven-3.9.11-bin.zip\n", 0o644)
	h := Host{Environ: []string{"MVNW_USERNAME=ci-robot", "MVNW_PASSWORD=pw-1", "MVNW_REPOURL=https://u:in-variable@repo.corp/"}}
	if got, want := WrapperSecrets(h, root), []string{"pw-1", "ci-robot", "in-variable", "in-properties"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := WrapperSecrets(Host{Environ: []string{"MVNW_USERNAME=maven"}}, t.TempDir()); len(got) != 0 {
		t.Errorf("a plain word is masked: %q", got)
	}
}
