/* SPDX-License-Identifier: MIT */
/* The out-of-line half of memory accesses by handlers: what missed the virtual TLB or needs a check. */
#include "cpu/debug.h"
#include "cpu/exec.h"
#include "cpu/segment.h"

/* Non-canonical in 64-bit mode: #SS(0) through the stack segment, else #GP(0). */
static bool check_canonical(struct vcpu *vcpu, const struct rec *rec, laddr la, size_t len)
{
    if (vcpu->run.la_mask != UINT64_MAX)
        return true;
    if (likely(is_canonical(la) && is_canonical(la + len - 1)))
        return true;
    return raise_fault_code(vcpu, rec->seg == SEG_ZERO_SS ? EXC_SS : EXC_GP, 0);
}

/*
 * What an access of len bytes must be aligned to while alignment is checked: SDM Vol. 3A,
 * "Alignment Requirements by Data Type"; 16 bytes at once as AMD parts do, and 32 as twice 16 (Intel's may check less).
 * Images checked by their own instructions, not here: FXSAVE, XSAVE.
 */
static size_t natural_alignment(size_t len)
{
    switch (len) {
    case 10: /* extended precision, packed BCD */
        return 8;
    case 14: /* x87 environment and state, 16-bit format */
    case 94:
        return 2;
    case 28: /* the same, 32-bit format */
    case 108:
        return 4;
    case 32:
        return 16;
    default:
        return len <= 8 || len == 16 ? len : 1;
    }
}

/* Canonical, data breakpoints. */
static bool check_unaligned(struct vcpu *vcpu, const struct rec *rec, laddr la, size_t len, bool is_write)
{
    vcpu->run.rec = rec;
    if (!check_canonical(vcpu, rec, la, len))
        return false;
    if (unlikely(vcpu->run.mode & MODE_BREAK))
        debug_data_access(vcpu, la, len, is_write);
    return true;
}

/* Canonical, #AC, data breakpoints; in this order (SDM Vol. 3A, "Priority Among Concurrent Events"). */
static bool check_access(struct vcpu *vcpu, const struct rec *rec, laddr la, size_t len, bool is_write)
{
    vcpu->run.rec = rec;
    if (unlikely(vcpu->run.mode & MODE_ALIGN) && (la & (natural_alignment(len) - 1)))
        return check_canonical(vcpu, rec, la, len) && raise_fault_code(vcpu, EXC_AC, 0);
    return check_unaligned(vcpu, rec, la, len, is_write);
}

struct loaded mem_load_slow(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size)
{
    uint8_t b[8];
    la &= vcpu->run.la_mask;
    if (!check_access(vcpu, rec, la, size, false) ||
        !mmu_read(&vcpu->run.mmu, la, vcpu->run.la_mask, b, size, &vcpu->run.fault))
        return (struct loaded){0, false};
    return (struct loaded){le_load(b, size), true};
}

struct loaded mem_load_unaligned(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size)
{
    uint8_t b[8];
    la &= vcpu->run.la_mask;
    if (!check_unaligned(vcpu, rec, la, size, false) ||
        !mmu_read(&vcpu->run.mmu, la, vcpu->run.la_mask, b, size, &vcpu->run.fault))
        return (struct loaded){0, false};
    return (struct loaded){le_load(b, size), true};
}

bool mem_store_slow(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size, uint64_t v)
{
    uint8_t b[8];
    la &= vcpu->run.la_mask;
    if (!check_access(vcpu, rec, la, size, true))
        return false;
    le_store(b, v, size);
    return mmu_write(&vcpu->run.mmu, la, vcpu->run.la_mask, b, size, &vcpu->run.fault);
}

struct loaded mem_rmw_slow(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size)
{
    uint8_t b[8];
    la &= vcpu->run.la_mask;
    struct mmu *mmu = &vcpu->run.mmu;
    if (!check_access(vcpu, rec, la, size, true) ||
        !mmu_probe(mmu, la, vcpu->run.la_mask, size, ACCESS_WRITE, &vcpu->run.fault) ||
        !mmu_read(mmu, la, vcpu->run.la_mask, b, size, &vcpu->run.fault))
        return (struct loaded){0, false};
    return (struct loaded){le_load(b, size), true};
}

bool mem_probe_write(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size)
{
    la &= vcpu->run.la_mask;
    return check_access(vcpu, rec, la, size, true) &&
           mmu_probe(&vcpu->run.mmu, la, vcpu->run.la_mask, size, ACCESS_WRITE, &vcpu->run.fault);
}

bool mem_probe_write_unaligned(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size)
{
    la &= vcpu->run.la_mask;
    return check_unaligned(vcpu, rec, la, size, true) &&
           mmu_probe(&vcpu->run.mmu, la, vcpu->run.la_mask, size, ACCESS_WRITE, &vcpu->run.fault);
}

bool mem_read_bytes(struct vcpu *vcpu, const struct rec *rec, laddr la, void *buf, size_t len)
{
    la &= vcpu->run.la_mask;
    return check_access(vcpu, rec, la, len, false) &&
           mmu_read(&vcpu->run.mmu, la, vcpu->run.la_mask, buf, len, &vcpu->run.fault);
}

bool mem_write_bytes(struct vcpu *vcpu, const struct rec *rec, laddr la, const void *buf, size_t len)
{
    la &= vcpu->run.la_mask;
    return check_access(vcpu, rec, la, len, true) &&
           mmu_write(&vcpu->run.mmu, la, vcpu->run.la_mask, buf, len, &vcpu->run.fault);
}

struct linear rec_la_checked(struct vcpu *vcpu, const struct rec *rec, unsigned size, enum access access)
{
    laddr la = 0;
    vcpu->run.rec = rec;
    bool ok = seg_linear(vcpu, rec->seg, rec_ea(vcpu, rec), size, access, &la);
    return (struct linear){la, ok};
}

bool rec_la_misaligned(struct vcpu *vcpu, const struct rec *rec, unsigned alignment)
{
    if (vcpu->run.fault.vector == EXC_SS && ((vcpu->arch.seg_base[rec->seg] + rec_ea(vcpu, rec)) & (alignment - 1)))
        vcpu->run.fault = fault_code(EXC_GP, 0);
    return false;
}
