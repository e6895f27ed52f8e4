/* SPDX-License-Identifier: MIT */
#include "roms/lib/guest.h"
int main(void) { print("demo\n"); return 0; }
