"""Aiming at system calls with strace: kill -9 or an error at the n-th of a kind, for every n there is.

FAULT_SCALE (a percentage, 100 by default) says how much of it is done: 100 takes every call, less a sample of them.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

import harness
from crash_ops import mixed, run_ops
from harness import Closed, Server

SCALE = int(os.environ.get("FAULT_SCALE", "100"))
NEVER = 10_000  # no run makes so many calls of a kind

# Every call by which the program changes the folder of a ledger; test_which_calls_change_the_folder holds the list to that.
#   pwrite64    the log, the ledger, the log's index when it is made, the rollback journal of the very first transaction, `lock`
#   fdatasync   the log, the ledger, that journal, the folder for a file that is new in it
#   ftruncate   the log emptied, the ledger cut to its pages, the index made anew, `lock`
#   unlink      that journal; log and index at a clean end; what an import has no more use for
#   fsync       the folder above a new one; an import's folder
#   mkdir, openat   a new folder, new files
#   rename      an import's ledger gets its name; the service never renames
# None of them is `write`: it carries answers, the loops' wake-ups, log lines and the names of threads. A kill there is one
# behind a commit that nobody was told of. And these cannot occur: pwritev, writev: SQLite writes one page, or one frame's
# head, at a time. fallocate: only where a chunk size is set, and none is. msync: the ledger is not mapped, only the index of the log
# is, which a start makes anew. O_DIRECT, io_uring, sync_file_range, copy_file_range: not in SQLite's unix files.
CALLS = ("pwrite64", "fdatasync", "ftruncate", "unlink")  # of a service that has its folder
MAKING = ("mkdir", "fsync", "openat") + CALLS
MOVING = MAKING + ("rename",)
# What also names the folder or a file in it, and changes nothing that a start reads.
HARMLESS = {
    "execve", "newfstatat", "access", "readlink", "statfs", "close", "flock", "fcntl", "pread64", "read", "lseek", "getdents64",
    "fchown",  # log and index get the ledger's owner, which they have
    "mmap", "munmap",  # the index of the log
    "rmdir",  # an import's empty folder, or one that was left
}  # fmt: skip


def sampled(n):
    """Whether call number n is tried: the first ones all, later ones in steps where FAULT_SCALE is low."""
    return n <= 4 or n % max(1, 100 // SCALE) == 0


@pytest.fixture
def place(tmp_path):
    """A folder for many small ledgers: in memory where there is room, for what is aimed at are calls, not what a disk makes of them."""
    try:
        room = os.statvfs("/dev/shm")
        is_good = room.f_bavail * room.f_frsize > 512 * 1024 * 1024 and os.access("/dev/shm", os.W_OK)
    except OSError:
        is_good = False
    if not is_good:
        yield tmp_path
        return
    folder = tempfile.mkdtemp(prefix="mywallet-crash-", dir="/dev/shm")
    try:
        yield type(tmp_path)(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def thread_of(pid, name):
    """The id of a server's thread by its name."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as f:
            if f.read().strip() == name:
                return int(tid)
    raise AssertionError(f"no thread is called {name}")


def kill_at(call, n):
    """Words for strace: SIGKILL instead of the n-th call of each thread that is watched."""
    return ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={n}"]


def fail_at(call, n, error):
    """Words for strace: that call fails; with n as `7+` all that follow too."""
    return ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={n}"]


class Strace:
    """strace on one thread (or with `-f` on all of a process), attached when the constructor returns."""

    def __init__(self, tid, *what, out="/dev/null"):
        self.out = str(out)
        traced = [] if any("trace=" in word for word in what) else ["-e", "trace=" + ",".join(CALLS)]
        self.proc = subprocess.Popen(
            ["strace", "-p", str(tid), "-o", self.out, *traced, *what],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=harness._die_with_parent,
        )
        line = self.proc.stderr.readline()
        while b"resolved into" in line:
            line = self.proc.stderr.readline()
        assert b"attached" in line, line + self.proc.stderr.read()

    def end(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGINT)
        try:
            self.proc.wait(10)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        self.proc.stderr.close()

    def hit(self):
        """The call that was failed, as strace writes it; empty where none was. Only with `out`, after the end."""
        return injected(self.out)


def injected(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return next((line for line in f if "(INJECTED)" in line), "")


def ended(s, deadline_s=20):
    """Wait for the server's end; its exit code."""
    code = s.proc.wait(deadline_s)
    s.proc = None
    return code


def killed(s):
    """Wait for the server's end; True where SIGKILL was it, False where it ended well."""
    code = ended(s)
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def traced_run(words, out, *args, timeout_s=60):
    """A command of the program under strace, to its end. Returns its exit code (-9 where it was killed)."""
    done = subprocess.run(
        ["strace", "-f", "-D", "-o", str(out), *words, harness.binary(), *args],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=harness.clean_env(),
        timeout=timeout_s, check=False, preexec_fn=harness._die_with_parent,
    )  # fmt: skip
    return done.returncode


class TracedServer:
    """A service started under strace: from its first call on, all threads, each counted by itself. Start-up is one thread's work."""

    def __init__(self, folder, words, out="/dev/null"):
        self.folder, self.port = str(folder), harness.free_port()
        self.log_path = os.path.join(self.folder, "traced.log")
        with open(self.log_path, "wb") as log:
            self.proc = subprocess.Popen(
                ["strace", "-f", "-D", "-o", str(out), *words, harness.binary(), "serve",
                 "--data", os.path.join(self.folder, "data"), "--listen", f"{harness.HOST}:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=harness.clean_env(),
                preexec_fn=harness._die_with_parent,
            )  # fmt: skip

    def client(self):
        return harness.Client(self.port, store="embedded")

    def is_ready(self, deadline_s=20):
        """Wait until it is ready (True) or has ended (False)."""
        end = time.monotonic() + deadline_s
        while self.proc.poll() is None:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                assert time.monotonic() < end, f.read()
            with contextlib.suppress(OSError, Closed), harness.Conn(self.port, timeout=5) as conn:
                conn.send(harness.build("GET", "/readyz"))
                if conn.answer().status == 200:
                    return True
            time.sleep(0.005)
        return False

    def reap(self):
        """End it if it runs. Returns the exit code."""
        if self.proc.poll() is None:
            self.proc.kill()
        return self.proc.wait()


def prepared(folder):
    """A ledger whose process was killed with answered operations in its log."""
    s = Server(folder)
    try:
        ops = mixed(["p0", "p1", "p2"], 9)
        run_ops(s, ops)
        assert all(op.is_acked for op in ops)
        s.kill()
        return ops
    finally:
        s.reap()


def over_calls(attempt, calls, workers=3):
    """attempt(call, n) -> hit? for each kind of call and each n until none is hit, some at a time. Returns hits by kind.

    `calls` may say of each kind which n are tried: all, less what FAULT_SCALE leaves out, where it is a mere list.
    A run without a hit is an attempt too: it shows that the last n tried was the last there is.
    """
    is_tried = calls if isinstance(calls, dict) else dict.fromkeys(calls, sampled)
    lock, hits, following, running, over = threading.Lock(), {call: 0 for call in calls}, dict.fromkeys(calls, 1), {}, set()
    failures = []

    def take():
        with lock:
            for call in sorted(calls, key=lambda call: following[call]):
                # until the first hit there may be none at all: one try at a time, then
                if call in over or (hits[call] == 0 and running.get(call)):
                    continue
                n = next(n for n in range(following[call], NEVER) if is_tried[call](n))
                following[call] = n + 1
                running[call] = running.get(call, 0) + 1
                return call, n
        return None

    def work():
        while not failures:
            task = take()
            if task is None:
                if not any(running.values()):
                    return
                time.sleep(0.005)
                continue
            call, n = task
            try:
                is_hit = attempt(call, n)
            except BaseException as e:
                e.args = (f"{call} number {n}", *e.args)
                failures.append(e)
                return
            finally:
                with lock:
                    running[call] -= 1
            with lock:
                hits[call] += bool(is_hit)
                if not is_hit:
                    over.add(call)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for t in threads:
        t.start()
    try:
        for t in threads:
            t.join()
    except BaseException as e:  # this test's deadline
        failures.append(e)
    if failures:
        raise failures[0]
    return hits


def enough(hits, **least):
    """Whether so many calls of each kind were hit; any number where FAULT_SCALE leaves some out."""
    return all(hits[call] >= (n if SCALE >= 100 else 1) for call, n in least.items())


def start_and_count(s):
    """Start a server again. Returns how many records it replayed, by its log."""
    line = r"event=server\.store .* replayed=(\d+)"
    before = len(re.findall(line, s.log()))
    s.start()
    end = time.monotonic() + 20
    while len(found := re.findall(line, s.log())) == before:  # it may be ready a little before it says so there
        assert time.monotonic() < end, s.log()
        time.sleep(0.002)
    return int(found[-1])
