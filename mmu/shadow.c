/* SPDX-License-Identifier: MIT */
/*
 * -mmu shadow: a miss walks the shadow tables, as the processor would whose CR3 holds their root.
 * What they do not allow is a page fault that the monitor takes, and sorts:
 *
 *   true     the guest's own tables do not allow it either: the guest gets it
 *   hidden   the guest's tables allow it; the shadow did not know yet
 *   protect  the guest may write, but the page is protected: a guest table (a trace fault), code,
 * ROM, dirty logging mmio     there is no RAM
 */
#include "mmu/shadow.h"

/* ---- the walk ---- */

/* Does the shadow allow it? Then *pa. */
static bool lookup(struct shadow *sh, struct space *s, unsigned class, laddr la, enum access access,
                   paddr *pa)
{
    struct mmu_counters *counters = &s->owner->counters;
    const struct shadow_page *sp = s->shadow;
    uint8_t rights = RIGHTS_ALL;
    uint64_t e = 0;
    unsigned slot = 0;
    counters->shadow_walks++;
    while (sp) {
        slot = shadow_slot(sp->role.level, la);
        e = shadow_entry(sh, sp, slot);
        counters->shadow_refs++;
        rights = walk_narrow(rights, e);
        if (sp->role.level == 1)
            break;
        sp = e & PTE_P ? shadow_child(sh, e) : NULL;
    }
    if (!sp || !shadow_in_use(e) || (access == ACCESS_WRITE && !(rights & RIGHT_WRITE)))
        return false;
    if (s->ctx.guest.format != MMU_OFF && !walk_allows(s, class, access, rights, e))
        return false;
    if (s->ctx.pke && (rights & RIGHT_USER))
        vtlb_note_key(s, (unsigned)(e >> 59) & 15);
    counters->mmio_faults += !(e & PTE_P);
    *pa = sp->gpa[slot] | (la & ~PAGE_MASK);
    return true;
}

/* ---- what a hidden fault builds ---- */

/* How the guest's walk for la maps to the shadow's. */
struct path {
    const struct space *s;
    const struct walk *w;
    laddr la;
    bool is_write;
};

/* The step of the walk whose entry is mirrored at this level of the shadow; negative: above the
 * guest's tables. */
static int step_at(const struct path *at, unsigned level)
{
    return (at->s->ctx.guest.format == MMU_LEVEL4 ? 4 : 2) - (int)level;
}

/* Rights of the shadow's entry at this level. */
static uint64_t rights_at(const struct path *at, unsigned level)
{
    int i = step_at(at, level), last = (int)at->w->steps - 1;
    if (i < 0 || i > last) /* above the guest's tables, or inside of a large page */
        return PTE_RW | PTE_US;
    uint64_t e = at->w->step[i].entry, rights = e & SHADOW_RIGHTS & ~PTE_KEY;
    if (i < last)
        return rights;
    bool is_dirty = at->is_write || (e & PTE_D);
    return (is_dirty ? rights : rights & ~PTE_RW) | (level == 1 ? e & PTE_KEY : 0);
}

static struct shadow_role role_for(const struct mmu_ctx *ctx, unsigned level)
{
    return (struct shadow_role){.level = (uint8_t)level,
                                .format = ctx->guest.format,
                                .maxphyaddr = ctx->maxphyaddr,
                                .pse = ctx->pse,
                                .nxe = ctx->nxe,
                                .pge1g = ctx->pge1g};
}

/* Part of a large page: all who map it share it. */
static struct shadow_page *direct_at(struct shadow *sh, const struct path *at, unsigned level)
{
    struct shadow_role role = {.level = (uint8_t)level, .is_direct = true};
    if (at->w->steps)
        role.key = at->w->step[at->w->steps - 1].entry >> 59 & 15;
    return shadow_get(sh, at->w->pa & ~low_mask(shadow_shift(level + 1)), &role);
}

/* The shadow that belongs at this level. */
static struct shadow_page *table_at(struct shadow *sh, const struct path *at, unsigned level)
{
    int i = step_at(at, level);
    if (i < 0)
        return shadow_get_private(sh);
    if (i >= (int)at->w->steps)
        return direct_at(sh, at, level);
    struct shadow_role role = role_for(&at->s->ctx, level);
    if (role.format == MMU_LEGACY)
        role.quadrant = level == 2 ? at->la >> 30 & 3 : at->la >> 21 & 1;
    struct shadow_page *sp = shadow_get(sh, at->w->step[i].table, &role);
    if (sp)
        sp->writes = 0;
    return sp;
}

static struct shadow_page *root_of(struct shadow *sh, struct space *s, const struct path *at)
{
    if (s->shadow) {
        shadow_touch(sh, s->shadow);
        s->shadow->writes = 0;
        return s->shadow;
    }
    struct shadow_page *sp = table_at(sh, at, s->ctx.guest.format == MMU_LEVEL4 ? 4 : 3);
    if (!sp)
        return NULL;
    s->shadow = sp;
    s->shadow_next = sp->spaces;
    sp->spaces = s;
    return sp;
}

/* Build the shadow's path to la. False: no memory for it. */
static bool install(struct shadow *sh, struct space *s, const struct path *at)
{
    shadow_begin(sh);
    struct shadow_page *sp = root_of(sh, s, at);
    while (sp && sp->role.level > 1) {
        unsigned level = sp->role.level;
        struct shadow_page *child = table_at(sh, at, level - 1);
        if (child)
            shadow_link_child(sh, sp, shadow_slot(level, at->la), child, rights_at(at, level));
        sp = child;
    }
    if (!sp)
        return false;
    uint64_t rights = rights_at(at, 1) | (uint64_t)sp->role.key << 59;
    shadow_map(sh, sp, shadow_slot(1, at->la), at->w->pa & PAGE_MASK, rights);
    return true;
}

/* ---- the fault ---- */

/* Bring the frame, and sort the fault. */
static void prepare_frame(struct mmu_private *p, paddr pa, enum access access)
{
    uint8_t state = 0;
    const uint8_t *page =
        access == ACCESS_WRITE ? physmem_begin_write(p->pm, pa, &state) : physmem_page(p->pm, pa);
    if (!page)
        p->counters.mmio_faults++;
    else if (state & PAGE_TRACED)
        p->counters.trace_faults++;
    else if (state)
        p->counters.protect_faults++;
    else
        p->counters.hidden_faults++;
}

static bool shadow_fault(struct space *s, unsigned class, laddr la, enum access access,
                         struct translation *t, struct fault *fault)
{
    struct mmu_private *p = s->owner;
    struct walk w = {.pa = mmu_gate(p, la), .cacheable = true};
    p->counters.shadow_faults++;
    if (s->ctx.guest.format != MMU_OFF && !walk_tables(s, class, la, access, NULL, &w, fault)) {
        p->counters.true_faults++;
        return false;
    }
    prepare_frame(p, w.pa, access);
    const struct path at = {s, &w, la, access == ACCESS_WRITE};
    *t = (struct translation){.pa = w.pa,
                              .cacheable = w.cacheable && install(p->mv->shadow, s, &at)};
    return true;
}

static bool shadow_miss(struct space *s, unsigned class, laddr la, enum access access,
                        struct translation *t, struct fault *fault)
{
    t->cacheable = true;
    return (likely(walk_is_canonical(&s->ctx, la)) &&
            lookup(s->owner->mv->shadow, s, class, la, access, &t->pa)) ||
           shadow_fault(s, class, la, access, t, fault);
}

static bool shadow_translate(struct space *s, unsigned class, laddr la, enum access access,
                             paddr *pa, struct fault *fault)
{
    struct translation t;
    if (!shadow_miss(s, class, la, access, &t, fault))
        return false;
    *pa = t.pa;
    return true;
}

/* ---- the rest of the interface ---- */

/* A root that others use, or may use again, stays. */
static void shadow_release(struct space *s)
{
    struct shadow_page *sp = s->shadow;
    if (!sp)
        return;
    struct space **link = &sp->spaces;
    while (*link != s)
        link = &(*link)->shadow_next;
    *link = s->shadow_next;
    s->shadow = NULL;
    s->shadow_next = NULL;
    if (sp->is_private)
        shadow_free_page(s->owner->mv->shadow, sp);
}

static void shadow_drop_all(struct mmu_vm *mv)
{
    shadow_free_all(mv->shadow);
}

static bool visit_page(const struct shadow *sh, const struct shadow_page *sp, laddr base,
                       bool (*visit)(void *, const struct mmu_table_entry *), void *opaque)
{
    for (unsigned i = 0; i < SHADOW_ENTRIES; i++) {
        uint64_t e = shadow_entry(sh, sp, i);
        laddr la = base + ((laddr)i << shadow_shift(sp->role.level));
        bool is_leaf = sp->role.level == 1;
        if (sp->role.level == 4)
            la = (laddr)sext(la, 48);
        struct mmu_table_entry out = {.level = sp->role.level,
                                      .base = la,
                                      .value = e,
                                      .table = shadow_hpa(sh, sp),
                                      .is_present = e & PTE_P,
                                      .is_leaf = is_leaf,
                                      .gpa = is_leaf ? sp->gpa[i] : 0};
        if (!shadow_in_use(e))
            continue;
        if (!visit(opaque, &out) ||
            (!is_leaf && !visit_page(sh, shadow_child(sh, e), la, visit, opaque)))
            return false;
    }
    return true;
}

void shadow_visit(const struct space *s, bool (*visit)(void *, const struct mmu_table_entry *),
                  void *opaque)
{
    if (s->shadow)
        visit_page(s->owner->mv->shadow, s->shadow, 0, visit, opaque);
}

const struct translation_ops shadow_translation = {
    .name = "shadow",
    .miss = shadow_miss,
    .translate = shadow_translate,
    .release = shadow_release,
    .drop_all = shadow_drop_all,
    .drop_page = shadow_drop_page,
    .table_written = shadow_written,
    .revoke_write = shadow_revoke_write,
    .revoke_all = shadow_revoke_all,
};
