/* SPDX-License-Identifier: MIT */
/*
 * `trapline run`: from options to an exit status. Called by main.c. Only here and in main.c does
 * the program speak to its user.
 */
#pragma once

#include "frontends/options.h"

/* Run the machine to its end; errors and the end of the guest are reported. The exit status. */
int run(const struct options *o);

/* "trapline: what, where" and a line "hint: ..." on standard error. TRAPLINE_EXIT_ERROR. */
int report_error(const char *text, const char *hint);

/* Hand on what was printed. status, or what to exit with instead: an error that was reported, or, when the reader has gone away
 * (`| head`), nothing said and what a shell makes of SIGPIPE. */
int report_output(int status);

/* The machine that the options describe, as text that depends on nothing else. */
void print_config(const struct options *o, FILE *out);
