"""What the benchmark starts and, whatever happens, ends again: by process id, and nobody else's."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HOST = "127.0.0.1"
START_DEADLINE_S = 120
STOP_DEADLINE_S = 60
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """Something the benchmark needs did not work; the message says what."""


def free_port():
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


def _die_with_parent(number):
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, number)

    return prepare


def run(argv, **more):
    """Run to the end and return standard output."""
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
        preexec_fn=_die_with_parent(signal.SIGTERM), **more,
    )
    if done.returncode != 0:
        raise Failed(f"{os.path.basename(argv[0])} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def fields(line):
    """"a=1 b=2" as {"a": "1", "b": "2"}."""
    return dict(part.split("=", 1) for part in line.split())


class Process:
    """A child that runs until stop, or until the benchmark itself is gone."""

    def __init__(self, argv, log, stop_signal=signal.SIGTERM, **more):
        self.stop_signal = stop_signal
        self.log_path = log
        with open(log, "ab") as out:
            self.child = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=_die_with_parent(stop_signal), **more
            )
        self.pid = self.child.pid

    def check(self):
        if self.child.poll() is not None:
            with open(self.log_path, errors="replace") as log:
                tail = log.read()[-800:]
            raise Failed(f"process {self.pid} ended with {self.child.returncode}: {tail}")

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(self.stop_signal)
            try:
                self.child.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        self.child.kill()
        self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def cpu_s(self):
        """Processor time so far, of the process and its children."""
        ticks = 0
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as f:
            pids = [str(self.pid), *f.read().split()]
        for pid in pids:
            with open(f"/proc/{pid}/stat") as f:
                parts = f.read().rpartition(")")[2].split()
            ticks += int(parts[11]) + int(parts[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self):
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise Failed("no VmRSS")


def _answers_200(port, path):
    try:
        with socket.create_connection((HOST, port), 5) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
            return s.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def fetch(port, path):
    """The body of an answer."""
    with socket.create_connection((HOST, port), 10) as s:
        s.sendall(f"GET {path} HTTP/1.0\r\nHost: bench\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while more := s.recv(65536):
            data += more
    return data.partition(b"\r\n\r\n")[2].decode(errors="replace")


class Server(Process):
    """An HTTP server on a free port; ready when `path` answers 200."""

    def __init__(self, argv, port, path, log, **more):
        start = time.monotonic()
        super().__init__(argv, log, **more)
        self.port = port
        self.url = f"http://{HOST}:{port}/"
        try:
            while not _answers_200(port, path):
                self.check()
                if time.monotonic() - start > START_DEADLINE_S:
                    raise Failed(f"{argv[0]} is not ready after {START_DEADLINE_S} s")
                time.sleep(0.0005)
        except BaseException:
            self.kill()
            raise
        self.start_s = time.monotonic() - start


class Wallet(Server):
    """The service on a folder."""

    def __init__(self, binary, folder, logs, threads=1, redis=None):
        os.makedirs(logs, exist_ok=True)
        port = free_port()
        self.folder = folder
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        if redis is not None:
            env["REDIS_ADDR"] = f"{HOST}:{redis.port}"
        super().__init__(
            [binary, "serve", "--listen", f"{HOST}:{port}", "--data", folder, "--threads", str(threads)],
            port, "/readyz", os.path.join(logs, f"wallet-{port}.log"), env=env,
        )

    def log_fields(self, event):
        """The fields of the last line about an event."""
        with open(self.log_path, errors="replace") as f:
            lines = [line for line in f if f" event={event} " in line]
        if not lines:
            raise Failed(f"the log has no line about {event}")
        return dict(part.split("=", 1) for part in lines[-1].split() if "=" in part)


class Redis(Process):
    """A server of its own: append-only file, synced before each answer."""

    def __init__(self, folder, log):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.port = free_port()
        super().__init__(
            ["redis-server", "--port", str(self.port), "--bind", HOST, "--dir", folder, "--save", "",
             "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"], log,
        )
        try:
            end = time.monotonic() + START_DEADLINE_S
            while not self._answers():
                self.check()
                if time.monotonic() > end:
                    raise Failed("redis-server is not ready")
                time.sleep(0.01)
        except BaseException:
            self.kill()
            raise

    def _answers(self):
        try:
            return self.cli("PING").strip() == "PONG"
        except Failed:
            return False

    def cli(self, *words):
        return run(["redis-cli", "-h", HOST, "-p", str(self.port), *words])


NGINX_CONFIG = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/json;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port};
        location / {{ return 200 '{body}'; }}
    }}
}}
"""


class Nginx(Server):
    """One worker that answers every request with a constant, which should be as long as the service's answer."""

    def __init__(self, folder, body):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        port = free_port()
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w") as f:
            f.write(NGINX_CONFIG.format(folder=folder, host=HOST, port=port, body=body))
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        super().__init__([binary, "-p", folder, "-e", "error.log", "-c", config], port, "/", os.path.join(folder, "out.log"))


def postgres_folder():
    """Where PostgreSQL's own programs are."""
    base = "/usr/lib/postgresql"
    versions = sorted((v for v in os.listdir(base) if v.isdigit()), key=int) if os.path.isdir(base) else []
    if versions:
        return os.path.join(base, versions[-1], "bin")
    initdb = shutil.which("initdb")
    if initdb is None:
        raise Failed("there is no PostgreSQL here")
    return os.path.dirname(initdb)


class Postgres(Process):
    """A cluster of its own, reached by a socket alone. Nothing runs behind its back while others are measured."""

    def __init__(self, folder, log, scale):
        self.bin = postgres_folder()
        self.as_user = {}
        if os.geteuid() == 0:  # initdb refuses root
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                raise Failed("run as root, PostgreSQL needs the user postgres") from None
            self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder, mode=0o700)
        if self.as_user:
            os.chown(folder, self.as_user["user"], self.as_user["group"])
        try:
            run(["test", "-w", folder], cwd="/", **self.as_user)
        except Failed:
            raise Failed(f"the user postgres cannot reach {folder}: name another folder by --data") from None
        self._call("initdb", "-D", folder, "-A", "trust", "-U", "bench", "--no-instructions")
        self.socket = tempfile.mkdtemp(prefix="bench-pg-", dir="/tmp")  # a socket's path must be short
        if self.as_user:
            os.chown(self.socket, self.as_user["user"], self.as_user["group"])
        settings = {
            "listen_addresses": "", "unix_socket_directories": self.socket, "fsync": "on", "synchronous_commit": "on",
            "shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h", "autovacuum": "off",
        }
        argv = [os.path.join(self.bin, "postgres"), "-D", folder]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        super().__init__(argv, log, stop_signal=signal.SIGINT, cwd="/", **self.as_user)
        try:
            self._wait()
            self._call("pgbench", "-h", self.socket, "-U", "bench", "-i", "-q", "-s", str(scale), "postgres")
        except BaseException:
            self.stop()
            raise

    def _call(self, program, *args):
        return run([os.path.join(self.bin, program), *args], cwd="/", **self.as_user)

    def _wait(self):
        end = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < end:
            self.check()
            try:
                self._call("pg_isready", "-q", "-h", self.socket, "-U", "bench", "-d", "postgres")
                return
            except Failed:
                time.sleep(0.05)
        raise Failed("PostgreSQL is not ready")

    def stop(self):
        super().stop()
        shutil.rmtree(self.socket, ignore_errors=True)

    def tpcb(self, seconds, clients=16):
        """Transactions a second of pgbench's own TPC-B."""
        out = self._call(
            "pgbench", "-h", self.socket, "-U", "bench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2",
            "-T", str(seconds), "postgres",
        )
        for line in out.splitlines():
            if line.startswith("tps = "):
                return float(line.split()[2])
        raise Failed(f"pgbench said: {out}")
