// The tape as a folded list of modules, and the card of one step.

const nodeName = (node) => node.label ? (node.module ? `${node.module}.${node.label}` : node.label).replace(/^(.*)\.\1\./, "$1.")
                                      : node.module ? `${node.module} · ${node.op}` : node.op;
const shortName = (node) => !node.label ? node.op : node.label.startsWith(`${node.module}.`) ? node.label.slice(node.module.length + 1) : node.label;

// The steps of a run: every node forward, then every walked node backward.
function makeSteps(recording) {
  const steps = recording.nodes.map((node) => ({node, pass: "forward", walked: 0}));
  recording.order.forEach((id, at) => steps.push({node: recording.node(id), pass: "backward", walked: at}));
  return steps;
}

// Modules as a tree; each holds the numbers of its steps.
function moduleTree(steps) {
  const root = {name: "", path: "", children: new Map(), steps: []};
  steps.forEach((step, number) => {
    if (step.pass !== "forward") return;
    let at = root;
    for (const part of step.node.module ? step.node.module.split(".") : []) {
      if (!at.children.has(part))
        at.children.set(part, {name: part, path: at.path ? `${at.path}.${part}` : part, children: new Map(), steps: []});
      at = at.children.get(part);
    }
    at.steps.push(number);
  });
  return root;
}

// Chains of modules with a single child are one line.
function treeLines(context) {
  const {state, steps} = context, lines = [];
  const wanted = state.search.toLowerCase();
  const visit = (module, depth, prefix) => {
    let {name} = module, at = module;
    while (at.steps.length === 0 && at.children.size === 1) {
      at = [...at.children.values()][0];
      name = name ? `${name}.${at.name}` : at.name;
    }
    const open = wanted !== "" || state.open.has(at.path) || at.path === "";
    const matches = (number) => wanted === "" || nodeName(steps[number].node).toLowerCase().includes(wanted)
                                || steps[number].node.op.includes(wanted);
    const own = at.steps.filter(matches), inner = [];
    if (open) {
      const blocks = [...at.children.values()].map((child) => ({order: firstStep(child), child}));
      const items = [...own.map((number) => ({order: number, number})), ...blocks].sort((a, b) => a.order - b.order);
      for (const item of items) {
        if (item.child) inner.push(...visit(item.child, depth + (at.path === "" ? 0 : 1), at.path));
        else inner.push({kind: "step", number: item.number, depth: depth + (at.path === "" ? 0 : 1)});
      }
    }
    if (at.path === "") return inner;
    if (wanted !== "" && inner.length === 0) return [];
    return [{kind: "module", path: at.path, name: prefix && at.path.startsWith(prefix + ".") ? at.path.slice(prefix.length + 1) : at.path,
             open, depth, count: countSteps(at)}, ...inner];
  };
  lines.push(...visit(context.tree, 0, ""));
  return lines;
}

const firstStep = (module) => Math.min(...module.steps, ...[...module.children.values()].map(firstStep));
const countSteps = (module) => module.steps.length + [...module.children.values()].reduce((n, c) => n + countSteps(c), 0);

const MOST_LINES = 25, MOST_FOUND = 200;

// At most 25 lines: of a long run of steps those around the current one stay, the others are folded into one
// line.
function foldedLines(context) {
  const {state, steps} = context, lines = treeLines(context);
  if (state.search !== "") return lines.slice(0, MOST_FOUND);
  if (state.unfolded || lines.length <= MOST_LINES) return lines;
  const current = steps[state.step].node;
  const at = Math.max(lines.findIndex((line) => line.kind === "step" && steps[line.number].node === current), 0);
  // Folds steps, the farthest first; modules stay.
  const candidates = lines.map((line, i) => ({line, i})).filter(({line}) => line.kind === "step").sort((a, b) => Math.abs(b.i - at) - Math.abs(a.i - at));
  const gone = new Set(), runs = () => lines.filter((_, i) => gone.has(i) && !gone.has(i - 1)).length;
  for (const {i} of candidates) {
    if (lines.length - gone.size + runs() <= MOST_LINES) break;
    gone.add(i);
  }
  const folded = [];
  lines.forEach((line, i) => {
    if (!gone.has(i)) folded.push(line);
    else if (gone.has(i - 1)) ++folded[folded.length - 1].count;
    else folded.push({kind: "more", count: 1, depth: line.depth});
  });
  if (folded.length <= MOST_LINES) return folded;
  const begin = Math.min(Math.max(folded.findIndex((line) => line.kind === "step" && steps[line.number].node === current) - 12, 0), folded.length - MOST_LINES + 1);
  const window = folded.slice(begin, begin + MOST_LINES - 1);
  return [...window, {kind: "more", count: folded.length - window.length, depth: 0}];
}

function tapeList(context) {
  const {state, steps, words, recording} = context, current = steps[state.step];
  const toggle = (path) => {
    if (state.open.has(path)) state.open.delete(path);
    else state.open.add(path);
    context.render(`module:${path}`);
  };
  const walked = current.pass === "backward" ? current.walked : -1;
  const list = h("ul", {class: "tape"});
  for (const line of foldedLines(context)) {
    const indent = `padding-inline-start:${line.depth * 0.9}rem`;
    if (line.kind === "more") {
      list.append(h("li", {style: indent}, h("button", {type: "button", class: "count", "data-focus": "unfold", onclick: () => { state.unfolded = true; context.render("unfold"); }},
        words.get("moreRows", line.count))));
      continue;
    }
    if (line.kind === "module") {
      const holds = current.node.module === line.path || current.node.module.startsWith(line.path + ".");
      list.append(h("li", {style: indent}, h("button", {
        type: "button", class: holds ? "module holds" : "module", "aria-expanded": String(line.open), "data-focus": `module:${line.path}`,
        onclick: () => toggle(line.path)}, `${line.open ? "▾" : "▸"} ${line.name} `, h("span", {class: "count"}, line.count))));
      continue;
    }
    const {node} = steps[line.number], at = recording.position.get(node.id);
    const gone = walked >= 0 && at !== undefined && at < walked;
    const waits = node.gradient && recording.gradientAt(node, walked < 0 ? 0 : walked + 1).state !== "complete";
    list.append(h("li", {style: indent}, h("button", {
      type: "button", class: "node" + (node === current.node ? " current" : "") + (gone ? " walked" : "") + (badge(node) ? " " + badge(node) : ""),
      "aria-current": node === current.node ? "step" : null, "data-focus": `node:${node.id}`,
      onclick: () => context.go({screen: "tape", step: current.pass === "backward" && context.backwardStep(node) !== undefined
                                   ? context.backwardStep(node) : line.number})},
      `${node.id} ${shortName(node)} `, h("span", {class: "shape"}, `[${node.shape.join(", ")}]`),
      badge(node) === "wrong" ? " ✗" : badge(node) === "checked" ? " ✓" : badge(node) === "nonfinite" ? " ⚠" : "",
      waits && current.pass === "backward" ? h("span", {class: "waits"}, ` ${words.get("notYet")}`) : null)));
  }
  return list;
}

const badge = (node) => node.nonfinite ? "nonfinite" : !node.check ? "" : node.check.passed ? "checked" : "wrong";

// The tokens of the rows of an array.
function rowNames(context, node) {
  const {source, target} = context.recording.tokens;
  const time = node.shape.length >= 2 ? node.shape[node.shape.length - 2] : 0;
  if (node.op === "parameter") return null;
  const side = /(^|\.)encoder(\.|$)|^src_/.test(node.module) ? source : /(^|\.)decoder(\.|$)|^tgt_|^generator/.test(node.module) ? target : null;
  if (side && side.length === time) return side;
  const lab = context.recording.labs.find((l) => node.module.startsWith(l.path));
  const weights = lab && Object.entries(lab.nodes).some(([name, id]) => id === node.id && name.endsWith("proj_weight"));
  return lab && !weights && lab.rows.length === time ? lab.rows : null;
}
function columnNames(context, node) {
  const {labs} = context.recording, byKeys = labs.find(({nodes}) => [nodes.scores, nodes.weights, nodes.dropped].includes(node.id));
  if (byKeys) return byKeys.columns;
  const lab = labs.find((l) => l.path === node.module);
  if (!lab || node.shape.length !== 4) return null;
  const [rows, cols] = node.shape.slice(-2);
  return rows === lab.rows.length && cols === lab.columns.length ? lab.columns : null;
}
