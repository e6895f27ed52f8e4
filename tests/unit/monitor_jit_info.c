/* SPDX-License-Identifier: MIT */
/* What the translator says it did. */
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/jit.h"
#include "monitor/trapline_priv.h"
#include "tests/test.h"

/* Calls of config.translated, and those with something in them. */
struct seen {
    unsigned long blocks;
    unsigned long with_code;
};

static void see(void *opaque, const void *code, size_t size, uint64_t rip, uint64_t physical)
{
    struct seen *s = opaque;
    s->blocks++;
    s->with_code += code && size > 0 && (rip & 0xfff) == (physical & 0xfff);
}

/* What trapline_print_jit says of a guest that ran to its end; to be freed. seen: may be NULL. */
static char *report_of(enum trapline_engine engine, struct seen *seen)
{
    struct trapline_config c = TRAPLINE_CONFIG_INIT;
    struct trapline_machine *t;
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    char *text = NULL;
    size_t size = 0;
    c.kernel.path = VERIFY_GUEST;
    c.memory = 64 << 20;
    c.no_reboot = true;
    c.debug_exit_base = 0xf4;
    c.debug_exit_size = 4;
    c.has_testdev = true;
    c.engine = engine;
    c.jit_threshold = 1;
    c.translated = seen ? see : NULL;
    c.translated_opaque = seen;
    EXPECT_EQ(0, trapline_create(&c, &t, NULL));
    trapline_run(t, UINT64_MAX, &stop);
    EXPECT_EQ(TRAPLINE_STOP_DEBUG_EXIT, stop.reason);
    FILE *out = open_memstream(&text, &size);
    trapline_print_jit(t, out);
    fclose(out);
    trapline_destroy(t);
    return text;
}

/* The number behind some words. */
static unsigned long number_after(const char *text, const char *words)
{
    const char *at = strstr(text, words);
    if (!at)
        fail_msg("no \"%s\" in: %s", words, text);
    return at ? strtoul(at + strlen(words), NULL, 10) : 0;
}

TEST(jit_info, blocks_links_misses_and_handler_calls_are_counted)
{
    if (!jit_is_available() || VERIFY_GUEST[0] == '\0')
        skip();
    char *text = report_of(TRAPLINE_ENGINE_JIT, NULL);
    EXPECT(number_after(text, "translated: ") > 10);
    EXPECT(number_after(text, "exits: ") > 10);
    EXPECT(number_after(text, "TLB misses: ") > 0);
    EXPECT(number_after(text, "handler calls: ") > 0);
    EXPECT(number_after(text, "  OUT ") > 0); /* its serial port: nothing lowers that */
    free(text);
}

TEST(jit_info, an_interpreter_says_so)
{
    if (VERIFY_GUEST[0] == '\0')
        skip();
    char *text = report_of(TRAPLINE_ENGINE_INTERP, NULL);
    EXPECT(strstr(text, "translator: off\n") == text);
    free(text);
}

TEST(jit_info, every_block_translated_is_told)
{
    struct seen seen = {0, 0};
    if (!jit_is_available() || VERIFY_GUEST[0] == '\0')
        skip();
    char *text = report_of(TRAPLINE_ENGINE_JIT, &seen);
    EXPECT_EQ(number_after(text, "translated: "), seen.blocks);
    EXPECT_EQ(seen.blocks, seen.with_code);
    free(text);
}

TEST_MAIN(RUN(jit_info, every_block_translated_is_told) RUN(jit_info, blocks_links_misses_and_handler_calls_are_counted) RUN(jit_info, an_interpreter_says_so))
