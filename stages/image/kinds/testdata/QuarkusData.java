import io.quarkus.bootstrap.runner.SerializedApplication;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;

/** Writes quarkus-application.dat as Quarkus' own build does: ROOT MAIN JAR... */
public class QuarkusData {
  public static void main(String[] args) throws Exception {
    Path root = Paths.get(args[0]);
    List<Path> all = new ArrayList<>();
    List<Path> first = new ArrayList<>();
    for (int i = 2; i < args.length; i++) {
      Path jar = Paths.get(args[i]);
      all.add(jar);
      if (jar.toString().contains("/lib/boot/")) {
        first.add(jar);
      }
    }
    try (OutputStream out = Files.newOutputStream(root.resolve("quarkus/quarkus-application.dat"))) {
      SerializedApplication.write(out, args[1], root, all, first, new ArrayList<>());
    }
  }
}
