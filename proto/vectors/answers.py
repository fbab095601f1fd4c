"""What a server answers: a request, what it knows, and the exact datagrams. PROTOCOL.md, sections 3 to 8."""

from messages import COOKIE, TELEMETRY, VERSION
from parts import *

FRESH = bytes.fromhex("010000006553960000112233445566ff")
ECHO = {"attempt": 1, "flow": 0xF10, "sequence": 77}
NOTHING = dict(proof="valid", cookie=None, draining=False, telemetry=None)
SERVED = {"chunked", "compressed", "df-strict"}


def item(key, length, version=VERSION):
    return {"key": hexed(key), "version": hexed(u64(version)), "sealed": hexed(sealed(key, numbered(length)))}


def stored(length, key=b"a"): return sealed(key, numbered(length))


class Answers:
    def __init__(self): self.vectors = []

    def add(self, name, section, request, answers, store=(), strategy="chunked", largest=8973, carrier="udp", **facts):
        """`answers` are lists of frames, one a datagram, with (frames, pad) where one is padded."""
        known = {**NOTHING, **facts}
        datagrams = []
        for frames in answers:
            frames, pad = frames if isinstance(frames, tuple) else (frames, 0)
            datagrams.append(Message("answer", frames, pad=pad, flag=known["draining"], **ECHO))
        framed = lambda message: ([u32(len(message.bytes()))] if carrier == "tcp" else []) + message.all()
        self.vectors.append({
            "name": name, "section": section, "carrier": carrier,
            "port": {"strategy": strategy, "largest": largest},
            "proof": known["proof"], "new_cookie": hexed(FRESH) if known["proof"] != "valid" else None,
            "draining": known["draining"],
            "telemetry": known["telemetry"].meaning if known["telemetry"] else None,
            "store": list(store), "request": hexed(*framed(request)),
            "answers": [hexed(*framed(datagram)) for datagram in datagrams]})


def ask(*frames, **more): return Message("request", frames, **{**ECHO, **more})


def cut(id, data, room, version=VERSION, before=(), ranges=None, level=True):
    """The datagrams of a value cut into balanced chunks, or of ranges of it. Over UDP the last chunk of a whole value is levelled."""
    places = [place for offset, length in ranges or [(0, len(data))] for place in balanced(offset, length, room)]
    out = [[*before, chunk(id, version, len(data), at, data[at:at + length])] for at, length in places]
    short_by = places[0][1] - places[-1][1]
    if level and ranges is None and 1 <= short_by <= 16:
        out[-1] = (out[-1], short_by)
    return out


def answer_vectors():
    out = Answers()
    chunking(out)
    packing(out)
    rerequests(out)
    proofs(out)
    probes(out)
    strategies(out)
    over_tcp(out)
    return out.vectors


def chunking(out):
    room = 1472 - 16
    fits = stored(room - 16)
    out.add("a small value", "3.2", ask(get(7, b"a")), [[value(7, stored(100))]], [item(b"a", 100)])
    out.add("a value of nothing", "3.2", ask(get(7, b"a")), [[value(7, stored(0))]], [item(b"a", 0)])
    out.add("the largest value that fits one datagram", "3.2", ask(get(7, b"a")), [[value(7, fits)]], [item(b"a", room - 16)])
    out.add("one byte more: two balanced chunks", "3.3", ask(get(7, b"a")), cut(7, stored(room - 15), room - 24), [item(b"a", room - 15)])
    out.add("ten thousand bytes in the base size", "3.3", ask(get(7, b"a"), datagram_max=1200), cut(7, stored(10_000), 1160), [item(b"a", 10_000)])
    out.add("the port's limit, not what was announced", "4.1", ask(get(7, b"a"), datagram_max=0xFFFF), cut(7, stored(20_000), 8973 - 40), [item(b"a", 20_000)])
    telemetry = dict(telemetry=TELEMETRY)
    out.add("telemetry in every chunk", "5", ask(get(7, b"a"), flag=True), cut(7, stored(5000), room - 48, before=[TELEMETRY]), [item(b"a", 5000)], **telemetry)
    out.add("no telemetry where none was asked for", "5", ask(get(7, b"a")), [[value(7, stored(9))]], [item(b"a", 9)], **telemetry)
    out.add("draining", "11.1", ask(get(7, b"a")), [[value(7, stored(9))]], [item(b"a", 9)], draining=True)
    data = stored(10_000)
    every = cut(7, data, room - 24, level=False)
    whole = sum(16 + len(frame.bytes()) for (frame,) in every)
    for name, credit, count in [("no credit: one datagram", 0, 1), ("credit for one chunk less a byte", 1469, 1), ("credit for two chunks", 2 * 1470, 2),
                                ("credit for two chunks and a byte", 2 * 1470 + 1, 2), ("credit for all but a byte", whole - 1, 6), ("credit for all", whole, 7)]:
        assert len(every) == 7 and 16 + len(every[0][0].bytes()) == 1470
        out.add(name, "4.2", ask(get(7, b"a"), credit=credit), every[:count], [item(b"a", 10_000)])
    levelled = cut(7, data, room - 24)
    assert levelled[6][1] == 2
    for name, credit, datagrams in [("credit for all and a byte of the two that level them", whole + 1, every), ("credit for all, levelled", whole + 2, levelled)]:
        out.add(name, "3.3", ask(get(7, b"a"), credit=credit), datagrams, [item(b"a", 10_000)])
    out.add("a last chunk too short to be levelled", "3.3", ask(get(7, b"a"), datagram_max=1200), cut(7, stored(20 * 1160 - 17 - 8), 1160), [item(b"a", 20 * 1160 - 17 - 8)])
    huge = cut(7, stored(300_000), room - 24)
    per_datagram = 16 + len(huge[0][0].bytes())
    out.add("credit is capped at 256 KiB", "4.2", ask(get(7, b"a"), credit=0xFFFFFFFF), huge[:(256 << 10) // per_datagram], [item(b"a", 300_000)])


def packing(out):
    store = [item(b"a", 100), item(b"b", 200), item(b"big", 3000)]
    a, b, big = stored(100), stored(200, b"b"), stored(3000, b"big")
    out.add("a MISS", "3.4", ask(get(7, b"nothing")), [[miss(7)]])
    out.add("a value that does not decode", "3.4", ask(get(7, b"u")), [[refused(7, "unreadable")]], [{"key": hexed(b"u"), "unreadable": True}])
    out.add("four gets packed", "4.2", ask(get(1, b"a"), get(2, b"-"), get(3, b"b"), get(4, b"a")),
            [[value(1, a), miss(2), value(3, b), value(4, a)]], store)
    many = [get(id, b"b") for id in range(9)]
    out.add("nine gets fill two datagrams", "4.2", ask(*many), [[value(id, b) for id in range(6)], [value(id, b) for id in range(6, 9)]], store)
    out.add("packed answers first, then chunks", "4.2", ask(get(1, b"big"), get(2, b"a")), [[value(2, a)], *cut(1, big, 1432)], store)
    out.add("the first chunk of each before the second of any", "4.2", ask(get(1, b"big"), get(2, b"big"), credit=3 * 1300),
            [*cut(1, big, 1432)[:2], *cut(2, big, 1432)[:1]], store)
    out.add("credit for the first read alone", "4.2", ask(get(1, b"a"), get(2, b"big"), credit=0), [[value(1, a)]], store)


def rerequests(out):
    data, store = stored(10_000), [item(b"a", 10_000)]
    again = lambda ranges, version=VERSION, key=b"a", **more: ask(rerequest(7, version, ranges, key), **more)
    out.add("a range", "3.5", again([(1430, 1430)]), cut(7, data, 1432, ranges=[(1430, 1430)]), store)
    out.add("a range short enough for a VALUE is a CHUNK", "3.5", again([(5, 1)]), cut(7, data, 1432, ranges=[(5, 1)]), store)
    out.add("ranges balanced each by itself, the last cut at the end", "3.5", again([(0, 10), (1000, 3000), (9000, 5000)]),
            cut(7, data, 1432, ranges=[(0, 10), (1000, 3000), (9000, 1008)]), store)
    out.add("a range of which nothing is left beside one that is", "3.5", again([(10_000, 8), (10_008, 9)]), cut(7, data, 1432, ranges=[(10_000, 8)]), store)
    out.add("nothing is left of any range", "3.5", again([(10_008, 1)]), [[refused(7, "version_gone")]], store)
    out.add("another version", "3.5", again([(0, 10)], version=VERSION - 1), [[refused(7, "version_gone")]], store)
    out.add("a version to come", "3.5", again([(0, 10)], version=VERSION + 1), [[refused(7, "version_gone")]], store)
    out.add("ranges of what is gone", "3.5", again([(0, 10)], key=b"-"), [[miss(7)]], store)
    out.add("ranges as far as the credit goes", "4.2", again([(0, 3000), (5000, 3000)], credit=2 * 1040), cut(7, data, 1432, ranges=[(0, 2000)]), store)
    out.add("a re-request in the base size", "4.1", again([(0, 4000)], datagram_max=1200), cut(7, data, 1160, ranges=[(0, 4000)]), store)


def proofs(out):
    store, fresh = [item(b"a", 100), item(b"big", 3000)], cookie(FRESH)
    old = lambda frames, **more: ask(cookie(COOKIE), *frames, **more)
    out.add("a stale cookie is renewed in every datagram", "7", old([get(7, b"big")]), cut(7, stored(3000, b"big"), 1432 - 20, before=[fresh]), store, proof="stale")
    out.add("telemetry, then the new cookie", "7", old([get(7, b"a")], flag=True), [[TELEMETRY, fresh, value(7, stored(100))]], store, proof="stale", telemetry=TELEMETRY)
    unproven = dict(proof="missing")
    challenged = [[challenge(FRESH)]]
    out.add("a challenge", "7", ask(get(7, b"a")), challenged, store, **unproven)
    out.add("a challenge for chunks", "7", ask(get(7, b"big"), pad=1400), challenged, store, **unproven)
    out.add("a challenge for ranges", "7", ask(rerequest(7, VERSION, [(0, 100)], b"big")), challenged, store, **unproven)
    out.add("an answer just as long as its request", "7", ask(get(7, b"a"), pad=132 - 33), [[value(7, stored(100))]], store, **unproven)
    out.add("an answer a byte longer than its request", "7", ask(get(7, b"a"), pad=131 - 33), challenged, store, **unproven)
    out.add("a miss is short enough for anybody", "7", ask(get(7, b"-")), [[miss(7)]], store, **unproven)
    out.add("no room for telemetry in a challenge", "7", ask(get(7, b"a"), flag=True), challenged, store, telemetry=TELEMETRY, **unproven)
    out.add("a byte short of telemetry in a challenge", "7", ask(get(7, b"a"), flag=True, pad=59 - 33), challenged, store, telemetry=TELEMETRY, **unproven)
    out.add("telemetry in a challenge", "7", ask(get(7, b"a"), flag=True, pad=60 - 33), [[TELEMETRY, challenge(FRESH)]], store, telemetry=TELEMETRY, **unproven)
    out.add("a draining challenge", "7", ask(get(7, b"a")), challenged, store, draining=True, **unproven)


def probes(out):
    up = lambda size, **more: ask(probe(7, True, False, size), pad=max(size - 32, 0), **more)
    down = lambda size, *before, **more: ask(*before, probe(7, False, True, size), **more)
    ack = lambda arrived, up, down: probe(7, up, down, arrived, answer=True)
    out.add("a probe up", "6.1", up(8973), [[ack(8973, True, False)]])
    out.add("a probe up that says another size than it has", "6.1", ask(probe(7, True, False, 9000), pad=1400 - 32), [[ack(1400, True, False)]])
    out.add("a heartbeat", "11.2", up(48), [[ack(48, True, False)]])
    out.add("a heartbeat of nobody known", "11.2", up(48), [[ack(48, True, False)]], proof="missing")
    out.add("a probe down", "6.1", down(8973), [([ack(48, False, True)], 8973 - 24)])
    out.add("a probe down of less than its acknowledgement has", "6.1", down(0), [[ack(48, False, True)]])
    out.add("a probe down, neither datagram_max nor credit limits it", "6.1", down(4000, credit=0, datagram_max=1200), [([ack(48, False, True)], 4000 - 24)])
    out.add("a probe both ways", "6.1", ask(probe(7, True, True, 1400), pad=1400 - 32), [([ack(1400, True, True)], 1400 - 24)])
    out.add("telemetry counts into the size probed down", "6.1", down(1400, flag=True), [([TELEMETRY, ack(48, False, True)], 1400 - 48)], telemetry=TELEMETRY)
    out.add("a probe down above the port's limit", "6.1", down(8974), [[refused(7, "too_big", 8973)]])
    out.add("a probe down of nobody known", "7", down(1200), [[challenge(FRESH)]], proof="missing")
    out.add("a probe down no longer than its request, of nobody known", "7", ask(probe(7, False, True, 1200), pad=1200 - 32),
            [([ack(1200, False, True)], 1200 - 24)], proof="missing")


def strategies(out):
    for strategy in STRATEGIES:
        frames = [[probe(7, True, False, 48, answer=True)]] if strategy in SERVED else [[refused(7, "not_served")]]
        out.add(f"a probe on a port with {strategy}", "6.1", ask(probe(7, True, False, 48)), frames, strategy=strategy)
    for strategy in ("kernel-pmtud", "df-off"):
        out.add(f"{strategy}: one datagram of 65507 B", "4.1", ask(get(7, b"a"), credit=0), [[value(7, stored(65475))]], [item(b"a", 65475)], strategy=strategy)
        out.add(f"{strategy}: a byte too many", "4.1", ask(get(7, b"a")), [[refused(7, "too_big", 65507)]], [item(b"a", 65476)], strategy=strategy)
    out.add("df-strict: one datagram of the port's limit", "4.1", ask(get(7, b"a"), datagram_max=1200), [[value(7, stored(8941))]], [item(b"a", 8941)], strategy="df-strict")
    out.add("df-strict: a byte too many", "4.1", ask(get(7, b"a")), [[refused(7, "too_big", 8973)]], [item(b"a", 8942)], strategy="df-strict")


def over_tcp(out):
    asked = lambda *frames, **more: Message("request", frames, least=False, **{**ECHO, **more})
    store = [item(b"a", 100), item(b"big", 70_000)]
    out.add("TCP: a value and a miss", "8", asked(get(1, b"a"), get(2, b"-")), [[value(1, stored(100)), miss(2)]], store, carrier="tcp")
    out.add("TCP: chunks without credit, telemetry or datagram_max", "8", asked(get(1, b"big"), credit=0, datagram_max=0, flag=True),
            cut(1, stored(70_000, b"big"), 65507 - 40, level=False), store, carrier="tcp")
    out.add("TCP: ranges", "8", asked(rerequest(1, VERSION, [(10, 20)], b"big")), cut(1, stored(70_000, b"big"), 65507 - 40, ranges=[(10, 20)]), store, carrier="tcp")
