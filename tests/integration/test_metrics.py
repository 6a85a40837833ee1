"""Metrics are well formed, true, and of a closed set of labels; logs are JSON and tell no secret."""

import json
import random
import re
import string

import pytest
import yaml

from harness import STORE, Conn, Closed, Num, build, fails, fresh, fresh_key, ok

SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)(?: \d+)?\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|\Z)')
VALUE = re.compile(r"[+-]?(\d+(\.\d*)?([eE][+-]?\d+)?|Inf)|NaN")


def scrape(c):
    """Parse the text format 0.0.4 strictly. Returns (types, samples): samples[(name, labels)] = text of the value."""
    text = ok(c.get("/metrics")).body.decode("utf-8")
    assert text.endswith("\n") and "\r" not in text
    types, helps, samples, order = {}, {}, {}, []
    for line in text.split("\n")[:-1]:
        assert line == line.strip() and line, repr(line)
        if line.startswith("#"):
            _, kind, name, rest = line.split(" ", 3)
            assert kind in ("HELP", "TYPE"), line
            table = helps if kind == "HELP" else types
            assert name not in table, f"second {kind} of {name}"
            table[name] = rest
            continue
        m = SAMPLE.match(line)
        assert m, line
        labels = m.group("labels") or ""
        pairs = LABEL.findall(labels)
        assert ",".join(f'{k}="{v}"' for k, v in pairs) == labels.rstrip(","), line
        assert len({k for k, _ in pairs}) == len(pairs), line
        assert VALUE.fullmatch(m.group("value")), line
        key = (m.group("name"), tuple(sorted(pairs)))
        assert key not in samples, f"twice: {line}"
        samples[key] = m.group("value")
        family = base(m.group("name"), types)
        assert family in types and family in helps, f"no TYPE or HELP before {line}"
        if not order or order[-1] != family:
            assert family not in order, f"{family} is scattered"
            order.append(family)
    assert set(types.values()) <= {"counter", "gauge", "histogram"}
    return types, samples


def base(name, types):
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and types.get(name[: -len(suffix)]) == "histogram":
            return name[: -len(suffix)]
    return name


def whole(text):
    """A count as an integer, from its text."""
    m = re.fullmatch(r"(\d+)(\.0*)?", text)
    assert m, text
    return int(m.group(1))


def operations(c):
    """{(operation, result): count} of wallet_operations_total."""
    _, samples = scrape(c)
    out = {}
    for (name, labels), value in samples.items():
        if name == "wallet_operations_total":
            d = dict(labels)
            assert set(d) == {"operation", "result"}, labels
            out[(d["operation"], d["result"])] = whole(value)
    return out


def test_format(c):
    ok(c.credit(fresh(), "1"))
    types, samples = scrape(c)
    names = {n for n, _ in samples}
    for name, kind in types.items():
        if kind == "counter":
            assert name.endswith("_total"), name
            assert all(VALUE.fullmatch(v) and not v.startswith("-") for (n, _), v in samples.items() if n == name)
    gauges, histograms = {
        "embedded": (("wallet_accounts", "wallet_idempotency_records"), ("wallet_commit_duration_seconds", "wallet_batch_size")),
        "redis": (("wallet_redis_pool_connections", "wallet_redis_in_flight", "wallet_redis_used_memory_bytes"),
                  ("wallet_redis_command_duration_seconds",)),
    }[STORE]
    for wanted in ("http_requests_total", "wallet_operations_total", "http_requests_in_flight", "wallet_inbox_depth", *gauges,
                   "wallet_store_up", "wallet_build_info", "process_cpu_seconds_total",
                   "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"):
        assert wanted in names, wanted
    for wanted in ("http_request_duration_seconds", *histograms):
        assert types.get(wanted) == "histogram", wanted
    assert [v for (n, _), v in samples.items() if n == "wallet_store_up"] == ["1"]
    assert [v for (n, _), v in samples.items() if n == "wallet_build_info"] == ["1"]


def test_histograms(c):
    for _ in range(30):
        ok(c.credit(fresh(), "1"))
    types, samples = scrape(c)
    seen = 0
    for family in (n for n, t in types.items() if t == "histogram"):
        series = {}
        for (name, labels), value in samples.items():
            if name == family + "_bucket":
                rest = tuple(x for x in labels if x[0] != "le")
                series.setdefault(rest, []).append((dict(labels)["le"], whole(value)))
        for rest, buckets in series.items():
            seen += 1
            assert buckets[-1][0] == "+Inf", (family, rest)
            edges = [edge_key(le) for le, _ in buckets[:-1]]
            assert edges == sorted(set(edges)), (family, edges)
            counts = [n for _, n in buckets]
            assert counts == sorted(counts), (family, rest, counts)
            assert counts[-1] == whole(samples[(family + "_count", rest)]), (family, rest)
            assert (family + "_sum", rest) in samples
    assert seen >= 3
    edges = [dict(labels)["le"] for (name, labels), _ in samples.items() if name == "http_request_duration_seconds_bucket"]
    assert {edge_key(e) for e in edges if e != "+Inf"} >= {edge_key(e) for e in ("0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "10")}


def edge_key(text):
    from fractions import Fraction

    return Fraction(text)


def test_counters_never_fall(c):
    types, before = scrape(c)
    for _ in range(20):
        a = fresh()
        ok(c.credit(a, "1"))
        fails(c.debit(a, "2"), 422)
        c.get("/nope")
    _, after = scrape(c)
    rising = 0
    for (name, labels), value in before.items():
        family = base(name, types)
        if types[family] == "counter" or (types[family] == "histogram" and not name.endswith("_sum")):
            assert (name, labels) in after, (name, labels)
            assert edge_key(after[(name, labels)]) >= edge_key(value), (name, labels)
            rising += edge_key(after[(name, labels)]) > edge_key(value)
    assert rising >= 5


def test_operations_are_what_was_sent(server):
    s = server()
    c = s.client()
    assert sum(operations(c).values()) == 0
    ok(c.credit("b", "1000"))
    sent = 1
    want = {}
    for i in range(12):
        key = fresh_key()
        calls = [
            ("credit", "ok", c.credit("a", "5", key=key)), ("credit", "replayed", c.credit("a", "5", key=key)),
            ("credit", "IDEMPOTENCY_KEY_REUSED", c.credit("a", "6", key=key)), ("debit", "ok", c.debit("a", "1")),
            ("debit", "INSUFFICIENT_BALANCE", c.debit("a", "100000")), ("debit", "ACCOUNT_NOT_FOUND", c.debit(fresh(), "1")),
            ("transfer", "ok", c.transfer("b", "a", "1")), ("transfer", "SAME_ACCOUNT", c.transfer("a", "a", "1")),
            ("credit", "CURRENCY_MISMATCH", c.credit("a", "1", currency="JPY")), ("credit", "INVALID_AMOUNT", c.credit("a", "0.001")),
            ("debit", "PRECONDITION_FAILED", c.debit("a", "1", headers=[("If-Match", '"999999"')])),
        ]
        for operation, result, r in calls:
            assert (r.code or ("replayed" if r.replayed else "ok")) == result, r
            want[(operation, result)] = want.get((operation, result), 0) + 1
            sent += 1
    want[("credit", "ok")] += 1
    got = operations(c)
    for key, n in want.items():
        assert got.get(key) == n, (key, n, got)
    assert sum(got.values()) == sent
    _, samples = scrape(c)
    records = [whole(v) for (n, _), v in samples.items() if n == "wallet_idempotency_records"]
    assert records == ([12] if STORE == "embedded" else [])
    c.close()


def test_http_requests_are_what_was_sent(server):
    s = server()
    c = s.client()

    def count():
        _, samples = scrape(c)
        out = {}
        for (name, labels), value in samples.items():
            if name == "http_requests_total":
                d = dict(labels)
                assert set(d) == {"method", "route", "code"}, labels
                out[(d["method"], d["route"], d["code"])] = whole(value)
        return out

    before = count()
    for i in range(7):
        ok(c.credit("a", "1"))
        ok(c.balance("a"))
        c.get(f"/nope/{i}")
        c.get(f"/api/v1/wallet/{fresh()}/balance")
    after = count()
    grown = {k: n - before.get(k, 0) for k, n in after.items() if n != before.get(k, 0)}
    assert grown.pop(("GET", "/metrics", "200")) == 1
    assert sum(grown.values()) == 28, grown
    assert sorted(grown.values()) == [7, 7, 7, 7]
    assert [k for k in grown if k[2] == "404" and k[1] == "other"], grown
    assert [k for k in grown if k[0] == "POST" and "{account_id}" in k[1] and k[2] == "200"], grown
    c.close()


def corpus(rng, count):
    """Random methods, paths, ids, queries, agents and bodies."""
    letters = string.ascii_letters + string.digits + "-._~%!$&'()*+,;=:@"

    def word(n=12):
        return "".join(rng.choice(letters) for _ in range(rng.randint(1, n)))

    for _ in range(count):
        method = rng.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "SEARCH", "LOCK", "PURGE"])
        path = rng.choice([
            f"/{word()}", f"/{word()}/{word()}", f"/api/v1/wallet/{word()}", f"/api/v1/wallet/{word()}/balance",
            f"/api/v1/wallet/{word()}/{word()}", f"/api/v1/transactions/{word()}", f"/api/v1/wallet/{word()}/credit",
            f"/api/v1/wallet/{word()}/transactions?{word()}={word()}", f"/livez?{word()}", f"/metrics/{word()}", "/api/v1/transfers",
        ])
        body = None
        if method in ("POST", "PUT", "PATCH"):
            body = rng.choice([b"{}", b"{", b'{"amount":"%s"}' % word().encode(), b'{"%s":1}' % word().encode(), word().encode()])
        headers = [("User-Agent", word(40)), ("X-" + "".join(rng.choice(string.ascii_letters) for _ in range(6)), word()),
                   ("X-Request-Id", word(30)), ("Idempotency-Key", word()), ("Accept-Language", word())]
        yield method, path, body, headers


def series(c):
    _, samples = scrape(c)
    return set(samples)


def test_outsiders_make_no_series(server):
    """Thousands of random paths, ids, methods and agents: after the first round not one new series."""
    s = server()
    c = s.client()
    rng = random.Random(20240)

    def flood(count):
        for method, path, body, headers in corpus(rng, count):
            try:
                c.exchange(method, path, build(method, path, body, headers))
            except Closed:
                c.close()

    def values():
        return {(label, value) for _, labels in series(c) for label, value in labels}

    flood(2500)
    scrape(c)
    before = values()
    flood(2500)
    # A pair of a route and a status may still meet for the first time, but no label takes a value that it had not.
    assert values() == before
    assert len(series(c)) < 3000
    routes = {value for label, value in before if label == "route"}
    paths = set(yaml.safe_load(ok(c.get("/openapi.yaml")).body.decode("utf-8"))["paths"])
    assert routes <= paths | {"other"}, routes - paths
    methods = {dict(labels).get("method") for _, labels in series(c)} - {None}
    assert methods <= {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "OTHER", "other"}, methods
    codes = {dict(labels).get("code") for n, labels in series(c) if n == "http_requests_total"}
    assert all(re.fullmatch(r"[1-5]\d\d", code) for code in codes), codes
    c.close()


BAD_BYTES = [
    b"\x00\x01\x02\r\n\r\n", b"GET /\x1b[31mred HTTP/1.1\r\n\r\n", b'GET /"quote"\\back HTTP/1.1\r\nHost: x\r\n\r\n',
    b"GET /%0d%0aX:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: \x1b]0;x\x07\r\n\r\n", b'GET / HTTP/1.1\r\nHost: x\r\nX-Request-Id: "\\\n"\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: "}{",\\\r\n\r\n', b"PRI * HTTP/2.0\r\n\r\n", b"\x16\x03\x01\r\n\r\n",
]


@pytest.mark.parametrize("level", ["info", "debug"])
def test_every_log_line_is_json_and_no_secret_is_told(server, level):
    s = server("--log-format", "json", "--access-log", "--log-level", level)
    c = s.client()
    canary = {n: f"CANARY-{n}-{random.randrange(10**12)}" for n in ("token", "key", "memo", "meta", "body", "query", "agent", "cookie", "amount")}
    answers = []
    headers = [("Authorization", f"Bearer {canary['token']}"), ("Cookie", f"s={canary['cookie']}"), ("User-Agent", canary["agent"])]
    a = fresh()
    answers.append(c.credit(a, "5", key=canary["key"], reference=canary["memo"], metadata={"k": canary["meta"]}, headers=headers))
    told = c.credit(a, "5", key=canary["key"], reference=canary["memo"], metadata={"k": canary["meta"]}, headers=headers)
    bad = [
        c.credit(a, "6", key=canary["key"], reference="x", headers=headers),
        c.debit(a, "1000", key=canary["key"] + "2", reference=canary["memo"], headers=headers),
        c.post(f"/api/v1/wallet/{a}/credit", '{"amount":"%s"}' % canary["amount"], headers=headers),
        c.post(f"/api/v1/wallet/{a}/credit", canary["body"], headers=headers),
        c.credit(a, "1", currency=canary["body"], headers=headers),
        c.history(a, f"cursor={canary['query']}", headers=headers),
        c.history(a, f"x={canary['query']}", headers=headers),
        c.get(f"/api/v1/wallet/!{canary['query']}/balance", headers=headers),
        c.get(f"/{canary['query']}", headers=headers),
        c.get(f"/api/v1/transactions/{canary['query']}", headers=headers),
        c.credit(a, "1", key=canary["key"] + "\xff", headers=headers),
        c.credit(a, "1", key=canary["key"] * 20, headers=headers),
        c.credit(a, "1", headers=headers + [("If-Match", f'"{canary["token"]}"')]),
    ]
    # The name of an unknown member may be told to who sent it, never to the log.
    fails(c.post(f"/api/v1/wallet/{a}/credit", '{"amount":1,"%s":1}' % canary["body"], headers=headers), 400, "INVALID_REQUEST")
    assert told.status in (200, 401), told
    for r in bad:
        assert r.status >= 400 and b"CANARY" not in r.body and b"CANARY" not in r.head, r
    rng = random.Random(5)
    for method, path, body, hs in corpus(rng, 800):
        try:
            c.exchange(method, path, build(method, path, body, hs))
        except Closed:
            c.close()
    for wire in BAD_BYTES:
        with Conn(s.port) as conn:
            conn.send(wire)
            conn.half_close()
            conn.rest()
    ok(c.get("/livez", headers=[("X-Request-Id", "find-me-in-the-log")]))
    assert "CANARY" not in ok(c.get("/metrics")).body.decode()
    c.close()
    with open(f"/proc/{s.proc.pid}/cmdline", "rb") as f:
        assert b"CANARY" not in f.read()
    s.stop()
    text = s.log()
    lines = text.splitlines()
    assert len(lines) >= 3
    for line in lines:
        doc = json.loads(line, parse_float=Num, parse_int=Num)
        assert isinstance(doc, dict), line
    assert "\x1b" not in text and "\x00" not in text
    assert "CANARY" not in text, [line for line in lines if "CANARY" in line][:3]
    assert [line for line in lines if "find-me-in-the-log" in line], "the access log has one line a request"


def test_a_json_log_is_json_on_both_streams(server):
    """A container's log is stdout and stderr together: with --log-format json each line of either is an object."""
    s = server("--log-format", "json")
    c = s.client()
    ok(c.get("/livez"))
    c.close()
    s.stop()
    for line in (s.log() + s.out()).splitlines():
        assert line.startswith("{") and isinstance(json.loads(line, parse_float=Num), dict), line


def test_logfmt_lines_are_one_line_each(server):
    s = server("--access-log")
    for wire in BAD_BYTES:
        with Conn(s.port) as conn:
            conn.send(wire)
            conn.half_close()
            conn.rest()
    s.stop()
    for line in s.log().splitlines():
        assert re.match(r'[a-z_]+=("(?:[^"\\]|\\.)*"|[^ "]*)( [A-Za-z0-9_.]+=("(?:[^"\\]|\\.)*"|[^ "]*))*\Z', line), line


@pytest.mark.embedded
def test_the_gauge_of_accounts(server):
    """Wallets alone are counted, not the system accounts behind them; the help says so."""
    s = server()
    c = s.client()
    assert "\n# HELP wallet_accounts Accounts in the ledger, those of the system left out.\n" in ok(c.get("/metrics")).body.decode()

    def accounts():
        _, samples = scrape(c)
        (value,) = [whole(v) for (n, _), v in samples.items() if n == "wallet_accounts"]
        return value

    ok(c.credit("a", "1"))
    before = accounts()
    assert before == 1
    for i in range(5):
        ok(c.open(f"b{i}"), 201)
        ok(c.credit(f"c{i}", "1"))
        fails(c.debit(f"d{i}", "1"), 404)
    assert accounts() == before + 10
    s.restart(hard=True)
    c.close()
    c.port = s.port
    assert accounts() == before + 10
    c.close()
