/* SPDX-License-Identifier: MIT */
/*
 * The guest page walk (SDM Vol. 3A, "32-Bit Paging", "PAE Paging", "4-Level Paging").
 *
 * Where the manual leaves a choice:
 *  - A bits (and D) are set when the whole walk has succeeded, permission checks included, root
 * first. A faulting walk writes nothing. ("Accessed and Dirty Flags" lets a processor set A in
 * upper levels earlier.)
 *  - A table outside RAM reads as all ones, like open bus. In PAE and 4-level formats that is a
 * reserved-bit fault; in the legacy format it maps the page at FFFFF000h. Nothing is cached from
 * such a walk.
 *  - A and D writes to ROM are dropped.
 *  - A non-canonical address is answered with #GP(0) although callers check it: it must never be
 * cached.
 */
#include "base/endian.h"
#include "mmu/mmu_priv.h"

static bool is_legacy(const struct mmu_ctx *ctx)
{
    return ctx->guest.format == MMU_LEGACY;
}

unsigned walk_entry_shift(const struct mmu_ctx *ctx, unsigned level)
{
    return PAGE_SHIFT + (is_legacy(ctx) ? 10 : 9) * (level - 1);
}

unsigned walk_slot_shift(const struct mmu_ctx *ctx, unsigned level)
{
    return walk_entry_shift(ctx, level) + (is_legacy(ctx) ? 1 : 0);
}

static uint64_t bits(unsigned high, unsigned low)
{
    return high < low ? 0 : low_mask(high + 1) & ~(low ? low_mask(low) : 0);
}

uint64_t walk_reserved_bits(const struct mmu_ctx *ctx)
{
    if (is_legacy(ctx))
        return 0;
    /* PAE: 62:M; 4-level: 51:M, above that ignored. */
    uint64_t reserved = bits(ctx->guest.format == MMU_PAE ? 62 : 51, ctx->maxphyaddr);
    return reserved | (ctx->nxe ? 0 : PTE_XD);
}

/* PSE-36: width of the physical addresses of 4 MiB pages. */
static unsigned pse36_width(const struct mmu_ctx *ctx)
{
    return ctx->maxphyaddr > 40 ? 40 : ctx->maxphyaddr < 32 ? 32 : ctx->maxphyaddr;
}

static bool is_leaf(const struct mmu_ctx *ctx, unsigned level, uint64_t e)
{
    return level == 1 || ((e & PTE_PS) && (!is_legacy(ctx) || ctx->pse));
}

/* Does a present entry have a reserved bit set? */
static bool is_reserved(const struct space *s, unsigned level, uint64_t e)
{
    if (e & s->reserved)
        return true;
    if (level == 1 || !is_leaf(&s->ctx, level, e))
        return false;
    if (is_legacy(&s->ctx))
        return e & bits(21, pse36_width(&s->ctx) - 19);
    if (level == 2)
        return e & bits(20, 13);
    return level == 4 || !s->ctx.pge1g || (e & bits(29, 13));
}

static paddr leaf_pa(const struct mmu_ctx *ctx, unsigned level, uint64_t e, laddr la)
{
    unsigned shift = walk_entry_shift(ctx, level);
    uint64_t offset = la & low_mask(shift);
    if (is_legacy(ctx) && level == 2)
        return (e & bits(31, 22)) | (e & bits(20, 13)) << (32 - 13) | offset;
    return (e & bits(51, shift)) | offset;
}

uint8_t walk_narrow(uint8_t rights, uint64_t e)
{
    if (!(e & PTE_US))
        rights &= (uint8_t)~RIGHT_USER;
    if (!(e & PTE_RW))
        rights &= (uint8_t)~RIGHT_WRITE;
    if (e & PTE_XD)
        rights &= (uint8_t)~RIGHT_EXEC;
    return rights;
}

/* SDM Vol. 3A, "Determination of Access Rights". */
static bool is_allowed(const struct mmu_ctx *ctx, unsigned class, enum access access,
                       uint8_t rights)
{
    bool user_page = rights & RIGHT_USER;
    if (access == ACCESS_FETCH && !(rights & RIGHT_EXEC))
        return false;
    if (class == CLASS_U)
        return user_page && (access != ACCESS_WRITE || (rights & RIGHT_WRITE));
    if (access == ACCESS_FETCH)
        return !(ctx->smep && user_page);
    if (user_page && ctx->smap && class != CLASS_S_AC)
        return false;
    return access == ACCESS_READ || (rights & RIGHT_WRITE) || !ctx->wp;
}

/* Bits 62:59 of the leaf. */
static unsigned protection_key(uint64_t leaf)
{
    return (unsigned)(leaf >> 59) & 15;
}

/*
 * Does PKRU forbid a data access that reached a leaf? SDM Vol. 3A, "Protection Keys": ADi any, WDi
 * writes; a supervisor's writes only with CR0.WP. Keys are of user pages.
 */
static bool key_denies(const struct space *s, unsigned class, enum access access, uint8_t rights,
                       uint64_t leaf)
{
    uint32_t bits = s->owner->pkru >> 2 * protection_key(leaf);
    if (!s->ctx.pke || access == ACCESS_FETCH || !(rights & RIGHT_USER))
        return false;
    return (bits & 1) || ((bits & 2) && access == ACCESS_WRITE && (class == CLASS_U || s->ctx.wp));
}

bool walk_allows(const struct space *s, unsigned class, enum access access, uint8_t rights, uint64_t leaf)
{
    return !key_denies(s, class, access, rights, leaf) && is_allowed(&s->ctx, class, access, rights);
}

/* SDM Vol. 3A, "Page-Fault Exceptions": the error code and CR2. */
static COLD bool page_fault(const struct mmu_ctx *ctx, unsigned class, laddr la, enum access access,
                            uint32_t why, struct fault *fault)
{
    uint32_t code = why;
    if (access == ACCESS_WRITE)
        code |= PF_WR;
    if (class == CLASS_U)
        code |= PF_US;
    if (access == ACCESS_FETCH && (ctx->smep || (ctx->nxe && !is_legacy(ctx))))
        code |= PF_ID;
    *fault = fault_code(EXC_PF, code);
    fault->cr2 = la;
    return false;
}

/* A page of the guest's tables. A peek counts nothing and changes no nested table. */
static const uint8_t *table_frame(const struct space *s, const struct walk *w, paddr table)
{
    struct mmu_private *p = s->owner;
    return unlikely(p->mv->nested != NULL) && !w->is_peek ? nested_frame(p, table) : physmem_page(p->pm, table);
}

/* Read the entry of a step. Outside RAM: all ones, and the walk can't be cached. */
static uint64_t read_entry(const struct space *s, struct walk *w, const struct walk_step *step)
{
    const uint8_t *page = table_frame(s, w, step->table);
    if (unlikely(!page)) {
        w->cacheable = false;
        return is_legacy(&s->ctx) ? UINT32_MAX : UINT64_MAX;
    }
    return is_legacy(&s->ctx) ? le32_load(page + step->offset) : le64_load(page + step->offset);
}

/*
 * Set A or D. Both are in the entry's first byte. The event goes out to who else cares about the
 * page; users of the table itself need not hear of it, unless they read the bytes in another
 * format.
 */
static COLD void set_flags(const struct space *s, const struct walk_step *step, uint8_t flags)
{
    struct mmu_vm *mv = s->owner->mv;
    uint8_t state;
    uint8_t *page = physmem_begin_write(mv->pm, step->table, &state);
    if (!page || (state & PAGE_ROM))
        return;
    page[step->offset] |= flags;
    if (!state)
        return;
    mv->ad_size = is_legacy(&s->ctx) ? 4 : 8;
    physmem_written(mv->pm, step->table + step->offset, 1);
    mv->ad_size = 0;
}

static void set_accessed_dirty(const struct space *s, const struct walk *w, enum access access)
{
    for (unsigned i = 0; i < w->steps; i++) {
        bool is_last = i + 1 == w->steps;
        uint64_t want = PTE_A | (is_last && access == ACCESS_WRITE ? PTE_D : 0);
        if (unlikely((w->step[i].entry & want) != want))
            set_flags(s, &w->step[i], (uint8_t)want);
    }
}

enum outcome { WALK_DONE, WALK_ABSENT, WALK_RESERVED };

/* Where the walk begins, from the root. False: a PDPTE register is not present. */
static bool first_step(const struct space *s, laddr la, struct walk_step *step)
{
    const struct mmu_ctx *ctx = &s->ctx;
    *step = (struct walk_step){.rights = RIGHTS_ALL};
    if (ctx->guest.format == MMU_PAE) {
        uint64_t pdpte = ctx->guest.pdpte[la >> 30 & 3];
        step->table = mmu_gate(s->owner, pdpte & PTE_FRAME);
        step->level = 2;
        return pdpte & PTE_P;
    }
    step->table = mmu_gate(s->owner, ctx->guest.root & PAGE_MASK);
    step->level = is_legacy(ctx) ? 2 : 4;
    return true;
}

/* Follow the entries from *step, the first, to the leaf. */
static enum outcome descend(const struct space *s, laddr la, struct walk_step step, struct walk *w,
                            uint8_t *rights)
{
    const struct mmu_ctx *ctx = &s->ctx;
    unsigned entry_bytes = is_legacy(ctx) ? 4 : 8;
    unsigned index_mask = (unsigned)PAGE_SIZE / entry_bytes - 1;
    for (w->steps = 0;;) {
        uint64_t index = la >> walk_entry_shift(ctx, step.level) & index_mask;
        step.offset = (uint16_t)(index * entry_bytes);
        step.entry = read_entry(s, w, &step);
        w->step[w->steps++] = step;
        if (!(step.entry & PTE_P))
            return WALK_ABSENT;
        if (is_reserved(s, step.level, step.entry))
            return WALK_RESERVED;
        step.rights = walk_narrow(step.rights, step.entry);
        if (is_leaf(ctx, step.level, step.entry))
            break;
        step.table = mmu_gate(s->owner, step.entry & PTE_FRAME);
        step.level--;
    }
    *rights = step.rights;
    w->pa = mmu_gate(s->owner, leaf_pa(ctx, step.level, step.entry, la));
    return WALK_DONE;
}

bool walk_is_canonical(const struct mmu_ctx *ctx, laddr la)
{
    return ctx->guest.format != MMU_LEVEL4 || (laddr)sext(la, 48) == la;
}

bool walk_tables(struct space *s, unsigned class, laddr la, enum access access,
                 const struct table_user *from, struct walk *w, struct fault *fault)
{
    const struct mmu_ctx *ctx = &s->ctx;
    struct mmu_counters *counters = &s->owner->counters;
    struct walk_step step;
    uint8_t rights;
    if (unlikely(!walk_is_canonical(ctx, la))) {
        *fault = fault_code(EXC_GP, 0);
        return false;
    }
    w->cacheable = true;
    w->is_peek = false;
    counters->walks++;
    counters->resumed += from != NULL;
    if (from)
        step = (struct walk_step){
            .table = from->table->page, .level = from->level, .rights = from->rights};
    else if (!first_step(s, la, &step))
        return page_fault(ctx, class, la, access, 0, fault);
    enum outcome outcome = descend(s, la, step, w, &rights);
    counters->walk_refs += w->steps;
    if (unlikely(outcome != WALK_DONE))
        return page_fault(ctx, class, la, access, outcome == WALK_ABSENT ? 0 : PF_P | PF_RSVD,
                          fault);
    uint64_t leaf = w->step[w->steps - 1].entry;
    uint32_t pk = key_denies(s, class, access, rights, leaf) ? PF_PK : 0;
    if (unlikely(pk || !is_allowed(ctx, class, access, rights)))
        return page_fault(ctx, class, la, access, PF_P | pk, fault);
    if (ctx->pke && (rights & RIGHT_USER))
        vtlb_note_key(s, protection_key(leaf));
    set_accessed_dirty(s, w, access);
    return true;
}

bool walk_peek(const struct space *s, laddr la, struct walk *w)
{
    struct walk_step step;
    uint8_t rights;
    w->cacheable = true;
    w->is_peek = true;
    return walk_is_canonical(&s->ctx, la) && first_step(s, la, &step) &&
           descend(s, la, step, w, &rights) == WALK_DONE;
}

bool mmu_load_pdptes(struct physmem *pm, uint64_t cr3, uint8_t maxphyaddr, uint64_t out[4])
{
    uint64_t v[4], reserved = bits(2, 1) | bits(8, 5) | bits(63, maxphyaddr);
    for (unsigned i = 0; i < 4; i++) {
        if (!physmem_read_u64(pm, (cr3 & bits(31, 5)) + 8 * i, &v[i]))
            v[i] = UINT64_MAX;
        if ((v[i] & PTE_P) && (v[i] & reserved))
            return false;
    }
    for (unsigned i = 0; i < 4; i++)
        out[i] = v[i];
    return true;
}
