// Numbers and elements.

// At most `digits` significant digits; NaN and infinities are spelled out, never blank.
function short(x, digits = 3) {
  if (Number.isNaN(x)) return "NaN";
  if (x === Infinity) return "+inf";
  if (x === -Infinity) return "−inf";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size < 1e-3 || size >= 1e5 ? size.toExponential(Math.max(digits - 2, 1)).replace("e+", "e")
                                          : Number(size.toPrecision(digits)).toString();
  return (x < 0 ? "−" : "") + text.replace("e-", "e−");
}

// All digits that tell this double from its neighbours.
function exact(x) {
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "+inf" : "−inf";
  return String(x).replace("-", "−").replace("e-", "e−");
}

// h("td", {class: "cell", onclick: f}, child, "text"): text is never taken for markup.
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== null && child !== undefined && child !== false)
      element.append(child instanceof Node ? child : String(child));
  }
}

// MathML from a formula in one line: x^2, a', sum(a b), (..) and plain operators.
const MATHML = "http://www.w3.org/1998/Math/MathML";
function m(tag, ...children) {
  const element = document.createElementNS(MATHML, tag);
  for (const child of children) element.append(child);
  return element;
}

// Functions keep their names upright; other words of three letters or more are plain text.
const FUNCTIONS = new Set(["log", "ln", "mean", "var", "softmax", "sigmoid", "onehot", "sign", "tanh", "sin", "cos", "max",
                           "min", "exp", "concat", "op"]);
const SIGNS = {sum: "∑", sqrt: "√"};
const NAME = /^[A-Za-zΑ-Ωα-ω_~√∂∑]/u;

function bracket(sign) {
  const element = m("mo", sign);
  element.setAttribute("stretchy", "false");
  return element;
}
// The name of a function, upright where a variable is slanted.
function functionName(text) {
  const element = m("mi", text);
  element.setAttribute("class", "function");
  return element;
}

function gap() {
  const element = m("mspace");
  element.setAttribute("width", "0.22em");
  return element;
}

class FormulaReader {
  constructor(text) {
    this.tokens = text.match(/[a-z]+'s\b|[A-Za-zΑ-Ωα-ω_~√∂∑]+[0-9]*|[0-9.]+(?:e[-−]?[0-9]+)?|'|\^|\s+|./gu) || [];
    this.at = 0;
  }
  #skip() { while (/^\s+$/.test(this.tokens[this.at] || "")) ++this.at; }
  // A name, a number or a bracket with its marks (' and ^).
  #atom() {
    this.#skip();
    const token = this.tokens[this.at++];
    let element;
    if (token === undefined) return m("mrow");
    if (token === "(") {
      element = m("mrow", bracket("("), ...this.row(")"), bracket(")"));
      ++this.at;
    } else if (/^[0-9.]/.test(token)) element = m("mn", token);
    else if (NAME.test(token)) element = this.#name(token);
    else element = m("mo", token === "*" ? "·" : token === "-" ? "−" : token);
    for (;;) {
      const next = this.tokens[this.at];
      if (next === "'") {
        ++this.at;
        element = m("msup", element, m("mi", "T"));
      } else if (next === "^") {
        ++this.at;
        element = m("msup", element, this.#power());
      } else return element;
    }
  }
  #power() {
    this.#skip();
    if (!["-", "−"].includes(this.tokens[this.at])) return this.#atom();
    ++this.at;
    return m("mrow", m("mo", "−"), this.#atom());
  }
  #name(token) {
    if (SIGNS[token]) return m("mo", SIGNS[token]);
    const parts = /^(d?)([A-Za-zΑ-Ωα-ω√∂∑~]+?)(?:_(\w+))?([0-9]*)$/u.exec(token);
    if (!parts) return m("mtext", `\u00a0${token}\u00a0`);
    const [, d, stem, under, number] = parts, index = (under || "") + (number || "");
    if (!index && FUNCTIONS.has(token)) return functionName(token);
    const known = stem.length <= 2 || FUNCTIONS.has(stem) || /^[A-ZΑ-Ω]/u.test(stem) || ["loss", "weight", "logits"].includes(stem);
    if (!index && (!known || ["of", "an", "by", "to", "at", "in"].includes(token)))
      return m("mtext", `\u00a0${token}\u00a0`);
    const base = m("mi", d + stem);
    return index ? m("msub", base, m("mi", index)) : base;
  }
  row(end) {
    const items = [];
    for (;;) {
      const before = this.at;
      this.#skip();
      if (this.at >= this.tokens.length || this.tokens[this.at] === end) return items;
      const apart = this.at > before, last = items[items.length - 1], atom = this.#atom();
      if (apart && last && !/^m(o|text|space)$/.test(last.localName) && !/^m(o|text)$/.test(atom.localName)) items.push(gap());
      items.push(atom);
    }
  }
}

// A long row may break after a comma and before + and −.
function pieces(items) {
  const parts = [[]];
  items.forEach((item, i) => {
    const sign = item.localName === "mo" ? item.textContent : "";
    if (i > 3 && items.length > 9 && /^[+−]$/.test(sign)) parts.push([]);
    parts[parts.length - 1].push(item);
    if (sign === ",") parts.push([]);
  });
  return parts;
}

function formula(text) {
  return text.split(";").map((part) => part.trim()).filter((part) => part)
      .map((part) => h("span", {class: "part"}, pieces(new FormulaReader(part).row()).map((items) => m("math", m("mrow", ...items)))));
}
