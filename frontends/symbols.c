/* SPDX-License-Identifier: MIT */
#include "frontends/symbols.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/symbols_elf.h"

enum { SYMBOLS_MAX = 1 << 22, FILE_MAX = 1 << 28, REACH = 1 << 20 };

struct symbol {
    uint64_t address;
    const char *name; /* in text */
};

struct symbols {
    char *text; /* owned: the file, names ended by zeros */
    struct symbol *at;
    size_t count;
};

static int by_address(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    if (x->address != y->address)
        return x->address > y->address ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* A line, already ended by a zero. False: it is no symbol. */
static bool parse_line(char *line, struct symbol *s)
{
    char *end, *name;
    if (!strchr("0123456789abcdefABCDEF", line[0]) || !line[0])
        return false;
    errno = 0;
    s->address = strtoull(line, &end, 16);
    if (errno || end - line > 16 || end[0] != ' ' || !end[1] || end[2] != ' ' || !end[3])
        return false;
    name = end + 3;
    name[strcspn(name, " \t\r")] = 0; /* kallsyms names a module behind a tab */
    s->name = name;
    return *name != 0;
}

static int bad_line(const char *name, size_t number, struct err *err)
{
    err_set(err, EINVAL, "%.200s:%zu: not \"ADDRESS TYPE NAME\"", name, number);
    err_hint(err,
             "-symbols takes a System.map, a saved /proc/kallsyms, an ELF file, or what nm prints of one");
    return -EINVAL;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t n = 1;
    for (size_t i = 0; i < size; i++)
        n += text[i] == '\n';
    return n;
}

static int parse_all(struct symbols *s, size_t size, const char *name, struct err *err)
{
    size_t number = 1;
    for (char *line = s->text, *end = s->text + size, *next; line < end; line = next, number++) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        next = stop ? stop + 1 : end;
        if (stop)
            *stop = 0;
        if (!*line || line + strspn(line, "\r") == next - 1)
            continue;
        if (s->count == SYMBOLS_MAX || !parse_line(line, &s->at[s->count]))
            return bad_line(name, number, err);
        s->count++;
    }
    qsort(s->at, s->count, sizeof(*s->at), by_address);
    return 0;
}

static int parse_text(const char *text, size_t size, const char *name, struct symbols **out, struct err *err)
{
    struct symbols *s = calloc(1, sizeof(*s));
    if (s) {
        s->text = malloc(size + 1);
        s->at = calloc(count_lines(text, size), sizeof(*s->at));
    }
    if (!s || !s->text || !s->at) {
        symbols_free(s);
        return err_set(err, ENOMEM, "no memory for the symbols of '%.200s'", name);
    }
    memcpy(s->text, text, size);
    s->text[size] = 0;
    int rc = parse_all(s, size, name, err);
    if (rc < 0)
        symbols_free(s);
    else
        *out = s;
    return rc;
}

int symbols_parse(const char *text, size_t size, const char *name, struct symbols **out, struct err *err)
{
    char *lines;
    size_t lines_size;
    if (!symbols_is_elf(text, size))
        return parse_text(text, size, name, out, err);
    int rc = symbols_from_elf(text, size, name, &lines, &lines_size, err);
    if (rc < 0)
        return rc;
    rc = parse_text(lines, lines_size, name, out, err);
    free(lines);
    return rc;
}

static int cannot_read(const char *path, struct err *err)
{
    int code = errno ? errno : EIO;
    err_set(err, code, "cannot read '%.200s': %s", path, strerror(code));
    err_hint(err,
             "-symbols takes a System.map, a saved /proc/kallsyms, an ELF file, or what nm prints of one");
    return -code;
}

/* All of a file; NULL and errno. */
static char *read_all(FILE *f, size_t *size)
{
    char *text = NULL;
    size_t room = 0;
    *size = 0;
    do {
        room = room ? room * 2 : 1 << 16;
        char *more = room <= FILE_MAX ? realloc(text, room) : NULL;
        if (!more) {
            free(text);
            errno = EFBIG;
            return NULL;
        }
        text = more;
        *size += fread(text + *size, 1, room - *size, f);
    } while (*size == room);
    return text;
}

int symbols_load(const char *path, struct symbols **out, struct err *err)
{
    size_t size = 0;
    errno = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        return cannot_read(path, err);
    char *text = read_all(f, &size);
    int rc =
        !text || ferror(f) ? cannot_read(path, err) : symbols_parse(text, size, path, out, err);
    fclose(f);
    free(text);
    return rc;
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    free(s->text);
    free(s->at);
    free(s);
}

const char *symbols_find(const struct symbols *s, uint64_t address, uint64_t *offset)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->at[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || address - s->at[low - 1].address >= REACH)
        return NULL;
    *offset = address - s->at[low - 1].address;
    return s->at[low - 1].name;
}

bool symbols_range(const struct symbols *s, const char *name, uint64_t *first, uint64_t *last)
{
    size_t i = 0;
    while (i < s->count && strcmp(s->at[i].name, name) != 0)
        i++;
    if (i == s->count)
        return false;
    *first = s->at[i].address;
    while (i < s->count && s->at[i].address == *first)
        i++;
    *last = i < s->count && s->at[i].address - *first < REACH ? s->at[i].address - 1 : *first + REACH - 1;
    return true;
}
