/* SPDX-License-Identifier: MIT */
#include "monitor/emulate/real.h"

#include <string.h>

#include "base/endian.h"

/* Where the monitor is: the last 4 MiB of every linear address space. */
#define MONITOR_BASE UINT32_C(0xffc00000)
#define MONITOR_GDT (MONITOR_BASE + 0x1000)
#define MONITOR_IDT (MONITOR_BASE + 0x11000)
#define MONITOR_CR0 (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG)
#define SHARED_CR0 (CR0_TS | CR0_EM)
#define SYSTEM_FLAGS ((uint64_t)(F_IF | F_IOPL | F_VM | F_VIF | F_VIP))

/* Its own selectors. */
enum { SLOT_CODE = REAL_SLOTS, SLOT_DATA = SLOT_CODE + 8, SLOT_LDT = SLOT_DATA + 8, SLOT_TSS = SLOT_LDT + 8 };

/* In a descriptor cache that arch shows: not loaded since. A load stores another value. */
#define ATTR_UNTOUCHED BIT(30)

#define RAW_ACCESSED BIT(40)
#define RAW_EXPAND_DOWN (BIT(42) | BIT(43)) /* of data: bit 42 alone */
#define RAW_S BIT(44)
#define RAW_DPL (UINT64_C(3) << 45)
#define RAW_DPL_SHIFT 45
#define RAW_G BIT(55)
#define RAW_LIMIT (UINT64_C(0xffff) | UINT64_C(0xf) << 48)

void real_init(struct real *real, unsigned ring, bool emulates_faults)
{
    *real = (struct real){
        .ring = (uint8_t)ring,
        .emulates_faults = emulates_faults,
        .cr0 = MONITOR_CR0,
        .gdtr_base = MONITOR_GDT,
        .gdtr_limit = 0xffff,
        .idtr_base = MONITOR_IDT,
        .idtr_limit = 0x7ff,
        .ldtr_sel = SLOT_LDT,
        .tr_sel = SLOT_TSS,
    };
}

bool real_is_vm86(const struct vcpu *vcpu)
{
    return has_plain_segments(vcpu);
}

unsigned real_cpl(const struct vcpu *vcpu)
{
    unsigned cpl = vcpu->arch.cpl, ring = vcpu->real.ring;
    return real_is_vm86(vcpu) ? 3 : cpl > ring ? cpl : ring;
}

/* ---- the monitor's tables ---- */

static uint64_t cut_limit(uint64_t raw)
{
    struct descriptor d = {.raw = raw};
    const uint64_t last = (MONITOR_BASE >> PAGE_SHIFT) - 1;
    descriptor_parse(&d);
    if ((raw & RAW_EXPAND_DOWN) == BIT(42) || d.limit < MONITOR_BASE)
        return raw;
    return (raw & ~RAW_LIMIT) | (last & 0xffff) | (last >> 16) << 48 | RAW_G;
}

uint64_t real_descriptor(const struct real *real, uint64_t raw)
{
    uint64_t dpl = (raw & RAW_DPL) >> RAW_DPL_SHIFT;
    if (!(raw & RAW_S))
        return raw & ~RAW_DPL;
    if (dpl < real->ring)
        dpl = real->ring;
    raw = (raw & ~RAW_DPL) | dpl << RAW_DPL_SHIFT | RAW_ACCESSED;
    return real->ring == 3 ? raw : cut_limit(raw); /* ring 3 is kept out by paging */
}

/* The monitor's own: of DPL 0. */
static uint64_t own_descriptor(unsigned slot)
{
    switch (slot & 0xfff8u) {
    case SLOT_CODE:
        return UINT64_C(0x00cf9b000000ffff);
    case SLOT_DATA:
        return UINT64_C(0x00cf93000000ffff);
    case SLOT_LDT:
        return UINT64_C(0xffc082012000ffff);
    case SLOT_TSS:
        return UINT64_C(0xffc08b0220000067);
    default:
        return 0;
    }
}

enum lookup real_lookup(struct vcpu *vcpu, uint16_t sel, struct descriptor *d)
{
    const struct real_guest *guest = vcpu->run.real;
    const struct cpu *cpu = &vcpu->arch;
    bool is_local = sel & 4;
    uint64_t base = is_local ? cpu->seg_base[SEG_LDTR] : guest->gdtr_base;
    uint32_t limit = is_local ? cpu->seg_limit[SEG_LDTR] : guest->gdtr_limit;
    bool is_inside = !(is_local && (cpu->seg_attr[SEG_LDTR] & ATTR_UNUSABLE)) && (sel | 7u) <= limit;
    uint8_t b[8];
    *d = (struct descriptor){.sel = sel};
    if (!is_local && sel >= REAL_SLOTS) {
        d->raw = own_descriptor(sel);
    } else if (is_inside) {
        d->la = base + (sel & 0xfff8u);
        if (!system_read(vcpu, d->la, b, sizeof(b)))
            return LOOKUP_FAULT;
        d->raw = real_descriptor(&vcpu->real, le64_load(b));
    }
    descriptor_parse(d);
    return LOOKUP_OK;
}

/* ---- arch as the real machine, and back ---- */

/* One descriptor cache. */
static void show_segment(struct vcpu *vcpu, unsigned seg)
{
    uint32_t *attr = &vcpu->arch.seg_attr[seg];
    unsigned ring = vcpu->real.ring;
    if (!(*attr & ATTR_UNUSABLE) && attr_dpl(*attr) < ring)
        *attr = (*attr & ~(uint32_t)ATTR_DPL) | ring << ATTR_DPL_SHIFT;
    *attr |= (uint32_t)ATTR_UNTOUCHED;
}

static void save_guest(struct vcpu *vcpu, struct real_guest *guest)
{
    const struct cpu *cpu = &vcpu->arch;
    memcpy(guest->sel, cpu->seg_sel, sizeof(guest->sel));
    memcpy(guest->base, cpu->seg_base, sizeof(guest->base));
    memcpy(guest->limit, cpu->seg_limit, sizeof(guest->limit));
    memcpy(guest->attr, cpu->seg_attr, sizeof(guest->attr));
    guest->gdtr_base = cpu->gdtr_base;
    guest->gdtr_limit = cpu->gdtr_limit;
    guest->idtr_base = cpu->idtr_base;
    guest->idtr_limit = cpu->idtr_limit;
    guest->cr0 = cpu->cr0;
    guest->rflags = cpu->rflags;
    guest->cpl = cpu->cpl;
    guest->real_cpl = (uint8_t)real_cpl(vcpu);
    guest->is_vm86 = real_is_vm86(vcpu);
    guest->nmi_blocked = cpu->nmi_blocked;
}

static void show_real(struct vcpu *vcpu, struct real_guest *guest)
{
    struct cpu *cpu = &vcpu->arch;
    const struct real *real = &vcpu->real;
    save_guest(vcpu, guest);
    for (unsigned seg = 0; seg <= SEG_GS; seg++)
        show_segment(vcpu, seg);
    if (!guest->is_vm86) {
        cpu->seg_sel[SEG_CS] = (uint16_t)((cpu->seg_sel[SEG_CS] & 0xfffcu) | guest->real_cpl);
        cpu->seg_sel[SEG_SS] = (uint16_t)((cpu->seg_sel[SEG_SS] & 0xfffcu) | guest->real_cpl);
    }
    cpu->seg_sel[SEG_LDTR] = real->ldtr_sel;
    cpu->seg_sel[SEG_TR] = real->tr_sel;
    cpu->gdtr_base = real->gdtr_base;
    cpu->gdtr_limit = real->gdtr_limit;
    cpu->idtr_base = real->idtr_base;
    cpu->idtr_limit = real->idtr_limit;
    cpu->cr0 = real->cr0 | (cpu->cr0 & SHARED_CR0);
    cpu->cpl = guest->real_cpl;
    cpu->rflags = (cpu->rflags & ~SYSTEM_FLAGS) | F_IF | (guest->is_vm86 ? F_VM : 0);
    vcpu->run.real = guest;
}

static void restore_segment(struct cpu *cpu, const struct real_guest *guest, unsigned seg)
{
    cpu->seg_sel[seg] = guest->sel[seg];
    cpu->seg_base[seg] = guest->base[seg];
    cpu->seg_limit[seg] = guest->limit[seg];
    cpu->seg_attr[seg] = guest->attr[seg];
}

/*
 * The instruction has loaded this register: the virtual one has the guest's descriptor, and where the RPL is the real CPL, the virtual
 * one. In real mode what it held beside the base is lost: virtual-8086 mode has no more.
 */
static void take_segment(struct vcpu *vcpu, const struct real_guest *guest, unsigned seg)
{
    struct cpu *cpu = &vcpu->arch;
    uint16_t sel = cpu->seg_sel[seg];
    struct descriptor d;
    if (guest->is_vm86) {
        if (!(guest->rflags & F_VM))
            cpu->seg_attr[seg] = ATTR_P | ATTR_S | ATTR_RW | ATTR_ACCESSED | (seg == SEG_CS ? ATTR_CODE : 0);
        return;
    }
    if (cpu->seg_attr[seg] & ATTR_UNUSABLE)
        return;
    bool has_cpl = seg == SEG_CS || seg == SEG_SS;
    if (descriptor_lookup(vcpu, sel, &d) != LOOKUP_OK)
        return; /* it was there a moment ago */
    d.attr |= ATTR_ACCESSED;
    segment_commit(vcpu, seg, has_cpl ? (uint16_t)((sel & 0xfffcu) | cpu->cpl) : sel, &d);
}

static void take_segments(struct vcpu *vcpu, const struct real_guest *guest)
{
    struct cpu *cpu = &vcpu->arch;
    for (unsigned seg = 0; seg <= SEG_GS; seg++) {
        if (!(cpu->seg_attr[seg] & ATTR_UNTOUCHED)) {
            take_segment(vcpu, guest, seg);
            continue;
        }
        bool was_nulled = cpu->seg_sel[seg] == 0 && seg != SEG_CS && seg != SEG_SS;
        restore_segment(cpu, guest, seg);
        if (was_nulled)
            cpu->seg_sel[seg] = 0; /* a null selector lost its RPL */
    }
}

/* arch is the virtual machine again, with what the instruction did to it unless it failed. */
static void show_virtual(struct vcpu *vcpu, const struct real_guest *guest, bool has_failed)
{
    struct cpu *cpu = &vcpu->arch;
    vcpu->run.real = NULL;
    cpu->seg_sel[SEG_LDTR] = guest->sel[SEG_LDTR];
    cpu->seg_sel[SEG_TR] = guest->sel[SEG_TR];
    cpu->gdtr_base = guest->gdtr_base;
    cpu->gdtr_limit = guest->gdtr_limit;
    cpu->idtr_base = guest->idtr_base;
    cpu->idtr_limit = guest->idtr_limit;
    cpu->cr0 = guest->cr0;
    cpu->rflags = (cpu->rflags & ~SYSTEM_FLAGS) | (guest->rflags & SYSTEM_FLAGS);
    cpu->nmi_blocked = guest->nmi_blocked;
    if (has_failed || cpu->cpl == guest->real_cpl)
        cpu->cpl = guest->cpl;
    else if (cpu->cpl == vcpu->real.ring)
        cpu->cpl = 0;
    for (unsigned seg = 0; has_failed && seg <= SEG_GS; seg++)
        restore_segment(cpu, guest, seg);
    if (!has_failed)
        take_segments(vcpu, guest);
    cpu_update_mode(vcpu);
}

/* ---- execution ---- */

/* Does the real machine trap here, whatever the operands? */
static bool is_privileged(const struct vcpu *vcpu, const struct insn *in)
{
    switch (insn_row(in->row)->privilege) {
    case PRIV_VM86:
        return real_is_vm86(vcpu);
    case PRIV_UMIP:
    case PRIV_UMIP_PE:
        return vcpu->arch.cr4 & CR4_UMIP;
    default:
        return false;
    }
}

/* The instruction that runs has not entered the monitor. */
static void uncount(struct vcpu *vcpu)
{
    if (vcpu->run.in_block)
        ((struct site *)(uintptr_t)vcpu->run.rec->link)->count--;
}

enum sens_result real_fault(struct vcpu *vcpu, const struct insn *in, emulator *exec)
{
    const struct fault *f = &vcpu->run.fault;
    vcpu->real_fault = (struct real_fault){
        .is_valid = true,
        .has_error_code = f->has_error_code,
        .vector = f->vector,
        .virtual_cpl = vcpu->arch.cpl,
        .real_cpl = (uint8_t)real_cpl(vcpu),
        .row = (uint16_t)in->row,
        .length = in->len,
        .error_code = f->error_code,
        .rip = vcpu->arch.rip,
        .linear = vcpu->arch.seg_base[SEG_CS] + vcpu->arch.rip,
        .ticks = cpu_ticks_now(vcpu),
    };
    return vcpu->real.emulates_faults ? exec(vcpu, in) : SENS_FAULT;
}

enum sens_result real_execute(struct vcpu *vcpu, const struct insn *in, emulator *exec)
{
    struct real_guest guest;
    uint32_t old_mode = vcpu->run.mode;
    if (is_privileged(vcpu, in))
        return exec(vcpu, in);
    show_real(vcpu, &guest);
    enum sens_result result = exec(vcpu, in);
    show_virtual(vcpu, &guest, result == SENS_FAULT);
    if (result == SENS_FAULT)
        return real_fault(vcpu, in, exec);
    uncount(vcpu);
    return result == SENS_NEXT ? next_unless_mode_changed(vcpu, old_mode) : result;
}
