// The other screens: attention lab, parameters, what if, help.

function labScreen(context) {
  const {state, words, recording} = context;
  if (recording.labs.length === 0) return h("p", {}, noLabs(context));
  const lab = recording.labs[state.lab], key = context.labKey(), text = labText(lab, key)[words.language];
  const head = context.head(), step = labStep(context, head, key);
  const choose = h("select", {"data-focus": "lab", onchange: (event) => context.go({lab: Number(event.target.value), head: 0, open_cell: false})},
    recording.labs.map((l, i) => h("option", {value: i, selected: i === state.lab}, [l.path, words.get("kind")[l.kind]].filter(Boolean).join(" — "))));
  const heads = h("div", {class: "buttons", role: "group", "aria-label": words.get("head")},
    [...Array(lab.heads).keys()].map((i) => h("button", {type: "button", "aria-pressed": String(i === state.head), "data-focus": `head:${i}`,
                                                         onclick: () => context.go({head: i})}, `${words.get("head")} ${i + 1}`)));
  const stepper = h("ol", {class: "lab-steps"}, labSteps(recording, lab).map((k) => h("li", {}, h("button", {
    type: "button", "aria-current": k === key ? "step" : null, "data-focus": `labstep:${k}`, title: labText(lab, k)[words.language][0],
    onclick: () => context.go({labStep: k, open_cell: false})}, k))));
  const chosen = openArray(context, step), explanation = chosen && chosen.explain(...context.cellIn(chosen.grid));
  const section = h("section", {"aria-labelledby": "lab-title"}, h("div", {class: "buttons"}, h("label", {}, words.get("module"), " ", choose), heads), stepper,
    h("h2", {id: "lab-title", tabindex: "-1"}, `${key} — ${text[0]}`), h("div", {class: "formula"}, formula(labText(lab, key).f)),
    numbersLine(explanation), h("p", {}, text[1]));
  section.append(labMatrices(context, head, step, chosen, explanation), labChecks(context, step));
  if (step.arrays.some((a) => a.grid.leftOut)) section.append(h("p", {class: "note"}, words.get("leftOutCells")));
  if (state.open_cell && explanation) section.append(explanationView(context, explanation, () => context.closeCell()));
  for (const array of step.arrays) {
    const node = array.node && /^d/.test(array.name) && recording.node(head.lab.nodes[array.node]);
    if (!node) continue;
    const chip = checkChip(context, node);
    if (chip) section.append(h("p", {class: "label"}, `${array.name}: `), chip);
  }
  return section;
}

// The reason for having no lab: none was found, or it was omitted from the page.
const noLabs = ({recording, words}) => recording.nodes.some((n) => n.value.leftOut) ? words.get("leftOut") : "—";

// The array whose cells are explained: the last one of the step that has explanations.
const openArray = (context, step) =>
  step.arrays.find((a) => a.name === context.state.array && a.explain) || [...step.arrays].reverse().find((a) => a.explain);

function labMatrices(context, head, step, chosen, explanation) {
  const {state, recording, words} = context;
  const scale = state.shared ? Math.max(...step.arrays.map((a) => largest(a.grid)), 0) : 0;
  const box = h("div", {class: "matrices"});
  for (const array of step.arrays) {
    const marks = ((explanation && explanation.marks) || []).filter((mark) => mark.name === array.name);
    const marked = (i, j) => marks.some((m) => (m.row === undefined || m.row === i) && (m.column === undefined || m.column === j));
    const view = {name: array.name, grid: array.grid, rowNames: array.rows, columnNames: array.columns, kept: array.masked,
                  scale: scale || undefined, note: array.note, marked, selected: array === chosen ? context.cellIn(array.grid) : null,
                  onselect: array.explain ? (i, j, open) => context.select(i, j, open, array.name) : null};
    box.append(matrixView(context, view));
    const node = array.node && recording.node(head.lab.nodes[array.node]);
    if (array.grid.leftOut || !state.show.n || !node || !node.numeric || node.sampled || !/^d/.test(array.name)) continue;
    const numeric = node.numeric.slice(head.head), plain = {...view, note: null, onselect: null, selected: null, marked: null};
    const blank = (i, j) => Number.isNaN(numeric.at(i, j)) ? words.get("kink") : null;
    box.append(matrixView(context, {...plain, name: `${array.name} — ${words.get("numeric")}`, grid: numeric, blank}),
               matrixView(context, {...plain, name: `${array.name} — ${words.get("difference")}`, grid: array.grid.map((x, i, j) => x - numeric.at(i, j)), blank, scale: undefined}));
  }
  return box;
}

function labChecks(context, step) {
  const {words} = context;
  if (step.checks.length === 0) return "";
  return h("section", {}, h("h3", {}, words.get("checks")), h("ul", {class: "checks"}, step.checks.map((check) => {
    const holds = check.error <= check.tolerance;
    return h("li", {class: holds ? "good" : "bad"}, `${holds ? "✓" : "✗"} ${check.text} `, h("span", {class: "note"},
      `${words.get(holds ? "ok" : "bad")}, ${words.get("difference")} ${short(check.error)}`));
  })));
}

function parameterScreen(context) {
  const {recording, words, state} = context;
  const chosen = recording.parameters[state.parameter] || recording.parameters[0];
  if (!chosen) return h("p", {}, "—");
  const node = recording.node(chosen.node), update = recording.array(chosen.update, node.shape) || (chosen.summary && new LeftOut(node.shape, chosen.summary));
  const select = h("select", {"data-focus": "parameter", onchange: (event) => context.go({parameter: Number(event.target.value)})},
    recording.parameters.map((p, i) => h("option", {value: i, selected: p === chosen}, `${p.name} [${recording.node(p.node).shape.join(", ")}]`)));
  const box = h("div", {class: "matrices"}, nodeMatrices(context, node, Infinity, chosen.name));
  if (update) box.append(matrixView(context, {name: `${chosen.name} — ${words.get("update")}`, grid: update.slice(0),
                                              note: words.get("optimizer", translated(words, recording.meta.optimizer || ""))}));
  return h("section", {"aria-labelledby": "parameters-title"}, h("h2", {id: "parameters-title", tabindex: "-1"}, words.get("parameters")),
    h("p", {}, h("label", {}, words.get("parameters"), " ", select)), box, checkChip(context, node) || "", contributions(context, node, Infinity));
}

// Losses of changed runs beside their predictions from the gradient.
function whatIfScreen(context) {
  const {words, recording} = context, list = recording.whatIfs;
  const section = h("section", {"aria-labelledby": "whatif-title"}, h("h2", {id: "whatif-title", tabindex: "-1"}, words.get("whatIf")), h("p", {}, words.get("whatIfIntro")));
  if (list.length === 0) return h("section", {}, section, h("p", {}, words.get("noWhatIf")));
  const most = Math.max(...list.flatMap((w) => [Math.abs(w.change), Math.abs(w.predicted)]), 1e-300);
  const figure = (x) => {
    const {back, text} = shade(x, most, context.dark()), cell = h("td", {"data-value": String(x), title: exact(x)}, short(x, 4));
    cell.style.cssText = `background:${back};color:${text}`;
    return cell;
  };
  const sorted = [...list].sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
  section.append(h("div", {class: "scroll list", tabindex: "0", role: "group", "aria-label": words.get("whatIf")}, h("table", {class: "explain whatif"},
    h("thead", {}, h("tr", {}, ["edit", "module", "loss", "change", "predicted", "difference"].map((key) => h("th", {scope: "col"}, words.get(key))))),
    h("tbody", {}, sorted.map((w) => h("tr", {}, h("th", {scope: "row"}, whatIfTitle(words, w)), h("td", {class: "text"}, w.path || "—"),
      h("td", {"data-value": String(w.loss), title: exact(w.loss)}, short(w.loss, 6)), figure(w.change), figure(w.predicted), h("td", {}, short(w.change - w.predicted, 3))))))));
  section.append(h("p", {class: "note"}, words.get("whatIfNote", short(recording.meta.loss, 6))));
  return section;
}
const whatIfTitle = (words, w) => words.language === "zh" ? w.title_zh || translated(words, w.title) : w.title;

// Translates a sentence of the page's writer into the reader's language, if the page has a translation.
function translated(words, text) {
  if (typeof text !== "string") return text[words.language] || text.en;
  for (const [pattern, there] of words.language === "zh" ? SENTENCES : [])
    if (pattern.test(text)) return text.replace(pattern, there);
  return text;
}

function helpDialog(context) {
  const {words} = context;
  return h("dialog", {id: "help", "aria-labelledby": "help-title"}, h("h2", {id: "help-title"}, words.get("keys")),
    h("table", {class: "keys"}, h("tbody", {}, words.get("keyList").map(([key, what]) => h("tr", {}, h("th", {scope: "row"}, key), h("td", {}, what))))),
    h("p", {}, words.get("signs")),
    h("form", {method: "dialog"}, h("button", {}, words.get("close"))));
}
