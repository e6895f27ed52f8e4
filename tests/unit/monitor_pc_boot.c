/* SPDX-License-Identifier: MIT */
/* What the board "pc" takes for booting, and what it refuses. */
#include <errno.h>
#include <string.h>

#include "monitor/trapline.h"
#include "tests/test.h"

#define ROM_BYTES 65536u

static uint8_t image[ROM_BYTES];

/* Create a machine with these; the result, and the error's text in *e. */
static int make(const void *bios, size_t bios_size, const void *kernel, struct trapline_error *e)
{
    struct trapline_config config = TRAPLINE_CONFIG_INIT;
    struct trapline_machine *m = NULL;
    config.memory = 16 << 20;
    config.bios.data = bios;
    config.bios.size = bios_size;
    config.kernel.data = kernel;
    config.kernel.size = kernel ? ROM_BYTES : 0;
    int rc = trapline_create(&config, &m, e);
    trapline_destroy(m);
    return rc;
}

TEST(pc_boot, a_rom_image_is_enough)
{
    struct trapline_error e;
    EXPECT_EQ(0, make(image, ROM_BYTES, NULL, &e));
}

TEST(pc_boot, firmware_and_a_kernel_exclude_each_other)
{
    struct trapline_error e;
    EXPECT_EQ(-EINVAL, make(image, ROM_BYTES, image, &e));
    EXPECT(strstr(e.text, "-bios") && strstr(e.text, "-kernel"));
    EXPECT(strstr(e.hint, "leave one"));
}

TEST(pc_boot, neither_is_nothing_to_boot)
{
    struct trapline_error e;
    EXPECT_EQ(-EINVAL, make(NULL, 0, NULL, &e));
    EXPECT(strstr(e.hint, "-kernel") && strstr(e.hint, "-bios"));
}

TEST(pc_boot, a_rom_image_of_an_odd_size_is_refused)
{
    struct trapline_error e;
    EXPECT_EQ(-EINVAL, make(image, ROM_BYTES - 1, NULL, &e));
    EXPECT(strstr(e.hint, "64 KiB"));
}

TEST_MAIN(RUN(pc_boot, a_rom_image_is_enough) RUN(pc_boot, firmware_and_a_kernel_exclude_each_other)
              RUN(pc_boot, neither_is_nothing_to_boot)
                  RUN(pc_boot, a_rom_image_of_an_odd_size_is_refused))
