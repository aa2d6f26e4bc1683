package maven

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fastship/fastship/internal/awsconf/codeartifacttest"
)

// tunnel is a proxy that leads every CONNECT to one address, wherever the
// client thinks it goes.
func tunnel(t *testing.T, to string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only CONNECT", http.StatusMethodNotAllowed)
			return
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		near, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = far.Close()
			return
		}
		_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
		go func() {
			_, _ = io.Copy(far, buffered)
			_ = far.Close()
		}()
		_, _ = io.Copy(near, far) // either end may hang up
		_ = near.Close()
	}))
	t.Cleanup(server.Close)
	return server
}

// TestMavenReadsCodeArtifact has the real Maven take a parent out of a
// repository of CodeArtifact that is only in the pom: the token comes from the
// service by the SDK, and no settings know it.
func TestMavenReadsCodeArtifact(t *testing.T) {
	needMaven(t)
	for maven, path := range mavens(t) {
		t.Run(maven, func(t *testing.T) {
			double := &codeartifacttest.Double{Domain: "corp", Owner: "111122223333", Files: os.DirFS(files(t, "com/corp/parent/7/parent-7.pom",
				`<project><modelVersion>4.0.0</modelVersion><groupId>com.corp</groupId><artifactId>parent</artifactId><version>7</version><packaging>pom</packaging></project>`))}
			api, repository := httptest.NewServer(double.API()), httptest.NewTLSServer(double.Repository())
			defer api.Close()
			defer repository.Close()
			host, port, err := net.SplitHostPort(tunnel(t, repository.Listener.Addr().String()).Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_ENDPOINT_URL_CODEARTIFACT", api.URL)
			t.Setenv("AWS_ACCESS_KEY_ID", "local")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "local")
			place := t.TempDir()
			dir := files(t,
				"settings.xml", `<settings><proxies><proxy><protocol>https</protocol><host>`+host+`</host><port>`+port+`</port></proxy></proxies></settings>`,
				"pom.xml", `<project><modelVersion>4.0.0</modelVersion><parent><groupId>com.corp</groupId><artifactId>parent</artifactId><version>7</version><relativePath/></parent><artifactId>child</artifactId><packaging>pom</packaging>
<repositories><repository><id>corp</id><url>https://corp-111122223333.d.codeartifact.eu-west-1.amazonaws.com/maven/r/</url></repository></repositories></project>`)
			s := step(t, Config{Dir: dir, Settings: "settings.xml", Goals: []string{"validate"}, Args: []string{
				"-Dmaven.repo.local=" + t.TempDir(), // of this test alone
				"-Dmaven.wagon.http.ssl.insecure=true", "-Dmaven.wagon.http.ssl.allowall=true", "-Daether.connector.https.securityMode=insecure", "-Daether.transport.https.securityMode=insecure",
			}}, "PATH="+path, "XDG_RUNTIME_DIR="+place)
			var secrets []string
			s.deps.Secret = func(values ...string) { secrets = append(secrets, values...) }
			r := runStep(t, t.Context(), s)
			served, _ := double.Requests()
			if !strings.Contains(r.output(), "BUILD SUCCESS") || served == 0 || len(double.Asked()) != 1 || !slices.Contains(secrets, "double-t0ken-1") {
				t.Errorf("%d requests served, %d tokens given, secrets %q\n%s\n%s", served, len(double.Asked()), secrets, r.said(), r.output())
			}
			if left, err := filepath.Glob(filepath.Join(place, "*")); err != nil || len(left) > 0 {
				t.Errorf("left %q, %v", left, err)
			}
		})
	}
}
