package com.example;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;

/** Loads a class of the module java.sql.rowset by its name, where jdeps cannot see it. */
public final class Main {
    public static void main(String[] args) throws IOException, ReflectiveOperationException {
        Object factory = Class.forName("javax.sql.rowset.RowSetProvider").getMethod("newFactory").invoke(null);
        byte[] body = ("rows by " + factory.getClass().getName() + "\n").getBytes(StandardCharsets.UTF_8);
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", exchange -> {
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.start();
        System.out.println("hidden-module: listening on port " + port);
    }
}
