/* SPDX-License-Identifier: MIT */
/* Tracing: what the guest did, step by step (docs/trace.md). Part of monitor/trapline.h, which includes it. */
#pragma once

#include "monitor/trapline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How much is told. Each level tells what those above it tell. */
enum trapline_trace_level {
    TRAPLINE_LEVEL_NONE,
    TRAPLINE_LEVEL_EVENTS, /* exceptions, interrupts, halts; sensitive instructions that change CPL */
    TRAPLINE_LEVEL_EXITS,  /* every sensitive instruction and device access */
    TRAPLINE_LEVEL_BLOCKS, /* transfers that were taken, and the straight runs between them */
    TRAPLINE_LEVEL_INSNS,  /* every instruction; no runs */
};

enum trapline_step_kind {
    TRAPLINE_STEP_INSN,       /* an instruction that runs by itself */
    TRAPLINE_STEP_RUN,        /* several of them, one behind the other (BLOCKS) */
    TRAPLINE_STEP_SENSITIVE,  /* a sensitive instruction: an exit */
    TRAPLINE_STEP_EXCEPTION,  /* an exception was delivered */
    TRAPLINE_STEP_INTERRUPT,  /* an external interrupt was delivered */
    TRAPLINE_STEP_NMI,        /* an NMI was delivered */
    TRAPLINE_STEP_MMIO_READ,  /* a device was read by memory, within the instruction that follows */
    TRAPLINE_STEP_MMIO_WRITE, /* a device was written by memory */
    TRAPLINE_STEP_IDLE,       /* every vCPU was halted */
};

/* How control went on. */
enum trapline_flow {
    TRAPLINE_FLOW_NEXT,   /* behind the instruction */
    TRAPLINE_FLOW_JUMP,   /* somewhere else */
    TRAPLINE_FLOW_CALL,   /* somewhere else, the return address pushed */
    TRAPLINE_FLOW_RETURN, /* to an address popped */
    TRAPLINE_FLOW_ENTER,  /* through a gate: interrupt, exception, system call */
    TRAPLINE_FLOW_LEAVE,  /* back: IRET, SYSRET, SYSEXIT */
};

enum trapline_cpu_mode {
    TRAPLINE_MODE_REAL,
    TRAPLINE_MODE_VM86,
    TRAPLINE_MODE_PROT16,
    TRAPLINE_MODE_PROT32, /* compatibility mode too */
    TRAPLINE_MODE_LONG64,
};

/* One thing that happened. Valid during the call that hands it over. */
struct trapline_step {
    size_t size;                  /* sizeof(struct trapline_step) of the library */
    enum trapline_step_kind kind;
    unsigned vcpu;
    uint64_t tick;                /* position before it: trapline_run(m, tick, ...) stops right before */
    uint64_t ticks;               /* it took: iterations of a REP instruction, instructions of a run; 0: none */
    uint64_t vtime_ns;            /* virtual time before it */
    uint64_t duration_ns;         /* virtual time it took; of IDLE: that was skipped */
    uint64_t rip;                 /* before it */
    uint64_t next_rip;            /* after it */
    uint64_t rsp, next_rsp;       /* before and after */
    uint64_t cr3;                 /* before it */
    unsigned cpl, next_cpl;       /* before and after */
    enum trapline_cpu_mode mode;  /* before it */
    enum trapline_flow flow;
    const uint8_t *code;          /* bytes of the instruction; not of INTERRUPT, NMI, IDLE */
    unsigned length;              /* of code; 0: not known */
    const char *name;             /* "MOV_CR", "#PF", "interrupt" */
    const char *reason;           /* why the guest was left, as in the table of exits; NULL: it was not */
    const char *what;             /* Popek and Goldberg's class, as in struct trapline_exit_place; "innocuous" */
    const char *owner;            /* who owned the exit: "monitor", "guest"; NULL: there was none */
    unsigned sensitivity;         /* TRAPLINE_SENSITIVE_* of the instruction */
    bool is_fault;                /* SENSITIVE: it raised an exception, and changed nothing */
    bool has_error_code;          /* EXCEPTION: error_code is valid */
    uint32_t error_code;          /* EXCEPTION: as pushed */
    unsigned vector;              /* EXCEPTION, INTERRUPT, NMI */
    bool has_value;               /* address, value and width are valid: MMIO; ports and MSRs */
    uint64_t address;             /* physical address, port or MSR; of #PF the linear address */
    uint64_t value;               /* read or written */
    unsigned width;               /* of it in bytes */
};

/* A register, or an element of one, that is not as it was. */
struct trapline_change {
    const char *name; /* of trapline_cpu_field, or "rax" .. "r15" */
    unsigned index;   /* element */
    unsigned count;   /* elements that the field has; 1: index says nothing */
    uint64_t before, after;
};

struct trapline_trace_config {
    size_t size;                     /* sizeof(struct trapline_trace_config) */
    enum trapline_trace_level level;
    uint64_t from;                   /* first tick that is told */
    uint64_t ticks;                  /* how many; 0: all that follow */
    void (*step)(void *opaque, const struct trapline_step *step);
    void *opaque; /* of step */
};

#define TRAPLINE_TRACE_CONFIG_INIT                                                                 \
    {                                                                                              \
        .size = sizeof(struct trapline_trace_config)                                               \
    }

/*
 * Tell config.step what the guest does from now on; level NONE: no more. The guest can't tell: ticks, results and hashes are
 * those of a run without. Without it nothing is spent on it, and code that runs by itself never is: at EXITS the slots of sensitive
 * instructions are wrapped, at BLOCKS and INSNS the machine is run in pieces of a few instructions or one. Call it between runs, not
 * from a step. -EINVAL: no such level, or no function; -ENOMEM; -ENOTSUP: a library built without trace points.
 */
int trapline_trace_steps(struct trapline_machine *m, const struct trapline_trace_config *config,
                         struct trapline_error *error);

/* From config.step: end the run, which returns TRAPLINE_STOP_POSITION, at the next boundary. */
void trapline_end_run(struct trapline_machine *m);

/* Called from config.step only, about its step: */

/* The instruction as an assembler writes it (Intel's syntax), or what was delivered. Always ends with a zero. */
void trapline_step_text(struct trapline_machine *m, const struct trapline_step *step, char *text, size_t size);

/* What it changed: at most `most` of them, in the order of the fields; how many there are. RIP is no change, and nothing is told of a run. */
unsigned trapline_step_changes(struct trapline_machine *m, const struct trapline_step *step,
                               struct trapline_change *changes, unsigned most);

#define TRAPLINE_WALK_LEVELS 4

/* How a linear address is translated by the guest's own tables. Nothing is set in them. */
struct trapline_walk {
    size_t size;          /* sizeof(struct trapline_walk) */
    const char *format;   /* "none" without paging; "legacy", "PAE", "4-level" */
    unsigned levels;      /* entries that were read */
    bool is_mapped;       /* the last of them maps a page */
    uint64_t cr3;
    uint64_t address;     /* linear */
    uint64_t physical;    /* if is_mapped */
    uint64_t page_size;   /* if is_mapped */
    struct {
        const char *name;   /* "PML4E", "PDPTE", "PDE", "PTE" */
        uint64_t table;     /* physical address of the table; 0: a PDPTE register */
        unsigned index;     /* of the entry in it */
        unsigned bits[2];   /* of the linear address that are the index: high, low */
        uint64_t entry;     /* as it stands there */
    } level[TRAPLINE_WALK_LEVELS];
};

#define TRAPLINE_WALK_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(struct trapline_walk)                                                       \
    }

/* -EINVAL: no such vCPU. */
int trapline_walk(const struct trapline_machine *m, unsigned vcpu, uint64_t address,
                  struct trapline_walk *walk, struct trapline_error *error);

#ifdef __cplusplus
}
#endif
