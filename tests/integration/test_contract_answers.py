"""The headers of every answer: those of docs/openapi.yaml, no more and no fewer, on success and wherever a request is refused.

`Seen` holds one answer of each kind, made once: to each write, refused at each place where a write can be refused, and to each
read. The served contract is then held against them, and they against it.
"""

import contextlib
import resource
import signal
import time

import pytest
import yaml

from harness import Client, Conn, Server, build, check, dump, fresh, fresh_key, ok
from test_crash import Strace, thread_of
from test_life import own_addresses
from test_metrics import operations, scrape

CREDIT = "/api/v1/wallet/{account_id}/credit"
DEBIT = "/api/v1/wallet/{account_id}/debit"
OPEN = "/api/v1/wallet"
TRANSFER = "/api/v1/transfers"
BALANCE = "/api/v1/wallet/{account_id}/balance"
ACCOUNT = "/api/v1/wallet/{account_id}"
HISTORY = "/api/v1/wallet/{account_id}/transactions"
TRANSACTION = "/api/v1/transactions/{transaction_id}"
WRITES = [CREDIT, DEBIT, OPEN, TRANSFER]
BY_ACCOUNT = [CREDIT, DEBIT]
READS = [BALANCE, ACCOUNT, OPEN, HISTORY, TRANSACTION, "/metrics", "/livez", "/readyz", "/healthz", "/openapi.yaml"]

# Of HTTP itself, and what OpenAPI says elsewhere (Content-Type) or not at all.
OF_HTTP = {"connection", "content-length", "content-type", "date"}

# What the document promises and no test here can bring about.
UNREACHED = {
    "409": {CREDIT, DEBIT, TRANSFER},  # IDEMPOTENCY_IN_PROGRESS: no store answers it yet
    "405": set(WRITES) | set(READS),  # the path's, with another method: see test_a_method_that_is_not_there
}


class Seen:
    """Answers, each with the operation that it belongs to: (path template, method), or None where no operation was read."""

    def __init__(self, accounts, transaction):
        self.a, self.b = accounts
        self.transaction = transaction
        self.answers = []

    def add(self, name, template, method, answer):
        operation = None if template is None else (template, method.lower())
        self.answers.append((name, operation, check(answer, method, "/")))

    def path(self, template):
        return template.format(account_id=self.a, transaction_id=self.transaction)

    def body(self, template, amount="1"):
        """A body that this write takes."""
        if template == OPEN:
            return dump({"account_id": fresh()}).encode()
        if template == TRANSFER:
            return b'{"from":"%s","to":"%s","amount":%s}' % (self.a.encode(), self.b.encode(), amount.encode())
        return b'{"amount":%s}' % amount.encode()


def exchange(port, data, method, half_close=False, **kw):
    """One answer on a connection of its own."""
    with Conn(port, **kw) as conn:
        conn.send(data)
        if half_close:
            conn.half_close()
        return conn.answer(method)


def line(wire):
    """The request line alone."""
    return wire[: wire.index(b"\r\n") + 2]


def head(wire):
    return wire[: wire.index(b"\r\n\r\n") + 4]


def with_field(wire, field):
    """A request with one more header line, its last."""
    at = wire.index(b"\r\n\r\n") + 2
    return wire[:at] + field + b"\r\n" + wire[at:]


def chunked(path, body):
    return build("POST", path, body, [("Transfer-Encoding", "chunked")])


def refused_by_http(path, good):
    """name, bytes, does the client end there: a write refused before a handler sees it, its first line whole."""
    body = good[good.index(b"\r\n\r\n") + 4 :]
    return [
        ("two keys", with_field(with_field(good, b"Idempotency-Key: a"), b"Idempotency-Key: b"), False),
        ("a control byte in the key", with_field(good, b"Idempotency-Key: a\x01"), False),
        ("Expect", with_field(good, b"Expect: tea"), False),
        ("no Host", good.replace(b"Host: wallet.test\r\n", b""), False),
        ("two Hosts", with_field(good, b"Host: b"), False),
        ("not a host", good.replace(b"wallet.test", b"a/b"), False),
        ("another host than the URL's", good.replace(path.encode(), b"http://other" + path.encode()), False),
        ("a URL, and two keys", with_field(with_field(good, b"Idempotency-Key: a"), b"Idempotency-Key: b").replace(path.encode(), b"http://wallet.test" + path.encode()), False),
        ("two lengths", with_field(good, b"Content-Length: 1"), False),
        ("length and chunks", with_field(good, b"Transfer-Encoding: chunked"), False),
        ("an unknown coding", build("POST", path, body, [("Transfer-Encoding", "gzip")]), False),
        ("no header line", with_field(good, b"rubbish"), False),
        ("a folded header", with_field(good, b"A: b\r\n c"), False),
        ("two If-Match", with_field(with_field(good, b'If-Match: "1"'), b'If-Match: "1"'), False),
        ("old HTTP with chunks", chunked(path, b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        ("cut behind the line", line(good), True),
        ("cut in the head", head(good)[:-2], True),
        ("cut in the body", good[:-1], True),
        ("a bad chunk", chunked(path, b"x\r\n"), False),
        ("a bad trailer", chunked(path, b"0\r\nrubbish\r\n\r\n"), False),
        ("a query that cannot be decoded", good.replace(path.encode(), path.encode() + b"?a=%zz"), False),
        ("a query parameter twice", good.replace(path.encode(), path.encode() + b"?a=1&a=2"), False),
        ("17 query parameters", good.replace(path.encode(), path.encode() + b"?" + b"&".join(b"p%d" % i for i in range(17))), False),
        ("a body too large", build("POST", path, b"", [("Content-Length", "16385")]), False),
        ("a body too large, waited for", build("POST", path, b"", [("Content-Length", "16385"), ("Expect", "100-continue")]), False),
        ("a chunked body too large", chunked(path, b"4001\r\n"), False),
        ("text/plain", good.replace(b"application/json", b"text/plain"), False),
        ("no media type", good.replace(b"Content-Type: application/json\r\n", b""), False),
        ("a coded body", with_field(good, b"Content-Encoding: gzip"), False),
        ("a head too large", with_field(good, b"X-Pad: " + b"p" * 16384), False),
        ("101 headers", with_field(good, b"\r\n".join(b"X-%d: v" % i for i in range(101))), False),
        ("trailers too large", chunked(path, b"0\r\n" + b"".join(b"T%d: x\r\n" % i for i in range(1000)) + b"\r\n"), False),
    ]


def no_writes(path, good):
    """name, bytes, does the client end there: what cannot be read as a write of this path, or is none."""
    return [
        ("HTTP/1.2", good.replace(b"HTTP/1.1", b"HTTP/1.2"), False),
        ("no HTTP", b"\x16\x03\x01\x02\r\n\r\n", False),
        ("cut in the line", line(good)[:-1], True),
        ("a byte that no target has", good.replace(path.encode(), path.encode() + b"\x7f"), False),
        ("neither path nor URL", good.replace(b" /", b" ", 1), False),
        ("a URL with a user", good.replace(path.encode(), b"http://u@wallet.test" + path.encode()), False),
        ("another path", good.replace(path.encode(), b"/nope"), False),
        ("another path, and two keys", with_field(with_field(good, b"Idempotency-Key: a"), b"Idempotency-Key: b").replace(path.encode(), b"/nope"), False),
        ("another method", good.replace(b"POST", b"PUT", 1), False),
        ("another method, and no Host", good.replace(b"POST", b"DELETE", 1).replace(b"Host: wallet.test\r\n", b""), False),
        ("a method nobody knows", good.replace(b"POST", b"post", 1), False),
        ("a target too long", good.replace(path.encode(), path.encode() + b"?" + b"a" * 2048), False),
    ]


def make_writes(seen, c, s):
    for template in WRITES:
        path, key = seen.path(template), fresh_key()

        def add(name, body=None, path=path, key=None, headers=(), template=template):
            seen.add(name, template, "POST", c.post(path, seen.body(template) if body is None else body, key=key, headers=headers))

        body = seen.body(template)
        add("done", body, key=key)
        add("replayed", body, key=key)
        add("its key used for another", body[:-1] + b',"currency":"JPY"}', key=key)
        add("no JSON", b"{")
        add("an unknown member", b'{"x":1}')
        add("an unknown query parameter", path=path + "?x=1")
        add("a key too long", key="k" * 256)
        add("an unknown currency", body[:-1] + b',"currency":"XXX"}')
        if template != OPEN:
            add("an amount of 0", seen.body(template, "0"))
            add("an amount that does not fit", seen.body(template, "0.001"))
            add("another currency", body[:-1] + b',"currency":"JPY"}')
        if template in BY_ACCOUNT:
            add("an id that is none", path=path.replace(seen.a, "!"))
            add("an id that cannot be decoded", path=path.replace(seen.a, "%zz"))
            add("a broken If-Match", headers=[("If-Match", "1")])
            add("another version", headers=[("If-Match", '"999999"')])
        else:
            add("an If-Match", headers=[("If-Match", '"1"')])
        for name, wire, ends in refused_by_http(path, build("POST", path, body)):
            seen.add(name, template, "POST", exchange(s.port, wire, "POST", ends))
        for name, wire, ends in no_writes(path, build("POST", path, body)):
            seen.add(name, None, "POST", exchange(s.port, wire, "POST", ends))
        seen.add("a target too long", template, "POST", c.post(path + "?" + "a" * 2048, body))
    nobody = fresh()
    seen.add("no such account", DEBIT, "POST", c.debit(nobody, "1"))
    seen.add("no such account", TRANSFER, "POST", c.transfer(nobody, seen.a, "1"))
    seen.add("it exists", OPEN, "POST", c.open(seen.a))
    seen.add("too little money", DEBIT, "POST", c.debit(seen.b, "999999"))
    seen.add("too little money", TRANSFER, "POST", c.transfer(seen.b, seen.a, "999999"))


def make_reads(seen, c, s):
    for template in READS:
        path = seen.path(template)
        got = ok(c.get(path))
        seen.add("read", template, "GET", got)
        tag = got.header("ETag")
        if tag is not None:
            seen.add("not modified", template, "GET", ok(c.get(path, headers=[("If-None-Match", tag)]), 304))
        seen.add("an unknown query parameter", template, "GET", c.get(path + "?x=1"))
        seen.add("two ids", template, "GET", exchange(s.port, build("GET", path, headers=[("X-Request-Id", "a")] * 2), "GET"))
        seen.add("no Host", template, "GET", exchange(s.port, build("GET", path).replace(b"Host: wallet.test\r\n", b""), "GET"))
        seen.add("a head too large", template, "GET", exchange(s.port, build("GET", path, headers=[("X-Pad", "p" * 16384)]), "GET"))
        seen.add("verbose", template, "GET", c.get(path + "?verbose"))
        seen.add("options", template, "OPTIONS", c.request("OPTIONS", path))
    for template in (BALANCE, ACCOUNT, HISTORY):
        seen.add("no such account", template, "GET", c.get(template.format(account_id=fresh())))
        seen.add("an id that is none", template, "GET", c.get(template.format(account_id="!")))
    seen.add("no such transaction", TRANSACTION, "GET", c.get("/api/v1/transactions/tx_nope"))
    seen.add("no such transaction", TRANSACTION, "GET", c.get("/api/v1/transactions/%zz"))
    for template in BY_ACCOUNT + [TRANSFER]:
        seen.add("options", template, "OPTIONS", c.request("OPTIONS", seen.path(template)))
    for template in WRITES + READS:
        wire = build("OPTIONS", seen.path(template)).replace(b"Host: wallet.test\r\n", b"")
        seen.add("no Host", template, "OPTIONS", exchange(s.port, wire, "OPTIONS"))


def make_late(seen, folder):
    """Clients that do not finish: 408, once the first line was there of that operation, before it of none."""
    s = Server(folder, "--head-timeout", "1s", "--no-auto-create")
    slow = []
    try:
        with contextlib.closing(s.client()) as c:
            seen.add("no such account", CREDIT, "POST", c.credit(fresh(), "1"))
        for template in WRITES:
            good = build("POST", seen.path(template), seen.body(template))
            slow += [
                ("slow behind the line", template, "POST", line(good)),
                ("slow in the head", template, "POST", head(good)[:-2]),
                ("slow in the body", template, "POST", good[:-1]),
                ("slow in the line", None, "POST", line(good)[:-1]),
            ]
        slow.append(("slow in the head", BALANCE, "GET", line(build("GET", seen.path(BALANCE)))))
        with contextlib.ExitStack() as stack:
            conns = []
            for *_, wire in slow:
                conns.append(stack.enter_context(s.conn()))
                conns[-1].send(wire)
            for (name, template, method, _), conn in zip(slow, conns):
                seen.add(name, template, method, conn.answer(method))
        s.stop()
    finally:
        s.reap()
        s.end_redis()


def make_strangers(seen, folder):
    """Callers from another machine, for whom an address of this one stands."""
    s = Server(folder, listen="0.0.0.0")
    try:
        c = Client(s.port, host=own_addresses()[0])
        for template in WRITES:
            seen.add("a stranger", template, "POST", c.post(seen.path(template), seen.body(template)))
            seen.add("a stranger", template, "OPTIONS", c.request("OPTIONS", seen.path(template)))
        for template in READS:
            seen.add("a stranger", template, "GET", c.get(seen.path(template)))
            seen.add("a stranger", template, "OPTIONS", c.request("OPTIONS", seen.path(template)))
        seen.add("a stranger, nowhere", None, "POST", c.post("/nope", b"{}"))
        c.close()
        s.stop()
    finally:
        s.reap()
        s.end_redis()


def until(claim, deadline_s=20):
    end = time.monotonic() + deadline_s
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextlib.contextmanager
def unwritable(s):
    """While it lasts, the store refuses writes and knows it."""
    if s.redis is None:
        _, hard = resource.prlimit(s.proc.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(s.proc.pid, resource.RLIMIT_FSIZE, (1, hard))
        yield
        resource.prlimit(s.proc.pid, resource.RLIMIT_FSIZE, (hard, hard))
    else:
        s.redis.end()
        yield
        s.redis.start()


def make_unavailable(seen, folder):
    s = Server(folder, "--redis-timeout", "1s")
    try:
        with contextlib.closing(s.client()) as c:
            for account in (seen.a, seen.b):
                ok(c.credit(account, "5"))
            with unwritable(s):
                if s.redis is not None:
                    until(lambda: c.get("/readyz").status == 503)
                for template in WRITES:
                    seen.add("unavailable", template, "POST", c.post(seen.path(template), seen.body(template)))
                until(lambda: c.get("/readyz").status == 503)  # a disk is known to be full when a write did not fit
                for template in ("/readyz", "/healthz"):
                    seen.add("not ready", template, "GET", c.get(template))
                    # the list of checks takes the error's place, and that is no envelope: not for `check`
                    seen.answers.append(("not ready, in detail", (template, "get"), exchange(s.port, build("GET", template + "?verbose"), "GET")))
                if s.redis is not None:
                    seen.add("no Redis", BALANCE, "GET", c.get(seen.path(BALANCE)))
            until(lambda: c.get("/readyz").status == 200)
        s.stop()
    finally:
        s.reap()
        s.end_redis()


def make_unknown(seen, folder):
    """A write whose end nobody knows: the sync fails, and the process with it; Redis stands still."""
    for i, template in enumerate(WRITES):
        s = Server(folder / str(i), "--threads", "1", "--redis-timeout", "1s", verify=False)
        tracer = None
        try:
            with contextlib.closing(s.client()) as c:
                for account in (seen.a, seen.b):
                    ok(c.credit(account, "5"))
                if s.redis is None:
                    tracer = Strace(thread_of(s.proc.pid, "mw-writer"), "-e", "inject=fdatasync:error=EIO:when=1")
                else:
                    s.redis.proc.send_signal(signal.SIGSTOP)
                seen.add("unknown", template, "POST", c.post(seen.path(template), seen.body(template)))
            if s.redis is None:
                assert s.wait() == 1
        finally:
            if s.redis is not None:
                s.redis.proc.send_signal(signal.SIGCONT)
            s.reap()
            if tracer is not None:
                tracer.end()
            s.end_redis()


@pytest.fixture(scope="module")
def seen(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("answers")
    with contextlib.closing(shared.client()) as c:
        a, b = fresh(), fresh()
        transaction = ok(c.credit(a, "1000")).json["transaction_id"]
        ok(c.credit(b, "5"))
        out = Seen((a, b), transaction)
        make_writes(out, c, shared)
        make_reads(out, c, shared)
    make_late(out, folder / "late")
    if own_addresses():
        make_strangers(out, folder / "far")
    make_unavailable(out, folder / "full")
    make_unknown(out, folder / "unknown")
    return out


@pytest.fixture(scope="module")
def openapi(shared):
    with contextlib.closing(shared.client()) as c:
        return yaml.safe_load(ok(c.get("/openapi.yaml")).body.decode("utf-8"))


def resolve(openapi, node):
    while "$ref" in node:
        at = openapi
        for part in node["$ref"][2:].split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]
        node = at
    return node


def response(openapi, operation, status):
    """What the document says of an answer, and under which name."""
    responses = openapi["paths"][operation[0]][operation[1]]["responses"]
    name = str(status) if str(status) in responses else "default"
    return resolve(openapi, responses[name]), name


@pytest.mark.deadline(120)
def test_each_answer_has_the_headers_that_are_documented(seen, openapi):
    wrong = []
    for name, operation, answer in seen.answers:
        if operation is None:
            continue
        documented, _ = response(openapi, operation, answer.status)
        headers = {k.lower(): resolve(openapi, h) for k, h in documented["headers"].items()}
        sent = {k for k, _ in answer.headers} - OF_HTTP
        always = {k for k, h in headers.items() if h.get("required")}
        if not always <= sent <= set(headers):
            wrong.append((operation, name, answer.status, {"missing": always - sent, "undocumented": sent - set(headers)}))
        media = (answer.header("Content-Type") or "").split(";")[0]
        if bool(media) != ("content" in documented) or (media and media not in documented["content"]):
            wrong.append((operation, name, answer.status, media))
    assert not wrong, wrong


def test_each_answer_that_is_documented_was_seen(seen, openapi):
    """So that the test above leaves nothing out."""
    found, replayed = set(), set()
    for _, operation, answer in seen.answers:
        if operation is not None:
            found.add((*operation, response(openapi, operation, answer.status)[1]))
            if answer.replayed:
                replayed.add(operation[0])
    for path, item in openapi["paths"].items():
        for method in item.keys() - {"parameters"}:
            for status in item[method]["responses"]:
                if status == "default" or path in UNREACHED.get(status, ()) or (status == "403" and not own_addresses()):
                    continue
                assert (path, method, status) in found, (path, method, status)
    for path in WRITES:
        assert (path, "post", "default") in found, path
    assert replayed == set(WRITES)


def test_a_method_that_is_not_there(seen, openapi, c):
    for template in WRITES + READS:
        answer = c.request("DELETE", seen.path(template))
        for method in openapi["paths"][template].keys() & {"get", "post"}:
            documented, name = response(openapi, (template, method), answer.status)
            assert name == "405"
            assert {k for k, _ in answer.headers} - OF_HTTP == {k.lower() for k in documented["headers"]}, answer


def test_durability_is_on_each_answer_to_a_write_and_on_no_other(seen):
    """Wherever it was refused: by the ledger, by a handler, by HTTP, by the clock."""
    writes = [(n, o, a) for n, o, a in seen.answers if o is not None and o[1] == "post" and a.status != 414]
    others = [x for x in seen.answers if x not in writes]
    assert {a.status for _, _, a in writes} >= {200, 201, 400, 404, 408, 409, 412, 413, 415, 422, 431, 503, 504}
    assert {a.status for _, _, a in others} >= {200, 204, 304, 400, 404, 405, 408, 414, 431, 503}
    assert not [x for x in writes if x[2].header("Wallet-Durability") != "fsync"]
    assert not [x for x in others if x[2].header("Wallet-Durability") is not None]


def test_a_connection_too_many_is_no_write(server):
    """It is answered before a byte of it is read."""
    s = server("--connections", "8")
    held = []
    try:
        for _ in range(8):
            conn = s.conn()
            held.append(conn)
            conn.send(build("POST", "/api/v1/transfers", b"{}")[:-1])  # in the middle of a request: it gives way to nobody
        with contextlib.closing(s.conn()) as conn:
            conn.send(build("POST", "/api/v1/transfers", b"{}"))
            answer = check(conn.answer("POST"), "POST", "/")
            assert answer.status == 503 and answer.header("Wallet-Durability") is None, answer
    finally:
        for conn in held:
            conn.close()


def test_what_http_refuses_is_counted_as_the_write_that_it_was(server):
    s = server()
    with contextlib.closing(s.client()) as c:
        wire = with_field(with_field(build("POST", "/api/v1/wallet/a/credit", b'{"amount":1}'), b"Idempotency-Key: a"), b"Idempotency-Key: b")
        for data in (wire, wire.replace(b"HTTP/1.1", b"HTTP/1.2")):
            assert exchange(s.port, data, "POST").status == 400
        _, samples = scrape(c)
        assert operations(c) == {**dict.fromkeys(operations(c), 0), ("credit", "INVALID_IDEMPOTENCY_KEY"): 1}
        routes = {dict(k)["route"]: v for (n, k), v in samples.items() if n == "http_requests_total" and ("code", "400") in k and v != "0"}
        assert routes == {CREDIT: "1", "other": "1"}
