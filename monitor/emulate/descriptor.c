/* SPDX-License-Identifier: MIT */
#include "monitor/emulate/descriptor.h"

#include "base/endian.h"
#include "monitor/emulate/real.h"

void descriptor_parse(struct descriptor *d)
{
    uint64_t raw = d->raw;
    d->attr = (uint32_t)(raw >> 40) & 0xf0ff;
    d->base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000) | d->raw_high << 32;
    d->limit = (uint32_t)((raw & 0xffff) | (raw >> 32 & 0xf0000));
    if (d->attr & ATTR_G)
        d->limit = d->limit << 12 | 0xfff;
}

/* Where it stands, and its eight bytes: not yet what they say. */
static enum lookup find_raw(struct vcpu *vcpu, uint16_t sel, laddr *la, uint64_t *raw)
{
    const struct cpu *cpu = &vcpu->arch;
    bool is_local = sel & 4;
    uint64_t base = is_local ? cpu->seg_base[SEG_LDTR] : cpu->gdtr_base;
    uint32_t limit = is_local ? cpu->seg_limit[SEG_LDTR] : cpu->gdtr_limit;
    uint8_t b[8];
    if ((is_local && (cpu->seg_attr[SEG_LDTR] & ATTR_UNUSABLE)) || (sel | 7u) > limit)
        return LOOKUP_OUTSIDE;
    *la = base + (sel & 0xfff8u);
    if (!system_read(vcpu, *la, b, sizeof(b)))
        return LOOKUP_FAULT;
    *raw = le64_load(b);
    return LOOKUP_OK;
}

enum lookup descriptor_lookup(struct vcpu *vcpu, uint16_t sel, struct descriptor *d)
{
    laddr la;
    uint64_t raw;
    if (unlikely(vcpu->run.real))
        return real_lookup(vcpu, sel, d);
    enum lookup found = find_raw(vcpu, sel, &la, &raw);
    if (found != LOOKUP_OK)
        return found;
    *d = (struct descriptor){.sel = sel, .la = la, .raw = raw};
    descriptor_parse(d);
    return LOOKUP_OK;
}

bool descriptor_fetch(struct vcpu *vcpu, uint16_t sel, unsigned vector, uint32_t ext,
                      struct descriptor *d)
{
    enum lookup found = descriptor_lookup(vcpu, sel, d);
    if (found == LOOKUP_OUTSIDE)
        return raise_fault_code(vcpu, vector, selector_error(sel, ext));
    return found == LOOKUP_OK;
}

bool descriptor_extend(struct vcpu *vcpu, struct descriptor *d, unsigned vector, uint32_t ext)
{
    const struct cpu *cpu = &vcpu->arch;
    uint32_t limit = d->sel & 4 ? cpu->seg_limit[SEG_LDTR] : cpu->gdtr_limit;
    uint8_t b[8];
    if (!is_long_mode(vcpu))
        return true;
    if ((d->sel | 7u) + 8 > limit)
        return raise_fault_code(vcpu, vector, selector_error(d->sel, ext));
    if (!system_read(vcpu, d->la + 8, b, sizeof(b)))
        return false;
    d->raw_high = le64_load(b);
    if (d->raw_high >> 40 & 0x1f)
        return raise_fault_code(vcpu, vector, selector_error(d->sel, ext));
    d->raw_high &= UINT32_MAX;
    descriptor_parse(d);
    return true;
}

/* Byte 5 of a descriptor: P, DPL, S, type. */
static bool write_type(struct vcpu *vcpu, struct descriptor *d, uint8_t type)
{
    if (!system_write(vcpu, d->la + 5, &type, 1))
        return false;
    d->raw = (d->raw & ~(UINT64_C(0xff) << 40)) | (uint64_t)type << 40;
    d->attr = (d->attr & ~0xffu) | type;
    return true;
}

bool descriptor_set_accessed(struct vcpu *vcpu, struct descriptor *d)
{
    if (likely(d->attr & ATTR_ACCESSED))
        return true;
    return write_type(vcpu, d, (uint8_t)(d->attr | ATTR_ACCESSED));
}

bool descriptor_set_busy(struct vcpu *vcpu, struct descriptor *d, bool busy)
{
    return write_type(vcpu, d, (uint8_t)(busy ? d->attr | 2 : d->attr & ~2u));
}

/* ---- segment registers ---- */

void segment_commit(struct vcpu *vcpu, unsigned seg, uint16_t sel, const struct descriptor *d)
{
    vcpu->arch.seg_sel[seg] = sel;
    vcpu->arch.seg_base[seg] = d->base;
    vcpu->arch.seg_limit[seg] = d->limit;
    vcpu->arch.seg_attr[seg] = d->attr;
}

void segment_commit_null(struct vcpu *vcpu, unsigned seg, uint16_t sel, unsigned dpl)
{
    vcpu->arch.seg_sel[seg] = sel;
    vcpu->arch.seg_base[seg] = 0;
    vcpu->arch.seg_limit[seg] = 0;
    vcpu->arch.seg_attr[seg] = ATTR_UNUSABLE | dpl << ATTR_DPL_SHIFT;
}

void segment_load_plain(struct vcpu *vcpu, unsigned seg, uint16_t sel)
{
    struct cpu *cpu = &vcpu->arch;
    cpu->seg_sel[seg] = sel;
    cpu->seg_base[seg] = (uint64_t)sel << 4;
    if (is_vm86(vcpu)) {
        cpu->seg_limit[seg] = 0xffff;
        cpu->seg_attr[seg] = ATTR_P | ATTR_DPL | ATTR_S | ATTR_RW | ATTR_ACCESSED;
    } else {
        uint32_t kept = cpu->seg_attr[seg] & (ATTR_DB | ATTR_G | ATTR_AVL);
        kept |= seg == SEG_CS ? ATTR_CODE : 0;
        cpu->seg_attr[seg] = kept | ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED;
    }
}

bool segment_check_stack(struct vcpu *vcpu, uint16_t sel, unsigned cpl, unsigned wrong,
                         uint32_t ext, struct descriptor *d)
{
    if (!descriptor_fetch(vcpu, sel, wrong, ext, d))
        return false;
    if ((sel & 3u) != cpl || attr_dpl(d->attr) != cpl || !attr_is_writable_data(d->attr))
        return raise_fault_code(vcpu, wrong, selector_error(sel, ext));
    if (!(d->attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_SS, selector_error(sel, ext));
    return descriptor_set_accessed(vcpu, d);
}

static bool load_stack(struct vcpu *vcpu, uint16_t sel)
{
    unsigned cpl = vcpu->arch.cpl;
    struct descriptor d;
    if (selector_is_null(sel)) {
        if (!is_code64(vcpu) || cpl == 3 || (sel & 3u) != cpl)
            return raise_fault_code(vcpu, EXC_GP, 0);
        segment_commit_null(vcpu, SEG_SS, sel, cpl);
        return true;
    }
    if (!segment_check_stack(vcpu, sel, cpl, EXC_GP, 0, &d))
        return false;
    segment_commit(vcpu, SEG_SS, sel, &d);
    return true;
}

/*
 * What a data segment register gets follows from the selector, CPL and the eight bytes, which the last load of it has left
 * accessed: with the same ones nothing has to be checked again. False: it is not that simple.
 */
static bool load_again(struct vcpu *vcpu, unsigned seg, uint16_t sel)
{
    const struct segment_load *last = &vcpu->aside.loads[seg];
    laddr la;
    uint64_t raw;
    if (last->sel != sel || last->cpl != vcpu->arch.cpl || unlikely(vcpu->run.real) ||
        find_raw(vcpu, sel, &la, &raw) != LOOKUP_OK || raw != last->raw)
        return false;
    vcpu->arch.seg_sel[seg] = sel;
    vcpu->arch.seg_base[seg] = last->base;
    vcpu->arch.seg_limit[seg] = last->limit;
    vcpu->arch.seg_attr[seg] = last->attr;
    return true;
}

static void remember_load(struct vcpu *vcpu, unsigned seg, const struct descriptor *d)
{
    vcpu->aside.loads[seg] = (struct segment_load){.raw = d->raw,
                                                 .base = d->base,
                                                 .limit = d->limit,
                                                 .attr = d->attr,
                                                 .sel = d->sel,
                                                 .cpl = vcpu->arch.cpl};
}

static bool load_data(struct vcpu *vcpu, unsigned seg, uint16_t sel)
{
    struct descriptor d;
    unsigned rpl = sel & 3u, cpl = vcpu->arch.cpl;
    if (selector_is_null(sel)) {
        segment_commit_null(vcpu, seg, sel, 0);
        return true;
    }
    if (load_again(vcpu, seg, sel))
        return true;
    if (!descriptor_fetch(vcpu, sel, EXC_GP, 0, &d))
        return false;
    bool is_readable = (d.attr & ATTR_S) && (!(d.attr & ATTR_CODE) || (d.attr & ATTR_RW));
    unsigned dpl = attr_dpl(d.attr);
    if (!is_readable || (!attr_is_conforming(d.attr) && (rpl > dpl || cpl > dpl)))
        return raise_fault_code(vcpu, EXC_GP, selector_error(sel, 0));
    if (!(d.attr & ATTR_P))
        return raise_fault_code(vcpu, EXC_NP, selector_error(sel, 0));
    if (!descriptor_set_accessed(vcpu, &d))
        return false;
    segment_commit(vcpu, seg, sel, &d);
    if (likely(!vcpu->run.real))
        remember_load(vcpu, seg, &d);
    return true;
}

bool segment_load(struct vcpu *vcpu, unsigned seg, uint16_t sel)
{
    assert(seg <= SEG_GS && seg != SEG_CS);
    if (has_plain_segments(vcpu)) {
        segment_load_plain(vcpu, seg, sel);
        return true;
    }
    return seg == SEG_SS ? load_stack(vcpu, sel) : load_data(vcpu, seg, sel);
}

void segments_drop_privileged(struct vcpu *vcpu, unsigned cpl)
{
    static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        uint32_t attr = vcpu->arch.seg_attr[data[i]];
        if (attr & ATTR_UNUSABLE)
            vcpu->arch.seg_sel[data[i]] = 0; /* a null selector loses its RPL; the base stays */
        else if (attr_dpl(attr) < cpl && !attr_is_conforming(attr))
            segment_commit_null(vcpu, data[i], 0, 0);
    }
}

void segment_base_changed(struct vcpu *vcpu, unsigned seg)
{
    uint64_t base = vcpu->arch.seg_base[seg];
    vcpu->run.seg_base_fast[seg] = base;
    vcpu->run.seg_base_fast[seg == SEG_FS ? SEG_FS_BIASED : SEG_GS_BIASED] = base + SEG_BIAS;
}
