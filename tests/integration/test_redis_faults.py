"""Several instances on one Redis, and what can happen to either of them: exact, honest, and nothing done twice."""

import contextlib
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import Closed, Num, Redis, Server, fails, fresh, fresh_key, minor, ok, run
from redis_servers import Node, Proxy, Sentinel, until
from test_crash import Op, check_ops

pytestmark = pytest.mark.redis

OP_TIMEOUT_S = 2
CLIENTS = 32
ANY = ("fsync", "async-replicated", "replicated", "memory", "aof-everysec")


class Instance(Server):
    """A service on somebody's Redis, whatever its answers are worth."""

    def client(self, **kw):
        return super().client(durability=ANY, **kw)


@pytest.fixture
def redis(tmp_path):
    """redis(*flags) starts one; all are ended with the test."""
    started = []

    def start(*flags):
        started.append(Node(tmp_path / f"redis{len(started)}", *Redis.FLAGS, *flags))
        return started[-1]

    try:
        yield start
    finally:
        for r in started:
            r.end()


@pytest.fixture
def wallet(tmp_path):
    """wallet(redis, *flags) starts an instance on that Redis; all are ended with the test."""
    started = []

    def start(on, *flags, **kw):
        s = Instance(tmp_path / f"w{len(started)}", *flags, redis=on, verify=False, **kw)
        started.append(s)
        return s

    try:
        yield start
    finally:
        for s in started:
            s.reap()


def verify(on):
    done = run("verify", env={"REDIS_ADDR": on.address})
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])


def status(s, target="/readyz"):
    with contextlib.closing(s.client()) as c:
        return c.get(target).status


def ready(s, deadline_s=30):
    until(lambda: status(s) == 200, deadline_s, "the service did not become ready again")


def takes_writes(s):
    """Wait until it does on several connections. /readyz alone may be as old as the last look at Redis, and still say yes."""
    account = fresh("probe")

    def is_taken():
        with contextlib.closing(s.client()) as c:
            return c.credit(account, "1").status == 200

    until(lambda: all(is_taken() for _ in range(8)), 30, "the service takes no writes")


def in_parallel(instances, clients, work):
    """work(client, i) for each of `clients` of every instance, all let go at once; the answers."""
    gate = threading.Barrier(len(instances) * clients)

    def one(i):
        with contextlib.closing(instances[i % len(instances)].client()) as c:
            gate.wait()
            return work(c, i)

    with ThreadPoolExecutor(len(instances) * clients) as pool:
        return list(pool.map(one, range(len(instances) * clients)))


class Traffic:
    """Keyed credits from several threads to several instances, until it is told to stop."""

    def __init__(self, instances, threads=12):
        self.ops, self.is_over, self.lock = [], threading.Event(), threading.Lock()
        self.accounts = [fresh("load") for _ in range(4)]
        self.threads = [
            threading.Thread(target=self._run, args=(instances[i % len(instances)], random.Random(i))) for i in range(threads)
        ]
        for t in self.threads:
            t.start()

    def _run(self, instance, rng):
        while not self.is_over.is_set():
            c = instance.client()
            try:
                while not self.is_over.is_set():
                    op = Op(rng.choice(self.accounts), rng.randrange(1, 100))
                    with self.lock:
                        self.ops.append(op)
                    op.send(c)
            except (Closed, OSError):
                time.sleep(0.02)
            finally:
                c.close()

    def end(self):
        self.is_over.set()
        for t in self.threads:
            t.join()
        assert sum(op.is_acked for op in self.ops) > 50, "hardly anything was answered: nothing was tested"
        return self.ops


def key_of(r, account):
    keys = r.cli("KEYS", f"w:a:*:{account}").split()
    assert len(keys) == 1, keys
    return keys[0]


def linked(replica):
    until(lambda: replica.info("replication", "master_link_status") == "up", why="the replica found no master")


# ---- several instances ----


class TestInstances:
    @pytest.mark.deadline(180)
    def test_one_balance_is_spent_exactly(self, redis, wallet):
        """3 instances x 32 clients want one unit each of a balance for a third of them, 50 times over."""
        r = redis()
        instances = [wallet(r) for _ in range(3)]
        purse = fresh("purse")
        with contextlib.closing(instances[0].client()) as c:
            for _ in range(50):
                ok(c.credit(purse, f"{CLIENTS}"))
                answers = in_parallel(instances, CLIENTS, lambda client, _: client.debit(purse, "1"))
                good = [a for a in answers if a.status == 200]
                assert len(good) == CLIENTS
                assert all(a.status == 422 and a.code == "INSUFFICIENT_BALANCE" for a in answers if a not in good)
                assert sorted(minor(a.json["balance"]) for a in good) == [100 * i for i in range(CLIENTS)]
                assert minor(ok(c.balance(purse)).json["balance"]) == 0
        verify(r)

    def test_one_key_over_all_instances(self, redis, wallet):
        r = redis()
        instances = [wallet(r) for _ in range(3)]
        account, key = fresh(), fresh_key()
        answers = in_parallel(instances, 16, lambda client, _: client.credit(account, "5", key=key))
        assert {a.status for a in answers} == {200} and len({a.body for a in answers}) == 1
        assert sum(not a.replayed for a in answers) == 1

    def test_what_one_wrote_another_reads(self, redis, wallet):
        r = redis()
        a, b = wallet(r), wallet(r)
        with contextlib.closing(a.client()) as ca, contextlib.closing(b.client()) as cb:
            account = fresh()
            for i in range(1, 30):
                writer, reader = (ca, cb) if i % 2 else (cb, ca)
                ok(writer.credit(account, "1"))
                assert minor(ok(reader.balance(account)).json["balance"]) == 100 * i
                assert len(ok(reader.history(account, "limit=200")).json["transactions"]) == i

    def test_transfers_between_buckets_conserve(self, redis, wallet):
        r = redis()
        instances = [wallet(r), wallet(r)]
        accounts = [fresh("t") for _ in range(8)]

        def work(client, i):
            rng = random.Random(i)
            for _ in range(20):
                src, dst = rng.sample(accounts, 2)
                assert client.transfer(src, dst, str(rng.randrange(1, 60))).status in (201, 422)

        with contextlib.closing(instances[0].client()) as c:
            for account in accounts:
                ok(c.credit(account, "100"))
            in_parallel(instances, 8, work)
            balances = {a: minor(ok(c.balance(a)).json["balance"]) for a in accounts}
            assert sum(balances.values()) == len(accounts) * 10000
            for account in accounts:
                assert sum(minor(e["amount"]) for e in c.whole_history(account)) == balances[account]
        verify(r)


# ---- ends of processes ----


class TestKills:
    @pytest.mark.deadline(120)
    def test_instances_are_killed_under_load(self, redis, wallet):
        r = redis()
        instances = [wallet(r) for _ in range(3)]
        load = Traffic(instances)
        for i in range(6):
            time.sleep(0.5)
            victim = instances[i % 2]  # the third lives through all of it
            victim.kill()
            victim.fixed_port = victim.port
            victim.start()
        check_ops(instances[2], load.end())
        verify(r)

    @pytest.mark.deadline(120)
    def test_redis_is_killed_under_load(self, redis, wallet):
        r = redis()
        s = wallet(r)
        load = Traffic([s])
        for _ in range(3):
            time.sleep(0.7)
            r.end()
            time.sleep(0.3)
            r.start()
            ready(s)
        takes_writes(s)
        check_ops(s, load.end())
        verify(r)

    def test_an_instance_is_stopped_and_goes_on(self, redis, wallet):
        r = redis()
        a, b = wallet(r), wallet(r)
        load = Traffic([a, b])
        for _ in range(3):
            time.sleep(0.3)
            a.signal(signal.SIGSTOP)
            time.sleep(1)
            a.signal(signal.SIGCONT)
        takes_writes(b)
        check_ops(b, load.end())
        verify(r)

    def test_a_clean_stop_loses_nothing(self, redis, wallet):
        r = redis()
        s = wallet(r)
        load = Traffic([s], threads=6)
        time.sleep(0.7)
        s.fixed_port = s.port
        s.signal(signal.SIGTERM)
        assert s.wait() == 0
        s.start()
        takes_writes(s)
        check_ops(s, load.end())

    def test_connections_are_cut(self, redis, wallet):
        r = redis()
        s = wallet(r)
        load = Traffic([s])
        for _ in range(10):
            time.sleep(0.15)
            r.cli("CLIENT", "KILL", "TYPE", "normal")
        takes_writes(s)
        check_ops(s, load.end())
        verify(r)


class TestStalls:
    def test_redis_stands_still(self, redis, wallet):
        """All answers within an operation's time; what reaches Redis too late does nothing; keys settle it."""
        r = redis()
        s = wallet(r)
        account = fresh()
        with contextlib.closing(s.client()) as c:
            ok(c.credit(account, "1"))
        ops = [Op(account, 1 + i % 7) for i in range(40)]

        def send(op):
            with contextlib.closing(s.client()) as client:
                op.send(client)

        r.pause()
        try:
            start = time.monotonic()
            with ThreadPoolExecutor(len(ops)) as pool:
                list(pool.map(send, ops))
            took = time.monotonic() - start
            statuses = {op.status for op in ops}
            assert statuses <= {503, 504} and 504 in statuses, statuses
            assert took < OP_TIMEOUT_S + 1.5, took
            time.sleep(1)
        finally:
            r.resume()
        takes_writes(s)
        with contextlib.closing(s.client()) as c:
            assert minor(ok(c.balance(account)).json["balance"]) == 100, "a late command was executed"
            for op in ops:
                assert not ok(c.credit(op.account, str(op.amount), key=op.key, reference=op.key)).replayed
            assert minor(ok(c.balance(account)).json["balance"]) == 100 + 100 * sum(op.amount for op in ops)
        verify(r)

    def test_late_answers_reach_nobody_else(self, redis, wallet):
        """Answers are held back past the deadline, then let go: each later request still gets its own."""
        r = redis()
        with Proxy(r.port) as proxy:
            s = wallet(proxy)
            accounts = [fresh("late") for _ in range(20)]
            with contextlib.closing(s.client()) as c:
                for i, account in enumerate(accounts):
                    ok(c.credit(account, str(i + 1)))

            def read(i):
                with contextlib.closing(s.client()) as c:
                    return c.balance(accounts[i])

            def is_right(i):
                a = read(i)
                if a.status != 200:
                    return False
                assert (a.json["account_id"], minor(a.json["balance"])) == (accounts[i], 100 * (i + 1))
                return True

            for _ in range(3):
                proxy.hold()
                with ThreadPoolExecutor(len(accounts)) as pool:
                    held = list(pool.map(read, range(len(accounts))))
                proxy.let_go()
                assert {a.status for a in held} == {503}, held
                with ThreadPoolExecutor(len(accounts)) as pool:
                    list(pool.map(is_right, range(len(accounts))))
                for i in range(len(accounts)):
                    until(lambda i=i: is_right(i))


class TestRights:
    @pytest.mark.parametrize("right", ["set", "rpush", "hset"])
    def test_a_posting_that_ends_in_the_middle(self, redis, wallet, right):
        """A right that goes while it runs: the posting is half applied. It is not applied again, and nothing else is written."""
        r = redis()
        s = wallet(r)
        account, key = fresh(), fresh_key()
        with contextlib.closing(s.client()) as c:
            ok(c.credit(account, "1"))
            r.cli("ACL", "SETUSER", "default", f"-{right}")
            fails(c.credit(account, "5", key=key), 504, "OUTCOME_UNKNOWN")
            fails(c.credit(account, "5", key=key), 503, "STORE_UNAVAILABLE")
            r.cli("ACL", "SETUSER", "default", f"+{right}")
            fails(c.credit(account, "5", key=key), 503, "STORE_UNAVAILABLE")
            until(lambda: status(s) == 503, why="the service says it is ready")
            assert minor(ok(c.balance(account)).json["balance"]) in (100, 600)
        done = run("verify", env={"REDIS_ADDR": r.address})
        assert done.returncode == 1, (done.stdout[-2000:], done.stderr[-2000:])

    @pytest.mark.deadline(120)
    def test_a_new_master_with_fewer_rights(self, redis, wallet, tmp_path):
        """Rights are a node's own. The functions try theirs there before a posting does."""
        with contextlib.ExitStack() as stack:
            master = redis()
            replica = redis("--replicaof", f"127.0.0.1 {master.port}")
            linked(replica)
            sentinel = Sentinel(tmp_path / "sentinel", master)
            stack.callback(sentinel.end)
            until(lambda: "slaves=1" in sentinel.cli("INFO", "sentinel"), 30)
            s = wallet(sentinel)
            account, key = fresh(), fresh_key()
            with contextlib.closing(s.client()) as c:
                ok(c.credit(account, "1"))
                until(lambda: replica.cli("KEYS", f"w:a:*:{account}") != "")
                replica.cli("ACL", "SETUSER", "default", "-rpush")
                master.end()
                until(lambda: sentinel.master_port() == replica.port, 30)
                until(lambda: c.balance(account).status == 200, 30)
                until(lambda: status(s) == 503, 30, "the service says it is ready")
                for _ in range(3):
                    fails(c.credit(account, "5", key=key), 503, "STORE_UNAVAILABLE")
                assert minor(ok(c.balance(account)).json["balance"]) == 100
                replica.cli("ACL", "SETUSER", "default", "+rpush")
                until(lambda: c.credit(account, "5", key=key).status == 200, 30, "the right is back")
                assert minor(ok(c.balance(account)).json["balance"]) == 600
            verify(replica)


# ---- what the answers are worth ----


class TestReplicas:
    def test_asynchronous_says_so_and_synchronous_waits(self, redis, wallet):
        r = redis()
        replica = redis("--replicaof", f"127.0.0.1 {r.port}")
        linked(replica)
        s, strict = wallet(r), wallet(r, "--redis-sync")
        account, key = fresh(), fresh_key()
        with contextlib.closing(s.client()) as c, contextlib.closing(strict.client()) as d:
            assert ok(c.credit(account, "1")).header("Wallet-Durability") == "async-replicated"
            assert ok(d.credit(account, "1")).header("Wallet-Durability") == "replicated"
            replica.pause()
            try:
                assert ok(c.credit(account, "1")).header("Wallet-Durability") == "async-replicated"
                fails(d.credit(account, "1", key=key), 504, "OUTCOME_UNKNOWN")
            finally:
                replica.resume()
            until(lambda: d.credit(account, "1", key=key).status == 200)
            assert minor(ok(c.balance(account)).json["balance"]) == 400

    def test_an_emptied_redis_is_not_an_empty_ledger(self, redis, wallet):
        r = redis()
        s = wallet(r)
        account = fresh()
        with contextlib.closing(s.client()) as c:
            ok(c.credit(account, "1"))
            r.cli("FLUSHALL")
            until(lambda: status(s) == 503, why="nobody noticed that the ledger is gone")
            fails(c.credit(account, "1"), 503)
        assert r.cli("KEYS", "w:a:*") == "", "money was written into the emptied Redis"


class TestSentinel:
    def pair(self, redis, stack, tmp_path, replicas=1):
        master = redis()
        others = [redis("--replicaof", f"127.0.0.1 {master.port}") for _ in range(replicas)]
        for replica in others:
            linked(replica)
        sentinel = Sentinel(tmp_path / "sentinel", master)
        stack.callback(sentinel.end)
        until(lambda: f"slaves={replicas}" in sentinel.cli("INFO", "sentinel"), 30, "the sentinel does not see the replicas")
        return master, others, sentinel

    @pytest.mark.deadline(120)
    def test_a_failover_in_order(self, redis, wallet, tmp_path):
        with contextlib.ExitStack() as stack:
            _, (replica,), sentinel = self.pair(redis, stack, tmp_path)
            s = wallet(sentinel)
            account = fresh()
            with contextlib.closing(s.client()) as c:
                assert ok(c.credit(account, "1")).header("Wallet-Durability") == "async-replicated"
                until(lambda: replica.cli("KEYS", f"w:a:*:{account}") != "")
                until(lambda: sentinel.try_cli("SENTINEL", "FAILOVER", "wallet") == "OK", 30)
                until(lambda: sentinel.master_port() == replica.port, 30)
                until(lambda: c.credit(account, "1").status == 200, 30, "the service did not follow to the new master")
            assert replica.info("replication", "role") == "master"

    @pytest.mark.deadline(120)
    def test_a_killed_master_in_synchronous_mode_loses_nothing(self, redis, wallet, tmp_path):
        with contextlib.ExitStack() as stack:
            master, _, sentinel = self.pair(redis, stack, tmp_path, replicas=2)
            s = wallet(sentinel, "--redis-sync")
            load = Traffic([s], threads=6)
            time.sleep(1)
            master.end()
            until(lambda: sentinel.master_port() != master.port, 30)
            takes_writes(s)
            check_ops(s, load.end())

    @pytest.mark.deadline(120)
    def test_what_a_failover_lost_is_said(self, redis, wallet, tmp_path):
        """The window of the asynchronous mode: an answered write that no replica had is gone; the service goes read-only."""
        with contextlib.ExitStack() as stack:
            master, (replica,), sentinel = self.pair(redis, stack, tmp_path)
            s = wallet(sentinel)
            account = fresh()
            with contextlib.closing(s.client()) as c:
                ok(c.credit(account, "1"))
                until(lambda: replica.try_cli("HGET", key_of(master, account), "b") == "100")
                replica.cli("CONFIG", "SET", "masterauth", "a-wrong-one")
                master.cli("CONFIG", "SET", "requirepass", "")
                replica.pause()
                master.cli("CLIENT", "KILL", "TYPE", "replica")  # what was under way to it is gone with the connection
                a = ok(c.credit(account, "1"))
                assert a.header("Wallet-Durability") in ("async-replicated", "fsync"), a
                master.end()
                replica.resume()
                until(lambda: sentinel.master_port() == replica.port, 40)
                assert replica.cli("HGET", key_of(replica, account), "b") == "100", "the write had reached the replica: nothing was tested"
                until(lambda: "store.regression" in s.log(), 30, "lost work went unnoticed")
                assert status(s) == 503
                fails(c.credit(account, "1"), 503)
                assert minor(ok(c.balance(account)).json["balance"]) == 100  # reads go on


# ---- room, sockets, damage ----


class TestLimits:
    def test_full_memory(self, redis, wallet):
        """New movements are refused, nothing else: reads go on, and an answer that is owed is still given."""
        r = redis()
        s = wallet(r)
        account, key = fresh(), fresh_key()
        with contextlib.closing(s.client()) as c:
            first = ok(c.credit(account, "7", key=key))
            r.cli("CONFIG", "SET", "maxmemory", "1mb")
            fails(c.credit(account, "1"), 503, "STORE_UNAVAILABLE")
            fails(c.credit(account, "1", key=fresh_key()), 503, "STORE_UNAVAILABLE")
            again = ok(c.credit(account, "7", key=key))
            assert again.replayed and again.body == first.body
            assert minor(ok(c.balance(account)).json["balance"]) == 700
            assert len(ok(c.history(account)).json["transactions"]) == 1
            r.cli("CONFIG", "SET", "maxmemory", "0")
            until(lambda: c.credit(account, "1").status == 200)
            assert minor(ok(c.balance(account)).json["balance"]) == 800
        verify(r)

    @pytest.mark.parametrize("depth", [1, 16])
    def test_never_more_sockets_than_allowed(self, redis, wallet, depth):
        r = redis()
        s = wallet(r, "--redis-depth", str(depth))
        most, is_over = [0], threading.Event()

        def watch():
            while not is_over.is_set():
                out = r.try_cli("CLIENT", "LIST") or ""
                most[0] = max(most[0], sum("name=mywallet" in line for line in out.splitlines()))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            account = fresh()
            with contextlib.closing(s.client()) as c:
                ok(c.credit(account, "1"))
            statuses = [x for part in in_parallel([s], 400, lambda c, _: [c.credit(account, "1").status for _ in range(5)]) for x in part]
        finally:
            is_over.set()
            watcher.join()
        assert set(statuses) == {200}, set(statuses)
        assert 1 <= most[0] <= 100, most
        with contextlib.closing(s.client()) as c:
            assert minor(ok(c.balance(account)).json["balance"]) == 100 * (1 + len(statuses))

    def test_a_planted_type_breaks_one_account(self, redis, wallet):
        r = redis()
        s = wallet(r)
        good, bad = fresh(), fresh()
        with contextlib.closing(s.client()) as c:
            ok(c.credit(good, "1"))
            ok(c.credit(bad, "1"))
            key = key_of(r, bad)
            r.cli("DEL", key)
            r.cli("SET", key, "planted")
            fails(c.credit(bad, "1"), 500, "SYSTEM_ERROR")
            fails(c.balance(bad), 500, "SYSTEM_ERROR")
            ok(c.credit(good, "1"))
        done = run("verify", env={"REDIS_ADDR": r.address})
        assert done.returncode == 1 and bad.encode() in done.stderr, done.stderr

    def test_the_functions_come_back(self, redis, wallet):
        r = redis()
        s = wallet(r)
        account = fresh()
        with contextlib.closing(s.client()) as c:
            ok(c.credit(account, "1"))
            r.cli("FUNCTION", "FLUSH")
            until(lambda: c.credit(account, "1").status == 200)
            assert minor(ok(c.balance(account)).json["balance"]) == 200


# ---- moving ----


def picture(c, accounts):
    """All that can be read of some accounts."""
    out = {}
    for account in accounts:
        history = c.whole_history(account)
        out[account] = (
            ok(c.account(account)).json, history,
            [ok(c.get(f"/api/v1/transactions/{e['transaction_id']}")).body for e in history],
        )
    return out


@pytest.fixture
def home(tmp_path):
    """A service on a folder, with a little of everything in it: the server, its accounts, and what keys were answered."""
    s = Server(tmp_path / "home", redis=False)
    accounts, answered = [fresh("m") for _ in range(6)], []
    try:
        with contextlib.closing(s.client()) as c:
            ok(c.open(accounts[5], currency="JPY", overdraft_limit=Num("500"), metadata={"a": "b"}), 201)
            for i, account in enumerate(accounts[:5]):
                ok(c.credit(account, f"{10 + i}.50"))
                key = fresh_key()
                answered.append((account, i, key, ok(c.credit(account, "1", key=key, reference=f"r{i}")).body))
            for i in range(20):
                c.transfer(accounts[i % 5], accounts[(i + 1) % 5], f"{i}.25", metadata={"n": str(i)})
        yield s, accounts, answered
    finally:
        s.reap()


def keys_hold(c, answered):
    for account, i, key, body in answered:
        a = ok(c.credit(account, "1", key=key, reference=f"r{i}"))
        assert a.replayed and a.body == body


class TestMoving:
    def test_there_and_back(self, redis, wallet, home, tmp_path):
        """From a folder to Redis and back; every answer stays as it was."""
        s, accounts, answered = home
        with contextlib.closing(s.client()) as c:
            refused_key = fresh_key()
            refused = fails(c.debit(accounts[0], "99999", key=refused_key), 422).body
            before = picture(c, accounts)
        s.stop()
        file, back = tmp_path / "there", tmp_path / "back"
        done = run("export", "--data", s.data, str(file))
        assert done.returncode == 0, done.stderr
        r = redis()
        done = run("import", str(file), env={"REDIS_ADDR": r.address})
        assert done.returncode == 0, done.stderr
        verify(r)
        on_redis = wallet(r)
        with contextlib.closing(on_redis.client()) as c:
            assert picture(c, accounts) == before
            keys_hold(c, answered)
            a = fails(c.debit(accounts[0], "99999", key=refused_key), 422)
            assert a.replayed and a.body == refused
            ok(c.credit(accounts[0], "1"))
            changed = picture(c, accounts)
        assert run("import", str(file), env={"REDIS_ADDR": r.address}).returncode != 0, "imported over a ledger"
        verify(r)
        on_redis.reap()
        assert run("export", str(back), env={"REDIS_ADDR": r.address}).returncode == 0
        (tmp_path / "again").mkdir()
        done = run("import", str(back), "--data", str(tmp_path / "again" / "data"))
        assert done.returncode == 0, done.stderr
        again = Server(tmp_path / "again", redis=False)
        try:
            with contextlib.closing(again.client()) as c:
                assert picture(c, accounts) == changed
                keys_hold(c, answered)
            again.stop()
        finally:
            again.reap()

    def test_a_cut_or_changed_file_is_refused(self, redis, home, tmp_path):
        s, accounts, _ = home
        s.stop()
        file = tmp_path / "whole"
        assert run("export", "--data", s.data, str(file)).returncode == 0
        whole = file.read_bytes()
        other = accounts[0].encode()[:-1] + (b"0" if accounts[0][-1] != "0" else b"1")
        for n, part in enumerate((whole[:-1], whole[: len(whole) // 2], whole.replace(accounts[0].encode(), other))):
            bad = tmp_path / f"bad{n}"
            bad.write_bytes(part)
            r = redis()
            done = run("import", str(bad), env={"REDIS_ADDR": r.address})
            assert done.returncode != 0 and done.stderr
            if r.cli("DBSIZE") != "0":
                done = run("serve", "--listen", "127.0.0.1:0", env={"REDIS_ADDR": r.address}, timeout=20)
                assert done.returncode != 0, "half a ledger was served"
            r.end()
            target = tmp_path / f"data{n}"
            assert run("import", str(bad), "--data", str(target)).returncode != 0
            assert not os.path.exists(target / "ledger.db")
