/* SPDX-License-Identifier: MIT */
/*
 * Performance counters: bytes become writes of their registers and stretches of a run. Two machines
 * get the same; one of them is stopped again and again on its way, forgets its caches, and is
 * looked at. They must end with the same registers, and the counters with what retired.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/pmu.h"
#include "monitor/dispatcher.h"
#include "tests/fuzz/fuzz.h"

#define CODE 0x8000u
#define MEMORY (64 * KiB)

/* Real mode, for ever: a loop, a repeated store, a software interrupt to an IRET. */
static const uint8_t program[] = {
    0xb9, 0x05, 0x00, /* mov cx, 5 */
    0xe2, 0xfe,       /* loop $ */
    0xbf, 0x00, 0x20, /* mov di, 2000h */
    0xb9, 0x09, 0x00, /* mov cx, 9 */
    0xf3, 0xaa,       /* rep stosb */
    0xcd, 0x40,       /* int 40h */
    0xeb, 0xef,       /* jmp to the first */
};
static const uint8_t handler[] = {0xcf};
static const uint8_t vector[] = {0x00, 0x90, 0x00, 0x00};

static struct machine *machine(void)
{
    const struct machine_config config = {
        .memory_size = MEMORY, .seed = 1, .ns_per_tick = 3, .tsc_hz = 700000001};
    struct machine *m;
    struct cpu_model model;
    struct err err;
    CHECK(machine_create(&config, &m, &err) == 0);
    CHECK(cpu_model_parse("max", &model, &err) == 0 && vm_create(m, 1, &model, &err) == 0);
    CHECK(physmem_add(m->vm->pm, 0, MEMORY, 0, false, &err) == 0);
    CHECK(physmem_write(m->vm->pm, CODE, program, sizeof(program)));
    CHECK(physmem_write(m->vm->pm, 0x9000, handler, sizeof(handler)));
    CHECK(physmem_write(m->vm->pm, 0x40 * 4, vector, sizeof(vector)));
    return m;
}

/* From the beginning: creating machines for every input would take nearly all the time. */
static void restart(struct machine *m)
{
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    m->s.ticks = vcpu->arch.ticks = vcpu->arch.retired = 0;
    cpu_reset(vcpu, false, 0);
    vcpu->arch.seg_base[SEG_CS] = 0;
    vcpu->arch.seg_sel[SEG_CS] = 0;
    vcpu->arch.gpr[REG_RSP] = 0x7000;
    vcpu->arch.rip = CODE;
    cpu_update_mode(vcpu);
}

static void run_to(struct machine *m, uint64_t ticks)
{
    m->stop_at = ticks;
    CHECK(machine_run(m) == STOP_POSITION && m->s.ticks == ticks);
}

/* The same stretch in pieces. */
static void run_in_pieces(struct machine *m, uint64_t ticks, unsigned piece)
{
    struct vcpu *vcpu = m->vm->vcpus[0].vcpu;
    block_cache_drop_all(m->vm->blocks);
    for (uint64_t at = m->s.ticks + piece; at < ticks; at += piece) {
        run_to(m, at);
        pmu_settle(vcpu);
        pmu_rebuild(vcpu); /* as after a load */
        (void)pmu_budget(vcpu);
    }
    run_to(m, ticks);
}

static void write_register(struct vcpu *vcpu, unsigned which, uint32_t v)
{
    static const uint16_t events[] = {0xc0, 0x3c, 0x13c, 0xc4};
    unsigned i = which >> 3;
    switch (which & 7) {
    case 0: /* near its end, or anywhere */
        pmu_set_counter(vcpu, i % PMU_COUNTERS,
                        v & 1 ? PMU_COUNTER_MASK - (v >> 1 & 0xfff) : (uint64_t)v << 17);
        break;
    case 1:
        pmu_set_eventsel(vcpu, i % PMU_GENERAL,
                         (v & PMU_EVENTSEL_MASK & ~UINT32_C(0xffff)) | events[v & 3]);
        break;
    case 2:
        pmu_set_eventsel(vcpu, i % PMU_GENERAL, UINT32_C(0x530000) | events[v & 3]);
        break;
    case 3:
        pmu_set_fixed_ctrl(vcpu, v & PMU_FIXED_CTRL_MASK);
        break;
    case 4:
        pmu_set_global_ctrl(vcpu, v & 1 ? PMU_GLOBAL_MASK
                                        : ((uint64_t)v << 28 | v >> 4) & PMU_GLOBAL_MASK);
        break;
    case 5:
        pmu_clear_status(vcpu, v & 1 ? PMU_GLOBAL_MASK : v >> 1);
        break;
    default:
        vcpu->arch.debugctl = v & DEBUGCTL_FREEZE_PERFMON;
        break;
    }
}

static void check(const struct machine *a, const struct machine *b)
{
    const struct cpu *x = &a->vm->vcpus[0].vcpu->arch, *y = &b->vm->vcpus[0].vcpu->arch;
    CHECK(pmu_is_possible(x));
    CHECK(x->retired == y->retired && x->ticks == y->ticks && x->rip == y->rip);
    CHECK(memcmp(x->perf_counter, y->perf_counter, sizeof(x->perf_counter)) == 0);
    CHECK(x->perf_global_status == y->perf_global_status &&
          x->perf_global_ctrl == y->perf_global_ctrl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine *a, *b;
    if (!a) {
        a = machine();
        b = machine();
    }
    restart(a);
    restart(b);
    for (; size >= 6; data += 6, size -= 6) {
        uint32_t v =
            data[1] | (uint32_t)data[2] << 8 | (uint32_t)data[3] << 16 | (uint32_t)data[4] << 24;
        write_register(a->vm->vcpus[0].vcpu, data[0], v);
        write_register(b->vm->vcpus[0].vcpu, data[0], v);
        uint64_t until = a->s.ticks + 1 + data[5] * 7u;
        run_to(a, until);
        run_in_pieces(b, until, 3 + data[0] % 61);
        check(a, b);
    }
    return 0;
}
