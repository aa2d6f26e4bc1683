"""Holds answers of the ECS double against botocore's service-2.json: every key,
type, enum value and timestamp. Reads one JSON object {op, status, body} a line;
prints one line for each difference and ends with 1 if there was any."""

import glob
import gzip
import json
import os
import sys

try:
    import botocore
except ImportError:  # awscli 1.46 and later carry their own
    from awscli import botocore

COMMON = {"ThrottlingException", "UnknownOperationException", "SerializationException", "AccessDeniedException"}


def model():
    base = os.path.join(os.path.dirname(botocore.__file__), "data", "ecs", "2014-11-13", "service-2.json")
    for path in glob.glob(base + "*"):
        with (gzip.open(path) if path.endswith(".gz") else open(path, "rb")) as f:
            return json.load(f)
    raise SystemExit("no model of ecs in " + base)


def differences(shapes, name, value, path):
    shape = shapes[name]
    kind = shape["type"]
    if kind == "structure":
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no {name}"
            return
        for key, item in value.items():
            if key not in shape["members"]:
                yield f"{path}: {name} has no member {key}"
            else:
                yield from differences(shapes, shape["members"][key]["shape"], item, f"{path}.{key}")
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        for i, item in enumerate(value):
            yield from differences(shapes, shape["member"]["shape"], item, f"{path}[{i}]")
    elif kind == "map":
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no map"
            return
        for key, item in value.items():
            yield from differences(shapes, shape["value"]["shape"], item, f"{path}.{key}")
    elif kind == "string":
        if not isinstance(value, str) or "enum" in shape and value not in shape["enum"]:
            yield f"{path}: {value!r} is no {name}"
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield f"{path}: {value!r} is no boolean"
    elif kind in ("integer", "long"):
        if not isinstance(value, int) or isinstance(value, bool):
            yield f"{path}: {value!r} is no {kind}"
    elif kind in ("double", "timestamp"):
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            yield f"{path}: {value!r} is no {kind}"
    else:
        yield f"{path}: no rule for {kind}"


def main():
    m = model()
    shapes, bad, seen = m["shapes"], 0, set()
    for line in sys.stdin:
        e = json.loads(line)
        op, body = e["op"], e["body"]
        if e["status"] == 200:
            seen.add(op)
            found = list(differences(shapes, m["operations"][op]["output"]["shape"], body, op))
        else:
            kind = body["__type"]
            allowed = COMMON | {x["shape"] for x in m["operations"].get(op, {}).get("errors", [])}
            found = [] if kind in allowed else [f"{op}: {kind} is not among its errors"]
        for f in found:
            print(f)
        bad += len(found)
    print(f"{len(seen)} operations, botocore {botocore.__version__}")
    sys.exit(1 if bad else 0)


main()
