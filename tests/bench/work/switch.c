/* SPDX-License-Identifier: MIT */
/* Two processes passing a byte to and fro: context switches, i.e. loads of CR3. */
#include "work.h"
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 12000), ok = 0;
    int there[2], back[2];
    uint8_t got = 0;

    if (pipe(there) || pipe(back))
        return 1;
    pid_t p = fork();
    if (p < 0)
        return 1;
    if (!p) {
        while (n-- && read(there[0], &got, 1) == 1) {
            got++;
            if (write(back[1], &got, 1) != 1)
                _exit(1);
        }
        _exit(0);
    }
    for (unsigned long i = 0; i < n; i++) {
        uint8_t sent = (uint8_t)i;
        if (write(there[1], &sent, 1) != 1 || read(back[0], &got, 1) != 1)
            return 1;
        ok += got == (uint8_t)(sent + 1);
    }
    waitpid(p, NULL, 0);
    printf("switch: %lu %lu\n", n, ok);
    return ok != n;
}
