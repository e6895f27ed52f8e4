/* SPDX-License-Identifier: MIT */
#include "monitor/zstd_stream.h"

#include <errno.h>
#include <zstd.h>

/* Our names for the library's contexts: nothing but a cast of the pointer. */
static ZSTD_DCtx *dctx(struct zstd_reader *r)
{
    return (ZSTD_DCtx *)(void *)r;
}

static ZSTD_CCtx *cctx(struct zstd_writer *w)
{
    return (ZSTD_CCtx *)(void *)w;
}

struct zstd_reader *zstd_reader_create(void)
{
    return (struct zstd_reader *)(void *)ZSTD_createDCtx();
}

void zstd_reader_destroy(struct zstd_reader *r)
{
    ZSTD_freeDCtx(dctx(r));
}

void zstd_reader_restart(struct zstd_reader *r)
{
    ZSTD_DCtx_reset(dctx(r), ZSTD_reset_session_only);
}

int zstd_reader_step(struct zstd_reader *r, struct zstd_step *s)
{
    ZSTD_inBuffer in = {s->in, s->in_size, s->in_used};
    ZSTD_outBuffer out = {s->out, s->out_size, s->out_used};
    size_t left = ZSTD_decompressStream(dctx(r), &out, &in);
    s->in_used = in.pos;
    s->out_used = out.pos;
    if (ZSTD_isError(left))
        return -EINVAL;
    return left > 0;
}

struct zstd_writer *zstd_writer_create(int level)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    if (c)
        ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
    return (struct zstd_writer *)(void *)c;
}

void zstd_writer_destroy(struct zstd_writer *w)
{
    ZSTD_freeCCtx(cctx(w));
}

int zstd_writer_step(struct zstd_writer *w, struct zstd_step *s, bool is_end)
{
    ZSTD_inBuffer in = {s->in, s->in_size, s->in_used};
    ZSTD_outBuffer out = {s->out, s->out_size, s->out_used};
    size_t left = ZSTD_compressStream2(cctx(w), &out, &in, is_end ? ZSTD_e_end : ZSTD_e_continue);
    s->in_used = in.pos;
    s->out_used = out.pos;
    if (ZSTD_isError(left))
        return -EIO;
    return in.pos < in.size || (is_end && left > 0);
}
