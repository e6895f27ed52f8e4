/* SPDX-License-Identifier: MIT */
/*
 * VEX accesses to chosen elements of memory: VMASKMOVPS, VMASKMOVPD, VPMASKMOVD, VPMASKMOVQ and the
 * gathers. Elements that the mask leaves out are not accessed and can't fault.
 */
#include "cpu/interp/avx.h"

#include "cpu/segment.h"

static uint64_t element(const struct v256 *v, unsigned size, unsigned i)
{
    return size == 4 ? v->lane[i / 4].d[LANE_D(i & 3)] : v->lane[i / 2].q[i & 1];
}

static void set_element(struct v256 *v, unsigned size, unsigned i, uint64_t e)
{
    if (size == 4)
        v->lane[i / 4].d[LANE_D(i & 3)] = (uint32_t)e;
    else
        v->lane[i / 2].q[i & 1] = e;
}

static bool is_chosen(const struct v256 *mask, unsigned size, unsigned i)
{
    return element(mask, size, i) >> (8 * size - 1) & 1;
}

/*
 * Linear address of size bytes, offset bytes beyond the operand's own address. An element of a
 * gather has an effective address, which wraps around; one of VMASKMOV lies so far into the operand
 * (where that wraps, an AMD EPYC checks it against the limit as it is).
 */
static bool element_la(struct vcpu *vcpu, const struct rec *rec, uint64_t offset, bool wraps,
                       unsigned size, enum access access, laddr *la)
{
    vcpu->run.rec = rec;
    if (rec->imm & SIMD_M64) {
        *la = rec_la64(vcpu, rec) + offset;
        return true;
    }
    uint64_t ea = rec_ea(vcpu, rec) + offset;
    if (wraps)
        ea &= low_mask((rec->scale >> 4) * 8u);
    return seg_linear(vcpu, rec->seg, ea, size, access, la);
}

/* Alignment is not checked: SDM Vol. 2C, "VMASKMOV", Vol. 2A, "Exceptions Type 12". */
static struct loaded load_element(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size)
{
    const uint8_t *host = mem_read_host(vcpu, la, size);
    return host ? (struct loaded){host_load(host, size), true}
                : mem_load_unaligned(vcpu, rec, la, size);
}

/* ---- SDM Vol. 2C, "VMASKMOV", "VPMASKMOV": rec->link is the size of an element ---- */

static NOINLINE bool masked_load(struct vcpu *vcpu, const struct rec *rec)
{
    unsigned size = (unsigned)rec->link, count = rec_bytes(rec) / size;
    struct v256 mask = ymm_get(vcpu, rec->src), d = {{v128_make(0, 0), v128_make(0, 0)}};
    for (unsigned i = 0; i < count; i++) {
        laddr la;
        if (!is_chosen(&mask, size, i))
            continue;
        if (!element_la(vcpu, rec, i * size, false, size, ACCESS_READ, &la))
            return false;
        struct loaded m = load_element(vcpu, rec, la, size);
        if (!m.ok)
            return false;
        set_element(&d, size, i, m.value);
    }
    ymm_set(vcpu, rec->dst, d);
    return true;
}

/* It has been probed. */
static void store_element(struct vcpu *vcpu, laddr la, unsigned size, uint64_t e)
{
    uint8_t b[8];
    le_store(b, e, size);
    bool stored = mmu_write(&vcpu->run.mmu, la & vcpu->run.la_mask, vcpu->run.la_mask, b, size,
                            &vcpu->run.fault);
    assert(stored);
}

/* All chosen elements are probed before the first is written. */
static NOINLINE bool masked_store(struct vcpu *vcpu, const struct rec *rec)
{
    unsigned size = (unsigned)rec->link, count = rec_bytes(rec) / size;
    struct v256 mask = ymm_get(vcpu, rec->dst), v = ymm_get(vcpu, rec->src);
    laddr la[8];
    for (unsigned i = 0; i < count; i++)
        if (is_chosen(&mask, size, i) &&
            !(element_la(vcpu, rec, i * size, false, size, ACCESS_WRITE, &la[i]) &&
              mem_probe_write_unaligned(vcpu, rec, la[i], size)))
            return false;
    for (unsigned i = 0; i < count; i++)
        if (is_chosen(&mask, size, i))
            store_element(vcpu, la[i], size, element(&v, size, i));
    return true;
}

EXEC(masked_load)
{
    if (unlikely(!masked_load(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

EXEC(masked_store)
{
    if (unlikely(!masked_store(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* The mask is SRC1: in rec->src of a load, in rec->dst of a store. */
static exec_fn *select_masked(const struct selection *s, struct rec *rec, unsigned size)
{
    const struct operand *o = s->in->operands;
    bool is_store = o[0].kind == OPND_MEM;
    rec->imm = (int32_t)((s->mem64 ? SIMD_M64 : 0u) | simd_log2_bytes(o[is_store ? 0 : 2].size)
                                                          << SIMD_SIZE_SHIFT);
    rec->link = size;
    if (!is_store)
        return exec_masked_load;
    rec->dst = o[1].reg;
    rec->src = o[2].reg;
    return exec_masked_store;
}

/* ---- gathers.  SDM Vol. 2C, "VPGATHERDD", "VGATHERDPS" ... ---- */

/* rec->link, a byte each. rec->src is the mask. */
enum { GATHER_REG = 0, GATHER_INDEX_SIZE = 8, GATHER_SIZE = 16, GATHER_COUNT = 24 };

static unsigned gather_field(const struct rec *rec, unsigned shift)
{
    return (unsigned)(rec->link >> shift) & 0xff;
}

/* Element i: from its index, sign-extended. */
static struct loaded gather_element(struct vcpu *vcpu, const struct rec *rec,
                                    const struct v256 *indices, unsigned i)
{
    unsigned index_size = gather_field(rec, GATHER_INDEX_SIZE),
             size = gather_field(rec, GATHER_SIZE);
    uint64_t index = (uint64_t)sext(element(indices, index_size, i), 8 * index_size);
    laddr la;
    if (!element_la(vcpu, rec, index << (rec->scale & 3), true, size, ACCESS_READ, &la))
        return (struct loaded){0, false};
    return load_element(vcpu, rec, la, size);
}

/*
 * Each element that is done clears its mask. A fault leaves what was done, so that the instruction
 * goes on from there when it is started again; masks of what was not keep all their bits (as on an
 * AMD EPYC; the SDM's pseudo-code spreads their sign first).
 */
static NOINLINE bool gather_work(struct vcpu *vcpu, const struct rec *rec)
{
    unsigned size = gather_field(rec, GATHER_SIZE), count = gather_field(rec, GATHER_COUNT);
    struct v256 indices = ymm_get(vcpu, gather_field(rec, GATHER_REG));
    struct v256 mask = ymm_get(vcpu, rec->src), d = ymm_get(vcpu, rec->dst);
    struct v256 result = {{v128_make(0, 0), v128_make(0, 0)}};
    for (unsigned i = 0; i < count; i++) {
        if (is_chosen(&mask, size, i)) {
            struct loaded m = gather_element(vcpu, rec, &indices, i);
            if (!m.ok) {
                ymm_set(vcpu, rec->dst, d);
                ymm_set(vcpu, rec->src, mask);
                return false;
            }
            set_element(&d, size, i, m.value);
        }
        set_element(&mask, size, i, 0);
        set_element(&result, size, i, element(&d, size, i));
    }
    ymm_set(vcpu, rec->dst, result);
    ymm_set_low(vcpu, rec->src, v128_make(0, 0));
    return true;
}

EXEC(gather)
{
    if (unlikely(!gather_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

static exec_fn *select_gather(const struct selection *s, struct rec *rec)
{
    const struct insn *in = s->in;
    unsigned size = in->operands[1].size;
    unsigned count = in->operands[0].size / size, indices = in->vsib / in->vsib_index;
    rec->src = in->operands[2].reg;
    rec->imm = s->mem64 ? SIMD_M64 : 0;
    rec->link = (uint64_t)in->index << GATHER_REG | (uint64_t)in->vsib_index << GATHER_INDEX_SIZE |
                (uint64_t)size << GATHER_SIZE |
                (uint64_t)(count < indices ? count : indices) << GATHER_COUNT;
    return exec_gather;
}

exec_fn *avx_select_masked(struct selection *s, struct rec *rec)
{
    if (s->in->vsib)
        return select_gather(s, rec);
    switch (s->in->op) {
    case OP_VMASKMOVPS:
    case OP_VPMASKMOVD:
        return select_masked(s, rec, 4);
    case OP_VMASKMOVPD:
    case OP_VPMASKMOVQ:
        return select_masked(s, rec, 8);
    default:
        return NULL;
    }
}
