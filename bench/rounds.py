"""What every figure is made with: the run with its sizes, turns taken by contenders, the rows of the table."""

import os
import shutil
import statistics
import time

from processes import Failed, Wallet, fields, run

HERE = os.path.dirname(os.path.abspath(__file__))
CONNECTIONS = 256
ACCOUNTS = 10_000
SETTLE_S = 0.3
MEGA = 1024 * 1024


class Row:
    def __init__(self, name, ours, peer="", ratio="", wanted="", is_met=None):
        self.name, self.ours, self.peer, self.ratio, self.wanted, self.is_met = name, ours, peer, ratio, wanted, is_met


class Sizes:
    """How long and how large; `quick` is for seeing that everything runs."""

    def __init__(self, is_quick):
        self.is_quick = is_quick
        self.rounds = 2 if is_quick else 5
        self.seconds = 2 if is_quick else 5
        self.journal_rows = 300_000 if is_quick else 1_000_000
        self.journal_rounds = 3 if is_quick else 7
        self.big_accounts = 100_000 if is_quick else 1_000_000
        self.big_rows = 2_000_000 if is_quick else 20_000_000
        self.movements = 200_000 if is_quick else 1_000_000
        self.load_s = 4 if is_quick else 15
        self.disk_s = 1 if is_quick else 3


class Bench:
    def __init__(self, mywallet, programs, data, is_quick):
        self.mywallet, self.programs, self.data = mywallet, programs, data
        self.sizes = Sizes(is_quick)
        self.logs = os.path.join(data, "logs")
        self.rows, self.notes = [], []
        self.credit_rate = None  # of figure 1, for the half of it
        self.labels = 0
        self.folders = set()

    def folder(self, name):
        """The path of a folder that does not exist yet and is removed after the run."""
        path = os.path.join(self.data, name)
        shutil.rmtree(path, ignore_errors=True)
        self.folders.add(path)
        return path

    def clean(self):
        for path in self.folders:
            shutil.rmtree(path, ignore_errors=True)

    def program(self, name, *args):
        return run([os.path.join(self.programs, f"bench_{name}"), *map(str, args)])

    def wallet(self, folder, **more):
        return Wallet(self.mywallet, folder, self.logs, **more)

    # ---- load ----

    def wrk_argv(self, server, kind, accounts, seconds):
        self.labels += 1
        return [
            "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s",
            "-s", os.path.join(HERE, "wrk.lua"), server.url, "--", kind, str(accounts), f"{os.getpid()}-{self.labels}-",
        ]

    def wrk(self, server, kind, accounts=ACCOUNTS, seconds=None):
        """Requests a second; none of them answered by an error."""
        out = run(self.wrk_argv(server, kind, accounts, seconds or self.sizes.seconds))
        line = next((line for line in out.splitlines() if line.startswith("RESULT ")), None)
        if line is None:
            raise Failed(f"wrk said: {out}")
        found = {name: int(value) for name, value in fields(line[len("RESULT "):]).items()}
        if found["refused"] or found["broken"] or not found["requests"]:
            raise Failed(f"wrk {kind}: {line}")
        return found["requests"] * 1e6 / found["duration_us"]

    def alternate(self, contenders):
        """Let all have their turn in each round, every second round backwards; name -> its rates."""
        rates = {name: [] for name in contenders}
        for i in range(self.sizes.rounds):
            for name in list(contenders) if i % 2 == 0 else reversed(contenders):
                os.sync()  # what the one before left to be written is not the next one's to wait for
                time.sleep(SETTLE_S)
                rates[name].append(contenders[name]())
        return rates

    # ---- the table ----

    def say(self, row):
        self.rows.append(row)
        parts = [f"{row.name}: {row.ours}"]
        if row.peer:
            parts.append(f"against {row.peer}")
        if row.ratio:
            parts.append(f"= {row.ratio}")
        if row.wanted:
            parts.append(f"wanted {row.wanted} ({'met' if row.is_met else 'MISSED'})")
        print("   " + ", ".join(parts), flush=True)

    def say_ratio(self, name, rates, ours, peer, least, digits=2):
        ratio = statistics.median(a / b for a, b in zip(rates[ours], rates[peer]))
        self.say(Row(
            name, per_s(statistics.median(rates[ours])), f"{per_s(statistics.median(rates[peer]))} {peer}",
            f"{ratio:.{digits}f}", "" if least is None else f">= {least}", None if least is None else ratio >= least,
        ))

    def say_most(self, name, value, most, unit, digits=1, is_judged=True):
        ours = f"{value:.{digits}f} {unit}"
        self.say(Row(name, ours, wanted=f"<= {most} {unit}", is_met=value <= most) if is_judged else Row(name, ours))


def per_s(rate):
    return f"{rate / 1000:.1f} k/s" if rate >= 1000 else f"{rate:.0f}/s"


class Metered:
    """Rates of one server, and the processor time that a request cost it."""

    def __init__(self, process, measure):
        self.process, self.measure = process, measure
        self.cpu_s = self.requests = 0.0

    def __call__(self):
        cpu, start = self.process.cpu_s(), time.monotonic()
        rate = self.measure()
        self.cpu_s += self.process.cpu_s() - cpu
        self.requests += rate * (time.monotonic() - start)
        return rate

    def cpu_us(self):
        return self.cpu_s / self.requests * 1e6
