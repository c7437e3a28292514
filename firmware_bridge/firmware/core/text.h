/* Words for people, put together without printf, which takes more flash than all else here. */
#ifndef TEXT_H
#define TEXT_H

#include <stdint.h>

typedef struct text {
    char *end;  /* where the closing 0 is */
    char *last; /* the last place for one */
} text;

/* Begin an empty text in a buffer of size > 0 bytes. What does not fit is cut off, the 0 always fits. */
text text_begin(char *buffer, uint16_t size);
void text_add(text *self, const char *words);
void text_add_hex(text *self, uint8_t value); /* 0x2A */
void text_add_number(text *self, int16_t value);

#endif
