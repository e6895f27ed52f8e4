/* SPDX-License-Identifier: MIT */
/*
 * docs/generated/devices.md: every part of the machine's state, from the field lists. The test fails when the page is stale;
 * `test_monitor_devices_doc --write` writes it.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/boards/pc.h"
#include "monitor/timeline/parts.h"
#include "tests/test.h"

static const char head[] =
    "# The state of a machine\n\n"
    "Generated from the field lists (`base/fields.h`); `test_monitor_devices_doc --write` makes it anew. These are the parts that the\n"
    "state hash covers and that saved states hold, in their order, for the board `pc` with one vCPU and every optional device.\n";

static struct machine *machine_with_all_devices(void)
{
    static uint8_t rom[65536];
    const struct machine_config config = {.memory_size = 32 * MiB, .ns_per_tick = 1};
    struct pc_config pc = {.memory = 16 * MiB,
                           .bios = rom,
                           .bios_size = sizeof(rom),
                           .uarts = PC_UARTS,
                           .debug_exit_base = 0x501,
                           .debug_exit_size = 2,
                           .has_testdev = true};
    struct machine *m;
    struct cpu_model model;
    struct err err;
    EXPECT_EQ(0, machine_create(&config, &m, &err));
    EXPECT_EQ(0, cpu_model_parse("max", &model, &err));
    EXPECT_EQ(0, vm_create(m, 1, &model, &err));
    pc.model = &model;
    EXPECT_EQ(0, pc_create(m, &pc, &err));
    return m;
}

static void write_part(FILE *out, const struct part *p)
{
    const char *doc = p->device ? p->device->ops->doc : "";
    fprintf(out, "\n## %s\n\n%s%s| field | elements | bytes | meaning |\n| --- | --- | --- | --- |\n", p->name, doc,
            *doc ? "\n\n" : "");
    for (const struct field *f = p->fields; f->name; f++)
        fprintf(out, "| `%s` | %u | %u | %s |\n", f->name, f->count, f->size, f->doc);
}

static char *page(void)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    struct machine *m = machine_with_all_devices();
    fputs(head, out);
    for (unsigned i = 0; i < part_count(m); i++) {
        struct part p = part_get(m, i);
        write_part(out, &p);
    }
    machine_destroy(m);
    fclose(out);
    return text;
}

TEST(devices_doc, page_is_what_the_field_lists_say)
{
    char *want = page();
    size_t n = strlen(want);
    char *got = calloc(1, n + 2);
    FILE *f = fopen(DEVICES_MD, "r");
    assert_non_null(f);
    EXPECT_EQ(n, fread(got, 1, n + 1, f));
    fclose(f);
    EXPECT_STR(want, got);
    free(got);
    free(want);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {RUN(devices_doc, page_is_what_the_field_lists_say)};
    if (argc == 2 && strcmp(argv[1], "--write") == 0) {
        FILE *f = fopen(DEVICES_MD, "w");
        char *text = page();
        if (!f || fputs(text, f) < 0 || fclose(f) != 0)
            return 1;
        free(text);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
