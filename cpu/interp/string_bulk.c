/* SPDX-License-Identifier: MIT */
/*
 * Repeated string instructions by the page. A write that hits the virtual TLB is on a page without
 * special state, so bytes may be stored in any number at once; what must be kept is the order that
 * overlapping elements see.
 */
#include "cpu/interp/string.h"

/* One side of the operation. */
struct span {
    laddr la;       /* of the first element */
    uint64_t count; /* elements from there to the page's edge, in the direction of DF */
    uint8_t *host;  /* of the element with the lowest address, once the count is known */
};

/* Linear address without any check: 64-bit mode, or flat segments with 32-bit addresses. */
static bool is_simple(const struct vcpu *vcpu, const struct rec *rec, unsigned seg)
{
    static const uint32_t flat[] = {
        [SEG_ES] = MODE_FLAT_ES, [SEG_SS] = MODE_FLAT_SS, [SEG_DS] = MODE_FLAT_DS};
    if (mode_code(vcpu->run.mode) == DECODE_64)
        return rec->base == 8;
    return rec->base == 4 && seg < ARRAY_SIZE(flat) && (vcpu->run.mode & flat[seg]);
}

static struct span span_at(const struct vcpu *vcpu, const struct rec *rec, unsigned seg,
                           unsigned gpr, bool down)
{
    laddr la = vcpu->run.seg_base_fast[seg] + string_reg(vcpu, rec, gpr);
    uint64_t in_page = la & ~PAGE_MASK, size = rec->dst;
    uint64_t room = (PAGE_SIZE - in_page) / size;
    if (down)
        room = in_page + size <= PAGE_SIZE ? in_page / size + 1 : 0;
    return (struct span){la, room, NULL};
}

/* Host bytes of n elements. */
static bool resolve(struct vcpu *vcpu, const struct rec *rec, struct span *s, uint64_t n, bool down,
                    const struct vtlb_entry *array)
{
    laddr low = down ? s->la - (n - 1) * rec->dst : s->la;
    s->host = vtlb_host(vcpu, array, low, (unsigned)(n * rec->dst));
    return s->host != NULL;
}

/* ---- MOVS ---- */

/*
 * Element by element in the direction of DF. Where the destination runs behind the source (or apart
 * from it) every element is read before it is overwritten, which is memmove; ahead of it, hardware
 * copies what it has just written.
 */
static void copy(uint8_t *dst, const uint8_t *src, uint64_t n, unsigned size, bool down)
{
    uint64_t bytes = n * size;
    uintptr_t d = (uintptr_t)dst, s = (uintptr_t)src;
    bool is_ahead = down ? d < s && s - d < bytes : d > s && d - s < bytes;
    if (!is_ahead) {
        memmove(dst, src, (size_t)bytes);
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = (down ? n - 1 - i : i) * size;
        host_store(dst + at, size, host_load(src + at, size));
    }
}

/* ---- STOS ---- */

static void fill(uint8_t *dst, uint64_t v, uint64_t n, unsigned size)
{
    uint64_t pattern = v & low_mask(size * 8);
    if (pattern == (v & 0xff) * (low_mask(size * 8) / 0xff)) {
        memset(dst, (int)(v & 0xff), (size_t)(n * size));
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        host_store(dst + i * size, size, v);
}

/* ---- CMPS, SCAS: iterations done, the one that ends the repetition included; *a and *b are its
 * elements ---- */

ALWAYS_INLINE uint64_t compare_spans(const uint8_t *src, uint64_t acc, const uint8_t *dst,
                                     uint64_t n, unsigned size, bool down, enum repeat repeat,
                                     uint64_t *a, uint64_t *b)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = (down ? n - 1 - i : i) * size;
        *a = src ? host_load(src + at, size) : acc;
        *b = host_load(dst + at, size);
        if (!repeat_goes_on(repeat, *a == *b))
            return i + 1;
    }
    return n;
}

static uint64_t compare(struct vcpu *vcpu, const struct rec *rec, const uint8_t *src,
                        const uint8_t *dst, uint64_t n, bool down)
{
    enum repeat repeat = (enum repeat)rec->imm;
    uint64_t a = 0, b = 0, acc = vcpu->arch.gpr[REG_RAX] & low_mask(rec->dst * 8u);
    switch (rec->dst) {
    case 1:
        n = compare_spans(src, acc, dst, n, 1, down, repeat, &a, &b);
        break;
    case 2:
        n = compare_spans(src, acc, dst, n, 2, down, repeat, &a, &b);
        break;
    case 4:
        n = compare_spans(src, acc, dst, n, 4, down, repeat, &a, &b);
        break;
    default:
        n = compare_spans(src, acc, dst, n, 8, down, repeat, &a, &b);
        break;
    }
    string_compare(vcpu, rec, a, b);
    return n;
}

/* ---- all of them ---- */

/* Both sides in host memory; src is NULL where op has none. */
static uint64_t act(struct vcpu *vcpu, const struct rec *rec, const uint8_t *src, uint8_t *dst,
                    uint64_t n, bool down)
{
    unsigned size = rec->dst;
    switch ((enum string_op)rec->src) {
    case STRING_MOVS:
        copy(dst, src, n, size, down);
        break;
    case STRING_STOS:
        fill(dst, vcpu->arch.gpr[REG_RAX], n, size);
        break;
    case STRING_LODS:
        gpr_write(vcpu, size * 8, REG_RAX, host_load(src + (down ? 0 : (n - 1) * size), size));
        break;
    default:
        n = compare(vcpu, rec, src, dst, n, down);
        break;
    }
    string_advance(vcpu, rec, n);
    return n;
}

uint64_t string_bulk(struct vcpu *vcpu, const struct rec *rec, uint64_t limit)
{
    enum string_op op = rec->src;
    bool down = vcpu->arch.rflags & F_DF;
    bool has_src = op == STRING_MOVS || op == STRING_CMPS || op == STRING_LODS,
         has_dst = op != STRING_LODS;
    struct span src = {0, UINT64_MAX, NULL}, dst = src;
    const struct vtlb_view *view = &vcpu->run.mmu.view;
    if ((has_src && !is_simple(vcpu, rec, rec->seg)) || (has_dst && !is_simple(vcpu, rec, SEG_ES)))
        return 0;
    if (has_src)
        src = span_at(vcpu, rec, rec->seg, REG_RSI, down);
    if (has_dst)
        dst = span_at(vcpu, rec, SEG_ES, REG_RDI, down);
    uint64_t n = src.count < dst.count ? src.count : dst.count;
    n = n < limit ? n : limit;
    if (n == 0 || (has_src && !resolve(vcpu, rec, &src, n, down, view->read)))
        return 0;
    if (has_dst &&
        !resolve(vcpu, rec, &dst, n, down, string_compares(op) ? view->read : view->write))
        return 0;
    return act(vcpu, rec, src.host, dst.host, n, down);
}
