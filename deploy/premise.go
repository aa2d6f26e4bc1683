package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/fastship/fastship/internal/fault"
)

// PremiseKind is a kind of thing that a task needs and ECS looks up only when
// it starts one.
type PremiseKind string

// The kinds.
const (
	Secret    PremiseKind = "secret"    // of Secrets Manager, by ARN
	Parameter PremiseKind = "parameter" // of Systems Manager, by name
	LogGroup  PremiseKind = "log group" // of CloudWatch Logs, by name
	Role      PremiseKind = "role"      // of IAM, by name
)

// Premise is one such thing.
type Premise struct {
	Kind   PremiseKind
	Name   string
	Region string // empty: the client's own
	For    string // what needs it, in words
}

// PremiseReader looks whether premises are there.
type PremiseReader interface {
	// Exists looks one up, by its description only: no secret is read. Errors
	// are those of Reader.
	Exists(ctx context.Context, p Premise) (bool, error)
}

// needs is what Premises reads of a definition.
type needs struct {
	Execution  string `json:"executionRoleArn"`
	Task       string `json:"taskRoleArn"`
	Containers []struct {
		Name       string      `json:"name"`
		Secrets    []valueFrom `json:"secrets"`
		Repository struct {
			Parameter string `json:"credentialsParameter"`
		} `json:"repositoryCredentials"`
		Logs struct {
			logConfig
			Secrets []valueFrom `json:"secretOptions"`
		} `json:"logConfiguration"`
	} `json:"containerDefinitions"`
}

type valueFrom struct {
	Name string `json:"name"`
	From string `json:"valueFrom"`
}

// Premises lists what the definition's tasks need in an account, each once.
// What belongs to another account cannot be looked up and is left out.
func (t TaskDefinition) Premises(account string) []Premise {
	var d needs
	if json.Unmarshal(t.Raw, &d) != nil {
		return nil // others find that worse
	}
	var all []Premise
	add := func(kind PremiseKind, name, region, of string) {
		if name != "" && !slices.ContainsFunc(all, func(p Premise) bool { return p.Kind == kind && p.Name == name && p.Region == region }) {
			all = append(all, Premise{kind, name, region, of})
		}
	}
	for _, r := range []struct{ arn, of string }{{d.Execution, "executionRoleArn"}, {d.Task, "taskRoleArn"}} {
		if _, path, ok := strings.Cut(r.arn, ":role/"); ok && strings.Contains(r.arn, ":"+account+":") {
			add(Role, afterSlash(path), "", r.of)
		}
	}
	secret := func(v valueFrom, of string) {
		if p, ok := premiseOf(v.From, account); ok {
			add(p.Kind, p.Name, p.Region, of+" "+v.Name)
		}
	}
	for _, c := range d.Containers {
		for _, v := range c.Secrets {
			secret(v, "container "+c.Name+", secret")
		}
		for _, v := range c.Logs.Secrets {
			secret(v, "the log of container "+c.Name+", option")
		}
		secret(valueFrom{"credentials", c.Repository.Parameter}, "container "+c.Name+", repository")
		if c.Logs.Driver == "awslogs" && c.Logs.Options["awslogs-create-group"] != "true" && !strings.HasPrefix(c.Logs.Options["awslogs-group"], "arn:") {
			add(LogGroup, c.Logs.Options["awslogs-group"], c.Logs.Options["awslogs-region"], "container "+c.Name)
		}
	}
	return all
}

// premiseOf reads a valueFrom: a secret's ARN (with a JSON key, version stage
// and version id behind it), a parameter's, or a parameter's name.
func premiseOf(from, account string) (Premise, bool) {
	if !strings.HasPrefix(from, "arn:") {
		return Premise{Kind: Parameter, Name: from}, from != ""
	}
	parts := strings.Split(from, ":")
	switch {
	case len(parts) < 6 || parts[4] != account:
		return Premise{}, false
	case parts[2] == "secretsmanager" && len(parts) >= 7:
		return Premise{Kind: Secret, Name: strings.Join(parts[:7], ":"), Region: parts[3]}, true
	case parts[2] == "ssm":
		name, ok := strings.CutPrefix(parts[5], "parameter")
		if strings.Count(name, "/") == 1 { // a plain name; a path keeps its first slash
			name = name[1:]
		}
		return Premise{Kind: Parameter, Name: name, Region: parts[3]}, ok
	}
	return Premise{}, false
}

// reading is how many premises are looked up at the same time.
const reading = 8

// CheckPremises looks all premises of a definition up: absent are those that
// are certainly not there, unread says in words which could not be looked up.
func CheckPremises(ctx context.Context, reader PremiseReader, t TaskDefinition, account string) (absent []error, unread []string) {
	premises := t.Premises(account)
	there, errs := make([]bool, len(premises)), make([]error, len(premises))
	var wait sync.WaitGroup
	slots := make(chan struct{}, reading)
	for i, p := range premises {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			bounded(ctx, func(ctx context.Context) { there[i], errs[i] = reader.Exists(ctx, p) })
		})
	}
	wait.Wait()
	for i, p := range premises {
		switch {
		case errs[i] != nil:
			if text := fmt.Sprintf("whether each %s is there was not checked: %s", p.Kind, why(errs[i])); !slices.Contains(unread, text) {
				unread = append(unread, text)
			}
		case !there[i]:
			absent = append(absent, fault.New(fault.Missing, p.remedy(), "find %s %s, which %s of %s needs: there is none", p.Kind, p.Name, p.For, ShortName(t.ARN)))
		}
	}
	return absent, unread
}

func why(err error) string {
	if call, ok := errors.AsType[*CallError](err); ok {
		switch call.Fate {
		case Denied:
			return "this needs " + call.Call
		case Unsupported:
			return call.Call + " is not there"
		}
	}
	return oneLine(err.Error())
}

func (p Premise) remedy() string {
	switch p.Kind {
	case LogGroup:
		return "create it: aws logs create-log-group --log-group-name " + p.Name + "; or set awslogs-create-group to true"
	case Role:
		return "create the role, or correct " + p.For + " in the task definition"
	}
	return "create it, or correct it in the task definition"
}
