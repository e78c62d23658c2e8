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

# install_packages NAME...: asks the package manager only when something is missing. It is quiet; what
# it said is shown when it failed.
install_packages() {
    local missing=() package root=() log code
    if ! command -v apt-get >/dev/null; then
        echo "this is no Debian: it needs what these packages have, and cannot install them: $*" >&2
        return 1
    fi
    for package in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" != "ii " ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} = 0 ]; then
        return 0
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "packages are missing, and here is neither root nor sudo; as root:" >&2
            echo "    apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
            return 1
        fi
        root=(sudo)
    fi
    echo "installing ${missing[*]} (a minute or two)" >&2
    log=$(mktemp) || return 1
    "${root[@]}" apt-get update -q >"$log" 2>&1 &&
        "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -q --no-install-recommends "${missing[@]}" >>"$log" 2>&1
    code=$?
    [ $code = 0 ] || tail -n 30 "$log" >&2
    rm -f "$log"
    return $code
}

# install_idle NAME...: packages that bring services of the same name, which are not to run: neither
# started now (masked for systemd; other ways of starting are refused in run level 1) nor at the next
# start of the machine. One that is there already is left as it is.
install_idle() {
    local new=() package code
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || new+=("$package")
    done
    [ ${#new[@]} != 0 ] || return 0
    systemctl mask --runtime "${new[@]}" >/dev/null 2>&1
    RUNLEVEL=1 install_packages "${new[@]}"
    code=$?
    systemctl unmask --runtime "${new[@]}" >/dev/null 2>&1
    for package in "${new[@]}"; do
        systemctl disable "$package" >/dev/null 2>&1 || update-rc.d "$package" disable >/dev/null 2>&1
    done
    return $code
}

# What the tests of clients need beyond Python's packages; rsyslog would begin to log this machine.
install_clients() {
    install_idle rsyslog && install_packages rsyslog-elasticsearch
}

# Where everything goes that is downloaded; engine.py decides the same.
cache_folder() {
    echo "${TANDEM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tandem}"
}
