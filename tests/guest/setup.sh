# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What ./boot and ./check share: install what is missing, configure, build.
# Sourced with $top set to the root of the tree.

say() { echo "== $*" >&2; }
die() {
    echo "error: $*" >&2
    exit 2
}

# What building the release preset needs, and what making the small guest needs.
build_packages=(gcc libc6-dev cmake ninja-build pkg-config mawk python3 libelf-dev libzstd-dev liblz4-dev
    liblzma-dev zlib1g-dev libbz2-dev libxxhash-dev libmpfr-dev libjansson-dev libcapstone-dev)
guest_packages=(cpio xz-utils zstd)

# install_missing PACKAGE...: calls apt only when one of them is not there.
install_missing() {
    if ! command -v dpkg-query >/dev/null; then
        say "no dpkg here: taking it that these are installed in your system's way: $*"
        return 0
    fi
    local missing=() p
    for p; do
        # A virtual or renamed package counts when something provides it.
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    local sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    local quiet=(-q)
    [ ! -t 2 ] || quiet=()
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${sudo[@]}" apt-get "${quiet[@]}" update >&2 ||
        say "warning: the package lists could not be refreshed; trying with those at hand"
    "${sudo[@]}" apt-get "${quiet[@]}" install -y --no-install-recommends "${missing[@]}" >&2 ||
        die "cannot install ${missing[*]}; with a network, try: apt-get install ${missing[*]}"
}

# build PRESET TARGET [CMAKE-OPTION...]: configure on first use, then build.
build() {
    local preset=$1 target=$2
    shift 2
    if [ ! -e "$top/build/$preset/build.ninja" ] || [ $# -gt 0 ]; then
        say "configuring preset $preset"
        (cd "$top" && cmake --preset "$preset" "$@" >&2) || die "cmake --preset $preset failed"
    fi
    say "building preset $preset"
    cmake --build "$top/build/$preset" --target "$target" >&2 ||
        die "building preset $preset failed; try: cmake --build build/$preset --target $target"
}
