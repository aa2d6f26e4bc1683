package awsconf

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/fault"
)

const ship = "arn:aws:iam::210987654321:role/ship"

// TestAssumeRole: the role's credentials are what comes back, got with the
// external id from the region's STS.
func TestAssumeRole(t *testing.T) {
	var asked string
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() == nil {
			asked = fmt.Sprint(r.Form.Get("Action"), " ", r.Form.Get("RoleArn"), " ", r.Form.Get("ExternalId"), " ", strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/sts/"))
		}
		fmt.Fprintf(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer sts.Close()
	environment(t, "", "[default]\n"+keys, "AWS_ENDPOINT_URL_STS="+sts.URL)
	cfg, err := Load(t.Context(), Options{Region: "eu-west-1", Role: ship, ExternalID: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil || got.AccessKeyID != "ASIAROLE" || asked != "AssumeRole "+ship+" acme true" {
		t.Errorf("%s after %q, %v", got.AccessKeyID, asked, err)
	}
}

// TestAssumeRoleRefused: what STS refuses names the role and what it lacks.
func TestAssumeRoleRefused(t *testing.T) {
	for _, c := range []struct{ code, external, want, hint string }{
		{"AccessDenied", "", "assume role " + ship + ": no (AccessDenied)", "name the caller in the role's trust policy (Principal), and allow the caller sts:AssumeRole on " + ship + "; where that policy asks for sts:ExternalId, set deploy.externalId"},
		{"AccessDenied", "acme", "assume role " + ship, "its sts:ExternalId must be deploy.externalId"},
		{"RegionDisabledException", "", "assume role " + ship + ": no (RegionDisabledException)", "correct deploy.role"},
		{"ExpiredToken", "", "the AWS credentials of profile default have expired", "renew the credentials"},
	} {
		sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `<ErrorResponse><Error><Code>%s</Code><Message>no.</Message></Error></ErrorResponse>`, c.code)
		}))
		defer sts.Close()
		environment(t, "", "[default]\n"+keys, "AWS_ENDPOINT_URL_STS="+sts.URL)
		_, err := Load(t.Context(), Options{Region: "eu-west-1", Role: ship, ExternalID: c.external})
		if fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%s: %v | %s", c.code, err, fault.HintOf(err))
		}
	}
}
