#include "text.h"

static void add(text *self, char letter) {
    if (self->end == self->last)
        return;
    *self->end++ = letter;
    *self->end = 0;
}

text text_begin(char *buffer, uint16_t size) {
    const text made = {buffer, buffer + size - 1};
    *buffer = 0;
    return made;
}

void text_add(text *self, const char *words) {
    while (*words)
        add(self, *words++);
}

static void add_digit(text *self, uint8_t value) { add(self, (char)(value < 10 ? '0' + value : 'A' + value - 10)); }

void text_add_hex(text *self, uint8_t value) {
    text_add(self, "0x");
    add_digit(self, value >> 4);
    add_digit(self, value & 15u);
}

void text_add_number(text *self, int16_t value) {
    uint16_t rest = (uint16_t)value;
    if (value < 0) {
        add(self, '-');
        rest = (uint16_t)(0u - rest);
    }
    uint16_t place = 10000;
    while (place > 1 && rest < place)
        place = (uint16_t)(place / 10u);
    for (; place > 0; place = (uint16_t)(place / 10u))
        add_digit(self, (uint8_t)(rest / place % 10u));
}
