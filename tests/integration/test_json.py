"""Hostile JSON: what is no JSON object of ours is refused, moves nothing, and never costs a 5xx."""

import pytest

from harness import Num, dump, fails, fresh, ok

DEEP = 100_000

# name, body: all are INVALID_REQUEST.
REFUSED = [
    ("empty", b""), ("blank", b"   "), ("null", b"null"), ("true", b"true"), ("number", b"1"), ("string", b'"amount"'),
    ("array", b'[{"amount":1}]'), ("empty array", b"[]"), ("empty object", b"{}"), ("open object", b'{"amount":1'),
    ("open string", b'{"amount":"1'), ("open name", b'{"amount'), ("no colon", b'{"amount" 1}'), ("no value", b'{"amount":}'),
    ("trailing comma", b'{"amount":1,}'), ("leading comma", b'{,"amount":1}'), ("two commas", b'{"amount":1,,"reference":"r"}'),
    ("no comma", b'{"amount":1 "reference":"r"}'), ("bare name", b"{amount:1}"), ("single quotes", b"{'amount':1}"),
    ("comment", b'{"amount":1/*x*/}'), ("line comment", b'{"amount":1}//x'), ("hash comment", b'{"amount":1}#x'),
    ("leading comment", b'/**/{"amount":1}'), ("trailing bytes", b'{"amount":1}x'), ("two documents", b'{"amount":1}{"amount":1}'),
    ("two documents, newline", b'{"amount":1}\n{"amount":1}'), ("trailing array", b'{"amount":1}[]'), ("trailing brace", b'{"amount":1}}'),
    ("trailing comma after", b'{"amount":1},'), ("trailing NUL", b'{"amount":1}\x00'), ("leading NUL", b'\x00{"amount":1}'),
    ("NUL between", b'{"amount":\x001}'), ("BOM", b'\xef\xbb\xbf{"amount":1}'), ("UTF-16 LE", '{"amount":1}'.encode("utf-16-le")),
    ("UTF-16 BE", '{"amount":1}'.encode("utf-16-be")), ("UTF-16 BOM", '{"amount":1}'.encode("utf-16")),
    ("UTF-32", '{"amount":1}'.encode("utf-32")), ("form feed", b'{\x0c"amount":1}'), ("vertical tab", b'{\x0b"amount":1}'),
    ("NBSP", b'{\xc2\xa0"amount":1}'), ("line separator", b'{\xe2\x80\xa8"amount":1}'), ("form", b"amount=1"),
    ("same name twice", b'{"amount":1,"amount":1}'), ("two amounts", b'{"amount":1,"amount":2}'),
    ("name twice by escape", b'{"amount":1,"\\u0061mount":2}'), ("name twice by escape, first", b'{"\\u0061mount":1,"amount":2}'),
    ("reference twice", b'{"amount":1,"reference":"a","reference":"b"}'),
    ("metadata twice", b'{"amount":1,"metadata":{},"metadata":{}}'), ("key in metadata twice", b'{"amount":1,"metadata":{"k":"1","k":"2"}}'),
    ("unknown", b'{"amount":1,"x":1}'), ("unknown empty name", b'{"amount":1,"":1}'), ("unknown case", b'{"amount":1,"Amount":1}'),
    ("unknown with NUL", b'{"amount":1,"amount\\u0000":1}'), ("__proto__", b'{"amount":1,"__proto__":{}}'),
    ("raw NUL in reference", b'{"amount":1,"reference":"a\x00b"}'), ("escaped NUL in reference", b'{"amount":1,"reference":"a\\u0000b"}'),
    ("escaped NUL in metadata", b'{"amount":1,"metadata":{"k":"\\u0000"}}'), ("escaped NUL in metadata name", b'{"amount":1,"metadata":{"\\u0000":"v"}}'),
    ("raw newline in string", b'{"amount":1,"reference":"a\nb"}'), ("raw tab in string", b'{"amount":1,"reference":"a\tb"}'),
    ("raw 0x1f in string", b'{"amount":1,"reference":"a\x1fb"}'), ("bad escape", b'{"amount":1,"reference":"\\x41"}'),
    ("bad escape a", b'{"amount":1,"reference":"\\a"}'), ("short escape", b'{"amount":1,"reference":"\\u00"}'),
    ("no hex escape", b'{"amount":1,"reference":"\\u00zz"}'), ("ends in backslash", b'{"amount":1,"reference":"\\"}'),
    ("invalid UTF-8", b'{"amount":1,"reference":"\xff"}'), ("lone continuation", b'{"amount":1,"reference":"\x80"}'),
    ("overlong slash", b'{"amount":1,"reference":"\xc0\xaf"}'), ("overlong NUL", b'{"amount":1,"reference":"\xc0\x80"}'),
    ("overlong 3", b'{"amount":1,"reference":"\xe0\x80\xaf"}'), ("overlong 4", b'{"amount":1,"reference":"\xf0\x80\x80\xaf"}'),
    ("truncated UTF-8", b'{"amount":1,"reference":"\xe5\xbc"}'), ("encoded surrogate", b'{"amount":1,"reference":"\xed\xa0\x80"}'),
    ("past U+10FFFF", b'{"amount":1,"reference":"\xf4\x90\x80\x80"}'), ("five bytes", b'{"amount":1,"reference":"\xf8\x88\x80\x80\x80"}'),
    ("invalid UTF-8 in name", b'{"amount":1,"\xff":1}'), ("invalid UTF-8 outside", b'{"amount":1\xff}'),
    ("lone high surrogate", b'{"amount":1,"reference":"\\ud800"}'), ("lone low surrogate", b'{"amount":1,"reference":"\\udc00"}'),
    ("swapped surrogates", b'{"amount":1,"reference":"\\udc00\\ud800"}'), ("high then letter", b'{"amount":1,"reference":"\\ud800a"}'),
    ("lone surrogate in metadata name", b'{"amount":1,"metadata":{"\\ud83d":"v"}}'),
    ("depth 9", b'{"amount":1,"metadata":' + b'{"k":' * 8 + b'"v"' + b"}" * 9), ("deep metadata", b'{"amount":1,"metadata":{"k":{"k":"v"}}}'),
    ("7000 opening arrays", b"[" * 7000), ("7000 opening arrays in a member", b'{"x":' + b"[" * 7000),
    ("7000 balanced arrays", b"[" * 7000 + b"]" * 7000), ("3000 open array object", b'[{"":' * 3000),
    ("3000 open objects", b'{"a":' * 3000), ("deep amount", b'{"amount":' + b"[" * 7000 + b"1" + b"]" * 7000 + b"}"),
    ("NaN", b'{"amount":NaN}'), ("Infinity", b'{"amount":Infinity}'), ("plus", b'{"amount":+1}'), ("01", b'{"amount":01}'),
    ("hex", b'{"amount":0x1}'), ("1.", b'{"amount":1.}'), (".1", b'{"amount":.1}'), ("1e", b'{"amount":1e}'), ("-", b'{"amount":-}'),
    ("True", b'{"amount":True}'), ("nul", b'{"amount":nul}'), ("two values", b'{"amount":1 1}'), ("full width digit", b'{"amount":\xef\xbc\x91}'),
    ("other type", b'{"amount":1,"currency":{}}'), ("only name", b'{"amount"}'), ("colon twice", b'{"amount"::1}'),
    ("null name", b"{null:1}"), ("number name", b'{1:1,"amount":1}'), ("array name", b'{[]:1,"amount":1}'),
]

# name, body: all credit 1.00.
TAKEN = [
    ("plain", b'{"amount":1}'), ("white space", b' \t\r\n{ \n"amount"\t:\r1 } \n'), ("escaped name", b'{"\\u0061mount":1}'),
    ("noncharacters", b'{"amount":1,"reference":"\xef\xbf\xbe\xef\xbf\xbf"}'), ("emoji", '{"amount":1,"reference":"😀"}'.encode()),
    ("surrogate pair", b'{"amount":1,"reference":"\\ud83d\\ude00"}'), ("escapes", b'{"amount":1,"reference":"\\"\\\\\\/"}'),
    ("U+10FFFF", b'{"amount":1,"reference":"\xf4\x8f\xbf\xbf"}'),
    ("empty metadata", b'{"amount":1,"metadata":{}}'), ("empty values", b'{"metadata":{"":""},"amount":"1"}'),
    ("upper escapes", b'{"amount":1,"reference":"\\u00E9\\u00e9"}'), ("line separators", b'{"amount":1,"reference":"\xe2\x80\xa8"}'),
]


@pytest.mark.parametrize("body", [b for _, b in REFUSED], ids=[n for n, _ in REFUSED])
def test_refused(c, body):
    a = fresh()
    ok(c.credit(a, "7"))
    for op in ("credit", "debit"):
        fails(c.post(f"/api/v1/wallet/{a}/{op}", body), 400, "INVALID_REQUEST")
    fails(c.post("/api/v1/transfers", body), 400, "INVALID_REQUEST")
    if body.strip() not in (b"{}",):
        fails(c.post("/api/v1/wallet", body), 400, "INVALID_REQUEST")
    assert c.balance(a).json["balance"] == "7.00"
    assert len(c.whole_history(a)) == 1


@pytest.mark.parametrize("body", [b for _, b in TAKEN], ids=[n for n, _ in TAKEN])
def test_taken(c, body):
    a = fresh()
    assert ok(c.post(f"/api/v1/wallet/{a}/credit", body)).json["balance"] == "1.00"


@pytest.mark.parametrize("body", [b"[" * DEEP, b'[{"":' * 50_000, b"1" * 1_000_000, b'{"amount":' + b"1" * 1_000_000 + b"}"],
                         ids=["arrays", "objects", "digits", "digits in amount"])
def test_large_bodies_are_cut_off(c, body):
    a = fresh()
    ok(c.credit(a, "7"))
    fails(c.post(f"/api/v1/wallet/{a}/credit", body), 413, "PAYLOAD_TOO_LARGE")
    assert c.balance(a).json["balance"] == "7.00"


def test_every_cut_of_a_body_is_refused(c):
    """No prefix of a document is a document."""
    a = fresh()
    ok(c.credit(a, "7"))
    body = dump({"amount": Num("1.5"), "currency": "CNY", "reference": "é\"x", "metadata": {"k": "v"}}).encode()
    for i in range(len(body)):
        fails(c.post(f"/api/v1/wallet/{a}/credit", body[:i]), 400, "INVALID_REQUEST")
    assert ok(c.post(f"/api/v1/wallet/{a}/credit", body)).json["balance"] == "8.50"


def test_every_single_byte_change_is_judged(c):
    """Flip each byte of a body in a few ways: an answer each time, never a 5xx, and the balance says what was taken."""
    a = fresh()
    ok(c.credit(a, "7"))
    body = b'{"amount":1,"reference":"r"}'
    expected = 700
    for i in range(len(body)):
        for value in (0x00, 0x1F, 0x22, 0x2C, 0x5C, 0x7B, 0x7D, 0x80, 0xFF, body[i] ^ 0x20, body[i] ^ 1):
            r = c.post(f"/api/v1/wallet/{a}/credit", body[:i] + bytes([value]) + body[i + 1 :])
            assert r.status in (200, 400), r
            if r.status == 200:
                rows = ok(c.history(a, "limit=1")).json["transactions"]
                expected += int(rows[0]["amount"].replace(".", ""))
                assert r.json["balance"] == f"{expected // 100}.{expected % 100:02d}"
    assert c.balance(a).json["balance"] == f"{expected // 100}.{expected % 100:02d}"


@pytest.mark.parametrize("text", ["\t", "\n", "\r\n", "\x01", "\x1b[31m", "\x7f", "\x85", "a\u0080b"], ids=ascii)
def test_control_characters_are_text_too(c, text):
    """The contract refuses NUL and bad UTF-8, nothing else: an escaped newline in a reference or in metadata is stored as it is."""
    a, b, d = fresh(), fresh(), fresh()
    ok(c.credit(a, "1", reference=text))
    assert c.history(a).json["transactions"][0]["reference"] == text
    ok(c.credit(b, "1", metadata={"k": text}))
    ok(c.open(d, metadata={"k": text}), 201)
    assert c.account(d).json["metadata"] == {"k": text}


NAUGHTY = ["undefined", "NULL", "(null)", "1;DROP TABLE accounts", "' OR 1=1 --", "<script>alert(1)</script>", "%s%n%x", "$(id)", "`id`",
           "../../etc/passwd", "{{7*7}}", "\u202etest\u202c", "Ω≈ç√", "社會科學院", "ﷺ", "\u200b", "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮", "👾🙇💁", "０１２", "\r\nSet-Cookie: x=1",
           "\u0085", "\ufeff", "İ", "ß", "\x7f", "￥1,000.00", " leading", "trailing ", "\\", '"', "'", "\\u0041", "true", "0x1", "-1"]


@pytest.mark.parametrize("text", NAUGHTY, ids=lambda t: ascii(t)[:20])
def test_naughty_strings_are_stored_exactly(c, text):
    assert len(text.encode()) <= 128
    a = fresh()
    r = c.credit(a, "1", reference=text, metadata={text: text})
    if not text.isprintable() and r.status == 400:
        fails(r, 400, "INVALID_REQUEST")
        fails(c.balance(a), 404)
        return
    ok(r)
    assert c.history(a).json["transactions"][0]["reference"] == text
    assert c.get(f"/api/v1/transactions/{r.json['transaction_id']}").json["reference"] == text
    b = fresh()
    ok(c.open(b, metadata={text: text}), 201)
    assert c.account(b).json["metadata"] == {text: text}
    for bad in (c.open(text), c.transfer(text, a, "1"), c.credit(a, "1", currency=text)):
        assert bad.status in (201, 400, 404, 422), bad
        if bad.status == 404:
            assert bad.code == "ACCOUNT_NOT_FOUND"
