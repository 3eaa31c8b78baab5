// One matrix as a table of coloured numbers, with the keyboard's grid pattern; larger ones as a picture.

const MOST_CELLS = 1024;
// The number of cells on one screen; matrices beyond it are drawn as pictures.
const MOST_CELLS_SHOWN = 1100;

// Blue for negative, orange for positive, the background for 0; text black or white, whichever has more
// contrast.
function shade(x, scale, dark) {
  if (!Number.isFinite(x)) return {back: dark ? "#5b1a5e" : "#f3c9f5", text: dark ? "#fff" : "#000"};
  const t = scale > 0 ? Math.min(Math.abs(x) / scale, 1) : 0;
  const ground = dark ? [24, 26, 30] : [255, 255, 255];
  const full = x < 0 ? (dark ? [92, 158, 255] : [33, 102, 200]) : (dark ? [255, 158, 61] : [224, 112, 0]);
  const mixed = ground.map((g, i) => Math.round(g + (full[i] - g) * t));
  const linear = mixed.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return {back: `rgb(${mixed.join(" ")})`, text: 1.05 / (light + 0.05) > (light + 0.05) / 0.05 ? "#fff" : "#000"};
}

// With `gaps`, NaN marks cells that were not computed.
function summary(words, grid, gaps = false) {
  let min = Infinity, max = -Infinity, sum = 0, squares = 0, count = 0;
  if (grid.leftOut)
    return !grid.summary ? "—" : ["min", "max", "mean", "norm"].map((key) => `${words.get(key)} ${short(grid.summary[key])}`).join(" · ")
                                + (grid.summary.finite ? "" : ` · ${words.get("notFinite")}`);
  for (const x of grid.data) {
    if (gaps && Number.isNaN(x)) continue;
    min = Math.min(min, x);
    max = Math.max(max, x);
    sum += x;
    squares += x * x;
    ++count;
  }
  if (count === 0) return "—";
  return [["min", min], ["max", max], ["mean", sum / count], ["norm", Math.sqrt(squares)]]
      .map(([key, x]) => `${words.get(key)} ${short(x)}`).join(" · ");
}

// options: {name, grid (a matrix), rowNames, columnNames, scale, kept(i, j), selected [i, j], onselect(i, j),
// absent: text instead of numbers, hidden(i, j), blank(i, j): was not computed, secret: no figures beside the table, marked(i, j): numbers that
// the explanation uses, note}
function matrixView(context, options) {
  const {words} = context;
  const {name, grid} = options;
  const cap = h("div", {class: "cap"}, h("span", {class: "name"}, name), " ",
                    h("span", {class: "shape"}, grid ? `[${grid.rows}, ${grid.cols}]` : ""), h("br"),
                    h("span", {class: "summary"}, options.absent || (options.secret ? "?" : summary(words, grid, options.blank))));
  const caption = h("caption", {}, cap);
  if (options.note) cap.append(h("br"), h("span", {class: "note"}, options.note));
  if (options.absent) return absentView(options, caption);
  if (grid.leftOut) return absentView({name, absent: words.get("leftOut"), size: [grid.rows, grid.cols], class: "leftout"}, caption);
  const asked = context.state.tables.has(name);
  if (!asked && grid.data.length > Math.min(MOST_CELLS, context.room)) return picture(context, options, caption);
  context.room -= Math.min(grid.data.length, MOST_CELLS);
  const scale = options.scale || largest(grid);
  const shownRows = Math.min(grid.rows, Math.max(1, Math.floor(MOST_CELLS / Math.max(grid.cols, 1))));
  if (shownRows < grid.rows) cap.append(h("br"), words.get("firstCells", shownRows));
  const table = h("table", {class: "matrix", role: "grid", "aria-label": name, "data-name": name}, caption);
  const names = options.columnNames || [...Array(grid.cols).keys()];
  table.append(h("thead", {}, h("tr", {role: "row"}, h("td", {}),
      names.slice(0, grid.cols).map((n) => h("th", {scope: "col", role: "columnheader", title: n}, n)))));
  const body = h("tbody", {}), look = {scale, dark: context.dark(), masked: words.get("masked")};
  const [si, sj] = options.selected || [0, 0];
  for (let i = 0; i < shownRows; ++i) {
    const row = h("tr", {role: "row"},
                  h("th", {scope: "row", role: "rowheader", title: options.rowNames ? options.rowNames[i] : i}, options.rowNames ? options.rowNames[i] : i));
    for (let j = 0; j < grid.cols; ++j) row.append(cellView(options, look, i, j, i === si && j === sj));
    body.append(row);
  }
  table.append(body);
  table.addEventListener("mouseover", showInFull);
  table.addEventListener("click", (event) => {
    const cell = event.target.closest("td[data-i]");
    if (cell && options.onselect) options.onselect(Number(cell.dataset.i), Number(cell.dataset.j), true);
  });
  table.addEventListener("keydown", (event) => moveInGrid(event, table, options));
  const holder = h("div", {class: "scroll"}, table, options.secret ? null : colourBar(scale));
  if (grid.data.length >= 100) drawLate(holder, shownRows, grid.cols);
  return holder;
}

// A large table is laid out when it is scrolled into view; until then an estimate of its height is reserved.
function drawLate(holder, rows, cols) {
  holder.classList.add("late");
  holder.style.containIntrinsicSize = `auto ${46 * cols + 40}px auto ${Math.min(25 * rows + 90, 540)}px`;
}

// Made by hand, not by h(): a screen has thousands of cells.
function cellView(options, look, i, j, active) {
  const cell = document.createElement("td"), x = options.grid.at(i, j);
  const hidden = options.hidden && options.hidden(i, j), blank = !hidden && options.blank && options.blank(i, j);
  const masked = options.kept && !options.kept(i, j), marked = options.marked && options.marked(i, j);
  cell.setAttribute("role", "gridcell");
  cell.tabIndex = active ? 0 : -1;
  cell.dataset.i = i;
  cell.dataset.j = j;
  const name = (blank ? "blank " : masked ? "masked " : "") + (marked ? "marked" : "");
  if (name) cell.className = name.trim();
  if (blank) cell.title = blank;
  else if (masked && !hidden) cell.title = `${exact(x)} (${look.masked})`;
  if (options.selected && active) cell.setAttribute("aria-selected", "true");
  if (!hidden && !blank) {
    const colours = shade(x, look.scale, look.dark);
    cell.dataset.value = String(x).replace("Infinity", "inf").replace(/^inf/, "+inf");
    cell.style.cssText = `--back:${colours.back};--ink:${colours.text}`;
  }
  cell.textContent = hidden ? "?" : blank ? "·" : short(x);
  return cell;
}

// Shows all digits of a cell under the pointer.
function showInFull(event) {
  const cell = event.target.closest("td[data-value]");
  if (cell && !cell.title) cell.title = cell.dataset.value.replace(/-/g, "−");
}

function moveInGrid(event, table, options) {
  const cell = event.target.closest("td[data-i]");
  if (!cell || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  let i = Number(cell.dataset.i), j = Number(cell.dataset.j);
  const rows = table.tBodies[0].rows.length, cols = options.grid.cols;
  if (event.key === "ArrowUp") i = Math.max(i - 1, 0);
  else if (event.key === "ArrowDown") i = Math.min(i + 1, rows - 1);
  else if (event.key === "ArrowLeft") j = Math.max(j - 1, 0);
  else if (event.key === "ArrowRight") j = Math.min(j + 1, cols - 1);
  else if (event.key === "Home") j = 0;
  else if (event.key === "End") j = cols - 1;
  else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    event.stopPropagation();
    if (options.onselect) options.onselect(i, j, true);
    return;
  } else return;
  event.preventDefault();
  event.stopPropagation();
  const next = table.querySelector(`td[data-i="${i}"][data-j="${j}"]`);
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function colourBar(scale) {
  const bar = h("div", {class: "bar", "aria-hidden": "true"});
  bar.append(short(-scale), h("span", {class: "ramp"}), short(scale));
  return bar;
}

function absentView(options, caption) {
  const [rows, cols] = options.size || [1, 1];
  return h("div", {class: "scroll"}, h("table", {class: "matrix absent", "data-name": options.name}, caption,
      h("tbody", {}, h("tr", {}, h("td", {class: options.class || "notyet"}, `${options.absent} [${rows}, ${cols}]`)))));
}

// A picture of one rectangle per cell; the numbers appear on request.
function picture(context, options, caption) {
  const {grid, name} = options;
  const pixel = Math.max(2, Math.min(8, Math.floor(512 / Math.max(grid.cols, grid.rows))));
  const canvas = h("canvas", {width: grid.cols * pixel, height: grid.rows * pixel, role: "img",
                              "aria-label": `${name}: ${summary(context.words, grid, options.blank)}`});
  const dark = context.dark(), paint = canvas.getContext("2d"), scale = options.scale || largest(grid);
  for (let i = 0; i < grid.rows; ++i)
    for (let j = 0; j < grid.cols; ++j) {
      paint.fillStyle = shade(grid.at(i, j), scale, dark).back;
      paint.fillRect(j * pixel, i * pixel, pixel, pixel);
    }
  const figure = h("figure", {class: "scroll", "data-name": name}, h("figcaption", {}, [...caption.childNodes]), canvas,
                   h("p", {}, context.words.get("tooLarge", grid.data.length), " ",
                     h("button", {type: "button", onclick: () => { context.state.tables.add(name); context.render(); }},
                       context.words.get("makeTable"))), colourBar(scale));
  return figure;
}
