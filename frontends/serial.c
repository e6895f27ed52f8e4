/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "frontends/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "frontends/terminal.h"

#define CTRL_A 1

/* ---- output ---- */

/* 0, or the errno of a write that will never succeed. Blocks while the reader is slow; a signal to
 * end gets us out. */
static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done >= 0) {
            p += done;
            n -= (size_t)done;
            continue;
        }
        int code = errno;
        if ((code == EINTR || code == EAGAIN) && terminal_signal())
            return code;
        struct pollfd out = {.fd = fd, .events = POLLOUT};
        if (code == EAGAIN)
            poll(&out, 1, -1);
        else if (code != EINTR)
            return code;
    }
    return 0;
}

static void output_flush(struct output *o)
{
    size_t n = o->used;
    o->used = 0;
    if (n == 0 || o->fd < 0 || o->error)
        return;
    int code = write_all(o->fd, o->buffer, n);
    if (code == 0)
        return;
    if (o->may_vanish) {
        close(o->fd);
        o->fd = -1;
        return;
    }
    o->error = code;
    terminal_request(ATTENTION_OUTPUT);
}

static void output_byte(struct output *o, uint8_t byte)
{
    if (o->used == sizeof(o->buffer))
        output_flush(o);
    o->buffer[o->used++] = byte;
}

static void output_text(struct output *o, const char *text)
{
    for (; *text; text++)
        output_byte(o, (uint8_t)*text);
}

static void output_close(struct output *o)
{
    output_flush(o);
    if (o->is_owned && o->fd >= 0 && close(o->fd) < 0 && o->error == 0)
        o->error = errno;
    o->fd = -1;
}

/* The guest's bytes, with the virtual time at the start of each line if asked for. */
static void port_byte(struct port *p, uint8_t byte)
{
    if (p->has_stamps && !p->in_line && p->all->machine) {
        char text[48];
        uint64_t us = trapline_vtime_ns(p->all->machine) / 1000;
        snprintf(text, sizeof(text), "[%5" PRIu64 ".%06" PRIu64 "] ", us / 1000000, us % 1000000);
        output_text(p->out, text);
    }
    p->in_line = byte != '\n';
    output_byte(p->out, byte);
}

static bool serial_put(void *opaque, uint8_t byte)
{
    struct port *p = opaque;
    port_byte(p, byte);
    return p->out->fd >= 0;
}

static void debugcon_put(void *opaque, uint8_t byte)
{
    port_byte(opaque, byte);
}

/* ---- escape keys ---- */

static void say_keys(struct port *p)
{
    static const char keys[] = "\r\n"
                               "Ctrl-A h    this list\r\n"
                               "Ctrl-A x    leave trapline\r\n"
                               "Ctrl-A c    the monitor's prompt: help there lists its commands\r\n"
                               "Ctrl-A t    virtual time at the start of each line: on, off\r\n"
                               "Ctrl-A a    send Ctrl-A to the guest (also Ctrl-A Ctrl-A)\r\n";
    output_text(p->out, keys);
    output_flush(p->out);
}

/* The key after Ctrl-A. True: the guest is to get a Ctrl-A. */
static bool escape_key(struct port *p, uint8_t key)
{
    switch (key) {
    case 'x':
        terminal_request(ATTENTION_KEY);
        return false;
    case 'c':
        terminal_request(ATTENTION_MONITOR);
        return false;
    case 'h':
    case '?':
        say_keys(p);
        return false;
    case 't':
        p->has_stamps = !p->has_stamps;
        return false;
    case 'a':
    case CTRL_A:
        return true;
    default:
        return false;
    }
}

static size_t filter_keys(void *opaque, uint8_t *bytes, size_t n)
{
    struct port *p = opaque;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (p->is_escaped) {
            p->is_escaped = false;
            if (escape_key(p, bytes[i]))
                bytes[kept++] = CTRL_A;
        } else if (bytes[i] == CTRL_A) {
            p->is_escaped = true;
        } else {
            bytes[kept++] = bytes[i];
        }
    }
    return kept;
}

/* ---- opening ---- */

static int cannot_open(struct err *err, const char *path, int code)
{
    err_set(err, code, "cannot write '%s': %s", path, strerror(code));
    err_hint(err, "check the path and its permissions");
    return -code;
}

static int open_file(struct port *p, const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return cannot_open(err, path, errno);
    p->own = (struct output){.fd = fd, .is_owned = true, .name = path};
    p->out = &p->own;
    return 0;
}

/* A socket left behind by an earlier run is in the way; anything else at that path is not ours to
 * remove. */
static void remove_socket(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

static int open_socket(struct port *p, const char *path, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return cannot_open(err, path, errno);
    memcpy(address.sun_path, path, strnlen(path, sizeof(address.sun_path) - 1));
    remove_socket(path);
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0) {
        int code = errno;
        close(fd);
        return cannot_open(err, path, code);
    }
    p->listener = fd;
    p->path = path;
    p->own = (struct output){.fd = -1, .is_owned = true, .may_vanish = true, .name = path};
    p->out = &p->own;
    return 0;
}

static int port_open(struct channels *all, struct port *p, const struct channel *c, struct err *err)
{
    *p = (struct port){.all = all, .fd = -1, .listener = -1};
    switch (c->kind) {
    case CHANNEL_STDIO:
        p->out = &all->standard;
        p->fd = STDIN_FILENO;
        p->has_keys = c->has_keys && isatty(STDIN_FILENO);
        return 0;
    case CHANNEL_FILE:
        return open_file(p, c->path, err);
    case CHANNEL_UNIX:
        p->waits = c->waits;
        return open_socket(p, c->path, err);
    default:
        return 0;
    }
}

void channels_init(struct channels *c)
{
    *c = (struct channels){.standard = {.fd = STDOUT_FILENO, .name = "standard output"}};
    c->debugcon = (struct port){.fd = -1, .listener = -1};
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++)
        c->serial[i] = (struct port){.fd = -1, .listener = -1};
}

int channels_open(struct channels *c, const struct options *o, struct err *err)
{
    int rc = port_open(c, &c->debugcon, &o->debugcon, err);
    c->debugcon.fd = -1;
    for (unsigned i = 0; rc == 0 && i < TRAPLINE_SERIALS; i++)
        rc = port_open(c, &c->serial[i], &o->serial[i], err);
    /* What is not typed is commands. */
    for (unsigned i = 0; o->has_monitor && i < TRAPLINE_SERIALS; i++)
        if (c->serial[i].fd == STDIN_FILENO && !isatty(STDIN_FILENO))
            c->serial[i].fd = -1;
    return rc;
}

static void port_close(struct port *p)
{
    if (p->out == &p->own)
        output_close(&p->own);
    if (p->listener >= 0) {
        close(p->listener);
        unlink(p->path);
    }
    p->listener = -1;
}

void channels_close(struct channels *c)
{
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++)
        port_close(&c->serial[i]);
    port_close(&c->debugcon);
    output_close(&c->standard);
}

/* ---- connections ---- */

/* The peer replaces an earlier one. */
static void take_peer(struct port *p, int fd)
{
    output_flush(&p->own);
    if (p->own.fd >= 0)
        close(p->own.fd);
    p->own.fd = p->fd = fd;
    if (p->all->machine)
        trapline_serial_connect(p->all->machine, (unsigned)(p - p->all->serial), fd);
}

static int wait_for_peer(struct port *p, struct err *err)
{
    fprintf(stderr, "trapline: waiting for somebody to connect to %s\n", p->path);
    for (;;) {
        int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            take_peer(p, fd);
            return 0;
        }
        if (terminal_signal())
            return -EINTR;
        if (errno != EINTR && errno != ECONNABORTED)
            return err_set(err, errno, "cannot accept a connection to '%s': %s", p->path,
                           strerror(errno));
    }
}

/* From now on a connection raises SIGIO. */
static int watch(struct port *p, struct err *err)
{
    if (fcntl(p->listener, F_SETOWN, getpid()) == 0 &&
        fcntl(p->listener, F_SETFL, O_NONBLOCK | O_ASYNC) == 0)
        return 0;
    return err_set(err, errno, "cannot watch the socket '%s': %s", p->path, strerror(errno));
}

int channels_wait(struct channels *c, struct err *err)
{
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++) {
        struct port *p = &c->serial[i];
        if (p->listener < 0)
            continue;
        int rc = p->waits ? wait_for_peer(p, err) : 0;
        if (rc == 0)
            rc = watch(p, err);
        if (rc < 0)
            return rc;
    }
    channels_accept(c);
    return 0;
}

void channels_accept(struct channels *c)
{
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++) {
        struct port *p = &c->serial[i];
        int fd = p->listener < 0 ? -1 : accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            take_peer(p, fd);
    }
}

/* ---- the machine's side ---- */

static void flush(void *opaque)
{
    channels_flush(opaque);
}

void channels_flush(struct channels *c)
{
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++)
        output_flush(&c->serial[i].own);
    output_flush(&c->debugcon.own);
    output_flush(&c->standard);
}

void channels_connect(struct channels *c, struct trapline_config *config)
{
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++) {
        struct port *p = &c->serial[i];
        struct trapline_serial *s = &config->serial[i];
        s->put = p->out ? serial_put : NULL;
        s->put_opaque = p;
        s->fd = p->fd;
        s->stays_open = p->listener >= 0;
        s->filter = p->has_keys ? filter_keys : NULL;
        s->filter_opaque = p;
    }
    config->debugcon = c->debugcon.out ? debugcon_put : NULL;
    config->debugcon_opaque = &c->debugcon;
    config->flush = flush;
    config->flush_opaque = c;
}

static int check_output(const struct output *o, struct err *err)
{
    if (o->error == 0)
        return 0;
    err_set(err, o->error, "cannot write to %s: %s", o->name, strerror(o->error));
    if (o->error == EPIPE)
        err_hint(err, "its reader has gone away");
    return -o->error;
}

int channels_check(const struct channels *c, struct err *err)
{
    int rc = check_output(&c->standard, err);
    for (unsigned i = 0; rc == 0 && i < TRAPLINE_SERIALS; i++)
        rc = check_output(&c->serial[i].own, err);
    return rc == 0 ? check_output(&c->debugcon.own, err) : rc;
}

bool channels_are_interactive(const struct channels *c)
{
    for (unsigned i = 0; i < TRAPLINE_SERIALS; i++) {
        const struct port *p = &c->serial[i];
        if (p->listener >= 0 || (p->fd == STDIN_FILENO && isatty(STDIN_FILENO)))
            return true;
    }
    return false;
}
