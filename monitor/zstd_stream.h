/* SPDX-License-Identifier: MIT */
/*
 * Streams of Zstandard (RFC 8878), the one file that knows libzstd. Kernel payloads (payload.c) and
 * saved states (timeline/snapshot.c) move their bytes through it. It owns the library's contexts;
 * the buffers are the caller's.
 */
#pragma once

#include "base/types.h"

struct zstd_reader;
struct zstd_writer;

/* What one step takes from and puts into the caller's buffers. */
struct zstd_step {
    const uint8_t *in; /* borrowed */
    size_t in_size;    /* bytes of in */
    size_t in_used;    /* in, out: bytes of in already taken */
    uint8_t *out;      /* borrowed */
    size_t out_size;   /* room in out */
    size_t out_used;   /* in, out: bytes of out already filled */
};

/* NULL: out of memory. */
struct zstd_reader *zstd_reader_create(void);
void zstd_reader_destroy(struct zstd_reader *r); /* NULL is fine */

/* Begin a new stream. */
void zstd_reader_restart(struct zstd_reader *r);

/* Decompress as much as fits. 0: a frame ended and is all out; 1: it needs more room or more input;
 * -EINVAL: damaged. */
int zstd_reader_step(struct zstd_reader *r, struct zstd_step *s);

/* A writer of one frame. NULL: out of memory. level is the library's, from 1 (quick). */
struct zstd_writer *zstd_writer_create(int level);
void zstd_writer_destroy(struct zstd_writer *w); /* NULL is fine */

/* Compress; is_end: nothing follows in. 0: all in is taken and, at the end, the frame is all out;
 * 1: it needs more room; -EIO. */
int zstd_writer_step(struct zstd_writer *w, struct zstd_step *s, bool is_end);
