"""kill -9 at every system call that writes, and at random moments: nothing answered is lost, nothing is done twice.

FAULT_SCALE (a percentage, 100 by default) says how much of it is done: 100 takes every call, less a sample of them.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness
from harness import Closed, Server, fresh_key, minor, ok

pytestmark = pytest.mark.embedded

SCALE = int(os.environ.get("FAULT_SCALE", "100"))
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "unlink", "rename")
FILE_CALLS = ",".join(CALLS)
NEVER = 10_000  # no run makes so many calls


def sampled(n):
    """Whether call number n is tried: the first ones all, later ones in steps where FAULT_SCALE is low."""
    return n <= 4 or n % max(1, 100 // SCALE) == 0


class Op:
    """One write whose fate is asked for afterwards: a credit with a key, and with the key as its reference."""

    def __init__(self, account, amount):
        self.account, self.amount, self.key = account, amount, fresh_key()
        self.status = None  # None: no answer came

    def send(self, client):
        a = client.credit(self.account, str(self.amount), key=self.key, reference=self.key)
        self.status = a.status
        assert a.status in (200, 503, 504), a
        return a

    @property
    def is_acked(self):
        return self.status == 200


def run_ops(s, ops):
    """Send them one after another until the server is gone."""
    c = s.client()
    try:
        for op in ops:
            op.send(c)
    except (Closed, OSError):
        pass
    finally:
        c.close()


def check_ops(s, ops, repeated=None):
    """After a restart: what was answered is there, once; what was not is there at most once; the key settles the rest.

    Those of `repeated` are sent again though they were answered; all of them, where it is not given.
    """
    wanted = None if repeated is None else {id(op) for op in repeated}
    c = s.client()
    try:
        by_account = {}
        for op in ops:
            by_account.setdefault(op.account, []).append(op)
        for account, mine in by_account.items():
            found = c.balance(account)
            assert found.status in (200, 404), found
            entries = c.whole_history(account) if found.status == 200 else []
            references = [e["reference"] for e in entries]
            assert len(set(references)) == len(references), "something was done twice"
            known = {op.key: op for op in mine}
            assert set(references) <= set(known), "something is there that nobody sent"
            for op in mine:
                assert not op.is_acked or op.key in references, "an answered operation is lost"
                assert op.status != 503 or op.key not in references, "an operation is there that was said not to be"
            for entry in entries:
                assert minor(entry["amount"]) == known[entry["reference"]].amount * 100
            for op in mine:
                if op.is_acked and wanted is not None and id(op) not in wanted:
                    continue
                a = ok(c.credit(op.account, str(op.amount), key=op.key, reference=op.key))
                assert a.replayed == (op.key in references), a
                again = ok(c.credit(op.account, str(op.amount), key=op.key, reference=op.key))
                assert again.replayed and again.body == a.body
            total = sum(op.amount for op in mine)
            assert minor(ok(c.balance(account)).json["balance"]) == total * 100
            assert len(c.whole_history(account)) == len(mine)
    finally:
        c.close()


def reopen_and_check(folder, ops, repeated=None):
    s = Server(folder)
    try:
        check_ops(s, ops, repeated)
        s.stop()  # with verify
    finally:
        s.reap()


def thread_of(pid, name):
    """The id of a server's thread by its name."""
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as f:
            if f.read().strip() == name:
                return int(tid)
    raise AssertionError(f"no thread is called {name}")


class Strace:
    """strace on one thread (`--inject` words in `what`), attached when the constructor returns."""

    def __init__(self, tid, *what):
        self.proc = subprocess.Popen(
            ["strace", "-p", str(tid), "-o", "/dev/null", "-e", f"trace={FILE_CALLS}", *what],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=harness._die_with_parent,
        )
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


def killed(s, deadline_s=20):
    """Wait for the server's end; True where SIGKILL was it."""
    code = s.proc.wait(deadline_s)
    s.proc = None
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def prepared(folder):
    """A ledger whose process was killed with answered operations in its log."""
    s = Server(folder)
    try:
        ops = [Op(f"p{i % 3}", i + 1) for i in range(6)]
        run_ops(s, ops)
        assert all(op.is_acked for op in ops)
        s.kill()
        return ops
    finally:
        s.reap()


def over_calls(attempt):
    """attempt(call, n) -> hit? for each kind of call and each n until none is hit; two at a time. Returns the figures."""
    figures = {}

    def one_kind(call):
        tried = 0
        for n in range(1, NEVER):
            if not sampled(n):
                continue
            if not attempt(call, n):
                break
            tried += 1
        figures[call] = tried

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(one_kind, call) for call in CALLS]:
            done.result()
    return figures


@pytest.mark.deadline(600)
class TestKillAtCall:
    def test_while_writing_and_stopping(self, tmp_path):
        """The writer: commits, then a clean stop with its sweep and checkpoint."""

        def attempt(call, n):
            folder = tmp_path / f"{call}-{n}"
            s = Server(folder)
            try:
                before = [Op("a", 1)]
                run_ops(s, before)
                tracer = Strace(thread_of(s.proc.pid, "mw-writer"), "-e", f"inject={call}:signal=SIGKILL:when={n}")
                ops = before + [Op("ab"[i % 2], i + 2) for i in range(6)]
                run_ops(s, ops[1:])
                if s.proc.poll() is None:
                    s.signal(signal.SIGTERM)
                hit = killed(s)
                tracer.end()
                reopen_and_check(folder, ops)
            finally:
                s.reap()
            shutil.rmtree(folder)
            return hit

        figures = over_calls(attempt)
        print(f"kills while writing: {figures}")
        assert figures["pwrite64"] > 5 and figures["fdatasync"] >= 6

    def _at_start(self, tmp_path, template, ops):
        """Kill while starting on a copy of `template`; all threads are watched, start-up is one thread's work."""

        def attempt(call, n):
            folder = tmp_path / f"{call}-{n}"
            if template is None:
                os.makedirs(folder / "data")
            else:
                shutil.copytree(template, folder)
            args = [
                "strace", "-f", "-D", "-o", "/dev/null", "-e", f"trace={FILE_CALLS}",
                "-e", f"inject={call}:signal=SIGKILL:when={n}",
                harness.binary(), "serve", "--data", str(folder / "data"), "--listen", f"127.0.0.1:{harness.free_port()}",
            ]  # fmt: skip
            with open(folder / "trace.log", "wb") as log:
                proc = subprocess.Popen(
                    args, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=harness.clean_env(),
                    preexec_fn=harness._die_with_parent,
                )  # fmt: skip
            hit = False
            try:
                port = int(args[-1].rsplit(":", 1)[1])
                end = time.monotonic() + 20
                while True:
                    assert time.monotonic() < end, (folder / "trace.log").read_text()
                    code = proc.poll()
                    if code is not None:
                        assert code == -signal.SIGKILL, (code, (folder / "trace.log").read_text())
                        hit = True
                        break
                    try:
                        with harness.Conn(port, timeout=5) as conn:
                            conn.send(harness.build("GET", "/readyz"))
                            if conn.answer().status == 200:
                                break
                    except (OSError, Closed):
                        time.sleep(0.01)
            finally:
                proc.kill()
                proc.wait()
            reopen_and_check(folder, ops)
            shutil.rmtree(folder)
            return hit

        return over_calls(attempt)

    def test_while_recovering(self, tmp_path):
        ops = prepared(tmp_path / "template")
        figures = self._at_start(tmp_path, tmp_path / "template", ops)
        print(f"kills while recovering: {figures}")
        assert figures["pwrite64"] > 5 and figures["fdatasync"] >= 2

    def test_while_making_a_new_ledger(self, tmp_path):
        figures = self._at_start(tmp_path, None, [Op("n", 1)])
        print(f"kills while making a ledger: {figures}")
        assert figures["pwrite64"] > 5 and figures["fdatasync"] >= 2

    def test_while_copying_the_log(self, tmp_path):
        """The checkpoint thread and the writer with it: a log long enough for a pass under load."""
        hits = 0
        for n in (1, 3, 40, 700)[: 4 if SCALE >= 100 else 1]:
            folder = tmp_path / str(n)
            s = Server(folder)
            try:
                ops = [Op(f"c{i % 5}", 1) for i in range(2400)]
                tracer = Strace(thread_of(s.proc.pid, "mw-checkpoint"), "-e", f"inject=pwrite64,fdatasync:signal=SIGKILL:when={n}")
                run_ops(s, ops)
                if all(op.is_acked for op in ops):
                    s.kill()
                else:
                    assert killed(s)
                    hits += 1
                tracer.end()
                sent = [op for op in ops if op.status is not None]
                rest = [op for op in ops if op.status is None][:1]
                reopen_and_check(folder, sent + rest, repeated=sent[-20:] + rest)
            finally:
                s.reap()
            shutil.rmtree(folder)
        print(f"kills while copying the log: {hits}")
        assert hits >= (2 if SCALE >= 100 else 1)


class Load:
    """Clients that send keyed credits, each to wallets of its own, until the server is gone."""

    def __init__(self, clients):
        self.ops = [[] for _ in range(clients)]
        self.round = 0

    def run(self, port):
        def one(i):
            c = harness.Client(port)
            try:
                while True:
                    op = Op(f"w{i}-{random.randrange(3)}", random.randrange(1, 100))
                    self.ops[i].append(op)
                    op.send(c)
            except (Closed, OSError):
                pass
            finally:
                c.close()

        threads = [threading.Thread(target=one, args=(i,)) for i in range(len(self.ops))]
        for t in threads:
            t.start()
        return threads


@pytest.mark.deadline(600)
def test_random_kills_under_load(tmp_path):
    """kill -9 at random moments, on one ledger that goes on; it verifies after each, and everything unknown is settled by its key."""
    rounds, clients = max(2, 50 * SCALE // 100), 4
    load = Load(clients)
    acked = unknown = lost = 0
    started_s = []
    for _ in range(rounds):
        s = Server(tmp_path / "s", wait=False)
        try:
            begun = time.monotonic()
            s.wait_ready()
            started_s.append(time.monotonic() - begun)
            c = s.client()
            for mine in load.ops:  # settle what the last kill left open
                for op in mine:
                    if op.status is None:
                        a = ok(c.credit(op.account, str(op.amount), key=op.key, reference=op.key))
                        op.status = 200
                        unknown += 1
                        lost += not a.replayed
            c.close()
            threads = load.run(s.port)
            time.sleep(random.uniform(0, 0.2))
            s.kill()
            for t in threads:
                t.join(20)
                assert not t.is_alive()
            s.check_data()  # as the kill left it, before anybody recovers
        finally:
            s.reap()
    everything = [op for mine in load.ops for op in mine]
    acked = sum(op.is_acked for op in everything)
    reopen_and_check(tmp_path / "s", everything, repeated=random.sample(everything, min(1000, len(everything))))
    print(
        f"{rounds} kills: {acked} answered, {unknown} settled by key (of those {unknown - lost} had been done), "
        f"slowest start {max(started_s) * 1000:.0f} ms"
    )
    assert acked > rounds


def test_a_second_server_on_the_folder(server):
    """Two on one folder: the second says whose it is and goes; after kill -9 no lock is left behind."""
    s = server()
    done = harness.run("serve", "--data", s.data, "--listen", f"127.0.0.1:{harness.free_port()}")
    assert done.returncode == 1
    assert re.search(rb"belongs to another mywallet, process %d\b" % s.proc.pid, done.stderr), done.stderr
    s.restart(hard=True)
