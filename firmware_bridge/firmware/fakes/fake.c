#include "fake.h"

#include <string.h>

enum { MPU6050_TRIM = 0x0D };

void fake_init(fake *self, const fake_type *type, bus_kind kind) {
    memset(self, 0, sizeof *self);
    self->type = type;
    self->kind = kind;
    self->registers[type->id_register] = type->id;
    self->stuck_register = -1;
    memset(&self->registers[MPU6050_TRIM], 0x60, type == &fake_mpu6050 ? 3 : 0);
}

static void advance(fake *self) {
    const uint32_t rate_millihertz = self->type->rate_millihertz(self);
    const bool runs = rate_millihertz > 0;
    if (runs && !self->running) {
        self->began_us = self->now_us(self->context);
        self->made = self->taken = 0;
        self->byte = 0;
        self->overrun = false;
    }
    self->running = runs;
    if (!runs)
        return;
    self->made = (self->now_us(self->context) - self->began_us) * rate_millihertz / 1000000000u;
    if (self->made - self->taken > self->type->depth) {
        self->taken = self->made - self->type->depth;
        self->overrun = true;
    }
}

uint64_t fake_made(fake *self) {
    advance(self);
    return self->made;
}

static void write(fake *self, uint8_t reg, uint8_t value) {
    if (reg != self->stuck_register && reg != self->type->id_register)
        self->type->write(self, reg, value);
    advance(self);
}

void fake_select(fake *self) { self->addressed = false; }

uint8_t fake_exchange(fake *self, uint8_t out) {
    uint8_t in = 0xFF;
    if (self->silent)
        return in;
    if (!self->addressed) {
        self->addressed = true;
        advance(self); /* a transfer sees one state of the chip */
        self->reading = (out & 0x80u) != 0;
        self->reg = out & self->type->address_mask;
        return in;
    }
    if (self->reading)
        in = self->type->read(self, self->reg);
    else
        write(self, self->reg, out);
    self->reg = self->type->next(self->reg);
    return in;
}

static bool transfer_i2c(fake *self, const uint8_t *out, uint8_t n_out, uint8_t *in, uint16_t n_in) {
    if (self->silent || n_out == 0)
        return false;
    advance(self);
    self->reg = out[0] & 0x7Fu;
    for (uint8_t index = 1; index < n_out; index++) {
        write(self, self->reg, out[index]);
        self->reg = self->type->next(self->reg);
    }
    for (; n_in > 0; n_in--) {
        *in++ = self->type->read(self, self->reg);
        self->reg = self->type->next(self->reg);
    }
    return true;
}

bool fake_transfer(void *context, const uint8_t *out, uint8_t n_out, uint8_t *in, uint16_t n_in) {
    fake *self = context;
    if (self->kind == BUS_I2C)
        return transfer_i2c(self, out, n_out, in, n_in);
    fake_select(self);
    while (n_out-- > 0)
        (void)fake_exchange(self, *out++);
    while (n_in-- > 0)
        *in++ = fake_exchange(self, 0);
    return true; /* nobody answers on SPI: a missing chip reads as 0xFF */
}

/* --- what all of them share ------------------------------------------------------------------------------------- */

static uint16_t level(const fake *self) { return (uint16_t)(self->made - self->taken); }

/* Byte 0 to 5 of the oldest sample, little-endian x, y, z. */
static uint8_t sample_byte(fake *self, uint8_t byte) {
    const uint8_t axis = byte / 2;
    int32_t value = self->value(self->context, self->taken, axis);
    if (self->type->pushes(self))
        value += self->type->push;
    const uint16_t bits = (uint16_t)(int16_t)value;
    return (uint8_t)(byte % 2 ? bits >> 8 : bits);
}

static void take(fake *self) {
    if (self->taken < self->made)
        self->taken++;
}

static void keep(fake *self, uint8_t reg, uint8_t value) { self->registers[reg] = value; }

static uint8_t count_up(uint8_t reg) { return (uint8_t)(reg + 1u) & 0x7Fu; }

/* --- ADXL345 ---------------------------------------------------------------------------------------------------- */

static uint32_t adxl345_rate(const fake *self) {
    const bool streams = (self->registers[0x38] & 0xC0u) == 0x80u, measures = self->registers[0x2D] & 0x08u;
    const uint8_t code = self->registers[0x2C] & 0x0Fu;
    return streams && measures && code >= 6u ? 6250u << (code - 6u) : 0;
}

static uint8_t adxl345_read(fake *self, uint8_t reg) {
    if (reg == 0x30) {
        const uint8_t source = (uint8_t)((level(self) > 0 ? 0x80u : 0u) | (self->overrun ? 1u : 0u));
        return source;
    }
    if (reg == 0x39)
        return (uint8_t)level(self);
    if (reg < 0x32 || reg > 0x37)
        return self->registers[reg];
    self->overrun = false; /* reading data clears it */
    const uint8_t byte = sample_byte(self, (uint8_t)(reg - 0x32));
    if (reg == 0x37)
        take(self);
    return byte;
}

static bool adxl345_pushes(const fake *self) { return self->registers[0x31] & 0x80u; }

const fake_type fake_adxl345 = {0x00, 0xE5, 33, adxl345_rate, adxl345_read, keep, count_up, 0x3F, 200, adxl345_pushes};

/* --- LIS3DH ----------------------------------------------------------------------------------------------------- */

static uint32_t lis3dh_rate(const fake *self) {
    static const uint32_t rates[16] = {0, 1000, 10000, 25000, 50000, 100000, 200000, 400000, 1600000, 1344000, 0, 0, 0, 0, 0, 0};
    const bool streams = (self->registers[0x2E] & 0xC0u) == 0x80u && (self->registers[0x24] & 0x40u);
    const uint8_t code = self->registers[0x20] >> 4;
    if (!streams)
        return 0;
    return code == 9 && (self->registers[0x20] & 0x08u) ? 5376000 : rates[code];
}

static uint8_t lis3dh_read(fake *self, uint8_t reg) {
    if (reg == 0x2F) {
        const uint16_t now = level(self);
        self->overrun = false;
        return (uint8_t)(now >= 32 ? 0x40u | 31u : now == 0 ? 0x20u : now);
    }
    if (reg < 0x28 || reg > 0x2D)
        return self->registers[reg];
    const uint8_t byte = sample_byte(self, (uint8_t)(reg - 0x28));
    if (reg == 0x2D)
        take(self);
    return byte;
}

static uint8_t lis3dh_next(uint8_t reg) { return reg == 0x2D ? 0x28 : count_up(reg); }

static bool lis3dh_pushes(const fake *self) { return self->registers[0x23] & 0x06u; }

const fake_type fake_lis3dh = {0x0F, 0x33, 32, lis3dh_rate, lis3dh_read, keep, lis3dh_next, 0x3F, 80 * 64, lis3dh_pushes};

/* --- MPU6050 ---------------------------------------------------------------------------------------------------- */

static uint32_t mpu6050_rate(const fake *self) {
    const bool awake = !(self->registers[0x6B] & 0x40u), fills = self->registers[0x23] & 0x08u;
    return awake && fills ? 1000000u / (1u + self->registers[0x19]) : 0;
}

static uint8_t mpu6050_read(fake *self, uint8_t reg) {
    const uint16_t bytes = (uint16_t)(level(self) * 6u - self->byte);
    if (reg == 0x3A) {
        const uint8_t status = self->overrun ? 0x10 : 0;
        self->overrun = false;
        return status;
    }
    if (reg == 0x72 || reg == 0x73)
        return (uint8_t)(reg == 0x72 ? bytes >> 8 : bytes);
    if (reg != 0x74)
        return self->registers[reg];
    const uint8_t byte = sample_byte(self, self->byte ^ 1u); /* big-endian */
    if (++self->byte == 6) {
        self->byte = 0;
        take(self);
    }
    return byte;
}

static void mpu6050_write(fake *self, uint8_t reg, uint8_t value) {
    if (self->registers[0x6B] & 0x40u && reg != 0x6B)
        return; /* asleep */
    if (reg == 0x6A && !(self->registers[0x6A] & 0x40u)) { /* empty as long as it was not in use, and when reset then */
        self->taken = self->made;
        self->byte = 0;
        value = (uint8_t)(value & ~0x04u);
    }
    keep(self, reg, value);
}

static uint8_t mpu6050_next(uint8_t reg) { return reg == 0x74 ? reg : count_up(reg); }

static bool mpu6050_pushes(const fake *self) { return (self->registers[0x1C] & 0xE0u) == 0xE0u; }

/* Its factory's trim, in registers 0x0D to 0x10, says 2006 counts: `fake_init` writes code 12 for each axis. */
const fake_type fake_mpu6050 = {0x75, 0x68, 170, mpu6050_rate, mpu6050_read, mpu6050_write, mpu6050_next, 0x7F, 2000, mpu6050_pushes};

/* --- IIS3DWB ---------------------------------------------------------------------------------------------------- */

static uint32_t iis3dwb_rate(const fake *self) {
    const bool on = (self->registers[0x10] & 0xE0u) == 0xA0u, batches = (self->registers[0x09] & 0x0Fu) == 0x0Au;
    return on && batches && (self->registers[0x0A] & 0x07u) == 0x06u ? 26667000 : 0;
}

static uint8_t iis3dwb_read(fake *self, uint8_t reg) {
    if (reg == 0x3A)
        return (uint8_t)level(self);
    if (reg == 0x3B) {
        const uint8_t status = (uint8_t)(level(self) >> 8 | (self->overrun ? 0x48u : 0u));
        self->overrun = false;
        return status;
    }
    if (reg == 0x78)
        return (uint8_t)(level(self) > 0 ? 0x02u << 3 : 0);
    if (reg < 0x79 || reg > 0x7E)
        return self->registers[reg];
    const uint8_t byte = sample_byte(self, (uint8_t)(reg - 0x79));
    if (reg == 0x7E)
        take(self);
    return byte;
}

static uint8_t iis3dwb_next(uint8_t reg) { return reg == 0x7E ? 0x78 : count_up(reg); }

static bool iis3dwb_pushes(const fake *self) { return (self->registers[0x14] & 3u) != 0; }

const fake_type fake_iis3dwb = {0x0F, 0x7B, 512, iis3dwb_rate, iis3dwb_read, keep, iis3dwb_next, 0x7F, 12000, iis3dwb_pushes};
