package com.example.orders;

import jakarta.validation.Valid;
import jakarta.validation.constraints.NotBlank;
import jakarta.validation.constraints.NotEmpty;
import jakarta.validation.constraints.Positive;
import java.math.BigDecimal;
import java.net.URI;
import java.util.List;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

@RestController
@RequestMapping("/orders")
public class OrderController {
    private final OrderService service;

    OrderController(OrderService service) {
        this.service = service;
    }

    @PostMapping
    ResponseEntity<Order> place(@Valid @RequestBody NewOrder order) {
        Order placed = service.place(order.customer(), order.lines().stream().map(NewLine::line).toList());
        return ResponseEntity.created(URI.create("/orders/" + placed.getId())).body(placed);
    }

    @GetMapping
    List<Order> list(@RequestParam(required = false) String customer) {
        return service.ofCustomer(customer);
    }

    @GetMapping("/{id}")
    ResponseEntity<Order> find(@PathVariable long id) {
        return ResponseEntity.of(service.find(id));
    }

    @GetMapping("/total")
    OrderService.Totals total() {
        return service.totals();
    }

    record NewOrder(@NotBlank String customer, @NotEmpty List<@Valid NewLine> lines) {}

    record NewLine(@NotBlank String product, @Positive int quantity, @Positive BigDecimal price) {
        Line line() {
            return new Line(product, quantity, price);
        }
    }
}
