package com.example.orders;

import java.util.List;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** Tells a visitor what this service is and where to go. */
@RestController
public class HomeController {
    private static final String GREETING = "orders, at your service";

    @GetMapping("/")
    Home home() {
        return new Home(GREETING, List.of("/orders", "/orders/total", "/actuator/health"));
    }

    record Home(String greeting, List<String> links) {}
}
