#include "device.h"

#include <string.h>

#include "number.h"
#include "text.h"

enum { HELLO = 0x01, SAMPLES = 0x02, STATUS = 0x03, REPLY = 0x04, LOG = 0x05, COMMAND = 0x81 };
enum { IDENTIFY = 1, START, STOP, SET_RATE, SET_RANGE, SELF_TEST, RESET };
enum { DONE, UNKNOWN_COMMAND, IMPOSSIBLE_VALUE, NOT_WHILE_STREAMING, FAILED };

#define INT16 0u
#define OVERRUN_BIT 0x80u
#define LOG_ERROR 3u
#define NO_THERMOMETER INT16_MIN
#define STATUS_EVERY_US 1000000u
#define STATUS_SIZE 35u
#define SAMPLES_HEAD 16u
#define REPLY_HEAD 8u

/* --- time and sessions ------------------------------------------------------------------------------------------ */

static uint64_t session_us(device *self) {
    const uint32_t now = self->config->now_us(self->config->context);
    self->time_us += (uint32_t)(now - self->last_now_us);
    self->last_now_us = now;
    return self->time_us - self->session_began_us;
}

static void begin_session(device *self) {
    self->session = self->config->random(self->config->context);
    self->session_began_us += session_us(self);
    self->produced = 0;
    self->drained_us = 0;
    self->status_due_us = STATUS_EVERY_US;
    self->overruns = self->dropped = 0;
    self->overrun = false;
    self->new_session = false;
}

/* Samples that the sensor makes in a time, rounded. */
static uint64_t samples_in(const device *self, uint64_t us) {
    return (us * self->sensor.rate_millihertz + 500000000u) / 1000000000u;
}

/* --- what the device says --------------------------------------------------------------------------------------- */

static void tag(wire_out *out, uint8_t number, uint8_t length) {
    wire_u8(out, number);
    wire_u8(out, length);
}

static void text_tag(wire_out *out, uint8_t number, const char *text) {
    const uint8_t length = (uint8_t)strlen(text);
    tag(out, number, length);
    wire_bytes(out, (const uint8_t *)text, length);
}

static void double_tag(wire_out *out, uint8_t number, uint32_t numerator, uint32_t denominator) {
    tag(out, number, 8);
    wire_u64(out, double_bits(numerator, denominator));
}

static void list_tag(wire_out *out, uint8_t number, const uint32_t *values, uint8_t n) {
    tag(out, number, (uint8_t)(4u * n));
    while (n-- > 0)
        wire_u32(out, *values++);
}

static uint16_t hello_size(const device *self) {
    const sensor_type *type = self->config->sensor;
    const uint16_t texts = (uint16_t)(strlen(self->config->device_id) + strlen(self->config->firmware_version) +
                                      strlen(type->model) + strlen(self->config->axes) + 1u);
    const uint16_t tags = 14, numbers = 1 + 4 + 5 * 8;
    return (uint16_t)(2u * tags + texts + numbers + 4u * type->n_rates + 4u * type->n_ranges);
}

static bool send_hello(device *self) {
    wire_out *out = &self->out;
    const sensor_type *type = self->config->sensor;
    uint32_t numerator, denominator;
    if (!wire_begin(out, HELLO, hello_size(self)))
        return false;
    tag(out, 1, 1);
    wire_u8(out, DEVICE_PROTOCOL_VERSION);
    tag(out, 2, 4);
    wire_u32(out, self->session);
    text_tag(out, 3, self->config->device_id);
    text_tag(out, 4, self->config->firmware_version);
    text_tag(out, 5, type->model);
    text_tag(out, 6, self->config->axes);
    text_tag(out, 7, "g");
    type->scale(self->sensor.range_milli_g, &numerator, &denominator);
    double_tag(out, 8, numerator, denominator);
    double_tag(out, 9, self->sensor.range_milli_g, 1000);
    double_tag(out, 10, self->sensor.rate_millihertz, 1000);
    tag(out, 11, 8);
    wire_u64(out, self->produced);
    tag(out, 12, 8);
    wire_u64(out, session_us(self));
    list_tag(out, 13, type->rates_millihertz, type->n_rates);
    list_tag(out, 14, type->ranges_milli_g, type->n_ranges);
    wire_end(out);
    return true;
}

static bool send_status(device *self) {
    wire_out *out = &self->out;
    const uint16_t waiting = wire_waiting(out);
    if (!wire_begin(out, STATUS, STATUS_SIZE))
        return false;
    wire_u32(out, self->session);
    wire_u64(out, self->produced);
    wire_u64(out, session_us(self));
    wire_u8(out, (uint8_t)self->state);
    wire_u32(out, self->overruns);
    wire_u32(out, self->dropped);
    wire_u16(out, waiting);
    wire_u16(out, self->config->ring_size);
    int16_t (*const thermometer)(void *context) = self->config->temperature_centi_c;
    wire_u16(out, (uint16_t)(thermometer ? thermometer(self->config->context) : NO_THERMOMETER));
    wire_end(out);
    self->status_due_us = session_us(self) + STATUS_EVERY_US;
    return true;
}

static bool send_reply(device *self) {
    wire_out *out = &self->out;
    const uint16_t length = (uint16_t)strlen(self->text);
    if (!wire_begin(out, REPLY, (uint16_t)(REPLY_HEAD + length)))
        return false;
    wire_u32(out, self->session);
    wire_u16(out, self->reply_sequence);
    wire_u8(out, self->reply_opcode);
    wire_u8(out, self->reply_result);
    wire_bytes(out, (const uint8_t *)self->text, length);
    wire_end(out);
    return true;
}

static bool send_log(device *self) {
    const uint16_t length = (uint16_t)strlen(self->text);
    if (!wire_begin(&self->out, LOG, (uint16_t)(1u + length)))
        return false;
    wire_u8(&self->out, LOG_ERROR);
    wire_bytes(&self->out, (const uint8_t *)self->text, length);
    wire_end(&self->out);
    return true;
}

/* Say one thing that is to be said, if there is room for it. */
static void say(device *self, bool *due, bool (*send)(device *)) {
    if (*due && send(self)) {
        *due = false;
        self->config->sent(self->config->context);
    }
}

static bool owes_words(const device *self) {
    return self->say_hello || self->say_reply || self->say_log || self->say_status;
}

/* --- the sensor ------------------------------------------------------------------------------------------------- */

static void describe(device *self, sensor_result result) {
    const sensor *found = &self->sensor;
    text out = text_begin(self->text, sizeof self->text);
    text_add(&out, found->type->model);
    if (result == SENSOR_SILENT) {
        text_add(&out, " does not answer: check power, wires, address");
    } else if (result == SENSOR_WEAK) {
        text_add(&out, " moved too little or too much");
    } else if (result == SENSOR_STRANGER) {
        text_add(&out, " has id ");
        text_add_hex(&out, found->found);
        text_add(&out, ", not ");
        text_add_hex(&out, found->wanted);
        if (found->found == 0x00 || found->found == 0xFF) /* a line that nothing drives */
            text_add(&out, ": check MISO/SDA and CS");
        else
            text_add(&out, ": another sensor?");
    } else {
        text_add(&out, " register ");
        text_add_hex(&out, found->at);
        text_add(&out, " holds ");
        text_add_hex(&out, found->found);
        text_add(&out, ", not ");
        text_add_hex(&out, found->wanted);
    }
}

static sensor_result configure(device *self, uint32_t rate_millihertz, uint32_t range_milli_g) {
    return self->sensor.type->configure(&self->sensor, rate_millihertz, range_milli_g);
}

static void check_sensor(device *self, sensor_result result) {
    self->sensor_state = result;
    if (result != SENSOR_OK) {
        describe(self, result);
        self->say_log = true;
    }
}

/* --- streaming -------------------------------------------------------------------------------------------------- */

static void start(device *self) {
    if (self->state == DEVICE_IDLE) {
        if (self->sensor_state != SENSOR_OK) /* it may have been plugged in by now */
            check_sensor(self, configure(self, self->config->rate_millihertz, self->config->range_milli_g));
        if (self->sensor_state == SENSOR_OK)
            check_sensor(self, self->sensor.type->start(&self->sensor));
        if (self->sensor_state == SENSOR_OK) {
            self->drained_us = session_us(self);
            self->state = DEVICE_STREAMING;
            self->say_hello = true;
        }
    }
    self->say_status = true;
}

static void stop(device *self) {
    if (self->state == DEVICE_STREAMING) {
        self->state = DEVICE_IDLE;
        self->new_session = true; /* once STATUS has told how this one ended */
        check_sensor(self, self->sensor.type->stop(&self->sensor));
    }
    self->say_status = true;
}

static bool send_block(device *self, uint8_t n, uint64_t first_us) {
    uint8_t samples[SENSOR_BURST * SENSOR_SAMPLE_BYTES];
    wire_out *out = &self->out;
    if (!wire_begin(out, SAMPLES, (uint16_t)(SAMPLES_HEAD + n * SENSOR_SAMPLE_BYTES)))
        return false;
    wire_u32(out, self->session);
    wire_u32(out, (uint32_t)self->produced);
    wire_u32(out, (uint32_t)first_us);
    wire_u16(out, n);
    wire_u8(out, SENSOR_AXES);
    wire_u8(out, (uint8_t)(INT16 | (self->overrun ? OVERRUN_BIT : 0u)));
    for (uint8_t left = n; left > 0;) {
        const uint8_t burst = left < SENSOR_BURST ? left : (uint8_t)SENSOR_BURST;
        if (!self->sensor.type->read(&self->sensor, samples, burst)) {
            out->sequence--; /* the open frame is never seen */
            check_sensor(self, SENSOR_SILENT);
            stop(self);
            return true;
        }
        wire_bytes(out, samples, (uint16_t)(burst * SENSOR_SAMPLE_BYTES));
        left = (uint8_t)(left - burst);
    }
    wire_end(out);
    self->config->sent(self->config->context);
    self->overruns += self->overrun;
    self->overrun = false;
    self->produced += n;
    return true;
}

/* Take samples out of the FIFO for which the wire has no room, and count them. */
static void drop(device *self, uint8_t n) {
    uint8_t samples[SENSOR_BURST * SENSOR_SAMPLE_BYTES];
    for (uint8_t left = n; left > 0;) {
        const uint8_t burst = left < SENSOR_BURST ? left : (uint8_t)SENSOR_BURST;
        if (!self->sensor.type->read(&self->sensor, samples, burst)) {
            check_sensor(self, SENSOR_SILENT);
            stop(self);
            return;
        }
        left = (uint8_t)(left - burst);
    }
    self->produced += n;
    self->dropped += n;
}

static uint64_t duration_us(const device *self, uint16_t samples) {
    return (uint64_t)samples * 1000000000u / self->sensor.rate_millihertz;
}

/* Count what the sensor threw away: what came since the last sample that was taken, less what the FIFO still holds. */
static void count_overrun(device *self, uint16_t waiting, uint64_t now) {
    const uint64_t came = samples_in(self, now - self->drained_us);
    const uint64_t gone = came > waiting ? came - waiting : 0;
    self->produced += gone > self->sensor.type->least_lost ? gone : self->sensor.type->least_lost;
    self->overrun = true;
}

static void stream(device *self) {
    const uint8_t n = self->config->block_samples;
    bool overrun = false;
    uint16_t waiting = self->sensor.type->waiting(&self->sensor, &overrun);
    const uint64_t now = session_us(self);
    if (overrun)
        count_overrun(self, waiting, now);
    for (; waiting >= n && self->state == DEVICE_STREAMING; waiting = (uint16_t)(waiting - n)) {
        const uint64_t age = duration_us(self, waiting);
        if (!send_block(self, n, now > age ? now - age : 0))
            drop(self, n);
    }
    const uint64_t age = duration_us(self, waiting);
    self->drained_us = now > age ? now - age : 0;
}

/* --- commands --------------------------------------------------------------------------------------------------- */

static void reply(device *self, uint8_t opcode, uint8_t result) {
    self->reply_opcode = opcode;
    self->reply_sequence = self->in.sequence;
    self->reply_result = result;
    self->say_reply = true;
}

static void change(device *self, uint8_t opcode, uint32_t value) {
    const uint32_t rate_millihertz = opcode == SET_RATE ? value : self->sensor.rate_millihertz;
    const uint32_t range_milli_g = opcode == SET_RANGE ? value : self->sensor.range_milli_g;
    const sensor_result result = configure(self, rate_millihertz, range_milli_g);
    if (result == SENSOR_VALUE) {
        reply(self, opcode, IMPOSSIBLE_VALUE);
        return;
    }
    self->sensor_state = result;
    if (result == SENSOR_OK) {
        begin_session(self);
        self->say_hello = true;
    } else {
        describe(self, result);
    }
    reply(self, opcode, result == SENSOR_OK ? DONE : FAILED);
}

static void test(device *self) {
    int16_t moved[SENSOR_AXES] = {0, 0, 0};
    const sensor_result result = self->sensor.type->self_test(&self->sensor, moved);
    if (result == SENSOR_OK) {
        text out = text_begin(self->text, sizeof self->text);
        text_add(&out, "moved by counts of");
        for (uint8_t axis = 0; axis < SENSOR_AXES; axis++) {
            text_add(&out, " ");
            text_add_number(&out, moved[axis]);
        }
    } else {
        describe(self, result);
    }
    self->sensor_state = configure(self, self->sensor.rate_millihertz, self->sensor.range_milli_g);
    reply(self, SELF_TEST, result == SENSOR_OK ? DONE : FAILED);
}

static void obey(device *self) {
    const uint8_t *payload = self->in.payload;
    const uint16_t size = self->in.payload_size;
    const uint8_t opcode = size > 0 ? payload[0] : 0;
    self->text[0] = 0;
    switch (opcode) {
    case IDENTIFY:
        self->say_hello = true;
        break;
    case START:
        start(self);
        break;
    case STOP:
        stop(self);
        break;
    case SET_RATE:
    case SET_RANGE:
    case SELF_TEST:
        if (self->state == DEVICE_STREAMING)
            reply(self, opcode, NOT_WHILE_STREAMING);
        else if (opcode == SELF_TEST)
            test(self);
        else if (size >= 5)
            change(self, opcode, (uint32_t)payload[4] << 24 | (uint32_t)payload[3] << 16 | (uint32_t)payload[2] << 8 | payload[1]);
        break;
    case RESET:
        reply(self, opcode, DONE);
        self->restart = true;
        break;
    default:
        if (size > 0)
            reply(self, opcode, UNKNOWN_COMMAND);
    }
}

void device_received(device *self, uint8_t byte) {
    const uint8_t head = self->received_head;
    if ((uint8_t)(head - self->received_tail) == DEVICE_RECEIVED)
        return;
    self->received[head & (DEVICE_RECEIVED - 1u)] = byte;
    self->received_head = (uint8_t)(head + 1u);
}

/* One command at a time: the next is heard once this one is answered. */
static void listen(device *self) {
    while (!owes_words(self) && !self->new_session && self->received_tail != self->received_head) {
        const uint8_t byte = self->received[self->received_tail & (DEVICE_RECEIVED - 1u)];
        self->received_tail = (uint8_t)(self->received_tail + 1u);
        if (wire_feed(&self->in, byte) == WIRE_FRAME && self->in.type == COMMAND)
            obey(self);
    }
}

/* --- the board's side ------------------------------------------------------------------------------------------- */

static void power_up(device *self) {
    const device_config *config = self->config;
    self->state = DEVICE_IDLE;
    self->say_status = self->say_reply = self->say_log = self->new_session = self->restart = false;
    self->sensor.type = config->sensor;
    self->sensor.bus = config->bus;
    self->sensor.rate_millihertz = config->rate_millihertz;
    self->sensor.range_milli_g = config->range_milli_g;
    check_sensor(self, configure(self, config->rate_millihertz, config->range_milli_g));
    begin_session(self);
    self->say_hello = true;
}

void device_begin(device *self, const device_config *config) {
    self->config = config;
    wire_out_init(&self->out, config->ring, config->ring_size);
    wire_in_init(&self->in, self->command, sizeof self->command);
    self->received_head = self->received_tail = 0;
    self->last_now_us = config->now_us(config->context);
    self->time_us = self->session_began_us = self->status_due_us = 0;
    power_up(self);
}

void device_poll(device *self) {
    const uint64_t now = session_us(self);
    listen(self);
    if (self->state == DEVICE_STREAMING && now >= self->status_due_us)
        self->say_status = true;
    say(self, &self->say_log, send_log);
    say(self, &self->say_hello, send_hello);
    say(self, &self->say_reply, send_reply);
    say(self, &self->say_status, send_status);
    if (self->new_session && !self->say_status)
        begin_session(self);
    if (self->restart && !self->say_reply && wire_waiting(&self->out) == 0) {
        if (self->config->reset)
            self->config->reset(self->config->context);
        power_up(self);
    }
    if (self->state == DEVICE_STREAMING && !self->say_hello)
        stream(self);
}

bool device_is_quiet(const device *self) {
    return !owes_words(self) && self->received_head == self->received_tail && !self->restart;
}
