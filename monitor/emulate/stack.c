/* SPDX-License-Identifier: MIT */
#include "monitor/emulate/stack.h"

#include "base/endian.h"
#include "cpu/debug.h"
#include "monitor/emulate/real.h"

/* On the real machine of classic the guest's kernel may be at CPL 3: it has page tables with U = 1 then. */
static struct privilege privilege_at(const struct vcpu *vcpu, unsigned cpl)
{
    bool is_kernel = unlikely(vcpu->run.real) && vcpu->run.real->cpl != 3;
    return (struct privilege){.user = cpl == 3 && !is_kernel, .ac = vcpu->arch.rflags & F_AC};
}

struct stack stack_current(const struct vcpu *vcpu)
{
    bool is_64 = is_code64(vcpu);
    return (struct stack){
        .base = is_64 ? 0 : vcpu->arch.seg_base[SEG_SS],
        .sp = vcpu->arch.gpr[REG_RSP],
        .mask = stack_mask(vcpu),
        .limit = vcpu->arch.seg_limit[SEG_SS],
        .attr = vcpu->arch.seg_attr[SEG_SS],
        .is_64 = is_64,
        .as = privilege_at(vcpu, vcpu->arch.cpl),
    };
}

struct stack stack_for(const struct vcpu *vcpu, const struct descriptor *ss, uint64_t sp,
                       unsigned cpl, uint32_t error)
{
    return (struct stack){
        .base = ss->base,
        .sp = sp,
        .mask = ss->attr & ATTR_DB ? UINT32_MAX : 0xffff,
        .limit = ss->limit,
        .attr = ss->attr,
        .as = privilege_at(vcpu, cpl),
        .error = error,
    };
}

struct stack stack_for_64(const struct vcpu *vcpu, uint64_t rsp, unsigned cpl, uint32_t error)
{
    return (struct stack){
        .sp = rsp,
        .mask = UINT64_MAX,
        .is_64 = true,
        .as = privilege_at(vcpu, cpl),
        .error = error,
    };
}

static bool is_within_limit(const struct stack *s, uint64_t off, unsigned len)
{
    uint64_t last = off + len - 1;
    if (s->attr & ATTR_UNUSABLE)
        return false;
    if ((s->attr & (ATTR_CODE | ATTR_DC)) == ATTR_DC)
        return off > s->limit && last <= (s->attr & ATTR_DB ? UINT32_MAX : 0xffff);
    return last <= s->limit;
}

/* CPL 3 with alignment checking; a more privileged stack is not checked. */
static bool is_aligned(struct vcpu *vcpu, const struct stack *s, laddr la, unsigned size)
{
    if (likely(!(vcpu->run.mode & MODE_ALIGN)) || !s->as.user || !(la & (size - 1)))
        return true;
    return raise_fault_code(vcpu, EXC_AC, 0);
}

static bool locate(struct vcpu *vcpu, const struct stack *s, uint64_t off, unsigned len, laddr *la)
{
    bool ok =
        s->is_64 ? is_canonical(off) && is_canonical(off + len - 1) : is_within_limit(s, off, len);
    if (!ok)
        return raise_fault_code(vcpu, EXC_SS, s->error);
    *la = s->is_64 ? off : (uint32_t)(s->base + off);
    return true;
}

static uint64_t la_mask_of(const struct stack *s)
{
    return s->is_64 ? UINT64_MAX : UINT32_MAX;
}

bool stack_has_room(struct vcpu *vcpu, const struct stack *s, unsigned n, unsigned size)
{
    laddr la;
    for (unsigned i = 1; i <= n; i++)
        if (!locate(vcpu, s, (s->sp - (uint64_t)size * i) & s->mask, size, &la))
            return false;
    return true;
}

/* The accesses: data breakpoints see them when they were made. */
static bool write_bytes(struct vcpu *vcpu, const struct stack *s, laddr la, const uint8_t *b,
                        unsigned len)
{
    if (!mmu_write_as(&vcpu->run.mmu, s->as, la, la_mask_of(s), b, len, &vcpu->run.fault))
        return false;
    if (unlikely(vcpu->run.mode & MODE_BREAK))
        debug_data_access(vcpu, la, len, true);
    return true;
}

static bool read_bytes(struct vcpu *vcpu, const struct stack *s, laddr la, uint8_t *b, unsigned len)
{
    if (!mmu_read_as(&vcpu->run.mmu, s->as, la, la_mask_of(s), b, len, &vcpu->run.fault))
        return false;
    if (unlikely(vcpu->run.mode & MODE_BREAK))
        debug_data_access(vcpu, la, len, false);
    return true;
}

/* Translate both ends of one element with write intent. */
static bool probe(struct vcpu *vcpu, const struct stack *s, laddr la, unsigned size)
{
    struct mmu *mmu = &vcpu->run.mmu;
    uint64_t mask = la_mask_of(s);
    paddr pa;
    return mmu_translate(mmu, s->as, la & mask, ACCESS_WRITE, &pa, &vcpu->run.fault) &&
           mmu_translate(mmu, s->as, (la + size - 1) & mask, ACCESS_WRITE, &pa, &vcpu->run.fault);
}

/* A frame that wraps around the end of a 16-bit (or 32-bit) stack: element by element, probed
 * first. */
static bool push_wrapped(struct vcpu *vcpu, const struct stack *s, const uint64_t *v, unsigned n,
                         unsigned size)
{
    laddr la[STACK_FRAME_MAX];
    for (unsigned i = 0; i < n; i++) {
        uint64_t off = (s->sp - (uint64_t)size * (i + 1)) & s->mask;
        if (!locate(vcpu, s, off, size, &la[i]) || !is_aligned(vcpu, s, la[i], size) ||
            !probe(vcpu, s, la[i], size))
            return false;
    }
    for (unsigned i = 0; i < n; i++) {
        uint8_t b[8];
        le_store(b, v[i], size);
        if (!write_bytes(vcpu, s, la[i], b, size))
            return false;
    }
    return true;
}

bool stack_push_frame(struct vcpu *vcpu, struct stack *s, const uint64_t *v, unsigned n,
                      unsigned size)
{
    uint8_t b[STACK_FRAME_MAX * 8];
    unsigned total = n * size;
    uint64_t low = (s->sp - total) & s->mask;
    laddr la;
    assert(n >= 1 && n <= STACK_FRAME_MAX);
    if (low > s->mask - (total - 1)) {
        if (!push_wrapped(vcpu, s, v, n, size))
            return false;
        s->sp = low;
        return true;
    }
    for (unsigned i = 0; i < n; i++)
        le_store(b + (n - 1 - i) * size, v[i], size);
    if (!locate(vcpu, s, low, total, &la) || !is_aligned(vcpu, s, la, size) ||
        !write_bytes(vcpu, s, la, b, total))
        return false;
    s->sp = low;
    return true;
}

/* Whole elements of this size. */
static bool read_at(struct vcpu *vcpu, const struct stack *s, uint64_t off, uint8_t *b,
                    unsigned len, unsigned size)
{
    laddr la;
    return locate(vcpu, s, off, len, &la) && is_aligned(vcpu, s, la, size) &&
           read_bytes(vcpu, s, la, b, len);
}

bool stack_read_frame(struct vcpu *vcpu, const struct stack *s, unsigned skip, uint64_t *v,
                      unsigned n, unsigned size)
{
    uint8_t b[STACK_FRAME_MAX * 8];
    unsigned total = n * size;
    uint64_t low = (s->sp + skip) & s->mask;
    assert(n >= 1 && n <= STACK_FRAME_MAX);
    if (low <= s->mask - (total - 1)) {
        if (!read_at(vcpu, s, low, b, total, size))
            return false;
    } else {
        for (unsigned i = 0; i < n; i++)
            if (!read_at(vcpu, s, (low + (uint64_t)i * size) & s->mask, b + i * size, size, size))
                return false;
    }
    for (unsigned i = 0; i < n; i++)
        v[i] = le_load(b + i * size, size);
    return true;
}

void stack_commit(struct vcpu *vcpu, const struct stack *s)
{
    uint64_t *rsp = &vcpu->arch.gpr[REG_RSP];
    *rsp = s->mask == 0xffff ? (*rsp & ~s->mask) | (s->sp & s->mask) : s->sp & s->mask;
}
