"""Messages of both carriers and what a receiver makes of them: sections 2 to 8 of PROTOCOL.md."""

from parts import *

KEY, LONG_KEY = b"bucket/object", b"k" * 250
COOKIE = bytes.fromhex("0100000065538f00") + bytes(range(0xA0, 0xA8))
VERSION = 0x3C0FFEE100000007
TELEMETRY = telemetry(3, 1, 0x3C0FFEE1, 1000, 990, 10, 85)
MOST = 0xFFFFFFFF
RECEIPT = (1, 2, 0, "answered", 4, 5200, 1_700_000_000_123_456, 85, 7400, 1)
PORT = (7400, "chunked", 2, 8973)


class Writer:
    """Collects the vectors of one carrier."""

    def __init__(self, carrier):
        self.carrier, self.vectors = carrier, []

    def add(self, name, section, message, drop=None, canonical=True, kind=None, **more):
        data = message.all()
        prefix = [u32(sum(map(len, data)))] if self.carrier == "tcp" else []
        outcome = {"drop": drop} if drop else {"meaning": message.meaning()}
        if not drop and not canonical:
            outcome["canonical"] = False
        self.vectors.append({"name": name, "section": section, "carrier": self.carrier, "kind": kind or message.kind,
                             **more, "hex": hexed(*prefix, *data), **outcome})

    def message(self, kind, frames, **more):
        return Message(kind, frames, least=self.carrier == "udp", **more)

    def request(self, name, section, *frames, drop=None, canonical=True, changes={}, **more):
        self.add(name, section, self.message("request", frames, **more).with_bytes(changes), drop, canonical)

    def answer(self, name, section, *frames, drop=None, canonical=True, changes={}, **more):
        self.add(name, section, self.message("answer", frames, **more).with_bytes(changes), drop, canonical)

    def truncations(self, name, section, kind, frame, before=()):
        """The frame ends behind each of its fields but the last, and one byte short: dropped, though the checksum is right."""
        lengths, cuts = [len(field) for field in frame.fields if field], set()
        for index in range(1, len(lengths)):
            cuts.add(sum(lengths[:index]))
        for cut in sorted(cuts | {sum(lengths) - 1}):
            message = Message(kind, [*before, frame.cut(cut)], least=False)
            self.add(f"{name} truncated to {cut} B", section, message, drop="frame")


def head_vectors(write, kind, frame, least):
    """What is checked before the frames, and which failure is named first."""
    good = lambda **more: write.message(kind, [frame], **more)
    header = 24 if kind == "request" else 16
    other = "answer" if kind == "request" else "request"
    write.add(f"{kind}: nothing at all", "2.1", Raw(kind), drop="short")
    write.add(f"{kind}: 15 B", "2.1", good().cut(15), drop="short")
    write.add(f"{kind}: header alone", "2.1", good().cut(header), drop="short" if least > header else "frame")
    if kind == "request":
        write.add(f"request: {least - 1} B", "2.1", good(pad=200).cut(least - 1), drop="short")
        write.add("request: an answer's header is too short for one", "2.1", good().cut(16), drop="short")
    for bit in range(8):
        write.add(f"{kind}: magic with bit {bit} changed", "2.1", good().with_bytes({4: 0x5E ^ 1 << bit}), drop="magic")
    for version in (0, 2, 255):
        write.add(f"{kind}: version {version}", "2.1", good().with_bytes({5: version}), drop="version")
    write.add(f"{kind}: checksum of zeroes", "2.1", Broken(good(), b"\0\0\0\0"), drop="checksum")
    write.add(f"{kind}: checksum the other way round", "2.1", Broken(good(), good().bytes()[3::-1]), drop="checksum")
    write.add(f"{kind}: a bit flipped in the last byte", "2.1", Broken(good(), None, -1), drop="checksum")
    write.add(f"{kind} sent to the wrong side", "2.1", good(), drop="kind", kind=other)
    write.add(f"{kind}: short before magic", "2.1", good().with_bytes({4: 0}).cut(15), drop="short")
    write.add(f"{kind}: magic before version", "2.1", good().with_bytes({4: 0, 5: 2}), drop="magic")
    write.add(f"{kind}: version before checksum", "2.1", Broken(good().with_bytes({5: 2}), b"\0\0\0\0"), drop="version")
    write.add(f"{kind}: checksum before kind", "2.1", Broken(good(), b"\0\0\0\0"), drop="checksum", kind=other)
    unknown = write.message(kind, [frame]).with_bytes({header: 0x7F})
    write.add(f"{kind}: kind before frame", "2.1", unknown, drop="kind", kind=other)


class Raw(Message):
    """No bytes."""

    def __init__(self, kind): self.kind = kind
    def all(self): return []


class Broken(Message):
    """A message with its checksum replaced, or a bit flipped after it was made."""

    def __init__(self, message, checksum, flipped=None):
        self.kind, self.data = message.kind, message.all()
        if checksum is not None:
            self.data[0] = checksum
        if flipped is not None:
            self.data[:] = [b"".join(self.data)]
            raw = bytearray(self.data[0])
            raw[flipped] ^= 1
            self.data[:] = [bytes(raw)]

    def all(self): return self.data


def read_vectors(write):
    """GET, REREQUEST and what answers them; the same on both carriers."""
    request, answer = write.request, write.answer
    request("GET, shortest key", "3.1", get(7, b"k"))
    request("GET, longest key", "3.1", get(MOST, LONG_KEY))
    request("GET, a key of all bytes that make trouble", "3.1", get(0, bytes([0, 0xFF, 0x0A, 0x22, 0x5C, 0x80])))
    request("every header field at its most", "2.1", get(1, KEY), attempt=255, flow=MOST, sequence=MOST, flag=True, datagram_max=0xFFFF, credit=MOST)
    request("every header field at its least", "2.1", get(1, KEY), attempt=0, flow=0, sequence=0, datagram_max=1200, credit=0)
    request("telemetry wanted", "2.1", get(1, KEY), flag=True)
    request("reserved bits and fields set", "2.1", get(1, KEY), changes={6: 0x7E, 18: 0xFF, 19: 0xFF, 26: 0xFF, 27: 0xFF}, canonical=False)
    request("two GETs", "2.2", get(1, b"a"), get(2, b"b"))
    request("the same GET twice", "2.2", get(1, b"a"), get(1, b"a"))
    request("64 GETs", "2.2", *[get(id, b"%02d" % id) for id in range(64)])
    request("65 GETs", "2.2", *[get(id, b"%02d" % id) for id in range(65)], drop="frame")
    request("COOKIE, GET", "7", cookie(COOKIE), get(1, KEY))
    request("GET, COOKIE", "7", get(1, KEY), cookie(COOKIE))
    request("COOKIE with reserved bytes set", "7", cookie(COOKIE), get(1, KEY), changes={25: 1, 26: 2, 27: 3}, canonical=False)
    request("COOKIE alone", "2.2", cookie(COOKIE), drop="frame")
    request("GET with an empty key", "3.1", get(1, b""), get(2, b"k"), drop="frame")
    request("GET with a key of 251 B", "3.1", get(1, b"k" * 251), drop="frame")
    one = rerequest(7, VERSION, [(0, 1)], b"k")
    request("REREQUEST, smallest", "3.5", one)
    request("REREQUEST, largest", "3.5", rerequest(MOST, 2**64 - 1, [(i * 2000, 1000) for i in range(32)], LONG_KEY))
    request("REREQUEST, ranges that touch", "3.5", rerequest(1, VERSION, [(0, 10), (10, 10)], KEY))
    request("REREQUEST, the last byte 32 bits can name", "3.5", rerequest(1, VERSION, [(MOST - 1, 1)], KEY))
    request("REREQUEST with its reserved byte set", "3.5", one, changes={27: 0xFF}, canonical=False)
    request("GET and REREQUEST", "2.2", get(1, KEY), rerequest(2, VERSION, [(5, 5)], KEY))
    request("32 GETs and 33 REREQUESTs", "2.2", *[get(id, b"a") for id in range(32)],
            *[rerequest(id, VERSION, [(0, 1)], b"b") for id in range(33)], drop="frame")
    for name, ranges in [("no range", []), ("33 ranges", [(i * 2, 1) for i in range(33)]), ("an empty range", [(0, 0)]),
                         ("an empty range behind a good one", [(0, 5), (5, 0)]), ("falling ranges", [(10, 5), (0, 5)]),
                         ("overlapping ranges", [(0, 11), (10, 5)]), ("a range twice", [(0, 5), (0, 5)]),
                         ("a range past 32 bits", [(MOST, 2)])]:
        request(f"REREQUEST with {name}", "3.5", rerequest(1, VERSION, ranges, KEY), drop="frame")
    request("REREQUEST with an empty key", "3.5", rerequest(1, VERSION, [(0, 1)], b""), drop="frame")
    request("REREQUEST with a key of 251 B", "3.5", rerequest(1, VERSION, [(0, 1)], b"k" * 251), drop="frame")
    write.truncations("GET", "3.1", "request", get(1, KEY), before=[get(9, b"k" * 40)])
    write.truncations("REREQUEST", "3.5", "request", rerequest(1, VERSION, [(0, 1), (5, 9)], KEY), before=[get(9, b"k" * 40)])
    write.truncations("COOKIE in a request", "7", "request", cookie(COOKIE), before=[get(9, b"k" * 40)])

    stored = sealed(KEY, numbered(100))
    answer("VALUE", "3.2", value(7, stored))
    answer("VALUE of nothing but a seal", "3.2", value(0, sealed(KEY, b"")))
    answer("VALUE with reserved byte set, reserved bits in the header", "3.2", value(1, stored), changes={6: 0xFE, 17: 0xFF}, canonical=False)
    answer("CHUNK of 1 B", "3.3", chunk(7, VERSION, 2, 1, b"\xaa"))
    answer("CHUNK, the last of the largest value", "3.3", chunk(MOST, 2**64 - 1, (16 << 20) + 8, (16 << 20) + 8 - 500, numbered(500)))
    answer("CHUNK that is the whole value", "3.3", chunk(1, VERSION, len(stored), 0, stored))
    answer("CHUNK up to the end of what 32 bits count", "3.3", chunk(1, VERSION, MOST, MOST - 40, numbered(40)))
    answer("CHUNK with its reserved byte set", "3.3", chunk(1, VERSION, 80, 0, numbered(40)), changes={17: 0xFF}, canonical=False)
    answer("CHUNK of nothing", "3.3", chunk(1, VERSION, 80, 0, b""), drop="frame")
    answer("CHUNK one byte past the total", "3.3", chunk(1, VERSION, 80, 41, numbered(40)), drop="frame")
    answer("CHUNK that begins at the total", "3.3", chunk(1, VERSION, 80, 80, b"\xaa"), drop="frame")
    answer("CHUNK whose end does not fit 32 bits", "3.3", chunk(1, VERSION, MOST, MOST - 39, numbered(40)), drop="frame")
    answer("MISS", "3.4", miss(7))
    answer("MISS with reserved bytes set", "3.4", miss(7), changes={17: 1, 18: 2, 19: 3}, canonical=False)
    for reason, detail in [("version_gone", 0), ("too_big", 8973), ("unreadable", 0), ("not_served", MOST)]:
        answer(f"REFUSED, {reason}", "3.4", refused(7, reason, detail))
    answer("REFUSED with reserved bytes set", "3.4", refused(7, "too_big", 1472), changes={18: 0xFF, 19: 0xFF}, canonical=False)
    for reason in (0, 5, 255):
        answer(f"REFUSED for reason {reason}", "3.4", refused(7, "too_big"), changes={17: reason}, drop="frame")
    answer("VALUE, MISS, REFUSED, VALUE in one", "4.2", value(1, stored), miss(2), refused(3, "unreadable"), value(4, sealed(b"k", b"v")))
    answer("64 MISSes", "4.2", *[miss(id) for id in range(64)])
    answer("draining", "2.1", miss(1), flag=True, attempt=255, flow=MOST, sequence=MOST)
    answer("COOKIE, VALUE", "7", cookie(COOKIE), value(1, stored))
    for name, section, frame in [("VALUE", "3.2", value(1, stored)), ("CHUNK", "3.3", chunk(1, VERSION, 80, 0, numbered(40))),
                                 ("MISS", "3.4", miss(1)), ("REFUSED", "3.4", refused(1, "too_big")), ("COOKIE in an answer", "7", cookie(COOKIE))]:
        write.truncations(name, section, "answer", frame)
        write.truncations(f"{name} behind a MISS", section, "answer", frame, before=[miss(9)])


def misplaced(write, requests, answers, strangers):
    """Frames where they must not be: of the other side, of the other carrier, of no number known."""
    for frame in requests:
        write.answer(f"{frame.meaning['type']} in an answer", "2.2", frame, drop="frame")
    for frame in answers:
        write.request(f"{frame.meaning['type']} in a request", "2.2", frame, drop="frame", pad=100 if write.carrier == "udp" else None)
    for frame in strangers:
        kind = "answer" if frame.meaning["type"] in ("PROBE_ACK", "CHALLENGE", "TELEMETRY") or frame.fields[0][0] >= 0x31 else "request"
        where = {"udp": "UDP", "tcp": "TCP"}[write.carrier]
        write.add(f"{frame.meaning['type']} over {where}", "2.2", write.message(kind, [frame]), drop="frame")
    for number in (0x05, 0x10, 0x18, 0x20, 0x29, 0x30, 0x37, 0x7F, 0xFF):
        frame = Frame("unknown", [u8(number), bytes(39)])
        write.request(f"frame type {number:#04x} in a request", "2.2", get(1, KEY), frame, drop="frame")
        write.answer(f"frame type {number:#04x} in an answer", "2.2", miss(1), frame, drop="frame")


CONTROL_REQUESTS = [hello(1, 1, 1, b""), set_value(1, 0, KEY, b"v"), delete(1, KEY), flush(1, "values"), stats(1),
                    receipts(1, 0, 0), ping(1, bytes(8)), drain(1)]
CONTROL_ANSWERS = [welcome(1, False, False, False, 1, 1 << 20, COOKIE, [PORT]), done(1, 0), error(1, 8, "no"), text(1, "{}"),
                   receipt_list(1, 0, 0, [RECEIPT]), pong(1, False, bytes(8))]
UDP_ANSWERS = [probe(1, True, False, 1200, answer=True), challenge(COOKIE), TELEMETRY]


def udp_vectors():
    write = Writer("udp")
    request, answer = write.request, write.answer
    head_vectors(write, "request", get(1, LONG_KEY), least=48)
    head_vectors(write, "answer", miss(1), least=16)
    read_vectors(write)
    request("datagram_max 1199", "2.1", get(1, KEY), datagram_max=1199, drop="frame")
    request("datagram_max 0", "2.1", get(1, KEY), datagram_max=0, drop="frame")
    request("48 B without padding", "1", get(1, b"k" * 16))
    request("padding alone", "2.3", pad=24, drop="frame")
    request("padding of a whole base datagram", "2.3", get(1, KEY), pad=1200 - 24 - 21)
    request("padding that is not zero behind its first byte", "2.3", get(1, KEY), pad=20, changes={46: 1, 64: 0xFF}, canonical=False)
    request("what looks like a GET behind padding", "2.3", get(1, KEY), pad=30, changes={46: 1, 47: 1, 54: 0x6B}, canonical=False)
    request("a probe up", "6.1", probe(7, True, False, 1472), pad=1472 - 32)
    request("a heartbeat: a probe up of 48 B", "11.2", probe(7, True, False, 48))
    request("a probe down", "6.1", probe(0, False, True, 0xFFFF))
    request("a probe both ways, with a cookie", "6.1", cookie(COOKIE), probe(MOST, True, True, 1400), pad=1400 - 52)
    request("a probe, largest", "6.1", probe(1, True, False, 65507), pad=65507 - 32)
    request("a probe of no direction", "6.1", probe(1, False, False, 1200), drop="frame")
    request("a probe of unknown directions only", "6.1", probe(1, False, False, 1200), changes={25: 0xFC}, drop="frame")
    request("two probes", "2.2", probe(1, True, False, 1200), probe(2, True, False, 1200), drop="frame")
    request("a probe and a GET", "2.2", probe(1, True, False, 1200), get(1, KEY), drop="frame")
    request("a GET and a probe", "2.2", get(1, KEY), probe(1, True, False, 1200), drop="frame")
    write.truncations("PROBE", "6.1", "request", probe(1, True, False, 1200), before=[cookie(COOKIE), cookie(COOKIE)])

    answer("no frame but padding", "2.3", pad=20, drop="frame")
    answer("MISS and padding", "2.3", miss(1), pad=1200 - 24)
    answer("VALUE, largest datagram", "3.2", value(7, sealed(KEY, numbered(65507 - 32))))
    answer("CHUNK, largest datagram", "3.3", chunk(7, VERSION, 200_000, 0, bytes(65507 - 40)))
    answer("larger than any datagram", "2.1", miss(1), pad=65508 - 24, drop="oversized")
    answer("VALUE longer than the datagram", "3.2", value(1, bytes(8)), changes={19: 9}, drop="frame")
    answer("TELEMETRY, VALUE", "5", TELEMETRY, value(1, sealed(KEY, b"v")))
    answer("TELEMETRY at its most, COOKIE, CHUNK", "5", telemetry(255, 0xFFFF, *[MOST] * 5), cookie(COOKIE), chunk(1, VERSION, 80, 40, numbered(40)))
    answer("TELEMETRY alone", "5", TELEMETRY)
    answer("PROBE_ACK of a way up", "6.1", probe(7, True, False, 1472, answer=True))
    answer("PROBE_ACK of a way down", "6.1", probe(7, False, True, 48, answer=True), pad=1472 - 24)
    answer("PROBE_ACK of both", "6.1", TELEMETRY, probe(MOST, True, True, 0xFFFF, answer=True))
    answer("PROBE_ACK of no direction", "6.1", probe(7, False, False, 48, answer=True), drop="frame")
    answer("CHALLENGE", "7", challenge(COOKIE))
    answer("CHALLENGE with reserved bytes set", "7", challenge(COOKIE), changes={17: 1, 18: 2, 19: 3}, canonical=False)
    answer("TELEMETRY, CHALLENGE", "7", TELEMETRY, challenge(COOKIE))
    for name, section, frame in [("PROBE_ACK", "6.1", UDP_ANSWERS[0]), ("CHALLENGE", "7", UDP_ANSWERS[1]), ("TELEMETRY", "5", TELEMETRY)]:
        write.truncations(name, section, "answer", frame)
    reads = [value(1, sealed(KEY, b"v")), chunk(1, VERSION, 80, 0, numbered(40)), miss(1), refused(1, "too_big")]
    misplaced(write, [get(1, KEY), rerequest(1, VERSION, [(0, 1)], KEY), probe(1, True, False, 1200)], reads + UDP_ANSWERS,
              CONTROL_REQUESTS + CONTROL_ANSWERS)
    for port in (0, 7400):
        more = {"source_port": port, "server_ports": [7400, 7402]}
        write.add(f"from source port {port}", "2.1", Message("request", [get(1, KEY)]), drop="source", **more)
    return write.vectors


def tcp_vectors():
    write = Writer("tcp")
    request, answer = write.request, write.answer
    head_vectors(write, "request", get(1, LONG_KEY), least=24)
    head_vectors(write, "answer", miss(1), least=16)
    read_vectors(write)
    request("datagram_max is not looked at", "8", get(1, KEY), datagram_max=0, credit=0)
    request("HELLO without a token", "8.1", hello(1, 1, 1, b""))
    request("HELLO with the longest token", "8.1", hello(MOST, 0, 255, b"t" * 255))
    request("SET, smallest", "8.2", set_value(1, 0, b"k", b""))
    request("SET with an hour to live", "8.2", set_value(2, 3600, KEY, numbered(100)))
    request("SET of the longest key and an eighth of a MiB", "8.2", set_value(MOST, MOST, LONG_KEY, bytes(1 << 17)))
    request("SET with an empty key, which ERROR 5 answers", "8.2", set_value(1, 0, b"", b"v"))
    request("SET with a key of 255 B, which ERROR 5 answers", "8.2", set_value(1, 0, b"k" * 255, b"v"))
    request("SET with a wrong checksum, which ERROR 7 answers", "8.2", wrong_set())
    request("DELETE", "8.2", delete(7, KEY))
    request("DELETE with an empty key", "8.2", delete(7, b""))
    request("DELETE with a key of 255 B", "8.2", delete(7, b"k" * 255))
    request("FLUSH of values", "8.2", flush(7, "values"))
    request("FLUSH of path MTUs", "8.2", flush(7, "path_mtus"))
    request("FLUSH of what nobody knows", "8.2", flush(7, "values"), changes={25: 2}, drop="frame")
    request("STATS", "8.2", stats(MOST))
    request("RECEIPTS", "8.2", receipts(7, 255, 2**64 - 1))
    request("PING", "8.2", ping(7, bytes(range(8))))
    request("DRAIN", "8.2", drain(7))
    for frame, at in [(set_value(1, 0, KEY, b"v"), (26, 27)), (delete(1, KEY), (26, 27)), (flush(1, "values"), (26, 27)),
                      (stats(1), (25, 26, 27)), (receipts(1, 0, 9), (26, 27)), (ping(1, bytes(8)), (25, 26, 27)), (drain(1), (25, 26, 27))]:
        request(f"{frame.meaning['type']} with reserved bytes set", "8.2", frame, changes={i: 0xFF for i in at}, canonical=False)
    for frame in CONTROL_REQUESTS:
        kind = frame.meaning["type"]
        request(f"COOKIE, {kind}", "2.2", cookie(COOKIE), frame)
        request(f"{kind} and a GET", "2.2", frame, get(1, KEY), drop="frame")
        request(f"{kind} twice", "2.2", frame, frame, drop="frame")
        longer = {"HELLO": hello(1, 1, 1, b"token"), "SET": set_value(1, 0, KEY, b"value")}.get(kind, frame)
        write.truncations(kind, "8", "request", longer)
    request("padding in a request over TCP", "2.2", get(1, KEY), Frame("PAD", [bytes(4)]), drop="frame")
    answer("padding in an answer over TCP", "2.2", miss(1), Frame("PAD", [b"\0"]), drop="frame")

    answer("WELCOME without ports", "8.1", welcome(1, False, False, False, 0, 0, bytes(16), []))
    answer("WELCOME with a port of each strategy", "8.1",
           welcome(7, True, True, True, MOST, MOST, COOKIE, [(7400 + i, name, i, 1200 + i) for i, name in enumerate(STRATEGIES)]))
    for name, flags in [("receipts kept", (True, False, False)), ("draining", (False, True, False)), ("updates allowed", (False, False, True))]:
        answer(f"WELCOME, {name}", "8.1", welcome(1, *flags, 0x3C0FFEE1, 1 << 20, COOKIE, [PORT]))
    answer("WELCOME with 64 ports", "8.1", welcome(1, False, False, True, 1, 16 << 20, COOKIE, [(7400 + i, "chunked", 255, 0xFFFF) for i in range(64)]))
    answer("WELCOME with 65 ports", "8.1", welcome(1, False, False, True, 1, 16 << 20, COOKIE, [PORT] * 65), drop="frame")
    answer("WELCOME with strategy 6", "8.1", welcome(1, False, False, True, 1, 1 << 20, COOKIE, [PORT]), changes={50: 6}, drop="frame")
    answer("WELCOME with reserved fields set", "8.1", welcome(1, False, False, True, 1, 1 << 20, COOKIE, [PORT]),
           changes={19: 0xFF, 54: 0xFF, 55: 0xFF}, canonical=False)
    answer("DONE", "8.2", done(7, 0))
    answer("DONE with a version", "8.2", done(MOST, VERSION))
    for code in range(1, 12):
        answer(f"ERROR {code}", "8.2", error(7, code, "what to do"))
    answer("ERROR 0", "8.2", error(7, 0, "no"), drop="frame")
    answer("ERROR 12", "8.2", error(7, 12, "no"), drop="frame")
    answer("ERROR 1 that answers what could not be read", "2.1", error(0, 1, "version 2 is not spoken here"))
    answer("ERROR without words", "8.2", error(7, 8, ""))
    answer("ERROR with the most words", "8.2", error(7, 8, "x" * 65535))
    answer("ERROR in words beyond ASCII", "8.2", error(7, 8, "Schlüssel – 鍵"))
    answer("ERROR in no UTF-8", "8.2", error(7, 8, "words"), changes={24: 0xFF}, drop="frame")
    answer("TEXT", "8.2", text(7, '{"reads": 1}'))
    answer("TEXT of nothing", "8.2", text(7, ""))
    answer("TEXT longer than 16 bits count", "8.2", text(7, " " * 70_000))
    answer("TEXT in no UTF-8", "8.2", text(7, "words"), changes={28: 0xC0}, drop="frame")
    answer("RECEIPT_LIST of none", "8.2", receipt_list(7, 0, 0, []))
    answer("RECEIPT_LIST of every outcome", "8.2", receipt_list(7, 3, 2**64 - 1, [
        (MOST, MOST, 255, outcome, 0xFFFF, MOST, 2**64 - 1, MOST, 0xFFFF, 0xFFFF) for outcome in OUTCOMES]))
    answer("RECEIPT_LIST of 1024", "8.2", receipt_list(7, 0, 5, [(0,) * 3 + ("answered",) + (0,) * 6] * 1024))
    answer("RECEIPT_LIST of 1025", "8.2", receipt_list(7, 0, 5, [(0,) * 3 + ("answered",) + (0,) * 6] * 1025), drop="frame")
    for outcome in (0, 4):
        answer(f"RECEIPT_LIST with outcome {outcome}", "8.2", receipt_list(7, 0, 5, [RECEIPT]), changes={41: outcome}, drop="frame")
    answer("PONG", "8.2", pong(7, False, bytes(range(8))))
    answer("PONG, draining", "8.2", pong(7, True, b"\xff" * 8))
    for frame, at in [(done(1, 0), (17, 18, 19)), (text(1, "{}"), (17, 18, 19)), (pong(1, False, bytes(8)), (18, 19))]:
        answer(f"{frame.meaning['type']} with reserved bytes set", "8.2", frame, changes={i: 0xFF for i in at}, canonical=False)
    for frame in CONTROL_ANSWERS:
        write.truncations(frame.meaning["type"], "8", "answer", frame)
    misplaced(write, [get(1, KEY), rerequest(1, VERSION, [(0, 1)], KEY), *CONTROL_REQUESTS], CONTROL_ANSWERS,
              [probe(1, True, False, 1200), *UDP_ANSWERS])
    for name, length, prefix in [("a length of 17 MiB and no more yet", 17 << 20, "incomplete"),
                                 ("a length above 17 MiB", (17 << 20) + 1, "too_long"), ("HTTP", int.from_bytes(b"GET "), "too_long")]:
        write.vectors.append({"name": name, "section": "2", "carrier": "tcp", "kind": "request", "hex": hexed(u32(length)), "stream": prefix})
    whole = u32(56) + Message("request", [get(1, b"k" * 24)], least=False).bytes()
    for length in (0, 3, 4, 59):
        write.vectors.append({"name": f"the first {length} B of a message of 56", "section": "2", "carrier": "tcp", "kind": "request",
                              "hex": hexed(whole[:4], whole[4:length]) if length > 4 else hexed(whole[:length]), "stream": "incomplete"})
    return write.vectors


def wrong_set():
    frame = set_value(1, 0, KEY, b"v")
    frame.fields[6] = bytes(4)
    frame.meaning["checksum"] = "00000000"
    return frame
