/* SPDX-License-Identifier: MIT */
/* Lock-step of the two engines: silent while they agree, and exact about where they do not. */
#include <stdlib.h>
#include <string.h>

#include "cpu/jit/jit.h"
#include "monitor/verify.h"
#include "tests/test.h"

static struct trapline_config rom_config(void)
{
    struct trapline_config c = TRAPLINE_CONFIG_INIT;
    c.kernel.path = VERIFY_GUEST;
    c.memory = 64 << 20;
    c.no_reboot = true;
    c.debug_exit_base = 0xf4;
    c.debug_exit_size = 4;
    c.has_testdev = true;
    c.jit_threshold = 1;
    return c;
}

static bool can_run(void)
{
    return jit_is_available() && VERIFY_GUEST[0] != '\0';
}

/* The result of verify_run; *text: what it said, to be freed. */
static int run_with(struct verify *v, char **text, struct trapline_stop *stop)
{
    size_t size = 0;
    struct trapline_error error = {{0}, {0}};
    v->config = rom_config();
    v->out = open_memstream(text, &size);
    int rc = verify_run(v, stop, &error);
    fclose(v->out);
    return rc;
}

TEST(verify, agreeing_engines_run_to_the_end_without_a_word)
{
    struct verify v = {.sabotage = 0};
    struct trapline_stop stop = TRAPLINE_STOP_INIT;
    char *text = NULL;
    if (!can_run())
        skip();
    EXPECT_EQ(0, run_with(&v, &text, &stop));
    EXPECT_EQ(TRAPLINE_STOP_DEBUG_EXIT, stop.reason);
    EXPECT_EQ(0, stop.code);
    EXPECT_STR("", text);
    free(text);
}

static void expect_in(const char *text, const char *words)
{
    if (strstr(text, words))
        return;
    fputs(text, stderr);
    fail_msg("the report has no \"%s\"", words);
}

static void expect_report(const struct verify *v, const char *text)
{
    EXPECT_EQ(v->bad, v->good + 1);
    expect_in(text, "cpu0.gpr[3]"); /* RBX, which sabotage changes */
    expect_in(text, "<--");
    expect_in(text, "The instructions before it");
    expect_in(text, "A block, ");
    expect_in(text, "add rbx, 1"); /* in the host code */
}

/* Some blocks write RBX before anybody reads it: the first three that do not. */
TEST(verify, a_spoilt_block_is_found_and_shown_with_both_states_and_its_code)
{
    unsigned found = 0;
    if (!can_run())
        skip();
    for (unsigned n = 1; found < 3; n += 3) {
        struct verify v = {.sabotage = n};
        struct trapline_stop stop = TRAPLINE_STOP_INIT;
        char *text = NULL;
        assert_in_range(n, 1, 60);
        if (run_with(&v, &text, &stop) == 1) {
            expect_report(&v, text);
            found++;
        }
        free(text);
    }
}

TEST_MAIN(RUN(verify, agreeing_engines_run_to_the_end_without_a_word)
              RUN(verify, a_spoilt_block_is_found_and_shown_with_both_states_and_its_code))
