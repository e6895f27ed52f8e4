/* SPDX-License-Identifier: MIT */
/*
 * The guests of the labs (roms/labs/): how each is run. It reports through the debug port, and ends the run by isa-debug-exit with 0.
 * Called by the labs; errors are reported, and come back as an exit status.
 */
#pragma once

#include "monitor/trapline.h"
#include "roms/embedded_guest.h"

/* A machine for the guest `image` of `size` bytes, whose bytes at the debug port go to debugcon(opaque, ...); a lab adds what is its own. */
struct trapline_config lab_guest_config(const unsigned char *image, size_t size,
                                        void (*debugcon)(void *opaque, uint8_t byte), void *opaque);

/* 0 if the labs' guests were built; else the error is reported. */
int lab_guests_check(void);

/* Make the machine. *m stands before the first of its bytes comes. */
int lab_guest_create(const struct trapline_config *config, struct trapline_machine **m);

/* The same, and run it to its end; *m is NULL afterwards. */
int lab_guest_run(const struct trapline_config *config, struct trapline_machine **m);

/* What it ended with is no success, because of `hint` ("": stop says enough). */
int lab_guest_failed(const struct trapline_stop *stop, const char *hint);
