"""Account ids in paths and bodies, and transaction ids."""

import pytest

from harness import dump, fails, fresh, ok

VALID = ["a", "0", "Z9", "a.b", "a_b", "a:b", "a@b", "a-b", "a" * 63, "a" * 64, "a..", "a@world", "1-._:@", "x--y",
         "user@example.com", "urn:x:1", "00000000-0000-0000-0000-000000000000"]

# Raw path segments that decode to no valid id.
INVALID = [
    "a" * 65, "a" * 1000, ".", "..", "...", "-a", "_a", ".a", ":a", "@a", "@world", "@world:CNY", "%40world", "a%20b",
    "a+b", "a!b", "a~b", "a$b", "a&b", "a'b", "a(b)", "a*b", "*", "a,b", "a;b", "a=b", "a%3Fb", "a[b", "a]b", "a{b}c",
    "{x}", "{a}", "%7Bx%7D", "a%7Bb%7Dc", "a%00b", "%00", "a%00", "%c0%ae", "%C0%AE%C0%AE", "a%ff", "%ff%fe", "%ed%a0%80",
    "a%2Fb", "a%2fb", "..%5c", "a%5cb", "a%5Cb", "%2e%2e", "%2e%2e%2f", "%252e", "a%2541", "%2541", "a%25", "a%0d%0ab",
    "a%0Ab", "a%09b", "a%7F", "a%22b", "a%27b", "caf%C3%A9", "cafe%CC%81", "%E5%BC%A0%E4%B8%89", "a%E2%80%8B", "%EF%BB%BFa",
    "a%zz", "a%4", "a%", "%", "%%", "a%4g", "%u0041", "a|b", "a<b>", 'a"b', "a^b", "a`b", "a\\b",
]


def call(c, segment):
    return c.get(f"/api/v1/wallet/{segment}/balance")


@pytest.mark.parametrize("text", VALID, ids=lambda v: v[:20])
def test_valid(c, text):
    before = c.balance(text)
    start = 0 if before.status == 404 else int(before.json["balance"].replace(".", ""))
    r = ok(c.credit(text, "1"))
    assert r.json["account_id"] == text
    assert c.balance(text).body.startswith(b'{"account_id":"%s","balance":' % text.encode())
    assert int(c.balance(text).json["balance"].replace(".", "")) == start + 100
    encoded = "".join(f"%{b:02X}" for b in text.encode())
    assert c.balance(encoded).body == c.balance(text).body
    assert c.balance(encoded.lower()).json["account_id"] == text
    fails(c.transfer(text, "nobody-" + fresh(), "1"), 404, "ACCOUNT_NOT_FOUND")


@pytest.mark.parametrize("segment", INVALID, ids=lambda v: v[:20])
def test_invalid_in_each_path(c, segment):
    for r in (
        c.get(f"/api/v1/wallet/{segment}/balance"),
        c.get(f"/api/v1/wallet/{segment}"),
        c.get(f"/api/v1/wallet/{segment}/transactions"),
        c.post(f"/api/v1/wallet/{segment}/credit", '{"amount":1}'),
        c.post(f"/api/v1/wallet/{segment}/debit", '{"amount":1}'),
    ):
        fails(r, 400, "INVALID_ACCOUNT_ID")


def test_an_empty_segment_is_no_account(c):
    for r in (c.get("/api/v1/wallet//balance"), c.post("/api/v1/wallet//credit", '{"amount":1}'),
              c.get("/api/v1/wallet//transactions")):
        assert r.status in (400, 404) and r.code in ("INVALID_ACCOUNT_ID", "ROUTE_NOT_FOUND"), r


@pytest.mark.parametrize("raw", [b"caf\xc3\xa9", b"\xff", b"a\xc0\xaf", b"a\x80"])
def test_raw_bytes_above_ascii(c, raw):
    r = c.request("GET", b"/api/v1/wallet/" + raw + b"/balance")
    assert r.status == 400 and r.code in ("INVALID_ACCOUNT_ID", "INVALID_REQUEST"), r


def test_case_twins_are_two_accounts(c):
    a = fresh("Case")
    ok(c.credit(a, "1"))
    ok(c.credit(a.lower(), "2"))
    ok(c.credit(a.upper(), "3"))
    assert [c.balance(x).json["balance"] for x in (a, a.lower(), a.upper())] == ["1.00", "2.00", "3.00"]


def test_decoded_once_and_looked_up_decoded(c):
    a = fresh()
    ok(c.credit("%" + f"{ord(a[0]):02x}" + a[1:], "4"))
    assert ok(c.balance(a)).json == {"account_id": a, "balance": "4.00"}


BODY_IDS = ["", "a" * 65, "@world", ".a", "a b", "a/b", "é", "a\n", "a{b}", "张三", "..", "a%41", "*", "a\u200b", "-"]


@pytest.mark.parametrize("text", BODY_IDS, ids=lambda v: repr(v)[:20])
def test_invalid_in_bodies(c, text):
    a = fresh()
    ok(c.credit(a, "5"))
    fails(c.transfer(text, a, "1"), 400, "INVALID_ACCOUNT_ID")
    fails(c.transfer(a, text, "1"), 400, "INVALID_ACCOUNT_ID")
    fails(c.open(text), 400, "INVALID_ACCOUNT_ID")
    assert c.balance(a).json["balance"] == "5.00"


@pytest.mark.parametrize("value", [5, None, True, [], {}, ["a"]], ids=dump)
def test_wrong_type_in_bodies(c, value):
    a = fresh()
    ok(c.credit(a, "5"))
    fails(c.post("/api/v1/transfers", dump({"from": value, "to": a, "amount": 1})), 400, "INVALID_REQUEST")
    fails(c.post("/api/v1/transfers", dump({"from": a, "to": value, "amount": 1})), 400, "INVALID_REQUEST")
    fails(c.post("/api/v1/wallet", dump({"account_id": value})), 400, "INVALID_REQUEST")


def test_a_nul_in_a_body_id(c):
    a = fresh()
    ok(c.credit(a, "5"))
    fails(c.post("/api/v1/transfers", '{"from":"%s","to":"a\\u0000b","amount":1}' % a), 400, "INVALID_REQUEST")
    fails(c.post("/api/v1/wallet", '{"account_id":"a\\u0000"}'), 400, "INVALID_REQUEST")


@pytest.mark.parametrize("text", ["tx_nope", "tx_", "x", "tx_" + "0" * 29, "tx_" + "a" * 61, "0", "-1", "tx_%00", "%c0%af",
                                  "tx_{a}", "TX_1", "..", "tx_*", "9" * 200])
def test_unknown_transaction_ids(c, text):
    fails(c.get(f"/api/v1/transactions/{text}"), 404, "TRANSACTION_NOT_FOUND")


def test_a_neighbour_of_a_transaction_id_is_unknown(c):
    real = ok(c.credit(fresh(), "1")).json["transaction_id"]
    ok(c.get(f"/api/v1/transactions/{real}"))
    last = real[-1]
    for other in (real + "0", real[:-1], real[:-1] + ("0" if last != "0" else "1"), real.upper(), real + "%20", "%20" + real):
        if other != real:
            fails(c.get(f"/api/v1/transactions/{other}"), 404, "TRANSACTION_NOT_FOUND")
