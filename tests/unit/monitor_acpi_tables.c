/* SPDX-License-Identifier: MIT */
#include "monitor/acpi_tables.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/endian.h"
#include "monitor/aml.h"
#include "tests/test.h"

enum { BASE = 0xE0000, HEADER = 36 };

static uint8_t sum(const uint8_t *p, size_t n)
{
    uint8_t s = 0;
    while (n--)
        s = (uint8_t)(s + *p++);
    return s;
}

static uint8_t *build(unsigned cpus, size_t *size)
{
    const struct acpi_config config = {
        .base = BASE, .cpus = cpus, .pm_base = 0x600, .low_ram = 256 * MiB, .uarts = 4};
    uint8_t *data = NULL;
    EXPECT_EQ(0, acpi_tables_build(&config, &data, size));
    return data;
}

/* The table with this signature behind the XSDT, or the DSDT; NULL: not there. */
static const uint8_t *find(const uint8_t *data, const char *signature)
{
    const uint8_t *xsdt = data + (le64_load(data + 24) - BASE), *found = NULL;
    unsigned n = (le32_load(xsdt + 4) - HEADER) / 8;
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *t = data + (le64_load(xsdt + HEADER + 8 * i) - BASE);
        if (memcmp(t, signature, 4) == 0)
            found = t;
        if (memcmp(t, "FACP", 4) == 0 && strcmp(signature, "DSDT") == 0)
            found = data + (le64_load(t + 140) - BASE);
    }
    return found;
}

TEST(acpi, pointers_lead_to_tables_that_sum_to_zero)
{
    static const char *const names[] = {"FACP", "APIC", "HPET", "DSDT"};
    size_t size;
    uint8_t *d = build(4, &size);
    EXPECT_EQ(0, size % PAGE_SIZE);
    EXPECT(memcmp(d, "RSD PTR ", 8) == 0);
    EXPECT_EQ(0, sum(d, 20));
    EXPECT_EQ(0, sum(d, 36));
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        const uint8_t *t = find(d, names[i]);
        EXPECT(t != NULL);
        EXPECT_EQ(0, sum(t, le32_load(t + 4)));
    }
    const uint8_t *rsdt = d + (le32_load(d + 16) - BASE);
    EXPECT_EQ(0, sum(rsdt, le32_load(rsdt + 4)));
    EXPECT_EQ(find(d, "FACP") - d + BASE, le32_load(rsdt + HEADER));
    free(d);
}

TEST(acpi, fadt_names_the_chips_registers)
{
    size_t size;
    uint8_t *d = build(1, &size);
    const uint8_t *f = find(d, "FACP"), *facs = d + (le32_load(f + 36) - BASE);
    EXPECT_EQ(244, le32_load(f + 4));
    EXPECT_EQ(9, le16_load(f + 46));
    EXPECT_EQ(0, le32_load(f + 48));
    EXPECT_EQ(0x600, le32_load(f + 56));
    EXPECT_EQ(0x604, le32_load(f + 64));
    EXPECT_EQ(0x608, le32_load(f + 76));
    EXPECT_EQ(0xCF9, le64_load(f + 120));
    EXPECT_EQ(6, f[128]);
    EXPECT_EQ(0x600, le64_load(f + 152));
    EXPECT_EQ(0x604, le64_load(f + 176));
    EXPECT_EQ(0x608, le64_load(f + 212));
    EXPECT_EQ(0xAFE0, le64_load(f + 224));
    EXPECT(memcmp(facs, "FACS", 4) == 0);
    EXPECT_EQ(0, (facs - d) % 64);
    free(d);
}

TEST(acpi, madt_lists_every_processor_and_override)
{
    unsigned seen[10] = {0};
    size_t size;
    uint8_t *d = build(64, &size);
    const uint8_t *m = find(d, "APIC"), *end = m + le32_load(m + 4);
    for (const uint8_t *e = m + 44; e < end; e += e[1]) {
        EXPECT(e[0] < 10 && e[1] >= 6 && e + e[1] <= end);
        if (e[0] == 0) {
            EXPECT_EQ(seen[0], e[2]);
            EXPECT_EQ(seen[0], e[3]);
            EXPECT_EQ(1, le32_load(e + 4));
        }
        if (e[0] == 2 && e[3] == 0)
            EXPECT_EQ(2, le32_load(e + 4));
        if (e[0] == 2 && e[3] == 9)
            EXPECT_EQ(0x0D, le16_load(e + 8));
        if (e[0] == 4) {
            EXPECT_EQ(0xFF, e[2]);
            EXPECT_EQ(1, e[5]);
        }
        seen[e[0]]++;
    }
    EXPECT_EQ(64, seen[0]);
    EXPECT_EQ(1, seen[1]);
    EXPECT_EQ(5, seen[2]);
    EXPECT_EQ(1, seen[4]);
    free(d);
}

TEST(aml, package_length_grows_with_its_contents)
{
    static const struct {
        unsigned contents; /* bytes */
        unsigned width;    /* of PkgLength */
    } cases[] = {{62, 1}, {63, 2}, {4093, 2}, {4094, 3}, {0xFFFFC, 3}, {0xFFFFD, 4}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct aml a = {.data = NULL};
        uint8_t *zeros = calloc(1, cases[i].contents);
        aml_mark m = aml_begin_if(&a);
        aml_bytes(&a, zeros, cases[i].contents);
        aml_end(&a, m);
        EXPECT_EQ(1 + cases[i].width + cases[i].contents, a.len);
        EXPECT_EQ(cases[i].width - 1, a.data[1] >> 6);
        uint32_t length = a.data[1] & (cases[i].width == 1 ? 0x3F : 0x0F);
        for (unsigned j = 1; j < cases[i].width; j++)
            length |= (uint32_t)a.data[1 + j] << (4 + 8 * (j - 1));
        EXPECT_EQ(a.len - 1, length);
        aml_free(&a);
        free(zeros);
    }
}

TEST(aml, names_and_numbers_are_encoded_as_the_grammar_says)
{
    static const uint8_t want[] = {'\\', 0x2F, 3,    'A',  '_',  '_',  '_', 'B', '_',  '_',
                                   '_',  'C',  '_',  '_',  '_',  0x2E, 'A', '_', '_',  '_',
                                   'B',  '_',  '_',  '_',  'A',  '_',  '_', '_', 0x00, 0x01,
                                   0x0A, 2,    0x0B, 0,    1,    0x0C, 0,   0,   1,    0,
                                   0x0C, 0x41, 0xD0, 0x0A, 0x03, 0x0D, 'h', 'i', 0};
    struct aml a = {.data = NULL};
    aml_path(&a, "\\A___.B___.C___");
    aml_path(&a, "A___.B___");
    aml_path(&a, "A___");
    aml_integer(&a, 0);
    aml_integer(&a, 1);
    aml_integer(&a, 2);
    aml_integer(&a, 256);
    aml_integer(&a, 65536);
    aml_eisa_id(&a, "PNP0A03");
    aml_string(&a, "hi");
    EXPECT_EQ(sizeof(want), a.len);
    EXPECT(memcmp(want, a.data, sizeof(want)) == 0);
    aml_free(&a);
}

static void write_file(const char *dir, const char *name, const uint8_t *data, size_t n)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
    FILE *f = fopen(path, "wb");
    EXPECT(f != NULL);
    EXPECT_EQ(n, fwrite(data, 1, n, f));
    EXPECT_EQ(0, fclose(f));
}

/* Disassemble, compile again, and want no error and no warning from the compiler. */
static void iasl_accepts(unsigned cpus)
{
    static const char *const names[] = {"DSDT", "FACP", "APIC", "HPET"};
    char dir[] = "/tmp/acpi-test-XXXXXX", command[256];
    size_t size;
    uint8_t *d = build(cpus, &size);
    EXPECT(mkdtemp(dir) != NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        const uint8_t *t = find(d, names[i]);
        write_file(dir, names[i], t, le32_load(t + 4));
        snprintf(command, sizeof(command),
                 "cd %s && iasl -d %s.dat >log 2>&1 && iasl -we %s.dsl >log 2>&1", dir, names[i],
                 names[i]);
        EXPECT_EQ(0, system(command));
    }
    snprintf(command, sizeof(command), "rm -r %s", dir);
    EXPECT_EQ(0, system(command));
    free(d);
}

TEST(acpi, iasl_takes_the_tables_apart_and_together_again)
{
    if (system("command -v iasl >/dev/null 2>&1") != 0) {
        print_message("skipped: iasl (package acpica-tools) is not installed\n");
        skip();
    }
    iasl_accepts(1);
    iasl_accepts(64);
}

TEST_MAIN(RUN(acpi, pointers_lead_to_tables_that_sum_to_zero)
              RUN(acpi, fadt_names_the_chips_registers)
                  RUN(acpi, madt_lists_every_processor_and_override)
                      RUN(aml, package_length_grows_with_its_contents)
                          RUN(aml, names_and_numbers_are_encoded_as_the_grammar_says)
                              RUN(acpi, iasl_takes_the_tables_apart_and_together_again))
