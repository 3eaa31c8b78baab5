// The timeline's page: one sample of a training at a time.

function readMap(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return Array.from({length: bytes.length / 2}, (_, i) => (bytes[2 * i] + 256 * bytes[2 * i + 1]) / 65535);
}

function norm(values) { return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0)); }
function mean(values) { return values.reduce((sum, x) => sum + x, 0) / values.length; }
function ratio(update, weight) { return weight > 0 ? update / weight : NaN; }

// Equals head_state() in timeline.cpp.
function headState(sample, head) {
  if (sample.entropy[head] >= 0.99) return "uniform";
  if (sample.focus[head] >= 0.95) return "one_key";
  return sample.head_gradient[head] < 1e-3 * Math.max(...sample.head_gradient) ? "no_gradient" : "alive";
}

class TimelinePage {
  constructor(root, data) {
    Object.assign(this, {root, data, maps: new Map()});
    this.state = {sample: data.samples.length - 1, layer: 0, theme: "system", language: (navigator.language || "").startsWith("zh") ? "zh" : "en"};
    this.readAddress();
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", () => this.render());
    addEventListener("hashchange", () => { this.readAddress(); this.render(); });
    document.addEventListener("keydown", (event) => this.key(event));
    this.render();
  }
  get words() { return new TimelineWords(this.state.language); }
  get sample() { return this.data.samples[this.state.sample]; }
  dark() { return this.state.theme === "dark" || (this.state.theme === "system" && this.system.matches); }

  readAddress() {
    const map = new URLSearchParams(location.hash.slice(1)), {state, data} = this;
    const number = (key, most, otherwise) => map.has(key) ? Math.min(Math.max(Number.parseInt(map.get(key), 10) || 0, 0), Math.max(most, 0)) : otherwise;
    state.sample = number("i", data.samples.length - 1, state.sample);
    state.layer = number("l", data.attention.length - 1, state.layer);
    if (TIMELINE_TEXT[map.get("lang")]) state.language = map.get("lang");
    if (["dark", "light", "system"].includes(map.get("t"))) state.theme = map.get("t");
  }
  writeAddress() {
    const {state} = this, parts = [`i=${state.sample}`, `l=${state.layer}`];
    if (state.theme !== "system") parts.push(`t=${state.theme}`);
    parts.push(`lang=${state.language}`);
    try { history.replaceState(null, "", "#" + parts.join("&")); } catch { /* an address that cannot be kept */ }
  }
  go(change) {
    const focus = document.activeElement?.dataset?.focus, open = new Set([...this.root.querySelectorAll("details[open]")].map((d) => d.id));
    Object.assign(this.state, change);
    this.writeAddress();
    this.render(open);
    const target = focus && this.root.querySelector(`[data-focus="${CSS.escape(focus)}"]`);
    if (target) target.focus({preventScroll: true});
  }
  move(by) { this.to(this.state.sample + by); }
  to(sample) {
    const at = Math.min(Math.max(sample, 0), this.data.samples.length - 1);
    if (at >= 0 && at !== this.state.sample) this.go({sample: at});
  }
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const act = {ArrowRight: () => this.move(1), ArrowLeft: () => this.move(-1), PageUp: () => this.move(10), PageDown: () => this.move(-10),
                 Home: () => this.to(0), End: () => this.to(Infinity)}[event.key];
    if (!act || !this.data.samples.length) return;
    event.preventDefault();
    act();
  }

  render(open = new Set()) {
    const {data, words} = this;
    document.documentElement.dataset.theme = this.dark() ? "dark" : "light";
    document.documentElement.lang = this.state.language === "zh" ? "zh-Hans" : "en";
    if (!this.live) {
      this.live = h("p", {role: "status", class: "status"});
      this.top = h("header", {});
      this.controls = h("nav", {class: "controls buttons"});
      this.main = h("main", {});
      this.root.replaceChildren(this.top, this.controls, this.live, this.main);
    }
    this.top.replaceChildren(...this.header());
    this.controls.replaceChildren(...this.stepControl());
    this.controls.setAttribute("aria-label", words.get("steps"));
    const sections = [h("dl", {class: "facts"}, data.facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))];
    if (this.sample) sections.push(this.curves(open), this.layers(), this.heads(), this.attention());
    if (data.initial) sections.push(this.start(open));
    this.main.replaceChildren(...sections.filter((s) => s));
    const status = this.status();
    if (this.live.textContent !== status) this.live.textContent = status;
    document.documentElement.dataset.ready = "";
  }
  status() {
    const {words, sample, data} = this;
    if (!sample) return words.get("nothing");
    const dead = sample.entropy.filter((_, head) => headState(sample, head) !== "alive").length;
    return words.get("status", sample.step, this.state.sample + 1, data.samples.length, short(sample.loss, 4), short(sample.gradient_norm, 4),
                     short(ratio(norm(sample.update), norm(sample.weight))), dead, sample.entropy.length);
  }
  header() {
    const {words, state, data} = this, other = state.language === "en" ? "zh" : "en";
    return [h("h1", {}, words.get("title"), " ", h("small", {}, data.title)),
      h("div", {class: "buttons", role: "group", "aria-label": words.get("options")},
        h("button", {type: "button", "data-focus": "theme", onclick: () => this.go({theme: {system: "dark", dark: "light", light: "system"}[state.theme]})},
          `${words.get("theme")}: ${words.get(state.theme)}`),
        h("button", {type: "button", "data-focus": "language", lang: other === "zh" ? "zh-Hans" : "en", onclick: () => this.go({language: other})},
          TIMELINE_TEXT[other].language))];
  }
  stepControl() {
    const {words, data, state} = this;
    if (!data.samples.length) return [];
    const button = (key, text, act) => h("button", {type: "button", title: words.get(key), "aria-label": words.get(key), "data-focus": key, onclick: act}, text);
    const slider = h("input", {type: "range", min: 0, max: data.samples.length - 1, "aria-label": words.get("slider"), title: words.get("keys"),
                               "data-focus": "slider", "aria-valuetext": words.get("now", this.sample.step)});
    slider.value = state.sample;
    slider.addEventListener("input", () => this.to(Number(slider.value)));
    return [button("first", "⇤", () => this.to(0)), button("previous", "‹", () => this.move(-1)), slider, button("next", "›", () => this.move(1)),
            button("last", "⇥", () => this.to(Infinity)), h("span", {class: "now"}, words.get("now", this.sample.step))];
  }

  chart(title, points, logarithmic, note = null, second = []) {
    const finite = points.filter((p) => Number.isFinite(p[1])), {words} = this;
    if (!finite.length) return null;
    const values = finite.map((p) => p[1]), first = finite[0], last = finite[finite.length - 1], log = logarithmic && values.some((x) => x > 0);
    const label = words.get("chart", title, short(first[1]), first[0], short(last[1]), last[0], short(Math.min(...values)), short(Math.max(...values)));
    return h("figure", {}, h("figcaption", {}, h("strong", {}, title), log ? ` (${words.get("logarithmic")})` : "", note ? [h("br"), h("span", {class: "note"}, note)] : null),
             lineChart({points, second, step: this.sample.step, label, logarithmic: log}));
  }
  curves(open) {
    const {words, data} = this, over = (f) => data.samples.map((s) => [s.step, f(s)]);
    const losses = data.samples.map((s) => s.loss), wide = Math.max(...losses) > 30 * Math.min(...losses);
    const columns = [["loss", (s) => s.loss], ["gradientNorm", (s) => s.gradient_norm], ["updateRatio", (s) => ratio(norm(s.update), norm(s.weight))],
                     ["learningRate", (s) => s.learning_rate]];
    const valid = data.validation.map((p) => [p.step, p.loss]);
    return h("section", {}, h("h2", {}, words.get("curves")),
      h("div", {class: "charts"},
        this.chart(words.get("loss"), over((s) => s.loss), wide, valid.length ? `${words.get("training")}, ${words.get("validation")}` : null, valid),
        this.chart(words.get("gradientNorm"), over((s) => s.gradient_norm), true, words.get("gradientNote")),
        this.chart(words.get("updateRatio"), over(columns[2][1]), true, words.get("ratioNote")),
        data.attention.length ? this.chart(words.get("entropy"), over((s) => mean(s.entropy)), false) : null),
      this.details("samples", words.get("allNumbers"), open, () => this.table({
        caption: words.get("allNumbers"), columns: [words.get("step"), ...columns.map(([key]) => words.get(key))],
        rows: data.samples.map((s) => [s.step, ...columns.map(([, f]) => f(s))])})));
  }
  // A section whose content is created when it is first opened.
  details(id, title, open, make) {
    const box = h("details", {id, open: open.has(id)}, h("summary", {"data-focus": id}, title));
    const fill = () => { if (box.open && box.children.length === 1) box.append(make()); };
    box.addEventListener("toggle", fill);
    fill();
    return box;
  }
  cell(value) {
    return typeof value === "number" ? h("td", {"data-value": exact(value).replace(/−/g, "-"), title: exact(value)}, Number.isNaN(value) ? "–" : short(value))
         : value instanceof Node ? value : h("td", {class: "text"}, value);
  }
  table({caption, columns, rows}) {
    return h("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption}, h("table", {class: "numbers"}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map((c) => h("th", {scope: "col"}, c)))),
      h("tbody", {}, rows.map(([name, ...cells]) => h("tr", {}, h("th", {scope: "row"}, name), cells.map((c) => this.cell(c)))))));
  }

  layers() {
    const {words, data, sample} = this;
    return h("section", {}, h("h2", {}, words.get("layers")), h("p", {class: "note"}, words.get("layersNote")), this.table({
      caption: words.get("layersCaption", sample.step), columns: ["layer", "gradient", "weight", "update", "ratio", "over"].map((key) => words.get(key)),
      rows: data.layers.map((name, i) => [name, sample.gradient[i], sample.weight[i], sample.update[i], ratio(sample.update[i], sample.weight[i]),
        h("td", {}, sparkLine(data.samples.map((s) => [s.step, Math.log10(s.gradient[i])]), sample.step))])}));
  }
  heads() {
    const {words, data, sample} = this;
    if (!data.attention.length) return null;
    let first = 0;
    const most = Math.max(...data.attention.map((a) => a.heads));
    const rows = data.attention.map((a) => {
      const cells = Array.from({length: most}, (_, head) => head < a.heads ? this.headCell(first + head) : h("td", {}));
      first += a.heads;
      return [a.path, ...cells];
    });
    return h("section", {}, h("h2", {}, words.get("heads")), h("p", {class: "note"}, words.get("headsNote")), this.table({
      caption: words.get("headsCaption", sample.step), columns: [words.get("layer"), ...Array.from({length: most}, (_, i) => words.get("head", i + 1))], rows}));
  }
  headCell(head) {
    const {words, data, sample} = this, entropy = sample.entropy[head], state = headState(sample, head);
    return shaded(h("td", {class: "head", "data-value": exact(entropy), "data-state": state}, short(entropy), " ",
                    sparkLine(data.samples.map((s) => [s.step, s.entropy[head]]), sample.step, 0, 1),
                    state === "alive" ? null : h("span", {class: "state"}, words.get(state))), entropy, this.dark());
  }
  attention() {
    const {words, data, state, sample} = this;
    const taken = data.snapshots.filter((s) => s.step <= sample.step).pop() || data.snapshots[0];
    if (!taken || !data.attention.length) return null;
    const place = data.attention[state.layer], key = `${taken.step}/${state.layer}`;
    if (!this.maps.has(key)) this.maps.set(key, readMap(taken.maps[state.layer]));
    const select = h("select", {id: "which", "data-focus": "which", onchange: (event) => this.go({layer: Number(event.target.value)})},
                     data.attention.map((a, i) => h("option", {value: i, selected: i === state.layer}, a.path)));
    return h("section", {}, h("h2", {}, words.get("maps")), h("p", {class: "note"}, words.get("mapsNote", taken.step)),
      h("p", {}, h("label", {for: "which"}, words.get("whichLayer"), " ", select)),
      h("div", {class: "matrices"}, Array.from({length: place.heads}, (_, head) =>
        this.map(place, this.maps.get(key), head, words.get("mapCaption", head + 1, place.path, taken.step)))));
  }
  map(place, weights, head, caption) {
    const {rows, columns} = place, dark = this.dark(), first = head * rows.length * columns.length;
    const cell = (i, j) => {
      const p = weights[first + i * columns.length + j];
      return p === 0 ? h("td", {class: "share none", "data-value": "0"}, "0")
                     : shaded(h("td", {class: "share", "data-value": String(p), title: `${rows[i]} → ${columns[j]}: ${short(p, 4)}`}, p.toFixed(2)), p, dark);
    };
    return h("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption}, h("table", {class: "matrix", "data-name": caption}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, h("td", {}), columns.map((c) => h("th", {scope: "col"}, c)))),
      h("tbody", {}, rows.map((r, i) => h("tr", {}, h("th", {scope: "row"}, r), columns.map((_, j) => cell(i, j)))))));
  }
  start(open) {
    const {words, data: {initial}} = this, sizes = (shape) => `[${shape.join(", ")}]`, number = (x) => x === null ? NaN : x;
    return h("section", {}, h("h2", {}, words.get("start")), h("p", {class: "note"}, words.get("startNote")),
      initial.warnings.length ? [h("h3", {}, words.get("warnings")), h("ul", {}, initial.warnings.map((w) => h("li", {class: "warn"}, w)))] : h("p", {}, words.get("noWarnings")),
      this.details("parameters", words.get("parametersCaption"), open, () => this.table({
        caption: words.get("parametersCaption"), columns: ["parameter", "shape", "mean", "deviation", "promised", "rule"].map((key) => words.get(key)),
        rows: initial.parameters.map((p) => [p.name, sizes(p.shape), number(p.mean), number(p.deviation), number(p.promised), p.rule || "–"])})),
      this.details("signals", words.get("signalsCaption"), open, () => this.table({
        caption: words.get("signalsCaption"), columns: ["layer", "shape", "activation", "signal"].map((key) => words.get(key)),
        rows: initial.layers.map((l) => [l.path || words.get("model"), sizes(l.shape), number(l.activation), number(l.gradient)])})));
  }
}

function shaded(element, p, dark) {
  element.style.cssText = shareColours(p, dark);
  return element;
}

// #selftest: checks the invariants of any timeline and prints `PASS n/n` or `FAIL k/n`.
function timelineSelfTest(data) {
  let passed = 0, count = 0;
  const holds = (x) => { ++count; passed += Boolean(x); };
  const heads = data.attention.reduce((sum, a) => sum + a.heads, 0);
  let before = 0;
  for (const s of data.samples) {
    holds(s.step > before);
    before = s.step;
    for (const key of ["gradient", "weight", "update"]) holds(s[key].length === data.layers.length);
    for (const key of ["entropy", "focus", "head_gradient"]) holds(s[key].length === heads);
    holds(Math.abs(norm(s.gradient) - s.gradient_norm) <= 1e-4 * s.gradient_norm);
    holds([...s.entropy, ...s.focus].every((x) => x >= 0 && x <= 1.00001));
  }
  for (const snapshot of data.snapshots)
    data.attention.forEach((a, i) => {
      const map = readMap(snapshot.maps[i]), {length} = a.columns;
      holds(map.length === a.heads * a.rows.length * length);
      for (let row = 0; row + length <= map.length; row += length)
        holds(Math.abs(map.slice(row, row + length).reduce((sum, p) => sum + p, 0) - 1) <= 1e-5 * (length + 1));
    });
  document.body.append(h("pre", {id: "selftest"}, passed === count ? `PASS ${passed}/${count}` : `FAIL ${count - passed}/${count}`));
}

const timelineData = JSON.parse(document.getElementById("timeline").textContent);
const timelineMode = location.hash;
new TimelinePage(document.getElementById("explorer"), timelineData);
if (timelineMode === "#selftest") timelineSelfTest(timelineData);
