package lib;

/** A library's class. */
public class Greeting {
  public static String text() {
    return "with a library";
  }
}
