// The steps of the attention lab: the arrays that each one shows, and its checks.

const plusBias = (grid, bias) => bias ? grid.map((x, i, j) => x + bias.data[j]) : grid;
const columnSums = (grid) => Grid.make(1, grid.cols, (_, j) => columnOf(grid, j).reduce((a, b) => a + b, 0));
const rowSums = (grid) => Grid.make(grid.rows, 1, (i) => rowOf(grid, i).reduce((a, b) => a + b, 0));

// Two arrays that must agree.
const agree = (text, a, b, tolerance = 1e-10) => ({text, error: difference(a, b), tolerance});
const same = (text, a, b) => agree(text, a, b, 0);

// The parameters of projections that steps need; a page of limited size may lack them.
const NEEDS = {F1: ["W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V"], F6: ["W_O", "b_O"], B1: ["W_O"],
               B9: ["dW_Q", "dW_K", "dW_V", "dW_O", "db_Q", "db_K", "db_V", "db_O"]};
// Without them a step shows these arrays, and checks nothing.
const ALONE = {F1: ["X", "Q", "K", "V"], F6: ["C", "Y"], B1: ["dY", "dO"]};
function labStep(context, head, key) {
  const needed = (NEEDS[key] || []).filter((name) => head[name]), {rows, columns} = head.lab;
  if (key === "B9" || !needed.some((name) => head[name].leftOut)) {
    const step = wholeLabStep(context, head, key);
    // The page may hold weights in f32 and activations in f64.
    if (head.recording.single || (needed.length && head.rounded))
      for (const check of step.checks) if (check.tolerance > 0) check.tolerance = Math.max(check.tolerance, head.recording.tolerance);
    return step;
  }
  const named = (name) => ({name: name === "C" ? "concat(O)" : name, grid: head[name], rows: /[WbC]/.test(name) ? null : /^d?[KV]$/.test(name) ? columns : rows});
  return {arrays: [...ALONE[key], ...needed].map(named), checks: []};
}

// The content of step `key` of a head: {arrays: [{name, grid, rows, columns, masked, node, gradient,
// explain}], checks}.
function wholeLabStep(context, head, key) {
  const {words} = context, {lab} = head, r = lab.rows, c = lab.columns, scale = lab.scale;
  const array = (name, grid, rows, columns, extra = {}) => ({name, grid, rows, columns, ...extra});
  const dot = (name, a, b, names, labels, options) => (i, j) =>
    dotProduct(words, `${name}[${i}, ${j}]`, a(i, j), b(i, j), {names, labels, ...options, expected: options.of(i, j),
      marks: options.by ? [{name: names[0], [options.by[0]]: i}, {name: names[1], [options.by[1]]: j}] : []});
  const mask = {masked: head.kept};
  // After dropout the weights are R.
  const R = head.dropout === null ? "P" : "R";
  // X W of weights [in, out], or X Wᵀ.
  const weight = (name) => lab.in_by_out ? name : `${name}ᵀ`, times = (X, W) => multiply(X, lab.in_by_out ? W : W.transposed());
  const output = (W, j) => lab.in_by_out ? columnOf(W, j) : rowOf(W, j), outputMark = (name, j) => ({name, [lab.in_by_out ? "column" : "row"]: j});
  switch (key) {
    case "F1": {
      const project = (letter, X, rows) => array(letter, head[letter], rows, null, {explain: (i, j) =>
        dotProduct(words, `${letter}[${i}, ${j}]`, rowOf(X, i), output(head[`W_${letter}`], j), {
          names: ["X", `W_${letter}`], marks: [{name: "X", row: i}, outputMark(`W_${letter}`, j)], plus: head[`b_${letter}`] ? head[`b_${letter}`].data[j] : null,
          expected: head[letter].at(i, j)})});
      const check = (letter, X) => agree(`${letter} = X ${weight(`W_${letter}`)}${lab.in_by_out ? "" : " + b"}`, head[letter],
        plusBias(times(X, head[`W_${letter}`]), head[`b_${letter}`]));
      return {arrays: [array("X", head.X, r), array("W_Q", head.W_Q), array("W_K", head.W_K), array("W_V", head.W_V),
                       project("Q", head.X, r), project("K", head.XK, c), project("V", head.XV, c)],
              checks: [check("Q", head.X), check("K", head.XK), check("V", head.XV)]};
    }
    case "F2": {
      const bias = lab.nodes.bias === undefined ? null : head.recording.node(lab.nodes.bias).value;
      const B = bias && bias.slice(Math.min(head.head, bias.slices - 1)), plus = (i, j) => B ? B.at(Math.min(i, B.rows - 1), Math.min(j, B.cols - 1)) : 0;
      return {arrays: [array("Q", head.Q, r), array("K", head.K, c), ...B ? [array("bias", B)] : [], array("S", head.S, r, c, {explain: (i, j) =>
                dotProduct(words, `S[${i}, ${j}]`, rowOf(head.Q, i), rowOf(head.K, j), {names: ["Q", "K"], factor: scale, plus: B ? plus(i, j) : null,
                  expected: head.S.at(i, j), marks: [{name: "Q", row: i}, {name: "K", row: j}]})})],
              checks: [agree("S = Q Kᵀ / √d", head.S, multiply(head.Q, head.K.transposed()).map((x, i, j) => x * scale + plus(i, j)))]};
    }
    case "F3": {
      const kept = lab.keep.reduce((a, b) => a + b, 0);
      const M = head.S.map((_, i, j) => head.kept(i, j) ? 0 : -Infinity), sum = head.S.map((x, i, j) => head.kept(i, j) ? x : -Infinity);
      return {arrays: [array("S", head.S, r, c), array("M", M, r, c, mask), array("S + M", sum, r, c, {...mask, explain: (i, j) =>
                ({...namedNumbers(`(S + M)[${i}, ${j}]`, [["S", head.S.at(i, j)], ["M", M.at(i, j)]], sum.at(i, j), sum.at(i, j),
                                  `${short(head.S.at(i, j))} + ${inLine(M.at(i, j))}`), marks: [{name: "S", row: i, column: j}, {name: "M", row: i, column: j}]})})],
              checks: [{text: words.get("keptCells", kept, lab.keep.length), error: lab.keep.length === head.S.data.length ? 0 : 1, tolerance: 0}]};
    }
    case "F4": {
      const again = Grid.make(head.S.rows, head.S.cols, (i, j) => {
        const row = rowOf(head.S, i), kept = row.map((_, k) => head.kept(i, k));
        return softmaxCell(words, "", row, kept, j).total;
      });
      const live = (i) => c.some((_, j) => head.kept(i, j)) ? 1 : 0;
      const most = head.S.map((_, i) => Math.max(...rowOf(head.S, i).filter((_, k) => head.kept(i, k))));
      const powers = head.S.map((x, i, j) => head.kept(i, j) ? Math.exp(x - most.at(i, j)) : 0), sums = rowSums(powers);
      const parts = Grid.make(r.length, 2, (i, j) => j === 0 ? most.at(i, 0) : sums.at(i, 0));
      return {arrays: [array("S", head.S, r, c, mask), array("max, ∑", parts, r, ["max", "∑ exp"]), array("exp(S − max)", powers, r, c, mask),
                       array("P", head.P, r, c, {...mask, node: "weights", explain: (i, j) => {
                const row = rowOf(head.S, i), kept = row.map((_, k) => head.kept(i, k));
                return {...softmaxCell(words, `P[${i}, ${j}]`, row, kept, j, head.P.at(i, j)),
                        marks: [{name: "S", row: i}, {name: "exp(S − max)", row: i}, {name: "max, ∑", row: i}]};
              }})],
              checks: [agree("P = softmax(S)", head.P, again),
                       agree("∑ P = 1", rowSums(head.P), Grid.make(r.length, 1, live), 1e-12),
                       same(`P = 0 (${words.get("masked")})`, head.P, head.P.map((x, i, j) => head.kept(i, j) ? x : 0))]};
    }
    case "F5":
      return {arrays: [...withoutDropout(context, head, array, mask), array(R, head.R, r, c, mask), array("V", head.V, c), array("O", head.O, r, null, {
                explain: dot("O", (i) => rowOf(head.R, i), (i, j) => columnOf(head.V, j), [R, "V"], c,
                             {by: ["row", "column"], of: (i, j) => head.O.at(i, j)})})],
              checks: [agree(`O = ${R} V`, head.O, multiply(head.R, head.V)), ...dropoutCheck(head)]};
    case "F6":
      return {arrays: [array("concat(O)", head.C, r), array("W_O", head.W_O), array("Y", head.Y, r, null, {explain: (i, j) =>
                dotProduct(words, `Y[${i}, ${j}]`, rowOf(head.C, i), output(head.W_O, j),
                           {names: ["O", "W_O"], plus: head.b_O ? head.b_O.data[j] : null, expected: head.Y.at(i, j)})})],
              checks: [agree(`Y = concat(O) ${weight("W_O")}${lab.in_by_out ? "" : " + b"}`, head.Y, plusBias(times(head.C, head.W_O), head.b_O)),
                       same("O ⊂ concat(O)", head.O, head.C.columns(head.head * lab.head_dim, head.head * lab.head_dim + head.O.cols))]};
    case "B0": return lossStep(context);
    case "B1": {
      if (!isProjected(lab)) return contextStep(context, head, array);
      const first = head.head * lab.head_dim, last = first + head.O.cols, W = lab.in_by_out ? head.W_O.rowRange(first, last).transposed() : head.W_O.columns(first, last);
      return {arrays: [array("dY", head.dY, r), array("W_O", W), array("dO", head.dO, r, null, {
                explain: dot("dO", (i) => rowOf(head.dY, i), (i, j) => columnOf(W, j), ["dY", "W_O"], null,
                             {by: ["row", "column"], of: (i, j) => head.dO.at(i, j)}), node: "context"})],
              checks: [agree(`dO = dY ${lab.in_by_out ? "W_Oᵀ" : "W_O"}`, head.dO, multiply(head.dY, W))]};
    }
    case "B2":
      return {arrays: [array(R, head.R, r, c, mask), array("dO", head.dO, r), array("dV", head.dV, c, null, {
                explain: dot("dV", (i) => columnOf(head.R, i), (i, j) => columnOf(head.dO, j), [R, "dO"], r,
                             {by: ["column", "column"], of: (i, j) => head.dV.at(i, j)}), node: "value"})],
              checks: [agree(`dV = ${R}ᵀ dO`, head.dV, multiply(head.R.transposed(), head.dO))]};
    case "B3": {
      const product = array(`d${R}`, head.dR, r, c, {...mask, explain: dot(`d${R}`, (i) => rowOf(head.dO, i), (i, j) => rowOf(head.V, j), ["dO", "V"], null,
                                                      {by: ["row", "row"], of: (i, j) => head.dR.at(i, j)}), node: head.dropout === null ? "weights" : null});
      const behind = head.dropout === null ? [] : [array("dP", head.dP, r, c, {...mask, node: "weights"})], share = 1 / (1 - head.dropout);
      return {arrays: [array("dO", head.dO, r), array("V", head.V, c), product, ...behind],
              checks: [agree(`d${R} = dO Vᵀ`, head.dR, multiply(head.dO, head.V.transposed())),
                       ...head.dropout === null ? [] : [agree("dP = dR ∘ kept / (1 − p)", head.dP, head.dR.map((x, i, j) => lost(head, i, j) ? 0 : x * share))]]};
    }
    case "B4": {
      const other = Grid.make(r.length, 1, (i) => rowOf(head.dO, i).reduce((s, x, k) => s + x * head.O.at(i, k), 0));
      const both = Grid.make(r.length, 2, (i, j) => j === 0 ? head.D.at(i, 0) : other.at(i, 0));
      const mixed = Grid.make(r.length, 1, (i) => rowOf(head.P, i).reduce((s, p, k) => s + p * head.dR.at(i, k), 0));
      return {arrays: [array("P", head.P, r, c, mask), array("dP", head.dP, r, c, mask), array("D", both, r, ["∑ dP ∘ P", "∑ dO ∘ O"], {
                note: head.dropout === null ? null : words.get("dropoutD", short(largest(Grid.make(r.length, 1, (i) => mixed.at(i, 0) - head.D.at(i, 0))))),
                explain: (i, j) => j === 0
                  ? dotProduct(words, `D[${i}]`, rowOf(head.dP, i), rowOf(head.P, i), {names: ["dP", "P"], labels: c, expected: head.D.at(i, 0), marks: [{name: "dP", row: i}, {name: "P", row: i}]})
                  : dotProduct(words, `D[${i}]`, rowOf(head.dO, i), rowOf(head.O, i), {names: ["dO", "O"], expected: other.at(i, 0)})})],
              checks: [agree("∑ dP ∘ P = ∑ dO ∘ O", head.D, other)]};
    }
    case "B5":
      return {arrays: [array("P", head.P, r, c, mask), array("dP", head.dP, r, c, mask), array("D", head.D, r, ["D"]),
                       array("dS", head.dS, r, c, {...mask, explain: (i, j) => scoreGradient(context, head, i, j), node: "scores"})],
              checks: [agree("dS = P ∘ (dP − D)", head.dS, head.P.map((p, i, j) => p * (head.dP.at(i, j) - head.D.at(i, 0)))),
                       {text: "∑ dS = 0", error: largest(rowSums(head.dS)) / Math.max(largest(head.dS), 1e-300), tolerance: 1e-12},
                       same(`dS = 0 (${words.get("masked")})`, head.dS, head.dS.map((x, i, j) => head.kept(i, j) ? x : 0))]};
    case "B6":
      return {arrays: [array("dS", head.dS, r, c, mask), array("K", head.K, c), array("dQ", head.dQ, r, null, {
                explain: dot("dQ", (i) => rowOf(head.dS, i), (i, j) => columnOf(head.K, j), ["dS", "K"], c,
                             {by: ["row", "column"], factor: scale, of: (i, j) => head.dQ.at(i, j)}), node: "query"})],
              checks: [agree("dQ = dS K / √d", head.dQ, multiply(head.dS, head.K).map((x) => x * scale))]};
    case "B7":
      return {arrays: [array("dS", head.dS, r, c, mask), array("Q", head.Q, r), array("dK", head.dK, c, null, {
                explain: dot("dK", (i) => columnOf(head.dS, i), (i, j) => columnOf(head.Q, j), ["dS", "Q"], r,
                             {by: ["column", "column"], factor: scale, of: (i, j) => head.dK.at(i, j)}), node: "key"})],
              checks: [agree("dK = dSᵀ Q / √d", head.dK, multiply(head.dS.transposed(), head.Q).map((x) => x * scale))]};
    case "B8": return inputStep(context, head);
    default: return parameterStep(context, head);
  }
}

// The gradient of a context without an output projection: the sum of the gradients that its readers send.
function contextStep({recording}, head, array) {
  const {parts} = recording.node(head.lab.nodes.context), sent = parts.map((part) => part.grid.slice(head.head));
  const total = head.dO.map((_, i, j) => sent.reduce((sum, grid) => sum + grid.at(i, j), 0));
  return {arrays: [array("O", head.O, head.lab.rows), array("dO", head.dO, head.lab.rows, null, {node: "context", explain: (i, j) =>
            namedNumbers(`dO[${i}, ${j}]`, parts.map((part, k) => [nodeName(part.from), sent[k].at(i, j)]), total.at(i, j), head.dO.at(i, j),
                         sent.map((grid) => inLine(grid.at(i, j))).join(" + "))})],
          checks: [agree("dO = ∑", head.dO, total)]};
}

// True when dropout removed weight [i, j]; kept weights are divided by 1 - p.
const lost = (head, i, j) => head.R.at(i, j) === 0 && (head.P.at(i, j) !== 0 || head.dP.at(i, j) === 0);
const withoutDropout = (context, head, array, mask) => head.dropout === null ? [] : [array("P", head.P, head.lab.rows, head.lab.columns,
  {...mask, note: context.words.get("dropoutHere", head.dropout)})];
const dropoutCheck = (head) => head.dropout === null ? [] : [agree("R = P ∘ kept / (1 − p)", head.R,
  head.P.map((x, i, j) => lost(head, i, j) ? 0 : x / (1 - head.dropout)))];

// dS[i, j] = P (dP − D), also as a row of the Jacobian times dP.
function scoreGradient(context, head, i, j) {
  const p = rowOf(head.P, i), dp = rowOf(head.dP, i), D = head.D.at(i, 0);
  const explanation = namedNumbers(`dS[${i}, ${j}]`, [["P", p[j]], ["dP", dp[j]], ["D = ∑ dP P", D], ["dP − D", dp[j] - D]],
                                   p[j] * (dp[j] - D), head.dS.at(i, j), `${inLine(p[j])} · (${short(dp[j])} − ${inLine(D)})`);
  explanation.marks = [{name: "P", row: i}, {name: "dP", row: i}, {name: "D", row: i}];
  if (!head.kept(i, j)) explanation.tail.push(context.words.get("whyMasked", exact(dp[j])));
  explanation.more = () => jacobianViews(context, p, dp, head.lab.rows, head.lab.columns, i, j);
  return explanation;
}

function lossStep(context) {
  const {recording, words} = context, {logits: id, targets, count} = recording.json.output || {};
  if (id === undefined) return {arrays: [], checks: []};
  const node = recording.node(id), z = node.value.slice(0), dz = node.gradient.slice(0);
  const names = recording.tokens.label, columns = recording.tokens.target_vocabulary;
  const probability = (i) => {
    const row = rowOf(z, i), most = Math.max(...row), total = row.reduce((s, x) => s + Math.exp(x - most), 0);
    return row.map((x) => Math.exp(x - most) / total);
  };
  const p = Grid.make(z.rows, z.cols, (i, j) => probability(i)[j]);
  const eps = (node.users[0] && node.users[0].node.attrs.label_smoothing) || 0;
  const wanted = (i, j) => (1 - eps) * (targets[i] === j ? 1 : 0) + eps / z.cols;
  const again = p.map((x, i, j) => targets[i] < 0 ? 0 : (x - wanted(i, j)) / count);
  return {arrays: [{name: "logits", grid: z, rows: names, columns}, {name: "softmax", grid: p, rows: names, columns},
                   {name: "dlogits", grid: dz, rows: names, columns, explain: (i, j) =>
                     targets[i] < 0 ? namedNumbers(`dlogits[${i}, ${j}]`, [[words.get("notCounted"), 0]], 0, dz.at(i, j), "0")
                       : namedNumbers(`dlogits[${i}, ${j}]`, [["softmax", p.at(i, j)], [words.get("wanted"), wanted(i, j)], ["n", count]],
                                      again.at(i, j), dz.at(i, j), `(${short(p.at(i, j))} − ${inLine(wanted(i, j))}) / ${count}`)}],
          checks: [agree("dlogits = (softmax − onehot) / n", dz, again)]};
}

// The contributions to the gradient of the layer's input(s), and their sum.
function inputStep(context, head) {
  const {recording} = context, {lab} = head, arrays = [], checks = [];
  const sender = senders(recording, lab), from = (part) => sender.get(part.from.id) || nodeName(part.from);
  const inputs = [...new Set([lab.nodes.x_query, lab.nodes.x_key, lab.nodes.x_value])];
  for (const id of inputs) {
    const node = recording.node(id), rows = id === lab.nodes.x_query ? lab.rows : lab.columns;
    const name = inputs.length === 1 ? "dX" : id === lab.nodes.x_query ? "dX_Q" : "dX_KV";
    if (!node.gradient) continue;
    const sum = new Float64Array(node.gradient.data.length);
    let most = null;
    for (const part of node.parts) {
      part.grid.data.forEach((x, k) => { sum[k] += x; });
      const size = Math.sqrt(part.grid.data.reduce((s, x) => s + x * x, 0));
      if (!most || size > most.size) most = {size, part};
      arrays.push({name: `${name} ← ${from(part)}`, grid: part.grid.slice(0), rows});
    }
    arrays.push({name, grid: node.gradient.slice(0), rows, node: null,
                 note: most ? context.words.get("contributionLargest", from(most.part), short(most.size)) : null,
                 explain: (i, j) => namedNumbers(`${name}[${i}, ${j}]`, node.parts.map((p) => [from(p), p.grid.slice(0).at(i, j)]),
                   node.parts.reduce((s, p) => s + p.grid.slice(0).at(i, j), 0), node.gradient.slice(0).at(i, j),
                   node.parts.map((p) => inLine(p.grid.slice(0).at(i, j))).join(" + "))});
    checks.push(agree(`${name} = ∑`, node.gradient, new Grid(node.shape, sum)));
  }
  return {arrays, checks};
}

// The projections of a layer, found by the gradients that they send rather than by the names of their ops.
function senders(recording, lab) {
  const names = new Map();
  for (const [name, letter] of [["query", "Q"], ["key", "K"], ["value", "V"]]) {
    let at = recording.node(lab.nodes[name]);
    while (["reshape", "permute", "slice"].includes(at.op)) at = recording.node(at.inputs[0]);
    const term = `d${letter} W_${letter}${lab.in_by_out ? "ᵀ" : ""}`;
    names.set(at.id, names.has(at.id) ? `${names.get(at.id)} + ${term}` : term);
  }
  for (const id of [lab.nodes.x_query, lab.nodes.x_key])
    for (const {node} of recording.node(id).users) if (node.op === "add") names.set(node.id, `skip (${nodeName(node)})`);
  return names;
}

function parameterStep(context, head) {
  const {words} = context, arrays = [], checks = [];
  const add = (name, grid, ...factors) => {
    const [[leftName, left], [rightName, right]] = head.lab.in_by_out ? factors.reverse() : factors, names = [leftName, rightName];
    if (grid.leftOut) return arrays.push({name, grid});
    arrays.push({name, grid, explain: (i, j) => dotProduct(words, `${name}[${i}, ${j}]`, columnOf(left, i), columnOf(right, j),
                                                           {names, labels: left.rows === head.lab.rows.length ? head.lab.rows : head.lab.columns,
                                                            expected: grid.at(i, j)})});
    checks.push(agree(`${name} = ${names[0]}ᵀ ${names[1]}`, grid, multiply(left.transposed(), right)));
  };
  add("dW_Q", head.dW_Q, ["dQ", head.dQ], ["X", head.X]);
  add("dW_K", head.dW_K, ["dK", head.dK], ["X", head.XK]);
  add("dW_V", head.dW_V, ["dV", head.dV], ["X", head.XV]);
  if (head.dW_O) add("dW_O", head.dW_O, ["dY", head.dY], ["O", head.C]);
  for (const [letter, gradient] of [["Q", head.dQ], ["K", head.dK], ["V", head.dV], ["O", head.dY]]) {
    const bias = head[`db_${letter}`];
    if (!bias) continue;
    if (bias.leftOut) { arrays.push({name: `db_${letter}`, grid: bias}); continue; }
    const sums = columnSums(gradient), grid = new Grid([1, bias.data.length], bias.data);
    arrays.push({name: `db_${letter}`, grid, rows: [""], explain: (_, j) =>
      namedNumbers(`db_${letter}[${j}]`, columnOf(gradient, j).map((x, t) => [t, x]), sums.at(0, j), grid.at(0, j))});
    // A key's bias shifts all scores of a row equally, so its gradient is 0 up to rounding.
    checks.push({text: `db_${letter} = ∑ d${letter === "O" ? "Y" : letter}`, error: difference(grid, sums) * Math.max(largest(grid), largest(sums))
                 / Math.max(largest(gradient), 1e-300), tolerance: 1e-10});
  }
  return {arrays, checks};
}
