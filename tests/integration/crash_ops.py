"""Writes whose fate is asked for after a crash: the answered is there once, the refused is not, a key settles the rest."""

import contextlib
import re

from harness import Closed, Server, build, dump, fresh_key, minor, ok, Num

OPEN = (None, 503, 504)  # answers that leave it to a retry: none came, surely not applied, unknown
WINDOW = 48  # requests on the way at once
DONE = {"credit": 200, "debit": 200, "transfer": 201}


class Op:
    """A credit, a debit or a transfer with a key, and with the key as its reference."""

    def __init__(self, account, amount, kind="credit", to=None):
        self.account, self.amount, self.kind, self.to, self.key = account, amount, kind, to, fresh_key()
        self.status = None  # None: no answer came
        self._wire = None

    @property
    def sides(self):
        """What it does where it is done: (account, change in minor units)."""
        if self.kind == "credit":
            return [(self.account, self.amount * 100)]
        taken = (self.account, -self.amount * 100)
        return [taken] if self.kind == "debit" else [taken, (self.to, self.amount * 100)]

    @property
    def is_acked(self):
        return self.status == DONE[self.kind]

    def _target_and_body(self):
        body = {"amount": Num(self.amount), "reference": self.key}
        if self.kind == "transfer":
            return "/api/v1/transfers", {"from": self.account, "to": self.to, **body}
        return f"/api/v1/wallet/{self.account}/{self.kind}", body

    def wire(self):
        """The bytes of the request, made once, also for copies made after."""
        if self._wire is None:
            target, body = self._target_and_body()
            self._wire = build("POST", target, dump(body).encode(), headers=[("Idempotency-Key", self.key)])
        return self._wire

    def ask(self, client):
        """Send it, whatever became of it before. Returns the answer."""
        target, body = self._target_and_body()
        return client.post(target, body, key=self.key)

    def take(self, status, a=None):
        """Keep the status of an answer."""
        assert status in (DONE[self.kind], 503, 504) or (status == 422 and self.kind != "credit"), a or (status, self.kind)
        self.status = status

    def send(self, client):
        a = self.ask(client)
        self.take(a.status, a)
        return a


def mixed(accounts, n, base=1):
    """n ops in an order that can be repeated: each account is opened first, then credits, debits and transfers take turns."""
    ops = [Op(account, 50 + base) for account in accounts]
    for i in range(n - len(ops)):
        account, other = accounts[i % len(accounts)], accounts[(i + 1) % len(accounts)]
        kind = ("credit", "transfer", "debit")[i % 3]
        ops.append(Op(account, 1 + (base + i) % 7, kind, other if kind == "transfer" else None))
    return ops[:n]


def run_ops(s, ops):
    """Send them one after another until the server is gone."""
    with contextlib.closing(s.client()) as c, contextlib.suppress(Closed, OSError):
        for op in ops:
            op.send(c)


def own(ops):
    """Copies for one run of many that send the same."""
    out = []
    for op in ops:
        out.append(Op.__new__(Op))
        out[-1].__dict__.update(op.__dict__)
    return out


def stream_ops(s, ops):
    """Send them on one connection, a window at a time without waiting: each has a commit of its own. Until the server is gone."""
    status_line = re.compile(rb"HTTP/1\.1 (\d{3}) ")
    with contextlib.suppress(OSError), s.conn() as conn:
        for at in range(0, len(ops), WINDOW):
            part, told, text = ops[at : at + WINDOW], 0, b""
            conn.send(b"".join(op.wire() for op in part))
            while told < len(part):  # thousands a run: no more is looked at than the status
                got = conn.sock.recv(1 << 16)
                if not got:
                    return
                text += got
                statuses = status_line.findall(text)
                for op, status in zip(part[told:], statuses[told:]):
                    op.take(int(status))
                told = len(statuses)


def metric(c, name):
    return int(re.search(rb"^%s (\d+)$" % name.encode(), c.get("/metrics").body, re.M).group(1))


def is_passed(c):
    """Has the checkpoint thread made a pass?"""
    return metric(c, "wallet_checkpoint_duration_seconds_count") > 0


def go_on(s, ops, more):
    """Stream copies of `more`, a window at a time, until a pass of the checkpoint thread is over and was followed by some. What was
    sent is added to `ops`. Returns whether the server is still there."""
    behind = 0  # in windows: the writer sees to what the pass left within them
    with contextlib.closing(s.client()) as c:
        while behind < 3:
            part, more = own(more[:WINDOW]), more[WINDOW:]
            assert part, "no pass was made"
            ops += part
            stream_ops(s, part)
            if part[-1].status in (None, 503, 504):
                return False
            try:
                behind += is_passed(c)
            except (Closed, OSError):
                return False
    return True


def entries(c, accounts):
    """What the ledger has: account -> reference -> minor units. Each reference is there once, and they sum to the balance."""
    out = {}
    for account in sorted(accounts):
        a = c.balance(account)
        assert a.status in (200, 404), a
        rows = c.whole_history(account) if a.status == 200 else []
        out[account] = {e["reference"]: minor(e["amount"]) for e in rows}
        assert len(out[account]) == len(rows), "something was done twice"
        if a.status == 200:
            assert minor(a.json["balance"]) == sum(out[account].values()) >= 0, a
    return out


def judge(found, ops):
    """What was answered is there, what was refused is not, a transfer has both sides or none. Returns the keys that are there."""
    wanted = {(account, op.key): change for op in ops for account, change in op.sides}
    for account, mine in found.items():
        for reference, change in mine.items():
            assert wanted.get((account, reference)) == change, "something is there that nobody sent"
    there = set()
    for op in ops:
        sides = [op.key in found[account] for account, _ in op.sides]
        assert all(sides) or not any(sides), "half of a transfer"
        assert all(sides) or not op.is_acked, "an answered operation is lost"
        assert not any(sides) or op.status not in (503, 422), "an operation is there that was said not to be"
        if all(sides):
            there.add(op.key)
    return there


def settle(c, op, is_there):
    """Ask again with the key: done before is told as before, refused before too, else it is done or refused now, once."""
    a = op.ask(c)
    if is_there:
        assert a.status == DONE[op.kind] and a.replayed, a
    elif op.status == 422:
        assert a.status == 422 and a.replayed, a
    else:  # a refusal may have been kept before its answer was lost
        assert a.status == 422 or not a.replayed, a
    op.take(a.status, a)
    assert op.status not in OPEN, a
    again = op.ask(c)
    assert again.status == a.status and again.replayed and again.body == a.body, again


def check_total(c, ops):
    """The money of all accounts together is what the answers say; nothing is open any more."""
    total, cursor = 0, ""
    while True:
        page = ok(c.get("/api/v1/wallet?limit=200" + cursor)).json
        total += sum(minor(account["balance"]) for account in page["accounts"])
        if not page["has_more"]:
            break
        cursor = "&cursor=" + page["next_cursor"]
    assert not [op for op in ops if op.status in OPEN]
    assert total == sum(change for op in ops if op.is_acked for _, change in op.sides)


def check_ops(s, ops, repeated=None, total=False):
    """After a restart: what was answered is there, once; what was not is there at most once; the key settles the rest.

    Those of `repeated` are sent again though they were answered; all of them, where it is not given. With `total`, `ops` are
    all that was ever sent, and the sum over all accounts is checked too.
    """
    wanted = None if repeated is None else {id(op) for op in repeated}
    accounts = {account for op in ops for account, _ in op.sides}
    with contextlib.closing(s.client()) as c:
        there = judge(entries(c, accounts), ops)
        for op in ops:
            if op.status in OPEN or wanted is None or id(op) in wanted:
                settle(c, op, op.key in there)
        if repeated is None:
            assert judge(entries(c, accounts), ops) == {op.key for op in ops if op.is_acked}
        for account in accounts:
            wanted = sum(change for op in ops if op.is_acked for side, change in op.sides if side == account)
            assert minor(ok(c.balance(account)).json["balance"]) == wanted, account
        if total:
            check_total(c, ops)


def reopen_and_check(folder, ops, repeated=None, total=False):
    s = Server(folder)
    try:
        check_ops(s, ops, repeated, total)
        s.stop()  # with verify
    finally:
        s.reap()
