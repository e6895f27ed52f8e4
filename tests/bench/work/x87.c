/* SPDX-License-Identifier: MIT */
/* x87 in 80 bits: add, multiply, divide, square root, some FSIN and FPATAN. */
#include "work.h"

int main(int argc, char **argv)
{
    unsigned long n = amount(argc, argv, 1500000);
    long double x = 0.37L, y = 1.0L, z = 0, r;

    for (unsigned long i = 0; i < n; i++) {
        x = 3.77L * x * (1.0L - x);
        y = y * 0.75L + x / (y + 1.5L);
        __asm__("fsqrt" : "=t"(r) : "0"(y));
        z += r;
        if ((i & 63) == 0) {
            __asm__("fsin" : "=t"(r) : "0"(x));
            z += r;
            __asm__("fpatan" : "=t"(r) : "0"(y), "u"(x) : "st(1)");
            z -= r;
        }
    }
    /* Transcendentals may differ in the last bits from one FPU to the next. */
    printf("x87: %lu %.9Lg\n", n, z);
    return 0;
}
