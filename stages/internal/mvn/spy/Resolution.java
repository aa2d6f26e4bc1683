package fastship;

import java.util.Collections;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.maven.project.DependencyResolutionRequest;
import org.apache.maven.project.DependencyResolutionResult;
import org.apache.maven.project.MavenProject;
import org.eclipse.aether.artifact.Artifact;
import org.eclipse.aether.artifact.DefaultArtifact;
import org.eclipse.aether.graph.DefaultDependencyNode;
import org.eclipse.aether.graph.Dependency;
import org.eclipse.aether.graph.DependencyFilter;

/**
 * Tells the dependencies of those modules whose packaging can be foreseen, once
 * each, as soon as Maven has resolved them: before the module's first mojo, for
 * all its mojos (LifecycleDependencyResolver tells spies of the request and, on
 * the same thread, of the result).
 */
final class Resolution {
    private final Report report;
    private final Set<String> awaited = ConcurrentHashMap.newKeySet();
    private final ThreadLocal<DependencyResolutionRequest> asked = new ThreadLocal<>();

    Resolution(Report report) {
        this.report = report;
    }

    void await(MavenProject project) {
        awaited.add(Spy.id(project));
    }

    void asked(DependencyResolutionRequest request) {
        asked.set(request);
    }

    void answered(DependencyResolutionResult result) {
        DependencyResolutionRequest request = asked.get();
        asked.remove();
        if (request == null || request.getMavenProject() == null || !covers(request.getResolutionFilter())) {
            return;
        }
        String project = Spy.id(request.getMavenProject());
        if (!awaited.remove(project)) {
            return;
        }
        Report.Line line = report.line("dependencies")
                .put("project", project)
                .put("repository", request.getRepositorySession().getLocalRepository().getBasedir());
        for (Dependency d : result.getResolvedDependencies()) {
            Artifact a = d.getArtifact();
            if ("test".equals(d.getScope()) || a.getFile() == null) {
                continue;
            }
            line.add("dependencies")
                    .put("group", a.getGroupId())
                    .put("artifact", a.getArtifactId())
                    .put("version", a.getBaseVersion())
                    .put("classifier", a.getClassifier())
                    .put("extension", a.getExtension())
                    .put("scope", d.getScope())
                    .put("optional", d.isOptional())
                    .put("file", a.getFile());
        }
        line.write();
    }

    /** Whether a resolution takes what the application needs where it runs; one for a compiler alone does not. */
    private static boolean covers(DependencyFilter filter) {
        Dependency runtime = new Dependency(new DefaultArtifact("fastship:probe:1"), "runtime");
        return filter == null || filter.accept(new DefaultDependencyNode(runtime), Collections.emptyList());
    }
}
