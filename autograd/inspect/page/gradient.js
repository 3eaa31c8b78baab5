// Explains the gradients that a rule sends: cell [i, j] of the contribution of `node` to an input's gradient.

// d out / d in of ops that work element by element, from the inputs' elements and the result.
const DERIVATIVES = {
  add: [() => 1, () => 1], sub: [() => 1, () => -1], mul: [(a, b) => b, (a) => a], div: [(a, b) => 1 / b, (a, b) => -a / (b * b)],
  neg: [() => -1], relu: [(x) => x > 0 ? 1 : 0], exp: [(x, y) => y], log: [(x) => 1 / x], square: [(x) => 2 * x], sqrt: [(x, y) => 1 / (2 * y)],
  tanh: [(x, y) => 1 - y * y], sigmoid: [(x, y) => y * (1 - y)], abs: [(x) => Math.sign(x)],
};

// An explanation, or null when the formula needs none.
function explainSent(context, node, edge, slice, i, j) {
  const {recording} = context, inputs = node.inputs.map((id) => recording.node(id)), input = inputs[edge.input];
  const flat = (slice * edge.grid.rows + i) * edge.grid.cols + j, dy = node.gradient;
  if (!dy || flat >= edge.grid.data.length || recording.incomplete(node)) return null;
  const expected = edge.grid.data[flat], title = `d ${shortName(input)}[${i}, ${j}] = ${exact(expected)}`;
  const call = {context, words: context.words, node, inputs, edge, input, flat, slice, i, j, dy, expected, title};
  const rule = DERIVATIVES[node.op] ? sentElementwise : RULES[node.op];
  return rule ? rule(call) : null;
}

// Every element of the result that the input's element was broadcast to adds its share.
function sentElementwise({words, node, inputs, edge, input, flat, dy, expected, title}) {
  const left = [], right = [], labels = [];
  for (let to = 0; to < dy.data.length; ++to) {
    if (broadcastIndex(input.shape, node.shape, to) !== flat) continue;
    const numbers = inputs.map((n) => n.value.data[broadcastIndex(n.shape, node.shape, to)]);
    if (numbers.length === 1) numbers.push(node.value.data[to]);
    left.push(dy.data[to]);
    right.push(DERIVATIVES[node.op][edge.input](...numbers));
    labels.push(place(node.shape, to));
  }
  if (left.length !== 1) return dotProduct(words, title, left, right, {names: ["dy", "∂y/∂x"], labels, expected});
  // The rule of relu selects: it sends 0 where x <= 0, even for a dy that is not finite.
  const total = node.op === "relu" && right[0] === 0 ? 0 : left[0] * right[0];
  return namedNumbers(title, [["dy", left[0]], ["∂y/∂x", right[0]]], total, expected, `${inLine(left[0])} · ${inLine(right[0])}`);
}

const RULES = {
  affine({node, flat, dy, expected, title}) {
    const {scale} = node.attrs;
    if (scale === undefined) return null;
    return namedNumbers(title, [["scale", scale], ["dy", dy.data[flat]]], scale * dy.data[flat], expected, `${inLine(scale)} · ${inLine(dy.data[flat])}`);
  },
  dropout({node, inputs, flat, dy, expected, title}) {
    // A kept 0 and a dropped element are equal in the result.
    const hidden = inputs[0].value.data[flat] === 0 && expected !== 0, kept = hidden ? 1 / (1 - node.attrs.p) : dropoutFactor(node, flat);
    return namedNumbers(title, [["dy", dy.data[flat]], ["kept / (1 − p)", kept]], kept * dy.data[flat], expected, `${inLine(dy.data[flat])} · ${inLine(kept)}`);
  },
  permute: sentMoved, reshape: sentMoved, slice: sentMoved,
  matmul({words, node, inputs, edge, slice, i, j, dy, expected, title}) {
    const other = inputs[1 - edge.input].value;
    if (edge.grid.slices !== dy.slices || other.slices !== dy.slices) return null;
    const d = dy.slice(slice), o = other.slice(slice), {transpose_a: ta, transpose_b: tb} = node.attrs;
    if (edge.input === 0) {  // dA[r, k] = sum_j dC[r, j] B[k, j]
      const [r, k] = ta ? [j, i] : [i, j];
      return dotProduct(words, title, rowOf(d, r), tb ? columnOf(o, k) : rowOf(o, k), {names: ["dC", "B"], expected});
    }
    const [k, c] = tb ? [j, i] : [i, j];
    return dotProduct(words, title, ta ? rowOf(o, k) : columnOf(o, k), columnOf(d, c), {names: ["A", "dC"], expected});
  },
  linear({words, node, inputs, edge, slice, flat, i, j, dy, expected, title}) {
    const first = node.attrs.first || 0, [x, w] = inputs.map((n) => n.value), out = dy.cols, rows = dy.data.length / out;
    const all = new Grid([rows, out], dy.data);
    if (edge.input === 0) {
      const row = slice * edge.grid.rows + i;
      return dotProduct(words, title, rowOf(all, row), Array.from({length: out}, (_, o) => w.at(first + o, j)), {names: ["dy", "W"], expected});
    }
    const begin = edge.input === 1 ? first : node.attrs.bias_first ?? first, o = (edge.input === 1 ? i : flat) - begin;
    if (o < 0 || o >= out) return namedNumbers(title, [[words.get("notUsed"), 0]], 0, expected, "0");
    const left = columnOf(all, o);
    return dotProduct(words, title, left, edge.input === 1 ? columnOf(new Grid([rows, w.cols], x.data), j) : left.map(() => 1),
                      {names: ["dy", edge.input === 1 ? "x" : "1"], expected});
  },
  softmax: sentSoftmax, masked_softmax: sentSoftmax,
  layer_norm({words, node, inputs, edge, slice, i, j, flat, dy, expected, title}) {
    const x = inputs[0].value, n = x.cols, eps = node.attrs.eps ?? 1e-5, gain = inputs[1] ? inputs[1].value.data : null;
    const normal = (row) => {
      const values = Array.from(x.data.subarray(row * n, (row + 1) * n)), mean = average(values);
      const variance = average(values.map((v) => (v - mean) ** 2)), root = Math.sqrt(variance + eps);
      return {mean, variance, root, xh: values.map((v) => (v - mean) / root)};
    };
    if (edge.input > 0) {
      const rows = dy.data.length / n, left = Array.from({length: rows}, (_, r) => dy.data[r * n + flat]);
      return dotProduct(words, title, left, edge.input === 2 ? left.map(() => 1) : left.map((_, r) => normal(r).xh[flat]),
                        {names: ["dy", edge.input === 2 ? "1" : "x̂"], expected});
    }
    const row = slice * edge.grid.rows + i, {mean, variance, root, xh} = normal(row);
    const g = xh.map((_, k) => dy.data[row * n + k] * (gain ? gain[k] : 1)), first = average(g), second = average(g.map((v, k) => v * xh[k]));
    const total = (g[j] - first - xh[j] * second) / root;
    return namedNumbers(title, [[words.get("mean"), mean], ["var", variance], ["√(var + eps)", root], ["x̂", xh[j]],
      ["1: g = dy w", g[j]], ["2: mean(g)", first], ["3: x̂ mean(g x̂)", xh[j] * second]], total, expected,
      `(${short(g[j])} − ${inLine(first)} − ${inLine(xh[j] * second)}) / ${short(root)}`);
  },
  embedding({words, node, edge, input, i, j, dy, expected, title}) {
    const rows = dy.data.length / dy.cols, left = [], labels = [];
    for (let r = 0; r < rows; ++r) {
      const id = embeddingId(input.value, node.value, r);
      if (id < 0) return null;  // a row of NaN cannot be found in the table
      if (id !== i) continue;
      left.push(dy.data[r * dy.cols + j]);
      labels.push(r);
    }
    return left.length ? dotProduct(words, title, left, left.map(() => 1), {names: ["dy", "1"], labels, expected})
                       : namedNumbers(title, [[words.get("notUsed"), 0]], 0, expected, "0");
  },
  cross_entropy({context, words, node, input, slice, edge, i, j, dy, expected, title}) {
    const {targets, count, logits} = context.recording.json.output || {}, row = slice * edge.grid.rows + i;
    if (logits !== input.id || dy.data.length !== 1) return null;
    const cols = edge.grid.cols, z = Array.from(input.value.data.subarray(row * cols, (row + 1) * cols)), most = Math.max(...z);
    const p = Math.exp(z[j] - most) / z.reduce((s, v) => s + Math.exp(v - most), 0), eps = node.attrs.label_smoothing || 0;
    if (targets[row] < 0) return namedNumbers(title, [[words.get("notCounted"), 0]], 0, expected, "0");
    const wanted = (1 - eps) * (targets[row] === j ? 1 : 0) + eps / cols;
    return namedNumbers(title, [["softmax", p], [words.get("wanted"), wanted], ["n", count], ["dloss", dy.data[0]]],
                        (p - wanted) / count * dy.data[0], expected, `(${short(p)} − ${inLine(wanted)}) / ${count}`);
  },
};

const average = (values) => values.reduce((a, b) => a + b, 0) / values.length;

function sentMoved({words, node, inputs, flat, dy, expected, title}) {
  if (movedFrom(node, inputs, 0) === null) return null;
  for (let to = 0; to < dy.data.length; ++to)
    if (movedFrom(node, inputs, to) === flat)
      return namedNumbers(title, [[`dy[${place(node.shape, to)}]`, dy.data[to]]], dy.data[to], expected, short(dy.data[to]));
  return namedNumbers(title, [[words.get("notUsed"), 0]], 0, expected, "0");
}

// dx = y (dy − sum(dy y)), also as a row of the Jacobian times dy.
function sentSoftmax({context, words, node, slice, i, j, dy, expected, title}) {
  const p = rowOf(node.value.slice(slice), i), d = rowOf(dy.slice(slice), i), {keep} = node.attrs, size = dy.rows * dy.cols;
  const masked = (k) => keep !== undefined && !keep[(keep.length > size ? slice * size : 0) + i * dy.cols + k];
  const D = p.reduce((s, x, k) => masked(k) ? s : s + x * d[k], 0), total = masked(j) ? 0 : p[j] * (d[j] - D);
  const explanation = namedNumbers(title, [["y", p[j]], ["dy", d[j]], ["∑ dy y", D], ["dy − ∑ dy y", d[j] - D]], total, expected,
                                   `${inLine(p[j])} · (${short(d[j])} − ${inLine(D)})`);
  explanation.more = () => jacobianViews(context, p, d, null, null, i, j);
  return explanation;
}

function jacobianViews(context, p, dp, rows, columns, i, j) {
  const jacobian = Grid.make(p.length, p.length, (a, b) => (a === b ? p[a] : 0) - p[a] * p[b]);
  return [h("h4", {}, context.words.get("jacobian", i)), h("div", {class: "matrices"},
    matrixView(context, {name: "J = diag(p) − p pᵀ", grid: jacobian, rowNames: columns, columnNames: columns, marked: (a) => a === j}),
    matrixView(context, {name: "dP", grid: Grid.make(1, dp.length, (_, k) => dp[k]), rowNames: rows ? [rows[i]] : null, columnNames: columns}))];
}
