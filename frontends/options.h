/* SPDX-License-Identifier: MIT */
/*
 * The command line: from words to struct options, by the one table in options.def. Called by main.c
 * and the tests; owns nothing but what it copies into the struct; never prints and never opens a
 * file.
 */
#pragma once

#include "base/err.h"
#include "monitor/trapline.h"

#define PATH_LENGTH 4096
#define UNIX_PATH_LENGTH 108 /* of struct sockaddr_un */
#define MAX_TRACES 32

enum channel_kind {
    CHANNEL_UNSET, /* nothing was said */
    CHANNEL_NONE,  /* the port does not exist */
    CHANNEL_NULL,  /* it does, and nobody listens */
    CHANNEL_STDIO, /* standard input and output */
    CHANNEL_FILE,  /* output to a file */
    CHANNEL_UNIX,  /* a socket we listen on */
};

/* The other end of a serial port or debug console. */
struct channel {
    enum channel_kind kind;
    bool has_keys;          /* CHANNEL_STDIO: escape keys, and Ctrl-C goes to the guest */
    bool waits;             /* CHANNEL_UNIX: the run starts when somebody has connected */
    char path[PATH_LENGTH]; /* CHANNEL_FILE, CHANNEL_UNIX */
};

/* What to do instead of running. */
enum action {
    ACTION_RUN,
    ACTION_HELP,
    ACTION_VERSION,
    ACTION_PRINT_CONFIG,
    ACTION_DEBUG_HELP,
    ACTION_TRACE_HELP,
    ACTION_CPU_HELP
};

struct symbols;

/* Somebody who follows a run: `trapline trace`. */
struct run_watch {
    /* The machine is made and has not run; symbols may be NULL. -errno and err: it does not run. */
    int (*begin)(void *opaque, struct trapline_machine *m, const struct symbols *symbols, struct err *err);
    /* The run is over, however it ended; the machine is still there. */
    int (*end)(void *opaque, struct err *err);
    void *opaque;
    uint64_t until; /* the run ends at this position; UINT64_MAX: none */
    bool is_over;   /* it ends at the next position */
};

struct options {
    struct trapline_config config;           /* machine; its strings are the command line's */
    enum action action;                      /* ACTION_RUN, or the first other that was asked for */
    const char *name;                        /* -name */
    struct channel serial[TRAPLINE_SERIALS]; /* COM1.. */
    unsigned serials;                        /* -serial options so far */
    struct channel debugcon;                 /* -debugcon */
    bool nographic;                          /* -nographic */
    bool nodefaults;                         /* -nodefaults */
    bool shows_exits;                        /* -d exits */
    bool shows_rows;                         /* -d rows */
    bool shows_jit;                          /* -d jit */
    bool shows_turns;                        /* -d turns */
    bool shows_paging;                       /* -d paging */
    bool shows_hypercalls;                   /* -d hypercalls */
    bool shows_places;                       /* -d places */
    const char *symbols_path;                /* -symbols */
    unsigned top;                            /* -top */
    const char *traces[MAX_TRACES];          /* patterns to switch on */
    unsigned trace_count;                    /* of traces[] */
    const char *log_path;                    /* -D */
    uint64_t hash_every;                     /* 0: no chain */
    const char *hash_path;                   /* --hash-file */
    const char *save_path;                   /* --save */
    uint64_t save_at;                        /* UINT64_MAX: at the end */
    const char *load_path;                   /* --load */
    bool verifies;                           /* --verify */
    bool has_monitor;                        /* the verb monitor: its prompt comes first */
    bool has_perf_map;                       /* -engine perf=on */
    bool has_gdb_jit;                        /* -engine gdb=on */
    const struct run_watch *watch;           /* NULL: nobody */
};

/* Nothing said. */
void options_init(struct options *o);

/*
 * Parse the words after `run`. 0, or -EINVAL with err: what is wrong with which option, and the
 * nearest name to an unknown one. The words stay borrowed.
 */
int options_parse(struct options *o, int count, char *const words[], struct err *err);

/* Checks that need all options, and the defaults that follow from others. Called at the end of
 * options_parse. */
int options_complete(struct options *o, struct err *err);

/* A row of the table: false past the last. name NULL: a section heading in help. */
bool options_row(unsigned i, const char **name, const char **argument, const char **help);

/* The word nearest to `word` among n (edit distance); NULL when n is 0. */
const char *nearest_word(const char *word, const char *const words[], unsigned n);

/* One function per option: argument is NULL for those without. */
typedef int option_fn(struct options *o, const char *argument, struct err *err);
#define SECTION(title)
#define OPTION(name, argument, function, help) option_fn option_##function;
#include "frontends/options.def"
#undef SECTION
#undef OPTION
