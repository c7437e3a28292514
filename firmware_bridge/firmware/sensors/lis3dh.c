/* STMicroelectronics LIS3DH, data sheet revision 3. High resolution (12 bits, left-justified) up to 1344 Hz; 5376 Hz
 * exists in low power only, with 8 bits. */
#include "sensor.h"

enum {
    WHO_AM_I = 0x0F,
    CTRL_REG1 = 0x20,
    CTRL_REG4 = 0x23,
    CTRL_REG5 = 0x24,
    OUT_X_L = 0x28,
    FIFO_CTRL_REG = 0x2E,
    FIFO_SRC_REG = 0x2F,
    ALL_AXES = 0x07,
    LOW_POWER = 0x08,
    BLOCK_UPDATE = 0x80,
    HIGH_RESOLUTION = 0x08,
    SELF_TEST_0 = 0x02,
    FIFO_ENABLE = 0x40,
    STREAM = 0x80,
    OVERRUN = 0x40,
    LEVEL = 0x1F,
    RATE_5376_HZ = 0x90,
};

static const uint32_t rates_millihertz[] = {100000, 200000, 400000, 1344000, 5376000};
static const uint8_t rate_codes[] = {0x50, 0x60, 0x70, 0x90, RATE_5376_HZ | LOW_POWER};
static const uint32_t ranges_milli_g[] = {2000, 4000, 8000, 16000};

static uint8_t read_at(const sensor *self, uint8_t reg) {
    return (uint8_t)(reg | (self->bus->kind == BUS_SPI ? 0xC0u : 0x80u)); /* read (SPI), address counts up (both) */
}

static sensor_result set(sensor *self, uint8_t reg, uint8_t value) {
    return sensor_set(self, reg, read_at(self, reg), value);
}

static void scale(uint32_t range_milli_g, uint32_t *numerator, uint32_t *denominator) {
    /* 1, 2, 4 and 12 mg a digit of 12 bits, which are the upper ones of 16. */
    *numerator = range_milli_g == 16000 ? 12 : range_milli_g / 2000;
    *denominator = 16000;
}

static sensor_result configure(sensor *self, uint32_t rate_millihertz, uint32_t range_milli_g) {
    const uint8_t rate = sensor_find(rates_millihertz, 5, rate_millihertz);
    const uint8_t range = sensor_find(ranges_milli_g, 4, range_milli_g);
    if (rate == 5 || range == 4)
        return SENSOR_VALUE;
    const uint8_t fine = rate_codes[rate] & LOW_POWER ? 0 : HIGH_RESOLUTION;
    sensor_result result = sensor_check_id(self, read_at(self, WHO_AM_I));
    if (result == SENSOR_OK)
        result = set(self, CTRL_REG1, ALL_AXES); /* power down */
    if (result == SENSOR_OK)
        result = set(self, CTRL_REG4, (uint8_t)(BLOCK_UPDATE | range << 4 | fine));
    if (result == SENSOR_OK)
        result = set(self, CTRL_REG5, FIFO_ENABLE);
    if (result == SENSOR_OK)
        result = set(self, FIFO_CTRL_REG, 0);
    if (result == SENSOR_OK) {
        self->rate_millihertz = rate_millihertz;
        self->range_milli_g = range_milli_g;
    }
    return result;
}

static sensor_result start(sensor *self) {
    sensor_result result = set(self, FIFO_CTRL_REG, 0); /* bypass empties it */
    if (result == SENSOR_OK)
        result = set(self, FIFO_CTRL_REG, STREAM);
    if (result != SENSOR_OK)
        return result;
    const uint8_t rate = sensor_find(rates_millihertz, 5, self->rate_millihertz);
    return set(self, CTRL_REG1, (uint8_t)(ALL_AXES | rate_codes[rate]));
}

static sensor_result stop(sensor *self) { return set(self, CTRL_REG1, ALL_AXES); }

static uint16_t waiting(sensor *self, bool *overrun) {
    uint8_t source;
    if (!sensor_get(self, read_at(self, FIFO_SRC_REG), &source, 1))
        return 0;
    if (source & OVERRUN) { /* set while the FIFO is full: 32 samples, of which the level says 31 */
        *overrun = true;
        return 32;
    }
    return source & LEVEL;
}

static bool read(sensor *self, uint8_t *samples, uint8_t n) {
    /* The address goes back from OUT_Z_H to OUT_X_L by itself. */
    return sensor_get(self, read_at(self, OUT_X_L), samples, (uint16_t)(n * SENSOR_SAMPLE_BYTES));
}

static sensor_result self_test(sensor *self, int16_t moved[SENSOR_AXES]) {
    /* Table 4: 17 to 360 digits of 10 bits, normal mode at 2 g; here 10 bits are the upper ones of 16. */
    static const uint16_t least[SENSOR_AXES] = {17 * 64, 17 * 64, 17 * 64}, most[SENSOR_AXES] = {360 * 64, 360 * 64, 360 * 64};
    int16_t before[SENSOR_AXES], after[SENSOR_AXES];
    sensor_result result = configure(self, 100000, 2000);
    if (result == SENSOR_OK)
        result = set(self, CTRL_REG4, BLOCK_UPDATE);
    if (result == SENSOR_OK)
        result = start(self);
    if (result != SENSOR_OK)
        return result;
    if (!sensor_mean(self, 10, before))
        return SENSOR_SILENT;
    result = set(self, CTRL_REG4, BLOCK_UPDATE | SELF_TEST_0);
    if (result != SENSOR_OK)
        return result;
    if (!sensor_mean(self, 36, after) || !sensor_mean(self, 10, after)) /* the FIFO and settling first */
        return SENSOR_SILENT;
    result = stop(self);
    for (uint8_t axis = 0; axis < SENSOR_AXES; axis++)
        moved[axis] = (int16_t)(after[axis] - before[axis]);
    if (result != SENSOR_OK)
        return result;
    return sensor_moved(moved, least, most) ? SENSOR_OK : SENSOR_WEAK;
}

const sensor_type lis3dh = {
    .model = "LIS3DH",
    .id_register = WHO_AM_I,
    .id = 0x33,
    .n_rates = 5,
    .n_ranges = 4,
    .rates_millihertz = rates_millihertz,
    .ranges_milli_g = ranges_milli_g,
    .scale = scale,
    .configure = configure,
    .start = start,
    .stop = stop,
    .least_lost = 0,
    .waiting = waiting,
    .read = read,
    .self_test = self_test,
};
