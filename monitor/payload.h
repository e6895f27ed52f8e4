/* SPDX-License-Identifier: MIT */
/*
 * Unpacking of compressed kernel images by the compressors' own libraries: zlib, liblzma, libbz2,
 * liblz4, libzstd. Called by load_bzimage.c. The input is hostile: whatever it says of its size, no
 * more than a limit is ever produced.
 */
#pragma once

#include "base/err.h"
#include "cpu/piece.h"

struct payload_progress {
    void (*report)(void *opaque, const char *what, uint64_t done, uint64_t total); /* may be NULL */
    void *opaque;                                                                  /* of report */
};

/* The compressor's name by the first bytes ("xz"), "none" for a bare ELF image, NULL for anything
 * else. */
const char *payload_format(const uint8_t *in, size_t len);

/* What came out. */
struct unpacked {
    uint8_t *data; /* owned */
    size_t size;   /* bytes */
    size_t pieces; /* that data is made of; 0: it is malloc's */
};

/*
 * Unpack in[0, len) into a new buffer, for payload_free; whole pieces (cpu/piece.h) if it takes
 * one or more. limit  refuse to produce more bytes than this A Linux payload ends with its unpacked
 * size in four bytes; it is used to guess, never trusted. -EINVAL damaged or of an unknown (LZO)
 * format, -EFBIG more than limit, -ENOMEM; err says which.
 */
int payload_unpack(const uint8_t *in, size_t len, size_t limit,
                   const struct payload_progress *progress, struct unpacked *out, struct err *err);

/* Its memory is the host's again, or keep's (NULL: nobody's), who has a use for large pieces of it.
 */
void payload_free(struct unpacked *u, struct pieces *keep);
