/* SPDX-License-Identifier: MIT */
#include "frontends/symbols_elf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

/* Little-endian, as x86 guests are: the parts of the tables of "System V ABI", "Object Files", that are needed. */
enum { SHT_SYMTAB_TYPE = 2, STT_NOTYPE_KIND = 0, STT_FUNC_KIND = 2, NAME_MAX_LENGTH = 255 };

struct elf {
    const uint8_t *data;
    size_t size;
    bool is_64;
};

struct section {
    uint32_t type, link;
    uint64_t offset, size;
};

bool symbols_is_elf(const char *data, size_t size)
{
    return size >= 52 && memcmp(data, "\177ELF", 4) == 0;
}

static bool section_at(const struct elf *e, unsigned i, struct section *s)
{
    size_t need = e->is_64 ? 64 : 40;
    uint64_t table = e->is_64 ? le64_load(e->data + 0x28) : le32_load(e->data + 0x20);
    uint16_t entry = le16_load(e->data + (e->is_64 ? 0x3a : 0x2e)), count = le16_load(e->data + (e->is_64 ? 0x3c : 0x30));
    if (i >= count || entry < need || table > e->size || (uint64_t)entry * (i + 1u) > e->size - table)
        return false;
    const uint8_t *p = e->data + table + (size_t)entry * i;
    s->type = le32_load(p + 4);
    s->offset = e->is_64 ? le64_load(p + 0x18) : le32_load(p + 0x10);
    s->size = e->is_64 ? le64_load(p + 0x20) : le32_load(p + 0x14);
    s->link = le32_load(p + (e->is_64 ? 0x28 : 0x18));
    return true;
}

/* Not so of .bss, which is not in the file. */
static bool is_inside(const struct elf *e, const struct section *s)
{
    return s->offset <= e->size && s->size <= e->size - s->offset;
}

/* A name that can stand in a line; NULL: there is none. */
static const char *name_at(const struct elf *e, const struct section *strings, uint32_t at)
{
    if (at >= strings->size)
        return NULL;
    const char *name = (const char *)e->data + strings->offset + at;
    const char *end = memchr(name, 0, (size_t)(strings->size - at));
    if (!end || end == name || end - name > NAME_MAX_LENGTH)
        return NULL;
    for (const char *c = name; c < end; c++)
        if ((unsigned char)*c <= ' ')
            return NULL;
    return name;
}

static void add(const struct elf *e, const struct section *strings, const uint8_t *p, FILE *out)
{
    uint8_t info = e->is_64 ? p[4] : p[12];
    uint16_t index = le16_load(p + (e->is_64 ? 6 : 14));
    uint64_t value = e->is_64 ? le64_load(p + 8) : le32_load(p + 4);
    const char *name = name_at(e, strings, le32_load(p));
    bool is_code = (info & 15) == STT_FUNC_KIND || (info & 15) == STT_NOTYPE_KIND;
    if (name && is_code && index != 0)
        fprintf(out, "%016" PRIx64 " T %s\n", value, name);
}

static bool add_table(const struct elf *e, const struct section *table, FILE *out)
{
    struct section strings;
    size_t entry = e->is_64 ? 24 : 16;
    if (!section_at(e, table->link, &strings) || !is_inside(e, &strings) || !is_inside(e, table))
        return false;
    for (uint64_t at = entry; at + entry <= table->size; at += entry)
        add(e, &strings, e->data + table->offset + at, out);
    return true;
}

int symbols_from_elf(const char *data, size_t size, const char *name, char **text, size_t *text_size, struct err *err)
{
    const struct elf e = {(const uint8_t *)data, size, data[4] == 2};
    struct section s = {0};
    bool has_table = false;
    *text = NULL;
    FILE *out = data[5] == 1 && (!e.is_64 || size >= 64) ? open_memstream(text, text_size) : NULL;
    for (unsigned i = 0; out && !has_table && section_at(&e, i, &s); i++)
        has_table = s.type == SHT_SYMTAB_TYPE && add_table(&e, &s, out);
    bool is_bad = out && (ferror(out) || fclose(out) != 0);
    if (has_table && !is_bad)
        return 0;
    free(*text);
    *text = NULL;
    err_set(err, EINVAL, "'%.200s' is an ELF file without a symbol table that can be read", name);
    err_hint(err, "a stripped kernel has none; a System.map or a saved /proc/kallsyms will do");
    return -EINVAL;
}
