/* SPDX-License-Identifier: MIT */
/*
 * The test harness: a test names a behaviour. Thin over cmocka; one executable per file, which lists its tests
 * once more in TEST_MAIN so that none is forgotten silently (an unlisted test is an unused-function warning).
 *
 *   TEST(rtc, alarm_fires_once) { EXPECT_EQ(1, rtc_alarms(&r)); }
 *   TEST_MAIN(RUN(rtc, alarm_fires_once))
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define TEST(group, name) static void test_##group##_##name(void **state __attribute__((unused)))
#define RUN(group, name) {#group ": " #name, test_##group##_##name, NULL, NULL, NULL},

#define TEST_MAIN(...)                                                                                   \
    int main(void)                                                                                       \
    {                                                                                                    \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                 \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                \
    }

#define EXPECT(x) assert_true(x)
#define EXPECT_EQ(want, got) assert_int_equal((want), (got))
#define EXPECT_STR(want, got) assert_string_equal((want), (got))
