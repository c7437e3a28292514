/* CRC-32 as in zlib and Ethernet, four bits at a time from a table of 64 bytes. */
#ifndef CRC32_H
#define CRC32_H

#include <stdint.h>

#define CRC32_START 0xFFFFFFFFu

/* Take in one byte. The sum so far is that of the bytes before, CRC32_START at first. */
uint32_t crc32_update(uint32_t sum, uint8_t byte);

/* The value that goes onto the wire. */
static inline uint32_t crc32_value(uint32_t sum) { return sum ^ 0xFFFFFFFFu; }

#endif
