/* SPDX-License-Identifier: MIT */
#include "monitor/payload.h"

#include <bzlib.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/endian.h"
#include "tests/test.h"

enum { PLAIN = 2200000, ROOM = 4 << 20, LIMIT = 16 << 20 };
enum kind { GZIP, XZ, LZMA, BZIP2, LZ4, ZSTD, KINDS };
static const char *const names[KINDS] = {"gzip", "xz", "lzma", "bzip2", "lz4", "zstd"};

/* Text that packs, but not to nothing. */
static void make_plain(uint8_t *p)
{
    uint32_t x = 1;
    for (unsigned i = 0; i < PLAIN; i++) {
        x = x * 1103515245 + 12345;
        p[i] = (uint8_t)((uint8_t) "abcdefgh"[x >> 29] + (i >> 16));
    }
}

static size_t pack_gzip(const uint8_t *in, uint8_t *out)
{
    z_stream z = {
        .next_in = (Bytef *)(uintptr_t)in, .avail_in = PLAIN, .next_out = out, .avail_out = ROOM};
    deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return z.total_out;
}

/* As the kernel's build does: x86 filter, CRC32, a dictionary of its own size. */
static size_t pack_xz(const uint8_t *in, uint8_t *out)
{
    lzma_options_lzma options;
    lzma_filter filters[] = {
        {LZMA_FILTER_X86, NULL}, {LZMA_FILTER_LZMA2, &options}, {LZMA_VLI_UNKNOWN, NULL}};
    size_t n = 0;
    lzma_lzma_preset(&options, 0);
    EXPECT_EQ(LZMA_OK,
              lzma_stream_buffer_encode(filters, LZMA_CHECK_CRC32, NULL, in, PLAIN, out, &n, ROOM));
    return n;
}

static size_t pack_lzma(const uint8_t *in, uint8_t *out)
{
    lzma_stream s = LZMA_STREAM_INIT;
    lzma_options_lzma options;
    lzma_lzma_preset(&options, 0);
    EXPECT_EQ(LZMA_OK, lzma_alone_encoder(&s, &options));
    s.next_in = in;
    s.avail_in = PLAIN;
    s.next_out = out;
    s.avail_out = ROOM;
    EXPECT_EQ(LZMA_STREAM_END, lzma_code(&s, LZMA_FINISH));
    lzma_end(&s);
    return (size_t)s.total_out;
}

static size_t pack_lz4(const uint8_t *in, uint8_t *out)
{
    int n = LZ4_compress_default((const char *)in, (char *)out + 8, PLAIN, ROOM - 8);
    le32_store(out, 0x184C2102);
    le32_store(out + 4, (uint32_t)n);
    return (size_t)n + 8;
}

/* Packed bytes with the size behind them, as Linux appends it (gzip has it already); *len of it
 * all. */
static uint8_t *pack(enum kind kind, const uint8_t *in, size_t *len)
{
    uint8_t *out = malloc(ROOM + 4);
    unsigned bz = ROOM;
    switch (kind) {
    case GZIP:
        *len = pack_gzip(in, out);
        return out;
    case XZ:
        *len = pack_xz(in, out);
        break;
    case LZMA:
        *len = pack_lzma(in, out);
        break;
    case BZIP2:
        BZ2_bzBuffToBuffCompress((char *)out, &bz, (char *)(uintptr_t)in, PLAIN, 1, 0, 0);
        *len = bz;
        break;
    case LZ4:
        *len = pack_lz4(in, out);
        break;
    default:
        *len = ZSTD_compress(out, ROOM, in, PLAIN, 3);
        break;
    }
    le32_store(out + *len, PLAIN);
    *len += 4;
    return out;
}

static int unpack(const uint8_t *in, size_t len, size_t limit, struct unpacked *out)
{
    struct err err;
    return payload_unpack(in, len, limit, NULL, out, &err);
}

static void expect_plain(struct unpacked *out, const uint8_t *plain)
{
    EXPECT_EQ(PLAIN, out->size);
    EXPECT(memcmp(out->data, plain, PLAIN) == 0);
    payload_free(out, NULL);
}

static void each_kind(void (*test)(const uint8_t *plain, const uint8_t *packed, size_t len,
                                   enum kind kind))
{
    uint8_t *plain = malloc(PLAIN);
    make_plain(plain);
    for (enum kind k = 0; k < KINDS; k++) {
        size_t len = 0;
        uint8_t *packed = pack(k, plain, &len);
        EXPECT(len > 1000 && len < PLAIN);
        test(plain, packed, len, k);
        free(packed);
    }
    free(plain);
}

static void comes_back(const uint8_t *plain, const uint8_t *packed, size_t len, enum kind kind)
{
    struct unpacked out;
    EXPECT_STR(names[kind], payload_format(packed, len));
    EXPECT_EQ(0, unpack(packed, len, LIMIT, &out));
    expect_plain(&out, plain);
    EXPECT_EQ(0, unpack(packed, len, PLAIN, &out)); /* the limit itself is allowed */
    expect_plain(&out, plain);
}

static void cut_is_refused(const uint8_t *plain, const uint8_t *packed, size_t len, enum kind kind)
{
    struct unpacked out;
    (void)plain, (void)kind;
    for (size_t cut = 16; cut < len; cut += len / 13)
        EXPECT_EQ(-EINVAL, unpack(packed, len - cut, LIMIT, &out));
}

static void limit_holds(const uint8_t *plain, const uint8_t *packed, size_t len, enum kind kind)
{
    struct unpacked out;
    (void)plain, (void)kind;
    EXPECT_EQ(-EFBIG, unpack(packed, len, PLAIN - 1, &out));
    EXPECT_EQ(-EFBIG, unpack(packed, len, 100000, &out));
}

/* A wrong size behind the data changes nothing. */
static void lie_is_harmless(const uint8_t *plain, const uint8_t *packed, size_t len, enum kind kind)
{
    static const uint32_t lies[] = {0, 1, PLAIN - 1, PLAIN + 1, UINT32_MAX};
    uint8_t *copy = malloc(len);
    struct unpacked out;
    memcpy(copy, packed, len);
    for (unsigned i = 0; i < sizeof(lies) / sizeof(lies[0]) && kind != GZIP; i++) {
        le32_store(copy + len - 4, lies[i]);
        EXPECT_EQ(0, unpack(copy, len, LIMIT, &out));
        expect_plain(&out, plain);
    }
    free(copy);
}

static void damage_never_crashes(const uint8_t *plain, const uint8_t *packed, size_t len,
                                 enum kind kind)
{
    uint8_t *copy = malloc(len);
    struct unpacked out;
    (void)plain, (void)kind;
    memcpy(copy, packed, len);
    for (size_t at = 0; at < len; at += 1 + len / 29) {
        copy[at] ^= 0x55;
        if (unpack(copy, len, LIMIT, &out) == 0)
            payload_free(&out, NULL);
        copy[at] ^= 0x55;
    }
    free(copy);
}

TEST(payload, every_format_comes_back)
{
    each_kind(comes_back);
}

TEST(payload, cut_off_input_is_refused)
{
    each_kind(cut_is_refused);
}

TEST(payload, limit_on_the_size_holds)
{
    each_kind(limit_holds);
}

TEST(payload, appended_size_is_only_a_guess)
{
    each_kind(lie_is_harmless);
}

TEST(payload, damaged_input_never_crashes)
{
    each_kind(damage_never_crashes);
}

TEST(payload, unknown_formats_are_named)
{
    struct err err = {.text = "", .hint = ""};
    const uint8_t lzo[16] = {0x89, 'L', 'Z', 'O', 0};
    struct unpacked out;
    EXPECT_STR("lzo", payload_format(lzo, sizeof(lzo)));
    EXPECT(!payload_format((const uint8_t *)"hello", 5));
    EXPECT(!payload_format(lzo, 0));
    EXPECT_EQ(-EINVAL, payload_unpack(lzo, sizeof(lzo), LIMIT, NULL, &out, &err));
    EXPECT(strstr(err.text, "LZO"));
    EXPECT_EQ(-EINVAL, payload_unpack(lzo, 0, LIMIT, NULL, &out, &err));
}

static void remember(void *opaque, const char *what, uint64_t done, uint64_t total)
{
    uint64_t *last = opaque;
    EXPECT(what[0]);
    EXPECT(done >= last[0] && done <= total);
    last[0] = done;
    last[1] = total;
}

TEST(payload, progress_climbs_to_the_whole)
{
    uint64_t last[2] = {0, 0};
    const struct payload_progress progress = {.report = remember, .opaque = last};
    uint8_t *plain = malloc(PLAIN), *packed;
    struct unpacked out;
    size_t len = 0;
    make_plain(plain);
    packed = pack(ZSTD, plain, &len);
    EXPECT_EQ(0, payload_unpack(packed, len, LIMIT, &progress, &out, NULL));
    EXPECT_EQ(PLAIN, last[0]);
    EXPECT_EQ(PLAIN, last[1]);
    free(plain);
    free(packed);
    payload_free(&out, NULL);
}

TEST_MAIN(RUN(payload, every_format_comes_back) RUN(payload, cut_off_input_is_refused)
              RUN(payload, limit_on_the_size_holds) RUN(payload, appended_size_is_only_a_guess)
                  RUN(payload, damaged_input_never_crashes) RUN(payload, unknown_formats_are_named)
                      RUN(payload, progress_climbs_to_the_whole))
