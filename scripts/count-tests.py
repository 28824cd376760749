# SPDX-License-Identifier: LGPL-3.0-or-later
"""Read test results for scripts/check.sh.

count-tests.py meson LOG.json   "PASSED FAILED SKIPPED" of meson's testlog.json
count-tests.py junit FILE.xml   the same of pytest's JUnit file
count-tests.py names FOLDER     names of the tests whose program is built in FOLDER (tests/unit), from
                                `meson introspect --tests` on stdin
"""
import json
import sys
import xml.etree.ElementTree as ElementTree


def from_meson(path):
    with open(path, encoding="utf-8") as log:
        results = [json.loads(line)["result"] for line in log if line.strip()]
    passed = sum(r in ("OK", "EXPECTEDFAIL") for r in results)
    skipped = results.count("SKIP")
    return passed, len(results) - passed - skipped, skipped


def from_junit(path):
    suites = ElementTree.parse(path).getroot().iter("testsuite")
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests"))
        failed += int(suite.get("failures")) + int(suite.get("errors"))
        skipped += int(suite.get("skipped"))
    return total - failed - skipped, failed, skipped


def names(folder):
    for test in json.load(sys.stdin):
        if f"/{folder}/" in test["cmd"][0]:
            print(test["name"])


mode, argument = sys.argv[1:]
if mode == "names":
    names(argument)
else:
    print(*(from_meson if mode == "meson" else from_junit)(argument))
