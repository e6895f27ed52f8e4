/* SPDX-License-Identifier: MIT */
/* The monitor's prompt: the input is lines, carried out one after another on a bare machine. What they print is thrown away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/monitor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Kept from one input to the next. */
static struct trapline_machine *machine(void)
{
    static struct trapline_machine *m;
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    struct trapline_error e;
    config.board = "none";
    config.memory = 4 << 20;
    config.vcpus = 2;
    config.paging.mmu = TRAPLINE_MMU_SHADOW;
    if (!m && (!freopen("/dev/null", "w", stdout) || trapline_create(&config, &m, &e) < 0 ||
               trapline_map(m, 0, 1 << 20, false, &e) < 0))
        abort();
    return m;
}

/* It would write files. */
static bool is_harmless(const char *line)
{
    return !strstr(line, "savevm");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct monitor mon = {.vcpu = 0};
    struct trapline_machine *m = machine();
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = 0;
    for (char *line = text, *end; line; line = end) {
        enum monitor_answer answer = MONITOR_QUIT;
        uint64_t until = 0;
        end = strchr(line, '\n');
        if (end)
            *end++ = 0;
        if (is_harmless(line) && monitor_command(&mon, m, line, &answer, &until) && answer == MONITOR_GO &&
            until <= trapline_ticks(m))
            abort(); /* it would not move */
    }
    free(text);
    return 0;
}
