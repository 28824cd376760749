# SPDX-License-Identifier: LGPL-3.0-or-later
"""The software SGX device: an SGX program on it, host programs under it, hostile programs."""
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import sgx_measure  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build")).resolve()
ADYTON = BUILD / "bin/adyton"
PROGRAMS = ROOT / "tests/unit/sgx/programs"
LIBS = [BUILD / "src/sgx/libsgx_host.a", BUILD / "src/sgx/libsgx_layout.a", BUILD / "src/sgx/libsgx_arch.a",
        BUILD / "src/crypto/libadyton_crypto.a", "-lcrypto", "-lpthread"]

pytestmark = pytest.mark.skipif(not (BUILD / "lib/adyton/adyton-sgxemu").exists(),
                                reason="the software SGX device is not built")


def native(*args, cwd=None, timeout=60):
    return subprocess.run(["timeout", "-k", "1", str(timeout), *map(str, args)], capture_output=True, text=True,
                          cwd=cwd, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def fuses(tmp_path_factory):
    return tmp_path_factory.mktemp("fuses") / "deep" / "fuses"


@pytest.fixture(scope="module")
def device(fuses):
    def run(*args, fuses=fuses, options=("--quiet",), **kw):
        return native(ADYTON, "sgxemu", *options, "--fuses", fuses, *args, **kw)
    return run


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The example, built and signed, with the test programs beside it."""
    where = tmp_path_factory.mktemp("sgx") / "sgx-hello"
    shutil.copytree(ROOT / "examples/sgx-hello", where,
                    ignore=shutil.ignore_patterns("*.bin", "*.elf", "*.sig", "key.pem", "hello", "hello-vdso", "bench"))
    subprocess.run(["make", "-s", f"BUILD={BUILD}", f"ROOT={ROOT}"], cwd=where, check=True)
    for name in ("storm", "fuzz", "driver", "churn", "sites", "debugged", "stranger"):
        subprocess.run(["cc", "-std=gnu17", "-O2", "-g", "-w", f"-I{ROOT}/src", "-I.", "-o", name, PROGRAMS / f"{name}.c",
                        "host.c", "enter.S", *LIBS], cwd=where, check=True)
    for name in ("signals", "deny", "filters"):
        subprocess.run(["cc", "-O2", "-w", "-o", name, PROGRAMS / f"{name}.c", "-lpthread"], cwd=where, check=True)
    return where


def test_notice_and_fuse_file(device, fuses):
    r = device("/bin/true", options=())
    assert r.returncode == 0 and "NO confidentiality" in r.stderr
    assert fuses.stat().st_mode & 0o777 == 0o600 and fuses.stat().st_size == 64


MODES = pytest.mark.parametrize("mode", ["rewritten", "trapping"])


def options(mode, *more):
    return ("--quiet", *(("--no-rewrite",) if mode == "trapping" else ()), *more)


CONFIGURATIONS = {"plain": (), "trapping": ("--no-rewrite",), "interrupted": ("--inject-aex", "200"),
                  "trapping, interrupted": ("--no-rewrite", "--inject-aex", "200")}


@MODES
def test_hello(device, example, mode):
    (example / "sealed").unlink(missing_ok=True)
    r = device("./hello", "sealed", cwd=example, options=options(mode))
    assert r.returncode == 0, r.stderr
    lines = r.stdout.splitlines()
    assert lines[0] == "mrenclave: " + sgx_measure.measure_layout(str(example / "hello.layout"))
    assert lines[0] == "mrenclave: " + sgx_measure.Sigstruct((example / "hello.sig").read_bytes()).mrenclave
    assert lines[1:] == [
        "hello: hello from the enclave",
        "page fault: signal 11 inside 1 address right, enclave saw -1",
        "syscall inside: signal 4 inside 1, enclave saw -1",
        "signals: arrived, inside the enclave: yes",
        "growth: 100 pages",
        "shrink: restrict 0 accept 0, trim 0, early removal -1, accept 0, removal 0 of 40960 bytes, grown again 10",
        "threads: 200000",
        "attestation: genuine accepted, not for its maker yes, forged refused",
        "sealed",
        "fork: child fine, parent sees +5",
    ]
    again = device("./hello", "sealed", cwd=example)
    assert "unsealed: sealed secret" in again.stdout
    other = device("./hello", "sealed", cwd=example, fuses=example / "other-fuses")
    assert "unsealed: refused" in other.stdout


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A host program without a C library, with its own loader, and an enclave of another kind."""
    where = tmp_path_factory.mktemp("foreign")
    bare = ["cc", "-O2", "-w", "-ffreestanding", "-fno-stack-protector", "-mgeneral-regs-only", "-nostdlib"]
    subprocess.run([*bare, "-fPIE", "-fcf-protection=none", "-fno-asynchronous-unwind-tables", "-fvisibility=hidden",
                    "-static-pie", f"-Wl,-T,{PROGRAMS}/foreign.lds", "-Wl,--build-id=none", "-Wl,-z,noexecstack",
                    "-Wl,--no-dynamic-linker", "-o", "foreign.elf", PROGRAMS / "foreign-enclave.S",
                    PROGRAMS / "foreign-enclave.c"], cwd=where, check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", "foreign.elf", "foreign.bin"], cwd=where, check=True)
    subprocess.run([*bare, "-fno-pie", "-static", "-o", "foreign-host", PROGRAMS / "foreign-host.S",
                    PROGRAMS / "foreign-host.c"], cwd=where, check=True)
    shutil.copy(PROGRAMS / "foreign.layout", where)
    subprocess.run([BUILD / "bin/gramine-sgx-gen-private-key", "-q", "key.pem"], cwd=where, check=True)
    subprocess.run([ADYTON, "sign-layout", "-q", "-k", "key.pem", "-o", "foreign.sig", "foreign.layout"], cwd=where,
                   check=True)
    return where


@pytest.mark.parametrize("how", CONFIGURATIONS)
@pytest.mark.parametrize("base,pages", [("600000", "bulk"), ("7ffe00000000", "single"), ("0", "single")])
def test_foreign_program(device, foreign, base, pages, how):
    r = device("./foreign-host", base, pages, cwd=foreign, options=("--quiet", *CONFIGURATIONS[how]))
    lines = r.stdout.splitlines()
    assert r.returncode == 0 and [x for x in lines if not x.endswith(": fine")] == [] and len(lines) == 38, r.stdout


def test_every_way_to_load_a_leaf_is_fast(device, foreign):
    """Nineteen places with 2,000 entries; the one before a store by RIP stays slow."""
    r = device("./foreign-host", "600000", "bulk", cwd=foreign, options=("--quiet", "--stats"))
    assert int(r.stderr.splitlines()[-1].split(" and ")[1].split(" fast")[0]) >= 18 * 1990


@MODES
def test_driver_rules(device, example, mode):
    r = device("./driver", cwd=example, options=options(mode))
    assert r.stdout == "211 passed, 0 failed\n" and r.returncode == 0


@MODES
@pytest.mark.parametrize("interval", [20, 200])
def test_random_interruption(device, example, interval, mode):
    opts = options(mode, "--stats", "--inject-aex", str(interval))
    (example / "sealed2").unlink(missing_ok=True)
    want = device("./hello", "sealed2", cwd=example)
    (example / "sealed2").unlink()
    got = device("./hello", "sealed2", cwd=example, options=opts)
    assert got.stdout == want.stdout and got.returncode == 0
    aexs = int(got.stderr.splitlines()[-1].split("AEX ")[1].split(",")[0])
    assert aexs > 1000 // interval
    assert device("./hello-vdso", cwd=example, options=opts).stdout == device("./hello-vdso", cwd=example).stdout
    storm = device("./storm", "3000" if mode == "trapping" else "300000", cwd=example, options=opts)
    assert storm.returncode == 0 and storm.stdout.startswith("errors 0, count right")


def test_fast_leaves(device, example):
    """EREPORT and EGETKEY take the trap once, whatever the code around them; the result is the same."""
    r = device("./bench", "report", "key", "enter", cwd=example, options=("--quiet", "--stats"))
    assert r.returncode == 0 and int(r.stderr.split("fast leaves ")[1]) > 100000
    r = device("./hello-vdso", cwd=example, options=("--quiet", "--stats"))
    assert int(r.stderr.split(" and ")[1].split(" fast")[0]) >= 1


def test_hello_through_the_vdso(device, example):
    r = device("./hello-vdso", cwd=example)
    assert r.stdout.splitlines() == [
        "hello: hello from the enclave (0, function 4)",
        "page fault: 0, function 3 vector 14 address right",
        "resumed: 0, function 4, enclave saw -1",
        "bad TCS: 0, function 2 vector 13",
        "bad function: -22",
        "reserved: -22",
    ]


@pytest.mark.parametrize("what", ["image", "signature", "signed field", "modulus", "q1"])
def test_one_flipped_bit_is_refused(device, example, tmp_path, what):
    where = tmp_path / "copy"
    shutil.copytree(example, where)
    name, at = {"image": ("enclave.bin", 4), "signature": ("hello.sig", 600), "signed field": ("hello.sig", 1026),
                "modulus": ("hello.sig", 200), "q1": ("hello.sig", 1100)}[what]
    raw = bytearray((where / name).read_bytes())
    raw[at] ^= 1
    (where / name).write_bytes(raw)
    r = device("./hello", "sealed", cwd=where)
    assert r.returncode == 1 and r.stderr == "SGX_IOC_ENCLAVE_INIT: Operation not permitted\n"


def test_availability_on_the_device(device):
    r = device(BUILD / "bin/is-sgx-available")
    if r.returncode == 1:
        pytest.skip("this machine cannot make CPUID fault, so its SGX leaves cannot be shown")
    lines = dict(line.split(": ") for line in r.stdout.splitlines())
    assert r.returncode == 3 and lines["SGX2 leaves"] == "true"
    assert lines["SGX driver loaded (/dev/sgx_enclave)"] == "true"
    assert lines["EPC size"] != "0x0"


@pytest.mark.parametrize("mode,rounds", [("trapping", 10000), ("rewritten", 1000000)])
def test_storm(device, example, mode, rounds):
    r = device("./storm", rounds, cwd=example, options=options(mode, "--stats"))
    assert r.stdout == "errors 0, count right, signals many\n" and r.returncode == 0
    fast = int(r.stderr.split(" and ")[1].split(" fast")[0])
    assert fast == (0 if mode == "trapping" else 4 * rounds - 1)


def test_a_thousand_sites(device, example):
    r = device("./sites", cwd=example, options=("--quiet", "--stats"))
    assert r.stdout == "3000 of 3000 entries counted\n" and r.returncode == 0
    assert int(r.stderr.split(" and ")[1].split(" fast")[0]) == 2000


@MODES
def test_churn(device, example, mode):
    r = device("./churn", cwd=example, options=options(mode))
    assert r.stdout == "threads: fine\nchildren: fine\nenclaves: fine\nearlier child: fine\nearlier child, walled in: fine\n"


HOSTILE = {"rewritten": (), "trapping": ("--no-rewrite",), "interrupted": ("--inject-aex", "300")}


@pytest.mark.parametrize("mode", HOSTILE)
def test_hostile_program(device, example, mode):
    """A minute in all three modes; tests/stress/sgx.sh goes through a million sequences."""
    seed, end = 0, time.monotonic() + 20
    while time.monotonic() < end or seed < 2:
        seed += 1
        r = device("./fuzz", seed, 15000, cwd=example, options=("--quiet", *HOSTILE[mode]), timeout=180)
        assert r.stdout == "survived 15000 sequences\n" and r.returncode == 0, (seed, r.returncode, r.stderr)


HOST_PROGRAMS = {
    "echo": ["echo", "a", "b"],
    "exit status": ["sh", "-c", "exit 42"],
    "pipeline": ["bash", "-c", "seq 1000 | sort -rn | head -3 | tr '\\n' ' '; echo ${PIPESTATUS[@]}"],
    "traps": ["bash", "-c", "trap 'echo got' USR1; kill -USR1 $$; trap 'echo bye' EXIT; (exit 3); echo $?"],
    "jobs": ["bash", "-c", "for i in 1 2 3; do (sleep 0.$((3 * i)); echo $i) & done; wait; echo done"],
    "script": ["bash", "-c", "printf '#!/bin/sh\\necho $0 $1\\n' > $0/s && chmod +x $0/s && cd $0 && ./s x", "TMP"],
    "killed": ["sh", "-c", "kill -TERM $$"],
    "not found": ["sh", "-c", "/nonexistent; echo $?"],
    "python": ["/usr/bin/python3", "-c", "import sys,hashlib,json; print(sys.executable, hashlib.sha256(b'x').hexdigest())"],
    "python threads": ["/usr/bin/python3", "-c", """
import threading, queue
q = queue.Queue()
ts = [threading.Thread(target=lambda i=i: q.put(i)) for i in range(20)]
[t.start() for t in ts]; [t.join() for t in ts]
print(sorted(q.queue))"""],
    "python subprocess": ["/usr/bin/python3", "-c", """
import subprocess, os, signal
print(subprocess.check_output(['sh', '-c', 'echo $((6*7))']))
p = subprocess.Popen(['sleep', '10']); p.kill(); print(p.wait())
pid = os.fork()
if not pid: os.kill(os.getpid(), signal.SIGABRT)
print(os.waitpid(pid, 0)[1] & 127)"""],
    "python signals": ["/usr/bin/python3", "-c", """
import signal, time, faulthandler
faulthandler.enable()
n = []
signal.signal(signal.SIGALRM, lambda *a: n.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(n) < 5: time.sleep(0.005)
signal.setitimer(signal.ITIMER_REAL, 0)
print(signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGSEGV]), signal.sigtimedwait([signal.SIGUSR1], 0.01))"""],
    "python multiprocessing": ["/usr/bin/python3", "-c", """
import multiprocessing
if __name__ == '__main__':
    with multiprocessing.Pool(2) as p: print(p.map(abs, [-1, -2, 3]))"""],
    "node": ["node", "-e", "setTimeout(() => console.log(require('child_process').execSync('echo hi').toString()), 5)"],
    "static": ["busybox", "sh", "-c", "busybox echo static; busybox true && echo ok"],
    "vfork chain": ["/usr/bin/python3", "-c", """
import os, sys
source = open('/proc/self/cmdline').read().split(chr(0))[2]
depth = int(sys.argv[1]) if len(sys.argv) > 1 else 4
if depth:
    pid = os.posix_spawn(sys.executable, [sys.executable, '-c', source, str(depth - 1)], os.environ)
    print(depth, os.waitpid(pid, 0)[1], flush=True)
else:
    os.execv('/bin/echo', ['echo', 'the end'])"""],
    "own exe": ["readlink", "/proc/self/exe"],
    "cmdline": ["cat", "/proc/self/cmdline"],
    "environment": ["env", "-i", "A=b", "env"],
}


# All four for those that live long enough to notice; `make check-full` takes all four for all.
ALL_FOUR = {"pipeline", "traps", "python subprocess", "python signals", "python multiprocessing", "node", "vfork chain"}
SAME = [(name, how) for name in HOST_PROGRAMS for how in CONFIGURATIONS
        if how == "plain" or name in ALL_FOUR or "ADYTON_RACE_RUNS" in os.environ]


@pytest.mark.parametrize("name,how", SAME)
def test_host_program_is_the_same(device, tmp_path, name, how):
    args = [str(tmp_path) if a == "TMP" else a for a in HOST_PROGRAMS[name]]
    if not shutil.which(args[0]):
        pytest.skip(f"{args[0]} is not installed")
    want, got = native(*args), device(*args, options=("--quiet", *CONFIGURATIONS[how]))
    assert (got.returncode, got.stdout, got.stderr) == (want.returncode, want.stdout, want.stderr)


@pytest.mark.parametrize("how", CONFIGURATIONS)
def test_stranger(device, example, how):
    r = device("./stranger", cwd=example, options=("--quiet", *CONFIGURATIONS[how]))
    lines = r.stdout.splitlines()
    assert r.returncode == 0 and [x for x in lines if not x.endswith(": fine")] == [] and len(lines) == 12, r.stdout + r.stderr


@pytest.fixture(scope="module")
def outsider(tmp_path_factory):
    """An SGX program of others' making, with a loader of its own."""
    where = tmp_path_factory.mktemp("outsider")
    for name in ("faults", "host"):
        subprocess.run(["cc", "-std=gnu17", "-O2", "-w", "-o", name, PROGRAMS / f"outsider-{name}.c", PROGRAMS / "outsider.c",
                        PROGRAMS / "outsider.S", "-lcrypto", "-lpthread"], cwd=where, check=True)
    return where


@pytest.mark.parametrize("how", CONFIGURATIONS)
@pytest.mark.parametrize("program,lines", [(("./faults", "0"), 61), (("./faults", "1"), 61), (("./host",), 30)])
def test_outsider(device, outsider, program, lines, how):
    r = device(*program, cwd=outsider, options=("--quiet", *CONFIGURATIONS[how]))
    got = r.stdout.splitlines()
    assert r.returncode == 0 and [x for x in got if not x.endswith(": fine")] == [] and len(got) == lines, r.stdout + r.stderr


@pytest.mark.parametrize("how", CONFIGURATIONS)
def test_filtering_program_is_the_same(device, example, how):
    want = native("./filters", cwd=example)
    got = device("./filters", cwd=example, options=("--quiet", *CONFIGURATIONS[how]))
    assert got.stdout == want.stdout and got.returncode == want.returncode == 0


@pytest.mark.parametrize("how", ["plain", "trapping, interrupted"])
def test_signal_program_is_the_same(device, example, how):
    want = native("./signals", cwd=example)
    got = device("./signals", cwd=example, options=("--quiet", *CONFIGURATIONS[how]))
    assert got.stdout == want.stdout and got.returncode == want.returncode


ATTACHED = """
set pagination off
set confirm off
handle SIGSYS SIGILL SIGSEGV SIGBUS SIGFPE nostop noprint pass
info sharedlibrary
break tick if n > 5
continue
backtrace
print (int) getpid()
stepi
stepi
delete
set var stop = 7
detach
quit
"""


@pytest.mark.parametrize("how", ["plain", "trapping, interrupted"])
def test_attached_debugger(example, fuses, how):
    """gdb attaches to the running process, sees program and libraries, stops, steps, calls and leaves."""
    if not shutil.which("gdb"):
        pytest.skip("gdb is not installed")
    (example / "attached").write_text(ATTACHED)
    args = [ADYTON, "sgxemu", "--quiet", *CONFIGURATIONS[how], "--fuses", fuses, "./debugged"]
    with subprocess.Popen([*map(str, args)], cwd=example, stdout=subprocess.PIPE, text=True) as p:
        first = [p.stdout.readline(), p.stdout.readline()]
        gdb = native("gdb", "-q", "-batch", "-x", "attached", "-p", p.pid, "./debugged", cwd=example, timeout=100)
        if "Operation not permitted" in gdb.stderr:
            p.kill()
            pytest.skip("attaching is not permitted here")
        rest = p.communicate(timeout=100)[0]
    assert first == ["auxv right\n", "running\n"] and rest == "stop 7, entries many\n", gdb.stdout + gdb.stderr
    assert "libc.so.6" in gdb.stdout and "tick (n=" in gdb.stdout and f"$1 = {p.pid}" in gdb.stdout, gdb.stdout


GO = r"""
package main
import ("fmt"; "os"; "os/exec"; "os/signal"; "sync"; "syscall"; "time")
func main() {
    var wg sync.WaitGroup
    var mu sync.Mutex
    n := 0
    for i := 0; i < 200; i++ { wg.Add(1); go func() { defer wg.Done(); s := 0; for j := 0; j < 200000; j++ { s += j }; mu.Lock(); n += s & 1 | 1; mu.Unlock() }() }
    wg.Wait()
    c := make(chan os.Signal, 1)
    signal.Notify(c, syscall.SIGUSR1)
    syscall.Kill(os.Getpid(), syscall.SIGUSR1)
    select { case s := <-c: fmt.Println(s); case <-time.After(5 * time.Second): fmt.Println("lost") }
    out, err := exec.Command("echo", "child").Output()
    fmt.Println(n, string(out), err)
    func() { defer func() { fmt.Println(recover()) }(); var p *int; *p = 1 }()
}
"""


def test_go_program_is_the_same(device, tmp_path):
    if not shutil.which("go"):
        pytest.skip("go is not installed")
    (tmp_path / "main.go").write_text(GO)
    env = {**os.environ, "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    subprocess.run(["go", "build", "-o", "prog", "main.go"], cwd=tmp_path, env=env, check=True, timeout=300)
    want = native("./prog", cwd=tmp_path)
    for options in CONFIGURATIONS.values():
        got = device("./prog", cwd=tmp_path, options=("--quiet", *options))
        assert (got.returncode, got.stdout, got.stderr) == (want.returncode, want.stdout, want.stderr)


def test_as_an_ordinary_user(device, example):
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root to become another user")
    state = example / "user"
    state.mkdir(mode=0o777, exist_ok=True)
    os.chmod(state, 0o777)
    for parent in (example, *example.parents):
        if parent == pathlib.Path("/tmp"):
            break
        os.chmod(parent, parent.stat().st_mode | 0o755)
    r = native("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ADYTON, "sgxemu", "--quiet", "--fuses",
               state / "fuses", "./hello", state / "sealed", cwd=example)
    if "Permission denied" in r.stderr and "adyton" in r.stderr:
        pytest.skip("the build tree is not readable for other users")
    assert r.returncode == 0 and "fork: child fine, parent sees +5" in r.stdout, r.stderr


LACKING = {
    "seccomp": ("317=1", "seccomp filter"),
    "Syscall User Dispatch": ("157:59=22", "Syscall User Dispatch"),
    "memfd": ("319=38", "memfd_create"),
}


@pytest.mark.parametrize("what", LACKING)
def test_one_clear_line_where_the_kernel_lacks_something(example, fuses, what):
    rule, says = LACKING[what]
    r = native("./deny", rule, "--", ADYTON, "sgxemu", "--quiet", "--fuses", fuses, "./hello-vdso", cwd=example)
    lines = r.stderr.splitlines()
    assert r.returncode == 127 and r.stdout == "" and len(lines) == 1 and says in lines[0], r.stderr


# clone3 fails with ENOSYS, these with EPERM, in a container with Docker's default profile.
CONTAINER = ["435=38"] + [f"{nr}=1" for nr in (
    134, 139, 153, 155, 156, 161, 163, 164, 165, 166, 167, 168, 169, 170, 171, 172, 173, 174, 175, 176, 177, 178, 179,
    180, 212, 237, 238, 239, 246, 248, 249, 250, 256, 272, 279, 298, 300, 304, 305, 308, 310, 311, 313, 320, 321, 323,
    425, 426, 427, 428, 429, 430, 431, 432, 433)]
ENOUGH = {"membarrier": ["324=38"], "modify_ldt": ["154=38"], "CPUID faulting": ["158:4114=19"],
          "vm.mmap_min_addr = 65536": ["low=1"], "container": CONTAINER}


@pytest.mark.parametrize("what", ENOUGH)
def test_works_without(device, example, fuses, what):
    (example / "sealed3").unlink(missing_ok=True)
    want = device("./hello", "sealed3", cwd=example)
    (example / "sealed3").unlink()
    r = native("./deny", *ENOUGH[what], "--", ADYTON, "sgxemu", "--quiet", "--fuses", fuses, "./hello", "sealed3", cwd=example)
    assert r.stdout == want.stdout and r.returncode == 0, r.stderr


@pytest.mark.parametrize("args,status", [((), 2), (("--inject-aex", "x", "true"), 2), (("--inject-aex", "1", "true"), 2), (("--nonsense",), 2), (("/nonexistent",), 127), (("/etc/passwd",), 126)])
def test_usage(args, status):
    r = native(ADYTON, "sgxemu", "--quiet", *args)
    assert r.returncode == status and r.stderr


SPOILED = {"short": b"x" * 63, "long": b"x" * 65, "empty": b"", "zeros": bytes(64), "directory": None}


@pytest.mark.parametrize("how", SPOILED)
def test_spoiled_fuse_file(device, tmp_path, how):
    path = tmp_path / "fuses"
    if how == "directory":
        path.mkdir()
    else:
        path.write_bytes(SPOILED[how])
    r = device("/bin/true", fuses=path)
    assert r.returncode == 1 and len(r.stderr.splitlines()) == 1
    assert f"the fuse file {path} is unusable: it " in r.stderr and "--fuses" in r.stderr and "remove it" in r.stderr


def test_fuse_file_below_a_file(device, tmp_path):
    (tmp_path / "file").write_text("")
    r = device("/bin/true", fuses=tmp_path / "file" / "fuses")
    assert r.returncode == 1 and len(r.stderr.splitlines()) == 1 and "name another with --fuses" in r.stderr


def test_fuse_file_spoiled_while_running(device, tmp_path):
    """The program opens the device after its fuses have been cut short."""
    path = tmp_path / "fuses"
    script = f"truncate -s 10 {path}; exec 3<>/dev/sgx_enclave; echo not reached"
    r = device("bash", "-c", script, fuses=path)
    assert r.returncode == 127 and r.stdout == "" and len(r.stderr.splitlines()) == 1 and "64 bytes" in r.stderr


@pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"HOME": "nowhere", "XDG_STATE_HOME": "relative"}])
def test_start_without_home(tmp_path, home):
    """The user database's home directory serves; a user without one gets one clear line."""
    if os.getuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root to give the user another home directory")
    (tmp_path / "passwd").write_text(f"root:x:0:0::{tmp_path}/home:/bin/sh\n")
    start = f"{ADYTON} sgxemu --quiet /bin/echo started"
    script = f"mount --bind {tmp_path}/passwd /etc/passwd || exit 99; env -i {' '.join(f'{k}={v}' for k, v in home.items())} "
    r = native("unshare", "-m", "sh", "-c", script + start, cwd=tmp_path)
    if r.returncode == 99:
        pytest.skip("mount is not permitted here")
    assert r.stdout == "started\n" and (tmp_path / "home/.local/state/adyton/sgx-fuses").stat().st_size == 64
    nobody = script + "setpriv --reuid=54321 --clear-groups " + start
    r = native("unshare", "-m", "sh", "-c", nobody, cwd="/")
    if "Permission denied" in r.stderr and "fuse file" not in r.stderr:
        pytest.skip("the build tree is not readable for other users")
    assert r.returncode == 1 and len(r.stderr.splitlines()) == 1 and "--fuses" in r.stderr, r.stderr
