/* SPDX-License-Identifier: MIT */
/*
 * Segment descriptors and gates in the GDT and LDT, and the loading of segment registers: the
 * checks of SDM Vol. 3A, "Protection", once. Used by segments.c, far.c, interrupts.c, deliver.c and
 * task_switch.c. Commits to arch only in the segment_* functions; callers then call
 * cpu_update_mode, or cpu_update_segment if it was one.
 */
#pragma once

#include "monitor/emulate/emulate.h"

struct descriptor {
    uint16_t sel;      /* selector it was found by */
    uint32_t attr;     /* in the format of seg_attr */
    uint32_t limit;    /* in bytes, G applied */
    uint64_t base;     /* base (segments, LDT, TSS) */
    uint64_t raw;      /* the eight bytes */
    uint64_t raw_high; /* the second eight of a 16-byte system descriptor, else 0 */
    laddr la;          /* where it stands */
};

/* System descriptor and gate types (S = 0). */
enum {
    TYPE_TSS16 = 1,
    TYPE_LDT = 2,
    TYPE_TSS16_BUSY = 3,
    TYPE_CALL16 = 4,
    TYPE_TASK_GATE = 5,
    TYPE_INTERRUPT16 = 6,
    TYPE_TRAP16 = 7,
    TYPE_TSS32 = 9,
    TYPE_TSS32_BUSY = 11,
    TYPE_CALL32 = 12,
    TYPE_INTERRUPT32 = 14,
    TYPE_TRAP32 = 15,
};

ALWAYS_INLINE unsigned attr_dpl(uint32_t attr)
{
    return attr >> ATTR_DPL_SHIFT & 3;
}

ALWAYS_INLINE bool attr_is_code(uint32_t attr)
{
    return (attr & (ATTR_S | ATTR_CODE)) == (ATTR_S | ATTR_CODE);
}

ALWAYS_INLINE bool attr_is_conforming(uint32_t attr)
{
    return (attr & (ATTR_S | ATTR_CODE | ATTR_DC)) == (ATTR_S | ATTR_CODE | ATTR_DC);
}

ALWAYS_INLINE bool attr_is_writable_data(uint32_t attr)
{
    return (attr & (ATTR_S | ATTR_CODE | ATTR_RW)) == (ATTR_S | ATTR_RW);
}

/* The type of a system descriptor; 0 (reserved) for code and data. */
ALWAYS_INLINE unsigned attr_system_type(uint32_t attr)
{
    return attr & ATTR_S ? 0 : attr & ATTR_TYPE;
}

ALWAYS_INLINE bool selector_is_null(uint16_t sel)
{
    return (sel & 0xfffc) == 0;
}

/* Error code that names a selector; ext is the EXT bit. */
ALWAYS_INLINE uint32_t selector_error(uint16_t sel, uint32_t ext)
{
    return (sel & 0xfffcu) | ext;
}

/* Gate fields. */
ALWAYS_INLINE uint16_t gate_selector(const struct descriptor *d)
{
    return (uint16_t)(d->raw >> 16);
}

ALWAYS_INLINE uint64_t gate_offset(const struct descriptor *d)
{
    return (d->raw & 0xffff) | (d->raw >> 32 & 0xffff0000) | d->raw_high << 32;
}

enum lookup { LOOKUP_OK, LOOKUP_OUTSIDE, LOOKUP_FAULT };

/* Read the descriptor of sel (not null). OUTSIDE: beyond its table or no LDT; FAULT: run.fault is
 * #PF. */
enum lookup descriptor_lookup(struct vcpu *vcpu, uint16_t sel, struct descriptor *d);

/* As descriptor_lookup; outside the table is #vector(sel) with EXT. False: run.fault. */
bool descriptor_fetch(struct vcpu *vcpu, uint16_t sel, unsigned vector, uint32_t ext,
                      struct descriptor *d);

/*
 * IA-32e mode: system descriptors are 16 bytes (SDM Vol. 3A, "System-Descriptor Types"). Read the
 * second half into d; elsewhere nothing. False: run.fault, #vector(sel) if it is beyond the table
 * or its type field is not 0.
 */
bool descriptor_extend(struct vcpu *vcpu, struct descriptor *d, unsigned vector, uint32_t ext);

/* Fill d->attr, base and limit from d->raw and raw_high. */
void descriptor_parse(struct descriptor *d);

/* Set the accessed bit in memory if it is clear. False: run.fault. */
bool descriptor_set_accessed(struct vcpu *vcpu, struct descriptor *d);

/* Set or clear the busy bit of a TSS descriptor in memory. False: run.fault. */
bool descriptor_set_busy(struct vcpu *vcpu, struct descriptor *d, bool busy);

/* ---- segment registers ---- */

/* Put d into the register: no checks. */
void segment_commit(struct vcpu *vcpu, unsigned seg, uint16_t sel, const struct descriptor *d);

/* A null selector in ES, DS, FS, GS, LDTR (and SS in 64-bit mode: the cache keeps dpl). */
void segment_commit_null(struct vcpu *vcpu, unsigned seg, uint16_t sel, unsigned dpl);

/* Real and virtual-8086 mode: base is sel << 4. Limit and D/B stay in real mode, as hardware leaves
 * them. */
void segment_load_plain(struct vcpu *vcpu, unsigned seg, uint16_t sel);

/* Load ES, SS, DS, FS or GS as MOV does, in any mode. False: run.fault, nothing changed but an
 * accessed bit. */
bool segment_load(struct vcpu *vcpu, unsigned seg, uint16_t sel);

/*
 * Check a stack segment for code at cpl: RPL and DPL equal cpl, writable data, present (#SS).
 * wrong: the vector of all other failures (#GP or #TS). d is read and its accessed bit set. sel is
 * not null.
 */
bool segment_check_stack(struct vcpu *vcpu, uint16_t sel, unsigned cpl, unsigned wrong,
                         uint32_t ext, struct descriptor *d);

/* After a return to less privilege: null the data segments that cpl may not keep (SDM Vol. 2B,
 * "RET"). */
void segments_drop_privileged(struct vcpu *vcpu, unsigned cpl);

/* The base of FS or GS changed and nothing else: refresh what the engine caches of it. */
void segment_base_changed(struct vcpu *vcpu, unsigned seg);
