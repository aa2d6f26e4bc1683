package awsconf

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/fastship/fastship/internal/fault"
)

// environment gives the test a home of its own, with these shared files, and
// none of the caller's AWS variables.
func environment(t *testing.T, configFile, credentialsFile string, vars ...string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	for name, text := range map[string]string{"config": configFile, "credentials": credentialsFile} {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
}

const keys = "aws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = example\n"

func TestLoadFaults(t *testing.T) {
	for _, c := range []struct {
		name, config, credentials string
		vars                      []string
		opt                       Options
		wantErr, wantHint         string
	}{
		{name: "no credentials", vars: []string{"AWS_REGION=eu-west-1"}, wantErr: "find AWS credentials (profile default)", wantHint: "AWS_PROFILE"},
		{name: "no region", credentials: "[default]\n" + keys, wantErr: "no AWS region", wantHint: "AWS_REGION, or region in AWS profile default"},
		{name: "no such profile", vars: []string{"AWS_PROFILE=prod"}, wantErr: `"prod"`, wantHint: "list-profiles"},
		{name: "sso never logged in", vars: []string{"AWS_PROFILE=prod"},
			config:  "[profile prod]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Dev\nregion = eu-west-1\n[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://example.awsapps.com/start\n",
			wantErr: "the AWS credentials of profile prod have expired", wantHint: "aws sso login --profile prod"},
		{name: "broken file", config: "[profile prod]\nregion = eu-west-1\nsso_session = gone\nsso_account_id = 1\nsso_role_name = x\n", opt: Options{Profile: "prod"},
			wantErr: "AWS configuration", wantHint: "correct"},
	} {
		t.Run(c.name, func(t *testing.T) {
			environment(t, c.config, c.credentials, c.vars...)
			_, err := Load(t.Context(), c.opt)
			if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("error %v (class %d), want Missing with %q", err, fault.ClassOf(err), c.wantErr)
			}
			if !strings.Contains(fault.HintOf(err), c.wantHint) {
				t.Errorf("hint %q, want %q", fault.HintOf(err), c.wantHint)
			}
		})
	}
}

func TestLoadWithoutLoginCache(t *testing.T) {
	environment(t, "[default]\nregion = eu-west-1\nlogin_session = arn:aws:iam::111122223333:user/x\n", "")
	_, err := Load(t.Context(), Options{})
	if fault.ClassOf(err) != fault.Missing || !strings.Contains(fault.HintOf(err), "aws login --profile default") {
		t.Errorf("error %v, hint %q", err, fault.HintOf(err))
	}
}

func TestLoad(t *testing.T) {
	environment(t, "[profile prod]\nregion = eu-west-1\n", "[prod]\n"+keys)
	cfg, err := Load(t.Context(), Options{Profile: "prod"})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Region != "eu-west-1" || ProfileOf(cfg) != "prod" {
		t.Errorf("region %q of profile %q", cfg.Region, ProfileOf(cfg))
	}
	cfg, err = Load(t.Context(), Options{Profile: "prod", Region: "us-east-2"})
	if err != nil || cfg.Region != "us-east-2" {
		t.Errorf("region %q, %v; the option must win", cfg.Region, err)
	}
}

func TestLoadCancelled(t *testing.T) {
	environment(t, "[default]\nregion = eu-west-1\ncredential_process = sleep 2\n", "")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	cancel(why)
	if _, err := Load(ctx, Options{}); !errors.Is(err, why) {
		t.Errorf("error %v, want the context's cause", err)
	}
}

// TestExplain sends a real client against a server that refuses.
func TestExplain(t *testing.T) {
	code := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<ErrorResponse><Error><Code>%s</Code><Message>no</Message></Error></ErrorResponse>", code)
	}))
	defer server.Close()
	environment(t, "[profile prod]\nregion = eu-west-1\n", "[prod]\n"+keys, "AWS_PROFILE=prod", "AWS_ENDPOINT_URL="+server.URL)
	cfg, err := Load(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ code, wantErr, wantHint string }{
		{"ExpiredToken", "the AWS credentials of profile prod have expired", "--profile prod"},
		{"InvalidClientTokenId", "AWS does not accept the AWS credentials of profile prod", "check"},
	} {
		code = c.code
		_, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil)
		err = Explain(cfg, err)
		if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), c.wantErr) || !strings.Contains(fault.HintOf(err), c.wantHint) {
			t.Errorf("%s: error %v, hint %q", c.code, err, fault.HintOf(err))
		}
	}
	code = "Throttling"
	_, err = sts.NewFromConfig(cfg, func(o *sts.Options) { o.Retryer = aws.NopRetryer{} }).GetCallerIdentity(t.Context(), nil)
	if got := Explain(cfg, err); got != err {
		t.Errorf("an error that is not about credentials was changed: %v", got)
	}
}

func TestExplainEnvironment(t *testing.T) {
	environment(t, "", "", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example", "AWS_REGION=eu-west-1")
	cfg, err := Load(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = Explain(cfg, &smithy.GenericAPIError{Code: "ExpiredTokenException"})
	if !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") || strings.Contains(fault.HintOf(err), "profile") {
		t.Errorf("error %v, hint %q: must name the variables", err, fault.HintOf(err))
	}
}

func TestLocal(t *testing.T) {
	environment(t, "", "", "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=example")
	seen := ""
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header.Get("Authorization") }))
	defer server.Close()
	sts.NewFromConfig(Local(server.URL, "local")).GetCallerIdentity(t.Context(), nil) // the answer is empty; the request is what counts
	if !strings.Contains(seen, "Credential=local/") || strings.Contains(seen, "AKIDEXAMPLE") {
		t.Errorf("signed with %q", seen)
	}
}
