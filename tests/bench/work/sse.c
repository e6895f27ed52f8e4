/* SPDX-License-Identifier: MIT */
/* SSE2: scalar and packed doubles, and packed integers as codecs use them. */
#include "work.h"
#include <emmintrin.h>

static void floats(unsigned long n)
{
    double x = 0.37, acc = 0, out[2];
    __m128d v = _mm_set_pd(0.25, 0.5), k = _mm_set1_pd(0.999), c = _mm_set_pd(0.125, 0.0625);

    for (unsigned long i = 0; i < n; i++) {
        x = 3.77 * x * (1.0 - x);
        acc += x;
        v = _mm_add_pd(_mm_mul_pd(v, k), c);
        if ((i & 7) == 0) {
            v = _mm_sqrt_pd(v);
            acc += 1.0 / (1.5 + x);
        }
    }
    _mm_storeu_pd(out, v);
    printf("sse: %lu %.17g %.17g %.17g", n, acc, out[0], out[1]);
}

static void integers(unsigned long n)
{
    static uint8_t a[16384], b[16384];
    uint32_t s = 99, bits = 0;
    uint64_t out[2];
    __m128i sad = _mm_setzero_si128();

    for (size_t i = 0; i < sizeof a; i++) {
        a[i] = (uint8_t)next_random(&s);
        b[i] = (uint8_t)next_random(&s);
    }
    for (unsigned long r = 0; r < n; r++) {
        for (size_t i = 0; i < sizeof a; i += 16) {
            __m128i x = _mm_loadu_si128((const __m128i *)(a + i));
            __m128i y = _mm_loadu_si128((const __m128i *)(b + i));
            sad = _mm_add_epi64(sad, _mm_sad_epu8(x, y));
            bits += (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
            _mm_storeu_si128((__m128i *)(b + i), _mm_xor_si128(_mm_shuffle_epi32(y, 0x1b), x));
        }
    }
    _mm_storeu_si128((__m128i *)out, sad);
    printf(" %llu %u\n", (unsigned long long)(out[0] + out[1]), bits);
}

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 100);

    floats(n * 200000);
    integers(n * 100);
    return 0;
}
