"""The table as text and as Markdown, and what has to be known about the machine to read it."""

import datetime
import os
import platform
import subprocess

MARKS = {None: "", True: "met", False: "**missed**"}
HEADS = ("figure", "ours", "peer", "ratio", "wanted", "")


def _cells(row):
    return (row.name, row.ours, row.peer, row.ratio, row.wanted, MARKS[row.is_met])


def _verdict(rows):
    judged = [row for row in rows if row.is_met is not None]
    return f"{sum(row.is_met for row in judged)} of {len(judged)} wanted figures met"


def as_text(rows, notes):
    table = [HEADS] + [tuple(cell.replace("*", "").replace("`", "") for cell in _cells(row)) for row in rows]
    widths = [max(len(line[i]) for line in table) for i in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in table]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *notes, _verdict(rows)])


def as_markdown(rows, notes, about):
    lines = ["# Benchmark", "", *[f"- {line}" for line in about], ""]
    lines += ["| " + " | ".join(HEADS) + " |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(row)) + " |" for row in rows]
    lines += ["", *[f"- {note}" for note in notes], "", _verdict(rows) + ".", ""]
    return "\n".join(lines)


def file_system(folder):
    """"ext4 on /dev/vda", of the mount that a folder is on."""
    best = ("", "unknown", "unknown")
    path = os.path.realpath(folder)
    with open("/proc/mounts") as f:
        for line in f:
            device, point, kind = line.split()[:3]
            inside = path == point or path.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best[0]):
                best = (point, kind, device)
    return f"{best[1]} on {best[2]}"


def _first_line(*argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError:
        return ""
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), "")


def _processor():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _git(root, *args):
    done = subprocess.run(
        ["git", "-C", root, *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    )
    return done.stdout.strip()


def _commit(root):
    try:
        commit, changed = _git(root, "rev-parse", "--short", "HEAD"), _git(root, "status", "--porcelain")
    except OSError:
        return "unknown"
    return (commit or "unknown") + (" with changes" if changed else "")


def about(root, mywallet, disk, what, minutes, sizes, load):
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    tools = ", ".join(part for part in (
        _first_line("nginx", "-v") or _first_line("/usr/sbin/nginx", "-v"), _first_line("psql", "--version"),
        "SQLite " + " ".join(_first_line("sqlite3", "--version").split()[:1]), " ".join(_first_line("wrk", "-v").split()[:2]),
    ) if part.strip())
    return [
        f"{now}, `script/bench {what}`, {minutes:.0f} min, commit {_commit(root)}, {_first_line(mywallet, 'version')}",
        f"{_processor()}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GB, Linux {platform.release()}, {disk}",
        f"{tools}",
        f"load generator, peers and service share the machine; {sizes.rounds} alternating rounds of {sizes.seconds} s each, "
        f"rates are medians, ratios the median of the rounds' ratios; load average before the run {load:.1f}",
    ]
