/* STM32F405 (Netduino Plus 2 and others) with an IIS3DWB on SPI1: PA4 CS, PA5 SPC, PA6 SDO, PA7 SDI. USART1 speaks the
 * protocol on PA9 (out) and PA10 (in) at 2 Mbaud, which the internal 16 MHz oscillator makes without a remainder.
 *
 * With FAKE defined a fake sensor plays the waveform at 0x08080000 instead of SPI1, for QEMU's netduinoplus2:
 *
 *     qemu-system-arm -M netduinoplus2 -display none -serial pty -kernel firmware.elf \
 *         -device loader,file=wave.bin,addr=0x08080000,force-raw=on
 *
 * In interrupts: taking a byte from the ring and giving it to the USART, or the other way round; some dozens of cycles. */
#include <stdbool.h>
#include <stdint.h>

#include "device.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define RCC_AHB1ENR REGISTER(0x40023830u)
#define RCC_APB1ENR REGISTER(0x40023840u)
#define RCC_APB2ENR REGISTER(0x40023844u)
#define GPIOA_MODER REGISTER(0x40020000u)
#define GPIOA_OSPEEDR REGISTER(0x40020008u)
#define GPIOA_BSRR REGISTER(0x40020018u)
#define GPIOA_AFRL REGISTER(0x40020020u)
#define GPIOA_AFRH REGISTER(0x40020024u)
#define USART_SR REGISTER(0x40011000u)
#define USART_DR REGISTER(0x40011004u)
#define USART_BRR REGISTER(0x40011008u)
#define USART_CR1 REGISTER(0x4001100Cu)
#define TIM2_CR1 REGISTER(0x40000000u)
#define TIM2_EGR REGISTER(0x40000014u)
#define TIM2_CNT REGISTER(0x40000024u)
#define TIM2_PSC REGISTER(0x40000028u)
#define TIM2_ARR REGISTER(0x4000002Cu)
#define ADC1_SR REGISTER(0x40012000u)
#define ADC1_CR2 REGISTER(0x40012008u)
#define ADC1_SQR3 REGISTER(0x40012034u)
#define ADC1_DR REGISTER(0x4001204Cu)
#define ADC_CCR REGISTER(0x40012304u)
#define NVIC_ENABLE_32 REGISTER(0xE000E104u)
#define SYSTEM_RESET REGISTER(0xE000ED0Cu)

enum { USART_RXNE = 1 << 5, USART_TXE = 1 << 7, USART_ON = 1 << 13 | 1 << 15 | 1 << 5 | 1 << 3 | 1 << 2 };

static device self;
static uint8_t ring[32768]; /* a host that is stalled for 0.2 s costs nothing */

static uint32_t now_us(void *context) {
    (void)context;
    return TIM2_CNT;
}

static void wait_ms(void *context, uint16_t ms) {
    const uint32_t began = now_us(context);
    while (now_us(context) - began < 1000u * ms) {
    }
}

static uint32_t draw(void *context) {
    /* The lowest bits of the thermometer's voltage are noise. */
    static uint32_t drawn;
    for (uint8_t taken = 0; taken < 16; taken++) {
        ADC1_CR2 = 1u | 1u << 30;
        for (uint16_t tries = 0; tries < 1000 && !(ADC1_SR & 2u); tries++) {
        }
        drawn = (drawn ^ ADC1_DR ^ now_us(context)) * 2654435761u + 1u;
    }
    return drawn ^ drawn >> 15;
}

void usart1(void) {
    uint8_t byte;
    if (USART_SR & USART_RXNE)
        device_received(&self, (uint8_t)USART_DR);
    if (!(USART_CR1 & USART_TXE) || !(USART_SR & USART_TXE))
        return;
    if (wire_take(&self.out, &byte))
        USART_DR = byte;
    else
        USART_CR1 &= ~(uint32_t)USART_TXE;
}

static void sent(void *context) {
    (void)context;
    USART_CR1 |= USART_TXE;
}

static void reset(void *context) {
    (void)context;
    SYSTEM_RESET = 0x05FA0004u;
    for (;;) {
    }
}

#ifdef FAKE
#include "fake.h"
#include "wave.h"

#define PRESCALER 999u /* QEMU's timers run at 1 GHz */

static fake chip;
static wave played;

static uint64_t chip_us(void *context) {
    static uint64_t total;
    static uint32_t last;
    const uint32_t now = now_us(context);
    total += (uint32_t)(now - last);
    last = now;
    return total;
}

static void set_up_sensor(sensor_bus *bus) {
    played.samples = REGISTER(0x08080000u);
    played.counts = (const int16_t *)0x08080008u;
    fake_init(&chip, &fake_iis3dwb, BUS_SPI);
    chip.context = &played;
    chip.value = wave_value;
    chip.now_us = chip_us;
    bus->context = &chip;
    bus->transfer = fake_transfer;
}

/* QEMU's USART raises no interrupt when it is ready for another byte. */
static void send_all(void) {
    __asm volatile("cpsid i");
    while (wire_waiting(&self.out) > 0) {
        USART_CR1 |= USART_TXE;
        usart1();
    }
    __asm volatile("cpsie i");
}
#else
#define PRESCALER 15u
#define SPI_CR1 REGISTER(0x40013000u)
#define SPI_SR REGISTER(0x40013008u)
#define SPI_DR REGISTER(0x4001300Cu)

static uint8_t exchange(uint8_t byte) {
    SPI_DR = byte;
    while (!(SPI_SR & 1u)) {
    }
    return (uint8_t)SPI_DR;
}

static bool transfer(void *context, const uint8_t *out, uint8_t n_out, uint8_t *in, uint16_t n_in) {
    (void)context;
    GPIOA_BSRR = 1u << (4 + 16);
    while (n_out-- > 0)
        (void)exchange(*out++);
    while (n_in-- > 0)
        *in++ = exchange(0);
    GPIOA_BSRR = 1u << 4;
    return true;
}

static void set_up_sensor(sensor_bus *bus) {
    RCC_APB2ENR |= 1u << 12;
    GPIOA_BSRR = 1u << 4;
    GPIOA_MODER = (GPIOA_MODER & ~(0xFFu << 8)) | 0xA9u << 8; /* PA4 output, PA5 to PA7 alternate */
    GPIOA_OSPEEDR |= 0xFFu << 8;
    GPIOA_AFRL = (GPIOA_AFRL & 0x000FFFFFu) | 0x55500000u;
    SPI_CR1 = 1u << 9 | 1u << 8 | 1u << 6 | 1u << 2 | 3u; /* master, mode 3, half of 16 MHz */
    bus->transfer = transfer;
}

static void send_all(void) {}
#endif

static void set_up(void) {
    RCC_AHB1ENR |= 1u;
    RCC_APB1ENR |= 1u;
    RCC_APB2ENR |= 1u << 4 | 1u << 8;
    GPIOA_MODER = (GPIOA_MODER & ~(0xFu << 18)) | 0xAu << 18; /* PA9, PA10 alternate */
    GPIOA_AFRH = (GPIOA_AFRH & ~0xFF0u) | 0x770u;
    TIM2_PSC = PRESCALER;
    TIM2_ARR = 0xFFFFFFFFu;
    TIM2_EGR = 1;
    TIM2_CR1 = 1;
    ADC_CCR = 1u << 23;
    ADC1_SQR3 = 16;
    ADC1_CR2 = 1;
    USART_BRR = 1u << 4; /* 16 MHz / 8 */
    USART_CR1 = USART_ON;
    NVIC_ENABLE_32 = 1u << (37 - 32);
}

int main(void) {
    static sensor_bus bus = {.kind = BUS_SPI, .wait_ms = wait_ms};
    set_up();
    set_up_sensor(&bus);
    const device_config config = {
        .device_id = "stm32f405",
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
        send_all();
    }
}
