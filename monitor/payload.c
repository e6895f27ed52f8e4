/* SPDX-License-Identifier: MIT */
/* Each codec fills the same growing buffer; the loop around the library's step is its own, because
 * each library's is. */
#include "monitor/payload.h"

#include <bzlib.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/endian.h"
#include "monitor/zstd_stream.h"

enum { STEP = 1 << 20, LZ4_BLOCK = 8 << 20, SIZE_TRAILER = 4 };
#define LZMA_MEMORY (UINT64_C(256) * MiB)

struct unpack {
    const uint8_t *in;                       /* borrowed: compressed bytes */
    size_t len;                              /* of in */
    struct unpacked out;                     /* what is there so far */
    size_t capacity;                         /* bytes that may be in out.data */
    size_t limit;                            /* never more than this */
    uint64_t expected;                       /* for progress; 0: unknown */
    const struct payload_progress *progress; /* borrowed; may be NULL */
};

static void report(const struct unpack *u)
{
    if (u->progress && u->progress->report)
        u->progress->report(u->progress->opaque, "unpacking the kernel", u->out.size,
                            u->expected > u->out.size ? u->expected : u->out.size);
}

static int resize_small(struct unpack *u, size_t capacity)
{
    uint8_t *p = realloc(u->out.data, capacity);
    if (!p)
        return -ENOMEM;
    u->out.data = p;
    return 0;
}

static int resize_to_pieces(struct unpack *u, size_t pieces)
{
    struct unpacked more = {.data = pieces_map(pieces), .size = u->out.size, .pieces = pieces};
    if (!more.data)
        return -ENOMEM;
    if (u->out.size)
        memcpy(more.data, u->out.data, u->out.size);
    payload_free(&u->out, NULL);
    u->out = more;
    return 0;
}

/* It never shrinks. */
static int resize(struct unpack *u, size_t capacity)
{
    size_t pieces = capacity / PIECE_BYTES + (capacity % PIECE_BYTES > 0);
    int r = 0;
    if (capacity <= u->capacity)
        return 0;
    if (capacity < PIECE_BYTES)
        r = resize_small(u, capacity);
    else if (pieces > u->out.pieces)
        r = resize_to_pieces(u, pieces);
    if (!r)
        u->capacity = capacity;
    return r;
}

void payload_free(struct unpacked *u, struct pieces *keep)
{
    if (u->pieces)
        pieces_give(keep, u->data, u->pieces);
    else
        free(u->data);
    *u = (struct unpacked){0};
}

/* Room for at least one more byte, at most STEP handed out at a time; its size, 0: *r says why not.
 */
static size_t room(struct unpack *u, int *r)
{
    size_t n;
    if (u->out.size == u->capacity) {
        size_t more = u->capacity < STEP ? STEP : u->capacity;
        if (u->out.size == u->limit) {
            *r = -EFBIG;
            return 0;
        }
        more = more < u->limit - u->out.size ? more : u->limit - u->out.size;
        *r = resize(u, u->out.size + more);
        if (*r)
            return 0;
    }
    n = u->capacity - u->out.size;
    return n < STEP ? n : STEP;
}

/*
 * The trailer's guess is taken up to the limit, and only while it is not absurd: no format packs
 * better than about 1:1032 (deflate) for long, and a wrong guess only costs growing.
 */
static void guess_size(struct unpack *u)
{
    if (u->len < SIZE_TRAILER)
        return;
    u->expected = le32_load(u->in + u->len - SIZE_TRAILER);
    if (u->expected > u->limit || u->expected / 64 > u->len)
        u->expected = 0;
    if (u->expected)
        (void)resize(u, (size_t)u->expected); /* else room() tries, and reports */
}

static unsigned clip(size_t n)
{
    return n < UINT32_MAX ? (unsigned)n : UINT32_MAX;
}

static int unpack_gzip(struct unpack *u)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)u->in, .avail_in = clip(u->len)};
    int r = 0, z_r = Z_OK;
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return -ENOMEM;
    while (!r && z_r != Z_STREAM_END) {
        size_t n = room(u, &r);
        if (!n)
            break;
        z.next_out = u->out.data + u->out.size;
        z.avail_out = clip(n);
        z_r = inflate(&z, Z_NO_FLUSH);
        u->out.size += n - z.avail_out;
        if (z_r == Z_MEM_ERROR)
            r = -ENOMEM;
        else if (z_r != Z_OK && z_r != Z_STREAM_END)
            r = -EINVAL;
        report(u);
    }
    inflateEnd(&z);
    return r;
}

/* xz and the older .lzma; the library wants LZMA_FINISH to tell truncated input from more to come.
 */
static int unpack_lzma(struct unpack *u, bool is_xz)
{
    lzma_stream s = LZMA_STREAM_INIT;
    lzma_ret l =
        is_xz ? lzma_stream_decoder(&s, LZMA_MEMORY, 0) : lzma_alone_decoder(&s, LZMA_MEMORY);
    int r = 0;
    if (l != LZMA_OK)
        return -ENOMEM;
    s.next_in = u->in;
    s.avail_in = u->len;
    while (!r && l != LZMA_STREAM_END) {
        size_t n = room(u, &r);
        if (!n)
            break;
        s.next_out = u->out.data + u->out.size;
        s.avail_out = n;
        l = lzma_code(&s, LZMA_FINISH);
        u->out.size += n - s.avail_out;
        if (l == LZMA_MEM_ERROR)
            r = -ENOMEM;
        else if (l != LZMA_OK && l != LZMA_STREAM_END)
            r = -EINVAL;
        report(u);
    }
    lzma_end(&s);
    return r;
}

static int unpack_bzip2(struct unpack *u)
{
    bz_stream b = {.next_in = (char *)(uintptr_t)u->in, .avail_in = clip(u->len)};
    int r = 0, b_r = BZ_OK;
    if (BZ2_bzDecompressInit(&b, 0, 0) != BZ_OK)
        return -ENOMEM;
    while (!r && b_r != BZ_STREAM_END) {
        size_t n = room(u, &r), before = b.avail_in;
        if (!n)
            break;
        b.next_out = (char *)u->out.data + u->out.size;
        b.avail_out = clip(n);
        b_r = BZ2_bzDecompress(&b);
        u->out.size += n - b.avail_out;
        if (b_r == BZ_MEM_ERROR)
            r = -ENOMEM;
        else if (b_r != BZ_OK && b_r != BZ_STREAM_END)
            r = -EINVAL;
        else if (b_r == BZ_OK && b.avail_in == before && b.avail_out == n)
            r = -EINVAL; /* truncated: the library waits for more */
        report(u);
    }
    BZ2_bzDecompressEnd(&b);
    return r;
}

static int unpack_zstd(struct unpack *u)
{
    struct zstd_reader *z = zstd_reader_create();
    struct zstd_step s = {.in = u->in, .in_size = u->len};
    int r = z ? 0 : -ENOMEM, step = 1;
    while (!r && step > 0) {
        size_t n = room(u, &r), before = s.in_used;
        if (!n)
            break;
        s.out = u->out.data + u->out.size;
        s.out_size = n;
        s.out_used = 0;
        step = zstd_reader_step(z, &s);
        u->out.size += s.out_used;
        if (step < 0 || (step && s.in_used == before && s.out_used == 0))
            r = -EINVAL;
        report(u);
    }
    zstd_reader_destroy(z);
    return r;
}

/* The legacy frame: magic, then blocks of {size, data}, each unpacking to 8 MiB or, the last, less.
 */
static int unpack_lz4(struct unpack *u)
{
    size_t at = 4;
    int r = 0;
    while (!r && u->len - at > SIZE_TRAILER) {
        uint32_t packed = le32_load(u->in + at);
        size_t want = u->limit - u->out.size < LZ4_BLOCK ? u->limit - u->out.size : LZ4_BLOCK;
        int got;
        at += 4;
        if (!packed || packed > u->len - at || packed > (uint32_t)LZ4_COMPRESSBOUND(LZ4_BLOCK))
            return -EINVAL;
        if (u->capacity - u->out.size < want)
            r = resize(u, u->out.size + want);
        if (r)
            return r;
        got = LZ4_decompress_safe((const char *)u->in + at, (char *)u->out.data + u->out.size,
                                  (int)packed, (int)want);
        if (got < 0)
            return want < LZ4_BLOCK ? -EFBIG : -EINVAL;
        u->out.size += (size_t)got;
        at += packed;
        report(u);
    }
    return r;
}

static int copy_plain(struct unpack *u)
{
    int r = u->len > u->limit ? -EFBIG : resize(u, u->len ? u->len : 1);
    if (!r) {
        memcpy(u->out.data, u->in, u->len);
        u->out.size = u->len;
    }
    return r;
}

/* ---- which ---- */

enum format { F_GZIP, F_XZ, F_LZMA, F_BZIP2, F_LZ4, F_ZSTD, F_LZO, F_NONE, FORMATS };

static const struct {
    const char *name;  /* what people call it */
    const char *magic; /* first bytes */
    size_t len;        /* of magic */
} formats[FORMATS] = {
    [F_GZIP] = {"gzip", "\x1F\x8B", 2},
    [F_XZ] = {"xz",
              "\xFD"
              "7zXZ\0",
              6},
    [F_LZMA] = {"lzma", "\x5D\0\0", 3},
    [F_BZIP2] = {"bzip2", "BZh", 3},
    [F_LZ4] = {"lz4", "\x02\x21\x4C\x18", 4},
    [F_ZSTD] = {"zstd", "\x28\xB5\x2F\xFD", 4},
    [F_LZO] = {"lzo", "\x89LZO\0", 5},
    [F_NONE] = {"none",
                "\x7F"
                "ELF",
                4},
};

static enum format format_of(const uint8_t *in, size_t len)
{
    unsigned i = 0;
    while (i < FORMATS &&
           (len < formats[i].len || memcmp(in, formats[i].magic, formats[i].len) != 0))
        i++;
    return (enum format)i;
}

const char *payload_format(const uint8_t *in, size_t len)
{
    enum format f = format_of(in, len);
    return f < FORMATS ? formats[f].name : NULL;
}

static int run(struct unpack *u, enum format f)
{
    switch (f) {
    case F_GZIP:
        return unpack_gzip(u);
    case F_XZ:
    case F_LZMA:
        return unpack_lzma(u, f == F_XZ);
    case F_BZIP2:
        return unpack_bzip2(u);
    case F_LZ4:
        return unpack_lz4(u);
    case F_ZSTD:
        return unpack_zstd(u);
    default:
        return copy_plain(u);
    }
}

static int explain(int r, enum format f, size_t limit, struct err *err)
{
    switch (r) {
    case -EFBIG:
        return err_set(err, EFBIG, "the %s-compressed kernel unpacks to more than %zu MiB",
                       formats[f].name, (size_t)(limit / MiB));
    case -ENOMEM:
        return err_set(err, ENOMEM, "out of memory while unpacking the kernel");
    default:
        err_set(err, EINVAL, "the %s-compressed kernel is damaged or cut off", formats[f].name);
        err_hint(err, "compare its size and checksum with the package it came from");
        return -EINVAL;
    }
}

int payload_unpack(const uint8_t *in, size_t len, size_t limit,
                   const struct payload_progress *progress, struct unpacked *out, struct err *err)
{
    struct unpack u = {.in = in, .len = len, .limit = limit, .progress = progress};
    enum format f = format_of(in, len);
    int r;
    if (f == FORMATS || f == F_LZO) {
        err_set(err, EINVAL, "the kernel is compressed by %s",
                f == F_LZO ? "LZO" : "something unknown");
        err_hint(err, "let the kernel unpack itself in the guest");
        return -EINVAL;
    }
    guess_size(&u);
    r = run(&u, f);
    if (r) {
        payload_free(&u.out, NULL);
        return explain(r, f, limit, err);
    }
    *out = u.out;
    return 0;
}
