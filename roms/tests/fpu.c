/* SPDX-License-Identifier: MIT */
/* The x87 and SSE context as an operating system moves it: FXSAVE, FXRSTOR, FNSAVE, FRSTOR, tags,
 * MXCSR, XSAVE if there is one. SDM Vol. 1, "Programming with the x87 FPU", "FXSAVE and FXRSTOR".
 */
#include "roms/lib/traps.h"

static uint8_t area[512] __attribute__((aligned(16)));
static uint8_t again[512] __attribute__((aligned(16)));
static uint8_t xarea[1024] __attribute__((aligned(64)));

static uint16_t word(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t dword(const uint8_t *p)
{
    return word(p) | (uint32_t)word(p + 2) << 16;
}

static void fpu_on(void)
{
    write_cr0((read_cr0() | CR0_MP | CR0_NE) & ~(reg_t)(CR0_EM | CR0_TS));
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
}

static void fxsave(void)
{
    static const uint32_t value[4] = {0x11111111, 0x22222222, 0x33333333, 0x44444444};
    __asm__ volatile("fninit\n\tfld1\n\tfldz\n\tfldpi\n\tmovups %1, %%xmm3\n\tfxsave %0"
                     : "=m"(area)
                     : "m"(value)
                     : "memory");
    check_equal("FCW after FNINIT", 0x37F, word(area));
    check_equal("TOP is 5 after three loads", 5, word(area + 2) >> 11 & 7);
    check_equal("the short tag word: registers 7, 6, 5", 0xE0, area[4]);
    check_equal("MXCSR", 0x1F80, dword(area + 24));
    check("MXCSR_MASK has its low 16 bits, or is 0",
          dword(area + 28) == 0 || (dword(area + 28) & 0xFFBF) == 0xFFBF);
    check("ST0 is pi", dword(area + 32) == 0x2168C235 && dword(area + 36) == 0xC90FDAA2 &&
                           word(area + 40) == 0x4000);
    check("ST2 is 1", dword(area + 68) == 0x80000000u && word(area + 72) == 0x3FFF);
    check("XMM3", !memcmp(area + 160 + 48, value, 16));
    __asm__ volatile("fninit\n\txorps %%xmm3, %%xmm3\n\tfxrstor %1\n\tfxsave %0"
                     : "=m"(again)
                     : "m"(area)
                     : "memory");
    check("FXRSTOR brings all of it back",
          !memcmp(area, again, 6) && !memcmp(area + 24, again + 24, 416 - 24));
    __asm__ volatile(TRY "fxsave %0" END_TRY : : "m"(area[8]) : "memory");
    check_fault("an area not aligned to 16 bytes", EXC_GP, 0);
    area[26] = 1; /* bit 16 of MXCSR */
    __asm__ volatile(TRY "fxrstor %0" END_TRY : : "m"(area) : "memory");
    check_fault("a reserved bit of MXCSR", EXC_GP, 0);
    area[26] = 0;
    write_cr0(read_cr0() | CR0_TS);
    __asm__ volatile(TRY "fxsave %0" END_TRY : : "m"(area) : "memory");
    check_fault("FXSAVE with CR0.TS", EXC_NM, 0);
    write_cr0(read_cr0() & ~(reg_t)CR0_TS);
}

static void fnsave(void)
{
    uint16_t status;
    __asm__ volatile("fninit\n\tfld1\n\tfldz\n\tfnsave %0\n\tfnstsw %1"
                     : "=m"(area), "=a"(status)
                     :
                     : "memory");
    check_equal("FNSAVE initializes", 0, status);
    check_equal("the full tag word: valid, zero, six empty", 0x1FFF, word(area + 8));
    __asm__ volatile("frstor %1\n\tfnstsw %0" : "=a"(status) : "m"(area) : "memory");
    check_equal("FRSTOR: TOP is 6", 6, status >> 11 & 7);
    __asm__ volatile("fninit\n\tfldpi\n\tfstp %%st(0)\n\tfstp %%st(0)\n\tfnstsw %0"
                     : "=a"(status)
                     :
                     : "memory");
    check("a stack underflow sets IE and SF", (status & 0x41) == 0x41);
    check("C1 = 0 tells underflow", !(status & 0x200));
    __asm__ volatile("fninit");
}

static void mmx(void)
{
    __asm__ volatile("fninit\n\tmov $0x12345678, %%eax\n\tmovd %%eax, %%mm2\n\tfxsave %0"
                     : "=m"(area)
                     :
                     : "eax", "memory");
    check_equal("an MMX write makes all registers valid", 0xFF, area[4]);
    check_equal("and TOP 0", 0, word(area + 2) >> 11 & 7);
    check("its exponent bits are ones",
          dword(area + 32 + 32) == 0x12345678 && word(area + 32 + 40) == 0xFFFF);
    __asm__ volatile("emms\n\tfxsave %0" : "=m"(area) : : "memory");
    check_equal("EMMS empties them", 0, area[4]);
}

static uint64_t xgetbv(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static void xsave(void)
{
    uint32_t size;
    if (!(cpuid(1, 0).c & 1u << 26)) {
        skip("XSAVE", "the CPU has none");
        return;
    }
    __asm__ volatile(TRY "xsave %0" END_TRY : : "m"(xarea), "a"(3), "d"(0) : "memory");
    check_fault("XSAVE without CR4.OSXSAVE", EXC_UD, 0);
    write_cr4(read_cr4() | CR4_OSXSAVE);
    check_equal("XCR0 after reset is x87 alone", 1, xgetbv());
    __asm__ volatile(TRY "xsetbv" END_TRY : : "c"(0), "a"(2), "d"(0) : "memory");
    check_fault("XCR0 must have x87", EXC_GP, 0);
    __asm__ volatile("xsetbv" : : "c"(0), "a"(3), "d"(0) : "memory");
    size = cpuid(13, 0).b;
    check_equal("the area for x87 and SSE", 576, size);
    memset(xarea, 0, sizeof(xarea));
    __asm__ volatile("fninit\n\tfld1\n\txsave %0" : "+m"(xarea) : "a"(3), "d"(0) : "memory");
    check("XSTATE_BV has x87", xarea[512] & 1);
    check_equal("its short tag word", 0x80, xarea[4]);
    xarea[512] = 0; /* neither: XRSTOR initializes */
    __asm__ volatile("xrstor %0\n\tfxsave %1" : : "m"(xarea), "m"(area), "a"(3), "d"(0) : "memory");
    check_equal("XRSTOR of nothing initializes", 0, area[4]);
    xarea[520] = 1;
    __asm__ volatile(TRY "xrstor %0" END_TRY : : "m"(xarea), "a"(3), "d"(0) : "memory");
    check_fault("a reserved byte of the XSAVE header", EXC_GP, 0);
}

int main(void)
{
    fpu_on();
    fxsave();
    fnsave();
    mmx();
    xsave();
    return checks_result();
}
