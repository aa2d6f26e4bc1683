package spec

import (
	"errors"
	"regexp"
	"strings"

	"github.com/fastship/fastship/cache/s3"
	"github.com/fastship/fastship/internal/fault"
)

// The grammar of image references is that of the distribution project's
// reference package, which registries follow.
var (
	hostForm      = regexp.MustCompile(`^(?:(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])(?:\.(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]))*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?$`)
	componentForm = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	tagForm       = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	digestForm    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	moduleForm    = regexp.MustCompile(`^[\pL_$][\pL\pN_$]*(\.[\pL_$][\pL\pN_$]*)*$`) // JLS 7.7
	ecsNameForm   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)                      // CreateService, CreateCluster
	arnForm       = regexp.MustCompile(`^arn:[a-z0-9-]+:ecs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_/-]+$`)
	scopeForm     = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$`)
	roleForm      = regexp.MustCompile(`^arn:[a-z0-9-]+:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}$`)
	regionForm    = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
)

// CheckRepository holds a repository that does not come from the file against
// the grammar of image.repository. The errors of this and the next function
// are of class fault.BadInput, have a hint, and do not name the key.
func CheckRepository(s string) error { return classed(repository(s)) }

// CheckTag does the same for image.tags.
func CheckTag(s string) error { return classed(tag(s)) }

func classed(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.BadInput, hintOf(err), "%w", err)
}

// repository wants host/name.
func repository(s string) error {
	for _, scheme := range []string{"https://", "http://", "docker://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok {
			return advise("write "+rest, "%s is a URL; a repository has no scheme", quote(s))
		}
	}
	if name, digest, ok := strings.Cut(s, "@"); ok {
		return advise("write "+name, "%s has the digest %s in it", quote(s), digest)
	}
	host, name, ok := strings.Cut(s, "/")
	if !ok || !isHost(host) {
		return advise("write host/name; Docker Hub's host is docker.io", "%s names no registry", quote(s))
	}
	if before, tag, ok := strings.Cut(name, ":"); ok {
		return advise("write "+host+"/"+before+" here and the tag in image.tags", "%s has the tag %s in it", quote(s), tag)
	}
	return repositoryName(s, host, name)
}

// isHost tells a registry's host from the first part of a name as Docker
// does: it has a dot or a port, or is localhost.
func isHost(s string) bool {
	return hostForm.MatchString(s) && (s == "localhost" || strings.ContainsAny(s, ".:["))
}

func repositoryName(whole, host, name string) error {
	if lower := strings.ToLower(name); lower != name && repositoryName(whole, host, lower) == nil {
		if host != "" {
			lower = host + "/" + lower
		}
		return advise("write "+lower, "%s has capital letters, which no registry takes: %s", quote(whole), lower)
	}
	for component := range strings.SplitSeq(name, "/") {
		if !componentForm.MatchString(component) {
			return advise("use a-z, 0-9 and single . _ - between them", "%s is no repository name: %s", quote(whole), quote(component))
		}
	}
	if len(name) > 255 {
		return advise("", "%s is no repository name: it has more than 255 characters", quote(whole))
	}
	return nil
}

func tag(s string) error {
	if !tagForm.MatchString(s) {
		return advise("use letters, digits, and . _ - after the first; at most 128", "%s is no tag", quote(s))
	}
	return nil
}

// waitFor holds the values of deploy.waitFor.
func waitFor(s string) error {
	switch s {
	case "deployed", "healthy", "steady":
		return nil
	}
	return advise("write deployed, healthy or steady", "%s is none of them", quote(s))
}

// rollback holds the values of deploy.rollback.
func rollback(s string) error {
	switch s {
	case "auto", "ask", "never":
		return nil
	}
	return advise("write auto, ask or never", "%s is none of them", quote(s))
}

// jars holds the values of image.jars.
func jars(s string) error {
	if s == "stored" || s == "verbatim" {
		return nil
	}
	return advise("write stored or verbatim", "%s is neither", quote(s))
}

// compression holds the values of image.compression.
func compression(s string) error {
	switch s {
	case "auto", "gzip", "zstd":
		return nil
	}
	return advise("write auto, gzip or zstd", "%s is none of them", quote(s))
}

// login holds the values of image.login.
func login(s string) error {
	switch s {
	case "kept", "fresh":
		return nil
	}
	return advise("write kept or fresh", "%s is neither", quote(s))
}

// severity holds the values of image.scan.fail.
func severity(s string) error {
	switch s {
	case "critical", "high", "medium", "low", "informational":
		return nil
	}
	return advise("write critical, high, medium, low or informational", "%s is no severity", quote(s))
}

// unsupported holds the values of image.scan.unsupported.
func unsupported(s string) error {
	switch s {
	case "fail", "pass":
		return nil
	}
	return advise("write fail or pass", "%s is neither", quote(s))
}

// train holds the values of image.train.
func train(s string) error {
	switch s {
	case "auto", "full", "never":
		return nil
	}
	return advise("write auto, full or never", "%s is none of them", quote(s))
}

// tune holds the values of maven.tune.
func tune(s string) error {
	switch s {
	case "auto", "on", "off":
		return nil
	}
	return advise("write auto, on or off", "%s is none of them", quote(s))
}

// CheckStore holds the values of cache.store.
func CheckStore(s string) error {
	if s == "dir" {
		return nil
	}
	if !strings.HasPrefix(s, "s3://") {
		return advise("write dir, or s3://bucket/prefix?region=…", "%s is no store", quote(s))
	}
	return fromStage(func(s string) error { _, err := s3.ParseURL(s); return err })(s)
}

// fromStage makes a check of one that belongs to whom the value is for.
func fromStage(check func(string) error) func(string) error {
	return func(s string) error {
		err := check(s)
		if e, ok := errors.AsType[*fault.Error](err); ok {
			return advise(e.Hint, "%w", e.Err)
		}
		return err
	}
}

// base wants jlink or something that could be an image's reference.
func base(s string) error {
	if s == "jlink" || strings.HasPrefix(s, "oci:") && len(s) > len("oci:") {
		return nil
	}
	if strings.EqualFold(s, "jlink") {
		return advise("write jlink", "%s is no image", quote(s))
	}
	name, digest, pinned := strings.Cut(s, "@")
	if pinned && !digestForm.MatchString(digest) {
		return advise("", "%s is no digest", quote(digest))
	}
	host, rest, ok := strings.Cut(name, "/")
	if !ok || !isHost(host) {
		host, rest = "", name
	}
	rest, tagged, hasTag := strings.Cut(rest, ":")
	if hasTag {
		if err := tag(tagged); err != nil {
			return err
		}
	}
	return repositoryName(s, host, rest)
}

func goal(s string) error {
	if strings.HasPrefix(s, "-") {
		return advise("move it to maven.args", "%s is an argument, not a goal", quote(s))
	}
	if strings.ContainsAny(s, " \t\n") {
		return advise("write each goal as an item of its own", "%s is no goal", quote(s))
	}
	return nil
}

func profile(s string) error {
	if strings.ContainsAny(s, ", \t\n") {
		return advise("write each profile as an item of its own", "%s is no profile", quote(s))
	}
	return nil
}

func javaModule(s string) error {
	if !moduleForm.MatchString(s) {
		return advise("write a name such as java.sql", "%s is no Java module", quote(s))
	}
	return nil
}

// jvmFlag wants a dash or an argument file: the JVM would take anything else
// for the main class.
func jvmFlag(s string) error {
	if !strings.HasPrefix(s, "-") && !strings.HasPrefix(s, "@") {
		return advise("write a flag such as -Xmx256m", "%s is no JVM flag", quote(s))
	}
	return nil
}

func ecsName(s string) error {
	if strings.HasPrefix(s, "arn:") {
		if !arnForm.MatchString(s) {
			return advise("copy the ARN from aws ecs describe-services", "%s is no ARN in ECS", quote(s))
		}
		return nil
	}
	if !ecsNameForm.MatchString(s) {
		return advise("use letters, digits, _ and -; at most 255", "%s is no name in ECS", quote(s))
	}
	return nil
}

func region(s string) error {
	if !regionForm.MatchString(s) {
		return advise("write a name such as eu-central-1", "%s is no AWS region", quote(s))
	}
	return nil
}

func codeDeploy(s string) error {
	if application, group, ok := strings.Cut(s, "/"); !ok || application == "" || group == "" {
		return advise("write APPLICATION/GROUP", "%s names no deployment group", quote(s))
	}
	return nil
}

func role(s string) error {
	if !roleForm.MatchString(s) {
		return advise("copy the ARN from aws iam get-role", "%s is no ARN of a role", quote(s))
	}
	return nil
}

// quote marks a text off without escaping it, so that a secret in it is still
// itself to the redactor; it stays on one line.
func quote(s string) string {
	line, _, more := strings.Cut(s, "\n")
	if more {
		line += "…"
	}
	return `"` + line + `"`
}

func scope(s string) error {
	if !scopeForm.MatchString(s) {
		return advise("use letters, digits, and . _ - after the first; at most 64", "%s is no name of a scope", quote(s))
	}
	return nil
}
