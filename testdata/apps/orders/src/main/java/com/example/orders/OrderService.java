package com.example.orders;

import java.math.BigDecimal;
import java.time.Clock;
import java.util.List;
import java.util.Optional;
import org.springframework.stereotype.Service;
import org.springframework.transaction.annotation.Transactional;

@Service
@Transactional
public class OrderService {
    private final OrderRepository orders;
    private final Clock clock = Clock.systemUTC();

    OrderService(OrderRepository orders) {
        this.orders = orders;
    }

    public Order place(String customer, List<Line> lines) {
        return orders.save(new Order(customer, clock.instant(), lines));
    }

    @Transactional(readOnly = true)
    public Optional<Order> find(long id) {
        return orders.findById(id);
    }

    @Transactional(readOnly = true)
    public List<Order> ofCustomer(String customer) {
        return customer == null ? orders.findAll() : orders.findByCustomerOrderByPlaced(customer);
    }

    @Transactional(readOnly = true)
    public Totals totals() {
        return new Totals(orders.count(), orders.total());
    }

    /** How many orders there are and what they are worth. */
    public record Totals(long orders, BigDecimal total) {}
}
