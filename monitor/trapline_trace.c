/* SPDX-License-Identifier: MIT */
/* Steps told to a sink, and walks of the guest's tables. */
#include <errno.h>
#include <string.h>

#include "base/endian.h"
#include "monitor/trace/tracer.h"
#include "monitor/trapline_priv.h"

/* ---- steps ---- */

static int check(const struct trapline_trace_config *c, struct err *err)
{
    if (!TRACE_POINTS) {
        err_set(err, ENOTSUP, "this trapline was built without trace points");
        err_hint(err, "configure it with -DTRAPLINE_TRACE_POINTS=ON, the default");
        return -ENOTSUP;
    }
    if (c->level > TRAPLINE_LEVEL_INSNS || (c->level != TRAPLINE_LEVEL_NONE && !c->step))
        return err_set(err, EINVAL, "a trace wants a level and a function that is told");
    return 0;
}

int trapline_trace_steps(struct trapline_machine *t, const struct trapline_trace_config *config, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct trapline_trace_config full = TRAPLINE_TRACE_CONFIG_INIT;
    memcpy(&full, config, config->size < sizeof(full) ? config->size : sizeof(full));
    int rc = check(&full, &err);
    if (rc < 0)
        return trapline_fail(error, &err, rc);
    struct tracer *tracer = full.level == TRAPLINE_LEVEL_NONE ? NULL : tracer_create(t->m, &full);
    if (!tracer && full.level != TRAPLINE_LEVEL_NONE)
        return trapline_fail(error, &err, err_set(&err, ENOMEM, "no memory for a tracer"));
    tracer_destroy(t->m->tracer);
    t->m->tracer = tracer;
    return 0;
}

void trapline_end_run(struct trapline_machine *t)
{
    t->ends_run = true;
    machine_stop(t->m, STOP_POSITION, 0);
    if (t->m->running)
        cpu_request_break(t->m->running->vcpu);
}

void trapline_step_text(struct trapline_machine *t, const struct trapline_step *step, char *text, size_t size)
{
    tracer_step_text(t->m->tracer, step, text, size);
}

unsigned trapline_step_changes(struct trapline_machine *t, const struct trapline_step *step, struct trapline_change *changes,
                               unsigned most)
{
    return tracer_step_changes(t->m->tracer, step, changes, most);
}

/* ---- walks ---- */

/* A format of paging structures (SDM Vol. 3A, "Paging"). */
struct format {
    const char *name;
    unsigned levels;     /* 4-level: 4 */
    unsigned index_bits; /* 9 or 10 */
    unsigned entry;      /* bytes of one */
};

static const struct format legacy = {"legacy", 2, 10, 4};
static const struct format pae = {"PAE", 3, 9, 8};
static const struct format long4 = {"4-level", 4, 9, 8};

static const struct format *format_of(const struct cpu *cpu)
{
    if (!(cpu->cr0 & CR0_PG))
        return NULL;
    return cpu->efer & EFER_LMA ? &long4 : cpu->cr4 & CR4_PAE ? &pae : &legacy;
}

static bool read_entry(const struct vm *vm, const struct format *f, paddr pa, uint64_t *entry)
{
    uint8_t b[8];
    if (!physmem_is_ram(vm->pm, pa) || !physmem_read(vm->pm, pa, b, f->entry))
        return false;
    *entry = f->entry == 8 ? le64_load(b) : le32_load(b);
    return true;
}

/* Does the entry of this level map a page? */
static bool is_leaf(const struct cpu *cpu, const struct format *f, unsigned level, uint64_t entry)
{
    bool may = f == &legacy ? cpu->cr4 & CR4_PSE : level < 4 && !(f == &pae && level == 3);
    return level == 1 || (may && level > 1 && (entry & BIT(7)));
}

static uint64_t address_in(uint64_t entry)
{
    return entry & low_mask(52) & PAGE_MASK;
}

static void map(struct trapline_walk *w, const struct format *f, unsigned shift, uint64_t entry)
{
    uint64_t base = entry & low_mask(52) & ~low_mask(shift);
    if (f == &legacy && shift > PAGE_SHIFT) /* PSE-36: address bits 39:32 in 20:13 */
        base = (entry & UINT64_C(0xffc00000)) | (entry >> 13 & 0xff) << 32;
    w->is_mapped = true;
    w->page_size = BIT(shift);
    w->physical = base | (w->address & low_mask(shift));
}

static void walk(const struct vm *vm, const struct cpu *cpu, const struct format *f, struct trapline_walk *w)
{
    static const char *const names[] = {"PTE", "PDE", "PDPTE", "PML4E"};
    uint64_t table = f == &pae ? cpu->cr3 & ~UINT64_C(31) : address_in(cpu->cr3), entry;
    for (unsigned level = f->levels; level > 0; level--) {
        unsigned shift = PAGE_SHIFT + f->index_bits * (level - 1);
        unsigned bits = f == &pae && level == 3 ? 2 : f->index_bits;
        unsigned index = (unsigned)(w->address >> shift & low_mask(bits));
        bool is_register = f == &pae && level == 3;
        if (is_register)
            entry = cpu->pdpte[index];
        else if (!read_entry(vm, f, table + (uint64_t)index * f->entry, &entry))
            return;
        w->level[w->levels].name = names[level - 1];
        w->level[w->levels].table = is_register ? 0 : table;
        w->level[w->levels].index = index;
        w->level[w->levels].bits[0] = shift + bits - 1;
        w->level[w->levels].bits[1] = shift;
        w->level[w->levels++].entry = entry;
        if (!(entry & 1))
            return;
        if (is_leaf(cpu, f, level, entry)) {
            map(w, f, shift, entry);
            return;
        }
        table = address_in(entry);
    }
}

int trapline_walk(const struct trapline_machine *t, unsigned vcpu, uint64_t address, struct trapline_walk *out,
                  struct trapline_error *error)
{
    const struct monitor_vcpu *mv = trapline_vcpu(t, vcpu, error);
    if (!mv)
        return -EINVAL;
    const struct cpu *cpu = &mv->vcpu->arch;
    const struct format *f = format_of(cpu);
    struct trapline_walk w = {.size = out->size, .format = f ? f->name : "none", .cr3 = cpu->cr3, .address = address};
    if (f != &long4)
        w.address &= UINT32_MAX;
    if (f) {
        walk(mv->vm, cpu, f, &w);
    } else {
        w.is_mapped = true;
        w.physical = w.address;
        w.page_size = PAGE_SIZE;
    }
    memcpy(out, &w, out->size < sizeof(w) ? out->size : sizeof(w));
    return 0;
}
