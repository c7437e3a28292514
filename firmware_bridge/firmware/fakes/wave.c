#include "wave.h"

int16_t wave_value(void *context, uint64_t index, uint8_t axis) {
    const wave *self = context;
    return self->counts[(uint32_t)(index % self->samples) * 3u + axis];
}
