/* SPDX-License-Identifier: MIT */
#include "frontends/out_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *path, int code, const char *hint, struct err *err)
{
    err_set(err, code, "cannot write '%.300s': %s", path ? path : "standard output", strerror(code));
    err_hint(err, "%s", hint);
    return -code;
}

static int open_beside(struct out_file *f)
{
    static const char suffix[] = ".XXXXXX";
    size_t n = strlen(f->path);
    f->temporary = malloc(n + sizeof(suffix));
    if (!f->temporary)
        return ENOMEM;
    memcpy(f->temporary, f->path, n);
    memcpy(f->temporary + n, suffix, sizeof(suffix));
    int fd = mkstemp(f->temporary);
    if (fd >= 0) {
        mode_t mask = umask(0);
        umask(mask);
        (void)fchmod(fd, 0666 & ~mask); /* as fopen would have it */
        f->out = fdopen(fd, "w");
        if (f->out)
            return 0;
        close(fd);
        unlink(f->temporary);
    }
    int code = errno ? errno : EIO;
    free(f->temporary);
    f->temporary = NULL;
    return code;
}

int out_file_open(struct out_file *f, const char *path, const char *hint, struct err *err)
{
    struct stat st;
    int code = 0;
    *f = (struct out_file){.path = path};
    errno = 0;
    if (!path)
        f->out = stdout;
    else if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        f->out = S_ISDIR(st.st_mode) ? (errno = EISDIR, NULL) : fopen(path, "w");
    else
        code = open_beside(f);
    if (f->out)
        return 0;
    return failed(path, code ? code : errno, hint, err);
}

int out_file_finish(struct out_file *f, struct err *err)
{
    FILE *out = f->out;
    errno = 0;
    bool is_bad = fflush(out) != 0 || ferror(out);
    int code = errno ? errno : EIO;
    f->out = NULL;
    if (out != stdout && fclose(out) != 0 && !is_bad) {
        code = errno;
        is_bad = true;
    }
    if (!is_bad && f->temporary && rename(f->temporary, f->path) != 0) {
        code = errno;
        is_bad = true;
    }
    if (f->temporary && is_bad)
        unlink(f->temporary);
    free(f->temporary);
    f->temporary = NULL;
    return is_bad ? failed(f->path, code, "the disk may be full", err) : 0;
}

void out_file_discard(struct out_file *f)
{
    if (f->out && f->out != stdout)
        fclose(f->out);
    if (f->temporary)
        unlink(f->temporary);
    free(f->temporary);
    *f = (struct out_file){.path = NULL};
}
