/* SPDX-License-Identifier: MIT */
#include "cpu/select.h"

/* In order of dynamic frequency: asked once per decoded record. */
static select_fn *const families[] = {
    select_move,     select_arith,   select_branch, select_stack, select_shift,
    select_string,   select_muldiv,  select_bit,    select_x87,   select_avx,
    select_sse_move, select_sse_int, select_sse_fp, select_mmx,   select_fxsave,
    select_bmi,
};

/* The family that is known to be asked in the end, for what others would be asked in vain most
 * often. */
static select_fn *likely_family(unsigned op)
{
    switch (op) {
    case OP_ADD:
    case OP_OR:
    case OP_AND:
    case OP_SUB:
    case OP_XOR:
    case OP_CMP:
    case OP_TEST:
        return select_arith;
    case OP_JCC:
    case OP_JMP_NEAR:
    case OP_CALL_NEAR:
    case OP_RET_NEAR:
        return select_branch;
    case OP_PUSH:
    case OP_POP:
        return select_stack;
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
        return select_shift;
    default:
        return NULL;
    }
}

exec_fn *select_handler(struct selection *s, struct rec *rec)
{
    select_fn *family = likely_family(s->in->op);
    exec_fn *found = family ? family(s, rec) : NULL;
    if (likely(found != NULL))
        return found;
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        exec_fn *fn = families[i](s, rec);
        if (fn)
            return fn;
    }
    return exec_ud;
}
