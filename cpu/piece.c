/* SPDX-License-Identifier: MIT */
#include "cpu/piece.h"

#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

/*
 * Blocks in pieces own memory of malloc. Where a sanitizer looks for leaks, that is to be found
 * through them, which a mapping by itself is not searched for.
 */
#ifdef __SANITIZE_ADDRESS__ /* gcc */
#define FINDS_LEAKS 1
#endif
#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer)
#define FINDS_LEAKS 1
#endif
#endif

#ifdef FINDS_LEAKS
#include <sanitizer/lsan_interface.h>

static void search_for_leaks(uint8_t *memory, size_t bytes, bool from_now_on)
{
    for (size_t at = 0; at < bytes; at += PIECE_BYTES)
        if (from_now_on)
            __lsan_register_root_region(memory + at, PIECE_BYTES);
        else
            __lsan_unregister_root_region(memory + at, PIECE_BYTES);
}
#else
#define search_for_leaks(memory, bytes, from_now_on) ((void)0)
#endif

/* What a kept piece begins with. */
struct piece {
    struct piece *next;
};

#ifdef __linux__

enum { PARTS = 1 }; /* parts of what was mapped can be unmapped */

/* Addresses for `bytes` aligned to a piece, out of p which has one piece more: the rest goes. */
static uint8_t *cut(uint8_t *p, size_t bytes)
{
    size_t before = -(uintptr_t)p & (PIECE_BYTES - 1);
    if (before)
        munmap(p, before);
    munmap(p + before + bytes, PIECE_BYTES - before);
    return p + before;
}

static uint8_t *map(size_t bytes)
{
    void *p =
        mmap(NULL, bytes + PIECE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    uint8_t *memory = cut(p, bytes);
    madvise(memory, bytes, MADV_HUGEPAGE); /* or not: nothing but speed depends on it */
    search_for_leaks(memory, bytes, true);
    return memory;
}

static void unmap(void *memory, size_t bytes)
{
    search_for_leaks(memory, bytes, false);
    munmap(memory, bytes);
}

#else

enum { PARTS = 0 };

static uint8_t *map(size_t bytes)
{
    return aligned_alloc(PIECE_BYTES, bytes);
}

static void unmap(void *memory, size_t bytes)
{
    (void)bytes;
    free(memory);
}

#endif

uint8_t *pieces_map(size_t count)
{
    return count < SIZE_MAX / PIECE_BYTES ? map(count * PIECE_BYTES) : NULL;
}

uint8_t *pieces_take(struct pieces *p)
{
    if (!p || !p->kept)
        return pieces_map(1);
    struct piece *piece = p->kept;
    p->kept = piece->next;
    p->count--;
    return (uint8_t *)piece;
}

/* So that they are taken in the order in which they lie. */
void pieces_give(struct pieces *p, uint8_t *memory, size_t count)
{
    size_t keep = p && (PARTS || count == 1) ? PIECES_KEPT + p->more - p->count : 0;
    if (keep > count)
        keep = count;
    if (keep < count)
        unmap(memory + keep * PIECE_BYTES, (count - keep) * PIECE_BYTES);
    while (keep-- > 0) {
        struct piece *piece = (struct piece *)(void *)(memory + keep * PIECE_BYTES);
        piece->next = p->kept;
        p->kept = piece;
        p->count++;
    }
}

void pieces_release(struct pieces *p)
{
    while (p->kept) {
        struct piece *piece = p->kept;
        p->kept = piece->next;
        unmap(piece, PIECE_BYTES);
    }
    p->count = 0;
}
