#!/bin/bash
# SPDX-License-Identifier: MIT
# boot: from a fresh clone to a shell on Debian's own kernel, in one command.
#
#   ./boot [--shell | --check] [-- TRAPLINE-OPTION...]
#
# Installs the packages that are missing (apt is called only then), builds the
# release preset, makes a guest from Debian's packages (kept in build/guest;
# elsewhere with TRAPLINE_GUEST=DIR), and runs it:
#
#   --shell   a shell in the guest, on this terminal; Ctrl-A x leaves, Ctrl-A h
#             lists the keys.  The default when standard input is a terminal.
#   --check   the guest prints uname -a, checks itself and powers off.  The
#             default otherwise.
#
# What follows -- goes to `trapline run`, for example: ./boot -- -smp 4 -d exits
#
# Exit status: that of trapline.  0: the guest powered off.  With --check, when
# the guest's check number N failed: (N << 1) | 1.  2: nothing could be run.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$top/tests/guest/setup.sh"

mode=
while [ $# -gt 0 ]; do
    case $1 in
    --shell | --check) mode=${1#--} ;;
    -h | --help)
        sed -n '3,/^set/p' "${BASH_SOURCE[0]}" | sed -n 's/^# \{0,1\}//p'
        exit 0
        ;;
    --)
        shift
        break
        ;;
    *) die "unknown option $1 (see ./boot --help; options of trapline go after --)" ;;
    esac
    shift
done
if [ -z "$mode" ]; then
    mode=check
    [ ! -t 0 ] || mode=shell
fi

install_missing "${build_packages[@]}" "${guest_packages[@]}"
# The tests want more packages than this: ./check turns them on.
options=()
[ -e "$top/build/release/build.ninja" ] || options=(-DBUILD_TESTING=OFF)
build release trapline_cli "${options[@]}"
guest=${TRAPLINE_GUEST:-$top/build/guest}
"$top/tests/guest/mkguest" --out "$guest" small

append="console=ttyS0 guest=$mode"
# What the guest should find; with options of your own it only finds them plausible.
[ $# -gt 0 ] || append+=" guest_mem=512 guest_cpus=1"
say "booting; the guest's console follows"
exec "$top/build/release/trapline" run -machine pc -m 512 -nographic -no-reboot \
    -kernel "$guest/vmlinuz" -initrd "$guest/initrd.gz" -append "$append" \
    -device isa-debug-exit,iobase=0xf4,iosize=0x04 "$@"
