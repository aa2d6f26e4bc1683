package ecstest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// logLine is one line in a stream of CloudWatch Logs.
type logLine struct {
	at, shown time.Time // printed, and when it can be read
	text      string
}

// logStream names a stream.
type logStream struct{ group, stream string }

// print puts a line where the container's log configuration sends it: the
// awslogs driver names its streams PREFIX/CONTAINER/TASK, and without a prefix
// (which only EC2 allows) by the container's runtime id.
func (d *Double) print(t *task, e Printed) {
	c := t.container(e.Container)
	if c == nil || c.logDriver != "awslogs" {
		return
	}
	stream := c.runtimeID
	if c.logPrefix != "" {
		stream = c.logPrefix + "/" + c.name + "/" + t.id
	}
	key := logStream{c.logGroup, stream}
	now := time.Now()
	d.logs[key] = append(d.logs[key], logLine{now, now.Add(d.timing.LogLag), e.Line})
}

// getLogEvents is CloudWatch Logs' GetLogEvents, as far as one reads the end
// of a stream with it: from the tail unless startFromHead, one page.
func getLogEvents(d *Double, c call) (object, error) {
	in, err := read[struct {
		Group  string `json:"logGroupName"`
		ID     string `json:"logGroupIdentifier"`
		Stream string `json:"logStreamName"`
		Limit  *int   `json:"limit"`
		Head   bool   `json:"startFromHead"`
		Token  string `json:"nextToken"`
	}](c)
	if err != nil {
		return nil, err
	}
	group, limit := orString(in.Group, in.ID), orInt(in.Limit, 10000)
	switch {
	case in.Group != "" && in.ID != "" || group == "":
		return nil, invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")
	case limit < 1 || limit > 10000:
		return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint", limit)
	}
	lines, known := d.logs[logStream{group, in.Stream}]
	lines = slices.DeleteFunc(slices.Clone(lines), func(l logLine) bool { return l.shown.After(time.Now()) })
	if !known || len(lines) == 0 {
		return nil, refuse("ResourceNotFoundException", "The specified log %s does not exist.", d.absent(group))
	}
	from := 0
	if rest, forward := strings.CutPrefix(in.Token, "f/"); forward {
		if from, err = strconv.Atoi(rest); err != nil || from > len(lines) || !in.Head {
			return nil, invalid("The specified nextToken is invalid.")
		}
	}
	next := from
	if in.Head {
		lines = lines[from:min(from+limit, len(lines))]
		next += len(lines)
	} else {
		lines = lines[max(0, len(lines)-limit):]
	}
	events := []object{}
	for _, l := range lines {
		events = append(events, object{"timestamp": l.at.UnixMilli(), "ingestionTime": l.shown.UnixMilli(), "message": l.text})
	}
	return object{"events": events, "nextForwardToken": fmt.Sprint("f/", next), "nextBackwardToken": fmt.Sprint("b/", from)}, nil
}

// absent tells which of the two is missing.
func (d *Double) absent(group string) string {
	for key := range d.logs {
		if key.group == group {
			return "stream"
		}
	}
	return "group"
}
