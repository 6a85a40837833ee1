"""Transfers, one transaction, histories and times."""

import re

import pytest

from harness import CURSOR, Num, TIME, TX_ID, build, fails, fresh, minor, money, ok, rise


class TestTransfer:
    def test_bytes(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "10"))
        ok(c.credit(b, "1"))
        r = ok(c.transfer(a, b, "2.5"), 201)
        assert re.fullmatch(
            rb'\{"transaction_id":"tx_[A-Za-z0-9_-]{1,29}","from":\{"account_id":"%s","balance":7\.50\},'
            rb'"to":\{"account_id":"%s","balance":3\.50\},"amount":2\.50,"currency":"CNY",'
            rb'"created_at":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"\}' % (a.encode(), b.encode()), r.body), r
        assert (c.balance(a).json["balance"], c.balance(b).json["balance"]) == ("7.50", "3.50")

    def test_refusals_move_nothing(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "10"))
        ok(c.credit(b, "10"))
        fails(c.transfer(a, b, "10.01"), 422, "INSUFFICIENT_BALANCE")
        fails(c.transfer(a, a, "1"), 422, "SAME_ACCOUNT")
        fails(c.transfer(a, fresh(), "1"), 404, "ACCOUNT_NOT_FOUND")
        fails(c.transfer(fresh(), a, "1"), 404, "ACCOUNT_NOT_FOUND")
        fails(c.transfer(a, b, "1", currency="JPY"), 422, "CURRENCY_MISMATCH")
        assert (c.balance(a).json["balance"], c.balance(b).json["balance"]) == ("10.00", "10.00")
        assert len(c.whole_history(a)) == len(c.whole_history(b)) == 1

    @pytest.mark.parametrize("body", ['{"from":"a","amount":1}', '{"to":"a","amount":1}', '{"from":"a","to":"b"}', "{}",
                                      '{"from":"a","to":"b","amount":1,"x":1}', '{"from":"a","from":"b","to":"c","amount":1}'])
    def test_missing_and_unknown_members(self, c, body):
        fails(c.post("/api/v1/transfers", body), 400, "INVALID_REQUEST")

    def test_everything_to_zero_and_back(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "3"))
        ok(c.open(b), 201)
        r = ok(c.transfer(a, b, "3", currency="CNY", reference="r", metadata={"k": "v"}), 201).json
        assert (r["from"]["balance"], r["to"]["balance"]) == ("0.00", "3.00")
        r = ok(c.transfer(b, a, "3"), 201).json
        assert (r["from"]["balance"], r["to"]["balance"]) == ("0.00", "3.00")

    def test_kwd(self, c):
        a, b = fresh(), fresh()
        ok(c.open(a, currency="KWD"), 201)
        ok(c.open(b, currency="KWD"), 201)
        ok(c.credit(a, "1.001"))
        r = ok(c.transfer(a, b, "0.001"), 201)
        assert b'"balance":1.000}' in r.body and b'"amount":0.001,"currency":"KWD"' in r.body


class TestTransaction:
    def test_of_a_credit_and_a_debit(self, c):
        a = fresh()
        for op, kind, signed in ((c.credit, "credit", "7.00"), (c.debit, "debit", "-7.00")):
            made = ok(op(a, "7", reference=f"ref {kind}", metadata={"k": kind})).json
            r = ok(c.get(f"/api/v1/transactions/{made['transaction_id']}"))
            doc = r.json
            assert list(doc)[:5] == ["transaction_id", "type", "currency", "created_at", "entries"], r
            assert (doc["transaction_id"], doc["type"], doc["currency"]) == (made["transaction_id"], kind, "CNY")
            assert doc["reference"] == f"ref {kind}" and TIME.match(doc["created_at"])
            mine = [e for e in doc["entries"] if e["account_id"] == a]
            assert len(mine) == 1 and mine[0]["amount"] == signed, r
            assert all(isinstance(e["amount"], Num) for e in doc["entries"])

    def test_of_a_transfer(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "10"))
        ok(c.credit(b, "10"))
        made = ok(c.transfer(a, b, "4"), 201).json
        doc = ok(c.get(f"/api/v1/transactions/{made['transaction_id']}")).json
        assert doc["type"] == "transfer" and doc["created_at"] == made["created_at"] and "reference" not in doc
        assert {e["account_id"]: e["amount"] for e in doc["entries"]} == {a: "-4.00", b: "4.00"}
        assert sum(minor(e["amount"]) for e in doc["entries"]) == 0

    def test_is_immutable(self, c):
        a = fresh()
        t = ok(c.credit(a, "10")).json["transaction_id"]
        before = ok(c.get(f"/api/v1/transactions/{t}")).body
        ok(c.debit(a, "10"))
        assert ok(c.get(f"/api/v1/transactions/{t}")).body == before

    def test_no_query(self, c):
        t = ok(c.credit(fresh(), "10")).json["transaction_id"]
        fails(c.get(f"/api/v1/transactions/{t}?x=1"), 400, "INVALID_REQUEST")

    def test_each_of_many_is_found(self, c):
        a = fresh()
        made = [ok(c.credit(a, money(i))).json["transaction_id"] for i in range(1, 60)]
        for i, t in enumerate(made, 1):
            doc = ok(c.get(f"/api/v1/transactions/{t}")).json
            assert [e["amount"] for e in doc["entries"] if e["account_id"] == a] == [money(i)]


class TestHistory:
    def test_entries(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(b, "1"))
        t1 = ok(c.credit(a, "10", reference="pay")).json["transaction_id"]
        t2 = ok(c.debit(a, "4")).json["transaction_id"]
        t3 = ok(c.transfer(a, b, "1"), 201).json
        t4 = ok(c.transfer(b, a, "2"), 201).json
        fails(c.debit(a, "1000"), 422)
        r = ok(c.history(a))
        doc = r.json
        assert list(doc) == ["account_id", "transactions", "has_more"] and doc["has_more"] is False
        rows = doc["transactions"]
        want = [(t4["transaction_id"], "transfer", "2.00", "7.00"), (t3["transaction_id"], "transfer", "-1.00", "5.00"),
                (t2, "debit", "-4.00", "6.00"), (t1, "credit", "10.00", "10.00")]
        assert [(e["transaction_id"], e["type"], e["amount"], e["balance"]) for e in rows] == want, r
        order = ["transaction_id", "type", "amount", "balance", "counterparty", "reference", "created_at"]
        for e in rows:
            assert list(e) == [k for k in order if k in e], e
            assert TX_ID.match(e["transaction_id"]) and TIME.match(e["created_at"])
        assert [e.get("counterparty") for e in rows[:2]] == [b, b]
        assert [e.get("reference") for e in rows] == [None, None, None, "pay"]
        assert rows[1]["created_at"] == t3["created_at"]
        times = [e["created_at"] for e in rows]
        assert times == sorted(set(times), reverse=True)

    def test_pages_in_both_orders(self, c):
        a = fresh()
        made = [ok(c.credit(a, money(i))).json["transaction_id"] for i in range(1, 24)]
        for limit in (1, 2, 7, 22, 23, 24, 200):
            assert [e["transaction_id"] for e in c.whole_history(a, limit)] == made[::-1], limit
            assert [e["transaction_id"] for e in c.whole_history(a, limit, "order=asc")] == made, limit
            assert [e["transaction_id"] for e in c.whole_history(a, limit, "order=desc")] == made[::-1], limit
        total = 0
        for e in c.whole_history(a, 5, "order=asc"):
            total += minor(e["amount"])
            assert minor(e["balance"]) == total

    def test_the_default_page_is_fifty(self, c):
        a = fresh()
        for _ in range(51):
            ok(c.credit(a, "1"))
        doc = ok(c.history(a)).json
        assert len(doc["transactions"]) == 50 and doc["has_more"] is True and CURSOR.match(doc["next_cursor"])
        doc = ok(c.history(a, f"cursor={doc['next_cursor']}")).json
        assert len(doc["transactions"]) == 1 and doc["has_more"] is False and "next_cursor" not in doc

    def test_a_cursor_stays_right_while_entries_arrive(self, c):
        a = fresh()
        made = [ok(c.credit(a, "1")).json["transaction_id"] for _ in range(10)]
        got, cursor = [], None
        while True:
            doc = ok(c.history(a, "limit=3" + (f"&cursor={cursor}" if cursor else ""))).json
            got += [e["transaction_id"] for e in doc["transactions"]]
            if not doc["has_more"]:
                break
            cursor = doc["next_cursor"]
            ok(c.credit(a, "1"))
        assert got == made[::-1]
        # Oldest first, the newcomers come at the end.
        got, cursor, fresh_ones = [], None, 0
        everything = [e["transaction_id"] for e in c.whole_history(a, 200, "order=asc")]
        while True:
            doc = ok(c.history(a, "order=asc&limit=3" + (f"&cursor={cursor}" if cursor else ""))).json
            got += [e["transaction_id"] for e in doc["transactions"]]
            if not doc["has_more"]:
                break
            cursor = doc["next_cursor"]
            if fresh_ones < 3:
                fresh_ones += 1
                everything.append(ok(c.credit(a, "1")).json["transaction_id"])
        assert got == everything

    def test_the_same_cursor_gives_the_same_page(self, c):
        a = fresh()
        for _ in range(8):
            ok(c.credit(a, "1"))
        cursor = ok(c.history(a, "limit=3")).json["next_cursor"]
        one = ok(c.history(a, f"limit=3&cursor={cursor}")).body
        ok(c.credit(a, "1"))
        assert ok(c.history(a, f"limit=3&cursor={cursor}")).body == one

    def test_type(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(b, "5"))
        kinds = []
        for i in range(4):
            ok(c.credit(a, "5"))
            ok(c.debit(a, "1"))
            ok(c.transfer(a, b, "1"), 201)
            kinds += ["credit", "debit", "transfer"]
        everything = c.whole_history(a)
        assert [e["type"] for e in everything] == kinds[::-1]
        for kind in ("credit", "debit", "transfer"):
            for limit in (1, 2, 3, 4, 200):
                got = c.whole_history(a, limit, f"type={kind}")
                assert got == [e for e in everything if e["type"] == kind]
            got = c.whole_history(a, 3, f"type={kind}&order=asc")
            assert got == [e for e in everything if e["type"] == kind][::-1]

    def test_from_is_inclusive_and_to_exclusive(self, c):
        a = fresh()
        for _ in range(6):
            ok(c.credit(a, "1"))
        rows = c.whole_history(a, 200, "order=asc")
        times = [e["created_at"] for e in rows]
        for i in range(6):
            assert c.whole_history(a, 2, f"order=asc&from={times[i]}") == rows[i:]
            assert c.whole_history(a, 2, f"from={times[i]}") == rows[i:][::-1]
            assert c.whole_history(a, 2, f"order=asc&to={times[i]}") == rows[:i]
            assert c.whole_history(a, 2, f"to={times[i]}") == rows[:i][::-1]
            for j in range(i, 6):
                assert c.whole_history(a, 200, f"order=asc&from={times[i]}&to={times[j]}") == rows[i:j]
                assert c.whole_history(a, 3, f"from={times[i]}&to={times[j]}") == rows[i:j][::-1]
        assert c.whole_history(a, 200, "from=2000-01-01T00:00:00.000000Z&order=asc") == rows
        assert c.whole_history(a, 200, "to=2000-01-01T00:00:00.000000Z") == []
        assert c.whole_history(a, 200, "from=2999-01-01T00:00:00Z") == []

    def test_marks_of_long_histories(self, c):
        """Time ranges deep in a history that is longer than several of the store's marks."""
        a = fresh()
        for i in range(1, 201):
            ok(c.credit(a, "0.01"))
        rows = c.whole_history(a, 200, "order=asc")
        assert [minor(e["balance"]) for e in rows] == list(range(1, 201))
        for i in (0, 1, 62, 63, 64, 65, 126, 127, 128, 129, 191, 192, 193, 199):
            at = rows[i]["created_at"]
            assert c.whole_history(a, 50, f"order=asc&from={at}") == rows[i:]
            assert c.whole_history(a, 50, f"order=desc&to={at}") == rows[:i][::-1]
            assert ok(c.history(a, f"order=desc&limit=1&to={at}")).json["transactions"] == rows[max(i - 1, 0) : i]

    @pytest.mark.parametrize("query", [
        "limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "limit=1.0", "limit=1e1", "limit=0x10", "limit=%205",
        "limit=18446744073709551617", "order=up", "order=", "order=DESC", "type=bogus", "type=", "type=CREDIT",
        "from=yesterday", "from=", "to=2020-13-01T00:00:00Z", "to=2020-02-30T00:00:00Z", "from=2020-01-01",
        "from=2020-01-01T00:00:00", "from=2020-01-01T25:00:00Z", "to=1577836800", "x=1", "Limit=5", "at=2020-01-01T00:00:00Z",
        "from=2020-01-01%2000:00:00Z",
    ])
    def test_refused_queries(self, c, query):
        a = fresh()
        ok(c.credit(a, "1"))
        fails(c.history(a, query), 400, "INVALID_REQUEST")

    def test_limit_edges(self, c):
        a = fresh()
        ok(c.credit(a, "1"))
        for limit in (1, 199, 200):
            ok(c.history(a, f"limit={limit}"))

    @pytest.mark.parametrize("cursor", ["", "x", "!", "AAAA", "A" * 20, "A" * 43, "a" * 600, "..", "-", "0", "tx_1",
                                        "%20", "é".encode().decode("latin-1")])
    def test_invalid_cursors(self, c, cursor):
        a = fresh()
        ok(c.credit(a, "1"))
        r = c.history(a, f"cursor={cursor}")
        fails(r, 400, "INVALID_CURSOR" if cursor.isascii() else ("INVALID_CURSOR", "INVALID_REQUEST"))

    def test_a_nul_in_a_cursor(self, c):
        a = fresh()
        ok(c.credit(a, "1"))
        fails(c.history(a, "cursor=%00"), 400, ("INVALID_CURSOR", "INVALID_REQUEST"))

    def test_a_cursor_is_bound_to_account_and_filters(self, c):
        a, b = fresh(), fresh()
        for x in (a, b):
            for _ in range(4):
                ok(c.credit(x, "1"))
        cursor = ok(c.history(a, "limit=1")).json["next_cursor"]
        ok(c.history(a, f"limit=2&cursor={cursor}"))
        for query in ("type=credit", "order=asc", "from=2020-01-01T00:00:00Z", "to=2999-01-01T00:00:00Z"):
            fails(c.history(a, f"limit=1&{query}&cursor={cursor}"), 400, "INVALID_CURSOR")
        fails(c.history(b, f"limit=1&cursor={cursor}"), 400, "INVALID_CURSOR")
        fails(c.get(f"/api/v1/wallet?limit=1&cursor={cursor}"), 400, "INVALID_CURSOR")
        filtered = ok(c.history(a, "limit=1&type=credit")).json["next_cursor"]
        fails(c.history(a, f"limit=1&cursor={filtered}"), 400, "INVALID_CURSOR")
        fails(c.history(a, f"limit=1&type=debit&cursor={filtered}"), 400, "INVALID_CURSOR")
        ok(c.history(a, f"limit=1&type=credit&cursor={filtered}"))

    def test_every_flip_of_a_cursor_is_refused_or_harmless(self, c):
        a = fresh()
        for _ in range(4):
            ok(c.credit(a, "1"))
        known = {e["transaction_id"] for e in c.whole_history(a)}
        cursor = ok(c.history(a, "limit=2")).json["next_cursor"]
        for i in range(len(cursor)):
            for ch in "A9":
                if cursor[i] == ch:
                    continue
                r = c.history(a, f"limit=2&cursor={cursor[:i]}{ch}{cursor[i + 1:]}")
                if r.status == 200:
                    assert {e["transaction_id"] for e in r.json["transactions"]} <= known
                else:
                    fails(r, 400, "INVALID_CURSOR")
        for bad in (cursor + "A", cursor[:-1], cursor + cursor, cursor.swapcase()):
            if bad != cursor:
                r = c.history(a, f"limit=2&cursor={bad}")
                assert r.status in (200, 400)

    def test_a_hundred_movements_between_two(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "100"))
        ok(c.open(b), 201)
        for _ in range(100):
            ok(c.transfer(a, b, "1"), 201)
        rows = c.whole_history(b, 33, "order=asc")
        assert [e["balance"] for e in rows] == [money(100 * i) for i in range(1, 101)]
        assert {e["counterparty"] for e in rows} == {a}


class TestLongFilters:
    def test_a_filtered_page_looks_at_ten_thousand_entries(self, shared, c):
        """One debit below 10,050 credits: the filtered page gives up in between, says so, and its cursor goes on."""
        a = fresh()
        ok(c.credit(a, "1"))
        wanted = ok(c.debit(a, "1")).json["transaction_id"]
        one = build("POST", f"/api/v1/wallet/{a}/credit", b'{"amount":1}')
        with shared.conn() as conn:
            for _ in range(201):
                conn.send(one * 50)
                for _ in range(50):
                    assert conn.answer("POST").status == 200
        first = ok(c.history(a, "type=debit&limit=5")).json
        assert first["transactions"] == [] and first["has_more"] is True and CURSOR.match(first["next_cursor"])
        rest = ok(c.history(a, f"type=debit&limit=5&cursor={first['next_cursor']}")).json
        assert [e["transaction_id"] for e in rest["transactions"]] == [wanted] and rest["has_more"] is False
        assert [e["transaction_id"] for e in c.whole_history(a, 5, "type=debit&order=asc")] == [wanted]
        assert len(ok(c.history(a, "limit=200&order=asc")).json["transactions"]) == 200
        rows = c.whole_history(a, 200)
        assert len(rows) == 10_052 and [minor(e["balance"]) for e in rows[:3]] == [1_005_000, 1_004_900, 1_004_800]


class TestTimes:
    def test_unique_and_rising_over_accounts_and_restarts(self, server):
        s = server()
        c = s.client()
        times, seqs = [], []

        def move(n):
            for i in range(n):
                ok(c.credit("a", "3"))
                r = ok(c.transfer("a", "b", "1"), 201)
                times.append(r.json["created_at"])
                seqs.append(r.seq)

        ok(c.open("b"), 201)
        move(20)
        s.restart()
        c.close()
        c.port = s.port
        move(20)
        s.restart(hard=True)
        c.close()
        c.port = s.port
        move(20)
        assert all(TIME.match(t) for t in times)
        assert times == sorted(set(times)) and rise(seqs)
        everything = {e["created_at"] for e in c.whole_history("a")} | {e["created_at"] for e in c.whole_history("b")}
        assert len(everything) == 120
        c.close()
