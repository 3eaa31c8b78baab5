// Explains the value of a cell by the numbers that it is computed from. An explanation is {title, line (the
// formula with its numbers), rows: [[cells]], head, total, expected, marks: [{name, row, column}] (the cells
// used), more: [DOM]}.

const MOST_PRODUCTS = 16;

// total = factor · Σ a_k b_k (+ plus). Shows every product; beyond 16 the smallest share one line.
function dotProduct(words, title, a, b, {names, labels, factor = 1, plus = null, expected, marks} = {}) {
  const terms = a.map((x, k) => ({k, a: x, b: b[k], product: x * b[k]}));
  let shown = terms, rest = [];
  if (terms.length > MOST_PRODUCTS) {
    const ranked = [...terms].sort((x, y) => Math.abs(y.product) - Math.abs(x.product));
    const kept = new Set(ranked.slice(0, MOST_PRODUCTS - 1).map((t) => t.k));
    shown = terms.filter((t) => kept.has(t.k));
    rest = terms.filter((t) => !kept.has(t.k));
  }
  const rows = shown.map((t) => [labels ? labels[t.k] : t.k, t.a, t.b, t.product]);
  if (rest.length) rows.push([`… ${rest.length}`, null, null, rest.reduce((s, t) => s + t.product, 0)]);
  let total = 0;
  for (const t of terms) total += t.product;
  const sum = total;
  total = factor * total + (plus === null ? 0 : plus);
  const tail = [];
  if (factor !== 1 || plus !== null)
    tail.push(`${factor !== 1 ? exact(factor) + " · " : ""}${exact(sum)}${plus !== null ? " + " + exact(plus) : ""}`);
  const some = terms.slice(0, MOST_IN_LINE).map((t) => `${inLine(t.a)} · ${inLine(t.b)}`).join(" + ") + (terms.length > MOST_IN_LINE ? " + …" : "");
  const line = (factor !== 1 ? `${inLine(factor)} · (${some})` : some) + (plus !== null ? ` + ${inLine(plus)}` : "");
  return {title, line, head: ["k", names[0], names[1], words.get("products")], rows, tail, total, expected, marks};
}

// A number as a factor of a formula.
const MOST_IN_LINE = 4;
const inLine = (x) => x < 0 ? `(${short(x)})` : short(x);

// A chain of named numbers, e.g. max, exponential, sum.
const namedNumbers = (title, pairs, total, expected, line = null) =>
  ({title, line, head: null, rows: pairs, tail: [], total, expected});

// The formula with the numbers of one cell, in one line.
function numbersLine(explanation) {
  if (!explanation || !explanation.line) return null;
  return h("p", {class: "numbers"}, h("span", {class: "name"}, explanation.title.split(" =")[0]), " ",
           `= ${explanation.line} = ${short(explanation.total, 4)}`);
}

function explanationView(context, explanation, onclose) {
  const {words} = context;
  const table = h("table", {class: "explain"});
  if (explanation.head) table.append(h("thead", {}, h("tr", {}, explanation.head.map((t) => h("th", {scope: "col"}, t)))));
  const body = h("tbody", {});
  for (const row of explanation.rows)
    body.append(h("tr", {}, h("th", {scope: "row"}, row[0]), row.slice(1).map((x) =>
      h("td", {}, x === null ? "" : typeof x === "number" ? short(x, 6) : x))));
  table.append(body);
  const agrees = explanation.expected === undefined || close(explanation.total, explanation.expected, context.recording.tolerance);
  return h("section", {class: "explanation", "aria-label": words.get("cell")},
           h("h3", {}, explanation.title),
           h("div", {class: "scroll"}, table),
           explanation.tail.map((line) => h("p", {}, line)),
           h("p", {class: agrees ? "total" : "total bad"}, `${words.get("total")}: ${exact(explanation.total)} `,
             explanation.expected === undefined ? "" : agrees ? "✓" : `≠ ${exact(explanation.expected)}`),
           typeof explanation.more === "function" ? explanation.more() : explanation.more || [],
           h("button", {type: "button", "data-focus": "close", onclick: onclose}, words.get("close")));
}

const close = (a, b, tolerance) => Object.is(a, b) || a === b ||
  Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b), tolerance === 1e-10 ? 1e-6 : 1);

const rowOf = (grid, i) => Array.from({length: grid.cols}, (_, k) => grid.at(i, k));
const columnOf = (grid, j) => Array.from({length: grid.rows}, (_, k) => grid.at(k, j));

// The flat element of `node` that element `flat` of a result of shape `shape` reads when it is broadcast.
function broadcastIndex(from, shape, flat) {
  let index = 0, stride = 1;
  for (let axis = shape.length, at = from.length; axis-- > 0;) {
    const position = flat % shape[axis];
    flat = Math.floor(flat / shape[axis]);
    if (--at < 0) continue;
    if (from[at] !== 1) index += position * stride;
    stride *= from[at];
  }
  return index;
}

// Ops whose element is a simple function of the inputs' elements.
const ELEMENTWISE = {
  add: (a, b) => a + b, sub: (a, b) => a - b, mul: (a, b) => a * b, div: (a, b) => a / b,
  neg: (a) => -a, relu: (a) => Math.max(a, 0), exp: Math.exp, log: Math.log, square: (a) => a * a,
  sqrt: Math.sqrt, tanh: Math.tanh, sigmoid: (a) => 1 / (1 + Math.exp(-a)), abs: Math.abs,
  minimum: Math.min, maximum: Math.max,
};

const INFIX = {add: " + ", sub: " − ", mul: " · ", div: " / "};

// Cell [i, j] of slice `slice` of a node's value, or null when the formula needs no explanation.
function explainNode(context, node, slice, i, j) {
  const {words, recording} = context;
  if (recording.incomplete(node)) return null;
  const inputs = node.inputs.map((id) => recording.node(id));
  const rows = node.value.rows, cols = node.value.cols, flat = (slice * rows + i) * cols + j;
  const expected = node.value.data[flat], title = `${node.op}[${i}, ${j}] = ${exact(expected)}`;
  const names = inputs.map((n, k) => n.label || "abc"[k] || `x${k}`);
  if (ELEMENTWISE[node.op] && inputs.length === ELEMENTWISE[node.op].length) {
    const numbers = inputs.map((n) => n.value.data[broadcastIndex(n.shape, node.shape, flat)]);
    return namedNumbers(title, numbers.map((x, k) => [names[k], x]), ELEMENTWISE[node.op](...numbers), expected,
                        INFIX[node.op] ? numbers.map(inLine).join(INFIX[node.op]) : `${node.op}(${numbers.map((x) => short(x)).join(", ")})`);
  }
  if (node.op === "affine") {
    const x = inputs[0].value.data[flat], {scale, shift = 0} = node.attrs;
    if (scale === undefined) return null;
    return namedNumbers(title, [["scale", scale], [names[0], x], ["shift", shift]], scale * x + shift, expected,
                        `${inLine(scale)} · ${inLine(x)}` + (shift ? ` + ${inLine(shift)}` : ""));
  }
  const from = movedFrom(node, inputs, flat);
  if (from !== null) {
    const x = inputs[0].value.data[from];
    return namedNumbers(title, [[`${names[0]}[${place(inputs[0].shape, from)}]`, x]], x, expected, `${short(x)}`);
  }
  if (node.op === "dropout") {
    const x = inputs[0].value.data[flat], kept = dropoutFactor(node, flat);
    return namedNumbers(title, [[names[0], x], ["kept / (1 − p)", kept]], x * kept, expected, `${inLine(x)} · ${inLine(kept)}`);
  }
  if (node.op === "matmul" && !node.attrs.unknown) return explainMatmul(context, node, inputs, names, slice, i, j, title, expected);
  if (node.op === "linear") {
    const first = node.attrs.first || 0, x = inputs[0].value, w = inputs[1].value;
    const row = slice * rows + i, bias = inputs[2] ? inputs[2].value.data[(node.attrs.bias_first ?? first) + j] : null;
    const a = Array.from({length: w.cols}, (_, k) => x.data[row * w.cols + k]);
    return dotProduct(words, title, a, rowOf(w, first + j), {names: ["x", "W"], plus: bias, expected});
  }
  if (node.op === "softmax" || node.op === "masked_softmax") {
    const x = inputs[0].value;
    const from = (slice * rows + i) * cols, row = Array.from(x.data.subarray(from, from + cols));
    const kept = row.map((_, k) => node.value.data[from + k] !== 0);
    return softmaxCell(words, title, row, kept, j, expected);
  }
  if (node.op === "embedding") {
    const id = embeddingId(inputs[0].value, node.value, slice * rows + i);
    return id < 0 ? null : namedNumbers(title, [[words.get("rowOf", id, nodeName(inputs[0])), inputs[0].value.at(id, j)]], inputs[0].value.at(id, j), expected,
                                        short(expected));
  }
  if (node.op === "layer_norm") return layerNormCell(words, title, inputs, slice * rows + i, j, expected, node.attrs.eps);
  return null;
}

function explainMatmul(context, node, inputs, names, slice, i, j, title, expected) {
  const [a, b] = inputs.map((n) => n.value);
  const inner = a.data.length / (a.slices * (node.attrs.transpose_a ? a.cols : a.rows));
  const left = a.slice(Math.min(slice, a.slices - 1)), right = b.slice(Math.min(slice, b.slices - 1));
  const x = node.attrs.transpose_a ? columnOf(left, i) : rowOf(left, i);
  const y = node.attrs.transpose_b ? rowOf(right, j) : columnOf(right, j);
  if (x.length !== y.length || x.length !== inner) return null;
  return dotProduct(context.words, title, x, y, {names, expected});
}

function softmaxCell(words, title, row, kept, j, expected) {
  const live = row.filter((_, k) => kept[k]);
  if (live.length === 0) return namedNumbers(title, [[words.get("masked"), ""]], 0, expected);
  const most = Math.max(...live), total = live.reduce((s, x) => s + Math.exp(x - most), 0);
  const p = kept[j] ? Math.exp(row[j] - most) / total : 0;
  return namedNumbers(title, [["s", row[j]], ["max", most], ["exp(s − max)", kept[j] ? Math.exp(row[j] - most) : 0],
                              ["∑ exp", total]], p, expected,
                      kept[j] ? `e^(${short(row[j])} − ${inLine(most)}) / ${short(total)}` : "0");
}

function layerNormCell(words, title, inputs, row, j, expected, eps = 1e-5) {
  const x = inputs[0].value, n = x.cols, values = Array.from(x.data.subarray(row * n, (row + 1) * n));
  const mean = values.reduce((s, v) => s + v, 0) / n;
  const variance = values.reduce((s, v) => s + (v - mean) ** 2, 0) / n;
  const gain = inputs[1] ? inputs[1].value.data[j] : 1, bias = inputs[2] ? inputs[2].value.data[j] : 0;
  return namedNumbers(title, [["x", values[j]], [words.get("mean"), mean], ["var", variance], ["eps", eps],
                              ["(x − mean) / √(var + eps)", (values[j] - mean) / Math.sqrt(variance + eps)],
                              ["g", gain], ["b", bias]],
                      gain * (values[j] - mean) / Math.sqrt(variance + eps) + bias, expected,
                      `${inLine(gain)} · (${short(values[j])} − ${inLine(mean)}) / √(${short(variance)} + ${short(eps)}) + ${inLine(bias)}`);
}

// The element of the input that element `flat` of a result copies, or null when the op computes the element.
function movedFrom(node, inputs, flat) {
  if (node.op === "reshape") return flat;
  const {shape} = node, at = indices(shape, flat), from = inputs[0] && inputs[0].shape;
  if (node.op === "permute" && node.attrs.axes !== undefined) {
    const axes = String(node.attrs.axes).split(",").map(Number), index = [];
    axes.forEach((axis, k) => { index[axis] = at[k]; });
    return flatten(from, index);
  }
  if (node.op === "slice" && node.attrs.begin !== undefined) {
    const axis = (node.attrs.axis + shape.length) % shape.length;
    return flatten(from, at.map((x, k) => k === axis ? x + node.attrs.begin : x));
  }
  if (node.op === "broadcast_to") return broadcastIndex(from, shape, flat);
  return null;
}
function indices(shape, flat) {
  const at = [];
  for (let axis = shape.length; axis-- > 0;) {
    at.unshift(flat % shape[axis]);
    flat = Math.floor(flat / shape[axis]);
  }
  return at;
}
const flatten = (shape, at) => at.reduce((flat, x, axis) => flat * shape[axis] + x, 0);
const place = (shape, flat) => indices(shape, flat).join(", ");

const dropoutFactor = (node, flat) => node.value.data[flat] === 0 ? 0 : 1 / (1 - node.attrs.p);

// The row of the table that a row of the result copies.
function embeddingId(table, result, row) {
  for (let id = 0; id < table.rows; ++id) {
    let same = true;
    for (let j = 0; j < table.cols && same; ++j) same = table.at(id, j) === result.data[row * table.cols + j];
    if (same) return id;
  }
  return -1;
}
