/* SPDX-License-Identifier: MIT */
/*
 * Linear address to host memory: the guest page walk and the coherent virtual TLB (design section 5). One struct mmu
 * per vCPU, one struct mmu_vm per VM behind them. Called by the engines (hits inline through the view, misses here),
 * by monitor/emulate for system accesses, by gdb. Owns the arrays; never delivers a fault, never knows a vCPU.
 */
#pragma once

#include "base/trace.h"
#include "base/types.h"
#include "mmu/fault.h"
#include "mmu/physmem.h"

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

/* Paging mode of one stage (SDM Vol. 3A, "Paging Modes and Control Bits"). */
enum mmu_format { MMU_OFF, MMU_LEGACY, MMU_PAE, MMU_LEVEL4 };

struct mmu_stage {
    paddr root;        /* CR3 without PCID and flag bits; unused with MMU_OFF, no part of the key with MMU_PAE */
    uint64_t pdpte[4]; /* MMU_PAE: the PDPTE registers, loaded with CR3 */
    uint8_t format;    /* enum mmu_format */
};

/* Everything that changes a walk: the key of an address space. */
struct mmu_ctx {
    struct mmu_stage guest;  /* linear to guest-physical */
    struct mmu_stage nested; /* of a nested guest: its guest-physical to ours; MMU_OFF otherwise */
    bool wp, pse, nxe, smep, smap, pge1g; /* CR0.WP, CR4.PSE, EFER.NXE, CR4.SMEP, CR4.SMAP, 1 GiB pages offered */
    bool pke;                /* CR4.PKE: with MMU_LEVEL4, user pages have protection keys */
    uint8_t maxphyaddr;      /* physical address width; bits above are reserved in entries */
};

/* Privilege of an access. Implicit supervisor accesses (descriptor tables, TSS) are {user = false, ac = false}. */
struct privilege {
    bool user; /* CPL 3 */
    bool ac;   /* EFLAGS.AC: lets a supervisor data access through SMAP */
};

/* ---- the virtual TLB, as hot code sees it ---- */

struct vtlb_entry {
    uint64_t tag;     /* la of the page; or what is no page's that this entry could be of */
    uint64_t addend;  /* read, write: host address - la (mod 2^64); fetch: pa - la */
};

/*
 * In the tag of an entry that holds nothing. The number of the page is not one whose entry this is then: bit 12 is the
 * other one than that of all its pages. So an access is right if its address XOR the tag is an offset in a page, with room for it
 * up to the page's end: no second look at the tag is needed.
 */
#define VTLB_INVALID UINT64_C(0x400)

/*
 * One page of fast writes beside the arrays, for what is used so often that even an index costs: the stack, in translated
 * code. la - page < limit: the access is allowed, at la + addend. Filled by code that has asked the write array; closed
 * (limit 0) by whatever takes an entry of an array away. Switching arrays closes it too, until the class of privilege it was opened
 * in is back.
 */
struct vtlb_window {
    uint64_t page;
    uint64_t addend;
    uint64_t limit; /* 0, or the offset in the page up to which VTLB_WINDOW_REACH bytes are in it, and 1 */
};

#define VTLB_WINDOW_REACH 128

struct vtlb_view {
    struct vtlb_entry *read;  /* of the current address space and privilege; never NULL */
    struct vtlb_entry *write; /* only pages that are dirty for all and have page state 0 */
    struct vtlb_entry *fetch; /* addend gives the guest-physical address */
    uint64_t byte_mask;       /* offset in bytes of an entry of read and write: la >> 8 & byte_mask */
    uint64_t fetch_mask;      /* the same of fetch, which may be another space's */
    struct vtlb_window stack; /* of the current address space and privilege */
    uint64_t epoch;           /* in bits 63:48, of fetch: see struct mmu_jumps */
    uint64_t kept;            /* an engine sets it; 0 once the stack window was closed: what it knew of the arrays is past */
};

/*
 * What an engine remembers of code by its linear address, without asking the fetch array again. tag is the address XOR
 * view.epoch, which is another one whenever the fetch array changes, or its mode (mmu_set_mode), or a translation that the fetch array has
 * held in this epoch is dropped: a canonical address and its tag agree only while what was found in the array is still true. The engine fills it; the MMU
 * empties it when it has used up the numbers of epochs. An empty tag is 0, which is no address's in any epoch.
 *
 * link holds such tags too, for transfers that the engine numbers: the page that one comes from XOR the epoch in which the page
 * it leads to was looked up.
 */
#define MMU_JUMP_BITS 15
#define MMU_LINKS (1 << 16)
#define MMU_RETURNS 32

struct mmu_jump {
    uint64_t tag;
    uint64_t to; /* the engine's */
};

struct mmu_jumps {
    struct mmu_jump at[1 << MMU_JUMP_BITS]; /* by mmu_jump_index */
    uint64_t link[MMU_LINKS];               /* by the engine's numbers */
    struct mmu_jump ring[MMU_RETURNS];      /* returns, by where they are in the stack */
};

ALWAYS_INLINE unsigned mmu_jump_index(laddr la)
{
    return (unsigned)(la >> 1 & low_mask(MMU_JUMP_BITS));
}

/* The entry of an array that may hold la. */
ALWAYS_INLINE const struct vtlb_entry *vtlb_entry_at(const struct vtlb_entry *array, uint64_t mask, laddr la)
{
    static_assert(sizeof(struct vtlb_entry) == 16, "la >> 12, times this");
    return (const struct vtlb_entry *)(const void *)((const char *)array + (la >> (PAGE_SHIFT - 4) & mask));
}

struct mmu_vm;      /* coherence among the vCPUs of a VM: table pages and their users */
struct mmu_private; /* address spaces and arrays of one vCPU */

struct mmu {
    struct vtlb_view view;   /* first: read by every memory instruction */
    struct mmu_private *p;   /* owned */
};

/* Up-call "bus": accesses where there is no RAM. size is 1..8 and never crosses an 8-byte boundary... it may be
 * any of 1 2 4 8; wider or odd accesses come as several. */
struct bus_ops {
    uint64_t (*read)(void *opaque, paddr pa, unsigned size);
    void (*write)(void *opaque, paddr pa, unsigned size, uint64_t v);
};

/* What fills the arrays on a miss (design section 5). No guest can tell them apart. */
enum mmu_kind {
    MMU_DIRECT, /* the guest's tables, then GPA to HPA by array */
    MMU_SHADOW, /* the monitor's shadow tables, made from the guest's by faults */
    MMU_NESTED, /* the guest's tables, each reference through the monitor's nested tables */
    MMU_KINDS
};

const char *mmu_kind_name(enum mmu_kind kind);

/* Machine memory for the monitor's own tables: frames of 4 KiB. Borrowed. */
struct mmu_frames {
    uint8_t *host;  /* of the first */
    haddr hpa;      /* of the first */
    unsigned count; /* MMU_FRAMES_MIN or more, unless the kind is MMU_DIRECT */
};

#define MMU_FRAMES_MIN 64

struct mmu_vm_config {
    enum mmu_kind kind;
    struct mmu_frames frames;       /* of shadow or nested tables: their cap */
    unsigned unsync_writes;         /* shadow: traced writes to a page table after which it runs unsynchronized; 0: never */
    enum mmu_format nested_format;  /* of the nested tables: MMU_LEVEL4, MMU_PAE or MMU_LEGACY */
    unsigned nested_page_shift;     /* log2 of their largest pages: 12, 21 (22 with MMU_LEGACY) or 30 */
    bool is_untagged;               /* mmu_cr3_loaded empties the arrays, as a TLB without tags is emptied */
    bool no_walk_caches;            /* every walk begins at the root, every nested one too */
    bool is_pdpte_in_memory;        /* nested: a walk of PAE tables refers to the PDPTE too, as the APM says; SDM: registers */
};

struct mmu_config {
    unsigned entries; /* most per array, a power of two, 16..65536; default 4096. Arrays start small */
    unsigned spaces;  /* address spaces kept per vCPU; default 16 */
};

/* pm's page_event hooks traced_written, revoke_write, revoke_all are taken over by the mmu_vm. config: NULL is MMU_DIRECT. NULL:
 * no memory, or a config that can't be. */
struct mmu_vm *mmu_vm_create(struct physmem *pm, const struct mmu_vm_config *config, struct trace *trace);
void mmu_vm_destroy(struct mmu_vm *mv);

/*
 * Ask to be told when a traced write changes a translation that was in use: a block that is running may no longer be what
 * is mapped there, so the engine ends it after the current instruction. Independent of what the arrays still hold.
 */
void mmu_vm_on_mapping_change(struct mmu_vm *mv, void (*changed)(void *opaque), void *opaque);

/* 0 or -ENOMEM. bus is borrowed. */
int mmu_init(struct mmu *mmu, struct mmu_vm *mv, const struct mmu_config *config, const struct bus_ops *bus,
             void *bus_opaque);
void mmu_fini(struct mmu *mmu);

/* Switch to the address space of ctx: arrays of the most recent spaces are kept. Cheap when it is current or recent. */
void mmu_set_context(struct mmu *mmu, const struct mmu_ctx *ctx);
const struct mmu_ctx *mmu_context(const struct mmu *mmu);

/*
 * CR3 was loaded, and mmu_set_context has followed: a processor keeps no translation of the address space but global ones and,
 * if is_kept, those of its PCID (SDM Vol. 3A, "Operations that Invalidate TLBs and Paging-Structure Caches"). Coherent arrays keep
 * all; with is_untagged they go, to be counted. No guest can tell.
 */
void mmu_cr3_loaded(struct mmu *mmu, bool is_kept);

/*
 * PKRU: what data accesses may do to user pages by their protection key, in contexts with pke (SDM Vol. 3A, "Protection
 * Keys"). No part of the key: cached translations that a change concerns are dropped, in the other spaces when they
 * become current.
 */
void mmu_set_pkru(struct mmu *mmu, uint32_t pkru);

/* Switch the view to the arrays of this privilege. force_slow: the view always misses (alignment checking is on, data
 * breakpoints are armed), so that every access comes to mmu_read / mmu_write's caller. */
void mmu_set_privilege(struct mmu *mmu, struct privilege as, bool force_slow);

/* The same, and whatever else what is remembered in jumps depends on: another mode, another epoch. */
void mmu_set_mode(struct mmu *mmu, uint32_t mode, struct privilege as, bool force_slow);

/* The vCPU's; borrowed, NULL: none. */
void mmu_set_jumps(struct mmu *mmu, struct mmu_jumps *jumps);

/* Drop every cached translation of this vCPU (--drop-caches, INVD-like events, tests). Must change nothing. */
void mmu_drop_caches(struct mmu *mmu);
void mmu_vm_drop_page(struct mmu_vm *mv, paddr page); /* all translations to one physical page, all vCPUs */
/* A region of guest-physical space changed what answers there (PAM, BAR): drop everything, all vCPUs. */
void mmu_vm_drop_all(struct mmu_vm *mv);

/*
 * The A20 gate of the PC/AT: while it is closed, bit 20 of every physical address that a processor puts out is 0, those of
 * page walks included (SDM Vol. 1, "A20M#"). Open at creation; one wire for all vCPUs. DMA does not pass it. Not saved: the
 * board drives it again after a load.
 */
void mmu_vm_set_a20(struct mmu_vm *mv, bool is_open);
paddr mmu_a20(const struct mmu *mmu, paddr pa); /* pa as it comes out of the gate */

/*
 * Translate the linear address of one access that lies within a page.
 *   ctx     stages and the control bits that change a walk
 *   as      effective privilege of this access
 *   la      canonical; need not be aligned
 *   pa      out: physical address; untouched on failure
 * True on success. False: *fault is #PF with error code and CR2 as in SDM Vol. 3A, "Page-Fault Exceptions".
 * Writes A and D bits to guest memory per "Accessed and Dirty Flags".
 */
bool mmu_translate(struct mmu *mmu, struct privilege as, laddr la, enum access access, paddr *pa,
                   struct fault *fault);

/* As mmu_translate, but sets no A or D bit, changes nothing and needs no privilege: for debuggers and tracers. */
bool mmu_peek(struct mmu *mmu, laddr la, paddr *pa);

/*
 * Accesses with the view's current privilege (mmu_read, mmu_write) or an explicit one (_as). Any length, any
 * alignment, page crossing included: every page is translated before the first byte is read or written. la is
 * canonical; la_mask wraps linear addresses (UINT32_MAX outside 64-bit mode, else UINT64_MAX). RAM, ROM and bus.
 * Little-endian bytes in guest order. False: *fault, nothing changed. Fills the arrays for RAM.
 */
bool mmu_read(struct mmu *mmu, laddr la, uint64_t la_mask, void *buf, size_t len, struct fault *fault);
bool mmu_write(struct mmu *mmu, laddr la, uint64_t la_mask, const void *buf, size_t len, struct fault *fault);
bool mmu_read_as(struct mmu *mmu, struct privilege as, laddr la, uint64_t la_mask, void *buf, size_t len,
                 struct fault *fault);
bool mmu_write_as(struct mmu *mmu, struct privilege as, laddr la, uint64_t la_mask, const void *buf, size_t len,
                  struct fault *fault);

/* Translate all pages of [la, la + len) with write (or read) intent and touch nothing else: for read-modify-write and
 * multi-access instructions (design section 5, "Fault order"). */
bool mmu_probe(struct mmu *mmu, laddr la, uint64_t la_mask, size_t len, enum access access, struct fault *fault);

/*
 * Bulk: the host address of la for `access`, valid to the end of its page until the next call into mmu or
 * physmem. NULL with *fault untouched and *is_fault false when the page is special (bus, ROM on write, traced, code ...): go
 * byte by byte through mmu_read / mmu_write. NULL with *is_fault true: *fault.
 */
uint8_t *mmu_span(struct mmu *mmu, laddr la, enum access access, bool *is_fault, struct fault *fault);

/* Code address to physical, fetch rights checked (NX, SMEP, U/S). Inline hit in mmu/inline.h as mmu_fetch. */
bool mmu_fetch_slow(struct mmu *mmu, laddr la, paddr *pa, struct fault *fault);

ALWAYS_INLINE bool mmu_fetch(struct mmu *mmu, laddr la, paddr *pa, struct fault *fault)
{
    const struct vtlb_entry *e = vtlb_entry_at(mmu->view.fetch, mmu->view.fetch_mask, la);
    if (likely(e->tag == (la & PAGE_MASK))) {
        *pa = la + e->addend;
        return true;
    }
    return mmu_fetch_slow(mmu, la, pa, fault);
}

/*
 * Load the four PDPTE registers for CR3 = cr3 in PAE mode (SDM Vol. 3A, "PDPTE Registers"). False: a reserved bit is
 * set in a present one (the caller raises #GP(0)); out is then untouched.
 */
bool mmu_load_pdptes(struct physmem *pm, uint64_t cr3, uint8_t maxphyaddr, uint64_t out[4]);

/*
 * Counters: outside the guest's state. COUNTER(name, what), all of one vCPU; then of the VM.
 */
/* clang-format off */
#define MMU_COUNTERS(COUNTER)                                                                     \
    COUNTER(fills_read,      "read misses filled")                                                \
    COUNTER(fills_write,     "write misses filled")                                               \
    COUNTER(fills_fetch,     "fetch misses filled")                                               \
    COUNTER(walks,           "guest page walks")                                                  \
    COUNTER(walk_refs,       "guest table entries read")                                          \
    COUNTER(resumed,         "guest walks that began below the root (walk cache)")                \
    COUNTER(space_switches,  "address space switches")                                            \
    COUNTER(space_evictions, "address spaces recycled")                                           \
    COUNTER(flushes,         "TLB flushes by loads of CR3")                                       \
    COUNTER(dropped,         "entries dropped by traced writes and revocations")                  \
    COUNTER(shadow_walks,    "shadow: walks")                                                     \
    COUNTER(shadow_refs,     "shadow: table entries read")                                        \
    COUNTER(shadow_faults,   "shadow: page faults taken by the monitor")                          \
    COUNTER(true_faults,     "shadow: true faults, the guest's own")                              \
    COUNTER(hidden_faults,   "shadow: hidden faults, a shadow entry was missing")                 \
    COUNTER(protect_faults,  "shadow: writes to a page the monitor protects (code, ROM)")         \
    COUNTER(trace_faults,    "shadow: writes to traced tables that the TLB had not seen before")  \
    COUNTER(mmio_faults,     "misses where there is no RAM")                            \
    COUNTER(nested_walks,    "nested: walks of the nested tables")                                \
    COUNTER(nested_refs,     "nested: nested table entries read")                                 \
    COUNTER(nested_hits,     "nested: walks saved by the nested TLB")                             \
    COUNTER(pdpte_refs,      "nested: PDPTEs read, where they are in memory")

#define MMU_VM_COUNTERS(COUNTER)                                                                  \
    COUNTER(traced_writes,   "writes to traced tables (trace faults)")                            \
    COUNTER(shadow_pages,    "shadow: tables made")                                               \
    COUNTER(shadow_reused,   "shadow: tables linked again as they were")                          \
    COUNTER(shadow_evicted,  "shadow: tables evicted for want of memory")                         \
    COUNTER(shadow_zapped,   "shadow: entries taken away")                                        \
    COUNTER(unsynced,        "shadow: page tables released from tracing (unsync)")                \
    COUNTER(resynced,        "shadow: unsync page tables brought up to date")                     \
    COUNTER(violations,      "nested: violations, an entry was missing")                          \
    COUNTER(nested_4k,       "nested: 4 KiB pages mapped")                                        \
    COUNTER(nested_2m,       "nested: 2 MiB (legacy: 4 MiB) pages mapped")                        \
    COUNTER(nested_1g,       "nested: 1 GiB pages mapped")                                        \
    COUNTER(nested_evicted,  "nested: all tables dropped for want of memory")
/* clang-format on */

#define COUNTER(name, what) uint64_t name;
struct mmu_counters {
    MMU_COUNTERS(COUNTER)
};
struct mmu_vm_counters {
    MMU_VM_COUNTERS(COUNTER)
};
#undef COUNTER
const struct mmu_counters *mmu_counters(const struct mmu *mmu);
const struct mmu_vm_counters *mmu_vm_counters(const struct mmu_vm *mv);
enum mmu_kind mmu_vm_kind(const struct mmu_vm *mv);

/* ---- the monitor's tables, for `info` and tests ---- */

/* An entry of a shadow or nested table. */
struct mmu_table_entry {
    unsigned level;  /* of its table */
    uint64_t base;   /* first address (linear, or guest-physical) that it translates */
    uint64_t value;  /* as it stands in the table */
    haddr table;     /* where its table lives */
    bool is_present; /* P; an entry that only remembers a place without RAM is not */
    bool is_leaf;    /* it maps a page */
    paddr gpa;       /* shadow leaf: the guest-physical page */
};

/*
 * Visit the used entries of the current space's shadow tables, or of the nested tables, depth first in ascending order. Nothing
 * for MMU_DIRECT. Stops when visit says false.
 */
void mmu_visit_tables(const struct mmu *mmu, bool (*visit)(void *opaque, const struct mmu_table_entry *e), void *opaque);
