/* An Arduino Uno without one: simavr runs the firmware, cycle by cycle, with a fake ADXL345 on its SPI and its UART on a
 * pseudo-terminal.
 *
 *     uno-run firmware.elf --wave counts.bin [--link PATH] [--speed 1.0]
 *
 * counts.bin: int16, little-endian, x, y, z of one sample behind the other; played again and again. The terminal carries
 * bytes as fast as the emulated UART does. --speed 0 runs as fast as it can. */
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <simavr/avr_ioport.h>
#include <simavr/avr_uart.h>
#include <simavr/sim_avr.h>
#include <simavr/sim_elf.h>

#include "fake.h"
#include "wave.h"

#define CLOCK_HZ 16000000u

static avr_t *avr;
static fake chip;
static wave played;
static int master;
static avr_irq_t *uart_in;
static bool selected, ready;
static uint8_t out[1 << 16];
static size_t held;

static uint64_t chip_us(void *context) {
    (void)context;
    return avr->cycle / (CLOCK_HZ / 1000000u);
}

static uint64_t wall_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void on_select(struct avr_irq_t *irq, uint32_t level, void *context) {
    (void)irq;
    (void)context;
    if (selected != !level) {
        selected = !level;
        fake_select(&chip);
    }
}

/* simavr's own SPI takes 100 us for each byte, whatever the clock. This one takes what the data sheet says. */
enum { SPCR_AT = 0x4C, SPSR_AT = 0x4D, SPDR_AT = 0x4E, SPIF_BIT = 0x80 };

static uint8_t spi_out, spi_in;

static avr_cycle_count_t spi_done(struct avr_t *which, avr_cycle_count_t when, void *context) {
    (void)when;
    (void)context;
    spi_in = selected ? fake_exchange(&chip, spi_out) : 0xFF;
    which->data[SPSR_AT] |= SPIF_BIT;
    return 0;
}

static void spi_write(struct avr_t *which, avr_io_addr_t at, uint8_t value, void *context) {
    static const uint8_t dividers[] = {4, 16, 64, 128};
    (void)context;
    const unsigned divider = dividers[which->data[SPCR_AT] & 3u] >> (which->data[SPSR_AT] & 1u);
    which->data[at] = spi_out = value;
    which->data[SPSR_AT] &= (uint8_t)~SPIF_BIT;
    avr_cycle_timer_register(which, 8u * divider, spi_done, 0);
}

static uint8_t spi_read(struct avr_t *which, avr_io_addr_t at, void *context) {
    (void)at;
    (void)context;
    which->data[SPSR_AT] &= (uint8_t)~SPIF_BIT;
    return spi_in;
}

static void on_byte(struct avr_irq_t *irq, uint32_t value, void *context) {
    (void)irq;
    (void)context;
    if (held < sizeof out)
        out[held++] = (uint8_t)value;
}

static void on_xon(struct avr_irq_t *irq, uint32_t value, void *context) {
    (void)irq;
    (void)value;
    (void)context;
    ready = true;
}

static void on_xoff(struct avr_irq_t *irq, uint32_t value, void *context) {
    (void)irq;
    (void)value;
    (void)context;
    ready = false;
}

static void open_pty(const char *link) {
    struct termios settings;
    master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) || unlockpt(master)) {
        perror("uno-run: no pseudo-terminal");
        exit(1);
    }
    const char *name = ptsname(master);
    const int slave = open(name, O_RDWR | O_NOCTTY);
    if (slave < 0 || tcgetattr(slave, &settings)) {
        perror(name);
        exit(1);
    }
    cfmakeraw(&settings);
    tcsetattr(slave, TCSANOW, &settings);
    close(slave);
    if (link) {
        unlink(link);
        if (symlink(name, link)) {
            perror(link);
            exit(1);
        }
    }
    printf("%s\n", link ? link : name);
    fflush(stdout);
}

static bool somebody(void) {
    struct pollfd there = {.fd = master, .events = POLLIN};
    poll(&there, 1, 0);
    return !(there.revents & POLLHUP);
}

/* Carry bytes between the terminal and the UART. The UART takes one when it has room. */
static void carry(void) {
    uint8_t byte;
    if (!somebody()) {
        held = 0;
        return;
    }
    if (ready && read(master, &byte, 1) == 1)
        avr_raise_irq(uart_in, byte);
    if (held > 0) {
        const ssize_t n = write(master, out, held);
        if (n > 0) {
            held -= (size_t)n;
            memmove(out, out + n, held);
        }
    }
}

int main(int argc, char **argv) {
    const char *link = 0, *file = 0;
    double speed = 1.0;
    elf_firmware_t firmware;
    memset(&firmware, 0, sizeof firmware);
    for (int at = 2; at + 1 < argc; at += 2) {
        if (strcmp(argv[at], "--wave") == 0)
            file = argv[at + 1];
        else if (strcmp(argv[at], "--link") == 0)
            link = argv[at + 1];
        else if (strcmp(argv[at], "--speed") == 0)
            speed = atof(argv[at + 1]);
    }
    if (argc < 2 || !file || !wave_load(&played, file) || elf_read_firmware(argv[1], &firmware)) {
        fprintf(stderr, "uno-run firmware.elf --wave FILE [--link PATH] [--speed TIMES]\n");
        return 2;
    }
    avr = avr_make_mcu_by_name("atmega328p");
    avr_init(avr);
    avr_load_firmware(avr, &firmware);
    avr->frequency = CLOCK_HZ;
    fake_init(&chip, &fake_adxl345, BUS_SPI);
    chip.context = &played;
    chip.value = wave_value;
    chip.now_us = chip_us;
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= (uint32_t) ~(AVR_UART_FLAG_STDIO | AVR_UART_FLAG_POLL_SLEEP);
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr->io[AVR_DATA_TO_IO(SPDR_AT)].w.c = spi_write;
    avr->io[AVR_DATA_TO_IO(SPDR_AT)].r.c = spi_read;
    uart_in = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_IOPORT_GETIRQ('B'), 2), on_select, 0);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_byte, 0);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), on_xon, 0);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), on_xoff, 0);
    open_pty(link);
    const uint64_t began = wall_us();
    for (uint64_t next = 0;; next += CLOCK_HZ / 2000u) { /* half a millisecond at a time */
        while (avr->cycle < next) {
            const int state = avr_run(avr);
            if (state == cpu_Done || state == cpu_Crashed)
                return 1;
        }
        carry();
        if (speed > 0) {
            const uint64_t due = began + (uint64_t)((double)chip_us(0) / speed);
            const uint64_t now = wall_us();
            if (due > now + 500u)
                usleep((useconds_t)(due - now));
        }
    }
}
