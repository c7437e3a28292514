/* Arm's MPS2 board with image AN386 (Cortex-M4F, 25 MHz), as QEMU emulates it.
 *
 *     qemu-system-arm -M mps2-an386 -display none -serial pty -kernel firmware.elf \
 *         -device loader,file=wave.bin,addr=0x21000000,force-raw=on
 *
 * The board has no accelerometer: a fake IIS3DWB plays wave.bin, which is u32 number of samples, u32 any number that is
 * another at each start, then int16 x, y, z of each sample. UART0 speaks the protocol. QEMU knows no baud rate.
 *
 * In interrupts: taking a byte from the ring and giving it to the UART, or the other way round; some dozens of cycles. */
#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "fake.h"
#include "wave.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define UART_DATA REGISTER(0x40004000u)
#define UART_STATE REGISTER(0x40004004u)
#define UART_CTRL REGISTER(0x40004008u)
#define UART_INTERRUPT REGISTER(0x4000400Cu)
#define UART_DIVIDER REGISTER(0x40004010u)
#define TIMER_CTRL REGISTER(0x40000000u)
#define TIMER_VALUE REGISTER(0x40000004u)
#define TIMER_RELOAD REGISTER(0x40000008u)
#define SYSTICK_CTRL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_VALUE REGISTER(0xE000E018u)
#define NVIC_ENABLE REGISTER(0xE000E100u)
#define NVIC_SET_PENDING REGISTER(0xE000E200u)
#define SYSTEM_RESET REGISTER(0xE000ED0Cu)

enum { TX_FULL = 1, RX_FULL = 2, TX_ON = 1, RX_ON = 2, TX_IRQ = 4, RX_IRQ = 8, TICKS_PER_US = 25 };
enum { UART_RX_NUMBER = 0, UART_TX_NUMBER = 1 };

static device self;
static fake chip;
static wave played;
static uint8_t ring[32768]; /* a host that is stalled for 0.2 s costs nothing */

static uint64_t ticks(void) {
    /* The timer counts down and runs over after 171 s; main asks every millisecond. */
    static uint64_t total;
    static uint32_t last;
    const uint32_t now = 0xFFFFFFFFu - TIMER_VALUE;
    total += (uint32_t)(now - last);
    last = now;
    return total;
}

static uint64_t chip_us(void *context) {
    (void)context;
    return ticks() / TICKS_PER_US;
}

static uint32_t now_us(void *context) { return (uint32_t)chip_us(context); }

static uint32_t draw(void *context) {
    static uint32_t drawn;
    (void)context;
    drawn = (drawn ^ REGISTER(0x21000004u) ^ (uint32_t)ticks()) * 2654435761u + 1u;
    return drawn ^ drawn >> 15;
}

static void wait_ms(void *context, uint16_t ms) {
    const uint64_t end = ticks() + (uint64_t)ms * 1000u * TICKS_PER_US;
    (void)context;
    while (ticks() < end) {
    }
}

static void send_next(void) {
    uint8_t byte;
    if (!(UART_STATE & TX_FULL) && wire_take(&self.out, &byte))
        UART_DATA = byte;
}

void uart_sent(void) {
    UART_INTERRUPT = 1;
    send_next();
}

void uart_received(void) {
    UART_INTERRUPT = 2;
    while (UART_STATE & RX_FULL)
        device_received(&self, (uint8_t)UART_DATA);
}

void tick(void) {}

/* Wake the sending interrupt, as if a byte had just left. */
static void sent(void *context) {
    (void)context;
    NVIC_SET_PENDING = 1u << UART_TX_NUMBER;
}

static void reset(void *context) {
    (void)context;
    SYSTEM_RESET = 0x05FA0004u;
    for (;;) {
    }
}

int main(void) {
    played.samples = REGISTER(0x21000000u);
    played.counts = (const int16_t *)0x21000008u;
    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CTRL = 1;
    UART_DIVIDER = 16;
    UART_CTRL = TX_ON | RX_ON | TX_IRQ | RX_IRQ;
    NVIC_ENABLE = 1u << UART_RX_NUMBER | 1u << UART_TX_NUMBER;
    SYSTICK_RELOAD = TICKS_PER_US * 1000 - 1;
    SYSTICK_VALUE = 0;
    SYSTICK_CTRL = 7;
    fake_init(&chip, &fake_iis3dwb, BUS_SPI);
    chip.context = &played;
    chip.value = wave_value;
    chip.now_us = chip_us;
    const sensor_bus bus = {BUS_SPI, &chip, fake_transfer, wait_ms};
    const device_config config = {
        .device_id = "mps2-an386",
        .firmware_version = DRSN_VERSION,
        .axes = "x,y,z",
        .sensor = &iis3dwb,
        .bus = &bus,
        .rate_millihertz = 26667000,
        .range_milli_g = 16000,
        .block_samples = 64,
        .ring = ring,
        .ring_size = sizeof ring,
        .now_us = now_us,
        .random = draw,
        .sent = sent,
        .reset = reset,
    };
    device_begin(&self, &config);
    for (;;) {
        device_poll(&self);
        if (wire_waiting(&self.out) > 0)
            NVIC_SET_PENDING = 1u << UART_TX_NUMBER; /* should the byte that was to wake it have been lost */
        __asm volatile("wfi");
    }
}
