/* SPDX-License-Identifier: MIT */
/* The parsers of the command line. */
#include "frontends/options.h"

#include <errno.h>
#include <string.h>

#include "frontends/values.h"
#include "tests/test.h"

#define MIB (UINT64_C(1) << 20)

static struct options parsed;
static struct err error;

#define PARSE(...)                                                                                 \
    parse((char *const[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *))

static int parse(char *const words[], size_t n)
{
    memset(&error, 0, sizeof(error));
    options_init(&parsed);
    return options_parse(&parsed, (int)n, words, &error);
}

TEST(numbers, are_decimal_or_hexadecimal_and_fill_the_text)
{
    uint64_t v;
    EXPECT(parse_number("42", &v) && v == 42);
    EXPECT(parse_number("0xf4", &v) && v == 0xf4);
    EXPECT(parse_number("18446744073709551615", &v) && v == UINT64_MAX);
    EXPECT(!parse_number("18446744073709551616", &v));
    EXPECT(parse_number("010", &v) && v == 10);
    EXPECT(!parse_number("0x", &v));
    EXPECT(!parse_number("-1", &v));
    EXPECT(!parse_number(" 1", &v));
    EXPECT(!parse_number("1x", &v));
    EXPECT(!parse_number("", &v));
}

TEST(sizes, take_a_unit_or_the_default)
{
    uint64_t v;
    EXPECT(parse_size("512", MIB, &v) && v == 512 * MIB);
    EXPECT(parse_size("512M", MIB, &v) && v == 512 * MIB);
    EXPECT(parse_size("2g", MIB, &v) && v == 2048 * MIB);
    EXPECT(parse_size("64K", MIB, &v) && v == 65536);
    EXPECT(parse_size("1B", MIB, &v) && v == 1);
    EXPECT(!parse_size("1MB", MIB, &v));
    EXPECT(!parse_size("M", MIB, &v));
    EXPECT(!parse_size("1.5G", MIB, &v));
    EXPECT(!parse_size("20000000000000M", MIB, &v));
    EXPECT(!parse_size("17592186044416T", MIB, &v));
}

TEST(dates, are_seconds_or_gregorian)
{
    uint64_t v;
    EXPECT(parse_date("1970-01-01", &v) && v == 0);
    EXPECT(parse_date("2024-01-01T00:00:00", &v) && v == TRAPLINE_RTC_BASE);
    EXPECT(parse_date("2000-02-29T23:59:59", &v) && v == 951868799);
    EXPECT(parse_date("2038-01-19T03:14:08", &v) && v == UINT64_C(1) << 31);
    EXPECT(parse_date("12345", &v) && v == 12345);
    EXPECT(!parse_date("2100-02-29", &v));
    EXPECT(!parse_date("2023-02-29", &v));
    EXPECT(!parse_date("1969-12-31", &v));
    EXPECT(!parse_date("2024-13-01", &v));
    EXPECT(!parse_date("2024-00-01", &v));
    EXPECT(!parse_date("2024-01-01T24:00:00", &v));
    EXPECT(!parse_date("2024-01-01 00:00:00", &v));
    EXPECT(!parse_date("2024-01-01T00:00:00Z", &v));
    EXPECT(!parse_date("", &v));
}

TEST(words, nearest_is_by_edits)
{
    const char *const words[] = {"kernel", "append", "initrd"};
    EXPECT_STR("kernel", nearest_word("kernle", words, 3));
    EXPECT_STR("initrd", nearest_word("initramfs", words, 3));
    EXPECT_STR("append", nearest_word("apend", words, 3));
    EXPECT(nearest_word("x", words, 0) == NULL);
}

TEST(options, one_dash_or_two_and_equals_are_the_same)
{
    EXPECT_EQ(0, PARSE("-m", "64"));
    EXPECT_EQ(64 * MIB, parsed.config.memory);
    EXPECT_EQ(0, PARSE("--m", "64M"));
    EXPECT_EQ(64 * MIB, parsed.config.memory);
    EXPECT_EQ(0, PARSE("--m=65"));
    EXPECT_EQ(65 * MIB, parsed.config.memory);
    EXPECT_EQ(0, PARSE("-append", "-m=5 --x"));
    EXPECT_STR("-m=5 --x", parsed.config.append);
}

TEST(options, every_row_has_a_name_and_help)
{
    const char *name, *argument, *help;
    unsigned n = 0;
    for (; options_row(n, &name, &argument, &help); n++)
        EXPECT(help && help[0]);
    EXPECT(n > 40);
}

TEST(options, defaults_are_a_deterministic_pc_with_a_console)
{
    EXPECT_EQ(0, parse(NULL, 0));
    EXPECT_STR("pc", parsed.config.board);
    EXPECT_EQ(1, parsed.config.vcpus);
    EXPECT_EQ(128 * MIB, parsed.config.memory);
    EXPECT_EQ(TRAPLINE_RTC_BASE, parsed.config.rtc_base);
    EXPECT_EQ(0, parsed.config.seed);
    EXPECT_EQ(1, parsed.config.ns_per_tick);
    EXPECT_EQ(CHANNEL_STDIO, parsed.serial[0].kind);
    EXPECT(parsed.serial[0].has_keys && parsed.config.serial[0].is_present);
    EXPECT(!parsed.config.serial[1].is_present);
}

TEST(options, qemu_spellings_of_machine_and_processors)
{
    EXPECT_EQ(0, PARSE("-machine", "pc,accel=tcg", "-accel", "tcg,thread=single", "-smp",
                       "cpus=4,maxcpus=4"));
    EXPECT_EQ(4, parsed.config.vcpus);
    EXPECT_EQ(0,
              PARSE("-M", "type=pc", "-m", "size=1G", "-vga", "none", "-display", "none", "-vnc",
                    "none", "-monitor", "none", "-no-user-config", "-icount", "shift=3,sleep=off"));
    EXPECT_EQ(1024 * MIB, parsed.config.memory);
    EXPECT_EQ(8, parsed.config.ns_per_tick);
}

TEST(options, turns_of_processors)
{
    const struct trapline_scheduling *s = &parsed.config.scheduling;
    EXPECT_EQ(0, PARSE("-smp", "4,pcpus=1"));
    EXPECT_EQ(4, parsed.config.vcpus);
    EXPECT(s->quantum == 0 && s->pause == TRAPLINE_PAUSE_ALWAYS);
    EXPECT_EQ(0, PARSE("-scheduler", "quantum=100,pause=never"));
    EXPECT(s->quantum == 100 && s->pause == TRAPLINE_PAUSE_NEVER);
    EXPECT_EQ(0, PARSE("-scheduler", "gap=64,window=1000"));
    EXPECT(s->pause == TRAPLINE_PAUSE_LOOP && s->pause_gap == 64 && s->pause_window == 1000);
    EXPECT_EQ(-EINVAL, PARSE("-smp", "4,pcpus=2"));
    EXPECT(strstr(error.text, "one clock"));
    EXPECT_EQ(-EINVAL, PARSE("-scheduler", "window"));
    EXPECT_EQ(-EINVAL, PARSE("-scheduler", "gap=4294967296"));
}

TEST(options, devices)
{
    EXPECT_EQ(0,
              PARSE("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-device", "pc-testdev"));
    EXPECT_EQ(0xf4, parsed.config.debug_exit_base);
    EXPECT_EQ(4, parsed.config.debug_exit_size);
    EXPECT(parsed.config.has_testdev);
    EXPECT_EQ(0, PARSE("-device", "driver=isa-debug-exit"));
    EXPECT_EQ(0x501, parsed.config.debug_exit_base);
    EXPECT_EQ(2, parsed.config.debug_exit_size);
}

TEST(options, channels)
{
    EXPECT_EQ(0, PARSE("-serial", "unix:/a/b,server,nowait", "-serial", "file:x,y", "-serial",
                       "none", "-serial", "mon:stdio", "-debugcon", "null"));
    EXPECT_EQ(CHANNEL_UNIX, parsed.serial[0].kind);
    EXPECT_STR("/a/b", parsed.serial[0].path);
    EXPECT(!parsed.serial[0].waits);
    EXPECT_STR("x,y", parsed.serial[1].path);
    EXPECT(!parsed.config.serial[2].is_present);
    EXPECT(parsed.serial[3].has_keys);
    EXPECT_EQ(CHANNEL_NULL, parsed.debugcon.kind);
    EXPECT_EQ(0, PARSE("-serial", "unix:s,server=on,wait=off"));
    EXPECT(!parsed.serial[0].waits);
    EXPECT_EQ(0, PARSE("-serial", "unix:s,server"));
    EXPECT(parsed.serial[0].waits);
    EXPECT_EQ(-EINVAL, PARSE("-serial", "unix:s"));
}

TEST(options, nographic_gives_the_standard_port_its_keys)
{
    EXPECT_EQ(0, PARSE("-serial", "stdio"));
    EXPECT(!parsed.serial[0].has_keys);
    EXPECT_EQ(0, PARSE("-serial", "stdio", "-nographic"));
    EXPECT(parsed.serial[0].has_keys);
    EXPECT_EQ(0, PARSE("-nodefaults"));
    EXPECT_EQ(CHANNEL_NONE, parsed.serial[0].kind);
}

TEST(options, debug_items_become_trace_points)
{
    EXPECT_EQ(0, PARSE("-d", "exits,guest_errors,int", "-trace", "enable=msr_*"));
    EXPECT(parsed.shows_exits && !parsed.shows_rows);
    EXPECT_EQ(3, parsed.trace_count);
    EXPECT_STR("guest_error", parsed.traces[0]);
    EXPECT_STR("msr_*", parsed.traces[2]);
    EXPECT_EQ(0, PARSE("-d", "rows"));
    EXPECT(parsed.shows_rows && !parsed.shows_exits);
    EXPECT_EQ(-EINVAL, PARSE("-d", "nonsense"));
    EXPECT(strstr(error.hint, "exits, rows, places, hypercalls, hypercall, jit, paging, turns, guest_errors") != NULL);
}

TEST(options, trouble_names_the_option)
{
    EXPECT_EQ(-EINVAL, PARSE("-m", "lots"));
    EXPECT_STR("-m: cannot use 'lots'", error.text);
    EXPECT(error.hint[0]);
    EXPECT_EQ(-EINVAL, PARSE("--kernell", "x"));
    EXPECT(strstr(error.text, "--kernell") && strstr(error.hint, "-kernel?"));
}

TEST_MAIN(RUN(numbers, are_decimal_or_hexadecimal_and_fill_the_text)
              RUN(sizes, take_a_unit_or_the_default) RUN(dates, are_seconds_or_gregorian)
                  RUN(words, nearest_is_by_edits) RUN(options,
                                                      one_dash_or_two_and_equals_are_the_same)
                      RUN(options, every_row_has_a_name_and_help)
                          RUN(options, defaults_are_a_deterministic_pc_with_a_console)
                              RUN(options, qemu_spellings_of_machine_and_processors)
                                  RUN(options, turns_of_processors) RUN(options, devices)
                                      RUN(options, channels)
                                          RUN(options, nographic_gives_the_standard_port_its_keys)
                                              RUN(options, debug_items_become_trace_points)
                                                  RUN(options, trouble_names_the_option))
