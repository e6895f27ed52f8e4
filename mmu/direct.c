/* SPDX-License-Identifier: MIT */
/*
 * -mmu direct: a miss walks the guest's tables; what they say is guest-physical memory is found by
 * array (physmem). The tables behind what is cached are traced (table.c), so the arrays themselves
 * are the shadow.
 */
#include "mmu/mmu_priv.h"

/* The walk cache's answer, if it is in use. */
static struct table_user *resume(const struct space *s, laddr la)
{
    return s->owner->mv->config.no_walk_caches ? NULL : table_resume(s, la);
}

static bool direct_translate(struct space *s, unsigned class, laddr la, enum access access,
                             paddr *pa, struct fault *fault)
{
    struct walk w;
    if (s->ctx.guest.format == MMU_OFF) {
        *pa = mmu_gate(s->owner, la);
        return true;
    }
    if (!walk_tables(s, class, la, access, resume(s, la), &w, fault))
        return false;
    *pa = w.pa;
    return true;
}

bool direct_miss(struct space *s, unsigned class, laddr la, enum access access,
                 struct translation *t, struct fault *fault)
{
    struct walk w;
    if (s->ctx.guest.format == MMU_OFF) {
        *t = (struct translation){.pa = mmu_gate(s->owner, la), .cacheable = true};
        return true;
    }
    struct table_user *from = resume(s, la);
    if (!walk_tables(s, class, la, access, from, &w, fault))
        return false;
    *t = (struct translation){.pa = w.pa, .cacheable = w.cacheable};
    if (!w.cacheable)
        return true;
    /* The first try may have started the space anew. What runs must be traced, so try again from
     * the root. */
    if (unlikely(!table_register(s, from, &w, la)))
        t->cacheable =
            walk_tables(s, class, la, access, NULL, &w, fault) && table_register(s, NULL, &w, la);
    return true;
}

static void nothing_outside(struct mmu_vm *mv)
{
    (void)mv;
}

static void no_page_outside(struct mmu_vm *mv, paddr page)
{
    (void)mv, (void)page;
}

const struct translation_ops direct_translation = {
    .name = "direct",
    .miss = direct_miss,
    .translate = direct_translate,
    .release = table_release_space,
    .drop_all = nothing_outside,
    .drop_page = no_page_outside,
    .table_written = table_written,
    .revoke_write = revoke_write,
    .revoke_all = revoke_all,
};
