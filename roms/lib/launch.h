/* SPDX-License-Identifier: MIT */
/*
 * Code that does not come back by itself: it is launched with a saved context and left from a trap
 * handler, wherever the code went meanwhile (another privilege level, another mode, another stack).
 *
 *     static void catch(struct frame *f) { seen = *f; land(); }
 *
 *     trap_set(EXC_GP, catch);
 *     launch(code, argument);
 *     check("...", seen.error == 0);
 *
 * One launch at a time; ring3() uses the same place. Handlers must run on a flat stack.
 */
#pragma once

#include "roms/lib/traps.h"

/* Call fn(arg) at CPL 0; comes back when it returns, or by land(). The TSS's stack for CPL 0 is
 * right below this frame. */
void launch(void (*fn)(reg_t), reg_t arg);

/* Back to where launch() was called: flat segments, flags and CPL 0 as they were there. */
void land(void) __attribute__((noreturn));

/* The last exception that went through launch_expect()'s handler. */
extern struct frame landed;

/* Handle a vector by noting the frame and landing; NO_EXCEPTION in landed.vector until then. */
void launch_expect(unsigned vector);

/* launch() with the handlers of #UD, #TS, #NP, #SS, #GP, #PF, #AC and the gate 30h noted; then the
 * default ones again. */
void launch_and_catch(void (*fn)(reg_t), reg_t arg);

/* Did the last launch end with this exception? vector RING3_VECTOR: it came to its end. */
bool check_landed(const char *name, unsigned vector, unsigned error);
