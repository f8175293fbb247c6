#!/usr/bin/env python3
"""Checks which room of the library includes which, what may be included only in one place, and that no two types have one name.

    scripts/check_layers.py [ROOT]

Prints each violation as file:line: message and exits 1 if there is one.
"""
import os
import re
import sys

# Left never includes right; rooms of one row do not include each other.
ROWS = """base < config < math < io < ops < optim < data < nn < distributions < quantizers = aggregators = code_priors
          < models < fitting = objectives < training < evaluation < experiment < apps"""
RANK = {room: rank for rank, row in enumerate(ROWS.split("<")) for room in row.replace("=", " ").split()}
TORCH_FREE = {"base", "config", "io"}
ONLY_IN = {"spdlog": "src/base/log.cpp", "yaml-cpp": "src/config/yaml.cpp"}
UMBRELLA = "elbo/elbo.h"
MAX_LINES = 500
NAMESPACE = re.compile(r"(?:namespace ([\w:]*) ?\{|\}  // namespace)")
TYPE = re.compile(r"(?:enum class|struct|class) (\w+)(?: final)?(?: :.*)? ?\{")
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')


def room_of(path):
    """The room of a path from the root, such as include/elbo/math/x.h; None for the umbrella and the tests."""
    parts = path.split("/")
    if parts[0] == "apps":
        return "apps"
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ["include", "elbo"] and len(parts) > 3:
        return parts[2]
    return None


def is_torch(header):
    return header.split("/")[0] in {"torch", "ATen", "c10"}


def resolve(root, path, quote, header):
    """The included file as a path from the root, or None if it is not one of ours."""
    if header.startswith("elbo/"):
        return "include/" + header
    beside = os.path.normpath(os.path.join(os.path.dirname(path), header))
    if quote == '"' and os.path.exists(os.path.join(root, beside)):
        return beside.replace(os.sep, "/")
    return None


def check_include(root, path, quote, header):
    """Yields what is wrong with this include of this file."""
    room = room_of(path)
    in_tests = path.startswith("tests/")
    if header == "torch/torch.h":
        yield "torch/torch.h takes 20 s to compile: include the header that declares what is used"
    if is_torch(header) and (room in TORCH_FREE or path.endswith((".cu", ".cuh"))):
        yield f"<{header}>: {'kernels' if room == 'ops' else room + '/'} must not see LibTorch"
    package = header.split("/")[0]
    if package in ONLY_IN and path != ONLY_IN[package]:
        yield f"<{header}>: {package} is included by {ONLY_IN[package]} only"
    if header == UMBRELLA and not in_tests and not path.startswith("apps/examples/"):
        yield f"{UMBRELLA} is for users of the library: include what is used"
    included = resolve(root, path, quote, header)
    if included is None:
        if quote == '"' and not in_tests:
            yield f'"{header}" is not a file of ours: write <{header}>'
        return
    other = room_of(included)
    if header.startswith("elbo/") and not os.path.exists(os.path.join(root, included)):
        yield f"{header} does not exist"
    if room is None or other is None or other == room:
        return
    if other not in RANK:
        yield f"{included}: '{other}' is not a room (scripts/check_layers.py lists them)"
    elif room in RANK and RANK[other] >= RANK[room]:
        relation = "right of" if RANK[other] > RANK[room] else "beside"
        yield f"{room}/ includes {header}, but {other}/ is {relation} {room}/"


def check_file(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        lines = file.read().splitlines()
    if len(lines) > MAX_LINES:
        yield f"{path}:{len(lines)}: {len(lines)} lines, at most {MAX_LINES} are allowed: split the file"
    room = room_of(path)
    if room is not None and room not in RANK:
        yield f"{path}:1: '{room}' is not a room (scripts/check_layers.py lists them)"
    for number, line in enumerate(lines, start=1):
        match = INCLUDE.match(line)
        if match:
            for problem in check_include(root, path, *match.groups()):
                yield f"{path}:{number}: {problem}"


def types_of(lines):
    """(line number, full name) of each type defined outside of others, but in unnamed namespaces."""
    inside = []
    for number, line in enumerate(lines, start=1):
        space, kind = NAMESPACE.match(line), TYPE.match(line)
        if space and line.startswith("}"):
            inside = inside[:-1]
        elif space and not line.rstrip().endswith("}"):
            inside = inside + [space.group(1)]
        elif kind and "" not in inside:
            yield number, "::".join(inside + [kind.group(1)])


def check_types(root, paths):
    """One name, one type: two would pass each file's compilation and fail in a program that knows both, or worse."""
    seen = {}
    for path in paths:
        if room_of(path) is None:
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for number, name in types_of(file.read().splitlines()):
                if name in seen:
                    yield f"{path}:{number}: {name} is defined in {seen[name]} too"
                seen.setdefault(name, path)


def sources(root):
    for top in ("include/elbo", "src", "apps", "tests"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in names:
                if name.endswith((".h", ".hpp", ".cpp", ".cu", ".cuh")):
                    yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def main(root):
    paths = sorted(sources(root))
    problems = [problem for path in paths for problem in check_file(root, path)] + list(check_types(root, paths))
    print("\n".join(problems + [f"{len(paths)} files, {len(problems)} problems"]))
    return 1 if problems or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
