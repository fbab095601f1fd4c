#!/usr/bin/env python3
"""Writes the test vectors from PROTOCOL.md alone: none of our code is called, checksums and cookies are computed here.

    python3 proto/vectors/generate.py            writes the files beside this one
    python3 proto/vectors/generate.py --check    fails where a file is not what would be written
"""

import json
import pathlib
import sys

from answers import answer_vectors
from messages import tcp_vectors, udp_vectors
from parts import balanced, crc32c, hexed, make_cookie, numbered, sealed, siphash24, u32, u64

HERE = pathlib.Path(__file__).parent


def checksum_vectors():
    """RFC 3720, appendix B.4, and the check value of the reveng catalogue."""
    pdu = bytes.fromhex(
        "01c00000000000000000000000000000140000000000040000000014000000182800000000000000020000000000000000"[:96]
    )
    given = [
        ("RFC 3720 B.4: 32 bytes of zeroes", bytes(32), 0x8A9136AA),
        ("RFC 3720 B.4: 32 bytes of ones", b"\xff" * 32, 0x62A8AB43),
        ("RFC 3720 B.4: 32 bytes rising", bytes(range(32)), 0x46DD794E),
        ("RFC 3720 B.4: 32 bytes falling", bytes(range(31, -1, -1)), 0x113FDB5C),
        ("RFC 3720 B.4: an iSCSI SCSI read PDU", pdu, 0xD9963A56),
        ("catalogue check value", b"123456789", 0xE3069283),
        ("nothing", b"", 0),
    ]
    for name, data, crc in given:
        assert crc32c(data) == crc, name
        yield {"name": name, "section": "2.1", "hex": hexed(data), "crc32c": f"{crc:08x}"}


def chunk_vectors():
    """(offset, length, room for chunk bytes) cut by section 3.3; the cuts of some are written out by hand to check the others."""
    by_hand = {(0, 10, 4): [4, 4, 2], (0, 1501, 1500): [751, 750], (0, 9, 4): [3, 3, 3], (1000, 2000, 1430): [1000, 1000]}
    cases = list(by_hand) + [(0, 1, 1), (0, 1, 1160), (0, 1160, 1160), (0, 1161, 1160), (0, 2321, 1160), (0, 5008, 1160),
                             (0, 65544, 8932), (0, 100, 1), (7, 1, 9), (9000, 1008, 1432), (0xFFFFFF00, 0xFF, 100)]
    for offset, length, room in cases:
        chunks = balanced(offset, length, room)
        assert [n for _, n in chunks] == by_hand.get((offset, length, room), [n for _, n in chunks])
        yield {"name": f"{length} B from {offset} by {room}", "section": "3.3", "offset": offset, "length": length,
               "room": room, "chunks": [list(chunk) for chunk in chunks]}


def version_vectors():
    """Which of two versions is the later one: serial number arithmetic over 64 bits (RFC 1982)."""
    nonce = 0x3C0FFEE1
    def version(n, counter): return n << 32 | counter
    for name, earlier, later in [
        ("next update", version(nonce, 1), version(nonce, 2)),
        ("far update", version(nonce, 0), version(nonce, 0xFFFFFFFF)),
        ("next nonce", version(nonce, 0xFFFFFFFF), version(nonce + 1, 0)),
        ("later instance, smaller counter", version(nonce, 900), version(nonce + 77, 3)),
        ("the nonce wraps", version(0xFFFFFFFF, 9), version(0, 1)),
        ("half way round less one", 0, 2**63 - 1),
    ]:
        yield {"name": name, "section": "10.2", "earlier": hexed(u64(earlier)), "later": hexed(u64(later))}


def seal_vectors():
    """Sealed values and what a client delivers of them."""
    key, value, limit = b"bucket/object", numbered(40), 4096
    good = sealed(key, value)
    literals = bytes([0xF0, 40 - 15]) + value
    run = bytes([0x1F]) + b"a" + b"\x01\x00" + bytes([94 - 4 - 15]) + bytes([0x50]) + b"aaaaa"
    far = bytes([0x84]) + b"abcdefgh" + b"\x08\x00" + bytes([0x50]) + b"ijklm"

    def block(data, decoded, stated=None):
        crc = crc32c(key + decoded)
        return u32(crc) + u32(1 << 28 | (len(decoded) if stated is None else stated)) + data

    def vector(name, data, delivered=None, error=None, at_key=key, at_limit=limit):
        outcome = {"error": error} if error else {"value": hexed(delivered)}
        return {"name": name, "section": "3.2", "key": hexed(at_key), "value_limit": at_limit,
                "sealed": hexed(data[:4], data[4:8], data[8:]), **outcome}

    yield vector("as it is", good, value)
    yield vector("empty value", sealed(key, b""), b"")
    yield vector("value at the limit", sealed(key, bytes(limit)), bytes(limit))
    yield vector("longest key", sealed(b"k" * 250, b"v"), b"v", at_key=b"k" * 250)
    yield vector("LZ4 block of literals only", block(literals, value), value)
    yield vector("LZ4 block with a match that overlaps itself", block(run, b"a" * 100), b"a" * 100)
    yield vector("LZ4 block with a match of what lies before", block(far, b"abcdefghabcdefghijklm"), b"abcdefghabcdefghijklm")
    yield vector("LZ4 block of nothing", block(b"\x00", b""), b"")
    yield vector("no bytes at all", b"", error="short")
    yield vector("not even a seal", good[:7], error="short")
    yield vector("another key", good, error="checksum", at_key=b"bucket/objecT")
    yield vector("one bit of the value flipped", good[:-1] + bytes([good[-1] ^ 1]), error="checksum")
    yield vector("one bit of the checksum flipped", bytes([good[0] ^ 0x80]) + good[1:], error="checksum")
    yield vector("checksum over the encoded instead of the decoded value",
                 u32(crc32c(key + literals)) + u32(1 << 28 | 40) + literals, error="checksum")
    yield vector("checksum over the value alone", u32(crc32c(value)) + u32(40) + value, error="checksum")
    yield vector("a byte more than the seal says", good + b"\0", error="length")
    yield vector("a byte less than the seal says", good[:-1], error="length")
    yield vector("encoding 2", u32(crc32c(key + value)) + u32(2 << 28 | 40) + value, error="unknown_encoding")
    yield vector("encoding 15", u32(crc32c(key + value)) + u32(15 << 28 | 40) + value, error="unknown_encoding")
    yield vector("a byte above the limit", sealed(key, bytes(limit + 1)), error="too_long")
    yield vector("LZ4 that states more than the limit", block(literals, value, stated=limit + 1), error="too_long")
    yield vector("LZ4 that decodes to more than stated", block(run, b"a" * 100, stated=99), error="encoding")
    yield vector("LZ4 that decodes to less than stated", block(run, b"a" * 100, stated=101), error="length")
    yield vector("LZ4 cut within its literals", block(literals[:-1], value), error="encoding")
    yield vector("LZ4 with a match before the beginning",
                 block(bytes([0x10]) + b"a" + b"\x02\x00" + bytes([0x50]) + b"aaaaa", b"a" * 10), error="encoding")
    yield vector("LZ4 with a match at distance 0",
                 block(bytes([0x10]) + b"a" + b"\x00\x00" + bytes([0x50]) + b"aaaaa", b"a" * 10), error="encoding")


def cookie_vectors():
    """Cookies made and judged. The SipHash below is first checked with its authors' vector."""
    assert siphash24(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5
    secret, previous, other = b"0123456789abcdef", bytes(range(16)), b"\xff" * 16
    made, ip = 1_700_000_000, "192.0.2.7"

    def vector(name, state, cookie=None, address=ip, now=made, rotated=True):
        return {"name": name, "section": "7", "secret": hexed(secret),
                "previous_secret": hexed(previous) if rotated else None,
                "address": address, "now": now, "cookie": hexed(cookie or make_cookie(secret, ip, made)), "state": state,
                "new_cookie": hexed(make_cookie(secret, address, now))}

    yield vector("made this second", "valid")
    yield vector("1800 s old", "valid", now=made + 1800)
    yield vector("1801 s old: a new one is due", "stale", now=made + 1801)
    yield vector("3600 s old", "stale", now=made + 3600)
    yield vector("3601 s old", "invalid", now=made + 3601)
    yield vector("300 s ahead of the clock", "valid", now=made - 300)
    yield vector("301 s ahead of the clock", "invalid", now=made - 301)
    yield vector("a lifetime ahead of the clock", "invalid", now=(made + 2**31) % 2**32)
    yield vector("the clock wrapped since", "valid", make_cookie(secret, ip, 2**32 - 6), now=100)
    yield vector("of the previous secret", "valid", make_cookie(previous, ip, made))
    yield vector("of the previous secret, stale", "stale", make_cookie(previous, ip, made), now=made + 2000)
    yield vector("of a secret never used", "invalid", make_cookie(other, ip, made))
    yield vector("of a secret before the only one", "invalid", make_cookie(previous, ip, made), rotated=False)
    yield vector("another address", "invalid", address="192.0.2.8")
    yield vector("IPv4 as a dual-stack socket shows it", "valid", address="::ffff:192.0.2.7")
    yield vector("IPv6", "valid", make_cookie(secret, "2001:db8::1", made), address="2001:db8::1")
    yield vector("another IPv6 address", "invalid", make_cookie(secret, "2001:db8::1", made), address="2001:db8::2")
    yield vector("IPv4-compatible IPv6 is not IPv4", "invalid", address="::192.0.2.7")
    good = make_cookie(secret, ip, made)
    for name, at in [("its version", 0), ("a reserved byte", 2), ("its time", 7), ("its tag's first byte", 8), ("its tag's last byte", 15)]:
        yield vector(f"one bit changed in {name}", "invalid", good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
    claim = bytes([1, 0xAA, 0xBB, 0xCC]) + u32(made)
    tag = u64(siphash24(secret, claim + bytes([192, 0, 2, 7])))
    yield vector("reserved bytes set by its maker", "valid", claim + tag)


FILES = {
    "checksums.json": checksum_vectors,
    "chunks.json": chunk_vectors,
    "versions.json": version_vectors,
    "seals.json": seal_vectors,
    "cookies.json": cookie_vectors,
    "messages-udp.json": udp_vectors,
    "messages-tcp.json": tcp_vectors,
    "answers.json": answer_vectors,
}


def text(vectors):
    """One object a paragraph, one field a line: readable in a diff."""
    def one(vector):
        return "{" + ",\n ".join(f"{json.dumps(name)}: {json.dumps(field)}" for name, field in vector.items()) + "}"
    names = [vector["name"] for vector in vectors]
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
    return "[\n" + ",\n\n".join(one(vector) for vector in vectors) + "\n]\n"


def main():
    wrong = []
    for name, vectors in FILES.items():
        path, new = HERE / name, text(list(vectors()))
        if "--check" in sys.argv:
            wrong += [name] if not path.exists() or path.read_text() != new else []
        else:
            path.write_text(new)
    if wrong:
        sys.exit(f"not what generate.py writes: {', '.join(wrong)}; run python3 proto/vectors/generate.py")


if __name__ == "__main__":
    main()
