/* SPDX-License-Identifier: MIT */
/*
 * What the files of libtrapline's public face (trapline*.c) share. Nobody else includes it.
 */
#pragma once

#include "cpu/cpuid.h"
#include "monitor/machine.h"
#include "monitor/trapline.h"

#define MAX_MODULES 16

/* A file's bytes. */
struct file_bytes {
    uint8_t *data; /* owned */
    size_t size;   /* bytes */
    size_t pieces; /* that data is made of (cpu/piece.h); 0: it is malloc's */
    char *name;    /* owned: as the user gave it */
};

struct trapline_machine {
    struct machine *m;             /* owned */
    struct cpu_model model;        /* what CPUID says */
    struct trapline_config config; /* as given, completed; its strings are valid during trapline_create only */
    struct file_bytes kernel;      /* loaded again at every reset; if there is none, gone after the first time, as the modules are */
    struct file_bytes bios;        /* the ROM's bytes */
    struct file_bytes modules[MAX_MODULES]; /* [0] is also the initrd */
    char *append;                  /* owned: kernel command line */
    char *initrd;                  /* owned: config.initrd, cut into pieces */
    bool ends_run;                 /* trapline_end_run was called during this trapline_run */
    int source[TRAPLINE_SERIALS];  /* door source of each port, or -1 */
    struct trapline_group *group;  /* borrowed: that it belongs to, or NULL */
};

/* Hand an error of the inside to a caller outside, who may not want it. Returns rc. */
int trapline_fail(struct trapline_error *out, const struct err *err, int rc);

/* Why the machine stopped, for callers outside. */
enum trapline_reason trapline_reason_of(enum stop_reason stop);

/* vCPU number i; NULL and error when there is none. */
struct monitor_vcpu *trapline_vcpu(const struct trapline_machine *t, unsigned i, struct trapline_error *error);

/*
 * Read the file at path (what: "kernel", for messages). -errno with err when it cannot be read, is a directory or empty.
 */
int file_read(struct file_bytes *out, const char *what, const char *path, struct err *err);
void file_free(struct file_bytes *f);

/* Read what config names (kernel, initrd or modules, firmware) into t, and point *boot at it. */
struct boot_info;
int trapline_read_files(struct trapline_machine *t, struct boot_info *boot, struct err *err);
void trapline_free_files(struct trapline_machine *t);

/* The board loads them once, and more of its memory is kept if they are large: so large a guest is no small one. */
void trapline_expect_recycling(struct trapline_machine *t);

/* It has done so: their memory is used for other things. */
void trapline_recycle_files(struct trapline_machine *t);

/* Where the trace points of t->m go. */
void trapline_connect_trace(struct trapline_machine *t);
