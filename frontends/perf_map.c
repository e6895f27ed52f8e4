/* SPDX-License-Identifier: MIT */
#include "frontends/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* Anybody may write to /tmp: a link that stands there is not followed. */
int perf_map_open(FILE **file, struct err *err)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%ld.map", (long)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (*file)
        return 0;
    int code = errno;
    if (fd >= 0)
        close(fd);
    return err_set(err, code, "cannot write '%s': %s", path, strerror(code));
}

void perf_map_add(void *file, const void *code, size_t size, uint64_t rip, uint64_t physical)
{
    fprintf(file, "%" PRIxPTR " %zx guest_%" PRIx64 "_at_%" PRIx64 "\n", (uintptr_t)code, size, rip, physical);
}
