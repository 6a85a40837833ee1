"""The seed's three endpoints and its error envelope, to the byte."""

import re

import pytest

from harness import Num, TX_ID, dump, fails, fresh, ok


def raw_post(c, path, text, **kw):
    return c.post(path, text, **kw)


def test_credit_opens_and_answers_the_seed_bytes(c):
    a = fresh()
    r = ok(c.credit(a, "1000.00"))
    assert r.header("Content-Type").split(";")[0] == "application/json"
    assert re.fullmatch(
        rb'\{"account_id":"%s","balance":1000\.00,"transaction_id":"tx_[A-Za-z0-9_-]{1,29}"\}' % a.encode(), r.body
    ), r
    r = ok(c.credit(a, "100.00"))
    assert re.fullmatch(
        rb'\{"account_id":"%s","balance":1100\.00,"transaction_id":"tx_[A-Za-z0-9_-]{1,29}"\}' % a.encode(), r.body
    ), r
    r = ok(c.debit(a, "50.00"))
    assert re.fullmatch(
        rb'\{"account_id":"%s","balance":1050\.00,"transaction_id":"tx_[A-Za-z0-9_-]{1,29}"\}' % a.encode(), r.body
    ), r
    r = ok(c.balance(a))
    assert r.body == b'{"account_id":"%s","balance":1050.00}' % a.encode()


def test_seed_account_id_of_digits(c):
    r = ok(c.credit("123456", "1000.00"))
    assert r.body.startswith(b'{"account_id":"123456","balance":')
    assert c.balance("123456").body.startswith(b'{"account_id":"123456","balance":')


def test_insufficient_balance_is_the_seed_bytes(c):
    a = fresh()
    ok(c.credit(a, "10"))
    r = fails(c.debit(a, "10.01"), 422, "INSUFFICIENT_BALANCE")
    assert r.body == '{"error":{"code":"INSUFFICIENT_BALANCE","message":"账户余额不足"}}'.encode()
    assert c.balance(a).body == b'{"account_id":"%s","balance":10.00}' % a.encode()


def test_debit_one_below_at_and_one_above_the_balance(c):
    a = fresh()
    ok(c.credit(a, "10.00"))
    fails(c.debit(a, "10.01"), 422, "INSUFFICIENT_BALANCE")
    assert ok(c.debit(a, "9.99")).json["balance"] == "0.01"
    assert ok(c.debit(a, "0.01")).json["balance"] == "0.00"
    fails(c.debit(a, "0.01"), 422, "INSUFFICIENT_BALANCE")


@pytest.mark.parametrize("call", ["balance", "account", "history"])
def test_reading_an_unknown_account(c, call):
    fails(getattr(c, call)(fresh()), 404, "ACCOUNT_NOT_FOUND")


def test_only_a_credit_opens(c):
    a, b = fresh(), fresh()
    fails(c.debit(a, "1"), 404, "ACCOUNT_NOT_FOUND")
    fails(c.balance(a), 404, "ACCOUNT_NOT_FOUND")
    ok(c.credit(b, "5"))
    fails(c.transfer(a, b, "1"), 404, "ACCOUNT_NOT_FOUND")
    fails(c.transfer(b, a, "1"), 404, "ACCOUNT_NOT_FOUND")
    fails(c.balance(a), 404, "ACCOUNT_NOT_FOUND")
    assert c.balance(b).json["balance"] == "5.00"


def test_auto_create_can_be_turned_off(server):
    s = server("--no-auto-create")
    c = s.client()
    a = fresh()
    fails(c.credit(a, "1"), 404, "ACCOUNT_NOT_FOUND")
    ok(c.open(a), 201)
    assert ok(c.credit(a, "1")).json["balance"] == "1.00"
    c.close()


def test_transaction_ids_are_unique_and_rise(c):
    a, b = fresh(), fresh()
    ids = [ok(c.credit(a, "5")).json["transaction_id"] for _ in range(30)]
    ok(c.credit(b, "5"))
    ids += [ok(c.transfer(a, b, "1"), 201).json["transaction_id"] for _ in range(10)]
    ids += [ok(c.debit(b, "1")).json["transaction_id"] for _ in range(10)]
    assert all(TX_ID.match(i) and len(i) <= 32 for i in ids), ids
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("member", ["balance", "role", "id", "Amount", "amount ", "account_id", "from", "held", "version"])
def test_unknown_members_are_refused(c, member):
    a = fresh()
    ok(c.credit(a, "5"))
    fails(c.credit(a, "1", **{member: "1"}), 400, "INVALID_REQUEST")
    assert c.balance(a).json["balance"] == "5.00"


@pytest.mark.parametrize("op", ["credit", "debit"])
def test_optional_members_are_taken(c, op):
    a = fresh()
    ok(c.credit(a, "50"))
    r = ok(getattr(c, op)(a, "1.00", currency="CNY", reference="order 7 · 订单", metadata={"k": "v", "键": "值"}))
    entry = ok(c.history(a, "limit=1")).json["transactions"][0]
    assert entry["transaction_id"] == r.json["transaction_id"]
    assert entry["reference"] == "order 7 · 订单"


@pytest.mark.parametrize(
    "members",
    [
        {"currency": 5}, {"currency": None}, {"currency": ["CNY"]},
        {"reference": 5}, {"reference": None}, {"reference": {}}, {"reference": True},
        {"metadata": "x"}, {"metadata": None}, {"metadata": []}, {"metadata": 5},
        {"metadata": {"k": 5}}, {"metadata": {"k": None}}, {"metadata": {"k": {}}}, {"metadata": {"k": ["v"]}},
        {"metadata": {"k": True}},
    ],
    ids=dump,
)
def test_wrong_types_are_refused(c, members):
    a = fresh()
    ok(c.credit(a, "5"))
    fails(c.credit(a, "1", **members), 400, "INVALID_REQUEST")
    assert c.balance(a).json["balance"] == "5.00"


@pytest.mark.parametrize("currency", ["XXX", "cny", "Cny", "CN", "CNYY", "", "ABC", "XAU", "XTS", "C Y", "人民币", "CNY "])
def test_unknown_currencies(c, currency):
    a = fresh()
    ok(c.credit(a, "5"))
    fails(c.credit(a, "1", currency=currency), 400, "INVALID_CURRENCY")
    fails(c.open(fresh(), currency=currency), 400, "INVALID_CURRENCY")
    assert c.balance(a).json["balance"] == "5.00"


def test_currency_of_the_account_must_match(c):
    a, j = fresh(), fresh()
    ok(c.credit(a, "5"))
    ok(c.open(j, currency="JPY"), 201)
    fails(c.credit(a, "1", currency="USD"), 422, "CURRENCY_MISMATCH")
    fails(c.debit(a, "1", currency="USD"), 422, "CURRENCY_MISMATCH")
    fails(c.credit(j, "1", currency="CNY"), 422, "CURRENCY_MISMATCH")
    ok(c.credit(j, "1", currency="JPY"))
    ok(c.credit(j, "1"))
    fails(c.transfer(a, j, "1"), 422, "CURRENCY_MISMATCH")
    fails(c.transfer(a, j, "1", currency="CNY"), 422, "CURRENCY_MISMATCH")
    fails(c.transfer(a, j, "1", currency="JPY"), 422, "CURRENCY_MISMATCH")
    assert c.balance(a).json["balance"] == "5.00"
    assert c.balance(j).json["balance"] == "2"


def test_first_credit_opens_in_the_default_currency_only(c):
    a = fresh()
    fails(c.credit(a, "1", currency="USD"), 422, "CURRENCY_MISMATCH")
    ok(c.credit(a, "1", currency="CNY"))
    assert c.account(a).json["currency"] == "CNY"


def test_missing_amount(c):
    a = fresh()
    ok(c.credit(a, "5"))
    fails(c.post(f"/api/v1/wallet/{a}/credit", "{}"), 400, "INVALID_REQUEST")
    fails(c.post(f"/api/v1/wallet/{a}/debit", '{"currency":"CNY"}'), 400, "INVALID_REQUEST")
    fails(c.post("/api/v1/transfers", dump({"from": a, "to": a})), 400, "INVALID_REQUEST")
    assert c.balance(a).json["balance"] == "5.00"


def test_balance_has_no_query(c):
    a = fresh()
    ok(c.credit(a, "5"))
    fails(c.get(f"/api/v1/wallet/{a}/balance?x=1"), 400, "INVALID_REQUEST")
    fails(c.get(f"/api/v1/wallet/{a}?x=1"), 400, "INVALID_REQUEST")
    fails(c.post(f"/api/v1/wallet/{a}/credit?x=1", '{"amount":1}'), 400, "INVALID_REQUEST")
    fails(c.post(f"/api/v1/wallet/{a}/debit?amount=1", '{"amount":1}'), 400, "INVALID_REQUEST")
    fails(c.post("/api/v1/transfers?dry=1", dump({"from": a, "to": "b", "amount": 1})), 400, "INVALID_REQUEST")
    fails(c.post("/api/v1/wallet?x", "{}"), 400, "INVALID_REQUEST")
    assert ok(c.balance(a)).json["balance"] == Num("5.00")
