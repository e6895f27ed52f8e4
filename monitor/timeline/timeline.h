/* SPDX-License-Identifier: MIT */
/*
 * Positions in a run: the state hash, the hash chain, and saved states (design section 4). The machine is at rest, at an
 * instruction boundary, in every call. docs/formats.md describes both formats.
 */
#pragma once

#include "monitor/machine.h"

#define HASH_BYTES 16
#define HASH_VERSION 1

/* The state hash now. The first call starts the dirty log and reads all of memory; later calls read what changed. -ENOMEM. */
int timeline_hash(struct machine *m, uint8_t out[HASH_BYTES]);

/* One link of a chain: link := H(link || state hash). Start with all zeroes. */
void timeline_chain(uint8_t link[HASH_BYTES], const uint8_t state[HASH_BYTES]);

/* Write everything that the guest can observe to path. Atomic: path is replaced only by a complete file. */
int timeline_save(struct machine *m, const char *path, struct err *err);

/*
 * Put a saved state into m, which has the same board, memory size and vCPUs. The file is hostile: it is checked completely before
 * anything changes; on failure m is as it was.
 */
int timeline_load(struct machine *m, const char *path, struct err *err);

/* The same from a reader that is open already (snapshot.h); it stays the caller's. name is for errors. */
struct snapshot_reader;
int timeline_load_from(struct machine *m, struct snapshot_reader *r, const char *name, struct err *err);

/* Free what timeline_hash keeps for m. */
void timeline_free(struct machine *m);
