package com.example.shaded;

import com.google.gson.Gson;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Converts degrees: GET /?celsius=21 answers in JSON. The port is PORT, or 8080. */
public final class Converter {
    private static final Logger LOG = LoggerFactory.getLogger(Converter.class);
    private static final Gson GSON = new Gson();

    record Temperature(double celsius, double fahrenheit) {}

    public static void main(String[] args) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", Converter::answer);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            LOG.info("stopping");
            server.stop(1);
        }));
        server.start();
        LOG.info("listening on port {}", port);
    }

    private static void answer(HttpExchange exchange) throws IOException {
        try {
            respond(exchange, 200, convert(exchange.getRequestURI().getQuery()));
        } catch (NumberFormatException e) {
            respond(exchange, 400, Map.of("error", "celsius must be a number"));
        }
    }

    static Temperature convert(String query) {
        String prefix = "celsius=";
        double celsius = query != null && query.startsWith(prefix) ? Double.parseDouble(query.substring(prefix.length())) : 0;
        return new Temperature(celsius, celsius * 9 / 5 + 32);
    }

    private static void respond(HttpExchange exchange, int status, Object value) throws IOException {
        byte[] body = GSON.toJson(value).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(status, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
