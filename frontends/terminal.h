/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal and signals: raw mode, given back however the run ends; signals that become a
 * request to stop. Called by main.c, run.c and serial.c. The one piece of state of the whole
 * program that is not behind a pointer is here, because a signal handler can reach nothing else.
 */
#pragma once

#include "base/compiler.h"

/* Why the run was asked to stop: a set. */
enum {
    ATTENTION_SIGNAL = 1,  /* SIGINT, SIGTERM, SIGHUP, SIGQUIT: terminal_signal */
    ATTENTION_KEY = 2,     /* Ctrl-A x */
    ATTENTION_OUTPUT = 4,  /* an output cannot be written */
    ATTENTION_CONNECT = 8, /* somebody may have connected to a socket */
    ATTENTION_MONITOR = 16, /* Ctrl-A c */
};

/* Install the handlers. Call once, first. A signal that is ignored on entry stays ignored. */
void terminal_init(void);

/* Standard input to raw mode if it is a terminal. has_signals: Ctrl-C and Ctrl-Z keep their meaning
 * on the host. */
void terminal_raw(bool has_signals);

/* As it was before terminal_raw; harmless when it was never called. */
void terminal_restore(void);

/* Ask the run to stop for this reason. */
void terminal_request(int attention);

/* Not 0 when somebody asked; for trapline_config.interrupted. */
const volatile int *terminal_flag(void);

/* Readable after somebody asked; for trapline_config.wake_fd. -1: there is none. */
int terminal_wake_fd(void);

/* The reasons so far; forgets them, but ATTENTION_SIGNAL. */
int terminal_take(void);

/* Was a signal to end the program received, which one? 0: none. */
int terminal_signal(void);

/* End the program as the signal would have. */
void terminal_die(int signal_number);
