/* SPDX-License-Identifier: MIT */
/*
 * What names translations and caches: INVLPG INVPCID INVD WBINVD. The virtual TLB is
 * coherent (design section 5), so invalidation has nothing to do but check its operands and fault
 * as hardware does.
 */
#include "base/endian.h"
#include "cpu/jit/lowering.h"
#include "monitor/emulate/emulate.h"

/* INVLPG.  SDM Vol. 2A, "INVLPG": a non-canonical address is ignored. */
enum sens_result emulate_invlpg(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    return vcpu->arch.cpl != 0 ? fail_gp0(vcpu) : SENS_NEXT;
}

bool lower_invlpg(struct lowering *l, const struct insn *in)
{
    (void)in;
    lowering_guard_zero(l, offsetof(struct vcpu, arch.cpl), 1, 0xff);
    return true;
}

enum invpcid_type { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL_GLOBAL, INVPCID_ALL };

static bool invpcid_is_valid(const struct vcpu *vcpu, uint64_t type, uint64_t low, uint64_t la)
{
    if (type > INVPCID_ALL || low >> 12)
        return false;
    if (type <= INVPCID_CONTEXT && (low & 0xfff) && !(vcpu->arch.cr4 & CR4_PCIDE))
        return false;
    return type != INVPCID_ADDRESS || is_canonical(la);
}

/* INVPCID.  SDM Vol. 2A, "INVPCID - Invalidate Process-Context Identifier". */
enum sens_result emulate_invpcid(struct vcpu *vcpu, const struct insn *in)
{
    uint8_t b[16];
    uint64_t type;
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    if (!insn_read(vcpu, in, 0, &type) || !seg_read(vcpu, in->seg, insn_ea(vcpu, in), b, sizeof(b)))
        return SENS_FAULT;
    if (!is_code64(vcpu))
        type &= UINT32_MAX;
    return invpcid_is_valid(vcpu, type, le64_load(b), le64_load(b + 8)) ? SENS_NEXT
                                                                        : fail_gp0(vcpu);
}

static enum sens_result flush(struct vcpu *vcpu)
{
    if (vcpu->arch.cpl != 0)
        return fail_gp0(vcpu);
    emulate_host(vcpu)->cache_flush(vcpu);
    return SENS_NEXT;
}

/* INVD, WBINVD.  SDM Vol. 2A, "INVD"; Vol. 2D, "WBINVD". There are no caches: memory is always up
 * to date. */
enum sens_result emulate_invd(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    return flush(vcpu);
}

enum sens_result emulate_wbinvd(struct vcpu *vcpu, const struct insn *in)
{
    (void)in;
    return flush(vcpu);
}
