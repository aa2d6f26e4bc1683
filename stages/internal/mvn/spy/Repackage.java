package fastship;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.maven.execution.MavenSession;
import org.apache.maven.model.Plugin;
import org.apache.maven.model.PluginExecution;
import org.apache.maven.project.MavenProject;
import org.codehaus.plexus.util.xml.Xpp3Dom;

/**
 * What spring-boot-maven-plugin's goal repackage is told to put into a
 * module's application: its configuration, else the properties that stand for
 * it. What the words mean is fastship's to know.
 */
final class Repackage {
    private static final String PLUGIN = "org.springframework.boot:spring-boot-maven-plugin";
    private static final String SHADE = "org.apache.maven.plugins:maven-shade-plugin";

    /** Parameters that decide on libraries, and the properties that stand for them. */
    private static final String[][] PARAMETERS = {
        {"skip", "spring-boot.repackage.skip"},
        {"excludeDevtools", "spring-boot.repackage.excludeDevtools"},
        {"excludeDockerCompose", "spring-boot.repackage.excludeDockerCompose"},
        {"excludeGroupIds", "spring-boot.excludeGroupIds"},
        {"includes", "spring-boot.includes"},
        {"excludes", "spring-boot.excludes"},
        {"includeOptional", null},
        {"layoutFactory", null},
    };

    private final MavenSession session;
    private final MavenProject project;

    private Repackage(MavenSession session, MavenProject project) {
        this.session = session;
        this.project = project;
    }

    /**
     * The plugin's version and settings; null when it does not repackage the
     * module, or when that is not clear.
     */
    static Map<String, Object> of(MavenSession session, MavenProject project) {
        Plugin plugin = project.getPlugin(PLUGIN);
        if (plugin == null || plugin.getVersion() == null || runs(project.getPlugin(SHADE), "shade")) {
            return null;
        }
        Repackage reader = new Repackage(session, project);
        Map<String, Object> settings = null;
        for (PluginExecution e : plugin.getExecutions()) {
            if (!runs(e, "repackage")) {
                continue;
            }
            Map<String, Object> read = reader.read((Xpp3Dom) e.getConfiguration());
            if (settings != null && !settings.equals(read)) {
                return null;
            }
            settings = read;
        }
        if (settings == null || settings.toString().contains("${")) {
            return null;
        }
        settings.put("version", plugin.getVersion());
        return settings;
    }

    /** Whether one of a plugin's executions has the goal. */
    static boolean runs(Plugin plugin, String goal) {
        return plugin != null && plugin.getExecutions().stream().anyMatch(e -> runs(e, goal));
    }

    static boolean runs(PluginExecution e, String goal) {
        return e.getGoals().contains(goal) && !"none".equals(e.getPhase());
    }

    private Map<String, Object> read(Xpp3Dom configuration) {
        Map<String, Object> settings = new LinkedHashMap<>();
        for (String[] parameter : PARAMETERS) {
            String name = parameter[0];
            Xpp3Dom child = configuration == null ? null : configuration.getChild(name);
            if (child == null) {
                String value = property(parameter[1]);
                if (value != null) {
                    settings.put(name, name.endsWith("cludes") ? list(value) : value);
                }
            } else if (name.endsWith("cludes")) {
                settings.put(name, coordinates(child));
            } else if (name.equals("layoutFactory")) {
                settings.put(name, "true");
            } else if (child.getValue() != null) {
                settings.put(name, child.getValue().trim());
            }
        }
        return settings;
    }

    /** As Maven's own parameter evaluation has it. */
    private String property(String name) {
        if (name == null) {
            return null;
        }
        Properties[] sources = {session.getUserProperties(), session.getSystemProperties(), project.getProperties()};
        for (Properties p : sources) {
            if (p.getProperty(name) != null) {
                return p.getProperty(name).trim();
            }
        }
        return null;
    }

    private static List<String> list(String value) {
        List<String> all = new ArrayList<>();
        for (String part : value.split(",")) {
            if (!part.trim().isEmpty()) {
                all.add(part.trim());
            }
        }
        return all;
    }

    /** group:artifact or group:artifact:classifier of each element, which may be written out so itself. */
    private static List<String> coordinates(Xpp3Dom list) {
        List<String> all = new ArrayList<>();
        for (Xpp3Dom element : list.getChildren()) {
            if (element.getChildCount() == 0) {
                all.add(String.valueOf(element.getValue()).trim());
                continue;
            }
            String classifier = text(element, "classifier");
            all.add(text(element, "groupId") + ":" + text(element, "artifactId") + (classifier.isEmpty() ? "" : ":" + classifier));
        }
        return all;
    }

    static String text(Xpp3Dom parent, String name) {
        Xpp3Dom child = parent.getChild(name);
        return child == null || child.getValue() == null ? "" : child.getValue().trim();
    }
}
