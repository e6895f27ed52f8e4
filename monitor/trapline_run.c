/* SPDX-License-Identifier: MIT */
/* Running: to a position, by single steps, and events injected from outside. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "monitor/dispatcher.h"
#include "monitor/reflect.h"
#include "monitor/trace/tracer.h"
#include "monitor/trapline_priv.h"

/* Fill what the caller's version of the struct has. */
static void report(struct trapline_stop *out, struct trapline_stop stop)
{
    size_t size = out->size < sizeof(stop) ? out->size : sizeof(stop);
    stop.size = out->size;
    memcpy(out, &stop, size);
}

enum trapline_reason trapline_reason_of(enum stop_reason stop)
{
    switch (stop) {
    case STOP_POWER_OFF:
        return TRAPLINE_STOP_POWER_OFF;
    case STOP_DEBUG_EXIT:
        return TRAPLINE_STOP_DEBUG_EXIT;
    case STOP_RESET:
        return TRAPLINE_STOP_RESET;
    case STOP_TRIPLE_FAULT:
        return TRAPLINE_STOP_TRIPLE_FAULT;
    case STOP_DEAD_HALT:
        return TRAPLINE_STOP_DEAD_HALT;
    case STOP_LONG_MODE:
        return TRAPLINE_STOP_LONG_MODE;
    case STOP_TICK_LIMIT:
        return TRAPLINE_STOP_TICK_LIMIT;
    case STOP_BREAKPOINT:
        return TRAPLINE_STOP_BREAKPOINT;
    case STOP_USER:
        return TRAPLINE_STOP_INTERRUPTED;
    default:
        return TRAPLINE_STOP_POSITION;
    }
}

static struct trapline_stop stop_at_breakpoint(const struct monitor_vcpu *mv)
{
    const struct run *run = &mv->vcpu->run;
    return (struct trapline_stop){
        .reason = TRAPLINE_STOP_BREAKPOINT,
        .code = run->index,
        .address = (run->seg_base_fast[SEG_CS] + mv->vcpu->arch.rip) & run->la_mask,
    };
}

/* The next place to forget all caches, or `until`. */
static uint64_t next_stop(const struct trapline_machine *t, uint64_t until)
{
    uint64_t every = t->config.drop_caches, ticks = t->m->s.ticks;
    if (every == 0 || ticks > UINT64_MAX - every)
        return until;
    uint64_t drop = ticks - ticks % every + every;
    return drop < until ? drop : until;
}

void trapline_run(struct trapline_machine *t, uint64_t until, struct trapline_stop *stop)
{
    struct machine *m = t->m;
    enum stop_reason why;
    t->ends_run = false;
    do {
        m->stop_at = next_stop(t, until);
        why = machine_run(m);
        if (t->config.drop_caches)
            trapline_drop_caches(t);
    } while (why == STOP_POSITION && m->s.ticks < until && !t->ends_run);
    m->stop_at = UINT64_MAX;
    if (m->tracer)
        tracer_flush(m->tracer);
    report(stop, why == STOP_BREAKPOINT ? stop_at_breakpoint(&m->vm->vcpus[m->stop_code])
                                        : (struct trapline_stop){.reason = trapline_reason_of(why), .code = m->stop_code});
}

void trapline_drop_caches(struct trapline_machine *t)
{
    struct vm *vm = t->m->vm;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        mmu_drop_caches(&vm->vcpus[i].vcpu->run.mmu);
    block_cache_drop_all(vm->blocks);
}

static struct trapline_stop stop_at_fault(const struct fault *f)
{
    return (struct trapline_stop){
        .reason = TRAPLINE_STOP_EXCEPTION,
        .vector = f->vector,
        .has_error_code = f->has_error_code,
        .error_code = f->error_code,
        .address = f->cr2,
    };
}

int trapline_step(struct trapline_machine *t, unsigned vcpu, uint64_t n, struct trapline_stop *stop,
                  struct trapline_error *error)
{
    struct monitor_vcpu *mv = trapline_vcpu(t, vcpu, error);
    if (!mv)
        return -EINVAL;
    struct machine *m = t->m;
    struct trapline_stop result = {.reason = TRAPLINE_STOP_POSITION};
    m->stop = STOP_NONE;
    while (n > 0 && result.reason == TRAPLINE_STOP_POSITION) {
        if (mv->vcpu->arch.activity != ACTIVITY_ACTIVE) {
            result.reason = TRAPLINE_STOP_HALT;
            break;
        }
        uint64_t before = mv->vcpu->arch.ticks;
        enum cpu_exit why = dispatcher_run_vcpu(mv, n < INT64_MAX / 4 ? n : INT64_MAX / 4);
        n -= mv->vcpu->arch.ticks - before;
        if (why == CPU_EXIT_FAULT)
            result = stop_at_fault(&mv->vcpu->run.fault);
        else if (why == CPU_EXIT_STOP)
            result = stop_at_breakpoint(mv);
        else if (m->stop != STOP_NONE)
            result = (struct trapline_stop){.reason = trapline_reason_of(m->stop), .code = m->stop_code};
    }
    m->turn_ended = false;
    report(stop, result);
    return 0;
}

/* ---- breakpoints ---- */

/* The set has changed: blocks end elsewhere now. */
static void follow_breakpoints(struct vm *vm)
{
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vm->vcpus[i].vcpu->run.breakpoints = vm->breakpoints.count ? &vm->breakpoints : NULL;
    block_cache_drop_all(vm->blocks);
}

int trapline_break(struct trapline_machine *t, uint64_t address, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct breakpoints *b = &t->m->vm->breakpoints;
    int rc = breakpoints_have(b, address) ? -EEXIST : b->count == BREAKPOINTS_MAX ? -ENOSPC : 0;
    if (rc < 0) {
        err_set(&err, -rc, rc == -EEXIST ? "there is a breakpoint at %#" PRIx64 : "no more breakpoints: %#" PRIx64, address);
        return trapline_fail(error, &err, rc);
    }
    b->at[b->count++] = address;
    follow_breakpoints(t->m->vm);
    return 0;
}

int trapline_unbreak(struct trapline_machine *t, uint64_t address, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct breakpoints *b = &t->m->vm->breakpoints;
    for (unsigned i = 0; i < b->count; i++) {
        if (b->at[i] != address)
            continue;
        b->at[i] = b->at[--b->count];
        follow_breakpoints(t->m->vm);
        return 0;
    }
    err_set(&err, ENOENT, "there is no breakpoint at %#" PRIx64, address);
    return trapline_fail(error, &err, -ENOENT);
}

bool trapline_breakpoint(const struct trapline_machine *t, unsigned n, uint64_t *address)
{
    const struct breakpoints *b = &t->m->vm->breakpoints;
    if (n >= b->count)
        return false;
    *address = b->at[n];
    return true;
}

/* ---- events from outside ---- */

/* Vectors that push an error code: SDM Vol. 3A, "Protected-Mode Exceptions and Interrupts". */
static bool pushes_error_code(unsigned vector)
{
    return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

static bool inject(struct vcpu *vcpu, enum trapline_inject kind, uint8_t vector,
                   uint32_t error_code)
{
    if (kind == TRAPLINE_INJECT_INTERRUPT)
        return reflect_interrupt(vcpu, vector);
    if (kind == TRAPLINE_INJECT_NMI)
        return reflect_nmi(vcpu);
    vcpu->run.fault =
        pushes_error_code(vector) ? fault_code(vector, error_code) : fault_plain(vector);
    vcpu->run.fault.cr2 = vcpu->arch.cr2;
    return reflect_fault(vcpu);
}

int trapline_inject(struct trapline_machine *t, unsigned vcpu, enum trapline_inject kind,
                    unsigned vector, uint32_t error_code, struct trapline_error *error)
{
    struct err err = {{0}, {0}};
    struct monitor_vcpu *mv = trapline_vcpu(t, vcpu, error);
    if (!mv)
        return -EINVAL;
    if (kind > TRAPLINE_INJECT_EXCEPTION ||
        vector > (kind == TRAPLINE_INJECT_EXCEPTION ? 31u : 255u)) {
        err_set(&err, EINVAL, "vector %u cannot be injected in this way", vector);
        return trapline_fail(error, &err, -EINVAL);
    }
    mv->vcpu->arch.ticks++;
    t->m->s.ticks++;
    if (inject(mv->vcpu, kind, (uint8_t)vector, error_code))
        return 0;
    err_set(&err, EIO, "the delivery of vector %u ended in a triple fault", vector);
    return trapline_fail(error, &err, -EIO);
}

uint64_t trapline_ticks(const struct trapline_machine *t)
{
    return t->m->s.ticks;
}

uint64_t trapline_vtime_ns(const struct trapline_machine *t)
{
    return machine_now(t->m);
}

int trapline_exit_status(const struct trapline_stop *stop)
{
    switch (stop->reason) {
    case TRAPLINE_STOP_DEBUG_EXIT:
        return (int)((stop->code << 1 | 1) & 0xff);
    case TRAPLINE_STOP_TRIPLE_FAULT:
        return TRAPLINE_EXIT_TRIPLE_FAULT;
    case TRAPLINE_STOP_TICK_LIMIT:
        return TRAPLINE_EXIT_TICK_LIMIT;
    case TRAPLINE_STOP_DEAD_HALT:
        return TRAPLINE_EXIT_DEAD_HALT;
    case TRAPLINE_STOP_LONG_MODE:
        return TRAPLINE_EXIT_LONG_MODE;
    default:
        return 0;
    }
}

const char *trapline_reason_text(enum trapline_reason reason)
{
    switch (reason) {
    case TRAPLINE_STOP_POSITION:
        return "the position was reached";
    case TRAPLINE_STOP_POWER_OFF:
        return "the guest powered off";
    case TRAPLINE_STOP_DEBUG_EXIT:
        return "the guest wrote to isa-debug-exit";
    case TRAPLINE_STOP_RESET:
        return "the guest asked for a reset";
    case TRAPLINE_STOP_TRIPLE_FAULT:
        return "triple fault";
    case TRAPLINE_STOP_DEAD_HALT:
        return "every processor is halted and nothing can wake one";
    case TRAPLINE_STOP_TICK_LIMIT:
        return "the tick limit was reached";
    case TRAPLINE_STOP_INTERRUPTED:
        return "interrupted";
    case TRAPLINE_STOP_EXCEPTION:
        return "the instruction raised an exception";
    case TRAPLINE_STOP_HALT:
        return "the processor is halted";
    case TRAPLINE_STOP_LONG_MODE:
        return "the guest enters long mode, where -virt classic cannot follow: no segment limit keeps ring 1 from the "
               "monitor there, and to paging it is a supervisor";
    case TRAPLINE_STOP_BREAKPOINT:
        return "a breakpoint";
    }
    return "unknown";
}
