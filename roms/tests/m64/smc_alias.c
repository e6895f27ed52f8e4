/* SPDX-License-Identifier: MIT */
/* Code written through another linear address. SDM Vol. 3A, "Self-Modifying Code": such code needs
 * a serializing instruction; on this machine the next instruction sees it, by whatever address. */
#include "roms/lib/paging.h"

#define ALIAS ((reg_t)0x50000000)
enum { RW = PT_P | PT_W };

static uint8_t code[2 * GUEST_PAGE] __attribute__((aligned(4096)));

static uint32_t call(reg_t at)
{
    return ((uint32_t(*)(void))at)();
}

static void put(uint8_t *at, const char *bytes, unsigned n)
{
    memcpy(at, bytes, n);
}

int main(void)
{
    reg_t real = (reg_t)code;
    volatile uint8_t *alias = (volatile uint8_t *)ALIAS;
    bool is_right = true;
    page_map(ALIAS, real, RW);
    page_map(ALIAS + GUEST_PAGE, real + GUEST_PAGE, RW);
    pages_flush();
    put(code, "\xB8\x01\x00\x00\x00\xC3", 6); /* mov eax, 1; ret */
    for (unsigned i = 0; i < 200; i++) {
        alias[1] = (uint8_t)i;
        is_right = is_right && call(real) == i;
        code[1] = (uint8_t)(i + 1);
        is_right = is_right && call(ALIAS) == i + 1;
    }
    check("written by one address, run by another, both ways", is_right);
    /* mov byte [rdi + 9], al; nop; nop; mov eax, 0; ret: edits its own immediate by the alias */
    put(code + 64, "\x88\x47\x09\x90\x90\x90\x90\x90\xB8\x00\x00\x00\x00\xC3", 14);
    is_right = true;
    for (unsigned i = 0; i < 200; i++) {
        uint32_t v;
        __asm__ volatile("call *%2" : "=a"(v) : "a"(i), "r"(real + 64), "D"(ALIAS + 64) : "memory");
        is_right = is_right && v == i;
    }
    check("a few instructions ahead in the same block", is_right);
    /* mov byte [rdi + 4], al; mov eax, 0: the very next */
    put(code + 128, "\x88\x47\x04\xB8\x00\x00\x00\x00\xC3", 9);
    is_right = true;
    for (unsigned i = 0; i < 200; i++) {
        uint32_t v;
        __asm__ volatile("call *%2"
                         : "=a"(v)
                         : "a"(i), "r"(real + 128), "D"(ALIAS + 128)
                         : "memory");
        is_right = is_right && v == i;
    }
    check("the very next instruction", is_right);
    put(code + GUEST_PAGE - 3, "\xB8\x01\x02\x03\x04\xC3", 6);
    is_right = call(real + GUEST_PAGE - 3) == 0x04030201;
    alias[GUEST_PAGE + 1] = 0x44;
    is_right = is_right && call(real + GUEST_PAGE - 3) == 0x44030201;
    alias[GUEST_PAGE - 2] = 0x11;
    check("an instruction that crosses pages, each half by the alias",
          is_right && call(real + GUEST_PAGE - 3) == 0x44030211);
    return checks_result();
}
