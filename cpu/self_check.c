/* SPDX-License-Identifier: MIT */
#include "cpu/self_check.h"

#include <string.h>

#include "cpu/exec.h"

static const uint8_t *bytes_of(struct vcpu *vcpu, const struct block *b)
{
    const uint8_t *page = physmem_page(vcpu->run.pm, b->pa);
    return page ? page + (b->pa & ~PAGE_MASK) : NULL;
}

void self_check_init(const struct draft *d, struct block *b)
{
    struct self_check *c = self_check_of(b);
    const uint8_t *bytes = bytes_of(d->vcpu, b);
    *c = (struct self_check){.live = d->live, .fixed = d->sites | d->wants_insn, .is_ended = d->is_ended};
    for (unsigned i = 0; i < d->count; i++) {
        c->overwritten[i] = (uint16_t)insn_flags_overwritten(&d->insn[i]);
        c->tested[i] = (uint16_t)insn_flags_tested(&d->insn[i]);
        c->shows |= (uint64_t)draft_shows_flags(d, i) << i;
        c->fixed |= (uint64_t)(d->forced[i] != NULL) << i;
    }
    assert(bytes);
    memcpy(c->bytes, bytes, b->bytes);
}

void self_check_lay_aside(struct block *b)
{
    self_check_of(b)->first = b->rec[0].fn;
    b->rec[0].fn = exec_self_check;
}

/* Does the new instruction i do to the flags what the old one did? Then those of the others are as live as they were. */
static bool has_same_flags(const struct self_check *c, const struct draft *d, unsigned i)
{
    return c->overwritten[i] == (uint16_t)insn_flags_overwritten(&d->insn[i]) &&
           c->tested[i] == (uint16_t)insn_flags_tested(&d->insn[i]) &&
           (c->shows >> i & 1) == draft_shows_flags(d, i);
}

/* Record i from its new bytes. False: it does not fit in the place of the old one. */
static bool remake(struct draft *d, struct block *b, const uint8_t *bytes, unsigned i)
{
    const struct self_check *c = self_check_of(b);
    unsigned off = b->rec[i].off, len = b->rec[i].len;
    size_t room = (size_t)(PAGE_SIZE - (b->pa & ~PAGE_MASK)) - off;
    if ((c->fixed >> i & 1) || draft_decode(d, bytes + off, room, &d->insn[i]) != DECODE_OK || d->insn[i].len != len)
        return false;
    d->count = i;
    d->is_ended = false;
    draft_add(d, DECODE_OK);
    if (d->is_ended != (i + 1u == b->count && c->is_ended) || d->forced[i] || !has_same_flags(c, d, i))
        return false;
    draft_record(d, b, i, off);
    b->link_mask &= ~BIT(i);
    return !(d->sites | d->wants_insn);
}

bool self_check_pick_up(struct vcpu *vcpu, struct block *b)
{
    struct self_check *c = self_check_of(b);
    const uint8_t *bytes = bytes_of(vcpu, b);
    struct draft d;
    b->rec[0].fn = c->first;
    if (!bytes)
        return false;
    if (memcmp(bytes, c->bytes, b->bytes) == 0)
        return true;
    draft_init(&d, vcpu, 0, b->pa, b->mode);
    d.live = c->live;
    d.breakpoints = NULL; /* there was none in it, or it would be shorter */
    for (unsigned i = 0; i < b->count; i++) {
        unsigned off = b->rec[i].off;
        if (memcmp(bytes + off, c->bytes + off, b->rec[i].len) != 0 && !remake(&d, b, bytes, i))
            return false;
    }
    memcpy(c->bytes, bytes, b->bytes);
    c->times = (uint8_t)(c->times + (c->times < SELF_CHECK_TIMES));
    return true;
}
