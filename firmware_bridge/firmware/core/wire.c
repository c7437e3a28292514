#include "wire.h"

#include "crc32.h"
#include "critical.h"

#define FULL_GROUP 0xFFu

void wire_out_init(wire_out *out, uint8_t *ring, uint16_t size) {
    out->ring = ring;
    out->mask = (uint16_t)(size - 1u);
    out->tail = 0;
    out->sequence = 0;
    ring[0] = 0; /* what a host heard before belongs to no frame of ours */
    out->head = out->position = 1;
}

static uint16_t load(const volatile uint16_t *index) {
    CRITICAL_ENTER;
    const uint16_t value = *index;
    CRITICAL_EXIT;
    return value;
}

static void store(volatile uint16_t *index, uint16_t value) {
    CRITICAL_ENTER;
    *index = value;
    CRITICAL_EXIT;
}

uint16_t wire_waiting(const wire_out *out) { return (uint16_t)(load(&out->head) - load(&out->tail)); }

static void append(wire_out *out, uint8_t byte) {
    out->ring[out->position & out->mask] = byte;
    out->position++;
}

static void open_group(wire_out *out) {
    out->code_at = out->position;
    out->code = 1;
    out->group_is_full = false;
    append(out, 0);
}

static void close_group(wire_out *out) { out->ring[out->code_at & out->mask] = out->code; }

static void encode(wire_out *out, uint8_t byte) {
    if (out->group_is_full)
        open_group(out);
    if (byte != 0) {
        append(out, byte);
        out->code++;
    }
    if (byte == 0 || out->code == FULL_GROUP) {
        close_group(out);
        if (byte == 0)
            open_group(out);
        else
            out->group_is_full = true;
    }
}

bool wire_begin(wire_out *out, uint8_t type, uint16_t payload_size) {
    const uint16_t decoded = (uint16_t)(WIRE_HEAD_SIZE + payload_size + WIRE_CRC_SIZE);
    const uint16_t longest = (uint16_t)(decoded + decoded / 254u + 2u);
    if ((uint32_t)wire_waiting(out) + longest > (uint32_t)out->mask + 1u)
        return false;
    out->position = out->head;
    out->crc = CRC32_START;
    open_group(out);
    wire_u8(out, type);
    wire_u16(out, out->sequence);
    wire_u16(out, payload_size);
    out->sequence++;
    return true;
}

void wire_u8(wire_out *out, uint8_t value) {
    out->crc = crc32_update(out->crc, value);
    encode(out, value);
}

void wire_u16(wire_out *out, uint16_t value) {
    wire_u8(out, (uint8_t)value);
    wire_u8(out, (uint8_t)(value >> 8));
}

void wire_u32(wire_out *out, uint32_t value) {
    wire_u16(out, (uint16_t)value);
    wire_u16(out, (uint16_t)(value >> 16));
}

void wire_u64(wire_out *out, uint64_t value) {
    wire_u32(out, (uint32_t)value);
    wire_u32(out, (uint32_t)(value >> 32));
}

void wire_bytes(wire_out *out, const uint8_t *bytes, uint16_t size) {
    while (size-- > 0)
        wire_u8(out, *bytes++);
}

void wire_end(wire_out *out) {
    const uint32_t crc = crc32_value(out->crc);
    wire_u32(out, crc);
    close_group(out);
    append(out, 0);
    store(&out->head, out->position);
}

bool wire_take(wire_out *out, uint8_t *byte) {
    const uint16_t tail = load(&out->tail);
    if (tail == load(&out->head))
        return false;
    *byte = out->ring[tail & out->mask];
    store(&out->tail, (uint16_t)(tail + 1u));
    return true;
}

void wire_in_init(wire_in *in, uint8_t *buffer, uint16_t size) {
    in->buffer = buffer;
    in->size = size;
    in->filled = 0;
    in->left = 0;
    in->code = 0;
    in->too_long = false;
}

static void keep(wire_in *in, uint8_t byte) {
    if (in->filled < in->size)
        in->buffer[in->filled++] = byte;
    else
        in->too_long = true;
}

static uint16_t u16_at(const uint8_t *bytes) { return (uint16_t)(bytes[0] | (uint16_t)bytes[1] << 8); }

static wire_result judge(wire_in *in) {
    if (in->left != 0)
        return WIRE_COBS;
    if (in->too_long)
        return WIRE_LONG;
    if (in->filled < WIRE_HEAD_SIZE + WIRE_CRC_SIZE)
        return WIRE_SHORT;
    const uint16_t body = (uint16_t)(in->filled - WIRE_CRC_SIZE);
    uint32_t sum = CRC32_START;
    for (uint16_t index = 0; index < body; index++)
        sum = crc32_update(sum, in->buffer[index]);
    const uint8_t *sent = &in->buffer[body];
    if (crc32_value(sum) != ((uint32_t)u16_at(sent + 2) << 16 | u16_at(sent)))
        return WIRE_CRC;
    in->type = in->buffer[0];
    in->sequence = u16_at(&in->buffer[1]);
    in->payload = &in->buffer[WIRE_HEAD_SIZE];
    in->payload_size = (uint16_t)(body - WIRE_HEAD_SIZE);
    return u16_at(&in->buffer[3]) == in->payload_size ? WIRE_FRAME : WIRE_LENGTH;
}

wire_result wire_feed(wire_in *in, uint8_t byte) {
    if (byte == 0) {
        const wire_result result = in->code == 0 ? WIRE_MORE : judge(in);
        in->filled = 0;
        in->left = 0;
        in->code = 0;
        in->too_long = false;
        return result;
    }
    if (in->left == 0) {
        if (in->code != 0 && in->code != FULL_GROUP)
            keep(in, 0);
        in->code = byte;
        in->left = (uint8_t)(byte - 1u);
    } else {
        keep(in, byte);
        in->left--;
    }
    return WIRE_MORE;
}
