# SPDX-License-Identifier: LGPL-3.0-or-later
"""MRENCLAVE and SIGSTRUCT in plain Python, written independently of src/sgx.

Used by the end-to-end tests as a second opinion; as a command it prints the MRENCLAVE of a layout
file: sgx_measure.py LAYOUT
"""
import hashlib
import math
import os
import struct
import sys

PAGE = 4096
REG, TCS = 0x200, 0x100
RWX = {"r": 1, "w": 2, "x": 4}


class Measure:
    def __init__(self, ssa_frame_size, size):
        self.sha = hashlib.sha256(struct.pack("<8sIQ44x", b"ECREATE", ssa_frame_size, size))

    def add(self, offset, flags):
        self.sha.update(struct.pack("<8sQQ40x", b"EADD", offset, flags))

    def extend(self, offset, chunk):
        assert len(chunk) == 256
        self.sha.update(struct.pack("<8sQ48x", b"EEXTEND", offset) + chunk)

    def page(self, offset, flags, content):
        content = content.ljust(PAGE, b"\0")
        self.add(offset, flags)
        for at in range(0, PAGE, 256):
            self.extend(offset + at, content[at:at + 256])

    def hexdigest(self):
        return self.sha.copy().hexdigest()


def tcs_page(ossa, nssa, oentry, ofsbase=0, ogsbase=0):
    page = struct.pack("<QQQIIQQQQII", 0, 0, ossa, 0, nssa, oentry, 0, ofsbase, ogsbase, 0xFFF, 0xFFF)
    return page.ljust(PAGE, b"\0")


def words(line):
    parts = line.split("#")[0].split()
    keys = dict(p.split("=", 1) if "=" in p else (p, True) for p in parts[1:])
    return parts[0] if parts else None, keys


def measure_layout(path):
    """MRENCLAVE (hex) of a layout file."""
    m = None
    with open(path) as f:
        for line in f:
            kind, k = words(line)
            if kind is None:
                continue
            num = lambda name, default=0: int(k[name], 0) if name in k else default
            if kind == "enclave":
                m = Measure(num("ssaframesize", 1), num("size"))
                continue
            offset = num("offset")
            if kind == "tcs":
                flags = TCS
                data = tcs_page(num("ossa"), num("nssa"), num("oentry"), num("ofsbase"), num("ogsbase"))
            else:
                flags = REG | sum(RWX[c] for c in k["perm"])
                if kind == "zero":
                    data = bytes(num("pages") * PAGE)
                else:
                    with open(os.path.join(os.path.dirname(path), k["path"]), "rb") as image:
                        whole = image.read()[num("skip"):]
                    length = num("length") or len(whole)
                    data = whole[:length].ljust(length, b"\0")
            for at in range(0, len(data), PAGE):
                if "unmeasured" in k:
                    m.add(offset + at, flags)
                else:
                    m.page(offset + at, flags, data[at:at + PAGE])
    return m.hexdigest()


class Sigstruct:
    """The fields of a SIGSTRUCT; check() verifies the signature by big-number arithmetic."""

    def __init__(self, raw):
        assert len(raw) == 1808
        self.raw = raw
        number = lambda at: int.from_bytes(raw[at:at + 384], "little")
        self.n, self.s, self.q1, self.q2 = number(128), number(516), number(1040), number(1424)
        self.exponent, = struct.unpack_from("<I", raw, 512)
        self.vendor, self.date = struct.unpack_from("<II", raw, 16)
        self.miscselect, self.miscmask = struct.unpack_from("<II", raw, 900)
        self.flags, self.xfrm, self.flags_mask, self.xfrm_mask = struct.unpack_from("<QQQQ", raw, 928)
        self.mrenclave = raw[960:992].hex()
        self.mrsigner = hashlib.sha256(raw[128:512]).hexdigest()
        self.prod_id, self.svn = struct.unpack_from("<HH", raw, 1024)

    def check(self):
        assert self.raw[:16].hex() == "06000000e10000000000010000000000"
        assert self.raw[24:40].hex() == "01010000600000006000000001000000"
        for start, end in ((44, 128), (910, 912), (992, 1008), (1028, 1040)):
            assert self.raw[start:end] == bytes(end - start)
        assert self.exponent == 3 and self.n.bit_length() == 3072
        digest = hashlib.sha256(self.raw[:128] + self.raw[900:1028]).digest()
        info = bytes.fromhex("3031300d060960864801650304020105000420") + digest
        padded = b"\0\1" + b"\xff" * (384 - 3 - len(info)) + b"\0" + info
        assert pow(self.s, 3, self.n) == int.from_bytes(padded, "big")
        assert self.q1 == self.s * self.s // self.n
        assert self.q2 == self.s * self.s % self.n * self.s // self.n
        assert math.gcd(self.s, self.n) == 1


if __name__ == "__main__":
    print(measure_layout(sys.argv[1]))
