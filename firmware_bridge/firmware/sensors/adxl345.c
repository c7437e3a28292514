/* Analog Devices ADXL345, data sheet revision G. SPI with CS, mode 3, at most 5 MHz; or I2C, which at 400 kHz carries
 * no more than 800 samples a second. Full resolution: 1/256 g a count in every range. */
#include "sensor.h"

enum {
    DEVID = 0x00,
    BW_RATE = 0x2C,
    POWER_CTL = 0x2D,
    INT_ENABLE = 0x2E,
    INT_SOURCE = 0x30,
    DATA_FORMAT = 0x31,
    DATAX0 = 0x32,
    FIFO_CTL = 0x38,
    FIFO_STATUS = 0x39,
    MEASURE = 0x08,
    OVERRUN = 0x01,
    FULL_RES = 0x08,
    SELF_TEST = 0x80,
    BYPASS = 0x00,
    STREAM = 0x80,
    ENTRIES = 0x3F,
    RATE_100_HZ = 0x0A,
};

static const uint32_t rates_millihertz[] = {100000, 200000, 400000, 800000, 1600000, 3200000};
static const uint32_t ranges_milli_g[] = {2000, 4000, 8000, 16000};

static uint8_t read_at(const sensor *self, uint8_t reg) {
    return self->bus->kind == BUS_SPI ? (uint8_t)(reg | 0xC0u) : reg; /* read, several bytes */
}

static sensor_result set(sensor *self, uint8_t reg, uint8_t value) {
    return sensor_set(self, reg, read_at(self, reg), value);
}

static void scale(uint32_t range_milli_g, uint32_t *numerator, uint32_t *denominator) {
    (void)range_milli_g;
    *numerator = 1;
    *denominator = 256;
}

static sensor_result apply(sensor *self, uint8_t rate_code, uint8_t format) {
    sensor_result result = sensor_check_id(self, read_at(self, DEVID));
    if (result == SENSOR_OK)
        result = set(self, POWER_CTL, 0);
    if (result == SENSOR_OK)
        result = set(self, INT_ENABLE, 0);
    if (result == SENSOR_OK)
        result = set(self, BW_RATE, rate_code);
    if (result == SENSOR_OK)
        result = set(self, DATA_FORMAT, format);
    if (result == SENSOR_OK)
        result = set(self, FIFO_CTL, BYPASS);
    return result;
}

static sensor_result configure(sensor *self, uint32_t rate_millihertz, uint32_t range_milli_g) {
    const uint8_t rate = sensor_find(rates_millihertz, 6, rate_millihertz);
    const uint8_t range = sensor_find(ranges_milli_g, 4, range_milli_g);
    if (rate == 6 || range == 4)
        return SENSOR_VALUE;
    const sensor_result result = apply(self, (uint8_t)(RATE_100_HZ + rate), (uint8_t)(FULL_RES | range));
    if (result == SENSOR_OK) {
        self->rate_millihertz = rate_millihertz;
        self->range_milli_g = range_milli_g;
    }
    return result;
}

static sensor_result start(sensor *self) {
    sensor_result result = set(self, FIFO_CTL, BYPASS); /* bypass empties it */
    if (result == SENSOR_OK)
        result = set(self, FIFO_CTL, STREAM);
    return result == SENSOR_OK ? set(self, POWER_CTL, MEASURE) : result;
}

static sensor_result stop(sensor *self) { return set(self, POWER_CTL, 0); }

static uint16_t waiting(sensor *self, bool *overrun) {
    uint8_t source, status;
    if (!sensor_get(self, read_at(self, INT_SOURCE), &source, 1) ||
        !sensor_get(self, read_at(self, FIFO_STATUS), &status, 1))
        return 0;
    *overrun |= (source & OVERRUN) != 0;
    return status & ENTRIES;
}

static bool read(sensor *self, uint8_t *samples, uint8_t n) {
    /* Each sample is a transfer of its own: reading all six bytes moves the FIFO on. */
    for (; n > 0; n--, samples += SENSOR_SAMPLE_BYTES)
        if (!sensor_get(self, read_at(self, DATAX0), samples, SENSOR_SAMPLE_BYTES))
            return false;
    return true;
}

static sensor_result self_test(sensor *self, int16_t moved[SENSOR_AXES]) {
    /* Data sheet, "Using Self-Test" and table 14: at 100 Hz, 16 g, full resolution; the limits there are for 2.5 V and
     * grow with the supply, by 1.77 (x, y) and 1.47 (z) at 3.3 V. */
    static const uint16_t least[SENSOR_AXES] = {50, 50, 75}, most[SENSOR_AXES] = {956, 956, 1286};
    int16_t before[SENSOR_AXES], after[SENSOR_AXES];
    sensor_result result = apply(self, RATE_100_HZ, FULL_RES | 3);
    if (result == SENSOR_OK)
        result = start(self);
    if (result != SENSOR_OK)
        return result;
    if (!sensor_mean(self, 10, before))
        return SENSOR_SILENT;
    result = set(self, DATA_FORMAT, SELF_TEST | FULL_RES | 3);
    if (result != SENSOR_OK)
        return result;
    if (!sensor_mean(self, 36, after) || !sensor_mean(self, 10, after)) /* the FIFO and settling first */
        return SENSOR_SILENT;
    result = set(self, DATA_FORMAT, FULL_RES | 3);
    for (uint8_t axis = 0; axis < SENSOR_AXES; axis++)
        moved[axis] = (int16_t)(after[axis] - before[axis]);
    if (result == SENSOR_OK)
        result = stop(self);
    if (result != SENSOR_OK)
        return result;
    return sensor_moved(moved, least, most) ? SENSOR_OK : SENSOR_WEAK;
}

const sensor_type adxl345 = {
    .model = "ADXL345",
    .id_register = DEVID,
    .id = 0xE5,
    .n_rates = 6,
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
