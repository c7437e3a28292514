/* A recorded waveform for a fake sensor: int16, x, y, z of one sample behind the other, played again and again. */
#ifndef WAVE_H
#define WAVE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct wave {
    const int16_t *counts;
    uint32_t samples;
} wave;

/* For fake.value; context is a wave. */
int16_t wave_value(void *context, uint64_t index, uint8_t axis);

/* Read a file of at least one sample into memory. False if that cannot be. Not on boards. */
bool wave_load(wave *self, const char *path);

#endif
