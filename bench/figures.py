"""The figures, each a function that adds rows to the table. What is compared takes turns, so that the machine's noise hits both."""

import json
import os
import shutil
import statistics
import time

import redis_figures
from processes import Failed, Nginx, Postgres, Process, fetch, fields, run
from rounds import ACCOUNTS, MEGA, SETTLE_S, Metered, Row, per_s

PG_CLIENTS, PG_SCALE = 16, 10
STARTS = 5
CREDIT_ANSWER = '{"account_id":"acct-10000000","balance":1000.00,"transaction_id":"tx_0123456789abc"}'
BALANCE_ANSWER = '{"account_id":"acct-10000000","balance":1000.00}'


def count_records(folder):
    """Records in a ledger's journal, asked of the file itself while the service runs."""
    return int(run(["sqlite3", os.path.join(folder, "ledger.db"), "SELECT max(seq) FROM journal"]) or 0)


def commit_quantiles(before, after):
    """Upper bounds of p50, p99 and p99.9 of a commit between two readings of /metrics, or None."""
    def buckets(text):
        found = {}
        for line in text.splitlines():
            if line.startswith("wallet_commit_duration_seconds_bucket"):
                name, value = line.rsplit(" ", 1)
                edge = name.partition('le="')[2].partition('"')[0]
                found[float("inf") if edge == "+Inf" else float(edge)] = int(float(value))
        return found

    old, new = buckets(before), buckets(after)
    counts = {edge: new[edge] - old.get(edge, 0) for edge in sorted(new)}
    total = max(counts.values(), default=0)
    if total == 0:
        return None
    return [next(edge for edge in counts if counts[edge] >= total * q) * 1000 for q in (0.5, 0.99, 0.999)]


# ---- 1, 2: durable writes over HTTP ----


def credits(b):
    folder = b.folder("main")
    with b.wallet(folder) as ours, Nginx(b.folder("nginx"), CREDIT_ANSWER) as nginx:
        b.wrk(ours, "credit", seconds=2)  # opens the accounts
        b.wrk(nginx, "credit", seconds=1)
        plain, constant = Metered(ours, lambda: b.wrk(ours, "credit")), Metered(nginx, lambda: b.wrk(nginx, "credit"))
        contenders = {
            "ours": plain, "nginx": constant,
            "keyed": lambda: b.wrk(ours, "keyed"), "nginx, keyed": lambda: b.wrk(nginx, "keyed"),
        }
        postgres = why = None
        try:
            postgres = Postgres(b.folder("postgres"), os.path.join(b.logs, "postgres.log"), PG_SCALE)
            postgres.tpcb(2)
            contenders["pgbench"] = lambda: postgres.tpcb(b.sizes.seconds)
        except Failed as failed:
            why = failed
        try:
            records, metrics = count_records(folder), fetch(ours.port, "/metrics")
            rates = b.alternate(contenders)
            written = count_records(folder) - records
            commits = commit_quantiles(metrics, fetch(ours.port, "/metrics"))
        finally:
            if postgres:
                postgres.stop()
        rss = ours.rss_bytes()
    answered = sum(rates["ours"] + rates["keyed"]) * b.sizes.seconds
    if written < answered * 0.98:  # wrk runs a little longer or shorter than it was told
        raise Failed(f"wrk counted some {answered:.0f} answers, the journal has {written} records more")
    b.credit_rate = statistics.median(rates["ours"])
    b.say_ratio("durable credit over HTTP, 256 connections, against `return 200`", rates, "ours", "nginx", 0.6)
    rates["nginx (keyed)"] = rates["nginx, keyed"]
    b.say_ratio("the same, each with its own Idempotency-Key", rates, "keyed", "nginx (keyed)", None)
    if postgres:
        b.say_ratio("durable credit against pgbench TPC-B", rates, "ours", "pgbench", 15, digits=1)
    else:
        b.say(Row("durable credit against pgbench TPC-B", per_s(b.credit_rate), "not measured", "", ">= 15", False))
        b.notes.append(f"PostgreSQL was not measured: {why}")
    b.notes.append(
        f"Processor time a credit: ours {plain.cpu_us():.1f} µs (loop and writer), nginx {constant.cpu_us():.1f} µs a request. "
        f"Resident memory of ours after {answered / 1e6:.1f} M credits, a part of them keyed: {rss / MEGA:.0f} MB."
    )
    if commits:
        b.notes.append("One commit under that load, fsync included (upper edges of the histogram's buckets): "
                       f"p50 <= {commits[0]:g} ms, p99 <= {commits[1]:g} ms, p99.9 <= {commits[2]:g} ms.")


# ---- 3, 4: one hot account; reads ----


def hot_and_reads(b):
    with b.wallet(b.folder("hot")) as ours, Nginx(b.folder("nginx"), BALANCE_ANSWER) as nginx:
        b.wrk(ours, "credit", seconds=2)
        rates = b.alternate({
            "hot": lambda: b.wrk(ours, "credit", accounts=1), "on 10 000": lambda: b.wrk(ours, "credit"),
            "read": lambda: b.wrk(ours, "balance"), "nginx": lambda: b.wrk(nginx, "balance"),
        })
    b.say_ratio("durable credit on one hot account", rates, "hot", "on 10 000", 0.95)
    b.say_ratio("balance over HTTP, 256 connections, against `return 200`", rates, "read", "nginx", 0.65)


# ---- 5: without HTTP ----


def journal(b):
    out = b.program("journal", "--dir", b.folder("journal"), "--rows", b.sizes.journal_rows, "--rounds", b.sizes.journal_rounds)
    rates = {"ours": [], "bare SQLite": []}
    for line in out.splitlines():
        found = fields(line)
        rates["ours"].append(int(found["ours"]))
        rates["bare SQLite"].append(int(found["bare"]))
    b.say_ratio("ledger and journal alone, 256 postings a commit", rates, "ours", "bare SQLite", 0.7)


# ---- 6, 8, 9: a large ledger, its memory, its start ----


def big_folder(b):
    """The large ledger; made once and kept, until its format or its wanted size changes or runs have made it too large."""
    folder = os.path.join(b.data, f"big-{b.sizes.big_accounts}")
    stamp = os.path.join(folder, "made-as.json")
    wanted = {
        "format": b.program("fill", "--format").strip(), "accounts": b.sizes.big_accounts, "rows": b.sizes.big_rows,
    }
    try:
        with open(stamp) as f:
            found = json.load(f)
        rows = count_records(folder)
    except (OSError, ValueError, Failed):
        found, rows = None, 0
    if found != wanted or not b.sizes.big_rows <= rows <= 2 * b.sizes.big_rows:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"   making a ledger of {wanted['accounts']} accounts and {wanted['rows']} records", flush=True)
        b.program("fill", "--dir", folder, "--accounts", wanted["accounts"], "--rows", wanted["rows"])
        with open(stamp, "w") as f:
            json.dump(wanted, f)
    return folder


def millions(count):
    return f"{count / 1e6:g} M"


def large_ledger(b):
    folder, accounts = big_folder(b), b.sizes.big_accounts
    rows = count_records(folder)
    with b.wallet(b.folder("empty")) as empty:
        time.sleep(SETTLE_S)
        idle = empty.rss_bytes()
        with b.wallet(folder) as big:
            time.sleep(SETTLE_S)
            loaded, start_s = big.rss_bytes(), big.start_s
            b.wrk(empty, "credit", seconds=2)
            b.wrk(big, "random", accounts, seconds=1)
            rates = b.alternate({
                "large": lambda: b.wrk(big, "random", accounts), "began empty": lambda: b.wrk(empty, "random", ACCOUNTS),
            })
            restarted, restart_s = kill_and_restart(b, big, accounts)
    b.say_ratio(f"durable credit with {millions(accounts)} accounts and {rows / 1e6:.0f} M records", rates, "large", "began empty", 0.9)
    b.say_most("memory, idle and empty", idle / MEGA, 12, "MB")
    b.say_most(f"memory an account, of {millions(accounts)}", (loaded - idle) / accounts, 200, "bytes", digits=0,
               is_judged=not b.sizes.is_quick)  # a few MB of caches are much for few accounts
    b.say(Row(f"start with {millions(accounts)} accounts after a clean stop", f"{start_s * 1000:.0f} ms"))
    b.say(Row(
        f"start with {millions(accounts)} accounts after kill -9 under load",
        f"{restart_s * 1000:.0f} ms, {int(restarted['replayed'])} records replayed",
    ))


def kill_and_restart(b, big, accounts):
    """kill -9 in the middle of a load; the log's fields of the start after it, and how long that took."""
    with Process(b.wrk_argv(big, "random", accounts, 60), os.path.join(b.logs, "wrk.log")):
        time.sleep(2 * b.sizes.seconds)
        big.check()
        big.kill()
    with b.wallet(big.folder) as again:
        return again.log_fields("server.store"), again.start_s


def movements(b):
    """What a transfer takes in the file, and a remembered key in file and memory."""
    rss, file_bytes = {}, {}
    for name, more in (("plain", ()), ("keyed", ("--keys",))):
        folder = b.folder(f"moved-{name}")
        out = fields(b.program(
            "fill", "--dir", folder, "--accounts", ACCOUNTS, "--rows", 2 * ACCOUNTS + 1 + b.sizes.movements,
            "--verb", "transfer", "--batch", 256, *more,
        ))
        file_bytes[name] = (int(out["bytes"]) - int(out["base_bytes"])) / int(out["moved"])
        with b.wallet(folder) as ours:
            time.sleep(SETTLE_S)
            rss[name] = ours.rss_bytes()
        moved = int(out["moved"])
        shutil.rmtree(folder)
    b.say_most(f"memory an idempotency record, of {millions(moved)}", (rss["keyed"] - rss["plain"]) / moved, 48, "bytes",
               digits=0, is_judged=not b.sizes.is_quick)
    b.say_most("file, a transfer", file_bytes["plain"], 120, "bytes", digits=0)
    b.say_most("file, a transfer with an Idempotency-Key", file_bytes["keyed"], 120, "bytes", digits=0)


def start(b):
    times = []
    for _ in range(STARTS):
        with b.wallet(b.folder("start")) as ours:
            times.append(ours.start_s * 1000)
    b.say_most("start on an empty folder, exec to the first /readyz 200", statistics.median(times), 50, "ms", digits=0)


# ---- 7: latency ----


def latency(b):
    with b.wallet(b.folder("latency")) as ours:
        b.wrk(ours, "credit", seconds=2)
        rate = int((b.credit_rate or b.wrk(ours, "credit")) / 2)
        os.sync()
        time.sleep(SETTLE_S)
        disk = fields(b.program("disk", "--dir", b.data, "--seconds", b.sizes.disk_s))
        found = fields(b.program("load", "--port", ours.port, "--rate", rate, "--seconds", b.sizes.load_s))
    if int(found["refused"]):
        raise Failed(f"load: {found}")
    for part, name in (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p999", "p99.9"), ("max", "max")):
        answer, sync = float(found[f"{part}_us"]), float(disk[f"{part}_us"])
        b.say(Row(f"latency at {per_s(rate)}, from when it was due, {name}", f"{answer / 1000:.2f} ms",
                  f"{sync / 1000:.2f} ms fdatasync", f"{answer / sync:.1f}"))


FIGURES = {
    "1": ("credits over HTTP, nginx, PostgreSQL", credits),
    "3": ("a hot account, balance reads", hot_and_reads),
    "5": ("ledger and journal alone", journal),
    "6": ("a large ledger", large_ledger),
    "7": ("latency at half load", latency),
    "8": ("bytes of a movement", movements),
    "9": ("start", start),
    "10": ("credits over HTTP on Redis", redis_figures.credits),
    "12": ("several instances on one Redis", redis_figures.instances),
    "13": ("memory in Redis", redis_figures.memory),
}
SAME_RUN = {"2": "1", "4": "3", "11": "10"}  # figures that come out of another's run
