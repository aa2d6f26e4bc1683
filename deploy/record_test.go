package deploy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAddRecord: the last fifty, each deployment once, whatever else is there.
func TestAddRecord(t *testing.T) {
	raw := []byte("{broken\n\n")
	var err error
	for i := range maxRecords + 7 {
		if raw, err = AddRecord(raw, Record{Service: "web", Revision: fmt.Sprint("web:", i), Deployment: fmt.Sprint(i), Outcome: Succeeded}); err != nil {
			t.Fatal(err)
		}
	}
	if raw, err = AddRecord(raw, Record{Service: "web", Revision: "again", Deployment: fmt.Sprint(maxRecords), Outcome: RolledBack}); err != nil {
		t.Fatal(err)
	}
	all := ReadRecords(raw)
	if len(all) != maxRecords || all[0].Revision != "web:7" || all[maxRecords-1].Revision != "again" || strings.Count(string(raw), "\n") != maxRecords {
		t.Errorf("%d records, from %+v to %+v", len(all), all[0], all[len(all)-1])
	}
	if n := strings.Count(string(raw), fmt.Sprintf(`"deployment":"%d"`, maxRecords)); n != 1 {
		t.Errorf("a deployment has %d records", n)
	}
}

// TestAddUnknown: rollouts whose deployment's id is not known are not taken for
// one.
func TestAddUnknown(t *testing.T) {
	var raw []byte
	for range 2 {
		raw, _ = AddRecord(raw, Record{Service: "web", Outcome: Succeeded})
	}
	if n := len(ReadRecords(raw)); n != 2 {
		t.Errorf("%d records", n)
	}
}

// TestOwn: medians say on how many records they stand, and a trend is told
// only when it is one.
func TestOwn(t *testing.T) {
	records := func(bytes int64, pulls ...float64) (all []Record) {
		for i, pull := range pulls {
			r := Record{Revision: fmt.Sprint("web:", i+1), Outcome: Succeeded, Phases: map[string]float64{pulling: pull}, Bytes: 80e6}
			if i >= 4 {
				r.Bytes = bytes
			}
			all = append(all, r)
		}
		return all
	}
	for _, c := range []struct {
		name    string
		records []Record
		want    string
	}{
		{"grown", records(210e6, 8, 9, 8, 7, 21, 22, 20, 21), "web:5 8s 21s 4 4 80 210"},
		{"one slow pull on the way", records(210e6, 8, 30, 8, 7, 21, 22, 20, 21), "web:5 8s 21s 4 4 80 210"},
		{"since the third last", records(210e6, 8, 9, 8, 7, 8, 22, 20, 21), "web:6 8s 21s 5 3 80 210"},
		{"too few since", records(210e6, 8, 9, 8, 7, 8, 8, 20, 21), ""},
		{"too few at all", records(210e6, 8, 8, 21, 21, 21), ""},
		{"faster", records(80e6, 21, 22, 20, 21, 8, 9, 8, 7), ""},
		{"noise", records(80e6, 8, 21, 7, 22, 8, 20, 9, 21), ""},
		{"steady", records(80e6, 8, 8, 8, 8, 8, 8, 8, 8), ""},
		{"not worth a word", records(80e6, 2, 2, 2, 2, 4, 4, 4, 4), ""},
		{"nothing", nil, ""},
	} {
		o, got := own(c.records), ""
		for _, tr := range o.Trends {
			got = fmt.Sprint(tr.Since, " ", tr.From, " ", tr.To, " ", tr.Before, " ", tr.After, " ", tr.FromBytes/1e6, " ", tr.ToBytes/1e6)
		}
		if got != c.want || o.Count != len(c.records) {
			t.Errorf("%s: %q, want %q (%+v)", c.name, got, c.want, o)
		}
	}
	o := own([]Record{
		{Outcome: RolledBack, Seconds: 900, Phases: map[string]float64{pulling: 300}},
		{Outcome: Succeeded, Phases: map[string]float64{pulling: 10, draining: -1}},
		{Outcome: Succeeded, Seconds: 100, Phases: map[string]float64{pulling: 20, starting: 0}},
	})
	want := []Median{{whole, 100 * time.Second, 1}, {pulling, 15 * time.Second, 2}, {starting, 0, 1}}
	if fmt.Sprint(o.Medians) != fmt.Sprint(want) || o.Count != 3 || o.Succeeded != 2 {
		t.Errorf("%+v", o)
	}
}
