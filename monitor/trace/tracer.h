/* SPDX-License-Identifier: MIT */
/*
 * The tracer: tells a sink what the guest does (trapline_trace_steps, docs/trace.md). The dispatcher calls it at the few places
 * where it has control anyway, and only if there is one; what the guest runs by itself knows nothing of it. For sensitive
 * instructions it stands in front of the policy's slots while its window is open; for single instructions it shortens the budget.
 * It reads the machine and never changes what a guest can see. Created and owned by the library's public face.
 */
#pragma once

#include "monitor/machine.h"
#include "monitor/trapline.h"

struct tracer;

/* NULL: no memory. The machine has its VM. */
struct tracer *tracer_create(struct machine *m, const struct trapline_trace_config *config);
void tracer_destroy(struct tracer *t); /* NULL is fine; the machine's slots are what they were */

/* A stretch of mv is about to begin, and may take `budget` ticks: how many it is to take. */
uint64_t tracer_begin(struct tracer *t, struct monitor_vcpu *mv, uint64_t budget);
/* It took `done` ticks. */
void tracer_end(struct tracer *t, struct monitor_vcpu *mv, uint64_t done);

/* An event goes into the guest: before anything changed but the interrupt controller, and after. */
void tracer_deliver(struct tracer *t, struct monitor_vcpu *mv, enum trapline_step_kind kind, uint8_t vector);
void tracer_delivered(struct tracer *t, struct monitor_vcpu *mv);

/* A device was reached by memory. */
void tracer_mmio(struct tracer *t, struct monitor_vcpu *mv, enum trapline_step_kind kind, paddr pa, unsigned width, uint64_t v);

/* Every vCPU was halted for so long, until now. */
void tracer_idle(struct tracer *t, vtime duration);

/* Hand over what waits for more of the same: the run ends. */
void tracer_flush(struct tracer *t);

/* Of the step that the sink was called with. */
void tracer_step_text(struct tracer *t, const struct trapline_step *step, char *text, size_t size);
unsigned tracer_step_changes(struct tracer *t, const struct trapline_step *step, struct trapline_change *changes, unsigned most);
