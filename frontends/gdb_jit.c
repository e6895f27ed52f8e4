/* SPDX-License-Identifier: MIT */
#include "frontends/gdb_jit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

/* A block has a file of its own until so many have: then they share one. GDB's work grows with the
 * number of files. */
#define TOGETHER 256

/* Found by GDB by their names; not const, for that is how it is told. The one exception to "no
 * mutable file-scope variables". */
struct jit_descriptor __jit_debug_descriptor = {.version = 1};

NOINLINE void __jit_debug_register_code(void)
{
    __asm__ volatile("");
}

/* ---- the object file: ELF-64, little-endian (System V ABI, "Object Files"; x86-64 supplement)
 * ---- */

enum {
    EHDR = 64,
    SHDR = 64,
    SYM = 24,
    SECTIONS = 4, /* none, .text, .symtab, .strtab */
    TEXT = 1,
    SYMTAB = 2,
    STRTAB = 3,
    NAME_MAX_BYTES = 48,
};

static const char section_names[] = "\0.text\0.symtab\0.strtab";
enum { TEXT_NAME = 1, SYMTAB_NAME = 7, STRTAB_NAME = 15 };

struct name {
    uint64_t code;     /* first byte */
    uint64_t size;     /* bytes */
    uint64_t rip;      /* of the guest's block */
    uint64_t physical; /* the same */
};

/* An entry of the list, then its file. */
struct file {
    struct jit_code_entry entry;
    uint8_t image[];
};

struct gdb_jit {
    struct name names[TOGETHER];   /* of blocks with files of their own */
    struct file *single[TOGETHER]; /* borrowed from the list: these */
    unsigned count;                /* of both */
    uint64_t end;                  /* of the last code */
};

static void header(uint8_t *p, uint64_t sections)
{
    static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    memcpy(p, ident, sizeof(ident));
    le16_store(p + 16, 2);  /* ET_EXEC: addresses are final */
    le16_store(p + 18, 62); /* EM_X86_64 */
    le32_store(p + 20, 1);
    le64_store(p + 40, sections);
    le16_store(p + 52, EHDR);
    le16_store(p + 58, SHDR);
    le16_store(p + 60, SECTIONS);
    le16_store(p + 62, STRTAB); /* section names are there too */
}

struct section {
    uint32_t name, type, link, info;
    uint64_t flags, address, offset, size, entry_size;
};

static void put_section(uint8_t *p, const struct section *s)
{
    le32_store(p, s->name);
    le32_store(p + 4, s->type);
    le64_store(p + 8, s->flags);
    le64_store(p + 16, s->address);
    le64_store(p + 24, s->offset);
    le64_store(p + 32, s->size);
    le32_store(p + 40, s->link);
    le32_store(p + 44, s->info);
    le64_store(p + 48, 1);
    le64_store(p + 56, s->entry_size);
}

/* Its size at most: the first so many bytes are fixed, the names follow. */
static size_t image_room(unsigned count)
{
    return EHDR + SECTIONS * SHDR + (count + 1u) * SYM + sizeof(section_names) +
           count * NAME_MAX_BYTES;
}

static size_t put_symbols(uint8_t *image, const struct name *n, unsigned count)
{
    uint8_t *symbol = image + EHDR + SECTIONS * SHDR + SYM; /* the first one is none */
    char *strings = (char *)symbol + count * SYM;
    size_t used = sizeof(section_names);
    memcpy(strings, section_names, sizeof(section_names));
    for (unsigned i = 0; i < count; i++, symbol += SYM) {
        le32_store(symbol, (uint32_t)used);
        symbol[4] = 2; /* STB_LOCAL, STT_FUNC */
        le16_store(symbol + 6, TEXT);
        le64_store(symbol + 8, n[i].code);
        le64_store(symbol + 16, n[i].size);
        used += 1 + (size_t)snprintf(strings + used, NAME_MAX_BYTES,
                                     "guest_%" PRIx64 "_at_%" PRIx64, n[i].rip, n[i].physical);
    }
    return used;
}

/* Returns its size. */
static size_t make_image(uint8_t *image, const struct name *n, unsigned count)
{
    uint64_t symbols = EHDR + SECTIONS * SHDR, strings = symbols + (count + 1u) * SYM;
    uint64_t end = n[count - 1].code + n[count - 1].size;
    memset(image, 0, image_room(count));
    header(image, EHDR);
    size_t used = put_symbols(image, n, count);
    const struct section table[SECTIONS] = {
        [TEXT] = {.name = TEXT_NAME,
                  .type = 8,
                  .flags = 6,
                  .address = n[0].code,
                  .size = end - n[0].code}, /* NOBITS, ALLOC, EXEC */
        [SYMTAB] = {.name = SYMTAB_NAME,
                    .type = 2,
                    .link = STRTAB,
                    .info = count + 1,
                    .offset = symbols,
                    .size = strings - symbols,
                    .entry_size = SYM},
        [STRTAB] = {.name = STRTAB_NAME, .type = 3, .offset = strings, .size = used},
    };
    for (unsigned i = TEXT; i < SECTIONS; i++)
        put_section(image + EHDR + i * SHDR, &table[i]);
    return (size_t)strings + used;
}

/* ---- the list ---- */

static void tell(struct file *f, enum jit_actions what)
{
    __jit_debug_descriptor.relevant_entry = &f->entry;
    __jit_debug_descriptor.action_flag = what;
    __jit_debug_register_code();
}

/* NULL: no memory, and these have no name. */
static struct file *put_file(const struct name *n, unsigned count)
{
    struct file *f = malloc(sizeof(*f) + image_room(count));
    if (!f)
        return NULL;
    f->entry = (struct jit_code_entry){.next = __jit_debug_descriptor.first_entry,
                                       .symfile_addr = (const char *)f->image};
    f->entry.symfile_size = make_image(f->image, n, count);
    if (f->entry.next)
        f->entry.next->prev = &f->entry;
    __jit_debug_descriptor.first_entry = &f->entry;
    tell(f, JIT_REGISTER);
    return f;
}

static void take_file(struct file *f)
{
    struct jit_code_entry *e = &f->entry;
    if (e->prev)
        e->prev->next = e->next;
    else
        __jit_debug_descriptor.first_entry = e->next;
    if (e->next)
        e->next->prev = e->prev;
    tell(f, JIT_UNREGISTER);
    free(f);
}

static void take_all(struct gdb_jit *gj)
{
    while (__jit_debug_descriptor.first_entry)
        take_file(container_of(__jit_debug_descriptor.first_entry, struct file, entry));
    gj->count = 0;
}

struct gdb_jit *gdb_jit_create(void)
{
    return calloc(1, sizeof(struct gdb_jit));
}

void gdb_jit_destroy(struct gdb_jit *gj)
{
    if (gj)
        take_all(gj);
    free(gj);
}

void gdb_jit_add(void *opaque, const void *code, size_t size, uint64_t rip, uint64_t physical)
{
    struct gdb_jit *gj = opaque;
    struct name n = {(uint64_t)(uintptr_t)code, size, rip, physical};
    if (n.code < gj->end)
        take_all(gj);
    gj->end = n.code + n.size;
    gj->names[gj->count] = n;
    gj->single[gj->count++] = put_file(&n, 1);
    if (gj->count < TOGETHER)
        return;
    for (unsigned i = 0; i < TOGETHER; i++)
        if (gj->single[i])
            take_file(gj->single[i]);
    put_file(gj->names, TOGETHER);
    gj->count = 0;
}
