package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/fastship/fastship/internal/awsconf"
	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/internal/pause"
	"github.com/fastship/fastship/runner"
)

// severities are ECR's, the worst first. What a scanner has not judged
// (UNDEFINED, UNTRIAGED, or a word that is new) counts as the worst: a gate
// fails closed.
var severities = []string{"critical", "high", "medium", "low", "informational"}

const (
	scanWait = 5 * time.Minute
	scanPoll = 3 * time.Second
	// startAfter is how long a scan on push may take to be there before one
	// is asked for.
	startAfter = 10 * time.Second
	maxShown   = 20
)

func (s Scan) check(host string) error {
	if s == (Scan{}) {
		return nil
	}
	if s.Fail == "" {
		return fault.New(fault.BadInput, "write image.scan.fail: critical, or leave image.scan out", "image.scan: without fail there is no gate")
	}
	if !slices.Contains(severities, s.Fail) {
		return fault.New(fault.BadInput, "write "+strings.Join(severities, ", "), "image.scan.fail: %q is no severity", s.Fail)
	}
	if !slices.Contains([]string{"", "fail", "pass"}, s.Unsupported) {
		return fault.New(fault.BadInput, "write fail or pass", "image.scan.unsupported: %q is neither fail nor pass", s.Unsupported)
	}
	if _, ok := parseECR(host); !ok {
		return fault.New(fault.BadInput, "leave image.scan out", "image.scan: %s is not ECR, whose scan it is about", host)
	}
	return nil
}

// fails tells whether a finding of that severity stops the run.
func (s Scan) fails(severity string) bool {
	at := slices.Index(severities, strings.ToLower(severity))
	return at <= slices.Index(severities, s.Fail) // -1, not judged, always
}

// gate waits for the scan of an image and lets it pass or not. Whatever is not
// a finished scan without such findings stops the run.
func (s *Step) gate(ctx context.Context, env runner.Env, r *repository, digest string) error {
	if s.config.Scan.Fail == "" {
		return nil
	}
	client, cfg, err := r.api.client(ctx)
	if err != nil {
		return err
	}
	g := &gate{
		config: s.config.Scan, client: client, env: env, poll: cmp.Or(s.deps.scanPoll, scanPoll),
		image: &ecr.DescribeImageScanFindingsInput{RepositoryName: aws.String(r.repo.RepositoryStr()), ImageId: &types.ImageIdentifier{ImageDigest: &digest}},
	}
	if err := g.pass(ctx); err != nil {
		return fmt.Errorf("scan %s: %w", digest, awsconf.Explain(cfg, err))
	}
	return nil
}

type gate struct {
	config Scan
	client *ecr.Client
	env    runner.Env
	poll   time.Duration
	image  *ecr.DescribeImageScanFindingsInput

	asked bool // a scan was asked for
}

// pass polls until the scan has ended in one way or another.
func (g *gate) pass(ctx context.Context) error {
	wait := cmp.Or(g.config.Wait, scanWait)
	start := time.Now()
	told := ""
	for {
		out, err := g.client.DescribeImageScanFindings(ctx, g.image)
		if err != nil && !notYet(err) {
			return explainScan(err)
		}
		status := types.ScanStatus("")
		if err == nil && out.ImageScanStatus != nil {
			status = out.ImageScanStatus.Status
		}
		done, err := g.judge(ctx, status, out)
		if done || err != nil {
			return err
		}
		if waited := time.Since(start); waited >= wait {
			return fault.New(fault.ImageFailed, "wait longer (image.scan.wait), or turn on scan on push for the repository", "no result after %s, the scan's status is %s", wait, cmp.Or(string(status), "none"))
		} else if status == "" && waited >= min(startAfter, wait/3) {
			g.ask(ctx)
		}
		if now := cmp.Or(strings.ToLower(string(status)), "not begun"); now != told {
			told = now
			g.env.Emit(runner.Note{Text: "waiting for ECR's scan: " + strings.ReplaceAll(now, "_", " ")})
		}
		if err := pause.For(ctx, min(g.poll, wait)); err != nil {
			return err
		}
	}
}

// notYet: the scan or, of an image pushed a moment ago, the image is not known
// to the scanner.
func notYet(err error) bool {
	_, isScan := errors.AsType[*types.ScanNotFoundException](err)
	_, isImage := errors.AsType[*types.ImageNotFoundException](err)
	return isScan || isImage
}

func explainScan(err error) error {
	if isDenied(err) {
		return fault.New(fault.ImageFailed, "allow ecr:DescribeImageScanFindings on the repository", "read the findings: %w", err)
	}
	return fmt.Errorf("read the findings: %w", err)
}

// ask starts a scan where none begins by itself. Enhanced scanning and
// repositories without that permission refuse; then there is only waiting.
func (g *gate) ask(ctx context.Context) {
	if g.asked {
		return
	}
	g.asked = true
	_, _ = g.client.StartImageScan(ctx, &ecr.StartImageScanInput{RepositoryName: g.image.RepositoryName, ImageId: g.image.ImageId})
}

// judge decides on a status. A status that this SDK does not know is no pass.
func (g *gate) judge(ctx context.Context, status types.ScanStatus, out *ecr.DescribeImageScanFindingsOutput) (done bool, err error) {
	description := ""
	if out != nil && out.ImageScanStatus != nil {
		description = strings.TrimSuffix(aws.ToString(out.ImageScanStatus.Description), ".")
	}
	switch status {
	case "", types.ScanStatusInProgress, types.ScanStatusPending:
		return false, nil
	case types.ScanStatusComplete, types.ScanStatusActive:
		return true, g.findings(ctx, out)
	case types.ScanStatusUnsupportedImage:
		if g.config.Unsupported == "pass" {
			g.env.Emit(runner.Warning{Text: "ECR cannot scan this image; image.scan.unsupported lets it pass"})
			return true, nil
		}
		return true, fault.New(fault.ImageFailed, "use enhanced scanning, or set image.scan.unsupported: pass", "ECR cannot scan this image%s", because(description))
	case types.ScanStatusFailed, types.ScanStatusScanEligibilityExpired, types.ScanStatusFindingsUnavailable, types.ScanStatusLimitExceeded, types.ScanStatusImageArchived:
		return true, fault.New(fault.ImageFailed, "look at the image in the ECR console, and run again", "the scan ended as %s%s", status, because(description))
	}
	return true, fault.New(fault.ImageFailed, "look at the image in the ECR console", "the scan's status is %s%s, which says nothing of its findings", status, because(description))
}

func because(description string) string {
	if description == "" {
		return ""
	}
	return " (" + description + ")"
}

// finding is what both kinds of scan have in common.
type finding struct{ severity, name, where string }

func (f finding) String() string {
	return strings.TrimRight(fmt.Sprintf("%s %s %s", f.severity, f.name, f.where), " ")
}

// findings reads all pages. The counts of the first cover all of them; a
// severity that is counted and not listed stops the run, too.
func (g *gate) findings(ctx context.Context, out *ecr.DescribeImageScanFindingsOutput) error {
	counts := map[string]int{}
	var bad []finding
	next := *g.image
	for {
		if f := out.ImageScanFindings; f != nil {
			for severity, n := range f.FindingSeverityCounts {
				counts[severity] = max(counts[severity], int(n))
			}
			bad = append(bad, g.listed(f)...)
		}
		if next.NextToken = out.NextToken; aws.ToString(next.NextToken) == "" {
			break
		}
		var err error
		if out, err = g.client.DescribeImageScanFindings(ctx, &next); err != nil {
			return explainScan(err)
		}
	}
	stop := len(bad)
	counted := 0
	for severity, n := range counts {
		if g.config.fails(severity) {
			counted += n
		}
	}
	text := countsText(counts)
	if stop = max(stop, counted); stop == 0 {
		g.env.Emit(runner.Note{Text: "ECR's scan found " + text})
		return nil
	}
	slices.SortFunc(bad, func(a, b finding) int {
		return cmp.Or(cmp.Compare(rank(a.severity), rank(b.severity)), strings.Compare(a.name, b.name), strings.Compare(a.where, b.where))
	})
	for _, f := range bad[:min(len(bad), maxShown)] {
		g.env.Emit(runner.Warning{Text: f.String()})
	}
	return fault.New(fault.ImageFailed, "update what is named above, or raise image.scan.fail", "%d findings of severity %s or worse (found %s)", stop, g.config.Fail, text)
}

// listed are the findings of a page that stop the run.
func (g *gate) listed(f *types.ImageScanFindings) []finding {
	var bad []finding
	for _, b := range f.Findings {
		if g.config.fails(string(b.Severity)) {
			bad = append(bad, finding{string(b.Severity), aws.ToString(b.Name), packageOf(b.Attributes)})
		}
	}
	for _, e := range f.EnhancedFindings {
		if !g.config.fails(aws.ToString(e.Severity)) || strings.EqualFold(aws.ToString(e.Status), "SUPPRESSED") || strings.EqualFold(aws.ToString(e.Status), "CLOSED") {
			continue
		}
		one := finding{severity: aws.ToString(e.Severity), name: aws.ToString(e.Title)}
		if d := e.PackageVulnerabilityDetails; d != nil {
			one.name = cmp.Or(aws.ToString(d.VulnerabilityId), one.name)
			for _, p := range d.VulnerablePackages {
				one.where = strings.TrimSpace(one.where + " " + aws.ToString(p.Name) + " " + aws.ToString(p.Version))
			}
		}
		bad = append(bad, one)
	}
	return bad
}

// packageOf reads the attributes of a basic finding.
func packageOf(attributes []types.Attribute) string {
	var name, version string
	for _, a := range attributes {
		switch aws.ToString(a.Key) {
		case "package_name":
			name = aws.ToString(a.Value)
		case "package_version":
			version = aws.ToString(a.Value)
		}
	}
	return strings.TrimSpace(name + " " + version)
}

func rank(severity string) int { return slices.Index(severities, strings.ToLower(severity)) }

func countsText(counts map[string]int) string {
	var names []string
	for severity, n := range counts {
		if n > 0 {
			names = append(names, severity)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
	for i, severity := range names {
		names[i] = fmt.Sprintf("%d %s", counts[severity], strings.ToLower(severity))
	}
	return cmp.Or(strings.Join(names, ", "), "nothing")
}
