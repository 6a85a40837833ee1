"""Header rules: ids, languages, ETag, methods, media types, Location, durability, sequence."""

import re

import pytest

from harness import CODES, UUID7, Conn, build, check, dump, fails, fresh, fresh_key, ok, rise


class TestRequestId:
    @pytest.mark.parametrize("text", ["a", "Z9._-", "x" * 128, "0" * 127, "018f3a4e-0000-7000-8000-000000000000"])
    def test_echoed(self, c, text):
        a = fresh()
        assert c.credit(a, "1", headers=[("X-Request-Id", text)]).header("X-Request-Id") == text
        assert c.balance(fresh(), headers=[("X-Request-Id", text)]).header("X-Request-Id") == text
        assert c.get("/nope", headers=[("X-Request-Id", text)]).header("X-Request-Id") == text
        assert c.request("DELETE", "/livez", headers=[("X-Request-Id", text)]).header("X-Request-Id") == text

    @pytest.mark.parametrize("text", ["", "x" * 129, "a b", "a/b", "ä".encode().decode("latin-1"), "a,b", "a:b", "a\tb",
                                      "%0d%0aX-Evil: 1", "{x}", '"a"'])
    def test_made_anew(self, c, text):
        for r in (c.get("/livez", headers=[("X-Request-Id", text)]), c.get("/nope", headers=[("X-Request-Id", text)])):
            assert UUID7.match(r.header("X-Request-Id")), r
            assert r.header("X-Evil") is None

    def test_unique(self, c):
        seen = [c.get("/livez").header("X-Request-Id") for _ in range(100)]
        assert len(set(seen)) == 100 and all(UUID7.match(s) for s in seen)

    def test_a_replay_carries_its_own(self, c):
        a, key = fresh(), fresh_key()
        first = c.credit(a, "1", key=key, headers=[("X-Request-Id", "first")])
        again = c.credit(a, "1", key=key, headers=[("X-Request-Id", "again")])
        assert (first.header("X-Request-Id"), again.header("X-Request-Id")) == ("first", "again")
        assert first.body == again.body


class TestTraceparent:
    @pytest.mark.parametrize("text", ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "rubbish", "", "00-0-0-0",
                                      "ff-" + "0" * 32 + "-" + "0" * 16 + "-00", "x" * 500])
    def test_never_fails_a_request(self, c, text):
        ok(c.get("/livez", headers=[("traceparent", text)]))
        ok(c.credit(fresh(), "1", headers=[("traceparent", text)]))

    def test_its_trace_id_is_logged(self, server):
        s = server("--access-log")
        client = s.client()
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        good = ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")
        ok(client.get("/livez", headers=[("X-Request-Id", "traced"), good]))
        ok(client.get("/livez", headers=[("X-Request-Id", "bare")]))
        ok(client.get("/livez", headers=[("X-Request-Id", "bad"), ("traceparent", good[1].upper())]))
        ok(client.get("/livez", headers=[("X-Request-Id", "twice"), good, good]))
        fails(client.get("/nope", headers=[("X-Request-Id", "nowhere"), good]), 404)
        client.close()
        s.stop()
        lines = {re.search(r"request_id=(\S+)", line).group(1): line for line in s.log().splitlines() if "http.request" in line}
        for name in ("traced", "nowhere"):
            assert f" trace_id={trace}" in lines[name], lines
        for name in ("bare", "bad", "twice"):
            assert "trace_id" not in lines[name], lines


class TestLanguage:
    def message(self, c, value):
        headers = [] if value is None else [("Accept-Language", value)]
        return fails(c.balance(fresh(), headers=headers), 404, "ACCOUNT_NOT_FOUND").message

    @pytest.mark.parametrize("value", [None, "zh-CN", "zh", "*", "fr", "zh-CN,zh;q=0.9,en;q=0.8", "de,fr;q=0.5",
                                       "en;q=0", "en;q=0.5,zh;q=0.9", "en;q=0.1, zh-CN", ""])
    def test_chinese(self, c, value):
        assert self.message(c, value) == self.message(c, "zh-CN")
        assert not self.message(c, value).isascii()

    @pytest.mark.parametrize("value", ["en", "EN", "en-US", "en-GB,en;q=0.9", "en, zh;q=0.5", "zh;q=0.5,en;q=0.8",
                                       "fr, en;q=0.7", "fr;q=1, en;q=0.7, de;q=0.3"])
    def test_english(self, c, value):
        assert self.message(c, value).isascii()
        assert self.message(c, value) == self.message(c, "en")

    @pytest.mark.parametrize("value", ["en;q=2", "en;;q", ";", ",,,", "en;q=abc", "x" * 2000, "en-" * 300])
    def test_malformed_is_no_failure(self, c, value):
        assert self.message(c, value)

    def test_every_failure_speaks_both_and_the_code_stays(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "1"))
        ok(c.credit(b, "1"))
        key = fresh_key()
        ok(c.credit(a, "1", key=key))
        calls = [
            lambda lang: c.debit(a, "100", lang=lang),
            lambda lang: c.balance(fresh(), lang=lang),
            lambda lang: c.credit(a, "0", lang=lang),
            lambda lang: c.credit(a, "1", currency="USD", lang=lang),
            lambda lang: c.credit(a, "1", currency="XXX", lang=lang),
            lambda lang: c.transfer(a, a, "1", lang=lang),
            lambda lang: c.get("/nope", lang=lang),
            lambda lang: c.request("DELETE", "/livez", lang=lang),
            lambda lang: c.get("/api/v1/wallet/!/balance", lang=lang),
            lambda lang: c.get("/api/v1/transactions/tx_nope", lang=lang),
            lambda lang: c.history(a, "cursor=!", lang=lang),
            lambda lang: c.post(f"/api/v1/wallet/{a}/credit", "{", lang=lang),
            lambda lang: c.open(a, lang=lang),
            lambda lang: c.credit(a, "1", key="x" * 256, lang=lang),
            lambda lang: c.credit(a, "2", key=key, lang=lang),
            lambda lang: c.credit(a, "1", headers=[("If-Match", '"999999"')], lang=lang),
            lambda lang: c.post(f"/api/v1/wallet/{a}/credit", "{}", headers=[("Content-Type", "text/plain")], lang=lang),
            lambda lang: c.post(f"/api/v1/wallet/{a}/credit", " " * 20000, lang=lang),
        ]
        codes = set()
        for call in calls:
            zh, en = call(None), call("en")
            assert zh.status == en.status >= 400 and zh.code == en.code, (zh, en)
            assert not zh.message.isascii() and en.message.isascii(), (zh, en)
            codes.add(zh.code)
        assert len(codes) >= 16, codes


class TestETag:
    def test_account_and_balance_share_the_version(self, c):
        a = fresh()
        ok(c.credit(a, "1"))
        tag = ok(c.balance(a)).header("ETag")
        assert re.fullmatch(r'"[\x21\x23-\x7e]+"', tag)
        doc = ok(c.account(a))
        assert doc.header("ETag") == tag
        assert tag.strip('"') == doc.json["version"]

    def test_changes_with_each_movement_and_only_then(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "5"))
        ok(c.credit(b, "5"))
        seen = [c.balance(a).header("ETag")]
        for move in (lambda: c.credit(a, "1"), lambda: c.debit(a, "1"), lambda: c.transfer(a, b, "1"),
                     lambda: c.transfer(b, a, "1")):
            assert move().status in (200, 201)
            seen.append(c.balance(a).header("ETag"))
        assert len(set(seen)) == len(seen), seen
        fails(c.debit(a, "1000"), 422)
        fails(c.credit(a, "0"), 400)
        ok(c.credit(b, "1"))
        assert c.balance(a).header("ETag") == seen[-1]

    def test_if_none_match(self, c):
        a = fresh()
        ok(c.credit(a, "1"))
        tag = c.balance(a).header("ETag")
        for path in (f"/api/v1/wallet/{a}/balance", f"/api/v1/wallet/{a}"):
            for value in (tag, "*", f'"999999", {tag}', f"W/{tag}", f"{tag},{tag}"):
                r = ok(c.get(path, headers=[("If-None-Match", value)]), 304)
                assert r.header("ETag") == tag and r.body == b""
            for value in ('"999999"', tag.strip('"') + "x", 'W/"zzz"', '"zzz","yyy"'):
                ok(c.get(path, headers=[("If-None-Match", value)]))
            r = ok(c.request("HEAD", path, headers=[("If-None-Match", tag)]), 304)
        ok(c.credit(a, "1"))
        assert ok(c.balance(a, headers=[("If-None-Match", tag)])).json["balance"] == "2.00"
        fails(c.balance(fresh(), headers=[("If-None-Match", "*")]), 404, "ACCOUNT_NOT_FOUND")

    def test_if_match(self, c):
        a = fresh()
        ok(c.credit(a, "5"))
        tag = c.balance(a).header("ETag")
        for op in (c.credit, c.debit):
            tag = c.balance(a).header("ETag")
            fails(op(a, "1", headers=[("If-Match", '"999999"')]), 412, "PRECONDITION_FAILED")
            ok(op(a, "1", headers=[("If-Match", tag)]))
            fails(op(a, "1", headers=[("If-Match", tag)]), 412, "PRECONDITION_FAILED")
        ok(c.credit(a, "1", headers=[("If-Match", "*")]))
        tag = c.balance(a).header("ETag")
        ok(c.credit(a, "1", headers=[("If-Match", f'"999999", {tag}')]))
        tag = c.balance(a).header("ETag")
        fails(c.credit(a, "1", headers=[("If-Match", f"W/{tag}")]), 412, "PRECONDITION_FAILED")
        assert c.balance(a).json["balance"] == "7.00"

    @pytest.mark.parametrize("value", ['"zzz"', '""', '"1x"', '"-1"', '"01"', '"18446744073709551617"', '"!#$"', 'W/"zzz"',
                                       '"zzz", "yyy"'])
    def test_a_tag_that_is_no_version_does_not_match(self, c, value):
        """An entity tag is opaque: a well-formed one that is not ours is a failed precondition, not a broken request."""
        a = fresh()
        ok(c.credit(a, "5"))
        fails(c.credit(a, "1", headers=[("If-Match", value)]), 412, "PRECONDITION_FAILED")
        ok(c.balance(a, headers=[("If-None-Match", value)]))
        assert c.balance(a).json["balance"] == "5.00"

    def test_if_match_on_an_unknown_account(self, c):
        a = fresh()
        fails(c.debit(a, "1", headers=[("If-Match", '"1"')]), 404, "ACCOUNT_NOT_FOUND")
        fails(c.balance(a), 404, "ACCOUNT_NOT_FOUND")

    def test_if_match_elsewhere_is_400(self, c):
        a, b = fresh(), fresh()
        ok(c.credit(a, "5"))
        ok(c.credit(b, "5"))
        tag = c.balance(a).header("ETag")
        fails(c.transfer(a, b, "1", headers=[("If-Match", tag)]), 400, "INVALID_REQUEST")
        fails(c.open(fresh(), headers=[("If-Match", tag)]), 400, "INVALID_REQUEST")
        fails(c.balance(a, headers=[("If-Match", tag)]), 400, "INVALID_REQUEST")
        assert c.balance(a).json["balance"] == "5.00"


ROUTES = [
    ("/api/v1/wallet", {"GET", "POST"}),
    ("/api/v1/wallet/{a}", {"GET"}),
    ("/api/v1/wallet/{a}/balance", {"GET"}),
    ("/api/v1/wallet/{a}/credit", {"POST"}),
    ("/api/v1/wallet/{a}/debit", {"POST"}),
    ("/api/v1/wallet/{a}/transactions", {"GET"}),
    ("/api/v1/transfers", {"POST"}),
    ("/api/v1/transactions/{t}", {"GET"}),
    ("/metrics", {"GET"}),
    ("/livez", {"GET"}),
    ("/readyz", {"GET"}),
    ("/healthz", {"GET"}),
    ("/openapi.yaml", {"GET"}),
]


class TestMethods:
    def path(self, c, template):
        a = fresh()
        t = ok(c.credit(a, "5")).json["transaction_id"]
        return template.format(a=a, t=t), a

    def allowed(self, answer):
        return {m.strip() for m in answer.header("Allow").split(",")}

    @pytest.mark.parametrize("template,methods", ROUTES, ids=[r[0] for r in ROUTES])
    def test_options(self, c, template, methods):
        path, _ = self.path(c, template)
        r = ok(c.request("OPTIONS", path), 204)
        want = set(methods) | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
        assert self.allowed(r) - {"PATCH"} == want

    @pytest.mark.parametrize("template,methods", ROUTES, ids=[r[0] for r in ROUTES])
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "TRACE"])
    def test_405(self, c, template, methods, method):
        if method in methods or (method == "HEAD" and "GET" in methods):
            return
        path, account = self.path(c, template)
        r = c.request(method, path, body=b'{"amount":1}' if method in ("POST", "PUT") else None)
        assert r.status == 405, r
        if method != "HEAD":
            fails(r, 405, "METHOD_NOT_ALLOWED")
        assert self.allowed(r) == self.allowed(c.request("OPTIONS", path))
        assert c.balance(account).json["balance"] == "5.00"

    def test_method_override_headers_do_nothing(self, c):
        path, account = self.path(c, "/api/v1/wallet/{a}/balance")
        r = ok(c.get(path, headers=[("X-HTTP-Method-Override", "DELETE"), ("X-Method-Override", "POST")]))
        assert r.json["balance"] == "5.00"

    @pytest.mark.parametrize("template", [r[0] for r in ROUTES if "GET" in r[1]])
    def test_head_is_get_without_the_body(self, c, template):
        path, _ = self.path(c, template)
        moving = {"x-request-id", "date"}
        get, head = c.get(path), c.request("HEAD", path)
        assert get.status == head.status == 200 and head.body == b""
        names = lambda r: sorted(k for k, _ in r.headers if k not in moving)  # noqa: E731
        assert names(get) == names(head)
        if template not in ("/metrics",):
            keep = lambda r: sorted(h for h in r.headers if h[0] not in moving)  # noqa: E731
            assert keep(get) == keep(head)
        # The connection is still in step.
        ok(c.get("/livez"))

    def test_head_of_a_failure(self, c):
        for path in (f"/api/v1/wallet/{fresh()}/balance", "/nope"):
            get, head = c.get(path), c.request("HEAD", path)
            assert get.status == head.status == 404 and head.body == b""
            assert head.header("Content-Length") in (None, str(len(get.body)))

    def test_options_star(self, c):
        ok(c.request("OPTIONS", "*"), 204)

    @pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/api/v1/", "/api/v2/wallet", "/nope", "/livez/", "/LIVEZ",
                                      "/api/v1/wallet/x/balance/", "/api/v1/wallet/x/balances", "/api/v1/wallet/x/y/z",
                                      "/api/v1/transfers/", "/api/v1/Transfers", "//livez", "/./livez", "/favicon.ico",
                                      "/api/v1/wallet/x/credit/1", "/%6Civez%00", "/api/v1/transactions/a/b/c/d"])
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
    def test_unknown_routes(self, c, path, method):
        fails(c.request(method, path, body=b"{}" if method == "POST" else None), 404, "ROUTE_NOT_FOUND")


class TestMedia:
    @pytest.mark.parametrize("value", ["application/json", "Application/JSON", "application/json; charset=utf-8",
                                       "application/json;charset=UTF-8", 'application/json; charset="utf-8"'])
    def test_taken(self, c, value):
        ok(c.credit(fresh(), "1", headers=[("Content-Type", value)]))

    @pytest.mark.parametrize("value", ["text/plain", "application/x-www-form-urlencoded", "application/xml",
                                       "multipart/form-data; boundary=x", "application/jsonx", "application",
                                       "text/json", "application/json-patch+json"])
    def test_refused(self, c, value):
        a = fresh()
        ok(c.credit(a, "1"))
        fails(c.credit(a, "1", headers=[("Content-Type", value)]), 415, "UNSUPPORTED_MEDIA_TYPE")
        assert c.balance(a).json["balance"] == "1.00"

    @pytest.mark.parametrize("value", ["gzip", "deflate", "br", "gzip, gzip", "x"])
    def test_content_encoding(self, c, value):
        a = fresh()
        ok(c.credit(a, "1"))
        fails(c.credit(a, "1", headers=[("Content-Encoding", value)]), 415, "UNSUPPORTED_MEDIA_TYPE")
        assert c.balance(a).json["balance"] == "1.00"

    def test_no_cors(self, c):
        origin = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")]
        ok(c.request("OPTIONS", "/api/v1/transfers", headers=origin), 204)
        ok(c.get("/livez", headers=origin))


class TestDurability:
    def test_on_every_answer_to_a_write(self, c):
        a, b = fresh(), fresh()
        key = fresh_key()
        answers = [
            c.credit(a, "5", key=key), c.credit(a, "5", key=key), c.debit(a, "1"), c.credit(b, "1"),
            c.transfer(a, b, "1"), c.open(fresh()), c.debit(a, "1000"), c.debit(fresh(), "1"), c.credit(a, "0"),
            c.open(a), c.transfer(a, a, "1"), c.credit(a, "1", headers=[("If-Match", '"999999"')]),
            c.post(f"/api/v1/wallet/{a}/credit", "{"), c.credit(a, "9", key=key),
        ]
        assert [r.header("Wallet-Durability") for r in answers] == ["fsync"] * len(answers)
        assert {r.status for r in answers} >= {200, 201, 400, 404, 409, 412, 422}

    def test_not_on_a_read(self, c):
        a = fresh()
        ok(c.credit(a, "5"))
        for r in (c.balance(a), c.account(a), c.history(a), c.get("/livez")):
            assert r.header("Wallet-Durability") is None and r.header("Wallet-Seq") is None


class TestSeq:
    def test_rises_with_each_effect(self, c):
        a, b = fresh(), fresh()
        seqs = [ok(c.credit(a, "50")).seq, ok(c.credit(b, "50")).seq, ok(c.debit(a, "1")).seq,
                ok(c.transfer(a, b, "1"), 201).seq, ok(c.open(fresh()), 201).seq, ok(c.credit(a, "1")).seq]
        assert rise(seqs), seqs

    def test_a_refusal_without_a_key_carries_where_it_was_judged(self, c):
        a = fresh()
        before = ok(c.credit(a, "5")).seq
        refused = fails(c.debit(a, "50"), 422, "INSUFFICIENT_BALANCE").seq
        again = fails(c.debit(a, "50"), 422, "INSUFFICIENT_BALANCE").seq
        after = ok(c.credit(a, "5")).seq
        assert before <= refused <= again < after

    def test_a_refusal_with_a_key_is_an_effect(self, c):
        a = fresh()
        before = ok(c.credit(a, "5")).seq
        refused = fails(c.debit(a, "50", key=fresh_key()), 422, "INSUFFICIENT_BALANCE").seq
        after = ok(c.credit(a, "5")).seq
        assert before < refused < after

    def test_a_replay_carries_the_original(self, c):
        a, key, key2 = fresh(), fresh_key(), fresh_key()
        first = ok(c.credit(a, "5", key=key))
        refused = fails(c.debit(a, "50", key=key2), 422)
        ok(c.credit(a, "500"))
        assert ok(c.credit(a, "5", key=key)).seq == first.seq
        assert fails(c.debit(a, "50", key=key2), 422, "INSUFFICIENT_BALANCE").seq == refused.seq


class TestExpect:
    def test_unknown_is_400(self, shared):
        with shared.conn() as conn:
            conn.send(build("GET", "/livez", headers=[("Expect", "200-ok")]))
            fails(check(conn.answer(), "GET", "/livez"), 400, "INVALID_REQUEST")

    def test_100_continue(self, shared, c):
        a = fresh()
        body = b'{"amount":1}'
        with shared.conn() as conn:
            wire = build("POST", f"/api/v1/wallet/{a}/credit", body, headers=[("Expect", "100-continue")])
            conn.send(wire[: -len(body)])
            # The interim answer is the event to wait for: the body goes only after it.
            head = conn._head()
            assert head.startswith(b"HTTP/1.1 100 "), head
            conn.send(body)
            ok(check(conn.answer("POST"), "POST", f"/api/v1/wallet/{a}/credit"))
        assert c.balance(a).json["balance"] == "1.00"

    def test_100_continue_is_not_sent_for_what_is_refused(self, shared):
        with shared.conn() as conn:
            conn.send(build("POST", "/api/v1/transfers", b"",
                            headers=[("Expect", "100-continue"), ("Content-Length", "999999")]))
            r = conn.answer("POST")
            assert r.interim == [] and fails(check(r, "POST", "/api/v1/transfers"), 413, "PAYLOAD_TOO_LARGE")


class TestLimits:
    def test_body(self, c):
        a = fresh()
        for size in (16383, 16384):
            body = b'{"amount":1}'.ljust(size)
            ok(c.post(f"/api/v1/wallet/{a}/credit", body))
        fails(c.post(f"/api/v1/wallet/{a}/credit", b'{"amount":1}'.ljust(16385)), 413, "PAYLOAD_TOO_LARGE")
        assert c.balance(a).json["balance"] == "2.00"

    @pytest.mark.parametrize("size", [16383, 16384, 16385])
    def test_body_chunked(self, c, size):
        a = fresh()
        body = b'{"amount":1}'.ljust(size)
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 1000]), body[i : i + 1000]) for i in range(0, size, 1000))
        r = c.exchange("POST", "", build("POST", f"/api/v1/wallet/{a}/credit", chunked + b"0\r\n\r\n",
                                         headers=[("Transfer-Encoding", "chunked")]))
        if size <= 16384:
            ok(check(r, "POST", f"/api/v1/wallet/{a}/credit"))
        else:
            fails(check(r, "POST", ""), 413, "PAYLOAD_TOO_LARGE")
            fails(c.balance(a), 404)

    def test_uri(self, c):
        for size in (2047, 2048):
            fails(c.get("/" + "a" * (size - 1)), 404, "ROUTE_NOT_FOUND")
        fails(c.get("/" + "a" * 2048), 414, "URI_TOO_LONG")
        fails(c.get("/" + "a" * 12000), 414, "URI_TOO_LONG")

    def head(self, size):
        bare = len(build("GET", "/livez", headers=[("X-Pad", "")]))
        return [("X-Pad", "p" * (size - bare))]

    def test_head(self, c):
        for size in (16383, 16384):
            headers = self.head(size)
            assert len(build("GET", "/livez", headers=headers)) == size
            ok(c.get("/livez", headers=headers))
        fails(c.get("/livez", headers=self.head(16385)), 431, "HEADERS_TOO_LARGE")

    def test_many_small_headers_are_fine(self, c):
        ok(c.get("/livez", headers=[(f"X-{i}", "v") for i in range(64)]))

    @pytest.mark.parametrize("size", [127, 128, 129])
    def test_reference(self, c, size):
        a = fresh()
        for text in ("r" * size, "款" * 42 + "r" * (size - 126)):
            assert len(text.encode()) == size
            r = c.credit(a, "1", reference=text)
            if size <= 128:
                ok(r)
                assert c.history(a, "limit=1").json["transactions"][0]["reference"] == text
            else:
                fails(r, 400, "INVALID_REQUEST")

    def test_metadata(self, c):
        # Whether names, quotes and colons count is left open by the contract; these two are on either side of any count.
        a = fresh()
        ok(c.credit(a, "1", metadata={"k": "v" * (4096 - len('{"k":""}'))}))
        fails(c.credit(a, "1", metadata={"k": "v" * 4096}), 400, "INVALID_REQUEST")
        ok(c.open(fresh(), metadata={"k": "v" * (4096 - len('{"k":""}'))}), 201)
        fails(c.open(fresh(), metadata={"k": "v" * 4096}), 400, "INVALID_REQUEST")
        fails(c.credit(a, "1", metadata={f"k{i}": "v" * 100 for i in range(60)}), 400, "INVALID_REQUEST")

    def test_the_code_table_is_one_to_one(self):
        assert len(CODES) == len(set(CODES)) and set(CODES.values()) <= set(range(400, 505))

    def test_keep_alive(self, shared):
        with shared.conn() as conn:
            for _ in range(200):
                conn.send(build("GET", "/livez"))
                assert conn.answer().status == 200

    def test_connection_close_is_honoured(self, shared):
        with shared.conn() as conn:
            conn.send(build("GET", "/livez", headers=[("Connection", "close")]) + build("GET", "/livez"))
            r = conn.answer()
            assert r.status == 200 and r.header("Connection").lower() == "close"
            assert conn.rest() == b""

    def test_http_10_closes(self, shared):
        with Conn(shared.port) as conn:
            conn.send(build("GET", "/livez", version="HTTP/1.0"))
            assert conn.answer().status == 200
            assert conn.rest() == b""


class TestMessages:
    """A message says what to mend, in either language, and repeats of a request no more than a plain name."""

    @pytest.mark.parametrize("method,target,body,words", [
        ("POST", "/api/v1/wallet/a/credit", '{"amount":1,"amuont":1}', "amuont"),
        ("POST", "/api/v1/wallet/a/credit?dry_run=1", '{"amount":1}', "dry_run"),
        ("POST", "/api/v1/wallet/a/credit", '{"amount":1,"reference":"%s"}' % ("r" * 129), "128"),
        ("POST", "/api/v1/wallet/a/credit", '{"amount":1,"metadata":{"k":"%s"}}' % ("v" * 5000), "4096"),
        ("GET", "/api/v1/wallet?limit=201", None, "200"),
        ("GET", "/api/v1/wallet/a/transactions?limit=0", None, "200"),
    ])
    def test_invalid_requests(self, c, method, target, body, words):
        for lang in ("zh-CN", "en"):
            r = fails(c.request(method, target, body, headers=[("Accept-Language", lang)]), 400, "INVALID_REQUEST")
            assert words in r.message and r.message.isascii() == (lang == "en"), r

    def test_a_name_that_is_none_is_not_repeated(self, c):
        for name in ("sk-live", "a b", "n" * 33, "名"):
            r = fails(c.post("/api/v1/wallet/a/credit", '{"amount":1,"%s":1}' % name), 400, "INVALID_REQUEST")
            assert name not in r.message, r

    def test_a_transfer_says_which_id(self, c):
        for sides in ({"from": "!", "to": "b"}, {"from": "a", "to": "!"}):
            r = c.post("/api/v1/transfers", dump({**sides, "amount": 1}))
            bad = next(side for side, name in sides.items() if name == "!")
            assert fails(r, 400, "INVALID_ACCOUNT_ID").message.endswith(bad), r


def test_413_can_be_read_while_the_client_still_sends(shared):
    """The answer comes before the body was read; the client is not reset before it has read it."""
    a = fresh()
    with shared.conn() as conn:
        conn.send(build("POST", f"/api/v1/wallet/{a}/credit", b"", headers=[("Content-Length", str(300_000))]))
        conn.send(b"x" * 300_000)
        fails(check(conn.answer("POST"), "POST", f"/api/v1/wallet/{a}/credit"), 413, "PAYLOAD_TOO_LARGE")
        conn.rest()


def test_dump_refuses_floats():
    with pytest.raises(TypeError):
        dump({"amount": 1.5})
