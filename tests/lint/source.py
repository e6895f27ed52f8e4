# SPDX-License-Identifier: MIT
"""What the source lints share: our files, and a file without its comments."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAYERS = ("base", "decoder", "mmu", "cpu", "devices", "monitor", "frontends", "roms")


def files(*extensions, under=LAYERS, root=ROOT):
    """Our source files, as sorted paths relative to the root."""
    found = []
    for top in under:
        for where, dirs, names in os.walk(os.path.join(root, top)):
            dirs.sort()
            found += [os.path.relpath(os.path.join(where, n), root) for n in names if n.endswith(extensions)]
    return sorted(found)


def read(path, root=ROOT):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        return f.read()


def code(text, keep_strings=False):
    """The text with comments (and what is in strings) blanked, lines kept."""

    def blank(m):
        s = m[0]
        if s.startswith("/"):
            return re.sub(r"[^\n]", " ", s)
        return s if keep_strings else s[0] + " " * (len(s) - 2) + s[-1]

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def report(name, problems, checked):
    """Print the outcome of a lint; its exit status."""
    for p in problems:
        print(p)
    print("%s: %d checked, %d problems" % (name, checked, len(problems)))
    if not checked:
        print("%s: nothing was checked, which is a failure" % name)
    return 1 if problems or not checked else 0
