/* SPDX-License-Identifier: MIT */
/* The AML of the board "pc": what the DSDT holds behind its header. Called by acpi_tables.c. */
#pragma once

#include "monitor/acpi_tables.h"
#include "monitor/aml.h"

void acpi_dsdt_write(struct aml *a, const struct acpi_config *config);
