package rollout

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/fastship/fastship/deploy"
)

// Remedy advises on the usual causes of a failed rollout, given what the
// container printed last. It is empty when there is nothing to advise.
func Remedy(cause string, logs []string) string {
	if hint := ModuleHint(logs); hint != "" {
		return hint
	}
	text := cause + "\n" + strings.Join(logs, "\n")
	if hint := permissionHint(cause); hint != "" {
		return hint
	}
	for _, r := range remedies {
		if r.sign.MatchString(text) {
			return r.hint
		}
	}
	return ""
}

var remedies = []struct {
	sign *regexp.Regexp
	hint string
}{
	{regexp.MustCompile(`CannotPull.*(not found|manifest unknown)`), "check that image.repository is the registry that the tasks pull from"},
	{regexp.MustCompile(`CannotPull.*(403|denied|no basic auth|authoriz)`), "give the task's execution role the ECR pull permissions (AmazonECSTaskExecutionRolePolicy)"},
	{regexp.MustCompile(`CannotPull.*(timeout|deadline)`), "give the tasks a way to the registry: a public IP, a NAT gateway or VPC endpoints"},
	{regexp.MustCompile(`exec format error|another platform`), "build the image for the platform that the task definition's runtimePlatform names"},
	{regexp.MustCompile(`log group does not exist`), "create the log group that awslogs-group names, or set awslogs-create-group to true"},
	{regexp.MustCompile(`ResourceInitializationError.*(timeout|deadline|connection)`), "give the tasks a way to AWS's endpoints: a public IP, a NAT gateway or VPC endpoints"},
	{regexp.MustCompile(`ResourceInitializationError.*(secret|ssm|parameter)`), "check that the secret exists and that the execution role may read it"},
	{regexp.MustCompile(`OutOfMemory|out of memory`), "give the task more memory, or the JVM a smaller share of it (-XX:MaxRAMPercentage in image.jvm)"},
	{regexp.MustCompile(`UnsupportedClassVersionError`), "run the jar on a JDK as new as the one that compiled it (image.base)"},
	{regexp.MustCompile(`health check|unhealthy`), "compare the health check's path, port and start period with the application's start"},
}

// The words of AWS's services for a permission that a role lacks, and for a
// secret or parameter that is not there.
var (
	lacking = regexp.MustCompile(`assumed-role/([\w+=,.@-]+)/\S* is not authorized to perform: ([\w:]+)(?: on resource: (\S+))?`)
	absent  = []*regexp.Regexp{
		regexp.MustCompile(`fetch secret (arn:\S+?):? from secrets manager.*(?:ResourceNotFoundException|can't find)`),
		regexp.MustCompile(`invalid ssm parameters: (\S+)`),
	}
)

// permissionHint names the very permission, or the very secret, that a cause
// speaks of; else it is empty.
func permissionHint(cause string) string {
	if m := lacking.FindStringSubmatch(cause); m != nil {
		resource := strings.TrimRight(m[3], ".,;")
		if resource == "" || resource == "*" {
			return fmt.Sprintf("allow %s to role %s", m[2], m[1])
		}
		return fmt.Sprintf("allow %s on %s to role %s", m[2], resource, m[1])
	}
	for _, sign := range absent {
		if m := sign.FindStringSubmatch(cause); m != nil {
			return fmt.Sprintf("create %s, or correct it in the task definition's secrets", strings.TrimRight(m[1], ".,;"))
		}
	}
	return ""
}

// platformHint is the remedy for an exec format error. A definition for another
// platform than the image's is found before anything is built; what is left is
// an image that is not known, or a program in it that is not what it says.
func platformHint(definition deploy.TaskDefinition, image string) string {
	runs, name := definition.Platform(), deploy.ShortName(definition.ARN)
	if image == runs {
		return fmt.Sprintf("the image is for %s, on which %s runs it, but the program that it starts is not: look at its entry point", image, name)
	}
	hint := fmt.Sprintf("build the image for %s, which %s runs on (runtimePlatform)", runs, name)
	if image != "" {
		hint += "; it is for " + image
	}
	return hint
}

// missingClass is how a JVM says that a class is absent, and missingModule
// that a module is.
var (
	missingClass  = regexp.MustCompile(`(?:NoClassDefFoundError|ClassNotFoundException): ([\w$./]+)`)
	missingModule = regexp.MustCompile(`FindException: Module ([\w.]+) not found`)
)

// ModuleHint tells which module to add to image.modules when lines of a JVM's
// output say that a class of the JDK is missing; else it is empty.
func ModuleHint(lines []string) string {
	for _, line := range lines {
		if m := missingModule.FindStringSubmatch(line); m != nil {
			return fmt.Sprintf("add %s to image.modules", m[1])
		}
		m := missingClass.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		class := strings.ReplaceAll(m[1], "/", ".")
		if module := moduleOf(class); module != "" {
			return fmt.Sprintf("add %s to image.modules: %s is in it", module, class)
		}
		if strings.HasPrefix(class, "java.") || strings.HasPrefix(class, "jdk.") {
			return fmt.Sprintf("add the module that holds %s to image.modules", class)
		}
	}
	return ""
}

// moduleOf is the module of JDK 17–25 that holds a class, or the empty string
// when the JDK has no such package: javax.servlet is a library's.
func moduleOf(class string) string {
	for name := class; ; {
		dot := strings.LastIndexByte(name, '.')
		if dot < 0 {
			return ""
		}
		name = name[:dot]
		if module, ok := modules[name]; ok {
			return module
		}
	}
}

// modules maps packages, with all below them that are not listed themselves,
// to modules, as `java --describe-module` gives them. java.base is in every
// image.
var modules = map[string]string{
	"com.sun.jdi":                     "jdk.jdi",
	"com.sun.jndi.dns":                "jdk.naming.dns",
	"com.sun.jndi.ldap":               "java.naming",
	"com.sun.jndi.rmi":                "jdk.naming.rmi",
	"com.sun.management":              "jdk.management",
	"com.sun.net.httpserver":          "jdk.httpserver",
	"com.sun.nio.sctp":                "jdk.sctp",
	"com.sun.rowset":                  "java.sql.rowset",
	"com.sun.security.auth":           "jdk.security.auth",
	"com.sun.security.jgss":           "jdk.security.jgss",
	"com.sun.source":                  "jdk.compiler",
	"com.sun.tools.attach":            "jdk.attach",
	"com.sun.tools.javac":             "jdk.compiler",
	"java.applet":                     "java.desktop",
	"java.awt":                        "java.desktop",
	"java.awt.datatransfer":           "java.datatransfer",
	"java.beans":                      "java.desktop",
	"java.lang.instrument":            "java.instrument",
	"java.lang.management":            "java.management",
	"java.net.http":                   "java.net.http",
	"java.rmi":                        "java.rmi",
	"java.sql":                        "java.sql",
	"java.util.logging":               "java.logging",
	"java.util.prefs":                 "java.prefs",
	"javax.annotation.processing":     "java.compiler",
	"javax.imageio":                   "java.desktop",
	"javax.lang.model":                "java.compiler",
	"javax.management":                "java.management",
	"javax.management.remote.rmi":     "java.management.rmi",
	"javax.naming":                    "java.naming",
	"javax.print":                     "java.desktop",
	"javax.rmi.ssl":                   "java.rmi",
	"javax.script":                    "java.scripting",
	"javax.security.auth.kerberos":    "java.security.jgss",
	"javax.security.sasl":             "java.security.sasl",
	"javax.smartcardio":               "java.smartcardio",
	"javax.sound":                     "java.desktop",
	"javax.sql":                       "java.sql",
	"javax.sql.rowset":                "java.sql.rowset",
	"javax.swing":                     "java.desktop",
	"javax.tools":                     "java.compiler",
	"javax.transaction.xa":            "java.transaction.xa",
	"javax.xml.catalog":               "java.xml",
	"javax.xml.crypto":                "java.xml.crypto",
	"javax.xml.datatype":              "java.xml",
	"javax.xml.namespace":             "java.xml",
	"javax.xml.parsers":               "java.xml",
	"javax.xml.stream":                "java.xml",
	"javax.xml.transform":             "java.xml",
	"javax.xml.validation":            "java.xml",
	"javax.xml.xpath":                 "java.xml",
	"jdk.dynalink":                    "jdk.dynalink",
	"jdk.jfr":                         "jdk.jfr",
	"jdk.management.jfr":              "jdk.management.jfr",
	"jdk.net":                         "jdk.net",
	"jdk.security.jarsigner":          "jdk.jartool",
	"jdk.jshell":                      "jdk.jshell",
	"org.ietf.jgss":                   "java.security.jgss",
	"org.w3c.dom":                     "java.xml",
	"org.w3c.dom.css":                 "jdk.xml.dom",
	"org.w3c.dom.html":                "jdk.xml.dom",
	"org.w3c.dom.stylesheets":         "jdk.xml.dom",
	"org.w3c.dom.xpath":               "jdk.xml.dom",
	"org.xml.sax":                     "java.xml",
	"sun.misc":                        "jdk.unsupported",
	"sun.reflect":                     "jdk.unsupported",
	"sun.security.ec":                 "jdk.crypto.ec",
	"sun.security.pkcs11":             "jdk.crypto.cryptoki",
	"com.sun.security.sasl.gsskerb":   "jdk.security.jgss",
	"com.sun.java.accessibility.util": "jdk.accessibility",
	"netscape.javascript":             "jdk.jsobject",
}
