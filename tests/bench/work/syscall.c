/* SPDX-License-Identifier: MIT */
/* The way into the kernel and back: getpid, which does nothing there. */
#define _GNU_SOURCE
#include "work.h"
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 900000), bad = 0;
    long pid = syscall(SYS_getpid);

    for (unsigned long i = 0; i < n; i++)
        bad += syscall(SYS_getpid) != pid;
    printf("syscall: %lu %lu\n", n, bad);
    return bad != 0;
}
