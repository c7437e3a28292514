/* The firmware as a program: a fake sensor plays a waveform through it, on a pseudo-terminal or a TCP port.
 *
 *     drsn-host --sensor adxl345 --wave counts.bin --link /tmp/sensor     prints the port, runs until it is killed
 *     drsn-host --sensor iis3dwb --wave counts.bin --listen 5555
 *
 * counts.bin: int16, little-endian, x, y, z of one sample behind the other; it is played again and again. */
#define _XOPEN_SOURCE 700
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "fake.h"
#include "wave.h"

static fake chip;
static wave played;
static int master = -1, listener = -1;

static uint64_t wall_us(void *context) {
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static uint32_t now_us(void *context) { return (uint32_t)wall_us(context); }

static uint32_t draw(void *context) {
    uint32_t drawn = (uint32_t)wall_us(context);
    FILE *file = fopen("/dev/urandom", "rb");
    if (file) {
        if (fread(&drawn, sizeof drawn, 1, file) != 1)
            drawn = (uint32_t)wall_us(context);
        fclose(file);
    }
    return drawn;
}

static void wait_ms(void *context, uint16_t ms) {
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000L};
    (void)context;
    nanosleep(&time, 0);
}

static void sent(void *context) { (void)context; }

static void fail(const char *what) {
    fprintf(stderr, "drsn-host: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void open_pty(const char *link) {
    struct termios settings;
    master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        fail("no pseudo-terminal");
    const char *name = ptsname(master);
    const int slave = open(name, O_RDWR | O_NOCTTY);
    if (slave < 0 || tcgetattr(slave, &settings))
        fail(name);
    settings.c_iflag = settings.c_oflag = settings.c_lflag = 0;
    settings.c_cflag = CS8 | CREAD | CLOCAL;
    tcsetattr(slave, TCSANOW, &settings);
    close(slave);
    if (link) {
        unlink(link);
        if (symlink(name, link))
            fail(link);
    }
    printf("%s\n", link ? link : name);
}

static void open_listener(uint16_t port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int yes = 1;
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        fail("cannot listen");
    printf("127.0.0.1:%d\n", ntohs(address.sin_port));
}

/* Whether somebody is there: what is sent meanwhile would only fill a buffer and be read much later. */
static bool wait_for_somebody(int ms) {
    if (listener >= 0 && master < 0) {
        struct pollfd ready = {.fd = listener, .events = POLLIN};
        if (poll(&ready, 1, ms) > 0) {
            master = accept(listener, 0, 0);
            fcntl(master, F_SETFL, O_NONBLOCK);
        }
        return master >= 0;
    }
    struct pollfd there = {.fd = master, .events = POLLIN};
    poll(&there, 1, ms);
    if (!(there.revents & POLLHUP))
        return true;
    if (listener < 0)
        wait_ms(0, (uint16_t)ms); /* poll() does not wait while nobody has the terminal open */
    return false;
}

static void hang_up(void) {
    if (listener >= 0) {
        close(master);
        master = -1;
    }
}

static void serve(device *self, bool somebody) {
    uint8_t data[4096];
    ssize_t n = 0;
    if (somebody) {
        n = read(master, data, DEVICE_RECEIVED / 2);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EIO))
            hang_up();
        for (ssize_t index = 0; index < n; index++)
            device_received(self, data[index]);
    }
    device_poll(self);
    static uint8_t left[4096];
    static size_t held;
    while (held < sizeof left && wire_take(&self->out, &left[held]))
        held++;
    if (!somebody) {
        held = 0;
    } else if (held > 0 && master >= 0) {
        n = write(master, left, held);
        if (n < 0 && errno != EAGAIN)
            hang_up();
        if (n > 0) {
            held -= (size_t)n;
            memmove(left, left + n, held);
        }
    }
}

#define CHIP(name, bus) {#name, &name, &fake_##name, bus},
static const struct {
    const char *name;
    const sensor_type *driver;
    const fake_type *fake;
    bus_kind kind;
} chips[] = {SENSORS(CHIP)};
#define N_CHIPS ((int)(sizeof chips / sizeof chips[0]))

/* The first chip of a name, on its usual bus; -1 if there is none. */
static int find_chip(const char *name) {
    for (int index = 0; index < N_CHIPS; index++)
        if (strcmp(chips[index].name, name) == 0)
            return index;
    return -1;
}

static void say_usage(void) {
    fprintf(stderr, "drsn-host --sensor ");
    for (int index = 0; index < N_CHIPS; index++)
        if (find_chip(chips[index].name) == index)
            fprintf(stderr, "%s%s", index > 0 ? "|" : "", chips[index].name);
    fprintf(stderr, " --wave FILE [--link PATH | --listen PORT]\n");
}

int main(int argc, char **argv) {
    static uint8_t ring[8192];
    static device self;
    const char *link = 0, *file = 0, *name = "adxl345";
    int port = -1;
    for (int at = 1; at + 1 < argc; at += 2) {
        if (strcmp(argv[at], "--sensor") == 0)
            name = argv[at + 1];
        else if (strcmp(argv[at], "--wave") == 0)
            file = argv[at + 1];
        else if (strcmp(argv[at], "--link") == 0)
            link = argv[at + 1];
        else if (strcmp(argv[at], "--listen") == 0)
            port = atoi(argv[at + 1]);
    }
    const int which = find_chip(name);
    if (which < 0 || !file || !wave_load(&played, file)) {
        say_usage();
        return 2;
    }
    if (port >= 0)
        open_listener((uint16_t)port);
    else
        open_pty(link);
    fflush(stdout);
    if (master >= 0)
        fcntl(master, F_SETFL, O_NONBLOCK);
    fake_init(&chip, chips[which].fake, chips[which].kind);
    chip.context = &played;
    chip.value = wave_value;
    chip.now_us = wall_us;
    const sensor_bus bus = {chips[which].kind, &chip, fake_transfer, wait_ms};
    const sensor_type *type = chips[which].driver;
    const device_config config = {
        .device_id = "host-1", .firmware_version = DRSN_VERSION, .axes = "x,y,z", .sensor = type, .bus = &bus,
        .rate_millihertz = type->rates_millihertz[type->n_rates - 1], .range_milli_g = 16000,
        .block_samples = (uint8_t)(type == &iis3dwb ? 64 : 16), .ring = ring, .ring_size = sizeof ring,
        .now_us = now_us, .random = draw, .sent = sent,
    };
    device_begin(&self, &config);
    for (;;)
        serve(&self, wait_for_somebody(1));
}
