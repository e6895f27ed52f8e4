/* SPDX-License-Identifier: MIT */
/* Whole machines into saved states and back: check everything, then swap in. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "cpu/flags.h"
#include "monitor/emulate/real.h"
#include "monitor/scheduler.h"
#include "monitor/timeline/parts.h"
#include "monitor/timeline/snapshot.h"
#include "monitor/timeline/timeline.h"

/* ---- saving ---- */

static void save_field(struct snapshot_writer *w, const struct field *f, const void *base)
{
    uint8_t b[8];
    snapshot_put_name(w, f->name);
    snapshot_put_u8(w, f->size);
    snapshot_put_u32(w, f->count);
    for (uint32_t i = 0; i < f->count; i++) {
        le_store(b, field_get(f, base, i), f->size);
        snapshot_put(w, b, f->size);
    }
}

static unsigned field_count(const struct field *table)
{
    unsigned n = 0;
    while (table[n].name)
        n++;
    return n;
}

static void save_part(struct snapshot_writer *w, const struct part *p)
{
    snapshot_put_u8(w, 'S');
    snapshot_put_name(w, p->name);
    snapshot_put_u32(w, p->version);
    snapshot_put_u16(w, (uint16_t)field_count(p->fields));
    for (const struct field *f = p->fields; f->name; f++)
        save_field(w, f, p->base);
}

static bool is_zero(const uint8_t *p)
{
    return p[0] == 0 && memcmp(p, p + 1, PAGE_SIZE - 1) == 0;
}

/* Where memory stands: what -m made, part by part. */
static void save_ranges(struct machine *m, struct snapshot_writer *w)
{
    struct physmem_range r;
    for (unsigned i = 0; physmem_range(m->vm->pm, i, &r); i++) {
        snapshot_put_u8(w, 'R');
        snapshot_put_u64(w, r.gpa);
        snapshot_put_u64(w, r.size);
        snapshot_put_u8(w, r.is_rom);
    }
    snapshot_put_u8(w, 'M');
}

/* Host bytes of a page, or NULL if it is all zero. */
static const uint8_t *page_content(struct machine *m, paddr gpa)
{
    const uint8_t *p = physmem_page(m->vm->pm, gpa);
    return p && allocator_is_touched(&m->memory, p) && !is_zero(p) ? p : NULL;
}

static void save_memory(struct machine *m, struct snapshot_writer *w)
{
    struct physmem_range r;
    for (unsigned i = 0; physmem_range(m->vm->pm, i, &r); i++) {
        for (paddr gpa = r.gpa; gpa < r.gpa + r.size; gpa += PAGE_SIZE) {
            const uint8_t *p = page_content(m, gpa);
            if (!p)
                continue;
            snapshot_put_u8(w, 'P');
            snapshot_put_u64(w, gpa);
            snapshot_put(w, p, PAGE_SIZE);
        }
    }
}

int timeline_save(struct machine *m, const char *path, struct err *err)
{
    struct snapshot_writer *w = snapshot_create(path, err);
    if (!w)
        return -EIO;
    allocator_begin_survey(&m->memory);
    for (unsigned i = 0; i < part_count(m); i++) {
        struct part p = part_get(m, i);
        save_part(w, &p);
    }
    save_ranges(m, w);
    save_memory(m, w);
    snapshot_put_u8(w, 'E');
    return snapshot_commit(w, err);
}

/* ---- reading a state: checked copies of all parts ---- */

struct loading {
    struct machine *m;         /* borrowed */
    struct snapshot_reader *r; /* borrowed */
    uint8_t **values;          /* owned: per part, its fields in canonical form */
    struct err *err;           /* borrowed */
    const char *path;          /* for errors */
    paddr last_page;           /* pages are ascending */
    bool has_page;             /* last_page is set */
};

static int damaged(struct loading *l, const char *what)
{
    err_set(l->err, EINVAL, "the saved state %s is damaged: %s", l->path, what);
    err_hint(l->err, "save it again; a copy that was cut short looks like this");
    return -EINVAL;
}

static int foreign(struct loading *l, const char *part, const char *what)
{
    err_set(l->err, EINVAL, "the saved state %s is of another machine: %s: %s", l->path, part, what);
    err_hint(l->err, "give the same -m, -smp, -cpu and -device options as when it was saved");
    return -EINVAL;
}

/* One field into its place of the canonical bytes `at`. */
static int load_field(struct loading *l, const struct part *p, const struct field *f, uint8_t *at)
{
    char name[SNAPSHOT_NAME_MAX + 1];
    uint8_t size;
    uint32_t count;
    if (!snapshot_get_name(l->r, name) || !snapshot_get_u8(l->r, &size) || !snapshot_get_u32(l->r, &count))
        return damaged(l, "it ends early");
    if (strcmp(name, f->name) != 0 || size != f->size || count != f->count)
        return foreign(l, p->name, "its fields differ");
    if (!snapshot_get(l->r, at, field_bytes(f)))
        return damaged(l, "it ends early");
    for (size_t i = 0; f->is_bool && i < count; i++)
        if (at[i] > 1)
            return damaged(l, "a boolean is neither 0 nor 1");
    return 0;
}

static int load_part(struct loading *l, unsigned i)
{
    struct part p = part_get(l->m, i);
    char name[SNAPSHOT_NAME_MAX + 1];
    uint32_t version;
    uint16_t fields;
    uint8_t tag;
    if (!snapshot_get_u8(l->r, &tag) || tag != 'S' || !snapshot_get_name(l->r, name) ||
        !snapshot_get_u32(l->r, &version) || !snapshot_get_u16(l->r, &fields))
        return foreign(l, p.name, "it is not in the file");
    if (strcmp(name, p.name) != 0)
        return foreign(l, p.name, "another part stands in its place");
    if (version != p.version || fields != field_count(p.fields))
        return foreign(l, p.name, "it has another version");
    size_t n = fields_bytes(p.fields);
    uint8_t *at = l->values[i] = malloc(n ? n : 1);
    if (!at)
        return err_set(l->err, ENOMEM, "out of memory");
    for (const struct field *f = p.fields; f->name; f++) {
        int rc = load_field(l, &p, f, at);
        if (rc < 0)
            return rc;
        at += field_bytes(f);
    }
    return 0;
}

/* The same memory in the same places. */
static int load_ranges(struct loading *l)
{
    struct physmem_range r;
    uint64_t gpa, size;
    uint8_t tag, is_rom;
    for (unsigned i = 0;; i++) {
        bool is_there = physmem_range(l->m->vm->pm, i, &r);
        if (!snapshot_get_u8(l->r, &tag) || (tag != 'R' && tag != 'M'))
            return damaged(l, "it does not say where memory is");
        if (is_there != (tag == 'R'))
            return foreign(l, "memory", "it has another size");
        if (!is_there)
            return 0;
        if (!snapshot_get_u64(l->r, &gpa) || !snapshot_get_u64(l->r, &size) || !snapshot_get_u8(l->r, &is_rom))
            return damaged(l, "it ends early");
        if (gpa != r.gpa || size != r.size || is_rom != r.is_rom)
            return foreign(l, "memory", "it has another size");
    }
}

/* Before anything else: parts depend on it. values: of the part "machine". */
static int check_policy(struct loading *l, const uint8_t *values)
{
    const struct machine *m = l->m;
    const struct field *policy = field_find(machine_state_fields, "policy");
    for (const struct field *f = machine_state_fields; f != policy; f++)
        values += field_bytes(f);
    const char *saved = policy_name((enum policy)values[0]);
    if (values[0] == m->policy.policy)
        return 0;
    if (!saved)
        return damaged(l, "there is no such policy");
    err_set(l->err, EINVAL, "the saved state %s is of a machine with -virt %s, and this one has -virt %s", l->path, saved,
            policy_name(m->policy.policy));
    err_hint(l->err, "load it with -virt %s", saved);
    return -EINVAL;
}

static int load_parts(struct loading *l)
{
    for (unsigned i = 0; i < part_count(l->m); i++) {
        free(l->values[i]);
        l->values[i] = NULL;
        int rc = load_part(l, i);
        if (rc == 0 && i == 0)
            rc = check_policy(l, l->values[0]);
        if (rc < 0)
            return rc;
    }
    return load_ranges(l);
}

/* The next page: 1, 0 at the (checked) end, or an error. */
static int next_page(struct loading *l, paddr *gpa, uint8_t *content)
{
    uint8_t tag;
    if (!snapshot_get_u8(l->r, &tag))
        return damaged(l, "it ends early");
    if (tag == 'E')
        return snapshot_check_end(l->r) ? 0 : damaged(l, "its checksum is wrong");
    if (tag != 'P' || !snapshot_get_u64(l->r, gpa) || !snapshot_get(l->r, content, PAGE_SIZE))
        return damaged(l, "it ends early");
    if ((*gpa & ~PAGE_MASK) || (l->has_page && *gpa <= l->last_page))
        return damaged(l, "its pages are out of order");
    if (!physmem_is_ram(l->m->vm->pm, *gpa))
        return foreign(l, "memory", "it has pages where this machine has none");
    l->last_page = *gpa;
    l->has_page = true;
    return 1;
}

/* First pass: is everything there and right? */
static int check_file(struct loading *l)
{
    uint8_t *page = malloc(PAGE_SIZE);
    paddr gpa;
    int rc = page ? load_parts(l) : err_set(l->err, ENOMEM, "out of memory");
    while (rc == 0 && (rc = next_page(l, &gpa, page)) == 1)
        rc = 0;
    free(page);
    return rc;
}

/* ---- swapping in ---- */

static void set_fields(const struct field *table, void *base, const uint8_t *values)
{
    for (const struct field *f = table; f->name; f++)
        for (uint32_t i = 0; i < f->count; i++, values += f->size)
            field_set(f, base, i, le_load(values, f->size));
}

/* Exchange the canonical bytes in values[] with the parts' present ones. */
static int exchange_parts(struct loading *l)
{
    for (unsigned i = 0; i < part_count(l->m); i++) {
        struct part p = part_get(l->m, i);
        size_t n = fields_bytes(p.fields);
        uint8_t *old = malloc(n ? n : 1);
        if (!old)
            return err_set(l->err, ENOMEM, "out of memory");
        fields_store(p.fields, p.base, old);
        set_fields(p.fields, p.base, l->values[i]);
        free(l->values[i]);
        l->values[i] = old;
    }
    return 0;
}

/* What fields alone can't say about a vCPU: -EINVAL if no processor could be in that state. */
static int check_vcpu(struct loading *l, const struct cpu *cpu)
{
    bool bad = cpu->cpl > 3 || cpu->activity > ACTIVITY_WAIT_SIPI || cpu->int_shadow > SHADOW_MOV_SS ||
               !(cpu->rflags & 2) || ((cpu->cr0 & CR0_PG) && !(cpu->cr0 & CR0_PE)) || cpu->efer >> 16 ||
               (cpu->dr[7] >> 32) || (cpu->mxcsr >> 16) || ((cpu->efer & EFER_LMA) && !(cpu->cr4 & CR4_PAE)) ||
               !pmu_is_possible(cpu);
    return bad ? damaged(l, "a vCPU is in a state that no processor can be in") : 0;
}

/* Virtual time, and half of it again to run on, must be representable. */
static bool clock_is_possible(const struct machine_state *s)
{
    const uint64_t limit = BIT(62);
    return s->ns_per_tick != 0 && s->tsc_hz != 0 && s->idle_ns <= limit && s->waited_ns <= limit - s->idle_ns &&
           s->ticks <= (limit - s->idle_ns - s->waited_ns) / s->ns_per_tick;
}

static int check_machine(struct loading *l)
{
    const struct machine *m = l->m;
    bool bad = !clock_is_possible(&m->s) || !scheduler_is_possible(m);
    return bad ? damaged(l, "its clock or turn is impossible") : 0;
}

/* The real machine of classic is made by its options, and never changes. */
static int check_real(struct loading *l, const struct real *saved)
{
    const struct policy_config *p = &l->m->policy;
    struct real ours = {0};
    if (p->policy != POLICY_CLASSIC)
        return 0;
    real_init(&ours, p->ring, p->emulates_faults);
    if (saved->ring != ours.ring || saved->emulates_faults != ours.emulates_faults) {
        err_set(l->err, EINVAL, "the saved state %s is of a machine with -virt classic,ring=%u,faults=%s", l->path, saved->ring,
                saved->emulates_faults ? "emulate" : "reflect");
        err_hint(l->err, "load it with the same -virt option");
        return -EINVAL;
    }
    for (const struct field *f = real_fields; f->name; f++)
        if (field_get(f, saved, 0) != field_get(f, &ours, 0))
            return damaged(l, "its real machine is not the monitor's");
    return 0;
}

static int settle_parts(struct loading *l)
{
    struct vm *vm = l->m->vm;
    int rc = check_machine(l);
    for (unsigned i = 0; rc == 0 && i < vm->vcpu_count; i++) {
        struct vcpu *vcpu = vm->vcpus[i].vcpu;
        rc = check_vcpu(l, &vcpu->arch);
        if (rc == 0)
            rc = check_real(l, &vcpu->real);
        if (rc < 0)
            break;
        vcpu->run.attention = true;
        flags_set_status(vcpu, vcpu->arch.rflags);
        pmu_rebuild(vcpu);
        machine_set_vcpu_clock(l->m, vcpu);
        cpu_update_mmu(vcpu);
    }
    if (rc == 0)
        rc = pv_after_load(vm, l->err);
    for (unsigned i = 0; rc == 0 && i < vm->device_count; i++)
        rc = vm->devices[i].ops->after_load(vm->devices[i].self, l->err);
    return rc;
}

static void put_page(struct machine *m, paddr gpa, const uint8_t *content)
{
    static const uint8_t zero[PAGE_SIZE];
    const uint8_t *now = page_content(m, gpa);
    if (!now && content == NULL)
        return;
    if (now && content && memcmp(now, content, PAGE_SIZE) == 0)
        return;
    physmem_load(m->vm->pm, gpa, content ? content : zero, PAGE_SIZE);
}

/* Pages of the machine in [*at, until) that the file does not name become zero. */
static void zero_up_to(struct machine *m, paddr at, paddr until)
{
    struct physmem_range r;
    for (unsigned i = 0; physmem_range(m->vm->pm, i, &r); i++) {
        paddr gpa = r.gpa > at ? r.gpa : at;
        paddr end = r.gpa + r.size < until ? r.gpa + r.size : until;
        for (; gpa < end; gpa += PAGE_SIZE)
            put_page(m, gpa, NULL);
    }
}

/* Second pass: memory. The file has been checked, so what fails now is the host. */
static int swap_memory(struct loading *l)
{
    allocator_begin_survey(&l->m->memory);
    uint8_t *page = malloc(PAGE_SIZE);
    paddr gpa, at = 0;
    int rc = page ? snapshot_rewind(l->r, l->err) : err_set(l->err, ENOMEM, "out of memory");
    uint8_t **values = l->values;
    uint8_t **scratch = calloc(part_count(l->m), sizeof(*scratch));
    l->values = scratch;
    l->has_page = false;
    if (rc == 0)
        rc = scratch ? load_parts(l) : err_set(l->err, ENOMEM, "out of memory");
    while (rc == 0 && (rc = next_page(l, &gpa, page)) == 1) {
        zero_up_to(l->m, at, gpa);
        put_page(l->m, gpa, page);
        at = gpa + PAGE_SIZE;
        rc = 0;
    }
    if (rc == 0)
        zero_up_to(l->m, at, UINT64_MAX);
    for (unsigned i = 0; scratch && i < part_count(l->m); i++)
        free(scratch[i]);
    free(scratch);
    l->values = values;
    free(page);
    return rc;
}

static int swap_in(struct loading *l)
{
    int rc = exchange_parts(l);
    if (rc == 0)
        rc = settle_parts(l);
    if (rc == 0)
        return swap_memory(l);
    struct err ignored;
    struct loading back = *l;
    back.err = &ignored;
    if (exchange_parts(&back) == 0)
        settle_parts(&back);
    return rc;
}

int timeline_load_from(struct machine *m, struct snapshot_reader *r, const char *name, struct err *err)
{
    struct loading l = {.m = m, .r = r, .err = err, .path = name};
    l.values = calloc(part_count(m), sizeof(*l.values));
    int rc = l.values ? check_file(&l) : err_set(err, ENOMEM, "out of memory");
    if (rc == 0)
        rc = swap_in(&l);
    for (unsigned i = 0; l.values && i < part_count(m); i++)
        free(l.values[i]);
    free(l.values);
    return rc;
}

int timeline_load(struct machine *m, const char *path, struct err *err)
{
    struct snapshot_reader *r = snapshot_open(path, err);
    if (!r)
        return -EINVAL;
    int rc = timeline_load_from(m, r, path, err);
    snapshot_close(r);
    return rc;
}
