/* SPDX-License-Identifier: MIT */
#include "monitor/quick_transcendentals.h"

#include "base/types.h"

/* Angles are fractions of 128 bits in units of 2^-127, where less than 2, and of 2^-125. */

/* clang-format off */
/* 2^127 / (2k + 1)! */
static const struct u128 sine_series[] = {
    {.hi = UINT64_C(0x8000000000000000), .lo = UINT64_C(0x0000000000000000)},
    {.hi = UINT64_C(0x1555555555555555), .lo = UINT64_C(0x5555555555555555)},
    {.hi = UINT64_C(0x0111111111111111), .lo = UINT64_C(0x1111111111111111)},
    {.hi = UINT64_C(0x0006806806806806), .lo = UINT64_C(0x8068068068068068)},
    {.hi = UINT64_C(0x0000171de3a556c7), .lo = UINT64_C(0x338faac1c88e5001)},
    {.hi = UINT64_C(0x00000035cc8acfea), .lo = UINT64_C(0x89c71fce8fc97070)},
    {.hi = UINT64_C(0x000000005849184e), .lo = UINT64_C(0xa1b425f28e0cc749)},
    {.hi = UINT64_C(0x00000000006b9fcf), .lo = UINT64_C(0x9ccee07c476195ac)},
    {.hi = UINT64_C(0x000000000000654b), .lo = UINT64_C(0x1dc0c2b529ac9814)},
    {.hi = UINT64_C(0x000000000000004b), .lo = UINT64_C(0xd26d1a05055c9328)},
    {.hi = UINT64_C(0x0000000000000000), .lo = UINT64_C(0x2e371dedb9eae318)},
    {.hi = UINT64_C(0x0000000000000000), .lo = UINT64_C(0x001761b41316381a)},
    {.hi = UINT64_C(0x0000000000000000), .lo = UINT64_C(0x000009f9e66e8b30)},
    {.hi = UINT64_C(0x0000000000000000), .lo = UINT64_C(0x00000003a356385c)},
};

/* 2^127 / (2k)! */
static const struct u128 cosine_series[] = {
    {.hi = UINT64_C(0x8000000000000000), .lo = UINT64_C(0x0000000000000000)},
    {.hi = UINT64_C(0x4000000000000000), .lo = UINT64_C(0x0000000000000000)},
    {.hi = UINT64_C(0x0555555555555555), .lo = UINT64_C(0x5555555555555555)},
    {.hi = UINT64_C(0x002d82d82d82d82d), .lo = UINT64_C(0x82d82d82d82d82d8)},
    {.hi = UINT64_C(0x0000d00d00d00d00), .lo = UINT64_C(0xd00d00d00d00d00d)},
    {.hi = UINT64_C(0x0000024fc9f6ef13), .lo = UINT64_C(0xeb8e5de02da7d4cd)},
    {.hi = UINT64_C(0x000000047bb63bfe), .lo = UINT64_C(0x3625ed5136a61eb4)},
    {.hi = UINT64_C(0x00000000064e5d2a), .lo = UINT64_C(0x301f27482eb7c517)},
    {.hi = UINT64_C(0x000000000006b9fc), .lo = UINT64_C(0xf9ccee07c476195b)},
    {.hi = UINT64_C(0x00000000000005a0), .lo = UINT64_C(0x9e18ee5f65deec01)},
    {.hi = UINT64_C(0x0000000000000003), .lo = UINT64_C(0xca8574804044a0f5)},
    {.hi = UINT64_C(0x0000000000000000), .lo = UINT64_C(0x0219c72db6ff0a53)},
    {.hi = UINT64_C(0x0000000000000000), .lo = UINT64_C(0x0000f96780cb97ac)},
    {.hi = UINT64_C(0x0000000000000000), .lo = UINT64_C(0x000000623a17f1a9)},
    {.hi = UINT64_C(0x0000000000000000), .lo = UINT64_C(0x000000002143144c)},
};

/* 2^127 / (2k + 1) */
static const struct u128 arctangent_series[] = {
    {.hi = UINT64_C(0x8000000000000000), .lo = UINT64_C(0x0000000000000000)},
    {.hi = UINT64_C(0x2aaaaaaaaaaaaaaa), .lo = UINT64_C(0xaaaaaaaaaaaaaaab)},
    {.hi = UINT64_C(0x1999999999999999), .lo = UINT64_C(0x999999999999999a)},
    {.hi = UINT64_C(0x1249249249249249), .lo = UINT64_C(0x2492492492492492)},
    {.hi = UINT64_C(0x0e38e38e38e38e38), .lo = UINT64_C(0xe38e38e38e38e38e)},
    {.hi = UINT64_C(0x0ba2e8ba2e8ba2e8), .lo = UINT64_C(0xba2e8ba2e8ba2e8c)},
    {.hi = UINT64_C(0x09d89d89d89d89d8), .lo = UINT64_C(0x9d89d89d89d89d8a)},
    {.hi = UINT64_C(0x0888888888888888), .lo = UINT64_C(0x8888888888888889)},
    {.hi = UINT64_C(0x0787878787878787), .lo = UINT64_C(0x8787878787878788)},
    {.hi = UINT64_C(0x06bca1af286bca1a), .lo = UINT64_C(0xf286bca1af286bca)},
};

/* 2^125 atan(i / 32) */
static const struct u128 arctangents[] = {
    {.hi = UINT64_C(0x0000000000000000), .lo = UINT64_C(0x0000000000000000)},
    {.hi = UINT64_C(0x00ffeaaddd4bb125), .lo = UINT64_C(0x42779d776dda8c62)},
    {.hi = UINT64_C(0x01ff55bb72cfde9c), .lo = UINT64_C(0x6d964f25b81c5c1b)},
    {.hi = UINT64_C(0x02fdc304c05e21d1), .lo = UINT64_C(0x824d59f9e133e0da)},
    {.hi = UINT64_C(0x03fab7535585edb8), .lo = UINT64_C(0xcb225e627cfa223c)},
    {.hi = UINT64_C(0x04f5bbba31989b16), .lo = UINT64_C(0x1a3b0ce9281b07f4)},
    {.hi = UINT64_C(0x05ee5ed2f396c089), .lo = UINT64_C(0xa3d85a7c40e4e3a4)},
    {.hi = UINT64_C(0x06e435d4a4982881), .lo = UINT64_C(0x17b10d2e0e5aa978)},
    {.hi = UINT64_C(0x07d6dd7e4b203758), .lo = UINT64_C(0xab6e3cf7afbd10bf)},
    {.hi = UINT64_C(0x08c5fad185f8bc13), .lo = UINT64_C(0x0ca4748b1bf88299)},
    {.hi = UINT64_C(0x09b13b9b83f5e5e6), .lo = UINT64_C(0x9c5abb498d27af33)},
    {.hi = UINT64_C(0x0a9856cca8e6a4ed), .lo = UINT64_C(0xa99b7f77bf7d9e8c)},
    {.hi = UINT64_C(0x0b7b0ca0f26f7847), .lo = UINT64_C(0x38aa32122dcfe448)},
    {.hi = UINT64_C(0x0c59269ca50d92b6), .lo = UINT64_C(0xda1746e91f50a28e)},
    {.hi = UINT64_C(0x0d327761e611fe5b), .lo = UINT64_C(0x6427c95e9001e713)},
    {.hi = UINT64_C(0x0e06da64a764f7c6), .lo = UINT64_C(0x7c631ed96798cb80)},
    {.hi = UINT64_C(0x0ed63382b0dda7b4), .lo = UINT64_C(0x56fe445ecbc3a8d0)},
    {.hi = UINT64_C(0x0fa06e85aa0a0be5), .lo = UINT64_C(0xc66d23c7d5dc8ecc)},
    {.hi = UINT64_C(0x10657e94db30cfc5), .lo = UINT64_C(0x496d41396c34a2b8)},
    {.hi = UINT64_C(0x11255d9bfbd2a8f6), .lo = UINT64_C(0xa1288f1f88e5695f)},
    {.hi = UINT64_C(0x11e00babdefeb3f3), .lo = UINT64_C(0x6b906bc2ccb886e9)},
    {.hi = UINT64_C(0x12958e59308e30de), .lo = UINT64_C(0xc3189e727ef1465f)},
    {.hi = UINT64_C(0x1345f01cce37bb44), .lo = UINT64_C(0x0844df1c4409fe78)},
    {.hi = UINT64_C(0x13f13fb89e96f43d), .lo = UINT64_C(0x9f16924c89e0e03c)},
    {.hi = UINT64_C(0x14978fa3269ee124), .lo = UINT64_C(0x83350fe548afb594)},
    {.hi = UINT64_C(0x1538f57b89061eb9), .lo = UINT64_C(0x122d5096b7cf267f)},
    {.hi = UINT64_C(0x15d58987169b1810), .lo = UINT64_C(0x028e4bc5e7ca40e1)},
    {.hi = UINT64_C(0x166d663923e086d2), .lo = UINT64_C(0x2b20282e888c5f27)},
    {.hi = UINT64_C(0x1700a7c5784633ce), .lo = UINT64_C(0x7965b4aa42148888)},
    {.hi = UINT64_C(0x178f6bbd5d315e50), .lo = UINT64_C(0x1a822600dd01f652)},
    {.hi = UINT64_C(0x1819d0b7158a4cc8), .lo = UINT64_C(0x113bac588dd25f45)},
    {.hi = UINT64_C(0x189ff5ff57f1f7aa), .lo = UINT64_C(0x919687a21793c044)},
    {.hi = UINT64_C(0x1921fb54442d1846), .lo = UINT64_C(0x9898cc51701b839a)},
};

/* 2^125 pi */
static const struct u128 pi ={.hi = UINT64_C(0x6487ed5110b4611a), .lo = UINT64_C(0x62633145c06e0e69)};
/* clang-format on */

/* 2^127 times half of the x87's pi, which has 66 bits. */
static const struct u128 half_pi = {.hi = UINT64_C(0xc90fdaa22168c234), .lo = UINT64_C(0xc) << 60};

/* ---- 128 bits ---- */

static struct u128 add(struct u128 a, struct u128 b)
{
    struct u128 r = {.lo = a.lo + b.lo, .hi = a.hi + b.hi};
    r.hi += r.lo < a.lo;
    return r;
}

static struct u128 sub(struct u128 a, struct u128 b)
{
    struct u128 r = {.lo = a.lo - b.lo, .hi = a.hi - b.hi};
    r.hi -= a.lo < b.lo;
    return r;
}

static bool less(struct u128 a, struct u128 b)
{
    return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo;
}

/* |a - b|; *is_less: a < b. */
static struct u128 distance(struct u128 a, struct u128 b, bool *is_less)
{
    *is_less = less(a, b);
    return *is_less ? sub(b, a) : sub(a, b);
}

/* By 0 to 63. */
static struct u128 shift_left(struct u128 a, unsigned n)
{
    if (n)
        a = (struct u128){.lo = a.lo << n, .hi = a.hi << n | a.lo >> (64 - n)};
    return a;
}

static struct u128 shift_right(struct u128 a, unsigned n)
{
    if (n)
        a = (struct u128){.lo = a.lo >> n | a.hi << (64 - n), .hi = a.hi >> n};
    return a;
}

/* a * b / 2^127, too small by less than 8 units. */
static struct u128 product(struct u128 a, struct u128 b)
{
    struct u128 r = mul_u64(a.hi, b.hi), m = mul_u64(a.hi, b.lo), n = mul_u64(a.lo, b.hi);
    r = add(r, (struct u128){.lo = m.hi});
    r = add(r, (struct u128){.lo = n.hi});
    return shift_left(r, 1);
}

/* One digit of rem:0 / d, base 2^64; bit 63 of d.hi is set, rem < d. *rem: what remains. */
static uint64_t digit(struct u128 *rem, struct u128 d)
{
    uint64_t unused;
    uint64_t q = rem->hi < d.hi ? div_u128(rem->hi, rem->lo, d.hi, &unused) : UINT64_MAX;
    struct u128 high = mul_u64(q, d.hi), low = mul_u64(q, d.lo);
    /* q * d, in three digits: sum.hi, sum.lo, low.lo */
    struct u128 sum = add(high, (struct u128){.lo = low.hi});
    while (less(*rem, sum) || (rem->hi == sum.hi && rem->lo == sum.lo && low.lo != 0)) {
        q--;
        sum = sub(sum, (struct u128){.lo = d.hi});
        sum = sub(sum, (struct u128){.lo = low.lo < d.lo});
        low.lo -= d.lo;
    }
    struct u128 left = sub(*rem, sum);
    *rem = (struct u128){.hi = left.lo - (low.lo != 0), .lo = 0 - low.lo};
    return q;
}

/* 2^127 n / d where n < d. */
static struct u128 quotient(struct u128 n, struct u128 d)
{
    while (d.hi >> 63 == 0) {
        unsigned up = d.hi ? (unsigned)__builtin_clzll(d.hi) : 63;
        d = shift_left(d, up);
        n = shift_left(n, up);
    }
    uint64_t hi = digit(&n, d), lo = digit(&n, d);
    return shift_right((struct u128){.hi = hi, .lo = lo}, 1);
}

/* c[0] - z (c[1] - z (c[2] - ...)) */
static struct u128 series(const struct u128 *c, size_t count, struct u128 z)
{
    struct u128 p = c[count - 1];
    for (size_t k = count - 1; k-- > 0;)
        p = sub(c[k], product(z, p));
    return p;
}

/* ---- results ---- */

/*
 * v / 2^127 * 2^exp, whose error is below 2^-100. Normalised by at most 14 bits that is less than
 * MARGIN units of the last place: false where so much could carry it over a number of 64 bits or to
 * the middle between two.
 */
static bool settle(struct u128 v, int32_t exp, bool sign, struct fp_wide *w)
{
    const uint64_t margin = UINT64_C(1) << 42;
    unsigned up = v.hi ? (unsigned)__builtin_clzll(v.hi) : 64;
    if (up > 14)
        return false;
    v = shift_left(v, up);
    *w = (struct fp_wide){.hi = v.hi, .lo = v.lo | 1, .exp = exp - (int32_t)up, .sign = sign};
    return ((v.lo + margin) & INT64_MAX) >= 2 * margin;
}

static bool is_normal(struct f80 v)
{
    return v.mant >> 63 && (v.se & 0x7fff) != 0x7fff && (v.se & 0x7fff) != 0;
}

static int32_t exponent_of(struct f80 v)
{
    return (int32_t)(v.se & 0x7fff) - 0x3fff;
}

/* 2^-12 <= |x| < 2: reduced by half of pi at most once. MPFR rounds the quotient: not near the
 * border. */
bool quick_sine(struct f80 x, unsigned offset, struct fp_wide *w)
{
    int32_t exp = exponent_of(x);
    bool sign = offset == 0 && x.se >> 15, is_less;
    unsigned quadrant = offset;
    if (!is_normal(x) || exp < -12 || exp > 0)
        return false;
    struct u128 r = shift_right((struct u128){.hi = x.mant}, (unsigned)-exp);
    if (distance(r, shift_right(half_pi, 1), &is_less).hi >> 20 == 0)
        return false;
    if (!is_less) {
        r = distance(r, half_pi, &is_less);
        quadrant++;
        sign ^= is_less && quadrant == 2;
    }
    struct u128 z = product(r, r);
    if (quadrant == 1)
        return settle(series(cosine_series, ARRAY_SIZE(cosine_series), z), 0, sign, w);
    r = product(r, series(sine_series, ARRAY_SIZE(sine_series), z));
    return settle(r, 0, sign ^ (quadrant == 2), w);
}

/* 2^125 times the angle whose tangent is a / (b 2^d) <= 1: the nearest of the table's, and the one
 * between. */
static struct u128 arctangent(uint64_t a, uint64_t b, unsigned d)
{
    unsigned i = (unsigned)(((a >> (d + 6)) * 32 + (b >> 7)) / (b >> 6));
    struct u128 big = mul_u64(b, UINT64_C(1) << d), small = mul_u64(a, 32);
    struct u128 den = add(shift_left(big, 5), mul_u64(a, i));
    bool is_below;
    /* big has at most 74 bits */
    struct u128 step = mul_u64(big.lo, i);
    step.hi += big.hi * i;
    struct u128 u = quotient(distance(small, step, &is_below), den);
    u = product(u, series(arctangent_series, ARRAY_SIZE(arctangent_series), product(u, u)));
    u = shift_right(u, 2);
    return is_below ? sub(arctangents[i], u) : add(arctangents[i], u);
}

/* 2^-10 <= |y / x| <= 2^10 */
bool quick_arctangent(struct f80 y, struct f80 x, struct fp_wide *w)
{
    int32_t d = exponent_of(x) - exponent_of(y);
    bool is_steep = d < 0 || (d == 0 && y.mant > x.mant);
    struct u128 angle;
    if (!is_normal(x) || !is_normal(y) || d < -10 || d > 10)
        return false;
    if (is_steep)
        angle = sub(shift_right(pi, 1), arctangent(x.mant, y.mant, (unsigned)-d));
    else
        angle = arctangent(y.mant, x.mant, (unsigned)d);
    if (x.se >> 15)
        angle = sub(pi, angle);
    return settle(angle, 2, y.se >> 15, w);
}
