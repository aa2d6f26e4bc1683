package com.example.orders;

import jakarta.persistence.Embeddable;
import java.math.BigDecimal;

/** One product of an order, so many times, at the price of that day. */
@Embeddable
public class Line {
    private String product;

    private int quantity;

    private BigDecimal price;

    protected Line() {
        // for JPA
    }

    public Line(String product, int quantity, BigDecimal price) {
        this.product = product;
        this.quantity = quantity;
        this.price = price;
    }

    public String getProduct() {
        return product;
    }

    public int getQuantity() {
        return quantity;
    }

    public BigDecimal getPrice() {
        return price;
    }

    public BigDecimal getAmount() {
        return price.multiply(BigDecimal.valueOf(quantity));
    }
}
