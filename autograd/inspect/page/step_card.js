// The card of one step: formula, formula with numbers, matrices, gradients sent, the rule's source.

// Value, gradient, numerical gradient and their difference, side by side. `sent` is the contribution of the
// current rule.
function nodeMatrices(context, node, walked, name, sent = null) {
  const {state, words, recording} = context, views = [];
  const slice = Math.max(Math.min(state.slice, node.value.slices - 1), 0), size = [node.value.rows, node.value.cols];
  const view = (kind, grid, more = {}) => {
    const title = `${name} — ${words.get(kind)}`, opens = kind === "value" || kind === "sent";
    views.push(matrixView(context, {name: title, grid: grid && grid.slice(slice), size, rowNames: rowNames(context, node), columnNames: columnNames(context, node),
      selected: opens && state.array === title ? state.cell : null, onselect: opens ? (i, j, open) => context.select(i, j, open, title) : null, ...more}));
  };
  if (state.show.v) view("value", node.value);
  if (sent && node.parts.length > 1) view("sent", sent.grid);
  if (state.show.g && !node.gradient) view("gradient", null, {absent: words.get("noGradient")});
  if (!node.gradient) return views;
  const gradient = recording.gradientAt(node, walked), scale = state.shared ? largest(node.gradient) : undefined;
  if (sent && node.parts.length === 1 && state.show.g) view("sent", sent.grid, {scale});
  else if (state.show.g && !gradient.grid) view("gradient", null, {absent: words.get("notYet")});
  else if (state.show.g)
    view("gradient", gradient.grid, {scale, note: gradient.state === "partial" ? words.get("partial", gradient.arrived, gradient.total) : null});
  if (!state.show.n || gradient.state !== "complete" || !node.numeric) return views;
  if (node.sampled) return [...views, sampledCells(context, node)];
  const at = (i, j) => (slice * node.value.rows + i) * node.value.cols + j;
  const blank = (i, j) => Number.isNaN(node.numeric.data[at(i, j)]) ? words.get("kink") : null;
  view("numeric", node.numeric, {scale: scale || largest(node.gradient) || undefined, blank});
  const apart = new Grid(node.shape, node.gradient.data.map((x, i) => x - node.numeric.data[i]));
  view("difference", apart, {scale, blank});
  return views;
}

// The sampled cells that were checked, one per row.
function sampledCells(context, node) {
  const {words} = context, name = words.get("sampled", node.cells.length, node.gradient.data.length);
  return h("div", {class: "scroll list", tabindex: "0", role: "group", "aria-label": name}, h("table", {class: "explain sampled"}, h("caption", {}, name),
    h("thead", {}, h("tr", {}, ["cell", "gradient", "numeric", "difference"].map((key) => h("th", {scope: "col"}, words.get(key === "cell" ? "oneCell" : key))))),
    h("tbody", {}, node.cells.map((cell) => {
      const analytic = node.gradient.data[cell], numeric = node.numeric.data[cell];
      return h("tr", {}, h("th", {scope: "row"}, `[${place(node.shape, cell)}]`), h("td", {title: exact(analytic)}, short(analytic, 6)),
               h("td", {title: exact(numeric)}, Number.isNaN(numeric) ? words.get("kink") : short(numeric, 6)),
               h("td", {}, Number.isNaN(numeric) ? "" : short(analytic - numeric)));
    }))));
}

function checkChip(context, node) {
  const {words} = context, {check} = node;
  if (!check) return node.gradient ? h("p", {class: "chip"}, words.get("unchecked")) : null;
  const cell = `[${place(node.shape, check.cell)}]`, kinks = check.kinks ? ` · ${words.get("kinks", check.kinks)}` : "";
  const text = words.get(check.passed ? "checkPassed" : "checkFailed", short(check.relative), short(check.absolute), cell, check.count);
  return h("p", {class: check.passed ? "chip good" : "chip bad", title: words.get("replayed")}, `${check.passed ? "✓" : "✗"} ${text}${kinks}`);
}

// The explanation of the selected cell, of the value or of a gradient that the rule sends.
function chosenCell(context, node, pass) {
  const {state, recording, words} = context, choices = [];
  const title = (of, kind) => `${of} — ${words.get(kind)}`, slice = (grid) => Math.max(Math.min(state.slice, grid.slices - 1), 0);
  if (pass === "backward")
    for (const edge of node.edges) {
      const input = recording.node(node.inputs[edge.input]);
      choices.push({array: title(nodeName(input), "sent"), grid: edge.grid, explain: (i, j) => explainSent(context, node, edge, slice(edge.grid), i, j)});
    }
  choices.push({array: title(shortName(node), "value"), grid: node.value, explain: (i, j) => explainNode(context, node, slice(node.value), i, j)});
  const chosen = choices.find((c) => c.array === state.array) || choices[0];
  return {array: chosen.array, explanation: chosen.grid.slices ? chosen.explain(...context.cellIn(chosen.grid)) : null};
}

function stepCard(context) {
  const {state, steps, words, recording} = context, {node, pass, walked} = steps[state.step];
  const now = pass === "backward" ? walked + 1 : 0;
  const title = h("h2", {id: "step-title", tabindex: "-1"}, `${words.get(pass)}: ${nodeName(node)}`);
  const facts = h("dl", {class: "facts"},
    fact(words.get("module"), node.module || "—"), fact("op", node.op), fact(words.get("shape"), `[${node.shape.join(", ")}]`),
    node.src ? fact(words.get("rule"), node.src) : null, node.version ? fact(words.get("version"), node.version) : null,
    node.t_fwd ? fact(words.get("time"), words.get("nanos", Math.round(node.t_fwd), Math.round(node.t_bwd || 0))) : null,
    Object.entries(node.attrs || {}).filter(([, value]) => !Array.isArray(value)).map(([key, value]) => fact(key, value)));
  const {array, explanation} = chosenCell(context, node, pass);
  state.array = array;
  const card = h("section", {"aria-labelledby": "step-title"}, title, node.formula ? h("div", {class: "formula"}, formula(node.formula)) : null, numbersLine(explanation), facts);
  if (node.value.slices > 1) card.append(slicePicker(context, node));
  card.append(h("div", {class: "matrices"}, nodeMatrices(context, node, now, shortName(node))), (pass === "backward" && checkChip(context, node)) || "");
  if (recording.incomplete(node)) card.append(h("p", {class: "note"}, words.get("leftOutCells")));
  if (state.open_cell && explanation) card.append(explanationView(context, explanation, () => context.closeCell()));
  if (pass === "backward") card.append(sentGradients(context, node, now), contributions(context, node, now));
  else if (node.inputs.length) card.append(inputValues(context, node));
  const excerpt = recording.rules[node.src];
  if (excerpt) card.append(h("details", {open: pass === "backward"}, h("summary", {}, words.get("excerpt")),
                             h("pre", {class: "scroll", tabindex: "0"}, h("code", {}, excerpt))));
  return card;
}

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)));

function slicePicker(context, node) {
  const {words, state} = context, slices = node.value.slices;
  const select = h("select", {"data-focus": "slice", onchange: (event) => context.go({slice: Number(event.target.value)})});
  for (let s = 0; s < slices; ++s)
    select.append(h("option", {value: s, selected: s === Math.min(state.slice, slices - 1)}, words.get("slice", s + 1, slices)));
  return h("p", {}, h("label", {}, node.shape.length === 4 ? words.get("head") + " " : "", select));
}

function inputValues(context, node) {
  const {words, recording, state} = context, box = h("div", {class: "matrices"});
  if (state.show.v)
    for (const id of node.inputs) {
      const input = recording.node(id), slice = Math.max(Math.min(state.slice, input.value.slices - 1), 0);
      box.append(matrixView(context, {name: nodeName(input), grid: input.value.slice(slice), rowNames: rowNames(context, input),
                                      columnNames: columnNames(context, input)}));
    }
  return h("section", {}, h("h3", {}, words.get("inputs")), box);
}

// The gradients that this rule sends to its inputs, beside each input's value and numerical gradient.
function sentGradients(context, node, now) {
  const {recording, words} = context, section = h("section", {}, h("h3", {}, words.get("sends")));
  for (const edge of node.edges) {
    const input = recording.node(node.inputs[edge.input]), gradient = recording.gradientAt(input, now);
    section.append(h("div", {class: "matrices"}, nodeMatrices(context, input, now, nodeName(input), edge)),
                   gradient.state === "partial" ? h("p", {class: "chip"}, words.get("partial", gradient.arrived, gradient.total)) : checkChip(context, input) || "");
  }
  return node.edges.length ? section : "";
}

function contributions(context, node, now) {
  const {words, state} = context;
  if (node.parts.length < 2) return "";
  const box = h("div", {class: "matrices"});
  for (const part of node.parts) {
    const name = words.get("contributionFrom", nodeName(part.from)), slice = Math.max(Math.min(state.slice, part.grid.slices - 1), 0);
    box.append(part.at < now ? matrixView(context, {name, grid: part.grid.slice(slice), rowNames: rowNames(context, node)})
                             : matrixView(context, {name, absent: words.get("notYet"), size: [part.grid.rows, part.grid.cols]}));
  }
  return h("section", {}, h("h3", {}, words.get("contributions")), box);
}
