# install.sh - installs the Debian packages that are missing; sourced by tests/run and quickstart.
#
# SPDX-License-Identifier: Apache-2.0

packages_build="build-essential cmake ninja-build pkg-config libevent-dev libcurl4-openssl-dev
    libjansson-dev liblmdb-dev libyaml-dev zlib1g-dev libssl-dev uthash-dev"
# Java is for the engines only; Tandem needs none.
packages_engines="openjdk-17-jdk-headless maven python3 python3-pip ca-certificates util-linux"
packages_tests="libcmocka-dev python3-venv git strace"
packages_quickstart="curl"
# clang only recommends the libraries of the fuzzer and the sanitizers; llvm names lines in their reports.
packages_fuzz="clang libclang-rt-dev llvm"
# bench/run measures against them. They are not to run: see install_packages.
packages_bench="haproxy nginx"

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "cannot install packages: neither root nor sudo; run as root: $*" >&2
        return 1
    fi
}

# install_packages NAME...: asks the package manager only when something is missing.
install_packages() {
    local missing=() package
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" != "ii " ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} = 0 ]; then
        return 0
    fi
    echo "installing ${missing[*]}" >&2
    as_root apt-get update -q >&2 || return 1
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

# Where everything goes that is downloaded; engine.py decides the same.
cache_folder() {
    echo "${TANDEM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tandem}"
}
