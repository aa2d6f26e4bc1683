package com.example;

public final class Api {
    public static void main(String[] args) {
        System.out.println("api: done");
    }
}
