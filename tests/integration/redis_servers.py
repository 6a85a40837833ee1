"""Real Redis servers for the tests: alone, with replicas, watched by Sentinel; and a proxy that holds back what it is told to."""

import os
import signal
import socket
import subprocess
import threading
import time

from harness import HOST, Redis



def until(claim, deadline_s=20, why="never became true"):
    end = time.monotonic() + deadline_s
    while True:
        found = claim()
        if found:
            return found
        assert time.monotonic() < end, why
        time.sleep(0.02)


class Node(Redis):
    """A redis-server that a test looks into, stops, and lets go on."""

    def try_cli(self, *words, timeout=5):
        try:
            done = subprocess.run(
                ["redis-cli", "-h", HOST, "-p", str(self.port), *map(str, words)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            return None
        return done.stdout.strip()

    def cli(self, *words):
        out = self.try_cli(*words)
        assert out is not None and not out.startswith(("ERR", "NOAUTH", "WRONGTYPE", "Could not")), (words, out)
        return out

    def info(self, section, field):
        for line in self.cli("INFO", section).splitlines():
            if line.startswith(field + ":"):
                return line.split(":", 1)[1].strip()
        raise AssertionError(f"INFO {section} has no {field}")

    def pause(self):
        self.proc.send_signal(signal.SIGSTOP)

    def resume(self):
        self.proc.send_signal(signal.SIGCONT)


class Sentinel(Node):
    """One sentinel that watches `master` under the name "wallet"; quick to judge."""

    def __init__(self, folder, master):
        os.makedirs(folder, exist_ok=True)
        config = os.path.join(str(folder), "sentinel.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(
                f"sentinel monitor wallet {HOST} {master.port} 1\nsentinel down-after-milliseconds wallet 500\n"
                "sentinel failover-timeout wallet 3000\nsentinel parallel-syncs wallet 1\n"
            )
        self.config = config
        super().__init__(folder)

    def argv(self, port):
        return ["redis-server", self.config, "--sentinel", "--bind", HOST, "--port", str(port), "--dir", self.folder]

    @property
    def address(self):
        return f"redis+sentinel://{HOST}:{self.port}/wallet"

    def master_port(self):
        return int(self.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "wallet").split()[1])


class Proxy:
    """A TCP proxy before a Redis: what comes back can be held, and let go later."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.open = threading.Event()
        self.open.set()
        self.socks = [self.listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self):
        return f"{HOST}:{self.port}"

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection((HOST, self.target_port))
            except OSError:
                return
            self.socks += [near, far]
            threading.Thread(target=self._copy, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, True), daemon=True).start()

    def _copy(self, source, target, is_answer):
        try:
            while data := source.recv(65536):
                if is_answer:
                    self.open.wait()
                target.sendall(data)
        except OSError:
            pass
        for sock in (source, target):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hold(self):
        self.open.clear()

    def let_go(self):
        self.open.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.let_go()
        for sock in self.socks:
            sock.close()
