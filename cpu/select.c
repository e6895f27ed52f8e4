/* SPDX-License-Identifier: MIT */
#include "cpu/select.h"

/* In order of dynamic frequency: asked once per decoded record. */
static select_fn *const families[] = {
    select_move,     select_arith,   select_branch, select_stack, select_shift,
    select_string,   select_muldiv,  select_bit,    select_x87,   select_avx,
    select_sse_move, select_sse_int, select_sse_fp, select_mmx,   select_fxsave,
    select_bmi,
};

exec_fn *select_handler(struct selection *s, struct rec *rec)
{
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        exec_fn *fn = families[i](s, rec);
        if (fn)
            return fn;
    }
    return exec_ud;
}
