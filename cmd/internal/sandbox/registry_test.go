package sandbox_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fastship/fastship/cache"
)

func TestRegistryTakesEveryKindOfUpload(t *testing.T) {
	project := t.TempDir()
	s := start(t, project)
	defer closed(t, s, project)
	base := "http://" + s.Registry()
	do := func(method, address, body string, headers ...string) *http.Response {
		t.Helper()
		if strings.HasPrefix(address, "/") {
			address = base + address
		}
		request, err := http.NewRequest(method, address, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	want := func(r *http.Response, status int) *http.Response {
		t.Helper()
		if r.StatusCode != status {
			body, _ := io.ReadAll(r.Body)
			t.Errorf("%s %s: %d, want %d: %s", r.Request.Method, r.Request.URL, r.StatusCode, status, body)
		}
		return r
	}
	digest := func(body string) string { return string(cache.Sum([]byte(body))) }

	want(do("POST", "/v2/a/b/blobs/uploads/?digest="+digest("at once"), "at once"), 201)
	want(do("HEAD", "/v2/a/b/blobs/"+digest("at once"), ""), 200)

	session := want(do("POST", "/v2/a/blobs/uploads/", ""), 202).Header.Get("Location")
	want(do("PATCH", session, "in ", "Content-Range", "0-2"), 202)
	want(do("PATCH", session, "gap", "Content-Range", "7-9"), 416)
	if got := want(do("GET", session, ""), 204).Header.Get("Range"); got != "0-2" {
		t.Error(got)
	}
	want(do("PATCH", session, "pieces", "Content-Range", "3-8"), 202)
	want(do("PUT", session+"?digest="+digest("in pieces!"), "!"), 201)
	response := want(do("GET", "/v2/a/blobs/"+digest("in pieces!"), ""), 200)
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "in pieces!" {
		t.Errorf("%s %v", body, err)
	}
	want(do("PUT", session+"?digest="+digest("in pieces!"), ""), 404)

	session = want(do("POST", "/v2/a/blobs/uploads/", ""), 202).Header.Get("Location")
	response = want(do("PUT", session+"?digest="+digest("this"), "that"), 400)
	var refusal struct{ Errors []struct{ Code string } }
	if err := json.NewDecoder(response.Body).Decode(&refusal); err != nil || len(refusal.Errors) != 1 || refusal.Errors[0].Code != "DIGEST_INVALID" {
		t.Errorf("%+v %v", refusal, err)
	}
	want(do("HEAD", "/v2/a/blobs/"+digest("this"), ""), 404)

	want(do("POST", "/v2/other/blobs/uploads/?from=a/b&mount="+digest("at once"), ""), 201)
	session = want(do("POST", "/v2/other/blobs/uploads/?from=a/b&mount="+digest("nowhere"), ""), 202).Header.Get("Location")
	want(do("DELETE", session, ""), 204)
	want(do("PATCH", session, "x"), 404)
	want(do("GET", "/v2/a/manifests/none", ""), 404)
	left := want(do("POST", "/v2/a/blobs/uploads/", ""), 202).Header.Get("Location") // closed cleans up
	want(do("PATCH", left, "unfinished"), 202)
}
