/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables, exceptions that are expected, interrupt handlers, and ring 3. Owns the GDT,
 * the IDT and the TSS. An exception that nobody expects prints the frame and ends the run with exit
 * code 2.
 *
 * An instruction that may fault is written between TRY and END_TRY:
 *
 *     __asm__ volatile(TRY "lgdt %0" END_TRY : : "m"(table) : "memory");
 *     check_fault("LGDT at CPL 3", EXC_GP, 0);
 *
 * It may stand in ring 3. After an exception execution goes on at END_TRY with the registers of the
 * moment; so the text must leave the stack as it was, or not fault after it moved it.
 */
#pragma once

#include "roms/lib/guest.h"

enum {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19,
    NO_EXCEPTION = 0x100
};

/* Error code of #PF. */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16, PF_K = 32 };

/* Selectors. The order is the one SYSCALL, SYSRET, SYSENTER and SYSEXIT want. */
enum {
    SEL_CS0 = 0x08,
    SEL_DS0 = 0x10,
    SEL_CS3_32 = 0x18 | 3,
    SEL_DS3 = 0x20 | 3,
    SEL_CS3_64 = 0x28 | 3,
    SEL_DS3_B = 0x30 | 3,
    SEL_TSS = 0x38,
    SEL_SPARE = 0x48, /* from here on free for a test: GDT_SPARES entries */
    GDT_SPARES = 24,
    GDT_ENTRIES = SEL_SPARE / 8 + GDT_SPARES,
    RING3_VECTOR = 0x30 /* the gate by which ring 3 comes back */
};
#define SEL_CS3 (IS_64 ? SEL_CS3_64 : SEL_CS3_32)

/* What the stubs of traps.S push, and what the CPU pushed before. */
struct frame {
#if defined(__x86_64__)
    reg_t r15, r14, r13, r12, r11, r10, r9, r8; /* as at the event */
#else
    reg_t gs, fs, es, ds; /* as at the event */
#endif
    reg_t di, si, bp; /* as at the event */
#if !defined(__x86_64__)
    reg_t unused_sp; /* PUSHA's */
#endif
    reg_t bx, dx, cx, ax; /* as at the event */
    reg_t vector;         /* of the stub */
    reg_t error;          /* error code, or 0 */
    reg_t ip;             /* RIP */
    reg_t cs;             /* CS */
    reg_t flags;          /* RFLAGS */
    reg_t sp;             /* 32-bit: only if CPL changed */
    reg_t ss;             /* 32-bit: only if CPL changed */
};

/* The last exception inside TRY. TRY writes the first two fields by their offset. */
struct caught {
    reg_t resume; /* where to go on; 0: nothing is expected */
    reg_t vector; /* NO_EXCEPTION or the vector */
    reg_t error;  /* error code, or 0 */
    reg_t ip;     /* saved RIP */
    reg_t cs;     /* saved CS */
    reg_t flags;  /* saved RFLAGS */
    reg_t cr2;    /* CR2, if #PF */
    reg_t dr6;    /* DR6, if #DB */
    reg_t cx;     /* RCX: iterations left of a REP */
    reg_t si;     /* RSI */
    reg_t di;     /* RDI */
};
extern volatile struct caught caught;

/* 77: is out of the way of the text's own labels. */
#if defined(__x86_64__)
#define TRY "movq $0x100, caught + 8\n\tmovq $77f, caught\n\t"
#define END_TRY "\n77:\tmovq $0, caught\n\t"
#define SP "rsp"
#define IF_64(a, b) a
#else
#define TRY "movl $0x100, caught + 4\n\tmovl $77f, caught\n\t"
#define END_TRY "\n77:\tmovl $0, caught\n\t"
#define SP "esp"
#define IF_64(a, b) b
#endif

/* A handler of one vector; it returns to where the frame says. */
typedef void (*trap_handler)(struct frame *f);

/* Load GDT, IDT, TR. Called before main. */
void traps_init(void);
/* The same tables on another CPU; its own TSS is `n`. */
void traps_init_ap(unsigned n);

/* NULL: back to the default. The old one is returned. */
trap_handler trap_set(unsigned vector, trap_handler handler);

/* Did the last TRY fault like this? */
bool check_fault(const char *name, unsigned vector, unsigned error);
bool check_no_fault(const char *name);

/* Run fn(arg) at CPL 3; its result. RFLAGS is ring3_flags (IF = 0, IOPL = 0 unless set). */
reg_t ring3(reg_t (*fn)(reg_t), reg_t arg);
extern reg_t ring3_flags;
extern uint8_t user_stack[GUEST_PAGE * 2]; /* ring 3 uses it from its end */

/* Descriptors, "Segment Descriptors": type is bits 40-47 (P, DPL, S, type), flags bits 52-55. */
uint64_t make_segment(uint32_t base, uint32_t limit, unsigned type, unsigned flags);
void gdt_set(uint16_t sel, uint64_t descriptor);
enum { SEG_G = 8, SEG_D = 4, SEG_L = 2, SEG_CODE = 0x9B, SEG_DATA = 0x93, SEG_DPL3 = 0x60 };

/* A gate in the IDT: type is P, DPL, type (8Eh interrupt, 8Fh trap, 85h task), ist in 64-bit mode.
 */
void idt_set(unsigned vector, uint16_t sel, reg_t entry, unsigned type, unsigned ist);
/* The runtime's own gate again. */
void idt_restore(unsigned vector, unsigned type);
/* The gate by which ring3() comes back, which is none of the common stubs. */
void ring3_gate_restore(void);

/* The TSS in use: sp0, and in 64-bit mode ist 1-7. */
void tss_set_stack(reg_t sp0);
void tss_set_ist(unsigned n, reg_t sp);
uint8_t *tss_bytes(void); /* 104 bytes and an I/O bitmap of all ones, 8 KiB */
enum { TSS_BITMAP = 104, TSS_BITMAP_BYTES = 8193, TSS_BYTES = TSS_BITMAP + TSS_BITMAP_BYTES };

/* Called by the stubs. */
void trap_dispatch(struct frame *f);

extern uint64_t gdt[GDT_ENTRIES];
