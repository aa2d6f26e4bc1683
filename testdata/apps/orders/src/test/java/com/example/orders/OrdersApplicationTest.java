package com.example.orders;

import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.get;
import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.post;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.header;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.jsonPath;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.status;

import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.webmvc.test.autoconfigure.AutoConfigureMockMvc;
import org.springframework.http.MediaType;
import org.springframework.test.web.servlet.MockMvc;
import org.springframework.transaction.annotation.Transactional;

@SpringBootTest
@AutoConfigureMockMvc
@Transactional
class OrdersApplicationTest {
    @Autowired
    private MockMvc mvc;

    @Test
    void greets() throws Exception {
        mvc.perform(get("/")).andExpect(status().isOk()).andExpect(jsonPath("$.links[0]").value("/orders"));
    }

    @Test
    void placesAnOrderAndFindsItAgain() throws Exception {
        String location = place("""
                {"customer": "ada", "lines": [{"product": "tea", "quantity": 3, "price": 4.20}]}""");

        mvc.perform(get(location)).andExpect(status().isOk()).andExpect(jsonPath("$.total").value(12.6));
        mvc.perform(get("/orders?customer=ada")).andExpect(jsonPath("$.length()").value(1));
        mvc.perform(get("/orders?customer=bob")).andExpect(jsonPath("$.length()").value(0));
        mvc.perform(get("/orders/total")).andExpect(jsonPath("$.orders").value(1)).andExpect(jsonPath("$.total").value(12.6));
    }

    @Test
    void refusesAnOrderOfNothing() throws Exception {
        mvc.perform(post("/orders").contentType(MediaType.APPLICATION_JSON).content("""
                {"customer": "ada", "lines": []}""")).andExpect(status().isBadRequest());
    }

    @Test
    void refusesALineOfNothing() throws Exception {
        mvc.perform(post("/orders").contentType(MediaType.APPLICATION_JSON).content("""
                {"customer": "ada", "lines": [{"product": "tea", "quantity": 0, "price": 4.20}]}"""))
                .andExpect(status().isBadRequest());
    }

    @Test
    void doesNotKnowOtherOrders() throws Exception {
        mvc.perform(get("/orders/999999")).andExpect(status().isNotFound());
    }

    @Test
    void isHealthy() throws Exception {
        mvc.perform(get("/actuator/health")).andExpect(status().isOk()).andExpect(jsonPath("$.status").value("UP"));
    }

    private String place(String order) throws Exception {
        return mvc.perform(post("/orders").contentType(MediaType.APPLICATION_JSON).content(order))
                .andExpect(status().isCreated())
                .andExpect(header().exists("Location"))
                .andReturn().getResponse().getHeader("Location");
    }
}
