/* SPDX-License-Identifier: MIT */
/*
 * libtrapline: x86 virtual machines as a library. The one header that programs outside this tree
 * include; the command line is its first client, docs/examples/ has a small one. It needs standard
 * headers only. Handles are opaque; structs that may grow begin with their size, which the caller
 * sets (the *_INIT macros do), so that old programs work with newer libraries.
 *
 * A machine belongs to one thread at a time. Nothing here is global: any number of machines live in
 * one process and never meet. Functions that can fail return 0 or a negative errno and fill a
 * struct trapline_error (which may be NULL).
 *
 *   struct trapline_config config = TRAPLINE_CONFIG_INIT;
 *   config.kernel.path = "vmlinuz";
 *   struct trapline_machine *m;
 *   struct trapline_stop stop = TRAPLINE_STOP_INIT;
 *   if (trapline_create(&config, &m, &error) == 0)
 *       trapline_run(m, UINT64_MAX, &stop);
 *   trapline_destroy(m);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when functions or struct members are added; the library keeps working for callers of older
 * ones. */
#define TRAPLINE_API 1

unsigned trapline_api(void);        /* TRAPLINE_API of the library */
const char *trapline_version(void); /* "0.1.0" */

struct trapline_error {
    char text[512]; /* what failed and where, one sentence without a full stop */
    char hint[256]; /* what to try, or empty */
};

struct trapline_machine;

/* ---- making a machine ---- */

/* A file by its path, or bytes in memory (copied). Neither: none. */
struct trapline_file {
    const char *path; /* read by trapline_create; with data: a name for messages */
    const void *data; /* its bytes, or NULL */
    size_t size;      /* of data */
};

#define TRAPLINE_SERIALS 4

/* What is at the other end of a serial port. */
struct trapline_serial {
    bool is_present; /* the port exists */
    /* The guest sent a byte; false: it is lost. NULL: nobody listens. */
    bool (*put)(void *opaque, uint8_t byte);
    void *put_opaque; /* of put */
    int fd;           /* bytes for the guest are read here, when there are any; -1: none */
    bool stays_open;  /* trapline_serial_connect may bring another fd: input can always come */
    /* Looks at bytes before the guest gets them (escape keys); returns how many to keep, compacted
     * in p. May be NULL. */
    size_t (*filter)(void *opaque, uint8_t *p, size_t n);
    void *filter_opaque; /* of filter */
};

/* A trace point fired. */
struct trapline_event {
    size_t size;       /* sizeof(struct trapline_event) of the library */
    const char *name;  /* "io_write" */
    const char *who;   /* device, or NULL */
    const char *text;  /* its arguments, formatted */
    uint64_t args[4];  /* and plain */
    uint64_t ticks;    /* position in the run */
    uint64_t vtime_ns; /* virtual time */
};

/* What runs innocuous instructions. AUTO: the translator where the host has one, else the interpreter. */
enum trapline_engine { TRAPLINE_ENGINE_AUTO, TRAPLINE_ENGINE_INTERP, TRAPLINE_ENGINE_JIT };

#define TRAPLINE_JIT_CACHE_MIN (UINT64_C(256) << 10)
#define TRAPLINE_JIT_CACHE_MAX (UINT64_C(1) << 30)

/* How the guest's addresses are translated on a miss of the virtual TLB. */
enum trapline_mmu {
    TRAPLINE_MMU_DIRECT, /* by the guest's tables, which are traced */
    TRAPLINE_MMU_SHADOW, /* by shadow tables made from the guest's */
    TRAPLINE_MMU_NESTED, /* by the guest's tables and, each address on the way, by nested tables */
};

enum trapline_nested_format { TRAPLINE_NESTED_LONG, TRAPLINE_NESTED_PAE, TRAPLINE_NESTED_LEGACY };

#define TRAPLINE_MMU_MEMORY_MIN (UINT64_C(256) << 10)
#define TRAPLINE_MMU_MEMORY_MAX (UINT64_C(1) << 30)

/* All zero: direct. No guest can tell any of it. */
struct trapline_paging {
    enum trapline_mmu mmu;
    uint64_t memory;            /* cap of the shadow or nested tables in bytes; 0: the default */
    uint64_t unsync;            /* shadow: traced writes after which a page table runs unsynchronized */
    bool has_unsync;            /* unsync was given (0: never); else the default */
    enum trapline_nested_format nested_format;
    uint64_t nested_page;       /* largest page of nested tables: 4 KiB, 2 MiB or 1 GiB; 0: the default, 2 MiB */
    bool no_walk_caches;        /* every walk begins at the root */
    bool is_untagged;           /* loads of CR3 empty the virtual TLB unless a PCID keeps it */
    bool is_pdpte_in_memory;    /* nested: PDPTEs of PAE guests are referred to by every walk (APM), not registers (SDM) */
};

/* Who does what of the guest's sensitive instructions. */
enum trapline_policy {
    TRAPLINE_POLICY_BT, /* every one goes through the monitor, privileged or not */
    TRAPLINE_POLICY_PV, /* as bt, and the guest is offered hypercalls */
    TRAPLINE_POLICY_CLASSIC, /* by architecture alone: what does not trap in a less privileged ring runs there (docs/classic.md) */
};

/* All zero: bt. The guest can tell. */
struct trapline_virt {
    enum trapline_policy policy;
    uint64_t time_step;  /* pv: ns by which the time that the guest reads advances, at most 10^9; 0: by each */
    uint64_t time_reads; /* pv: reads of the clock per ms of virtual time and vCPU that see it advance; 0: all */
    uint32_t revoke;     /* pv: features (trapline_pv_feature's bits) that are withdrawn ... */
    uint64_t revoke_at;  /* ... at this virtual time in ns */
    unsigned ring;        /* classic: of the guest's ring 0, 1 or 3; 0: 1 */
    bool emulates_faults; /* classic: a fault that only the real machine has is emulated, not reflected */
};

#define TRAPLINE_TIME_STEP_MAX UINT64_C(1000000000)

/* The name of feature bit i of -virt pv: "timer"; NULL past the last. */
const char *trapline_pv_feature(unsigned i);

/* When PAUSE ends the turn of a vCPU that others wait for. */
enum trapline_pause {
    TRAPLINE_PAUSE_ALWAYS, /* PAUSE exiting */
    TRAPLINE_PAUSE_NEVER,
    TRAPLINE_PAUSE_LOOP,   /* PAUSE-loop exiting: in a loop of PAUSEs that lasts */
};

#define TRAPLINE_QUANTUM 20000 /* the default */
#define TRAPLINE_QUANTUM_MIN 100
#define TRAPLINE_QUANTUM_MAX (UINT64_C(1) << 40)

/* How the vCPUs of a machine take turns on its one physical CPU (docs/scheduling.md). All zero: the defaults. */
struct trapline_scheduling {
    uint64_t quantum;          /* ticks of a turn; 0: TRAPLINE_QUANTUM */
    enum trapline_pause pause; /* when PAUSE ends it */
    uint32_t pause_gap;        /* LOOP: most ticks from one PAUSE of a loop to the next; 0: 128 */
    uint32_t pause_window;     /* LOOP: ticks after which a loop ends the turn; 0: 4096 */
};

struct trapline_config {
    size_t size; /* sizeof(struct trapline_config) */
    /* "pc"; "none": bare vCPUs, no device, no memory but what trapline_map adds. */
    const char *board;
    uint64_t memory; /* bytes of RAM; board none: what trapline_map can hand out. 0: 128 MiB */
    unsigned vcpus;  /* 1 to 64 */
    const char *cpu; /* model and changes, "max,kvm=off"; NULL: the default */
    struct trapline_file kernel; /* bzImage, Multiboot or ELF with a PVH note */
    const char *initrd; /* path; for Multiboot and PVH a comma-separated list of "path arguments" */
    const char *append; /* kernel command line; NULL: empty */
    struct trapline_file bios; /* ROM image that ends at 4 GiB */
    uint64_t rtc_base;         /* the guest's date at the start, seconds since 1970 UTC */
    uint64_t seed;             /* of the guest's entropy */
    unsigned ns_per_tick;      /* virtual ns an instruction takes, at least 1 */
    uint64_t max_ticks;        /* TRAPLINE_STOP_TICK_LIMIT there; UINT64_MAX: never */
    uint64_t drop_caches;      /* test mode: forget all caches every so many ticks; 0: never */
    enum trapline_engine engine; /* what runs innocuous code; no guest can tell */
    uint32_t jit_threshold;    /* times a block is entered before it is translated; 0: the default */
    uint64_t jit_cache;        /* bytes of translated code; 0: the default */
    unsigned tlb_entries;      /* of each array of a virtual TLB, at most: a power of two, 16 to 65536; 0: the default */
    struct trapline_paging paging;
    struct trapline_virt virt;
    bool no_reboot;            /* a reset stops the machine */
    bool is_interactive;       /* a person is waiting: idle time is slept on the wall clock */
    bool own_decompressor;     /* a bzImage unpacks itself in the guest */
    bool has_testdev;          /* pc-testdev */
    uint16_t debug_exit_base;  /* isa-debug-exit: first port */
    uint16_t debug_exit_size;  /* its ports; 0: not there */
    struct trapline_serial serial[TRAPLINE_SERIALS]; /* COM1 to COM4 */
    void (*debugcon)(void *opaque, uint8_t byte);    /* ports 402h and E9h; NULL: discarded */
    void *debugcon_opaque;                           /* of debugcon */
    /* The guest waits, or a good while has passed: show what put has kept. May be NULL. */
    void (*flush)(void *opaque);
    void *flush_opaque; /* of flush */
    /* Not 0: the run stops soon. Set it from a signal handler. May be NULL. */
    const volatile int *interrupted;
    int wake_fd; /* a byte here, after interrupted was set, ends a sleep; -1: none */
    /* Where trace points go; NULL: nowhere. */
    void (*trace)(void *opaque, const struct trapline_event *event);
    void *trace_opaque; /* of trace */
    /* A block was translated: its code, where the guest ran it and where it lies in its memory. Later code may stand in the same
     * place. For profilers; may be NULL. */
    void (*translated)(void *opaque, const void *code, size_t size, uint64_t rip, uint64_t physical);
    void *translated_opaque; /* of translated */
    /* Progress of long work before the first instruction; may be NULL. */
    void (*progress)(void *opaque, const char *what, uint64_t done, uint64_t total);
    void *progress_opaque; /* of progress */
    struct trapline_scheduling scheduling;
};

#define TRAPLINE_DEFAULT_CPU "max" /* config.cpu NULL */

/* 2024-01-01 00:00:00 UTC: the same date in every run, unless somebody asks for another. */
#define TRAPLINE_RTC_BASE UINT64_C(1704067200)

/* clang-format off */
#define TRAPLINE_CONFIG_INIT                                                                       \
    {                                                                                              \
        .size = sizeof(struct trapline_config), .board = "pc", .vcpus = 1,                         \
        .rtc_base = TRAPLINE_RTC_BASE, .ns_per_tick = 1, .max_ticks = UINT64_MAX, .wake_fd = -1,   \
        .serial = {{.fd = -1}, {.fd = -1}, {.fd = -1}, {.fd = -1}},                                \
    }
/* clang-format on */

/*
 * Build a machine, ready to run: files are read, checked and loaded; nothing of config is kept but
 * the callbacks, their opaques, the file descriptors (borrowed) and `interrupted`. -EINVAL:
 * something in config is impossible; -ENOENT and others: a file; -ENOSPC: too little guest memory;
 * -ENOMEM.
 */
int trapline_create(const struct trapline_config *config, struct trapline_machine **out,
                    struct trapline_error *error);
void trapline_destroy(struct trapline_machine *m); /* NULL is fine */

/* Is there a CPU model of this spelling? As config.cpu; -EINVAL and what is wrong. */
int trapline_check_cpu(const char *cpu, struct trapline_error *error);

/* ---- running ---- */

enum trapline_reason {
    TRAPLINE_STOP_POSITION,     /* the position asked for */
    TRAPLINE_STOP_POWER_OFF,    /* ACPI power-off */
    TRAPLINE_STOP_DEBUG_EXIT,   /* isa-debug-exit: code */
    TRAPLINE_STOP_RESET,        /* the guest asked for a reset, with no_reboot */
    TRAPLINE_STOP_TRIPLE_FAULT, /* shutdown, with no_reboot or on board none */
    TRAPLINE_STOP_DEAD_HALT,    /* every vCPU is halted and nothing can wake one */
    TRAPLINE_STOP_TICK_LIMIT,   /* config.max_ticks */
    TRAPLINE_STOP_INTERRUPTED,  /* *config.interrupted */
    TRAPLINE_STOP_EXCEPTION,    /* trapline_step: an exception, not delivered */
    TRAPLINE_STOP_HALT,         /* trapline_step: the vCPU is halted */
    TRAPLINE_STOP_LONG_MODE,    /* policy classic: the guest enters long mode */
    TRAPLINE_STOP_BREAKPOINT,   /* a vCPU is about to execute at a breakpoint */
};

struct trapline_stop {
    size_t size;                 /* sizeof(struct trapline_stop) */
    enum trapline_reason reason; /* why */
    uint32_t code;               /* DEBUG_EXIT: the value written; BREAKPOINT: the vCPU */
    unsigned vector;             /* EXCEPTION: 0-31 */
    bool has_error_code;         /* EXCEPTION: error_code is valid */
    uint32_t error_code;         /* EXCEPTION: as pushed */
    uint64_t address;            /* EXCEPTION: the linear address of a page fault; BREAKPOINT: its own */
};

#define TRAPLINE_STOP_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(struct trapline_stop)                                                       \
    }

/*
 * Exit statuses of the command line for each reason: power-off, reset with -no-reboot and the
 * user's wish 0, isa-debug-exit (code << 1) | 1, and these, which are even so that they can't be
 * taken for the guest's.
 */
enum {
    TRAPLINE_EXIT_ERROR = 64,        /* the options, a file, the host */
    TRAPLINE_EXIT_TRIPLE_FAULT = 66, /* TRAPLINE_STOP_TRIPLE_FAULT */
    TRAPLINE_EXIT_TICK_LIMIT = 68,   /* TRAPLINE_STOP_TICK_LIMIT */
    TRAPLINE_EXIT_DEAD_HALT = 70,    /* TRAPLINE_STOP_DEAD_HALT */
    TRAPLINE_EXIT_DIFFERENCE = 72,   /* trapline_verify found one */
    TRAPLINE_EXIT_LONG_MODE = 74,    /* TRAPLINE_STOP_LONG_MODE */
};
int trapline_exit_status(const struct trapline_stop *stop);

/* "the guest powered off": what a reason means, for messages. */
const char *trapline_reason_text(enum trapline_reason reason);

/*
 * Run until the position `until` (ticks since the machine was made; UINT64_MAX: none) or something
 * stops the machine. It is then at an instruction boundary and can be looked at, changed, saved,
 * hashed and run on.
 */
void trapline_run(struct trapline_machine *m, uint64_t until, struct trapline_stop *stop);

/*
 * Run one vCPU by itself for n instructions (REP iterations count), or until it halts or raises an
 * exception: that is reported, not delivered, with the state as before the instruction. No
 * interrupt is taken, no device event fires. For harnesses: set state, one instruction, compare.
 * -EINVAL: no such vCPU.
 */
int trapline_step(struct trapline_machine *m, unsigned vcpu, uint64_t n, struct trapline_stop *stop,
                  struct trapline_error *error);

/*
 * Run a guest from its start to its end on two machines made from config, one interpreted and one
 * translated (config.engine is not asked), in lock-step. The guest gets no input; config's
 * callbacks hear the translated one. 0: no difference, *stop says how it ended; 1: out has the tick
 * after which they differ, both states and the code of the block, guest and host; -errno: as
 * trapline_create, or -ENOTSUP: no translator for this host.
 */
int trapline_verify(const struct trapline_config *config, FILE *out, struct trapline_stop *stop,
                    struct trapline_error *error);

/* Virtual ns for which a vCPU was runnable and did not run so far: KVM's steal time, before its guest asks. 0: no such vCPU. */
uint64_t trapline_stolen_ns(const struct trapline_machine *m, unsigned vcpu);

/* Ticks that a vCPU has executed. 0: no such vCPU. */
uint64_t trapline_vcpu_ticks(const struct trapline_machine *m, unsigned vcpu);

/* What ended the turns of vCPUs, since the machine was made. */
struct trapline_turns {
    size_t size;              /* sizeof(struct trapline_turns) */
    uint64_t turns;           /* that began; a machine with one vCPU has no use for them */
    uint64_t pauses;          /* PAUSEs executed */
    uint64_t pause_yields;    /* turns ended by PAUSE */
    uint64_t ipi_yields;      /* ... after an IPI was sent */
    uint64_t yields;          /* ... by a hypercall */
    uint64_t directed_yields; /* ... by one that named the next vCPU */
    uint64_t kicks;           /* HLTs that were, or will be, ended by a hypercall */
};

#define TRAPLINE_TURNS_INIT                                                                        \
    {                                                                                              \
        .size = sizeof(struct trapline_turns)                                                      \
    }

void trapline_turns(const struct trapline_machine *m, struct trapline_turns *out);

/* The same as text, with what each vCPU executed and what was stolen from it. */
void trapline_print_turns(const struct trapline_machine *m, FILE *out);

/* ---- several machines on few physical CPUs ---- */

/*
 * A group of machines shares `pcpus` physical CPUs in virtual time, in proportion to weights and work-conserving: what one does not
 * use goes to the others. The clocks of all machines go at the pace of the group's: while a machine executes, is halted, or waits
 * for a pcpu, which its guest may see as stolen time. A machine uses one pcpu at a time. The same every time
 * (docs/scheduling.md).
 */
struct trapline_group;

#define TRAPLINE_GROUP_MACHINES 64
#define TRAPLINE_WEIGHT_MAX 65536

struct trapline_group_config {
    size_t size;       /* sizeof(struct trapline_group_config) */
    unsigned pcpus;    /* 1 to 64 */
    uint64_t slice_ns; /* longest time on a pcpu without a decision, 1000 to 10^9; 0: 1 ms */
};

#define TRAPLINE_GROUP_CONFIG_INIT                                                                 \
    {                                                                                              \
        .size = sizeof(struct trapline_group_config), .pcpus = 1                                   \
    }

/* -EINVAL: the numbers; -ENOMEM. */
int trapline_group_create(const struct trapline_group_config *config, struct trapline_group **out,
                          struct trapline_error *error);
void trapline_group_destroy(struct trapline_group *g); /* the machines stay; NULL is fine */

/*
 * m joins at the group's present time and belongs to it until the group is destroyed: until then it is not run, loaded or destroyed
 * by others; it may be looked at, hashed and saved. The index of m in the group, or -EINVAL: a weight from 1 to
 * TRAPLINE_WEIGHT_MAX; -EBUSY: m is in a group; -ENOTSUP: it waits for a person's or another program's input, or drops caches;
 * -ENOSPC: TRAPLINE_GROUP_MACHINES are there.
 */
int trapline_group_add(struct trapline_group *g, struct trapline_machine *m, uint32_t weight, struct trapline_error *error);

/*
 * Run all until the group's clock says until_ns, or all guests are over. How many are not. -EINTR: *config.interrupted of one of
 * them; run on with another call.
 */
int trapline_group_run(struct trapline_group *g, uint64_t until_ns);

uint64_t trapline_group_now_ns(const struct trapline_group *g);

/* What became of a machine: the three times are the time that it has been in the group. */
struct trapline_group_member {
    size_t size;               /* sizeof(struct trapline_group_member) */
    uint32_t weight;           /* as given */
    uint64_t run_ns;           /* on a pcpu */
    uint64_t idle_ns;          /* all its vCPUs halted */
    uint64_t waited_ns;        /* runnable, without a pcpu */
    uint64_t slices;           /* times on a pcpu */
    bool is_over;              /* its guest is done: stop says how */
    struct trapline_stop stop; /* see is_over */
};

#define TRAPLINE_GROUP_MEMBER_INIT                                                                 \
    {                                                                                              \
        .size = sizeof(struct trapline_group_member), .stop = TRAPLINE_STOP_INIT                   \
    }

/* Machine i; false past the last. */
bool trapline_group_member(const struct trapline_group *g, unsigned i, struct trapline_group_member *out);

/* Time that pcpu i had a machine, and had none; false past the last. */
bool trapline_group_pcpu(const struct trapline_group *g, unsigned i, uint64_t *busy_ns, uint64_t *idle_ns);

enum trapline_inject {
    TRAPLINE_INJECT_INTERRUPT, /* as an acknowledged external interrupt; IF is not asked */
    TRAPLINE_INJECT_NMI,       /* non-maskable interrupt */
    TRAPLINE_INJECT_EXCEPTION, /* with error_code where the vector has one */
};

/*
 * Deliver an event into the guest now, through its IDT; takes a tick. -EINVAL: no such vCPU, kind
 * or vector; -EIO: it ended in a triple fault, and the vCPU is shut down.
 */
int trapline_inject(struct trapline_machine *m, unsigned vcpu, enum trapline_inject kind,
                    unsigned vector, uint32_t error_code, struct trapline_error *error);

/* Where the run is. */
uint64_t trapline_ticks(const struct trapline_machine *m);
uint64_t trapline_vtime_ns(const struct trapline_machine *m);

/* Bytes for serial port n come from fd from now on (-1: from nowhere): somebody connected. -ENODEV:
 * no such port. */
int trapline_serial_connect(struct trapline_machine *m, unsigned n, int fd);

/*
 * Stop trapline_run and trapline_step before the instruction at this linear address, in every vCPU and address space. The guest cannot
 * tell. Not for machines in a group: there it ends the member. trapline_break: -EEXIST, or -ENOSPC beyond 64. trapline_unbreak: -ENOENT. trapline_breakpoint: the n-th; false: there are not so many.
 */
int trapline_break(struct trapline_machine *m, uint64_t address, struct trapline_error *error);
int trapline_unbreak(struct trapline_machine *m, uint64_t address, struct trapline_error *error);
bool trapline_breakpoint(const struct trapline_machine *m, unsigned n, uint64_t *address);

/* Forget everything that can be rebuilt: decoded blocks, cached translations. The guest can't tell.
 */
void trapline_drop_caches(struct trapline_machine *m);

/* ---- state ---- */

/* A field of the state of a vCPU, a device or the machine. Read-only; the text lives as long as the
 * program. */
struct trapline_field {
    size_t size;      /* sizeof(struct trapline_field) */
    const char *name; /* "gpr" */
    const char *doc;  /* what it is */
    unsigned count;   /* elements */
    unsigned width;   /* bytes of an element: 1, 2, 4 or 8 */
};

#define TRAPLINE_FIELD_INIT                                                                        \
    {                                                                                              \
        .size = sizeof(struct trapline_field)                                                      \
    }

/* The fields of a vCPU, in order: false past the last. */
bool trapline_cpu_field(unsigned i, struct trapline_field *field);

/*
 * Read and write a register: a field's name, with the element (`gpr` and 3), or the name of one:
 * rax .. r15, es .. gs, ldtr, tr, xmm0 .. xmm15 (element 0 low, 1 high quadword), with the element
 * in `index`. -ENOENT: no such name, -ERANGE: no such element, or a value that does not fit or that
 * no processor can have.
 */
int trapline_get(const struct trapline_machine *m, unsigned vcpu, const char *name, unsigned index,
                 uint64_t *value, struct trapline_error *error);
int trapline_set(struct trapline_machine *m, unsigned vcpu, const char *name, unsigned index,
                 uint64_t value, struct trapline_error *error);

/* Put the vCPU into the state after power-on (real mode, at the reset vector). */
int trapline_cpu_reset(struct trapline_machine *m, unsigned vcpu, struct trapline_error *error);

/*
 * Segment register 0-7 (ES CS SS DS FS GS LDTR TR) with all its parts, unchecked, as a debugger
 * would; attr is in the form of the field seg_attr. CPL becomes the DPL of SS when SS is set.
 */
int trapline_set_segment(struct trapline_machine *m, unsigned vcpu, unsigned seg, uint16_t selector,
                         uint64_t base, uint32_t limit, uint32_t attr,
                         struct trapline_error *error);

/* A part of a machine's state. */
struct trapline_part {
    size_t size;     /* sizeof(struct trapline_part) */
    char name[32];   /* "machine", "cpu0", "pic" */
    const char *doc; /* a device: the chip and what it is; else NULL */
};

#define TRAPLINE_PART_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(struct trapline_part)                                                       \
    }

/* The parts in their order, the machine, vCPUs, then devices, and their fields: false past the
 * last. */
bool trapline_part(const struct trapline_machine *m, unsigned i, struct trapline_part *part);
bool trapline_part_field(const struct trapline_machine *m, unsigned i, unsigned field_index,
                         struct trapline_field *field);
bool trapline_part_get(const struct trapline_machine *m, unsigned i, unsigned field_index,
                       unsigned index, uint64_t *value);

/* ---- memory ---- */

/* Board none: RAM (or ROM) at [address, address + length), whole pages, all zero. -EEXIST, -ENOMEM,
 * -EINVAL. */
int trapline_map(struct trapline_machine *m, uint64_t address, uint64_t length, bool is_rom,
                 struct trapline_error *error);

/*
 * Copy guest-physical memory. -EFAULT when some byte is not memory: then nothing was copied. A
 * write changes ROM too, and decoded code and translations follow.
 */
int trapline_read(struct trapline_machine *m, uint64_t address, void *buffer, size_t length,
                  struct trapline_error *error);
int trapline_write(struct trapline_machine *m, uint64_t address, const void *buffer, size_t length,
                   struct trapline_error *error);

/* By linear address of a vCPU, as its page tables are now; no rights are asked, no A or D bit is
 * set. -EFAULT. */
int trapline_read_linear(struct trapline_machine *m, unsigned vcpu, uint64_t address, void *buffer,
                         size_t length, struct trapline_error *error);
int trapline_write_linear(struct trapline_machine *m, unsigned vcpu, uint64_t address,
                          const void *buffer, size_t length, struct trapline_error *error);

/* Ranges of guest-physical memory, ascending: false past the last. */
bool trapline_memory_range(const struct trapline_machine *m, unsigned i, uint64_t *address,
                           uint64_t *length, bool *is_rom);

/* ---- positions ---- */

#define TRAPLINE_HASH_BYTES 16

/* The state hash: equal for equal guests, whatever the host, the engine and its caches. -ENOMEM. */
int trapline_hash(struct trapline_machine *m, uint8_t hash[TRAPLINE_HASH_BYTES],
                  struct trapline_error *error);

/* One link of a chain of hashes: link := H(link, state hash now). The first link is all zeroes. */
int trapline_hash_chain(struct trapline_machine *m, uint8_t link[TRAPLINE_HASH_BYTES],
                        struct trapline_error *error);

/* The whole machine to a file, atomically; and back, into a machine made with the same config. */
int trapline_save(struct trapline_machine *m, const char *path, struct trapline_error *error);
int trapline_load(struct trapline_machine *m, const char *path, struct trapline_error *error);

/* ---- seeing inside ---- */

/*
 * Policy classic: the last exception that an instruction raised because it ran in a less privileged ring, or through the monitor's
 * tables, in words. False: there was none.
 */
bool trapline_explain_classic(struct trapline_machine *m, FILE *out);

/* The table of exits so far, most frequent first. */
void trapline_print_exits(struct trapline_machine *m, FILE *out);

/* Withdraw features of -virt pv (trapline_pv_feature's bits) from the running guest. */
void trapline_revoke(struct trapline_machine *m, uint32_t features);

/* Hypercalls with this number so far. */
uint64_t trapline_hypercalls(const struct trapline_machine *m, uint64_t number);

/* The tables of hypercalls so far, and of what else the paravirtual interfaces did. */
void trapline_print_hypercalls(const struct trapline_machine *m, FILE *out);

/*
 * What the translator did so far: blocks translated, code cache, links, TLB misses, traced writes, and which instructions
 * called their handlers how often.
 */
void trapline_print_jit(struct trapline_machine *m, FILE *out);

/* How addresses were translated: the counters of the virtual TLB, of walks, shadow faults, nested violations. */
void trapline_print_paging(struct trapline_machine *m, FILE *out);

/* The same as numbers, of all vCPUs, since the machine was made. */
struct trapline_paging_counters {
    size_t size;              /* sizeof(struct trapline_paging_counters) */
    uint64_t misses;          /* of the virtual TLB, filled */
    uint64_t guest_walks;     /* walks of the guest's tables */
    uint64_t guest_refs;      /* entries of theirs read */
    uint64_t shadow_walks;    /* shadow: walks of the shadow tables */
    uint64_t shadow_refs;     /* entries of theirs read */
    uint64_t nested_walks;    /* nested: walks of the nested tables */
    uint64_t nested_refs;     /* entries of theirs read, PDPTEs in memory too */
    uint64_t true_faults;     /* shadow page faults that were the guest's own */
    uint64_t hidden_faults;   /* ... that only the shadow knew */
    uint64_t protect_faults;  /* ... writes to what the monitor protects */
    uint64_t traced_writes;   /* writes to guest tables that are traced: with shadow, trace faults */
    uint64_t violations;      /* nested: entries that were missing */
    uint64_t space_switches;  /* CR3 was loaded with another address space */
    uint64_t space_evictions; /* for one, another was forgotten */
    uint64_t flushes;         /* of an untagged virtual TLB, by loads of CR3 */
};

#define TRAPLINE_PAGING_COUNTERS_INIT                                                              \
    {                                                                                              \
        .size = sizeof(struct trapline_paging_counters)                                            \
    }

void trapline_paging_counters(const struct trapline_machine *m, struct trapline_paging_counters *out);

/* The shadow tables of a vCPU's current address space, or the nested tables, in outline. */
void trapline_print_tables(struct trapline_machine *m, unsigned vcpu, FILE *out);

/*
 * How often an instruction was executed that is an exit, by its name in the instruction table ("CLI"), and the part of it for which translated
 * code called the monitor (the rest of what was translated was done in line). "MMIO" is any access to a device by memory.
 */
struct trapline_exit_count {
    uint64_t executed;
    uint64_t called;
};
int trapline_count_exits(struct trapline_machine *m, const char *instruction, struct trapline_exit_count *out);

/* Count from now on also where exits happen: by address. -ENOMEM. */
int trapline_count_places(struct trapline_machine *m, struct trapline_error *error);

/* What happened at one address so far. */
struct trapline_exit_place {
    size_t size;        /* sizeof(struct trapline_exit_place) */
    uint64_t rip;       /* of the instruction */
    bool is_user;       /* at CPL 3 */
    const char *name;   /* of the instruction, or "#PF", "interrupt", "NMI", "MMIO read", "MMIO write" */
    const char *reason; /* under which its exit is counted */
    const char *what;   /* after Popek and Goldberg: "privileged", "conditionally privileged", "sensitive, unprivileged"; "exception", "interrupt", "device access" */
    uint64_t count;     /* exits */
};

/* Visit the places, most frequent first, until visit says false; exits at places that did not fit come last, with name NULL.
 * -ENOMEM. */
int trapline_exit_places(struct trapline_machine *m,
                         bool (*visit)(void *opaque, const struct trapline_exit_place *place), void *opaque,
                         struct trapline_error *error);

/* The rows of the instruction table that caused exits so far, a line each: row, exits that completed,
 * exits that raised an exception, name, encoding, operands. */
void trapline_print_rows(struct trapline_machine *m, FILE *out);

/* Switch on or off the trace points whose name matches a shell pattern; how many matched. */
unsigned trapline_trace(struct trapline_machine *m, const char *pattern, bool on);

/* The trace points there are: false past the last. */
bool trapline_trace_point(unsigned i, const char **name, const char **doc);

/* The CPU models and their features, as `-cpu` names them: false past the last. is_executed: false for a feature that is only known. */
bool trapline_cpu_model(unsigned i, const char **name, const char **doc);
bool trapline_cpu_feature(unsigned i, const char **name, const char **doc, bool *is_executed);

/* A row of the instruction table. */
struct trapline_insn {
    size_t size;              /* sizeof(struct trapline_insn) */
    const char *name;         /* mnemonic */
    const char *encoding;     /* as in decoder/insn.def */
    const char *operands;     /* in the letters of the SDM's opcode map */
    const char *manual;       /* volume and title */
    const char *feature;      /* CPUID feature it belongs to */
    const char *privilege;    /* condition that makes it trap: "CPL0", "IOPL" ... or "" */
    unsigned sensitivity;     /* TRAPLINE_SENSITIVE_*; 0: innocuous */
    uint32_t flags_tested;    /* RFLAGS bits it reads */
    uint32_t flags_written;   /* RFLAGS bits it defines */
    uint32_t flags_undefined; /* RFLAGS bits it leaves undefined */
};

#define TRAPLINE_INSN_INIT                                                                         \
    {                                                                                              \
        .size = sizeof(struct trapline_insn)                                                       \
    }

/* Popek and Goldberg's sensitivity: a set. */
enum {
    TRAPLINE_SENSITIVE_CONTROL = 1,  /* changes the mode or the allocation of resources */
    TRAPLINE_SENSITIVE_MODE = 2,     /* behaves by the mode */
    TRAPLINE_SENSITIVE_LOCATION = 4, /* behaves by where things are */
    TRAPLINE_SENSITIVE_TIME = 8,     /* reads a clock, a counter or entropy */
};

/* Row i: false past the last. */
bool trapline_insn_row(unsigned i, struct trapline_insn *row);

/* ---- tracing: what the guest did, step by step (docs/trace.md) ---- */

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

/* ---- the classifier: Popek and Goldberg by experiment (docs/classify.md) ---- */

struct trapline_classify_config {
    size_t size;          /* sizeof(struct trapline_classify_config) */
    const char *cpu;      /* as -cpu spells it; NULL: pentium */
    const char *mode;     /* "prot16", "prot32", "long64"; NULL: prot32 */
    const char *variants; /* control bits set in all states: "umip,tsd"; NULL: none */
    unsigned states;      /* of each form that shows something; 0: enough */
    const char *policy;   /* also run every form under this monitor: "bt", "classic,ring=3"; NULL: no */
};

#define TRAPLINE_CLASSIFY_CONFIG_INIT                                                              \
    {                                                                                              \
        .size = sizeof(struct trapline_classify_config)                                            \
    }

struct trapline_classification;

/* What an instruction form is: a set. */
enum {
    TRAPLINE_CLASS_PRIVILEGED = 1,    /* completes at CPL 0, never at CPL 3 */
    TRAPLINE_CLASS_CONDITIONAL = 2,   /* a control bit decides that */
    TRAPLINE_CLASS_CONTROL = 4,       /* changes the resource state */
    TRAPLINE_CLASS_MODE = 8,          /* behaves by CPL or another part of the mode */
    TRAPLINE_CLASS_LOCATION = 16,     /* behaves by where things are */
    TRAPLINE_CLASS_TIME = 32,         /* behaves by a clock, a counter or entropy */
    TRAPLINE_CLASS_USER = 64,         /* control or behaviour sensitive at CPL 3 */
    TRAPLINE_CLASS_CLOSED = 128,      /* completed in no state that was tried */
    TRAPLINE_CLASS_BREAKS_1 = 256,    /* against Theorem 1: sensitive, completes at CPL 3 */
    TRAPLINE_CLASS_BREAKS_3 = 512,    /* against Theorem 3: user sensitive, completes at CPL 3 */
    TRAPLINE_CLASS_BY_CPL = 1024,     /* CPL alone makes a difference */
    TRAPLINE_CLASS_ABSENT = 2048,     /* not an instruction of this CPU */
};

enum { TRAPLINE_PUBLISHED_ROBIN = 1, TRAPLINE_PUBLISHED_VMWARE = 2 };

struct trapline_class_form {
    size_t size;             /* sizeof(struct trapline_class_form) */
    unsigned row;            /* of the instruction table */
    unsigned classes;        /* TRAPLINE_CLASS_* */
    unsigned declared;       /* TRAPLINE_SENSITIVE_* of the table, not read before */
    unsigned measured;       /* the same, found */
    unsigned states;         /* tried */
    unsigned completed[2];   /* of them, completed at CPL 0 and at CPL 3 */
    const char *mnemonic;    /* "MOV_SREG" */
    const char *encoding;    /* "OP(0x8c)" */
    const char *operands;    /* "(w_RvMw, r_Sw)" */
    const char *name;        /* in the papers: "MOV" */
    const char *entry;       /* what Robin and Irvine are taken to count it under; or name */
    const char *section;     /* "3C": the requirement of theirs that it breaks; or "" */
    unsigned published;      /* TRAPLINE_PUBLISHED_* */
};

#define TRAPLINE_CLASS_FORM_INIT                                                                   \
    {                                                                                              \
        .size = sizeof(struct trapline_class_form)                                                 \
    }

/* An element of the resource state. */
struct trapline_class_element {
    size_t size;      /* sizeof(struct trapline_class_element) */
    const char *name; /* "CR4.UMIP" */
    const char *kind; /* "mode", "location", "time" or "" */
    const char *doc;  /* what it is */
    bool is_varied;   /* it is held otherwise */
    bool is_bit;      /* it may decide whether an instruction traps */
};

#define TRAPLINE_CLASS_ELEMENT_INIT                                                                \
    {                                                                                              \
        .size = sizeof(struct trapline_class_element)                                              \
    }

/* How a form and an element are related; level: the CPL, 0 or 3. */
enum trapline_relation {
    TRAPLINE_READS,  /* the result depends on it */
    TRAPLINE_WRITES, /* it is left changed */
    TRAPLINE_TRAPS,  /* its other value makes the form privileged */
    TRAPLINE_ALLOWS, /* its other value lets CPL 3 in */
    TRAPLINE_OPENS,  /* without its other value the form is #UD or #GP at any level */
};

#define TRAPLINE_WITNESS_SIZE 160

/* Run the experiment. -EINVAL: no such CPU, mode or variant; -ENOMEM. */
int trapline_classify(const struct trapline_classify_config *config,
                      struct trapline_classification **out, struct trapline_error *error);
void trapline_classification_destroy(struct trapline_classification *c); /* NULL is fine */

/* The rows of the instruction table, and the elements: false past the last. */
bool trapline_class_form(const struct trapline_classification *c, unsigned i,
                         struct trapline_class_form *form);
bool trapline_class_element(unsigned i, struct trapline_class_element *element);

/* The control bits that a variant may set, NULL past the last: "umip". */
const char *trapline_class_variant(unsigned i);

/* Are form i and the element so related? witness: NULL, or a state that shows it, by its ID. */
bool trapline_class_relation(const struct trapline_classification *c, unsigned i,
                             enum trapline_relation relation, unsigned level, unsigned element,
                             char witness[TRAPLINE_WITNESS_SIZE]);

/* The witness of what form i is: of its violation if there is one. False: there is none. */
bool trapline_class_witness(const struct trapline_classification *c, unsigned i,
                            char witness[TRAPLINE_WITNESS_SIZE]);

/* How a form does under config.policy. */
struct trapline_class_under {
    size_t size;       /* sizeof(struct trapline_class_under) */
    unsigned runs;     /* bare and under the monitor, from the same state at the same virtual CPL */
    unsigned reached;  /* of them, entered the monitor */
    unsigned differ;   /* of them, with another result for the guest */
    const char *where; /* in what the first of these differed, or "" */
};

#define TRAPLINE_CLASS_UNDER_INIT                                                                  \
    {                                                                                              \
        .size = sizeof(struct trapline_class_under)                                                \
    }

/* False: past the last form, or there was no policy. */
bool trapline_class_under(const struct trapline_classification *c, unsigned i,
                          struct trapline_class_under *under);

/* Run the two states of a witness again and print them, the instruction and what came of it.
 * -EINVAL: no such witness. */
int trapline_print_witness(const char *witness, FILE *out, struct trapline_error *error);

#ifdef __cplusplus
}
#endif
