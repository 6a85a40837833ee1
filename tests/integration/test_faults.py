"""A disk that is full, limited, broken or slow: honest answers, reads that go on, and nothing lost or done twice after."""

import contextlib
import os
import resource
import subprocess
import threading
import time

import pytest

from harness import Closed, Server, fresh, ok

pytestmark = pytest.mark.embedded
from test_crash import Op, Strace, check_ops, reopen_and_check, thread_of

MIB = 1024 * 1024


def until(claim, deadline_s=20, why="never became true"):
    end = time.monotonic() + deadline_s
    while not claim():
        assert time.monotonic() < end, why
        time.sleep(0.01)


def status(s, target):
    with contextlib.closing(s.client()) as c:
        return c.get(target).status


@contextlib.contextmanager
def small_disk(path, size):
    """A file system of its own with so many bytes; yields a function that changes the size, None where none can be made."""
    os.makedirs(path)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)], stderr=subprocess.DEVNULL, check=False
    )
    if made.returncode != 0:
        yield None  # not root: the limit on file sizes, below, stands in
        return
    try:
        yield lambda wanted: subprocess.run(
            ["mount", "-o", f"remount,size={wanted}", str(path)], check=True
        )
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def limit_files(pid, size):
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def fill(s, ops, account, most=20000):
    """Write until there is no room. Returns the operation that was refused."""
    with contextlib.closing(s.client()) as c:
        for i in range(most):
            op = Op(account, 1 + i % 9)
            ops.append(op)
            a = op.send(c)
            if a.status == 503:
                assert a.code == "STORE_UNAVAILABLE", a
                return op
            ok(a)
    raise AssertionError("the disk never became full")


def no_room(s, ops, account, give_room):
    """The disk of s is about to be full: what holds while it is, and that it heals."""
    fill(s, ops, account)
    assert status(s, "/readyz") == 503 and status(s, "/livez") == 200
    with contextlib.closing(s.client()) as c:
        for _ in range(3):  # no write gets through, each is told so, and reads go on
            op = Op(account, 5)
            ops.append(op)
            assert op.send(c).status == 503
            expected = sum(op.amount for op in ops if op.is_acked)
            assert ok(c.balance(account)).json["balance"] == f"{expected}.00"
            assert len(ok(c.history(account, "limit=50")).json["transactions"]) > 0
            again = ops[0]  # a repeated key still has its answer
            a = ok(c.credit(again.account, str(again.amount), key=again.key, reference=again.key))
            assert a.replayed
    give_room()
    until(lambda: status(s, "/readyz") == 200, why="it never found out that there is room again")
    with contextlib.closing(s.client()) as c:
        for _ in range(3):
            op = Op(account, 7)
            ops.append(op)
            ok(op.send(c))


@pytest.mark.deadline(120)
class TestNoRoom:
    def test_full_disk(self, tmp_path):
        with small_disk(tmp_path / "disk", 1 * MIB) as resize:
            ops = []
            s = Server(tmp_path / "disk" / "s", verify=False)
            try:
                if resize is None:
                    limit_files(s.proc.pid, 400_000)
                    no_room(s, ops, "full", lambda: limit_files(s.proc.pid, None))
                else:
                    no_room(s, ops, "full", lambda: resize(16 * MIB))
                sample = ops[:20] + ops[-20:]
                s.stop()
                s.check_data()
                s.start()
                with contextlib.closing(s.client()) as c:
                    expected = sum(op.amount for op in ops if op.is_acked)
                    assert ok(c.balance("full")).json["balance"] == f"{expected}.00"
                    found = {e["reference"] for e in c.whole_history("full")}
                    assert found == {op.key for op in ops if op.is_acked}
                    for op in sample:
                        a = ok(c.credit(op.account, str(op.amount), key=op.key, reference=op.key))
                        assert a.replayed == op.is_acked
                s.stop()
            finally:
                s.reap()

    def test_stop_and_start_on_a_full_disk(self, tmp_path):
        """It stops with nothing lost; a start may have to wait for room, and then has everything."""
        with small_disk(tmp_path / "disk", 1 * MIB) as resize:
            if resize is None:
                pytest.skip("only root can mount a small disk, and a limit on file sizes ends with its process")
            ops = []
            s = Server(tmp_path / "disk" / "s", verify=False)
            try:
                fill(s, ops, "full")
                s.stop()
                resize(16 * MIB)
                s.start()
                with contextlib.closing(s.client()) as c:
                    assert {e["reference"] for e in c.whole_history("full")} == {op.key for op in ops if op.is_acked}
                s.stop()
                s.check_data()
            finally:
                s.reap()

    def test_kill_on_a_full_disk(self, tmp_path):
        with small_disk(tmp_path / "disk", 1 * MIB) as resize:
            ops = []
            s = Server(tmp_path / "disk" / "s", verify=False)
            try:
                if resize is None:
                    limit_files(s.proc.pid, 400_000)
                fill(s, ops, "full")
                s.kill()
                if resize is not None:
                    resize(16 * MIB)
                s.start()
                with contextlib.closing(s.client()) as c:
                    assert {e["reference"] for e in c.whole_history("full")} == {op.key for op in ops if op.is_acked}
                s.stop()
                s.check_data()
            finally:
                s.reap()

    def test_limit_on_file_sizes(self, tmp_path):
        """EFBIG, and SIGXFSZ with it: as a full disk."""
        ops = []
        s = Server(tmp_path / "s")
        try:
            limit_files(s.proc.pid, 400_000)
            no_room(s, ops, "limited", lambda: limit_files(s.proc.pid, None))
            s.stop()
            s.start()
            with contextlib.closing(s.client()) as c:
                assert {e["reference"] for e in c.whole_history("limited")} == {op.key for op in ops if op.is_acked}
            s.stop()
        finally:
            s.reap()


@pytest.mark.deadline(120)
class TestBrokenDisk:
    @pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
    @pytest.mark.parametrize("when", ["3", "2+"])
    def test_io_error(self, tmp_path, call, when):
        """What fails is answered as unknown, the process goes with an exit code that says so, the next start recovers."""
        s = Server(tmp_path / "s")
        try:
            ops = [Op("ab"[i % 2], i + 1) for i in range(12)]
            tracer = Strace(thread_of(s.proc.pid, "mw-writer"), "-e", f"inject={call}:error=EIO:when={when}")
            c = s.client()
            with contextlib.suppress(Closed, OSError):
                for op in ops:
                    op.send(c)
            c.close()
            code = s.wait()
            tracer.end()
            assert code == 1, code
            statuses = [op.status for op in ops]
            first = next(i for i, status in enumerate(statuses) if status != 200)
            assert statuses[first] == 504, statuses
            assert all(status in (503, None) for status in statuses[first + 1 :]), statuses
            assert "store.failed" in s.log()
            reopen_and_check(tmp_path / "s", ops)
        finally:
            s.reap()

    def test_no_room_once(self, tmp_path):
        """ENOSPC that passes: one operation is refused, the next works; no restart."""
        s = Server(tmp_path / "s")
        try:
            ops = [Op("ab"[i % 2], i + 1) for i in range(12)]
            tracer = Strace(thread_of(s.proc.pid, "mw-writer"), "-e", "inject=pwrite64:error=ENOSPC:when=12")
            with contextlib.closing(s.client()) as c:
                for op in ops:
                    op.send(c)
                tracer.end()
                assert [op.status for op in ops].count(503) == 1
                assert [op.status for op in ops].count(200) == 11
            s.kill()
            reopen_and_check(tmp_path / "s", ops)
        finally:
            s.reap()


@pytest.mark.deadline(120)
class TestSlowDisk:
    def _send_all(self, s, ops, timeout_s):
        def one(op):
            c = s.client(timeout=timeout_s)
            try:
                op.send(c)
            finally:
                c.close()

        threads = [threading.Thread(target=one, args=(op,)) for op in ops]
        for t in threads:
            t.start()
        for t in threads:
            t.join(timeout_s + 10)
            assert not t.is_alive()

    def test_slow_sync(self, tmp_path):
        """Deadlines pass while a sync takes a second: unknown for what is in the commit, refused for what never was."""
        s = Server(tmp_path / "s", "--request-timeout", "300ms", "--batch", "4")
        try:
            tracer = Strace(thread_of(s.proc.pid, "mw-writer"), "-e", "inject=fdatasync:delay_enter=1s")
            ops = [Op(fresh("s"), i + 1) for i in range(40)]
            self._send_all(s, ops, 20)
            tracer.end()
            statuses = [op.status for op in ops]
            assert 504 in statuses and 503 in statuses, statuses
            until(lambda: status(s, "/readyz") == 200)
            with contextlib.closing(s.client()) as c:
                ok(c.get("/livez"))
            check_ops(s, ops)
            s.stop()
        finally:
            s.reap()

    def test_full_inbox(self, tmp_path):
        """While a sync hangs, the inbox takes what it may hold; the rest is refused at once, and is not there afterwards."""
        s = Server(tmp_path / "s", "--inbox", "16", "--batch", "4", "--request-timeout", "10s")
        try:
            tracer = Strace(thread_of(s.proc.pid, "mw-writer"), "-e", "inject=fdatasync:delay_enter=500000")
            ops = [Op(fresh("i"), i + 1) for i in range(60)]
            self._send_all(s, ops, 30)
            tracer.end()
            statuses = [op.status for op in ops]
            assert 503 in statuses and 200 in statuses, statuses
            assert statuses.count(200) >= 16, statuses
            check_ops(s, ops)
            s.stop()
        finally:
            s.reap()
