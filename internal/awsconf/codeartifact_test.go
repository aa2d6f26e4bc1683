package awsconf

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/internal/fault"
)

func TestCodeArtifactToken(t *testing.T) {
	status, body := 200, `{"authorizationToken":"t0ken","expiration":1893456000}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.Method != http.MethodPost || r.URL.Path != "/v1/authorization-token" || q.Get("domain") != "corp" || q.Get("domain-owner") != "111122223333" {
			t.Errorf("request %s %s", r.Method, r.URL)
		}
		if status != 200 {
			w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	ask := func() (string, time.Time, error) {
		return CodeArtifactToken(t.Context(), Local(server.URL, "eu-west-1"), "corp", "111122223333")
	}
	if token, expires, err := ask(); err != nil || token != "t0ken" || expires.Unix() != 1893456000 {
		t.Errorf("%q, %v, %v", token, expires, err)
	}
	body = `{}`
	if _, _, err := ask(); fault.ClassOf(err) != fault.Missing || !strings.Contains(err.Error(), "holds none") {
		t.Errorf("an empty answer: %v", err)
	}
	status, body = 403, `{"message":"not yours"}`
	if _, _, err := ask(); fault.ClassOf(err) != fault.Missing || !strings.Contains(fault.HintOf(err), "sts:GetServiceBearerToken") || !strings.Contains(err.Error(), "domain corp of account 111122223333 in eu-west-1") {
		t.Errorf("refused: %v (%s)", err, fault.HintOf(err))
	}
}
