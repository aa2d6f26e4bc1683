package s3

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// loginServer stands for STS and the portal of IAM Identity Center.
func loginServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end := time.Now().Add(time.Hour).UTC()
		if r.URL.Path == "/federation/credentials" {
			if r.Header.Get("X-Amz-Sso_bearer_token") != "token" || r.URL.Query().Get("role_name") != "Dev" {
				w.WriteHeader(401)
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"roleCredentials": map[string]any{"accessKeyId": "AKIDSSO", "secretAccessKey": "s", "sessionToken": "x", "expiration": end.UnixMilli()}})
			return
		}
		_ = r.ParseForm()
		action, key := r.Form.Get("Action"), ""
		switch {
		case action == "AssumeRole" && r.Form.Get("RoleArn") == "arn:aws:iam::111122223333:role/build" && strings.Contains(r.Header.Get("Authorization"), "AKIDSOURCE"):
			key = "AKIDROLE"
		case action == "AssumeRoleWithWebIdentity" && r.Form.Get("WebIdentityToken") == "jwt":
			key = "AKIDWEB"
		default:
			w.WriteHeader(403)
			return
		}
		fmt.Fprintf(w, `<%[1]sResponse><%[1]sResult><Credentials><AccessKeyId>%[2]s</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>x</SessionToken><Expiration>%[3]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
			action, key, end.Format(time.RFC3339))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestLogins signs with what each way to log in gives.
func TestLogins(t *testing.T) {
	login := loginServer(t)
	for name, c := range map[string]struct {
		config string
		vars   []string
		key    string
	}{
		"a role by a profile": {"[profile p]\nregion = eu-west-1\nrole_arn = arn:aws:iam::111122223333:role/build\nsource_profile = source\n[profile source]\naws_access_key_id = AKIDSOURCE\naws_secret_access_key = s\n", nil, "AKIDROLE"},
		"web identity":        {"[profile p]\nregion = eu-west-1\n", []string{"AWS_ROLE_ARN=arn:aws:iam::111122223333:role/ci", "AWS_WEB_IDENTITY_TOKEN_FILE=@jwt"}, "AKIDWEB"},
		"single sign-on":      {"[profile p]\nregion = eu-west-1\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Dev\n[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://example.awsapps.com/start\n", nil, "AKIDSSO"},
		"a command":           {"[profile p]\nregion = eu-west-1\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"AKIDCMD\",\"SecretAccessKey\":\"s\"}'\n", nil, "AKIDCMD"},
	} {
		t.Run(name, func(t *testing.T) {
			server, saw := empty(t, false)
			environment(t, append(c.vars, "AWS_ENDPOINT_URL_STS="+login, "AWS_ENDPOINT_URL_SSO="+login)...)
			home := os.Getenv("HOME")
			session := sha1.Sum([]byte("corp")) // which names the token in its cache
			for file, text := range map[string]string{
				"config": c.config, "jwt": "jwt",
				".aws/sso/cache/" + hex.EncodeToString(session[:]) + ".json": `{"accessToken":"token","expiresAt":"` + time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `"}`,
			} {
				path := filepath.Join(home, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, "config"))
			if _, ok := os.LookupEnv("AWS_WEB_IDENTITY_TOKEN_FILE"); ok {
				t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", filepath.Join(home, "jwt"))
			}
			address := "s3://bkt?path-style=true&endpoint=" + url.QueryEscape(server.URL)
			if len(c.vars) == 0 {
				address += "&profile=p" // a profile asked for in code wins over variables
			} else {
				t.Setenv("AWS_REGION", "eu-west-1")
			}
			if err := openURL(t, address).Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := saw(); len(got) != 1 || !strings.Contains(got[0].Header.Get("Authorization"), c.key+"/") {
				t.Errorf("%d requests, want one signed by %s", len(got), c.key)
			}
		})
	}
}
