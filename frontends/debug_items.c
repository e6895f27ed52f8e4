/* SPDX-License-Identifier: MIT */
#include "frontends/debug_items.h"

#include <stdio.h>
#include <string.h>

#include "base/compiler.h"

static const struct debug_item items[] = {
#define PATTERNS(a, b, c)                                                                          \
    {                                                                                              \
        a, b, c                                                                                    \
    }
#define ITEM(name, patterns, help) {name, patterns, help},
#include "frontends/debug_items.def"
#undef ITEM
#undef PATTERNS
};

const struct debug_item *debug_item_at(unsigned i)
{
    return i < ARRAY_SIZE(items) ? &items[i] : NULL;
}

const struct debug_item *debug_item_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(items); i++)
        if (strcmp(items[i].name, name) == 0)
            return &items[i];
    return NULL;
}

void debug_items_list(char *text, size_t size)
{
    size_t used = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(items) && used < size; i++) {
        int n = snprintf(text + used, size - used, "%s%s", i ? ", " : "-d takes ", items[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
}
