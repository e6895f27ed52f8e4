/* SPDX-License-Identifier: MIT */
/* The command line: verbs, help, version. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/classify.h"
#include "frontends/debug_items.h"
#include "frontends/diff.h"
#include "frontends/lab.h"
#include "frontends/run.h"
#include "frontends/terminal.h"
#include "frontends/trace.h"
#include "roms/embedded_guest.h"

/* ---- help ---- */

static void print_options(void)
{
    const char *name, *argument, *help;
    for (unsigned i = 0; options_row(i, &name, &argument, &help); i++) {
        char left[80];
        if (!name) {
            printf("\n%s:\n", help);
            continue;
        }
        snprintf(left, sizeof(left), "-%s%s%s", name, argument ? " " : "",
                 argument ? argument : "");
        printf(strlen(left) > 30 ? "  %s\n%34s%s\n" : "  %-31s %s%s\n", left, "", help);
    }
}

static void print_help(void)
{
    printf("trapline %s: a virtual machine monitor for x86, in software\n\n"
           "  trapline run [OPTION]...   run a guest; the options have QEMU's spellings\n"
           "  trapline stat [OPTION]...  the same; at the end, which exits there were, and where\n"
           "  trapline monitor [OPTION]...\n"
           "                             the same, stopped at a prompt before the first instruction\n"
           "  trapline trace [OPTION]... run a guest, and tell what it did (--help)\n"
           "  trapline diff ...          where two runs, or two traces, part (--help)\n"
           "  trapline classify [OPTION]...\n"
           "                             find privileged and sensitive instructions by experiment "
           "(--help)\n"
           "  trapline lab [NAME]        experiments that set counts beside theory\n"
           "  trapline                   run the embedded guest, which explains a few traps\n",
           trapline_version());
    print_options();
    printf("\nExit status:\n"
           "  0   the guest powered off, asked for a reset with -no-reboot, or you left with "
           "Ctrl-A x\n"
           "  N   the guest wrote C to isa-debug-exit: N = (C << 1) | 1, always odd\n"
           "  %d  the options, a file or the host: the message says which\n"
           "  %d  triple fault, with -no-reboot (without, the guest restarts, as a PC does)\n"
           "  %d  --max-ticks was reached\n"
           "  %d  every processor is halted and nothing can wake one\n"
           "  %d  --verify found a difference\n"
           "A signal that ends trapline ends it as it would end any program.\n"
           "\nExample:\n"
           "  trapline run -m 512 -kernel vmlinuz -initrd initrd.gz -append console=ttyS0 "
           "-nographic\n",
           TRAPLINE_EXIT_ERROR, TRAPLINE_EXIT_TRIPLE_FAULT, TRAPLINE_EXIT_TICK_LIMIT,
           TRAPLINE_EXIT_DEAD_HALT, TRAPLINE_EXIT_DIFFERENCE);
}

static void print_version(void)
{
    printf("trapline %s (library API %u)\n", trapline_version(), trapline_api());
}

static void print_debug_items(void)
{
    const struct debug_item *item;
    for (unsigned i = 0; (item = debug_item_at(i)); i++)
        printf("%-14s %s\n", item->name, item->help);
}

static void print_trace_points(void)
{
    const char *name, *doc;
    for (unsigned i = 0; trapline_trace_point(i, &name, &doc); i++)
        printf("%-14s %s\n", name, doc);
}

/* In QEMU's form, with our words. */
static void print_cpus(void)
{
    const char *name, *doc;
    bool is_executed;
    printf("Available CPUs:\n");
    for (unsigned i = 0; trapline_cpu_model(i, &name, &doc); i++)
        printf("  %-15s %s\n", name, doc);
    printf("\nRecognized features (-cpu NAME,+feature,-feature,feature=on|off):\n");
    for (unsigned i = 0; trapline_cpu_feature(i, &name, &doc, &is_executed); i++)
        printf("  %-17s %s%s\n", name, doc, is_executed ? "" : " (not executed)");
    printf("  %-17s %s\n", "kvm", "KVM's leaf at 40000000h and its hypercalls");
}

/* ---- verbs ---- */

static int act(const struct options *o)
{
    switch (o->action) {
    case ACTION_HELP:
        print_help();
        break;
    case ACTION_VERSION:
        print_version();
        break;
    case ACTION_PRINT_CONFIG:
        print_config(o, stdout);
        break;
    case ACTION_DEBUG_HELP:
        print_debug_items();
        break;
    case ACTION_TRACE_HELP:
        print_trace_points();
        break;
    case ACTION_CPU_HELP:
        print_cpus();
        break;
    default:
        return run(o);
    }
    return report_output(0);
}

enum { WITH_MONITOR = 1, WITH_STATISTICS = 2 };

static int run_words(int count, char *const words[], int with)
{
    struct err err = {{0}, {0}};
    struct options *o = malloc(sizeof(*o));
    if (!o)
        return report_error("out of memory", "");
    options_init(o);
    o->has_monitor = with & WITH_MONITOR;
    o->shows_exits = o->shows_places = with & WITH_STATISTICS;
    int rc = options_parse(o, count, words, &err);
    int status = rc < 0 ? report_error(err.text, err.hint) : act(o);
    free(o);
    return status;
}

static int verb_run(int count, char *const words[])
{
    return run_words(count, words, 0);
}

static int verb_monitor(int count, char *const words[])
{
    return run_words(count, words, WITH_MONITOR);
}

static int verb_stat(int count, char *const words[])
{
    return run_words(count, words, WITH_STATISTICS);
}

/* The guest built into the program. */
static int run_embedded(void)
{
    struct err err = {{0}, {0}};
    struct options *o = malloc(sizeof(*o));
    if (!o)
        return report_error("out of memory", "");
    options_init(o);
    o->config.kernel = (struct trapline_file){
        .path = "embedded guest", .data = embedded_guest, .size = embedded_guest_size};
    o->config.no_reboot = true;
    o->config.debug_exit_base = 0xf4;
    o->config.debug_exit_size = 4;
    int rc = options_complete(o, &err);
    int status = rc < 0 ? report_error(err.text, err.hint) : run(o);
    free(o);
    return status;
}

static const struct {
    const char *name;
    int (*function)(int count, char *const words[]);
} verbs[] = {
    {"run", verb_run},
    {"classify", verb_classify},
    {"diff", verb_diff},
    {"lab", verb_lab},
    {"monitor", verb_monitor},
    {"stat", verb_stat},
    {"trace", verb_trace},
};

static int unknown_verb(const char *word)
{
    const char *names[ARRAY_SIZE(verbs)];
    char text[128], hint[128];
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
        names[i] = verbs[i].name;
    snprintf(text, sizeof(text), "there is no command '%.64s'", word);
    snprintf(hint, sizeof(hint), "did you mean 'trapline %s'? trapline --help lists all",
             nearest_word(word, names, ARRAY_SIZE(verbs)));
    return report_error(text, hint);
}

int main(int argc, char *argv[])
{
    terminal_init();
    if (argc < 2 && embedded_guest_size > 0)
        return run_embedded();
    if (argc < 2) {
        print_help();
        return 0;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].function(argc - 2, argv + 2);
    /* QEMU has no verbs: options alone mean `run`. */
    if (argv[1][0] == '-')
        return verb_run(argc - 1, argv + 1);
    return unknown_verb(argv[1]);
}
