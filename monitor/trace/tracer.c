/* SPDX-License-Identifier: MIT */
#include "monitor/trace/tracer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/exec.h"
#include "monitor/disasm.h"
#include "monitor/policy.h"
#include "monitor/trace/describe.h"

#define RUN_BYTES 96 /* of a straight run that are looked at */
#define RUN_MAX 24   /* instructions of one */

/* A step with the states around it, for who asks what changed. */
struct told {
    struct trapline_step step;
    struct cpu before, after;
    uint8_t code[INSN_MAX_LEN];
    bool has_states; /* before and after are valid */
    bool repeats;    /* of a REP instruction: the next iteration may be added */
};

struct tracer {
    struct machine *m; /* borrowed */
    struct trapline_trace_config config;
    uint64_t end;                             /* first tick that is not told any more */
    bool is_open;                             /* the slots are ours */
    struct policy_stack owners;               /* who owns which exit */
    struct sens_ops slots[OP_COUNT];          /* ours */
    const struct sens_ops *inner[MAX_VCPUS];  /* the policy's */
    struct disasm *disasm;                    /* owned */
    struct told now;                          /* the stretch that runs, or the event being delivered */
    bool is_told;                             /* a slot told of it */
    uint64_t told_ticks;                      /* of the run that runs, told already */
    struct told waiting;                      /* its step is not handed over yet, if has_waiting */
    bool has_waiting;
    const struct told *shown;                 /* what the sink has been called with */
};

/* ---- positions ---- */

static bool is_in_window(const struct tracer *t, uint64_t tick)
{
    return tick >= t->config.from && tick < t->end;
}

/* ---- handing over ---- */

static void show(struct tracer *t, struct told *told)
{
    if (told->step.kind != TRAPLINE_STEP_IDLE)
        told->step.duration_ns = told->step.ticks * t->m->s.ns_per_tick;
    t->shown = told;
    t->config.step(t->config.opaque, &told->step);
    t->shown = NULL;
}

void tracer_flush(struct tracer *t)
{
    if (t->has_waiting)
        show(t, &t->waiting);
    t->has_waiting = false;
}

/* The next iteration of the REP instruction that waits? */
static bool continues(const struct tracer *t, const struct told *told)
{
    const struct trapline_step *w = &t->waiting.step, *s = &told->step;
    return t->has_waiting && told->repeats && w->kind == s->kind && w->vcpu == s->vcpu && w->rip == s->rip && w->next_rip == s->rip &&
           w->tick + w->ticks == s->tick && w->cr3 == s->cr3;
}

static void tell(struct tracer *t, struct told *told)
{
    if (continues(t, told)) {
        t->waiting.step.ticks += told->step.ticks;
        t->waiting.step.next_rip = told->step.next_rip;
        t->waiting.step.next_rsp = told->step.next_rsp;
        t->waiting.after = told->after;
        return;
    }
    tracer_flush(t);
    if (told->repeats) {
        t->waiting = *told;
        t->waiting.step.code = t->waiting.code;
        t->has_waiting = true;
    } else {
        show(t, told);
    }
}

/* ---- filling a step ---- */

static void begin_step(const struct tracer *t, struct told *told, enum trapline_step_kind kind, struct vcpu *vcpu)
{
    const struct cpu *cpu = &vcpu->arch;
    told->has_states = told->repeats = false;
    told->step = (struct trapline_step){
        .size = sizeof(told->step),
        .kind = kind,
        .vcpu = vcpu->run.index,
        .tick = machine_ticks_now(t->m),
        .vtime_ns = machine_now(t->m),
        .rip = cpu->rip,
        .next_rip = cpu->rip,
        .rsp = cpu->gpr[REG_RSP],
        .next_rsp = cpu->gpr[REG_RSP],
        .cr3 = cpu->cr3,
        .cpl = cpu->cpl,
        .next_cpl = cpu->cpl,
        .mode = describe_mode(cpu),
        .what = "innocuous",
        .code = told->code,
    };
}

static void begin_states(struct told *told, const struct vcpu *vcpu)
{
    told->before = vcpu->arch;
    told->before.rflags = flags_get(vcpu);
}

static void end_states(struct told *told, const struct vcpu *vcpu)
{
    told->after = vcpu->arch;
    told->after.rflags = flags_get(vcpu);
    told->has_states = true;
    told->step.next_cpl = vcpu->arch.cpl;
    told->step.next_rsp = vcpu->arch.gpr[REG_RSP];
}

static void set_code(struct told *told, const struct insn *in)
{
    memcpy(told->code, in->bytes, sizeof(told->code));
    told->step.length = in->len;
}

/* ---- sensitive instructions: in front of the slots ---- */

static const char *owner_name(const struct tracer *t, enum exit_reason reason, bool is_reflected)
{
    static const char *const names[] = {[OWNER_MONITOR] = "monitor", [OWNER_GUEST] = "guest", [OWNER_NESTED] = "nested"};
    return names[is_reflected ? OWNER_GUEST : policy_owner(&t->owners, reason)];
}

static uint64_t rip_after(const struct vcpu *vcpu, enum sens_result result)
{
    bool is_behind = result == SENS_NEXT || result == SENS_END || result == SENS_LEAVE;
    return is_behind ? vcpu->run.next_rip : vcpu->arch.rip;
}

static enum sens_result exec_traced(struct vcpu *vcpu, const struct insn *in)
{
    struct tracer *t = ((struct monitor_vcpu *)vcpu->run.owner)->vm->machine->tracer;
    struct told *told = &t->now;
    enum exit_reason reason = policy_exit_reason(in->op, in);
    const struct site *site = (const struct site *)(uintptr_t)vcpu->run.rec->link;
    uint64_t exits = site->count;
    begin_step(t, told, TRAPLINE_STEP_SENSITIVE, vcpu);
    begin_states(told, vcpu);
    enum sens_result result = t->inner[vcpu->run.index][in->op].exec(vcpu, in);
    end_states(told, vcpu);
    told->step.is_fault = result == SENS_FAULT;
    told->step.ticks = result != SENS_FAULT;
    told->step.next_rip = rip_after(vcpu, result);
    told->repeats = in->prefixes & (PFX_REP | PFX_REPNE) && result != SENS_FAULT;
    bool is_exit = site->count == exits; /* else its slot has taken that back: under classic the monitor saw nothing */
    told->step.reason = is_exit ? exit_reason_name(reason) : NULL;
    told->step.owner = is_exit ? owner_name(t, reason, result == SENS_FAULT) : NULL;
    describe_insn(&told->step, in, result == SENS_JUMP);
    if (result != SENS_FAULT)
        describe_value(&told->step, in, &told->before, &told->after);
    set_code(told, in);
    t->is_told = true;
    if (is_in_window(t, told->step.tick))
        tell(t, told);
    return result;
}

/* Which ops are told of at this level. */
static bool is_traced(const struct tracer *t, unsigned op)
{
    enum trapline_flow flow = describe_flow(op);
    return t->config.level >= TRAPLINE_LEVEL_EXITS || flow != TRAPLINE_FLOW_NEXT || op == OP_HLT;
}

static void open_window(struct tracer *t)
{
    struct vm *vm = t->m->vm;
    const struct sens_ops *policy = vm->vcpus[0].vcpu->run.sens;
    for (unsigned op = 0; op < OP_COUNT; op++)
        t->slots[op] = policy[op].exec && is_traced(t, op) ? (struct sens_ops){.exec = exec_traced} : policy[op];
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        t->inner[i] = vm->vcpus[i].vcpu->run.sens;
        vm->vcpus[i].vcpu->run.sens = t->slots;
    }
    block_cache_drop_all(vm->blocks);
    t->is_open = true;
}

static void close_window(struct tracer *t)
{
    struct vm *vm = t->m->vm;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        vm->vcpus[i].vcpu->run.sens = t->inner[i];
    block_cache_drop_all(vm->blocks);
    t->is_open = false;
}

/* ---- stretches ---- */

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Instructions from RIP on that run by themselves, one behind the other. */
static unsigned straight_run(const struct tracer *t, struct vcpu *vcpu)
{
    uint8_t bytes[RUN_BYTES];
    struct insn in;
    unsigned n = 0;
    size_t size = describe_code(vcpu, vcpu->arch.rip, bytes, sizeof(bytes));
    for (size_t at = 0; n < RUN_MAX && describe_decode(vcpu, bytes + at, size - at, &in); n++) {
        bool is_plain = describe_flow(in.op) == TRAPLINE_FLOW_NEXT && !t->slots[in.op].exec;
        if (!is_plain || in.prefixes & (PFX_REP | PFX_REPNE))
            break;
        at += in.len;
    }
    return n;
}

/* One instruction: what it is, while it still stands there. */
static void begin_insn(struct tracer *t, struct vcpu *vcpu)
{
    struct told *told = &t->now;
    struct insn in;
    begin_step(t, told, TRAPLINE_STEP_INSN, vcpu);
    begin_states(told, vcpu);
    size_t n = describe_code(vcpu, vcpu->arch.rip, told->code, sizeof(told->code));
    told->step.name = "?";
    if (!describe_decode(vcpu, told->code, n, &in))
        return;
    told->step.length = in.len;
    told->repeats = in.prefixes & (PFX_REP | PFX_REPNE);
    describe_insn(&told->step, &in, true);
}

uint64_t tracer_begin(struct tracer *t, struct monitor_vcpu *mv, uint64_t budget)
{
    uint64_t tick = t->m->s.ticks;
    bool is_open = is_in_window(t, tick);
    if (is_open != t->is_open)
        (is_open ? open_window : close_window)(t);
    if (!is_open)
        return tick < t->config.from ? smaller(budget, t->config.from - tick) : budget;
    t->is_told = false;
    t->told_ticks = 0;
    if (t->config.level < TRAPLINE_LEVEL_BLOCKS)
        return smaller(budget, t->end - tick);
    unsigned run = t->config.level == TRAPLINE_LEVEL_BLOCKS ? straight_run(t, mv->vcpu) : 0;
    if (run == 0) {
        begin_insn(t, mv->vcpu);
        return 1;
    }
    begin_step(t, &t->now, TRAPLINE_STEP_RUN, mv->vcpu);
    t->now.step.name = "run";
    return smaller(smaller(budget, run), t->end - tick);
}

void tracer_end(struct tracer *t, struct monitor_vcpu *mv, uint64_t done)
{
    struct told *told = &t->now;
    if (!t->is_open || t->config.level < TRAPLINE_LEVEL_BLOCKS || done == 0 || t->is_told)
        return;
    told->step.ticks = done - t->told_ticks;
    told->step.next_rip = mv->vcpu->arch.rip;
    if (told->step.kind == TRAPLINE_STEP_INSN)
        end_states(told, mv->vcpu);
    bool is_behind = told->step.next_rip == told->step.rip + told->step.length;
    if (is_behind && told->step.flow == TRAPLINE_FLOW_JUMP)
        told->step.flow = TRAPLINE_FLOW_NEXT;
    if (t->config.level == TRAPLINE_LEVEL_BLOCKS && told->step.flow == TRAPLINE_FLOW_NEXT) {
        told->step.kind = TRAPLINE_STEP_RUN;
        told->step.name = "run";
        told->has_states = false;
    }
    tell(t, told);
}

/* ---- events ---- */

void tracer_deliver(struct tracer *t, struct monitor_vcpu *mv, enum trapline_step_kind kind, uint8_t vector)
{
    struct told *told = &t->now;
    const struct fault *f = &mv->vcpu->run.fault;
    struct trapline_step *s = &told->step;
    struct insn in;
    bool is_exception = kind == TRAPLINE_STEP_EXCEPTION;
    begin_step(t, told, kind, mv->vcpu);
    begin_states(told, mv->vcpu);
    told->before.rflags = mv->vcpu->arch.rflags;
    s->vector = vector;
    s->ticks = 1;
    s->flow = TRAPLINE_FLOW_ENTER;
    s->what = is_exception ? "exception" : "interrupt";
    s->name = is_exception ? exits_exception_name(vector) : kind == TRAPLINE_STEP_NMI ? "NMI" : "interrupt";
    s->reason = exit_reason_name(kind == TRAPLINE_STEP_INTERRUPT ? REASON_EXTERNAL_INTERRUPT : REASON_EXCEPTION_NMI);
    s->owner = owner_name(t, REASON_EXCEPTION_NMI, true);
    if (!is_exception || f->vector != vector)
        return;
    s->has_error_code = f->has_error_code;
    s->error_code = f->error_code;
    s->address = vector == EXC_PF ? f->cr2 : 0;
    size_t n = describe_code(mv->vcpu, mv->vcpu->arch.rip, told->code, sizeof(told->code));
    if (describe_decode(mv->vcpu, told->code, n, &in))
        s->length = in.len;
}

void tracer_delivered(struct tracer *t, struct monitor_vcpu *mv)
{
    struct told *told = &t->now;
    if (!is_in_window(t, told->step.tick))
        return;
    end_states(told, mv->vcpu);
    told->after.rflags = mv->vcpu->arch.rflags;
    told->step.next_rip = mv->vcpu->arch.rip;
    tell(t, told);
}

/* A device is reached in the middle of a run: the part before is told first, so that steps come in order. */
static void split_run(struct tracer *t, const struct trapline_step *access)
{
    struct told *told = &t->now;
    if (t->config.level != TRAPLINE_LEVEL_BLOCKS || told->step.kind != TRAPLINE_STEP_RUN || access->tick <= told->step.tick)
        return;
    struct told part = *told;
    part.step.ticks = access->tick - told->step.tick;
    part.step.next_rip = access->rip;
    t->told_ticks += part.step.ticks;
    told->step.tick = access->tick;
    told->step.vtime_ns = access->vtime_ns;
    told->step.rip = access->rip;
    tell(t, &part);
}

/* In the middle of an instruction, whose own step comes later. */
void tracer_mmio(struct tracer *t, struct monitor_vcpu *mv, enum trapline_step_kind kind, paddr pa, unsigned width, uint64_t v)
{
    struct told told;
    const struct run *run = &mv->vcpu->run;
    struct insn in;
    bool is_read = kind == TRAPLINE_STEP_MMIO_READ;
    if (t->config.level < TRAPLINE_LEVEL_EXITS || !is_in_window(t, machine_ticks_now(t->m)))
        return;
    begin_step(t, &told, kind, mv->vcpu);
    if (run->in_block)
        told.step.rip = told.step.next_rip = rec_rip(mv->vcpu, run->rec);
    told.step.name = is_read ? "MMIO read" : "MMIO write";
    told.step.reason = is_read ? "memory-mapped I/O read" : "memory-mapped I/O write";
    told.step.what = "device access";
    told.step.owner = owner_name(t, REASON_EPT_VIOLATION, false);
    told.step.has_value = true;
    told.step.address = pa;
    told.step.value = v;
    told.step.width = width;
    size_t n = describe_code(mv->vcpu, told.step.rip, told.code, sizeof(told.code));
    if (describe_decode(mv->vcpu, told.code, n, &in))
        told.step.length = in.len;
    if (run->in_block)
        split_run(t, &told.step);
    tracer_flush(t);
    show(t, &told);
}

void tracer_idle(struct tracer *t, vtime duration)
{
    struct told told;
    if (!is_in_window(t, t->m->s.ticks))
        return;
    begin_step(t, &told, TRAPLINE_STEP_IDLE, t->m->vm->vcpus[t->m->s.turn_vcpu].vcpu);
    told.step.name = "idle";
    told.step.reason = NULL;
    told.step.what = "idle";
    told.step.vtime_ns -= duration;
    told.step.duration_ns = duration;
    tracer_flush(t);
    show(t, &told);
}

/* ---- questions of the sink ---- */

static void set_text(char *text, size_t size, const char *from)
{
    snprintf(text, size, "%s", from);
}

void tracer_step_text(struct tracer *t, const struct trapline_step *s, char *text, size_t size)
{
    enum decode_mode mode = describe_code_size(s->mode);
    if (s->length > 0 && s->kind != TRAPLINE_STEP_RUN && disasm_text(t->disasm, mode, s->code, s->length, s->rip, text, size))
        return;
    set_text(text, size, s->name ? s->name : "");
}

unsigned tracer_step_changes(struct tracer *t, const struct trapline_step *step, struct trapline_change *changes, unsigned most)
{
    const struct told *told = t->shown;
    if (!told || step != &told->step || !told->has_states)
        return 0;
    return describe_changes(&told->before, &told->after, changes, most);
}

/* ---- life ---- */

struct tracer *tracer_create(struct machine *m, const struct trapline_trace_config *config)
{
    struct tracer *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->m = m;
    t->config = *config;
    t->end = config->ticks && config->ticks < UINT64_MAX - config->from ? config->from + config->ticks : UINT64_MAX;
    t->disasm = disasm_create();
    policy_stack_init(&t->owners, m->policy.policy);
    if (t->disasm)
        return t;
    free(t);
    return NULL;
}

void tracer_destroy(struct tracer *t)
{
    if (!t)
        return;
    if (t->is_open)
        close_window(t);
    disasm_destroy(t->disasm);
    free(t);
}
