/* SPDX-License-Identifier: MIT */
/* The runtime stands: text, a check, the way out. */
#include "roms/lib/guest.h"

int main(void)
{
    print("[%5d] [%-5u] [%05x] [%s] [%c] [%llu]\n", -42, 42u, 0xABCu, "text", 'c',
          (unsigned long long)UINT64_C(12345678901234567890));
    check_equal("loaded by Multiboot", 0x2BADB002, boot_magic);
    check("the loader gave its information", boot_info != 0);
    return checks_result();
}
