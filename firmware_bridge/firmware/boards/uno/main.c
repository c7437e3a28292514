/* Arduino Uno (ATmega328P, 16 MHz) with an ADXL345 on its SPI: D13 SCL, D12 SDO, D11 SDA, D10 CS. The UART of its USB
 * plug runs at BAUD, which 16 MHz divides without a remainder for 2 M, 1 M, 500 k and 250 k.
 *
 * In interrupts: taking a byte from the ring and giving it to the UART (about 4 us), the other way round (3 us), and
 * counting timer 1's overflows every 33 ms (2 us). */
#include <avr/eeprom.h>
#include <avr/interrupt.h>
#include <avr/io.h>
#include <util/delay.h>

#include "device.h"

#ifndef BAUD
#define BAUD 500000
#endif

static device self;
static uint8_t ring[512];
static volatile uint16_t overflows;
static uint32_t boots;
static uint32_t EEMEM boots_before;

ISR(TIMER1_OVF_vect) { overflows++; }

ISR(USART_RX_vect) { device_received(&self, UDR0); }

ISR(USART_UDRE_vect) {
    uint8_t byte;
    if (wire_take(&self.out, &byte))
        UDR0 = byte;
    else
        UCSR0B &= (uint8_t)~_BV(UDRIE0);
}

static void sent(void *context) {
    (void)context;
    const uint8_t status = SREG;
    cli();
    UCSR0B |= _BV(UDRIE0);
    SREG = status;
}

static uint32_t now_us(void *context) {
    /* Timer 1 counts halves of a microsecond and runs over after 32.768 ms. */
    (void)context;
    const uint8_t status = SREG;
    cli();
    uint16_t count = TCNT1, high = overflows;
    if ((TIFR1 & _BV(TOV1)) && count < 0x8000u) /* ran over, and its interrupt has not been served yet */
        high++;
    SREG = status;
    return ((uint32_t)high << 15) + (count >> 1);
}

static uint32_t draw(void *context) {
    /* Another one at each power-up because the EEPROM counts those (it lasts for 100,000), and at each call. */
    static uint32_t drawn;
    drawn = (drawn ^ boots ^ now_us(context)) * 2654435761u + 1u;
    return drawn ^ drawn >> 15;
}

static uint8_t exchange(uint8_t byte) {
    SPDR = byte;
    while (!(SPSR & _BV(SPIF))) {
    }
    return SPDR;
}

static bool transfer(void *context, const uint8_t *out, uint8_t n_out, uint8_t *in, uint16_t n_in) {
    (void)context;
    PORTB &= (uint8_t)~_BV(PB2);
    while (n_out-- > 0)
        (void)exchange(*out++);
    while (n_in-- > 0)
        *in++ = exchange(0);
    PORTB |= _BV(PB2);
    return true;
}

static void wait_ms(void *context, uint16_t ms) {
    (void)context;
    while (ms-- > 0)
        _delay_ms(1);
}

static void set_up(void) {
    PORTB |= _BV(PB2);
    DDRB |= _BV(PB2) | _BV(PB3) | _BV(PB5);
    SPCR = _BV(SPE) | _BV(MSTR) | _BV(CPOL) | _BV(CPHA); /* mode 3, a quarter of the clock: 4 MHz */
    TCCR1B = _BV(CS11);                                  /* an eighth */
    TIMSK1 = _BV(TOIE1);
    UCSR0A = _BV(U2X0);
    UBRR0 = F_CPU / 8 / BAUD - 1;
    UCSR0B = _BV(RXEN0) | _BV(TXEN0) | _BV(RXCIE0);
    boots = eeprom_read_dword(&boots_before) + 1u;
    eeprom_update_dword(&boots_before, boots);
    sei();
}

int main(void) {
    static const sensor_bus bus = {BUS_SPI, 0, transfer, wait_ms};
    static const device_config config = {
        .device_id = "uno",
        .firmware_version = DRSN_VERSION,
        .axes = "x,y,z",
        .sensor = &adxl345,
        .bus = &bus,
        .rate_millihertz = 3200000,
        .range_milli_g = 16000,
        .block_samples = 16,
        .ring = ring,
        .ring_size = sizeof ring,
        .now_us = now_us,
        .random = draw,
        .sent = sent,
    };
    set_up();
    device_begin(&self, &config);
    for (;;)
        device_poll(&self);
}
