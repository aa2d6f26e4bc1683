package com.example.orders;

import jakarta.persistence.CollectionTable;
import jakarta.persistence.ElementCollection;
import jakarta.persistence.Entity;
import jakarta.persistence.FetchType;
import jakarta.persistence.GeneratedValue;
import jakarta.persistence.Id;
import jakarta.persistence.OrderColumn;
import jakarta.persistence.Table;
import java.math.BigDecimal;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;

/** What a customer ordered, and when. */
@Entity
@Table(name = "orders")
public class Order {
    @Id
    @GeneratedValue
    private Long id;

    private String customer;

    private Instant placed;

    @ElementCollection(fetch = FetchType.EAGER)
    @CollectionTable(name = "order_lines")
    @OrderColumn
    private List<Line> lines = new ArrayList<>();

    protected Order() {
        // for JPA
    }

    public Order(String customer, Instant placed, List<Line> lines) {
        this.customer = customer;
        this.placed = placed;
        this.lines.addAll(lines);
    }

    public Long getId() {
        return id;
    }

    public String getCustomer() {
        return customer;
    }

    public Instant getPlaced() {
        return placed;
    }

    public List<Line> getLines() {
        return List.copyOf(lines);
    }

    public BigDecimal getTotal() {
        return lines.stream().map(Line::getAmount).reduce(BigDecimal.ZERO, BigDecimal::add);
    }
}
