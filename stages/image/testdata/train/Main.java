package com.example;

import org.example.lib.Greeter;

/** Says which code runs, or waits for SIGTERM. */
public class Main {
	public static void main(String[] args) throws Exception {
		if (args.length > 0 && args[0].equals("serve")) {
			Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("goodbye")));
			System.out.println("ready");
			Thread.sleep(600_000);
		}
		System.out.println(new Greeter().greet("version-one"));
	}
}
