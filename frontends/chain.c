/* SPDX-License-Identifier: MIT */
#include "frontends/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/types.h"

static int failed(const struct chain *c, const char *what, struct err *err)
{
    int code = errno ? errno : EIO;
    err_set(err, code, "cannot %s the hash file '%s': %s", what, c->path, strerror(code));
    err_hint(err, "check the path and its permissions");
    return -code;
}

/* One line; false: not one of ours, or behind the position. */
static bool read_line(const char *line, uint64_t ticks, uint8_t link[TRAPLINE_HASH_BYTES])
{
    uint64_t at, when;
    int used = 0;
    uint8_t got[TRAPLINE_HASH_BYTES];
    if (sscanf(line, "%" SCNu64 " %" SCNu64 " %n", &at, &when, &used) != 2 || at > ticks ||
        used == 0)
        return false;
    for (unsigned i = 0; i < TRAPLINE_HASH_BYTES; i++)
        if (sscanf(line + used + 2 * i, "%2" SCNx8, &got[i]) != 1)
            return false;
    memcpy(link, got, sizeof(got));
    return true;
}

/* Find the last link at or before `ticks`, and cut off what follows. */
static int resume(struct chain *c, uint64_t ticks, struct err *err)
{
    char line[128];
    long end = 0;
    while (fgets(line, sizeof(line), c->out) && read_line(line, ticks, c->link))
        end = ftell(c->out);
    if (end < 0 || ftruncate(fileno(c->out), (off_t)end) < 0 || fseek(c->out, end, SEEK_SET) < 0)
        return failed(c, "continue", err);
    return 0;
}

int chain_open(struct chain *c, uint64_t every, const char *path, uint64_t ticks, bool continues,
               struct err *err)
{
    *c = (struct chain){.path = path, .every = every, .next = UINT64_MAX};
    if (every == 0)
        return 0;
    c->next = ticks > UINT64_MAX - every ? UINT64_MAX : ticks - ticks % every + every;
    errno = 0;
    c->out = !path ? stderr : continues ? fopen(path, "r+") : NULL;
    if (c->out && path)
        return resume(c, ticks, err);
    if (!c->out)
        c->out = fopen(path, "w");
    return c->out ? 0 : failed(c, "write", err);
}

int chain_add(struct chain *c, struct trapline_machine *m, struct err *err)
{
    struct trapline_error e;
    if (trapline_hash_chain(m, c->link, &e) < 0)
        return err_set(err, ENOMEM, "%s", e.text);
    fprintf(c->out, "%" PRIu64 " %" PRIu64 " ", trapline_ticks(m), trapline_vtime_ns(m));
    for (unsigned i = 0; i < TRAPLINE_HASH_BYTES; i++)
        fprintf(c->out, "%02x", c->link[i]);
    fputc('\n', c->out);
    c->next = c->next > UINT64_MAX - c->every ? UINT64_MAX : c->next + c->every;
    return 0;
}

int chain_close(struct chain *c, struct err *err)
{
    FILE *out = c->out;
    c->out = NULL;
    if (!out || !c->path)
        return 0;
    errno = 0;
    bool is_bad = ferror(out);
    if (fclose(out) != 0 || is_bad)
        return failed(c, "write", err);
    return 0;
}
