/* Tables that stay in flash: on an AVR, constants are otherwise copied to its little RAM. */
#ifndef FLASH_H
#define FLASH_H

#ifdef __AVR__
#include <avr/pgmspace.h>
#define IN_FLASH PROGMEM
#define FLASH_U16(address) pgm_read_word(address)
#define FLASH_U32(address) pgm_read_dword(address)
#else
#define IN_FLASH
#define FLASH_U16(address) (*(address))
#define FLASH_U32(address) (*(address))
#endif

#endif
