import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.net.InetAddress;
import javax.imageio.ImageIO;

/** Draws a word into a PNG, and asks for what every release has to have in an image. */
public class Draw {
    public static void main(String[] args) throws Exception {
        BufferedImage image = new BufferedImage(200, 50, BufferedImage.TYPE_INT_ARGB);
        Graphics2D g = image.createGraphics();
        g.setColor(Color.BLACK);
        g.setFont(new Font(Font.SERIF, Font.BOLD, 24));
        g.drawString("Größe", 10, 30);
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        int dark = 0;
        for (int x = 0; x < 200; x++) {
            for (int y = 0; y < 50; y++) {
                dark += image.getRGB(x, y) != 0 ? 1 : 0;
            }
        }
        System.out.println("png=" + ImageIO.write(image, "png", png) + " " + (png.size() > 200) + " " + (dark > 100));
        System.out.println("version=" + System.getProperty("java.version"));
        System.out.println("localhost=" + InetAddress.getByName("localhost").isLoopbackAddress());
        System.out.println("trusted=" + (javax.net.ssl.SSLContext.getDefault().getSocketFactory() != null));
        System.out.println("heap=" + Runtime.getRuntime().maxMemory() / (1 << 20));
    }
}
