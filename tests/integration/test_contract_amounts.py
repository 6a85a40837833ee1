"""Money on the wire: what is an amount, what fits, how it is written."""

import pytest

from harness import LIMIT_MINOR, Num, fails, fresh, money, ok

EXACT = [
    ("100", "100.00"), ("100.00", "100.00"), ("100.000", "100.00"), ('"100.00"', "100.00"), ('"100"', "100.00"),
    ("1E+2", "100.00"), ("1e2", "100.00"), ("1.5e1", "15.00"), ("0.01", "0.01"), ("1e-2", "0.01"), ("10e-1", "1.00"),
    ("0.1", "0.10"), ("0.10000", "0.10"), ('"1E+2"', "100.00"), ("1.0", "1.00"), ("100e-2", "1.00"),
    ("0.0100000", "0.01"), ("9999999999999.99", "9999999999999.99"), ("9999999999999.990", "9999999999999.99"),
    ("999999999999999e-2", "9999999999999.99"), ("1" + "0" * 12, "1" + "0" * 12 + ".00"), ("1e12", "1" + "0" * 12 + ".00"),
    ("0.00000000000000000001e20", "1.00"), ("100000000000000000000e-20", "1.00"), ("1e-0", "1.00"), ("1e00", "1.00"),
    ("1." + "0" * 62, "1.00"), ('"1.' + "0" * 62 + '"', "1.00"), ("1." + "0" * 61, "1.00"),
    ("\\u0031", None),
]

INVALID_AMOUNT = [
    "0.001", "1e-400", "1e400", "1e1000000000", "1e-1000000000", "1E99999999999999999999", "0.009999", "1.005", "1e-3",
    "10000000000000", "10000000000000.00", "99999999999999.99", "1" * 16, "1234567890123456", "0.1234567890123456",
    "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e13", "1" + "0" * 60,
    "1." + "0" * 63, '"1.' + "0" * 63 + '"', "1" * 65, "0." + "0" * 63 + "1", "1" * 8000, '"' + "1" * 8000 + '"',
    "0", "0.00", "-0", "-0.0", "0e5", "-5", "-0.01", "-1e2", '"0"', '"-5"', '"-0"', "-9223372036854775808",
    '"1,000"', '" 1"', '"1 "', '""', '" "', '"abc"', '"NaN"', '"Infinity"', '"01"', '"1."', '".5"', '"+5"', '"0x10"',
    '"1e"', '"1e+"', '"--1"', '"1_000"', '"１００"', '"1.0.0"', '"¥1"', '"null"', '"[1]"', '"1\\n"',
    "true", "false", "null", "[]", "{}", "[1]", '{"value":1}', '["1"]', "-9999999999999999999",
]

NOT_JSON = [
    "NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+5", "0x10", "1e", "1e+", "-", "--1", "1_000", "1,000", "1 000",
    '"\\u0031\\u0000"', "00", "-01", "0x", "1.e5", "1.2.3", "'1'", "nan", "inf", "1f", "1L", "True", "None", "undefined", "", "１",
]


@pytest.mark.parametrize("text,balance", [e for e in EXACT if e[1]], ids=lambda v: str(v)[:30])
def test_exact(c, text, balance):
    a = fresh()
    r = ok(c.post(f"/api/v1/wallet/{a}/credit", '{"amount":%s}' % text))
    assert r.json["balance"] == Num(balance), r
    assert c.balance(a).body == b'{"account_id":"%s","balance":%s}' % (a.encode(), balance.encode())
    assert ok(c.history(a)).json["transactions"][0]["amount"] == balance


@pytest.mark.parametrize("text", INVALID_AMOUNT, ids=lambda v: str(v)[:30])
def test_invalid_amount(c, text):
    a, b = fresh(), fresh()
    ok(c.credit(a, "7"))
    ok(c.credit(b, "7"))
    body = '{"amount":%s}' % text
    for op in ("credit", "debit"):
        fails(c.post(f"/api/v1/wallet/{a}/{op}", body), 400, "INVALID_AMOUNT")
    fails(c.post("/api/v1/transfers", '{"from":"%s","to":"%s","amount":%s}' % (a, b, text)), 400, "INVALID_AMOUNT")
    assert c.balance(a).json["balance"] == "7.00"
    assert len(c.whole_history(a)) == 1 and len(c.whole_history(b)) == 1


@pytest.mark.parametrize("text", NOT_JSON, ids=lambda v: str(v)[:30] or "nothing")
def test_not_json(c, text):
    a = fresh()
    ok(c.credit(a, "7"))
    body = '{"amount":%s}' % text
    fails(c.post(f"/api/v1/wallet/{a}/credit", body), 400, "INVALID_REQUEST")
    fails(c.post(f"/api/v1/wallet/{a}/debit", body), 400, "INVALID_REQUEST")
    assert c.balance(a).json["balance"] == "7.00"


@pytest.mark.parametrize(
    "currency,smallest,below,zero",
    [("CNY", "0.01", "0.001", "0.00"), ("JPY", "1", "0.1", "0"), ("KWD", "0.001", "0.0001", "0.000"),
     ("USD", "0.01", "0.005", "0.00")],
)
def test_exponents(c, currency, smallest, below, zero):
    a = fresh()
    ok(c.open(a, currency=currency), 201)
    assert c.balance(a).body == b'{"account_id":"%s","balance":%s}' % (a.encode(), zero.encode())
    assert ok(c.credit(a, smallest)).json["balance"] == smallest
    fails(c.credit(a, below), 400, "INVALID_AMOUNT")
    fails(c.debit(a, below), 400, "INVALID_AMOUNT")
    assert ok(c.debit(a, smallest)).json["balance"] == zero
    doc = ok(c.account(a)).json
    assert [doc[k] for k in ("balance", "held", "available", "overdraft_limit")] == [zero] * 4


def test_jpy_takes_fractions_that_are_zero(c):
    a = fresh()
    ok(c.open(a, currency="JPY"), 201)
    assert ok(c.credit(a, "100.00")).json["balance"] == "100"
    assert ok(c.credit(a, "1e2")).json["balance"] == "200"


@pytest.mark.parametrize("currency", ["CNY", "JPY", "KWD"])
def test_the_amount_ceiling_one_below_at_and_above(c, currency):
    for offset in (-1, 0):
        a = fresh()
        ok(c.open(a, currency=currency), 201)
        want = money(LIMIT_MINOR + offset, currency)
        assert ok(c.credit(a, want)).json["balance"] == want
    a = fresh()
    ok(c.open(a, currency=currency), 201)
    fails(c.credit(a, money(LIMIT_MINOR + 1, currency)), 400, "INVALID_AMOUNT")
    fails(c.debit(a, money(LIMIT_MINOR + 1, currency)), 400, "INVALID_AMOUNT")
    assert c.balance(a).json["balance"] == money(0, currency)


def test_the_balance_ceiling_one_below_at_and_above(c):
    a = fresh()
    ok(c.credit(a, money(LIMIT_MINOR - 1)))
    fails(c.credit(a, "0.02"), 422, "BALANCE_LIMIT_EXCEEDED")
    assert ok(c.credit(a, "0.01")).json["balance"] == money(LIMIT_MINOR)
    fails(c.credit(a, "0.01"), 422, "BALANCE_LIMIT_EXCEEDED")
    fails(c.credit(a, money(LIMIT_MINOR)), 422, "BALANCE_LIMIT_EXCEEDED")
    b = fresh()
    ok(c.credit(b, "5"))
    fails(c.transfer(b, a, "0.01"), 422, "BALANCE_LIMIT_EXCEEDED")
    assert c.balance(a).json["balance"] == money(LIMIT_MINOR)
    assert c.balance(b).json["balance"] == "5.00"
    assert ok(c.debit(a, money(LIMIT_MINOR))).json["balance"] == "0.00"


def test_a_hundred_cents_are_one(c):
    a = fresh()
    for i in range(1, 101):
        assert ok(c.credit(a, "0.01")).json["balance"] == money(i)
    assert c.balance(a).json["balance"] == "1.00"


class TestOverdraft:
    def test_down_to_the_limit(self, c):
        a = fresh()
        ok(c.open(a, overdraft_limit=Num("10.00")), 201)
        doc = c.account(a).json
        assert (doc["overdraft_limit"], doc["available"], doc["balance"]) == ("10.00", "10.00", "0.00")
        assert ok(c.debit(a, "9.99")).json["balance"] == "-9.99"
        assert ok(c.debit(a, "0.01")).json["balance"] == "-10.00"
        fails(c.debit(a, "0.01"), 422, "INSUFFICIENT_BALANCE")
        doc = c.account(a).json
        assert (doc["balance"], doc["available"]) == ("-10.00", "0.00")
        assert c.balance(a).body == b'{"account_id":"%s","balance":-10.00}' % a.encode()
        assert ok(c.credit(a, "9.95")).json["balance"] == "-0.05"
        assert ok(c.credit(a, "0.05")).json["balance"] == "0.00"

    @pytest.mark.parametrize("text", ["0", "0.00", '"0"', "5", '"5.00"', "9999999999999.99"])
    def test_taken(self, c, text):
        a = fresh()
        ok(c.post("/api/v1/wallet", '{"account_id":"%s","overdraft_limit":%s}' % (a, text)), 201)
        want = {"5": "5.00", '"5.00"': "5.00", "9999999999999.99": "9999999999999.99"}.get(text, "0.00")
        assert c.account(a).json["overdraft_limit"] == want

    @pytest.mark.parametrize("text", ["-1", "10000000000000", "0.001", "true", '"x"', "null", "[]", "1e400"])
    def test_refused(self, c, text):
        a = fresh()
        r = c.post("/api/v1/wallet", '{"account_id":"%s","overdraft_limit":%s}' % (a, text))
        fails(r, 400, ("INVALID_AMOUNT", "INVALID_REQUEST"))
        fails(c.account(a), 404, "ACCOUNT_NOT_FOUND")
