"""The figures of the Redis store: against the bare function, against the usual design, with several instances, and memory."""

import contextlib
import os
import re
import shlex
import statistics
import threading
import time

from processes import HOST, Failed, Process, Redis, Server, free_port, run
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
    """redis-benchmark running the very same function: same connections in flight, same depth, same fsync, as many accounts."""

    def __init__(self, server, call, account):
        self.server = server
        # a letter and twelve digits: ids as long as ours
        self.call = [word.replace(account, "a__rand_int__") for word in call]
        self.open_accounts()

    def open_accounts(self):
        """Give each account its first credit. redis-benchmark cannot: it draws anew for each of a call's words."""
        calls = [[word.replace("__rand_int__", f"{i:012}") for word in self.call] for i in range(ACCOUNTS)]
        wire = "".join(f"*{len(call)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in call) for call in calls)
        said = run(["redis-cli", "-h", HOST, "-p", str(self.server.port), "--pipe"], input=wire)
        if f"errors: 0, replies: {ACCOUNTS}" not in said:
            raise Failed(f"redis-cli said: {said}")

    def written(self):
        """Entries of the one journal."""
        return int(self.server.cli("XLEN", self.call[4]))

    def __call__(self, requests):
        clients = max(CONNECTIONS // DEPTH, 1)
        before = self.written()
        out = run(["redis-benchmark", "-h", HOST, "-p", str(self.server.port), "-c", str(clients), "-P", str(DEPTH),
                   "-n", str(requests), "-r", str(ACCOUNTS), "-q", *self.call])
        found = re.findall(r"([\d.]+) requests per second", out)
        if not found:
            raise Failed(f"redis-benchmark said: {out[-300:]}")
        if self.written() - before < requests:
            raise Failed(f"{requests} calls of redis-benchmark wrote {self.written() - before} entries")
        return float(found[-1])


class Classical(Server):
    """The usual design behind the same HTTP, bench/classical.c."""

    def __init__(self, b, server):
        port = free_port()
        super().__init__([os.path.join(b.programs, "bench_classical"), "--redis", str(server.port), "--listen", str(port),
                          "--connections", str(CLASSICAL_CONNECTIONS)], port, "/", os.path.join(b.logs, "classical.log"))


def in_one_bucket(server):
    """Let the ledger to come have a single bucket: redis-benchmark's calls cannot be spread over more."""
    server.cli("HSET", "w:meta", "format", "1", "buckets", "1", "epoch", f"{1:016x}")


def credits(b):
    with contextlib.ExitStack() as stack:
        spread, single, other = (stack.enter_context(redis(b, name)) for name in ("redis", "redis-single", "redis-peer"))
        in_one_bucket(single)
        ours = stack.enter_context(b.wallet(b.folder("on-redis"), redis=spread))
        ours_single = stack.enter_context(b.wallet(b.folder("on-redis-single"), redis=single))
        usual = stack.enter_context(Classical(b, stack.enter_context(redis(b, "redis-classical"))))
        for server in ours, ours_single, usual:
            b.wrk(server, "credit", seconds=2)  # opens the accounts
        call, account = seen_call(single, ours_single)
        copy_functions(single, other)
        bare = Bare(other, call, account)
        guess = int(bare(50_000))
        metered = Metered(ours, lambda: b.wrk(ours, "credit"))
        before = spread.cpu_s()
        rates = b.alternate({
            "single": lambda: b.wrk(ours_single, "credit"),
            "redis-benchmark": lambda: bare(guess * b.sizes.seconds),
            "ours": metered,
            "lock, read, MULTI, unlock": lambda: b.wrk(usual, "credit"),
            "keyed": lambda: b.wrk(ours, "keyed"),
            "hot": lambda: b.wrk(ours, "credit", accounts=1),
            "hot, locked": lambda: b.wrk(usual, "credit", accounts=1),
        })
        cpu_us = (spread.cpu_s() - before) / (sum(rates["ours"] + rates["keyed"] + rates["hot"]) * b.sizes.seconds) * 1e6
    b.say_ratio("durable credit over HTTP on Redis, 256 connections, one bucket, against the bare function", rates, "single",
                "redis-benchmark", 0.8)
    b.say_ratio(f"the same in 4096 buckets, against a lock for each credit, {CLASSICAL_CONNECTIONS} connections", rates, "ours",
                "lock, read, MULTI, unlock", 4, digits=1)
    b.say_ratio("the same on one hot account, against a lock for each credit", rates, "hot", "hot, locked", None, digits=0)
    b.say_ratio("the same in 4096 buckets, against the bare function in one", rates, "ours", "redis-benchmark", None)
    b.say(Row("the same, each with its own Idempotency-Key", per_s(statistics.median(rates["keyed"]))))
    b.say(Row("processor time of Redis, a posting (a third of them keyed, a third on one account)", f"{cpu_us:.1f} µs"))
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
