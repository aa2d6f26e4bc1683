package com.example;

public final class Worker {
    public static void main(String[] args) {
        System.out.println("worker: done");
    }
}
