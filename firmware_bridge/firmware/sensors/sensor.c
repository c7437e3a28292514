#include "sensor.h"

bool sensor_get(sensor *self, uint8_t address, uint8_t *data, uint16_t n) {
    return self->bus->transfer(self->bus->context, &address, 1, data, n);
}

bool sensor_put(sensor *self, uint8_t address, uint8_t value) {
    const uint8_t out[2] = {address, value};
    return self->bus->transfer(self->bus->context, out, 2, 0, 0);
}

sensor_result sensor_set(sensor *self, uint8_t write_address, uint8_t read_address, uint8_t value) {
    self->at = write_address;
    self->wanted = value;
    if (!sensor_put(self, write_address, value) || !sensor_get(self, read_address, &self->found, 1))
        return SENSOR_SILENT;
    return self->found == value ? SENSOR_OK : SENSOR_FORGETS;
}

sensor_result sensor_check_id(sensor *self, uint8_t read_address) {
    self->at = self->type->id_register;
    self->wanted = self->type->id;
    if (!sensor_get(self, read_address, &self->found, 1))
        return SENSOR_SILENT;
    return self->found == self->wanted ? SENSOR_OK : SENSOR_STRANGER;
}

uint8_t sensor_find(const uint32_t *list, uint8_t n, uint32_t value) {
    uint8_t place = 0;
    while (place < n && list[place] != value)
        place++;
    return place;
}

static bool wait_for_one(sensor *self) {
    bool overrun = false; /* nobody asks: a mean needs no whole stream */
    for (uint8_t tries = 0; tries < 100; tries++) {
        if (self->type->waiting(self, &overrun) > 0)
            return true;
        self->bus->wait_ms(self->bus->context, 1);
    }
    return false;
}

bool sensor_mean(sensor *self, uint8_t n, int16_t mean[SENSOR_AXES]) {
    int32_t sums[SENSOR_AXES] = {0, 0, 0};
    uint8_t sample[SENSOR_SAMPLE_BYTES];
    for (uint8_t taken = 0; taken < n; taken++) {
        if (!wait_for_one(self) || !self->type->read(self, sample, 1))
            return false;
        for (uint8_t axis = 0; axis < SENSOR_AXES; axis++)
            sums[axis] += (int16_t)(uint16_t)(sample[2 * axis] | (uint16_t)sample[2 * axis + 1] << 8);
    }
    for (uint8_t axis = 0; axis < SENSOR_AXES; axis++)
        mean[axis] = (int16_t)(sums[axis] / n);
    return true;
}

bool sensor_moved(const int16_t moved[SENSOR_AXES], const uint16_t least[SENSOR_AXES], const uint16_t most[SENSOR_AXES]) {
    for (uint8_t axis = 0; axis < SENSOR_AXES; axis++) {
        const int32_t by = moved[axis] < 0 ? -(int32_t)moved[axis] : moved[axis];
        if (by < least[axis] || by > most[axis])
            return false;
    }
    return true;
}
