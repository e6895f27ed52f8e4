/* SPDX-License-Identifier: MIT */
/* Sensitive instructions again and again, so that translated code runs them: time and PAUSE, control registers read, segment
 * registers loaded from a descriptor that changes; and the bit strings and pairs of what is not sensitive. */
#include "roms/lib/traps.h"

enum { ROUNDS = 300, SEL = SEL_SPARE, STATUS = 0x8d5 };

/* ---- time ---- */

static uint64_t elapsed(void)
{
    uint32_t low[2], high[2];
    __asm__ volatile("rdtsc\n\tmov %%eax, %0\n\tmov %%edx, %1\n\tpause\n\tnop\n\trdtsc\n\t"
                     "mov %%eax, %2\n\tmov %%edx, %3"
                     : "=m"(low[0]), "=m"(high[0]), "=m"(low[1]), "=m"(high[1])
                     :
                     : "eax", "edx", "memory");
    return ((uint64_t)high[1] << 32 | low[1]) - ((uint64_t)high[0] << 32 | low[0]);
}

static void time_goes_on(void)
{
    uint64_t first = elapsed();
    unsigned others = 0;
    check("an instruction takes a tick", first == 5);
    for (unsigned i = 0; i < ROUNDS; i++)
        others += elapsed() != first;
    check_equal("RDTSC: it does in each round", 0, others);
}

static void time_is_denied(void)
{
    unsigned bad = 0;
    reg_t cr4 = read_cr4();
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (i == ROUNDS / 2)
            write_cr4(cr4 | 1u << 2); /* CR4.TSD is for CPL > 0 */
        bad += elapsed() != 5;
    }
    write_cr4(cr4);
    check_equal("RDTSC with CR4.TSD at CPL 0", 0, bad);
}

/* ---- control registers ---- */

static void control_registers(void)
{
    reg_t cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();
    unsigned bad = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        reg_t a, b, c, d;
        __asm__ volatile("mov %0, %%cr2" : : "r"((reg_t)i << 12));
        __asm__ volatile("mov %%cr0, %0\n\tmov %%cr3, %1\n\tmov %%cr4, %2\n\tmov %%cr2, %3"
                         : "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d));
        bad += a != cr0 || b != cr3 || c != cr4 || d != (reg_t)i << 12;
        __asm__ volatile("invlpg %0" : : "m"(gdt[0]));
    }
    check_equal("MOV from CR0, CR2, CR3, CR4", 0, bad);
}

/* ---- a segment register ---- */

static uint8_t here[2 * 64];

static uint8_t through_fs(void)
{
    uint8_t v;
    __asm__ volatile("mov %1, %%fs\n\tmovb %%fs:0, %0" : "=q"(v) : "r"(SEL) : "memory");
    return v;
}

static uint64_t descriptor(unsigned i, unsigned byte)
{
    return make_segment((uint32_t)(reg_t)&here[i], 0xfffff, byte, SEG_D);
}

static void segment_follows_its_descriptor(void)
{
    unsigned bad = 0, unaccessed = 0;
    for (unsigned i = 0; i < sizeof(here); i++)
        here[i] = (uint8_t)(i * 7 + 1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        gdt_set(SEL, descriptor(i / 3 % sizeof(here), i & 1 ? 0x93 : 0x92));
        bad += through_fs() != here[i / 3 % sizeof(here)];
        unaccessed += !(gdt[SEL / 8] >> 40 & 1);
    }
    check_equal("FS follows a descriptor that changes", 0, bad);
    check_equal("the descriptor is accessed after each load", 0, unaccessed);
    __asm__ volatile("mov %0, %%fs" : : "r"(0)); /* the handler saves and loads it */
    gdt_set(SEL, descriptor(0, 0x13));
    __asm__ volatile(TRY "mov %0, %%fs" END_TRY : : "r"(SEL) : "memory");
    check_fault("the same, not present", EXC_NP, SEL);
    __asm__ volatile("mov %0, %%fs" : : "r"(0));
}

/* ---- bits and pairs ---- */

static uint32_t bits[16];

/* Bit n from the middle: BTS, BT, BTR; carries in bits 0-2, and the other flags as they were before. */
static unsigned bit(int n)
{
    uint8_t set, test, reset;
    reg_t flags;
    __asm__ volatile("cmp %5, %5\n\tbtsl %5, %4\n\tsetc %0\n\tbtl %5, %4\n\tsetc %1\n\tbtrl %5, %4\n\tsetc %2\n\t"
                     "pushf\n\tpop %3"
                     : "=m"(set), "=m"(test), "=m"(reset), "=&r"(flags), "+m"(bits[8])
                     : "r"(n)
                     : "cc", "memory");
    return set | (unsigned)test << 1 | (unsigned)reset << 2 | ((flags & STATUS) == 0x45 ? 0 : 8u);
}

static void bit_strings(void)
{
    unsigned bad = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        int n = (int)(i * 37 % 512) - 256;
        bits[(n + 256) / 32] = i & 1 ? UINT32_MAX : 0;
        bad += bit(n) != (i & 1 ? 7 : 6);
        uint32_t left = (i & 1 ? UINT32_MAX : 0) & ~(1u << ((n + 256) % 32));
        bad += bits[(n + 256) / 32] != left;
    }
    check_equal("BTS, BT, BTR of a string of bits", 0, bad);
}

static uint64_t pair;

static void compares_pairs(void)
{
    unsigned bad = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t a = i, d = i * 3;
        bool same = i % 3 != 0;
        uint8_t zf, cf;
        pair = ((uint64_t)d << 32 | a) ^ (same ? 0 : (uint64_t)1 << (i % 64));
        uint64_t was = pair;
        __asm__ volatile("stc\n\tlock cmpxchg8b %4\n\tsetz %0\n\tsetc %1"
                         : "=m"(zf), "=m"(cf), "+a"(a), "+d"(d), "+m"(pair)
                         : "b"(~i), "c"(i + 5)
                         : "cc");
        bad += zf != same || !cf || ((uint64_t)d << 32 | a) != was;
        bad += pair != (same ? (uint64_t)(i + 5) << 32 | ~i : was);
    }
    check_equal("CMPXCHG8B", 0, bad);
}

int main(void)
{
    time_goes_on();
    time_is_denied();
    control_registers();
    segment_follows_its_descriptor();
    bit_strings();
    compares_pairs();
    return checks_result();
}
