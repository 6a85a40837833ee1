"""Bit rot, met by the real program: it answers rightly or not at all, and a refused start names the file.

Every byte is tried in process, by tests/sim/sim_damage.c; here a sample shows that the program says so to its operator.
"""

import contextlib
import os
import random
import shutil
import subprocess
import tempfile

import pytest

import harness
from harness import Closed, Server, ok, run

pytestmark = pytest.mark.embedded
from test_crash import Op, run_ops

SCALE = int(os.environ.get("FAULT_SCALE", "100"))
PAGE = 4096


def flip(path, at, mask):
    with open(path, "r+b") as f:
        f.seek(at)
        old = f.read(1)
        f.seek(at)
        f.write(bytes([old[0] ^ mask]))


def wal_bounds(path):
    """Length of the log's sound part, and where its last transaction begins."""
    with open(path, "rb") as f:
        log = f.read()
    frame, ends = 24 + PAGE, []
    for at in range(32, len(log) - frame + 1, frame):
        if log[at + 8 : at + 16] == log[16:24] and log[at + 4 : at + 8] != b"\0\0\0\0":
            ends.append(at + frame)
    return ends[-1], ends[-2]


def answers(c, ops):
    """Everything that can be asked, as one value; None where the service says that it has no answer."""
    out = []
    for account in sorted({op.account for op in ops}):
        for a in (c.account(account), c.balance(account), c.history(account, "limit=200")):
            assert a.status in (200, 500), a
            out.append(a.body if a.status == 200 else None)
    for op in ops:
        a = c.credit(op.account, str(op.amount), key=op.key, reference=op.key)
        assert a.status in (200, 500), a
        out.append((a.body, a.replayed) if a.status == 200 else None)
    return out


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A cleanly stopped ledger, and the one of the same operations as a killed process left it."""
    base = tmp_path_factory.mktemp("ledger")
    s = Server(base / "s")
    try:
        ops = [Op(f"a{i % 4}", i + 1) for i in range(90)]
        run_ops(s, ops)
        with contextlib.closing(s.client()) as c:
            right = answers(c, ops)
        assert None not in right
        s.kill()
        shutil.copytree(base / "s", base / "killed")
        s.start()
        s.stop()
    finally:
        s.reap()
    return base, ops, right


def start_refused(folder):
    """Start on a damaged folder. None where it started, else what it said."""
    s = Server(folder, wait=False)
    try:
        s.wait_ready()
    except AssertionError:
        code = s.proc.poll()
        assert code == 1, (code, s.log())
        return s.log()
    finally:
        s.reap()
    return None


@pytest.mark.deadline(300)
class TestDamage:
    def test_database(self, ledger, tmp_path):
        base, ops, right = ledger
        size = os.path.getsize(base / "s" / "data" / "ledger.db")
        chance = random.Random(11)
        refused = unanswered = proved = harmless = 0
        for n in range(max(4, 40 * SCALE // 100)):
            folder = tmp_path / str(n)
            shutil.copytree(base / "s", folder)
            path = folder / "data" / "ledger.db"
            at = chance.randrange(size) if n % 2 else PAGE * chance.randrange(size // PAGE) + chance.randrange(120)
            flip(path, at, 1 << chance.randrange(8))
            verified = run("verify", "--data", str(folder / "data"))
            assert verified.returncode in (0, 1), verified
            assert verified.returncode == 0 or b"ledger.db" in verified.stdout + verified.stderr, verified
            s = Server(folder, wait=False, verify=False)
            try:
                s.wait_ready()
            except AssertionError:
                assert s.proc.poll() == 1 and "ledger.db" in s.log()[-2000:], s.log()
                assert verified.returncode == 1, f"refused, but verify finds nothing at byte {at}"
                refused += 1
                continue
            else:
                with contextlib.closing(s.client()) as c:
                    got = answers(c, ops)
                for mine, theirs in zip(got, right):
                    assert mine is None or mine == theirs, (at, mine, theirs)
                unanswered += None in got
                harmless += None not in got and verified.returncode == 0
                proved += None not in got and verified.returncode == 1
                assert None not in got or verified.returncode == 1, f"a read failed, but verify finds nothing at byte {at}"
            finally:
                s.reap()
                shutil.rmtree(folder)
        print(f"{refused} refused, {unanswered} with reads that failed, {proved} found by verify, {harmless} harmless")
        assert refused > 0

    def test_log(self, ledger, tmp_path):
        base, ops, right = ledger
        wal = base / "killed" / "data" / "ledger.db-wal"
        end, last = wal_bounds(wal)
        chance = random.Random(12)
        for n in range(max(4, 16 * SCALE // 100)):
            folder = tmp_path / str(n)
            shutil.copytree(base / "killed", folder)
            at = chance.randrange(last)
            flip(folder / "data" / "ledger.db-wal", at, 1 << chance.randrange(8))
            said = start_refused(folder)
            assert said is not None and "ledger.db-wal" in said, (at, last, end)
            verified = run("verify", "--data", str(folder / "data"))
            assert verified.returncode == 1 and b"ledger.db-wal" in verified.stdout + verified.stderr, verified
            flip(folder / "data" / "ledger.db-wal", at, 0)  # nothing was changed by the refusal
            assert os.path.getsize(folder / "data" / "ledger.db-wal") == os.path.getsize(wal)
            shutil.rmtree(folder)

    def test_torn_log(self, ledger, tmp_path):
        """The last transaction cut anywhere: it starts, and has all the others."""
        base, ops, _right = ledger
        end, last = wal_bounds(base / "killed" / "data" / "ledger.db-wal")
        chance = random.Random(13)
        for n in range(max(3, 8 * SCALE // 100)):
            folder = tmp_path / str(n)
            shutil.copytree(base / "killed", folder)
            os.truncate(folder / "data" / "ledger.db-wal", chance.randrange(last, end))
            s = Server(folder)
            try:
                with contextlib.closing(s.client()) as c:
                    found = set()
                    for account in {op.account for op in ops}:
                        found |= {e["reference"] for e in c.whole_history(account)}
                    assert {op.key for op in ops} - found == {ops[-1].key}
                    assert not ok(ops[-1].send(c)).replayed
                s.stop()
            finally:
                s.reap()
            shutil.rmtree(folder)

    @pytest.mark.parametrize("state, size", [("killed", None), *((state, size) for state in ("killed", "s") for size in (0, 1, 511))])
    def test_a_file_that_is_gone_or_cut_off(self, ledger, tmp_path, state, size):
        """A log without its file is not thrown away; an empty file is no new ledger where it was one."""
        base, ops, right = ledger
        folder = tmp_path / "cut"
        shutil.copytree(base / state, folder)
        path, wal = folder / "data" / "ledger.db", folder / "data" / "ledger.db-wal"
        whole, log = path.read_bytes(), wal.read_bytes() if wal.exists() else None
        if size is None:
            path.unlink()
        else:
            os.truncate(path, size)
        said = start_refused(folder)
        assert said is not None and "ledger.db" in said, said
        done = run("verify", "--data", str(folder / "data"))
        assert done.returncode == 1 and b"ledger.db" in done.stdout + done.stderr, done
        assert (wal.read_bytes() if wal.exists() else None) == log
        path.write_bytes(whole)
        s = Server(folder)
        try:
            with contextlib.closing(s.client()) as c:
                assert answers(c, ops) == right
            s.stop()
        finally:
            s.reap()

    def test_foreign_and_newer_files(self, tmp_path):
        """Another program's database, a newer format, and a file that is no database: refused by name, untouched."""
        s = Server(tmp_path / "s")
        s.stop()
        path = tmp_path / "s" / "data" / "ledger.db"
        original = path.read_bytes()
        for what, at, value in (("application_id", 68, b"\0\0\0\x01"), ("user_version", 60, b"\0\0\0\x63")):
            path.write_bytes(original[:at] + value + original[at + len(value) :])
            damaged = path.read_bytes()
            said = start_refused(tmp_path / "s")
            assert said is not None and "ledger.db" in said, what
            assert path.read_bytes() == damaged, what
        path.write_bytes(b"not a database at all, but long enough to be taken for one\n" * 200)
        said = start_refused(tmp_path / "s")
        assert said is not None and "ledger.db" in said
        path.write_bytes(original)
        s.start()
        with contextlib.suppress(Closed):
            ok(s.client().get("/readyz"))
        s.stop()


def test_a_file_that_may_not_be_written(tmp_path):
    """It is refused at start, not met by the first write."""
    s = Server(tmp_path / "s")
    s.stop()
    with tempfile.TemporaryDirectory(prefix="mywallet-") as base:  # pytest's folders are closed to other users
        data = os.path.join(base, "data")
        shutil.copytree(tmp_path / "s" / "data", data)
        argv = [shutil.copy(harness.binary(), base), "serve", "--data", data, "--listen", "127.0.0.1:0"]
        if os.geteuid() == 0:  # who may write to every file
            for path in (base, data, *(os.path.join(data, name) for name in os.listdir(data))):
                os.chown(path, 65534, 65534)
            argv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *argv]
        os.chmod(os.path.join(data, "ledger.db"), 0o400)
        done = subprocess.run(argv, capture_output=True, timeout=20)
        assert done.returncode == 1 and b"ledger.db cannot be written" in done.stderr, done


def test_verify_without_a_ledger(tmp_path):
    done = run("verify", "--data", str(tmp_path))
    assert done.returncode == 1 and b"ledger" in done.stderr, done
    assert os.listdir(tmp_path) == []
    assert harness.run("verify", "--data", str(tmp_path / "nothing")).returncode == 1
