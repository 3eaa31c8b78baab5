"""check_record.py TOOL ROOT: recordings as JSON, trace and graph, read by third-party programs.

The schema needs the package jsonschema, the graph graphviz's dot; without them those checks are
skipped with a message.
"""
import array
import base64
import json
import math
import pathlib
import shutil
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    jsonschema = None

failed = False


def expect(holds, what):
    global failed
    failed = failed or not holds
    print(f"{'PASS' if holds else 'FAIL'}: {what}")


def made(tool, form):
    return subprocess.run([tool, form], capture_output=True, check=True, timeout=600).stdout.decode()


def refuse(word):
    raise ValueError(f"{word} is no JSON")


def parse(text):
    return json.loads(text, parse_constant=refuse)


def fingerprint(text):
    value = 0x811c9dc5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xffffffff
    return f"{value:08x}"


class Arrays:
    def __init__(self, data):
        self.parts = {}
        for kind, key, code in (("f64", "blob", "d"), ("f32", "blob32", "f")):
            self.parts[kind] = array.array(code, base64.b64decode(data[key], validate=True))
            if sys.byteorder == "big":
                self.parts[kind].byteswap()

    def __getitem__(self, place):
        first, count, kind = (*place, "f64")[:3]
        values = self.parts[kind][first:first + count]
        assert len(values) == count, f"{place} lies behind the end"
        return values


def places(data):
    for node in data["nodes"]:
        yield from (node[key] for key in ("val", "grad", "num") if node[key] is not None)
        yield from ([e["off"], e["len"], e.get("kind", "f64")] for e in node["edges"])


def close(a, b, tolerance):
    size = max(map(abs, [*a, *b]), default=0)
    return len(a) == len(b) and all(abs(x - y) <= tolerance * size for x, y in zip(a, b))


def sums(data, arrays, tolerance):
    """The parts that rules send sum to the gradients."""
    total = {}
    for node in data["nodes"]:
        for edge in node["edges"]:
            part = arrays[[edge["off"], edge["len"], edge.get("kind", "f64")]]
            before = total.get(edge["to"], [0] * len(part))
            total[edge["to"]] = [x + y for x, y in zip(before, part)]
    reached = [n for n in data["nodes"] if n["grad"] is not None and n["id"] != data["loss"]]
    return bool(reached) and all(close(total[n["id"]], arrays[n["grad"]], tolerance) for n in reached)


def errors(data, arrays):
    """The stored errors are those of the numbers."""
    checked = [n for n in data["nodes"] if n["num"] is not None]
    for node in checked:
        gradient, numeric = arrays[node["grad"]], arrays[node["num"]]
        cells = node.get("num_cells", range(len(gradient)))
        worst = max((abs(gradient[i] - x) / max(abs(gradient[i]), abs(x), 1e-3)
                     for i, x in zip(cells, numeric) if not math.isnan(x)), default=0)
        said = node["num_err"]
        right = abs(worst - said["rel"]) <= 1e-12 and said["tolerance"] == 1e-6 and said["passed"]
        if worst > 1e-6 or not right:
            return False
    return len(checked) > 50


def check_recording(name, text, schema, tolerance=1e-13):
    data = parse(text)
    arrays = Arrays(data)
    if schema is not None:
        found = sorted(schema.iter_errors(data), key=lambda e: e.json_path)
        problems = "".join(f"; {e.json_path}: {e.message}" for e in found[:3])
        expect(not found, f"{name}: valid under tape/1{problems}")
    expect(all(n["id"] == i and all(k < i for k in n["inputs"]) for i, n in enumerate(data["nodes"])),
           f"{name}: ids are places, inputs come before")
    expect(all(len(arrays[n["val"]]) == math.prod(n["shape"]) for n in data["nodes"]),
           f"{name}: as many values as the shape says")
    expect(all(len(arrays[place]) == place[1] for place in places(data)),
           f"{name}: every array lies in its blob")
    before = text[:text.rindex(",")]
    expect(text == f'{before},"fingerprint":"{fingerprint(before)}"}}', f"{name}: fingerprint")
    if tolerance:
        expect(sums(data, arrays, tolerance), f"{name}: parts sum to gradients")
        expect(errors(data, arrays), f"{name}: errors of the numerical gradients")
    return data, arrays


def check_small_page(page, full):
    kinds = {(*place, "f64")[2] for place in places(page)}
    labs = [page["nodes"][i] for lab in page["labs"] for i in lab["nodes"].values()]
    expect(kinds == {"f32", "f64"}, "page: some arrays are rounded to f32")
    expect(all(len(n["val"]) == len(n["grad"]) == 2 for n in labs), "page: none of the attention layer is")
    expect(all(len(n["num"]) == 2 for n in page["nodes"] if n["num"]), "page: no numerical gradient is")
    expect(any("rounded to f32" in notice for notice in page["meta"]["notices"]), "page: a notice says so")
    expect(page["meta"]["title"] == 'a </script> "quoted" title, αβγ', "page: text comes back as it was")
    expect(len(page["nodes"]) == len(full["nodes"]), "page: no value is left out")


def check_infinite(data, arrays):
    logarithm = next(n["id"] for n in data["nodes"] if n["op"] == "log")
    marked = {n["op"]: n["nonfinite"] for n in data["nodes"]}
    expect(marked["log"] == "value" and marked["variable"] == "gradient", "infinite: values are marked")
    expect(arrays[data["nodes"][logarithm]["val"]][0] == -math.inf, "infinite: -inf stands in the blob")
    expect(data["meta"]["loss"] is None, "infinite: null in JSON")


def check_trace(text):
    events = parse(text)["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    expect(len(slices) > 100 and {e["ph"] for e in events} == {"M", "X"}, "trace: complete events")
    ends = [e["ts"] + e["dur"] for e in slices]
    expect(all(e["dur"] > 0 and e["ts"] >= end - 1e-6 for e, end in zip(slices[1:], ends)), "trace: monotone")
    tracks = {e["tid"]: e["cat"] for e in slices}
    expect(tracks == {1: "forward", 2: "backward"}, "trace: two tracks")
    expect(all(e["args"].keys() == {"value", "op", "path", "shape", "flops", "bytes"} for e in slices),
           "trace: arguments")


def check_graph(text):
    if shutil.which("dot") is None:
        print("SKIP: graphviz is not installed; nothing else reads the graph")
        return
    drawn = subprocess.run(["dot", "-Tsvg"], input=text.encode(), capture_output=True, timeout=600)
    svg = drawn.stdout.decode()
    said = drawn.stderr.decode()[:200]
    expect(drawn.returncode == 0 and not said, f"graph: dot reads it {said}")
    expect(svg.count('class="node"') == text.count("[label="), "graph: every value is drawn")
    expect(svg.count('class="cluster"') == text.count("subgraph"), "graph: every module is drawn")
    expect(svg.count('class="edge"') == text.count(" -> "), "graph: every edge is drawn")


def main(tool, root):
    schema = None
    if jsonschema is None:
        print("SKIP: jsonschema is not installed; recordings are not held against docs/tape-1.schema.json")
    else:
        text = json.loads((pathlib.Path(root) / "docs/tape-1.schema.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(text)
        schema = jsonschema.Draft202012Validator(text)
    full, _ = check_recording("json", made(tool, "json"), schema)
    page, _ = check_recording("page", made(tool, "page"), schema, 1e-6)
    check_small_page(page, full)
    check_infinite(*check_recording("infinite", made(tool, "infinite"), schema, None))
    check_trace(made(tool, "trace"))
    check_graph(made(tool, "dot"))
    sys.exit(failed)


if __name__ == "__main__":
    main(*sys.argv[1:])
