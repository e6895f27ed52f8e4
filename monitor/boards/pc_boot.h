/* SPDX-License-Identifier: MIT */
/*
 * What the board "pc" puts into memory before the first instruction: ACPI tables, firmware, the guest program; and the state
 * in which vCPU 0 starts. Called by pc.c at creation and at every reset.
 */
#pragma once

#include "monitor/boards/pc.h"

struct pc;

/* Memory map, ACPI tables, fw_cfg items, CMOS; check and load the guest program. -EINVAL with err for a bad kernel. */
int pc_boot_prepare(struct pc *pc, const struct pc_config *config, struct err *err);

/* After reset of all chips: CMOS, memory contents, entry state of vCPU 0; the others wait for SIPI. */
void pc_power_on(struct pc *pc);

/* Put vCPU 0 into the entry state, the others into wait-for-SIPI. */
void pc_apply_entry(struct pc *pc);

void pc_boot_free(struct pc *pc);
