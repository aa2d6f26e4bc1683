package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fastship/fastship/internal/pause"
)

// LogStream is one container's output in CloudWatch Logs.
type LogStream struct {
	Region string // empty: the client's own
	Group  string
	Stream string
}

// ErrNoLog is what reading a stream that is not there (yet) gives.
var ErrNoLog = errors.New("no such log group or stream")

// LogReader reads the ends of logs.
type LogReader interface {
	// LastLines reads the last lines of a stream, oldest first. ErrNoLog says
	// that there is none; other errors are those of Reader.
	LastLines(ctx context.Context, s LogStream, limit int) ([]string, error)
}

const (
	logLines  = 50               // read of a dead container
	logBudget = 14 * time.Second // for all tries: CloudWatch shows lines some seconds late
	logEvery  = 2 * time.Second
)

// LastWords reads what the container of a failure printed last, from where the
// task's definition sends it. Without lines, note says why and where to look.
// It waits for CloudWatch, which lags by seconds, but never longer than 15 s.
func LastWords(ctx context.Context, reader Reader, logs LogReader, f Failure) (lines []string, note string) {
	if f.Container == "" || f.Definition == "" || !f.Ran {
		return nil, "" // nothing ran that could have printed
	}
	ctx, cancel := context.WithTimeout(ctx, logBudget)
	defer cancel()
	definition, err := reader.TaskDefinition(ctx, f.Definition)
	if err != nil {
		return nil, fmt.Sprintf("no log of container %s: %v", f.Container, err)
	}
	config, err := logConfiguration(definition, f.Container)
	if err != nil {
		return nil, err.Error()
	}
	if config.Driver != "awslogs" {
		return nil, config.elsewhere(f.Container)
	}
	stream := config.stream(f)
	for {
		next, err := logs.LastLines(ctx, stream, logLines)
		if len(next) > 0 && slices.Equal(next, lines) {
			return lines, ""
		}
		if len(next) > 0 {
			lines = next
		}
		if err != nil && !errors.Is(err, ErrNoLog) && !Transient(err) {
			return lines, fmt.Sprintf("no log of container %s: %v", f.Container, err)
		}
		if pause.For(ctx, logEvery) != nil {
			break
		}
	}
	if len(lines) == 0 {
		note = fmt.Sprintf("CloudWatch has no lines of container %s in log group %s, stream %s", f.Container, stream.Group, stream.Stream)
	}
	return lines, note
}

// logConfig is a container's logConfiguration.
type logConfig struct {
	Driver  string            `json:"logDriver"`
	Options map[string]string `json:"options"`
}

func logConfiguration(t TaskDefinition, container string) (logConfig, error) {
	var d struct {
		Containers []struct {
			Name string     `json:"name"`
			Logs *logConfig `json:"logConfiguration"`
		} `json:"containerDefinitions"`
	}
	if err := json.Unmarshal(t.Raw, &d); err != nil {
		return logConfig{}, fmt.Errorf("read task definition %s: %w", ShortName(t.ARN), err)
	}
	for _, c := range d.Containers {
		if c.Name == container && c.Logs != nil {
			return *c.Logs, nil
		}
	}
	return logConfig{}, nil
}

// stream is where the awslogs driver writes: PREFIX/CONTAINER/TASK, or without
// a prefix, which only EC2 allows, the container's runtime id.
func (l logConfig) stream(f Failure) LogStream {
	s := LogStream{Region: l.Options["awslogs-region"], Group: l.Options["awslogs-group"], Stream: f.Runtime}
	if prefix := l.Options["awslogs-stream-prefix"]; prefix != "" {
		s.Stream = prefix + "/" + f.Container + "/" + f.Task
	}
	return s
}

// elsewhere says where a log is that CloudWatch does not have.
func (l logConfig) elsewhere(container string) string {
	switch l.Driver {
	case "":
		return fmt.Sprintf("nothing keeps what container %s printed: give it a logConfiguration (awslogs)", container)
	case "awsfirelens":
		where := l.Options["Name"]
		if where == "" {
			where = "the outputs of its own configuration"
		}
		return fmt.Sprintf("the log of container %s went through FireLens: look at %s", container, where)
	}
	return fmt.Sprintf("the log of container %s went to the %s driver: look there", container, l.Driver)
}
