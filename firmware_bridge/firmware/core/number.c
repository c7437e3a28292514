#include "number.h"

uint64_t double_bits(uint32_t numerator, uint32_t denominator) {
    /* Long division, bit by bit: the quotient's first 1 and the 53 bits behind it, the last of which rounds. */
    int16_t exponent = 0;
    uint64_t rest = numerator;
    const uint64_t divisor = denominator;
    uint64_t aligned = divisor;
    while (aligned << 1 <= rest) {
        aligned <<= 1;
        exponent++;
    }
    while (rest < aligned) {
        rest <<= 1;
        exponent--;
    }
    uint64_t quotient = 0;
    for (uint8_t bit = 0; bit < 54; bit++) {
        quotient <<= 1;
        if (rest >= aligned) {
            rest -= aligned;
            quotient |= 1u;
        }
        rest <<= 1;
    }
    const uint64_t half = quotient & 1u;
    quotient >>= 1;
    if (half && (rest != 0 || (quotient & 1u)))
        quotient++; /* up to 2^53, which the exponent below takes over */
    return ((uint64_t)(uint16_t)(exponent + 1022) << 52) + quotient;
}
