# SPDX-License-Identifier: LGPL-3.0-or-later
"""From the record of a traced run (tracer.h) to what it needed, as --merge keeps it."""

import os
import stat

PSEUDO = ("/proc", "/sys", "/dev")
DEVICES = {"/dev/" + name for name in ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "stdin", "stdout",
                                        "stderr")}


class Problem(Exception):
    """What stops the writing; one sentence with cause and remedy."""


def below(path, folder):
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def read_record(data):
    """The record's strings as ({path: kinds}, aliases, facts, peaks, status)."""
    files, aliases, facts, status, folder = {}, [], set(), None, None
    peaks = dict.fromkeys(("hwm", "accessible", "stack", "heap", "threads"), 0)
    relative = set()
    for string in os.fsdecode(data).split("\0")[:-1]:
        kind, rest = string[0], string[1:]
        if kind == "A":
            folder = rest
        elif kind == "W":
            aliases.append((folder, rest))
        elif kind == "F":
            facts.add(rest)
        elif kind == "P":
            for name, value in zip(peaks, rest.split()):
                peaks[name] = max(peaks[name], int(value))
        elif kind == "E":
            status = int(rest)
        else:
            files[rest[1:]] = files.get(rest[1:], "") + kind
            if rest[0] == "@":
                relative.add(rest[1:])
    for path in sorted(relative):
        for real, written in aliases:
            other = written + path[len(real):]
            if path.startswith(real + "/") and other not in files and os.path.exists(other):
                files[other] = files[path]
    return files, facts, peaks, status


def is_kind(path, test):
    try:
        return test(os.stat(path).st_mode)
    except OSError:
        return False


def classify(path, kinds):
    """made, temporary, created, written, trusted, socket, listed, seen, special or None"""
    there = os.path.lexists(path)
    folder = is_kind(path, stat.S_ISDIR)
    if kinds[0] == "m":
        return "made"
    if kinds[0] in "cl":
        return "created" if there else "temporary"
    if folder:
        return "scratch" if "w" in kinds else "listed" if "d" in kinds else "seen"
    if any(kind in kinds for kind in "wtkuc"):
        return "written"
    if any(kind in kinds for kind in "oxi"):
        return "trusted" if is_kind(path, stat.S_ISREG) else "special"
    return "socket" if "n" in kinds else "listed" if "d" in kinds else "seen"


STRONGER = ("seen", "listed", "trusted", "temporary", "scratch", "socket", "special", "created",
            "made", "written")


def run_needs(data, argv):
    """What this run needed, as --merge keeps it."""
    files, facts, peaks, status = read_record(data)
    classes, programs = {}, []
    for path, kinds in files.items():
        if any(below(path, folder) for folder in PSEUDO) or path == "/":
            inside = path in DEVICES or any(below(path, name) for name in ("/dev/shm", "/dev/fd", "/dev/pts"))
            if below(path, "/dev") and not inside and set(kinds) & set("ow"):
                facts.add("device " + path)
            continue
        if "__pycache__" in path and kinds[0] in "clm":
            facts.add("bytecode")
            continue
        classes[path] = classify(path, kinds)
        if "x" in kinds:
            programs.append(path)
    if not programs:
        raise Problem(f"'{argv[0]}' was not started, so there is nothing to write down")
    try:
        folder = os.getcwd()
    except OSError as error:
        raise Problem("the folder that the command was started in is gone, so no manifest can name it; start it in "
                      "another one") from error
    return {"runs": [{"argv": argv, "cwd": folder, "status": status, "program": programs[0]}],
            "files": classes, "facts": sorted(facts), "peaks": peaks,
            "env": dict(os.environ)}


def merged(old, new):
    """Both runs' needs in one."""
    files = dict(old["files"])
    for path, kind in new["files"].items():
        have = files.get(path)
        files[path] = kind if have is None else max(have, kind, key=STRONGER.index)
    runs = old["runs"] + [run for run in new["runs"]
                          if not any(run["argv"] == other["argv"] for other in old["runs"])]
    if old["runs"][0]["program"] != new["runs"][0]["program"]:
        raise Problem(f"--merge: the earlier run started {old['runs'][0]['program']!r}, this one "
                      f"{new['runs'][0]['program']!r}; one manifest starts one program")
    return {"runs": runs, "files": files, "facts": sorted({*old["facts"], *new["facts"]}),
            "peaks": {name: max(old["peaks"][name], new["peaks"][name]) for name in new["peaks"]},
            "env": {**new["env"], **old["env"]},
            "secrets": sorted({*old["secrets"], *new["secrets"]}),
            "results": sorted({*old["results"], *new["results"]})}
