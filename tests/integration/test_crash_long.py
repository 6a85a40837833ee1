"""kill -9 in what a long run does beside its commits: copying the log into the ledger, starting the log over, sweeping accounts.

With the thresholds as they are: the log is copied from 4096 pages on, which is some 1950 commits, and the sweep starts when
262 144 records have come. Every call of the writer is aimed at, and every call of a pass of the checkpoint thread up to PASS_ALL;
above, where one page is copied after the other, each PASS_STEP-th.
"""

import contextlib
import selectors
import shutil
import signal
import sqlite3
import time

import pytest

import harness
from crash_calls import SCALE, Strace, enough, kill_at, killed, over_calls, place, sampled, start_and_count, thread_of
from crash_ops import WINDOW, Op, check_ops, go_on, is_passed, metric, mixed, own, reopen_and_check, run_ops, stream_ops
from harness import Server, build, minor, ok

__all__ = ["place"]

pytestmark = pytest.mark.embedded

PASS_FROM = 4096 * 4096  # bytes of log
PASS_ALL, PASS_STEP = 24, 4
SWEEP_FROM = 262144  # records
SWEEP_PIECE = 4  # accounts a commit of one record


def in_steps(n):
    return sampled(n) and (n <= PASS_ALL or n % PASS_STEP == 0)


@pytest.mark.deadline(300)
class TestCopyingTheLog:
    ACCOUNTS = ("c0", "c1", "c2")
    NEARLY = mixed(ACCOUNTS, 1824)  # commits of one record that do not yet make the log long enough
    MORE = mixed(ACCOUNTS, 60 * WINDOW)

    def _under_load(self, place, thread, calls, aim=lambda _folder: [], is_slow=False):
        """Kill one thread's calls while the log is copied under load, and for some commits after."""

        def attempt(call, n):
            folder = place / f"{call}-{n}"
            s = Server(folder)
            try:
                ops = own(self.NEARLY)
                stream_ops(s, ops)
                tracers = [Strace(thread_of(s.proc.pid, thread), *kill_at(call, n), *aim(folder))]
                if is_slow:
                    delay = ("-e", "trace=pwrite64", "-e", "inject=pwrite64:delay_enter=1000")
                    tracers.append(Strace(thread_of(s.proc.pid, "mw-checkpoint"), *delay))
                is_hit = not go_on(s, ops, self.MORE)
                if is_hit:
                    assert killed(s)
                s.reap()
                for tracer in tracers:
                    tracer.end()
                s.check_data()  # as the kill left it
                reopen_and_check(folder, ops, repeated=ops[-WINDOW - 10 :], total=True)
            finally:
                s.reap()
            shutil.rmtree(folder)
            return is_hit

        return over_calls(attempt, calls)

    def test_in_the_checkpoint_thread(self, place):
        hits = self._under_load(place, "mw-checkpoint", {"pwrite64": in_steps, "fdatasync": sampled, "ftruncate": sampled})
        print(f"kills in the checkpoint thread: {hits}")
        assert enough(hits, pwrite64=20, fdatasync=1), hits

    def test_the_rest(self, place):
        """The writer copies what came during a slow pass: its calls on the ledger itself, not on the log."""
        calls = ("pwrite64", "fdatasync")
        hits = self._under_load(place, "mw-writer", calls, lambda folder: ["-P", f"{folder}/data/ledger.db"], is_slow=True)
        print(f"kills while the writer copies the rest of the log: {hits}")
        assert enough(hits, pwrite64=2, fdatasync=1), hits

    def test_starting_over(self, place):
        """All is copied, nobody writes; the next commit starts the log from its beginning, before the frames of old commits."""

        def attempt(call, n):
            folder = place / f"{call}-{n}"
            s = Server(folder)
            try:
                ops = own(self.NEARLY)
                stream_ops(s, ops)
                with contextlib.closing(s.client()) as c:
                    while metric(c, "wallet_wal_bytes") < PASS_FROM:  # one at a time: the next one is to be the one that starts over
                        ops.append(Op("c0", 1))
                        ops[-1].send(c)
                        assert len(ops) < 2500, "the log never became so long"
                    end = time.monotonic() + 20
                    while not is_passed(c):
                        assert time.monotonic() < end, "no pass was made"
                tracer = Strace(thread_of(s.proc.pid, "mw-writer"), *kill_at(call, n))
                last = [Op("c0", 3), Op("c0", 2, "transfer", "c1"), Op("c2", 1, "debit")]
                run_ops(s, last)
                is_hit = last[-1].status is None
                if is_hit:
                    assert killed(s)
                else:
                    with contextlib.closing(s.client()) as c:
                        assert metric(c, "wallet_wal_bytes") < PASS_FROM // 100, "the log did not start over"
                s.reap()
                tracer.end()
                s.check_data()
                reopen_and_check(folder, ops + last, repeated=ops[-10:] + last, total=True)
            finally:
                s.reap()
            shutil.rmtree(folder)
            return is_hit

        hits = over_calls(attempt, ("pwrite64", "fdatasync"))
        print(f"kills while the log starts over: {hits}")
        assert enough(hits, pwrite64=11, fdatasync=4), hits


def flood(port, request, total, connections=256):
    """One request many times, on many connections, so that few commits hold them all."""
    with selectors.DefaultSelector() as watched, contextlib.ExitStack() as opened:
        for i in range(connections):
            share = total // connections + (i < total % connections)
            sock = opened.enter_context(harness.Conn(port)).sock
            sock.setblocking(False)
            watched.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, [memoryview(request * share), b""])
        done, line = 0, b"HTTP/1.1 200 "
        while done < total:
            for key, what in watched.select(20):
                if what & selectors.EVENT_WRITE:
                    key.data[0] = key.data[0][key.fileobj.send(key.data[0]) :]
                    if not key.data[0]:
                        watched.modify(key.fileobj, selectors.EVENT_READ, key.data)
                if what & selectors.EVENT_READ:
                    got = key.fileobj.recv(1 << 18)
                    assert got, "the server hung up"
                    text = key.data[1] + got
                    done += text.count(line)
                    key.data[1] = text[-len(line) + 1 :]


def swept(folder, behind):
    """How many accounts' rows were written behind that record. (Opened accounts are.)"""
    with contextlib.closing(sqlite3.connect(f"file:{folder}/data/ledger.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT count(*) FROM account WHERE as_of > ?", (behind,)).fetchone()[0]


@pytest.mark.deadline(300)
def test_in_the_sweep(place):
    """Each commit writes a piece of the sweep, while accounts behind it and ahead of it change."""
    names = [f"a{i}" for i in range(8)]
    s = Server(place / "template", verify=False)
    try:
        seeds = [Op(name, 100 + i) for i in range(2) for name in names]  # a row that was only opened would be clean
        run_ops(s, seeds)
        with contextlib.closing(s.client()) as c:
            for _ in range(2):
                ok(c.credit("bulk", "1"))
            bulk = SWEEP_FROM - 1 - metric(c, "wallet_journal_seq")
            flood(s.port, build("POST", "/api/v1/wallet/bulk/credit", b'{"amount":1}'), bulk)
            base = metric(c, "wallet_journal_seq")
        assert base == SWEEP_FROM - 1
        s.restart(hard=True)  # so that the copies need not copy the log each
        s.kill()
        assert swept(s.folder, base) == 0
    finally:
        s.reap()
    everybody = len(names) + 2  # bulk, and the side that money comes from
    found = {}

    def attempt(call, n):
        folder = place / f"{call}-{n}"
        shutil.copytree(place / "template", folder)
        s = Server(folder)
        try:
            ops = [
                Op("a0", 5, "transfer", "a7"), Op("a7", 3, "debit"), Op("a1", 7), Op("a6", 2, "transfer", "a2"),
            ]  # fmt: skip
            tracer = Strace(thread_of(s.proc.pid, "mw-writer"), *kill_at(call, n))
            run_ops(s, ops)
            is_hit = ops[-1].status is None
            if is_hit:
                assert killed(s)
            s.reap()
            tracer.end()
            s.check_data()
            replayed = start_and_count(s)
            count = swept(folder, base)
            # either the pass is complete and starting is short, or it does not count
            assert (count == everybody) == (replayed < 100), (count, replayed)
            found[count] = found.get(count, 0) + 1
            check_ops(s, own(seeds) + ops, repeated=ops)
            with contextlib.closing(s.client()) as c:
                assert minor(ok(c.balance("bulk")).json["balance"]) == (bulk + 2) * 100
            s.signal(signal.SIGKILL)
        finally:
            s.reap()
        shutil.rmtree(folder)
        return is_hit

    hits = over_calls(attempt, ("pwrite64", "fdatasync"))
    print(f"kills in the sweep: {hits}; accounts that were swept by then: {dict(sorted(found.items()))}")
    assert enough(hits, pwrite64=16, fdatasync=4), hits
    assert SCALE < 100 or set(range(0, everybody, SWEEP_PIECE)) | {everybody} <= set(found), found
