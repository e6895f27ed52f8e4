/* SPDX-License-Identifier: MIT */
/* Code that changes under the processor's feet. SDM Vol. 3A, "Self-Modifying Code": a store to code
 * is seen by the next instruction if both use the same linear address; else a jump or a serializing
 * instruction is due. */
#include "roms/lib/traps.h"

static uint8_t code[3 * GUEST_PAGE] __attribute__((aligned(4096)));

typedef uint32_t (*code_fn)(void);

static void serialize(void)
{
    cpuid(0, 0);
}

/* MOV EAX, imm32; RET at `at`. Where the immediate is. */
static uint8_t *put_mov(uint8_t *at, uint32_t v)
{
    at[0] = 0xB8;
    memcpy(at + 1, &v, 4);
    at[5] = 0xC3;
    return at + 1;
}

static uint32_t call(const uint8_t *at)
{
    return ((code_fn)(reg_t)at)();
}

static void next_instruction(void)
{
    uint32_t v;
    bool is_right = true;
    __asm__ volatile("movb $42, 1f + 1\n1:\tmovb $1, %%al\n\tmovzbl %%al, %0"
                     : "=a"(v)
                     :
                     : "memory");
    check_equal("a store into the next instruction", 42, v);
    for (unsigned i = 0; i < 100; i++) {
        __asm__ volatile("movb %b1, 1f + 1\n\tnop\n\tnop\n1:\tmovb $1, %%al\n\tmovzbl %%al, %0"
                         : "=&a"(v)
                         : "c"(i)
                         : "memory");
        is_right = is_right && v == i;
    }
    check("a store three instructions ahead, a hundred times", is_right);
    __asm__ volatile(
        "mov $3, %%ecx\n\txor %%eax, %%eax\n"
        "1:\tinc %%eax\n\tmovb $0x90, 2f\n\tmovb $0x90, 2f + 1\n2:\tjmp 3f\n\tadd $100, %%eax\n"
        "3:\tdec %%ecx\n\tjnz 1b"
        : "=a"(v)
        :
        : "ecx", "memory", "cc");
    check_equal("a jump overwritten before it is reached", 303, v);
}

static void own_bytes(void)
{
    uint32_t v;
    __asm__ volatile("xor %%eax, %%eax\n\tmov $2, %%ecx\n"
                     "1:\tmovb $7, 2f + 2\n2:\tadd $1, %%eax\n\tdec %%ecx\n\tjnz 1b"
                     : "=a"(v)
                     :
                     : "ecx", "memory", "cc");
    check_equal("a loop that edits its own addition", 14, v);
    /* REP STOSB writes NOPs over INC EAX behind it. */
    code[0] = 0xF3;
    code[1] = 0xAA;
    memset(code + 2, 0x40, 8);
#if defined(__x86_64__)
    for (unsigned i = 0; i < 4; i++)
        memcpy(code + 2 + 2 * i, "\xFF\xC0", 2); /* INC EAX */
#endif
    code[10] = 0xC3;
    __asm__ volatile("call *%3"
                     : "=a"(v)
                     : "a"(0x90), "D"(code + 2), "r"(code), "c"(4)
                     : "memory", "cc");
    check_equal("REP STOSB over the instructions behind it", 0x90 + (IS_64 ? 2 : 4), v);
}

static void called_code(void)
{
    uint8_t *imm = put_mov(code, 0);
    bool is_right = true;
    for (uint32_t i = 0; i < 1000; i++) {
        memcpy(imm, &i, 4);
        serialize();
        is_right = is_right && call(code) == i;
    }
    check("a function rewritten and called, a thousand times", is_right);
    for (uint32_t i = 0; i < 1000; i++) {
        *(volatile uint8_t *)imm = (uint8_t)i;
        is_right = is_right && (call(code) & 0xFF) == (uint8_t)i;
    }
    check("one byte of it at a time", is_right);
    put_mov(code + 64, 0x1111);
    put_mov(code + 128, 0x2222);
    is_right = call(code + 64) == 0x1111 && call(code + 128) == 0x2222;
    for (uint32_t i = 0; i < 100; i++) {
        put_mov(code + 64, i);
        is_right = is_right && call(code + 128) == 0x2222 && call(code + 64) == i;
    }
    check("its neighbour in another line is left alone", is_right);
}

static void across_pages(void)
{
    uint8_t *at = code + GUEST_PAGE - 3, *imm = put_mov(at, 0x12345678);
    check_equal("an instruction that crosses pages", 0x12345678, call(at));
    imm[0] = 1;
    check_equal("edited in its first page", 0x12345601, call(at));
    imm[3] = 2;
    check_equal("edited in its second page", 0x02345601, call(at));
    at[0] = 0xB9; /* MOV ECX */
    put_mov(code, 0x77);
    at[0] = 0xB8;
    check_equal("and its opcode to and fro", 0x02345601, call(at));
}

/* The store and the code share a page, a line, and at last the bytes. */
static void data_beside_code(void)
{
    volatile uint32_t *data = (volatile uint32_t *)(void *)(code + 32);
    bool is_right = true;
    put_mov(code, 0x5555);
    for (uint32_t i = 0; i < 1000; i++) {
        *data = i;
        is_right = is_right && call(code) == 0x5555 && *data == i;
    }
    check("data in the same line as code", is_right);
}

static void moved_code(void)
{
    uint8_t *last = code + 2 * GUEST_PAGE;
    bool is_right = true;
    for (uint32_t i = 0; i < 50; i++) {
        uint8_t text[16];
        put_mov(text, i * 0x01010101);
        memcpy(last + i, text, 6); /* REP MOVSB into a page of code */
        serialize();
        is_right = is_right && call(last + i) == i * 0x01010101;
    }
    check("code copied by REP MOVSB over older code", is_right);
}

int main(void)
{
    next_instruction();
    own_bytes();
    called_code();
    across_pages();
    data_beside_code();
    moved_code();
    return checks_result();
}
