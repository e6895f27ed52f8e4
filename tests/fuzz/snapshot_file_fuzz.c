/* SPDX-License-Identifier: MIT */
/*
 * The file around a saved state: header and zstd frame, damaged in any way. (What stands inside is
 * snapshot_fuzz's.) A first byte that is odd puts the right header before the rest. Whatever can be
 * read is the same after a rewind.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "monitor/timeline/snapshot.h"

#define MOST (256 * KiB) /* a short file can be a very long stream */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_all(struct snapshot_reader *r, uint8_t *to)
{
    size_t n = 0;
    while (n < MOST && snapshot_get_u8(r, &to[n]))
        n++;
    (void)snapshot_check_end(r);
    return n;
}

static void put_file(int fd, const uint8_t *data, size_t size)
{
    uint8_t header[16] = "TRAPLINE";
    le32_store(header + 8, SNAPSHOT_VERSION);
    size_t n = data[0] & 1 ? sizeof(header) : 0;
    if (ftruncate(fd, 0) < 0 || pwrite(fd, header, n, 0) != (ssize_t)n ||
        pwrite(fd, data + 1, size - 1, (off_t)n) != (ssize_t)(size - 1))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[] = "/tmp/trapline-fuzz-state-XXXXXX";
    static int fd = -1;
    static uint8_t first[MOST], second[MOST];
    struct err err = {{0}, {0}};
    if (fd < 0 && (fd = mkstemp(path)) < 0)
        abort();
    if (size < 1)
        return 0;
    put_file(fd, data, size);
    struct snapshot_reader *r = snapshot_open(path, &err);
    if (!r && !err.text[0])
        abort(); /* a refusal without a reason */
    if (!r)
        return 0;
    size_t n = read_all(r, first);
    if (snapshot_rewind(r, &err) == 0 &&
        (read_all(r, second) != n || memcmp(first, second, n) != 0))
        abort();
    snapshot_close(r);
    return 0;
}
