package com.example.orders;

import java.math.BigDecimal;
import java.util.List;
import org.springframework.data.jpa.repository.JpaRepository;
import org.springframework.data.jpa.repository.Query;

public interface OrderRepository extends JpaRepository<Order, Long> {
    List<Order> findByCustomerOrderByPlaced(String customer);

    /** The sum of all orders; 0 when there are none. */
    @Query("select coalesce(sum(l.quantity * l.price), 0) from Order o join o.lines l")
    BigDecimal total();
}
