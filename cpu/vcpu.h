/* SPDX-License-Identifier: MIT */
/*
 * A vCPU: architecture (arch, saved and hashed) and what the engines keep beside it (run, can be rebuilt at any instruction
 * boundary). Created by the monitor; run by cpu_run; read and written by monitor/emulate and reflect at rest.
 */
#pragma once

#include "cpu/mode.h"
#include "cpu/pmu.h"
#include "cpu/real.h"
#include "cpu/record.h"
#include "cpu/state.h"
#include "mmu/mmu.h"

struct lowering;
struct real_guest;

/* What a sensitive instruction's emulator says of how it went on. */
enum sens_result {
    SENS_NEXT,  /* completed; go on with the next instruction of the block */
    SENS_END,   /* completed; mode, IF, deadline or mapping may have changed: the block ends, RIP is the next instruction's */
    SENS_JUMP,  /* completed; it set arch.rip itself */
    SENS_FAULT, /* run.fault holds the exception; nothing has changed; arch.rip is still this instruction's */
    SENS_LEAVE, /* as SENS_END, and the run loop is to look at the machine (HLT, reset, turn ends) */
    SENS_AGAIN, /* one iteration of a REP instruction is done and more remain: RIP stays; takes one tick */
};

/*
 * The slot of a sensitive opcode (design section 2): up-call from the engine into monitor/emulate. On entry arch.rip is the
 * instruction's own address and run.next_rip the next one's; flags are lazy (flags_get / flags_set in flags.h).
 */
struct sens_ops {
    enum sens_result (*exec)(struct vcpu *vcpu, const struct insn *in);
    bool (*lower)(struct lowering *l, const struct insn *in); /* for the translator: cpu/jit/lowering.h; optional */
};

/* Why cpu_run came back. */
enum cpu_exit {
    CPU_EXIT_BUDGET, /* the budget is used up to the tick */
    CPU_EXIT_BREAK,  /* somebody asked for attention (deadline moved, irq), or a sensitive instruction ended its block */
    CPU_EXIT_FAULT,  /* run.fault is to be delivered; arch.rip is the faulting instruction */
    CPU_EXIT_LEAVE,  /* SENS_LEAVE */
    CPU_EXIT_STOP,   /* arch.rip is at one of run.breakpoints; the next cpu_run goes on from there */
};

struct block_cache;
struct decoder;

/* A load of a data segment register that went well, from a descriptor in memory. */
struct segment_load {
    uint64_t raw;   /* the descriptor's bytes; 0: none */
    uint64_t base;  /* of the segment */
    uint32_t limit; /* the same */
    uint32_t attr;  /* the same */
    uint16_t sel;   /* selector */
    uint8_t cpl;    /* it was loaded at */
};

struct run {
    /* hot */
    struct mmu mmu;               /* the virtual TLB; view first */
    int64_t budget;               /* ticks left until the next event; blocks charge their count on entry */
    uint64_t jit_page;            /* translated code: RIP of the first byte of the page that runs */
    uint64_t flag_a, flag_b;      /* translated code: what flag_how makes the status flags of */
    uint32_t flag_how;            /* translated code: how (cpu/jit/x86_64/jit_priv.h); its lowest byte 0: they are in flag_image */
    uint16_t flag_image;          /* translated code: the status flags as LAHF and SETO have them, if so */
    uint8_t jit_fp;               /* translated code: the host's MXCSR is the guest's */
    uint8_t jit_x87;              /* translated code: the host's x87 unit is the guest's (cpu/jit/fp.h), or 0 */
    /* 128 bytes up to here */
    uint8_t flag_c;               /* translated code: CF before flag_how's addition or subtraction */
    uint8_t flag_o;               /* translated code: CF, and in bit 1 OF, in place of those that flag_how makes, if it says so */
    int32_t loop_left;            /* translated code: rounds of a loop that need no look at pages */
    uint64_t flag_result;         /* lazy flags, see flags.h */
    uint64_t flag_carry;          /* lazy flags */
    struct block *block;          /* being run */
    void *jit_host_stack;         /* translated code: C's RSP meanwhile; NULL: the vCPU is not vcpu_alloc's */
    uint16_t jit_host_fcw;        /* translated code: the host's own FCW meanwhile */
    uint32_t jit_host_mxcsr;      /* translated code: the host's own MXCSR meanwhile */
    uint32_t jit_fsave[28];       /* translated code: the x87 unit as FNSAVE and FRSTOR have it, 108 bytes */
    struct block_cache *blocks;   /* borrowed: the VM's */
    uint32_t mode;                /* current mode word */
    uint64_t la_mask;             /* linear address wrap: UINT64_MAX in 64-bit mode, else UINT32_MAX */
    uint64_t seg_base_fast[SEG_FAST_COUNT]; /* bases as accesses use them: 0 for ES CS SS DS in 64-bit mode */
    bool seg_whole[SEG_GS + 1];   /* outside 64-bit mode: limit 4 GiB - 1, any data access is allowed */
    const struct rec *rec;        /* the record that a slow path or exit belongs to */
    uint64_t next_rip;            /* of a sensitive instruction */
    struct fault fault;           /* of the last failed access or instruction */
    /* leaving a block early */
    struct rec *patched;          /* record whose fn is replaced by the break handler, or NULL */
    exec_fn *patched_fn;          /* its own */
    bool break_pending;           /* a break was requested: budget is offset by BUDGET_BREAK */
    bool in_block;                /* a handler is running */
    bool jit_at_seam;             /* translated code was left between two parts of a region since the translator last looked */
    bool attention;               /* something is pending that a change of IF, CPL or TPR may make deliverable */
    int64_t budget_start;         /* budget when cpu_run was entered, plus what was added since */
    int64_t held;                 /* ticks that it is short of while a block and what chains to it run */
    int64_t look_left;            /* ticks until the translator wants to see which block is entered */
    const struct breakpoints *breakpoints; /* borrowed: a debugger's; NULL: there are none */
    uint64_t stopped_at;          /* ticks + 1 at which one of them stopped it last */
    uint64_t rep_extra;           /* REP iterations beyond the first, this cpu_run: not retired instructions */
    struct pmu_run pmu;           /* where the performance counters are */
    /* wiring */
    const struct sens_ops *sens;  /* borrowed: slot per op, from the policy table */
    bool features[FEATURE_COUNT]; /* what CPUID says there is: others are #UD */
    uint8_t phys_bits;            /* width of its physical addresses */
    bool has_pse36;               /* 4 MiB pages above 4 GiB */
    bool has_1g_pages;            /* 1 GiB pages */
    const struct decoder *decoder; /* borrowed */
    struct physmem *pm;           /* borrowed: the VM's memory */
    struct trace *trace;          /* borrowed, may be NULL */
    const struct fp_transcendentals *transcendentals; /* borrowed: MPFR behind a table */
    struct jit *jit;              /* borrowed: the VM's translator, or NULL */
    uint64_t jit_flushes;         /* how often it had emptied its cache when jumps was last empty */
    void *owner;                  /* the monitor's struct for this vCPU */
    const struct real_guest *real; /* arch shows the real machine, for the length of an instruction (monitor/emulate/real.h); else NULL */
    unsigned index;               /* vCPU number */
    /* register file: exactly before arch (exec.h), whose YMM registers lie within lines of the host's cache */
    _Alignas(32) uint64_t line_gap[2]; /* unused */
    uint64_t reg_none;            /* REC_NONE: always 0 */
    uint64_t insn_base;           /* REC_RIP: RIP of the current block's first byte */
};

/* More of what an engine needs and can rebuild, which is wanted less often. */
struct aside {
    struct segment_load loads[SEG_GS + 1]; /* the last one of each data segment register (monitor/emulate/descriptor.c) */
    uint64_t tsc_start;    /* time-stamp counter at run.budget_start; set by the monitor for each cpu_run */
    uint64_t tsc_per_tick; /* what it goes on by; 0: it is not that simple, ask */
    uint64_t pauses;       /* PAUSEs that translated code has counted: for the monitor to add */
    bool pause_is_nothing; /* PAUSE only has to be counted; set by the monitor */
    int jit_status;        /* translated code: an exec_status to be left with */
};

struct vcpu {
    struct run run;  /* first: hot */
    struct cpu arch; /* gpr first */
    struct real real; /* classic: the real machine, where arch is the virtual one */
    struct real_fault real_fault; /* classic: its last fault */
    struct mmu_jumps jumps; /* translated code by RIP; large */
    struct aside aside;
};

/*
 * A new one, cleared; NULL: no memory. The stack of translated code is in front of it, for there the host's stack pointer leads
 * to it (cpu/jit/x86_64/jit_priv.h): a few return addresses, and what the host's system puts on the stack for a signal.
 */
#define VCPU_STACK (64 * KiB)

struct vcpu *vcpu_alloc(void);
void vcpu_free(struct vcpu *vcpu); /* NULL: nothing */

static_assert(offsetof(struct run, jit_x87) < 128, "displacements of 8 bits reach what translated code wants most");

static_assert(offsetof(struct run, jit_x87) == offsetof(struct run, jit_fp) + 1, "asked at once");

static_assert(offsetof(struct vcpu, arch.gpr) == offsetof(struct vcpu, run.insn_base) + 8,
              "the register file is contiguous");

static_assert(offsetof(struct vcpu, arch.ymm) % 32 == 0 && offsetof(struct vcpu, jumps) % sizeof(struct mmu_jump) == 0,
              "translated code's accesses to them never cross a line");

/* Added to the budget while a break is pending, so that every block link fails. */
#define BUDGET_BREAK (INT64_MIN / 2)

/*
 * Run until the budget (run.budget, in ticks, > 0) is used up or something needs the monitor. On return arch is complete (flags,
 * rip, ticks, retired) and no handler is running. Never delivers exceptions or interrupts: arch.int_shadow is cleared after the
 * first instruction.
 */
enum cpu_exit cpu_run(struct vcpu *vcpu);

/* Recompute run.mode, the segment bases, the mmu context and the view from arch: after any change to what they depend on. */
void cpu_update_mode(struct vcpu *vcpu);      /* mode word and segment bases; also the view's privilege */
void cpu_update_transfer(struct vcpu *vcpu);  /* the same after only segments, CPL and flags have changed */
void cpu_update_segment(struct vcpu *vcpu, unsigned seg); /* the same after only seg has changed: ES SS DS FS GS */
void cpu_update_mmu(struct vcpu *vcpu);       /* mmu context: CR0, CR3, CR4, EFER, PDPTEs changed; calls cpu_update_mode */

/* Ask the running block to end after the current instruction. From device and irq code, at any depth; cheap when repeated. */
void cpu_request_break(struct vcpu *vcpu);

/* The same, but nothing waits: only what follows is to be fetched anew, for a mapping changed. */
void cpu_request_refetch(struct vcpu *vcpu);

/* IGNNE#: if an x87 exception is pending and CR0.NE = 0, it stops the processor no more until it is cleared. */
void cpu_ignore_x87_error(struct vcpu *vcpu);

/* Ticks of this vCPU at this very instruction, also from inside a handler's slow path. */
uint64_t cpu_ticks_now(const struct vcpu *vcpu);

/* Power-on / INIT state (SDM Vol. 3A, "Processor State After Reset"). INIT keeps what the manual says. signature: EDX. */
void cpu_reset(struct vcpu *vcpu, bool is_init, uint32_t signature);
