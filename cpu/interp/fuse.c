/* SPDX-License-Identifier: MIT */
#include "cpu/interp/fuse.h"

/* The longest first. */
static fuse_fn *const kinds[] = {fuse_stack, fuse_branch};

static exec_fn *choose(const struct fuse_key *keys, unsigned left)
{
    if (keys[0].row == FUSE_NONE)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        exec_fn *fn = kinds[i](keys, left);
        if (fn)
            return fn;
    }
    return NULL;
}

void fuse_records(struct rec *rec, const struct fuse_key *keys, unsigned count)
{
    for (unsigned i = 0; i + 1 < count; i++) {
        exec_fn *fn = choose(&keys[i], count - i);
        if (!fn)
            continue;
        rec[i].link = (uintptr_t)rec[i].fn;
        rec[i].fn = fn;
    }
}
