package ecstest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// outputs are the SDK's output types of the operations that the double has.
func outputs() map[string]any {
	return map[string]any{
		"CreateCluster": ecs.CreateClusterOutput{}, "DeleteCluster": ecs.DeleteClusterOutput{},
		"DescribeClusters": ecs.DescribeClustersOutput{}, "ListClusters": ecs.ListClustersOutput{},
		"RegisterTaskDefinition": ecs.RegisterTaskDefinitionOutput{}, "DescribeTaskDefinition": ecs.DescribeTaskDefinitionOutput{},
		"DeregisterTaskDefinition": ecs.DeregisterTaskDefinitionOutput{}, "ListTaskDefinitions": ecs.ListTaskDefinitionsOutput{},
		"CreateService": ecs.CreateServiceOutput{}, "UpdateService": ecs.UpdateServiceOutput{}, "DeleteService": ecs.DeleteServiceOutput{},
		"DescribeServices": ecs.DescribeServicesOutput{}, "ListServices": ecs.ListServicesOutput{},
		"ListTasks": ecs.ListTasksOutput{}, "DescribeTasks": ecs.DescribeTasksOutput{},
		"StopTask": ecs.StopTaskOutput{}, "RunTask": ecs.RunTaskOutput{},
		"ListServiceDeployments":     ecs.ListServiceDeploymentsOutput{},
		"DescribeServiceDeployments": ecs.DescribeServiceDeploymentsOutput{},
		"DescribeServiceRevisions":   ecs.DescribeServiceRevisionsOutput{},
		"StopServiceDeployment":      ecs.StopServiceDeploymentOutput{},
		"ContinueServiceDeployment":  ecs.ContinueServiceDeploymentOutput{},
		"GetLogEvents":               cloudwatchlogs.GetLogEventsOutput{},
	}
}

// exchange is one answer as it went over the wire.
type exchange struct {
	Op     string          `json:"op"`
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

// checked is a transport that holds every answer against the service model.
type checked struct {
	next http.RoundTripper

	mu    sync.Mutex
	seen  []exchange
	wrong []string
}

func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, exchange{op, resp.StatusCode, body})
	if err := fits(op, resp, body); err != nil {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: %v", op, err))
	}
	return resp, nil
}

func fits(op string, resp *http.Response, body []byte) error {
	if resp.Header.Get("X-Amzn-Requestid") == "" || resp.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		return fmt.Errorf("headers %v", resp.Header)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fitsError(v)
	}
	out, ok := outputs()[op]
	if !ok {
		return errors.New("no output type")
	}
	return fitsType(reflect.TypeOf(out), v, op)
}

// fitsError wants an error of the service model, or one of those that every
// AWS JSON service has.
func fitsError(v any) error {
	o, _ := v.(map[string]any)
	kind, _ := o["__type"].(string)
	for _, e := range []error{
		&types.ClientException{}, &types.ServerException{}, &types.InvalidParameterException{}, &types.AccessDeniedException{},
		&types.ClusterNotFoundException{}, &types.ClusterContainsServicesException{}, &types.ClusterContainsTasksException{},
		&types.ServiceNotFoundException{}, &types.ServiceNotActiveException{}, &types.ServiceDeploymentNotFoundException{},
		&types.UnsupportedFeatureException{}, &types.ConflictException{}, &logtypes.ResourceNotFoundException{},
	} {
		if reflect.TypeOf(e).Elem().Name() == kind {
			return nil
		}
	}
	if slices.Contains([]string{"ThrottlingException", "UnknownOperationException", "SerializationException"}, kind) {
		return nil
	}
	return fmt.Errorf("error type %q is not in the model", kind)
}

// fitsType walks a decoded JSON value along an SDK type.
func fitsType(t reflect.Type, v any, path string) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	wrong := func() error { return fmt.Errorf("%s: %T %v where the model has %v", path, v, v, t) }
	if t == reflect.TypeFor[time.Time]() {
		if n, ok := v.(json.Number); ok {
			if f, err := n.Float64(); err == nil && f > 9e8 && f < 9e9 {
				return nil
			}
		}
		return wrong()
	}
	switch t.Kind() {
	case reflect.Struct:
		o, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		for key, item := range o {
			f, ok := t.FieldByNameFunc(func(name string) bool { return strings.ToLower(name[:1])+name[1:] == key })
			if !ok || !f.IsExported() || f.Name == "ResultMetadata" {
				return fmt.Errorf("%s: key %q is not in the model", path, key)
			}
			if err := fitsType(f.Type, item, path+"."+key); err != nil {
				return err
			}
		}
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return wrong()
		}
		for i, item := range list {
			if err := fitsType(t.Elem(), item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		o, ok := v.(map[string]any)
		if !ok {
			return wrong()
		}
		for key, item := range o {
			if err := fitsType(t.Elem(), item, path+"."+key); err != nil {
				return err
			}
		}
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			return wrong()
		}
		return fitsEnum(t, s, path)
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			return wrong()
		}
	case reflect.Int32, reflect.Int64:
		n, ok := v.(json.Number)
		if !ok {
			return wrong()
		}
		if _, err := n.Int64(); err != nil {
			return wrong()
		}
	case reflect.Float64:
		if _, ok := v.(json.Number); !ok {
			return wrong()
		}
	default:
		return fmt.Errorf("%s: no rule for %v", path, t)
	}
	return nil
}

// fitsEnum wants one of the values that an SDK enum type lists.
func fitsEnum(t reflect.Type, s, path string) error {
	values, ok := reflect.Zero(t).Type().MethodByName("Values")
	if !ok {
		return nil
	}
	list := values.Func.Call([]reflect.Value{reflect.Zero(t)})[0]
	for i := range list.Len() {
		if list.Index(i).String() == s {
			return nil
		}
	}
	return fmt.Errorf("%s: %q is no %s", path, s, t.Name())
}
