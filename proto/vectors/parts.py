"""What messages are made of, from PROTOCOL.md alone: integers, CRC-32C, SipHash-2-4, seals, cookies, balanced chunks, headers and frames."""

import ipaddress
import itertools


def u8(n): return n.to_bytes(1, "big")
def u16(n): return n.to_bytes(2, "big")
def u32(n): return n.to_bytes(4, "big")
def u64(n): return n.to_bytes(8, "big")


def hexed(*fields):
    """Fields as the files have them: hex, a space between fields, `xx*N` for N times the same."""
    tokens = []
    for unit, group in itertools.groupby((run for field in fields if field for run in repeats(field)), lambda run: run[0]):
        runs = [times for _, times in group]
        runs = [sum(runs)] if sum(runs) > 16 else runs
        tokens += [unit.hex() + (f"*{times}" if times > 1 else "") for times in runs]
    return " ".join(tokens)


def repeats(field):
    """A field as (bytes, times): long ones are mostly one byte or `numbered`, some of them behind a seal."""
    for start, period in ((0, 1), (0, 40), (0, 32), (8, 1), (8, 40)):
        unit, times = field[start:start + period], (len(field) - start) // period
        if len(field) > 160 and field[start:start + period * times] == unit * times:
            parts = [(field[:start], 1), (unit, times), (field[start + period * times:], 1)]
            return [part for part in parts if part[0]]
    return [(field, 1)]


def numbered(length):
    """Bytes that tell where they are: 00 01 .. 27, over and over."""
    return (bytes(range(40)) * (length // 40 + 1))[:length]


def crc_table():
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        yield byte


TABLE = list(crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def siphash24(key, data):
    """SipHash-2-4 (Aumasson and Bernstein, 2012), the integer."""
    mask = 2**64 - 1
    def rotl(x, n): return (x << n | x >> (64 - n)) & mask
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & mask; v[1] = rotl(v[1], 13) ^ v[0]; v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & mask; v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask; v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask; v[1] = rotl(v[1], 17) ^ v[2]; v[2] = rotl(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + u8(len(data) & 0xFF)
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v[3] ^= word; rounds(2); v[0] ^= word
    v[2] ^= 0xFF; rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def make_cookie(secret, address, unix_s):
    """Section 7."""
    ip = ipaddress.ip_address(address)
    ip = getattr(ip, "ipv4_mapped", None) or ip
    head = u8(1) + bytes(3) + u32(unix_s)
    return head + u64(siphash24(secret, head + ip.packed))


def sealed(key, value):
    """Section 3.2, without encoding."""
    return u32(crc32c(key + value)) + u32(len(value)) + value


def balanced(offset, length, room):
    """Section 3.3: n = ceil(length / room) chunks of ceil(length / n) bytes."""
    count = -(-length // room)
    each = -(-length // count)
    return [(at, min(each, offset + length - at)) for at in range(offset, offset + length, each)]


class Frame:
    """A frame: its fields as bytes, and what they mean."""

    def __init__(self, kind, fields, **meaning):
        self.fields = fields
        self.meaning = {"type": kind, **meaning}

    def bytes(self): return b"".join(self.fields)

    def cut(self, length):
        """The first bytes of it, which mean nothing."""
        return Frame("cut", [self.bytes()[:length]])


def get(id, key): return Frame("GET", [u8(1), u8(len(key)), u16(0), u32(id), key], id=id, key=hexed(key))


def rerequest(id, version, ranges, key):
    listed = [part for offset, length in ranges for part in (u32(offset), u32(length))]
    fields = [u8(2), u8(len(key)), u8(len(ranges)), u8(0), u32(id), u64(version), *listed, key]
    return Frame("REREQUEST", fields, id=id, version=hexed(u64(version)), ranges=[list(r) for r in ranges], key=hexed(key))


def probe(id, up, down, size, answer=False):
    fields = [u8(0x15 if answer else 3), u8(up * 1 | down * 2), u16(size), u32(id)]
    return Frame("PROBE_ACK" if answer else "PROBE", fields, id=id, up=up, down=down, size=size)


def cookie(data): return Frame("COOKIE", [u8(4), bytes(3), data], cookie=hexed(data))
def challenge(data): return Frame("CHALLENGE", [u8(0x16), bytes(3), data], cookie=hexed(data))


def value(id, data):
    return Frame("VALUE", [u8(0x11), u8(0), u16(len(data)), u32(id), data], id=id, sealed=hexed(data))


def chunk(id, version, total, offset, data):
    fields = [u8(0x12), u8(0), u16(len(data)), u32(id), u64(version), u32(total), u32(offset), data]
    return Frame("CHUNK", fields, id=id, version=hexed(u64(version)), total=total, offset=offset, bytes=hexed(data))


def miss(id): return Frame("MISS", [u8(0x13), bytes(3), u32(id)], id=id)


REASONS = {"version_gone": 1, "too_big": 2, "unreadable": 3, "not_served": 4}


def refused(id, reason, detail=0):
    return Frame("REFUSED", [u8(0x14), u8(REASONS[reason]), u16(0), u32(id), u32(detail)], id=id, reason=reason, detail=detail)


def telemetry(worker, port_index, nonce, received, sent, dropped, residence_us):
    fields = [u8(0x17), u8(worker), u16(port_index), *map(u32, (nonce, received, sent, dropped, residence_us))]
    return Frame("TELEMETRY", fields, worker=worker, port_index=port_index, nonce=nonce, received=received, sent=sent,
                 dropped=dropped, residence_us=residence_us)


def hello(id, version_min, version_max, token):
    return Frame("HELLO", [u8(0x21), u8(version_min), u8(version_max), u8(len(token)), u32(id), token],
                 id=id, version_min=version_min, version_max=version_max, token=hexed(token))


def set_value(id, ttl_s, key, data):
    crc = crc32c(key + data)
    fields = [u8(0x22), u8(len(key)), u16(0), u32(id), u32(ttl_s), u32(len(data)), u32(crc), key, data]
    return Frame("SET", fields, id=id, ttl_s=ttl_s, checksum=f"{crc:08x}", key=hexed(key), value=hexed(data))


def delete(id, key): return Frame("DELETE", [u8(0x23), u8(len(key)), u16(0), u32(id), key], id=id, key=hexed(key))
def flush(id, what): return Frame("FLUSH", [u8(0x24), u8(["values", "path_mtus"].index(what)), u16(0), u32(id)], id=id, what=what)
def stats(id): return Frame("STATS", [u8(0x25), bytes(3), u32(id)], id=id)
def receipts(id, worker, first): return Frame("RECEIPTS", [u8(0x26), u8(worker), u16(0), u32(id), u64(first)], id=id, worker=worker, first=hexed(u64(first)))
def ping(id, payload): return Frame("PING", [u8(0x27), bytes(3), u32(id), payload], id=id, payload=hexed(payload))
def drain(id): return Frame("DRAIN", [u8(0x28), bytes(3), u32(id)], id=id)


STRATEGIES = ["chunked", "kernel-pmtud", "df-off", "df-strict", "interface", "compressed"]


def welcome(id, receipts, draining, updates, nonce, value_limit, cookie, ports):
    listed = [part for port, strategy, workers, largest in ports
              for part in (u16(port), u8(STRATEGIES.index(strategy)), u8(workers), u16(largest), u16(0))]
    fields = [u8(0x31), u8(len(ports)), u8(receipts * 1 | draining * 2 | updates * 4), u8(0), u32(id), u32(nonce),
              u32(value_limit), cookie, *listed]
    return Frame("WELCOME", fields, id=id, receipts=receipts, draining=draining, updates=updates, nonce=nonce,
                 value_limit=value_limit, cookie=hexed(cookie), ports=[list(port) for port in ports])


def done(id, result): return Frame("DONE", [u8(0x32), bytes(3), u32(id), u64(result)], id=id, result=hexed(u64(result)))


def error(id, code, message):
    data = message.encode()
    return Frame("ERROR", [u8(0x33), u8(code), u16(len(data)), u32(id), data], id=id, code=code, text=hexed(data))


def text(id, message):
    data = message.encode()
    return Frame("TEXT", [u8(0x34), bytes(3), u32(id), u32(len(data)), data], id=id, text=hexed(data))


OUTCOMES = {"answered": 1, "send_refused": 2, "challenged": 3}


def receipt_list(id, worker, first, receipts):
    listed = [part for flow, sequence, attempt, outcome, datagrams, size, arrival, residence, port, gets in receipts
              for part in (u32(flow), u32(sequence), u8(attempt), u8(OUTCOMES[outcome]), u16(datagrams), u32(size),
                           u64(arrival), u32(residence), u16(port), u16(gets))]
    listed = listed if len(receipts) <= 64 else [b"".join(listed)]
    fields = [u8(0x35), u8(worker), u16(len(receipts)), u32(id), u64(first), *listed]
    meant = [[*entry[:6], hexed(u64(entry[6])), *entry[7:]] for entry in receipts]
    return Frame("RECEIPT_LIST", fields, id=id, worker=worker, first=hexed(u64(first)), receipts=meant)


def pong(id, draining, payload):
    return Frame("PONG", [u8(0x36), u8(draining * 1), u16(0), u32(id), payload], id=id, draining=draining, payload=hexed(payload))


class Message:
    """Header, frames, padding. Fields may be overwritten before the checksum is made, bytes after."""

    def __init__(self, kind, frames, pad=None, least=True, attempt=0, flow=1, sequence=2, flag=False, datagram_max=1472, credit=65536):
        self.kind, self.frames = kind, frames
        header = [u8(0x5E), u8(1), u8(0x80 * (kind == "answer") | flag), u8(attempt), u32(flow), u32(sequence)]
        self.header = {"attempt": attempt, "flow": flow, "sequence": sequence}
        if kind == "request":
            header += [u16(datagram_max), u16(0), u32(credit)]
            self.header.update(telemetry=flag, datagram_max=datagram_max, credit=credit)
        else:
            self.header.update(draining=flag)
        self.fields = header + [field for frame in frames for field in frame.fields]
        length = 4 + sum(map(len, self.fields))
        self.pad = max(48 - length, 0) if pad is None and kind == "request" and least else pad or 0
        self.fields += [bytes(self.pad)]

    def with_bytes(self, changes):
        """Changes bytes, numbered as in the message, keeps the fields apart, and the checksum will be right."""
        for at, byte in changes.items():
            start = 4
            for index, field in enumerate(self.fields):
                if start <= at < start + len(field):
                    self.fields[index] = field[:at - start] + u8(byte) + field[at - start + 1:]
                start += len(field)
        return self

    def cut(self, length):
        """The first bytes of the message; the checksum will be right."""
        self.fields = [b"".join(self.fields)[:max(length - 4, 0)]]
        return self

    def all(self): return [u32(crc32c(b"".join(self.fields))), *self.fields]
    def bytes(self): return b"".join(self.all())
    def meaning(self): return {"header": self.header, "frames": [frame.meaning for frame in self.frames], "pad": self.pad}
