/* SPDX-License-Identifier: MIT */
/* How addresses were translated: `-d paging`, `info shadow`, `info nested`. */
#include <inttypes.h>
#include <string.h>

#include "monitor/trapline_priv.h"

/* A counter of one kind stands in the others as 0, and is left out there. */
static void print_row(const char *what, uint64_t n, FILE *out)
{
    if (n)
        fprintf(out, "  %-62s %14" PRIu64 "\n", what, n);
}

static struct mmu_counters sum_of(const struct vm *vm)
{
    struct mmu_counters sum = {0};
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct mmu_counters *c = mmu_counters(&vm->vcpus[i].vcpu->run.mmu);
#define COUNTER(name, what) sum.name += c->name;
        MMU_COUNTERS(COUNTER)
#undef COUNTER
    }
    return sum;
}

/* References of one walk on average, what the formulas of the manuals speak of. */
static void print_mean(const char *what, uint64_t refs, uint64_t walks, FILE *out)
{
    if (walks)
        fprintf(out, "  %-62s %14.2f\n", what, (double)refs / (double)walks);
}

void trapline_print_paging(struct trapline_machine *t, FILE *out)
{
    const struct vm *vm = t->m->vm;
    const struct mmu_counters sum = sum_of(vm);
    const struct mmu_vm_counters *of_vm = mmu_vm_counters(vm->mmu);
    fprintf(out, "translation: %s\n", mmu_kind_name(mmu_vm_kind(vm->mmu)));
#define COUNTER(name, what) print_row(what, sum.name, out);
    MMU_COUNTERS(COUNTER)
#undef COUNTER
#define COUNTER(name, what) print_row(what, of_vm->name, out);
    MMU_VM_COUNTERS(COUNTER)
#undef COUNTER
    print_mean("references per guest walk, nested ones included",
               sum.walk_refs + sum.nested_refs + sum.pdpte_refs, sum.walks, out);
    print_mean("references per shadow walk", sum.shadow_refs, sum.shadow_walks, out);
}

void trapline_paging_counters(const struct trapline_machine *t,
                              struct trapline_paging_counters *out)
{
    const struct vm *vm = t->m->vm;
    const struct mmu_counters c = sum_of(vm);
    const struct mmu_vm_counters *of_vm = mmu_vm_counters(vm->mmu);
    struct trapline_paging_counters all = {
        .size = out->size,
        .misses = c.fills_read + c.fills_write + c.fills_fetch,
        .guest_walks = c.walks,
        .guest_refs = c.walk_refs,
        .shadow_walks = c.shadow_walks,
        .shadow_refs = c.shadow_refs,
        .nested_walks = c.nested_walks,
        .nested_refs = c.nested_refs + c.pdpte_refs,
        .true_faults = c.true_faults,
        .hidden_faults = c.hidden_faults,
        .protect_faults = c.protect_faults,
        .traced_writes = of_vm->traced_writes,
        .violations = of_vm->violations,
        .space_switches = c.space_switches,
        .space_evictions = c.space_evictions,
        .flushes = c.flushes,
    };
    memcpy(out, &all, out->size < sizeof(all) ? out->size : sizeof(all));
}

/* ---- tables ---- */

struct printer {
    FILE *out;
    unsigned root;    /* level of the first table seen */
    uint64_t entries; /* printed */
};

static const char *level_name(unsigned level)
{
    static const char *const names[] = {"?", "PTE", "PDE", "PDPTE", "PML4E"};
    return names[level < 5 ? level : 0];
}

/* The bits of an entry, in the SDM's letters. */
static void print_bits(uint64_t e, FILE *out)
{
    static const struct {
        uint64_t bit;
        const char *name;
    } bits[] = {{1, "P"},
                {2, "RW"},
                {4, "US"},
                {0x20, "A"},
                {0x40, "D"},
                {0x80, "PS"},
                {UINT64_C(1) << 63, "XD"}};
    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
        fprintf(out, " %-*s", (int)strlen(bits[i].name), e & bits[i].bit ? bits[i].name : "-");
}

static bool print_entry(void *opaque, const struct mmu_table_entry *e)
{
    struct printer *p = opaque;
    if (!p->root) {
        p->root = e->level;
        fprintf(p->out, "root at HPA %#" PRIx64 "\n", e->table);
    }
    fprintf(p->out, "%*s%-5s %016" PRIx64 " %016" PRIx64, 2 * (int)(p->root - e->level), "",
            level_name(e->level), e->base, e->value);
    print_bits(e->value, p->out);
    if (e->is_leaf && e->is_present)
        fprintf(p->out, "  GPA %#" PRIx64, e->gpa);
    else if (e->is_leaf)
        fprintf(p->out, "  GPA %#" PRIx64 ", no RAM", e->gpa);
    fputc('\n', p->out);
    p->entries++;
    return !ferror(p->out);
}

void trapline_print_tables(struct trapline_machine *t, unsigned vcpu, FILE *out)
{
    const struct vm *vm = t->m->vm;
    struct printer p = {.out = out};
    if (vcpu >= vm->vcpu_count)
        return;
    if (mmu_vm_kind(vm->mmu) == MMU_DIRECT) {
        fprintf(out, "direct: the guest's own tables are the only ones (-mmu shadow, -mmu nested)\n");
        return;
    }
    mmu_visit_tables(&vm->vcpus[vcpu].vcpu->run.mmu, print_entry, &p);
    fprintf(out, "%s: %" PRIu64 " entries in use\n", mmu_kind_name(mmu_vm_kind(vm->mmu)),
            p.entries);
}
