package maven

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/fastship/fastship/stages/internal/mvn"
)

var (
	// The enforcer's RequireMavenVersion and Maven's own prerequisites.
	oldMaven  = regexp.MustCompile(`Detected Maven Version: \S+ is not in the allowed range ([^\s]+?)\.?$|requires Maven version (\S+)`)
	oldJava   = regexp.MustCompile(`Detected JDK [Vv]ersion:? .* is not in the allowed range (\S+?)\.?$`)
	classFile = regexp.MustCompile(`class file version (\d+)\.`)
	number    = regexp.MustCompile(`\d+(?:\.\d+)*`)
)

// cutShort is for the archive plug-ins' errors: they take a jar that is newer
// than the classes for one that is whole.
const cutShort = "remove the target folder, or run mvn clean: a build that was killed leaves jars that are cut short"

// remedy is what to do about the failures that many meet, empty for others.
func remedy(j *job, message string) string {
	if m := oldMaven.FindStringSubmatch(message); m != nil {
		return newerMaven(j, m[1]+m[2])
	}
	if m := oldJava.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("point JAVA_HOME at a JDK in the range %s; Maven ran on %s", m[1], j.choice.JDK)
	}
	if m := classFile.FindStringSubmatch(message); m != nil {
		if v, err := strconv.Atoi(m[1]); err == nil && v > 44 {
			return fmt.Sprintf("point JAVA_HOME at a JDK %d or newer: a plug-in or extension is compiled for it", v-44) // JVMS 4.1: 45 is Java 1
		}
	}
	if strings.Contains(message, ".d.codeartifact.") && strings.Contains(message, "401") {
		return refusedToken(j)
	}
	for _, r := range []struct{ sign, advice string }{
		{remembered, "add -U to maven.args to have Maven look again"},
		{"Blocked mirror for repositories", "give that repository an https URL, or a mirror of its own in settings.xml: Maven 3.8.1 and newer refuse plain http"},
		{"Could not find artifact", "check the coordinates, and that settings.xml names the repository that has it"},
		{"401 Unauthorized", "correct the credentials of that repository's <server> in settings.xml"},
		{"status code: 401", "correct the credentials of that repository's <server> in settings.xml"},
		{"403 Forbidden", "that repository's <server> in settings.xml may not read it"},
		{"status code: 403", "that repository's <server> in settings.xml may not read it"},
		{"PKIX path building failed", "let Maven's JVM trust the repository's certificate: -Djavax.net.ssl.trustStore in MAVEN_OPTS or .mvn/jvm.config"},
		{"Could not create the Java Virtual Machine", "correct the options in MAVEN_OPTS or .mvn/jvm.config"},
		{"Unrecognized VM option", "correct the options in MAVEN_OPTS or .mvn/jvm.config"},
		{"Unrecognized option", "correct maven.args, .mvn/maven.config, MAVEN_OPTS or .mvn/jvm.config"},
		{"Unknown lifecycle phase", "correct maven.goals"},
		{"is no longer supported. Use", "set maven.compiler.source and target, or maven.compiler.release with maven-compiler-plugin 3.6 or newer"},
		{"Error reading archive file", cutShort},
		{"zip file is empty", cutShort},
		{"zip END header not found", cutShort},
		{"Java heap space", "give Maven more memory: -Xmx in MAVEN_OPTS or .mvn/jvm.config"},
	} {
		if strings.Contains(message, r.sign) {
			return r.advice
		}
	}
	return ""
}

// newerMaven is the way out for a project that wants another Maven.
func newerMaven(j *job, wanted string) string {
	if strings.HasSuffix(j.launcher.Note, "project's own Maven") {
		return "chmod +x mvnw: the project brings the Maven it wants"
	}
	version := mvn.PinnedMaven
	if v := number.FindString(wanted); v != "" && !(mvn.Launcher{Version: version}).AtLeastVersion(v) {
		version = v
	}
	if j.launcher.Wrapper {
		return fmt.Sprintf("raise the project's wrapper: mvn wrapper:wrapper -Dmaven=%s", version)
	}
	return fmt.Sprintf("set maven.version to %s, or put a Maven in the range %s on PATH", version, wanted)
}

// refusedToken is what to do about a token that the service refused.
func refusedToken(j *job) string {
	for _, t := range j.held {
		if !t.failed {
			return "allow codeartifact:ReadFromRepository on the repository to these credentials; the token that fastship asked for was refused"
		}
	}
	return "unset the variable of the repository's <server> in settings.xml if its token is an old one: fastship then asks AWS for one; it needs credentials with codeartifact:GetAuthorizationToken and sts:GetServiceBearerToken"
}
