package ecrtest_test

import (
	"cmp"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/stages/push/ecrtest"
)

const host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"

// servers are the double and, in the integration suite, moto: what both are
// asked they must answer alike to the SDK's client.
func servers(t *testing.T) map[string]*ecr.Client {
	t.Helper()
	s := ecrtest.Start(ecrtest.Options{Host: host})
	t.Cleanup(s.Close)
	all := map[string]*ecr.Client{"double": ecr.NewFromConfig(awsconf.Local(s.Endpoint(), "eu-central-1"))}
	program, err := exec.LookPath(cmp.Or(os.Getenv("FASTSHIP_MOTO"), "moto_server"))
	if os.Getenv("FASTSHIP_INTEGRATION") == "" || err != nil {
		return all
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	moto := exec.CommandContext(t.Context(), program, "-H", "127.0.0.1", "-p", port)
	if err := moto.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { moto.Process.Kill(); moto.Wait() })
	for range 300 {
		if resp, err := http.Get("http://" + at + "/moto-api/"); err == nil {
			resp.Body.Close()
			all["moto"] = ecr.NewFromConfig(awsconf.Local("http://"+at, "eu-central-1"))
			return all
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Log("moto does not answer")
	return all
}

// TestAPI asks by the SDK's client, whose decoder knows the service's model:
// every answer and every refusal must come out typed.
func TestAPI(t *testing.T) {
	for name, c := range servers(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			token, err := c.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
			if err != nil || len(token.AuthorizationData) != 1 {
				t.Fatal(token, err)
			}
			data := token.AuthorizationData[0]
			login, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
			if err != nil || !strings.HasPrefix(string(login), "AWS:") || time.Until(aws.ToTime(data.ExpiresAt)) < 11*time.Hour && name == "double" || !strings.Contains(aws.ToString(data.ProxyEndpoint), ".dkr.ecr.eu-central-1.") {
				t.Errorf("%s until %s, %v", login, data.ExpiresAt, err)
			}
			repo := aws.String("orders")
			made, err := c.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: repo})
			if err != nil || made.Repository == nil || !strings.HasSuffix(aws.ToString(made.Repository.RepositoryUri), "/orders") {
				t.Fatal(made, err)
			}
			_, err = c.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: repo})
			is[*types.RepositoryAlreadyExistsException](t, err)
			image := &types.ImageIdentifier{ImageDigest: aws.String("sha256:" + strings.Repeat("0", 64))}
			_, err = c.DescribeImageScanFindings(ctx, &ecr.DescribeImageScanFindingsInput{RepositoryName: repo, ImageId: image})
			is[*types.ImageNotFoundException](t, err)
			_, err = c.DescribeImageScanFindings(ctx, &ecr.DescribeImageScanFindingsInput{RepositoryName: aws.String("none"), ImageId: image})
			is[*types.RepositoryNotFoundException](t, err)
			if name != "double" {
				return // moto has no layers
			}
			layers := []string{"sha256:" + strings.Repeat("1", 64), "nonsense"}
			out, err := c.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: repo, LayerDigests: layers})
			if err != nil || len(out.Layers) != 1 || out.Layers[0].LayerAvailability != types.LayerAvailabilityUnavailable || len(out.Failures) != 1 || out.Failures[0].FailureCode != types.LayerFailureCodeInvalidLayerDigest {
				t.Errorf("%+v, %v", out, err)
			}
			_, err = c.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String("none"), LayerDigests: layers})
			is[*types.RepositoryNotFoundException](t, err)
			_, err = c.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: repo, LayerDigests: make([]string, 101)})
			is[*types.InvalidParameterException](t, err)
		})
	}
}

func is[E error](t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[E](err); !ok {
		t.Errorf("got %v, want %s", err, reflect.TypeFor[E]())
	}
}

// TestDenies: what a policy does not name is refused, in API and registry.
func TestDenies(t *testing.T) {
	s := ecrtest.Start(ecrtest.Options{Host: host, Allow: []string{"ecr:GetAuthorizationToken"}})
	t.Cleanup(s.Close)
	s.Create("orders")
	c := ecr.NewFromConfig(awsconf.Local(s.Endpoint(), "eu-central-1"))
	token, err := c.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("bills")})
	if err == nil || !strings.Contains(err.Error(), "AccessDeniedException") {
		t.Error(err)
	}
	for _, at := range []string{"GET manifests/x", "HEAD blobs/sha256:0", "POST blobs/uploads/", "PUT manifests/x", "GET referrers/sha256:0"} {
		method, path, _ := strings.Cut(at, " ")
		req, err := http.NewRequestWithContext(t.Context(), method, s.Endpoint()+"/v2/orders/"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		want := http.StatusUnauthorized
		for range 2 {
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s: %d, want %d", at, resp.StatusCode, want)
			}
			req.Header.Set("Authorization", "Basic "+aws.ToString(token.AuthorizationData[0].AuthorizationToken))
			want = http.StatusForbidden
		}
	}
}
