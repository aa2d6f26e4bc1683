package codeartifacttest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/fastship/fastship/internal/awsconf"
)

func TestTheRepositoryAsksForAToken(t *testing.T) {
	d := &Double{Domain: "corp", Owner: "111122223333", Lasts: time.Hour, Files: fstest.MapFS{"g/a/1/a-1.pom": {Data: []byte("<project/>")}}}
	api, repository := httptest.NewServer(d.API()), httptest.NewServer(d.Repository())
	defer api.Close()
	defer repository.Close()
	get := func(path, user, password string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, repository.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.SetBasicAuth(user, password)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	token, until, err := awsconf.CodeArtifactToken(t.Context(), awsconf.Local(api.URL, "eu-west-1"), "corp", "111122223333")
	if err != nil || time.Until(until).Round(time.Minute) != time.Hour {
		t.Fatalf("until %v, %v", until, err)
	}
	const pom = "/maven/r/g/a/1/a-1.pom"
	for _, c := range []struct {
		path, user, password string
		want                 int
	}{{pom, "aws", token, 200}, {"/maven/r/none", "aws", token, 404}, {pom, "me", token, 401}, {pom, "aws", "${env.TOKEN}", 401}} {
		if got := get(c.path, c.user, c.password); got != c.want {
			t.Errorf("%s as %s:%s: %d, want %d", c.path, c.user, c.password, got, c.want)
		}
	}
	d.Lasts = -time.Second
	if token, _, err = awsconf.CodeArtifactToken(t.Context(), awsconf.Local(api.URL, "eu-west-1"), "corp", "111122223333"); err != nil || get(pom, "aws", token) != 401 {
		t.Errorf("a token that has ended is taken, %v", err)
	}
}

// TestAWSCLI has the other SDK's copy of the service model ask and read, so
// that the double and fastship cannot share a misreading of it.
func TestAWSCLI(t *testing.T) {
	if os.Getenv("FASTSHIP_INTEGRATION") != "1" {
		t.Skip("needs the AWS CLI: set FASTSHIP_INTEGRATION=1")
	}
	cli := os.Getenv("FASTSHIP_TEST_AWS")
	if cli == "" {
		cli = "aws"
	}
	if _, err := exec.LookPath(cli); err != nil {
		t.Skipf("no AWS CLI: %v", err)
	}
	d := &Double{Domain: "corp", Owner: "111122223333"}
	server := httptest.NewServer(d.API())
	defer server.Close()
	ask := func(domain string, more ...string) ([]byte, error) {
		c := exec.Command(cli, append([]string{"codeartifact", "get-authorization-token", "--domain", domain, "--domain-owner", "111122223333", "--output", "json"}, more...)...)
		c.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+server.URL, "AWS_DEFAULT_REGION=eu-west-1", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y", "HOME="+t.TempDir())
		return c.CombinedOutput()
	}
	out, err := ask("corp")
	var answer struct {
		AuthorizationToken string
		Expiration         any // a number in version 1 of the CLI, a date in version 2
	}
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil || answer.AuthorizationToken != "double-t0ken-1" || time.Until(moment(t, answer.Expiration)).Round(time.Hour) != 12*time.Hour {
		t.Errorf("the AWS CLI reads %+v, %v\n%s", answer, err, out)
	}
	if out, err := ask("other", "--duration-seconds", "900"); err == nil || !strings.Contains(string(out), "ResourceNotFoundException") {
		t.Errorf("another domain: %v\n%s", err, out)
	}
	if _, _, err := awsconf.CodeArtifactToken(t.Context(), awsconf.Local(server.URL, "eu-west-1"), "corp", "111122223333"); err != nil {
		t.Fatal(err)
	}
	if asked := d.Asked(); len(asked) != 2 || !reflect.DeepEqual(asked[0], asked[1]) {
		t.Errorf("the AWS CLI and fastship asked differently: %v", asked)
	}
}

func moment(t *testing.T, v any) time.Time {
	if seconds, ok := v.(float64); ok {
		return time.Unix(int64(seconds), 0)
	}
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Errorf("expiration %v: %v", v, err)
	}
	return at
}
