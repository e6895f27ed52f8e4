/* SPDX-License-Identifier: MIT */
#define XXH_INLINE_ALL
#define XXH_NO_INLINE_HINTS 1 /* builds below -O2 cannot inline all of it */
#include <xxhash.h>

#include "monitor/timeline/digest.h"

#include <stdlib.h>

#include "base/endian.h"

struct digest {
    XXH3_state_t *state; /* owned: the library wants it aligned */
};

struct digest *digest_create(void)
{
    struct digest *d = malloc(sizeof(*d));
    if (!d)
        return NULL;
    d->state = XXH3_createState();
    if (!d->state) {
        free(d);
        return NULL;
    }
    digest_reset(d);
    return d;
}

void digest_destroy(struct digest *d)
{
    if (d)
        XXH3_freeState(d->state);
    free(d);
}

void digest_reset(struct digest *d)
{
    XXH3_128bits_reset(d->state);
}

void digest_update(struct digest *d, const void *p, size_t n)
{
    XXH3_128bits_update(d->state, p, n);
}

static struct u128 value(XXH128_hash_t h)
{
    return (struct u128){h.low64, h.high64};
}

struct u128 digest_value(const struct digest *d)
{
    return value(XXH3_128bits_digest(d->state));
}

struct u128 digest_bytes(const void *p, size_t n, uint64_t seed)
{
    return value(XXH3_128bits_withSeed(p, n, seed));
}

void digest_store(uint8_t out[16], struct u128 v)
{
    le64_store(out, v.lo);
    le64_store(out + 8, v.hi);
}
