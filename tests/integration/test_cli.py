"""Commands: what the program is made of, and the backups of the operations page."""

import contextlib
import os
import re
import shutil
import subprocess

import pytest

from harness import binary, clean_env, fresh, ok, run

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What the program is linked to and how `mywallet version` calls it; None: it is not named.
LIBRARIES = {
    "libsqlite3": "SQLite", "libuv": "libuv", "libcrypto": "OpenSSL", "libssl": "OpenSSL", "libhiredis": "hiredis",
    "libhttp_parser": "http_parser", "libllhttp": "llhttp", "libyajl": None, "libinih": None,
}
OF_THE_SYSTEM = {"linux-vdso", "libc", "libm", "libpthread", "libdl", "librt", "libgcc_s", "libz", "libzstd"}
OF_A_COMPILER = re.compile(r"lib(asan|ubsan|tsan|clang_rt\.[a-z_0-9-]+|stdc\+\+|resolv)\Z")


def version():
    done = run("version")
    assert done.returncode == 0 and done.stderr == b"", done
    return done.stdout.decode()


def linked():
    """Names of the shared libraries that the program itself asks for, without version."""
    text = subprocess.run(["readelf", "-d", binary()], capture_output=True, text=True, check=True).stdout
    return {re.sub(r"(-[\d.]+)?\.so.*", "", name) for name in re.findall(r"\(NEEDED\).*\[(.+)\]", text)}


def test_version_names_every_library_that_is_linked():
    text, names = version(), linked()
    assert {"libsqlite3", "libhiredis", "libyajl"} <= names, names
    for name in names - OF_THE_SYSTEM:
        if name.startswith("ld-linux") or OF_A_COMPILER.match(name):
            continue
        assert name in LIBRARIES, f"{name} is linked: have `mywallet version` name it, and say here how"
        called = LIBRARIES[name]
        assert called is None or len(re.findall(rf"\b{called} \d+\.\d+\.\d+", text)) == 1, (called, text)


def test_version_is_that_of_the_libraries():
    text = version()
    for called, package in (("hiredis", "hiredis"), ("libuv", "libuv"), ("SQLite", "sqlite3"), ("OpenSSL", "libcrypto")):
        wanted = subprocess.run(["pkg-config", "--modversion", package], capture_output=True, text=True, check=True).stdout.strip()
        assert f"{called} {wanted}" in re.split(r"[,:\n] ?", text), (called, wanted, text)


def test_version_takes_no_words():
    done = run("version", "more")
    assert done.returncode == 2 and done.stdout == b"", done


@pytest.mark.embedded
def test_the_backups_of_the_operations_page(server, tmp_path):
    """Each recipe, in its words: the first and the last while the service runs, the copy when it has stopped."""
    with open(os.path.join(ROOT, "docs", "operations.md"), encoding="utf-8") as f:
        section = f.read().split("\n## Backup and restore\n")[1].split("\n## ")[0]
    exported, stopped, snapshot = re.findall(r"```sh\n(.*?)```", section, re.S)
    s = server()
    c = s.client()
    amounts = {fresh(): n for n in range(1, 6)}
    for account, n in amounts.items():
        ok(c.credit(account, str(n), key=f"key-{n}"))

    def restored(recipe, name):
        """Run it in a place of its own; the ledger that comes of it answers as the one that it came from."""
        place = tmp_path / name
        place.mkdir()
        script = re.sub(r"(?m)^mywallet ", f"{binary()} ", recipe)
        script = re.sub(r"/var/lib/mywallet(?![.\w])", s.data, script).replace("/var/lib/mywallet.", f"{place}/mywallet.")
        done = subprocess.run(["bash", "-euc", script], cwd=place, env=clean_env(), capture_output=True, text=True)
        assert done.returncode == 0 and "the ledger is sound" in done.stdout, (script, done)
        if s.proc is not None:
            ok(c.credit(name, "1", key=f"later-{name}"))
        (folder,) = [f for f in place.iterdir() if f.is_dir()]
        assert folder.stat().st_mode & 0o777 == 0o700
        assert all(f.stat().st_mode & 0o077 == 0 for f in place.rglob("*")), list(place.rglob("*"))
        folder.rename(place / "data")
        other = server(folder=place)
        with contextlib.closing(other.client()) as there:
            for account, n in amounts.items():
                assert ok(there.balance(account)).json["balance"] == f"{n}.00"
                assert ok(there.credit(account, str(n), key=f"key-{n}")).replayed
            assert not ok(there.credit(name, "1", key=f"later-{name}")).replayed  # a key behind the backup is not in it
        other.stop()

    ways = [(exported, "export")] + ([(snapshot, "snapshot")] if shutil.which("sqlite3") else [])
    for recipe, name in ways:
        restored(recipe, name)
    c.close()
    s.stop()
    restored(stopped, "copy")
