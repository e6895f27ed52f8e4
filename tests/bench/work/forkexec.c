/* SPDX-License-Identifier: MIT */
/* fork, exec of itself, exit, wait: page tables made and dropped, fresh code pages. */
#include "work.h"
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "child"))
        _exit(7);
    unsigned long n = amount(argc, argv, 220), ok = 0;

    for (unsigned long i = 0; i < n; i++) {
        int status = 0;
        pid_t p = fork();
        if (p < 0)
            return 1;
        if (!p) {
            execl("/proc/self/exe", argv[0], "child", (char *)NULL);
            _exit(1);
        }
        waitpid(p, &status, 0);
        ok += WIFEXITED(status) && WEXITSTATUS(status) == 7;
    }
    printf("forkexec: %lu %lu\n", n, ok);
    return ok != n;
}
