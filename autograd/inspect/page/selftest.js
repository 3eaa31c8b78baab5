// `page.html#selftest`: walks all steps as a reader would and compares shown, stored and recomputed numbers.
// Ends with PASS n/n or FAIL k/n in #selftest.

// The page writer's name for the path of attention outside of layers.
const THE_RUN = "the run";

// As C++ prints {:.3g}.
function threeDigits(x) {
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "nan" : x > 0 ? "inf" : "-inf";
  if (x === 0) return Object.is(x, -0) ? "-0" : "0";
  const [digits, exponent] = x.toExponential(2).split("e"), size = Math.abs(Number(exponent));
  if (Number(exponent) >= -4 && Number(exponent) < 3) return String(Number(x.toPrecision(3)));
  return `${Number(digits)}e${exponent[0]}${String(size).padStart(2, "0")}`;
}

// True when `text` is x as printed. x may be rounded itself, and a sum that is 0 up to rounding has no exact
// digits.
function printedAs(text, x, tolerance, most) {
  if (Number.isNaN(x)) return text.replace("-", "") === "nan";
  return [x, x * (1 - tolerance), x * (1 + tolerance)].some((y) => threeDigits(y) === text)
      || (x !== 0 && Math.abs(x) <= 1e-14 * most && Math.abs(Number(text)) <= 1e-14 * most);
}

class SelfTest {
  constructor(explorer) {
    this.explorer = explorer;
    this.passed = 0;
    this.failures = [];
  }
  expect(holds, what) {
    if (holds) ++this.passed;
    else this.failures.push(what);
  }
  run() {
    const {explorer} = this;
    this.expect(!explorer.altered, "fingerprint of the numbers");
    this.sums();
    this.values();
    this.sent();
    this.stored();
    this.told();
    this.updates();
    this.withoutScript();
    if (this.failures.length === 0) this.walk();  // the steps need sound data
    const total = this.passed + this.failures.length;
    return this.failures.length ? `FAIL ${this.failures.length}/${total}\n${this.failures.slice(0, 50).join("\n")}` : `PASS ${this.passed}/${total}`;
  }
  walk() {
    const {explorer} = this;
    explorer.steps.forEach((step, number) => this.step(step, number));
    this.walkBack();
    explorer.recording.labs.forEach((lab, l) => [...Array(lab.heads).keys()].forEach((head) =>
      labSteps(explorer.recording, lab).forEach((key) => this.lab(l, head, key))));
    explorer.recording.parameters.forEach((_, at) => this.shown({screen: "parameters", parameter: at, open_cell: false}));
    this.broken();
  }
  // Contributions add up to the gradient.
  sums() {
    const tolerance = this.explorer.recording.tolerance / 100;
    for (const node of this.explorer.recording.nodes) {
      if (!node.gradient || node.gradient.leftOut || node.parts.length === 0 || node.parts.some((p) => p.grid.leftOut)) continue;
      const sum = new Float64Array(node.gradient.data.length);
      for (const part of node.parts) part.grid.data.forEach((x, i) => { sum[i] += x; });
      this.expect(difference(node.gradient, new Grid(node.shape, sum)) <= tolerance, `sum of contributions: ${nodeName(node)}`);
    }
  }
  // Explains every value that the page can explain.
  values() {
    const {explorer} = this, state = explorer.state;
    for (const node of explorer.recording.nodes) {
      let worst = true;
      if (explorer.recording.incomplete(node)) continue;
      for (let s = 0; s < node.value.slices && worst; ++s)
        for (let i = 0; i < node.value.rows && worst; ++i)
          for (let j = 0; j < node.value.cols && worst; ++j) {
            const e = explainNode(explorer, node, s, i, j);
            if (!e) break;
            worst = close(e.total, e.expected, explorer.recording.tolerance);
          }
      this.expect(worst, `value from its inputs: ${nodeName(node)}`);
    }
    explorer.state = state;
  }
  // Explains every contribution that the page can explain, except those of a rule that was broken on purpose.
  sent() {
    const {explorer} = this, {recording} = explorer;
    for (const node of recording.nodes)
      for (const edge of node.edges) {
        let worst = 0;
        if (edge.grid.leftOut || recording.incomplete(node)) continue;
        for (let s = 0; s < edge.grid.slices; ++s)
          for (let i = 0; i < edge.grid.rows; ++i)
            for (let j = 0; j < edge.grid.cols; ++j) {
              const e = explainSent(explorer, node, edge, s, i, j);
              if (!e) break;
              worst = Math.max(worst, Object.is(e.total, e.expected) ? 0 : Math.abs(e.total - e.expected));
            }
        if (!recording.meta.broken) this.expect(worst <= recording.tolerance * Math.max(largest(edge.grid), recording.single ? 1e-2 : 1e-6), `${nodeName(node)} sends to its input ${edge.input}`);
      }
  }
  // The stored results of the checks agree with the page's own.
  stored() {
    const same = (a, b, floor) => Object.is(a, b) || a === null || Math.abs(a - b) <= 1e-9 * Math.max(Math.abs(b), floor);
    for (const {check, num_err: said, nonfinite, ...node} of this.explorer.recording.nodes) {
      if (!check || !said || nonfinite) continue;
      this.expect(same(said.rel, check.relative, 1e-6) && same(said.abs, check.absolute, 1e-9) && said.cell === check.cell
                  && said.passed === check.passed, `stored check of ${nodeName(node)}`);
    }
  }
  // The stored loss, and the losses of changed runs.
  told() {
    const {recording} = this.explorer, {meta} = recording, loss = recording.node(recording.json.loss);
    const close = (a, b) => Math.abs(a - b) <= 1e-12 * Math.max(Math.abs(a), Math.abs(b), 1);
    this.expect(loss.value.leftOut || Object.is(meta.loss, loss.value.data[0]) || !Number.isFinite(loss.value.data[0]), "the loss that is told");
    for (const {title, path, loss: changed, change, predicted} of recording.whatIfs) {
      this.expect(close(changed, meta.loss + change), `${title}, ${path}: loss and change`);
      const slope = meta.broken ? null : this.#slope(title, path);
      this.expect(slope === null || (predicted === null ? !Number.isFinite(slope) : close(predicted, -slope)), `${title}, ${path}: predicted`);
    }
  }
  // Value times gradient, summed over the elements that the changed run set to zero.
  #slope(title, path) {
    const {recording} = this.explorer, [, what, number] = /^without (head|source token) (\d+)/.exec(title) || [];
    const lab = recording.labs.find((l) => l.path === path);
    const node = what === "head" ? lab && recording.node(lab.nodes.context)
                                 : recording.nodes.find((n) => n.op === "embedding" && n.module === path && n.value.rows === recording.tokens.source.length);
    if (!what || !node || node.value.leftOut || !node.gradient || (what !== "head" && node.value.slices !== 1)) return null;
    const size = what === "head" ? node.value.rows * node.value.cols : node.value.cols, begin = (number - 1) * size;
    let sum = 0;
    for (let i = begin; i < begin + size; ++i) sum += node.value.data[i] * node.gradient.data[i];
    return recording.f32.length && what !== "head" ? null : sum;
  }
  // The optimizer's updates, recomputed for the optimizers that the page implements.
  updates() {
    const {recording} = this.explorer, told = recording.meta.optimizer || "";
    const plain = /^gradient descent, learning rate (\S+)$/.exec(told);
    const adam = /^the first step of AdamW, learning rate (\S+), betas \S+ and \S+, weight decay (\S+)$/.exec(told);
    if (!plain && !adam) return;
    const rate = Number((plain || adam)[1]), decay = adam ? Number(adam[2]) : 0;
    for (const {name, node: id, update} of recording.parameters) {
      const {gradient, value} = recording.node(id);
      if (!update || !gradient || gradient.leftOut || value.leftOut) continue;
      const stored = recording.array(update, value.shape).data;
      const fits = (lambda) => stored.every((x, i) => {
        const g = gradient.data[i], expected = -rate * (plain ? g : g / (Math.abs(g) + 1e-8) + lambda * value.data[i]);
        return !Number.isFinite(expected) || Math.abs(x - expected) <= recording.tolerance * Math.max(Math.abs(expected), plain ? 0 : rate);
      });
      this.expect(fits(decay) || fits(0), `update of ${name}`);  // some parameters do not decay
    }
  }
  // The static tables, which readers without JavaScript see, print the numbers of head 1.
  withoutScript() {
    const {explorer} = this, {recording} = explorer, holder = document.querySelector("noscript");
    const tables = [...new DOMParser().parseFromString(holder ? holder.textContent : "", "text/html").querySelectorAll("table")];
    for (const table of tables) {
      const [path, step] = (table.caption ? table.caption.textContent : "").split(": "), name = (step || "").replace(/^\w+ /, "").replace("dropped P", "R");
      const lab = recording.labs.find((l) => (l.path || THE_RUN) === path);
      if (!lab) continue;
      const grid = new Head(recording, lab, 0)[name], cells = [...table.querySelectorAll("td")].slice(1);
      if (!grid || grid.leftOut) continue;
      const most = largest(grid);
      this.expect(cells.length === grid.data.length && cells.every((c, k) => printedAs(c.textContent, grid.data[k], recording.tolerance, most)),
                  `static table ${path}: ${name}`);
    }
  }
  // Draws a state and compares every printed number with the stored one.
  shown(change) {
    const {explorer} = this;
    Object.assign(explorer.state, change);
    explorer.render();
    for (const table of explorer.main.querySelectorAll("table.matrix:not(.absent)"))
      for (const cell of table.querySelectorAll("td[data-value]"))
        if (cell.textContent !== short(Number(cell.dataset.value.replace("+inf", "Infinity").replace("-inf", "-Infinity"))))
          return this.expect(false, `cell of ${table.dataset.name}`);
    this.expect(true);
  }
  step({node, pass, walked}, number) {
    this.shown({screen: "tape", step: number, open_cell: false, slice: 0});
    const {explorer} = this, tables = [...explorer.main.querySelectorAll("table.matrix")];
    const gradient = tables.find((t) => t.dataset.name === `${shortName(node)} — ${explorer.words.get("gradient")}`);
    const waiting = gradient && gradient.classList.contains("absent");
    this.expect(!node.gradient || node.gradient.leftOut || node.value.data.length > MOST_CELLS || waiting === (pass === "forward"), `gradient shown too early or late: ${number}`);
    if (pass === "backward") {
      this.expect(explorer.recording.gradientAt(node, walked).state === "complete" || node.id === explorer.recording.json.loss,
                  `gradient complete in its turn: ${nodeName(node)}`);
      if (node.check && !explorer.recording.meta.broken) this.expect(node.check.passed, `numerical gradient: ${nodeName(node)}`);
    }
  }
  // A walk forward and back leaves the page unchanged.
  walkBack() {
    const {explorer} = this, last = explorer.steps.length - 1;
    Object.assign(explorer.state, {screen: "tape", step: 0, open: new Set()});
    explorer.go({step: 0});
    const before = explorer.main.textContent;
    for (let i = 0; i < Math.min(last, 20); ++i) explorer.move(1);
    for (let i = 0; i < Math.min(last, 20); ++i) explorer.move(-1);
    this.expect(explorer.main.textContent === before, "20 steps forward and back");
    if (explorer.recording.whatIfs.length) this.shown({screen: "whatif"});
    if (explorer.recording.labs.length) this.shown({screen: "quiz", quiz: 0, hint: 3, lab: 0, head: 0});
  }
  lab(lab, head, key) {
    const {explorer} = this;
    this.shown({screen: "lab", lab, head, labStep: key, open_cell: false});
    const step = labStep(explorer, explorer.head(), key), broken = explorer.recording.meta.broken;
    for (const check of step.checks)
      if (!broken) this.expect(check.error <= check.tolerance, `${explorer.recording.labs[lab].path} head ${head + 1} ${key}: ${check.text}`);
    const array = openArray({state: {array: null}}, step);
    if (!array) return;
    let worst = true;
    const tolerance = Math.max(1e-9, ...step.checks.map((check) => check.tolerance));
    for (let i = 0; i < array.grid.rows && worst; ++i)
      for (let j = 0; j < array.grid.cols && worst; ++j) {
        const e = array.explain(i, j);
        worst = e.expected === undefined || e.total === e.expected || Math.abs(e.total - e.expected) <= tolerance * Math.max(largest(array.grid), 1e-6);
      }
    if (!broken) this.expect(worst, `${key}: cells of ${array.name}`);
  }
  // On a page with a broken rule, the checks must find that rule.
  broken() {
    const {recording} = this.explorer;
    if (recording.meta.broken) this.expect(recording.firstWrong() !== null, "the broken rule turned nothing red");
  }
}

// An inconsistent recording gives an error message instead of a blank page.
function selfTest(root, text) {
  try {
    if (wasAltered(text, JSON.parse(text))) return "FAIL 1/1\nfingerprint of the numbers";
    return new SelfTest(new Explorer(root, text)).run();
  } catch (error) {
    return `FAIL 1/1\n${error}`;
  }
}

function start() {
  const root = document.getElementById("explorer"), text = document.getElementById("tape").textContent;
  if (location.hash === "#selftest") {
    const result = selfTest(root, text);
    root.replaceChildren(h("main", {}, h("h1", {}, TEXT.en.selfTest), h("pre", {id: "selftest"}, result)));
    return;
  }
  try {
    new Explorer(root, text).render();
  } catch (error) {
    root.replaceChildren(h("main", {}, h("h1", {}, TEXT.en.title), h("p", {role: "alert"}, `${TEXT.en.unreadable} ${TEXT.zh.unreadable} (${error})`)));
    throw error;
  }
  document.documentElement.dataset.ready = "true";
}
start();
