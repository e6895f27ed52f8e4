/* SPDX-License-Identifier: MIT */
/*
 * The other ends of serial ports and of the debug console: standard streams, files, sockets; and
 * the escape keys. Called by run.c. Owns the descriptors it opens and what is kept back of their
 * output.
 */
#pragma once

#include "frontends/options.h"

#define OUTPUT_BUFFER 8192

/* A stream of bytes out. */
struct output {
    int fd;           /* -1: discarded */
    bool is_owned;    /* fd is ours to close */
    bool may_vanish;  /* a socket: when the peer is gone, output is discarded until there is a new
                         one */
    int error;        /* errno of the write that failed; nothing is written after that */
    const char *name; /* for messages */
    size_t used;      /* bytes in buffer */
    uint8_t buffer[OUTPUT_BUFFER]; /* not yet written */
};

struct port {
    struct channels *all; /* borrowed: where this one belongs */
    struct output *out;   /* borrowed: own, or the shared standard output; NULL: nobody listens */
    struct output own;    /* of a file or socket */
    int fd;               /* input; -1: none */
    int listener;         /* socket that takes connections; -1: none */
    const char *path;     /* of the socket */
    bool waits;           /* for a first connection */
    bool has_keys;        /* Ctrl-A is ours */
    bool is_escaped;      /* Ctrl-A was the last byte */
    bool has_stamps;      /* each line begins with the virtual time */
    bool in_line;         /* the last byte out was not a line feed */
};

struct channels {
    struct port serial[TRAPLINE_SERIALS]; /* COM1.. */
    struct port debugcon;                 /* debug console */
    struct output standard;               /* standard output, shared */
    struct trapline_machine *machine;     /* borrowed, once there is one: its clock */
};

/* Nothing is open. */
void channels_init(struct channels *c);

/* After channels_init: open all that the options name. -errno with err; channels_close is then
 * safe. */
int channels_open(struct channels *c, const struct options *o, struct err *err);

/* Flush and close. */
void channels_close(struct channels *c);

/* Fill config's serial ports, debug console and flush. */
void channels_connect(struct channels *c, struct trapline_config *config);

/* Sockets that wait for their first connection: block. -EINTR: a signal asks us to end. */
int channels_wait(struct channels *c, struct err *err);

/* A signal said that somebody may have connected: let them in; they replace an earlier peer. */
void channels_accept(struct channels *c);

/* Write what was kept back. */
void channels_flush(struct channels *c);

/* Has an output failed? -errno and err, else 0. */
int channels_check(const struct channels *c, struct err *err);

/* Does a person, or a program that behaves like one, sit at the other end? */
bool channels_are_interactive(const struct channels *c);
