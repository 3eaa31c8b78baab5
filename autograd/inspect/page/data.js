// The recording: values, gradients and numerical gradients of every node, decoded once.

function decodeBase64(text, Type) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; ++i) bytes[i] = raw.charCodeAt(i);
  return new Type(bytes.buffer);
}

// FNV-1a over the bytes of a text: tells a page whose numbers were changed after it was written.
function fingerprint(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, "0");
}

// True when the document was changed. Its last key holds the fingerprint of everything before it.
function wasAltered(text, json) {
  if (json.fingerprint === undefined)
    return json.meta.fingerprint !== undefined && fingerprint((json.blob || "") + (json.blob32 || "")) !== json.meta.fingerprint;
  return fingerprint(text.slice(0, text.lastIndexOf(',"fingerprint":'))) !== json.fingerprint;
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);

// A row-major array with a shape. `data` may be a view of a blob; nothing writes to it.
class Grid {
  constructor(shape, data) {
    this.shape = shape;
    this.data = data;
  }
  get leftOut() { return false; }
  get rows() { return this.shape.length < 2 ? 1 : this.shape[this.shape.length - 2]; }
  get cols() { return this.shape.length < 1 ? 1 : this.shape[this.shape.length - 1]; }
  // The number of matrices [rows, cols].
  get slices() { return this.rows * this.cols === 0 ? 0 : this.data.length / (this.rows * this.cols); }
  slice(number) {
    const size = this.rows * this.cols;
    return new Grid([this.rows, this.cols], this.data.subarray(number * size, (number + 1) * size));
  }
  at(i, j) { return this.data[i * this.cols + j]; }
  static make(rows, cols, value) {
    const data = new Float64Array(rows * cols);
    for (let i = 0; i < rows; ++i)
      for (let j = 0; j < cols; ++j) data[i * cols + j] = value(i, j);
    return new Grid([rows, cols], data);
  }
  transposed() { return Grid.make(this.cols, this.rows, (i, j) => this.at(j, i)); }
  map(f) { return Grid.make(this.rows, this.cols, (i, j) => f(this.at(i, j), i, j)); }
  // Columns [begin, end) of a matrix.
  columns(begin, end) { return Grid.make(this.rows, end - begin, (i, j) => this.at(i, begin + j)); }
  rowRange(begin, end) { return Grid.make(end - begin, this.cols, (i, j) => this.at(begin + i, j)); }
}

// An array that was omitted from the page: it has no numbers, only its summary, if there is one.
class LeftOut extends Grid {
  constructor(shape, summary) {
    super(shape, new Float64Array(0));
    this.summary = summary || null;
  }
  get leftOut() { return true; }
  slice() { return new LeftOut([this.rows, this.cols], this.summary); }
  rowRange() { return this; }
  columns() { return this; }
}

// A B in plain loops, k ascending.
function multiply(a, b) {
  return Grid.make(a.rows, b.cols, (i, j) => {
    let sum = 0;
    for (let k = 0; k < a.cols; ++k) sum += a.at(i, k) * b.at(k, j);
    return sum;
  });
}

function largest(grid) {
  let most = 0;
  if (grid.leftOut && grid.summary) return Math.max(Math.abs(grid.summary.min), Math.abs(grid.summary.max));
  for (const x of grid.data) if (Number.isFinite(x)) most = Math.max(most, Math.abs(x));
  return most;
}

// Largest difference relative to the larger of the two arrays' magnitudes; NaN equals NaN.
function difference(a, b) {
  if (a.data.length !== b.data.length) return Infinity;
  const scale = Math.max(largest(a), largest(b), 1e-300);
  let worst = 0;
  for (let i = 0; i < a.data.length; ++i) {
    const x = a.data[i], y = b.data[i];
    if (Object.is(x, y) || x === y) continue;
    const d = Math.abs(x - y) / scale;
    worst = Number.isNaN(d) ? Infinity : Math.max(worst, d);
  }
  return worst;
}

class Recording {
  constructor(json) {
    this.json = json;
    this.meta = json.meta;
    this.tokens = json.tokens;
    this.labs = json.labs || [];
    this.parameters = json.parameters || [];
    this.rules = json.rules || {};
    this.whatIfs = json.what_ifs || [];
    this.f64 = decodeBase64(json.blob || "", Float64Array);
    this.f32 = decodeBase64(json.blob32 || "", Float32Array);
    this.single = this.meta.dtype === "f32";
    this.tolerance = this.single ? 1e-4 : this.f32.length ? 1e-5 : 1e-10;  // of recomputed numbers; some stored numbers may be rounded to f32
    this.nodes = json.nodes.map((n) => this.#node(n));
    this.byId = new Map(this.nodes.map((n) => [n.id, n]));
    this.order = json.order;
    this.position = new Map(this.order.map((id, at) => [id, at]));
    for (const node of this.nodes) node.users = [];
    for (const node of this.nodes)
      node.inputs.forEach((id, position) => this.byId.get(id).users.push({node, position}));
    // The contributions to each gradient, in the order of arrival.
    for (const node of this.nodes) {
      node.parts = [];
      for (const {node: user, position} of node.users) {
        const edge = user.edges.find((e) => e.input === position);
        if (edge) node.parts.push({from: user, grid: edge.grid, at: this.position.get(user.id)});
      }
      node.parts.sort((a, b) => a.at - b.at);
    }
  }
  array(place, shape) {
    if (!place) return null;
    const [begin, length, kind] = place;
    return new Grid(shape, (kind === "f32" ? this.f32 : this.f64).subarray(begin, begin + length));
  }
  #node(n) {
    const node = {...n};
    node.value = this.array(n.val, n.shape) || new LeftOut(n.shape, n.summary && n.summary.value);
    node.gradient = this.array(n.grad, n.shape) || (n.summary && n.summary.gradient ? new LeftOut(n.shape, n.summary.gradient) : null);
    node.edges = (n.edges || []).map((e) => ({input: e.input, grid: e.off === undefined ? new LeftOut(e.shape) : this.array([e.off, e.len, e.kind], e.shape)}));
    node.numeric = null;
    node.sampled = false;
    if (n.num) {
      const data = this.array(n.num, [n.num[1]]).data;
      if (n.num_cells) {
        // Only these cells were checked.
        const full = new Float64Array(product(n.shape)).fill(NaN);
        n.num_cells.forEach((cell, i) => { full[cell] = data[i]; });
        node.numeric = new Grid(n.shape, full);
        node.cells = n.num_cells;
        node.sampled = true;
      } else {
        node.numeric = new Grid(n.shape, data);
      }
    }
    node.check = node.numeric && node.gradient ? this.#check(node) : null;
    return node;
  }
  // Compares the analytical with the numerical gradient: absolute and relative (floor 1e-3) error, and its
  // element.
  #check(node) {
    const check = {absolute: 0, relative: 0, cell: 0, count: 0, kinks: 0};
    const checked = node.cells ? new Set(node.cells) : null;
    for (let i = 0; i < node.gradient.data.length; ++i) {
      const numeric = node.numeric.data[i];
      if (checked && !checked.has(i)) continue;
      if (Number.isNaN(numeric)) {  // a kink
        ++check.kinks;
        continue;
      }
      const analytic = node.gradient.data[i];
      const absolute = Math.abs(analytic - numeric);
      const relative = absolute / Math.max(Math.abs(analytic), Math.abs(numeric), 1e-3);
      ++check.count;
      if (!(relative <= check.relative)) {
        check.relative = Number.isNaN(relative) ? Infinity : relative;
        check.cell = i;
      }
      if (!(absolute <= check.absolute)) check.absolute = Number.isNaN(absolute) ? Infinity : absolute;
    }
    check.passed = check.relative <= (node.num_err ? node.num_err.tolerance : 1e-6);
    return check;
  }
  node(id) { return this.byId.get(id); }
  // True when the page lacks an array that the numbers of a value, or the gradients that its rule sends,
  // depend on.
  incomplete(node) { return [node, ...node.inputs.map((id) => this.node(id))].some((n) => n.value.leftOut || (n.gradient && n.gradient.leftOut)); }
  // The step of the backward pass at which a gradient is complete.
  completeAt(node) { return node.parts.length ? node.parts[node.parts.length - 1].at : -1; }
  // The first gradient, in the order of completion, that disagrees with its numerical gradient.
  firstWrong() {
    let first = null;
    for (const node of this.nodes)
      if (node.check && !node.check.passed && (!first || this.completeAt(node) < this.completeAt(first))) first = node;
    return first;
  }
  firstNonFinite() { return this.nodes.find((n) => n.nonfinite) || null; }
  // The partial gradient after the first `walked` nodes of the backward pass.
  gradientAt(node, walked) {
    if (!node.gradient) return {state: "none", grid: null, arrived: 0, total: 0};
    const total = node.parts.length;
    if (total === 0) return walked > 0 || node.id === this.json.loss
      ? {state: walked > 0 ? "complete" : "not yet", grid: walked > 0 ? node.gradient : null, arrived: 0, total}
      : {state: "not yet", grid: null, arrived: 0, total};
    const arrived = node.parts.filter((p) => p.at < walked).length;
    if (arrived === 0) return {state: "not yet", grid: null, arrived, total};
    if (arrived === total) return {state: "complete", grid: node.gradient, arrived, total};
    if (node.gradient.leftOut || node.parts.some((p) => p.grid.leftOut)) return {state: "partial", grid: new LeftOut(node.shape), arrived, total};
    const sum = new Float64Array(node.gradient.data.length);
    for (const part of node.parts) if (part.at < walked) part.grid.data.forEach((x, i) => { sum[i] += x; });
    return {state: "partial", grid: new Grid(node.shape, sum), arrived, total};
  }
}
