# SPDX-License-Identifier: LGPL-3.0-or-later
"""Encrypted files once more, from the format description alone: an oracle for the tests.

Slow and simple; nothing is shared with the C library, not even the cipher (python3-cryptography).

    python3 pfs_reader.py read KEYFILE FILE [PATH]        plaintext to standard output
    python3 pfs_reader.py write KEYFILE FILE PATH         plaintext from standard input
"""
import os
import struct
import sys

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

NODE = 4096
INLINE = 3072
SLOTS = 96
CHILDREN = 32
MAGIC = b'GRAFS_PF'
META_SIZE = 3884
META_AT = {1: 58, 2: 59}
ENTRY = 32
ZERO_ENTRY = bytes(ENTRY)


class Bad(Exception):
    """Why a file is not accepted."""


def metadata_key(wrap_key, nonce):
    mac = CMAC(AES(wrap_key))
    label = b'SGX-PROTECTED-FS-METADATA-KEY'
    mac.update(struct.pack('<I', 1) + label.ljust(64, b'\0') + nonce + struct.pack('<I', 128))
    return mac.finalize()


def seal(key, plain):
    """Returns (ciphertext, tag)."""
    out = AESGCM(key).encrypt(bytes(12), bytes(plain), None)
    return out[:-16], out[-16:]


def unseal(key, sealed, tag, what):
    try:
        return AESGCM(key).decrypt(bytes(12), bytes(sealed) + tag, None)
    except Exception:
        raise Bad(f'{what} does not authenticate') from None


def counts(size):
    """Data nodes and hash nodes of a file of `size` bytes."""
    data = 0 if size <= INLINE else -(-(size - INLINE) // NODE)
    return data, -(-data // SLOTS)


def host_size(size):
    data, hashes = counts(size)
    return NODE * (1 + data + hashes)


def data_at(d):
    return 2 + d + d // SLOTS


def hash_at(m):
    return 1 + (SLOTS + 1) * m


def pack_node0(wrap_key, path, size, root, inline, major=2, minor=0, flags=0):
    path = path.encode()
    if len(path) > 771:
        raise Bad('path too long')
    meta = path.ljust(772, b'\0') + struct.pack('<Q', size) + root + bytes(inline).ljust(INLINE, b'\0')
    nonce = os.urandom(32)
    sealed, tag = seal(metadata_key(wrap_key, nonce), meta)
    head = MAGIC + bytes([major, minor]) + nonce + tag
    if major == 2:
        head += bytes([flags])
    return (head + sealed).ljust(NODE, b'\0')


class Reader:
    """Reads one file; nodes are verified when first needed."""

    def __init__(self, wrap_key, path, stored=None):
        self.file = open(path, 'rb')
        length = os.fstat(self.file.fileno()).st_size
        if length == 0 or length % NODE:
            raise Bad('length is no multiple of 4096')
        head = self.node(0)
        if head[:8] != MAGIC:
            raise Bad('magic')
        self.major, self.minor, self.flags = head[8], head[9], head[58]
        if self.major not in META_AT:
            raise Bad('version')
        self.nonce, tag = head[10:42], head[42:58]
        at = META_AT[self.major]
        self.padding = head[at + META_SIZE:]
        meta = unseal(metadata_key(wrap_key, self.nonce), head[at:at + META_SIZE], tag, 'metadata')
        self.stored = meta[:772].split(b'\0')[0].decode()
        if meta[len(self.stored.encode()):772].strip(b'\0'):
            raise Bad('path field is not zero padded')
        self.size, = struct.unpack('<Q', meta[772:780])
        self.root = meta[780:812]
        self.inline = meta[812:]
        if stored is not None and stored != self.stored:
            raise Bad(f'path is {self.stored}')
        self.hashes = {}
        if self.size > INLINE:
            self.hash(0)

    def close(self):
        self.file.close()

    def node(self, number):
        self.file.seek(number * NODE)
        node = self.file.read(NODE)
        if len(node) < NODE:
            raise Bad(f'node {number} is missing')
        return node

    def hash(self, m):
        if m not in self.hashes:
            if m == 0:
                entry = self.root
            else:
                slot = SLOTS + (m - 1) % CHILDREN
                entry = self.hash((m - 1) // CHILDREN)[slot * ENTRY:(slot + 1) * ENTRY]
            self.hashes[m] = unseal(entry[:16], self.node(hash_at(m)), entry[16:], f'hash node {m}')
        return self.hashes[m]

    def data(self, d):
        slot = d % SLOTS
        entry = self.hash(d // SLOTS)[slot * ENTRY:(slot + 1) * ENTRY]
        return unseal(entry[:16], self.node(data_at(d)), entry[16:], f'data node {d}')

    def read(self, off=0, n=None):
        end = self.size if n is None else min(self.size, off + n)
        out = []
        while off < end:
            if off < INLINE:
                piece = self.inline[off:min(end, INLINE)]
            else:
                d, at = divmod(off - INLINE, NODE)
                piece = self.data(d)[at:at + end - off]
            out.append(piece)
            off += len(piece)
        return b''.join(out)

    def check_structure(self):
        """What a careful writer leaves: no surplus, zero padding, unused entries and tails zero, no key
        used twice. Returns the node keys."""
        if os.fstat(self.file.fileno()).st_size != host_size(self.size):
            raise Bad('host size')
        if self.major != 2 or self.minor or self.flags or self.padding.strip(b'\0'):
            raise Bad('header')
        data, hashes = counts(self.size)
        keys = [self.root[:16]] if hashes else []
        for m in range(hashes):
            node = self.hash(m)
            for i in range(SLOTS + CHILDREN):
                used = m * SLOTS + i < data if i < SLOTS else m * CHILDREN + i - SLOTS + 1 < hashes
                entry = node[i * ENTRY:(i + 1) * ENTRY]
                if used:
                    keys.append(entry[:16])
                elif entry != ZERO_ENTRY:
                    raise Bad(f'entry {i} of hash node {m} is not zero')
        if len(set(keys)) != len(keys):
            raise Bad('a key occurs twice')
        if data and self.data(data - 1)[(self.size - INLINE - 1) % NODE + 1:].strip(b'\0'):
            raise Bad('tail of the last node is not zero')
        if self.inline[self.size:].strip(b'\0'):
            raise Bad('inline tail is not zero')
        return keys


def write(wrap_key, path, stored, size, content, only=None, major=2):
    """Writes a file of `size` bytes. `content(off, n)` gives plaintext. With `only` (data node
    numbers), all other data nodes stay holes in the host file and cannot be read."""
    data, hashes = counts(size)
    chosen = range(data) if only is None else sorted(d for d in only if d < data)
    tree = {0: bytearray(NODE)} if hashes else {}
    with open(path, 'wb') as out:
        out.truncate(host_size(size))
        for d in chosen:
            key = os.urandom(16)
            at = INLINE + d * NODE
            plain = content(at, min(NODE, size - at)).ljust(NODE, b'\0')
            sealed, tag = seal(key, plain)
            out.seek(data_at(d) * NODE)
            out.write(sealed)
            slot = d % SLOTS
            tree.setdefault(d // SLOTS, bytearray(NODE))[slot * ENTRY:(slot + 1) * ENTRY] = key + tag
        root = ZERO_ENTRY
        for m in list(tree):
            while m:
                m = (m - 1) // CHILDREN
                tree.setdefault(m, bytearray(NODE))
        # The last hash node must be there for appends.
        m = max(hashes - 1, 0)
        while m:
            tree.setdefault(m, bytearray(NODE))
            m = (m - 1) // CHILDREN
        for m in sorted(tree, reverse=True):
            key = os.urandom(16)
            sealed, tag = seal(key, tree[m])
            out.seek(hash_at(m) * NODE)
            out.write(sealed)
            if m:
                slot = SLOTS + (m - 1) % CHILDREN
                tree[(m - 1) // CHILDREN][slot * ENTRY:(slot + 1) * ENTRY] = key + tag
            else:
                root = key + tag
        out.seek(0)
        out.write(pack_node0(wrap_key, stored, size, root, content(0, min(size, INLINE)), major))


def main(args):
    with open(args[1], 'rb') as f:
        key = f.read()
    if args[0] == 'read':
        sys.stdout.buffer.write(Reader(key, args[2], *args[3:4]).read())
    else:
        plain = sys.stdin.buffer.read()
        write(key, args[2], args[3], len(plain), lambda off, n: plain[off:off + n])


if __name__ == '__main__':
    main(sys.argv[1:])
