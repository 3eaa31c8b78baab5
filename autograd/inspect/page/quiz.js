// The quiz: one number, or a whole matrix, is hidden.

// Questions whose answer is one cell of the lab.
const QUIZ_STEPS = ["F2", "F4", "F5", "B2", "B3", "B5", "B6", "B7"];

function quizQuestion(context) {
  const {state, recording} = context;
  const lab = recording.labs[state.lab], key = QUIZ_STEPS[state.quiz % QUIZ_STEPS.length];
  const step = labStep(context, context.head(), key), array = openArray({state: {array: null}}, step);
  const spread = (state.quiz * 7 + state.lab * 3 + state.head) >>> 0;
  const live = [];
  for (let i = 0; i < array.grid.rows; ++i)
    for (let j = 0; j < array.grid.cols; ++j) if (Math.abs(array.grid.at(i, j)) > 1e-9) live.push([i, j]);
  const cell = live.length ? live[spread % live.length] : [0, 0];
  return {lab, key, step, array, cell, answer: array.grid.at(...cell)};
}

// Every other question hides the whole matrix.
const hidesAll = (state) => state.quiz % 2 === 1;

const answerIsRight = (given, answer) => Math.abs(given - answer) <= 0.01 * Math.abs(answer);

function quizScreen(context) {
  const {state, words, recording} = context;
  if (recording.labs.length === 0) return h("p", {}, noLabs(context));
  const {lab, key, step, array, cell, answer} = quizQuestion(context), [i, j] = cell;
  const section = h("section", {"aria-labelledby": "quiz-title"}, h("h2", {id: "quiz-title", tabindex: "-1"}, words.get("quiz")),
    h("p", {}, words.get("quizIntro")), h("p", {class: "question"}, words.get("quizAsk", array.name, i, j, state.head + 1, rowLabel(array, i), columnLabel(array, j))));
  const result = h("p", {role: "status", class: "result"}, state.quizMessage || "");
  const input = h("input", {id: "answer", type: "text", inputmode: "decimal", autocomplete: "off", "data-focus": "answer"});
  const check = (event) => {
    event.preventDefault();
    const given = Number(input.value.replace("−", "-").replace(",", "."));
    result.textContent = input.value.trim() !== "" && answerIsRight(given, answer) ? `✓ ${words.get("right")}` : `✗ ${words.get("wrong")}`;
  };
  section.append(h("form", {onsubmit: check}, h("label", {for: "answer"}, words.get("answer"), " "), input, " ",
    h("button", {type: "submit"}, words.get("check")), " ",
    h("button", {type: "button", "data-focus": "hint", onclick: () => context.go({hint: Math.min(state.hint + 1, 2)})}, words.get("hint")), " ",
    h("button", {type: "button", "data-focus": "reveal", onclick: () => context.go({hint: 3})}, words.get("reveal")), " ",
    h("button", {type: "button", "data-focus": "another", onclick: () => context.go({quiz: state.quiz + 1, hint: 0})}, words.get("another"))), result);
  if (state.hint >= 1) section.append(h("div", {class: "formula"}, formula(labText(lab, key).f)));
  const box = h("div", {class: "matrices"});
  const hides = hidesAll(state) ? () => true : (r, c) => r === i && c === j;
  for (const a of step.arrays.filter((a) => !PARTS_OF_ANSWER.includes(a.name) || state.hint >= 2)) {
    const secret = a === array && state.hint < 3;
    box.append(matrixView(context, {name: a.name, grid: a.grid, rowNames: a.rows, columnNames: a.columns, kept: a.masked,
                                    hidden: secret ? hides : null, secret, marked: secret ? (r, c) => r === i && c === j : null}));
  }
  section.append(box);
  if (state.hint === 2) section.append(hintTable(withoutAnswer(array.explain(i, j))));
  if (state.hint === 3) section.append(explanationView(context, array.explain(i, j), () => context.go({hint: 0})));
  return section;
}

// Intermediate arrays that would reveal the answer.
const PARTS_OF_ANSWER = ["exp(S − max)", "max, ∑"];
const rowLabel = (array, i) => array.rows ? array.rows[i] : i;
const columnLabel = (array, j) => array.columns ? array.columns[j] : j;

// The operands, without their products.
const withoutAnswer = (explanation) => explanation.rows.map((row) => explanation.head ? row.slice(0, 3) : row);
const hintTable = (rows) => h("div", {class: "scroll"}, h("table", {class: "explain"}, h("tbody", {}, rows.map((row) =>
  h("tr", {}, h("th", {scope: "row"}, row[0]), row.slice(1).map((x) => h("td", {}, typeof x === "number" ? short(x, 6) : x === null ? "" : x)))))));
