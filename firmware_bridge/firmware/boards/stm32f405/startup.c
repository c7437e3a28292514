/* Vectors and memory of an STM32F405, before main. */
#include <stdint.h>

extern uint32_t _stack_top, _data_in_flash, _data, _data_end, _bss, _bss_end;
int main(void);
void usart1(void);

static void hang(void) {
    for (;;) {
    }
}

void reset_handler(void) {
    const uint32_t *from = &_data_in_flash;
    for (uint32_t *to = &_data; to < &_data_end;)
        *to++ = *from++;
    for (uint32_t *to = &_bss; to < &_bss_end;)
        *to++ = 0;
    main();
    hang();
}

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    vector system[15];
    vector interrupts[38];
} vectors = {
    &_stack_top,
    {reset_handler, hang, hang, hang, hang, hang, 0, 0, 0, 0, hang, hang, 0, hang, hang},
    {[37] = usart1},
};
