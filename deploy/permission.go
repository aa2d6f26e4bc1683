package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Permission is one call on one resource.
type Permission struct {
	Action   string // IAM's name of it: iam:PassRole
	Resource string // an ARN; "*" for a call that has none
}

// Asked is what one identity has to be allowed.
type Asked struct {
	Principal   string            // the ARN of a role or user in IAM
	Context     map[string]string // condition keys and what they will be
	Permissions []Permission
}

// Denial is a permission that IAM's simulation does not give.
type Denial struct {
	Permission
	Explicit bool // a statement denies it; else none allows it
}

// PermissionReader has IAM say what it would decide.
type PermissionReader interface {
	// Caller is the ARN in IAM of whoever calls; empty where IAM can simulate
	// nothing for it (a root or federated user). Errors are those of Reader.
	Caller(ctx context.Context) (string, error)
	// Denied simulates and returns what is denied, in the order it was asked.
	// What depends on conditions that Context does not know is left out.
	// Errors are those of Reader.
	Denied(ctx context.Context, a Asked) ([]Denial, error)
}

// tasksService is what roles of tasks are passed to, in all partitions.
const tasksService = "ecs-tasks.amazonaws.com"

// CheckPermissions has IAM simulate what the caller and the execution role
// will do for a rollout. Organisations' policies, boundaries, sessions and
// resources' own policies make it right only mostly: doubts are no faults.
// unread says in words what could not be simulated.
func CheckPermissions(ctx context.Context, reader PermissionReader, p Plan, repository string) (doubts, unread []string) {
	ask := func(whose string, a Asked) (told []string, err error) {
		var denied []Denial
		bounded(ctx, func(ctx context.Context) {
			if a.Principal == "" {
				a.Principal, err = reader.Caller(ctx)
			}
			if err == nil && a.Principal != "" && len(a.Permissions) > 0 {
				denied, err = reader.Denied(ctx, a)
			}
		})
		return doubtsOf(fmt.Sprintf(whose, ShortName(a.Principal)), denied), err
	}
	caller, execution := p.permissions(repository)
	var told [2][]string
	var errs [2]error
	var wait sync.WaitGroup
	wait.Go(func() { told[0], errs[0] = ask("the caller, %s,", caller) })
	if execution.Principal != "" {
		wait.Go(func() { told[1], errs[1] = ask("execution role %s", execution) })
	}
	wait.Wait()
	for _, err := range errs {
		if err == nil || FateOf(err) == Unsupported { // an endpoint without IAM has nothing to say
			continue
		}
		if text := "whether the roles may do what a rollout needs was not checked: " + why(err); !slices.Contains(unread, text) {
			unread = append(unread, text)
		}
	}
	return append(told[0], told[1]...), unread
}

// HasRoles reports whether the definition's tasks have any role.
func (t TaskDefinition) HasRoles() bool {
	var d needs
	return json.Unmarshal(t.Raw, &d) == nil && (d.Execution != "" || d.Task != "")
}

// ecr matches a repository of Amazon ECR: its account, region and name.
var ecr = regexp.MustCompile(`^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.[a-z.-]+/([^:@]+)`)

// permissions are what a rollout asks of the caller (whose Principal is for the
// reader to find), and what it asks of the execution role (empty: there is none
// here). By the service authorization reference.
func (p Plan) permissions(repository string) (caller, execution Asked) {
	parts := strings.Split(p.Before.ARN, ":") // arn:aws:ecs:REGION:ACCOUNT:service/…
	var d needs
	if len(parts) < 6 || json.Unmarshal(p.Truth().Raw, &d) != nil {
		return caller, execution // others find that worse
	}
	partition, region, account := parts[1], parts[3], parts[4]
	arn := func(service, in, of, resource string) string {
		return strings.Join([]string{"arn", partition, service, cmp.Or(in, region), of, resource}, ":")
	}
	caller.Context = map[string]string{"aws:RequestedRegion": region, "iam:PassedToService": tasksService, "ecs:cluster": p.Before.Cluster}
	caller.add(arn("ecs", "", account, "task-definition/"+p.Truth().Family()+":*"), "ecs:RegisterTaskDefinition")
	if !p.Before.ByCodeDeploy() {
		caller.add(p.Before.ARN, "ecs:UpdateService")
	}
	here := func(role string) bool { return strings.Contains(role, ":"+account+":role/") }
	for _, role := range []string{d.Execution, d.Task} {
		if here(role) {
			caller.add(role, "iam:PassRole")
		}
	}
	if !here(d.Execution) {
		return caller, execution
	}
	execution.Principal, execution.Context = d.Execution, map[string]string{"aws:RequestedRegion": region}
	if m := ecr.FindStringSubmatch(repository); m != nil {
		execution.add("*", "ecr:GetAuthorizationToken")
		execution.add(arn("ecr", m[2], m[1], "repository/"+m[3]), "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
	}
	for _, c := range d.Containers {
		o := c.Logs.Options
		if c.Logs.Driver != "awslogs" || o["awslogs-group"] == "" || strings.HasPrefix(o["awslogs-group"], "arn:") {
			continue
		}
		group, streams := "log-group:"+o["awslogs-group"], "*"
		if prefix := o["awslogs-stream-prefix"]; prefix != "" {
			streams = prefix + "/" + c.Name + "/*"
		}
		if o["awslogs-create-group"] == "true" {
			execution.add(arn("logs", o["awslogs-region"], account, group+":*"), "logs:CreateLogGroup")
		}
		execution.add(arn("logs", o["awslogs-region"], account, group+":log-stream:"+streams), "logs:CreateLogStream", "logs:PutLogEvents")
	}
	for _, need := range p.Truth().Premises(account) {
		switch need.Kind {
		case Secret:
			execution.add(need.Name, "secretsmanager:GetSecretValue")
		case Parameter:
			execution.add(arn("ssm", need.Region, account, "parameter/"+strings.TrimPrefix(need.Name, "/")), "ssm:GetParameters")
		}
	}
	return caller, execution
}

// add asks for actions on a resource, each once.
func (a *Asked) add(resource string, actions ...string) {
	for _, action := range actions {
		if p := (Permission{action, resource}); !slices.Contains(a.Permissions, p) {
			a.Permissions = append(a.Permissions, p)
		}
	}
}

// doubtsOf says denials in words: resources that lack the same share a
// statement.
func doubtsOf(who string, denied []Denial) []string {
	type group struct {
		actions, resources []string
		explicit           bool
	}
	var groups []group
	for len(denied) > 0 {
		first := denied[0]
		g := group{resources: []string{first.Resource}, explicit: first.Explicit}
		denied = slices.DeleteFunc(denied, func(d Denial) bool {
			mine := d.Resource == first.Resource && d.Explicit == first.Explicit
			if mine {
				g.actions = append(g.actions, d.Action)
			}
			return mine
		})
		if i := slices.IndexFunc(groups, func(o group) bool { return o.explicit == g.explicit && slices.Equal(o.actions, g.actions) }); i >= 0 {
			groups[i].resources = append(groups[i].resources, first.Resource)
		} else {
			groups = append(groups, g)
		}
	}
	var doubts []string
	for _, g := range groups {
		does := strings.Join(g.actions, ", ") + " on " + strings.Join(g.resources, ", ")
		if g.explicit {
			doubts = append(doubts, fmt.Sprintf("%s may not be allowed %s: IAM's simulation finds a statement that denies it; except that from the statement", who, does))
			continue
		}
		doubts = append(doubts, fmt.Sprintf("%s may not be allowed %s: IAM's simulation finds no statement that allows it; add %s", who, does, statement(g.actions, g.resources)))
	}
	return doubts
}

// statement is a policy's statement that allows it.
func statement(actions, resources []string) string {
	type equals map[string]string
	s := struct {
		Effect           string
		Action, Resource []string
		Condition        map[string]equals `json:",omitempty"`
	}{Effect: "Allow", Action: actions, Resource: resources}
	if slices.Contains(actions, "iam:PassRole") {
		s.Condition = map[string]equals{"StringEquals": {"iam:PassedToService": tasksService}}
	}
	text, _ := marshal(s) // strings always marshal
	return string(text)
}
