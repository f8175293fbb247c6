"""Reading the project's files in Python without the project: safetensors, the table of parameter names, TensorBoard events."""
import json
import re
import struct

import numpy as np

TYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1"}


def safetensors(path):
    """Tensors by name, as numpy arrays (https://huggingface.co/docs/safetensors)."""
    with open(path, "rb") as file:
        raw = file.read()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    body = raw[8 + size:]
    ends = sorted(info["data_offsets"] for info in header.values())
    if [begin for begin, _ in ends] != [0] + [end for _, end in ends][:-1] or ends[-1][1] != len(body):
        raise ValueError(f"{path}: the tensors have gaps or overlap")
    return {name: np.frombuffer(body[slice(*info["data_offsets"])], TYPES[info["dtype"]]).reshape(info["shape"])
            for name, info in header.items()}


def parameter_table(path):
    """Component -> [(name with N, extents)] of docs/parameter_names.md."""
    table = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            found = re.match(r"\| (\w+ \w+) \| `([\w.]+)` \| \[(.*?)\] \|", line)
            if found:
                component, name, shape = found.groups()
                table.setdefault(component, []).append((name, shape.split(", ")))
    return table


def pattern_of(name):
    return re.escape(name).replace(r"\.N\.", r"\.\d+\.").replace(".N.", r"\.\d+\.")
