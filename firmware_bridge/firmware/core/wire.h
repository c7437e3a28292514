/* Frames on the wire: PROTOCOL.md, "Frame". Out through a ring that an interrupt empties, in byte by byte. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stdint.h>

#define WIRE_HEAD_SIZE 5u /* type, sequence, length of the payload */
#define WIRE_CRC_SIZE 4u
#define WIRE_MAX_PAYLOAD 2048u

/* Out. One side (the main loop) begins and ends frames, the other (an interrupt) takes bytes. A frame is seen by the
 * other side only once it is whole. */
typedef struct wire_out {
    uint8_t *ring;          /* the caller's, of a power of two of bytes */
    uint16_t mask;          /* that power less 1 */
    volatile uint16_t head; /* behind the last whole frame */
    volatile uint16_t tail; /* the next byte to send */
    uint16_t position;      /* where the open frame goes on */
    uint16_t code_at;       /* where the code of the open COBS group goes */
    uint8_t code;           /* that code so far */
    bool group_is_full;     /* whether the next byte needs a group of its own */
    uint16_t sequence;
    uint32_t crc;
} wire_out;

/* Begin with an empty ring of `size` bytes, a power of two up to 32768, and one delimiter in it. */
void wire_out_init(wire_out *out, uint8_t *ring, uint16_t size);

/* Begin a frame. False, with nothing changed, if the ring has no room for it as long as COBS may make it. */
bool wire_begin(wire_out *out, uint8_t type, uint16_t payload_size);

/* Add to the payload, little-endian. Together exactly payload_size bytes. */
void wire_u8(wire_out *out, uint8_t value);
void wire_u16(wire_out *out, uint16_t value);
void wire_u32(wire_out *out, uint32_t value);
void wire_u64(wire_out *out, uint64_t value);
void wire_bytes(wire_out *out, const uint8_t *bytes, uint16_t size);

/* End the frame and show it to the sending side. */
void wire_end(wire_out *out);

/* The sending side: take one byte; false if there is none. */
bool wire_take(wire_out *out, uint8_t *byte);

/* Bytes of whole frames that wait. */
uint16_t wire_waiting(const wire_out *out);

typedef enum wire_result {
    WIRE_MORE,   /* nothing to say yet, or nothing between two delimiters */
    WIRE_FRAME,  /* type, sequence, payload and payload_size hold until the next byte is fed */
    WIRE_SHORT,  /* fewer bytes than any frame has */
    WIRE_LONG,   /* more than fit the buffer */
    WIRE_COBS,   /* a code points behind the end */
    WIRE_CRC,    /* damaged on the way */
    WIRE_LENGTH, /* the CRC is right and the length field lies */
} wire_result;

/* In. */
typedef struct wire_in {
    uint8_t *buffer; /* the caller's, for one decoded frame */
    uint16_t size;
    uint16_t filled;
    uint8_t left; /* bytes of the open COBS group that are still to come */
    uint8_t code; /* of that group; 0 before the first */
    bool too_long;
    uint8_t type;
    uint16_t sequence;
    const uint8_t *payload;
    uint16_t payload_size;
} wire_in;

void wire_in_init(wire_in *in, uint8_t *buffer, uint16_t size);

/* Take one byte from the wire. After anything but WIRE_MORE the decoder is in step for the next frame. */
wire_result wire_feed(wire_in *in, uint8_t byte);

#endif
