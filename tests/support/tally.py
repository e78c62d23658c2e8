"""tally.py - counts passed and failed tests in JUnit files, as ctest and pytest both write them.

    python3 tests/support/tally.py NAME=FILE...

A file that is missing counts as one failure: its runner did not come to an end. Prints a line for
each suite, and as the last line the sums; exits with 1 if a test failed or none ran.

SPDX-License-Identifier: Apache-2.0
"""

import sys
import xml.etree.ElementTree


def count(path):
    """(passed, failed names, skipped) of one file."""
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return 0, ["(the run did not come to an end)"], 0
    worst = {}  # a test that fails and then fails to clean up stands there twice
    for case in root.iter("testcase"):
        name = "%s %s" % (case.get("classname", ""), case.get("name"))
        tags = {child.tag for child in case}
        state = 2 if tags & {"failure", "error"} else 1 if "skipped" in tags else 0
        worst[name] = max(worst.get(name, 0), state)
    states = list(worst.values())
    return states.count(0), [name for name, state in worst.items() if state == 2], states.count(1)


def main():
    passed_in_all, failed_in_all = 0, 0
    for argument in sys.argv[1:]:
        suite, path = argument.split("=", 1)
        passed, failed, skipped = count(path)
        print("%-12s %4d passed, %d failed%s" % (suite, passed, len(failed),
                                               ", %d skipped" % skipped if skipped else ""))
        for name in failed:
            print("    failed: %s" % name)
        passed_in_all += passed
        failed_in_all += len(failed)
    print("%d passed, %d failed" % (passed_in_all, failed_in_all))
    return 1 if failed_in_all or not passed_in_all else 0


if __name__ == "__main__":
    sys.exit(main())
