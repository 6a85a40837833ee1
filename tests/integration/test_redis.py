"""The service on Redis: what it says of itself, what it refuses, and several instances on one ledger."""

import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import HOST, Redis, build, fails, free_port, fresh, fresh_key, minor, ok, run
from redis_servers import until

pytestmark = pytest.mark.redis


@pytest.fixture
def redis(tmp_path):
    """redis(*flags) starts a redis-server; all are ended at the end of the test. Ask for it before `server`, which is ended first then."""
    started = []

    def start(*flags):
        started.append(Redis(tmp_path / f"redis{len(started)}", *flags))
        return started[-1]

    try:
        yield start
    finally:
        for r in started:
            r.end()


def refused(redis_addr, *flags, env=None, code=1):
    """`serve` ends at once with this code. Returns what it said."""
    done = run("serve", "--listen", f"{HOST}:{free_port()}", *flags, env={"REDIS_ADDR": redis_addr, **(env or {})}, timeout=30)
    assert done.returncode == code, done
    return (done.stderr + done.stdout).decode()


class TestTruth:
    @pytest.mark.parametrize(
        "flags,word",
        [(("--appendonly", "yes", "--appendfsync", "always", "--save", ""), "fsync"),
         (("--appendonly", "yes", "--save", ""), "aof-everysec"),
         (("--appendonly", "no", "--save", ""), "memory")],
        ids=["fsync", "aof-everysec", "memory"],
    )
    def test_durability_is_what_redis_is_set_to(self, redis, server, flags, word):
        r = redis(*flags)
        s = server(redis=r, verify=word == "fsync")
        c = s.client()
        a = c.exchange("POST", "/api/v1/wallet/a/credit", build("POST", "/api/v1/wallet/a/credit", b'{"amount":1}'))
        assert a.status == 200 and a.header("Wallet-Durability") == word
        doc = ok(c.get("/readyz")).json
        assert (doc["store"], doc["durability"]) == ("redis", word)
        until(lambda: "server.ready" in s.log())
        line = next(line for line in s.log().splitlines() if "server.store" in line)
        assert "store=redis" in line and f"durability={word}" in line and r.address in line, line
        c.close()
        for weaker in ("memory", "aof-everysec", "fsync"):
            if ["memory", "aof-everysec", "fsync"].index(weaker) > ["memory", "aof-everysec", "fsync"].index(word):
                assert "durab" in refused(r.address, "--require-durability", weaker)
                break

    def test_a_password_is_never_told(self, redis, server, tmp_path):
        r = redis(*Redis.FLAGS, "--requirepass", "CANARY-password")
        secret = tmp_path / "secret"
        secret.write_text("CANARY-password\n")
        for env in ({"REDIS_ADDR": f"redis://:CANARY-password@{r.address}"}, {"WALLET_REDIS_PASSWORD_FILE": str(secret)}):
            s = server("--log-level", "debug", "--log-format", "json", redis=r, env=env, verify=False)
            c = s.client()
            ok(c.credit("a", "1"))
            assert "CANARY" not in c.get("/metrics").body.decode() + c.get("/readyz?verbose").body.decode()
            c.close()
            s.stop()
            assert "CANARY" not in s.log() + s.out()
            done = run("config", env={**s.place, **env})
            assert b"CANARY" not in done.stdout + done.stderr
            done = run("verify", env={**s.place, **env})
            assert done.returncode == 0 and b"CANARY" not in done.stdout + done.stderr, done
        text = refused(f"redis://:CANARY-wrong@{r.address}")
        assert "CANARY" not in text and "server.failed" in text
        assert "CANARY" not in refused(f"redis://u:CANARY%zz@{r.address}", code=78)

    def test_gauges_and_histograms(self, server):
        s = server("--threads", "2")
        c = s.client()
        for _ in range(20):
            ok(c.credit("a", "1"))
        text = ok(c.get("/metrics")).body.decode()
        values = dict(re.findall(r"^(wallet_\S+) (\S+)$", text, re.M))
        count = {state: int(values[f'wallet_redis_pool_connections{{state="{state}"}}']) for state in ("open", "active", "idle", "queued")}
        assert 1 <= count["open"] <= 100 and count["active"] + count["idle"] == count["open"], count
        assert int(values['wallet_redis_command_duration_seconds_count{command="post"}']) >= 20
        assert int(values["wallet_redis_used_memory_bytes"]) > 0 and values["wallet_store_up"] == "1"
        c.close()


class TestRefusals:
    @pytest.mark.parametrize("address", ["http://h", "redis://", "redis://h:0x1", "redis://h:99999", "redis+cluster://h", "a b", "redis+sentinel://h"])
    def test_bad_addresses(self, address, tmp_path):
        text = refused(address, code=78)
        assert "REDIS_ADDR" in text, text

    def test_nobody_there(self):
        assert "server.failed" in refused(f"{HOST}:{free_port()}")

    def test_an_eviction_policy(self, redis):
        text = refused(redis(*Redis.FLAGS, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru").address)
        assert "noeviction" in text, text

    def test_a_ledger_of_other_decimals(self, redis, server):
        r = redis()
        s = server(redis=r)
        ok(s.client().credit("a", "1"))
        s.stop()
        assert "CNY2" in r.call("HGET", "w:meta", "decimals")
        r.call("HSET", "w:meta", "decimals", "CNY3")
        text = refused(r.address)
        assert "CNY with 3 decimals" in text, text


class TestOfflineCommands:
    def test_the_flag_for_the_folder_beats_the_environment(self, redis, tmp_path):
        """verify, export and import look where the flag says; two places at once are a mistake."""
        r = redis()
        done = run("verify", "--data", str(tmp_path / "none"), env={"REDIS_ADDR": r.address})
        assert done.returncode == 1 and b"none" in done.stderr and r.address.encode() not in done.stderr, done
        done = run("verify", env={"REDIS_ADDR": r.address})
        assert done.returncode == 1 and f"Redis at {r.address}: ".encode() in done.stderr, done
        for command in ("verify", "export", "import"):
            done = run(command, "--data", str(tmp_path), "--redis-addr", r.address)
            assert done.returncode == 2 and b"which one" in done.stderr, done
            assert run(command, "--redis-addr", "redis://h:x").returncode == 78
            assert run(command, "a", "b").returncode == 2
        assert r.call("DBSIZE") == 0


class TestInstances:
    def test_several_are_one_service(self, redis, server):
        """Three instances on one Redis: one ledger, one effect a key, money conserved, any may die."""
        r = redis()
        servers = [server("--threads", "1", redis=r) for _ in range(3)]
        accounts = [fresh() for _ in range(6)]
        c = servers[0].client()
        for a in accounts:
            ok(c.credit(a, "100"))
        keys = [fresh_key() for _ in range(40)]

        def work(i):
            client, rng, out = servers[i % 3].client(), random.Random(i), []
            for key in rng.sample(keys, len(keys)):
                n = keys.index(key)
                a, b = accounts[n % 6], accounts[(n + 1) % 6]
                out.append((key, client.transfer(a, b, "1", key=key)))
            client.close()
            return out

        with ThreadPoolExecutor(9) as pool:
            answers = [x for f in [pool.submit(work, i) for i in range(9)] for x in f.result()]
        for key in keys:
            bodies = {a.body for k, a in answers if k == key}
            firsts = [a for k, a in answers if k == key and not a.replayed]
            assert len(bodies) == 1 and len(firsts) == 1, (key, bodies)
        servers[1].kill()
        views = []
        for s in (servers[0], servers[2]):
            client = s.client()
            views.append([ok(client.balance(a)).json["balance"] for a in accounts])
            client.close()
        assert views[0] == views[1] and sum(minor(v) for v in views[0]) == 6 * 10000
        servers[1].start()
        client = servers[1].client()
        assert [ok(client.balance(a)).json["balance"] for a in accounts] == views[0]
        client.close()
        c.close()

    def test_a_restart_of_redis(self, server):
        """Redis is killed and comes back: 503 or 504 meanwhile, then all of it is there."""
        s = server()
        c = s.client()
        first = ok(c.credit("a", "5", key="k"))
        s.redis.end()
        r = c.credit("a", "1", key="k2")
        assert r.status in (503, 504), r
        fails(c.balance("a"), 503, "STORE_UNAVAILABLE")
        s.redis.start()
        s.wait_ready()
        again = c.credit("a", "5", key="k")
        assert again.replayed and again.body == first.body
        ok(c.credit("a", "1", key="k2"))
        assert ok(c.balance("a")).json["balance"] == "6.00"
        c.close()


def test_positions_name_their_journal(c):
    a = fresh()
    text = ok(c.credit(a, "1")).header("Wallet-Seq")
    bucket, number = text.split(":")
    assert 0 <= int(bucket) < 4096 and int(number) >= 2  # before it the account was opened, and @world of a new bucket
    assert ok(c.credit(a, "1")).header("Wallet-Seq") == f"{bucket}:{int(number) + 1}"
