/* SPDX-License-Identifier: MIT */
/*
 * XXH3-128, the one hash of the project: pages, states, chains and files. The only file that includes xxhash.
 */
#pragma once

#include "base/types.h"

struct digest;

/* A running digest. NULL: out of memory. */
struct digest *digest_create(void);
void digest_destroy(struct digest *d); /* NULL is fine */
void digest_reset(struct digest *d);
void digest_update(struct digest *d, const void *p, size_t n);
struct u128 digest_value(const struct digest *d);

/* Of n bytes at once, with a seed. */
struct u128 digest_bytes(const void *p, size_t n, uint64_t seed);

/* As 16 bytes: low half first, little-endian. */
void digest_store(uint8_t out[16], struct u128 v);
