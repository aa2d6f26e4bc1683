package fastship;

import java.util.HashSet;
import java.util.Properties;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.maven.artifact.versioning.ArtifactVersion;
import org.apache.maven.artifact.versioning.DefaultArtifactVersion;
import org.apache.maven.artifact.versioning.InvalidVersionSpecificationException;
import org.apache.maven.artifact.versioning.VersionRange;
import org.apache.maven.execution.MavenSession;
import org.apache.maven.model.InputLocation;
import org.apache.maven.model.Plugin;
import org.apache.maven.model.PluginExecution;
import org.apache.maven.project.MavenProject;
import org.codehaus.plexus.util.xml.Xpp3Dom;

/**
 * What maven-enforcer-plugin's rules RequireMavenVersion and
 * RequireJavaVersion want, wherever the effective projects have them from, and
 * whether this Maven on this JDK meets them.
 */
final class Enforcer {
    private final MavenSession session;
    private final Report report;
    private final String maven;
    private final String java;
    private final Set<String> told = new HashSet<>();
    private boolean mavenFits = true;
    private boolean javaFits = true;

    Enforcer(MavenSession session, Report report, String maven, String java) {
        this.session = session;
        this.report = report;
        this.maven = maven;
        this.java = numbers(java);
    }

    /** Tells the rules of a project, each once for the whole build. */
    void read(MavenProject project) {
        Plugin plugin = project.getPlugin("org.apache.maven.plugins:maven-enforcer-plugin");
        if (plugin == null || "true".equals(property(project, "enforcer.skip")) || "".equals(property(project, "enforcer.skip"))) {
            return;
        }
        for (PluginExecution e : plugin.getExecutions()) {
            Xpp3Dom configuration = (Xpp3Dom) e.getConfiguration();
            boolean off = "none".equals(e.getPhase())
                    || !e.getGoals().contains("enforce")
                    || "true".equals(text(configuration, "skip"))
                    || "false".equals(text(configuration, "fail"));
            if (off || configuration == null || configuration.getChild("rules") == null) {
                continue;
            }
            for (Xpp3Dom rule : configuration.getChild("rules").getChildren()) {
                read(rule, origin(e, project));
            }
        }
    }

    private void read(Xpp3Dom rule, String from) {
        String version = text(rule, "version");
        if (version.isEmpty() || version.contains("${") || "WARN".equalsIgnoreCase(text(rule, "level"))) {
            return;
        }
        if (isRule(rule, "RequireMavenVersion")) {
            mavenFits &= holds(version, maven);
            tell("maven", version, from);
        } else if (isRule(rule, "RequireJavaVersion")) {
            javaFits &= holds("8".equals(version) ? "1.8" : version, java);
            tell("java", version, from);
        }
    }

    private void tell(String on, String version, String from) {
        if (told.add(on + " " + version)) {
            report.line("rule").put("on", on).put("version", version).put("from", from).write();
        }
    }

    /** A rule is an element of its name, or one of any name with its class. */
    private static boolean isRule(Xpp3Dom rule, String name) {
        String type = rule.getAttribute("implementation");
        return type == null ? rule.getName().equalsIgnoreCase(name) : type.endsWith("." + name);
    }

    private static String text(Xpp3Dom parent, String name) {
        Xpp3Dom child = parent == null ? null : parent.getChild(name);
        return child == null || child.getValue() == null ? "" : child.getValue().trim();
    }

    private String property(MavenProject project, String name) {
        Properties[] sources = {session.getUserProperties(), session.getSystemProperties(), project.getProperties()};
        for (Properties p : sources) {
            if (p.getProperty(name) != null) {
                return p.getProperty(name).trim();
            }
        }
        return null;
    }

    /** group:artifact:version of the pom that has the execution, as far as Maven remembers. */
    private static String origin(PluginExecution e, MavenProject project) {
        for (String part : new String[] {"configuration", ""}) {
            InputLocation at = e.getLocation(part);
            if (at != null && at.getSource() != null && at.getSource().getModelId() != null) {
                return at.getSource().getModelId();
            }
        }
        return project.getGroupId() + ":" + project.getArtifactId() + ":" + project.getVersion();
    }

    /** As the plugin's AbstractVersionEnforcer compares; what is no range is the plugin's to tell. */
    private static boolean holds(String range, String version) {
        try {
            ArtifactVersion actual = new DefaultArtifactVersion(version);
            VersionRange allowed = VersionRange.createFromVersionSpec(range);
            ArtifactVersion least = allowed.getRecommendedVersion();
            return least == null ? allowed.containsVersion(actual) : least.compareTo(actual) <= 0;
        } catch (InvalidVersionSpecificationException e) {
            return true;
        }
    }

    /** 17.0.15 and 1.8.0-392, as the plugin makes them of 17.0.15+6 and 1.8.0_392. */
    private static String numbers(String version) {
        Matcher m = Pattern.compile("^([0-9]+(?:\\.[0-9]+){0,2})(?:[._]([0-9]+))?").matcher(String.valueOf(version));
        if (!m.find()) {
            return String.valueOf(version);
        }
        return m.group(2) == null ? m.group(1) : m.group(1) + "-" + m.group(2);
    }

    boolean mavenFits() {
        return mavenFits;
    }

    boolean javaFits() {
        return javaFits;
    }
}
