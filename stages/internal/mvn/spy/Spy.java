package fastship;

import java.io.File;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import javax.inject.Named;
import javax.inject.Singleton;
import org.apache.maven.artifact.Artifact;
import org.apache.maven.eventspy.AbstractEventSpy;
import org.apache.maven.execution.ExecutionEvent;
import org.apache.maven.execution.MavenExecutionResult;
import org.apache.maven.execution.MavenSession;
import org.apache.maven.plugin.MojoExecution;
import org.apache.maven.project.DependencyResolutionRequest;
import org.apache.maven.project.DependencyResolutionResult;
import org.apache.maven.project.MavenProject;
import org.codehaus.plexus.util.xml.Xpp3Dom;
import org.eclipse.aether.RepositoryEvent;

/**
 * Tells fastship what Maven does, one JSON object a line, in the file that
 * FASTSHIP_MAVEN_REPORT names. It never fails the build: whatever goes wrong
 * here is swallowed, and fastship makes do with what it was told.
 *
 * <p>Compiled for Java 8 against Maven 3.8; it uses only what Maven 3.6 to
 * 4.0.0-rc-4 have in common.
 */
@Named("fastship")
@Singleton
public final class Spy extends AbstractEventSpy {
    /** The exit code of a JVM that the spy ended since it does not fit the project. */
    private static final int UNFIT = 86;

    private final Report report = Report.open(System.getenv("FASTSHIP_MAVEN_REPORT"));
    private final Set<String> resolved = ConcurrentHashMap.newKeySet();
    private final Resolution resolution = new Resolution(report);

    @Override
    public void onEvent(Object event) {
        if (report == null) {
            return;
        }
        try {
            if (event instanceof ExecutionEvent) {
                execution((ExecutionEvent) event);
            } else if (event instanceof RepositoryEvent) {
                repository((RepositoryEvent) event);
            } else if (event instanceof MavenExecutionResult) {
                result((MavenExecutionResult) event);
            } else {
                resolution(event);
            }
        } catch (Exception | LinkageError e) {
            report.line("fault").put("message", e.toString()).write();
        }
    }

    /** What goes wrong here is not worth a word: fastship then works without foresight. */
    private void resolution(Object event) {
        try {
            if (event instanceof DependencyResolutionRequest) {
                resolution.asked((DependencyResolutionRequest) event);
            } else if (event instanceof DependencyResolutionResult) {
                resolution.answered((DependencyResolutionResult) event);
            }
        } catch (Exception | LinkageError e) {
            return;
        }
    }

    /** Adds how the module's application is packaged, where that can be foreseen: its dependencies are told once resolved. */
    private void packaging(MavenSession session, MavenProject p, Report.Line line) {
        try {
            Map<String, Object> repackage = Repackage.of(session, p);
            String quarkus = Quarkus.version(session, p);
            boolean thin = Thin.is(p);
            line.put("repackage", repackage).put("quarkus", quarkus).put("thin", thin);
            if (repackage != null || quarkus != null || thin) {
                resolution.await(p);
            }
        } catch (Exception | LinkageError e) {
            return; // as above
        }
    }

    private void execution(ExecutionEvent e) {
        switch (e.getType()) {
            case SessionStarted:
                session(e.getSession());
                break;
            case MojoStarted:
            case MojoSucceeded:
            case MojoFailed:
            case MojoSkipped:
                mojo(e);
                break;
            case ProjectSucceeded:
            case ProjectFailed:
            case ProjectSkipped:
                ended(e);
                break;
            case SessionEnded:
                report.line("end").write();
                break;
            default:
        }
    }

    /** Says what is about to be built, and stops here when this JDK or Maven cannot build it. */
    private void session(MavenSession session) {
        int major = Compiler.version(System.getProperty("java.specification.version"));
        String maven = session.getSystemProperties().getProperty("maven.version");
        report.line("start")
                .put("maven", maven)
                .put("javaHome", System.getProperty("java.home"))
                .put("javaVersion", System.getProperty("java.version"))
                .put("javaMajor", major)
                .write();
        boolean fits = true;
        Enforcer enforcer = new Enforcer(session, report, maven, System.getProperty("java.version"));
        for (MavenProject p : session.getProjects()) {
            enforcer.read(p);
            Compiler compiler = new Compiler(session, p);
            fits &= "pom".equals(p.getPackaging()) || compiler.fits(major);
            Report.Line line = report.line("project")
                    .put("group", p.getGroupId())
                    .put("artifact", p.getArtifactId())
                    .put("version", p.getVersion())
                    .put("packaging", p.getPackaging())
                    .put("basedir", p.getBasedir())
                    .put("build", p.getBuild().getDirectory())
                    .put("sources", p.getCompileSourceRoots())
                    .put("testSources", p.getTestCompileSourceRoots())
                    .put("releases", compiler.releases())
                    .put("toolchain", compiler.elsewhere());
            packaging(session, p, line);
            line.write();
        }
        List<String> halt = Arrays.asList(String.valueOf(System.getenv("FASTSHIP_MAVEN_HALT")).split(","));
        boolean unfit = (!fits && halt.contains("releases"))
                || (!enforcer.javaFits() && halt.contains("java"))
                || (!enforcer.mavenFits() && halt.contains("maven"));
        if (unfit) {
            report.line("unfit").write();
            Runtime.getRuntime().halt(UNFIT); // an exception would be swallowed and the build go on
        }
    }

    private void mojo(ExecutionEvent e) {
        MojoExecution m = e.getMojoExecution();
        Report.Line line = report.line("mojo")
                .put("state", e.getType().name())
                .put("project", id(e.getProject()))
                .put("plugin", m.getArtifactId())
                .put("pluginVersion", m.getVersion())
                .put("goal", m.getGoal())
                .put("execution", m.getExecutionId())
                .put("time", System.currentTimeMillis());
        if (e.getType() == ExecutionEvent.Type.MojoStarted) {
            line.put("reports", setting(m.getConfiguration(), "reportsDirectory"));
        }
        if (e.getException() != null) {
            line.put("error", chain(e.getException()));
        }
        line.write();
    }

    /** The configured value of a mojo's parameter, as written, or null. */
    private static String setting(Xpp3Dom configuration, String name) {
        Xpp3Dom child = configuration == null ? null : configuration.getChild(name);
        if (child == null) {
            return null;
        }
        return child.getValue() != null ? child.getValue() : child.getAttribute("default-value");
    }

    private void ended(ExecutionEvent e) {
        MavenProject p = e.getProject();
        Report.Line line = report.line("ended").put("state", e.getType().name()).put("project", id(p));
        if (p.getArtifact() != null) {
            line.put("file", p.getArtifact().getFile());
        }
        for (Artifact a : p.getAttachedArtifacts()) {
            line.add("attached").put("classifier", a.getClassifier()).put("type", a.getType()).put("file", a.getFile());
        }
        for (Artifact a : p.getArtifacts()) {
            if (!"compile".equals(a.getScope()) && !"runtime".equals(a.getScope())) {
                continue;
            }
            line.add("classpath")
                    .put("group", a.getGroupId())
                    .put("artifact", a.getArtifactId())
                    .put("version", a.getBaseVersion())
                    .put("file", a.getFile());
        }
        line.write();
    }

    private void repository(RepositoryEvent e) {
        File file = e.getFile();
        switch (e.getType()) {
            case ARTIFACT_RESOLVED:
            case METADATA_RESOLVED:
                if (file != null && resolved.add(file.getPath())) {
                    report.line("resolved")
                            .put("id", String.valueOf(e.getArtifact() != null ? e.getArtifact() : e.getMetadata()))
                            .put("file", file)
                            .write();
                }
                break;
            default:
        }
    }

    /** Maven's own last word: what it would print as its errors, without the boilerplate. */
    private void result(MavenExecutionResult r) {
        List<Throwable> exceptions = r.getExceptions() == null ? Collections.emptyList() : r.getExceptions();
        for (Throwable t : exceptions) {
            report.line("error").put("error", chain(t)).write();
        }
    }

    /** "class: message" of a throwable and its causes, outermost first. */
    private static List<String> chain(Throwable t) {
        List<String> all = new java.util.ArrayList<>();
        for (; t != null && all.size() < 20; t = t.getCause()) {
            all.add(t.getClass().getName() + ": " + t.getMessage());
        }
        return all;
    }

    static String id(MavenProject p) {
        return p.getGroupId() + ":" + p.getArtifactId();
    }
}
