package org.example.lib;

/** A library's class, with a lambda and a resource of its own. */
public class Greeter {
	public String greet(String name) {
		java.util.function.Function<String, String> hello = n -> "hello " + n;
		return hello.apply(name);
	}
}
