"""kill -9 at every system call that changes the ledger, and at random moments: nothing answered is lost, nothing is done twice.

Here: a new ledger, recovery, commits and a clean stop, an import, and load. test_crash_long.py has the copying of the log
and the sweep of accounts, test_crash_errors.py the calls that fail in place of the program. FAULT_SCALE: see crash_calls.py.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import threading
import time

import pytest

import harness
from crash_calls import (
    CALLS, HARMLESS, MAKING, MOVING, SCALE, Strace, TracedServer, enough, kill_at, killed, over_calls, place, prepared,
    thread_of, traced_run,
)  # fmt: skip
from crash_ops import Op, check_ops, check_total, entries, mixed, own, reopen_and_check, run_ops, settle, stream_ops
from harness import Closed, Server

__all__ = ["Op", "Strace", "check_ops", "place", "reopen_and_check", "run_ops", "thread_of"]  # other tests take some from here

pytestmark = pytest.mark.embedded


def files_of(folder):
    """Words for strace: only calls that name the data folder or a file in it."""
    data = os.path.join(str(folder), "data")
    names = [data] + [os.path.join(data, f) for f in ("lock", "ledger.db", "ledger.db-journal", "ledger.db-wal", "ledger.db-shm")]
    return [word for name in names for word in ("-P", name)]


def exported(data):
    """A ledger as text, without the time of the export and the hash that is over it too."""
    done = harness.run("export", "--data", str(data))
    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert b'"end":true' in lines[-1], lines[-1]
    return lines[1:-1]


@pytest.mark.deadline(300)
class TestKillAtCall:
    def _at_start(self, place, template, ops, calls):
        """Kill while starting on a copy of `template`; all threads are watched, start-up is one thread's work."""

        def attempt(call, n):
            folder = place / f"{call}-{n}"
            if template is None:
                os.makedirs(folder)
            else:
                shutil.copytree(template, folder)
            s = TracedServer(folder, kill_at(call, n) + (files_of(folder) if call == "openat" else []))
            try:
                is_hit = not s.is_ready()
            finally:
                code = s.reap()
            assert code == -signal.SIGKILL, code
            reopen_and_check(folder, own(ops), total=True)
            shutil.rmtree(folder)
            return is_hit

        return over_calls(attempt, calls)

    def test_while_making_a_new_ledger(self, place):
        hits = self._at_start(place, None, [Op("n", 1)], MAKING)
        print(f"kills while making a ledger: {hits}")
        assert enough(hits, pwrite64=6, fdatasync=2) and all(hits.values()), hits

    def test_while_recovering(self, place):
        ops = prepared(place / "template") + [Op("p1", 3)]  # and one that was never heard of
        hits = self._at_start(place, place / "template", ops, [call for call in MAKING if call not in ("mkdir", "fsync", "unlink")])
        print(f"kills while recovering: {hits}")
        assert enough(hits, pwrite64=6, fdatasync=2) and all(hits.values()), hits

    def _while_running(self, place, thread, calls):
        """Kill one thread's calls, or all threads', over commits and a clean stop with its sweep and checkpoint."""

        def attempt(call, n):
            folder = place / f"{call}-{n}"
            s = Server(folder)
            try:
                ops = mixed(["a", "b", "c"], 8)
                run_ops(s, ops[:1])
                who = (s.proc.pid, "-f") if thread is None else (thread_of(s.proc.pid, thread),)
                tracer = Strace(*who, *kill_at(call, n))
                run_ops(s, ops[1:])
                if s.proc.poll() is None:
                    s.signal(signal.SIGTERM)
                is_hit = killed(s)
                tracer.end()
                s.check_data()  # as the kill left it
                reopen_and_check(folder, ops, total=True)
            finally:
                s.reap()
            shutil.rmtree(folder)
            return is_hit

        return over_calls(attempt, calls)

    def test_while_writing_and_stopping(self, place):
        hits = self._while_running(place, None, CALLS)
        print(f"kills while writing and stopping: {hits}")
        assert enough(hits, pwrite64=31, fdatasync=9) and hits["unlink"] == 2 and hits["ftruncate"] == 2, hits

    @pytest.mark.parametrize("thread", ["mw-writer", "mw-loop-0"])
    def test_behind_a_commit(self, place, thread):
        """It is durable, and the loop is not woken; or it is, and the answer is not sent: unknown, and done."""
        hits = self._while_running(place, thread, ["write"])
        print(f"kills behind a commit, of {thread}: {hits}")
        assert enough(hits, write=7), hits

    @pytest.fixture
    def moved(self, place):
        """A ledger's export, and what an export of its import must say."""
        s = Server(place / "from")
        try:
            run_ops(s, mixed(["a", "b", "c"], 8))
            s.stop()
        finally:
            s.reap()
        assert harness.run("export", str(place / "export"), "--data", s.data).returncode == 0
        return str(place / "export"), exported(s.data)

    def test_while_importing(self, place, moved):
        """There is all of it or nothing; where it is nothing, the import can be made again."""
        text, wanted = moved

        def attempt(call, n):
            data = place / f"{call}-{n}" / "data"
            os.makedirs(data.parent)
            code = traced_run(kill_at(call, n), "/dev/null", "import", text, "--data", str(data))
            assert code in (0, -signal.SIGKILL), code
            again = harness.run("import", text, "--data", str(data))
            assert again.returncode == 0 or b"has a ledger" in again.stderr, again
            assert harness.run("verify", "--data", str(data)).returncode == 0
            assert exported(data) == wanted
            shutil.rmtree(data.parent)
            return code != 0

        hits = over_calls(attempt, [call for call in MOVING if call != "openat"])
        print(f"kills while importing: {hits}")
        assert all(hits.values()) and hits["rename"] == 1, hits

    def test_import_where_a_ledger_was_being_made(self, place, moved):
        """What a killed start left: an import refuses it or makes a ledger that lasts, and a start makes one of what was refused."""
        text, wanted = moved
        codes = {}

        def attempt(call, n):
            folder = place / f"{call}-{n}"
            os.makedirs(folder)
            s = TracedServer(folder, kill_at(call, n))
            try:
                is_hit = not s.is_ready()
            finally:
                s.reap()
            done = harness.run("import", text, "--data", str(folder / "data"))
            codes[done.returncode] = codes.get(done.returncode, 0) + 1
            if done.returncode == 0:
                assert harness.run("verify", "--data", str(folder / "data")).returncode == 0
                assert exported(folder / "data") == wanted
            else:
                assert done.returncode == 1 and b"ledger" in done.stderr, done
                reopen_and_check(folder, [Op("n", 1)], total=True)
            shutil.rmtree(folder)
            return is_hit

        hits = over_calls(attempt, ["fdatasync", "ftruncate", "unlink"])
        print(f"imports behind a start that was killed: {hits}, exit codes {codes}")
        assert all(hits.values()) and codes.get(0), (hits, codes)


@pytest.mark.deadline(120)
def test_which_calls_change_the_folder(place):
    """All calls of a whole life that name the ledger's folder: those that are killed at, and those that change nothing."""
    quiet = "futex,epoll_wait,epoll_ctl,clock_nanosleep,pread64,fcntl"  # no writing ones, and many
    s = TracedServer(place, ["-y", "-e", f"trace=!{quiet}"], out=place / "trace.1")
    try:
        assert s.is_ready()
        stream_ops(_Port(s), [Op(f"a{i % 3}", 1) for i in range(2200)])  # long enough for a pass of the checkpoint
        with contextlib.closing(s.client()) as c:
            assert c.whole_history("a1")
            assert b"wallet_checkpoint_duration_seconds_count 1\n" in c.get("/metrics").body
        s.proc.send_signal(signal.SIGTERM)
        assert s.proc.wait(20) == 0
        for n in (2, 3):  # a start on a clean ledger, and one on what a kill left
            s = TracedServer(place, ["-y", "-e", f"trace=!{quiet}"], out=place / f"trace.{n}")
            assert s.is_ready()
            run_ops(s, mixed(["a0", "a1"], 5))
            s.reap()
        text = str(place / "export")
        assert harness.run("export", text, "--data", str(place / "data")).returncode == 0
        there = str(place / "data" / "moved")
        assert traced_run(["-y", "-e", f"trace=!{quiet}"], place / "trace.4", "import", text, "--data", there) == 0
    finally:
        s.reap()
    found = set()
    for n in (1, 2, 3, 4):
        with open(place / f"trace.{n}", encoding="utf-8", errors="replace") as f:
            # a call by its line's beginning; what it was told to write may name anything, so only descriptors and paths count
            found |= {m.group(1) for m in re.finditer(rf'^\d+ +(\w+)\([^\n]*[<"]{re.escape(str(place))}/data\b', f.read(), re.M)}
    assert found - HARMLESS == set(MOVING), (sorted(found - HARMLESS), sorted(MOVING))


class _Port:
    """What stream_ops asks of a server, of one that was started under strace."""

    def __init__(self, s):
        self.conn = lambda: harness.Conn(s.port)


class Load:
    """Clients that send credits, debits and transfers with keys, until the server is gone.

    Each has an account of its own; two are everybody's, so that commits hold what several sent about one account.
    """

    SHARED = ("both", "all")

    def __init__(self, clients):
        self.own = [f"w{i}" for i in range(clients)]
        self.first = [Op(account, 100) for account in (*self.SHARED, *self.own)]
        self.ops = [[] for _ in range(clients)]

    def everything(self):
        return self.first + [op for mine in self.ops for op in mine]

    def next_op(self, i):
        amount = random.randrange(1, 100)
        kind = random.choice(("credit", "debit", "transfer"))
        here, there = random.sample((*self.SHARED, self.own[i], random.choice(self.own)), 2)
        if kind == "transfer" and here != there:
            return Op(here, amount, kind, there)
        return Op(here, amount, "debit" if kind == "debit" else "credit")

    def run(self, port):
        def one(i):
            with contextlib.closing(harness.Client(port)) as c, contextlib.suppress(Closed, OSError):
                while True:
                    op = self.next_op(i)
                    self.ops[i].append(op)
                    op.send(c)

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(self.ops))]
        for t in threads:
            t.start()
        return threads

    def settle_open(self, c):
        """Of what the last kill left open: how many there are, and how many of them had been done."""
        open_now = [op for op in self.everything() if op.status is None]
        found = entries(c, {account for op in open_now for account, _ in op.sides})
        done = 0
        for op in open_now:
            sides = [op.key in found[account] for account, _ in op.sides]
            assert all(sides) or not any(sides), "half of a transfer"
            settle(c, op, all(sides))
            done += all(sides)
        return len(open_now), done


@pytest.mark.deadline(300)
def test_random_kills_under_load(tmp_path):
    """kill -9 at random moments, on one ledger that goes on. After each: `verify` on what the kill left; what is open is settled
    by its key; then the balances together are what the answers say. At the end every entry is compared."""
    rounds = max(2, 50 * SCALE // 100)
    load = Load(4)
    unknown = lost = 0
    started_s = []
    for n in range(rounds + 1):  # the last one only settles
        s = Server(tmp_path / "s", wait=False)
        try:
            begun = time.monotonic()
            s.wait_ready()
            started_s.append(time.monotonic() - begun)
            with contextlib.closing(s.client()) as c:
                left, done = load.settle_open(c)
                check_total(c, load.everything())
            if n == 0:
                assert (left, done) == (len(load.first), 0)
                left = 0  # nobody was killed yet
            unknown, lost = unknown + left, lost + left - done
            if n < rounds:
                threads = load.run(s.port)
                time.sleep(random.uniform(0, 0.2))
                s.kill()
                for t in threads:
                    t.join(20)
                    assert not t.is_alive()
                s.check_data()  # as the kill left it, before anybody recovers
        finally:
            s.reap()
    everything = load.everything()
    reopen_and_check(tmp_path / "s", everything, repeated=random.sample(everything, min(1000, len(everything))), total=True)
    by_kind = {kind: sum(op.is_acked for op in everything if op.kind == kind) for kind in ("credit", "debit", "transfer")}
    refused = sum(op.status == 422 for op in everything)
    print(
        f"{rounds} kills: {by_kind} done, {refused} refused, {unknown} settled by key (of those {unknown - lost} had been done), "
        f"slowest start {max(started_s) * 1000:.0f} ms"
    )
    assert min(by_kind.values()) > rounds and refused > 0 and unknown > 0


def test_a_second_server_on_the_folder(server):
    """Two on one folder: the second says whose it is and goes; after kill -9 no lock is left behind."""
    s = server()
    done = harness.run("serve", "--data", s.data, "--listen", f"127.0.0.1:{harness.free_port()}")
    assert done.returncode == 1
    assert re.search(rb"belongs to another mywallet, process %d\b" % s.proc.pid, done.stderr), done.stderr
    s.restart(hard=True)
