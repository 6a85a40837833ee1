"""Many clients at once: one effect a key, no double spending, no deadlock, money conserved, nothing acknowledged is lost."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import STORE, Client, Closed, build, check, fails, fresh, fresh_key, minor, money, ok


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A server with several loops."""
    from harness import Server

    s = Server(tmp_path_factory.mktemp("busy") / "s", "--threads", "2")
    try:
        yield s
        s.stop()
    finally:
        s.reap()
        s.end_redis()


def at_once(port, count, call):
    """Run call(client, i) on `count` threads that start together, each with its own connection. Returns the results in order."""
    gate = threading.Barrier(count)

    def one(i):
        client = Client(port)
        try:
            ok(client.get("/livez"))
            gate.wait(30)
            return call(client, i)
        finally:
            client.close()

    with ThreadPoolExecutor(count) as pool:
        return [f.result() for f in [pool.submit(one, i) for i in range(count)]]


def conserved(client, accounts):
    """Each account's balance is the fold of its history; the sum of all is what came in less what went out."""
    total, flows = 0, 0
    for a in accounts:
        at = 0
        for e in client.whole_history(a, 200, "order=asc"):
            at += minor(e["amount"])
            assert minor(e["balance"]) == at, (a, e)
            if e["type"] in ("credit", "debit"):
                flows += minor(e["amount"])
        assert minor(ok(client.balance(a)).json["balance"]) == at
        total += at
    assert total == flows
    return total


class TestSameKey:
    @pytest.mark.parametrize("kind", ["credit", "debit", "transfer", "refusal"])
    def test_64_at_once_are_one(self, busy, kind):
        c = busy.client()
        for _ in range(4):
            a, b, key = fresh(), fresh(), fresh_key()
            ok(c.credit(a, "100"))
            ok(c.credit(b, "100"))
            call = {
                "credit": lambda cl, i: cl.credit(a, "7", key=key),
                "debit": lambda cl, i: cl.debit(a, "7", key=key),
                "transfer": lambda cl, i: cl.transfer(a, b, "7", key=key),
                "refusal": lambda cl, i: cl.debit(a, "700", key=key, lang="en" if i % 2 else "zh-CN"),
            }[kind]
            answers = at_once(busy.port, 64, call)
            want = {"credit": 200, "debit": 200, "transfer": 201, "refusal": 422}[kind]
            assert {r.status for r in answers} == {want}
            assert len({r.body for r in answers}) == 1 and len({r.seq for r in answers}) == 1
            assert sum(not r.replayed for r in answers) == 1
            effect = {"credit": 700, "debit": -700, "transfer": -700, "refusal": 0}[kind]
            assert ok(c.balance(a)).json["balance"] == money(10000 + effect)
            assert len(c.whole_history(a)) == (1 if kind == "refusal" else 2)
        c.close()

    def test_same_key_first_credit_opens_once(self, busy):
        a, key = fresh(), fresh_key()
        answers = at_once(busy.port, 32, lambda cl, i: cl.credit(a, "7", key=key))
        assert {r.body for r in answers} == {answers[0].body} and {r.status for r in answers} == {200}
        c = busy.client()
        assert ok(c.balance(a)).json["balance"] == "7.00"
        c.close()

    def test_same_key_other_body(self, busy):
        """64 different requests under one key: one is taken, the others are told so."""
        a, key = fresh(), fresh_key()
        answers = at_once(busy.port, 64, lambda cl, i: cl.credit(a, f"{i + 1}", key=key))
        good = [r for r in answers if r.status == 200]
        assert len(good) == 1
        for r in answers:
            if r.status != 200:
                fails(r, 422, "IDEMPOTENCY_KEY_REUSED")
        c = busy.client()
        assert ok(c.balance(a)).json["balance"] == good[0].json["balance"]
        c.close()

    def test_in_one_pipeline(self, busy):
        a = fresh()
        wire = build("POST", f"/api/v1/wallet/{a}/credit", b'{"amount":1}', headers=[("Idempotency-Key", "p")])
        with busy.conn() as conn:
            conn.send(wire * 64)
            answers = [conn.answer("POST") for _ in range(64)]
        assert len({r.body for r in answers}) == 1 and [r.replayed for r in answers] == [False] + [True] * 63


class TestDoubleSpend:
    @pytest.mark.parametrize("keyed", [False, True], ids=["bare", "keyed"])
    def test_200_debits_of_50(self, busy, keyed):
        c = busy.client()
        a = fresh()
        ok(c.credit(a, "50"))
        todo = iter(range(200))
        lock = threading.Lock()

        def spend(client, _):
            out = []
            while True:
                with lock:
                    if next(todo, None) is None:
                        return out
                out.append(client.debit(a, "1", key=fresh_key() if keyed else None))

        answers = [r for rs in at_once(busy.port, 32, spend) for r in rs]
        assert len(answers) == 200
        good = [r for r in answers if r.status == 200]
        assert len(good) == 50
        for r in answers:
            if r.status != 200:
                fails(r, 422, "INSUFFICIENT_BALANCE")
        assert sorted(minor(r.json["balance"]) for r in good) == [100 * i for i in range(50)]
        # In the order of their positions the answers tell a falling balance.
        assert [minor(r.json["balance"]) for r in sorted(good, key=lambda r: r.seq)] == [100 * i for i in reversed(range(50))]
        assert ok(c.balance(a)).json["balance"] == "0.00"
        assert conserved(c, [a]) == 0
        c.close()

    def test_transfers_of_one_balance_to_many(self, busy):
        c = busy.client()
        a, sinks = fresh(), [fresh() for _ in range(16)]
        ok(c.credit(a, "40"))
        for s in sinks:
            ok(c.open(s), 201)
        answers = [r for rs in at_once(busy.port, 16, lambda cl, i: [cl.transfer(a, sinks[i], "1") for _ in range(8)]) for r in rs]
        assert sum(r.status == 201 for r in answers) == 40
        assert sum(r.status == 422 for r in answers) == 88
        assert ok(c.balance(a)).json["balance"] == "0.00"
        assert conserved(c, [a] + sinks) == 4000
        c.close()


class TestCrossing:
    def test_there_and_back_at_once(self, busy):
        c = busy.client()
        a, b = fresh(), fresh()
        ok(c.credit(a, "5"))
        ok(c.credit(b, "5"))
        answers = at_once(
            busy.port, 16, lambda cl, i: [cl.transfer(*((a, b) if i % 2 else (b, a)), "1") for _ in range(40)]
        )
        for rs in answers:
            for r in rs:
                if r.status != 201:
                    fails(r, 422, "INSUFFICIENT_BALANCE")
        assert sum(r.status == 201 for rs in answers for r in rs) >= 40
        assert conserved(c, [a, b]) == 1000
        c.close()

    def test_a_ring(self, busy):
        c = busy.client()
        ring = [fresh() for _ in range(4)]
        for a in ring:
            ok(c.credit(a, "3"))
        at_once(busy.port, 12, lambda cl, i: [cl.transfer(ring[(i + k) % 4], ring[(i + k + 1) % 4], "2") for k in range(40)])
        assert conserved(c, ring) == 1200
        c.close()

    def test_a_hot_account(self, busy):
        c = busy.client()
        hot = fresh()
        answers = [r for rs in at_once(busy.port, 32, lambda cl, i: [ok(cl.credit(hot, "1")) for _ in range(30)]) for r in rs]
        assert sorted(minor(r.json["balance"]) for r in answers) == [100 * i for i in range(1, 961)]
        ordered = sorted(answers, key=lambda r: r.seq)
        assert [minor(r.json["balance"]) for r in ordered] == [100 * i for i in range(1, 961)]
        assert [e["transaction_id"] for e in c.whole_history(hot, 200, "order=asc")] == [r.json["transaction_id"] for r in ordered]
        c.close()

    def test_random_traffic_conserves(self, busy):
        c = busy.client()
        accounts = [fresh() for _ in range(6)]
        for a in accounts:
            ok(c.credit(a, "20"))

        def traffic(client, i):
            rng = random.Random(i)
            for _ in range(60):
                a, b = rng.choice(accounts), rng.choice(accounts)
                amount = money(rng.randint(1, 1500))
                kind = rng.random()
                if kind < 0.2:
                    r = client.credit(a, amount)
                elif kind < 0.4:
                    r = client.debit(a, amount)
                elif kind < 0.9:
                    r = client.transfer(a, b, amount)
                else:
                    r = client.balance(a)
                assert r.status in (200, 201, 422), r

        at_once(busy.port, 24, traffic)
        conserved(c, accounts)
        c.close()

    def test_readers_see_committed_money_only(self, busy):
        """Two accounts that always sum to 10 in their histories; a balance never goes back for one sequential client."""
        c = busy.client()
        a = fresh()
        ok(c.credit(a, "1"))
        done = threading.Event()

        def work(client, i):
            if i == 0:
                for _ in range(200):
                    ok(client.credit(a, "1"))
                done.set()
                return None
            last = 0
            while not done.is_set():
                now = minor(ok(client.balance(a)).json["balance"])
                rows = ok(client.history(a, "limit=1")).json["transactions"]
                assert now >= last and minor(rows[0]["balance"]) >= now
                last = minor(rows[0]["balance"])
            return None

        at_once(busy.port, 5, work)
        c.close()

    def test_if_match_lets_one_through(self, busy):
        c = busy.client()
        a = fresh()
        ok(c.credit(a, "1"))
        for _ in range(5):
            tag = c.balance(a).header("ETag")
            answers = at_once(busy.port, 16, lambda cl, i: cl.credit(a, "1", headers=[("If-Match", tag)]))
            assert sorted(r.status for r in answers) == [200] + [412] * 15
        c.close()

    def test_opening_at_once(self, busy):
        a = fresh()
        answers = at_once(busy.port, 32, lambda cl, i: cl.open(a))
        assert sorted(r.status for r in answers) == [201] + [409] * 31


class TestOverload:
    def test_a_full_inbox_refuses_and_applies_nothing(self, server):
        """503 means surely not applied: the balance is exactly what was answered 200."""
        narrow = ["--redis-pool-active", "2", "--redis-depth", "1"] if STORE == "redis" else ["--batch", "1"]
        s = server("--inbox", "16", "--threads", "2", *narrow)
        c = s.client()
        ok(c.credit("hot", "1"))
        one = build("POST", "/api/v1/wallet/hot/credit", b'{"amount":1}')

        def flood(client, i):
            with s.conn() as conn:
                conn.send(one * 40)
                return [check(conn.answer("POST"), "POST", "/api/v1/wallet/hot/credit") for _ in range(40)]

        answers = [r for rs in at_once(s.port, 64, flood) for r in rs]
        good = [r for r in answers if r.status == 200]
        for r in answers:
            if r.status != 200:
                fails(r, 503, "STORE_UNAVAILABLE")
        assert good and len(good) < len(answers), "the inbox was never full: this test proves nothing"
        assert ok(c.balance("hot")).json["balance"] == money(100 * (len(good) + 1))
        assert [minor(r.json["balance"]) for r in sorted(good, key=lambda r: r.seq)] == [100 * (i + 2) for i in range(len(good))]
        conserved(c, ["hot"])
        c.close()

    @pytest.mark.embedded
    def test_a_full_key_index_refuses_new_keys_and_forgets_none(self, server):
        s = server("--idempotency-max", "1000")
        c = s.client()
        ok(c.credit("a", "1"))
        first = {}
        for i in range(1000):
            first[i] = ok(c.credit("a", "1", key=f"k{i}"))
        for i in (1000, 1001):
            fails(c.credit("a", "1", key=f"k{i}"), 503, "STORE_UNAVAILABLE")
        fails(c.debit("a", "99999", key="k1002"), 503, "STORE_UNAVAILABLE")
        ok(c.credit("a", "1"))
        for _ in range(2):
            for i, r in first.items():
                again = c.credit("a", "1", key=f"k{i}")
                assert again.replayed and again.body == r.body
            fails(c.credit("a", "2", key="k5"), 422, "IDEMPOTENCY_KEY_REUSED")
            assert ok(c.balance("a")).json["balance"] == "1002.00"
            s.restart(hard=True)
            c.close()
            c.port = s.port
        fails(c.credit("a", "1", key="k1000"), 503, "STORE_UNAVAILABLE")
        c.close()


class TestKillUnderLoad:
    @pytest.mark.deadline(120)
    def test_nothing_acknowledged_is_lost(self, server):
        """kill -9 under keyed traffic: acked is there, unknown settles by its key, one effect each, byte-identical from then on."""
        s = server("--threads", "2")
        c = s.client()
        hot, other = "hot", "other"
        ok(c.credit(hot, "100000"))
        ok(c.credit(other, "100000"))
        acked, unknown = {}, []
        rng = random.Random(7)
        for cycle in range(12):
            stop = threading.Event()
            lock = threading.Lock()
            warm = threading.Event()

            def traffic(i):
                client = Client(s.port, timeout=10)
                n = 0
                while not stop.is_set():
                    key = f"c{cycle}-t{i}-{n}"
                    n += 1
                    kind = n % 3
                    job = (kind, key)
                    try:
                        r = send(client, job)
                    except (Closed, OSError):
                        with lock:
                            unknown.append(job)
                        break
                    assert r.status in (200, 201), r
                    with lock:
                        acked[job] = r
                        if len(acked) > (cycle + 1) * 60 + rng.randint(0, 100):
                            warm.set()
                client.close()

            def send(client, job):
                kind, key = job
                if kind == 0:
                    return client.credit(hot, "1", key=key)
                if kind == 1:
                    return client.debit(hot, "2", key=key)
                return client.transfer(hot, other, "3", key=key)

            threads = [threading.Thread(target=traffic, args=(i,)) for i in range(12)]
            for t in threads:
                t.start()
            assert warm.wait(30)
            s.kill()
            stop.set()
            for t in threads:
                t.join(30)
                assert not t.is_alive()
            s.start()
            c.close()
            c.port = s.port
            for job in unknown:
                r = send(c, job)
                assert r.status in (200, 201), r
                acked[job] = r
            unknown.clear()
        for job, first in acked.items():
            again = send(c, job)
            assert again.replayed and (again.status, again.body, again.seq) == (first.status, first.body, first.seq)
        kinds = [job[0] for job in acked]
        want = 10_000_000 + 100 * kinds.count(0) - 200 * kinds.count(1) - 300 * kinds.count(2)
        assert ok(c.balance(hot)).json["balance"] == money(want)
        assert ok(c.balance(other)).json["balance"] == money(10_000_000 + 300 * kinds.count(2))
        rows = c.whole_history(hot, 200, "order=asc")
        assert len(rows) == len(kinds) + 1
        assert {e["transaction_id"] for e in rows[1:]} == {r.json["transaction_id"] for r in acked.values()}
        by_seq = sorted(acked.values(), key=lambda r: r.seq)
        assert [r.json["transaction_id"] for r in by_seq] == [e["transaction_id"] for e in rows[1:]]
        conserved(c, [hot, other])
        c.close()
