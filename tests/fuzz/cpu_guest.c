/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/cpu_guest.h"

#include <string.h>

#include "base/endian.h"

/* Bytes of the header; what is not named seeds registers. */
enum {
    H_MODE,     /* guest_mode, and bit 7: the code crosses a page */
    H_CPL,      /* privilege, and how segments are */
    H_CR0,      /* WP, AM, TS, EM, MP, NE */
    H_CR4,      /* low bits */
    H_CR4_HIGH, /* the others */
    H_FLAGS,    /* two bytes */
    H_FLAGS2 = 7,
    H_GPR,                         /* 16 bytes */
    H_FCW = H_GPR + 16,            /* two bytes */
    H_FTW = H_FCW + 2,             /* tags */
    H_MXCSR,                       /* two bytes */
    H_X87 = H_MXCSR + 2,           /* kind of contents */
    H_SIMD,                        /* kind of contents */
    H_HANDLERS,                    /* where exceptions go */
    H_GATES,                       /* types of gates */
    H_XCR0,                        /* components */
    H_DEBUG,                       /* breakpoints */
    H_EFER,                        /* SCE, NXE */
    H_PKRU,                        /* keys */
    H_PAGES,                       /* 8 bytes: flags of the window's pages */
    H_SEGMENTS = H_PAGES + 8,      /* 4 bytes: DS ES FS GS */
    H_DESCRIPTOR = H_SEGMENTS + 4, /* 8 bytes: the last descriptor of the GDT */
};
_Static_assert(H_DESCRIPTOR + 8 <= GUEST_HEADER - 4, "the last four are the runs' dice");

/* Selectors: code, data and 64-bit code of each privilege, then the odd ones. */
enum {
    SEL_ODD = 13 * 8,
    SEL_TSS = SEL_ODD,
    SEL_TSS2 = SEL_ODD + 16,
    SEL_CALL = SEL_ODD + 32,
    SEL_LDT = SEL_ODD + 48,
    SEL_TASK = SEL_ODD + 64,
    SEL_PLAIN, /* the first of plain[] below */
    GDT_BYTES = 0x100,
};

static uint16_t code_selector(enum guest_mode mode, unsigned cpl)
{
    unsigned index = 1 + cpl * 3 + (mode == GUEST_LONG ? 2 : 0);
    return (uint16_t)(index << 3 | cpl);
}

static uint16_t data_selector(unsigned cpl)
{
    return (uint16_t)((2 + cpl * 3) << 3 | cpl);
}

static bool is_long(enum guest_mode mode)
{
    return mode == GUEST_COMPAT || mode == GUEST_LONG;
}

void guest_input(struct guest_input *in, const uint8_t *data, size_t size)
{
    size_t head = size < GUEST_HEADER ? size : GUEST_HEADER;
    memset(in->header, 0, GUEST_HEADER);
    if (head)
        memcpy(in->header, data, head);
    in->code = data + head;
    in->code_size = size - head < GUEST_CODE_MAX ? size - head : GUEST_CODE_MAX;
}

enum guest_mode guest_mode(const struct guest_input *in)
{
    return (enum guest_mode)(in->header[H_MODE] % GUEST_MODES);
}

enum decode_mode guest_decode_mode(enum guest_mode mode)
{
    switch (mode) {
    case GUEST_REAL:
    case GUEST_V86:
    case GUEST_PROT16:
        return DECODE_16;
    case GUEST_LONG:
        return DECODE_64;
    default:
        return DECODE_32;
    }
}

static uint32_t code_at(const struct guest_input *in)
{
    return GUEST_CODE + (in->header[H_MODE] & 0x80 ? 0xfe0u : 0u);
}

/* ---- memory ---- */

static uint64_t descriptor(uint32_t base, uint32_t limit20, uint32_t attr)
{
    return (limit20 & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
           (uint64_t)(attr & 0xf0ff) << 40 | (uint64_t)(limit20 >> 16 & 15) << 48 |
           (uint64_t)(base >> 24) << 56;
}

static uint64_t gate(uint16_t sel, uint32_t offset, unsigned attr, unsigned low)
{
    return (offset & 0xffff) | (uint64_t)sel << 16 | (uint64_t)low << 32 | (uint64_t)attr << 40 |
           (uint64_t)(offset >> 16) << 48;
}

/* Where exception or gate `n` leads: somewhere into the code. */
static uint32_t handler(const struct guest_input *in, unsigned n)
{
    uint32_t size = in->code_size ? (uint32_t)in->code_size : 1;
    return code_at(in) + (n * 7u + in->header[H_HANDLERS]) % size;
}

static void put_gdt(const struct guest_input *in, uint8_t *gdt)
{
    const enum guest_mode mode = guest_mode(in);
    const uint32_t db = mode == GUEST_PROT16 ? 0 : 0x4000, flat = 0x8093u | db;
    const uint8_t dpl = (uint8_t)((in->header[H_GATES] & 3) << 5);
    const bool is_64 = is_long(mode);
    /* 16-bit code, conforming code, expand-down, not present, read-only, execute-only, above the
     * data */
    const uint64_t plain[] = {
        descriptor(GUEST_CODE, 0xfff, 0x9bu | dpl),    descriptor(0, 0xfffff, 0xc09fu),
        descriptor(GUEST_DATA, 0x7fff, 0x4097u | dpl), descriptor(0, 0xfffff, 0x4013u),
        descriptor(0, 0xfffff, 0xc091u | dpl),         descriptor(0, 0xfffff, 0xc099u | dpl),
        descriptor(GUEST_DATA, 0x4fff, 0x4093u | dpl),
    };
    for (unsigned cpl = 0; cpl < 4; cpl++) {
        le64_store(gdt + 8 * (1 + cpl * 3), descriptor(0, 0xfffff, flat | 8 | cpl << 5));
        le64_store(gdt + 8 * (2 + cpl * 3), descriptor(0, 0xfffff, flat | cpl << 5));
        le64_store(gdt + 8 * (3 + cpl * 3), descriptor(0, 0xfffff, 0xa09bu | cpl << 5));
    }
    le64_store(gdt + SEL_TSS, descriptor(GUEST_TSS, 0x8ff, 0x8b));
    le64_store(gdt + SEL_TSS2, descriptor(GUEST_TSS2, 0x67, 0x89u | dpl));
    le64_store(gdt + SEL_CALL, gate(code_selector(mode, 0), handler(in, 40),
                                    (in->header[H_GATES] & 4 && !is_64 ? 0x84u : 0x8cu) | dpl,
                                    in->header[H_GATES] >> 5));
    le64_store(gdt + SEL_LDT, descriptor(GUEST_LDT, 0x1f, 0x82));
    le64_store(gdt + SEL_TASK, gate(SEL_TSS2, 0, 0x85u | dpl, 0));
    for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
        le64_store(gdt + SEL_TASK + 8 * (i + 1), plain[i]);
    memcpy(gdt + GDT_BYTES - 8, in->header + H_DESCRIPTOR, 8);
}

static void put_idt(const struct guest_input *in, uint8_t *ram)
{
    const enum guest_mode mode = guest_mode(in);
    const uint8_t h = in->header[H_GATES];
    for (unsigned v = 0; v < 256; v++) {
        unsigned attr = 0x8eu | (v >> (h & 3) & 1) | (v >= 3 && v <= 5 ? 0x60u : 0);
        uint8_t *at = ram + GUEST_IDT + v * (is_long(mode) ? 16 : 8);
        if (v >= 0x20)
            attr |= (v & 3) << 5;
        le32_store(ram + v * 4, handler(in, v));
        if (!is_long(mode) && (h & 8) && (v & 7) == 6)
            attr &= ~8u; /* 16 bits */
        if (!is_long(mode) && (h & 16) && (v & 15) == 8)
            le64_store(at, gate(SEL_TSS2, 0, 0x85u | (v & 0x60), 0));
        else
            le64_store(at, gate(code_selector(mode, v >> 4 & h >> 6), handler(in, v), attr,
                                h & 32 ? v & 7 : 0));
    }
}

/* Stacks of the inner levels; the second task, in 32-bit form, goes on in the code. */
static void put_tss(const struct guest_input *in, uint8_t *ram)
{
    uint8_t *tss = ram + GUEST_TSS, *two = ram + GUEST_TSS2;
    const enum guest_mode mode = guest_mode(in);
    const unsigned cpl = in->header[H_GATES] >> 1 & 3;
    if (is_long(mode)) {
        for (unsigned i = 0; i < 10; i++)
            le64_store(tss + 4 + 8 * i, GUEST_STACK + 0xff0 - 0x100 * i);
    } else {
        for (unsigned i = 0; i < 3; i++) {
            le32_store(tss + 4 + 8 * i, GUEST_STACK + 0xff0 - 0x200 * i);
            le16_store(tss + 8 + 8 * i, data_selector(i));
        }
        memcpy(two + 4, tss + 4, 24);
    }
    le16_store(tss + 102, 0x68);
    memset(tss + 0x68, in->header[H_GATES] & 1 ? 0xa5 : 0, 0x800);
    le32_store(two + 28, GUEST_TABLES + 0x4000);
    le32_store(two + 32, handler(in, 50));
    le32_store(two + 36, 2u | (in->header[H_GATES] & 0x80 ? 1u << 17 : 0)); /* VM */
    le32_store(two + 56, GUEST_STACK + 0x800);
    for (unsigned s = 0; s < 6; s++)
        le16_store(two + 72 + 4 * s, s == SEG_CS ? code_selector(mode, cpl) : data_selector(cpl));
    le16_store(two + 96, SEL_LDT);
    le16_store(two + 102, 0x68);
}

/* Low memory as it is; the window as the header says: present, writable, user, A, D, PS and keys.
 */
static void put_tables(const struct guest_input *in, uint8_t *ram)
{
    uint8_t *pml4 = ram + GUEST_TABLES, *legacy = pml4 + 0x4000;
    const uint8_t *flags = in->header + H_PAGES;
    le64_store(pml4, (GUEST_TABLES + 0x1000) | 7);
    le64_store(pml4 + 0x1000, (GUEST_TABLES + 0x2000) | 7);
    le64_store(pml4 + 0x2000, 0x87);
    le64_store(pml4 + 0x2000 + 8, (GUEST_TABLES + 0x3000) | 7);
    le32_store(legacy, (GUEST_TABLES + 0x5000) | 7);
    for (unsigned i = 0; i < 512; i++)
        le64_store(pml4 + 0x3000 + i * 8, (uint64_t)(i & 31) << 12 | (flags[i & 7] & 0x67) |
                                              (uint64_t)(flags[i & 7] >> 3 & 3) << 59);
    for (unsigned i = 0; i < 1024; i++)
        le32_store(legacy + 0x1000 + i * 4, (i & 31) << 12 | (i < 32 ? 7u : flags[i & 7] & 0x67u));
    /* PAE's four registers come from here: the same directory for each. */
    for (unsigned i = 0; i < 4; i++)
        le64_store(ram + GUEST_TABLES + 0x6000 + 8 * i, (GUEST_TABLES + 0x2000) | 1);
}

/* The code, then a jump back to its beginning. */
static void put_code(const struct guest_input *in, uint8_t *ram)
{
    uint8_t *at = ram + code_at(in);
    bool is_16 = guest_decode_mode(guest_mode(in)) == DECODE_16;
    uint32_t back = 0u - (uint32_t)in->code_size - (is_16 ? 3 : 5);
    if (in->code_size)
        memcpy(at, in->code, in->code_size);
    at[in->code_size] = 0xe9;
    le32_store(at + in->code_size + 1, back);
}

void guest_image(const struct guest_input *in, uint8_t ram[GUEST_RAM])
{
    memset(ram, 0, GUEST_RAM);
    for (unsigned i = 0; i < 0x10000; i += 8)
        le64_store(ram + GUEST_DATA + i, (i * UINT64_C(0x0123456789abcdef)) ^ in->header[H_SIMD]);
    put_gdt(in, ram + GUEST_GDT);
    le64_store(ram + GUEST_LDT + 8, descriptor(GUEST_DATA, 0xfff, 0x40f3));
    le64_store(ram + GUEST_LDT + 16, descriptor(0, 0xfffff, 0xc0fb));
    put_idt(in, ram);
    put_tss(in, ram);
    put_tables(in, ram);
    put_code(in, ram);
}

/* ---- state ---- */

/* Values that point somewhere: small, in the data, the window, near the end of a page, anywhere. */
static uint64_t choose_value(uint8_t kind, unsigned i)
{
    uint64_t mix = (kind * UINT64_C(0x9e3779b97f4a7c15)) ^ (i * UINT64_C(0xd1b54a32d192ed03));
    switch (kind & 7) {
    case 0:
        return mix;
    case 1:
        return mix >> 20 & 0xff;
    case 2:
        return UINT64_MAX - (mix >> 20 & 7);
    case 3:
        return GUEST_WINDOW | (mix >> 20 & 0x1ffff);
    case 4:
        return GUEST_WINDOW | (mix >> 20 & 0x1f000) | 0xff0 | (mix & 0xf);
    case 5:
        return (GUEST_DATA | (mix >> 20 & 0xfff0)) + (kind & 8 ? 0 : mix & 15);
    case 6:
        return SEL_ODD + (mix >> 20 & 0x7f); /* a selector */
    default:
        return (mix >> 20 & 0x1f000) | (kind & 8 ? 0xff0 | (mix & 0xf) : mix & 0xfff);
    }
}

static void set_segment(struct cpu *cpu, unsigned seg, uint16_t sel, const uint8_t *gdt)
{
    uint64_t raw = le64_load(gdt + (sel & ~7u));
    uint32_t limit = (uint32_t)((raw & 0xffff) | (raw >> 32 & 0xf0000));
    cpu->seg_sel[seg] = sel;
    cpu->seg_base[seg] = (uint32_t)((raw >> 16 & 0xffffff) | (raw >> 56) << 24);
    cpu->seg_attr[seg] = (uint32_t)(raw >> 40) & 0xf0ff;
    cpu->seg_limit[seg] = cpu->seg_attr[seg] & ATTR_G ? limit << 12 | 0xfff : limit;
}

static void set_segments(const struct guest_input *in, struct cpu *cpu)
{
    const enum guest_mode mode = guest_mode(in);
    uint8_t gdt[GDT_BYTES] = {0};
    put_gdt(in, gdt);
    for (unsigned s = 0; s < 6; s++) {
        if (mode == GUEST_REAL || mode == GUEST_V86) {
            cpu->seg_sel[s] =
                (uint16_t)(s == SEG_CS || s == SEG_SS ? 0 : in->header[H_SEGMENTS + s % 4] << 4);
            cpu->seg_base[s] = (uint64_t)cpu->seg_sel[s] << 4;
            cpu->seg_limit[s] = 0xffff;
            cpu->seg_attr[s] = mode == GUEST_V86 ? 0xf3 : 0x93;
        } else {
            set_segment(cpu, s,
                        s == SEG_CS ? code_selector(mode, cpu->cpl) : data_selector(cpu->cpl), gdt);
        }
    }
    if (mode == GUEST_PROT32 &&
        (in->header[H_CPL] & 4)) /* one that is not flat, where any DPL will do */
        set_segment(cpu, in->header[H_CPL] & 8 ? SEG_DS : SEG_ES,
                    (uint16_t)(SEL_TASK + 8 * 7) | (in->header[H_GATES] & 3), gdt);
    set_segment(cpu, SEG_TR, SEL_TSS, gdt);
    set_segment(cpu, SEG_LDTR, SEL_LDT, gdt);
}

/* What CR4_HIGH chooses. */
static const uint64_t cr4_high[8] = {CR4_UMIP, CR4_FSGSBASE, CR4_OSXSAVE, CR4_SMEP,
                                     CR4_SMAP, CR4_PKE,      CR4_PCE,     CR4_MCE};

static void set_control(const struct guest_input *in, struct cpu *cpu)
{
    const uint8_t *h = in->header;
    const enum guest_mode mode = guest_mode(in);
    cpu->cr0 = CR0_ET | (mode == GUEST_REAL ? 0 : CR0_PE) | (h[H_CR0] & 1 ? CR0_WP : 0) |
               (h[H_CR0] & 2 ? CR0_AM : 0) | (h[H_CR0] & 0x1c ? 0 : CR0_TS) |
               ((h[H_CR0] & 0xe0) == 0xe0 ? CR0_EM : 0) | (h[H_CR0] & 0x10 ? CR0_MP : 0) |
               (h[H_CR0] & 0x40 ? CR0_NE : 0);
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT |
               (h[H_CR4] & (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE));
    for (unsigned i = 0; i < 8; i++)
        cpu->cr4 |= h[H_CR4_HIGH] >> i & 1 ? cr4_high[i] : 0;
    cpu->efer = (h[H_EFER] & 1 ? 0 : EFER_SCE) | (h[H_EFER] & 2 ? 0 : EFER_NXE);
    cpu->xcr0 = 1 | (h[H_XCR0] & 1 ? 0 : 6) | (h[H_XCR0] & 2 ? BIT(9) : 0);
    if (mode >= GUEST_PAGED32)
        cpu->cr0 |= CR0_PG;
    if (mode == GUEST_PAGED32)
        cpu->cr3 = GUEST_TABLES + 0x4000;
    if (mode == GUEST_PAE32) {
        cpu->cr3 = GUEST_TABLES + 0x6000;
        for (unsigned i = 0; i < 4; i++)
            cpu->pdpte[i] = (GUEST_TABLES + 0x2000) | 1;
    }
    if (mode >= GUEST_PAE32)
        cpu->cr4 |= CR4_PAE;
    if (is_long(mode)) {
        cpu->efer |= EFER_LME | EFER_LMA;
        cpu->cr3 = GUEST_TABLES;
        cpu->cr4 |= h[H_EFER] & 4 ? CR4_PCIDE : 0;
    }
}

static void set_system(const struct guest_input *in, struct cpu *cpu)
{
    const uint8_t *h = in->header;
    const enum guest_mode mode = guest_mode(in);
    cpu->gdtr_base = GUEST_GDT;
    cpu->gdtr_limit = GDT_BYTES - 1;
    cpu->idtr_base = mode == GUEST_REAL ? 0 : GUEST_IDT;
    cpu->idtr_limit = 0xfff;
    cpu->star = UINT64_C(0x0010000800000000) | handler(in, 60);
    cpu->lstar = handler(in, 61);
    cpu->cstar = handler(in, 62);
    cpu->fmask = h[H_EFER] & 8 ? 0x4700 : 0;
    cpu->sysenter_cs = 8;
    cpu->sysenter_esp = GUEST_STACK + 0x700;
    cpu->sysenter_eip = handler(in, 63);
    cpu->kernel_gs_base = GUEST_DATA;
    cpu->pkru = h[H_PKRU] * 0x01010101u;
    for (unsigned i = 0; i < 4; i++)
        cpu->dr[i] =
            h[H_DEBUG] & 1 << i ? code_at(in) + h[H_HANDLERS] % 64u + i : GUEST_DATA + 0x100u * i;
    if (h[H_DEBUG] & 0x10)
        cpu->dr[7] |=
            (h[H_DEBUG] & 0x20 ? 0xffu : 0x55u) | (uint64_t)(h[H_DEBUG] >> 6) * 0x11110000u;
}

/* Contents of floating-point and vector registers: numbers, integers, or anything. */
static void set_vectors(const struct guest_input *in, struct cpu *cpu)
{
    const uint8_t *h = in->header;
    static const uint64_t numbers[] = {
        UINT64_C(0x3ff0000000000000), UINT64_C(0xbfe5555555555555), UINT64_C(0x7ff0000000000000),
        UINT64_C(0x7ff8000000000001), UINT64_C(0x7ff0000000000001), UINT64_C(0x000fffffffffffff),
        UINT64_C(0x8000000000000000), UINT64_C(0x3f80000040490fdb), UINT64_C(0x7f800000ff800001),
        UINT64_C(0x00000001807fffff), UINT64_C(0x4330000000000001), UINT64_C(0x43dfffffffffffff),
    };
    cpu->fcw = (uint16_t)(0x340 | (h[H_FCW] & 0x3f) | (h[H_FCW + 1] & 0xc) << 8);
    cpu->fsw = (uint16_t)((h[H_FCW + 1] >> 4 & 7) << 11 | (h[H_FCW + 1] & 1) << 14);
    cpu->ftw = h[H_FTW];
    cpu->mxcsr =
        (uint32_t)(h[H_MXCSR] << 7 | (h[H_MXCSR + 1] & 1) << 15 | (h[H_MXCSR + 1] >> 1 & 0x7f)) &
        0xffffu;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t v = choose_value((uint8_t)(h[H_X87] * 8u), i + 1);
        cpu->fp_mant[i] = h[H_X87] & 0x40 ? v : v | BIT(63);
        cpu->fp_se[i] = (uint16_t)(h[H_X87] & 1   ? 0x3fe0u + (v & 63)
                                   : h[H_X87] & 2 ? v >> 8
                                                  : 0x7fffu * (i & 1));
    }
    for (unsigned i = 0; i < 64; i++)
        cpu->ymm[i] = h[H_SIMD] & 1 ? numbers[(i + h[H_SIMD]) % ARRAY_SIZE(numbers)]
                                    : choose_value((uint8_t)(h[H_SIMD] + (i << 3)), i);
}

void guest_state(const struct guest_input *in, struct cpu *cpu)
{
    const uint8_t *h = in->header;
    const enum guest_mode mode = guest_mode(in);
    cpu->cpl = (uint8_t)(mode == GUEST_REAL  ? 0
                         : mode == GUEST_V86 ? 3
                         : h[H_CPL] & 0x10   ? h[H_CPL] & 3
                                             : 0);
    set_control(in, cpu);
    set_segments(in, cpu);
    set_system(in, cpu);
    set_vectors(in, cpu);
    cpu->rflags = 2 | (le16_load(h + H_FLAGS) & 0x7ed5u) | (h[H_FLAGS2] & 0xf ? 0 : F_TF) |
                  (h[H_FLAGS2] & 0x10 ? F_AC : 0) | (h[H_FLAGS2] & 0x20 ? F_VIF : 0) |
                  (h[H_FLAGS2] & 0x40 ? F_RF : 0) | (mode == GUEST_V86 ? F_VM : 0);
    if (!(h[H_FLAGS2] & 0x80))
        cpu->rflags &= ~(uint64_t)F_NT;
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = choose_value(h[H_GPR + i], i + 1);
    if (h[H_GPR + REG_RSP] & 0x80)
        cpu->gpr[REG_RSP] = GUEST_STACK + 0x400;
    if (guest_decode_mode(mode) != DECODE_64)
        for (unsigned i = 0; i < 16; i++)
            cpu->gpr[i] = i < 8 ? (uint32_t)cpu->gpr[i] : 0;
    cpu->rip = code_at(in);
}
