/* STMicroelectronics IIS3DWB, data sheet revision 6: 26.7 kHz on three axes. SPI, at most 10 MHz. Its FIFO holds 512
 * words of a tag and six bytes. */
#include "sensor.h"

enum {
    FIFO_CTRL3 = 0x09,
    FIFO_CTRL4 = 0x0A,
    WHO_AM_I = 0x0F,
    CTRL1_XL = 0x10,
    CTRL3_C = 0x12,
    CTRL5_C = 0x14,
    FIFO_STATUS1 = 0x3A,
    FIFO_DATA_OUT_TAG = 0x78,
    ENABLE = 0xA0,
    BLOCK_UPDATE_AND_COUNT_UP = 0x44,
    BATCH_ALL = 0x0A,
    CONTINUOUS = 0x06,
    BYPASS = 0x00,
    OVERRUN_LATCHED = 0x08,
    TAG_ACCELEROMETER = 0x02,
    WORD = 7,
    PUSH = 0x01,
    RANGE_4_G = 0x08,
};

static const uint32_t rates_millihertz[] = {26667000};
static const uint32_t ranges_milli_g[] = {2000, 4000, 8000, 16000};
static const uint8_t range_codes[] = {0x00, 0x08, 0x0C, 0x04};

static uint8_t read_at(uint8_t reg) { return (uint8_t)(reg | 0x80u); }

static sensor_result set(sensor *self, uint8_t reg, uint8_t value) {
    return sensor_set(self, reg, read_at(reg), value);
}

static void scale(uint32_t range_milli_g, uint32_t *numerator, uint32_t *denominator) {
    *numerator = 61u * (range_milli_g / 2000u); /* 0.061 mg a count at 2 g */
    *denominator = 1000000;
}

static sensor_result apply(sensor *self, uint8_t range_code) {
    sensor_result result = sensor_check_id(self, read_at(WHO_AM_I));
    if (result == SENSOR_OK)
        result = set(self, CTRL3_C, BLOCK_UPDATE_AND_COUNT_UP);
    if (result == SENSOR_OK)
        result = set(self, CTRL1_XL, range_code); /* off */
    if (result == SENSOR_OK)
        result = set(self, CTRL5_C, 0);
    if (result == SENSOR_OK)
        result = set(self, FIFO_CTRL3, BATCH_ALL);
    if (result == SENSOR_OK)
        result = set(self, FIFO_CTRL4, BYPASS);
    return result;
}

static sensor_result switch_on(sensor *self, uint8_t range_code) {
    sensor_result result = set(self, FIFO_CTRL4, BYPASS); /* bypass empties it */
    if (result == SENSOR_OK)
        result = set(self, FIFO_CTRL4, CONTINUOUS);
    return result == SENSOR_OK ? set(self, CTRL1_XL, (uint8_t)(ENABLE | range_code)) : result;
}

static uint8_t range_code(const sensor *self) {
    return range_codes[sensor_find(ranges_milli_g, 4, self->range_milli_g)];
}

static sensor_result configure(sensor *self, uint32_t rate_millihertz, uint32_t range_milli_g) {
    const uint8_t range = sensor_find(ranges_milli_g, 4, range_milli_g);
    if (rate_millihertz != rates_millihertz[0] || range == 4)
        return SENSOR_VALUE;
    const sensor_result result = apply(self, range_codes[range]);
    if (result == SENSOR_OK) {
        self->rate_millihertz = rate_millihertz;
        self->range_milli_g = range_milli_g;
    }
    return result;
}

static sensor_result start(sensor *self) { return switch_on(self, range_code(self)); }

static sensor_result stop(sensor *self) { return set(self, CTRL1_XL, range_code(self)); }

static uint16_t waiting(sensor *self, bool *overrun) {
    uint8_t status[2];
    if (!sensor_get(self, read_at(FIFO_STATUS1), status, 2))
        return 0;
    *overrun |= (status[1] & OVERRUN_LATCHED) != 0;
    return (uint16_t)((uint16_t)(status[1] & 3u) << 8 | status[0]);
}

static bool read(sensor *self, uint8_t *samples, uint8_t n) {
    uint8_t words[WORD * SENSOR_BURST];
    if (!sensor_get(self, read_at(FIFO_DATA_OUT_TAG), words, (uint16_t)(WORD * n)))
        return false;
    for (uint8_t word = 0; word < n; word++) {
        if (words[WORD * word] >> 3 != TAG_ACCELEROMETER)
            return false;
        for (uint8_t byte = 0; byte < SENSOR_SAMPLE_BYTES; byte++)
            *samples++ = words[WORD * word + 1 + byte];
    }
    return true;
}

static bool settle(sensor *self, uint8_t means, int16_t mean[SENSOR_AXES]) {
    while (means-- > 0)
        if (!sensor_mean(self, 128, mean))
            return false;
    return true;
}

static sensor_result self_test(sensor *self, int16_t moved[SENSOR_AXES]) {
    /* Table 3: 800 to 3200 mg; at 4 g a count is 0.122 mg. The FIFO's 512 words are let go by first. */
    static const uint16_t least[SENSOR_AXES] = {6557, 6557, 6557}, most[SENSOR_AXES] = {26229, 26229, 26229};
    int16_t before[SENSOR_AXES], after[SENSOR_AXES];
    sensor_result result = apply(self, RANGE_4_G);
    if (result == SENSOR_OK)
        result = switch_on(self, RANGE_4_G);
    if (result != SENSOR_OK)
        return result;
    if (!settle(self, 8, before))
        return SENSOR_SILENT;
    result = set(self, CTRL5_C, PUSH);
    if (result != SENSOR_OK)
        return result;
    if (!settle(self, 16, after))
        return SENSOR_SILENT;
    result = set(self, CTRL5_C, 0);
    for (uint8_t axis = 0; axis < SENSOR_AXES; axis++)
        moved[axis] = (int16_t)(after[axis] - before[axis]);
    if (result == SENSOR_OK)
        result = set(self, CTRL1_XL, RANGE_4_G);
    if (result != SENSOR_OK)
        return result;
    return sensor_moved(moved, least, most) ? SENSOR_OK : SENSOR_WEAK;
}

const sensor_type iis3dwb = {
    .model = "IIS3DWB",
    .id_register = WHO_AM_I,
    .id = 0x7B,
    .n_rates = 1,
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
