package fastship;

import java.util.Properties;
import org.apache.maven.execution.MavenSession;
import org.apache.maven.model.Plugin;
import org.apache.maven.project.MavenProject;

/** Whether quarkus-maven-plugin makes a module's application, in its usual form. */
final class Quarkus {
    private static final String[] GROUPS = {"io.quarkus.platform", "io.quarkus", "com.redhat.quarkus.platform"};

    private Quarkus() {
    }

    /** The plugin's version; null when it does not build the module, or is told to package it in its own way. */
    static String version(MavenSession session, MavenProject project) {
        Properties[] sources = {session.getUserProperties(), session.getSystemProperties(), project.getProperties()};
        for (Properties p : sources) {
            for (String name : p.stringPropertyNames()) {
                if (name.startsWith("quarkus.package.") || name.startsWith("quarkus.native.")) {
                    return null;
                }
            }
        }
        for (String group : GROUPS) {
            Plugin plugin = project.getPlugin(group + ":quarkus-maven-plugin");
            if (Repackage.runs(plugin, "build")) {
                return plugin.getVersion();
            }
        }
        return null;
    }
}
