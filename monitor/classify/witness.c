/* SPDX-License-Identifier: MIT */
#include "monitor/classify/witness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name; /* as an option spells it */
    uint64_t cr4;     /* its bit */
} variants[] = {
    {"umip", CR4_UMIP},         {"tsd", CR4_TSD}, {"pce", CR4_PCE},
    {"fsgsbase", CR4_FSGSBASE}, {"pke", CR4_PKE},
};

const char *witness_variant(unsigned i, uint64_t *cr4)
{
    if (i >= ARRAY_SIZE(variants))
        return NULL;
    *cr4 = variants[i].cr4;
    return variants[i].name;
}

static int add_variant(const char *text, size_t n, uint64_t *cr4, struct err *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(variants); i++) {
        if (strlen(variants[i].name) == n && memcmp(variants[i].name, text, n) == 0) {
            *cr4 |= variants[i].cr4;
            return 0;
        }
    }
    err_set(err, EINVAL, "there is no variant '%.*s'", n < 40 ? (int)n : 40, text);
    err_hint(err, "umip, tsd, pce, fsgsbase, pke");
    return -EINVAL;
}

int witness_variants(const char *text, uint64_t *cr4, struct err *err)
{
    *cr4 = 0;
    while (text && *text) {
        size_t n = strcspn(text, ",+");
        int rc = add_variant(text, n, cr4, err);
        if (rc < 0)
            return rc;
        text += n + (text[n] != 0);
    }
    return 0;
}

int witness_mode(const char *text, enum class_mode *mode, struct err *err)
{
    for (unsigned m = 0; m < CLASS_MODES; m++) {
        *mode = (enum class_mode)m;
        if (strcmp(text, class_mode_name(*mode)) == 0)
            return 0;
    }
    err_set(err, EINVAL, "there is no mode '%.40s'", text);
    err_hint(err, "prot16, prot32, long64");
    return -EINVAL;
}

void witness_format(const struct witness *w, char *text, size_t size)
{
    char set[64] = "";
    size_t n = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(variants) && n < sizeof(set); i++)
        if (w->cr4_set & variants[i].cr4)
            n += (size_t)snprintf(set + n, sizeof(set) - n, "+%s", variants[i].name);
    snprintf(text, size, "%s%s/%s/%u/%u/%u/%s", class_mode_name(w->mode), set, w->cpu, w->row,
             w->state, w->level == AT_3 ? 3u : 0u,
             w->element < ELEMENT_COUNT ? elements[w->element].id : "none");
}

/* ---- parsing ---- */

/* The next part of an ID, cut off at its '/'. NULL: there is none. */
static char *next_part(char **rest)
{
    char *part = *rest;
    if (!part)
        return NULL;
    char *slash = strchr(part, '/');
    if (slash)
        *slash++ = 0;
    *rest = slash;
    return part;
}

static bool parse_number(const char *text, unsigned below, unsigned *out)
{
    char *end;
    if (!text || *text < '0' || *text > '9' || strlen(text) > 6)
        return false;
    unsigned long v = strtoul(text, &end, 10);
    *out = (unsigned)v;
    return *end == 0 && v < below;
}

static bool parse_element(const char *text, unsigned *out)
{
    if (!text)
        return false;
    for (*out = 0; *out < ELEMENT_COUNT; ++*out)
        if (strcmp(elements[*out].id, text) == 0)
            return !element_is_held(*out);
    return strcmp(text, "none") == 0;
}

static int parse_mode(char *text, struct witness *w, struct err *err)
{
    char *plus = strchr(text, '+');
    if (plus)
        *plus++ = 0;
    int rc = witness_mode(text, &w->mode, err);
    return rc < 0 ? rc : witness_variants(plus, &w->cr4_set, err);
}

static int parse_parts(char *text, struct witness *w, struct err *err)
{
    unsigned level;
    char *rest = text, *mode = next_part(&rest), *cpu = next_part(&rest);
    const char *row = next_part(&rest), *state = next_part(&rest), *lev = next_part(&rest),
               *element = next_part(&rest);
    int rc = parse_mode(mode, w, err);
    if (rc < 0)
        return rc;
    bool ok = cpu && strlen(cpu) < sizeof(w->cpu) && !rest &&
              parse_number(row, insn_row_count(), &w->row) &&
              parse_number(state, 0x10000, &w->state) && parse_number(lev, 4, &level) &&
              level % 3 == 0 && parse_element(element, &w->element);
    if (!ok)
        return err_set(err, EINVAL, "a witness is mode/cpu/row/state/level/element");
    w->level = level ? AT_3 : AT_0;
    snprintf(w->cpu, sizeof(w->cpu), "%s", cpu);
    return cpu_model_parse(cpu, &w->model, err);
}

int witness_parse(const char *id, struct witness *w, struct err *err)
{
    char text[256];
    memset(w, 0, sizeof(*w));
    if (strlen(id) >= sizeof(text))
        return err_set(err, EINVAL, "that is too long for a witness");
    snprintf(text, sizeof(text), "%s", id);
    return parse_parts(text, w, err);
}
