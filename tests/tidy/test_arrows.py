"""Proves that the build refuses what src/arrows does not allow.

For each pair of rooms, an include of one from the other is compiled with the very include folders that the build gives
to that room: it must compile where there is an arrow, and must not where there is none.

Usage: test_arrows.py BUILD-FOLDER
"""
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import tidy  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(HERE))
SRC = os.path.join(ROOT, "src")


def include_folders(build):
    """room -> the folders of the tree or the build behind -I of the files in it, as the build compiles them."""
    folders = {}
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    for command in commands:
        source = os.path.normpath(os.path.join(command["directory"], command["file"]))
        if not source.startswith(SRC + os.sep):
            continue
        room = os.path.dirname(os.path.relpath(source, SRC)) or "main"
        given = [os.path.normpath(os.path.join(command["directory"], word[2:]))
                 for word in shlex.split(command["command"]) if word.startswith("-I")]
        # meson adds a private folder for generated files, which holds none of ours
        folders.setdefault(room, set()).update(
            f for f in given if os.path.isdir(f) and not f.endswith(".p") and (f + "/").startswith((ROOT + "/", build + "/")))
    return folders


def headers(room):
    folder = os.path.join(SRC, room)
    return sorted(name for name in os.listdir(folder) if name.endswith(".h")) if os.path.isdir(folder) else []


def is_found(folders, name):
    """Whether the compiler finds the header; what the header itself includes is left to tidy.py."""
    test = f'#if !__has_include("{name}")\n#error "cannot be seen"\n#endif\n'
    result = subprocess.run(["gcc", "-fsyntax-only", "-x", "c", "-"] + [f"-I{folder}" for folder in sorted(folders)],
                            input=test, capture_output=True, text=True, check=False, cwd="/")
    return result.returncode == 0


def main():
    build = os.path.abspath(sys.argv[1])
    arrows, _ = tidy.read_arrows(os.path.join(SRC, "arrows"))
    built = include_folders(build)
    pairs = []
    bad = 0
    for room in arrows:
        expected = os.path.join(build, "src/inc", room.replace("/", "_"))
        folders = built.get(room, {expected})
        if folders != {expected}:
            bad += 1
            print(f"src/meson.build:1: {room} is compiled with {sorted(folders)}, not with {expected} alone")
        for other in arrows:
            for name in headers(other)[:1]:
                is_allowed = other == room or other in arrows[room]
                pairs.append((room, folders, f"{other}/{name}", is_allowed))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(lambda pair: is_found(pair[1], pair[2]), pairs))
    for (room, _, name, is_allowed), is_seen in zip(pairs, found):
        if is_seen != is_allowed:
            bad += 1
            print(f"src/arrows:1: the build {'lets' if is_seen else 'does not let'} {room} include {name}")
    forbidden = sum(1 for pair in pairs if not pair[3])
    if not built or forbidden == 0:
        bad += 1
        print(f"src/arrows:1: nothing to try: {len(built)} rooms built, {forbidden} forbidden pairs")
    print(f"{len(pairs) - forbidden} allowed and {forbidden} forbidden pairs tried, {bad} wrong")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
