/* libFuzzer on what a host may send: the device goes on to frame what it says rightly and to count what it drops. */
#include <stdlib.h>

#include "device.h"
#include "fake.h"

static uint64_t clock_us;

static uint64_t chip_us(void *context) {
    (void)context;
    return clock_us;
}
static uint32_t now_us(void *context) {
    (void)context;
    return (uint32_t)clock_us;
}
static uint32_t draw(void *context) {
    (void)context;
    return (uint32_t)clock_us * 2654435761u;
}
static void wait_ms(void *context, uint16_t ms) {
    (void)context;
    clock_us += 1000u * ms;
}
static void sent(void *context) { (void)context; }
static int16_t value(void *context, uint64_t index, uint8_t axis) {
    (void)context;
    return (int16_t)((index * 3 + axis) % 4000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static device self;
    static fake chip;
    static uint8_t ring[512], buffer[2057];
    wire_in ear;
    uint16_t sequence = 0;
    clock_us = 0;
    fake_init(&chip, &fake_adxl345, BUS_SPI);
    chip.value = value;
    chip.now_us = chip_us;
    const sensor_bus bus = {BUS_SPI, &chip, fake_transfer, wait_ms};
    const device_config config = {
        .device_id = "fuzz", .firmware_version = "0", .axes = "x,y,z", .sensor = &adxl345, .bus = &bus,
        .rate_millihertz = 3200000, .range_milli_g = 16000, .block_samples = 8, .ring = ring, .ring_size = sizeof ring,
        .now_us = now_us, .random = draw, .sent = sent,
    };
    wire_in_init(&ear, buffer, sizeof buffer);
    device_begin(&self, &config);
    for (size_t at = 0; at < size; at++) {
        uint8_t byte;
        device_received(&self, data[at]);
        clock_us += 100;
        device_poll(&self);
        for (int taken = 0; taken < 8 && wire_take(&self.out, &byte); taken++) {
            const wire_result result = wire_feed(&ear, byte);
            if (result > WIRE_FRAME)
                abort();
            if (result == WIRE_FRAME && ear.sequence != sequence++)
                abort();
        }
    }
    if (self.dropped > self.produced)
        abort();
    return 0;
}
