/* SPDX-License-Identifier: MIT */
/*
 * Inside of the MMU: what walk.c, table.c, vtlb.c, revoke.c, access.c and the three translations (direct.c, shadow*.c,
 * nested.c) share. Nobody outside mmu/ includes it.
 *
 *   mmu_vm -> mmu_private (one per vCPU) -> space (one per recent address space) -> arrays of
 * vtlb_entry space -> table_user: a tree that mirrors the part of the guest's paging structures
 * behind which something is cached physical page -> table_page -> its table_users: found from a
 * traced write
 */
#pragma once

#include "mmu/mmu.h"
#include "mmu/physmem_priv.h"

/* In a tag: misses inline, but the slow path knows the translation: addend is pa - la. Bit 12 is the other one than the
 * page's, as with VTLB_INVALID. For pages that are special, and for the bus. */
#define VTLB_SLOW UINT64_C(0x800)

/* The bit of a tag that is part of every array's index. */
#define VTLB_OTHER ((uint64_t)PAGE_SIZE)

static inline uint64_t vtlb_slow_tag(laddr la)
{
    return ((la & PAGE_MASK) ^ VTLB_OTHER) | VTLB_SLOW;
}

/* The page that the entry is of, or one that is none of its. */
static inline laddr vtlb_page(const struct vtlb_entry *e)
{
    static_assert(VTLB_SLOW << 1 == PAGE_SIZE, "one bit undoes the other");
    return (e->tag & PAGE_MASK) ^ (e->tag & VTLB_SLOW) << 1;
}

static inline bool vtlb_holds(const struct vtlb_entry *e)
{
    return !(e->tag & VTLB_INVALID);
}

/* Is it one that accesses hit? */
static inline bool vtlb_is_fast(const struct vtlb_entry *e)
{
    return !(e->tag & ~PAGE_MASK);
}

/* It holds something, and no more. */
static inline void vtlb_drop(struct vtlb_entry *e)
{
    e->tag = ((vtlb_page(e) ^ VTLB_OTHER) & VTLB_OTHER) | VTLB_INVALID;
}

/* Privilege classes. Without SMAP, supervisor accesses are all CLASS_S. */
enum { CLASS_S, CLASS_S_AC, CLASS_U, CLASSES };
#define ARRAYS 3 /* per class, by enum access */

/* Bits of a paging-structure entry (SDM Vol. 3A, "Hierarchical Paging Structures: an Overview"). */
#define PTE_P UINT64_C(0x01)
#define PTE_RW UINT64_C(0x02)
#define PTE_US UINT64_C(0x04)
#define PTE_A UINT64_C(0x20)
#define PTE_D UINT64_C(0x40)
#define PTE_PS UINT64_C(0x80)
#define PTE_XD BIT(63)
#define PTE_FRAME UINT64_C(0x000ffffffffff000)

/* What the levels walked so far allow. */
enum { RIGHT_USER = 1, RIGHT_WRITE = 2, RIGHT_EXEC = 4, RIGHTS_ALL = 7 };

#define LEFT_WORDS 16  /* bits of a filter of pages */
#define USED_WORDS 8   /* one bit per 8 bytes of a table page */
#define WALK_SLOTS 256 /* of the walk cache of a space */
#define USERS_MAX                                                                                  \
    8192 /* table users of one space: beyond, the space starts anew; bounds a hostile guest */

/* One use of a table page: by this space, for linear addresses from base on, at this level. */
struct table_user {
    struct table_page *table;    /* what it uses */
    struct table_user *prev;     /* in table->users */
    struct table_user *next;     /* in table->users; in the free list when free */
    struct table_user *parent;   /* the use of the table one level up, NULL at the root */
    struct table_user *child;    /* first use of a table one level down */
    struct table_user *sib_prev; /* in parent->child */
    struct table_user *sib_next; /* in parent->child */
    struct space *space;         /* whose; NULL when free */
    laddr base;                  /* first linear address it translates; 0 for a level-4 root */
    uint8_t level;               /* 1: page table ... 4: PML4 table */
    uint8_t span_shift;          /* log2 of the bytes it translates */
    uint8_t rights;              /* of the levels above it */
    uint64_t used[USED_WORDS];   /* entries through which something was cached since they were last
                                    written */
};

/* A physical page with PAGE_TRACED. */
struct table_page {
    paddr page;               /* its address */
    struct table_user *users; /* never empty */
    uint64_t any[USED_WORDS]; /* superset of the users' `used` */
    unsigned writes;          /* traced writes since the last fill that went through it */
    uint8_t level;            /* highest level among its users so far */
};

/* An address space of a vCPU. */
struct space {
    struct mmu_private *owner; /* its vCPU's */
    struct mmu_ctx ctx;        /* its key */
    struct vtlb_entry
        *array[CLASSES][ARRAYS]; /* [0] owns the class's three; NULL until the class is used */
    unsigned entries[CLASSES];   /* per array of the class; 0 without arrays */
    unsigned evictions[CLASSES]; /* fills that threw out another page, since the arrays grew */
    uint32_t epoch[CLASSES];     /* of the fetch array; 0: none yet, since something left it */
    uint32_t mode[CLASSES];      /* that it is of */
    uint64_t left[CLASSES]
                 [LEFT_WORDS];   /* pages thrown out of it in this epoch, by la >> 12 */
    struct table_user *root[4];  /* of its tree; by PDPTE register with MMU_PAE */
    struct shadow_page *shadow;  /* MMU_SHADOW: its root, or NULL */
    struct space *shadow_next;   /* in shadow->spaces */
    struct table_user
        *slot[WALK_SLOTS]; /* walk cache, by la >> 21: use of the leaf's table; check it */
    uint64_t reserved;     /* bits that are reserved in every entry */
    uint64_t last_use;     /* for recycling */
    unsigned users;        /* nodes in its tree */
    uint32_t pkru;         /* that the read and write arrays were filled under */
    uint16_t keys;         /* protection keys of the user pages in them: bit per key */
    bool filled;           /* something may be cached or registered */
    bool writes_stale;     /* fast write entries must go before it becomes current */
    bool wanders;          /* its supervisor has run code outside the system's part */
    struct space *system;  /* serves its supervisor's fetches (system.c); NULL: itself */
    uint64_t top;          /* of one that serves others: the entry that leads to it */
};

/* The stack window of a class, while the view is of another one. */
struct kept_window {
    struct vtlb_window window; /* as it was */
    const struct space *space; /* whose */
    uint64_t drops;            /* mmu_private.drops then: another number, and it is closed */
};

struct mmu_private {
    struct mmu *mmu;              /* whose */
    struct mmu_vm *mv;            /* borrowed */
    struct physmem *pm;           /* borrowed */
    const struct bus_ops *bus;    /* borrowed; NULL: nothing answers */
    void *bus_opaque;             /* of bus */
    struct mmu_private *next;     /* in mv->vcpus */
    struct space *space;          /* owned; `spaces` of them */
    struct space *system;         /* the last SYSTEMS of them, never current (system.c) */
    struct space *current;        /* the one of the view */
    struct space *fetch;          /* the one of the view's fetch array: current, or its system */
    struct vtlb_entry *miss;      /* owned; two that never hit: the view's arrays under force_slow */
    unsigned entries;             /* per array, at most */
    unsigned spaces;              /* how many */
    unsigned class;               /* of the view */
    unsigned fetch_class;         /* the same of its fetch array */
    struct kept_window window[CLASSES]; /* of each class */
    struct kept_window *opened;   /* the one that the view's is, or NULL */
    uint64_t drops;               /* how often something has left an array */
    struct privilege as;          /* of the view */
    bool force_slow;              /* the view misses */
    uint32_t pkru;                /* PKRU */
    uint32_t mode;                /* the engine's, for epochs */
    uint32_t epochs;              /* the last one given out */
    struct mmu_jumps *jumps;      /* borrowed; NULL: none */
    uint64_t clock;               /* counts context switches, for recycling */
    struct mmu_counters counters; /* outside the guest's state */
};

struct user_chunk;
struct shadow;
struct nested;

/* What a miss came to. */
struct translation {
    paddr pa;       /* guest-physical */
    bool cacheable; /* may be kept in the arrays: whatever it depends on is traced */
};

/* One way to translate and to stay coherent: direct.c, shadow.c, nested.c. */
struct translation_ops {
    const char *name; /* as -mmu spells it */
    /* For an access of s, whose arrays missed. False: *fault. */
    bool (*miss)(struct space *s, unsigned class, laddr la, enum access access, struct translation *t,
                 struct fault *fault);
    /* As miss, of what will not be kept in the arrays. */
    bool (*translate)(struct space *s, unsigned class, laddr la, enum access access, paddr *pa, struct fault *fault);
    /* The arrays of s are being emptied: forget what is kept of it. */
    void (*release)(struct space *s);
    void (*drop_all)(struct mmu_vm *mv);               /* what is kept outside the spaces */
    void (*drop_page)(struct mmu_vm *mv, paddr page);  /* translations to it */
    void (*table_written)(void *mv, paddr pa, size_t len); /* the up-calls of physmem */
    void (*revoke_write)(void *mv, paddr page);
    void (*revoke_all)(void *mv, paddr page);
};

/* direct.c's, which nested.c wraps. */
bool direct_miss(struct space *s, unsigned class, laddr la, enum access access, struct translation *t, struct fault *fault);

extern const struct translation_ops direct_translation, shadow_translation, nested_translation;

struct mmu_vm {
    const struct translation_ops *ops; /* by config.kind */
    struct mmu_vm_config config;       /* as given */
    struct shadow *shadow;             /* owned; MMU_SHADOW */
    struct nested *nested;             /* owned; MMU_NESTED */
    struct mmu_vm_counters counters;   /* outside the guest's state */
    struct physmem *pm;            /* borrowed */
    struct trace *trace;           /* borrowed; may be NULL */
    struct mmu_private *vcpus;     /* all of the VM */
    struct table_user *free_users; /* linked by next */
    struct user_chunk
        *chunks; /* owned; records are recycled, never freed: the walk cache points at them */
    void (*mapping_changed)(void *opaque); /* up-call, may be NULL */
    void *mapping_opaque;                  /* of mapping_changed */
    unsigned ad_size; /* not 0: a walk is setting A or D in an entry of this size */
    paddr a20_off;    /* bits that the A20 gate holds at 0: bit 20 or none */
};

/* A physical address on its way out. */
ALWAYS_INLINE paddr mmu_gate(const struct mmu_private *p, paddr pa)
{
    return pa & ~p->mv->a20_off;
}

/* Something that was in use goes: code may be running through it. Before the first drop; once too
 * often is harmless. */
ALWAYS_INLINE void mmu_mapping_changed(struct mmu_vm *mv)
{
    if (mv->mapping_changed)
        mv->mapping_changed(mv->mapping_opaque);
}

/* An entry of an array goes, of whatever space and class. */
ALWAYS_INLINE void mmu_close_window(struct mmu_private *p)
{
    p->drops++;
    p->mmu->view.stack.limit = 0;
    p->mmu->view.kept = 0;
}

/* ---- walk.c ---- */

struct walk_step {
    paddr table;     /* page of the entry */
    uint64_t entry;  /* as read */
    uint16_t offset; /* of the entry in the page */
    uint8_t level;   /* of the table */
    uint8_t rights;  /* of the levels above */
};

struct walk {
    paddr pa;                 /* the translation */
    unsigned steps;           /* used entries of step */
    struct walk_step step[4]; /* the entries used, root first */
    bool cacheable;           /* all tables were in RAM */
    bool is_peek;             /* a debugger's: counts nothing */
};

/*
 * Walk the tables of s for la, whose format is not MMU_OFF. from: NULL, or the registered use of a
 * table on the path, where the walk begins. False: *fault. Sets A and D.
 */
bool walk_tables(struct space *s, unsigned class, laddr la, enum access access,
                 const struct table_user *from, struct walk *w, struct fault *fault);

/* As above, but from the root, without rights, and without a trace. */
bool walk_peek(const struct space *s, laddr la, struct walk *w);

/* Does what the levels walked so far allow, with the leaf's key, allow this access? SDM Vol. 3A, "Determination of Access Rights",
 * "Protection Keys". */
bool walk_allows(const struct space *s, unsigned class, enum access access, uint8_t rights, uint64_t leaf);

/* What an entry leaves of the rights above it. */
uint8_t walk_narrow(uint8_t rights, uint64_t entry);

/* Is la canonical in this context? */
bool walk_is_canonical(const struct mmu_ctx *ctx, laddr la);

/* Bits that are reserved in every entry of ctx's format. */
uint64_t walk_reserved_bits(const struct mmu_ctx *ctx);

/* Geometry: log2 of the bytes translated by one entry of a table at this level, and of one 8-byte
 * slot of it. */
unsigned walk_entry_shift(const struct mmu_ctx *ctx, unsigned level);
unsigned walk_slot_shift(const struct mmu_ctx *ctx, unsigned level);

/* ---- table.c ---- */

/* The use of a table from which a walk for la may start; NULL: from the root. */
ALWAYS_INLINE struct table_user *table_resume(const struct space *s, laddr la)
{
    struct table_user *u = s->slot[la >> 21 & (WALK_SLOTS - 1)];
    return u && u->space == s && !((la ^ u->base) >> u->span_shift) ? u : NULL;
}

/* Trace the tables of a walk on behalf of s. False: could not; nothing may be cached from this
 * walk. */
bool table_register(struct space *s, struct table_user *from, const struct walk *w, laddr la);

/* Forget every use by this space, without touching its arrays. */
void table_release_space(struct space *s);

/* The up-call: bytes of a traced page changed. */
void table_written(void *mv, paddr pa, size_t len);

void table_free_pool(struct mmu_vm *mv);

/* ---- vtlb.c ---- */

/* What the fetch array of a class has held in this epoch is no longer all true. */
void vtlb_fetch_left(struct space *s, unsigned class);

/* Its translations of [la, la + size), or of a page somewhere (size 0), are dropped: those that it
 * does not hold any more, too. */
void vtlb_fetch_dropped(struct space *s, unsigned class, laddr la, uint64_t size);

/* Index of la in the arrays of a class, which exist. */
ALWAYS_INLINE size_t vtlb_index(const struct space *s, unsigned class, laddr la)
{
    return (size_t)(la >> PAGE_SHIFT & (s->entries[class] - 1));
}

/* The class of accesses with privilege `as` in this context. */
ALWAYS_INLINE unsigned vtlb_class(const struct mmu_ctx *ctx, struct privilege as)
{
    if (ctx->guest.format == MMU_OFF)
        return CLASS_S;
    return as.user ? CLASS_U : ctx->smap && as.ac ? CLASS_S_AC : CLASS_S;
}

/* The arrays of a class exist, made now if need be. */
bool vtlb_class_ready(struct space *s, unsigned class);

/* The entry of la in an array of a class that is ready, to be filled. The arrays grow where pages
 * throw each other out. */
struct vtlb_entry *vtlb_entry_to_fill(struct space *s, unsigned class, enum access access,
                                      laddr la);

/* Drop what is cached for [la, la + size), in all arrays of s. */
void vtlb_drop_page(struct space *s, laddr la);
void vtlb_drop_range(struct space *s, laddr la, uint64_t size);

/* Empty the arrays of a space: a TLB flush. */
void vtlb_flush_space(struct space *s);

/* Forget everything about a space but its key. */
void vtlb_reset_space(struct space *s);

/* Drop the fast write entries of a space. */
void vtlb_drop_writes(struct space *s);

/* A data access to a user page with this protection key may be cached. */
ALWAYS_INLINE void vtlb_note_key(struct space *s, unsigned key)
{
    s->keys |= (uint16_t)(1u << key);
}

/* Does everything but the tables that they begin with agree? */
bool ctx_is_alike(const struct mmu_ctx *a, const struct mmu_ctx *b);

/* The view follows the current space, its system, class and force_slow. */
void view_update(struct mmu_private *p);

/* ---- system.c: one fetch array for what address spaces have in common (decision 0020) ---- */

#define SYSTEMS 4

/* Is la in the part that spaces of this kind may share? */
bool system_covers(const struct mmu_ctx *ctx, laddr la);

/* The supervisor of the current space, which has no system, has fetched at la: from now on by the
 * system's array, if that can be. */
void system_join(struct mmu_private *p, laddr la);

/* s has its own again: what leads to the system's part may change unnoticed, or everything of s goes. */
void system_leave(struct space *s);

/* The current space fetches outside its system's part: it is too much trouble. */
void system_wander(struct mmu_private *p);

/* As translation_ops.miss, of a fetch that y serves for the current space. */
bool system_miss(struct space *y, laddr la, struct translation *t, struct fault *fault);

/* ---- revoke.c ---- */

/* A write array is about to get page at la, with this host address. */
void revoke_note_fill(struct mmu_vm *mv, paddr page, const uint8_t *host, laddr la);
/* The up-calls, as far as they concern the arrays. */
void revoke_write(void *mv, paddr page);
void revoke_all(void *mv, paddr page);
/* Drop what leads to a physical page, which need not be RAM, from the arrays. */
void revoke_page(struct mmu_vm *mv, paddr page);

/* ---- shadow.c, nested.c ---- */

struct shadow *shadow_create(struct mmu_vm *mv);
void shadow_destroy(struct shadow *sh);
void shadow_visit(const struct space *s, bool (*visit)(void *, const struct mmu_table_entry *), void *opaque);

struct nested *nested_create(struct mmu_vm *mv);
void nested_destroy(struct nested *n);
void nested_visit(const struct nested *n, bool (*visit)(void *, const struct mmu_table_entry *), void *opaque);

/* Host memory of the frame at guest-physical gpa (its page's first byte), by the nested tables on behalf of p; NULL where there is
 * no RAM. */
const uint8_t *nested_frame(struct mmu_private *p, paddr gpa);
