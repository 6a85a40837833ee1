"""Opening, reading and listing accounts."""

import re

import pytest

from harness import CURSOR, Num, TIME, dump, fails, fresh, ok

MEMBERS = ["account_id", "currency", "balance", "held", "available", "overdraft_limit", "status", "version", "created_at",
           "updated_at", "metadata"]


class TestOpen:
    def test_with_nothing(self, c):
        r = ok(c.open(), 201)
        account = r.json["account_id"]
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}", account)
        assert r.header("Location") == f"/api/v1/wallet/{account}"
        doc = ok(c.account(account)).json
        assert list(doc) == MEMBERS
        assert doc == r.json
        assert (doc["currency"], doc["balance"], doc["status"], doc["metadata"]) == ("CNY", "0.00", "active", {})
        assert ok(c.open(), 201).json["account_id"] != account

    def test_with_everything(self, c):
        a = fresh()
        r = ok(c.open(a, currency="KWD", overdraft_limit=Num("1.5"), metadata={"owner": "张三", "k": ""}), 201)
        assert r.header("Location") == f"/api/v1/wallet/{a}"
        body = c.account(a).body.decode()
        assert re.fullmatch(
            r'\{"account_id":"%s","currency":"KWD","balance":0\.000,"held":0\.000,"available":1\.500,'
            r'"overdraft_limit":1\.500,"status":"active","version":"?[^",]+"?,"created_at":"[^"]+","updated_at":"[^"]+",'
            r'"metadata":\{[^}]*\}\}' % a, body), body
        doc = c.account(a).json
        assert doc["metadata"] == {"owner": "张三", "k": ""}
        assert TIME.match(doc["created_at"]) and doc["created_at"] == doc["updated_at"]

    def test_location_of_an_id_with_colons(self, c):
        a = fresh("a:b@")
        where = ok(c.open(a), 201).header("Location")
        assert ok(c.get(where)).json["account_id"] == a

    def test_exists(self, c):
        a, b = fresh(), fresh()
        ok(c.open(a, metadata={"k": "v"}), 201)
        fails(c.open(a), 409, "ACCOUNT_EXISTS")
        fails(c.open(a, metadata={"k": "v"}), 409, "ACCOUNT_EXISTS")
        fails(c.open(a, currency="JPY"), 409, "ACCOUNT_EXISTS")
        ok(c.credit(b, "1"))
        fails(c.open(b), 409, "ACCOUNT_EXISTS")
        assert c.account(a).json["currency"] == "CNY" and c.account(a).json["metadata"] == {"k": "v"}
        assert c.balance(b).json["balance"] == "1.00"

    @pytest.mark.parametrize("body", ["", "[]", "null", '"x"', "5", "{", '{"status":"active"}', '{"balance":5}',
                                      '{"account_id":"x","account_id":"y"}', '{"role":"admin"}', '{"version":1}',
                                      '{"held":0}', '{"metadata":{"a":1}}', '{"metadata":{"a":"1","a":"2"}}'])
    def test_refused(self, c, body):
        fails(c.post("/api/v1/wallet", body), 400, "INVALID_REQUEST")

    def test_opening_is_no_entry(self, c):
        a = fresh()
        ok(c.open(a), 201)
        assert ok(c.history(a)).json == {"account_id": a, "transactions": [], "has_more": False}


class TestRead:
    def test_a_movement_shows(self, c):
        a = fresh()
        ok(c.open(a), 201)
        before = c.account(a).json
        ok(c.credit(a, "12.34"))
        after = c.account(a).json
        assert list(after) == MEMBERS
        assert (after["balance"], after["available"], after["held"]) == ("12.34", "12.34", "0.00")
        assert after["created_at"] == before["created_at"] and after["updated_at"] > before["updated_at"]
        assert isinstance(after["version"], Num) and int(after["version"]) > int(before["version"])
        assert c.history(a).json["transactions"][0]["created_at"] == after["updated_at"]

    def test_an_auto_created_account_reads_like_an_opened_one(self, c):
        a = fresh()
        ok(c.credit(a, "1"))
        doc = ok(c.account(a)).json
        assert list(doc) == MEMBERS
        assert (doc["currency"], doc["status"], doc["metadata"], doc["overdraft_limit"]) == ("CNY", "active", {}, "0.00")

    def test_a_refusal_changes_nothing(self, c):
        a = fresh()
        ok(c.credit(a, "1"))
        before = c.account(a).body
        fails(c.debit(a, "2"), 422)
        fails(c.credit(a, "1", currency="USD"), 422)
        fails(c.transfer(a, a, "1"), 422)
        assert c.account(a).body == before


class TestList:
    def pages(self, c, query, limit):
        out, cursor = [], None
        while True:
            r = ok(c.get(f"/api/v1/wallet?limit={limit}&{query}" + (f"&cursor={cursor}" if cursor else "")))
            doc = r.json
            assert list(doc) == ["accounts", "has_more"] + (["next_cursor"] if doc["has_more"] else []), r
            assert len(doc["accounts"]) <= limit
            out += doc["accounts"]
            if not doc["has_more"]:
                return out
            cursor = doc["next_cursor"]
            assert CURSOR.match(cursor)

    def test_prefix_and_pages(self, c):
        p = fresh("L")
        want = {f"{p}-{i}" for i in range(11)}
        for a in want:
            ok(c.credit(a, "1"))
        ok(c.credit(p[:-1] + "z", "1"))
        for limit in (1, 2, 3, 10, 11, 12, 200):
            got = self.pages(c, f"prefix={p}-", limit)
            assert sorted(a["account_id"] for a in got) == sorted(want), limit
        one = next(a for a in got if a["account_id"] == f"{p}-3")
        assert one == c.account(f"{p}-3").json
        assert self.pages(c, f"prefix={p}-3x", 5) == []

    def test_no_account_is_lost_while_new_ones_arrive(self, c):
        p = fresh("N")
        want = {f"{p}-{i}" for i in range(6)}
        for a in want:
            ok(c.open(a), 201)
        seen, cursor = [], None
        for i in range(20):
            doc = ok(c.get(f"/api/v1/wallet?limit=2&prefix={p}" + (f"&cursor={cursor}" if cursor else ""))).json
            seen += [a["account_id"] for a in doc["accounts"]]
            if not doc["has_more"]:
                break
            cursor = doc["next_cursor"]
            if i < 3:
                ok(c.open(f"{p}-new{i}"), 201)
        assert len(seen) == len(set(seen)) and set(seen) >= want

    def test_status(self, c):
        p = fresh("S")
        ok(c.open(p), 201)
        assert [a["account_id"] for a in self.pages(c, f"prefix={p}&status=active", 5)] == [p]
        assert self.pages(c, f"prefix={p}&status=frozen", 5) == []
        assert self.pages(c, f"prefix={p}&status=closed", 5) == []

    def test_no_system_account_is_listed(self, server):
        s = server()
        c = s.client()
        ok(c.credit("only", "1"))
        ok(c.open("yen", currency="JPY"), 201)
        ok(c.credit("yen", "1"))
        assert sorted(a["account_id"] for a in self.pages(c, "status=active", 1)) == ["only", "yen"]
        r = c.get("/api/v1/wallet?prefix=@")
        assert r.status == 400 or r.json["accounts"] == []
        c.close()

    @pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "limit=1.0", "limit=1e2",
                                       "limit=99999999999999999999", "status=open", "status=", "status=ACTIVE", "x=1",
                                       "order=desc", "limit=%2B5", "limit= 5".replace(" ", "%20")])
    def test_refused(self, c, query):
        fails(c.get(f"/api/v1/wallet?{query}"), 400, "INVALID_REQUEST")

    @pytest.mark.parametrize("cursor", ["x", "!", "", "AAAA", "a" * 500, "..", "-", "0"])
    def test_invalid_cursors(self, c, cursor):
        fails(c.get(f"/api/v1/wallet?cursor={cursor}"), 400, "INVALID_CURSOR")

    def test_a_nul_in_a_cursor(self, c):
        fails(c.get("/api/v1/wallet?cursor=%00"), 400, ("INVALID_CURSOR", "INVALID_REQUEST"))

    def test_a_cursor_of_another_list(self, c):
        p = fresh("B")
        for i in range(3):
            ok(c.open(f"{p}-{i}"), 201)
        cursor = ok(c.get(f"/api/v1/wallet?limit=1&prefix={p}")).json["next_cursor"]
        ok(c.get(f"/api/v1/wallet?limit=2&prefix={p}&cursor={cursor}"))
        for query in (f"prefix={p}-", f"prefix={p}&status=frozen", f"prefix={p}&status=active", f"prefix={p.lower()}", "limit=1"):
            fails(c.get(f"/api/v1/wallet?{query}&cursor={cursor}"), 400, "INVALID_CURSOR")
        fails(c.history(f"{p}-1", f"cursor={cursor}"), 400, "INVALID_CURSOR")
        flipped = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
        r = c.get(f"/api/v1/wallet?limit=1&prefix={p}&cursor={flipped}")
        assert r.status in (200, 400)

    def test_limits_at_the_edges(self, c):
        for limit in (1, 200):
            assert len(ok(c.get(f"/api/v1/wallet?limit={limit}")).json["accounts"]) <= limit


def test_head_counts_with_utf8_metadata(c):
    a = fresh()
    ok(c.open(a, metadata={"名": "值" * 100}), 201)
    assert int(c.request("HEAD", f"/api/v1/wallet/{a}").header("Content-Length")) == len(c.account(a).body)


def test_metadata_members_may_not_repeat(c):
    a = fresh()
    fails(c.post("/api/v1/wallet", '{"account_id":"%s","metadata":{"\\u0061":"1","a":"2"}}' % a), 400, "INVALID_REQUEST")
    fails(c.account(a), 404)


@pytest.mark.parametrize("text", ["plain", 'quote " back \\ slash /', "😀𝔘", "</script>",
                                  "\u2028\u2029", "\ufffe\uffff"])
def test_metadata_comes_back_as_it_was(c, text):
    a = fresh()
    ok(c.open(a, metadata={"k": text, text: "v"}), 201)
    assert c.account(a).json["metadata"] == {"k": text, text: "v"}
    r = ok(c.credit(a, "1", reference=text, metadata={text: text}))
    assert c.history(a).json["transactions"][0]["reference"] == text
    assert ok(c.get(f"/api/v1/transactions/{r.json['transaction_id']}")).json["reference"] == text


def test_bodies_are_utf8(c):
    assert dump({"k": "é"}) == '{"k":"é"}'
