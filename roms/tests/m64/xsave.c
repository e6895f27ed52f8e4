/* SPDX-License-Identifier: MIT */
/* The XSAVE feature set where user mode can't see it: enabling, XSAVES and XRSTORS, PKRU among the
 * components, headers that are refused. SDM Vol. 1, "Managing State Using the XSAVE Feature Set".
 */
#include "roms/lib/traps.h"

enum { X87 = 1, SSE = 2, AVX = 4, PKRU = 0x200, HEADER = 512, EXTENDED = 576, AREA = 4096 };

static uint8_t area[AREA] __attribute__((aligned(64)));
static uint8_t other[AREA] __attribute__((aligned(64)));
static uint32_t all; /* components of this CPU */

/* clang-format off */
#define AREA_INSN(name, text)                                                                       \
    static void name(void *at, uint32_t mask)                                                       \
    {                                                                                               \
        __asm__ volatile(TRY text END_TRY : : "r"(at), "a"(mask), "d"(0) : "memory");               \
    }
AREA_INSN(xsave, "xsave64 (%0)")
AREA_INSN(xsaveopt, "xsaveopt64 (%0)")
AREA_INSN(xsavec, "xsavec64 (%0)")
AREA_INSN(xsaves, "xsaves64 (%0)")
AREA_INSN(xrstor, "xrstor64 (%0)")
AREA_INSN(xrstors, "xrstors64 (%0)")
/* clang-format on */

static uint64_t at64(const uint8_t *p, unsigned offset)
{
    uint64_t v;
    memcpy(&v, p + offset, 8);
    return v;
}

static void put64(uint8_t *p, unsigned offset, uint64_t v)
{
    memcpy(p + offset, &v, 8);
}

static uint64_t xgetbv(uint32_t index)
{
    uint32_t a = 0, d = 0;
    __asm__ volatile(TRY "xgetbv" END_TRY : "+a"(a), "+d"(d) : "c"(index));
    return a | (uint64_t)d << 32;
}

static void xsetbv(uint32_t index, uint64_t v)
{
    __asm__ volatile(TRY "xsetbv" END_TRY
                     :
                     : "c"(index), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
                     : "memory");
}

static void enabling(void)
{
    write_cr4(read_cr4() & ~(reg_t)CR4_OSXSAVE);
    xgetbv(0);
    check_fault("XGETBV, OSXSAVE = 0", EXC_UD, 0);
    xsave(area, 3);
    check_fault("XSAVE, OSXSAVE = 0", EXC_UD, 0);
    xsaves(area, 3);
    check_fault("XSAVES, OSXSAVE = 0", EXC_UD, 0);
    check("OSXSAVE in CPUID is 0", !(cpuid(1, 0).c & 1u << 27));
    write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXSAVE);
    check("and follows", cpuid(1, 0).c & 1u << 27);
    check_equal("XCR0 after reset", X87, xgetbv(0));
    check_equal("the size of what it enables", EXTENDED, cpuid(13, 0).b);
    xsetbv(0, SSE);
    check_fault("XSETBV without x87", EXC_GP, 0);
    xsetbv(0, X87 | AVX);
    check_fault("XSETBV, AVX without SSE", EXC_GP, 0);
    xsetbv(0, X87 | UINT64_C(1) << 62);
    check_fault("XSETBV of a component that is not there", EXC_GP, 0);
    xsetbv(1, X87);
    check_fault("XSETBV, ECX = 1", EXC_GP, 0);
    xgetbv(2);
    check_fault("XGETBV, ECX = 2", EXC_GP, 0);
    xsetbv(0, all);
    check_no_fault("XSETBV of all");
    check_equal("XGETBV", all, xgetbv(0));
}

/* What leaf 0DH says fits together. */
static void sizes(void)
{
    uint32_t end = EXTENDED, compact = EXTENDED;
    for (unsigned i = 2; i < 32; i++) {
        struct cpuid r = cpuid(13, i);
        if (!(all >> i & 1)) {
            if (r.a | r.b | r.c | r.d)
                check_equal("a sub-leaf of no component", 0, i);
            continue;
        }
        check_equal("a user component without alignment", 0, r.c & 3);
        if (r.a + r.b > end)
            end = r.a + r.b;
        compact += r.a;
    }
    check_equal("the size of all", end, cpuid(13, 0).b);
    check_equal("the same", end, cpuid(13, 0).c);
    check_equal("the size of the compacted form", compact, cpuid(13, 1).b);
}

static void set_state(void)
{
    static const uint64_t v[2] = {0x1122334455667788, 0x99aabbccddeeff00};
    __asm__ volatile("fninit\n\tfld1\n\tmovdqu %0, %%xmm3" : : "m"(v) : "memory");
}

static void pkru_set(uint32_t v)
{
    __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(v), "c"(0), "d"(0) : "memory");
}

static uint32_t pkru_get(void)
{
    uint32_t a, d;
    __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

/* Everything to its initial configuration. */
static void init_all(void)
{
    memset(other, 0, AREA);
    put64(other, HEADER + 8, UINT64_C(1) << 63);
    xrstors(other, all);
    check_no_fault("XRSTORS of nothing");
}

static void in_use(void)
{
    init_all();
    check_equal("XGETBV(1): nothing is in use", 0, xgetbv(1));
    set_state();
    check_equal("x87 and SSE are", X87 | SSE, xgetbv(1));
    xsavec(area, all);
    check_equal("XSAVEC: XSTATE_BV", X87 | SSE, at64(area, HEADER));
    check_equal("XSAVEC: XCOMP_BV", UINT64_C(1) << 63 | all, at64(area, HEADER + 8));
    memset(area, 0xAA, AREA);
    put64(area, HEADER, 0);
    xsaveopt(area, X87);
    check_equal("XSAVEOPT of x87 leaves SSE alone", UINT64_C(0xAAAAAAAAAAAAAAAA),
                at64(area, 160 + 3 * 16));
    check_equal("and its XSTATE_BV", X87, at64(area, HEADER));
}

static void protection_key_state(void)
{
    uint32_t offset = cpuid(13, 9).b, compact = EXTENDED + (all & AVX ? 256 : 0);
    if (!(all & PKRU)) {
        skip("PKRU state", "the CPU has none");
        return;
    }
    write_cr4(read_cr4() | CR4_PKE);
    init_all();
    check_equal("initial PKRU", 0, pkru_get());
    pkru_set(0x50);
    memset(area, 0, AREA);
    xsave(area, PKRU);
    check_equal("XSAVE: PKRU at its offset", 0x50, at64(area, offset));
    check_equal("XSTATE_BV", PKRU, at64(area, HEADER));
    xsaves(area, all);
    check_equal("XSAVES: PKRU behind the others", 0x50, at64(area, compact));
    pkru_set(0);
    xrstors(area, PKRU);
    check_equal("XRSTORS brings it back", 0x50, pkru_get());
    put64(area, HEADER, 0);
    xrstor(area, PKRU);
    check_equal("XRSTOR of the initial configuration", 0, pkru_get());
    write_cr4(read_cr4() & ~(reg_t)CR4_PKE);
}

static reg_t ring3_xsaves(reg_t at)
{
    xsaves((void *)at, X87);
    return 0;
}

static reg_t ring3_xrstors(reg_t at)
{
    xrstors((void *)at, X87);
    return 0;
}

static void refused(void)
{
    static const struct {
        const char *name; /* of the check */
        unsigned offset;  /* in the header */
        uint64_t value;   /* put there */
    } headers[] = {
        {"XRSTORS: no compacted form", 8, 0},
        {"XRSTORS: a component that is not enabled", 8, UINT64_C(1) << 63 | 1u << 8},
        {"XRSTORS: XSTATE_BV beyond XCOMP_BV", 0, AVX},
        {"XRSTORS: bytes 16-63 of the header", 56, 1},
    };
    for (unsigned i = 0; i < COUNT(headers); i++) {
        memset(area, 0, AREA);
        put64(area, HEADER + 8, UINT64_C(1) << 63 | X87 | SSE);
        put64(area, HEADER + headers[i].offset, headers[i].value);
        xrstors(area, X87);
        check_fault(headers[i].name, EXC_GP, 0);
    }
    xsaves(area + 16, X87);
    check_fault("XSAVES: misaligned", EXC_GP, 0);
    xrstors(area + 16, X87);
    check_fault("XRSTORS: misaligned", EXC_GP, 0);
    ring3(ring3_xsaves, (reg_t)area);
    check_fault("XSAVES at CPL 3", EXC_GP, 0);
    ring3(ring3_xrstors, (reg_t)area);
    check_fault("XRSTORS at CPL 3", EXC_GP, 0);
    write_cr0(read_cr0() | CR0_TS);
    xsaves(area, X87);
    check_fault("XSAVES, TS = 1", EXC_NM, 0);
    xsave(area, X87);
    check_fault("XSAVE, TS = 1", EXC_NM, 0);
    __asm__ volatile("clts");
    check_equal("IA32_XSS is 0", 0, read_msr(MSR_XSS));
    __asm__ volatile(TRY "wrmsr" END_TRY : : "c"(MSR_XSS), "a"(1u << 8), "d"(0));
    check_fault("IA32_XSS: a component that is not there", EXC_GP, 0);
}

int main(void)
{
    const uint32_t needed = 0xF; /* XSAVEOPT, XSAVEC, XGETBV(1), XSAVES */
    if ((cpuid(13, 1).a & needed) != needed) {
        skip("the XSAVE family", "the CPU has not all of it");
        check("nothing", true);
        return checks_result();
    }
    all = cpuid(13, 0).a;
    enabling();
    sizes();
    in_use();
    protection_key_state();
    refused();
    return checks_result();
}
