package mvn

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fastship/fastship/runner"
)

// failing is a report of surefire 3.6.1, with JUnit 5's own frames cut short.
const failing = `<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="3.0.2" name="com.example.PriceTest" time="0.069" tests="4" errors="1" skipped="1" failures="1">
  <properties><property name="java.version" value="17.0.15"/></properties>
  <testcase name="rounds" classname="com.example.PriceTest" time="0.001"/>
  <testcase name="roundsUp" classname="com.example.PriceTest" time="0.01">
    <failure message="gross of 11 ==&gt; expected: &lt;14&gt; but was: &lt;13&gt;" type="org.opentest4j.AssertionFailedError"><![CDATA[org.opentest4j.AssertionFailedError: gross of 11 ==> expected: <14> but was: <13>
	at org.junit.jupiter.api.AssertionFailureBuilder.build(AssertionFailureBuilder.java:151)
	at app//org.junit.jupiter.api.Assertions.assertEquals(Assertions.java:1024)
	at java.base/jdk.internal.reflect.NativeMethodAccessorImpl.invoke0(Native Method)
	at com.example.PriceTest$Nested.lambda$roundsUp$0(PriceTest.java:20)
	at java.base/java.util.ArrayList.forEach(ArrayList.java:1511)
]]></failure>
    <rerunFailure message="again" type="x">at com.example.PriceTest.again(PriceTest.java:1)</rerunFailure>
    <system-out><![CDATA[<failure>not one</failure>]]></system-out>
  </testcase>
  <testcase name="skipped" classname="com.example.PriceTest"><skipped/></testcase>
  <testcase name="" classname="com.example.PriceTest"><error type="java.lang.IllegalStateException">java.lang.IllegalStateException
	at com.example.PriceTest.start(PriceTest.java:8)</error></testcase>
</testsuite>
`

func TestReadSuite(t *testing.T) {
	s, err := ReadSuite(strings.NewReader(failing))
	if err != nil {
		t.Fatal(err)
	}
	if want := (runner.Tests{Run: 4, Failed: 2, Skipped: 1}); s.Tests != want {
		t.Errorf("tests %+v, want %+v", s.Tests, want)
	}
	if len(s.Failures) != 2 {
		t.Fatalf("failures %+v", s.Failures)
	}
	f := s.Failures[0]
	if f.Class != "com.example.PriceTest" || f.Name != "roundsUp" || f.Message != "gross of 11 ==> expected: <14> but was: <13>" {
		t.Errorf("failure %+v", f)
	}
	want := []Frame{
		{"org.junit.jupiter.api.AssertionFailureBuilder", "AssertionFailureBuilder.java", 151},
		{"org.junit.jupiter.api.Assertions", "Assertions.java", 1024},
		{"com.example.PriceTest$Nested", "PriceTest.java", 20},
		{"java.util.ArrayList", "ArrayList.java", 1511},
	}
	if got := f.Frames(); !reflect.DeepEqual(got, want) {
		t.Errorf("frames %+v", got)
	}
	if s.Failures[1].Message != "java.lang.IllegalStateException" {
		t.Errorf("a failure without a message: %+v", s.Failures[1])
	}
}

func TestReadSuiteReadsNoMoreThanItMust(t *testing.T) {
	passing := `<testsuite tests="7" errors="0" skipped="2" failures="0"><testcase`
	s, err := ReadSuite(strings.NewReader(passing))
	if want := (runner.Tests{Run: 7, Skipped: 2}); err != nil || s.Tests != want {
		t.Errorf("%+v, %v", s, err)
	}
	for _, text := range []string{"", "<testsuites/>", "not xml", failing[:900]} {
		if _, err := ReadSuite(strings.NewReader(text)); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

func TestReadReportsLeavesOutEarlierRuns(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "TEST-a.xml"), failing, 0o644)
	write(t, filepath.Join(dir, "TEST-old.xml"), failing, 0o644)
	write(t, filepath.Join(dir, "a.txt"), "no report", 0o644)
	write(t, filepath.Join(dir, "TEST-broken.xml"), "<", 0o644)
	start := time.Now()
	if err := os.Chtimes(filepath.Join(dir, "TEST-old.xml"), start, start.Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	suites, err := ReadReports(dir, start.Add(-10*time.Second))
	if err == nil || !strings.Contains(err.Error(), "TEST-broken.xml") {
		t.Errorf("error %v", err)
	}
	tests := 0
	for _, s := range suites {
		tests += s.Tests.Run
	}
	if tests != 4 {
		t.Errorf("%d tests of this run, want 4", tests)
	}
	if suites, err := ReadReports(filepath.Join(dir, "gone"), start); err != nil || suites != nil {
		t.Errorf("an absent folder: %v, %v", suites, err)
	}
}

func TestOlderKnowsCoarseClocks(t *testing.T) {
	start := time.Unix(1000, 5e8)
	for file, want := range map[time.Time]bool{
		start.Add(-4 * time.Millisecond): false, // the kernel's tick
		time.Unix(1000, 0):               false, // whole seconds
		time.Unix(999, 0):                false, // FAT's two
		time.Unix(998, 0):                true,
		start.Add(-time.Second):          true,
		start.Add(time.Second):           false,
	} {
		if older(file, start) != want {
			t.Errorf("%v older than %v: want %v", file, start, want)
		}
	}
}

func FuzzReadSuite(f *testing.F) {
	f.Add([]byte(failing))
	f.Add([]byte(`<testsuite tests="-1" failures="99999999999999999999"><testcase><failure/></testcase></testsuite>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, _ := ReadSuite(strings.NewReader(string(text)))
		if s.Tests.Run < 0 || s.Tests.Failed < 0 || s.Tests.Skipped < 0 {
			t.Fatalf("%+v", s.Tests)
		}
		for _, failure := range s.Failures {
			failure.Frames()
		}
	})
}
