/* SPDX-License-Identifier: MIT */
/* A file of symbols: its first 8 bytes are an address to look up, the rest is its text. */
#include <stdlib.h>
#include <string.h>

#include "frontends/symbols.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct symbols *s = NULL;
    struct err err;
    uint64_t address, offset = 0;
    if (size < 8)
        return 0;
    memcpy(&address, data, 8);
    if (symbols_parse((const char *)data + 8, size - 8, "input", &s, &err) < 0)
        return err.text[0] ? 0 : (abort(), 0); /* a refusal without a reason */
    const char *name = symbols_find(s, address, &offset);
    if (name && (!name[0] || offset > address))
        abort();
    symbols_free(s);
    return 0;
}
