import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.InputStream;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.URI;
import java.nio.charset.Charset;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.time.LocalDate;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.time.format.FormatStyle;
import java.util.HexFormat;
import java.util.Hashtable;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;
import java.util.random.RandomGenerator;
import javax.naming.directory.InitialDirContext;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/** Tries what is missing from a base that was put together badly. Prints name=value lines. */
public class Probe {
    interface Trial {
        Object run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        say("user", () -> System.getProperty("user.name") + " " + System.getProperty("user.home"));
        say("zone", () -> ZoneId.systemDefault() + " " + TimeZone.getDefault().getOffset(1700000000000L) / 3600000);
        say("file", () -> {
            Path dir = Files.createTempDirectory("probe");
            Files.writeString(dir.resolve("Größe-目录"), "x");
            try (var list = Files.list(dir)) {
                return list.findFirst().get().getFileName();
            }
        });
        say("text", () -> Charset.defaultCharset() + " ü");
        say("german", () -> DateTimeFormatter.ofLocalizedDate(FormatStyle.LONG).withLocale(Locale.GERMANY).format(LocalDate.of(2026, 3, 1)));
        say("charset", () -> HexFormat.of().formatHex("A".getBytes("IBM1047")));
        say("certificates", () -> {
            TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            factory.init((KeyStore) null);
            return ((X509TrustManager) factory.getTrustManagers()[0]).getAcceptedIssuers().length > 50;
        });
        say("curve", () -> KeyPairGenerator.getInstance("EC").generateKeyPair().getPublic().getAlgorithm());
        say("random", () -> RandomGenerator.getDefault().nextInt(1));
        say("zipfs", () -> {
            URI jar = URI.create("jar:" + Files.createTempDirectory("probe").resolve("x.zip").toUri());
            try (var fs = FileSystems.newFileSystem(jar, Map.of("create", "true"))) {
                return fs.provider().getScheme();
            }
        });
        say("resource", () -> {
            try (InputStream in = Object.class.getResourceAsStream("Object.class")) {
                return in.readAllBytes().length > 0;
            }
        });
        if (args.length > 0 && args[0].equals("text")) {
            say("drawn", Probe::draw);
        }
        if (args.length > 0 && args[0].equals("dns")) {
            serveNames();
            say("dns", () -> InetAddress.getByName("orders.example").getHostAddress());
            say("jndi", () -> {
                Hashtable<String, String> env = new Hashtable<>();
                env.put("java.naming.factory.initial", "com.sun.jndi.dns.DnsContextFactory");
                env.put("java.naming.provider.url", "dns://127.0.0.1");
                return new InitialDirContext(env).getAttributes("orders.example", new String[] {"A"}).get("A").get();
            });
        }
    }

    private static void say(String name, Trial trial) {
        String value;
        try {
            value = String.valueOf(trial.run());
        } catch (Throwable e) {
            value = e.toString();
        }
        System.out.println(name + "=" + value);
    }

    private static boolean draw() {
        BufferedImage image = new BufferedImage(200, 50, BufferedImage.TYPE_BYTE_GRAY);
        Graphics2D g = image.createGraphics();
        g.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 20));
        g.drawString("orders", 10, 30);
        for (int x = 0; x < 200; x++) {
            for (int y = 0; y < 50; y++) {
                if (image.getRaster().getSample(x, y, 0) != 0) {
                    return true;
                }
            }
        }
        return false;
    }

    /** Answers every question for an address with 192.0.2.7, and no other question. */
    private static void serveNames() throws Exception {
        DatagramSocket socket = new DatagramSocket(53, InetAddress.getByName("127.0.0.1"));
        Thread server = new Thread(() -> {
            byte[] buffer = new byte[512];
            while (true) {
                try {
                    DatagramPacket query = new DatagramPacket(buffer, buffer.length);
                    socket.receive(query);
                    int end = 12;
                    while (buffer[end] != 0) {
                        end += 1 + buffer[end];
                    }
                    end += 5; // the root label, type and class
                    boolean address = buffer[end - 3] == 1;
                    byte[] answer = new byte[end + (address ? 16 : 0)];
                    System.arraycopy(buffer, 0, answer, 0, end);
                    answer[2] = (byte) 0x85; // a response, authoritative
                    answer[3] = (byte) 0x80;
                    answer[7] = (byte) (address ? 1 : 0);
                    answer[8] = answer[9] = answer[10] = answer[11] = 0;
                    if (address) {
                        byte[] record = {(byte) 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, (byte) 192, 0, 2, 7};
                        System.arraycopy(record, 0, answer, end, 16);
                    }
                    socket.send(new DatagramPacket(answer, answer.length, query.getSocketAddress()));
                } catch (Exception e) {
                    e.printStackTrace();
                }
            }
        });
        server.setDaemon(true);
        server.start();
    }
}
