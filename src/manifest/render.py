#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Renders a manifest template. Run by adyton-tools, not by users:

    render.py NAME LIBDIR MAX_OUTPUT [KEY | KEY=VALUE]... < template > text
    render.py --map NAME LIBDIR MAX_OUTPUT ...            < template > line numbers

With --map the output is, for each line of the text, the line of the template it came from. Errors are
one line on standard error, without a prefix, and exit status 1.
"""

import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import traceback

try:
    import jinja2
    import jinja2.nodes
except ImportError:
    sys.exit("the Python package jinja2 is missing; install python3-jinja2")

SOURCE = "<template>"  # what Jinja2 calls the file in tracebacks


class Problem(Exception):
    """Something that a helper function cannot do; the text says what and how to fix it."""


class RuntimeDirs:
    """gramine.runtimedir: `runtimedir()`, `runtimedir("musl")`, and usable as a path itself."""

    def __init__(self, libdir):
        self._base = pathlib.Path(libdir) / "runtime"

    def __call__(self, libc="glibc"):
        if libc not in ("glibc", "musl"):
            raise Problem(f"gramine.runtimedir({libc!r}): there are only 'glibc' and 'musl'")
        path = self._base / libc
        if not path.is_dir():
            raise Problem(f"gramine.runtimedir({libc!r}): '{path}' does not exist; install {libc} "
                          "and run the installation again")
        return path

    def __str__(self):
        return str(self())

    def __fspath__(self):
        return str(self())

    def __truediv__(self, other):
        return self() / other


class Gramine:
    """The template variable `gramine`."""

    def __init__(self, libdir):
        self.pkglibdir = pathlib.Path(libdir)
        self.libos = self.pkglibdir / "adyton-direct"
        self.runtimedir = RuntimeDirs(libdir)
        self.PAGESIZE = 4096


def run(argv, what):
    """Output of a program; its failure is a problem of the function `what` of the template."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, env=dict(os.environ, LC_ALL="C"))
    except (OSError, ValueError) as error:
        raise Problem(f"{what}: cannot run '{argv[0]}': "
                      f"{getattr(error, 'strerror', None) or error}") from error
    return done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr).strip()


class Python:
    """The template variable `python`: the interpreter this program runs under."""

    def __init__(self):
        self.stdlib = self.get_path("stdlib")
        self.platstdlib = self.get_path("platstdlib")
        self.purelib = self.get_path("purelib")
        self.distlib = self._distlib()
        self.ext_suffix = sysconfig.get_config_var("EXT_SUFFIX")
        self.implementation = sys.implementation

    def _distlib(self):
        # Debian's scheme for what its packages install, where there is one.
        if "deb_system" in sysconfig.get_scheme_names():
            return pathlib.Path(sysconfig.get_path("purelib", "deb_system"))
        return self.purelib

    @staticmethod
    def get_config_var(name):
        return sysconfig.get_config_var(name)

    @staticmethod
    def get_path(name, *args, **kwargs):
        try:
            return pathlib.Path(sysconfig.get_path(name, *args, **kwargs))
        except KeyError as error:
            raise Problem(f"python.get_path({name!r}): no such path; there are "
                          f"{', '.join(sysconfig.get_path_names())}") from error

    @staticmethod
    def get_paths(*args, **kwargs):
        return {k: pathlib.Path(v) for k, v in sysconfig.get_paths(*args, **kwargs).items()}

    @staticmethod
    def get_sys_path(interpreter, include_nonexisting=False):
        what = f"python.get_sys_path({str(interpreter)!r})"
        status, out, err = run([str(interpreter), "-c",
                                "import os, sys\n"
                                "for p in sys.path:\n"
                                "    if p: os.write(1, os.fsencode(p) + b'\\0')"], what)
        if status:
            last = err.splitlines()[-1] if err else f"exit status {status}"
            raise Problem(f"{what}: '{interpreter}' is no working Python interpreter: {last}")
        for entry in out.split("\0")[:-1]:
            path = pathlib.Path(entry)
            if include_nonexisting or path.exists():
                yield path


def ldd(*binaries):
    """Sorted absolute paths of the shared libraries of some host binaries."""
    found = set()
    for binary in binaries:
        binary = str(binary)
        what = f"ldd({binary!r})"
        if not os.path.isfile(binary):
            raise Problem(f"{what}: there is no such file")
        status, out, err = run(["ldd", "--", os.path.abspath(binary)], what)
        if status and "not a dynamic executable" in out + err:
            with open(binary, "rb") as file:
                if file.read(4) == b"\x7fELF":
                    continue  # a static program
        if status:
            raise Problem(f"{what}: {(err or out).splitlines()[-1].strip() if err or out else status}")
        for line in out.splitlines():
            name, arrow, target = line.strip().partition(" => ")
            if arrow and target.startswith("not found"):
                raise Problem(f"{what}: the library '{name}' was not found; install it or set "
                              "LD_LIBRARY_PATH")
            path = re.sub(r" \(0x[0-9a-f]+\)$", "", target if arrow else name)
            if path.startswith("/"):
                found.add(path)
    return sorted(found)


def variables(definitions, libdir):
    """Everything a template can use."""
    context = {"gramine": Gramine(libdir), "python": Python(), "env": os.environ, "ldd": ldd}
    for definition in definitions:
        key, equals, value = definition.partition("=")
        context[key] = value if equals else True
    return context


def mark_lines(tree):
    """Puts the template's line number into its text: U+E000, digits, U+E001."""
    for data in tree.find_all(jinja2.nodes.TemplateData):
        lines = data.data.split("\n")
        data.data = "\n".join(f"\ue000{data.lineno + i}\ue001{line}" for i, line in enumerate(lines))
    return tree


def render(text, context, limit, marked=False):
    """The rendered text, possibly with line marks."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
                                     autoescape=False)
    tree = environment.parse(text)
    if marked:
        tree = mark_lines(tree)
    template = environment.template_class.from_code(
        environment, environment.compile(tree, filename=SOURCE), environment.make_globals(None))
    parts, size = [], 0
    for part in template.generate(context):
        parts.append(part)
        size += len(part)
        if size > limit and not marked:
            raise Problem(f"the text grows beyond {limit >> 20} MiB; is there an endless loop?")
    return "".join(parts)


def line_map(text, context, limit):
    """For each line of the text the line of the template, None if that cannot be told."""
    marked = render(text, context, limit, marked=True)
    if re.sub("\ue000[0-9]+\ue001", "", marked) != render(text, context, limit):
        return None
    lines, last = [], 1
    for line in marked.split("\n"):
        marks = [int(m) for m in re.findall("\ue000([0-9]+)\ue001", line)]
        lines.append(marks[0] if marks else last)
        last = marks[-1] if marks else last
    return lines


def failing_line(error):
    """The line of the template that an exception came from."""
    line = getattr(error, "lineno", None) if isinstance(error, jinja2.TemplateSyntaxError) else None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == SOURCE:
            line = frame.lineno
    return line


def remedy(message):
    """What to do about something undefined; Jinja2 tells apart variables, keys and attributes."""
    if "os._Environ" in message:
        return "export it, or use env.get(NAME, DEFAULT)"
    if "has no attribute" in message:
        return "see docs/manifest.md for what templates can use"
    return "define it with -D KEY=VALUE or give it a default"


def explain(error):
    """Cause and remedy in one line."""
    if isinstance(error, Problem):
        text = str(error)
    elif isinstance(error, jinja2.UndefinedError):
        text = f"{error.message}; {remedy(error.message)}"
    elif isinstance(error, jinja2.TemplateSyntaxError):
        text = f"template syntax error: {error.message}"
    elif isinstance(error, (jinja2.TemplateNotFound, TypeError)) and "loader" in str(error):
        text = "other templates cannot be included or imported; put their text in place"
    elif isinstance(error, RecursionError):
        text = "the template is nested too deeply"
    elif isinstance(error, MemoryError):
        text = "the template needs more memory than there is"
    else:
        text = f"{type(error).__name__}: {error}"
    text = text.replace("'os._Environ object' has no attribute", "the environment has no variable")
    return " ".join(text.replace("__main__.", "").split())[:1000]


def main(argv):
    want_map = argv[1] == "--map"
    name, libdir, limit, *definitions = argv[2:] if want_map else argv[1:]
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        sys.exit(f"{name}: the template is not UTF-8 text (byte {error.start})")
    try:
        context = variables(definitions, libdir)
        if want_map:
            output = "".join(f"{n}\n" for n in line_map(text, context, int(limit)) or [])
        else:
            output = render(text, context, int(limit))
        data = output.encode("utf-8", "surrogateescape")
    except Exception as error:  # pylint: disable=broad-except
        # Whatever a template does wrong is the user's to know, in one line.
        line = failing_line(error)
        sys.exit(f"{name}:{line}: {explain(error)}" if line else f"{name}: {explain(error)}")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv)
