/* SPDX-License-Identifier: MIT */
/*
 * Lazy status flags. While an engine runs, OF SF ZF AF PF CF stand in two words; the rest stand in arch.rflags.
 *
 *   flag_result  the result, sign-extended to 64 bits: ZF (zero), SF (bit 63), PF (low byte)
 *   flag_carry   bit 63: CF (carry or borrow out)      bit 62: carry into the sign bit, so OF = bit 63 ^ bit 62
 *                bit 3: AF      bits 15:8: xored into the byte that PF looks at      bit 0: xored into SF
 *
 * The last two make every combination expressible (POPF, SAHF). Undefined flags: our rule per instruction is what
 * current Intel parts do; where parts differ AF, PF, SF, ZF follow the result and OF, CF are as documented at the handler.
 */
#pragma once

#include "cpu/vcpu.h"

#define FC_CF BIT(63)
#define FC_IN BIT(62)
#define FC_AF BIT(3)
#define FC_MASK (FC_CF | FC_IN | FC_AF)

ALWAYS_INLINE bool flag_cf(const struct vcpu *v)
{
    return v->run.flag_carry >> 63;
}

ALWAYS_INLINE bool flag_of(const struct vcpu *v)
{
    return (v->run.flag_carry ^ v->run.flag_carry << 1) >> 63;
}

ALWAYS_INLINE bool flag_zf(const struct vcpu *v)
{
    return v->run.flag_result == 0;
}

ALWAYS_INLINE bool flag_sf(const struct vcpu *v)
{
    return (v->run.flag_result >> 63 ^ v->run.flag_carry) & 1;
}

ALWAYS_INLINE bool flag_af(const struct vcpu *v)
{
    return v->run.flag_carry & FC_AF;
}

ALWAYS_INLINE bool flag_pf(const struct vcpu *v)
{
    return !__builtin_parity((unsigned)((v->run.flag_result ^ v->run.flag_carry >> 8) & 0xff));
}

/* OSZAPC as RFLAGS bits. */
ALWAYS_INLINE uint32_t flags_status(const struct vcpu *v)
{
    return (flag_cf(v) ? F_CF : 0u) | (flag_pf(v) ? F_PF : 0u) | (flag_af(v) ? F_AF : 0u) |
           (flag_zf(v) ? F_ZF : 0u) | (flag_sf(v) ? F_SF : 0u) | (flag_of(v) ? F_OF : 0u);
}

/* Set OSZAPC from RFLAGS bits. */
ALWAYS_INLINE void flags_set_status(struct vcpu *v, uint64_t f)
{
    bool cf = f & F_CF, of = f & F_OF, zf = f & F_ZF, sf = f & F_SF, pf = f & F_PF;
    v->run.flag_result = zf ? 0 : BIT(8); /* low byte and bit 63 are clear either way */
    v->run.flag_carry = (cf ? FC_CF : 0) | (cf != of ? FC_IN : 0) | (f & F_AF ? FC_AF : 0) |
                        (pf ? 0 : BIT(8)) | (sf ? BIT(0) : 0);
}

/* All of RFLAGS; bit 1 set. */
ALWAYS_INLINE uint64_t flags_get(const struct vcpu *v)
{
    return (v->arch.rflags & ~(uint64_t)F_OSZAPC) | flags_status(v) | 2;
}

/* All of RFLAGS: the status flags become lazy, the rest goes to arch. The caller calls cpu_update_mode if TF, VM or AC changed. */
ALWAYS_INLINE void flags_set(struct vcpu *v, uint64_t f)
{
    flags_set_status(v, f);
    v->arch.rflags = f | 2;
}

/* An arithmetic result on its way to registers or memory: the value and, sign-extended and lazy, its flags. */
struct alu {
    uint64_t value;  /* zero-extended to 64 bits */
    uint64_t result; /* for flag_result */
    uint64_t carry;  /* for flag_carry */
};

ALWAYS_INLINE void flags_commit(struct vcpu *v, struct alu r)
{
    v->run.flag_result = r.result;
    v->run.flag_carry = r.carry;
}

/* flag_carry from a vector of carries out of each bit position of a width-bit operation. */
ALWAYS_INLINE uint64_t flag_carries(unsigned width, uint64_t carries)
{
    return ((carries << (64 - width)) & (FC_CF | FC_IN)) | (carries & FC_AF);
}

/* Condition code cc of Jcc, SETcc, CMOVcc (SDM Vol. 2, "Condition Test"). Inlined with a constant cc. */
ALWAYS_INLINE bool flag_condition(const struct vcpu *v, unsigned cc)
{
    bool r;
    switch (cc >> 1) {
    case 0:
        r = flag_of(v);
        break;
    case 1:
        r = flag_cf(v);
        break;
    case 2:
        r = flag_zf(v);
        break;
    case 3:
        r = (int)flag_cf(v) | (int)flag_zf(v);
        break;
    case 4:
        r = flag_sf(v);
        break;
    case 5:
        r = flag_pf(v);
        break;
    case 6:
        r = flag_sf(v) != flag_of(v);
        break;
    default:
        r = (int)flag_zf(v) | (int)(flag_sf(v) != flag_of(v));
        break;
    }
    return r != (cc & 1);
}
