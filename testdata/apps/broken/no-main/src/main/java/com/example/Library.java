package com.example;

/** A library: its jar names no main class. */
public final class Library {
    private Library() {}

    public static int twice(int n) {
        return 2 * n;
    }
}
