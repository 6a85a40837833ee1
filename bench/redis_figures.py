"""The figures of the Redis store: against the bare function, against the usual design, with several instances, and memory."""

import contextlib
import os
import re
import shlex
import statistics
import threading
import time

from processes import HOST, Failed, Process, Redis, fields, run
from rounds import ACCOUNTS, CONNECTIONS, Metered, Row, per_s

CLASSICAL_CONNECTIONS = 100
DEPTH = 16  # requests in flight on a connection: the service's own default
NOT_AFTER = str(9 * 10**15)  # µs: the bare function is never late
INSTANCES = (1, 2, 3)
FIRST_ID = 10_000_000  # as wrk.lua names accounts
MEMORY_ACCOUNTS, MEMORY_ROUNDS = 20_000, 10


def redis(b, name="redis"):
    return Redis(b.folder(name), os.path.join(b.logs, f"{name}.log"))


def seen_call(server, wallet):
    """The words of one credit's FCALL as the service sends it, overheard by MONITOR."""
    account = f"acct-{FIRST_ID}"
    log = os.path.join(wallet.folder, "monitor.log")
    os.makedirs(wallet.folder, exist_ok=True)
    with Process(["redis-cli", "-h", HOST, "-p", str(server.port), "MONITOR"], log):
        time.sleep(0.3)
        run(["curl", "-sf", "-H", "Content-Type: application/json", "-d", '{"amount":1.00}',
             f"{wallet.url}api/v1/wallet/{account}/credit"])
        time.sleep(0.3)
    with open(log, errors="replace") as f:
        for line in f:
            if '"FCALL"' in line and account in line:
                words = shlex.split(line[line.index('"FCALL"'):])
                return [NOT_AFTER if re.fullmatch(r"1[5-9]\d{14}", word) else word for word in words], account
    raise Failed("MONITOR saw no FCALL of a credit")


class Bare:
    """redis-benchmark running the very same function: same connections in flight, same depth, same fsync."""

    def __init__(self, server, call, account):
        self.server = server
        spread = account[:-5] + "__rand_int__"  # twelve digits: the bare function's ids are a little longer
        self.call = [word.replace(account, spread) for word in call]

    def __call__(self, requests):
        clients = max(CONNECTIONS // DEPTH, 1)
        out = run(["redis-benchmark", "-h", HOST, "-p", str(self.server.port), "-c", str(clients), "-P", str(DEPTH),
                   "-n", str(requests), "-r", str(ACCOUNTS), "-q", *self.call])
        found = re.findall(r"([\d.]+) requests per second", out)
        if not found:
            raise Failed(f"redis-benchmark said: {out[-300:]}")
        return float(found[-1])


def classical(b, server):
    out = fields(b.program("classical", "--port", server.port, "--connections", CLASSICAL_CONNECTIONS,
                           "--seconds", b.sizes.seconds, "--accounts", ACCOUNTS))
    return int(out["done"]) * 1e6 / int(out["duration_us"])


def credits(b):
    with contextlib.ExitStack() as stack:
        server, other = stack.enter_context(redis(b)), stack.enter_context(redis(b, "redis-peer"))
        ours = stack.enter_context(b.wallet(b.folder("on-redis"), redis=server))
        b.wrk(ours, "credit", seconds=2)  # opens the accounts
        call, account = seen_call(server, ours)
        bare = Bare(other, call, account)
        copy_functions(server, other)
        bare(ACCOUNTS * 3)  # opens its accounts
        guess = int(bare(50_000))
        metered = Metered(ours, lambda: b.wrk(ours, "credit"))
        before = server.cpu_s()
        rates = b.alternate({
            "ours": metered, "keyed": lambda: b.wrk(ours, "keyed"),
            "redis-benchmark": lambda: bare(guess * b.sizes.seconds),
            "lock, read, MULTI, unlock": lambda: classical(b, other),
        })
        cpu_us = (server.cpu_s() - before) / (sum(rates["ours"] + rates["keyed"]) * b.sizes.seconds) * 1e6
    b.say_ratio("durable credit over HTTP on Redis, 256 connections, against the bare function", rates, "ours",
                "redis-benchmark", 0.8)
    b.say(Row("the same, each with its own Idempotency-Key", per_s(statistics.median(rates["keyed"]))))
    b.say_ratio(f"the same against a lock for each credit, {CLASSICAL_CONNECTIONS} connections", rates, "ours",
                "lock, read, MULTI, unlock", 4, digits=1)
    b.say(Row("processor time of Redis, a posting (half of them keyed)", f"{cpu_us:.1f} µs"))
    b.notes.append(f"Processor time of the service, a credit on Redis: {metered.cpu_us():.1f} µs.")


def copy_functions(source, target):
    """Give one server the functions of another."""
    run(["sh", "-c", f"redis-cli -h {HOST} -p {source.port} --raw FUNCTION DUMP | head -c -1 | "
         f"redis-cli -h {HOST} -p {target.port} -x FUNCTION RESTORE"])


# ---- several instances ----


def together(b, wallets):
    """Requests a second of all instances at once, each with a load generator of its own."""
    rates = [None] * len(wallets)

    def one(i):
        rates[i] = b.wrk(wallets[i], "credit")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(wallets))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if None in rates:
        raise Failed("an instance failed under load")
    return sum(rates)


def instances(b):
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(redis(b))
        wallets = [stack.enter_context(b.wallet(b.folder(f"on-redis-{i}"), redis=server)) for i in range(max(INSTANCES))]
        b.wrk(wallets[0], "credit", seconds=2)
        rates = b.alternate({n: (lambda n=n: together(b, wallets[:n])) for n in INSTANCES})
    for n in INSTANCES:
        b.say(Row(f"durable credits, {n} instance{'s' if n > 1 else ''} on one Redis", per_s(statistics.median(rates[n]))))


# ---- memory ----


def used(server):
    for line in server.cli("INFO", "memory").splitlines():
        if line.startswith("used_memory:"):
            return int(line.split(":")[1])
    raise Failed("INFO has no used_memory")


def memory(b):
    """Bytes in Redis: what one more account, one more transaction, one more key take."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(redis(b))
        ours = stack.enter_context(b.wallet(b.folder("on-redis"), redis=server))

        def load(kind, count):
            run([os.path.join(b.programs, "bench_load"), "--port", str(ours.port), "--rate", "20000", "--warm", "0",
                 "--seconds", str(count // 20000), "--accounts", str(MEMORY_ACCOUNTS), "--path", kind])

        empty = used(server)
        load("credit", MEMORY_ACCOUNTS)
        opened = used(server)
        load("credit", MEMORY_ACCOUNTS * MEMORY_ROUNDS)
        moved = used(server)
        before = int(server.cli("DBSIZE"))
        b.wrk(ours, "keyed", accounts=MEMORY_ACCOUNTS, seconds=b.sizes.seconds)
        keyed = used(server)
        keys = int(server.cli("DBSIZE")) - before
    a_movement = (moved - opened) / (MEMORY_ACCOUNTS * MEMORY_ROUNDS)
    b.say(Row("memory in Redis, an account with its first credit and its buckets", f"{(opened - empty) / MEMORY_ACCOUNTS:.0f} bytes"))
    b.say(Row("memory in Redis, a credit", f"{a_movement:.0f} bytes"))
    b.say(Row("memory in Redis, an idempotency key", f"{(keyed - moved) / keys - a_movement:.0f} bytes"))
