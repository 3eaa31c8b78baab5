"""summary.py RESULTS.xml: counts the cases that ctest ran (--output-junit), and prints the failures.

Boost.Test programs are counted by their log, so that a crash fails the case it happened in; a script by its
lines `PASS:`, `FAIL:` and `SKIP:`, or as one case. A Boost case that prints `SKIP: reason` counts as skipped;
one that is disabled (another case runs it in a process of its own) does not count.
"""
import re
import sys
import xml.etree.ElementTree

ENTER = re.compile(r'Entering test case "(.*?)"')
LEAVE = re.compile(r'Leaving test case "(.*?)"')
ERROR = re.compile(r"\berror: in \"")
SKIPPED = re.compile(r"\bSKIP: |Test case .* is skipped because (?!disabled)")


def boost_cases(lines):
    """(state, lines) of every case of a Boost.Test log."""
    case, state = None, "passed"
    for line in lines:
        if ENTER.search(line):
            case, state = [], "passed"
        if case is not None:
            case.append(line)
        if ERROR.search(line):
            state = "failed"
        elif SKIPPED.search(line) and state == "passed":
            state = "skipped"
            if case is None:
                yield state, [line]
                state = "passed"
        if LEAVE.search(line) and case is not None:
            yield state, case
            case = None
    if case is not None:
        yield "failed", case + ["(ended here)"]


def script_cases(lines):
    words = {"PASS:": "passed", "FAIL:": "failed", "SKIP:": "skipped"}
    for line in lines:
        if line[:5] in words:
            yield words[line[:5]], [line]


def cases_of(test):
    lines = (test.findtext("system-out") or "").split("\n")
    ok = test.get("status") == "run"
    cases = list(boost_cases(lines) if any(map(ENTER.search, lines)) else script_cases(lines))
    if not ok and not any(state == "failed" for state, _ in cases):
        cases.append(("failed", [f"ended badly: {test.get('name')}"] + lines[-60:]))
    return cases or [("passed", [])]


def main(path):
    total = {"passed": 0, "failed": 0, "skipped": 0}
    reasons = set()
    for test in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        cases = cases_of(test)
        if any(state == "failed" for state, _ in cases):
            print(f"\n--- failed: {test.get('name')}")
        for state, lines in cases:
            total[state] += 1
            if state == "failed":
                print(*lines[:200], sep="\n")
            elif state == "skipped":
                reasons.update(line.strip() for line in lines if SKIPPED.search(line))
    print(*sorted(reasons), sep="\n")
    skipped = f", {total['skipped']} skipped" if total["skipped"] else ""
    print(f"{total['passed']} passed, {total['failed']} failed{skipped}")
    sys.exit(total["failed"] != 0)


if __name__ == "__main__":
    main(sys.argv[1])
