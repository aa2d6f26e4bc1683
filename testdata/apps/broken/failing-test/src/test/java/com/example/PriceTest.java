package com.example;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class PriceTest {
    @Test
    void nothingCostsNothing() {
        assertEquals(0, Price.gross(0));
    }

    @Test
    void addsTax() {
        assertEquals(119, Price.gross(100));
    }

    @Test
    void roundsUp() {
        assertEquals(14, Price.gross(11), "gross of 11");
    }
}
