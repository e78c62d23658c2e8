#!/bin/bash
# tidy.sh - the part of the house style that a machine can check. CONTRIBUTING.md has the rest.
#
# Looks at the files that git knows (without git: at all of them) and prints each finding as
# FILE:LINE: what is wrong. SPDX and sizes are asked of our own code only, not of tables and corpora.
#
# SPDX-License-Identifier: Apache-2.0
set -u
shopt -s lastpipe # report() sets `failed` here, not in a child
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C

files=$(git ls-files 2>/dev/null) || files=
[ -n "$files" ] || files=$(find . -type f -not -path './build*' -not -path './.git/*' | sed 's|^\./||')
files=$(printf '%s\n' "$files" | while read -r file; do [ ! -f "$file" ] || echo "$file"; done)
of() { printf '%s\n' "$files" | grep -E "$1"; }
code=$(of '\.(c|h|py|sh|java|js)$|^(quickstart|tests/run|\.ci/run|bench/run)$')
c=$(of '\.[ch]$')
text=$(of . | grep -vE '^tests/fuzz/corpus/|\.tsv$')
failed=0

report() { # report TEXT: prints what came in, if anything, under TEXT
    local found
    found=$(cat)
    [ -z "$found" ] && return
    printf '%s\n%s\n' "--- $1" "$found"
    failed=1
}

# Line 1 (behind #! line 2) says `name - what it is for`; a CMakeLists.txt is named by its folder.
for file in $code $(of '\.cmake$|CMakeLists\.txt$|^conf/systemd/'); do
    name=${file##*/}
    case $file in
    CMakeLists.txt) ;;
    */CMakeLists.txt) name=${file%/CMakeLists.txt} ;;
    quickstart | tests/run | .ci/run | bench/run) name=$file ;;
    esac
    head -n 2 "$file" | grep -v '^#!' | head -n 1 | grep -qF -- "$name - " ||
        echo "$file:1: does not begin with \"$name - what it is for\""
done | report "the first line names the file and its purpose"

for file in $code; do
    head -n 200 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file:1: no licence line"
done | report "the licence is in the file's head"

# Who may include whom: by the folder of the file and the first part of the included path.
# shellcheck disable=SC2086 # lists of names
awk '
BEGIN {
    allowed["lib/base"] = "base"
    allowed["lib/http"] = "base http"
    allowed["lib/es"] = "base http es"
    allowed["lib/journal"] = "base journal"
    allowed["lib/conf"] = "base conf"
    allowed["lib/admin"] = "base http conf admin"
    allowed["proxy"] = "base http es journal conf admin proxy"
    allowed["replicator"] = "base http es journal conf admin replicator"
    allowed["ctl"] = "base http es journal conf ctl"
}
/^#include "[^"]*\// {
    n = split(FILENAME, at, "/")
    folder = at[1] == "lib" ? at[1] "/" at[2] : at[1]
    split($2, part, "[\"/]")
    if (folder in allowed && index(" " allowed[folder] " ", " " part[2] " ") == 0)
        print FILENAME ":" FNR ": " folder " must not include " part[2] "/"
}' $c | report "includes go in the allowed directions"

# Our format puts the braces of functions, and nothing else, alone at the beginning of a line.
# shellcheck disable=SC2086
awk 'FNR == 1 { begin = 0 }
/^{$/ { begin = FNR }
/^}$/ { if (begin && FNR - begin - 1 > 120) print FILENAME ":" begin ": a function of " FNR - begin - 1 " lines"
        begin = 0 }' $c | report "no function above 120 lines"

# shellcheck disable=SC2086
wc -l $code | awk '$2 != "total" && $1 > 900 { print $2 ":1: " $1 " lines" }' |
    report "no file above 900 lines"

# shellcheck disable=SC2086
grep -nE '(^|[^A-Za-z0-9_.>*})-])/(wo[r]k|ro[o]t|tm[p]|far[m]|home/[a-z]+)(/|$)' $text |
    report "no absolute path of one machine"

# shellcheck disable=SC2086
grep -nE 'mave[n]\.org|pyp[i]\.org|pythonhoste[d]|npmj[s]|crates\.i[o]|golan[g]\.org|debia[n]\.org|docke[r]\.io|artifacts\.elasti[c]' $text |
    report "no host name of a package registry"

# C tests have a clock of their own. A system test may pace what it sends, and says why on the line.
grep -nE '\b(u|nano)?sleep *\(' $(of '^tests/(unit|simulation|fuzz)/.*\.[ch]$') </dev/null |
    report "tests do not sleep"
grep -nE '\bsleep\(' $(of '^tests/system/.*\.py$') </dev/null | grep -v '#' |
    report "a system test that sleeps says why on the line"

[ $failed = 0 ] && echo "tidy: nothing found"
exit $failed
