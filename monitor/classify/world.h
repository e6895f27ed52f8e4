/* SPDX-License-Identifier: MIT */
/*
 * The laboratory of the classifier: one bare vCPU with 64 KiB of memory, descriptor tables, a task
 * and page tables, in which a state is set, one instruction is run, and what came of it is read.
 * The rest of the monitor (time, ports, entropy, TPR) is a fake whose answers are part of the
 * state. Owns all of it. Knows no instruction.
 *
 * The linear address space is the same pages twice, at 0 and at WORLD_ALIAS; two sets of page
 * tables put them into two sets of frames. Every page there is, is writable and a user's.
 */
#pragma once

#include "cpu/cpuid.h"
#include "monitor/classify/elements.h"
#include "monitor/emulate/emulate.h"
#include "monitor/policy.h"

enum class_mode { CLASS_PROT16, CLASS_PROT32, CLASS_LONG64, CLASS_MODES };

/* Linear addresses. */
enum {
    WORLD_CODE = 0x1000,   /* the instruction stands in this page */
    WORLD_DATA = 0x4000,   /* a page */
    WORLD_STACK = 0x6000,  /* a page; the stack pointer starts in the middle */
    WORLD_STACK0 = 0x8000, /* a page, used downwards: the stack for CPL 0 that the TSS names */
    WORLD_GDT = 0x9000,
    WORLD_LDT = 0x9400,
    WORLD_TSS = 0x9800,
    WORLD_TSS2 = 0x9c00,
    WORLD_IDT = 0xa000,
    WORLD_TARGET = 0xe000, /* where gates lead; nothing runs there */
    WORLD_SIZE = 0x10000,
};
#define WORLD_ALIAS UINT64_C(0x10000)
#define WORLD_IO_MAP 0x100u /* of the TSS: the I/O permission bitmap, for ports 0 to 7FFH */
#define WORLD_TSS_LIMIT 0x200u

/* Selectors. What ends in 3 has DPL 3. */
enum {
    SEL_CODE0 = 0x08,
    SEL_DATA0 = 0x10,
    SEL_CODE3 = 0x1b,
    SEL_DATA3 = 0x23,
    SEL_TWIN3 = 0x2b, /* equal to DATA3 */
    SEL_CONFORMING = 0x30,
    SEL_LDT = 0x38,
    SEL_TSS = 0x48,
    SEL_TSS2 = 0x58,
    SEL_GATE3 = 0x6b,
    SEL_READ_ONLY3 = 0x7b,
    SEL_FRESH3 = 0x83, /* not accessed yet */
    SEL_EXECUTE_ONLY3 = 0x8b,
    SEL_ABSENT3 = 0x93,
    SEL_LDT_CODE3 = 0x0f,
    SEL_LDT_DATA3 = 0x17,
    GDT_ENTRIES = 0x13,
    LDT_ENTRIES = 4,
};

/* What an instruction did to memory: a byte that is another one now. */
struct change {
    uint16_t at; /* linear address below WORLD_SIZE */
    uint8_t is;  /* its value now */
};

enum { CHANGES_MAX = 1200 };

/* What the fake monitor was asked for. */
struct requests {
    uint32_t ports;    /* accesses to ports */
    uint32_t caches;   /* flushed */
    uint32_t tpr;      /* CR8 written */
    uint32_t time;     /* TSC written */
    uint64_t port_log; /* a sum over the accesses */
    uint64_t cr8;      /* as left */
};

struct outcome {
    bool has_fault;      /* nothing but `fault` is valid then */
    struct fault fault;  /* vector, code, CR2 */
    struct cpu cpu;      /* after the instruction */
    struct requests req; /* of the monitor */
    unsigned count;      /* of changes, or CHANGES_MAX + 1: too many, the rest in `rest` */
    uint64_t rest;       /* a sum over the changes that have no place */
    struct change changes[CHANGES_MAX];
};

struct world {
    const struct emulate_host *host; /* first: run.owner points here */
    struct cpu_model model;          /* of the vCPU */
    enum class_mode mode;            /* of all states */
    uint8_t *ram;                    /* owned */
    struct physmem *pm;              /* owned */
    struct mmu_vm *mmu;              /* owned */
    struct block_cache *blocks;      /* owned */
    struct decoder *decoder;         /* owned */
    struct vcpu *vcpu;               /* owned */
    uint8_t image[WORLD_SIZE];       /* memory before a run */
    uint64_t tsc;                    /* of the fake monitor: time */
    uint64_t entropy;                /* the next random number */
    uint64_t port_value;             /* what ports answer */
    uint64_t cr8;                    /* TPR */
    struct requests req;             /* of this run */
    struct jit *jit;                 /* owned; NULL: runs are interpreted */
    unsigned exits_row;              /* row of insn.def whose exits are counted */
    uint64_t exits;                  /* taken by it */
};

/* NULL when there is no memory, or the CPU has no such mode. */
struct world *world_create(const struct cpu_model *model, enum class_mode mode);
void world_destroy(struct world *w);

/* "prot32" */
const char *class_mode_name(enum class_mode mode);
enum decode_mode class_mode_code(enum class_mode mode);

/* Bits of CR4 that base states have beside those of `set`. */
void world_base_cpu(const struct world *w, uint64_t cr4_set, unsigned cpl, struct cpu *cpu);

/* CS, SS and CPL as they are at cpl. */
void world_set_cpl(const struct world *w, struct cpu *cpu, unsigned cpl);

/* Put bytes into memory, before runs. */
void world_write(struct world *w, unsigned at, const void *bytes, size_t n);

/* The image was changed there. */
void world_flush(struct world *w, unsigned at, size_t n);

/* Bring an element of the state to its other value, or back. False: this CPU has no other. */
bool world_vary(struct world *w, struct cpu *cpu, unsigned element);

/* One instruction from the state: memory is as before afterwards. */
void world_run(struct world *w, const struct cpu *before, struct outcome *out);

/* Run under this policy from now on; before anything runs. */
void world_set_policy(struct world *w, const struct policy_config *policy);

/* Translate from now on, where the host can: true. */
bool world_translate(struct world *w);

/*
 * One instruction, through the block it stands in: translated, if the world translates. The code
 * behind it raises #UD. exits: those that `row` took to the monitor. False: more than the one
 * instruction ran, *out is nothing.
 */
bool world_run_block(struct world *w, const struct cpu *before, unsigned row, struct outcome *out,
                     uint64_t *exits);

/* The vary functions of elements.def: world_vary.c. */
#define VARY_CALL(function) void vary_##function(struct world *w, struct cpu *cpu);
#define VARY_XOR(...)
#define VARY_HELD
#define ELEMENT(id, name, kind, bit, how, doc) how
#define PLACE(...)
#include "monitor/classify/elements.def"
#undef ELEMENT
#undef PLACE
#undef VARY_CALL
#undef VARY_XOR
#undef VARY_HELD
