package ecstest

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// TargetGroup is a target group of Elastic Load Balancing, as services refer
// to it in loadBalancers. Zero fields take the defaults of an Application Load
// Balancer: a check of / every 30 s, unhealthy after 2 failures (and 5
// successes to be healthy again), 300 s of draining. A target that was just
// registered is healthy after its first success, as ELB documents it.
type TargetGroup struct {
	ARN                string
	Interval           time.Duration
	Timeout            time.Duration
	Healthy, Unhealthy int
	Draining           time.Duration
	Path               string
}

func (g TargetGroup) withDefaults(draining time.Duration) TargetGroup {
	orDuration := func(v *time.Duration, otherwise time.Duration) {
		if *v == 0 {
			*v = otherwise
		}
	}
	orDuration(&g.Interval, 30*time.Second)
	orDuration(&g.Timeout, 5*time.Second)
	orDuration(&g.Draining, draining)
	if g.Healthy == 0 {
		g.Healthy = 5
	}
	if g.Unhealthy == 0 {
		g.Unhealthy = 2
	}
	g.Path = orString(g.Path, "/")
	return g
}

// group is the target group with an ARN; one that nobody made has defaults.
func (d *Double) group(arn string) *TargetGroup {
	if d.groups[arn] == nil {
		g := TargetGroup{ARN: arn}.withDefaults(d.timing.Draining)
		d.groups[arn] = &g
	}
	return d.groups[arn]
}

// serveELB answers Elastic Load Balancing's query API, as far as a service's
// target groups need it: DescribeTargetGroups, DescribeTargetGroupAttributes,
// ModifyTargetGroup, ModifyTargetGroupAttributes.
func (d *Double) serveELB(w http.ResponseWriter, form url.Values) {
	action := form.Get("Action")
	f, index := d.received(action, []byte(strconv.Quote(form.Encode())))
	if f.Cut == CutBefore {
		panic(http.ErrAbortHandler)
	}
	var result string
	status, kind := http.StatusOK, ""
	if f.Status != 0 {
		status, kind = f.Status, f.Type
	} else {
		d.do(func() { result, kind = d.elb(action, form) })
		if kind != "" {
			status = http.StatusBadRequest
		}
	}
	d.mu.Lock()
	d.calls[index].Status, d.calls[index].Error = status, kind
	id := d.uuid()
	d.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	if kind != "" {
		fmt.Fprintf(w, `<ErrorResponse xmlns="%s"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`,
			elbNamespace, kind, escape(orString(f.Text, "The request was refused: "+kind)), id)
		return
	}
	fmt.Fprintf(w, `<%[1]sResponse xmlns="%[2]s"><%[1]sResult>%[3]s</%[1]sResult><ResponseMetadata><RequestId>%[4]s</RequestId></ResponseMetadata></%[1]sResponse>`,
		action, elbNamespace, result, id)
}

const elbNamespace = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// elb carries one call out and gives the inside of its result, or an error's
// code.
func (d *Double) elb(action string, form url.Values) (result, kind string) {
	switch action {
	case "DescribeTargetGroups":
		var b strings.Builder
		for i := 1; form.Has(fmt.Sprintf("TargetGroupArns.member.%d", i)); i++ {
			b.WriteString(d.group(form.Get(fmt.Sprintf("TargetGroupArns.member.%d", i))).xml())
		}
		return "<TargetGroups>" + b.String() + "</TargetGroups>", ""
	case "DescribeTargetGroupAttributes":
		return d.group(form.Get("TargetGroupArn")).attributes(), ""
	case "ModifyTargetGroup":
		g := d.group(form.Get("TargetGroupArn"))
		seconds := func(key string, into *time.Duration) {
			if n, err := strconv.Atoi(form.Get(key)); err == nil {
				*into = time.Duration(n) * time.Second
			}
		}
		seconds("HealthCheckIntervalSeconds", &g.Interval)
		seconds("HealthCheckTimeoutSeconds", &g.Timeout)
		for key, into := range map[string]*int{"HealthyThresholdCount": &g.Healthy, "UnhealthyThresholdCount": &g.Unhealthy} {
			if n, err := strconv.Atoi(form.Get(key)); err == nil {
				*into = n
			}
		}
		return "<TargetGroups>" + g.xml() + "</TargetGroups>", ""
	case "ModifyTargetGroupAttributes":
		g := d.group(form.Get("TargetGroupArn"))
		for i := 1; form.Has(fmt.Sprintf("Attributes.member.%d.Key", i)); i++ {
			n, err := strconv.Atoi(form.Get(fmt.Sprintf("Attributes.member.%d.Value", i)))
			if form.Get(fmt.Sprintf("Attributes.member.%d.Key", i)) != drainingKey || err != nil || n < 0 || n > 3600 {
				return "", "InvalidConfigurationRequest"
			}
			g.Draining = time.Duration(n) * time.Second
		}
		return g.attributes(), ""
	}
	return "", "InvalidAction"
}

const drainingKey = "deregistration_delay.timeout_seconds"

func (g *TargetGroup) xml() string {
	name := strings.Split(g.ARN+"///", "/")[1]
	return fmt.Sprintf(`<member><TargetGroupArn>%s</TargetGroupArn><TargetGroupName>%s</TargetGroupName><Protocol>HTTP</Protocol><TargetType>ip</TargetType>`+
		`<HealthCheckEnabled>true</HealthCheckEnabled><HealthCheckIntervalSeconds>%d</HealthCheckIntervalSeconds><HealthCheckTimeoutSeconds>%d</HealthCheckTimeoutSeconds>`+
		`<HealthyThresholdCount>%d</HealthyThresholdCount><UnhealthyThresholdCount>%d</UnhealthyThresholdCount><HealthCheckPath>%s</HealthCheckPath></member>`,
		escape(g.ARN), escape(name), int(g.Interval.Seconds()), int(g.Timeout.Seconds()), g.Healthy, g.Unhealthy, escape(g.Path))
}

func (g *TargetGroup) attributes() string {
	return fmt.Sprintf(`<Attributes><member><Key>%s</Key><Value>%d</Value></member></Attributes>`, drainingKey, int(g.Draining.Seconds()))
}
