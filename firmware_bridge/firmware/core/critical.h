/* Sections that no interrupt may cut in two: 16-bit indices are two steps on an 8-bit processor, one on all others. */
#ifndef CRITICAL_H
#define CRITICAL_H

#ifdef __AVR__
#include <avr/interrupt.h>
#include <avr/io.h>
#include <stdint.h>
#define CRITICAL_ENTER            \
    const uint8_t status_ = SREG; \
    cli()
#define CRITICAL_EXIT SREG = status_
#else
#define CRITICAL_ENTER (void)0
#define CRITICAL_EXIT (void)0
#endif

#endif
