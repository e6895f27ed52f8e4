/* SPDX-License-Identifier: MIT */
/*
 * The machine: owner of memory, clock, scheduler and the one door; above the VMs that run on it (design sections 4, 5).
 * Created by the library's public face (trapline.c); run by the dispatcher. Nothing here is global: two machines in one
 * process never meet.
 */
#pragma once

#include "base/event.h"
#include "base/trace.h"
#include "cpu/block.h"
#include "cpu/breakpoint.h"
#include "cpu/cpuid.h"
#include "cpu/piece.h"
#include "cpu/vcpu.h"
#include "decoder/insn.h"
#include "devices/device.h"
#include "monitor/allocator.h"
#include "monitor/emulate/emulate.h"
#include "monitor/exits.h"
#include "monitor/host_input.h"
#include "monitor/policy.h"

#define MAX_VCPUS 64
#define MAX_DEVICES 96
#define APIC_BUS_HZ NS_PER_SECOND /* the LAPIC timer's clock and the core crystal (CPUID 15H) */
#define DEFAULT_TLB_ENTRIES 65536 /* at most; arrays grow to it */

struct machine;
struct memory_hash;
struct vm;
struct lapic;
struct tracer;

/* clang-format off */
#define MACHINE_STATE(ONE, ARR, S)                                                               \
    ONE(S, uint64_t, ticks,        "ticks of all vCPUs, in turn order")                          \
    ONE(S, uint64_t, idle_ns,      "virtual ns skipped while every vCPU was halted")             \
    ONE(S, uint32_t, turn_vcpu,    "vCPU whose turn it is")                                      \
    ONE(S, uint64_t, turn_left,    "ticks left of its turn")                                     \
    ONE(S, uint32_t, yield_to,     "1 + the vCPU that a directed yield gives the next turn; 0: none") \
    ONE(S, uint64_t, quantum,      "ticks of a turn")                                            \
    ONE(S, uint8_t,  pause_exiting, "when PAUSE ends a turn: enum pause_exiting")                \
    ONE(S, uint32_t, pause_gap,    "PAUSE-loop exiting: most ticks between two PAUSEs of a loop") \
    ONE(S, uint32_t, pause_window, "PAUSE-loop exiting: ticks that a loop may last")             \
    ONE(S, uint64_t, waited_ns,    "virtual ns for which the machine waited for a pcpu")         \
    ARR(S, uint64_t, prng, 4,      "state of the seeded entropy source (xoshiro256**)")          \
    ONE(S, uint32_t, ns_per_tick,  "virtual ns a tick takes")                                    \
    ONE(S, uint64_t, tsc_hz,       "frequency of the guest's TSC")                               \
    ONE(S, uint8_t,  policy,       "-virt: 0 bt, 1 classic, 2 hvm, 3 pv")
#define MONITOR_VCPU_STATE(ONE, ARR, S)                                                          \
    ONE(S, bool,     sipi_pending, "a start-up IPI is latched")                                  \
    ONE(S, uint8_t,  sipi_vector,  "its page")                                                   \
    ONE(S, bool,     is_kicked,    "a kick is latched: HLT ends at once")                        \
    ONE(S, bool,     is_waiting,   "runnable, without the pcpu")                                 \
    ONE(S, vtime,    waiting_since, "virtual ns since when")                                     \
    ONE(S, uint64_t, stolen_ns,    "virtual ns for which it waited before that")                 \
    ONE(S, bool,     is_pausing,   "PAUSE-loop exiting: a PAUSE was executed in this turn")      \
    ONE(S, uint64_t, pause_first,  "the first one of its loop, in ticks of the vCPU")            \
    ONE(S, uint64_t, pause_last,   "the last one")
/* clang-format on */
STATE_STRUCT(machine_state, MACHINE_STATE);
STATE_STRUCT(monitor_vcpu_state, MONITOR_VCPU_STATE);

/* The monitor's side of a vCPU. vcpu->run.owner points here. */
struct monitor_vcpu {
    const struct emulate_host *host; /* first: what emulators may ask for */
    struct vm *vm;                   /* borrowed */
    struct vcpu *vcpu;               /* owned */
    struct lapic *lapic;             /* borrowed from the board; NULL: none */
    struct monitor_vcpu_state s;     /* saved and hashed */
    struct pv_vcpu pv;               /* what its guest switched on of the paravirtual interfaces */
};

/* Why the machine stopped. */
enum stop_reason {
    STOP_NONE,
    STOP_POWER_OFF,    /* ACPI S5 */
    STOP_DEBUG_EXIT,   /* isa-debug-exit; stop_code */
    STOP_RESET,        /* guest asked for reset and -no-reboot is given */
    STOP_TRIPLE_FAULT, /* shutdown state */
    STOP_DEAD_HALT,    /* every vCPU halted and nothing can wake one */
    STOP_TICK_LIMIT,   /* --max-ticks */
    STOP_POSITION,     /* a position the caller asked for (hash, save) was reached */
    STOP_LONG_MODE,    /* -virt classic, and the guest entered long mode */
    STOP_BREAKPOINT,   /* a vCPU is at one of vm->breakpoints; stop_code: which */
    STOP_USER,         /* the user asked (Ctrl-A x, a signal) */
    STOP_IDLE,         /* no vCPU is runnable, and the group that the machine is in has to know */
};

struct vm {
    struct machine *machine;                /* borrowed */
    struct physmem *pm;                     /* owned */
    struct mmu_vm *mmu;                     /* owned */
    struct block_cache *blocks;             /* owned */
    struct cpu_model model;                 /* what CPUID says */
    struct io_space pio;                    /* ports */
    struct io_space mmio;                   /* guest-physical addresses without RAM */
    struct monitor_vcpu vcpus[MAX_VCPUS];   /* vcpu_count of them */
    unsigned vcpu_count;                    /* -smp */
    struct device devices[MAX_DEVICES];     /* in board order: snapshot, hash and info walk these */
    unsigned device_count;                  /* of devices[] */
    struct pv pv;                           /* what paravirtual interfaces there are */
    struct breakpoints breakpoints;         /* a debugger's: no state of the guest */
    struct exit_totals exits;               /* folded from dead and, at the end, live blocks */
    struct board *board;                    /* owned by the board's destroy; NULL: bare vCPUs */
    const struct board_ops *board_ops;      /* reset and destroy */
};

struct board_ops {
    void (*reset)(struct vm *vm);   /* RESET#: devices, memory map, vCPUs; then the boot entry again */
    void (*destroy)(struct vm *vm); /* frees vm->board */
    bool (*intr)(struct vm *vm);              /* level of the 8259A's INTR */
    uint8_t (*intr_acknowledge)(struct vm *vm); /* its interrupt acknowledge cycle */
    /* Could a timer or pin bring an NMI, SMI or INIT, which IF = 0 does not hold back? Of state, not of time. */
    bool (*ignores_if)(const struct vm *vm);
    void (*ferr)(struct vm *vm);                /* a processor asserts FERR# and stops: IRQ 13 */
    bool (*has_output)(const struct vm *vm);    /* do chips hold output that has yet to come out? */
    void (*ended)(struct vm *vm);               /* the run is over: hand out what chips still hold */
};

/* What ended turns: counters, not state. */
struct scheduler_counters {
    uint64_t turns;           /* that began */
    uint64_t pauses;          /* PAUSEs executed */
    uint64_t pause_yields;    /* turns ended by PAUSE */
    uint64_t ipi_yields;      /* ... after an IPI was sent */
    uint64_t yields;          /* ... by scheduler_yield */
    uint64_t directed_yields; /* ... by scheduler_yield_to */
    uint64_t kicks;           /* scheduler_kick */
};

struct scheduler_hooks;

struct machine {
    struct machine_state s;     /* first: saved and hashed */
    struct allocator memory;    /* machine memory */
    struct pieces pieces;       /* host memory of block and translation tables, between uses */
    struct event_queue events;  /* the timeline of things to come */
    struct trace trace;         /* trace points */
    struct tracer *tracer;      /* owned by the public face; NULL: nobody wants to know each step */
    struct host_input door;     /* everything that is not deterministic enters here */
    struct decoder *decoder;    /* owned */
    struct jit *jit;            /* owned; NULL: everything is interpreted */
    struct memory_hash *memory_hash; /* owned by timeline/hash.c; NULL until the first hash */
    struct vm *vm;              /* owned; one for now, several when scheduling VMs comes */
    struct monitor_vcpu *running; /* inside cpu_run, or NULL */
    uint64_t running_since;     /* its arch.ticks when it entered */
    unsigned tlb_entries;       /* of each array of a vCPU's virtual TLB */
    struct policy_config policy; /* how guests are virtualized; s.policy says which for saved states */
    struct mmu_vm_config mmu;   /* of the VM's; its frames are the allocator's */
    unsigned turns;             /* that ended since machine_run began */
    uint64_t stop_at;           /* ticks at which to stop with STOP_POSITION; UINT64_MAX: none */
    uint64_t max_ticks;         /* STOP_TICK_LIMIT; UINT64_MAX: none */
    enum stop_reason stop;      /* set by devices and the dispatcher, cleared by machine_run */
    uint32_t stop_code;         /* of STOP_DEBUG_EXIT */
    uint64_t wall_base;         /* seconds since 1970 UTC at virtual time 0 (-rtc base) */
    bool reset_requested;       /* carried out at the next boundary */
    bool no_reboot;             /* a reset stops the machine instead */
    bool turn_ended;            /* the running vCPU gave up the rest of its turn (PAUSE, IPI, yield) */
    bool is_suspended;          /* another machine of the group has the pcpu */
    bool returns_idle;          /* machine_run ends with STOP_IDLE rather than skip idle time */
    const struct scheduler_hooks *turn_hooks; /* monitor/scheduler.h; NULL: nobody listens */
    struct scheduler_counters scheduling; /* since the machine was made; no state */
};

struct machine_config {
    uint64_t memory_size;  /* bytes of machine memory to reserve */
    uint64_t seed;         /* of the entropy source */
    uint32_t ns_per_tick;  /* >= 1 */
    uint64_t tsc_hz;       /* 0: one TSC tick per ns */
    const struct jit_config *jit; /* how to translate; NULL: interpret only */
    uint64_t quantum;      /* ticks of a turn; 0: the default */
    uint8_t pause_exiting; /* enum pause_exiting */
    uint32_t pause_gap;    /* for PAUSE_LOOP_EXITS */
    uint32_t pause_window; /* for PAUSE_LOOP_EXITS */
    unsigned tlb_entries;  /* of each array of a virtual TLB: a power of two, 16..65536; 0: DEFAULT_TLB_ENTRIES. No guest can tell */
    struct policy_config policy; /* all zero: bt */
    struct mmu_vm_config mmu; /* how misses are translated; frames.count says how many frames its tables may have */
};

int machine_create(const struct machine_config *config, struct machine **out, struct err *err);
void machine_destroy(struct machine *m);

/* Create the machine's VM with `vcpus` vCPUs of the given CPU model and no memory. */
int vm_create(struct machine *m, unsigned vcpus, const struct cpu_model *model, struct err *err);

/* Register a device of the board, in the order that snapshots and hashes use. */
void vm_add_device(struct vm *vm, const struct device_ops *ops, void *self, const char *name);

/* Ticks of all vCPUs, and virtual time, at this very instruction. */
uint64_t machine_ticks_now(const struct machine *m);
vtime machine_now(const struct machine *m);

/* Tell a vCPU's counters of the machine's clock: at creation and after a load. */
void machine_set_vcpu_clock(const struct machine *m, struct vcpu *vcpu);

/* Wake the dispatcher: the vCPU has an interrupt, NMI, INIT or SIPI to look at. */
void monitor_vcpu_kick(struct monitor_vcpu *mv);

/* 64 bits of the seeded entropy source. */
uint64_t machine_entropy(struct machine *m);

/* End the run: at the next boundary machine_run returns reason. The first reason stays. */
void machine_stop(struct machine *m, enum stop_reason reason, uint32_t code);
