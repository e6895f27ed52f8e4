/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "frontends/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Of the process, like the terminal and the signals themselves. */
static struct {
    volatile sig_atomic_t attention; /* ATTENTION_* */
    volatile sig_atomic_t signal;    /* the one that asked us to end */
    volatile sig_atomic_t is_raw;    /* the terminal is ours */
    int is_registered;               /* terminal_restore is, to run at exit */
    int wake[2];                     /* pipe; -1: none */
    struct termios before;           /* the terminal as we found it */
    struct termios raw;              /* as we want it */
} process = {.wake = {-1, -1}};

/* ---- the terminal ---- */

/* tcsetattr may be called from a signal handler (POSIX, "Signal Concepts"). */
static void set_terminal(const struct termios *t)
{
    while (tcsetattr(STDIN_FILENO, TCSADRAIN, t) < 0 && errno == EINTR)
        ;
}

void terminal_restore(void)
{
    if (process.is_raw) {
        process.is_raw = 0;
        set_terminal(&process.before);
    }
}

void terminal_raw(bool has_signals)
{
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &process.before) < 0)
        return;
    struct termios *t = &process.raw;
    *t = process.before;
    t->c_iflag &= (tcflag_t) ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t->c_lflag &= (tcflag_t) ~(ECHO | ECHONL | ICANON | IEXTEN);
    if (!has_signals)
        t->c_lflag &= (tcflag_t)~ISIG;
    t->c_cflag &= (tcflag_t) ~(CSIZE | PARENB);
    t->c_cflag |= CS8;
    t->c_cc[VMIN] = 1;
    t->c_cc[VTIME] = 0;
    process.is_raw = 1;
    set_terminal(t);
    if (!process.is_registered)
        atexit(terminal_restore);
    process.is_registered = 1;
}

/* ---- requests ---- */

void terminal_request(int attention)
{
    int saved = errno;
    process.attention |= attention;
    if (process.wake[1] >= 0) {
        ssize_t n = write(process.wake[1], "", 1);
        (void)n; /* full: it wakes all the same */
    }
    errno = saved;
}

const volatile int *terminal_flag(void)
{
    return &process.attention;
}

int terminal_wake_fd(void)
{
    return process.wake[0];
}

int terminal_take(void)
{
    int attention = process.attention;
    process.attention &= ~(attention & ~ATTENTION_SIGNAL);
    return attention;
}

int terminal_signal(void)
{
    return process.signal;
}

void terminal_die(int signal_number)
{
    struct sigaction sa = {.sa_handler = SIG_DFL};
    sigset_t set;
    terminal_restore();
    sigaction(signal_number, &sa, NULL);
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(signal_number);
}

/* ---- handlers ---- */

/* The second of its kind does not wait for the run to notice. */
static void on_end(int number)
{
    if (process.signal)
        terminal_die(number);
    process.signal = number;
    terminal_request(ATTENTION_SIGNAL);
}

/* We are about to crash. */
static void on_crash(int number)
{
    terminal_die(number);
}

static void on_connect(int number)
{
    (void)number;
    terminal_request(ATTENTION_CONNECT);
}

/* Stopped by the shell: it wants its terminal as it was. */
static void on_stop(int number)
{
    int saved = errno;
    (void)number;
    if (process.is_raw)
        set_terminal(&process.before);
    raise(SIGSTOP);
    errno = saved;
}

static void on_continue(int number)
{
    int saved = errno;
    (void)number;
    if (process.is_raw)
        set_terminal(&process.raw);
    errno = saved;
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction sa = {.sa_handler = handler, .sa_flags = flags}, old;
    sigemptyset(&sa.sa_mask);
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(number, &sa, NULL);
}

static void set_flags(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
}

void terminal_init(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    static const int crashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    if (pipe(process.wake) == 0) {
        set_flags(process.wake[0]);
        set_flags(process.wake[1]);
    } else {
        process.wake[0] = process.wake[1] = -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        handle(ends[i], on_end, 0);
    for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
        handle(crashes[i], on_crash, (int)SA_RESETHAND);
    handle(SIGTSTP, on_stop, SA_RESTART);
    handle(SIGCONT, on_continue, SA_RESTART);
    handle(SIGIO, on_connect, SA_RESTART);
    handle(SIGPIPE, SIG_IGN, 0);
}
