package fastship;

import java.util.Properties;
import java.util.TreeSet;
import org.apache.maven.execution.MavenSession;
import org.apache.maven.model.Plugin;
import org.apache.maven.model.PluginExecution;
import org.apache.maven.project.MavenProject;
import org.codehaus.plexus.util.xml.Xpp3Dom;

/**
 * The Java releases that a project's compiler plugin asks for: its
 * configuration and that of each execution, else the user properties that
 * stand for them, as Maven's own parameter evaluation has them.
 */
final class Compiler {
    private final MavenSession session;
    private final MavenProject project;
    private final TreeSet<Integer> releases = new TreeSet<>();
    private boolean knowsRelease = true;
    private boolean elsewhere;

    Compiler(MavenSession session, MavenProject project) {
        this.session = session;
        this.project = project;
        Plugin compiler = project.getPlugin("org.apache.maven.plugins:maven-compiler-plugin");
        elsewhere = project.getPlugin("org.apache.maven.plugins:maven-toolchains-plugin") != null;
        if (compiler == null) {
            return;
        }
        // The parameter release came with the plugin's version 3.6 (MCOMPILER-270).
        String v = compiler.getVersion();
        knowsRelease = v == null || !v.matches("[12]\\..*|3\\.[0-5](\\..*)?");
        boolean executed = false;
        for (PluginExecution e : compiler.getExecutions()) {
            if (!"none".equals(e.getPhase())) {
                executed = true;
                read((Xpp3Dom) e.getConfiguration());
            }
        }
        if (!executed) {
            read((Xpp3Dom) compiler.getConfiguration());
        }
    }

    private void read(Xpp3Dom configuration) {
        elsewhere |= has(configuration, "jdkToolchain") || has(configuration, "executable");
        int release = knowsRelease ? value(configuration, "release") : 0;
        if (release == 0) {
            release = argument(configuration);
        }
        if (release == 0) {
            release = Math.max(value(configuration, "source"), value(configuration, "target"));
        }
        int test = knowsRelease ? value(configuration, "testRelease") : 0;
        if (test == 0) {
            test = Math.max(value(configuration, "testSource"), value(configuration, "testTarget"));
        }
        if (release > 0) {
            releases.add(release);
        }
        if (test > 0) {
            releases.add(test);
        }
    }

    private static boolean has(Xpp3Dom configuration, String name) {
        return configuration != null && configuration.getChild(name) != null;
    }

    private int value(Xpp3Dom configuration, String name) {
        if (has(configuration, name)) {
            return version(configuration.getChild(name).getValue());
        }
        String property = "maven.compiler." + name;
        Properties[] sources = {session.getUserProperties(), session.getSystemProperties(), project.getProperties()};
        for (Properties p : sources) {
            if (p.getProperty(property) != null) {
                return version(p.getProperty(property));
            }
        }
        return 0;
    }

    /** The release given as a bare javac argument. */
    private static int argument(Xpp3Dom configuration) {
        if (!has(configuration, "compilerArgs")) {
            return 0;
        }
        Xpp3Dom[] args = configuration.getChild("compilerArgs").getChildren();
        for (int i = 0; i + 1 < args.length; i++) {
            if ("--release".equals(args[i].getValue())) {
                return version(args[i + 1].getValue());
            }
        }
        return 0;
    }

    /** 8 for "1.8", 21 for "21", 0 for what is not a version. */
    static int version(String s) {
        if (s == null) {
            return 0;
        }
        s = s.trim();
        try {
            return Integer.parseInt(s.startsWith("1.") ? s.substring(2) : s);
        } catch (NumberFormatException e) {
            return 0;
        }
    }

    TreeSet<Integer> releases() {
        return releases;
    }

    /** Whether another JDK than Maven's own compiles: a toolchain or a javac by path. */
    boolean elsewhere() {
        return elsewhere;
    }

    /**
     * Whether the javac of this feature release compiles for all of them. The
     * oldest release each javac takes is JEP 182's policy: 9 dropped 5, 12
     * dropped 6, 20 dropped 7.
     */
    boolean fits(int major) {
        int oldest = major < 9 ? 1 : major < 12 ? 6 : major < 20 ? 7 : 8;
        return elsewhere || releases.isEmpty() || (releases.first() >= oldest && releases.last() <= major);
    }
}
