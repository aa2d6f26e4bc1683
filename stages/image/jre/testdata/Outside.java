import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.net.URL;

/** Asks for what lies outside Java: a native library, an HTTPS server. */
public class Outside {
    static native int answer();

    public static void main(String[] args) throws Exception {
        System.load(args[0]);
        System.out.println("native=" + answer());
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        try (InputStream in = new URL(args[1]).openStream()) {
            for (int b = in.read(); b >= 0; b = in.read()) {
                body.write(b);
            }
        }
        System.out.println("https=" + body);
        System.out.println("heap=" + Runtime.getRuntime().maxMemory() / (1 << 20));
        if (args.length > 2) {
            Thread.sleep(Long.parseLong(args[2]));
        }
    }
}
