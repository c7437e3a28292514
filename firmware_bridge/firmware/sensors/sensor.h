/* Accelerometers with a FIFO behind a bus. What a driver promises is said here once.
 *
 * Drivers are called from the main loop only. They keep no data of their own beyond `sensor`. Every configuration
 * register that is written is read back. Nothing waits longer than the self-test's two seconds. */
#ifndef SENSOR_H
#define SENSOR_H

#include <stdbool.h>
#include <stdint.h>

#define SENSOR_AXES 3u
#define SENSOR_SAMPLE_BYTES 6u /* int16 for x, y, z, little-endian */
#define SENSOR_TEXT 64u

typedef enum bus_kind { BUS_SPI, BUS_I2C } bus_kind;

/* What a board gives its sensor. */
typedef struct sensor_bus {
    bus_kind kind;
    void *context;
    /* Select the chip, send `out`, then take `in` (with I2C: write, repeated start, read). False if it did not answer. */
    bool (*transfer)(void *context, const uint8_t *out, uint8_t n_out, uint8_t *in, uint16_t n_in);
    /* Wait. Only at power-up, changes and the self-test. */
    void (*wait_ms)(void *context, uint16_t ms);
} sensor_bus;

typedef enum sensor_result {
    SENSOR_OK,
    SENSOR_SILENT,   /* the bus got no answer */
    SENSOR_STRANGER, /* the id register holds something else; see sensor.found */
    SENSOR_FORGETS,  /* a register did not keep what was written; see sensor.at, .wanted and .found */
    SENSOR_VALUE,    /* no such rate or range */
    SENSOR_WEAK,     /* the self-test moved it by less, or more, than the data sheet allows */
} sensor_result;

typedef struct sensor sensor;

typedef struct sensor_type {
    const char *model;
    uint8_t id_register, id;
    uint8_t n_rates, n_ranges;
    const uint32_t *rates_millihertz; /* ascending */
    const uint32_t *ranges_milli_g;   /* ascending, thousandths of g */
    /* g per count as a fraction. */
    void (*scale)(uint32_t range_milli_g, uint32_t *numerator, uint32_t *denominator);
    /* Check the id, reset, set rate and range, and leave it idle. SENSOR_VALUE leaves it as it was. */
    sensor_result (*configure)(sensor *self, uint32_t rate_millihertz, uint32_t range_milli_g);
    /* Empty the FIFO and begin, or end, to measure. */
    sensor_result (*start)(sensor *self);
    sensor_result (*stop)(sensor *self);
    /* Whole samples in the FIFO; sets *overrun if any were thrown away since it was last asked. Some chips only say
     * that the FIFO is full: the least that may then be gone is 0, with all others 1. */
    uint8_t least_lost;
    uint16_t (*waiting)(sensor *self, bool *overrun);
    /* Take n waiting samples, the oldest first, n * SENSOR_SAMPLE_BYTES bytes. At most SENSOR_BURST at once. */
    bool (*read)(sensor *self, uint8_t *samples, uint8_t n);
    /* By the data sheet's procedure, while idle; leaves it to be configured anew. Changes in counts go to moved. */
    sensor_result (*self_test)(sensor *self, int16_t moved[SENSOR_AXES]);
} sensor_type;

#define SENSOR_BURST 8u

struct sensor {
    const sensor_type *type;
    const sensor_bus *bus;
    uint32_t rate_millihertz, range_milli_g;
    uint8_t at, wanted, found; /* of the last failure */
};

/* Every driver and each bus of its chip, the usual one first: a driver of yours is a file, its fake, and a line here. */
#define SENSORS(EACH)      \
    EACH(adxl345, BUS_SPI) \
    EACH(adxl345, BUS_I2C) \
    EACH(lis3dh, BUS_SPI)  \
    EACH(lis3dh, BUS_I2C)  \
    EACH(mpu6050, BUS_I2C) \
    EACH(iis3dwb, BUS_SPI)

#define SENSOR_DECLARE(name, bus) extern const sensor_type name;
SENSORS(SENSOR_DECLARE)

/* --- for drivers ------------------------------------------------------------------------------------------------ */

/* Read or write registers at an address byte that already has the chip's bits for bus and direction. */
bool sensor_get(sensor *self, uint8_t address, uint8_t *data, uint16_t n);
bool sensor_put(sensor *self, uint8_t address, uint8_t value);

/* Write a register and read it back through `read_address`. */
sensor_result sensor_set(sensor *self, uint8_t write_address, uint8_t read_address, uint8_t value);

/* Compare the id register, read through `read_address`. */
sensor_result sensor_check_id(sensor *self, uint8_t read_address);

/* Place of a value in a list, n if it is not there. */
uint8_t sensor_find(const uint32_t *list, uint8_t n, uint32_t value);

/* Mean of `n` samples, at most 128, that come one by one; waits for each. False if none comes. */
bool sensor_mean(sensor *self, uint8_t n, int16_t mean[SENSOR_AXES]);

/* Whether each axis moved by a magnitude between least and most. */
bool sensor_moved(const int16_t moved[SENSOR_AXES], const uint16_t least[SENSOR_AXES], const uint16_t most[SENSOR_AXES]);

#endif
