// Lines over steps, as SVG.

const SVG = "http://www.w3.org/2000/svg";
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  for (const child of children.flat()) if (child !== null) element.append(child);
  return element;
}

// Maps [low, high] to [0, 1]; logarithmic when requested and all values are positive.
class Scale {
  constructor(values, logarithmic) {
    const finite = values.filter((x) => Number.isFinite(x) && (!logarithmic || x > 0));
    this.logarithmic = logarithmic;
    this.low = finite.length ? Math.min(...finite) : 0;
    this.high = finite.length ? Math.max(...finite) : 1;
    if (this.low === this.high) {
      if (logarithmic) { this.low /= 2; this.high *= 2; } else { this.low -= 0.5; this.high += 0.5; }
    }
  }
  at(x) {
    const f = this.logarithmic ? Math.log : (y) => y;
    return (f(x) - f(this.low)) / (f(this.high) - f(this.low));
  }
  ticks() {
    const list = this.logarithmic ? this.#powers() : [];
    return list.length >= 3 ? list : this.#even();
  }
  #even() {
    const span = this.high - this.low, unit = 10 ** Math.floor(Math.log10(span / 2));
    const by = [1, 2, 5, 10].map((k) => k * unit).find((step) => span / step <= 5) || unit, list = [];
    for (let k = Math.ceil(this.low / by); k * by <= this.high + 1e-9 * span; ++k) list.push(Number((k * by).toPrecision(6)));
    return list;
  }
  #powers() {
    const list = [];
    for (let k = Math.floor(Math.log10(this.low)); 10 ** k <= this.high; ++k)
      for (const m of [1, 2, 5]) if (m * 10 ** k >= this.low && m * 10 ** k <= this.high) list.push(Number((m * 10 ** k).toPrecision(3)));
    const stride = Math.ceil(list.length / 5);
    return list.filter((_, i) => i % stride === 0);
  }
}

// points: [[step, value]]; those that are not finite leave a gap.
function path(points, x, y, width, height, left = 0, top = 0) {
  let pen = false, text = "";
  for (const [step, value] of points) {
    const at = Number.isFinite(value) ? y.at(value) : NaN;
    if (!Number.isFinite(at)) { pen = false; continue; }
    text += `${pen ? "L" : "M"}${(left + x.at(step) * width).toFixed(1)} ${(top + (1 - at) * height).toFixed(1)}`;
    pen = true;
  }
  return text;
}

// {points, second, step, label, logarithmic}
function lineChart(options) {
  const width = 420, height = 180, left = 46, right = 8, top = 8, bottom = 22;
  const {points, second = [], step} = options, all = [...points, ...second];
  const x = new Scale(all.map((p) => p[0]), false), y = new Scale(all.map((p) => p[1]), options.logarithmic);
  const inner = [width - left - right, height - top - bottom];
  const atX = (s) => left + x.at(s) * inner[0], atY = (v) => top + (1 - y.at(v)) * inner[1];
  const here = points.find((p) => p[0] === step);
  return svg("svg", {class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": options.label},
    y.ticks().map((t) => [svg("line", {class: "axis", x1: left, x2: width - right, y1: atY(t), y2: atY(t)}),
                          svg("text", {x: left - 5, y: atY(t) + 4, "text-anchor": "end"}, short(t, Math.abs(t) < 1e-3 ? 2 : 4))]).flat(),
    x.ticks().map((t) => svg("text", {x: atX(t), y: height - 6, "text-anchor": "middle"}, String(t))),
    svg("line", {class: "here", x1: atX(step), x2: atX(step), y1: top, y2: height - bottom}),
    svg("path", {class: "line", d: path(points, x, y, ...inner, left, top)}),
    second.length ? svg("path", {class: "second", d: path(second, x, y, ...inner, left, top)}) : null,
    second.filter((p) => Number.isFinite(p[1])).map((p) => svg("circle", {class: "dot", cx: atX(p[0]), cy: atY(p[1]), r: 3})),
    here && Number.isFinite(y.at(here[1])) ? svg("circle", {class: "now", cx: atX(step), cy: atY(here[1]), r: 4.5}) : null);
}

// A decorative line of text height; the numbers are beside it.
function sparkLine(points, step, low = null, high = null) {
  const x = new Scale(points.map((p) => p[0]), false), y = new Scale(low === null ? points.map((p) => p[1]) : [low, high], false);
  return svg("svg", {class: "spark", viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true"},
    svg("line", {class: "here", x1: 100 * x.at(step), x2: 100 * x.at(step), y1: 0, y2: 20, "vector-effect": "non-scaling-stroke"}),
    svg("path", {class: "line", d: path(points, x, y, 100, 18, 0, 1), "vector-effect": "non-scaling-stroke"}));
}

// Background for a share from 0 to 1, and black or white on it, whichever reads better.
function shareColours(p, dark) {
  const ground = dark ? [24, 26, 30] : [255, 255, 255], full = dark ? [120, 175, 255] : [18, 82, 180];
  const mixed = ground.map((g, i) => Math.round(g + (full[i] - g) * Math.min(Math.max(p, 0), 1)));
  const linear = mixed.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return `--back:rgb(${mixed.join(" ")});--ink:${1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? "#fff" : "#000"}`;
}
