#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-3.0-or-later
"""Writes a manifest template from the record of a traced run. Run by adyton-tools, not by users:

    template.py RECORD_FD NAME OUTPUT FOLDERS MERGE NSECRETS NRESULTS SECRET... RESULT... COMMAND...

The record is described in tracer.h. Beside the template stands OUTPUT.record (JSON): what the runs
so far needed, for --merge. Every text that comes from the run passes through quoted(), so that no
name of a file can end a string or begin a Jinja2 expression.
"""

import hashlib
import json
import mmap
import os
import re
import shlex
import stat
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True  # where the tools are installed

from needs import Problem, below, is_kind, merged, run_needs

SYSTEM = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt"}
SHARED = {"/", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/var", "/home", "/root",
          "/run", "/srv", "/mnt"}
SECRET_NAME = re.compile(r"SECRET|TOKEN|PASS|CREDENTIAL|API_?KEY|PRIVATE|ACCESS_KEY|AUTH", re.I)
SEARCHED_MOST = 1 << 30
MIB = 1 << 20
RESOLVER = ("/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf")


def quoted(text):
    """A TOML basic string that Jinja2 leaves alone, of one line, in printable characters."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char == "{" or not char.isprintable():
            code = ord(char)
            out.append(f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def can_be_named(text):
    """TOML is Unicode text: names that are not UTF-8 cannot stand in it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def parent(path):
    return os.path.dirname(path)


def nearest(path):
    """The path, or what of it is there still."""
    while not os.path.exists(path):
        path = parent(path)
    return path


# --- what follows from it ----------------------------------------------------------------------


class Plan:
    """The manifest's content, decided from the needs of all runs."""

    def __init__(self, needs, folders):
        self.needs = needs
        self.questions, self.notes = [], []
        first = needs["runs"][0]
        self.cwd = first["cwd"]
        self.facts = set(needs["facts"])
        files = needs["files"]
        self.protected = [*needs["secrets"], *needs["results"]]
        self.classes = {path: kind for path, kind in files.items() if path not in self.protected}
        self.entrypoint = first["program"]
        try:
            with open(self.entrypoint, "rb") as file:
                if file.read(2) != b"#!":
                    self.entrypoint = os.path.realpath(self.entrypoint)
        except OSError as error:
            raise Problem(f"the program {self.entrypoint!r} cannot be read after the run ({error.strerror}), so no "
                          "manifest can name it; keep it where it is") from error
        self.trusted = {path for path, kind in self.classes.items() if kind == "trusted"}
        self.trusted.add(self.entrypoint)
        if "resolves" in self.facts or "/etc/resolv.conf" in files:
            self.facts.add("resolves")
            self.trusted.discard("/etc/resolv.conf")
            self.trusted |= {path for path in RESOLVER if os.path.isfile(path)}
        for path in self.protected:
            if path not in files:
                self.ask(f"No run used {quoted(path)}, which --secret or --result names. Is it the right name?",
                         "yes: it becomes encrypted, all the same.",
                         "trace again with the name that the program uses; under that it is not protected now.")
        self.drop_unnameable()
        self.decide_scratch()
        self.decide_allowed()
        self.mounts = self.decide_mounts()
        self.trusted = {path for path in self.trusted
                        if not any(below(path, entry) for entry in self.allowed)}
        self.trusted_folders = self.decide_folders() if folders else set()
        self.environment = self.decide_environment()

    def of_class(self, *kinds):
        return sorted(path for path, kind in self.classes.items() if kind in kinds)

    def ask(self, text, stands, other):
        self.questions.append((text, stands, other))

    def drop_unnameable(self):
        for path in [path for path in {*self.classes, *self.trusted} if not can_be_named(path)]:
            if self.classes.get(path) not in ("seen", "listed"):
                shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                self.ask(f"The name {quoted(shown)} is not UTF-8 and cannot stand in a manifest. May it be used?",
                         "no: it is refused.",
                         "rename it and trace again, or allow its folder in sgx.allowed_files (the host may then "
                         "change all in it).")
            self.classes.pop(path, None)
            self.trusted.discard(path)

    def decide_scratch(self):
        """Which folders for temporary files become a tmpfs."""
        made = set(self.of_class("made"))
        candidates = {"/tmp", "/var/tmp", f"/run/user/{os.getuid()}"}
        candidates |= {os.path.realpath(os.environ[name]) for name in ("TMPDIR", "XDG_RUNTIME_DIR")
                       if os.environ.get(name, "").startswith("/")}
        self.tmpfs, self.in_tmpfs = set(), set()

        def home(path):
            folder = parent(path)
            while folder in made and folder not in candidates:
                folder = parent(folder)
            if folder in candidates:
                return folder
            # A folder in /tmp that was there before: for nothing but temporary files?
            kept = (self.cwd, *self.trusted, *self.protected, *self.of_class("written", "created"))
            alone = parent(folder) in candidates and not any(below(other, folder) for other in kept)
            return folder if alone and self.classes[path] == "temporary" else None

        left = []
        for path in self.of_class("temporary", "created", "made", "scratch"):
            folder = path if path in candidates and self.classes[path] == "scratch" else home(path)
            if not folder:
                continue
            self.tmpfs.add(folder)
            self.in_tmpfs.add(path)
            if self.classes[path] == "created":
                left.append(path)
        for path in left:
            self.ask(f"The run left {quoted(path)} behind, in a folder for temporary files. Is it a result?",
                     "no: the folder is a tmpfs, and the file is gone at the end.",
                     f"trace again with --result {quoted(path)}.")

    def decide_allowed(self):
        """Files that the program changes; folders of its own making as a whole."""
        made = [path for path in self.of_class("made") if path not in self.in_tmpfs]
        tops = {path for path in made if not any(below(path, other) and path != other for other in made)}
        self.allowed = set(tops)
        changed = [path for path in self.of_class("written", "created", "temporary", "scratch")
                   if path not in self.in_tmpfs]
        vanished = {parent(path) for path in changed if self.classes[path] == "temporary"}
        vanished |= {path for path in changed if self.classes[path] == "scratch"}
        home = os.environ.get("HOME", "/root")
        for folder in sorted(vanished):
            if any(below(folder, entry) for entry in self.allowed):
                continue
            whole = folder not in SHARED and folder != home and \
                not any(below(path, folder) for path in (*self.trusted, *self.protected))
            if whole:
                self.allowed.add(folder)
            else:
                self.ask(f"Files in {quoted(folder)} came and went. Do their names differ from run to run?",
                         "no: exactly the names of this run are allowed.",
                         f"sgx.allowed_files += {quoted('file:' + folder)}; then nothing in it is verified any more.")
        for path in changed:
            if not any(below(path, entry) for entry in self.allowed):
                self.allowed.add(path)
        for path in self.of_class("socket"):
            self.allowed.add(path)
            self.ask(f"The program talks to whoever listens at {quoted(path)}. Is that wanted?",
                     "yes: it is allowed; the host sees and answers what is said there.",
                     "take it out of sgx.allowed_files.")
        for path in sorted(self.allowed):
            if self.classes.get(path) != "socket":
                self.ask(f"The program changes {quoted(path)}. May the host read and change it?",
                         "yes: it stands in sgx.allowed_files, without any protection.",
                         f"trace again with --result {quoted(path)}: it becomes encrypted.")
        for path in self.of_class("special"):
            self.ask(f"{quoted(path)} is neither a file nor a folder. Is it needed?",
                     "no: it is refused.", f"sgx.allowed_files += {quoted('file:' + path)}.")

    def decide_mounts(self):
        """{path: type}; parents come first in sorted order."""
        wanted = set()
        for path in (*self.classes, *self.trusted, *self.allowed):
            if path in self.in_tmpfs:
                continue
            top = path.split("/")[1]
            kind = self.classes.get(path, "trusted")
            if top in SYSTEM:
                wanted.add("/" + top)
            elif kind in ("listed", "scratch"):
                if path not in self.tmpfs:
                    wanted.add(path)
            elif kind in ("written", "socket") and parent(path) in self.tmpfs:
                wanted.add(path)
            elif kind in ("created", "temporary", "made", "written", "socket"):
                wanted.add(parent(path))
            elif kind == "trusted" or not is_kind(path, stat.S_ISDIR):
                if os.path.exists(path):
                    wanted.add(path if parent(path) in SHARED | self.tmpfs else parent(path))
        # Folders that were there during the run only are reached through what holds them.
        wanted = {path: nearest(path) for path in wanted - {"/"} if can_be_named(path)}
        for path in sorted(path for path, there in wanted.items() if there == "/"):
            if self.classes.get(path) != "made":
                self.ask(f"{quoted(path)} was there during the run only. Does the program find it when it starts?",
                         "no: it is missing inside, too.",
                         f"fs.mounts += {{ path = {quoted(path)}, uri = {uri(path)} }}.")
        wanted = set(wanted.values()) - {"/"}

        def covered(path, others):
            folder = path
            while folder != "/":
                folder = parent(folder)
                if folder in self.tmpfs:
                    return False
                if folder in others:
                    return True
            return False

        kept = {path for path in wanted if not covered(path, wanted)}
        mounts = {**{path: "chroot" for path in kept if path not in self.tmpfs},
                  **{path: "tmpfs" for path in self.tmpfs}}
        for path in (self.cwd, *self.of_class("seen")):
            if is_kind(path, stat.S_ISDIR) and path not in mounts and not covered(path, kept) and \
                    not any(below(other, path) for other in mounts) and can_be_named(path):
                mounts[path] = "chroot" if path == self.cwd else "empty"
        return mounts

    def decide_folders(self):
        """Folders of which every file belongs to a package and several are used."""
        owned = package_files()
        count = {}
        for path in self.trusted:
            folder = parent(path)
            while folder.count("/") >= 3:
                count[folder] = count.get(folder, 0) + 1
                folder = parent(folder)
        whole, tops = {}, set()
        for folder in sorted(count):
            if count[folder] < 4 or re.fullmatch(r"/(usr/)?lib/[^/]*-linux-gnu|/usr/(share|lib)/[^/]{0,2}", folder):
                continue
            if any(below(folder, top) for top in tops):
                continue
            whole[folder] = all_owned(folder, owned)
            if whole[folder]:
                tops.add(folder)
        self.trusted = {path for path in self.trusted if not any(below(path, top) for top in tops)}
        return tops

    def decide_environment(self):
        """The variables whose names occur in a file that the runs read, by name."""
        self.unread = []
        left = {name: name.encode("utf-8", "surrogateescape")
                for name in self.needs["env"] if name not in ("_",)}
        found, searched = {}, 0
        files = {os.path.realpath(path) for path in {*self.trusted, *self.of_class("trusted")}}
        for size, path in sorted((os.path.getsize(path), path) for path in files if os.path.isfile(path)):
            searched += size
            if not left or not size or searched > SEARCHED_MOST:
                continue
            try:
                with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    parts = data_parts(data)
                    for name in [name for name, raw in left.items()
                                 if any(data.find(raw, start, end) >= 0 for start, end in parts)]:
                        found[name] = self.needs["env"][name]
                        del left[name]
            except OSError:
                continue
        for text in (string for run in self.needs["runs"] for string in run["argv"]):
            for name in [name for name in left if name in text]:
                found[name] = self.needs["env"][name]
                del left[name]
        self.unread = sorted(left)
        self.searched_all = searched <= SEARCHED_MOST
        return dict(sorted(found.items()))


def data_parts(data):
    """Where in a file constants can stand: of an ELF file whose code has segments of its own, not there."""
    whole = [(0, len(data))]
    if len(data) < 64 or data[:5] != b"\x7fELF\x02":
        return whole
    table, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    if size != 56 or table + size * count > len(data):
        return whole
    parts, constants = [], False
    for index in range(count):
        kind, flags, start, _, _, length = struct.unpack_from("<IIQQQQ", data, table + index * size)
        if kind == 1 and not flags & 1:
            parts.append((start, min(start + length, len(data))))
            constants |= flags == 4
    return parts if constants else whole


def package_files():
    """The files of all Debian packages, by their real names."""
    owned, folder = set(), "/var/lib/dpkg/info"
    try:
        lists = [name for name in os.listdir(folder) if name.endswith(".list")]
    except OSError as error:
        raise Problem(f"--folders: cannot read '{folder}': {error.strerror}; trace without it") from error
    for name in lists:
        with open(os.path.join(folder, name), "rb") as file:
            owned.update(os.fsdecode(line) for line in file.read().split(b"\n"))
    merged_usr = [top for top in ("/bin", "/sbin", "/lib", "/lib64") if os.path.islink(top)]
    owned |= {"/usr" + path for path in owned if any(below(path, top) for top in merged_usr)}
    return owned


def all_owned(folder, owned):
    """Is every file below the folder a package's (byte code that its scripts made included)?"""
    real = os.path.realpath(folder)
    for base, _, names in os.walk(real):
        for name in names:
            path = os.path.join(base, name)
            if path not in owned and not (name.endswith(".pyc") and base.endswith("__pycache__") and
                                          base[:-len("/__pycache__")] in owned):
                return False
    return os.stat(real).st_uid == 0 and not os.stat(real).st_mode & 0o022


# --- text -------------------------------------------------------------------------------------


def size_text(count):
    for unit, name in ((1 << 30, "G"), (MIB, "M"), (1 << 10, "K")):
        if count % unit == 0 and count >= unit:
            return f"{count // unit}{name}"
    return str(count)


def power_of_two(count):
    return 1 << max(count - 1, 1).bit_length()


def uri(path, suffix=""):
    return quoted("file:" + path + suffix)


class Text:
    """The template, section by section."""

    def __init__(self, plan, name, output):
        self.plan, self.name, self.output = plan, name, output
        self.lines = []

    def add(self, *lines):
        self.lines += lines

    def head(self):
        runs = self.plan.needs["runs"]
        self.add("# Written by adyton trace. Of each run that was traced:")
        for run in runs:
            self.add("#   " + quoted(" ".join(shlex.quote(text) for text in run["argv"]).encode(
                "utf-8", "backslashreplace").decode()))
            if run["status"]:
                self.add(f"#     which ended with wait status {run['status']:#x}: what a whole run needs may be missing")
        self.add("# What another run needs beside this is refused. To see what: render with -Dlog_level=warning;",
                 "# to allow it: adyton trace --merge, or the line that the warning names.", "")

    def ask_all(self):
        if not self.plan.questions:
            return
        self.add("# --- Questions that a trace cannot answer. The first answer stands below.")
        for number, (text, stands, other) in enumerate(self.plan.questions, 1):
            self.add(f"# {number}. {text}", f"#    = {stands}", f"#    or {other}")
        self.add("")

    def loader(self):
        plan = self.plan
        runs = plan.needs["runs"]
        self.add(f"libos.entrypoint = {quoted(plan.entrypoint)}",
                 "loader.log_level = \"{{ log_level | default('error') }}\"")
        argv = runs[0]["argv"]
        if len(runs) > 1:
            self.add("# The runs had different arguments, so they come from the command line, which the host chooses.",
                     "# For one of them only, replace this line:")
            self.add(*(f"# loader.argv = {argv_text(run['argv'])}" for run in runs))
            self.add("loader.insecure__use_cmdline_argv = true")
        elif all(can_be_named(text) for text in argv):
            self.add("# The arguments of the run. To let the (untrusted) command line give them instead:",
                     "# loader.insecure__use_cmdline_argv = true", f"loader.argv = {argv_text(argv)}")
        else:
            path = os.path.abspath(self.output + ".argv")
            with open(path, "wb") as file:
                file.write(b"".join(os.fsencode(text) + b"\0" for text in argv))
            plan.trusted.add(path)
            self.add("# Not all arguments are UTF-8; they stand in a file, each with a NUL behind it.",
                     f"loader.argv_src_file = {uri(path)}")
        if os.getuid() or os.getgid():
            self.add(f"loader.uid = {os.getuid()}", f"loader.gid = {os.getgid()}")
        self.add("")

    def environment(self):
        plan = self.plan
        self.add("# Variables whose names occur in a file that the run opened or in its arguments: reading one cannot be",
                 "# observed, but who looks one up by name has the name. Their values are those of the trace.")
        for name, value in plan.environment.items():
            if not can_be_named(name) or not can_be_named(value):
                self.add(f"# {quoted(name.encode('utf-8', 'backslashreplace').decode())}: not UTF-8, left out")
            elif SECRET_NAME.search(name):
                self.add("# Its name speaks of a secret, so its value is not written here. The host's value is taken;",
                         "# remove the line and provide it after attestation if the host must not know it.",
                         f"loader.env.{quoted(name)} = {{ passthrough = true }}".replace("= {", "= {"))
            else:
                self.add(f"loader.env.{quoted(name)} = {quoted(value)}")
        if plan.unread:
            names = ", ".join(name for name in plan.unread if name.isidentifier() and name.isascii())
            self.add(f"# Left out, as nothing names them: {names}")
        if not plan.searched_all:
            self.add(f"# More than {size_text(SEARCHED_MOST)} of files were opened: the largest were not searched.")
        self.add("")

    def mounts(self):
        plan = self.plan
        self.add("# Nothing of the host is there but these.", 'fs.root = { type = "tmpfs" }',
                 f"fs.start_dir = {quoted(plan.cwd)}", "fs.mounts = [")
        for path, kind in sorted(plan.mounts.items()):
            if kind != "chroot":
                why = "only temporary files" if kind == "tmpfs" else "the program only looked whether it is there"
                self.add(f'  {{ path = {quoted(path)}, type = "tmpfs" }}, # {why}')
            else:
                self.add(f"  {{ path = {quoted(path)}, uri = {uri(path)} }},")
        for path in plan.protected:
            self.add(f'  {{ path = {quoted(path)}, uri = {uri(path)}, type = "encrypted" }},')
        self.add("]")
        if plan.protected:
            self.add("# The key of the encrypted files (docs/guide.md). In an enclave it comes from its owner, after attestation;",
                     "# for gramine-direct, which protects nothing: gramine-manifest -Dinsecure_key=HEX.")
            self.add("{% if insecure_key is defined %}", 'fs.insecure__keys.default = "{{ insecure_key }}"', "{% endif %}")
            for path in plan.needs["secrets"]:
                self.add(f"# before the first run: adyton encrypt -w KEY -i PLAIN -o {quoted(path)}")
            for folder in sorted({parent(path) for path in plan.needs["results"]} & set(plan.of_class("made"))):
                self.add(f"# before the first run: mkdir -p {quoted(folder)}")
        self.add("")

    def sizes(self):
        peaks, facts = self.plan.needs["peaks"], self.plan.facts
        need = max(peaks["hwm"], peaks["accessible"])
        enclave = max(power_of_two(need + need // 2 + 64 * MIB), 256 * MIB)
        stack = max(power_of_two(2 * peaks["stack"]), MIB) if peaks["threads"] <= 1 else 8 * MIB
        brk = max(power_of_two(2 * peaks["heap"]), MIB)
        self.add(f"# Largest process: {need // MIB} MiB mapped and accessible, {peaks['hwm'] // MIB} MiB resident; half as much again and 64 MiB",
                 "# for the library OS, rounded up to a power of two.", f'sgx.enclave_size = "{size_text(enclave)}"',
                 f"# Most threads at once: {max(peaks['threads'], 1)}; 4 more for helpers and growth.",
                 f"sgx.max_threads = {min(max(peaks['threads'], 1) + 4, 4096)}",
                 f"# Heap at the end of a process: {peaks['heap'] >> 10} KiB at most; twice that, as a power of two.",
                 f'sys.brk.max_size = "{size_text(brk)}"')
        if peaks["threads"] <= 1:
            self.add(f"# First thread's stack: {peaks['stack'] >> 10} KiB; twice that, as a power of two.")
        else:
            self.add(f"# First thread's stack: {peaks['stack'] >> 10} KiB. How deep the others went is not known, so they keep Linux's",
                     '# usual size; "2M" saves memory in an enclave if the program does with it.')
        self.add(f'sys.stack.size = "{size_text(stack)}"')
        if "resolves" in facts:
            self.add("# The program resolves names: /etc/resolv.conf is made from the host's, checked.",
                     "sys.enable_extra_runtime_domain_names_conf = true")
        if "sigterm" in facts:
            self.add("# The run was sent SIGTERM.", "sys.enable_sigterm_injection = true")
        for fact in sorted(facts):
            if fact.startswith("device "):
                self.add(f"# It opened {quoted(fact[7:])}; there are only the devices that docs/compatibility.md names.")
        for fact, text in (("namespace", "It called chroot, mount, unshare or setns: paths after that may be recorded wrongly."),
                           ("foreign", "It made 32-bit system calls, which are not served inside."),
                           ("net", "It used the network: what it sends is as open as natively, unless it uses TLS."),
                           ("bytecode", "Python's new __pycache__ files were left out: inside they are neither read nor written.")):
            if fact in facts:
                self.add("# " + text)
        self.add("")

    def python_paths(self):
        """The trusted folders that python.get_sys_path() names, if it names nothing else but what is in them."""
        plan = self.plan
        program = plan.needs["runs"][0]["program"]
        if not re.fullmatch(r"python3?(\.\d+)?", os.path.basename(program)) or not plan.trusted_folders:
            return set()
        script = "import sys; print('\\0'.join(p for p in sys.path if p))"
        done = subprocess.run([program, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False)
        paths = {path for path in os.fsdecode(done.stdout).rstrip("\n").split("\0") if os.path.isdir(path)}
        known = all(any(below(path, folder) for folder in plan.trusted_folders) or
                    not any(names for _, _, names in os.walk(path)) for path in paths)
        return paths & plan.trusted_folders if not done.returncode and known else set()

    def files(self):
        plan = self.plan
        exact = self.python_paths()
        self.add(f"# {len(plan.trusted)} files" + (f" and {len(plan.trusted_folders)} folders" if plan.trusted_folders else "") +
                 ", verified at each use; gramine-manifest writes their hashes.", "sgx.trusted_files = [")
        if exact:
            self.add("{%- for path in python.get_sys_path(" + quoted(plan.needs["runs"][0]["program"]) + ") if path.is_dir() %}",
                     '  "file:{{ path }}/",', "{%- endfor %}")
        self.add(*(f"  {uri(path, '/')}," for path in sorted(plan.trusted_folders - exact)))
        self.add(*(f"  {uri(path)}," for path in sorted(plan.trusted)), "]", "")
        if plan.allowed:
            self.add("# Not protected at all: the host may read and change them. See the questions above.")
        self.add("sgx.allowed_files = [", *(f"  {uri(path)}," for path in sorted(plan.allowed)), "]")

    def render(self):
        self.head()
        self.ask_all()
        self.loader()
        self.environment()
        self.mounts()
        self.sizes()
        self.files()
        return "\n".join(self.lines) + "\n"


def argv_text(argv):
    return "[" + ", ".join(quoted(text) if can_be_named(text) else '"?"' for text in argv) + "]"


# --- files ------------------------------------------------------------------------------------


def replace(path, data):
    temporary = f"{path}.{os.getpid()}.new"
    with open(temporary, "xb") as file:
        file.write(data)
    os.rename(temporary, path)


def earlier(output):
    """The needs of the runs that the template stands for."""
    try:
        with open(output + ".record", "rb") as file:
            needs = json.load(file)
    except (OSError, ValueError) as error:
        raise Problem(f"--merge: cannot read '{output}.record': {error}; trace without --merge first") from error
    with open(output, "rb") as file:
        if hashlib.sha256(file.read()).hexdigest() != needs.get("template"):
            raise Problem(f"--merge: '{output}' was changed by hand since adyton trace wrote it, and would be written anew; "
                          "trace to another name with -o and take its lines over")
    return needs


def main(argv):
    fd, name, output, folders, merge, secrets, results, *rest = argv[1:]
    secrets, results = int(secrets), int(results)
    protected = [os.path.abspath(path) for path in rest[:secrets + results]]
    command = rest[secrets + results:]
    try:
        with open(int(fd), "rb") as record:
            needs = run_needs(record.read(), command)
        needs["secrets"], needs["results"] = protected[:secrets], protected[secrets:]
        for path in protected:
            if not can_be_named(path):
                raise Problem(f"{path!r} is not UTF-8 and cannot stand in a manifest; rename it")
        if merge == "1":
            needs = merged(earlier(output), needs)
        plan = Plan(needs, folders == "1")
        text = Text(plan, name, output).render().encode("utf-8")
        needs["template"] = hashlib.sha256(text).hexdigest()
        replace(output, text)
        replace(output + ".record", json.dumps(needs, indent=1, ensure_ascii=True).encode())
    except Problem as problem:
        sys.exit(f"error: {name}: {problem}")
    except OSError as error:
        sys.exit(f"error: {name}: cannot write '{output}': {error}")
    print(f"{name}: wrote {output}: {len(plan.trusted)} trusted files, {len(plan.trusted_folders)} trusted folders, "
          f"{len(plan.allowed)} allowed, {len(plan.protected)} encrypted, {len(plan.questions)} questions",
          file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv)
