/* Tests of everything that is no board. Prints each failure; exit code 0 only without any.
 *
 *     test_firmware tests/vectors
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "device.h"
#include "fake.h"
#include "number.h"
#include "text.h"
#include "wire.h"

static int failures, checks;

#define CHECK(what)                                                    \
    do {                                                               \
        checks++;                                                      \
        if (!(what)) {                                                 \
            failures++;                                                \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #what);  \
        }                                                              \
    } while (0)

/* --- numbers and words ------------------------------------------------------------------------------------------ */

static void test_crc(void) {
    uint32_t sum = CRC32_START;
    for (const char *at = "123456789"; *at; at++)
        sum = crc32_update(sum, (uint8_t)*at);
    CHECK(crc32_value(sum) == 0xCBF43926u); /* the check value of the catalogue of parametrised CRC algorithms */
}

static void check_double(uint32_t numerator, uint32_t denominator) {
    const double expected = (double)numerator / (double)denominator;
    uint64_t bits;
    memcpy(&bits, &expected, sizeof bits);
    CHECK(double_bits(numerator, denominator) == bits);
}

static void test_doubles(void) {
    static const uint32_t edges[] = {1, 2, 3, 256, 1000, 16384, 1000000, 0x7FFFFFFFu, 0x80000000u, 0xFFFFFFFEu, 0xFFFFFFFFu};
    const unsigned n = sizeof edges / sizeof edges[0];
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < n; j++)
            check_double(edges[i], edges[j]);
    srand(1);
    for (int i = 0; i < 100000; i++)
        check_double((uint32_t)rand() + 1u, (uint32_t)rand() >> (rand() % 30) | 1u);
}

static void test_text(void) {
    char buffer[24];
    text out = text_begin(buffer, sizeof buffer);
    text_add_number(&out, 0);
    text_add_number(&out, -32768);
    text_add_number(&out, 32767);
    text_add_hex(&out, 0xA5);
    CHECK(strcmp(buffer, "0-32768327670xA5") == 0);
    text_add(&out, "more than there is room for");
    CHECK(strlen(buffer) == sizeof buffer - 1);
}

/* --- vectors ---------------------------------------------------------------------------------------------------- */

static uint8_t bytes[8192];

static uint16_t from_hex(const char *hex, uint8_t *out) {
    uint16_t n = 0;
    unsigned value;
    for (; sscanf(hex, "%2x", &value) == 1; hex += 2)
        out[n++] = (uint8_t)value;
    return n;
}

static wire_result feed_all(wire_in *in, const uint8_t *wire, uint16_t n) {
    for (uint16_t index = 0; index < n; index++)
        CHECK(wire_feed(in, wire[index]) == WIRE_MORE);
    return wire_feed(in, 0);
}

/* Cut a line at its tabs; the file's lines are as long as the longest frame makes them. */
static bool next_line(FILE *file, char *fields[5]) {
    static char line[20000];
    if (!fgets(line, sizeof line, file))
        return false;
    line[strcspn(line, "\n")] = 0;
    char *at = line;
    for (int field = 0; field < 5; field++) {
        fields[field] = at;
        at += strcspn(at, "\t");
        if (*at)
            *at++ = 0;
    }
    return true;
}

static FILE *open_vectors(const char *folder, const char *name, char *fields[5]) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    if (!file || !next_line(file, fields)) {
        printf("cannot read %s\n", path);
        exit(2);
    }
    return file;
}

static void test_frames(const char *folder) {
    static uint8_t buffer[2057], ring[4096], wire[4096];
    char *fields[5];
    int lines = 0;
    FILE *file = open_vectors(folder, "frames.tsv", fields);
    wire_in in;
    wire_in_init(&in, buffer, sizeof buffer);
    for (; next_line(file, fields); lines++) {
        const uint8_t type = (uint8_t)atoi(fields[1]);
        const uint16_t sequence = (uint16_t)atoi(fields[2]), size = from_hex(fields[3], bytes);
        const uint16_t wire_size = from_hex(fields[4], wire);
        CHECK(feed_all(&in, wire, wire_size) == WIRE_FRAME);
        CHECK(in.type == type && in.sequence == sequence && in.payload_size == size);
        CHECK(memcmp(in.payload, bytes, size) == 0);
        wire_out out;
        wire_out_init(&out, ring, sizeof ring);
        out.sequence = sequence;
        CHECK(wire_begin(&out, type, size));
        wire_bytes(&out, bytes, size);
        wire_end(&out);
        uint8_t byte;
        CHECK(wire_take(&out, &byte) && byte == 0);
        for (uint16_t index = 0; index < wire_size; index++)
            CHECK(wire_take(&out, &byte) && byte == wire[index]);
        CHECK(wire_take(&out, &byte) && byte == 0 && !wire_take(&out, &byte));
    }
    CHECK(lines > 30);
    fclose(file);
}

static void test_bad(const char *folder) {
    static const struct {
        const char *name;
        wire_result result;
    } names[] = {{"short", WIRE_SHORT}, {"long", WIRE_LONG}, {"cobs", WIRE_COBS}, {"crc", WIRE_CRC}, {"length", WIRE_LENGTH}};
    static uint8_t buffer[2057];
    char *fields[5];
    int lines = 0;
    FILE *file = open_vectors(folder, "bad.tsv", fields);
    wire_in in;
    wire_in_init(&in, buffer, sizeof buffer);
    for (; next_line(file, fields); lines++) {
        const wire_result result = feed_all(&in, bytes, from_hex(fields[1], bytes));
        for (unsigned index = 0; index < 5; index++)
            if (strcmp(fields[2], names[index].name) == 0)
                CHECK(result == names[index].result);
        /* In step again at once. */
        static const uint8_t start[] = {0x03, 0x81, 0x01, 0x02, 0x01, 0x06, 0x02, 0x75, 0x44, 0x82, 0xb6};
        CHECK(feed_all(&in, start, sizeof start) == WIRE_FRAME && in.payload_size == 1 && in.payload[0] == 2);
    }
    CHECK(lines > 10);
    fclose(file);
}

static void test_ring_runs_over(void) {
    static uint8_t ring[64], buffer[64];
    wire_out out;
    wire_in in;
    wire_out_init(&out, ring, sizeof ring);
    wire_in_init(&in, buffer, sizeof buffer);
    int frames = 0, refused = 0;
    for (int round = 0; round < 100000; round++) {
        const uint8_t size = (uint8_t)(rand() % 40);
        if (wire_begin(&out, 1, size)) {
            for (uint8_t index = 0; index < size; index++)
                wire_u8(&out, (uint8_t)(rand() % 3));
            if (rand() % 8) /* an open frame that is given up is never seen */
                wire_end(&out);
            else
                out.sequence--;
        } else {
            refused++;
        }
        uint8_t byte;
        for (int taken = rand() % 50; taken > 0 && wire_take(&out, &byte); taken--) {
            const wire_result result = wire_feed(&in, byte);
            CHECK(result == WIRE_MORE || result == WIRE_FRAME);
            if (result == WIRE_FRAME)
                CHECK(in.sequence == (uint16_t)frames++);
        }
    }
    CHECK(frames > 10000 && refused > 1000);
}

/* --- sensors ---------------------------------------------------------------------------------------------------- */

static uint64_t clock_us;
static uint32_t rate_ppm; /* that the fake's clock is faster by; the device does not know */

static uint64_t fake_now_us(void *context) {
    (void)context;
    return clock_us + clock_us * rate_ppm / 1000000u;
}

static int16_t ramp(void *context, uint64_t index, uint8_t axis) {
    (void)context;
    return (int16_t)(((index * 16u) % 4000u) + axis * 16u - 2000);
}

static int16_t still(void *context, uint64_t index, uint8_t axis) {
    (void)context;
    (void)index;
    return (int16_t)(axis == 2 ? 256 : 0);
}

static void wait_ms(void *context, uint16_t ms) {
    (void)context;
    clock_us += 1000u * ms;
}

typedef struct chip {
    const sensor_type *driver;
    const fake_type *fake;
    bus_kind kind;
} chip;

#define CHIP(name, bus) {&name, &fake_##name, bus},
static const chip chips[] = {SENSORS(CHIP)};
#define N_CHIPS (sizeof chips / sizeof chips[0])

static fake chip_fake;
static sensor_bus chip_bus;
static sensor chip_sensor;

static void plug_in(const chip *which) {
    fake_init(&chip_fake, which->fake, which->kind);
    chip_fake.value = ramp;
    chip_fake.now_us = fake_now_us;
    chip_bus.kind = which->kind;
    chip_bus.context = &chip_fake;
    chip_bus.transfer = fake_transfer;
    chip_bus.wait_ms = wait_ms;
    chip_sensor.type = which->driver;
    chip_sensor.bus = &chip_bus;
    rate_ppm = 0;
}

static sensor_result configure_fastest(const chip *which) {
    const sensor_type *type = which->driver;
    const uint32_t fastest = type->rates_millihertz[type->n_rates - 1], widest = type->ranges_milli_g[type->n_ranges - 1];
    return type->configure(&chip_sensor, fastest, widest);
}

static int16_t count_at(const uint8_t *sample, uint8_t axis) {
    return (int16_t)(uint16_t)(sample[2 * axis] | (uint16_t)sample[2 * axis + 1] << 8);
}

static void test_every_rate_and_range(const chip *which) {
    const sensor_type *type = which->driver;
    for (uint8_t rate = 0; rate < type->n_rates; rate++)
        for (uint8_t range = 0; range < type->n_ranges; range++) {
            plug_in(which);
            CHECK(type->configure(&chip_sensor, type->rates_millihertz[rate], type->ranges_milli_g[range]) == SENSOR_OK);
            CHECK(type->start(&chip_sensor) == SENSOR_OK);
            CHECK(which->fake->rate_millihertz(&chip_fake) == type->rates_millihertz[rate]);
            CHECK(type->stop(&chip_sensor) == SENSOR_OK);
            CHECK(which->fake->rate_millihertz(&chip_fake) == 0);
            uint32_t numerator, denominator;
            type->scale(type->ranges_milli_g[range], &numerator, &denominator);
            const double full = 32768.0 * numerator / denominator;
            CHECK(full >= 0.99 * type->ranges_milli_g[range] / 1000.0); /* the counts reach the range */
        }
    CHECK(type->configure(&chip_sensor, 1, type->ranges_milli_g[0]) == SENSOR_VALUE);
    CHECK(type->configure(&chip_sensor, type->rates_millihertz[0], 1) == SENSOR_VALUE);
}

static void test_samples_come_in_order(const chip *which) {
    plug_in(which);
    CHECK(configure_fastest(which) == SENSOR_OK && which->driver->start(&chip_sensor) == SENSOR_OK);
    uint64_t index = 0;
    bool overrun = false;
    for (int step = 0; step < 1000; step++) {
        clock_us += 1000u + (uint64_t)(rand() % 1000);
        uint16_t waiting = which->driver->waiting(&chip_sensor, &overrun);
        while (waiting > 0) {
            uint8_t samples[SENSOR_BURST * SENSOR_SAMPLE_BYTES];
            const uint8_t n = waiting < SENSOR_BURST ? (uint8_t)waiting : (uint8_t)SENSOR_BURST;
            CHECK(which->driver->read(&chip_sensor, samples, n));
            for (uint8_t sample = 0; sample < n; sample++, index++)
                for (uint8_t axis = 0; axis < SENSOR_AXES; axis++)
                    CHECK(count_at(&samples[sample * SENSOR_SAMPLE_BYTES], axis) == ramp(0, index, axis));
            waiting = (uint16_t)(waiting - n);
        }
    }
    CHECK(!overrun && index > 900);
    clock_us += 1000000u;
    (void)which->driver->waiting(&chip_sensor, &overrun);
    CHECK(overrun);
}

static void test_faults_are_named(const chip *which) {
    plug_in(which);
    chip_fake.silent = true;
    const sensor_result silent = configure_fastest(which);
    CHECK(silent == (which->kind == BUS_I2C ? SENSOR_SILENT : SENSOR_STRANGER));
    plug_in(which);
    chip_fake.registers[which->fake->id_register] = 0x42;
    CHECK(configure_fastest(which) == SENSOR_STRANGER && chip_sensor.found == 0x42 && chip_sensor.wanted == which->fake->id);
    int forgets = 0;
    for (int16_t reg = 0; reg < 128; reg++) {
        plug_in(which);
        chip_fake.registers[reg] = (uint8_t)(reg == which->fake->id_register ? which->fake->id : 0x10);
        chip_fake.stuck_register = reg;
        sensor_result result = configure_fastest(which);
        if (result == SENSOR_OK)
            result = which->driver->start(&chip_sensor);
        if (result == SENSOR_FORGETS) {
            CHECK((chip_sensor.at & 0x7F) == reg && chip_sensor.found == 0x10);
            forgets++;
        } else {
            CHECK(result == SENSOR_OK);
        }
    }
    CHECK(forgets >= 4); /* every register that it writes */
}

static void test_self_test(const chip *which) {
    int16_t moved[SENSOR_AXES];
    plug_in(which);
    chip_fake.value = still;
    CHECK(configure_fastest(which) == SENSOR_OK);
    CHECK(which->driver->self_test(&chip_sensor, moved) == SENSOR_OK);
    CHECK(moved[0] == which->fake->push && moved[2] == which->fake->push);
    fake_type broken = *which->fake;
    broken.push = 3;
    chip_fake.type = &broken;
    CHECK(which->driver->self_test(&chip_sensor, moved) == SENSOR_WEAK && moved[1] == 3);
    CHECK(configure_fastest(which) == SENSOR_OK);
}

/* --- device ----------------------------------------------------------------------------------------------------- */

static device dut;
static uint8_t dut_ring[1024];
static device_config dut_config;
static uint32_t sessions_drawn;

/* What came out, taken apart again. */
typedef struct heard {
    uint8_t types[64];
    unsigned n;
    uint8_t hello[256], status[64], reply[80], log[80];
    uint64_t next, lost, samples, overruns;
    uint32_t session;
    uint16_t sequence;
    bool wrong;
} heard;

static heard ear;
static wire_in ear_in;
static uint8_t ear_buffer[2057];

static uint32_t u32_at(const uint8_t *at) {
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static void hear_samples(void) {
    const uint8_t *payload = ear_in.payload;
    const uint32_t first = u32_at(payload + 4);
    const uint16_t n = (uint16_t)(payload[12] | payload[13] << 8);
    if (u32_at(payload) != ear.session) {
        ear.session = u32_at(payload);
        ear.next = 0;
    }
    ear.lost += first - ear.next;
    ear.wrong |= first < ear.next || payload[14] != 3 || ear_in.payload_size != 16 + 6 * n;
    ear.overruns += payload[15] >> 7;
    for (uint16_t sample = 0; sample < n; sample++)
        for (uint8_t axis = 0; axis < 3; axis++)
            if (!(payload[15] >> 7) && ear.overruns == 0) /* behind an overrun the index is an estimate */
                ear.wrong |= count_at(payload + 16 + 6 * sample, axis) != ramp(0, first + sample, axis);
    ear.next = first + n;
    ear.samples += n;
}

static void hear(uint8_t byte) {
    const wire_result result = wire_feed(&ear_in, byte);
    ear.wrong |= result > WIRE_FRAME;
    if (result != WIRE_FRAME)
        return;
    ear.wrong |= ear_in.sequence != ear.sequence++;
    if (ear_in.type != 2 && ear.n < sizeof ear.types)
        ear.types[ear.n++] = ear_in.type;
    uint8_t *kept[] = {0, ear.hello, 0, ear.status, ear.reply, ear.log};
    if (ear_in.type == 2)
        hear_samples();
    else
        memcpy(kept[ear_in.type], ear_in.payload, ear_in.payload_size);
}

/* Let time pass in steps; the wire carries so many bytes in each. */
static void run(uint32_t steps, uint32_t step_us, uint32_t bytes_per_step) {
    while (steps-- > 0) {
        uint8_t byte;
        clock_us += step_us;
        device_poll(&dut);
        for (uint32_t taken = 0; taken < bytes_per_step && wire_take(&dut.out, &byte); taken++)
            hear(byte);
    }
}

static void command(uint16_t sequence, const uint8_t *payload, uint8_t size) {
    static uint8_t ring[256];
    wire_out out;
    uint8_t byte;
    wire_out_init(&out, ring, sizeof ring);
    out.sequence = sequence;
    CHECK(wire_begin(&out, 0x81, size));
    wire_bytes(&out, payload, size);
    wire_end(&out);
    while (wire_take(&out, &byte))
        device_received(&dut, byte);
}

static void command1(uint8_t opcode) { command(7, &opcode, 1); }

static uint32_t dut_now(void *context) {
    (void)context;
    return (uint32_t)clock_us;
}
static uint32_t dut_random(void *context) {
    (void)context;
    return 0xABCD0000u + ++sessions_drawn;
}
static void dut_sent(void *context) { (void)context; }
static int16_t dut_temperature(void *context) {
    (void)context;
    return 2150;
}

static void switch_on(const chip *which) {
    plug_in(which);
    memset(&ear, 0, sizeof ear);
    wire_in_init(&ear_in, ear_buffer, sizeof ear_buffer);
    const sensor_type *type = which->driver;
    const device_config config = {
        .device_id = "test-1", .firmware_version = "0.1.0", .axes = "x,-y,z", .sensor = type, .bus = &chip_bus,
        .rate_millihertz = type->rates_millihertz[type->n_rates - 1], .range_milli_g = 16000, .block_samples = 16,
        .ring = dut_ring, .ring_size = sizeof dut_ring, .now_us = dut_now, .random = dut_random,
        .temperature_centi_c = dut_temperature, .sent = dut_sent,
    };
    dut_config = config;
    device_begin(&dut, &dut_config);
}

static void test_a_session(const chip *which) {
    switch_on(which);
    run(10, 500, 4000);
    CHECK(ear.n == 1 && ear.types[0] == 1); /* HELLO at power-up */
    const uint32_t first_session = dut.session;
    command1(2); /* START */
    run(6000, 500, 4000); /* 3 s */
    CHECK(!ear.wrong && ear.lost == 0 && ear.overruns == 0);
    CHECK(ear.types[1] == 1 && ear.types[2] == 3 && ear.n >= 5); /* HELLO, STATUS, and STATUS each second */
    CHECK(u32_at(ear.hello + 5) == ear.session && ear.session == first_session);
    const uint64_t made = fake_made(&chip_fake);
    CHECK(ear.samples > made - 64 && ear.samples <= made);
    command1(3); /* STOP */
    run(10, 500, 4000);
    CHECK(ear.status[20] == 0 && u32_at(ear.status) == ear.session); /* idle, and still of that session */
    CHECK(u32_at(ear.status + 4) == ear.next && u32_at(ear.status + 25) == 0);
    CHECK(ear.status[33] == (2150 & 255) && ear.status[34] == 2150 >> 8);
    CHECK(dut.session != ear.session);
    const uint64_t before = ear.samples;
    command1(2);
    run(200, 500, 4000);
    CHECK(!ear.wrong && ear.samples > before && ear.lost == 0);
}

static void test_a_wire_that_is_too_slow(const chip *which) {
    switch_on(which);
    command1(2);
    const uint32_t bytes_per_ms = which->driver->rates_millihertz[which->driver->n_rates - 1] / 1000000u * 6u;
    run(3000, 1000, bytes_per_ms / 2u + 2u);
    command1(3);
    run(1000, 1000, 4000);
    CHECK(!ear.wrong && ear.overruns == 0 && ear.lost > 0);
    CHECK(ear.samples + u32_at(ear.status + 25) == u32_at(ear.status + 4)); /* sent + dropped = produced */
    CHECK(ear.lost <= u32_at(ear.status + 25));
}

static void test_an_overrun_is_counted(const chip *which) {
    switch_on(which);
    command1(2);
    run(1000, 1000, 4000);
    CHECK(ear.lost == 0);
    for (int stall = 0; stall < 5; stall++) {
        clock_us += 200000u; /* nobody polls for so long */
        run(100, 1000, 4000);
    }
    const uint64_t made = fake_made(&chip_fake), known = ear.samples + ear.lost + which->fake->depth;
    command1(3);
    run(10, 1000, 4000);
    CHECK(!ear.wrong && ear.overruns == u32_at(ear.status + 21));
    CHECK(made < known + 16 && made + 16 > ear.samples + ear.lost); /* to within the samples still inside, and a few */
    if (200000.0 * which->driver->rates_millihertz[which->driver->n_rates - 1] / 1e9 > which->fake->depth)
        CHECK(ear.overruns == 5 && ear.lost > 0);
}

static void test_changes(const chip *which) {
    const sensor_type *type = which->driver;
    switch_on(which);
    run(10, 500, 4000);
    const uint32_t before = dut.session;
    uint8_t set[5] = {5, 0xD0, 0x07, 0, 0}; /* 2 g */
    command(300, set, 5);
    run(10, 500, 4000);
    CHECK(ear.types[1] == 1 && ear.types[2] == 4); /* HELLO, REPLY */
    CHECK(ear.reply[4] == (300 & 255) && ear.reply[5] == 1 && ear.reply[6] == 5 && ear.reply[7] == 0);
    CHECK(dut.session != before && dut.sensor.range_milli_g == 2000);
    set[1] = 0xD1;
    command(301, set, 5);
    run(10, 500, 4000);
    CHECK(ear.reply[7] == 2 && dut.sensor.range_milli_g == 2000); /* impossible */
    const uint32_t slow = type->rates_millihertz[0];
    const uint8_t rate[5] = {4, (uint8_t)slow, (uint8_t)(slow >> 8), (uint8_t)(slow >> 16), (uint8_t)(slow >> 24)};
    command(302, rate, 5);
    run(10, 500, 4000);
    CHECK(ear.reply[7] == 0 && dut.sensor.rate_millihertz == slow);
    command1(2);
    run(10, 500, 4000);
    command(303, rate, 5);
    run(10, 500, 4000);
    CHECK(ear.reply[7] == 3); /* not while streaming */
    command1(3);
    command1(0x63);
    run(10, 500, 4000);
    CHECK(ear.reply[6] == 0x63 && ear.reply[7] == 1);
    chip_fake.value = still;
    command1(6);
    run(10, 500, 4000);
    CHECK(ear.reply[6] == 6 && ear.reply[7] == 0 && memcmp(ear.reply + 8, "moved by", 8) == 0);
    const uint32_t last = dut.session;
    command1(7);
    run(20, 500, 4000);
    CHECK(ear.reply[6] == 7 && ear.reply[7] == 0 && dut.session != last && dut.sensor.range_milli_g == 16000);
    CHECK(!ear.wrong);
}

static void test_a_missing_sensor(const chip *which) {
    switch_on(which);
    chip_fake.silent = true;
    device_begin(&dut, &dut_config);
    ear.sequence = 0;
    wire_in_init(&ear_in, ear_buffer, sizeof ear_buffer);
    run(10, 500, 4000);
    CHECK(ear.types[0] == 5 && ear.types[1] == 1); /* LOG, HELLO */
    CHECK(ear.log[0] == 3 && strstr((char *)ear.log + 1, which->kind == BUS_I2C ? "does not answer" : "check MISO"));
    command1(2);
    run(10, 500, 4000);
    CHECK(ear.types[2] == 5 && ear.types[3] == 3 && ear.status[20] == 0 && ear.samples == 0); /* LOG, STATUS idle */
    chip_fake.silent = false; /* plugged in */
    command1(2);
    run(1000, 500, 4000);
    CHECK(ear.samples > 0 && !ear.wrong);
    chip_fake.silent = true; /* and out */
    run(1000, 500, 4000);
    CHECK(dut.state == DEVICE_IDLE || which->driver->waiting(&chip_sensor, &(bool){false}) == 0 || which->kind == BUS_SPI);
}

static void test_noise_on_the_wire(const chip *which) {
    switch_on(which);
    for (int round = 0; round < 20000; round++) {
        for (int n = rand() % 40; n > 0; n--)
            device_received(&dut, (uint8_t)(rand() % 4 ? rand() : 0));
        run(1, 500, 4000);
    }
    device_received(&dut, 0);
    command1(2);
    run(1000, 500, 4000);
    CHECK(!ear.wrong && ear.samples > 0 && dut.state == DEVICE_STREAMING);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : "tests/vectors";
    test_crc();
    test_doubles();
    test_text();
    test_frames(folder);
    test_bad(folder);
    test_ring_runs_over();
    for (unsigned index = 0; index < N_CHIPS; index++) {
        const chip *which = &chips[index];
        const int before = failures;
        test_every_rate_and_range(which);
        test_samples_come_in_order(which);
        test_faults_are_named(which);
        test_self_test(which);
        test_a_session(which);
        test_a_wire_that_is_too_slow(which);
        test_an_overrun_is_counted(which);
        test_changes(which);
        test_a_missing_sensor(which);
        test_noise_on_the_wire(which);
        if (failures > before)
            printf("  ... with %s on %s\n", which->driver->model, which->kind == BUS_SPI ? "SPI" : "I2C");
    }
    printf("%d checks, %d failures\n", checks, failures);
    return failures > 0;
}
