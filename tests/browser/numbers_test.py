#!/usr/bin/env python3
"""Compares every number that the page shows with the recording, the terminal and numpy."""

import math
import re

import support
from support import FOLDER, STEPS, Opened, context, expect, numbers, recording, shown_cells

DATA = recording()
NODES = {n["id"]: n for n in DATA["nodes"]}


def array(node, what="val", head=None):
    import numpy as np

    node = NODES[node] if isinstance(node, int) else node
    values = np.array(numbers(DATA, node[what])).reshape(node["shape"])
    return values if head is None else values.reshape((-1,) + tuple(node["shape"][-2:]))[head]


def head_arrays(lab, head):
    """Q … O and their gradients by the names of the formulas."""
    names = {"Q": "query", "K": "key", "V": "value", "S": "scores", "P": "weights", "O": "context"}
    found = {letter: array(lab["nodes"][name], "val", head) for letter, name in names.items()}
    return found | {"d" + letter: array(lab["nodes"][name], "grad", head) for letter, name in names.items()}


def cells_are(cells, stored, columns, what):
    expect(cells is not None, f"{what} is shown")
    for i, j, value, text in cells or []:
        right = stored[i * columns + j]
        if value != right and not (math.isnan(value) and math.isnan(right)):
            return expect(False, f"{what}[{i}, {j}] is {right!r}, shown {value!r}")
        shown = float(text.replace("−", "-").replace("+inf", "inf"))
        if math.isfinite(right) and abs(shown - right) > 0.006 * abs(right) + (
            0.05 * abs(right) if "e" in text else 0
        ):
            return expect(False, f"{what}[{i}, {j}] is {right!r}, printed {text}")


def values_and_gradients(chromium):
    """On the tape: value and gradient of every node, in the first slice."""
    settings = context(chromium)
    opened = Opened(settings)
    for node in DATA["nodes"]:
        columns = node["shape"][-1] if node["shape"] else 1
        rows = node["shape"][-2] if len(node["shape"]) > 1 else 1
        if rows * columns > 1024:
            continue
        walked = node["id"] in DATA["order"]
        page = opened.go(f"#n={node['id']}&d={'b' if walked else 'f'}&k=0&lang=en")
        titles = page.evaluate(
            "[...document.querySelectorAll('main table.matrix')].map((t) => t.dataset.name)"
        )
        cells_are(shown_cells(page, titles[0]), numbers(DATA, node["val"]), columns, f"value of {node['id']}")
        if walked:
            cells_are(
                shown_cells(page, titles[1]),
                numbers(DATA, node["grad"]),
                columns,
                f"gradient of {node['id']}",
            )
    settings.close()


def every_lab_array(chromium):
    """In the lab: Q to dK of every head, bit for bit; D to rounding."""
    settings = context(chromium)
    opened = Opened(settings)
    where = {
        "Q": "F1",
        "K": "F1",
        "V": "F1",
        "S": "F2",
        "P": "F4",
        "O": "F5",
        "dO": "B1",
        "dV": "B2",
        "dP": "B3",
        "dS": "B5",
        "dQ": "B6",
        "dK": "B7",
    }
    for number, lab in enumerate(DATA["labs"]):
        for head in range(lab["heads"]):
            arrays = head_arrays(lab, head)
            for name, step in where.items():
                page = opened.go(f"#s={step}&h={head}&l={number}&lang=en")
                cells = shown_cells(page, name)
                cells_are(
                    cells, arrays[name].ravel(), arrays[name].shape[1], f"{lab['path']} head {head} {name}"
                )
                expect(cells is None or len(cells) == arrays[name].size, f"all cells of {name} are shown")
    settings.close()


def formulas(chromium):
    """B1 to B9 from the values alone, to 1e-12; the identities; masked cells are exactly 0."""
    import numpy as np

    for lab in DATA["labs"]:
        keep = np.array(lab["keep"], bool).reshape(len(lab["rows"]), len(lab["columns"]))
        for head in range(lab["heads"]):
            a, where = head_arrays(lab, head), f"{lab['path']} head {head}"
            scores = np.where(keep, a["S"], -np.inf)
            powers = np.exp(scores - scores.max(-1, keepdims=True))
            D = (a["dP"] * a["P"]).sum(-1, keepdims=True)
            rules = {
                "S": (a["Q"] @ a["K"].T * lab["scale"], a["S"]),
                "P": (powers / powers.sum(-1, keepdims=True), a["P"]),
                "O": (a["P"] @ a["V"], a["O"]),
                "dV": (a["P"].T @ a["dO"], a["dV"]),
                "dP": (a["dO"] @ a["V"].T, a["dP"]),
                "D": (D, (a["dO"] * a["O"]).sum(-1, keepdims=True)),
                "dS": (a["P"] * (a["dP"] - D), a["dS"]),
                "dQ": (a["dS"] @ a["K"] * lab["scale"], a["dQ"]),
                "dK": (a["dS"].T @ a["Q"] * lab["scale"], a["dK"]),
            }
            for name, (computed, stored) in rules.items():
                expect(np.abs(computed - stored).max() <= 1e-12, f"{where}: {name}")
            expect(np.abs(a["P"].sum(-1) - 1).max() <= 1e-12, f"{where}: rows of P add up to 1")
            expect(np.abs(a["dS"].sum(-1)).max() <= 1e-12, f"{where}: rows of dS add up to 0")
            expect((a["P"][~keep] == 0).all() and (a["dS"][~keep] == 0).all(), f"{where}: masked cells are 0")
            if (~keep).any():
                expect((a["dP"][~keep] != 0).any(), f"{where}: dP of masked cells is shown")


def contributions_add_up(chromium):
    """The parts of a gradient add up to it; a product is added term by term, hence the rounding."""
    import numpy as np

    parts = {}
    for sender in DATA["order"]:
        for edge in NODES[sender]["edges"]:
            parts.setdefault(edge["to"], []).append(np.array(numbers(DATA, [edge["off"], edge["len"]])))
    for node, sent in parts.items():
        total = sent[0]
        for part in sent[1:]:
            total = total + part
        right = array(node, "grad").ravel()
        limit = 8 * np.finfo(float).eps * np.abs(sent).sum(0).max() if len(sent) > 1 else 0
        expect((abs(total - right) <= limit).all(), f"node {node}: {len(sent)} parts are its gradient")


def not_yet_is_not_zero(chromium):
    settings = context(chromium)
    opened = Opened(settings)
    loss = DATA["loss"]
    expect(
        "not yet" in opened.go(f"#n={loss}&d=f&lang=en").inner_text("main"),
        "before the backward pass: not yet",
    )
    page = opened.go(f"#n={loss}&d=b&lang=en")
    expect("not yet" not in page.inner_text("main section"), "afterwards: a number")
    expect("not yet" in page.inner_text("#side"), "the list marks what was not reached")
    page = opened.go(
        f"#s=B5&h=0&l={next(i for i, lab in enumerate(DATA['labs']) if 0 in lab['keep'])}&lang=en"
    )
    masked = page.evaluate(
        """[...document.querySelectorAll('table[data-name=dS] td.masked')].map((c) => c.textContent)"""
    )
    expect(masked and set(masked) == {"0"}, f"masked cells of dS print 0: {set(masked)}")
    settings.close()


def rectangular(chromium):
    """Cross-attention of a source and a target of different lengths: a row for each target token."""
    file = FOLDER / "rectangular.html"
    labs = recording(file)["labs"]
    number, lab = next((i, lab) for i, lab in enumerate(labs) if lab["kind"] == "cross")
    expect((len(lab["rows"]), len(lab["columns"])) == (5, 6), f"{len(lab['rows'])} by {len(lab['columns'])}")
    settings = context(chromium)
    link = Opened(settings, file)
    for step, name in (("F2", "S"), ("F4", "P"), ("B3", "dP"), ("B5", "dS")):
        page = link.go(f"#s={step}&h=0&l={number}")
        heads, rows = (
            page.evaluate(
                f"[...document.querySelectorAll('table[data-name={name}] {part} th')]"
                ".map((c) => c.textContent)"
            )
            for part in ("thead", "tbody")
        )
        expect(heads == lab["columns"] and rows == lab["rows"], f"{name}: rows {rows}, columns {heads}")
    result = link.go("#selftest").text_content("#selftest")
    expect(result.startswith("PASS"), result[:300])
    settings.close()


def terminal(chromium):
    """`--text` prints the page's numbers: the lab's arrays to four digits, the loss in full, every step."""
    import numpy as np

    text = (FOLDER / "explorer.txt").read_text(encoding="utf-8")
    loss = float(re.search(r"^loss (\S+)$", text, re.M).group(1))
    expect(loss == DATA["meta"]["loss"], "the loss")
    total = len(DATA["nodes"]) + len(DATA["order"])
    expect(len(re.findall(rf"^Step \d+ of {total}, (?:forward|backward)", text, re.M)) == total, "all steps")
    for lab in DATA["labs"]:
        for head in range(lab["heads"]):
            begin = text.index(f"Attention {lab['path']} ({lab['kind']}), head {head + 1}\n")
            arrays = head_arrays(lab, head)
            for name in ("Q", "S", "P", "O", "dV", "dP", "dS", "dQ", "dK"):
                lines = text[text.index(f"  {name}   ", begin) :].split("\n")[2:]
                lines = lines[: len(arrays[name])]
                shown = [[float(x) for x in line[12:].replace("…", "").split()] for line in lines]
                stored = arrays[name][:, : len(shown[0])]
                expect(
                    np.allclose(shown, stored, rtol=6e-4, atol=1e-300),
                    f"{lab['path']} head {head + 1} {name}",
                )


support.run(
    values_and_gradients,
    every_lab_array,
    formulas,
    contributions_add_up,
    not_yet_is_not_zero,
    rectangular,
    terminal,
)
