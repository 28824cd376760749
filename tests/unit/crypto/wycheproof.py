# SPDX-License-Identifier: LGPL-3.0-or-later
"""Project Wycheproof's AES-GCM and AES-CMAC vectors, run through the line-driven test program.

Usage: wycheproof.py PROGRAM DIRECTORY-WITH-VECTORS
"""
import json
import pathlib
import subprocess
import sys

SKIP = 77


def cases(directory):
    """Yields (name, line, expected answer) for every case within what the library offers."""
    for group in json.loads((directory / "aes_gcm_test.json").read_text())["testGroups"]:
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (128, 96, 128):
            continue
        for t in group["tests"]:
            fields = [t[k] or "-" for k in ("key", "iv", "aad", "msg", "ct", "tag")]
            yield f"gcm {t['tcId']}", " ".join(["gcm", *fields]), t["result"]
    for group in json.loads((directory / "aes_cmac_test.json").read_text())["testGroups"]:
        if (group["keySize"], group["tagSize"]) != (128, 128):
            continue
        for t in group["tests"]:
            fields = [t[k] or "-" for k in ("key", "msg", "tag")]
            if len(t["tag"]) != 32 or len(t["key"]) != 32:
                continue
            yield f"cmac {t['tcId']}", " ".join(["cmac", *fields]), t["result"]


def main():
    program, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    if not (directory / "aes_gcm_test.json").exists():
        print(f"SKIP: no Wycheproof vectors in {directory}")
        return SKIP
    names, lines, results = zip(*cases(directory))
    run = subprocess.run([program], input="\n".join(lines) + "\n", text=True, capture_output=True)
    answers = run.stdout.split("\n")[:-1]
    if run.returncode or len(answers) != len(names):
        print(f"{program}: status {run.returncode}, {len(answers)} of {len(names)} answers")
        print(run.stderr)
        return 1
    want = {"valid": "ok", "invalid": "refused"}
    wrong = [(n, r, a) for n, r, a in zip(names, results, answers) if want[r] != a]
    for name, result, answer in wrong:
        print(f"{name}: {result}, but {answer}")
    counts = {kind: sum(r == kind for r in results) for kind in want}
    print(f"{len(names)} cases: {counts['valid']} valid, {counts['invalid']} invalid, {len(wrong)} wrong")
    return 1 if wrong or not all(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
