"""What every test here speaks: a server of the real binary, a raw HTTP client, and the rules that hold for every answer.

MYWALLET_STORE=redis runs the same tests on the Redis store: each server then has a redis-server of its own.

No float is made anywhere: JSON numbers stay text (class Num), amounts are compared as text or as integers of minor units.
"""

import atexit
import ctypes
import functools
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time

HOST = "127.0.0.1"
STORE = os.environ.get("MYWALLET_STORE") or "embedded"
START_DEADLINE_S = 30
STOP_DEADLINE_S = 40
READ_DEADLINE_S = 20

# The error table of the contract: one code, one status.
CODES = {
    "INVALID_REQUEST": 400,
    "INVALID_AMOUNT": 400,
    "INVALID_ACCOUNT_ID": 400,
    "INVALID_CURRENCY": 400,
    "INVALID_CURSOR": 400,
    "INVALID_IDEMPOTENCY_KEY": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "ACCOUNT_NOT_FOUND": 404,
    "TRANSACTION_NOT_FOUND": 404,
    "HOLD_NOT_FOUND": 404,
    "ROUTE_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_TIMEOUT": 408,
    "ACCOUNT_EXISTS": 409,
    "HOLD_NOT_ACTIVE": 409,
    "IDEMPOTENCY_IN_PROGRESS": 409,
    "PRECONDITION_FAILED": 412,
    "PAYLOAD_TOO_LARGE": 413,
    "URI_TOO_LONG": 414,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "HEADERS_TOO_LARGE": 431,
    "INSUFFICIENT_BALANCE": 422,
    "ACCOUNT_FROZEN": 422,
    "ACCOUNT_CLOSED": 422,
    "CURRENCY_MISMATCH": 422,
    "SAME_ACCOUNT": 422,
    "BALANCE_LIMIT_EXCEEDED": 422,
    "REVERSAL_EXCEEDS_ORIGINAL": 422,
    "HOLD_AMOUNT_EXCEEDED": 422,
    "UNBALANCED_ENTRIES": 422,
    "IDEMPOTENCY_KEY_REUSED": 422,
    "RATE_LIMITED": 429,
    "SYSTEM_ERROR": 500,
    "STORE_UNAVAILABLE": 503,
    "OUTCOME_UNKNOWN": 504,
}

EXPONENTS = {"CNY": 2, "USD": 2, "JPY": 0, "KWD": 3}
LIMIT_MINOR = 999_999_999_999_999

TIME = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
TX_ID = re.compile(r"\Atx_[A-Za-z0-9_-]{1,29}\Z")
REQUEST_ID = re.compile(r"\A[A-Za-z0-9._-]{1,128}\Z")
UUID7 = re.compile(r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
CURSOR = re.compile(r"\A[A-Za-z0-9_-]+\Z")


class Num(str):
    """A JSON number, kept as its source text."""

    def __repr__(self):
        return f"Num({str.__repr__(self)})"


class Closed(Exception):
    """The peer closed (or reset) the connection before a whole answer."""


def _refuse_constant(text):
    raise ValueError(f"not JSON: {text}")


def _object(pairs):
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError(f"duplicate member: {[k for k, _ in pairs]}")
    return out


def parse(text):
    """Read JSON; numbers stay text, duplicate members and NaN are errors."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    return json.loads(
        text, parse_float=Num, parse_int=Num, parse_constant=_refuse_constant, object_pairs_hook=_object
    )


def dump(value):
    """Write JSON; Num and int are numbers, a float is a mistake of the test."""
    if isinstance(value, Num):
        return str(value)
    if isinstance(value, float):
        raise TypeError("no float near money")
    if value is None or isinstance(value, (bool, int, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dump(k)}:{dump(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(dump(v) for v in value) + "]"
    raise TypeError(type(value))


def money(minor, currency="CNY"):
    """Minor units as the wire writes them: money(-5) is -0.05."""
    exponent = EXPONENTS[currency]
    sign, digits = ("-" if minor < 0 else ""), str(abs(minor))
    if exponent == 0:
        return Num(sign + digits)
    digits = digits.rjust(exponent + 1, "0")
    return Num(f"{sign}{digits[:-exponent]}.{digits[-exponent:]}")


def minor(text, currency="CNY"):
    """The reverse of money; the text must have exactly the currency's decimals."""
    exponent = EXPONENTS[currency]
    pattern = r"-?(0|[1-9]\d*)" + (r"\.\d{%d}" % exponent if exponent else "")
    assert isinstance(text, Num) and re.fullmatch(pattern, text), repr(text)
    return int(text.replace(".", ""))


@functools.total_ordering
class Seq:
    """A position: a number, or `bucket:number` where the store keeps several journals. Two of different journals have no order."""

    def __init__(self, text):
        match = re.fullmatch(r"(?:(0|[1-9]\d*):)?(0|[1-9]\d*)", text)
        assert match, repr(text)
        self.has_bucket = match.group(1) is not None
        self.bucket, self.number = int(match.group(1) or 0), int(match.group(2))

    def __eq__(self, other):
        return (self.bucket, self.number) == (other.bucket, other.number)

    def __hash__(self):
        return hash((self.bucket, self.number))

    def __lt__(self, other):
        assert self.bucket == other.bucket, f"{self} and {other} are of two journals"
        return self.number < other.number

    def __repr__(self):
        return f"{self.bucket}:{self.number}"


def rise(seqs):
    """Do the positions of each journal rise, in the order given?"""
    journals = {}
    for seq in seqs:
        journals.setdefault(seq.bucket, []).append(seq)
    return all(a < b for journal in journals.values() for a, b in zip(journal, journal[1:]))


class Answer:
    """One HTTP answer: status, headers in order, body bytes."""

    def __init__(self, head, body, interim):
        lines = head.split(b"\r\n")
        match = re.fullmatch(rb"HTTP/1\.1 (\d{3})( [^\r\n]*)?", lines[0])
        assert match, lines[0]
        self.head = head
        self.status = int(match.group(1))
        self.headers = []
        for line in lines[1:]:
            field = re.fullmatch(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*", line)
            assert field, line
            self.headers.append((field.group(1).decode().lower(), field.group(2).decode("latin-1")))
        self.body = body
        self.interim = interim

    def all(self, name):
        return [v for k, v in self.headers if k == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    @property
    def json(self):
        return parse(self.body)

    @property
    def code(self):
        """The error code; None for an answer that is no failure."""
        return self.json["error"]["code"] if self.status >= 400 else None

    @property
    def message(self):
        return self.json["error"]["message"]

    @property
    def seq(self):
        return Seq(self.header("Wallet-Seq"))

    @property
    def replayed(self):
        return self.header("Idempotent-Replayed") == "true"

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r} {self.headers}>"


WRITE = re.compile(r"\A/api/v1/(wallet|transfers|wallet/[^/?]+/(credit|debit))\Z")


def check(answer, method, target, store=STORE, durability=("fsync",)):
    """What holds for every answer, whatever was asked. Returns the answer."""
    a = answer
    path = target.split("?", 1)[0]
    rid = a.header("X-Request-Id")
    assert rid is not None and REQUEST_ID.match(rid), (method, target, a)
    assert not [k for k, _ in a.headers if k.startswith("access-control-")], a
    if method == "HEAD" or a.status in (204, 304):
        assert a.body == b"", a
    if a.status == 204:
        assert a.header("Content-Length") in (None, "0"), a
    if a.status >= 400:
        assert a.header("Content-Type") == "application/json", a
        assert a.status in CODES.values(), a
        if method != "HEAD":
            doc = a.json
            assert list(doc) == ["error"], a
            assert list(doc["error"]) == ["code", "message"], a
            assert a.code in CODES and CODES[a.code] == a.status, a
            assert isinstance(a.message, str) and a.message and not isinstance(a.message, Num), a
    if a.status == 405:
        assert a.header("Allow"), a
    if a.status in (429, 503) or (a.status == 409 and a.code == "IDEMPOTENCY_IN_PROGRESS"):
        assert re.fullmatch(r"\d+", a.header("Retry-After") or ""), a
    if method == "POST" and WRITE.match(path) and (a.status // 100 == 2 or a.status == 422):
        assert a.seq.has_bucket == (store == "redis"), a
        assert a.header("Wallet-Durability") in durability, a
    if a.status // 100 == 2 and method != "POST":
        assert a.header("Wallet-Seq") is None, a
    return a


def build(method, target, body=None, headers=(), version="HTTP/1.1"):
    """The bytes of a well-formed request."""
    def raw(text):
        return text if isinstance(text, bytes) else text.encode("latin-1")

    lines = [raw(method) + b" " + raw(target) + b" " + raw(version)]
    names = {raw(k).lower() for k, _ in headers}
    if b"host" not in names:
        lines.append(b"Host: wallet.test")
    if body is not None:
        if b"content-type" not in names:
            lines.append(b"Content-Type: application/json")
        if b"content-length" not in names and b"transfer-encoding" not in names:
            lines.append(b"Content-Length: %d" % len(body))
    lines += [raw(k) + b": " + raw(v) for k, v in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


class Conn:
    """One raw connection, with a deadline on each read."""

    def __init__(self, port, host=HOST, timeout=READ_DEADLINE_S, receive_buffer=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Close by RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        """Send all; a peer that closed first is not an error here (its answer may wait to be read)."""
        try:
            self.sock.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def half_close(self):
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed(self.buffer)
        self.buffer += data

    def _head(self):
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        return head

    def answer(self, method="GET"):
        """Read the next final answer; interim ones are kept in .interim."""
        interim = []
        while True:
            head = self._head()
            a = Answer(head, b"", interim)
            if a.status // 100 != 1:
                break
            interim.append(a.status)
        if method == "HEAD" or a.status in (204, 304):
            return a
        if a.header("Transfer-Encoding") is not None:
            assert a.header("Transfer-Encoding").lower() == "chunked" and a.header("Content-Length") is None, a
            while True:
                while b"\r\n" not in self.buffer:
                    self._fill()
                size_text, self.buffer = self.buffer.split(b"\r\n", 1)
                assert re.fullmatch(rb"[0-9a-fA-F]{1,8}", size_text), size_text
                size = int(size_text, 16)
                while len(self.buffer) < size + 2:
                    self._fill()
                assert self.buffer[size : size + 2] == b"\r\n", self.buffer
                a.body += self.buffer[:size]
                self.buffer = self.buffer[size + 2 :]
                if size == 0:
                    return a
        length = a.header("Content-Length")
        assert length is not None and re.fullmatch(r"0|[1-9]\d*", length), a
        while len(self.buffer) < int(length):
            self._fill()
        a.body, self.buffer = self.buffer[: int(length)], self.buffer[int(length) :]
        return a

    def rest(self):
        """Read to the end of the connection; returns the bytes."""
        try:
            while True:
                self._fill()
        except Closed:
            out, self.buffer = self.buffer, b""
            return out


class Client:
    """A keep-alive client that applies `check` to each answer."""

    def __init__(self, port, timeout=READ_DEADLINE_S, host=HOST, store=STORE, durability=("fsync",)):
        self.port, self.timeout, self.host = port, timeout, host
        self.store, self.durability = store, durability
        self.conn = None

    def close(self):
        if self.conn is not None:
            self.conn.close()
            self.conn = None

    def exchange(self, method, target, data):
        for attempt in (0, 1):
            fresh = self.conn is None
            if fresh:
                self.conn = Conn(self.port, host=self.host, timeout=self.timeout)
            self.conn.send(data)
            try:
                a = self.conn.answer(method)
            except Closed as e:
                self.close()
                # An idle connection that the server closed has no answer at all: one more try, on a new one.
                if fresh or attempt or e.args[0]:
                    raise
                continue
            except BaseException:
                self.close()
                raise
            if (a.header("Connection") or "").lower() == "close":
                self.close()
            return a
        raise AssertionError("unreachable")

    def request(self, method, target, body=None, headers=(), key=None, lang=None):
        headers = list(headers)
        if key is not None:
            headers.append(("Idempotency-Key", key))
        if lang is not None:
            headers.append(("Accept-Language", lang))
        if body is not None and not isinstance(body, bytes):
            body = (body if type(body) is str else dump(body)).encode("utf-8")
        a = self.exchange(method, target, build(method, target, body, headers))
        target = target if isinstance(target, str) else target.decode("latin-1")
        return check(a, method, target, self.store, self.durability)

    def get(self, target, **kw):
        return self.request("GET", target, **kw)

    def post(self, target, body, **kw):
        return self.request("POST", target, body, **kw)

    # The calls of the wallet. Amounts are text or Num.
    def balance(self, account, **kw):
        return self.get(f"/api/v1/wallet/{account}/balance", **kw)

    def account(self, account, **kw):
        return self.get(f"/api/v1/wallet/{account}", **kw)

    def open(self, account=None, headers=(), lang=None, key=None, **members):
        if account is not None:
            members = {"account_id": account, **members}
        return self.post("/api/v1/wallet", members, headers=headers, lang=lang, key=key)

    def credit(self, account, amount, key=None, lang=None, headers=(), **members):
        body = {"amount": Num(amount), **members}
        return self.post(f"/api/v1/wallet/{account}/credit", body, key=key, lang=lang, headers=headers)

    def debit(self, account, amount, key=None, lang=None, headers=(), **members):
        body = {"amount": Num(amount), **members}
        return self.post(f"/api/v1/wallet/{account}/debit", body, key=key, lang=lang, headers=headers)

    def transfer(self, src, dst, amount, key=None, lang=None, headers=(), **members):
        body = {"from": src, "to": dst, "amount": Num(amount), **members}
        return self.post("/api/v1/transfers", body, key=key, lang=lang, headers=headers)

    def history(self, account, query="", **kw):
        return self.get(f"/api/v1/wallet/{account}/transactions" + (f"?{query}" if query else ""), **kw)

    def whole_history(self, account, limit=200, query=""):
        """Every entry of an account, newest first unless the query says otherwise, through all pages."""
        out, cursor = [], None
        while True:
            parts = [f"limit={limit}"] + ([query] if query else []) + ([f"cursor={cursor}"] if cursor else [])
            a = self.history(account, "&".join(parts))
            assert a.status == 200, a
            doc = a.json
            assert doc["account_id"] == account, a
            out += doc["transactions"]
            assert len(doc["transactions"]) <= limit, a
            if not doc["has_more"]:
                assert "next_cursor" not in doc, a
                return out
            assert CURSOR.match(doc["next_cursor"]), a
            cursor = doc["next_cursor"]


def fails(answer, status, code=None):
    """Assert a failure with this status and one of these codes. Returns the answer."""
    codes = (code,) if isinstance(code, str) else code
    assert answer.status == status, answer
    if codes is not None:
        assert answer.code in codes, answer
    return answer


def ok(answer, status=200):
    assert answer.status == status, answer
    return answer


def binary():
    """The binary under test: MYWALLET_BIN, else the release build of this tree."""
    path = os.environ.get("MYWALLET_BIN")
    if not path:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "mywallet")
    path = os.path.abspath(path)
    assert os.access(path, os.X_OK), f"no binary at {path}: build it, or set MYWALLET_BIN"
    return path


def free_port(host=HOST):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def clean_env(extra=None):
    """This environment without what would configure the server behind a test's back."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("WALLET_") and k not in ("PORT", "REDIS_ADDR")}
    env.update(extra or {})
    return env


def _die_with_parent():
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


def run(*args, env=None, timeout=60, cwd=None):
    """Run a command of the binary to its end."""
    return subprocess.run(
        [binary(), *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_env(env),
        timeout=timeout,
        cwd=cwd,
        preexec_fn=_die_with_parent,
    )


_redises = []


@atexit.register
def _end_redises():
    for redis in _redises:
        redis.end()


class Redis:
    """One redis-server on a free loopback port, with its own folder; each write is synced unless the flags say otherwise."""

    FLAGS = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")

    def __init__(self, folder, *flags):
        self.folder = str(folder)
        self.flags = flags or self.FLAGS
        self.proc, self.port = None, None
        os.makedirs(self.folder, exist_ok=True)
        _redises.append(self)
        self.start()

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    def argv(self, port):
        return ["redis-server", "--bind", HOST, "--port", str(port), "--dir", self.folder, "--daemonize", "no", *self.flags]

    def start(self):
        """Start it; after the first time on the same port and folder."""
        assert self.proc is None
        for _ in range(3):
            port = self.port or free_port()
            with open(os.path.join(self.folder, "log"), "ab") as log:
                self.proc = subprocess.Popen(
                    self.argv(port),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, preexec_fn=_die_with_parent,
                )
            end = time.monotonic() + START_DEADLINE_S
            while self.proc.poll() is None:
                assert time.monotonic() < end, "redis-server does not answer"
                try:
                    answer = self.say(port, "PING")
                except RuntimeError as e:
                    answer = str(e)
                except (OSError, EOFError):
                    answer = ""
                if answer == "PONG" or answer.startswith("NOAUTH"):
                    self.port = port
                    return self
                time.sleep(0.005)
            self.end()
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as log:
            raise AssertionError(f"redis-server does not start:\n{log.read()[-4000:]}")

    def say(self, port, *words):
        """One command on a connection of its own; the reply as str, int, list or None."""
        with socket.create_connection((HOST, port), timeout=10) as s, s.makefile("rwb") as f:
            f.write(b"*%d\r\n" % len(words))
            for word in words:
                word = word if isinstance(word, bytes) else str(word).encode()
                f.write(b"$%d\r\n%s\r\n" % (len(word), word))
            f.flush()
            return self._reply(f)

    def _reply(self, f):
        line = f.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError(line)
        kind, rest = line[:1], line[1:-2].decode("utf-8", "replace")
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RuntimeError(rest)
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"$":
            return f.read(int(rest) + 2)[:-2].decode("utf-8", "replace")
        return [self._reply(f) for _ in range(int(rest))]

    def call(self, *words):
        return self.say(self.port, *words)

    def end(self):
        """kill -9: what it answered is on disk."""
        if self.proc is not None:
            if self.proc.poll() is None:
                self.proc.kill()
            self.proc.wait()
            self.proc = None


class Server:
    """One `mywallet serve` on a free loopback port, with its own folder, and on Redis with its own redis-server unless it is given one."""

    def __init__(self, folder, *flags, env=None, port=None, listen=HOST, wait=True, verify=True, listen_flag=True, redis=None):
        self.folder = str(folder)
        self.data = os.path.join(self.folder, "data")
        self.log_path = os.path.join(self.folder, "log")
        self.out_path = os.path.join(self.folder, "out")
        self.flags, self.env, self.listen, self.listen_flag = flags, env, listen, listen_flag
        self.fixed_port, self.verify = port, verify
        self.proc, self.port = None, None
        os.makedirs(self.folder, exist_ok=True)
        self.own_redis = Redis(os.path.join(self.folder, "redis")) if redis is None and STORE == "redis" else None
        self.redis = redis or self.own_redis
        self.start(wait)

    @property
    def place(self):
        """The environment that says where the ledger is."""
        return {} if self.redis is None else {"REDIS_ADDR": self.redis.address}

    def start(self, wait=True):
        assert self.proc is None
        last = None
        for _ in range(3):
            self.port = self.fixed_port or free_port(self.listen)
            args = [binary(), "serve", "--data", self.data]
            if self.listen_flag:
                args += ["--listen", f"{self.listen}:{self.port}"]
            log, out = open(self.log_path, "ab"), open(self.out_path, "ab")
            try:
                self.proc = subprocess.Popen(
                    args + list(self.flags),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    env=clean_env({**self.place, **(self.env or {})}),
                    cwd=self.folder,
                    preexec_fn=_die_with_parent,
                )
            finally:
                log.close()
                out.close()
            if not wait:
                return self
            try:
                self.wait_ready()
                return self
            except AssertionError as e:
                last = e
                exited = self.proc.poll() is not None
                self.reap()
                # Somebody else may have taken the free port in between: another one, then.
                if not exited or self.fixed_port or "address" not in self.log().lower():
                    raise
        raise last

    def wait_ready(self, deadline_s=START_DEADLINE_S):
        end = time.monotonic() + deadline_s
        while time.monotonic() < end:
            assert self.proc.poll() is None, f"server exited with {self.proc.returncode}:\n{self.log()[-4000:]}"
            try:
                with Conn(self.port, host=HOST if self.listen == "0.0.0.0" else self.listen, timeout=5) as c:
                    c.send(build("GET", "/readyz"))
                    if c.answer().status == 200:
                        return
            except (OSError, Closed):
                pass
            time.sleep(0.01)
        raise AssertionError(f"not ready in {deadline_s} s:\n{self.log()[-4000:]}")

    def log(self):
        """What was written to stderr so far, over all starts."""
        with open(self.log_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def out(self):
        """The same for stdout."""
        with open(self.out_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def client(self, **kw):
        return Client(self.port, store="redis" if self.redis else "embedded", **kw)

    def conn(self, **kw):
        return Conn(self.port, **kw)

    def signal(self, number):
        self.proc.send_signal(number)

    def wait(self, timeout=STOP_DEADLINE_S):
        code = self.proc.wait(timeout)
        self.proc = None
        return code

    def reap(self):
        """End the process if it still runs, whatever state it is in."""
        if self.proc is not None:
            if self.proc.poll() is None:
                self.proc.kill()
            self.proc.wait()
            self.proc = None

    def kill(self):
        """kill -9."""
        assert self.proc.poll() is None, f"server had died: {self.proc.returncode}\n{self.log()[-4000:]}"
        self.reap()

    def stop(self):
        """A clean stop: exit code 0, and the ledger verifies."""
        if self.proc is None:
            return
        try:
            early = self.proc.poll()
            assert early is None, f"server had died with {early}:\n{self.log()[-4000:]}"
            self.signal(signal.SIGTERM)
            try:
                code = self.proc.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"no exit {STOP_DEADLINE_S} s after SIGTERM:\n{self.log()[-4000:]}") from None
            assert code == 0, f"exit code {code} on SIGTERM:\n{self.log()[-4000:]}"
        finally:
            self.reap()
        if self.verify:
            self.check_data()

    def check_data(self):
        done = run("verify", *([] if self.redis else ["--data", self.data]), env=self.place)
        assert done.returncode == 0, (done.returncode, done.stdout[-2000:], done.stderr[-2000:])

    def restart(self, hard=False):
        """Stop (or kill -9) and start again on the same folder."""
        if hard:
            self.kill()
        else:
            self.stop()
        return self.start()

    def end_redis(self):
        """End the redis-server that was started for this server alone."""
        if self.own_redis is not None:
            self.own_redis.end()

    def remove(self):
        self.reap()
        self.end_redis()
        shutil.rmtree(self.folder, ignore_errors=True)


_counter = 0


def fresh(prefix="t"):
    """An account id that no other test uses."""
    global _counter
    _counter += 1
    return f"{prefix}{_counter}-{secrets.token_hex(4)}"


def fresh_key():
    return secrets.token_hex(16)
