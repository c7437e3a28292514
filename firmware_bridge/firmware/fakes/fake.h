/* Sensors without silicon: what the chips show on their bus, register by register, with a FIFO that fills by the clock.
 *
 * They serve the tests, the host program, the emulated boards and the bus of an emulated Uno. Samples come from a
 * function of their index, which begins at 0 whenever measuring begins. */
#ifndef FAKE_H
#define FAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "sensor.h"

typedef struct fake fake;

/* What one chip does. Addresses are without the bits for bus and direction. */
typedef struct fake_type {
    uint8_t id_register, id;
    uint16_t depth; /* samples that its FIFO holds */
    /* Samples a second in thousandths, as its registers say; 0 while it does not fill its FIFO. */
    uint32_t (*rate_millihertz)(const fake *self);
    uint8_t (*read)(fake *self, uint8_t reg);
    void (*write)(fake *self, uint8_t reg, uint8_t value);
    uint8_t (*next)(uint8_t reg); /* where the address counts on to */
    uint8_t address_mask;         /* of the first byte on SPI; bit 7 there says read */
    int16_t push;                 /* counts that the self-test moves each axis by */
    bool (*pushes)(const fake *self);
} fake_type;

struct fake {
    const fake_type *type;
    bus_kind kind;
    void *context; /* for the two below */
    int16_t (*value)(void *context, uint64_t index, uint8_t axis);
    uint64_t (*now_us)(void *context);
    uint8_t registers[128];
    uint64_t began_us;
    uint64_t made, taken; /* samples made; the oldest in the FIFO */
    uint8_t byte;         /* of it, where a chip gives them one by one */
    bool running, overrun;
    bool addressed, reading; /* of the transfer that is going on */
    uint8_t reg;
    /* Faults, off at first. */
    bool silent;
    int16_t stuck_register; /* keeps what it holds; -1: none */
};

#define FAKE_DECLARE(name, bus) extern const fake_type fake_##name;
SENSORS(FAKE_DECLARE)

void fake_init(fake *self, const fake_type *type, bus_kind kind);

/* A whole transfer, for sensor_bus. */
bool fake_transfer(void *context, const uint8_t *out, uint8_t n_out, uint8_t *in, uint16_t n_in);

/* A transfer on SPI, byte by byte: begin it, then exchange. */
void fake_select(fake *self);
uint8_t fake_exchange(fake *self, uint8_t out);

/* How many samples it has made and thrown away so far; brings it up to date. */
uint64_t fake_made(fake *self);

#endif
