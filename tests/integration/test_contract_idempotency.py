"""The idempotency key: its grammar, its scope, what is stored, and that a replay is the first answer to the byte."""

import hashlib
import re
import uuid

import pytest

from harness import Num, dump, fails, fresh, fresh_key, ok


def same(first, again):
    """`again` replays `first`: the same status, the same bytes, the original position, and it says so."""
    assert again.replayed and not first.replayed, (first, again)
    assert again.status == first.status and again.body == first.body, (first, again)
    assert again.seq == first.seq
    return again


class TestGrammar:
    @pytest.mark.parametrize("key", ["a", "x" * 255, "!#$%&'()*+,-./:;<=>?@[]^_`{|}~", "0", "a,b", "a;b=c",
                                     "{slot}", "k" * 64, "%00", "8e03978e-40d5-43e8-bc93-6894a57f9324"])
    def test_taken(self, c, key):
        a = fresh()
        first = ok(c.credit(a, "1", key=key))
        same(first, c.credit(a, "1", key=key))
        assert c.balance(a).json["balance"] == "1.00"

    @pytest.mark.parametrize("key", ["", '""', "x" * 256, "x" * 1000, "a b", "ключ".encode().decode("latin-1"),
                                     "\x80", "a\xff", "a\tb", "é"])
    def test_refused(self, c, key):
        a = fresh()
        ok(c.credit(a, "1"))
        fails(c.credit(a, "1", key=key), 400, "INVALID_IDEMPOTENCY_KEY")
        fails(c.debit(a, "1", key=key), 400, "INVALID_IDEMPOTENCY_KEY")
        fails(c.transfer(a, fresh(), "1", key=key), 400, "INVALID_IDEMPOTENCY_KEY")
        assert c.balance(a).json["balance"] == "1.00"

    def test_a_delete_byte(self, c):
        a = fresh()
        ok(c.credit(a, "1"))
        fails(c.credit(a, "1", key="a\x7f"), 400, ("INVALID_IDEMPOTENCY_KEY", "INVALID_REQUEST"))
        assert c.balance(a).json["balance"] == "1.00"

    def test_quoted_is_the_same_as_bare(self, c):
        a, key = fresh(), fresh_key()
        first = ok(c.credit(a, "1", key=key))
        same(first, c.credit(a, "1", key=f'"{key}"'))
        b, key = fresh(), fresh_key()
        first = ok(c.credit(b, "1", key=f'"{key}"'))
        same(first, c.credit(b, "1", key=key))
        assert c.balance(a).json["balance"] == c.balance(b).json["balance"] == "1.00"

    @pytest.mark.parametrize("size,status", [(254, 200), (255, 200), (256, 400)])
    def test_quotes_do_not_count(self, c, size, status):
        a = fresh()
        r = c.credit(a, "1", key='"' + "q" * size + '"')
        assert r.status == status, r

    def test_two_of_them(self, c):
        a = fresh()
        ok(c.credit(a, "1"))
        for other in ("same", "other"):
            headers = [("Idempotency-Key", "same"), ("Idempotency-Key", other)]
            assert c.credit(a, "1", headers=headers).status == 400
        assert c.balance(a).json["balance"] == "1.00"

    def test_keys_are_compared_byte_by_byte(self, c):
        a, key = fresh(), fresh_key() + "a"
        ok(c.credit(a, "1", key=key))
        assert not ok(c.credit(a, "1", key=key.upper())).replayed
        assert not ok(c.credit(a, "1", key=key + "b")).replayed
        assert not ok(c.credit(a, "1", key=key[:-1])).replayed
        assert c.balance(a).json["balance"] == "4.00"


class TestReplay:
    def test_no_key_no_replay(self, c):
        a = fresh()
        one, two = ok(c.credit(a, "1")), ok(c.credit(a, "1"))
        assert one.json["transaction_id"] != two.json["transaction_id"]
        assert one.header("Idempotent-Replayed") is None

    def test_of_each_write(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "50"))
        ok(c.credit(b, "50"))
        calls = [lambda k: c.credit(a, "1", key=k), lambda k: c.debit(a, "2", key=k),
                 lambda k: c.transfer(a, b, "3", key=k)]
        done = []
        for call in calls:
            key = fresh_key()
            first = call(key)
            assert first.status in (200, 201)
            done.append((call, key, first))
        ok(c.credit(a, "1000"))
        for call, key, first in done + done:
            same(first, call(key))
        assert c.balance(a).json["balance"] == "1046.00"
        assert c.balance(b).json["balance"] == "53.00"

    def test_of_refusals(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "5"))
        ok(c.open(b, currency="JPY"), 201)
        calls = [
            (lambda k: c.debit(a, "6", key=k), "INSUFFICIENT_BALANCE"),
            (lambda k: c.credit(a, "1", currency="USD", key=k), "CURRENCY_MISMATCH"),
            (lambda k: c.transfer(a, b, "1", key=k), "CURRENCY_MISMATCH"),
            (lambda k: c.transfer(a, a, "1", key=k), "SAME_ACCOUNT"),
            (lambda k: c.credit(a, "9999999999999.99", key=k), "BALANCE_LIMIT_EXCEEDED"),
        ]
        done = []
        for call, code in calls:
            key = fresh_key()
            done.append((call, key, fails(call(key), 422, code)))
        # Now the debit could be paid; the answer under its key stays the refusal.
        ok(c.credit(a, "100"))
        for call, key, first in done:
            same(first, call(key))
        assert ok(c.debit(a, "6")).json["balance"] == "99.00"

    def test_a_refusal_replays_in_its_first_language(self, c):
        a = fresh()
        ok(c.credit(a, "5"))
        for first_lang, again_lang in (("en", "zh-CN"), ("zh-CN", "en"), (None, "en"), ("en", None)):
            key = fresh_key()
            first = fails(c.debit(a, "6", key=key, lang=first_lang), 422, "INSUFFICIENT_BALANCE")
            assert first.message.isascii() == (first_lang == "en")
            same(first, c.debit(a, "6", key=key, lang=again_lang))

    @pytest.mark.parametrize("hard", [False, True], ids=["stop", "kill"])
    def test_across_a_restart(self, server, hard):
        s = server()
        c = s.client()
        ok(c.credit("a", "50"))
        ok(c.credit("b", "50"))
        calls = [
            lambda k: c.credit("a", "1.50", key=k, reference="r", metadata={"x": "y"}),
            lambda k: c.credit("new", "1", key=k),
            lambda k: c.debit("a", "2", key=k),
            lambda k: c.transfer("a", "b", "3", key=k, currency="CNY"),
            lambda k: c.debit("a", "1000", key=k, lang="en"),
            lambda k: c.debit("a", "1000", key=k),
            lambda k: c.transfer("b", "b", "3", key=k),
            lambda k: c.credit("a", "1", key=k, currency="JPY"),
        ]
        done = [(call, key, call(key)) for call, key in ((call, fresh_key()) for call in calls)]
        ok(c.credit("a", "5000"))
        balances = [c.balance(x).body for x in ("a", "b", "new")]
        histories = [c.whole_history(x) for x in ("a", "b", "new")]
        s.restart(hard)
        c.port = s.port
        c.close()
        for call, key, first in done:
            same(first, call(key))
        r = fails(c.credit("a", "1.51", key=done[0][1]), 422, "IDEMPOTENCY_KEY_REUSED")
        assert "amount" in r.message
        assert [c.balance(x).body for x in ("a", "b", "new")] == balances
        assert [c.whole_history(x) for x in ("a", "b", "new")] == histories
        c.close()


class TestOpening:
    """A key without an account_id names an account all the same: every try means this one."""

    def test_each_try_gives_the_same_account(self, c):
        key = fresh_key()
        first = ok(c.open(key=key), 201)
        same(first, c.open(key=key))
        same(first, c.open(key=f'"{key}"', lang="en"))
        a = first.json["account_id"]
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", a), a
        assert ok(c.open(key=fresh_key()), 201).json["account_id"] != a
        r = fails(c.open(key=key, currency="JPY"), 422, "IDEMPOTENCY_KEY_REUSED")
        assert "currency" in r.message and "account_id" not in r.message
        r = fails(c.open(key=key, overdraft_limit=Num("1"), metadata={}), 422, "IDEMPOTENCY_KEY_REUSED")
        assert "overdraft_limit" in r.message and "metadata" in r.message

    def test_a_try_that_was_never_heard_of_opens_it(self, c):
        """The name is made of the key alone: who opens it by hand has it, and the key finds it taken, as after its own time."""
        key = fresh_key()
        scope = hashlib.sha256(b"\0\0" + key.encode()).digest()[:16]
        digits = bytearray(hashlib.sha256(b"mywallet account id\0" + scope).digest()[:16])
        digits[6], digits[8] = 0x80 | digits[6] & 0x0F, 0x80 | digits[8] & 0x3F
        a = str(uuid.UUID(bytes=bytes(digits)))
        ok(c.open(a), 201)
        fails(c.open(key=key), 409, "ACCOUNT_EXISTS")
        fails(c.open(key=key), 409, "ACCOUNT_EXISTS")
        assert ok(c.credit(a, "1")).json["balance"] == "1.00"

    def test_a_key_with_an_account_id_is_another_one(self, c):
        key, a = fresh_key(), fresh()
        one, two = ok(c.open(key=key), 201), ok(c.open(a, key=key), 201)
        assert not two.replayed and one.json["account_id"] != a
        same(one, c.open(key=key))
        same(two, c.open(a, key=key))

    @pytest.mark.parametrize("hard", [False, True], ids=["stop", "kill"])
    def test_across_a_restart(self, server, hard):
        s = server()
        c = s.client()
        key = fresh_key()
        first = ok(c.open(key=key, metadata={"k": "v"}), 201)
        ok(c.credit(first.json["account_id"], "5"))
        s.restart(hard)
        c.port = s.port
        c.close()
        same(first, c.open(key=key, metadata={"k": "v"}))
        c.close()


class TestFingerprint:
    def test_the_parsed_request_counts(self, c):
        a, key = fresh(), fresh_key()
        path = f"/api/v1/wallet/{a}/credit"
        first = ok(c.post(path, '{"amount":100,"reference":"r","metadata":{"a":"1","b":"2"}}', key=key))
        for text in (
            '{"amount":100.00,"reference":"r","metadata":{"a":"1","b":"2"}}',
            '{"amount":"100","reference":"r","metadata":{"a":"1","b":"2"}}',
            '{"amount":1E+2,"metadata":{"b":"2","a":"1"},"reference":"r"}',
            ' { "metadata" : {"\\u0062":"2","a":"1"} , "reference":"\\u0072", "amount":100.000 } ',
        ):
            same(first, c.post(path, text, key=key))
        same(first, c.post(path, '{"amount":100,"reference":"r","metadata":{"a":"1","b":"2"}}', key=key,
                           headers=[("If-Match", '"999999"'), ("Accept-Language", "en"), ("X-Request-Id", "other")]))
        encoded = f"/api/v1/wallet/%{ord(a[0]):02X}{a[1:]}/credit"
        same(first, c.post(encoded, '{"amount":100,"reference":"r","metadata":{"a":"1","b":"2"}}', key=key))
        assert c.balance(a).json["balance"] == "100.00"

    @pytest.mark.parametrize(
        "other,names",
        [
            ({"amount": Num("101")}, ["amount"]),
            ({"amount": Num("100.01")}, ["amount"]),
            ({"reference": "R"}, ["reference"]),
            ({"currency": "USD"}, ["currency"]),
            ({"metadata": {"a": "2"}}, ["metadata"]),
            ({"metadata": {"b": "1"}}, ["metadata"]),
            ({"metadata": {}}, ["metadata"]),
            ({"amount": Num("1"), "reference": "x"}, ["amount", "reference"]),
            ({"amount": Num("1"), "currency": "JPY", "reference": "x", "metadata": {}},
             ["amount", "currency", "reference", "metadata"]),
            ({"reference": None}, ["reference"]),
            ({"currency": None}, ["currency"]),
            ({"metadata": None}, ["metadata"]),
        ],
        ids=dump,
    )
    @pytest.mark.parametrize("lang", ["zh-CN", "en"])
    def test_reuse_names_what_differs(self, c, other, names, lang):
        a, key = fresh(), fresh_key()
        members = {"amount": Num("100"), "currency": "CNY", "reference": "r", "metadata": {"a": "1"}}
        path = f"/api/v1/wallet/{a}/credit"
        first = ok(c.post(path, members, key=key))
        changed = {k: v for k, v in {**members, **other}.items() if v is not None}
        r = fails(c.post(path, changed, key=key, lang=lang), 422, "IDEMPOTENCY_KEY_REUSED")
        assert not r.replayed
        for name in members:
            assert (name in r.message) == (name in names), (name, r.message)
        same(first, c.post(path, members, key=key))
        assert c.balance(a).json["balance"] == "100.00"

    def test_absent_is_not_the_default(self, c):
        a, key = fresh(), fresh_key()
        first = ok(c.credit(a, "1", key=key))
        r = fails(c.credit(a, "1", key=key, currency="CNY"), 422, "IDEMPOTENCY_KEY_REUSED")
        assert "currency" in r.message and "amount" not in r.message
        r = fails(c.credit(a, "1", key=key, metadata={}), 422, "IDEMPOTENCY_KEY_REUSED")
        assert "metadata" in r.message
        same(first, c.credit(a, "1", key=key))

    def test_a_transfer_to_another(self, c):
        a, b, d, key = fresh(), fresh(), fresh(), fresh_key()
        for x in (a, b, d):
            ok(c.credit(x, "10"))
        first = ok(c.transfer(a, b, "1", key=key), 201)
        r = fails(c.transfer(a, d, "1", key=key), 422, "IDEMPOTENCY_KEY_REUSED")
        assert '"to"' in r.message or "to" in r.message.replace(",", " ").split() or "to" in r.message
        same(first, c.transfer(a, b, "1", key=key))
        assert [c.balance(x).json["balance"] for x in (a, b, d)] == ["9.00", "11.00", "10.00"]

    def test_another_route_under_the_same_scope(self, c):
        a, b, key = fresh(), fresh(), fresh_key()
        ok(c.credit(b, "10"))
        first = ok(c.credit(a, "10", key=key))
        fails(c.debit(a, "10", key=key), 422, "IDEMPOTENCY_KEY_REUSED")
        fails(c.transfer(a, b, "10", key=key), 422, "IDEMPOTENCY_KEY_REUSED")
        same(first, c.credit(a, "10", key=key))

    def test_reuse_is_not_stored_and_blocks_nothing(self, c):
        a, key = fresh(), fresh_key()
        first = ok(c.credit(a, "1", key=key))
        for _ in range(3):
            r = fails(c.credit(a, "2", key=key), 422, "IDEMPOTENCY_KEY_REUSED")
            assert r.header("Idempotent-Replayed") is None
        same(first, c.credit(a, "1", key=key))

    def test_a_refusals_key_is_used_too(self, c):
        a, key = fresh(), fresh_key()
        ok(c.credit(a, "5"))
        first = fails(c.debit(a, "6", key=key), 422, "INSUFFICIENT_BALANCE")
        r = fails(c.debit(a, "1", key=key), 422, "IDEMPOTENCY_KEY_REUSED")
        assert "amount" in r.message
        same(first, c.debit(a, "6", key=key))
        assert c.balance(a).json["balance"] == "5.00"


class TestScope:
    def test_per_account(self, c):
        a, b, key = fresh(), fresh(), fresh_key()
        one, two = ok(c.credit(a, "1", key=key)), ok(c.credit(b, "2", key=key))
        assert not one.replayed and not two.replayed
        same(one, c.credit(a, "1", key=key))
        same(two, c.credit(b, "2", key=key))

    def test_a_transfer_is_scoped_to_from(self, c):
        a, b, key = fresh(), fresh(), fresh_key()
        ok(c.credit(a, "10"))
        ok(c.credit(b, "10"))
        there = ok(c.transfer(a, b, "1", key=key), 201)
        back = ok(c.transfer(b, a, "1", key=key), 201)
        assert not there.replayed and not back.replayed
        same(there, c.transfer(a, b, "1", key=key))
        same(back, c.transfer(b, a, "1", key=key))

    def test_a_transfer_and_a_credit_of_its_to_do_not_meet(self, c):
        a, b, key = fresh(), fresh(), fresh_key()
        ok(c.credit(a, "10"))
        ok(c.credit(b, "10"))
        ok(c.transfer(a, b, "1", key=key), 201)
        assert not ok(c.credit(b, "1", key=key)).replayed
        fails(c.credit(a, "1", key=key), 422, "IDEMPOTENCY_KEY_REUSED")


class TestNotStored:
    def test_404(self, c):
        a, key = fresh(), fresh_key()
        fails(c.debit(a, "1", key=key), 404, "ACCOUNT_NOT_FOUND")
        ok(c.credit(a, "5"))
        assert not ok(c.debit(a, "1", key=key)).replayed

    def test_400(self, c):
        a, key = fresh(), fresh_key()
        ok(c.credit(a, "5"))
        fails(c.credit(a, "0", key=key), 400, "INVALID_AMOUNT")
        fails(c.credit(a, "0.001", key=key), 400, "INVALID_AMOUNT")
        fails(c.credit(a, "1", key=key, x=1), 400, "INVALID_REQUEST")
        fails(c.post(f"/api/v1/wallet/{a}/credit", "{", key=key), 400, "INVALID_REQUEST")
        assert not ok(c.credit(a, "1", key=key)).replayed

    def test_412(self, c):
        a, key = fresh(), fresh_key()
        ok(c.credit(a, "5"))
        fails(c.credit(a, "1", key=key, headers=[("If-Match", '"999999"')]), 412, "PRECONDITION_FAILED")
        assert not ok(c.credit(a, "1", key=key)).replayed

    def test_415_and_413(self, c):
        a, key = fresh(), fresh_key()
        fails(c.credit(a, "1", key=key, headers=[("Content-Type", "text/plain")]), 415)
        fails(c.post(f"/api/v1/wallet/{a}/credit", " " * 20000, key=key), 413)
        assert not ok(c.credit(a, "1", key=key)).replayed


class TestOrderOfJudgement:
    def test_syntax_before_the_key(self, c):
        a, key = fresh(), fresh_key()
        ok(c.credit(a, "5", key=key))
        fails(c.credit(a, "0", key=key), 400, "INVALID_AMOUNT")
        fails(c.credit(a, "5", key=key, currency="XXX"), 400, "INVALID_CURRENCY")
        fails(c.credit(a, "5", key=key, x=1), 400, "INVALID_REQUEST")

    def test_a_replay_beats_412(self, c):
        a, key = fresh(), fresh_key()
        tag = '"999999"'
        first = ok(c.credit(a, "5", key=key))
        same(first, c.credit(a, "5", key=key, headers=[("If-Match", tag)]))
        fails(c.credit(a, "6", key=key, headers=[("If-Match", tag)]), 422, "IDEMPOTENCY_KEY_REUSED")

    def test_reuse_beats_the_exponent(self, c):
        a, key = fresh(), fresh_key()
        ok(c.credit(a, "5", key=key))
        fails(c.credit(a, "0.001", key=key), 422, "IDEMPOTENCY_KEY_REUSED")

    def test_existence_before_if_match(self, c):
        fails(c.debit(fresh(), "1", headers=[("If-Match", '"999999"')]), 404, "ACCOUNT_NOT_FOUND")

    def test_existence_before_the_exponent(self, c):
        fails(c.debit(fresh(), "0.001"), 404, "ACCOUNT_NOT_FOUND")
        fails(c.transfer(fresh(), fresh(), "0.001"), 404, "ACCOUNT_NOT_FOUND")

    def test_if_match_before_the_exponent(self, c):
        a = fresh()
        ok(c.credit(a, "5"))
        fails(c.credit(a, "0.001", headers=[("If-Match", '"999999"')]), 412, "PRECONDITION_FAILED")

    def test_the_exponent_before_the_currency(self, c):
        a = fresh()
        ok(c.credit(a, "5"))
        fails(c.credit(a, "0.001", currency="KWD"), 400, "INVALID_AMOUNT")
        fails(c.credit(a, "0.001", currency="USD"), 400, "INVALID_AMOUNT")

    def test_the_currency_before_same_account(self, c):
        a = fresh()
        ok(c.credit(a, "5"))
        fails(c.transfer(a, a, "1", currency="USD"), 422, "CURRENCY_MISMATCH")
        fails(c.transfer(a, a, "1"), 422, "SAME_ACCOUNT")
        fails(c.transfer(a, a, "0.001"), 400, "INVALID_AMOUNT")
        x = fresh()
        fails(c.transfer(x, x, "1"), 404, "ACCOUNT_NOT_FOUND")

    def test_same_account_before_the_balance(self, c):
        a = fresh()
        ok(c.credit(a, "5"))
        fails(c.transfer(a, a, "6"), 422, "SAME_ACCOUNT")

    def test_limits_before_the_balance(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "1"))
        ok(c.credit(b, "9999999999999.99"))
        fails(c.transfer(a, b, "2"), 422, "BALANCE_LIMIT_EXCEEDED")

    def test_the_exponent_of_an_account_still_to_be_opened(self, c):
        a = fresh()
        fails(c.credit(a, "0.001"), 400, "INVALID_AMOUNT")
        fails(c.balance(a), 404, "ACCOUNT_NOT_FOUND")

    def test_media_type_is_syntax(self, c):
        a, key = fresh(), fresh_key()
        ok(c.credit(a, "1", key=key))
        fails(c.credit(a, "1", key=key, headers=[("Content-Type", "text/plain")]), 415)


def test_keys_on_reads_do_nothing(c):
    a = fresh()
    ok(c.credit(a, "1"))
    one = ok(c.balance(a, key="k"))
    ok(c.credit(a, "1"))
    two = ok(c.balance(a, key="k"))
    assert (one.json["balance"], two.json["balance"]) == ("1.00", "2.00") and not two.replayed
