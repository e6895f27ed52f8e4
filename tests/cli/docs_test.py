#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The pages of docs/ show what their commands print.

  docs_test.py --trapline FILE [--guests DIR] [--debian] PAGE...             compare
  docs_test.py --trapline FILE [--guests DIR] [--debian] --write PAGE...     put the output into the page

In a page, a block

  ```console
  $ trapline lab walks | head -3
  ...
  ```

holds commands and what each prints, errors included. They run in a new directory where the files of the --guests directory
are, with --debian those of `tests/guest/mkguest small` too ($TRAPLINE_GUEST or build/guest). What no two runs have in common is left out of a page: a line `...` stands for any number of
lines, and `...` inside a line for any text and the spaces before it. --write keeps such lines where they fit.
Exit status: 0 as shown, 1 not, 77 skipped: there is no Debian guest.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DEBIAN = os.environ.get("TRAPLINE_GUEST", HERE + "/../../build/guest")
BLOCK = re.compile(r"```console\n(\$ .*\n(?:.*\n)*?)```\n")


def parts_of(block):
    """A block's commands, each with its output."""
    parts = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            parts.append([line[2:], ""])
        elif parts[-1][0].endswith("\\\n"):
            parts[-1][0] += line
        else:
            parts[-1][1] += line
    return parts


def pattern_of(line):
    if line == "...\n":
        return r"(?:.*\n)*?"
    return r" *\S.*?".join(re.escape(piece.rstrip(" ")) for piece in line.split("...")) if "..." in line else re.escape(line)


def fits(shown, printed):
    return re.fullmatch("".join(pattern_of(line) for line in shown.splitlines(keepends=True)), printed) is not None


def run(command, directory):
    env = dict(os.environ, PATH=os.path.join(directory, "bin") + os.pathsep + os.environ["PATH"], LC_ALL="C")
    p = subprocess.run(["sh", "-c", command], cwd=os.path.join(directory, "work"), env=env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.stdout


def prepare(directory, trapline, guests):
    for name in "bin", "work":
        os.mkdir(os.path.join(directory, name))
    wrapper = os.path.join(directory, "bin", "trapline")
    with open(wrapper, "w") as f:
        f.write('#!/bin/sh\nexec %s "$@"\n' % trapline)
    os.chmod(wrapper, 0o755)
    for guest in guests:
        for name in os.listdir(guest):
            link = os.path.join(directory, "work", name)
            if not os.path.exists(link):
                os.symlink(os.path.join(os.path.abspath(guest), name), link)


def check(page, directory):
    """What is wrong with a page, said; how much."""
    wrong = 0
    blocks = BLOCK.findall(open(page).read())
    if not blocks:
        print("%s has no commands" % page)
        return 1
    for command, shown in (part for block in blocks for part in parts_of(block)):
        printed = run(command, directory)
        if not fits(shown, printed):
            print("%s: $ %sshows\n%sand prints\n%s" % (page, command, shown, printed))
            wrong += 1
    return wrong


def renew(page, directory):
    def renewed(match):
        text = ""
        for command, shown in parts_of(match[1]):
            printed = run(command, directory)
            text += "$ " + command + (shown if fits(shown, printed) else printed)
        return "```console\n%s```\n" % text

    text = BLOCK.sub(renewed, open(page).read())
    with open(page, "w") as f:
        f.write(text)
    return 0


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--trapline", required=True)
    ap.add_argument("--guests")
    ap.add_argument("--debian", action="store_true")
    ap.add_argument("--write", action="store_true")
    ap.add_argument("page", nargs="+")
    args = ap.parse_args()
    guests = [args.guests] * bool(args.guests) + [DEBIAN] * args.debian
    if args.debian and not os.path.exists(DEBIAN + "/vmlinuz"):
        print("no %s/vmlinuz: tests/guest/mkguest small" % DEBIAN)
        return 77
    with tempfile.TemporaryDirectory() as directory:
        trapline = " ".join(os.path.abspath(w) if os.path.exists(w) else w for w in args.trapline.split())
        prepare(directory, trapline, guests)
        return 1 if sum((renew if args.write else check)(page, directory) for page in args.page) else 0


if __name__ == "__main__":
    sys.exit(main())
