package demo;

import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Scanner;

/** Answers with kind.txt of its class path and what a library says. */
public class Plain {
  public static void main(String[] args) throws Exception {
    InputStream in = Thread.currentThread().getContextClassLoader().getResourceAsStream("kind.txt");
    String kind;
    try (Scanner text = new Scanner(in, "UTF-8")) {
      kind = text.nextLine();
    }
    byte[] answer = (kind + ", " + lib.Greeting.text()).getBytes(StandardCharsets.UTF_8);
    HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
    server.createContext("/", exchange -> {
      exchange.sendResponseHeaders(200, answer.length);
      exchange.getResponseBody().write(answer);
      exchange.close();
    });
    server.start();
  }
}
