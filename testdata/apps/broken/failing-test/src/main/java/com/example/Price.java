package com.example;

/** Adds value added tax, and forgets to round. */
public final class Price {
    public static void main(String[] args) {
        System.out.println(gross(Long.parseLong(args[0])));
    }

    static long gross(long net) {
        return net * 119 / 100;
    }
}
