package mvn

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fastship/fastship/internal/fault"
)

// Want is what a JDK is needed for.
type Want struct {
	Releases []int  // the Java releases to compile for, ascending; empty when unknown
	MinJava  int    // the oldest JDK that Maven itself starts on; 0 when unknown
	Maven    string // the name of that Maven, for people
	Rules    []Rule // what the enforcer plugin wants of the JDK's version
}

// Choice is a JDK and the reason for it, in words.
type Choice struct {
	JDK    JDK
	Reason string
}

// ChooseJDK takes the JDK of JAVA_HOME if it fits, else the one on PATH, else
// the installed one nearest to what is asked for. The error is of class
// fault.Missing and lists what was found.
//
// Where no JDK meets the enforcer's rules they are left to the plugin, which
// may be skipped by what is not seen here.
func ChooseJDK(ctx context.Context, h Host, w Want) (Choice, error) {
	choice, err := chooseJDK(ctx, h, w)
	if err != nil && len(w.Rules) > 0 && ctx.Err() == nil {
		w.Rules = nil
		return chooseJDK(ctx, h, w)
	}
	return choice, err
}

func chooseJDK(ctx context.Context, h Host, w Want) (Choice, error) {
	var all []JDK
	for j := range h.JDKs(ctx) {
		if fits(j, w) && (j.Found == "JAVA_HOME" || j.Found == "PATH") {
			return Choice{j, reason(h, j, w, all)}, nil
		}
		all = append(all, j)
	}
	if ctx.Err() != nil {
		return Choice{}, context.Cause(ctx)
	}
	best := slices.DeleteFunc(slices.Clone(all), func(j JDK) bool { return !fits(j, w) })
	if len(best) == 0 {
		return Choice{}, noJDK(h, w, all)
	}
	// The nearest to what is asked for; where nothing is asked, the newest.
	slices.SortStableFunc(best, func(a, b JDK) int {
		if len(w.Releases) == 0 {
			return b.Major - a.Major
		}
		return a.Major - b.Major
	})
	return Choice{best[0], reason(h, best[0], w, all)}, nil
}

func fits(j JDK, w Want) bool {
	_, against := broken(w.Rules, j.Version)
	return j.Major >= w.MinJava && j.Fits(w.Releases) && !against
}

// asked says what w wants of a JDK: "Java 21", "Java 8 to 17".
func (w Want) asked() string {
	if len(w.Releases) == 0 {
		return ""
	}
	first, last := w.Releases[0], w.Releases[len(w.Releases)-1]
	if first == last {
		return fmt.Sprintf("Java %d", last)
	}
	return fmt.Sprintf("Java %d to %d", first, last)
}

func reason(h Host, j JDK, w Want, others []JDK) string {
	var s []string
	if asked := w.asked(); asked != "" {
		s = append(s, "the project asks for "+asked)
	}
	preferred := j.Found == "JAVA_HOME" || j.Found == "PATH"
	for _, o := range others {
		if o.Found == "JAVA_HOME" || (!preferred && o.Found == "PATH") {
			s = append(s, fmt.Sprintf("%s has %s", o.Found, unfit(o, w)))
		}
	}
	if lost := lostHome(h, append(others, j)); lost != "" {
		s = append(s, lost)
	}
	where := "from " + j.Found
	if !preferred {
		where = "found in " + j.Found
	}
	return strings.Join(append([]string{where}, s...), "; ")
}

// lostHome tells of a JAVA_HOME that leads to none of the JDKs that were
// found, of which JAVA_HOME's is the first.
func lostHome(h Host, found []JDK) string {
	home := h.Getenv("JAVA_HOME")
	if home == "" || slices.ContainsFunc(found, func(j JDK) bool { return j.Found == "JAVA_HOME" }) {
		return ""
	}
	return fmt.Sprintf("JAVA_HOME is %s, which holds no bin/java", home)
}

// unfit says why j does not do.
func unfit(j JDK, w Want) string {
	switch {
	case !j.Javac:
		return fmt.Sprintf("%s, a JRE without javac", j.Version)
	case j.Major < w.MinJava:
		return fmt.Sprintf("%s, and %s needs %d or newer", j.Version, w.Maven, w.MinJava)
	case j.Fits(w.Releases):
		rule, _ := broken(w.Rules, j.Version)
		return fmt.Sprintf("%s, and %s wants Java %s", j.Version, rule.Pom, rule.Text)
	case len(w.Releases) > 0 && j.Major < w.Releases[len(w.Releases)-1]:
		return j.Version + ", too old"
	}
	return j.Version + ", too new"
}

func noJDK(h Host, w Want, found []JDK) error {
	need := "a JDK"
	if asked := w.asked(); asked != "" {
		need = "a JDK for " + asked
	}
	hint := "install a JDK, for example with apt-get install default-jdk-headless, or point JAVA_HOME at one"
	if len(w.Releases) > 0 || w.MinJava > 0 {
		oldest := max(w.MinJava, slices.Max(append(w.Releases, 0)))
		hint = fmt.Sprintf("install a JDK %d%s, or point JAVA_HOME at one", oldest, orNewer(w))
	}
	list := "none is installed"
	if len(found) > 0 {
		var names []string
		for _, j := range found {
			names = append(names, j.String())
		}
		list = "found " + strings.Join(names, "; ")
	}
	if lost := lostHome(h, found); lost != "" {
		list += "; " + lost
	}
	why := ""
	if w.MinJava > 0 && (len(w.Releases) == 0 || w.MinJava > w.Releases[len(w.Releases)-1]) {
		why = fmt.Sprintf(" (%s needs %d or newer)", w.Maven, w.MinJava)
	}
	return fault.New(fault.Missing, hint, "find %s%s: %s", need, why, list)
}

// orNewer names the newest JDK that still compiles for the oldest release
// asked for.
func orNewer(w Want) string {
	if len(w.Releases) == 0 || w.Releases[0] >= 8 {
		return " or newer"
	}
	newest := 19
	if w.Releases[0] < 7 {
		newest = 11
	}
	if w.Releases[0] < 6 {
		newest = 8
	}
	return fmt.Sprintf(" to %d", newest)
}
