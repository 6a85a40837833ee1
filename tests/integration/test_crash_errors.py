"""EIO and ENOSPC in place of every call that changes the ledger, of the real program: once, and from then on.

What is answered holds; where the program ends, the next start has everything. Every n over some commits and a clean stop with its
sweep and checkpoint, and over recovery; in a pass of the checkpoint thread, where one page is copied after the other, every n up
to PASS_ALL, then each PASS_STEP-th. test_faults.py has disks that are really full.
"""

import contextlib
import shutil
import signal

import pytest

from crash_calls import (
    CALLS, Strace, TracedServer, ended, enough, fail_at, injected, over_calls, place, prepared, sampled, thread_of,
)  # fmt: skip
from crash_ops import WINDOW, Op, go_on, mixed, own, reopen_and_check, run_ops, stream_ops
from harness import Closed, Server, minor, ok

__all__ = ["place"]

pytestmark = pytest.mark.embedded

ERRORS = ("EIO", "ENOSPC")
LENGTHS = ("", "+")  # one call, or all from it on
PASS_ALL, PASS_STEP = 12, 8


def check_answers(ops, error, call, length):
    """What follows the failing call: no room is told as that, anything else as unknown."""
    statuses = [op.status for op in ops]
    first = next((i for i, status in enumerate(statuses) if status in (None, 503, 504)), len(ops))
    if first == len(ops):
        return
    if error == "ENOSPC" and call == "pwrite64":
        # refused, nothing is unknown, and it goes on: with the next one, or with none
        refused = statuses[first : first + 1] if length == "" else statuses[first:]
        assert set(refused) == {503} and not {None, 503, 504} & set(statuses[first + len(refused) :]), statuses
    else:
        # what the disk has is not known: that commit is unknown, and nothing is written after it
        assert statuses[first] == 504 and all(status in (None, 503) for status in statuses[first + 1 :]), statuses


def check_reads(s, ops):
    """A service that is still there tells what was answered."""
    wanted = sum(change for op in ops if op.is_acked for account, change in op.sides if account == "a")
    with contextlib.closing(s.client()) as c, contextlib.suppress(Closed, OSError):
        a = c.balance("a")
        if a.status == 503:  # it is going
            return
        assert minor(ok(a).json["balance"]) == wanted
        assert sum(minor(e["amount"]) for e in c.whole_history("a")) == wanted


@pytest.mark.deadline(300)
@pytest.mark.parametrize("length", LENGTHS, ids=["once", "for-good"])
@pytest.mark.parametrize("error", ERRORS)
class TestErrorAtCall:
    def test_while_writing_and_stopping(self, place, error, length):
        codes = {}

        def attempt(call, n):
            folder = place / f"{call}-{n}"
            s = Server(folder)
            try:
                ops = mixed(["a", "b"], 6)
                run_ops(s, ops[:2])
                tracer = Strace(
                    s.proc.pid, "-f", *fail_at(call, f"{n}{length}", error), out=place / f"{call}-{n}.trace"
                )
                run_ops(s, ops[2:])
                check_answers(ops, error, call, length)
                if s.proc.poll() is None:
                    check_reads(s, ops)
                    with contextlib.suppress(ProcessLookupError):
                        s.signal(signal.SIGTERM)
                code = ended(s)
                tracer.end()
                codes[code] = codes.get(code, 0) + 1
                assert code in (0, 1), code
                # it ends badly where an answer could not be told, never without a word
                assert (code == 1) == (504 in [op.status for op in ops]), (code, [op.status for op in ops])
                assert code == 0 or "store.failed" in s.log()
                s.check_data()  # as the error left it
                reopen_and_check(folder, ops, total=True)
            finally:
                s.reap()
            shutil.rmtree(folder)
            return tracer.hit() != ""

        hits = over_calls(attempt, CALLS)
        print(f"{error}{length} while writing and stopping: {hits}, exit codes {codes}")
        assert enough(hits, pwrite64=21, fdatasync=6) and hits["unlink"] == 2 and hits["ftruncate"] == 2, hits

    def test_while_recovering(self, place, error, length):
        """It starts, or it says why not; what was answered is there either way."""
        before = prepared(place / "template")
        started = {True: 0, False: 0}

        def attempt(call, n):
            folder = place / f"{call}-{n}"
            shutil.copytree(place / "template", folder)
            ops = own(before) + [Op("p1", 3), Op("p0", 2, "transfer", "p2")]
            out = place / f"{call}-{n}.trace"
            s = TracedServer(folder, fail_at(call, f"{n}{length}", error), out)
            try:
                is_ready = s.is_ready()
                started[is_ready] += 1
                if is_ready:
                    run_ops(s, ops[len(before) :])
                    check_answers(ops[len(before) :], error, call, length)
                else:
                    with open(s.log_path, encoding="utf-8") as f:
                        text = f.read()
                    assert "level=error" in text and "ledger.db" in text, text
            finally:
                code = s.reap()
            assert code == 1 or is_ready, code
            reopen_and_check(folder, ops, total=True)
            shutil.rmtree(folder)
            return injected(out) != ""

        hits = over_calls(attempt, [call for call in CALLS if call != "unlink"])
        print(f"{error}{length} while recovering: {hits}, started in {started[True]}")
        assert enough(hits, pwrite64=6, fdatasync=2) and started[True] and started[False], (hits, started)


@pytest.mark.deadline(300)
@pytest.mark.parametrize("error", ERRORS)
def test_while_copying_the_log(place, error):
    """In the checkpoint thread. No room only puts it off; any other error stops the service, and nothing answered is lost."""
    nearly, more = mixed(["c0", "c1", "c2"], 1824), mixed(["c0", "c1", "c2"], 60 * WINDOW)  # the log becomes long enough in these

    def attempt(call, n):
        folder = place / f"{call}-{n}"
        s = Server(folder)
        try:
            ops = own(nearly)
            stream_ops(s, ops)
            tracer = Strace(
                thread_of(s.proc.pid, "mw-checkpoint"), "-y", *fail_at(call, n, error), out=place / f"{call}-{n}.trace"
            )
            if go_on(s, ops, more):
                s.signal(signal.SIGTERM)
            code = ended(s)
            tracer.end()
            hit = tracer.hit()
            # SQLite syncs the folder for its new log, and does not look at what comes of it
            is_put_off = f"<{folder}/data>" in hit or (error == "ENOSPC" and call == "pwrite64")
            is_hit = hit != ""
            assert code == (1 if is_hit and not is_put_off else 0), (code, is_hit)
            statuses = {op.status for op in ops}
            assert not is_put_off or not statuses & {None, 503, 504}, statuses
            s.check_data()
            reopen_and_check(folder, ops, repeated=ops[-WINDOW - 10 :], total=True)
        finally:
            s.reap()
        shutil.rmtree(folder)
        return is_hit

    hits = over_calls(attempt, {
        "pwrite64": lambda n: sampled(n) and (n <= PASS_ALL or n % PASS_STEP == 0), "fdatasync": sampled, "ftruncate": sampled,
    })  # fmt: skip
    print(f"{error} while copying the log: {hits}")
    assert enough(hits, pwrite64=4, fdatasync=1), hits
