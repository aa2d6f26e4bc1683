package com.example.orders;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigDecimal;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.data.jpa.test.autoconfigure.DataJpaTest;

@DataJpaTest
class OrderRepositoryTest {
    @Autowired
    private OrderRepository orders;

    @Test
    void findsACustomersOrdersInTheOrderTheyWerePlaced() {
        orders.save(order("ada", 20, "tea", 1, "4.20"));
        orders.save(order("bob", 15, "pot", 1, "19.90"));
        orders.save(order("ada", 10, "cup", 2, "7.50"));

        assertThat(orders.findByCustomerOrderByPlaced("ada"))
                .extracting(o -> o.getLines().get(0).getProduct())
                .containsExactly("cup", "tea");
    }

    @Test
    void totalsAllOrders() {
        assertThat(orders.total()).isZero();

        orders.save(order("ada", 10, "tea", 3, "4.20"));
        orders.save(order("bob", 20, "pot", 1, "19.90"));

        assertThat(orders.total()).isEqualByComparingTo("32.50");
    }

    private static Order order(String customer, long second, String product, int quantity, String price) {
        return new Order(customer, Instant.ofEpochSecond(second), List.of(new Line(product, quantity, new BigDecimal(price))));
    }
}
