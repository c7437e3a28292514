/* IEEE-754 doubles without floating point: an AVR's double has 32 bits. */
#ifndef NUMBER_H
#define NUMBER_H

#include <stdint.h>

/* The bits of the double nearest to numerator / denominator (ties to even), both > 0. */
uint64_t double_bits(uint32_t numerator, uint32_t denominator);

#endif
