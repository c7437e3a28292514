/* InvenSense MPU-6050, register map revision 4.2. I2C only. The accelerometer gives 1000 samples a second at most. Its
 * FIFO of 1024 bytes holds 170 samples and is not cut at whole ones when it overflows, so it is then emptied. */
#include "sensor.h"

#include "flash.h"

enum {
    SELF_TEST_X = 0x0D,
    SMPLRT_DIV = 0x19,
    CONFIG = 0x1A,
    ACCEL_CONFIG = 0x1C,
    FIFO_EN = 0x23,
    INT_STATUS = 0x3A,
    USER_CTRL = 0x6A,
    PWR_MGMT_1 = 0x6B,
    FIFO_COUNT_H = 0x72,
    FIFO_R_W = 0x74,
    WHO_AM_I = 0x75,
    CLOCK_OF_GYRO_X = 0x01,
    SLEEP = 0x40,
    FILTER_184_HZ = 0x01, /* bandwidth; samples at 1 kHz */
    ACCELEROMETER = 0x08,
    OVERFLOW = 0x10,
    USE_FIFO = 0x40,
    RESET_FIFO = 0x04,
    PUSH_ALL_AXES = 0xE0,
    RANGE_8_G = 0x10,
};

static const uint32_t rates_millihertz[] = {100000, 125000, 250000, 500000, 1000000};
static const uint8_t dividers[] = {9, 7, 3, 1, 0};
static const uint32_t ranges_milli_g[] = {2000, 4000, 8000, 16000};

static sensor_result set(sensor *self, uint8_t reg, uint8_t value) { return sensor_set(self, reg, reg, value); }

static void scale(uint32_t range_milli_g, uint32_t *numerator, uint32_t *denominator) {
    *numerator = range_milli_g / 2000;
    *denominator = 16384;
}

static sensor_result apply(sensor *self, uint8_t divider, uint8_t accel_config) {
    sensor_result result = sensor_check_id(self, WHO_AM_I);
    if (result == SENSOR_OK)
        result = set(self, PWR_MGMT_1, CLOCK_OF_GYRO_X); /* awake: it sleeps at power-up, and sets nothing then */
    if (result == SENSOR_OK)
        result = set(self, FIFO_EN, 0);
    if (result == SENSOR_OK)
        result = set(self, CONFIG, FILTER_184_HZ);
    if (result == SENSOR_OK)
        result = set(self, SMPLRT_DIV, divider);
    if (result == SENSOR_OK)
        result = set(self, ACCEL_CONFIG, accel_config);
    return result;
}

static sensor_result configure(sensor *self, uint32_t rate_millihertz, uint32_t range_milli_g) {
    const uint8_t rate = sensor_find(rates_millihertz, 5, rate_millihertz);
    const uint8_t range = sensor_find(ranges_milli_g, 4, range_milli_g);
    if (rate == 5 || range == 4)
        return SENSOR_VALUE;
    const sensor_result result = apply(self, dividers[rate], (uint8_t)(range << 3));
    if (result == SENSOR_OK) {
        self->rate_millihertz = rate_millihertz;
        self->range_milli_g = range_milli_g;
    }
    return result;
}

static sensor_result empty(sensor *self) {
    /* It is reset only while it is not in use, and the bit for it clears itself. */
    self->at = USER_CTRL;
    self->wanted = USE_FIFO;
    if (!sensor_put(self, USER_CTRL, 0) || !sensor_put(self, USER_CTRL, RESET_FIFO) || !sensor_put(self, USER_CTRL, USE_FIFO) ||
        !sensor_get(self, USER_CTRL, &self->found, 1))
        return SENSOR_SILENT;
    return self->found == USE_FIFO ? SENSOR_OK : SENSOR_FORGETS;
}

static sensor_result start(sensor *self) {
    const sensor_result result = empty(self);
    return result == SENSOR_OK ? set(self, FIFO_EN, ACCELEROMETER) : result;
}

static sensor_result stop(sensor *self) { return set(self, FIFO_EN, 0); }

static uint16_t waiting(sensor *self, bool *overrun) {
    uint8_t status, count[2];
    if (!sensor_get(self, INT_STATUS, &status, 1) || !sensor_get(self, FIFO_COUNT_H, count, 2))
        return 0;
    if (status & OVERFLOW) {
        *overrun = true;
        (void)empty(self);
        return 0;
    }
    return (uint16_t)((uint16_t)(count[0] << 8 | count[1]) / SENSOR_SAMPLE_BYTES);
}

static bool read(sensor *self, uint8_t *samples, uint8_t n) {
    const uint16_t size = (uint16_t)(n * SENSOR_SAMPLE_BYTES);
    if (!sensor_get(self, FIFO_R_W, samples, size))
        return false;
    for (uint16_t at = 0; at < size; at = (uint16_t)(at + 2u)) { /* big-endian */
        const uint8_t high = samples[at];
        samples[at] = samples[at + 1u];
        samples[at + 1u] = high;
    }
    return true;
}

/* 4096 * 0.34 * (0.92 / 0.34)^((code - 1) / 30) counts at 8 g, for codes 1 to 31: "Accelerometer Self-Test". */
static const uint16_t trims[31] IN_FLASH = {
    1393, 1440, 1488, 1538, 1590, 1644, 1699, 1757, 1816, 1877, 1941, 2006, 2074, 2144, 2216, 2291,
    2368, 2448, 2531, 2616, 2704, 2795, 2890, 2987, 3088, 3192, 3300, 3411, 3526, 3645, 3768,
};

static sensor_result self_test(sensor *self, int16_t moved[SENSOR_AXES]) {
    int16_t before[SENSOR_AXES], after[SENSOR_AXES];
    uint16_t least[SENSOR_AXES], most[SENSOR_AXES];
    uint8_t codes[4];
    sensor_result result = apply(self, 9, RANGE_8_G);
    if (result == SENSOR_OK)
        result = start(self);
    if (result != SENSOR_OK)
        return result;
    if (!sensor_get(self, SELF_TEST_X, codes, 4) || !sensor_mean(self, 10, before))
        return SENSOR_SILENT;
    result = set(self, ACCEL_CONFIG, PUSH_ALL_AXES | RANGE_8_G);
    if (result != SENSOR_OK)
        return result;
    if (!sensor_mean(self, 36, after) || !sensor_mean(self, 10, after))
        return SENSOR_SILENT;
    result = stop(self);
    for (uint8_t axis = 0; axis < SENSOR_AXES; axis++) {
        const uint8_t code = (uint8_t)(((unsigned)codes[axis] >> 5u) << 2u | ((unsigned)codes[3] >> (4u - 2u * axis) & 3u));
        const uint16_t trim = code ? FLASH_U16(&trims[code - 1u]) : 0;
        least[axis] = (uint16_t)(trim * 86ul / 100u); /* within 14 % of the factory's */
        most[axis] = (uint16_t)(trim * 114ul / 100u);
        moved[axis] = (int16_t)(after[axis] - before[axis]);
    }
    if (result != SENSOR_OK)
        return result;
    return sensor_moved(moved, least, most) ? SENSOR_OK : SENSOR_WEAK;
}

const sensor_type mpu6050 = {
    .model = "MPU6050",
    .id_register = WHO_AM_I,
    .id = 0x68,
    .n_rates = 5,
    .n_ranges = 4,
    .rates_millihertz = rates_millihertz,
    .ranges_milli_g = ranges_milli_g,
    .scale = scale,
    .configure = configure,
    .start = start,
    .stop = stop,
    .least_lost = 1,
    .waiting = waiting,
    .read = read,
    .self_test = self_test,
};
