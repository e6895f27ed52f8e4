/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "monitor/timeline/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/endian.h"
#include "monitor/timeline/digest.h"
#include "monitor/zstd_stream.h"

#define BUFFER (256 * 1024)
#define HEADER_BYTES 16
#define COMPRESSION 1 /* zstd level: memory is large and disks are slow */

static const uint8_t magic[8] = {'T', 'R', 'A', 'P', 'L', 'I', 'N', 'E'};

struct snapshot_writer {
    FILE *file;        /* the stand-in */
    char *path;        /* owned: final name */
    char *temporary;   /* owned: stand-in's name */
    struct zstd_writer *zstd; /* owned */
    struct digest *hash; /* owned: of everything put so far */
    uint8_t in[BUFFER];  /* not yet compressed */
    size_t used;       /* bytes of in[] */
    uint8_t out[BUFFER]; /* compressed */
    int error;         /* first errno, 0: none */
};

/* ---- writing ---- */

static void write_out(struct snapshot_writer *w, const void *p, size_t n)
{
    if (n && !w->error && fwrite(p, 1, n, w->file) != n)
        w->error = errno ? errno : EIO;
}

static void compress_some(struct snapshot_writer *w, bool is_end)
{
    struct zstd_step s = {.in = w->in, .in_size = w->used, .out = w->out, .out_size = sizeof(w->out)};
    int rc = 1;
    while (rc > 0 && !w->error) {
        s.out_used = 0;
        rc = zstd_writer_step(w->zstd, &s, is_end);
        write_out(w, w->out, s.out_used);
    }
    if (rc < 0 && !w->error)
        w->error = -rc;
    w->used = 0;
}

static void put_raw(struct snapshot_writer *w, const void *p, size_t n)
{
    const uint8_t *b = p;
    while (n > 0) {
        size_t part = sizeof(w->in) - w->used < n ? sizeof(w->in) - w->used : n;
        memcpy(w->in + w->used, b, part);
        w->used += part;
        b += part;
        n -= part;
        if (w->used == sizeof(w->in))
            compress_some(w, false);
    }
}

void snapshot_put(struct snapshot_writer *w, const void *p, size_t n)
{
    digest_update(w->hash, p, n);
    put_raw(w, p, n);
}

static void put_number(struct snapshot_writer *w, uint64_t v, unsigned size)
{
    uint8_t b[8];
    le_store(b, v, size);
    snapshot_put(w, b, size);
}

void snapshot_put_u8(struct snapshot_writer *w, uint8_t v)
{
    put_number(w, v, 1);
}

void snapshot_put_u16(struct snapshot_writer *w, uint16_t v)
{
    put_number(w, v, 2);
}

void snapshot_put_u32(struct snapshot_writer *w, uint32_t v)
{
    put_number(w, v, 4);
}

void snapshot_put_u64(struct snapshot_writer *w, uint64_t v)
{
    put_number(w, v, 8);
}

void snapshot_put_name(struct snapshot_writer *w, const char *name)
{
    size_t n = strlen(name);
    assert(n <= SNAPSHOT_NAME_MAX);
    snapshot_put_u8(w, (uint8_t)n);
    snapshot_put(w, name, n);
}

static void writer_free(struct snapshot_writer *w)
{
    if (w->file)
        fclose(w->file);
    zstd_writer_destroy(w->zstd);
    digest_destroy(w->hash);
    free(w->temporary);
    free(w->path);
    free(w);
}

void snapshot_abandon(struct snapshot_writer *w)
{
    if (w->file)
        unlink(w->temporary);
    writer_free(w);
}

static void put_header(struct snapshot_writer *w)
{
    uint8_t header[HEADER_BYTES] = {0};
    memcpy(header, magic, sizeof(magic));
    le32_store(header + 8, SNAPSHOT_VERSION);
    write_out(w, header, sizeof(header));
}

/* A new file at the template's place, or NULL and errno. */
static FILE *create_file(char *template)
{
    int fd = mkstemp(template);
    FILE *f = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (fd >= 0 && !f) {
        int code = errno;
        close(fd);
        unlink(template);
        errno = code;
    }
    return f;
}

struct snapshot_writer *snapshot_create(const char *path, struct err *err)
{
    static const char suffix[] = ".XXXXXX";
    struct snapshot_writer *w = calloc(1, sizeof(*w));
    size_t n = strlen(path);
    if (w) {
        w->path = malloc(n + 1);
        w->temporary = malloc(n + sizeof(suffix));
        w->zstd = zstd_writer_create(COMPRESSION);
        w->hash = digest_create();
    }
    if (!w || !w->path || !w->temporary || !w->zstd || !w->hash) {
        if (w)
            writer_free(w);
        err_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    memcpy(w->path, path, n + 1);
    memcpy(w->temporary, path, n);
    memcpy(w->temporary + n, suffix, sizeof(suffix));
    w->file = create_file(w->temporary);
    if (!w->file) {
        err_set(err, errno, "cannot write the state to %s: %s", path, strerror(errno));
        err_hint(err, "is its directory there, and writable?");
        writer_free(w);
        return NULL;
    }
    put_header(w);
    return w;
}

int snapshot_commit(struct snapshot_writer *w, struct err *err)
{
    uint8_t digest[16];
    digest_store(digest, digest_value(w->hash));
    put_raw(w, digest, sizeof(digest));
    compress_some(w, true);
    if (!w->error && (fflush(w->file) != 0 || fsync(fileno(w->file)) != 0 || fchmod(fileno(w->file), 0644) != 0))
        w->error = errno;
    if (!w->error && rename(w->temporary, w->path) != 0)
        w->error = errno;
    int code = w->error;
    if (code) {
        err_set(err, code, "cannot write the state to %s: %s", w->path, strerror(code));
        err_hint(err, "is there room on the disk?");
        snapshot_abandon(w);
        return -code;
    }
    writer_free(w);
    return 0;
}

/* ---- reading ---- */

struct snapshot_reader {
    FILE *file;          /* owned; NULL: the stream is in memory */
    struct zstd_reader *zstd; /* owned; NULL without a file */
    struct digest *hash; /* owned: of everything got so far */
    uint8_t in[BUFFER];  /* compressed */
    size_t in_size;      /* bytes of in[] */
    size_t in_used;      /* of them, decompressed */
    uint8_t out[BUFFER]; /* decompressed */
    const uint8_t *data; /* what to give next: out[], or the stream in memory (borrowed) */
    size_t have;         /* bytes of data */
    size_t next;         /* first not yet given */
    bool failed;         /* damaged or short */
};

/* Decompress more into out[]. False at the end or on damage. */
static bool refill(struct snapshot_reader *r)
{
    if (!r->file)
        return false;
    r->have = r->next = 0;
    while (r->have == 0) {
        if (r->in_used == r->in_size) {
            r->in_used = 0;
            r->in_size = fread(r->in, 1, sizeof(r->in), r->file);
            if (r->in_size == 0)
                return false;
        }
        struct zstd_step s = {r->in, r->in_size, r->in_used, r->out, sizeof(r->out), 0};
        if (zstd_reader_step(r->zstd, &s) < 0)
            return false;
        r->in_used = s.in_used;
        r->have = s.out_used;
    }
    return true;
}

static bool get_raw(struct snapshot_reader *r, void *p, size_t n)
{
    uint8_t *b = p;
    while (n > 0 && !r->failed) {
        if (r->next == r->have && !refill(r)) {
            r->failed = true;
            break;
        }
        size_t part = r->have - r->next < n ? r->have - r->next : n;
        memcpy(b, r->data + r->next, part);
        r->next += part;
        b += part;
        n -= part;
    }
    return !r->failed;
}

bool snapshot_get(struct snapshot_reader *r, void *p, size_t n)
{
    if (!get_raw(r, p, n)) {
        memset(p, 0, n);
        return false;
    }
    digest_update(r->hash, p, n);
    return true;
}

bool snapshot_get_u8(struct snapshot_reader *r, uint8_t *v)
{
    return snapshot_get(r, v, 1);
}

bool snapshot_get_u16(struct snapshot_reader *r, uint16_t *v)
{
    uint8_t b[2];
    bool ok = snapshot_get(r, b, sizeof(b));
    *v = le16_load(b);
    return ok;
}

bool snapshot_get_u32(struct snapshot_reader *r, uint32_t *v)
{
    uint8_t b[4];
    bool ok = snapshot_get(r, b, sizeof(b));
    *v = le32_load(b);
    return ok;
}

bool snapshot_get_u64(struct snapshot_reader *r, uint64_t *v)
{
    uint8_t b[8];
    bool ok = snapshot_get(r, b, sizeof(b));
    *v = le64_load(b);
    return ok;
}

bool snapshot_get_name(struct snapshot_reader *r, char name[SNAPSHOT_NAME_MAX + 1])
{
    uint8_t n;
    memset(name, 0, SNAPSHOT_NAME_MAX + 1);
    if (!snapshot_get_u8(r, &n) || n > SNAPSHOT_NAME_MAX) {
        r->failed = true;
        return false;
    }
    return snapshot_get(r, name, n);
}

bool snapshot_check_end(struct snapshot_reader *r)
{
    uint8_t want[16], digest[16], extra;
    digest_store(want, digest_value(r->hash));
    if (!get_raw(r, digest, sizeof(digest)) || memcmp(digest, want, sizeof(want)) != 0)
        return false;
    return !get_raw(r, &extra, 1);
}

static int check_header(struct snapshot_reader *r, const char *path, struct err *err)
{
    uint8_t header[HEADER_BYTES];
    if (fread(header, 1, sizeof(header), r->file) != sizeof(header) || memcmp(header, magic, 8) != 0 ||
        le32_load(header + 12) != 0) {
        err_set(err, EINVAL, "%s is not a saved state", path);
        err_hint(err, "saved states are written by --save");
        return -EINVAL;
    }
    if (le32_load(header + 8) != SNAPSHOT_VERSION) {
        err_set(err, EINVAL, "%s is a saved state of version %u; this build reads version %u", path,
                (unsigned)le32_load(header + 8), SNAPSHOT_VERSION);
        err_hint(err, "load it with the build that saved it");
        return -EINVAL;
    }
    return 0;
}

/* What both kinds of reader have. NULL: out of memory. */
static struct snapshot_reader *reader_create(void)
{
    struct snapshot_reader *r = calloc(1, sizeof(*r));
    if (r && !(r->hash = digest_create())) {
        free(r);
        return NULL;
    }
    return r;
}

struct snapshot_reader *snapshot_open(const char *path, struct err *err)
{
    struct snapshot_reader *r = reader_create();
    if (!r || !(r->zstd = zstd_reader_create())) {
        if (r)
            snapshot_close(r);
        err_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    r->data = r->out;
    r->file = fopen(path, "rb");
    if (!r->file) {
        err_set(err, errno, "cannot open the saved state %s: %s", path, strerror(errno));
        snapshot_close(r);
        return NULL;
    }
    if (check_header(r, path, err) < 0) {
        snapshot_close(r);
        return NULL;
    }
    return r;
}

struct snapshot_reader *snapshot_open_stream(const uint8_t *bytes, size_t n)
{
    struct snapshot_reader *r = reader_create();
    if (r) {
        r->data = bytes;
        r->have = n;
    }
    return r;
}

int snapshot_rewind(struct snapshot_reader *r, struct err *err)
{
    digest_reset(r->hash);
    r->next = 0;
    r->failed = false;
    if (!r->file)
        return 0;
    if (fseek(r->file, HEADER_BYTES, SEEK_SET) != 0)
        return err_set(err, errno, "cannot read the saved state again: %s", strerror(errno));
    zstd_reader_restart(r->zstd);
    r->have = r->in_size = r->in_used = 0;
    return 0;
}

void snapshot_close(struct snapshot_reader *r)
{
    if (r->file)
        fclose(r->file);
    zstd_reader_destroy(r->zstd);
    digest_destroy(r->hash);
    free(r);
}
