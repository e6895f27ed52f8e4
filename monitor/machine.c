/* SPDX-License-Identifier: MIT */
#include "monitor/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/exec.h"
#include "cpu/jit/jit.h"
#include "devices/lapic.h"
#include "monitor/emulate/real.h"
#include "monitor/emulate_host.h"
#include "monitor/mpfr_transcendentals.h"
#include "monitor/policy.h"
#include "monitor/scheduler.h"
#include "monitor/trace/tracer.h"
#include "monitor/timeline/timeline.h"

/* ---- time ---- */

uint64_t machine_ticks_now(const struct machine *m)
{
    if (!m->running)
        return m->s.ticks;
    return m->s.ticks + (cpu_ticks_now(m->running->vcpu) - m->running_since);
}

vtime machine_now(const struct machine *m)
{
    return machine_ticks_now(m) * m->s.ns_per_tick + m->s.idle_ns + m->s.waited_ns;
}

static vtime queue_now(void *opaque)
{
    return machine_now(opaque);
}

/* An event was armed for earlier than the running block knows. */
static void deadline_moved(void *opaque)
{
    struct machine *m = opaque;
    if (m->running)
        cpu_request_break(m->running->vcpu);
}

void machine_stop(struct machine *m, enum stop_reason reason, uint32_t code)
{
    if (m->stop == STOP_NONE) {
        m->stop = reason;
        m->stop_code = code;
    }
    deadline_moved(m);
}

/* ---- entropy: xoshiro256** seeded by splitmix64 ---- */

static uint64_t rotl(uint64_t v, unsigned n)
{
    return v << n | v >> (64 - n);
}

uint64_t machine_entropy(struct machine *m)
{
    uint64_t *s = m->s.prng;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

static void seed_entropy(struct machine *m, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        m->s.prng[i] = z ^ z >> 31;
    }
}

/* ---- machine ---- */

int machine_create(const struct machine_config *config, struct machine **out, struct err *err)
{
    struct machine *m = calloc(1, sizeof(*m));
    if (!m)
        return err_set(err, ENOMEM, "out of memory");
    m->decoder = decoder_create();
    int rc = m->decoder ? allocator_init(&m->memory, config->memory_size, err)
                        : err_set(err, ENOMEM, "out of memory");
    if (rc < 0) {
        decoder_destroy(m->decoder);
        free(m);
        return rc;
    }
    if (config->jit) {
        struct jit_config jit = *config->jit;
        jit.pieces = &m->pieces;
        m->jit = jit_create(&jit);
    }
    if (config->jit && !m->jit) {
        machine_destroy(m);
        return err_set(err, ENOMEM, "no memory for %" PRIu64 " bytes of translated code", config->jit->cache);
    }
    m->s.ns_per_tick = config->ns_per_tick;
    m->s.tsc_hz = config->tsc_hz ? config->tsc_hz : NS_PER_SECOND;
    m->s.quantum = config->quantum ? config->quantum : SCHEDULER_QUANTUM;
    m->s.pause_exiting = config->pause_exiting;
    m->s.pause_gap = config->pause_gap;
    m->s.pause_window = config->pause_window;
    m->mmu = config->mmu;
    m->policy = config->policy;
    m->s.policy = (uint8_t)config->policy.policy;
    m->tlb_entries = config->tlb_entries ? config->tlb_entries : DEFAULT_TLB_ENTRIES;
    m->stop_at = m->max_ticks = UINT64_MAX;
    seed_entropy(m, config->seed);
    event_queue_init(&m->events, queue_now, deadline_moved, m);
    *out = m;
    return 0;
}

static void vm_destroy(struct vm *vm)
{
    if (vm->board_ops)
        vm->board_ops->destroy(vm);
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        if (vm->vcpus[i].vcpu)
            mmu_fini(&vm->vcpus[i].vcpu->run.mmu);
        vcpu_free(vm->vcpus[i].vcpu);
    }
    block_cache_destroy(vm->blocks);
    exits_fini(&vm->exits);
    mmu_vm_destroy(vm->mmu);
    physmem_destroy(vm->pm);
    free(vm);
}

void machine_destroy(struct machine *m)
{
    if (!m)
        return;
    timeline_free(m);
    if (m->vm)
        vm_destroy(m->vm);
    jit_destroy(m->jit);
    pieces_release(&m->pieces);
    decoder_destroy(m->decoder);
    allocator_fini(&m->memory);
    free(m);
}

/* ---- memory-mapped devices: the bus up-call of the mmu ---- */

static bool in_lapic(const struct monitor_vcpu *mv, paddr pa, uint32_t *offset)
{
    paddr base;
    if (!mv->lapic || !lapic_mmio_base(mv->lapic, &base) || pa - base >= PAGE_SIZE)
        return false;
    *offset = (uint32_t)(pa - base);
    return true;
}

/* Where the instruction is that makes the access. */
static void count_access(struct monitor_vcpu *mv, enum exit_place_kind kind)
{
    const struct vcpu *vcpu = mv->vcpu;
    if (mv->vm->exits.places)
        exits_at(&mv->vm->exits, kind, vcpu->run.in_block ? rec_rip(vcpu, vcpu->run.rec) : vcpu->arch.rip, vcpu->arch.cpl == 3);
}

static uint64_t bus_read(void *opaque, paddr pa, unsigned size)
{
    struct monitor_vcpu *mv = opaque;
    uint32_t offset;
    mv->vm->exits.mmio_reads++;
    count_access(mv, PLACE_MMIO_READ);
    uint64_t v = in_lapic(mv, pa, &offset) ? lapic_mmio_read(mv->lapic, offset, size)
                                           : io_space_read(&mv->vm->mmio, pa, size, NULL);
    trace_point(&mv->vm->machine->trace, TRACE_mmio_read, NULL, pa, size, v, 0);
    if (TRACE_POINTS && unlikely(mv->vm->machine->tracer))
        tracer_mmio(mv->vm->machine->tracer, mv, TRAPLINE_STEP_MMIO_READ, pa, size, v);
    return v;
}

static void bus_write(void *opaque, paddr pa, unsigned size, uint64_t v)
{
    struct monitor_vcpu *mv = opaque;
    uint32_t offset;
    mv->vm->exits.mmio_writes++;
    count_access(mv, PLACE_MMIO_WRITE);
    trace_point(&mv->vm->machine->trace, TRACE_mmio_write, NULL, pa, size, v, 0);
    if (TRACE_POINTS && unlikely(mv->vm->machine->tracer))
        tracer_mmio(mv->vm->machine->tracer, mv, TRAPLINE_STEP_MMIO_WRITE, pa, size, v);
    if (in_lapic(mv, pa, &offset))
        lapic_mmio_write(mv->lapic, offset, size, v);
    else
        io_space_write(&mv->vm->mmio, pa, size, v, NULL);
}

static const struct bus_ops bus = {.read = bus_read, .write = bus_write};

/* ---- VM ---- */

void machine_set_vcpu_clock(const struct machine *m, struct vcpu *vcpu)
{
    vcpu->run.pmu.tick_ns = m->s.ns_per_tick;
    vcpu->run.pmu.tsc_hz = m->s.tsc_hz;
}

/* One allocation per vCPU, cleared; the emulators find the monitor's side through run.owner. */
static int vcpu_create(struct vm *vm, unsigned index, struct err *err)
{
    struct monitor_vcpu *mv = &vm->vcpus[index];
    struct vcpu *vcpu = vcpu_alloc();
    if (!vcpu)
        return err_set(err, ENOMEM, "out of memory for vCPU %u", index);
    const struct mmu_config config = {.entries = vm->machine->tlb_entries, .spaces = 16};
    *mv = (struct monitor_vcpu){.host = &monitor_host, .vm = vm, .vcpu = vcpu};
    pv_vcpu_init(mv);
    if (mmu_init(&vcpu->run.mmu, vm->mmu, &config, &bus, mv) < 0) {
        vcpu_free(vcpu);
        mv->vcpu = NULL;
        return err_set(err, ENOMEM, "out of memory for vCPU %u", index);
    }
    mmu_set_jumps(&vcpu->run.mmu, &vcpu->jumps);
    vcpu->run.blocks = vm->blocks;
    vcpu->run.sens = policy_slots(vm->machine->policy.policy);
    if (vm->machine->policy.policy == POLICY_CLASSIC)
        real_init(&vcpu->real, vm->machine->policy.ring, vm->machine->policy.emulates_faults);
    vcpu->run.decoder = vm->machine->decoder;
    vcpu->run.jit = vm->machine->jit;
    vcpu->run.pm = vm->pm;
    vcpu->run.trace = &vm->machine->trace;
    vcpu->run.transcendentals = &mpfr_transcendentals;
    vcpu->run.owner = mv;
    vcpu->run.index = index;
    machine_set_vcpu_clock(vm->machine, vcpu);
    cpu_model_apply(&vm->model, vcpu);
    cpu_reset(vcpu, false, vm->model.signature);
    return 0;
}

/* Rows that fall back to an older instruction where a feature is absent (TZCNT to BSF). */
static void set_decoder_features(struct decoder *d, const struct cpu_model *model)
{
    bool has[FEATURE_COUNT] = {false};
    cpu_model_gates(model, has);
    decoder_set_features(d, has);
}

/* A translation that code may be running through has changed. */
static void mapping_changed(void *opaque)
{
    const struct machine *m = ((struct vm *)opaque)->machine;
    if (m->running)
        cpu_request_refetch(m->running->vcpu);
}

/* Frames for the monitor's shadow or nested tables. */
static int carve_frames(struct machine *m, struct err *err)
{
    struct mmu_frames *f = &m->mmu.frames;
    if (m->mmu.kind == MMU_DIRECT)
        return 0;
    int rc = allocator_carve_end(&m->memory, (uint64_t)f->count * PAGE_SIZE, &f->hpa, err);
    f->host = m->memory.host + (size_t)f->hpa;
    return rc;
}

static int vm_parts(struct vm *vm, struct err *err)
{
    struct machine *m = vm->machine;
    int rc = carve_frames(m, err);
    if (rc < 0)
        return rc;
    vm->pm = physmem_create(m->memory.host, &allocator_backing, &m->memory);
    if (!vm->pm)
        return err_set(err, ENOMEM, "out of memory");
    vm->mmu = mmu_vm_create(vm->pm, &m->mmu, &m->trace);
    vm->blocks = block_cache_create(vm->pm);
    if (!vm->mmu || !vm->blocks)
        return err_set(err, ENOMEM, "out of memory");
    block_cache_set_pieces(vm->blocks, &m->pieces);
    block_cache_set_jit(vm->blocks, m->jit);
    const struct page_event_ops events = {.code_written = block_code_written};
    physmem_set_events(vm->pm, &events, vm->blocks, NULL, NULL);
    mmu_vm_on_mapping_change(vm->mmu, mapping_changed, vm);
    block_cache_set_fold(vm->blocks, exits_fold, &vm->exits);
    io_space_init(&vm->pio, "pio", 65536);
    io_space_init(&vm->mmio, "mmio", BIT(CPU_MAXPHYADDR));
    return 0;
}

int vm_create(struct machine *m, unsigned vcpus, const struct cpu_model *model, struct err *err)
{
    if (vcpus < 1 || vcpus > MAX_VCPUS) {
        err_set(err, EINVAL, "%u vCPUs are not possible", vcpus);
        err_hint(err, "-smp takes 1 to %u", MAX_VCPUS);
        return -EINVAL;
    }
    struct vm *vm = calloc(1, sizeof(*vm));
    if (!vm)
        return err_set(err, ENOMEM, "out of memory");
    vm->machine = m;
    vm->model = *model;
    pv_init(vm, &m->policy.pv);
    cpu_model_set_machine(&vm->model, vcpus, m->s.tsc_hz, APIC_BUS_HZ);
    set_decoder_features(m->decoder, &vm->model);
    int rc = vm_parts(vm, err);
    while (rc == 0 && vm->vcpu_count < vcpus) {
        rc = vcpu_create(vm, vm->vcpu_count, err);
        vm->vcpu_count += rc == 0;
    }
    if (rc < 0) {
        vm_destroy(vm);
        return rc;
    }
    m->vm = vm;
    return 0;
}

void vm_add_device(struct vm *vm, const struct device_ops *ops, void *self, const char *name)
{
    assert(vm->device_count < MAX_DEVICES);
    struct device *d = &vm->devices[vm->device_count++];
    d->ops = ops;
    d->self = self;
    strncpy(d->name, name, sizeof(d->name) - 1);
}

void monitor_vcpu_kick(struct monitor_vcpu *mv)
{
    mv->vcpu->run.attention = true;
    scheduler_woken(mv);
    if (mv->vm->machine->running == mv)
        cpu_request_break(mv->vcpu);
}
