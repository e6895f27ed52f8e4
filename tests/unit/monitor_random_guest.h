/* SPDX-License-Identifier: MIT */
/*
 * A bare machine with a random guest, made from a seed. Its program is a ring of slots of 32 bytes;
 * whatever faults goes on with the next slot, so that nearly every program runs for ever. In 64-bit
 * mode it edits its own page tables (two address spaces over one window of 64 pages), crosses
 * pages, patches its own code and goes to ring 3 and back; in real mode it walks over segments.
 * Shared by the tests that compare runs.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "cpu/jit/jit.h"
#include "base/endian.h"
#include "cpu/cpuid.h"
#include "monitor/dispatcher.h"
#include "monitor/timeline/timeline.h"
#include "tests/test.h"

#define GUEST_RAM (1 * MiB)
#define SLOT 32u
#define SLOTS 256u
#define PROGRAM_SIZE (SLOT * SLOTS)

enum guest_kind { GUEST_REAL, GUEST_LONG, GUEST_KINDS };

struct guest_writer {
    uint8_t *ram;  /* owned: memory as it stands at the start */
    uint8_t *at;   /* next byte of the slot */
    uint8_t *slot; /* first byte of the slot */
    uint64_t seed; /* of every choice */
};

static uint32_t pick(struct guest_writer *g, uint32_t n)
{
    g->seed ^= g->seed << 13, g->seed ^= g->seed >> 7, g->seed ^= g->seed << 17;
    return (uint32_t)((g->seed * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

static void put(struct guest_writer *g, uint64_t v, unsigned size)
{
    le_store(g->at, v, size);
    g->at += size;
}

/* Bytes of code, written as a string. */
#define CODE_BYTES(g, text) put_code(g, text, sizeof(text) - 1)

static void put_code(struct guest_writer *g, const char *text, size_t n)
{
    memcpy(g->at, text, n);
    g->at += n;
}

/* ---- 64-bit guests ---- */

enum {
    GDT = 0x1000,
    TSS = 0x1800,
    IDT = 0x2000,
    HANDLER = 0x3000,
    COUNTER = 0x3f00,
    IST_TOP = 0x5000,
    TABLES = 0x10000, /* two address spaces of PML4, PDPT, PD, window's page table; then the shared
                         table of low memory */
    LOW_TABLE = TABLES + 8 * 0x1000,
    PROGRAM = 0x20000,
    DATA_PAGES = 0x40000, /* 64 pages that the window shows */
    WINDOW = 0x200000,    /* linear */
    WINDOW_PAGES = 64,
};

/* Page table `level` (0: PML4 .. 3) of address space `space`. */
static uint32_t table_at(uint32_t space, uint32_t level)
{
    return TABLES + (space * 4 + level) * 0x1000u;
}

static uint32_t random_entry(struct guest_writer *g)
{
    uint32_t flags = pick(g, 8) ? 1u : 0u;
    flags |= pick(g, 4) ? 2u : 0u;
    flags |= pick(g, 4) ? 4u : 0u;
    flags |= pick(g, 2) ? 0x60u & (pick(g, 4) << 5) : 0u;
    flags |= pick(g, 8) ? 0u : 0x100u;
    return (DATA_PAGES + pick(g, WINDOW_PAGES) * 0x1000u) | flags;
}

/* Often near the end of a page, so that accesses cross. */
static uint32_t window_address(struct guest_writer *g)
{
    uint32_t page = WINDOW + pick(g, WINDOW_PAGES - 1) * 0x1000u;
    return page + (pick(g, 3) ? pick(g, 0x1000) : 0x1000u - 1 - pick(g, 15));
}

/* mov edi, imm32 */
static void point_at(struct guest_writer *g, uint32_t address)
{
    CODE_BYTES(g, "\xbf");
    put(g, address, 4);
}

static void edit_leaf(struct guest_writer *g)
{
    point_at(g, table_at(pick(g, 2), 3) + pick(g, WINDOW_PAGES) * 8);
    switch (pick(g, 6)) {
    case 0: /* mov byte [rdi], the flags only */
        CODE_BYTES(g, "\xc6\x07");
        put(g, random_entry(g), 1);
        break;
    case 1: /* btr dword [rdi], 5: A */
        CODE_BYTES(g, "\x0f\xba\x37\x05");
        break;
    case 2: /* lock btc dword [rdi], 1: R/W */
        CODE_BYTES(g, "\xf0\x0f\xba\x3f\x01");
        break;
    case 3: /* mov dword [rdi + 4], 80000000h: NX */
        CODE_BYTES(g, "\xc7\x47\x04");
        put(g, pick(g, 2) ? 0x80000000u : 0, 4);
        break;
    default: /* mov qword [rdi], imm32 */
        CODE_BYTES(g, "\x48\xc7\x07");
        put(g, random_entry(g), 4);
        break;
    }
}

/* The window's page directory entry: the other space's table, without A, user or not, or a large
 * read-only page. */
static void edit_directory(struct guest_writer *g)
{
    uint32_t large = pick(g, 6) ? 0 : 0x85u;
    uint32_t to = table_at(pick(g, 2), 3) | 3u | (pick(g, 4) ? 4u : 0u) | (pick(g, 2) ? 0x20u : 0u);
    point_at(g, table_at(pick(g, 2), 2) + 8);
    CODE_BYTES(g, "\x48\xc7\x07");
    put(g, large ? large : to, 4);
}

static void switch_space(struct guest_writer *g)
{
    CODE_BYTES(g, "\xb8"); /* mov eax, imm32; mov cr3, rax */
    put(g, table_at(pick(g, 2), 0), 4);
    CODE_BYTES(g, "\x0f\x22\xd8");
}

/* Toggle CR0.WP or CR4.PGE, or flush one page. */
static void change_control(struct guest_writer *g)
{
    switch (pick(g, 3)) {
    case 0: /* mov rax, cr0; xor eax, 10000h; mov cr0, rax */
        CODE_BYTES(g, "\x0f\x20\xc0\x35\x00\x00\x01\x00\x0f\x22\xc0");
        break;
    case 1: /* mov rax, cr4; xor eax, 80h; mov cr4, rax */
        CODE_BYTES(g, "\x0f\x20\xe0\x35\x80\x00\x00\x00\x0f\x22\xe0");
        break;
    default: /* invlpg [rdi] */
        point_at(g, window_address(g));
        CODE_BYTES(g, "\x0f\x01\x3f");
        break;
    }
}

/* One access of the window: load, store, read-modify-write, push and pop, SSE, x87. */
static void use_window(struct guest_writer *g)
{
    static const char *const forms[] = {
        "\x8a\x07",
        "\x66\x8b\x1f",
        "\x48\x8b\x0f",
        "\x88\x07",
        "\x66\x89\x1f",
        "\x48\x89\x0f",
        "\x48\x01\x1f",
        "\x48\x87\x0f",
        "\xf0\x0f\xb1\x1f",
        "\x48\xff\x0f",
        "\x0f\x10\x07",
        "\x0f\x11\x07",
        "\xf3\x0f\x6f\x0f",
        "\x66\x0f\xfe\xc1\x0f\x11\x07",
        "\xdd\x07\xdd\x1f",
        "\x48\x89\xfc\x50\x5b",
        "\x0f\xab\x07",
        "\x48\x0f\xb3\x1f",
        "\xdb\x2f\xdb\x7f\x04",
        "\x48\x8d\x67\x20\xff\x37\x8f\x07",
    };
    const char *form = forms[pick(g, ARRAY_SIZE(forms))];
    point_at(g, window_address(g));
    put_code(g, form, strlen(form));
}

static void copy_window(struct guest_writer *g)
{
    static const char *const forms[] = {"\xf3\xa4", "\xf3\x48\xa5", "\xf3\xaa",
                                        "\xf3\xab", "\xf3\xa6",     "\xf2\xae"};
    point_at(g, window_address(g));
    CODE_BYTES(g, "\xbe"); /* mov esi; mov ecx */
    put(g, window_address(g), 4);
    CODE_BYTES(g, "\xb9");
    put(g, pick(g, 300), 4);
    CODE_BYTES(g, "\xfc"); /* cld or std */
    g->at[-1] |= (uint8_t)!pick(g, 4);
    const char *form = forms[pick(g, ARRAY_SIZE(forms))];
    put_code(g, form, strlen(form));
}

/* Arithmetic on registers other than RSP. */
static void compute(struct guest_writer *g)
{
    for (unsigned n = 1 + pick(g, 6); n > 0; n--) {
        uint32_t reg = pick(g, 8), rm = pick(g, 8);
        put(g, pick(g, 2) ? 0x48 : 0x40, 1);
        put(g, pick(g, 8) * 8 + 1, 1);
        put(g, 0xc0 | (reg == 4 ? 0u : reg) * 8 | (rm == 4 ? 3u : rm), 1);
    }
}

/* Patch the immediate of a slot whose number is a multiple of 8, or of the instruction that
 * follows. */
static void patch_code(struct guest_writer *g)
{
    if (pick(g, 2)) {
        point_at(g, PROGRAM + pick(g, SLOTS / 8) * 8 * SLOT + 1 + pick(g, 4));
        CODE_BYTES(g, "\xc6\x07");
        put(g, pick(g, 256), 1);
    } else {
        CODE_BYTES(g, "\x00\x1d\x01\x00\x00\x00\xb0\x55"); /* add [rip + 1], bl; mov al, imm8 */
    }
}

/* Forward by some slots, on a condition, by a call, or by a return. */
static void jump_on(struct guest_writer *g)
{
    uint32_t slots = 1 + pick(g, 3);
    uint32_t here = (uint32_t)(g->slot - g->ram), end = PROGRAM + PROGRAM_SIZE - SLOT;
    uint32_t to = here + slots * SLOT < end ? here + slots * SLOT : end;
    switch (pick(g, 3)) {
    case 0:
        CODE_BYTES(g, "\x0f");
        put(g, 0x80 + pick(g, 16), 1);
        put(g, to - (here + 6), 4);
        break;
    case 1: /* mov esp, imm32; call */
        CODE_BYTES(g, "\xbc");
        put(g, window_address(g), 4);
        CODE_BYTES(g, "\xe8");
        put(g, to - (here + 10), 4);
        break;
    default: /* mov esp, imm32; push imm32; ret */
        CODE_BYTES(g, "\xbc");
        put(g, window_address(g), 4);
        CODE_BYTES(g, "\x68");
        put(g, to, 4);
        CODE_BYTES(g, "\xc3");
        break;
    }
}

/* Flags (TF now and then), ring 3 and back, instructions that trap. */
static void sensitive_long(struct guest_writer *g)
{
    static const char *const forms[] = {
        "\xcd\x81",     "\xcd\x80", "\xcd\x80", "\x0f\xa2",     "\x0f\x31\x01\xc3",
        "\x0f\x20\xd0", "\xf7\xf3", "\xe4\x70", "\x0f\x01\xd0", "\x9b\xdb\xe3",
        "\xfa\x9c\x58", "\x0f\x0b", "\xcc",     "\x0f\x01\x27"};
    if (pick(g, 4) == 0) { /* mov esp, imm32; push imm32; popf */
        CODE_BYTES(g, "\xbc");
        put(g, window_address(g), 4);
        CODE_BYTES(g, "\x68");
        put(g,
            (pick(g, 0x10000) & 0x40cd5u) | (pick(g, 6) ? 0 : 0x100u) | (pick(g, 6) ? 0 : 0x40000u),
            4);
        CODE_BYTES(g, "\x9d");
        return;
    }
    const char *form = forms[pick(g, ARRAY_SIZE(forms))];
    point_at(g, window_address(g));
    put_code(g, form, strlen(form));
}

static void anything(struct guest_writer *g)
{
    for (unsigned n = 1 + pick(g, 6); n > 0; n--) {
        uint32_t byte = pick(g, 256);
        put(g, byte == 0xf4 ? 0x90 : byte, 1); /* no HLT: nothing would wake it */
    }
}

static void fill_slot_long(struct guest_writer *g, unsigned number)
{
    if (number % 8 == 0) { /* mov eax, imm32; add ebx, eax */
        CODE_BYTES(g, "\xb8\x01\x02\x03\x04\x01\xc3");
        return;
    }
    uint32_t what = pick(g, 100);
    if (what < 20)
        edit_leaf(g);
    else if (what < 25)
        edit_directory(g);
    else if (what < 31)
        switch_space(g);
    else if (what < 36)
        change_control(g);
    else if (what < 62)
        use_window(g);
    else if (what < 69)
        copy_window(g);
    else if (what < 77)
        compute(g);
    else if (what < 82)
        patch_code(g);
    else if (what < 90)
        jump_on(g);
    else if (what < 98)
        sensitive_long(g);
    else
        anything(g);
}

/* The handlers: go on with the next slot, without TF; vectors 80h and 81h go to ring 0 and to
 * ring 3. */
static void put_handlers_long(struct guest_writer *g)
{
    g->at = g->ram + HANDLER;
    CODE_BYTES(g, "\x48\x83\xc4\x08"                 /* add rsp, 8: the error code */
                  "\x50\x48\x8b\x44\x24\x08"         /* +4: push rax; mov rax, [rsp + 8] */
                  "\x48\x83\xe0\xe0\x48\x83\xc0\x20" /* and rax, -32; add rax, 32 */
                  "\x48\x2d\x00\x00\x02\x00"         /* sub rax, PROGRAM */
                  "\x48\x3d\x00\x20\x00\x00"         /* cmp rax, PROGRAM_SIZE */
                  "\x72\x02\x31\xc0"                 /* jb; xor eax, eax */
                  "\x48\x05\x00\x00\x02\x00"         /* add rax, PROGRAM */
                  "\x48\x89\x44\x24\x08"             /* mov [rsp + 8], rax */
                  "\x80\x64\x24\x19\xfe"             /* and byte [rsp + 25], ~TF */
                  "\x48\xff\x04\x25\x00\x3f\x00\x00" /* inc qword [COUNTER] */
                  "\x58\x48\xcf");                   /* pop rax; iretq */
    g->at = g->ram + HANDLER + 0x80;
    CODE_BYTES(g, "\x48\xc7\x44\x24\x08\x08\x00\x00\x00" /* mov qword [rsp + 8], 8 */
                  "\x48\xc7\x44\x24\x20\x10\x00\x00\x00" /* mov qword [rsp + 32], 10h */
                  "\x48\xcf");
    g->at = g->ram + HANDLER + 0xc0;
    CODE_BYTES(g,
               "\x48\xc7\x44\x24\x08\x23\x00\x00\x00\x48\xc7\x44\x24\x20\x1b\x00\x00\x00\x48\xcf");
}

static void put_gate_long(struct guest_writer *g, unsigned vector)
{
    static const uint32_t with_code =
        1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
    uint32_t to = HANDLER + (vector < 32 && (with_code >> vector & 1) ? 0 : 4u);
    to = vector == 0x80 ? HANDLER + 0x80 : vector == 0x81 ? HANDLER + 0xc0 : to;
    uint8_t *gate = g->ram + IDT + vector * 16;
    le64_store(gate, to | 8u << 16 | UINT64_C(0xee01) << 32); /* IST 1, DPL 3 interrupt gate */
}

static void put_tables_long(struct guest_writer *g)
{
    static const uint64_t gdt[] = {0,
                                   UINT64_C(0x00af9b000000ffff),
                                   UINT64_C(0x00cf93000000ffff),
                                   UINT64_C(0x00cff3000000ffff),
                                   UINT64_C(0x00affb000000ffff),
                                   UINT64_C(0x00008b0018000067),
                                   0};
    for (unsigned i = 0; i < ARRAY_SIZE(gdt); i++)
        le64_store(g->ram + GDT + i * 8, gdt[i]);
    le64_store(g->ram + TSS + 0x04, IST_TOP - 0x800);
    le64_store(g->ram + TSS + 0x24, IST_TOP);
    for (unsigned v = 0; v < 256; v++)
        put_gate_long(g, v);
    for (uint32_t space = 0; space < 2; space++) {
        le64_store(g->ram + table_at(space, 0), table_at(space, 1) | 7);
        le64_store(g->ram + table_at(space, 1), table_at(space, 2) | 7);
        le64_store(g->ram + table_at(space, 2), LOW_TABLE | 7);
        le64_store(g->ram + table_at(space, 2) + 8, table_at(space, 3) | 7);
        for (uint32_t i = 0; i < WINDOW_PAGES; i++)
            le64_store(g->ram + table_at(space, 3) + i * 8, random_entry(g));
    }
    for (uint32_t i = 0; i < GUEST_RAM / 0x1000; i++)
        le64_store(g->ram + LOW_TABLE + i * 8, (uint64_t)i << 12 | 7);
}

static void start_long(struct cpu *cpu)
{
    cpu->cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE | CR0_WP | CR0_AM;
    cpu->cr3 = table_at(0, 0);
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    for (unsigned s = 0; s < 6; s++) {
        cpu->seg_sel[s] = s == SEG_CS ? 8 : 0x10;
        cpu->seg_base[s] = 0;
        cpu->seg_limit[s] = UINT32_MAX;
        cpu->seg_attr[s] = s == SEG_CS ? 0xa09bu : 0xc093u;
    }
    cpu->seg_sel[SEG_TR] = 0x28;
    cpu->seg_base[SEG_TR] = TSS;
    cpu->seg_limit[SEG_TR] = 0x67;
    cpu->seg_attr[SEG_TR] = 0x8b;
    cpu->gdtr_base = GDT;
    cpu->gdtr_limit = 0x37;
    cpu->idtr_base = IDT;
    cpu->idtr_limit = 0xfff;
    cpu->rip = PROGRAM;
    cpu->gpr[REG_RSP] = IST_TOP - 0x400;
}

/* ---- real-mode guests ---- */

enum { REAL_HANDLER = 0x600, REAL_PROGRAM = 0x2000, REAL_DATA = 0x6000 };

static void put_handlers_real(struct guest_writer *g)
{
    for (unsigned v = 0; v < 256; v++)
        le32_store(g->ram + v * 4, REAL_HANDLER);
    g->at = g->ram + REAL_HANDLER;
    CODE_BYTES(
        g, "\x50\x55\x89\xe5"                     /* push ax; push bp; mov bp, sp */
           "\x8b\x46\x04\x83\xe0\xe0\x83\xc0\x20" /* mov ax, [bp + 4]; and ax, -32; add ax, 32 */
           "\x2d\x00\x20\x3d\x00\x20"             /* sub ax, PROGRAM; cmp ax, PROGRAM_SIZE */
           "\x72\x02\x31\xc0\x05\x00\x20"         /* jb; xor ax, ax; add ax, PROGRAM */
           "\x89\x46\x04\xc7\x46\x06\x00\x00"     /* mov [bp + 4], ax; mov word [bp + 6], 0 */
           "\x80\x66\x09\xfe\x5d\x58\xcf");       /* and byte [bp + 9], ~TF; pop bp; pop ax; iret */
}

static void fill_slot_real(struct guest_writer *g, unsigned number)
{
    static const char *const forms[] = {
        "\x88\x07",
        "\x89\x1f",
        "\x66\x89\x0f",
        "\x01\x3f",
        "\x87\x0f",
        "\x8a\x07",
        "\x66\x8b\x17",
        "\x66\xff\x07",
        "\x2e\x8b\x07",
        "\x36\x8b\x07",
        "\xab",
        "\xa5",
        "\xf3\xa4",
        "\xf3\x66\xab",
        "\xf3\xa6",
        "\xac",
        "\xdd\x07\xdd\x1f",
        "\xc4\x1f",
        "\x66\x0f\xba\x2f\x05",
        "\xf0\x66\x01\x0f",
        "\xf7\xf3",
        "\x9c\x58",
        "\xcd\x21",
        "\x0f\x31",
        "\x0f\xa2",
        "\xe4\x40",
        "\x27",
        "\xd4\x0a",
        "\xd4\x00",
        "\x60\x61",
        "\x62\x07",
        "\xfb",
        "\xfa",
        "\x0f\x20\xc0",
        "\x67\x66\x8b\x07",
        "\x67\x88\x04\x24",
        "\x9b\xdb\xe3",
        "\x0f\x01\x27",
    };
    if (number % 8 == 0) { /* mov ax, imm16; add bx, ax; mov sp, imm16; cs: mov [..], bl patches the
                              next such slot */
        uint32_t to = REAL_PROGRAM + (number + 8) % SLOTS * SLOT + 1;
        CODE_BYTES(g, "\xb8\x01\x02\x01\xc3\xbc");
        put(g, 0x5000 + pick(g, 0x800) * 2, 2);
        CODE_BYTES(g, "\x2e\x88\x1e");
        put(g, to, 2);
        return;
    }
    CODE_BYTES(g, "\xb8"); /* mov ax, segment; mov ds or es, ax; mov di (and si, bx), offset */
    put(g, REAL_DATA / 16 + pick(g, 0x800), 2);
    put(g, 0x8e, 1);
    put(g, pick(g, 2) ? 0xd8 : 0xc0, 1);
    CODE_BYTES(g, "\xbf");
    put(g, pick(g, 3) ? pick(g, 0x4000) : 0x10000 - 1 - pick(g, 12), 2);
    CODE_BYTES(g, "\x89\xfb\xb9");
    put(g, pick(g, 200), 2);
    const char *form = forms[pick(g, ARRAY_SIZE(forms))];
    put_code(g, form, strlen(form));
    if (pick(g, 12) == 0)
        anything(g);
    if (pick(g, 12) == 0) { /* push imm16; popf, TF now and then */
        CODE_BYTES(g, "\x68");
        put(g, (pick(g, 0x10000) & 0xed5u) | (pick(g, 3) ? 0 : 0x100u), 2);
        CODE_BYTES(g, "\x9d");
    }
}

static void start_real(struct cpu *cpu)
{
    cpu->seg_base[SEG_CS] = 0;
    cpu->seg_sel[SEG_CS] = 0;
    cpu->rip = REAL_PROGRAM;
    cpu->gpr[REG_RSP] = 0x5800;
}

/* ---- machines ---- */

static void put_program(struct guest_writer *g, uint32_t at,
                        void (*fill)(struct guest_writer *g, unsigned number))
{
    memset(g->ram + at, 0x90, PROGRAM_SIZE + SLOT);
    for (unsigned i = 0; i < SLOTS - 1; i++) {
        g->at = g->slot = g->ram + at + i * SLOT;
        fill(g, i);
        assert_true(g->at <= g->slot + SLOT);
    }
    g->at = g->ram + at + PROGRAM_SIZE - 5; /* the ring closes */
    put(g, 0xe9, 1);
    put(g, 0u - PROGRAM_SIZE, 4);
    if (fill == fill_slot_real) {
        g->at = g->ram + at + PROGRAM_SIZE - 3;
        put(g, 0xe9, 1);
        put(g, 0u - PROGRAM_SIZE, 2);
        g->ram[at + PROGRAM_SIZE - 5] = g->ram[at + PROGRAM_SIZE - 4] = 0x90;
    }
}

static void write_guest(struct guest_writer *g, enum guest_kind kind)
{
    for (uint32_t i = DATA_PAGES; i < DATA_PAGES + WINDOW_PAGES * 0x1000; i++)
        g->ram[i] = (uint8_t)pick(g, 256);
    if (kind == GUEST_REAL) {
        put_handlers_real(g);
        put_program(g, REAL_PROGRAM, fill_slot_real);
    } else {
        put_tables_long(g);
        put_handlers_long(g);
        put_program(g, PROGRAM, fill_slot_long);
    }
}

/* The machine at its first instruction. tlb_entries: 0 for the default. jit: NULL to interpret. */
static struct machine *random_guest(enum guest_kind kind, uint64_t seed, unsigned tlb_entries,
                                    const struct jit_config *jit)
{
    const struct machine_config config = {.memory_size = 2 * MiB,
                                          .seed = 7,
                                          .ns_per_tick = 1,
                                          .tlb_entries = tlb_entries,
                                          .jit = jit_is_available() ? jit : NULL};
    struct guest_writer g = {.ram = calloc(1, GUEST_RAM),
                             .seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
    struct machine *m;
    struct cpu_model model;
    struct err err = {{0}, {0}};
    assert_non_null(g.ram);
    write_guest(&g, kind);
    assert_int_equal(0, machine_create(&config, &m, &err));
    assert_int_equal(0, cpu_model_parse("max", &model, &err));
    assert_int_equal(0, vm_create(m, 1, &model, &err));
    assert_int_equal(0, physmem_add(m->vm->pm, 0, GUEST_RAM, 0, false, &err));
    assert_true(physmem_write(m->vm->pm, 0, g.ram, GUEST_RAM));
    free(g.ram);
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    if (kind == GUEST_REAL)
        start_real(&vcpu->arch);
    else
        start_long(&vcpu->arch);
    cpu_update_mmu(vcpu);
    return m;
}

/* Run to a position in ticks, or to the end if the guest ends before. */
static enum stop_reason run_until(struct machine *m, uint64_t ticks)
{
    m->stop_at = ticks;
    return machine_run(m);
}
