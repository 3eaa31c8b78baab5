// State, address, keys and drawing. The address holds the whole state, so a link restores the view.

class Explorer {
  constructor(root, text) {
    const json = JSON.parse(text);
    this.root = root;
    this.recording = new Recording(json);
    this.steps = makeSteps(this.recording);
    this.tree = moduleTree(this.steps);
    this.backwardSteps = new Map(this.steps.flatMap((s, i) => s.pass === "backward" ? [[s.node.id, i]] : []));
    this.heads = new Map();
    const preferred = (navigator.language || "en").startsWith("zh") ? "zh" : "en";
    this.state = {screen: "tape", step: this.#opening(), slice: 0, cell: [0, 0], open_cell: false, array: null, lab: 0, labStep: "F1", head: 0,
                  parameter: 0, quiz: 0, hint: 0, theme: "system", language: preferred, letters: true, shared: false, search: "",
                  show: {v: true, g: true, n: true}, open: new Set(), tables: new Set(), unfolded: false};
    this.altered = wasAltered(text, json);
    this.room = MOST_CELLS_SHOWN;
    this.readAddress();
    this.#openPath(this.steps[this.state.step].node.module);
    window.addEventListener("hashchange", () => { if (!this.writing) { this.readAddress(); this.render(); } this.writing = false; });
    document.addEventListener("keydown", (event) => this.key(event));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.render());
  }
  get words() { return new Words(this.state.language); }
  dark() {
    return this.state.theme === "dark" || (this.state.theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  }
  // The step that opens by default: the first value that is not finite, or else the first wrong gradient.
  #opening() {
    const bad = this.recording.firstNonFinite();
    if (bad) return bad.nonfinite === "gradient" && this.backwardSteps.has(bad.id) ? this.backwardSteps.get(bad.id) : this.recording.nodes.indexOf(bad);
    const wrong = this.recording.firstWrong();
    return wrong ? this.#seenWhere(wrong) : 0;
  }
  // The step that shows the complete gradient of a node: its own, or, for a leaf, the rule that sent the last
  // part.
  #seenWhere(node) {
    if (this.backwardSteps.has(node.id)) return this.backwardSteps.get(node.id);
    return node.parts.length ? this.backwardSteps.get(node.parts[node.parts.length - 1].from.id) : this.recording.nodes.indexOf(node);
  }
  backwardStep(node) { return this.backwardSteps.get(node.id); }
  head() {
    const {lab, head} = this.state, key = `${lab}/${head}`;
    if (!this.heads.has(key)) this.heads.set(key, new Head(this.recording, this.recording.labs[lab], head));
    return this.heads.get(key);
  }
  labKeys() {
    const lab = this.recording.labs[this.state.lab];
    return lab ? labSteps(this.recording, lab) : [];
  }
  // The step of the lab; another lab may not have it.
  labKey() {
    const keys = this.labKeys();
    return keys.includes(this.state.labStep) ? this.state.labStep : keys[0];
  }
  cellIn(grid) {
    return [Math.min(this.state.cell[0], Math.max(grid.rows - 1, 0)), Math.min(this.state.cell[1], Math.max(grid.cols - 1, 0))];
  }
  #openPath(path) {
    const parts = path ? path.split(".") : [];
    parts.forEach((_, i) => this.state.open.add(parts.slice(0, i + 1).join(".")));
  }

  go(change) {
    const focus = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.focus : null;
    const before = this.steps[this.state.step].node;
    Object.assign(this.state, change);
    const node = this.steps[this.state.step].node;
    if (node !== before) {
      const stays = this.state.open;
      this.state.open = new Set([...stays].filter((path) => !before.module.startsWith(path) || node.module.startsWith(path)));
      this.#openPath(node.module);
      Object.assign(this.state, {open_cell: false, array: null, unfolded: false});
    }
    this.writeAddress();
    this.render(focus);
  }
  select(i, j, open, array = null) {
    this.opener = {i, j, name: array};
    this.go({cell: [i, j], open_cell: open, array});
    this.focusCell();
  }
  focusCell() {
    const {cell: [i, j], array} = this.state;
    const table = array ? [...this.root.querySelectorAll("table.matrix")].find((t) => t.dataset.name === array)
                        : this.root.querySelector("main table.matrix");
    const cell = table && table.querySelector(`td[data-i="${i}"][data-j="${j}"]`);
    if (cell) cell.focus({preventScroll: true});
  }
  closeCell() {
    this.go({open_cell: false});
    this.focusCell();
  }
  move(by) {
    if (this.state.screen === "lab") {
      const keys = this.labKeys(), labStep = keys[keys.indexOf(this.labKey()) + by];
      if (labStep) this.go({labStep, open_cell: false});
      return;
    }
    const step = Math.min(Math.max(this.state.step + by, 0), this.steps.length - 1);
    if (step !== this.state.step) this.go({step});
  }
  // To the first or the last step of the lab or the tape.
  moveTo(end) {
    const keys = this.labKeys();
    if (this.state.screen !== "lab") this.go({step: end === "first" ? 0 : this.steps.length - 1});
    else if (keys.length) this.go({labStep: end === "first" ? keys[0] : keys[keys.length - 1]});
  }
  moveModule(by) {
    const {steps, state} = this, {module} = steps[state.step].node;
    if (state.screen === "lab") {
      if (this.recording.labs.length === 0) return;
      const lab = Math.min(Math.max(state.lab + by, 0), this.recording.labs.length - 1);
      return this.go({lab, head: Math.min(state.head, this.recording.labs[lab].heads - 1), open_cell: false});
    }
    let step = state.step;
    while (step + by >= 0 && step + by < steps.length && steps[step].node.module === module) step += by;
    this.go({step});
  }
  moveHead(by) {
    if (this.state.screen !== "lab") {
      const slices = this.steps[this.state.step].node.value.slices;
      return this.go({slice: (this.state.slice + by + slices) % Math.max(slices, 1)});
    }
    const {heads} = this.recording.labs[this.state.lab] || {heads: 1};
    this.go({head: (this.state.head + by + heads) % heads});
  }

  // #s=B5&h=1&c=2,3 in the lab, #n=57&d=b on the tape.
  writeAddress() {
    const {state} = this, parts = [];
    if (state.screen === "lab" || state.screen === "quiz") parts.push(["s", state.labStep], ["h", state.head], ["l", state.lab]);
    else if (state.screen === "parameters") parts.push(["p", state.parameter]);
    else if (state.screen === "whatif") parts.push(["w", 1]);
    else parts.push(["n", this.steps[state.step].node.id], ["d", this.steps[state.step].pass[0]], ["k", state.slice]);
    if (state.screen === "quiz") parts.push(["q", state.quiz], ["i", state.hint]);
    if (state.open_cell) parts.push(["c", state.cell.join(",")], ["a", state.array]);
    if (state.theme !== "system") parts.push(["t", state.theme]);
    parts.push(["lang", state.language]);
    if (!state.letters) parts.push(["letters", "off"]);
    const text = "#" + parts.filter(([, v]) => v !== null).map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join("&");
    if (location.hash === text) return;
    this.writing = true;
    try { history.replaceState(null, "", text); this.writing = false; } catch { location.hash = text; }
  }
  readAddress() {
    const {state, steps, recording} = this, map = new URLSearchParams(location.hash.slice(1));
    const number = (key, most) => Math.min(Math.max(Number.parseInt(map.get(key), 10) || 0, 0), Math.max(most, 0));
    if (map.has("lang") && TEXT[map.get("lang")]) state.language = map.get("lang");
    if (["dark", "light", "system"].includes(map.get("t"))) state.theme = map.get("t");
    state.letters = map.get("letters") !== "off";
    if (map.has("n")) {
      const id = Number(map.get("n")), backward = map.get("d") === "b";
      let at = steps.findIndex((s) => s.node.id === id && (s.pass === "backward") === backward);
      if (at < 0 && recording.node(id)) at = this.#seenWhere(recording.node(id));
      if (at >= 0) Object.assign(state, {screen: "tape", step: at, slice: number("k", 1e6)});
    }
    if (map.has("s") && recording.labs.length) {
      state.lab = number("l", recording.labs.length - 1);
      Object.assign(state, {screen: map.has("q") ? "quiz" : "lab", labStep: LAB_STEPS.includes(map.get("s")) ? map.get("s") : "F1", head: number("h", recording.labs[state.lab].heads - 1)});
    }
    if (map.has("q")) Object.assign(state, {quiz: number("q", 1e6), hint: number("i", 3)});
    if (map.has("p")) Object.assign(state, {screen: "parameters", parameter: number("p", recording.parameters.length - 1)});
    if (map.has("w")) state.screen = "whatif";
    const cell = (map.get("c") || "").split(",").map(Number);
    state.open_cell = cell.length === 2 && cell.every(Number.isInteger);
    if (state.open_cell) Object.assign(state, {cell: cell.map((x) => Math.max(x, 0)), array: map.get("a")});
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || this.root.querySelector("dialog[open]")) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName), inGrid = event.target.closest && event.target.closest("td[data-i]");
    const {state} = this;
    if (event.key === "Enter" && event.target.id === "search") {
      const found = treeLines(this).find((line) => line.kind === "step");
      if (found) this.go({screen: "tape", step: found.number});
      return;
    }
    if (event.key === "Escape") {
      if (state.open_cell) this.closeCell();
      else if (typing) event.target.blur();
      else return;
      return event.preventDefault();
    }
    if (typing) return;
    const step = this.steps[state.step];
    const always = {
      ArrowRight: () => event.shiftKey ? this.moveModule(1) : this.move(1), ArrowLeft: () => event.shiftKey ? this.moveModule(-1) : this.move(-1),
      Home: () => this.moveTo("first"), End: () => this.moveTo("last")};
    const letters = {
      j: () => this.move(1), k: () => this.move(-1), h: () => this.moveHead(1), H: () => this.moveHead(-1),
      f: () => this.go({screen: "tape", step: this.recording.nodes.indexOf(step.node)}),
      b: () => this.backwardSteps.has(step.node.id) && this.go({screen: "tape", step: this.backwardSteps.get(step.node.id)}),
      v: () => this.toggle("v"), g: () => this.toggle("g"), n: () => this.toggle("n"), t: () => this.nextTheme(),
      "/": () => this.root.querySelector("#search")?.focus(), "?": () => this.root.querySelector("#help").showModal()};
    const action = (!inGrid || event.shiftKey) && always[event.key] || (state.letters && letters[event.key]);
    if (!action) return;
    event.preventDefault();
    action();
  }
  toggle(name) { this.go({show: {...this.state.show, [name]: !this.state.show[name]}}); }
  nextTheme() { this.go({theme: {system: "dark", dark: "light", light: "system"}[this.state.theme]}); }

  status() {
    const {state, words, steps, recording} = this;
    if (state.screen === "lab" && recording.labs.length) {
      const arrays = labStep(this, this.head(), this.labKey()).arrays, array = arrays[arrays.length - 1];
      if (!array) return this.labKey();
      const [i, j] = largestAt(array.grid);
      const place = `${array.rows ? array.rows[i] : i}, ${array.columns ? array.columns[j] : j}`;
      return words.get("labStatus", this.labKey(), state.head + 1, array.name, short(largest(array.grid)), place);
    }
    const {node, pass} = steps[state.step], slice = Math.min(state.slice, Math.max(node.value.slices - 1, 0));
    if (pass === "forward") return words.get("forwardStatus", state.step + 1, steps.length, nodeName(node), `[${node.shape.join(", ")}]`, "");
    const grid = node.gradient.slice(slice), [i, j] = largestAt(grid);
    return words.get("backwardStatus", state.step + 1, steps.length, nodeName(node), short(largest(grid)), grid.leftOut ? "" : words.get("at", i, j));
  }

  render(focus = null) {
    document.documentElement.dataset.theme = this.dark() ? "dark" : "light";
    document.documentElement.lang = this.state.language === "zh" ? "zh-Hans" : "en";
    const main = {tape: stepCard, lab: labScreen, parameters: parameterScreen, quiz: quizScreen, whatif: whatIfScreen}[this.state.screen];
    this.room = MOST_CELLS_SHOWN;
    const content = h("main", {id: "main"}, this.banners(), main(this));
    if (!this.frame) this.#build();
    this.header.replaceChildren(...this.headerParts());
    this.side.replaceChildren(...this.sideParts());
    this.main.replaceWith(content);
    this.main = content;
    const status = this.status();
    if (this.live.textContent !== status) this.live.textContent = status;
    this.dialogBox.replaceChildren(helpDialog(this));
    const target = focus && this.root.querySelector(`[data-focus="${CSS.escape(focus)}"]`);
    if (target) target.focus({preventScroll: true});
  }
  #build() {
    this.header = h("header", {});
    this.side = h("nav", {id: "side", "aria-label": "tape"});
    this.main = h("main", {});
    this.live = h("p", {role: "status", class: "status"});
    this.dialogBox = h("div", {});
    this.frame = true;
    this.root.replaceChildren(this.header, this.live, h("div", {class: "columns"}, this.side, this.main), this.dialogBox);
  }
  headerParts() {
    const {words, state, recording} = this, {meta} = recording;
    const tab = (screen, name) => h("button", {type: "button", "aria-pressed": String(state.screen === screen), "data-focus": `screen:${screen}`,
                                               onclick: () => this.go({screen, open_cell: false})}, name);
    const button = (key, text, act) => h("button", {type: "button", title: words.get(key), "aria-label": words.get(key), "data-focus": key, onclick: act}, text);
    const box = (name, checked, act, text) => h("label", {}, h("input", {type: "checkbox", checked, "data-focus": name, onchange: act}), " ", text);
    const attention = recording.labs.length > 0 || recording.nodes.some((n) => n.value.leftOut);
    return [
      h("h1", {}, words.get("title"), " ", h("small", {}, `${meta.title || ""} · ${words.get("loss")} ${short(meta.loss, 6)}`)),
      h("div", {class: "buttons", role: "group", "aria-label": words.get("screens")}, tab("tape", words.get("tape")), attention ? tab("lab", words.get("lab")) : null,
        recording.parameters.length ? tab("parameters", words.get("parameters")) : null,
        recording.whatIfs.length ? tab("whatif", words.get("whatIf")) : null, attention ? tab("quiz", words.get("quiz")) : null),
      h("div", {class: "buttons", role: "group", "aria-label": words.get("steps")},
        button("first", "⇤", () => this.moveTo("first")),
        button("previousModule", "«", () => this.moveModule(-1)), button("previous", "‹", () => this.move(-1)),
        button("next", "›", () => this.move(1)), button("nextModule", "»", () => this.moveModule(1)),
        button("last", "⇥", () => this.moveTo("last")),
        button("toForward", "f", () => this.key({key: "f", target: document.body, preventDefault() {}})),
        button("toBackward", "b", () => this.key({key: "b", target: document.body, preventDefault() {}})),
        button("previousHead", "h−", () => this.moveHead(-1)), button("nextHead", "h+", () => this.moveHead(1))),
      h("div", {class: "buttons", role: "group", "aria-label": words.get("options")},
        box("show-v", state.show.v, () => this.toggle("v"), words.get("value")), box("show-g", state.show.g, () => this.toggle("g"), words.get("gradient")),
        box("show-n", state.show.n, () => this.toggle("n"), words.get("numeric")),
        box("shared", state.shared, () => this.go({shared: !state.shared}), words.get("sharedScale")),
        box("letters", state.letters, () => this.go({letters: !state.letters}), words.get("letters")),
        h("button", {type: "button", "data-focus": "theme", onclick: () => this.nextTheme()}, `${words.get("theme")}: ${words.get(state.theme)}`),
        h("button", {type: "button", lang: state.language === "en" ? "zh-Hans" : "en", "data-focus": "language",
                     onclick: () => this.go({language: state.language === "en" ? "zh" : "en"})}, TEXT[state.language === "en" ? "zh" : "en"].language),
        h("button", {type: "button", "data-focus": "help", onclick: () => this.root.querySelector("#help").showModal()}, words.get("help")))];
  }
  sideParts() {
    const {words, state} = this;
    if (!this.searchBox) {
      this.searchBox = h("input", {id: "search", type: "search", "data-focus": "search",
                                   oninput: (event) => { this.state.search = event.target.value; this.side.replaceChildren(...this.sideParts()); this.searchBox.focus(); }});
    }
    this.searchBox.setAttribute("aria-label", words.get("search"));
    this.searchBox.setAttribute("placeholder", words.get("search"));
    return [h("h2", {}, words.get("tape")), this.searchBox,
            h("p", {class: "count"}, words.get("stepOf", state.step + 1, this.steps.length)), tapeList(this)];
  }
  banners() {
    const {words, recording} = this, list = [];
    const link = (node) => {
      const step = node.nonfinite ? this.#opening() : this.#seenWhere(node);
      return h("button", {type: "button", "data-focus": "banner", onclick: () => this.go({screen: "tape", step})}, words.get("goThere"));
    };
    if (this.altered) list.push(h("p", {class: "banner bad"}, words.get("altered")));
    const bad = recording.firstNonFinite(), wrong = recording.firstWrong();
    if (bad) list.push(h("p", {class: "banner bad"}, words.get("nonFinite", words.get(bad.nonfinite === "gradient" ? "gradient" : "value"), nodeName(bad)), " ", link(bad)));
    if (recording.meta.broken) list.push(h("p", {class: "banner"}, words.get("brokenRule", recording.meta.broken)));
    if (wrong) {
      const writer = wrong.parts.length ? wrong.parts.map((p) => `${nodeName(p.from)} (${p.from.src || p.from.op})`).join(" + ") : "—";
      list.push(h("p", {class: "banner bad"}, words.get("firstWrong", nodeName(wrong), writer), " ", link(wrong)));
    }
    for (const notice of recording.meta.notices || []) list.push(h("p", {class: "banner"}, translated(words, notice)));
    const dtype = (recording.meta.model || {}).dtype;
    if (dtype && dtype !== recording.meta.dtype) list.push(h("p", {class: "banner"}, words.get("dtypeNote", dtype)));
    if (recording.single) list.push(h("p", {class: "banner"}, words.get("single")));
    return list;
  }
}

function largestAt(grid) {
  let at = 0, most = -1;
  grid.data.forEach((x, i) => { if (Math.abs(x) > most) { most = Math.abs(x); at = i; } });
  return [Math.floor(at / Math.max(grid.cols, 1)), at % Math.max(grid.cols, 1)];
}
