// Package schedulestest is a double of EventBridge's rules and EventBridge
// Scheduler's schedules, to test what moves their ECS targets. It keeps what it
// is sent as the bytes it came in, replaces a target or a schedule as a whole,
// as AWS does, and passes every other request on: in front of an
// ecstest.Double it is the same account.
//
// Operations, members and errors follow the service models of EventBridge
// (2015-10-07: ListTargetsByRule, PutTargets) and EventBridge Scheduler
// (2021-06-30: GetSchedule, UpdateSchedule).
package schedulestest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Double is an http.Handler, safe for concurrent use. The zero value answers
// nothing but its own operations.
type Double struct {
	// Next answers all other requests.
	Next http.Handler
	// Fault says how a call (PutTargets, …) is to fail: the error's code, or
	// empty. nil: none.
	Fault func(op string) string

	mu        sync.Mutex
	rules     map[string][]json.RawMessage // targets by "BUS/RULE"
	schedules map[string]object            // by "GROUP/NAME"
	counts    map[string]int
}

type object = map[string]json.RawMessage

// Rule puts a rule there, with its targets as PutTargets takes them.
func (d *Double) Rule(bus, name string, targets ...json.RawMessage) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rules == nil {
		d.rules = map[string][]json.RawMessage{}
	}
	d.rules[orDefault(bus)+"/"+name] = targets
}

// Schedule puts a schedule there, as CreateSchedule takes it, its name and its
// group's beside it.
func (d *Double) Schedule(group, name string, body json.RawMessage) error {
	var s object
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.schedules == nil {
		d.schedules = map[string]object{}
	}
	s["Name"], s["GroupName"] = quoted(name), quoted(orDefault(group))
	s["Arn"] = quoted("arn:aws:scheduler:us-east-1:123456789012:schedule/" + orDefault(group) + "/" + name)
	s["CreationDate"], s["LastModificationDate"] = json.RawMessage("1700000000.123"), json.RawMessage("1700000000.123")
	d.schedules[orDefault(group)+"/"+name] = s
	return nil
}

// Targets are what a rule has.
func (d *Double) Targets(bus, name string) []json.RawMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.rules[orDefault(bus)+"/"+name])
}

// Shown is a schedule as GetSchedule shows it.
func (d *Double) Shown(group, name string) json.RawMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return encoded(d.schedules[orDefault(group)+"/"+name])
}

// Counts is how often each operation was called.
func (d *Double) Counts() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]int{}
	for op, n := range d.counts {
		out[op] = n
	}
	return out
}

// ServeHTTP implements http.Handler.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, rule := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AWSEvents.")
	name, schedule := strings.CutPrefix(r.URL.Path, "/schedules/")
	if !rule && !schedule {
		d.Next.ServeHTTP(w, r)
		return
	}
	if schedule {
		op = map[string]string{http.MethodGet: "GetSchedule", http.MethodPut: "UpdateSchedule"}[r.Method]
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.counts == nil {
		d.counts = map[string]int{}
	}
	d.counts[op]++
	if d.Fault != nil {
		if code := d.Fault(op); code != "" {
			refuse(w, code, "User: arn:aws:sts::123456789012:assumed-role/deploy/session, "+op+": "+code)
			return
		}
	}
	switch op {
	case "ListTargetsByRule":
		d.list(w, body)
	case "PutTargets":
		d.put(w, body)
	case "GetSchedule":
		d.get(w, orDefault(r.URL.Query().Get("groupName"))+"/"+name)
	case "UpdateSchedule":
		d.update(w, name, body)
	default:
		refuse(w, "UnknownOperationException", "")
	}
}

// list answers one target a page, so that whoever reads must follow them.
func (d *Double) list(w http.ResponseWriter, body []byte) {
	var in struct{ Rule, EventBusName, NextToken string }
	if json.Unmarshal(body, &in) != nil || in.Rule == "" {
		refuse(w, "ValidationException", "Rule is required.")
		return
	}
	targets, ok := d.rules[orDefault(in.EventBusName)+"/"+in.Rule]
	if !ok {
		refuse(w, "ResourceNotFoundException", "Rule "+in.Rule+" does not exist on EventBus "+orDefault(in.EventBusName)+".")
		return
	}
	at := 0
	_, _ = fmt.Sscan(in.NextToken, &at) // empty is the first page
	out := map[string]any{"Targets": targets[min(at, len(targets)):min(at+1, len(targets))]}
	if at+1 < len(targets) {
		out["NextToken"] = fmt.Sprint(at + 1)
	}
	answer(w, out)
}

func (d *Double) put(w http.ResponseWriter, body []byte) {
	var in struct {
		Rule, EventBusName string
		Targets            []json.RawMessage
	}
	if json.Unmarshal(body, &in) != nil || in.Rule == "" || len(in.Targets) == 0 {
		refuse(w, "ValidationException", "Rule and Targets are required.")
		return
	}
	key := orDefault(in.EventBusName) + "/" + in.Rule
	if _, ok := d.rules[key]; !ok {
		refuse(w, "ResourceNotFoundException", "Rule "+in.Rule+" does not exist.")
		return
	}
	for _, target := range in.Targets {
		var t struct{ Id, Arn string }
		if json.Unmarshal(target, &t) != nil || t.Id == "" || t.Arn == "" {
			refuse(w, "ValidationException", "Id and Arn are required.")
			return
		}
		same := func(other json.RawMessage) bool {
			var o struct{ Id string }
			return json.Unmarshal(other, &o) == nil && o.Id == t.Id
		}
		if at := slices.IndexFunc(d.rules[key], same); at >= 0 {
			d.rules[key][at] = target
		} else {
			d.rules[key] = append(d.rules[key], target)
		}
	}
	answer(w, map[string]any{"FailedEntryCount": 0, "FailedEntries": []any{}})
}

func (d *Double) get(w http.ResponseWriter, key string) {
	s, ok := d.schedules[key]
	if !ok {
		refuse(w, "ResourceNotFoundException", "Schedule "+key+" does not exist.")
		return
	}
	answer(w, s)
}

// update replaces the whole schedule: what is not sent is gone.
func (d *Double) update(w http.ResponseWriter, name string, body []byte) {
	var in object
	if json.Unmarshal(body, &in) != nil {
		refuse(w, "ValidationException", "no JSON")
		return
	}
	for _, needed := range []string{"ScheduleExpression", "FlexibleTimeWindow", "Target"} {
		if in[needed] == nil {
			refuse(w, "ValidationException", needed+" is required.")
			return
		}
	}
	for _, unknown := range []string{"Arn", "CreationDate", "LastModificationDate", "Name"} {
		if in[unknown] != nil {
			refuse(w, "ValidationException", unknown+" is not a member of UpdateScheduleInput.")
			return
		}
	}
	group := "default"
	_ = json.Unmarshal(in["GroupName"], &group) // absent: the default group
	was, ok := d.schedules[group+"/"+name]
	if !ok {
		refuse(w, "ResourceNotFoundException", "Schedule "+name+" does not exist.")
		return
	}
	for _, kept := range []string{"Arn", "CreationDate", "LastModificationDate", "Name"} {
		in[kept] = was[kept]
	}
	in["GroupName"] = quoted(group)
	d.schedules[group+"/"+name] = in
	answer(w, map[string]any{"ScheduleArn": in["Arn"]})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encoded(v)) // a caller that is gone needs no answer
}

func refuse(w http.ResponseWriter, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(encoded(map[string]string{"__type": "com.amazonaws#" + code, "message": message}))
}

func encoded(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("schedulestest: " + err.Error()) // JSON that came in as JSON
	}
	return bytes.TrimSpace(b.Bytes())
}

func quoted(s string) json.RawMessage { return encoded(s) }

func orDefault(s string) string {
	if s == "" {
		return "default"
	}
	return s
}
