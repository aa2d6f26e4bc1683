package push

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/fastship/fastship/internal/fault"
	"github.com/fastship/fastship/stages/push/ecrtest"
)

func TestScanGate(t *testing.T) {
	finding := func(severity types.FindingSeverity, name string) types.ImageScanFinding {
		return types.ImageScanFinding{Severity: severity, Name: &name, Attributes: []types.Attribute{{Key: aws.String("package_name"), Value: aws.String("zlib")}, {Key: aws.String("package_version"), Value: aws.String("1.2")}}}
	}
	enhanced := func(severity, id, status string) types.EnhancedImageScanFinding {
		return types.EnhancedImageScanFinding{Severity: &severity, Status: &status, Title: &id, PackageVulnerabilityDetails: &types.PackageVulnerabilityDetails{
			VulnerabilityId: &id, VulnerablePackages: []types.VulnerablePackage{{Name: aws.String("spring-core"), Version: aws.String("6.0")}}}}
	}
	low := finding(types.FindingSeverityLow, "CVE-1")
	complete := func(f ...types.ImageScanFinding) ecrtest.Scan {
		return ecrtest.Scan{Status: types.ScanStatusComplete, Findings: f}
	}
	for name, c := range map[string]struct {
		scans []ecrtest.Scan
		scan  Scan
		want  string // of the error; empty: it passes
		said  string
	}{
		"nothing":  {[]ecrtest.Scan{{}, {Status: types.ScanStatusPending}, {Status: types.ScanStatusInProgress}, complete()}, Scan{}, "", "found nothing"},
		"low":      {[]ecrtest.Scan{complete(low, low, low)}, Scan{}, "", "found 3 low"},
		"pages":    {[]ecrtest.Scan{complete(low, low, low, finding(types.FindingSeverityCritical, "CVE-9"))}, Scan{}, "1 findings of severity high or worse (found 1 critical, 3 low)", "CRITICAL CVE-9 zlib 1.2"},
		"high":     {[]ecrtest.Scan{complete(finding(types.FindingSeverityHigh, "CVE-2"))}, Scan{}, "severity high", "HIGH CVE-2"},
		"raised":   {[]ecrtest.Scan{complete(finding(types.FindingSeverityHigh, "CVE-2"))}, Scan{Fail: "critical"}, "", "found 1 high"},
		"unjudged": {[]ecrtest.Scan{complete(finding(types.FindingSeverityUndefined, "CVE-3"))}, Scan{Fail: "critical"}, "1 undefined", "CVE-3"},
		"enhanced": {[]ecrtest.Scan{{Status: types.ScanStatusActive, Enhanced: []types.EnhancedImageScanFinding{enhanced("LOW", "a", "ACTIVE"), enhanced("LOW", "b", "ACTIVE"), enhanced("CRITICAL", "CVE-4", "ACTIVE")}}}, Scan{}, "1 critical, 2 low", "CRITICAL CVE-4 spring-core 6.0"},
		"no scan":  {[]ecrtest.Scan{{}}, Scan{Wait: 20 * time.Millisecond}, "no result after 20ms, the scan's status is none", ""},
		"slow":     {[]ecrtest.Scan{{Status: types.ScanStatusInProgress}}, Scan{Wait: 20 * time.Millisecond}, "status is IN_PROGRESS", "in progress"},
		"unknown":  {[]ecrtest.Scan{{Status: "TEA_BREAK"}}, Scan{}, "TEA_BREAK", ""},
		"pass":     {[]ecrtest.Scan{{Status: types.ScanStatusUnsupportedImage}}, Scan{Unsupported: "pass"}, "", "cannot scan"},
		"asked":    {[]ecrtest.Scan{{}, complete()}, Scan{Wait: 90 * time.Millisecond}, "", "found nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, ecrtest.Options{})
			a.SetScans("orders", c.scans...)
			if c.scan.Fail == "" {
				c.scan.Fail = "high"
			}
			if name == "nothing" { // a scan on push begins by itself
				a.SetScans("orders", c.scans[1:]...)
			}
			in := makeImage(t, t.TempDir(), random(10))
			r, e, err := a.push(t, Config{Scan: c.scan}, in)
			tagged := a.Tag("orders", r.Out.Tags[0]) != ""
			if c.want == "" && (err != nil || !tagged) || c.want != "" && (err == nil || tagged || !strings.Contains(err.Error(), c.want) || fault.ClassOf(err) != fault.ImageFailed || fault.HintOf(err) == "") {
				t.Errorf("tagged %v, %v (%s)", tagged, err, fault.HintOf(err))
			}
			if !strings.Contains(fmt.Sprint(e.all), c.said) {
				t.Errorf("said %v", e.all)
			}
			if c.want == "" { // an image that is there has to pass as well
				a.SetScans("orders", complete(finding(types.FindingSeverityCritical, "CVE-NEW")))
				if _, _, err := a.push(t, Config{Scan: c.scan}, in); err == nil {
					t.Error("a new finding in an image that is there")
				}
			}
		})
	}
	// Every status that the SDK knows is judged, and only two let an image pass.
	for _, status := range types.ScanStatus("").Values() {
		g := &gate{config: Scan{Fail: "high"}, env: (&events{}).env(), image: &ecr.DescribeImageScanFindingsInput{}}
		done, err := g.judge(t.Context(), status, &ecr.DescribeImageScanFindingsOutput{ImageScanStatus: &types.ImageScanStatus{Status: status}})
		passes := done && err == nil
		if passes != slices.Contains([]types.ScanStatus{types.ScanStatusComplete, types.ScanStatusActive}, status) {
			t.Errorf("%s: done %v, %v", status, done, err)
		}
		if err != nil && strings.Contains(err.Error(), "says nothing") {
			t.Errorf("%s is not known", status)
		}
	}
	if n := len(types.ScanStatus("").Values()); n != 10 {
		t.Errorf("the SDK knows %d statuses: judge them", n)
	}
	for _, s := range []Scan{{Wait: time.Second}, {Fail: "bad"}, {Fail: "high", Unsupported: "x"}} {
		if err := s.check(ecrRegistry); fault.ClassOf(err) != fault.BadInput {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := (Scan{Fail: "high"}).check("ghcr.io"); fault.ClassOf(err) != fault.BadInput {
		t.Error(err)
	}
}
