"""Fixtures: servers of the real binary, and a deadline on every test."""

import faulthandler
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402

TEST_DEADLINE_S = 60


def _deadline_of(item):
    mark = item.get_closest_marker("deadline")
    return mark.args[0] if mark else TEST_DEADLINE_S


def pytest_configure(config):
    if hasattr(config, "workerinput"):  # one of several processes: it ends with the one that began it, and its servers with it
        harness._die_with_parent()
    config.addinivalue_line("markers", "deadline(seconds): this test's own deadline instead of the usual one")
    config.addinivalue_line("markers", "embedded: about the store in the data folder; not run with MYWALLET_STORE=redis")
    config.addinivalue_line("markers", "redis: about the store in Redis; run only with MYWALLET_STORE=redis")


def _has_module_fixture(item):
    return any(found[-1].scope == "module" for found in item._fixtureinfo.name2fixturedefs.values())


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config, items):
    """A test of the other store is no test here: it is left out, not skipped. Those that may last longest begin first."""
    other = "embedded" if harness.STORE == "redis" else "redis"
    out = [item for item in items if item.get_closest_marker(other)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if not item.get_closest_marker(other)]
    items.sort(key=_deadline_of, reverse=True)
    for item in items:
        if _has_module_fixture(item):  # which is made once, not by each process
            item.add_marker(pytest.mark.xdist_group(item.module.__name__))


def pytest_sessionstart(session):
    try:
        harness.binary()
    except AssertionError as e:
        pytest.exit(str(e), returncode=4)


@pytest.fixture(autouse=True)
def _deadline(request):
    """Nothing hangs: a test over its deadline fails, with the stacks on stderr."""
    seconds = _deadline_of(request.node)

    def late(_signum, _frame):
        faulthandler.dump_traceback()
        raise TimeoutError(f"the test did not end in {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _stop_all(servers):
    failure = None
    for s in servers:
        try:
            s.stop()
        except BaseException as e:  # each server is stopped, then the first failure is told
            failure = failure or e
        finally:
            s.reap()
            s.end_redis()
    if failure is not None:
        raise failure


@pytest.fixture
def server(tmp_path):
    """server(*flags, …) starts one; all are stopped cleanly, and their folders verified, at the end of the test."""
    started = []

    def start(*flags, folder=None, **kw):
        where = tmp_path / f"s{len(started)}" if folder is None else folder
        s = harness.Server(where, *flags, **kw)
        started.append(s)
        return s

    try:
        yield start
    finally:
        _stop_all(started)


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """The one server of the pure contract tests."""
    s = harness.Server(tmp_path_factory.mktemp("shared") / "s")
    try:
        yield s
    finally:
        _stop_all([s])


@pytest.fixture
def c(shared):
    """A client of the shared server."""
    client = shared.client()
    try:
        yield client
    finally:
        client.close()
