/* SPDX-License-Identifier: MIT */
/*
 * The VM's side of the MMU: which kind of translation it has, and what concerns all of its vCPUs.
 */
#include <stdlib.h>

#include "mmu/mmu_priv.h"

static const struct translation_ops *const translations[MMU_KINDS] = {
    [MMU_DIRECT] = &direct_translation, [MMU_SHADOW] = &shadow_translation, [MMU_NESTED] = &nested_translation};

const char *mmu_kind_name(enum mmu_kind kind)
{
    return (unsigned)kind < MMU_KINDS ? translations[kind]->name : NULL;
}

/* What the kind needs of its own. */
static bool make_tables(struct mmu_vm *mv)
{
    if (mv->config.kind != MMU_DIRECT && mv->config.frames.count < MMU_FRAMES_MIN)
        return false;
    if (mv->config.kind == MMU_SHADOW)
        mv->shadow = shadow_create(mv);
    if (mv->config.kind == MMU_NESTED)
        mv->nested = nested_create(mv);
    return mv->config.kind == MMU_DIRECT || mv->shadow || mv->nested;
}

struct mmu_vm *mmu_vm_create(struct physmem *pm, const struct mmu_vm_config *config, struct trace *trace)
{
    struct mmu_vm *mv = calloc(1, sizeof(*mv));
    if (!mv)
        return NULL;
    mv->pm = pm;
    mv->trace = trace;
    if (config)
        mv->config = *config;
    mv->ops = translations[mv->config.kind];
    if (!make_tables(mv)) {
        free(mv);
        return NULL;
    }
    physmem_set_events(pm,
                       &(struct page_event_ops){.traced_written = mv->ops->table_written,
                                                .revoke_write = mv->ops->revoke_write,
                                                .revoke_all = mv->ops->revoke_all},
                       NULL, mv, NULL);
    return mv;
}

static void written_nowhere(void *opaque, paddr pa, size_t len)
{
    (void)opaque, (void)pa, (void)len;
}

static void revoked_nowhere(void *opaque, paddr page)
{
    (void)opaque, (void)page;
}

void mmu_vm_destroy(struct mmu_vm *mv)
{
    if (!mv)
        return;
    assert(!mv->vcpus);
    physmem_set_events(mv->pm,
                       &(struct page_event_ops){.traced_written = written_nowhere,
                                                .revoke_write = revoked_nowhere,
                                                .revoke_all = revoked_nowhere},
                       NULL, NULL, NULL);
    table_free_pool(mv);
    shadow_destroy(mv->shadow);
    nested_destroy(mv->nested);
    free(mv);
}

void mmu_vm_on_mapping_change(struct mmu_vm *mv, void (*changed)(void *opaque), void *opaque)
{
    mv->mapping_changed = changed;
    mv->mapping_opaque = opaque;
}

void mmu_vm_drop_all(struct mmu_vm *mv)
{
    trace_point(mv->trace, TRACE_tlb_flush, "mmu", 0, 0, 0, 0);
    for (struct mmu_private *p = mv->vcpus; p; p = p->next)
        for (unsigned i = 0; i < p->spaces; i++)
            vtlb_reset_space(&p->space[i]);
    mv->ops->drop_all(mv);
}

void mmu_vm_drop_page(struct mmu_vm *mv, paddr page)
{
    mmu_mapping_changed(mv);
    mv->ops->drop_page(mv, page & PAGE_MASK);
    revoke_page(mv, page);
}

void mmu_vm_set_a20(struct mmu_vm *mv, bool is_open)
{
    paddr off = is_open ? 0 : BIT(20);
    if (mv->a20_off == off)
        return;
    mv->a20_off = off;
    mmu_mapping_changed(mv);
    mmu_vm_drop_all(mv);
}

paddr mmu_a20(const struct mmu *mmu, paddr pa)
{
    return mmu_gate(mmu->p, pa);
}

const struct mmu_vm_counters *mmu_vm_counters(const struct mmu_vm *mv)
{
    return &mv->counters;
}

enum mmu_kind mmu_vm_kind(const struct mmu_vm *mv)
{
    return mv->config.kind;
}

void mmu_visit_tables(const struct mmu *mmu, bool (*visit)(void *opaque, const struct mmu_table_entry *e), void *opaque)
{
    const struct mmu_private *p = mmu->p;
    if (p->mv->shadow)
        shadow_visit(p->current, visit, opaque);
    if (p->mv->nested)
        nested_visit(p->mv->nested, visit, opaque);
}
