/* SPDX-License-Identifier: MIT */
/*
 * What handlers are written with: EXEC, NEXT, operand access through a record, memory through the virtual TLB. Included by
 * cpu/interp only. Hits are inline; everything rare is out of line, takes the record and returns by value, so that no
 * handler lets the address of a local escape and the compiler turns NEXT into a jump.
 */
#pragma once

#include "base/endian.h"
#include "cpu/flags.h"
#include "cpu/vcpu.h"

enum exec_status {
    EXEC_NEXT,   /* loop dispatcher only: go on with the following record */
    EXEC_CHAIN,  /* loop dispatcher only: go on with run.rec */
    EXEC_LOOKUP, /* the block is done, arch.rip is set: find the next one */
    EXEC_BREAK,  /* stopped before run.rec (break request, partial run) */
    EXEC_FAULT,  /* run.fault; run.rec did nothing */
    EXEC_END,    /* run.rec completed and ends the block; arch.rip is set */
    EXEC_LEAVE,  /* as EXEC_END, and cpu_run returns CPU_EXIT_LEAVE */
};

#define EXEC(name) static int exec_##name(struct vcpu *vcpu, const struct rec *rec)

#if HAVE_TAIL_CALLS
#define NEXT return rec[1].fn(vcpu, rec + 1)
#define EXEC_ENTER(vcpu, r) (r)->fn((vcpu), (r))
#define CHAIN_TO(vcpu, r) return (r)->fn((vcpu), (r))
#else
#define NEXT return ((void)vcpu, (void)rec, EXEC_NEXT)
#define EXEC_ENTER(vcpu, r) exec_loop((vcpu), (r))
#define CHAIN_TO(vcpu, r)                                                                                \
    do {                                                                                                 \
        (vcpu)->run.rec = (r);                                                                           \
        return EXEC_CHAIN;                                                                               \
    } while (0)
#endif

/* ---- registers ---- */

#define REGFILE(vcpu) ((uint64_t *)(void *)((char *)(vcpu) + offsetof(struct vcpu, run.reg_none)))

/* Register file index to value; r is one of rec->dst, src, base, index. */
ALWAYS_INLINE uint64_t reg_get(const struct vcpu *vcpu, unsigned r)
{
    return ((const uint64_t *)(const void *)((const char *)vcpu + offsetof(struct vcpu, run.reg_none)))[r];
}

ALWAYS_INLINE void reg_set64(struct vcpu *vcpu, unsigned r, uint64_t v)
{
    REGFILE(vcpu)[r] = v;
}

/* A 32-bit result zero-extends into the 64-bit register. */
ALWAYS_INLINE void reg_set32(struct vcpu *vcpu, unsigned r, uint64_t v)
{
    REGFILE(vcpu)[r] = (uint32_t)v;
}

ALWAYS_INLINE void reg_set16(struct vcpu *vcpu, unsigned r, uint64_t v)
{
    uint64_t *p = &REGFILE(vcpu)[r];
    *p = (*p & ~UINT64_C(0xffff)) | (uint16_t)v;
}

/* 8-bit registers: b is a byte offset made by rec_reg8 (record.c). */
ALWAYS_INLINE uint8_t reg_get8(const struct vcpu *vcpu, unsigned b)
{
    return ((const uint8_t *)vcpu)[offsetof(struct vcpu, run.reg_none) + b];
}

ALWAYS_INLINE void reg_set8(struct vcpu *vcpu, unsigned b, uint64_t v)
{
    ((uint8_t *)vcpu)[offsetof(struct vcpu, run.reg_none) + b] = (uint8_t)v;
}

/* Byte offset in the register file of AL..R15L (high = false) or AH..BH (reg 0..3, high = true). */
ALWAYS_INLINE uint8_t reg8_offset(unsigned reg, bool high)
{
    unsigned byte = HOST_BIG_ENDIAN ? (high ? 6 : 7) : (high ? 1 : 0);
    return (uint8_t)((REC_GPR + reg) * 8 + byte);
}

/* ---- leaving ---- */

/* run.fault is set; the instruction of rec did nothing. */
int exec_fault(struct vcpu *vcpu, const struct rec *rec);
/* Set run.fault and leave: #vector without error code, #vector(code). */
int exec_raise(struct vcpu *vcpu, const struct rec *rec, unsigned vector);
int exec_raise_code(struct vcpu *vcpu, const struct rec *rec, unsigned vector, uint32_t code);

/* RIP of the instruction of rec, and of the one after it (truncated to the code segment's size). */
ALWAYS_INLINE uint64_t rip_wrap(const struct vcpu *vcpu, uint64_t rip)
{
    enum decode_mode m = mode_code(vcpu->run.mode);
    return m == DECODE_64 ? rip : m == DECODE_32 ? (uint32_t)rip : rip & 0xffffffff;
}

ALWAYS_INLINE uint64_t rec_rip(const struct vcpu *vcpu, const struct rec *rec)
{
    return rip_wrap(vcpu, vcpu->run.insn_base + rec->off);
}

ALWAYS_INLINE uint64_t rec_next_rip(const struct vcpu *vcpu, const struct rec *rec)
{
    return rip_wrap(vcpu, vcpu->run.insn_base + rec->off + rec->len);
}

/*
 * Near transfers, the last act of a handler that ends its block. target is an offset in CS (RIP), already truncated to the
 * operand size. exec_goto checks it: beyond the CS limit or not canonical is #GP(0) of this instruction, so call it before
 * committing anything with rip_is_valid when something else must be committed (CALL's push). The budget is what the
 * transfer leaves: a record that is not its block's last has refunded the rest.
 *   exec_goto_direct  same block-relative target every time: the link in rec is used and made
 *   exec_goto_far     the same when the target is on another page: the link is checked against the mapping
 *   exec_goto         computed target
 *   exec_goto_block   the same, and the block there is known: one that may be chained to
 */
bool rip_is_valid(struct vcpu *vcpu, uint64_t target); /* false: run.fault is #GP(0) */
int exec_goto_slow(struct vcpu *vcpu, const struct rec *rec, uint64_t target);
int exec_goto_far(struct vcpu *vcpu, const struct rec *rec, uint64_t target);
int exec_goto(struct vcpu *vcpu, const struct rec *rec, uint64_t target);
int exec_goto_block(struct vcpu *vcpu, const struct rec *rec, struct block *b, uint64_t target);

/* refund: ticks of the block that are not executed, for its record is not the last. */
ALWAYS_INLINE int exec_goto_direct(struct vcpu *vcpu, const struct rec *rec, uint64_t target, int32_t refund)
{
    struct block *b = (struct block *)(uintptr_t)rec->link;
    if (likely(b != NULL)) {
        int64_t left = vcpu->run.budget + refund - b->count;
        if (likely(left >= 0)) {
            vcpu->run.budget = left;
            vcpu->run.block = b;
            vcpu->run.insn_base = target;
            CHAIN_TO(vcpu, b->rec);
        }
    }
    vcpu->run.budget += refund;
    return exec_goto_slow(vcpu, rec, target);
}

/* ---- memory ---- */

struct loaded {
    uint64_t value; /* zero-extended */
    bool ok;        /* false: run.fault is set, nothing has happened */
};

/* Linear address, or a fault of segmentation. */
struct linear {
    laddr la; /* valid if ok */
    bool ok;  /* false: run.fault is set */
};

/*
 * Address of a memory operand. Two shapes, chosen at decoding: `m64`: 64-bit mode, 64-bit addresses (canonical checks are
 * the slow path's: a non-canonical address never hits); `gen`: everything else, with segment checks.
 */
ALWAYS_INLINE laddr rec_la64(const struct vcpu *vcpu, const struct rec *rec)
{
    return vcpu->run.seg_base_fast[rec->seg] + reg_get(vcpu, rec->base) +
           (reg_get(vcpu, rec->index) << rec->scale) + (uint64_t)(int64_t)rec->disp;
}

/* Effective address of a gen record, truncated to its address size (kept in rec->scale bits 7:4: 2, 4 or 8 bytes). */
ALWAYS_INLINE uint64_t rec_ea(const struct vcpu *vcpu, const struct rec *rec)
{
    uint64_t ea = reg_get(vcpu, rec->base) + (reg_get(vcpu, rec->index) << (rec->scale & 3)) +
                  (uint64_t)(int64_t)rec->disp;
    return ea & low_mask((rec->scale >> 4) * 8u);
}

/* gen: segment checks for size bytes at the operand (segment.c). seg in rec->seg is ES..GS. */
struct linear rec_la_checked(struct vcpu *vcpu, const struct rec *rec, unsigned size, enum access access);

/*
 * After rec_la_checked failed for an operand that must be aligned: misaligned it is #GP(0), before #SS(0) of the limit (not
 * documented; AMD silicon). Always false.
 */
bool rec_la_misaligned(struct vcpu *vcpu, const struct rec *rec, unsigned alignment);

/* Out of line: any size 1 2 4 8; alignment checks, data breakpoints, faults into run.fault. */
struct loaded mem_load_slow(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size);
bool mem_store_slow(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size, uint64_t v);
/* For what never raises #AC, the elements of gathers and VMASKMOV: mem_load_slow, mem_probe_write. */
struct loaded mem_load_unaligned(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size);
bool mem_probe_write_unaligned(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size);
/* Probe with write intent, then read. The store that follows (mem_store_slow) can't fault. */
struct loaded mem_rmw_slow(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size);
/* The checks of a store of size bytes, and no access: for what may write only some of them, or none. */
bool mem_probe_write(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size);
/* Any length up to 64 (x87, SSE, descriptors): through run.wide? no: the buffer lives in the caller's non-handler frame. */
bool mem_read_bytes(struct vcpu *vcpu, const struct rec *rec, laddr la, void *buf, size_t len);
bool mem_write_bytes(struct vcpu *vcpu, const struct rec *rec, laddr la, const void *buf, size_t len);

ALWAYS_INLINE uint8_t *vtlb_host(const struct vcpu *vcpu, const struct vtlb_entry *array, laddr la,
                                 unsigned size)
{
    const struct vtlb_entry *e = vtlb_entry_at(array, vcpu->run.mmu.view.byte_mask, la);
    if (likely(e->tag == ((la + size - 1) & PAGE_MASK)))
        return (uint8_t *)(uintptr_t)(la + e->addend);
    return NULL;
}

/* Host address of size bytes at la for reading or writing, when they lie in one page that hits; else NULL. */
ALWAYS_INLINE const uint8_t *mem_read_host(const struct vcpu *vcpu, laddr la, unsigned size)
{
    return vtlb_host(vcpu, vcpu->run.mmu.view.read, la, size);
}

ALWAYS_INLINE uint8_t *mem_write_host(const struct vcpu *vcpu, laddr la, unsigned size)
{
    return vtlb_host(vcpu, vcpu->run.mmu.view.write, la, size);
}

ALWAYS_INLINE uint64_t host_load(const uint8_t *p, unsigned size)
{
    return size == 1 ? *p : size == 2 ? le16_load(p) : size == 4 ? le32_load(p) : le64_load(p);
}

ALWAYS_INLINE void host_store(uint8_t *p, unsigned size, uint64_t v)
{
    if (size == 1)
        *p = (uint8_t)v;
    else if (size == 2)
        le16_store(p, (uint16_t)v);
    else if (size == 4)
        le32_store(p, (uint32_t)v);
    else
        le64_store(p, v);
}

ALWAYS_INLINE struct loaded mem_load(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size)
{
    const uint8_t *p = mem_read_host(vcpu, la, size);
    if (likely(p != NULL))
        return (struct loaded){host_load(p, size), true};
    return mem_load_slow(vcpu, rec, la, size);
}

NODISCARD ALWAYS_INLINE bool mem_store(struct vcpu *vcpu, const struct rec *rec, laddr la, unsigned size,
                                       uint64_t v)
{
    uint8_t *p = mem_write_host(vcpu, la, size);
    if (likely(p != NULL)) {
        host_store(p, size, v);
        return true;
    }
    return mem_store_slow(vcpu, rec, la, size, v);
}

/*
 * The shape of a read-modify-write:
 *     uint8_t *host = mem_write_host(vcpu, la, 4);
 *     struct loaded m = host ? (struct loaded){host_load(host, 4), true} : mem_rmw_slow(vcpu, rec, la, 4);
 *     if (unlikely(!m.ok)) return exec_fault(vcpu, rec);
 *     compute; mem_rmw_store(vcpu, rec, la, host, 4, value); commit flags; NEXT;
 */
ALWAYS_INLINE void mem_rmw_store(struct vcpu *vcpu, const struct rec *rec, laddr la, uint8_t *host,
                                 unsigned size, uint64_t v)
{
    if (likely(host != NULL))
        host_store(host, size, v);
    else if (!mem_store_slow(vcpu, rec, la, size, v))
        assert(false && "store faulted after a probe with write intent");
}
