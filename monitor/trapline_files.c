/* SPDX-License-Identifier: MIT */
/* The files that a machine is made from. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/load_bzimage.h"
#include "monitor/trapline_priv.h"

#define READ_STEP (1u << 20)

static void free_data(struct file_bytes *f)
{
    if (f->pieces)
        pieces_give(NULL, f->data, f->pieces);
    else
        free(f->data);
    f->data = NULL;
    f->pieces = 0;
}

void file_free(struct file_bytes *f)
{
    free_data(f);
    free(f->name);
    *f = (struct file_bytes){0};
}

static int cannot_read(struct err *err, const char *what, const char *path, int code)
{
    err_set(err, code, "cannot read the %s '%s': %s", what, path, strerror(code));
    err_hint(err, code == ENOENT ? "check the path; relative ones start at the current directory"
                                 : "check the file and its permissions");
    return -code;
}

/* Make room for at least one more byte after used. */
static bool grow(struct file_bytes *f, size_t used, size_t *room)
{
    if (used < *room)
        return true;
    size_t more = *room < READ_STEP ? READ_STEP : *room;
    uint8_t *p = *room > SIZE_MAX - more ? NULL : realloc(f->pieces ? NULL : f->data, *room + more);
    if (!p)
        return false;
    if (f->pieces) {
        memcpy(p, f->data, used);
        free_data(f);
    }
    f->data = p;
    *room += more;
    return true;
}

/* Room for expected bytes and one more: in pieces, if it fills one. */
static size_t make_room(struct file_bytes *f, size_t expected)
{
    size_t room = expected < SIZE_MAX ? expected + 1 : expected;
    if (expected >= PIECE_BYTES) {
        f->data = pieces_map(expected / PIECE_BYTES + 1);
        f->pieces = f->data ? expected / PIECE_BYTES + 1 : 0;
    } else {
        f->data = malloc(room);
    }
    return room;
}

/* Regular files, pipes and devices alike. expected: bytes, if known, so that nothing is copied
 * twice. */
static int read_all(struct file_bytes *f, int fd, size_t expected)
{
    size_t room = make_room(f, expected);
    while (f->data && grow(f, f->size, &room)) {
        ssize_t n = read(fd, f->data + f->size, room - f->size);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        f->size += n > 0 ? (size_t)n : 0;
    }
    return -ENOMEM;
}

static int open_file(const char *path, size_t *size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fstat(fd, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : 0;
    if (rc == 0 && S_ISREG(st.st_mode) && (uintmax_t)st.st_size > SIZE_MAX / 2)
        rc = -EFBIG;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *size = S_ISREG(st.st_mode) ? (size_t)st.st_size : 0;
    return fd;
}

int file_read(struct file_bytes *out, const char *what, const char *path, struct err *err)
{
    size_t expected = 0;
    *out = (struct file_bytes){0};
    int fd = open_file(path, &expected);
    if (fd < 0)
        return cannot_read(err, what, path, -fd);
    int rc = read_all(out, fd, expected);
    close(fd);
    out->name = strdup(path);
    if (rc == 0 && !out->name)
        rc = -ENOMEM;
    if (rc < 0) {
        file_free(out);
        return cannot_read(err, what, path, -rc);
    }
    if (out->size == 0) {
        file_free(out);
        err_set(err, EINVAL, "the %s '%s' is empty", what, path);
        err_hint(err, "get the file again");
        return -EINVAL;
    }
    return 0;
}

/* From memory or by path; neither: nothing. */
static int take(struct file_bytes *out, const char *what, const struct trapline_file *file,
                struct err *err)
{
    if (!file->data)
        return file->path ? file_read(out, what, file->path, err) : 0;
    out->data = malloc(file->size ? file->size : 1);
    out->name = strdup(file->path ? file->path : what);
    out->size = file->size;
    if (!out->data || !out->name)
        return err_set(err, ENOMEM, "out of memory for the %s", what);
    memcpy(out->data, file->data, file->size);
    return 0;
}

static struct blob blob_of(const struct file_bytes *f)
{
    return (struct blob){.data = f->data, .size = f->size, .name = f->name};
}

static unsigned count_pieces(const char *option)
{
    unsigned n = 1;
    for (const char *p = option; *p; p++) {
        if (p[0] == ',' && p[1] == ',')
            p++;
        else
            n += *p == ',';
    }
    return n;
}

/* "path arguments,path arguments": the modules of a Multiboot or PVH kernel. */
static int read_modules(struct trapline_machine *t, struct boot_info *boot, struct err *err)
{
    struct module_spec specs[MAX_MODULES];
    unsigned pieces = count_pieces(t->initrd);
    if (pieces > MAX_MODULES) {
        err_set(err, EINVAL, "-initrd names %u modules", pieces);
        err_hint(err, "at most %d are possible", MAX_MODULES);
        return -EINVAL;
    }
    unsigned n = loader_split_modules(t->initrd, specs, MAX_MODULES);
    for (unsigned i = 0; i < n; i++) {
        char *path = strndup(specs[i].command, specs[i].path_len);
        if (!path)
            return err_set(err, ENOMEM, "out of memory");
        int rc = file_read(&t->modules[i], "module", path, err);
        free(path);
        if (rc < 0)
            return rc;
        boot->modules[i] = blob_of(&t->modules[i]);
        boot->modules[i].name = specs[i].command;
    }
    boot->module_count = n;
    return 0;
}

/* Linux takes one file; what stands in its name is its name. */
static int read_initrd(struct trapline_machine *t, struct boot_info *boot, struct err *err)
{
    if (!bzimage_recognises(t->kernel.data, t->kernel.size))
        return read_modules(t, boot, err);
    int rc = file_read(&t->modules[0], "initrd", t->initrd, err);
    if (rc == 0)
        boot->initrd = blob_of(&t->modules[0]);
    return rc;
}

int trapline_read_files(struct trapline_machine *t, struct boot_info *boot, struct err *err)
{
    const struct trapline_config *config = &t->config;
    int rc = take(&t->kernel, "kernel", &config->kernel, err);
    if (rc == 0)
        rc = take(&t->bios, "firmware", &config->bios, err);
    if (rc < 0)
        return rc;
    if (!t->kernel.data && (config->initrd || config->append)) {
        err_set(err, EINVAL, "%s is given without a kernel",
                config->initrd ? "-initrd" : "-append");
        err_hint(err, "add -kernel FILE");
        return -EINVAL;
    }
    t->append = strdup(config->append ? config->append : "");
    t->initrd = config->initrd ? strdup(config->initrd) : NULL;
    if (!t->append || (config->initrd && !t->initrd))
        return err_set(err, ENOMEM, "out of memory");
    boot->kernel = blob_of(&t->kernel);
    boot->cmdline = t->append;
    boot->own_decompressor = config->own_decompressor;
    boot->progress = config->progress;
    boot->progress_opaque = config->progress_opaque;
    return t->initrd ? read_initrd(t, boot, err) : 0;
}

static void recycle(struct file_bytes *f, struct pieces *keep)
{
    if (f->pieces)
        pieces_give(keep, f->data, f->pieces);
    else
        free(f->data);
    f->data = NULL;
    f->size = f->pieces = 0;
}

void trapline_expect_recycling(struct trapline_machine *t)
{
    for (unsigned i = 0; i < MAX_MODULES; i++)
        if (t->modules[i].pieces > PIECES_KEPT)
            t->m->pieces.more = PIECES_KEPT_LARGE - PIECES_KEPT;
}

void trapline_recycle_files(struct trapline_machine *t)
{
    recycle(&t->kernel, &t->m->pieces);
    for (unsigned i = 0; i < MAX_MODULES; i++)
        recycle(&t->modules[i], &t->m->pieces);
}

void trapline_free_files(struct trapline_machine *t)
{
    file_free(&t->kernel);
    file_free(&t->bios);
    for (unsigned i = 0; i < MAX_MODULES; i++)
        file_free(&t->modules[i]);
    free(t->append);
    free(t->initrd);
}
