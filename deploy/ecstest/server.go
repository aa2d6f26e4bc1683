package ecstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The X-Amz-Target prefixes of ECS's API version and of CloudWatch Logs'.
const (
	target     = "AmazonEC2ContainerServiceV20141113."
	logsTarget = "Logs_20140328."
)

// object is a JSON object on its way out or kept as it came in.
type object = map[string]any

// apiError is an error of the API, by its name in the service model.
type apiError struct {
	status    int
	kind      string
	message   string
	resources []string // ConflictException's resourceIds
}

func (e *apiError) Error() string { return e.kind + ": " + e.message }

func refuse(kind, format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, kind: kind, message: fmt.Sprintf(format, args...)}
}

func invalid(format string, args ...any) error {
	return refuse("InvalidParameterException", format, args...)
}

func client(format string, args ...any) error {
	return refuse("ClientException", format, args...)
}

// call is one request as an operation sees it: the request's body and the
// world to read. Reads use view, which may lag; writes go to d.world.
type call struct {
	body json.RawMessage
	view *world
}

// operation answers one call with the state locked.
type operation func(d *Double, c call) (object, error)

// operations returns what the double can do, by operation name.
func operations() map[string]operation {
	return map[string]operation{
		"CreateCluster": createCluster, "DescribeClusters": describeClusters, "ListClusters": listClusters,
		"DeleteCluster":          deleteCluster,
		"RegisterTaskDefinition": registerTaskDefinition, "DescribeTaskDefinition": describeTaskDefinition,
		"ListTaskDefinitions": listTaskDefinitions, "DeregisterTaskDefinition": deregisterTaskDefinition,
		"CreateService": createService, "UpdateService": updateService, "DeleteService": deleteService,
		"DescribeServices": describeServices, "ListServices": listServices,
		"ListTasks": listTasks, "DescribeTasks": describeTasks, "StopTask": stopTask, "RunTask": runTask,
		"ListServiceDeployments": listServiceDeployments, "DescribeServiceDeployments": describeServiceDeployments,
		"DescribeServiceRevisions": describeServiceRevisions, "StopServiceDeployment": stopServiceDeployment,
		"ContinueServiceDeployment": continueServiceDeployment,
		"GetLogEvents":              getLogEvents,
	}
}

// ServeHTTP answers AWS JSON 1.1 as ECS does.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller is gone
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		d.serveELB(w, form)
		return
	}
	op := operationOf(r)
	f, index := d.received(op, body)
	if f.Delay > 0 {
		wait := time.NewTimer(f.Delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return
		}
	}
	if f.Cut == CutBefore {
		panic(http.ErrAbortHandler) // how net/http cuts a connection
	}
	out, err := d.answer(op, body, f)
	if f.Cut == CutAfter {
		panic(http.ErrAbortHandler)
	}
	d.respond(w, index, out, err)
}

// operationOf is the operation that a request names, or empty.
func operationOf(r *http.Request) string {
	header := r.Header.Get("X-Amz-Target")
	op, logs := strings.CutPrefix(header, logsTarget)
	if !logs {
		op = strings.TrimPrefix(header, target)
	}
	if r.Method != http.MethodPost || op == header || logs != (op == "GetLogEvents") {
		return ""
	}
	return op
}

// received records a call and asks what is to go wrong with it.
func (d *Double) received(op string, body []byte) (Fault, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[op]++
	d.calls = append(d.calls, Call{Op: op, At: time.Now(), Request: body})
	var f Fault
	if d.fault != nil {
		f = d.fault(op, d.counts[op])
	}
	if b := d.limits[op]; b != nil && !b.take(time.Now()) {
		f = Throttle()
	}
	return f, len(d.calls) - 1
}

func (d *Double) answer(op string, body []byte, f Fault) (out object, err error) {
	run, known := operations()[op]
	switch {
	case f.Status != 0:
		return nil, &apiError{status: f.Status, kind: f.Type, message: f.Text}
	case !known:
		return nil, refuse("UnknownOperationException", "")
	case !json.Valid(body):
		return nil, refuse("SerializationException", "The request body is not JSON.")
	}
	if isRead(op) {
		d.mu.Lock()
		defer d.mu.Unlock()
		view := d.asOf(f.Lag)
		if f.Absent {
			view = newWorld()
			view.clusters = d.world.clusters
		}
		return run(d, call{body: body, view: view})
	}
	d.do(func() { out, err = run(d, call{body: body, view: d.world}) })
	return out, err
}

// isRead tells the operations that change nothing.
func isRead(op string) bool {
	return strings.HasPrefix(op, "Describe") || strings.HasPrefix(op, "List") || strings.HasPrefix(op, "Get")
}

func (d *Double) respond(w http.ResponseWriter, index int, out object, err error) {
	status, kind := http.StatusOK, ""
	if err != nil {
		e, ok := errors.AsType[*apiError](err)
		if !ok {
			e = &apiError{status: http.StatusInternalServerError, kind: "ServerException", message: err.Error()}
		}
		status, kind = e.status, e.kind
		out = object{"__type": e.kind, "message": e.message}
		if e.resources != nil {
			out["resourceIds"] = e.resources
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"__type":"ServerException"}`)
	}
	d.mu.Lock()
	d.calls[index].Status, d.calls[index].Error = status, kind
	id := d.uuid()
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", id)
	w.WriteHeader(status)
	_, _ = w.Write(text) // a caller that is gone needs no answer
}

// read decodes a request; numbers where strings belong and the like are
// refused as ECS's front end does.
func read[T any](c call) (T, error) {
	var in T
	if err := json.Unmarshal(c.body, &in); err != nil {
		return in, refuse("SerializationException", "%v", err)
	}
	return in, nil
}

// epoch is a timestamp as AWS JSON 1.1 has it: seconds, with milliseconds.
func epoch(t time.Time) json.Number {
	return json.Number(fmt.Sprintf("%d.%03d", t.Unix(), t.Nanosecond()/1e6))
}

// setTime sets key unless t is zero: what has not happened has no key.
func setTime(o object, key string, t time.Time) {
	if !t.IsZero() {
		o[key] = epoch(t)
	}
}
