package demo;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.Scanner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.stereotype.Controller;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** The same class files run on Spring Boot 2.3 to 4.x. */
@SpringBootApplication
@RestController
public class Boot {
  public static void main(String[] args) {
    SpringApplication.run(Boot.class, args);
  }

  @GetMapping("/")
  public String kind() {
    try (InputStream in = Boot.class.getResourceAsStream("/kind.txt");
        Scanner text = new Scanner(in, StandardCharsets.UTF_8.name())) {
      return text.nextLine();
    } catch (java.io.IOException e) {
      throw new IllegalStateException(e);
    }
  }

  @Controller
  public static class Pages {
    @GetMapping("/page")
    public String page() {
      return "page";
    }
  }
}
