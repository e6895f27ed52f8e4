/* SPDX-License-Identifier: MIT */
/*
 * SHA-NI. SDM Vol. 1, "Intel SHA Extensions"; the algorithms are FIPS 180-4's. The manual numbers
 * doublewords of a register from the top in the SHA-1 instructions, and so do the comments here:
 * A is bits 127:96, D bits 31:0.
 */
#include "cpu/interp/sse.h"

static uint32_t lane(const union v128 *v, unsigned i)
{
    return v->d[LANE_D(i)];
}

/* Low doubleword first. */
static union v128 of_lanes(uint32_t d0, uint32_t d1, uint32_t d2, uint32_t d3)
{
    return v128_make(d0 | (uint64_t)d1 << 32, d2 | (uint64_t)d3 << 32);
}

static uint32_t rotate_left(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static uint32_t rotate_right(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (~x & z);
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

/* ---- SHA-1 ---- */

/* Rounds 0-19, 20-39, 40-59, 60-79. */
static uint32_t sha1_function(unsigned kind, uint32_t b, uint32_t c, uint32_t d)
{
    return kind == 0 ? choose(b, c, d) : kind == 2 ? majority(b, c, d) : b ^ c ^ d;
}

/* Four rounds; SRC holds their message words, the first with E added. SDM Vol. 2B, "SHA1RNDS4". */
SIMD_FN(sha1rnds4)
{
    static const uint32_t constants[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    uint32_t r[5] = {lane(d, 3), lane(d, 2), lane(d, 1), lane(d, 0), 0};
    unsigned kind = imm & 3;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t a = sha1_function(kind, r[1], r[2], r[3]) + rotate_left(r[0], 5) + lane(s, 3 - i) +
                     r[4] + constants[kind];
        r[4] = r[3];
        r[3] = r[2];
        r[2] = rotate_left(r[1], 30);
        r[1] = r[0];
        r[0] = a;
    }
    *d = of_lanes(r[3], r[2], r[1], r[0]);
}

/* E of four rounds on is A now, rotated. SDM Vol. 2B, "SHA1NEXTE". */
SIMD_FN(sha1nexte)
{
    *d = of_lanes(lane(s, 0), lane(s, 1), lane(s, 2), lane(s, 3) + rotate_left(lane(d, 3), 30));
}

/* SDM Vol. 2B, "SHA1MSG1" */
SIMD_FN(sha1msg1)
{
    *d = v128_make(d->q[0] ^ s->q[1], d->q[1] ^ d->q[0]);
}

/* SDM Vol. 2B, "SHA1MSG2" */
SIMD_FN(sha1msg2)
{
    uint32_t w16 = rotate_left(lane(d, 3) ^ lane(s, 2), 1);
    uint32_t w17 = rotate_left(lane(d, 2) ^ lane(s, 1), 1);
    uint32_t w18 = rotate_left(lane(d, 1) ^ lane(s, 0), 1);
    uint32_t w19 = rotate_left(lane(d, 0) ^ w16, 1);
    *d = of_lanes(w19, w18, w17, w16);
}

/* ---- SHA-256 ---- */

static uint32_t big_sigma0(uint32_t x)
{
    return rotate_right(x, 2) ^ rotate_right(x, 13) ^ rotate_right(x, 22);
}

static uint32_t big_sigma1(uint32_t x)
{
    return rotate_right(x, 6) ^ rotate_right(x, 11) ^ rotate_right(x, 25);
}

static uint32_t small_sigma0(uint32_t x)
{
    return rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3;
}

static uint32_t small_sigma1(uint32_t x)
{
    return rotate_right(x, 17) ^ rotate_right(x, 19) ^ x >> 10;
}

/*
 * Two rounds: DEST is C D G H, SRC A B E F (high doubleword first), wk the sums of message word and
 * constant. SDM Vol. 2B, "SHA256RNDS2".
 */
static union v128 sha256rnds2(const union v128 *cdgh, const union v128 *abef, const union v128 *wk)
{
    uint32_t a = lane(abef, 3), b = lane(abef, 2), c = lane(cdgh, 3), d = lane(cdgh, 2);
    uint32_t e = lane(abef, 1), f = lane(abef, 0), g = lane(cdgh, 1), h = lane(cdgh, 0);
    for (unsigned i = 0; i < 2; i++) {
        uint32_t t1 = choose(e, f, g) + big_sigma1(e) + lane(wk, i) + h;
        uint32_t t2 = majority(a, b, c) + big_sigma0(a);
        h = g, g = f, f = e, e = t1 + d;
        d = c, c = b, b = a, a = t1 + t2;
    }
    return of_lanes(f, e, b, a);
}

static NOINLINE bool sha256rnds2_work(struct vcpu *vcpu, const struct rec *rec)
{
    union v128 s, d = xmm_get(vcpu, rec->dst), wk = xmm_get(vcpu, 0);
    if (!simd_source(vcpu, rec, &s))
        return false;
    xmm_set(vcpu, rec->dst, sha256rnds2(&d, &s, &wk));
    return true;
}

EXEC(sha256rnds2)
{
    if (unlikely(!sha256rnds2_work(vcpu, rec)))
        return exec_fault(vcpu, rec);
    NEXT;
}

/* SDM Vol. 2B, "SHA256MSG1" */
SIMD_FN(sha256msg1)
{
    *d = of_lanes(lane(d, 0) + small_sigma0(lane(d, 1)), lane(d, 1) + small_sigma0(lane(d, 2)),
                  lane(d, 2) + small_sigma0(lane(d, 3)), lane(d, 3) + small_sigma0(lane(s, 0)));
}

/* SDM Vol. 2B, "SHA256MSG2" */
SIMD_FN(sha256msg2)
{
    uint32_t w16 = lane(d, 0) + small_sigma1(lane(s, 2));
    uint32_t w17 = lane(d, 1) + small_sigma1(lane(s, 3));
    uint32_t w18 = lane(d, 2) + small_sigma1(w16);
    uint32_t w19 = lane(d, 3) + small_sigma1(w17);
    *d = of_lanes(w16, w17, w18, w19);
}

/* ---- choosing ---- */

/* clang-format off */
#define ROW(OP, name) [OP_##OP] = {.fn = do_##name}
static const struct simd_row rows[] = {
    ROW(SHA1RNDS4, sha1rnds4), ROW(SHA1NEXTE, sha1nexte), ROW(SHA1MSG1, sha1msg1), ROW(SHA1MSG2, sha1msg2),
    ROW(SHA256MSG1, sha256msg1), ROW(SHA256MSG2, sha256msg2),
};
/* clang-format on */

exec_fn *sse_select_sha(struct selection *s, struct rec *rec)
{
    const struct simd_row *row = simd_row_of(rows, ARRAY_SIZE(rows), s->in->op);
    if (row)
        return simd_select(row, s, rec);
    if (s->in->op != OP_SHA256RNDS2)
        return NULL;
    exec_fn *unavailable = simd_unavailable(s);
    if (unavailable)
        return unavailable;
    simd_prepare(s, rec, NULL, 0);
    return exec_sha256rnds2;
}
