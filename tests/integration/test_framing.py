"""HTTP/1.1 framing: request smuggling and its relatives, over raw sockets.

Each refused row is followed on the wire by a valid credit: exactly one answer comes (the refusal, in the envelope), the
connection ends, and the balance says that nothing was applied.
"""

import os
import re
import socket
import time

import pytest

from harness import HOST, Client, Closed, Conn, build, check, fails, fresh, free_port, minor, money, ok

BODY = b'{"amount":1}'
PATH = b"/api/v1/wallet/@/credit"  # @ becomes the row's account
CHUNKED = b"c\r\n" + BODY + b"\r\n0\r\n\r\n"
FOLLOW_UP = b"follow-up"


def req(*lines, body=BODY, start=b"POST " + PATH + b" HTTP/1.1", host=b"Host: x", ctype=b"Content-Type: application/json"):
    """A request from raw lines; host and ctype can be left out with None."""
    head = [start] + [h for h in (host, ctype) if h is not None] + list(lines)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def cl(value):
    return req(b"Content-Length: " + value)


def te(value, body=CHUNKED):
    return req(b"Transfer-Encoding: " + value, body=body)


def chunks(body, *lines):
    return req(b"Transfer-Encoding: chunked", *lines, body=body)


def header(line):
    return req(line, b"Content-Length: 12")


def get(target=b"/livez", version=b"HTTP/1.1", *lines, host=b"Host: x"):
    return req(*lines, start=b"GET " + target + b" " + version, body=b"", ctype=None, host=host)


# A request line that is whole and selects a route that writes: the contract's rule for Wallet-Durability.
WRITE_LINE = re.compile(
    rb"(?:\r\n)?POST (?:https?://[a-z0-9.:-]+)?/api/v1/(?:wallet|transfers|wallet/[!\"$-.0->@-~]+/(?:credit|debit))(?:\?[!\"$-~]*)? HTTP/1\.[01]\r\n"
)


def says_durability(answer, wire):
    """Wallet-Durability is on the answer to a write, wherever it was refused, and on no other."""
    assert answer.header("Wallet-Durability") == ("fsync" if WRITE_LINE.match(wire) else None), (wire[:200], answer)
    return answer


C12 = b"Content-Length: 12"
TEC = b"Transfer-Encoding: chunked"

# name, bytes: all 400, closed, nothing applied.
BAD = [
    # Content-Length
    ("CL twice, same", req(C12, C12)), ("CL twice, other", req(C12, b"Content-Length: 0")), ("CL twice, other first", req(b"Content-Length: 0", C12)),
    ("CL list same", cl(b"12, 12")), ("CL list other", cl(b"12, 0")), ("CL list trailing", cl(b"12,")), ("CL plus", cl(b"+12")),
    ("CL minus", cl(b"-12")), ("CL minus zero", cl(b"-0")), ("CL hex", cl(b"0xc")), ("CL hex digits", cl(b"c")), ("CL leading zeros", cl(b"0012")),
    ("CL underscore", cl(b"1_2")), ("CL empty", cl(b"")), ("CL 20 digits", cl(b"9" * 20)), ("CL 2^64", cl(b"18446744073709551616")),
    ("CL 2^64+12", cl(b"18446744073709551628")), ("CL 2^63", cl(b"9223372036854775808")), ("CL 2^32+12 wraps", cl(b"4294967308" * 3)),
    ("CL inner space", cl(b"1 2")), ("CL decimal", cl(b"12.0")), ("CL exponent", cl(b"1e1")), ("CL quoted", cl(b'"12"')),
    ("CL full width", cl("１２".encode())), ("CL semicolon", cl(b"12;")), ("CL NUL", cl(b"12\x00")), ("CL vertical tab", cl(b"\x0b12")),
    ("CL form feed", cl(b"12\x0c")), ("CL true", cl(b"true")), ("CL case twins", req(C12, b"content-length: 12")),
    ("CL 100 digits of zero", cl(b"0" * 100 + b"12")),
    # Content-Length with Transfer-Encoding
    ("CL then TE", req(C12, TEC, body=CHUNKED)), ("TE then CL", req(TEC, C12, body=CHUNKED)), ("CL 0 and TE", req(b"Content-Length: 0", TEC, body=CHUNKED)),
    ("TE and CL of the chunks", req(TEC, b"Content-Length: %d" % len(CHUNKED), body=CHUNKED)), ("TE identity and CL", req(b"Transfer-Encoding: identity", C12)),
    ("TE unknown and CL", req(b"Transfer-Encoding: x", C12)), ("TE empty and CL", req(b"Transfer-Encoding:", C12)),
    # Transfer-Encoding
    ("TE twice", req(TEC, TEC, body=CHUNKED)), ("TE twice, identity", req(TEC, b"Transfer-Encoding: identity", body=CHUNKED)),
    ("TE identity, then chunked", req(b"Transfer-Encoding: identity", TEC, body=CHUNKED)), ("xchunked", te(b"xchunked")), ("chunkedx", te(b"chunkedx")),
    ("chunked, identity", te(b"chunked, identity")), ("identity, chunked", te(b"identity, chunked")), ("chunked, chunked", te(b"chunked, chunked")),
    ("gzip, chunked", te(b"gzip, chunked")), ("chunked, gzip", te(b"chunked, gzip")), ("gzip", te(b"gzip")), ("identity", te(b"identity")),
    ("TE empty", te(b"")), ("chunked VT", te(b"chunked\x0b")), ("VT chunked", te(b"\x0bchunked")), ("chunked NUL", te(b"chunked\x00")),
    ("chunked;q=1", te(b"chunked;q=1")), ("quoted chunked", te(b'"chunked"')), ("chunked comma", te(b"chunked,")), ("comma chunked", te(b",chunked")),
    ("chun ked", te(b"chun ked")), ("TE NBSP", te(b"\xa0chunked")), ("chunked on HTTP/1.0", req(TEC, start=b"POST " + PATH + b" HTTP/1.0", body=CHUNKED)),
    ("folded chunked", req(b"Transfer-Encoding:\r\n chunked", body=CHUNKED)), ("TE name with space", req(b"Transfer-Encoding : chunked", body=CHUNKED)),
    ("TE name with tab", req(b"Transfer-Encoding\t: chunked", body=CHUNKED)), ("space before TE", req(b" Transfer-Encoding: chunked", body=CHUNKED)),
    # chunk sizes
    ("chunk 0x", chunks(b"0xc\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk semicolon alone", chunks(b"c;\r\n" + BODY + b"\r\n0\r\n\r\n")),
    ("chunk leading space", chunks(b" c\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk trailing space", chunks(b"c \r\n" + BODY + b"\r\n0\r\n\r\n")),
    ("chunk plus", chunks(b"+c\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk minus", chunks(b"-c\r\n" + BODY + b"\r\n0\r\n\r\n")),
    ("chunk underscore", chunks(b"0_c\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk 17 digits", chunks(b"1" + b"0" * 15 + b"0c\r\n" + BODY + b"\r\n0\r\n\r\n")),
    ("chunk 2^64 + 12", chunks(b"1000000000000000c\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk -1", chunks(b"ffffffffffffffff0\r\n" + BODY + b"\r\n0\r\n\r\n")),
    ("chunk empty size", chunks(b"\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk g", chunks(b"g\r\n" + BODY + b"\r\n0\r\n\r\n")),
    ("chunk no CRLF after data", chunks(b"c\r\n" + BODY + b"0\r\n\r\n")), ("chunk X after data", chunks(b"c\r\n" + BODY + b"X\r\n0\r\n\r\n")),
    ("chunk too long", chunks(b"b\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk bare LF after size", chunks(b"c\n" + BODY + b"\r\n0\r\n\r\n")),
    ("chunk bare CR after size", chunks(b"c\r" + BODY + b"\r\n0\r\n\r\n")), ("chunk LF after data", chunks(b"c\r\n" + BODY + b"\n0\r\n\r\n")),
    ("chunk LF in extension", chunks(b"c;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk LF in quoted extension", chunks(b'c;a="\n"\r\n' + BODY + b"\r\n0\r\n\r\n")),
    ("chunk CR in extension", chunks(b"c;a\rb\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk NUL in extension", chunks(b"c;a\x00\r\n" + BODY + b"\r\n0\r\n\r\n")),
    ("chunk tab", chunks(b"c\t\r\n" + BODY + b"\r\n0\r\n\r\n")), ("chunk comma", chunks(b"c,c\r\n" + BODY + b"\r\n0\r\n\r\n")),
    ("last chunk with data", chunks(b"c\r\n" + BODY + b"\r\n0\r\nX\r\n\r\n")), ("last chunk bare LF", chunks(b"c\r\n" + BODY + b"\r\n0\n\r\n")),
    # trailers
    ("trailer no colon", chunks(b"c\r\n" + BODY + b"\r\n0\r\nTrailer\r\n\r\n")), ("trailer space", chunks(b"c\r\n" + BODY + b"\r\n0\r\nA : b\r\n\r\n")),
    ("trailer fold", chunks(b"c\r\n" + BODY + b"\r\n0\r\nA: b\r\n c\r\n\r\n")), ("trailer NUL", chunks(b"c\r\n" + BODY + b"\r\n0\r\nA: b\x00\r\n\r\n")),
    # Expect
    ("Expect unknown", header(b"Expect: 200-ok")), ("Expect two", header(b"Expect: 100-continue, x")), ("Expect nothing like it", header(b"Expect: 100")),
    # header syntax
    ("obs-fold", header(b"A: b\r\n c")), ("obs-fold tab", header(b"A: b\r\n\tc")), ("obs-fold empty", header(b"A: b\r\n \r\nB: c")),
    ("obs-fold first", req(b"A: b", C12, start=b"POST " + PATH + b" HTTP/1.1\r\n B: c")), ("space before colon", header(b"A : b")),
    ("tab before colon", header(b"A\t: b")), ("space in name", header(b"A B: c")), ("empty name", header(b": b")), ("no colon", header(b"A")),
    ("no colon, space", header(b"A b")), ("NUL in name", header(b"A\x00: b")), ("NUL in value", header(b"A: b\x00c")), ("CR in name", header(b"A\rB: c")),
    ("CR in value", header(b"A: b\rc")), ("CR at the end of a value", header(b"A: b\r\r\nB: c")), ("LF in name", header(b"A\nB: c\nbad")), ("DEL in name", header(b"A\x7f: b")),
    ("DEL in value", header(b"A: b\x7f")), ("0x01 in value", header(b"A: b\x01")), ("ESC in value", header(b"A: \x1b[31m")), ("BEL in value", header(b"A: \x07")),
    ("VT in value", header(b"A: b\x0bc")), ("high byte in name", header(b"\xc3\x84: b")), ("paren in name", header(b"A(: b")), ("comma in name", header(b"A,B: c")),
    ("slash in name", header(b"A/B: c")), ("quote in name", header(b'"A": b')), ("brackets in name", header(b"[A]: b")), ("braces in name", header(b"{A}: b")),
    ("at in name", header(b"A@B: c")), ("equals in name", header(b"A=B: c")), ("bare CR between lines", req(b"A: b\rContent-Length: 12")),
    ("CR CR LF end", req(C12 + b"\r", body=BODY)),
    # Host
    ("no Host", req(C12, host=None)), ("two Hosts", req(C12, host=b"Host: x\r\nHost: y")), ("two Hosts, same", req(C12, host=b"Host: x\r\nHost: x")),
    ("Host list", req(C12, host=b"Host: a, b")), ("Host userinfo", req(C12, host=b"Host: u@x")), ("Host userinfo and password", req(C12, host=b"Host: u:p@x")),
    ("Host path", req(C12, host=b"Host: x/y")), ("Host query", req(C12, host=b"Host: x?y")), ("Host fragment", req(C12, host=b"Host: x#y")),
    ("Host space", req(C12, host=b"Host: a b")), ("Host port letters", req(C12, host=b"Host: x:abc")), ("Host scheme", req(C12, host=b"Host: http://x")),
    ("Host backslash", req(C12, host=b"Host: x\\y")), ("Host bracket open", req(C12, host=b"Host: [::1")), ("Host two ports", req(C12, host=b"Host: x:1:2")),
    ("GET without Host", get(host=None)),
    # request line
    ("absolute form, other host", req(C12, start=b"POST http://other" + PATH + b" HTTP/1.1")), ("absolute form, userinfo", req(C12, start=b"POST http://u@x" + PATH + b" HTTP/1.1")),
    ("GET *", get(b"*")), ("POST *", req(C12, start=b"POST * HTTP/1.1")), ("no slash", req(C12, start=b"POST api/v1/wallet/@/credit HTTP/1.1")),
    ("HTTP/0.9", b"GET /livez\r\n\r\n"), ("HTTP/1.2", get(version=b"HTTP/1.2")), ("HTTP/1.9", get(version=b"HTTP/1.9")), ("HTTP/2.0", get(version=b"HTTP/2.0")),
    ("HTTP/3.0", get(version=b"HTTP/3.0")), ("HTTP/0.9 with version", get(version=b"HTTP/0.9")), ("HTTP/11", get(version=b"HTTP/11")), ("HTTP/1.", get(version=b"HTTP/1.")),
    ("HTTP/1.10", get(version=b"HTTP/1.10")), ("HTTP/1,1", get(version=b"HTTP/1,1")), ("HTTP/01.1", get(version=b"HTTP/01.1")), ("HTP/1.1", get(version=b"HTP/1.1")),
    ("http/1.1", get(version=b"http/1.1")), ("HTTPS/1.1", get(version=b"HTTPS/1.1")), ("ICE/1.0", get(version=b"ICE/1.0")), ("no version", get(version=b"")),
    ("version and more", get(version=b"HTTP/1.1 x")), ("PRI", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), ("space in target", get(b"/li vez")), ("tab before target", b"GET\t/livez HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("tab after target", b"GET /livez\tHTTP/1.1\r\nHost: x\r\n\r\n"), ("NUL in target", get(b"/live\x00z")), ("CR in target", get(b"/live\rz")), ("ESC in target", get(b"/live\x1bz")),
    ("DEL in target", get(b"/live\x7fz")), ("NUL in method", req(C12, start=b"PO\x00ST " + PATH + b" HTTP/1.1")),
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"), ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), ("RESP", b"*1\r\n$4\r\nPING\r\n\r\n"), ("NULs", b"\x00" * 64 + b"\r\n\r\n"),
    ("two leading CRLF", b"\r\n\r\n" + req(C12)), ("leading space", b" " + req(C12)), ("leading LF LF", b"\n\n" + req(C12)),
    # duplicate singletons
    ("Authorization twice", header(b"Authorization: Bearer a\r\nAuthorization: Bearer b")), ("Idempotency-Key twice", header(b"Idempotency-Key: a\r\nIdempotency-Key: b")),
    ("Idempotency-Key twice, same", header(b"Idempotency-Key: a\r\nidempotency-key: a")), ("Content-Type twice", header(b"Content-Type: application/json")),
    ("Content-Type twice, other", header(b"Content-Type: text/plain")),
]

# name, bytes, statuses: refused with the status that is named for them; nothing applied.
NAMED = [
    ("method of 100 KB", b"A" * 100_000 + b" /livez HTTP/1.1\r\nHost: x\r\n\r\n", {400, 414, 431}),
    ("URL of 64 KB", get(b"/" + b"a" * 65_536), {414}), ("URL of 3 KB", get(b"/" + b"a" * 3000), {414}), ("query of 64 KB", get(b"/livez?" + b"a" * 65_536), {414}),
    ("header of 100 KB", header(b"A: " + b"b" * 100_000), {431}), ("header name of 100 KB", header(b"A" * 100_000 + b": b"), {431}),
    ("10,000 headers", header(b"\r\n".join(b"A%d: b" % i for i in range(10_000))), {431}), ("header that never ends", header(b"A: " + b"b" * 40_000), {431}),
    ("body over the limit", req(b"Content-Length: 1000000", body=b"x" * 100_000), {413}), ("body far over the limit", req(b"Content-Length: 9223372036854775807", body=b""), {413, 400}),
    ("chunk over the limit", chunks(b"fffff\r\n" + b"x" * 100_000), {413}), ("chunk of 15 hex digits", chunks(b"fffffffffffffff\r\n" + b"x" * 100), {413, 400}),
    ("many chunks over the limit", chunks(b"400\r\n" + b"x" * 1024 + b"\r\n", ) + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 17, {413}),
    ("64 KiB extension", chunks(b"c;" + b"a" * 65_536 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"), {400, 413, 431}),
    ("64 KiB of trailers", chunks(b"c\r\n" + BODY + b"\r\n0\r\n" + b"".join(b"T%d: x\r\n" % i for i in range(8000)) + b"\r\n"), {400, 413, 431}),
    ("CONNECT", req(start=b"CONNECT x:443 HTTP/1.1", body=b"", ctype=None), {400, 404, 405}),
]

# name, bytes: an answer that leaves the connection usable, or not; never applied in part. 1.00 for each 200 of a POST.
EITHER = [
    ("CL trailing space", cl(b"12 ")), ("CL leading spaces", cl(b"   12")), ("CL tab", cl(b"\t12\t")), ("TE leading space", te(b"  chunked")), ("TE leading tab", te(b"\tchunked")),
    ("TE trailing space", te(b"chunked ")), ("extension", chunks(b"c;a=b\r\n" + BODY + b"\r\n0\r\n\r\n")), ("quoted extension", chunks(b'c;a="b c"\r\n' + BODY + b"\r\n0\r\n\r\n")),
    ("trailer CL", chunks(b"c\r\n" + BODY + b"\r\n0\r\nContent-Length: 50\r\n\r\n")), ("trailer TE", chunks(b"c\r\n" + BODY + b"\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")),
    ("trailer Host", chunks(b"c\r\n" + BODY + b"\r\n0\r\nHost: y\r\n\r\n")), ("trailer Authorization", chunks(b"c\r\n" + BODY + b"\r\n0\r\nAuthorization: Bearer x\r\n\r\n")),
    ("trailer", chunks(b"c\r\n" + BODY + b"\r\n0\r\nX-Checksum: 1\r\n\r\n")), ("bare LF everywhere", req(C12).replace(b"\r\n", b"\n")), ("empty Host", req(C12, host=b"Host:")),
    ("gzip body", header(b"Content-Encoding: gzip")), ("GET with a body", get(b"/livez", b"HTTP/1.1", C12) + BODY), ("GET with chunks", get(b"/livez", b"HTTP/1.1", TEC) + CHUNKED),
    ("HEAD with a body", req(C12, start=b"HEAD /livez HTTP/1.1")), ("OPTIONS with a body", req(C12, start=b"OPTIONS /livez HTTP/1.1")), ("DELETE with a body", req(C12, start=b"DELETE /livez HTTP/1.1")),
    ("404 with a body", req(C12, start=b"POST /nope HTTP/1.1")), ("405 with a body", req(C12, start=b"POST /livez HTTP/1.1")), ("405 with chunks", req(TEC, start=b"POST /livez HTTP/1.1", body=CHUNKED)),
    ("POST without a length", req(body=b"")), ("bad id with a body", req(C12, start=b"POST /api/v1/wallet/!/credit HTTP/1.1")), ("text/plain", req(C12, ctype=b"Content-Type: text/plain")),
    ("lower-case method", req(C12, start=b"post " + PATH + b" HTTP/1.1")), ("unknown method", req(C12, start=b"BREW " + PATH + b" HTTP/1.1")), ("method that only begins well", req(C12, start=b"POSTS " + PATH + b" HTTP/1.1")),
]

# name, bytes, how many credits are answered 200.
GOOD = [
    ("Content-Length", req(C12), 1), ("chunked", chunks(CHUNKED), 1), ("Chunked", te(b"Chunked"), 1), ("CHUNKED", te(b"CHUNKED"), 1),
    ("chunks of one", chunks(b"".join(b"1\r\n%c\r\n" % b for b in BODY) + b"0\r\n\r\n"), 1), ("size with zeros", chunks(b"00c\r\n" + BODY + b"\r\n000\r\n\r\n"), 1),
    ("upper-case size", chunks(b"C\r\n" + BODY + b"\r\n0\r\n\r\n"), 1), ("leading CRLF", b"\r\n" + req(C12), 1), ("pair", req(C12) + req(C12), 2),
    ("chunked pair", chunks(CHUNKED) + req(C12), 2), ("Connection: Content-Length", header(b"Connection: Content-Length"), 1), ("Upgrade: h2c", header(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"), 1),
    ("Upgrade: websocket", header(b"Connection: Upgrade\r\nUpgrade: websocket"), 1), ("Expect", header(b"Expect: 100-continue"), 1), ("Expect in capitals", header(b"Expect: 100-Continue"), 1),
    ("lower-case names", req(b"content-length: 12", host=b"host: x", ctype=b"content-type: application/json"), 1), ("no space after the colon", req(b"Content-Length:12", host=b"Host:x"), 1),
    ("Host with a port", req(C12, host=b"Host: x:8080"), 1), ("Host IPv6", req(C12, host=b"Host: [::1]:8080"), 1), ("absolute form, same host", req(C12, start=b"POST http://x" + PATH + b" HTTP/1.1"), 1),
    ("value with tab and high bytes", header(b"X-A: a\tb \xc3\xa9"), 1), ("empty value", header(b"X-A:"), 1), ("64 more headers", header(b"\r\n".join(b"X-%d: v" % i for i in range(64))), 1),
    ("keep-alive", header(b"Connection: keep-alive"), 1),
]


def test_the_table_is_large_enough():
    assert len(BAD) + len(NAMED) + len(EITHER) + len(GOOD) >= 150
    names = [row[0] for row in BAD + NAMED + EITHER + GOOD]
    assert len(names) == len(set(names))


@pytest.fixture(scope="module")
def watch(shared):
    client = Client(shared.port)
    yield client
    client.close()


def credits(watch, account):
    """How many credits of 1.00 an account has; it starts with one."""
    r = ok(watch.balance(account))
    assert re.fullmatch(r"\d+\.00", r.json["balance"]), r
    rows = watch.whole_history(account)
    assert len(rows) == int(r.json["balance"][:-3])
    return len(rows) - 1


def converse(port, wire, methods=("POST",) * 50, half_close=False):
    """Send the bytes, read answers until the peer ends or the follow-up is answered. Returns (answers, closed)."""
    answers = []
    with Conn(port, timeout=10) as conn:
        conn.send(wire)
        if half_close:
            conn.half_close()
        for method in methods:
            try:
                answers.append(conn.answer(method))
            except Closed as e:
                assert e.args[0] == b"", e.args[0]
                return answers, True
            if len(answers) == len(methods):
                break
        return answers, False


@pytest.mark.parametrize("wire", [row[1] for row in BAD], ids=[row[0] for row in BAD])
def test_bad(shared, watch, wire):
    a = fresh("f")
    ok(watch.credit(a, "1"))
    name = a.encode()
    answers, closed = converse(shared.port, wire.replace(PATH, PATH.replace(b"@", name)) + req(C12).replace(b"@", name))
    assert closed and len(answers) == 1, answers
    fails(check(says_durability(answers[0], wire), "POST", "/"), 400)
    assert credits(watch, a) == 0


@pytest.mark.parametrize("wire,statuses", [row[1:] for row in NAMED], ids=[row[0] for row in NAMED])
def test_named(shared, watch, wire, statuses):
    a = fresh("f")
    ok(watch.credit(a, "1"))
    name = a.encode()
    answers, closed = converse(shared.port, wire.replace(PATH, PATH.replace(b"@", name)), half_close=True)
    assert closed and len(answers) == 1, answers
    assert check(says_durability(answers[0], wire), "POST", "/").status in statuses, answers
    assert credits(watch, a) == 0


@pytest.mark.parametrize("wire", [row[1] for row in EITHER], ids=[row[0] for row in EITHER])
def test_either(shared, watch, wire):
    """Refused and closed, or taken as one request with its body: the follow-up is then answered in its turn."""
    a = fresh("f")
    ok(watch.credit(a, "1"))
    name = a.encode()
    first = "HEAD" if wire.startswith(b"HEAD") else "POST"
    both = wire.replace(PATH, PATH.replace(b"@", name)) + req(C12).replace(b"@", name)
    answers, closed = converse(shared.port, both, methods=(first, "POST"))
    says_durability(answers[0], wire)
    if len(answers) == 1:
        assert closed and answers[0].status >= 400, answers
        assert credits(watch, a) == 0
        return
    assert len(answers) == 2, answers
    check(answers[0], first, "/")
    ok(check(answers[1], "POST", "/api/v1/transfers"))
    posted = wire.startswith(b"POST " + PATH) or wire.startswith(b"POST " + PATH + b" HTTP")
    want = 1 + (1 if posted and answers[0].status == 200 else 0)
    assert credits(watch, a) == want
    assert answers[1].json["balance"] == money(100 * (want + 1))


@pytest.mark.parametrize("wire,count", [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_good(shared, watch, wire, count):
    a = fresh("f")
    ok(watch.credit(a, "1"))
    name = a.encode()
    answers, closed = converse(shared.port, (wire + req(C12)).replace(b"@", name), methods=("POST",) * (count + 1))
    assert len(answers) == count + 1, (answers, closed)
    assert [ok(r).json["balance"] for r in answers] == [money(100 * (i + 2)) for i in range(count + 1)]
    assert credits(watch, a) == count + 1


KEY = b"Idempotency-Key: "

# bytes with Accept-Language: en as their last header, the code, a part of the message
REASONS = [
    (get(host=None), "INVALID_REQUEST", "Host"), (get(host=b"Host: a/b"), "INVALID_REQUEST", "Host"),
    (get(b"/livez", b"HTTP/1.1", b"Host: x"), "INVALID_REQUEST", "given twice"), (get(b"nowhere"), "INVALID_REQUEST", "target"),
    (req(C12, C12), "INVALID_REQUEST", "framing"), (req(C12, TEC), "INVALID_REQUEST", "framing"), (te(b"gzip"), "INVALID_REQUEST", "framing"),
    (header(b"Expect: tea"), "INVALID_REQUEST", "Expect"), (get(b"/livez", b"HTTP/1.1", C12), "INVALID_REQUEST", "no body"),
    (get(b"/livez?a=1&a=2"), "INVALID_REQUEST", "query parameter given twice"), (get(b"/livez?a=%zz"), "INVALID_REQUEST", "malformed query"),
    (header(KEY + b"a\r\n" + KEY + b"a"), "INVALID_IDEMPOTENCY_KEY", "given twice"), (header(KEY + b"a\r\n" + KEY + b"b"), "INVALID_IDEMPOTENCY_KEY", "given twice"),
    (header(KEY + "é".encode()), "INVALID_IDEMPOTENCY_KEY", "visible ASCII"), (header(KEY + b"\xff"), "INVALID_IDEMPOTENCY_KEY", "visible ASCII"),
    (header(KEY), "INVALID_IDEMPOTENCY_KEY", "visible ASCII"),
]


@pytest.mark.parametrize("first", [False, True], ids=["language last", "language first"])
@pytest.mark.parametrize("wire,code,words", REASONS, ids=range(len(REASONS)))
def test_the_reason_is_told_in_the_language_that_was_asked_for(shared, wire, code, words, first):
    head, rest = wire.split(b"\r\n\r\n", 1)
    line, fields = head.split(b"\r\n", 1) if b"\r\n" in head else (head, b"")
    fields = [f for f in fields.split(b"\r\n") if f]
    language = [b"Accept-Language: en"]
    fields = language + fields if first else fields + language
    with Conn(shared.port) as conn:
        conn.send(b"\r\n".join([line] + fields).replace(b"@", b"reasons") + b"\r\n\r\n" + rest)
        r = fails(check(conn.answer("POST"), "POST", "/"), 400, code)
    assert words in r.message and r.message.isascii(), r


@pytest.mark.parametrize("wire,code,words", [
    (get(version=b"HTTP/2.0"), "INVALID_REQUEST", "HTTP/1.1"), (header(b"A : b"), "INVALID_REQUEST", "请求头"), (header(b"A: b\r\n c"), "INVALID_REQUEST", "折行"),
    (chunks(b"x\r\n"), "INVALID_REQUEST", "分块"), (header(KEY + b"\x7f"), "INVALID_IDEMPOTENCY_KEY", "ASCII"), (header(KEY + b"a\x00"), "INVALID_IDEMPOTENCY_KEY", "ASCII"),
    (b"\x16\x03\x01\r\n\r\n", "INVALID_REQUEST", "请求行"), (get(b"/a#b"), "INVALID_REQUEST", "请求目标"),
], ids=range(8))
def test_the_reason_of_what_ends_the_reading(shared, wire, code, words):
    with Conn(shared.port) as conn:
        conn.send(wire.replace(b"@", b"reasons"))
        assert words in fails(check(conn.answer("POST"), "POST", "/"), 400, code).message
        assert conn.rest() == b""


class TestIncomplete:
    """The client ends before its request does: nothing is applied."""

    WHOLE = {"cl": req(C12), "chunked": chunks(CHUNKED)}

    @pytest.mark.parametrize("kind", ["cl", "chunked"])
    @pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
    def test_at_every_byte(self, shared, watch, kind, reset):
        a = fresh("f")
        ok(watch.credit(a, "1"))
        wire = self.WHOLE[kind].replace(b"@", a.encode())
        for i in range(0, len(wire)):
            with Conn(shared.port) as conn:
                conn.send(wire[:i])
                if reset:
                    conn.reset()
                    continue
                conn.half_close()
                try:
                    fails(check(says_durability(conn.answer("POST"), wire[:i]), "POST", "/"), 400)
                except Closed as e:
                    assert e.args[0] == b"", e.args[0]
                assert conn.rest() == b""
        assert credits(watch, a) == 0

    def test_missing_last_chunk(self, shared, watch):
        a = fresh("f")
        ok(watch.credit(a, "1"))
        with Conn(shared.port) as conn:
            conn.send(chunks(b"c\r\n" + BODY + b"\r\n").replace(b"@", a.encode()))
            conn.half_close()
            conn.rest()
        assert credits(watch, a) == 0


class TestTrailers:
    def test_a_key_in_a_trailer_is_no_key(self, shared, watch):
        a = fresh("f")
        ok(watch.credit(a, "1"))
        wire = chunks(b"c\r\n" + BODY + b"\r\n0\r\nIdempotency-Key: trailed\r\n\r\n").replace(b"@", a.encode())
        answers, _ = converse(shared.port, wire, methods=("POST",))
        assert answers[0].status in (200, 400)
        assert not ok(watch.credit(a, "2", key="trailed")).replayed

    def test_a_request_id_in_a_trailer_is_not_taken(self, shared, watch):
        wire = chunks(b"c\r\n" + BODY + b"\r\n0\r\nX-Request-Id: trailed\r\n\r\n").replace(b"@", fresh("f").encode())
        answers, _ = converse(shared.port, wire, methods=("POST",))
        assert answers[0].header("X-Request-Id") != "trailed"


class TestPipelining:
    def test_answers_come_in_order(self, shared, watch):
        """Reads, writes and failures mixed: writes wait for their commit, and nothing overtakes them."""
        a = fresh("p")
        ok(watch.credit(a, "1"))
        target = f"/api/v1/wallet/{a}"
        wire, methods, want = b"", [], []
        balance = 100
        for i in range(60):
            kind = i % 6
            if kind in (0, 3):
                wire += build("POST", target + "/credit", BODY)
                balance += 100
                methods.append("POST")
                want.append((200, money(balance)))
            elif kind == 1:
                wire += build("GET", target + "/balance")
                methods.append("GET")
                want.append((200, money(balance)))
            elif kind == 2:
                wire += build("HEAD", target + "/balance")
                methods.append("HEAD")
                want.append((200, None))
            elif kind == 4:
                wire += build("POST", target + "/debit", b'{"amount":100000}')
                methods.append("POST")
                want.append((422, None))
            else:
                wire += build("GET", "/nope")
                methods.append("GET")
                want.append((404, None))
        with Conn(shared.port) as conn:
            conn.send(wire)
            for method, (status, text) in zip(methods, want):
                r = check(conn.answer(method), method, "/")
                assert r.status == status, r
                if text:
                    assert r.json["balance"] == text, r
        assert credits(watch, a) == 20

    def test_a_thousand_in_one_segment(self, shared, watch):
        a = fresh("p")
        ok(watch.credit(a, "1"))
        one = build("POST", f"/api/v1/wallet/{a}/credit", BODY)
        sender = Conn(shared.port)
        with sender as conn:
            # In shares small enough that neither side's buffers can lock the other.
            for share in range(10):
                conn.send(one * 100)
                for i in range(100):
                    assert ok(conn.answer("POST")).json["balance"] == money(100 * (share * 100 + i + 2))
        assert ok(watch.balance(a)).json["balance"] == money(100 * 1001)

    def test_an_error_in_the_middle_stops_the_rest(self, shared, watch):
        a = fresh("p")
        ok(watch.credit(a, "1"))
        good = req(C12).replace(b"@", a.encode())
        for bad in (cl(b"+12"), header(b"A : b"), get(version=b"HTTP/2.0"), te(b"xchunked"), b"\x00\r\n\r\n"):
            before = credits(watch, a)
            answers, closed = converse(shared.port, good * 3 + bad.replace(PATH, PATH.replace(b"@", a.encode())) + good * 3)
            assert closed and [r.status for r in answers] == [200, 200, 200, 400], answers
            assert credits(watch, a) == before + 3

    def test_half_close_after_the_request_is_still_answered(self, shared, watch):
        a = fresh("p")
        ok(watch.credit(a, "1"))
        answers, closed = converse(shared.port, req(C12).replace(b"@", a.encode()) * 5, half_close=True)
        assert closed and [r.status for r in answers] == [200] * 5
        assert credits(watch, a) == 5

    def test_expect_before_head(self, shared):
        """A GET with Expect and no body, then a HEAD: each answer pairs with its request."""
        wire = build("GET", "/livez", headers=[("Expect", "100-continue")]) + build("HEAD", "/livez") + build("GET", "/nope")
        with Conn(shared.port) as conn:
            conn.send(wire)
            first = conn.answer("GET")
            if first.status == 400:
                assert conn.rest() == b""
                return
            assert (first.status, conn.answer("HEAD").status) == (200, 200)
            fails(conn.answer("GET"), 404, "ROUTE_NOT_FOUND")

    def test_413_ends_the_pipeline(self, shared, watch):
        a = fresh("p")
        ok(watch.credit(a, "1"))
        good = req(C12).replace(b"@", a.encode())
        answers, closed = converse(shared.port, good + req(b"Content-Length: 20000", body=good * 150).replace(b"@", a.encode()))
        assert closed and [r.status for r in answers] == [200, 413]
        assert credits(watch, a) == 1


def split_wires():
    """name, bytes with the account as 16 @ signs, methods."""
    account = b"@" * 16
    path = b"/api/v1/wallet/" + account + b"/credit"
    plain = build("POST", path, BODY)
    chunked = build("POST", path, b'5\r\n{"amo\r\n7;x=y\r\nunt":1}\r\n0\r\n\r\n'.replace(b";x=y", b""), [("Transfer-Encoding", "chunked")])
    expect = build("POST", path, BODY, [("Expect", "100-continue")])
    pair = plain + build("GET", path.replace(b"/credit", b"/balance"))
    return [("Content-Length", plain, ["POST"]), ("chunked", chunked, ["POST"]), ("Expect", expect, ["POST"]), ("pair", pair, ["POST", "GET"])]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A server with one loop: what it answered after a piece arrived proves that it saw the piece."""
    from harness import Server

    s = Server(tmp_path_factory.mktemp("single") / "s", "--threads", "1")
    try:
        yield s
        s.stop()
    finally:
        s.reap()


@pytest.mark.parametrize("name,wire,methods", split_wires(), ids=[w[0] for w in split_wires()])
def test_split_at_every_byte(single, name, wire, methods):
    tag = fresh("s")[:8].ljust(8, "x")
    jobs = []
    barrier = Client(single.port)
    positions = list(range(1, len(wire)))
    for start in range(0, len(positions), 128):
        jobs = []
        for i in positions[start : start + 128]:
            account = f"{tag}-{name[:2]}{i:05d}".encode()
            assert len(account) == 16
            conn = Conn(single.port)
            text = wire.replace(b"@" * 16, account)
            conn.send(text[:i])
            jobs.append((i, account, conn, text))
        # Two turns of the only loop lie between the pieces.
        ok(barrier.get("/livez"))
        ok(barrier.get("/livez"))
        for i, account, conn, text in jobs:
            conn.send(text[i:])
        for i, account, conn, text in jobs:
            first = check(conn.answer("POST"), "POST", "/api/v1/wallet/x/credit")
            assert re.fullmatch(
                rb'\{"account_id":"%s","balance":1\.00,"transaction_id":"tx_[A-Za-z0-9_-]+"\}' % account, first.body
            ), (i, first)
            assert first.status == 200 and set(first.interim) <= {100}
            if len(methods) == 2:
                assert conn.answer("GET").body == b'{"account_id":"%s","balance":1.00}' % account, i
            conn.close()
    barrier.close()


def test_one_byte_at_a_time(single):
    c = Client(single.port)
    a = fresh("s")
    with single.conn() as conn:
        for byte in build("POST", f"/api/v1/wallet/{a}/credit", BODY):
            conn.send(bytes([byte]))
            ok(c.get("/livez"))
        assert ok(conn.answer("POST")).json["balance"] == "1.00"
    c.close()


class TestSlowAndRude:
    @pytest.fixture
    def hasty(self, server):
        return server("--head-timeout", "300ms", "--request-timeout", "1s", "--idle-timeout", "1s")

    def test_a_slow_head_is_408(self, hasty):
        with hasty.conn() as conn:
            conn.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
            fails(check(conn.answer(), "GET", "/"), 408, "REQUEST_TIMEOUT")
            assert conn.rest() == b""

    def test_a_dripping_head_is_408(self, hasty):
        """Each byte does not win new time: the deadline is for the whole head."""
        with hasty.conn(timeout=0.02) as conn:
            conn.send(b"GET /livez HTTP/1.1\r\nHost: x\r\nA: ")
            for _ in range(500):
                if not conn.send(b"a"):
                    break
                try:
                    r = conn.answer()
                except socket.timeout:
                    continue
                fails(check(r, "GET", "/"), 408, "REQUEST_TIMEOUT")
                return
            pytest.fail("never cut off")

    def test_a_slow_body_is_408(self, hasty):
        a = fresh()
        with hasty.conn() as conn:
            conn.send(build("POST", f"/api/v1/wallet/{a}/credit", BODY)[:-1])
            fails(check(conn.answer("POST"), "POST", "/"), 408, "REQUEST_TIMEOUT")
            assert conn.rest() == b""
        c = hasty.client()
        fails(c.balance(a), 404, "ACCOUNT_NOT_FOUND")
        c.close()

    def test_an_idle_connection_ends_in_silence(self, hasty):
        with hasty.conn() as conn:
            conn.send(build("GET", "/livez"))
            assert conn.answer().status == 200
            assert conn.rest() == b""

    def test_more_connections_than_the_limit(self, server):
        """At most eight are held at once; the service lives on, and a freed place is used again."""
        s = server("--connections", "8")

        def sockets():
            folder = f"/proc/{s.proc.pid}/fd"
            out = 0
            for fd in os.listdir(folder):
                try:
                    out += os.readlink(f"{folder}/{fd}").startswith("socket:")
                except OSError:
                    pass
            return out

        bare = sockets()
        conns = []
        try:
            for _ in range(24):
                conns.append(s.conn(timeout=2))
            for conn in conns:
                conn.send(build("GET", "/livez"))
            served = 0
            for conn in conns[:8]:
                try:
                    r = check(conn.answer(), "GET", "/")
                    assert r.status in (200, 503), r
                    served += r.status == 200
                except Closed:
                    pass
            assert served >= 1
            end = time.monotonic() + 5
            while sockets() > bare + 8:
                assert time.monotonic() < end, f"{sockets() - bare} connections held, the limit is 8"
                time.sleep(0.01)
        finally:
            for conn in conns:
                conn.close()
        c = s.client()
        end = time.monotonic() + 5
        while True:
            try:
                r = c.credit(fresh(), "1")
                if r.status == 200:
                    break
            except Closed:
                c.close()
            assert time.monotonic() < end, "no place is freed"
        for _ in range(30):
            with s.conn() as conn:
                conn.send(build("GET", "/livez", headers=[("Connection", "close")]))
                assert conn.answer().status in (200, 503)
        c.close()

    def test_a_client_that_never_reads(self, shared, watch):
        """Back-pressure: its answers pile up to a bound only, others are served, and it is no loss when it goes."""
        a = fresh()
        for i in range(60):
            ok(watch.credit(a, "1", reference="r" * 128))
        one = build("GET", f"/api/v1/wallet/{a}/transactions?limit=200")
        conn = Conn(shared.port, receive_buffer=4096)
        conn.sock.setblocking(False)
        sent = 0
        try:
            for _ in range(200_000):
                try:
                    sent += conn.sock.send(one * 10)
                except BlockingIOError:
                    ok(watch.get("/livez"))
                    break
                except (BrokenPipeError, ConnectionResetError):
                    break
            else:
                pytest.fail(f"took {sent} bytes of requests whose answers nobody reads")
            for _ in range(20):
                ok(watch.balance(a))
        finally:
            conn.close()
        assert ok(watch.balance(a)).json["balance"] == "60.00"

    def test_resets_while_answers_are_sent(self, shared, watch):
        """RST right after the request: each is applied once or not at all, the next client is served."""
        a = fresh()
        ok(watch.credit(a, "1"))
        wire = req(C12).replace(b"@", a.encode())
        for _ in range(100):
            with Conn(shared.port) as conn:
                conn.send(wire * 3)
                conn.reset()
        # Some are still on their way: those that were read count, once each.
        end = time.monotonic() + 10
        before = -1
        while True:
            now = minor(ok(watch.balance(a)).json["balance"]) // 100
            if now == before:
                break
            before = now
            assert time.monotonic() < end, "never comes to rest"
            for _ in range(20):
                ok(watch.get("/livez"))
        assert 0 <= credits(watch, a) <= 300
        ok(watch.credit(a, "1"))

    def test_connection_churn(self, shared):
        for _ in range(500):
            with Conn(shared.port):
                pass
        with Conn(shared.port) as conn:
            conn.send(build("GET", "/livez"))
            assert conn.answer().status == 200


def test_a_free_port_is_free():
    with socket.socket() as s:
        s.bind((HOST, free_port()))
