package com.example;

/** Ends with exit code 1 and a stack trace, as a service without its database does. */
public final class Main {
    public static void main(String[] args) {
        System.out.println("crash: starting");
        connect(System.getenv("DATABASE_URL"));
    }

    private static void connect(String url) {
        if (url == null) {
            throw new IllegalStateException("DATABASE_URL is not set");
        }
        throw new IllegalStateException("no database at " + url);
    }
}
