package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/fastship/fastship/deploy"
	"github.com/fastship/fastship/deploy/ecs"
	"github.com/fastship/fastship/deploy/ecstest"
	"github.com/fastship/fastship/internal/awsconf"
)

// account is what lies beside ECS in an account: it answers the reads of
// secrets, parameters, log groups and roles, and passes all else on. Shapes
// and errors are those of the services' models.
type account struct {
	next http.Handler
	has  []string          // names of secrets (ARNs), parameters, log groups, roles
	all  bool              // it has whatever is asked for
	deny func(string) bool // by IAM action; nil: none

	decides map[string]string // IAM's simulation, by "ACTION RESOURCE": explicitDeny, implicitDeny, or missing: a condition decides
	hangs   bool              // it never answers

	mu          sync.Mutex
	used        map[string]bool // by IAM action
	simulations []url.Values
}

// into has the step of w speak to the account.
func (a *account) into(w *world) {
	deps := w.step.deps
	deps.Connect = func(context.Context, string) (deploy.API, error) {
		cfg := awsconf.Local("http://aws.test", "us-east-1")
		cfg.HTTPClient = &http.Client{Transport: ecstest.Transport(a)}
		return ecs.New(cfg), nil
	}
	w.step = New(w.step.cfg, deps)
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	action := actionOf(r, body)
	a.mu.Lock()
	if a.used == nil {
		a.used = map[string]bool{}
	}
	a.used[action] = true
	denied := action != "sts:GetCallerIdentity" && a.deny != nil && a.deny(action) // which STS refuses nobody
	a.mu.Unlock()
	if denied {
		refuseJSON(w, r, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/deploy/session is not authorized to perform: "+action)
		return
	}
	var in struct {
		SecretId           string
		ParameterFilters   []struct{ Values []string }
		LogGroupNamePrefix string `json:"logGroupNamePrefix"`
	}
	_ = json.Unmarshal(body, &in)
	switch action {
	case "secretsmanager:DescribeSecret":
		if !a.holds(in.SecretId) {
			refuseJSON(w, r, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
			return
		}
		fmt.Fprintf(w, `{"ARN": %q, "Name": "x"}`, in.SecretId)
	case "ssm:DescribeParameters":
		if !a.holds(in.ParameterFilters[0].Values[0]) {
			fmt.Fprint(w, `{"Parameters": []}`)
			return
		}
		fmt.Fprintf(w, `{"Parameters": [{"Name": %q}]}`, in.ParameterFilters[0].Values[0])
	case "logs:DescribeLogGroups":
		groups := []map[string]string{{"logGroupName": in.LogGroupNamePrefix + "-other"}}
		if a.holds(in.LogGroupNamePrefix) {
			groups = append(groups, map[string]string{"logGroupName": in.LogGroupNamePrefix})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"logGroups": groups})
	case "iam:GetRole":
		form, _ := url.ParseQuery(string(body))
		if !a.holds(form.Get("RoleName")) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code><Message>The role cannot be found.</Message></Error></ErrorResponse>`)
			return
		}
		fmt.Fprintf(w, `<GetRoleResponse><GetRoleResult><Role><Arn>arn:aws:iam::123456789012:role/ci/%s</Arn></Role></GetRoleResult></GetRoleResponse>`, form.Get("RoleName"))
	case "sts:GetCallerIdentity":
		fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::123456789012:assumed-role/deploy/session</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	case "iam:SimulatePrincipalPolicy":
		form, _ := url.ParseQuery(string(body))
		a.simulate(w, r, form)
	default:
		a.next.ServeHTTP(w, r)
	}
}

func (a *account) holds(name string) bool { return a.all || slices.Contains(a.has, name) }

// actionOf is the IAM action of a request.
func actionOf(r *http.Request, body []byte) string {
	if form, err := url.ParseQuery(string(body)); err == nil && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		switch op := form.Get("Action"); op {
		case "GetRole", "SimulatePrincipalPolicy":
			return "iam:" + op
		case "GetCallerIdentity":
			return "sts:" + op
		}
		return "elasticloadbalancing:" + form.Get("Action")
	}
	if strings.HasPrefix(r.URL.Path, "/schedules/") {
		return map[string]string{http.MethodGet: "scheduler:GetSchedule", http.MethodPut: "scheduler:UpdateSchedule"}[r.Method]
	}
	service, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return map[string]string{
		"AmazonEC2ContainerServiceV20141113": "ecs", "Logs_20140328": "logs", "secretsmanager": "secretsmanager", "AmazonSSM": "ssm",
		"AWSEvents": "events", "CodeDeploy_20141006": "codedeploy",
	}[service] + ":" + op
}

func refuseJSON(w http.ResponseWriter, r *http.Request, code, message string) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>%s</Message></Error></ErrorResponse>`, message)
		return
	}
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}
