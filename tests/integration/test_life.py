"""Start, drain, stop; who may; configuration; exit codes."""

import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import HOST, Client, Closed, Conn, build, check, fails, free_port, fresh, minor, ok, run


def until(claim, deadline_s=10, why="never became true"):
    end = time.monotonic() + deadline_s
    while not claim():
        assert time.monotonic() < end, why
        time.sleep(0.005)


def refuses(port, host=HOST):
    """No connection is accepted there any more."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


class TestDrain:
    def test_a_request_in_flight_is_answered(self, server):
        s = server()
        a = fresh()
        wire = build("POST", f"/api/v1/wallet/{a}/credit", b'{"amount":1}')
        with s.conn() as conn:
            conn.send(wire[:-5])
            # Another connection's answer: the loop has had its turn with the piece above.
            c = s.client()
            ok(c.get("/livez"))
            ok(c.get("/livez"))
            c.close()
            port = s.port
            s.signal(signal.SIGTERM)
            until(lambda: refuses(port), why="still accepts after SIGTERM")
            conn.send(wire[-5:])
            r = ok(check(conn.answer("POST"), "POST", "/api/v1/transfers"))
            assert r.json["balance"] == "1.00"
            assert conn.rest() == b""
        assert s.wait() == 0
        s.check_data()
        s.start()
        c = s.client()
        assert ok(c.balance(a)).json["balance"] == "1.00"
        c.close()

    def test_idle_connections_do_not_hold_it_up(self, server):
        s = server()
        conns = [s.conn() for _ in range(20)]
        try:
            for conn in conns[:10]:
                conn.send(build("GET", "/livez"))
                assert conn.answer().status == 200
            began = time.monotonic()
            s.signal(signal.SIGTERM)
            assert s.wait() == 0
            assert time.monotonic() - began < 10
            for conn in conns:
                assert conn.rest() == b""
        finally:
            for conn in conns:
                conn.close()
        s.check_data()

    def test_readyz_during_the_delay(self, server):
        s = server("--drain-delay", "3s")
        c = s.client()
        ok(c.get("/readyz"))
        began = time.monotonic()
        s.signal(signal.SIGTERM)
        until(lambda: c.get("/readyz").status == 503, 2.5, "readyz stays 200 while draining")
        fails(c.get("/readyz"), 503)
        fails(c.get("/healthz"), 503)
        ok(c.get("/livez"))
        ok(c.credit("a", "1"))
        fresh_one = s.client()
        ok(fresh_one.credit("a", "1"))
        fresh_one.close()
        assert time.monotonic() - began < 3, "too slow a machine for this test"
        c.close()
        assert s.wait() == 0
        assert time.monotonic() - began >= 2.9
        s.check_data()
        s.start()
        c = s.client()
        assert ok(c.balance("a")).json["balance"] == "2.00"
        c.close()

    def test_a_second_signal_ends_it_now(self, server):
        s = server("--drain-delay", "60s")
        c = s.client()
        ok(c.credit("a", "1"))
        s.signal(signal.SIGTERM)
        until(lambda: c.get("/readyz").status == 503)
        c.close()
        began = time.monotonic()
        s.signal(signal.SIGTERM)
        s.wait(20)
        assert time.monotonic() - began < 10
        s.flags = ()
        s.start()
        c = s.client()
        assert ok(c.balance("a")).json["balance"] == "1.00"
        c.close()

    @pytest.mark.deadline(90)
    def test_under_load_each_is_answered_or_settles(self, server):
        """SIGTERM in full traffic: exit 0; what was answered is there, what was not was applied once or not at all."""
        s = server("--threads", "2")
        acked, unknown = {}, []
        lock, warm = threading.Lock(), threading.Event()

        def traffic(i):
            client = Client(s.port)
            for n in range(100_000):
                key = f"t{i}-{n}"
                try:
                    r = client.credit("hot", "1", key=key)
                except (Closed, OSError):
                    with lock:
                        unknown.append(key)
                    return
                if r.status == 503:
                    return
                ok(r)
                with lock:
                    acked[key] = r.body
                    if len(acked) >= 300:
                        warm.set()

        threads = [threading.Thread(target=traffic, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        assert warm.wait(30)
        s.signal(signal.SIGTERM)
        for t in threads:
            t.join(40)
            assert not t.is_alive()
        assert s.wait() == 0
        s.check_data()
        s.start()
        c = s.client()
        count = minor(ok(c.balance("hot")).json["balance"]) // 100
        assert len(acked) <= count <= len(acked) + len(unknown)
        for key in unknown:
            ok(c.credit("hot", "1", key=key))
        assert ok(c.balance("hot")).json["balance"] == f"{len(acked) + len(unknown)}.00"
        for key, body in list(acked.items())[::10]:
            r = ok(c.credit("hot", "1", key=key))
            assert r.replayed and r.body == body
        c.close()

    @pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGPIPE], ids=["HUP", "PIPE"])
    def test_other_signals(self, server, number):
        s = server()
        c = s.client()
        for _ in range(3):
            s.signal(number)
            ok(c.credit("a", "1"))
        assert ok(c.balance("a")).json["balance"] == "3.00"
        c.close()

    def test_stop_and_kill_in_turns(self, server):
        s = server()
        c = s.client()
        for i in range(1, 7):
            assert ok(c.credit("a", "1")).json["balance"] == f"{i}.00"
            s.restart(hard=bool(i % 2))
            c.close()
            c.port = s.port
        c.close()


class TestOnlyOne:
    @pytest.mark.embedded
    def test_a_second_server_on_the_same_folder(self, server):
        s = server()
        c = s.client()
        ok(c.credit("a", "1"))
        done = run("serve", "--data", s.data, "--listen", f"{HOST}:{free_port()}", timeout=20)
        assert done.returncode == 1, done
        assert str(s.proc.pid) in (done.stderr + done.stdout).decode(), done
        ok(c.credit("a", "1"))
        c.close()

    def test_a_second_server_on_the_same_port(self, server, tmp_path):
        s = server()
        c = s.client()
        done = run("serve", "--data", str(tmp_path / "other"), "--listen", f"{HOST}:{s.port}", timeout=20)
        assert done.returncode == 1, done
        assert str(s.port) in (done.stderr + done.stdout).decode(), done
        for _ in range(10):
            ok(c.credit("a", "1"))
            with s.conn() as conn:
                conn.send(build("GET", "/api/v1/wallet/a/balance"))
                assert conn.answer().status == 200
        c.close()

    def test_a_port_of_another_program(self, tmp_path):
        with socket.socket() as other:
            other.bind((HOST, 0))
            other.listen(1)
            done = run("serve", "--data", str(tmp_path / "d"), "--listen", f"{HOST}:{other.getsockname()[1]}", timeout=20)
        assert done.returncode == 1, done

    def test_a_killed_server_leaves_no_lock(self, server):
        s = server()
        for _ in range(3):
            s.restart(hard=True)


class TestConfiguration:
    def test_port_from_the_environment(self, server):
        port = free_port()
        s = server(env={"PORT": str(port)}, port=port, listen_flag=False)
        c = s.client()
        ok(c.get("/livez"))
        c.close()

    def test_listen_from_the_environment(self, server):
        port = free_port()
        s = server(env={"WALLET_LISTEN": f"{HOST}:{port}"}, port=port, listen_flag=False)
        c = s.client()
        ok(c.get("/livez"))
        c.close()

    def test_wallet_listen_beats_port(self, server):
        port, other = free_port(), free_port()
        server(env={"WALLET_LISTEN": f"{HOST}:{port}", "PORT": str(other)}, port=port, listen_flag=False)
        assert refuses(other)

    def test_the_flag_beats_both(self, server):
        other, third = free_port(), free_port()
        server(env={"WALLET_LISTEN": f"{HOST}:{other}", "PORT": str(third)})
        assert refuses(other) and refuses(third)

    def test_the_file_is_the_weakest(self, server, tmp_path):
        port, other = free_port(), free_port()
        conf = tmp_path / "mywallet.conf"
        conf.write_text(f"listen = {HOST}:{other}\ndefault-currency = JPY\n")
        s = server("--config", str(conf), env={"WALLET_LISTEN": f"{HOST}:{port}"}, port=port, listen_flag=False)
        assert refuses(other)
        c = s.client()
        assert ok(c.credit("yen", "5")).json["balance"] == "5"
        c.close()

    @pytest.mark.parametrize("args", [["serve", "--nope"], ["serve", "--listen"], ["nope"], ["--nope"], ["serve", "extra"],
                                      ["serve", "-x"], ["config", "--nope", "1"], ["verify", "--nope"]], ids=" ".join)
    def test_usage(self, args, tmp_path):
        done = run(*args, timeout=20, cwd=tmp_path)
        assert done.returncode == 2, done
        assert done.stderr and len(done.stderr.splitlines()) < 40, done
        assert os.listdir(tmp_path) == [], "a usage error made files"

    @pytest.mark.parametrize(
        "env",
        [{"WALLET_LISTEN": "nonsense"}, {"WALLET_LISTEN": "127.0.0.1:99999"}, {"PORT": "http"}, {"PORT": "70000"},
         {"WALLET_THREADS": "-1"}, {"WALLET_THREADS": "many"}, {"WALLET_REQUEST_TIMEOUT": "5 parsecs"},
         {"WALLET_DEFAULT_CURRENCY": "XXX"}, {"WALLET_DEFAULT_CURRENCY": "cny"}, {"WALLET_LOG_FORMAT": "xml"}, {"WALLET_LOG_LEVEL": "loud"},
         {"WALLET_AUTO_CREATE": "perhaps"}, {"WALLET_CONFIG": "/nonexistent/file"}],
        ids=lambda e: "=".join(*e.items()),
    )
    def test_bad_values_in_the_environment(self, env, tmp_path):
        done = run("serve", "--data", str(tmp_path / "d"), env=env, timeout=20, cwd=tmp_path)
        assert done.returncode == 78, done
        key, value = next(iter(env.items()))
        assert key in done.stderr.decode() or value in done.stderr.decode(), done
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("line", ["nope = 1", "threads = x", "listen", "[section]\nnope = 2", "threads = 1\nthreads = 2"])
    def test_bad_lines_in_the_file(self, line, tmp_path):
        conf = tmp_path / "c.conf"
        conf.write_text("# a comment\n" + line + "\n")
        done = run("serve", "--config", str(conf), "--data", str(tmp_path / "d"), timeout=20)
        assert done.returncode == 78, done
        assert re.search(r"c\.conf:\d", done.stderr.decode()), done

    def test_version(self):
        done = run("--version", timeout=20)
        assert done.returncode == 0 and re.search(rb"\d+\.\d+", done.stdout), done

    @pytest.mark.parametrize("args", [["--help"], ["serve", "--help"], ["config", "--help"], ["verify", "--help"], ["help"]], ids=" ".join)
    def test_help(self, args):
        done = run(*args, timeout=20)
        assert done.returncode == 0 and done.stdout and not done.stderr, done

    def test_config_prints_values_and_where_they_come_from(self, tmp_path):
        conf = tmp_path / "c.conf"
        conf.write_text("readers = 3\n")
        done = run("config", "--threads", "3", "--config", str(conf), env={"WALLET_LISTEN": f"{HOST}:1234"}, timeout=20)
        assert done.returncode == 0, done
        lines = {line.split("=")[0].strip(): line for line in done.stdout.decode().splitlines() if "=" in line}
        assert f"{HOST}:1234" in lines["listen"] and "WALLET_LISTEN" in lines["listen"]
        assert re.search(r"\b3\b", lines["threads"]) and "--threads" in lines["threads"]
        assert re.search(r"\b3\b", lines["readers"]) and "c.conf" in lines["readers"]
        assert "default" in lines["data"]

    def test_config_masks_secrets(self):
        done = run("config", env={"REDIS_ADDR": "redis://user:CANARY-secret@host:6379"}, timeout=20)
        assert done.returncode == 0 and b"CANARY" not in done.stdout + done.stderr, done

    def test_start_up_says_what_it_is(self, server):
        s = server()
        until(lambda: "server.ready" in s.log(), why="it answers, and never said so")
        text = s.log() + s.out()
        assert str(s.port) in text and "fsync" in text, text


class TestVerify:
    def test_while_running(self, server):
        """It takes no lock: it runs beside a server under traffic."""
        s = server()
        stop = threading.Event()

        def traffic():
            c = s.client()
            i = 0
            while not stop.is_set():
                i += 1
                ok(c.credit(f"a{i % 7}", "1", key=f"k{i}"))
            c.close()

        t = threading.Thread(target=traffic)
        t.start()
        try:
            for _ in range(5):
                s.check_data()
        finally:
            stop.set()
            t.join(30)
        assert not t.is_alive()

    def test_of_nothing(self, tmp_path):
        done = run("verify", "--data", str(tmp_path / "none"), timeout=20)
        assert done.returncode not in (0, -11, -6), done

    def test_after_kill(self, server):
        s = server()
        c = s.client()
        for i in range(50):
            ok(c.credit(f"a{i % 5}", "1", key=f"k{i}"))
        s.kill()
        s.check_data()
        s.start()
        c.close()

    @pytest.mark.embedded
    def test_it_sees_a_changed_amount(self, server):
        """A ledger edited by hand, consistently in one row only, does not verify."""
        import sqlite3

        s = server(verify=False)
        c = s.client()
        for i in range(20):
            ok(c.credit("a", "1"))
        c.close()
        s.stop()
        s.check_data()
        path = next(os.path.join(s.data, f) for f in sorted(os.listdir(s.data)) if is_sqlite(os.path.join(s.data, f)))
        with sqlite3.connect(path) as db:
            changed = db.execute("UPDATE journal SET amount = amount + 1 WHERE seq = (SELECT max(seq) FROM journal WHERE amount > 0)").rowcount
        db.close()
        assert changed == 1
        done = run("verify", "--data", s.data)
        assert done.returncode == 1, done


def is_sqlite(path):
    with open(path, "rb") as f:
        return f.read(16) == b"SQLite format 3\x00"


def own_addresses():
    out = subprocess.run(["hostname", "-I"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().split()
    return [a for a in out if ":" not in a and not a.startswith("127.")]


if own_addresses():

    class TestOtherMachines:
        """Without keys only loopback is served; an address of this machine stands for another machine."""

        def test_403(self, server):
            s = server(listen="0.0.0.0")
            c = Client(s.port, host=own_addresses()[0])
            r = fails(c.credit("a", "1"), 403, "FORBIDDEN")
            assert r.message
            fails(c.balance("a"), 403, "FORBIDDEN")
            fails(c.get("/api/v1/wallet"), 403, "FORBIDDEN")
            c.close()
            near = s.client()
            fails(near.balance("a"), 404, "ACCOUNT_NOT_FOUND")
            near.close()

        def test_a_forwarded_header_is_no_ticket(self, server):
            s = server(listen="0.0.0.0")
            c = Client(s.port, host=own_addresses()[0])
            for headers in ([("X-Forwarded-For", "127.0.0.1")], [("Forwarded", "for=127.0.0.1")], [("X-Real-IP", "127.0.0.1")],
                            [("Host", "localhost")]):
                fails(c.credit("a", "1", headers=headers), 403, "FORBIDDEN")
            c.close()

        def test_allowed(self, server):
            s = server("--allow-remote", listen="0.0.0.0")
            c = Client(s.port, host=own_addresses()[0])
            ok(c.credit("a", "1"))
            c.close()


def test_another_loopback_address_is_loopback(server):
    s = server(listen="127.0.0.2")
    with Conn(s.port, host="127.0.0.2") as conn:
        conn.send(build("POST", "/api/v1/wallet/a/credit", b'{"amount":1}'))
        ok(check(conn.answer("POST"), "POST", "/api/v1/wallet/a/credit"))


def test_ipv6_loopback(tmp_path):
    from harness import Server

    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            port = probe.getsockname()[1]
    except OSError:
        return
    s = Server(tmp_path / "six", listen="[::1]", port=port, wait=False)
    try:
        end = time.monotonic() + 20
        while True:
            try:
                sock = socket.create_connection(("::1", port), timeout=5)
                break
            except OSError:
                assert time.monotonic() < end and s.proc.poll() is None, s.log()
                time.sleep(0.01)
        with sock:
            sock.sendall(build("POST", "/api/v1/wallet/a/credit", b'{"amount":1}'))
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
    finally:
        s.stop()
