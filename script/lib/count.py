"""Count what tests passed and failed, and show what the failed ones said.

Usage: count.py meson FOLDER    the tests that `meson test` last ran in a build folder
       count.py junit FILE      a pytest result
The last line of the output is `PASSED FAILED`. A result that cannot be read counts as one failure.
"""
import json
import re
import sys
import xml.etree.ElementTree as ElementTree

GOOD = {"OK", "EXPECTEDFAIL"}
SHOWN_MAX = 30  # failures told in full; of the rest the names


def sum_of(pattern, text):
    return sum(int(number) for number in re.findall(pattern, text))


def show(number, name, output):
    print(f"---- {name}")
    if number <= SHOWN_MAX:
        print(output.rstrip()[-20000:])


def count_meson(folder):
    passed = failed = 0
    with open(folder + "/meson-logs/testlog.json", encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            output = (test.get("stdout") or "") + (test.get("stderr") or "")
            # one program holds many tests: cmocka says how many
            inside_passed = sum_of(r"\[  PASSED  \] (\d+) test", output)
            inside_failed = sum_of(r"\[  FAILED  \] +(\d+) test", output)
            if test["result"] in GOOD and inside_failed == 0:
                passed += max(1, inside_passed)
                continue
            passed += inside_passed
            failed += max(1, inside_failed)
            show(failed, f"{test['name']}: {test['result']} (exit status {test.get('returncode')})", output)
    return passed, failed


def count_junit(path):
    passed = failed = skipped = 0
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        bad = case.find("failure")
        if bad is None:
            bad = case.find("error")
        if bad is not None:
            failed += 1
            show(failed, name, bad.text or bad.get("message") or "")
        elif case.find("skipped") is not None:
            skipped += 1
            print(f"skipped: {name}: {case.find('skipped').get('message')}")
        else:
            passed += 1
    return passed, failed


def main():
    counters = {"meson": count_meson, "junit": count_junit}
    try:
        passed, failed = counters[sys.argv[1]](sys.argv[2])
    except (OSError, ValueError, KeyError, ElementTree.ParseError) as error:
        print(f"---- no result to count: {error}")
        passed, failed = 0, 1
    print(passed, failed)


main()
