#!/bin/bash
# docs.sh - the pages that the programs print are committed as they print them.
#
#     tests/docs.sh TANDEMCTL
#
# SPDX-License-Identifier: Apache-2.0
set -u
tandemctl=${1:?usage: tests/docs.sh TANDEMCTL}
cd "$(dirname "$0")/.." || exit 1
failed=0

same() { # same PAGE FILE
    "$tandemctl" docs "$1" | cmp - "$2" && return
    echo "docs.sh: $2 is not what the program prints; repeat: tandemctl docs $1 > $2"
    failed=1
}
same compatibility docs/compatibility.md
same configuration docs/configuration.md
same conf conf/tandem.yml
exit $failed
