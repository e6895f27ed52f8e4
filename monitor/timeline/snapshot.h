/* SPDX-License-Identifier: MIT */
/*
 * The saved-state file: reader and writer of its stream. state.c puts machines into it. (docs/formats.md, "Saved states".)
 *
 *   "TRAPLINE" version(u32) 0(u32), then one zstd frame that holds:
 *   'S' section: name, version(u32), fields(u16), each: name, element size(u8), elements(u32), bytes   -- one per part
 *   'R' range of memory: gpa(u64), bytes(u64), rom(u8)                             -- ascending; then 'M'
 *   'P' page: gpa(u64), 4096 bytes                                                 -- ascending; pages not named are zero
 *   'E' end: XXH3-128 of everything before it in the frame
 * Names are a length byte and that many bytes. Numbers are little-endian.
 */
#pragma once

#include <stdio.h>

#include "base/err.h"
#include "base/types.h"

#define SNAPSHOT_VERSION 2
#define SNAPSHOT_NAME_MAX 63

struct snapshot_writer;
struct snapshot_reader;

/* Write to a file that stands in for path until snapshot_commit. -errno. */
struct snapshot_writer *snapshot_create(const char *path, struct err *err);
void snapshot_put(struct snapshot_writer *w, const void *p, size_t n); /* errors are kept for commit */
void snapshot_put_u8(struct snapshot_writer *w, uint8_t v);
void snapshot_put_u16(struct snapshot_writer *w, uint16_t v);
void snapshot_put_u32(struct snapshot_writer *w, uint32_t v);
void snapshot_put_u64(struct snapshot_writer *w, uint64_t v);
void snapshot_put_name(struct snapshot_writer *w, const char *name);

/* Finish, check and rename onto path. Frees w in any case. */
int snapshot_commit(struct snapshot_writer *w, struct err *err);
void snapshot_abandon(struct snapshot_writer *w);

/* Open and check the header. NULL and err: not a saved state, another version ... */
struct snapshot_reader *snapshot_open(const char *path, struct err *err);
/* Read what stands inside the frame from memory, borrowed until snapshot_close. NULL: out of memory. */
struct snapshot_reader *snapshot_open_stream(const uint8_t *bytes, size_t n);
/* Exactly n bytes; false: the stream ends or is damaged (remembered: every later call fails too). */
bool snapshot_get(struct snapshot_reader *r, void *p, size_t n);
bool snapshot_get_u8(struct snapshot_reader *r, uint8_t *v);
bool snapshot_get_u16(struct snapshot_reader *r, uint16_t *v);
bool snapshot_get_u32(struct snapshot_reader *r, uint32_t *v);
bool snapshot_get_u64(struct snapshot_reader *r, uint64_t *v);
bool snapshot_get_name(struct snapshot_reader *r, char name[SNAPSHOT_NAME_MAX + 1]);
/* Right after the 'E' tag: the checksum agrees and nothing follows. */
bool snapshot_check_end(struct snapshot_reader *r);
/* Back to the first byte of the stream. */
int snapshot_rewind(struct snapshot_reader *r, struct err *err);
void snapshot_close(struct snapshot_reader *r);
