/* SPDX-License-Identifier: MIT */
/*
 * Makes a failing case plain: each part of the state goes back to what the seed gives, or to zero,
 * if the case still differs then.
 */
#include <string.h>

#include "tests/silicon/silicon.h"

struct attempt {
    struct player *player;     /* borrowed */
    struct vector *v;          /* borrowed: the plainest so far */
    struct insn *in;           /* borrowed */
    enum vendor vendor;        /* of the host */
    struct vector_state plain; /* of the seed */
    struct vector saved;       /* before the change that is tried */
};

bool run_again(struct player *p, struct vector *v, const struct insn *in, enum vendor vendor,
               char *text, size_t size)
{
    static struct vector_state got;
    /* The trap flag is not seen behind a load of SS. */
    bool ok = row_needs_segments(in->row) ? native_run_direct(v, native_size(v))
                                          : native_run(v, vector_repeats(in));
    if (!ok)
        return true;
    player_run(p, v, in, true, &got);
    if (got.fault == 14 && native_is_taken(v, got.fault_address))
        return true;
    return player_compare(v, in, &got, vendor, NULL, text, size);
}

/* Keep the change if the case differs with it. */
static bool keep(struct attempt *a)
{
    if (!run_again(a->player, a->v, a->in, a->vendor, NULL, 0))
        return true;
    *a->v = a->saved;
    return false;
}

/* size bytes at `field` of the state: those of the plain state, else zeros. */
static void try_part(struct attempt *a, void *field, size_t size)
{
    static const uint8_t zero[64] = {0};
    size_t at = (size_t)((uint8_t *)field - (uint8_t *)&a->v->before);
    const uint8_t *plain = (const uint8_t *)&a->plain + at;
    if (memcmp(field, plain, size) == 0)
        return;
    a->saved = *a->v;
    memcpy(field, plain, size);
    if (keep(a) || size > sizeof zero || memcmp(field, zero, size) == 0)
        return;
    memset(field, 0, size);
    keep(a);
}

static void try_memory(struct attempt *a)
{
    struct vector_state *t = &a->v->before;
    try_part(a, t->mem, sizeof t->mem);
    for (unsigned i = 0; i < sizeof t->mem; i += 64)
        if (memcmp(t->mem + i, a->plain.mem + i, 64) != 0)
            try_part(a, t->mem + i, 64);
}

static void try_word(struct attempt *a, void *field, uint64_t value, size_t size)
{
    if (memcmp(field, &value, size) == 0)
        return;
    a->saved = *a->v;
    memcpy(field, &value, size);
    keep(a);
}

static void try_floating_point(struct attempt *a)
{
    struct vector_state *t = &a->v->before;
    for (unsigned i = 0; i < 16; i++) {
        try_part(a, t->xmm[i], 16);
        try_part(a, t->ymm_high[i], 16);
    }
    for (unsigned i = 0; i < 8; i++) {
        try_part(a, &t->fp_mant[i], 8);
        try_part(a, &t->fp_se[i], 2);
    }
    try_word(a, &t->mxcsr, 0x1f80, 4);
    try_part(a, &t->ftw, 1);
    try_word(a, &t->fsw, 0, 2);
    try_word(a, &t->fcw, 0x37f, 2);
    try_part(a, &t->fop, 2);
    try_part(a, &t->fip, 8);
    try_part(a, &t->fdp, 8);
}

/* CS and RIP, together: the linear address is in the code page. */
static void try_place(struct attempt *a)
{
    struct vector_state *t = &a->v->before;
    if (t->rip == a->plain.rip && t->sel[SEG_CS] == a->plain.sel[SEG_CS])
        return;
    a->saved = *a->v;
    t->rip = a->plain.rip;
    t->sel[SEG_CS] = a->plain.sel[SEG_CS];
    keep(a);
}

/* Leave out a byte that the instruction can do without. */
static void try_bytes(struct attempt *a, const struct decoder *d)
{
    for (unsigned i = 0; i + 1u < a->v->len; i++) {
        struct insn in;
        a->saved = *a->v;
        memmove(a->v->bytes + i, a->v->bytes + i + 1, a->v->len - i - 1u);
        a->v->len--;
        if (decoder_decode(d, a->v->mode, a->v->bytes, a->v->len, &in) != DECODE_OK ||
            in.len != a->v->len || in.row != a->in->row) {
            *a->v = a->saved;
            continue;
        }
        struct insn old = *a->in;
        *a->in = in;
        if (keep(a))
            i = UINT32_MAX; /* from the first again */
        else
            *a->in = old;
    }
}

void shrink(struct player *p, struct vector *v, struct insn *in, enum vendor vendor)
{
    static struct attempt a;
    static struct vector plain;
    struct decoder *d = decoder_create();
    a.player = p;
    a.v = v;
    a.in = in;
    a.vendor = vendor;
    plain = *v;
    vector_expand(&plain);
    a.plain = plain.before;
    try_place(&a);
    if (d != NULL)
        try_bytes(&a, d);
    bool is_xsave = strncmp(insn_row(in->row)->name, "XSAVE", 5) == 0 || in->op == OP_XRSTOR;
    for (unsigned i = 0; i < 16; i++)
        if (!is_xsave || (i != REG_RAX && i != REG_RDX)) /* components that only the host has */
            try_part(&a, &v->before.gpr[i], 8);
    try_word(&a, &v->before.rflags, 0x202, 8);
    try_part(&a, v->before.seg_base, sizeof v->before.seg_base);
    for (unsigned i = 0; i < 6; i++)
        if (i != SEG_CS)
            try_word(&a, &v->before.sel[i], plain.before.sel[i], 2);
    try_floating_point(&a);
    try_memory(&a);
    decoder_destroy(d);
    run_again(p, v, in, vendor, NULL, 0); /* v->after is of this state again */
}
