/* SPDX-License-Identifier: MIT */
/*
 * libtrapline: x86 virtual machines as a library. The one header that programs outside this tree
 * include; the command line is its first client, docs/examples/ has a small one. It and its parts,
 * which it includes (trapline_classify.h, trapline_group.h, trapline_trace.h), need standard headers
 * only. Handles are opaque; structs that may grow begin with their size, which the caller sets (the
 * *_INIT macros do), so that old programs work with newer libraries.
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
#define TRAPLINE_JIT_REGIONS 65521 /* of jit_regions: what "on" is */

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
    uint32_t jit_regions;      /* ticks between two looks at where the guest is, for regions there; 0: never */
    bool jit_has_ring;         /* returns are looked for in a ring that calls fill, before the table of computed jumps */
    bool jit_has_thread;       /* translate on a thread of its own */
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

#ifdef __cplusplus
}
#endif

/* The rest of it. */
#include "monitor/trapline_classify.h"
#include "monitor/trapline_group.h"
#include "monitor/trapline_trace.h"
