/* SPDX-License-Identifier: MIT */
/* In the place of the embedded guest when roms/ does not build one. */
#include "frontends/embedded.h"

const unsigned char embedded_guest[] = {0};
const size_t embedded_guest_size = 0;
