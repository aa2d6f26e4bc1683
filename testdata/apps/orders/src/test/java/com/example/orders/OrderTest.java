package com.example.orders;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigDecimal;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;

class OrderTest {
    @Test
    void totalsItsLines() {
        Order order = new Order("ada", Instant.EPOCH, List.of(
                new Line("tea", 3, new BigDecimal("4.20")),
                new Line("pot", 1, new BigDecimal("19.90"))));

        assertThat(order.getTotal()).isEqualByComparingTo("32.50");
    }

    @Test
    void isWorthNothingWithoutLines() {
        assertThat(new Order("ada", Instant.EPOCH, List.of()).getTotal()).isZero();
    }
}
