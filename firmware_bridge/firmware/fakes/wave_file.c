#include <stdio.h>
#include <stdlib.h>

#include "wave.h"

bool wave_load(wave *self, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    long size = -1;
    if (fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    rewind(file);
    int16_t *counts = size >= 6 ? malloc((size_t)size) : 0;
    const bool whole = counts && fread(counts, 1, (size_t)size, file) == (size_t)size;
    fclose(file);
    if (!whole) {
        free(counts);
        return false;
    }
    self->counts = counts;
    self->samples = (uint32_t)(size / 6);
    return true;
}
