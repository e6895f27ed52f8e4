/* SPDX-License-Identifier: MIT */
/* Registers, parts and memory, read and written from outside at an instruction boundary. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "monitor/timeline/parts.h"
#include "monitor/scheduler.h"
#include "monitor/trapline_priv.h"

/* ---- fields ---- */

static void describe(struct trapline_field *out, const struct field *f)
{
    struct trapline_field field = {
        .size = out->size, .name = f->name, .doc = f->doc, .count = f->count, .width = f->size};
    memcpy(out, &field, out->size < sizeof(field) ? out->size : sizeof(field));
}

/* Field i of a table, or NULL past its end. */
static const struct field *field_at(const struct field *table, unsigned i)
{
    const struct field *f = table;
    while (f->name && i > 0) {
        f++;
        i--;
    }
    return f->name ? f : NULL;
}

bool trapline_cpu_field(unsigned i, struct trapline_field *field)
{
    const struct field *f = field_at(cpu_fields, i);
    if (f)
        describe(field, f);
    return f != NULL;
}

bool trapline_part(const struct trapline_machine *t, unsigned i, struct trapline_part *part)
{
    if (i >= part_count(t->m))
        return false;
    struct part p = part_get(t->m, i);
    struct trapline_part out = {.size = part->size, .doc = p.device ? p.device->ops->doc : NULL};
    memcpy(out.name, p.name, sizeof(out.name));
    memcpy(part, &out, part->size < sizeof(out) ? part->size : sizeof(out));
    return true;
}

bool trapline_part_field(const struct trapline_machine *t, unsigned i, unsigned field_index,
                         struct trapline_field *field)
{
    if (i >= part_count(t->m))
        return false;
    const struct field *f = field_at(part_get(t->m, i).fields, field_index);
    if (f)
        describe(field, f);
    return f != NULL;
}

bool trapline_part_get(const struct trapline_machine *t, unsigned i, unsigned field_index,
                       unsigned index, uint64_t *value)
{
    if (i >= part_count(t->m))
        return false;
    struct part p = part_get(t->m, i);
    const struct field *f = field_at(p.fields, field_index);
    if (!f || index >= f->count)
        return false;
    *value = field_get(f, p.base, index);
    return true;
}

/* ---- registers ---- */

/* A register as element `first` and following of a field. */
struct place {
    const struct field *field; /* of the vCPU */
    unsigned first;            /* element 0 of the name */
    unsigned count;            /* elements of the name */
};

/* "xmm3": the number behind the prefix, below limit; -1 for anything else. */
static int numbered(const char *name, const char *prefix, int limit)
{
    size_t n = strlen(prefix);
    const char *digits = name + n;
    if (strncmp(name, prefix, n) != 0 || *digits < '0' || *digits > '9' ||
        (digits[0] == '0' && digits[1]))
        return -1;
    int v = 0;
    for (; *digits >= '0' && *digits <= '9' && v < limit; digits++)
        v = v * 10 + (*digits - '0');
    return *digits == '\0' && v < limit ? v : -1;
}

static int one_of(const char *name, const char *const names[], int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static struct place element(const char *field, int first, unsigned count)
{
    return (struct place){field_find(cpu_fields, field), (unsigned)first, count};
}

static struct place find_register(const char *name)
{
    static const char *const gpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"};
    static const char *const seg[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    const struct field *f = field_find(cpu_fields, name);
    int i;
    if (f)
        return (struct place){f, 0, f->count};
    if ((i = one_of(name, gpr, ARRAY_SIZE(gpr))) >= 0 || (i = numbered(name, "r", 16)) >= 8)
        return element("gpr", i, 1);
    if ((i = one_of(name, seg, ARRAY_SIZE(seg))) >= 0)
        return element("seg_sel", i, 1);
    if ((i = numbered(name, "xmm", 16)) >= 0)
        return element("ymm", 4 * i, 2);
    if ((i = numbered(name, "ymm", 16)) >= 0)
        return element("ymm", 4 * i, 4);
    if ((i = numbered(name, "dr", 8)) >= 0)
        return element("dr", i, 1);
    return (struct place){NULL, 0, 0};
}

static int find_element(const char *name, unsigned index, struct place *place,
                        struct trapline_error *error)
{
    struct err err;
    *place = find_register(name);
    if (!place->field) {
        err_set(&err, ENOENT, "there is no register '%s'", name);
        err_hint(&err,
                 "names are those of trapline_cpu_field, and rax .. r15, es .. tr, xmm0 .. xmm15");
        return trapline_fail(error, &err, -ENOENT);
    }
    if (index < place->count)
        return 0;
    err_set(&err, ERANGE, "register '%s' has no element %u: it has %u", name, index, place->count);
    return trapline_fail(error, &err, -ERANGE);
}

int trapline_get(const struct trapline_machine *t, unsigned vcpu, const char *name, unsigned index,
                 uint64_t *value, struct trapline_error *error)
{
    struct place place;
    const struct monitor_vcpu *mv = trapline_vcpu(t, vcpu, error);
    if (!mv)
        return -EINVAL;
    int rc = find_element(name, index, &place, error);
    if (rc == 0)
        *value = field_get(place.field, &mv->vcpu->arch, place.first + index);
    return rc;
}

/* What no processor can hold, whatever its mode; modes are set one register after the other, so
 * they are not asked. */
static bool is_possible(const struct trapline_machine *t, const struct cpu *cpu)
{
    bool can_init = t->m->vm->board != NULL;
    return cpu->cpl <= 3 && cpu->activity <= ACTIVITY_WAIT_SIPI &&
           cpu->int_shadow <= SHADOW_MOV_SS && (can_init || !cpu->init_pending) &&
           (cpu->rflags & ~(uint64_t)(F_ALL | 2)) == 0 && cpu->cr0 <= UINT32_MAX &&
           (cpu->xcr0 & 1) && cpu->fop <= 0x7ff;
}

/* After a change of arch from outside. */
static void changed(struct monitor_vcpu *mv)
{
    cpu_update_mmu(mv->vcpu);
    mv->vcpu->run.attention = true;
    scheduler_refresh(mv->vm->machine);
}

int trapline_set(struct trapline_machine *t, unsigned vcpu, const char *name, unsigned index,
                 uint64_t value, struct trapline_error *error)
{
    struct place place;
    struct monitor_vcpu *mv = trapline_vcpu(t, vcpu, error);
    if (!mv)
        return -EINVAL;
    int rc = find_element(name, index, &place, error);
    if (rc < 0)
        return rc;
    struct cpu cpu = mv->vcpu->arch;
    if (!field_set(place.field, &cpu, place.first + index, value) || !is_possible(t, &cpu)) {
        struct err err;
        err_set(&err, ERANGE, "register '%s' cannot hold %#" PRIx64, name, value);
        return trapline_fail(error, &err, -ERANGE);
    }
    cpu.rflags |= 2;
    mv->vcpu->arch = cpu;
    changed(mv);
    return 0;
}

int trapline_cpu_reset(struct trapline_machine *t, unsigned vcpu, struct trapline_error *error)
{
    struct monitor_vcpu *mv = trapline_vcpu(t, vcpu, error);
    if (!mv)
        return -EINVAL;
    cpu_reset(mv->vcpu, false, t->model.signature);
    changed(mv);
    return 0;
}

int trapline_set_segment(struct trapline_machine *t, unsigned vcpu, unsigned seg, uint16_t selector,
                         uint64_t base, uint32_t limit, uint32_t attr, struct trapline_error *error)
{
    struct monitor_vcpu *mv = trapline_vcpu(t, vcpu, error);
    if (!mv)
        return -EINVAL;
    if (seg > SEG_TR) {
        struct err err;
        err_set(&err, EINVAL, "there is no segment register %u", seg);
        return trapline_fail(error, &err, -EINVAL);
    }
    struct cpu *cpu = &mv->vcpu->arch;
    cpu->seg_sel[seg] = selector;
    cpu->seg_base[seg] = base;
    cpu->seg_limit[seg] = limit;
    cpu->seg_attr[seg] = attr;
    if (seg == SEG_SS)
        cpu->cpl = (uint8_t)((attr & ATTR_DPL) >> ATTR_DPL_SHIFT);
    changed(mv);
    return 0;
}

/* ---- memory ---- */

int trapline_map(struct trapline_machine *t, uint64_t address, uint64_t length, bool is_rom,
                 struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct vm *vm = t->m->vm;
    haddr home;
    int rc = 0;
    if (vm->board || length == 0 || (address | length) % PAGE_SIZE ||
        address >= BIT(CPU_MAXPHYADDR) || length > BIT(CPU_MAXPHYADDR) - address) {
        rc = err_set(&err, EINVAL, "no memory can be mapped at %#" PRIx64 ", %#" PRIx64 " bytes",
                     address, length);
        err_hint(&err, vm->board ? "only board 'none' lets you" : "whole pages, within %u bits",
                 CPU_MAXPHYADDR);
        return trapline_fail(error, &err, rc);
    }
    rc = allocator_carve(&t->m->memory, length, &home, &err);
    if (rc == 0)
        rc = physmem_add(vm->pm, address, length, home, is_rom, &err);
    mmu_vm_drop_all(vm->mmu);
    return trapline_fail(error, &err, rc);
}

static int not_memory(struct trapline_error *error, const char *what, uint64_t address,
                      size_t length)
{
    struct err err;
    err_set(&err, EFAULT, "not all of the %zu bytes at %s address %#" PRIx64 " are memory", length,
            what, address);
    return trapline_fail(error, &err, -EFAULT);
}

/* All of it, so that a copy that fails has copied nothing. */
static bool is_memory(const struct trapline_machine *t, uint64_t address, size_t length)
{
    if (length == 0)
        return true;
    uint64_t last = address + length - 1;
    if (last < address)
        return false;
    for (uint64_t page = address & PAGE_MASK; page <= last; page += PAGE_SIZE)
        if (!physmem_is_ram(t->m->vm->pm, page))
            return false;
    return true;
}

int trapline_read(struct trapline_machine *t, uint64_t address, void *buffer, size_t length,
                  struct trapline_error *error)
{
    bool ok = is_memory(t, address, length) && physmem_read(t->m->vm->pm, address, buffer, length);
    return ok ? 0 : not_memory(error, "physical", address, length);
}

int trapline_write(struct trapline_machine *t, uint64_t address, const void *buffer, size_t length,
                   struct trapline_error *error)
{
    bool ok = is_memory(t, address, length) && physmem_load(t->m->vm->pm, address, buffer, length);
    return ok ? 0 : not_memory(error, "physical", address, length);
}

/* Linear memory page by page: check all, then copy all. */
struct span {
    struct trapline_machine *t; /* whose memory */
    struct mmu *mmu;            /* whose translation */
    uint64_t mask;              /* linear address wrap */
    uint64_t address;           /* first byte */
    size_t length;              /* bytes */
};

/* Bytes of the span from `done` on that lie in one page, and where; 0: not memory. */
static size_t piece(const struct span *s, size_t done, paddr *pa)
{
    laddr la = (s->address + done) & s->mask;
    size_t n = (size_t)(PAGE_SIZE - la % PAGE_SIZE);
    if (!mmu_peek(s->mmu, la, pa) || !physmem_is_ram(s->t->m->vm->pm, *pa))
        return 0;
    return n < s->length - done ? n : s->length - done;
}

/* from and to: one is NULL. */
static int copy_linear(const struct span *s, const uint8_t *from, uint8_t *to,
                       struct trapline_error *error)
{
    struct physmem *pm = s->t->m->vm->pm;
    size_t n;
    paddr pa;
    for (size_t done = 0; done < s->length; done += n) {
        n = piece(s, done, &pa);
        if (n == 0)
            return not_memory(error, "linear", s->address, s->length);
    }
    for (size_t done = 0; done < s->length; done += n) {
        n = piece(s, done, &pa);
        bool ok = to ? physmem_read(pm, pa, to + done, n) : physmem_load(pm, pa, from + done, n);
        if (n == 0 || !ok) /* a write to the page tables that map the rest */
            return not_memory(error, "linear", s->address, s->length);
    }
    return 0;
}

static int linear(struct trapline_machine *t, unsigned vcpu, uint64_t address, size_t length,
                  struct span *span, struct trapline_error *error)
{
    struct monitor_vcpu *mv = trapline_vcpu(t, vcpu, error);
    if (!mv)
        return -EINVAL;
    *span = (struct span){t, &mv->vcpu->run.mmu, mv->vcpu->run.la_mask, address, length};
    return 0;
}

int trapline_read_linear(struct trapline_machine *t, unsigned vcpu, uint64_t address, void *buffer,
                         size_t length, struct trapline_error *error)
{
    struct span span;
    int rc = linear(t, vcpu, address, length, &span, error);
    return rc < 0 ? rc : copy_linear(&span, NULL, buffer, error);
}

int trapline_write_linear(struct trapline_machine *t, unsigned vcpu, uint64_t address,
                          const void *buffer, size_t length, struct trapline_error *error)
{
    struct span span;
    int rc = linear(t, vcpu, address, length, &span, error);
    return rc < 0 ? rc : copy_linear(&span, buffer, NULL, error);
}

bool trapline_memory_range(const struct trapline_machine *t, unsigned i, uint64_t *address,
                           uint64_t *length, bool *is_rom)
{
    struct physmem_range range;
    if (!physmem_range(t->m->vm->pm, i, &range))
        return false;
    *address = range.gpa;
    *length = range.size;
    *is_rom = range.is_rom;
    return true;
}
