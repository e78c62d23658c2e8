"""junit.py - results of what is neither ctest nor pytest, written as they write theirs, for tally.py.

SPDX-License-Identifier: Apache-2.0
"""

import os
import xml.etree.ElementTree


def write(path, suite, results):
    """RESULTS: (name, seconds, what is wrong or None) of each."""
    root = xml.etree.ElementTree.Element("testsuite", name=suite, tests=str(len(results)))
    for name, seconds, wrong in results:
        case = xml.etree.ElementTree.SubElement(root, "testcase", classname=suite, name=name,
                                                time="%.1f" % seconds)
        if wrong is not None:
            xml.etree.ElementTree.SubElement(case, "failure", message=wrong[:1000])
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    xml.etree.ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
