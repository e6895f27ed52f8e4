/* SPDX-License-Identifier: MIT */
/* What -virt classic has to say about a guest's end. */
#include "monitor/disasm.h"
#include "monitor/trapline_priv.h"

#include <inttypes.h>

static const struct vcpu *last_to_fault(const struct trapline_machine *t)
{
    const struct vm *vm = t->m->vm;
    const struct vcpu *last = NULL;
    for (unsigned i = 0; i < vm->vcpu_count; i++) {
        const struct vcpu *v = vm->vcpus[i].vcpu;
        if (v->real_fault.is_valid && (!last || v->real_fault.ticks > last->real_fault.ticks))
            last = v;
    }
    return last;
}

bool trapline_explain_classic(struct trapline_machine *t, FILE *out)
{
    const struct vcpu *v = last_to_fault(t);
    if (!v)
        return false;
    const struct real_fault *f = &v->real_fault;
    uint8_t code[INSN_MAX_LEN];
    fprintf(out, "-virt classic: the last exception of an unprivileged instruction on the real machine: at tick %" PRIu64 ", %s",
            f->ticks, exits_exception_name(f->vector));
    if (f->has_error_code)
        fprintf(out, "(%Xh)", f->error_code);
    fprintf(out, " in ring %u, which the guest takes for ring %u\n", f->real_cpl, f->virtual_cpl);
    if (trapline_read_linear(t, v->run.index, f->linear, code, f->length, NULL) == 0)
        disasm_print(out, code, f->length, f->rip, mode_code(v->run.mode), 1);
    return true;
}
