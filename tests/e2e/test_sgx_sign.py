# SPDX-License-Identifier: LGPL-3.0-or-later
"""The host tools that create keys, measure, sign and show signatures."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import sgx_measure  # noqa: E402

BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build"))
TOOLS = BUILD / "tests/unit/sgx/sgx-tools"


def run(*args, env=None, **kw):
    if not TOOLS.exists():
        pytest.skip("the SGX tools are not built (tests disabled)")
    return subprocess.run([TOOLS, *args], capture_output=True, text=True, timeout=120,
                          env={**os.environ, **(env or {})}, **kw)


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "deep" / "er" / "key.pem"
    r = run("gramine-sgx-gen-private-key", str(path))
    assert (r.returncode, r.stdout) == (0, f"wrote RSA 3072 private key to {path}\n")
    return path


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "code.bin").write_bytes(bytes(i % 251 for i in range(10000)))
    path = tmp_path / "hello.layout"
    path.write_text("""# an example
enclave size=0x40000 ssaframesize=1 miscselect=1 isvprodid=7 isvsvn=0x102 debug=1
file offset=0 perm=rx path=code.bin
file offset=0x4000 perm=r path=code.bin skip=100 length=5000
tcs  offset=0x8000 ossa=0x9000 nssa=2 oentry=0x40 ogsbase=0xb000
zero offset=0x9000 perm=rw pages=2   # SSA
zero offset=0x10000 perm=rwx pages=16 unmeasured
""")
    return path


def sign(layout, key, out, *more):
    return run("sign-layout", "-k", str(key), "-o", str(out), "-d", "2025-03-14", *more, str(layout))


def test_key_file(key, tmp_path):
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    assert before.startswith(b"-----BEGIN RSA PRIVATE KEY-----\n")
    for again in ((), ("--no-force",), ("-f", "--no-force")):
        r = run("gramine-sgx-gen-private-key", *again, str(key))
        assert r.returncode == 2 and "refusing to overwrite" in r.stderr and "-f to force" in r.stderr
        assert key.read_bytes() == before
    text = subprocess.run(["openssl", "rsa", "-in", key, "-noout", "-text"], capture_output=True, text=True).stdout
    assert "(3072 bit" in text and "publicExponent: 3 (0x3)" in text
    other = tmp_path / "other.pem"
    other.write_text("precious")
    assert run("gramine-sgx-gen-private-key", "-q", "-f", str(other)).stdout == ""
    assert other.read_bytes().startswith(b"-----BEGIN RSA") and other.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["other.pem"]


def test_key_never_overwrites_a_dangling_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    r = run("gramine-sgx-gen-private-key", str(tmp_path / "link"))
    assert r.returncode == 2 and not (tmp_path / "target").exists()


def test_key_default_path(tmp_path):
    r = run("gramine-sgx-gen-private-key", env={"XDG_CONFIG_HOME": str(tmp_path / "x")})
    assert r.returncode == 0 and (tmp_path / "x/gramine/enclave-key.pem").exists()
    r = run("gramine-sgx-gen-private-key", env={"XDG_CONFIG_HOME": "", "HOME": str(tmp_path / "h")})
    assert r.returncode == 0 and (tmp_path / "h/.config/gramine/enclave-key.pem").exists()


@pytest.mark.parametrize("args", [("a", "b"), ("--nonsense",)])
def test_key_usage(args):
    assert run("gramine-sgx-gen-private-key", *args).returncode == 2


def test_key_unwritable():
    r = run("gramine-sgx-gen-private-key", "/proc/no/key.pem")
    assert r.returncode == 2 and len(r.stderr.splitlines()) == 1


def test_signature(layout, key, tmp_path):
    out = tmp_path / "hello.sig"
    r = sign(layout, key, out)
    assert r.returncode == 0, r.stderr
    sig = sgx_measure.Sigstruct(out.read_bytes())
    sig.check()
    assert sig.mrenclave == sgx_measure.measure_layout(str(layout))
    assert r.stdout == f"Measurement:\n    {sig.mrenclave}\n"
    assert (sig.prod_id, sig.svn, sig.flags, sig.xfrm, sig.miscselect) == (7, 0x102, 6, 3, 1)
    assert (sig.vendor, sig.date, sig.miscmask) == (0, 0x20250314, 0xFFFFFFFF)
    again = tmp_path / "again.sig"
    assert sign(layout, key, again).returncode == 0
    assert again.read_bytes() == out.read_bytes()


def test_view(layout, key, tmp_path):
    out = tmp_path / "hello.sig"
    assert sign(layout, key, out).returncode == 0
    sig = sgx_measure.Sigstruct(out.read_bytes())
    short = {"mr_signer": sig.mrsigner, "mr_enclave": sig.mrenclave, "isv_prod_id": 7, "isv_svn": 258}
    long = {"attribute_flags": "0x6", "attribute_xfrms": "0x3", "misc_select": "0x1",
            "attribute_flags_mask": "0x" + 16 * "f", "attribute_xfrm_mask": "0x" + 16 * "f",
            "misc_mask": "0xffffffff", "date": "2025-03-14"}
    r = run("gramine-sgx-sigstruct-view", "--output-format", "json", str(out))
    assert list(json.loads(r.stdout).items()) == [*short.items(), ("debug_enclave", True)]
    r = run("gramine-sgx-sigstruct-view", "-v", "--output-format=json", str(out))
    assert list(json.loads(r.stdout).items()) == [*short.items(), *long.items(), ("debug_enclave", True)]
    for more, rest in ((), {}), (("-v",), long):
        r = run("gramine-sgx-sigstruct-view", *more, "--output-format=json", str(out))
        assert r.stdout == json.dumps({**short, **rest, "debug_enclave": True}, indent=4) + "\n"
    r = run("gramine-sgx-sigstruct-view", str(out))
    assert r.stdout.splitlines() == ["Attributes:", *(f"    {k}: {v}" for k, v in short.items()),
                                     "    debug_enclave: True"]
    dest = tmp_path / "out.toml"
    assert run("gramine-sgx-sigstruct-view", "--output-format", "toml", str(out), str(dest)).stdout == ""
    tomllib = pytest.importorskip("tomllib")
    assert tomllib.loads(dest.read_text()) == {**short, "debug_enclave": True}


@pytest.mark.parametrize("change", ["short", "long", "empty", "header", "missing", "directory"])
def test_view_refuses(layout, key, tmp_path, change):
    out = tmp_path / "hello.sig"
    assert sign(layout, key, out).returncode == 0
    raw = out.read_bytes()
    bad = tmp_path / "bad.sig"
    if change == "directory":
        bad.mkdir()
    elif change != "missing":
        bad.write_bytes({"short": raw[:-1], "long": raw + b"x", "empty": b"", "header": b"\1" + raw[1:]}[change])
    r = run("gramine-sgx-sigstruct-view", str(bad))
    assert r.returncode == 1 and r.stdout == "" and len(r.stderr.splitlines()) == 1


@pytest.mark.parametrize("bits,exponent", [(2048, 3), (3072, 65537)])
def test_wrong_keys(layout, tmp_path, bits, exponent):
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}",
                    "-pkeyopt", f"rsa_keygen_pubexp:{exponent}", "-out", key], check=True, capture_output=True)
    r = sign(layout, key, tmp_path / "s")
    assert r.returncode == 1 and "3072 bits with public exponent 3" in r.stderr
    assert not (tmp_path / "s").exists()


def test_encrypted_key(layout, key, tmp_path):
    enc = tmp_path / "enc.pem"
    subprocess.run(["openssl", "rsa", "-in", key, "-aes256", "-passout", "pass:secret", "-out", enc], check=True,
                   capture_output=True)
    assert sign(layout, enc, tmp_path / "s").returncode == 1
    assert sign(layout, enc, tmp_path / "s", "-p", "wrong").returncode == 1
    assert sign(layout, enc, tmp_path / "s", "-p", "secret").returncode == 0
    assert sign(layout, key, tmp_path / "t").returncode == 0
    assert (tmp_path / "s").read_bytes() == (tmp_path / "t").read_bytes()


@pytest.mark.parametrize("date,ok", [("0000-00-00", True), ("today", True), ("2025-13-01", False),
                                     ("2025-1-01", False), ("2025-01-00", False), ("gestern", False)])
def test_dates(layout, key, tmp_path, date, ok):
    r = run("sign-layout", "-k", str(key), "-o", str(tmp_path / "s"), "-d", date, str(layout))
    assert r.returncode == (0 if ok else 2)


def test_availability_report():
    r = run("is-sgx-available")
    lines = r.stdout.splitlines()
    assert lines[0] in ("SGX supported by CPU: false", "SGX supported by CPU: true")
    if lines[0].endswith("false"):
        assert r.returncode == 1 and len(lines) == 1
    else:
        assert len(lines) == 18
    quiet = run("is-sgx-available", "--quiet")
    assert (quiet.returncode, quiet.stdout) == (r.returncode, "")
    assert run("is-sgx-available", "x").returncode == 2
