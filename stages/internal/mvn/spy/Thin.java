package fastship;

import org.apache.maven.model.Plugin;
import org.apache.maven.model.PluginExecution;
import org.apache.maven.project.MavenProject;
import org.codehaus.plexus.util.xml.Xpp3Dom;

/**
 * Whether a module's application is its own jar with a class path in the
 * manifest (maven-jar-plugin's addClasspath), and all that is on it is copied
 * beside it under its own name (maven-dependency-plugin's copy-dependencies).
 */
final class Thin {
    private static final String PLUGINS = "org.apache.maven.plugins:";

    /** Parameters of copy-dependencies that leave jars out or rename them. */
    private static final String[] CHANGES = {
        "excludeScope", "includeTypes", "excludeTypes", "includeClassifiers", "excludeClassifiers", "includeArtifactIds",
        "excludeArtifactIds", "includeGroupIds", "excludeGroupIds", "excludeTransitive", "classifier", "type",
        "prependGroupId", "stripVersion", "stripClassifier", "stripType",
    };

    private Thin() {
    }

    static boolean is(MavenProject project) {
        return !Repackage.runs(project.getPlugin(PLUGINS + "maven-shade-plugin"), "shade")
                && any(project, "maven-jar-plugin", "jar", Thin::hasClassPath)
                && any(project, "maven-dependency-plugin", "copy-dependencies", Thin::copiesAll);
    }

    private interface Test {
        boolean holds(Xpp3Dom configuration);
    }

    private static boolean any(MavenProject project, String name, String goal, Test test) {
        Plugin plugin = project.getPlugin(PLUGINS + name);
        if (plugin == null) {
            return false;
        }
        for (PluginExecution e : plugin.getExecutions()) {
            if (Repackage.runs(e, goal) && test.holds((Xpp3Dom) e.getConfiguration())) {
                return true;
            }
        }
        return false;
    }

    private static boolean hasClassPath(Xpp3Dom configuration) {
        Xpp3Dom archive = configuration == null ? null : configuration.getChild("archive");
        Xpp3Dom manifest = archive == null ? null : archive.getChild("manifest");
        return manifest != null && "true".equals(Repackage.text(manifest, "addClasspath")) && !Repackage.text(manifest, "mainClass").isEmpty();
    }

    private static boolean copiesAll(Xpp3Dom configuration) {
        if (configuration == null) {
            return true;
        }
        for (String name : CHANGES) {
            if (!Repackage.text(configuration, name).isEmpty() && !"false".equals(Repackage.text(configuration, name))) {
                return false;
            }
        }
        String scope = Repackage.text(configuration, "includeScope");
        return (scope.isEmpty() || scope.equals("runtime") || scope.equals("test")) && !"true".equals(Repackage.text(configuration, "skip"));
    }
}
