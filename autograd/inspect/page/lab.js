// The attention lab: one head of one attention layer, from Q, K and V to the gradients of its weights. Every
// step names its arrays, recomputes them from earlier arrays and compares. Weights are [out, in] and multiply
// as x W', or [in, out] and multiply as x W (`in_by_out`).

const LAB_STEPS = ["F1", "F2", "F3", "F4", "F5", "F6", "B0", "B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9"];

const LAB_TEXT = {
  F1: {f: "Q = X W_Q' + b_Q; K = X W_K' + b_K; V = X W_V' + b_V",
       en: ["Queries, keys and values", "Every token's vector is projected three times. This head owns its own rows of each weight."],
       zh: ["查询、键与值", "每个词元的向量被投影三次；这个头占有每个权重中属于自己的行。"]},
  F2: {f: "S = Q K' / √d",
       en: ["Scores", "Row i asks, column j answers: one dot product a cell, divided by √d so that its size does not grow with d."],
       zh: ["得分", "第 i 行提问，第 j 列回答：每个单元是一个点积，除以 √d，使大小不随 d 增长。"]},
  F3: {f: "S~ = S + M",
       en: ["Mask", "Hatched cells are left out: padding, or the future. To the softmax they are −∞."],
       zh: ["遮蔽", "斜线单元被排除：填充或未来的词元。对 softmax 而言它们是 −∞。"]},
  F4: {f: "P_ij = e^(S_ij - max) / sum(e^(S_ik - max))",
       en: ["Weights", "Each row becomes shares that add up to 1. A masked cell gets exactly 0."],
       zh: ["权重", "每一行变成总和为 1 的份额；被遮蔽的单元恰好为 0。"]},
  F5: {f: "O = P V",
       en: ["Context", "Row i of O is a mixture of the rows of V, with row i of P as the recipe."],
       zh: ["上下文", "O 的第 i 行是 V 各行的混合，配方是 P 的第 i 行。"]},
  F6: {f: "Y = concat(O) W_O' + b_O",
       en: ["Output", "The heads are laid side by side and projected back."],
       zh: ["输出", "各个头并排放置，再投影回去。"]},
  B0: {f: "dlogits = (softmax(logits) - onehot) / n",
       en: ["The loss", "Where the gradient starts: the probability that the model gave, minus 1 at the right token."],
       zh: ["损失", "梯度的起点：模型给出的概率，在正确词元处减 1。"]},
  B1: {f: "dO = dY W_O",
       en: ["Gradient of the context", "The output's gradient goes back through W_O; this head takes its own columns."],
       zh: ["上下文的梯度", "输出的梯度经 W_O 返回；这个头取自己的列。"]},
  B2: {f: "dV = P' dO",
       en: ["Gradient of the values", "Value j was used by every query i with share P_ij, so it hears from each with that share."],
       zh: ["值的梯度", "值 j 以份额 P_ij 被每个查询 i 使用，因此以同样的份额从各处得到梯度。"]},
  B3: {f: "dP = dO V'",
       en: ["Gradient of the weights", "How the loss would change if a share grew. Masked cells have one too: it will be multiplied by P = 0."],
       zh: ["权重的梯度", "若某个份额增大，损失会怎样变化。被遮蔽的单元也有梯度：之后会乘以 P = 0。"]},
  B4: {f: "D_i = sum(dP_ij P_ij); D_i = sum(dO_ik O_ik)",
       en: ["The row's average", "Shares add up to 1, so only what differs from the row's weighted average matters. Both ways give the same."],
       zh: ["行的平均", "份额之和为 1，因此只有与该行加权平均的差才有意义。两种算法结果相同。"]},
  B5: {f: "dS_ij = P_ij (dP_ij - D_i)",
       en: ["Through the softmax", "The Jacobian diag(p) − p pᵀ times the row of dP. Each row of dS adds up to 0; masked cells get exactly 0."],
       zh: ["穿过 softmax", "雅可比矩阵 diag(p) − p pᵀ 乘以 dP 的行。dS 每行之和为 0；被遮蔽的单元恰好为 0。"]},
  B6: {f: "dQ = dS K / √d",
       en: ["Gradient of the queries", "A query moves towards keys whose score should grow."],
       zh: ["查询的梯度", "查询向得分应当增大的键移动。"]},
  B7: {f: "dK = dS' Q / √d",
       en: ["Gradient of the keys", "The same, seen from the keys: a column of dS for each."],
       zh: ["键的梯度", "从键的角度看同一件事：每个键对应 dS 的一列。"]},
  B8: {f: "dX = dQ W_Q + dK W_K + dV W_V + dskip",
       en: ["Gradient of the input", "X was used several times. Its gradient is the sum of what each use sends back, of all heads."],
       zh: ["输入的梯度", "X 被使用了多次；它的梯度是所有头每次使用所返回贡献之和。"]},
  B9: {f: "dW_Q = dQ' X; dW_K = dK' X; dW_V = dV' X; dW_O = dY' concat(O); db = sum(dQ)",
       en: ["Gradients of the parameters", "Each is a product of what came in and what came back, summed over the tokens."],
       zh: ["参数的梯度", "每一个都是输入与返回梯度的乘积，对词元求和。"]},
};

// Texts for weights [in, out], and for attention without an output projection.
const IN_BY_OUT = {
  F1: {f: "Q = X W_Q; K = X W_K; V = X W_V",
       en: ["Queries, keys and values", "Every token's vector is projected three times. This head owns its own columns of each weight."],
       zh: ["查询、键与值", "每个词元的向量被投影三次；这个头占有每个权重中属于自己的列。"]},
  F6: {...LAB_TEXT.F6, f: "Y = concat(O) W_O"},
  B1: {...LAB_TEXT.B1, f: "dO = dY W_O'"},
  B8: {...LAB_TEXT.B8, f: "dX = dQ W_Q' + dK W_K' + dV W_V'"},
  B9: {...LAB_TEXT.B9, f: "dW_Q = X' dQ; dW_K = X' dK; dW_V = X' dV"},
};
const UNPROJECTED = {
  B1: {f: "dO = dloss / dO",
       en: ["Gradient of the context", "What the ops that read O send back, added up."],
       zh: ["上下文的梯度", "读取 O 的各运算所送回的梯度之和。"]},
};

const isProjected = (lab) => lab.nodes.output !== undefined;

function labText(lab, key) {
  if (!isProjected(lab) && UNPROJECTED[key]) return UNPROJECTED[key];
  const text = (lab.in_by_out && IN_BY_OUT[key]) || LAB_TEXT[key];
  return lab.in_by_out && key === "B9" && isProjected(lab) ? {...text, f: `${text.f}; dW_O = concat(O)' dY`} : text;
}

// The steps that a lab has: F6 with an output projection, B0 where the loss is a cross-entropy.
const labSteps = (recording, lab) =>
  LAB_STEPS.filter((key) => (key !== "F6" || isProjected(lab)) && (key !== "B0" || recording.json.output));

// All matrices of one head, by the names of the formulas.
class Head {
  constructor(recording, lab, head) {
    this.recording = recording;
    this.lab = lab;
    this.head = head;
    const d = lab.head_dim, node = (name) => recording.node(lab.nodes[name]);
    const value = (name) => node(name).value.slice(head), gradient = (name) => node(name).gradient.slice(head);
    this.Q = value("query"), this.K = value("key"), this.V = value("value");
    this.S = value("scores"), this.P = value("weights"), this.O = value("context");
    this.dQ = gradient("query"), this.dK = gradient("key"), this.dV = gradient("value");
    this.dS = gradient("scores"), this.dP = gradient("weights"), this.dO = gradient("context");
    this.X = node("x_query").value.slice(0), this.XK = node("x_key").value.slice(0), this.XV = node("x_value").value.slice(0);
    if (isProjected(lab)) {
      this.C = node("merged").value.slice(0), this.Y = node("output").value.slice(0), this.dY = node("output").gradient.slice(0);
      this.W_O = node("out_proj_weight").value, this.dW_O = node("out_proj_weight").gradient;
      this.b_O = lab.nodes.out_proj_bias === undefined ? null : node("out_proj_bias").value;
      this.db_O = this.b_O ? node("out_proj_bias").gradient : null;
    }
    this.rounded = Object.keys(lab.nodes).some((name) => /proj_weight$/.test(name) && [node(name).value, node(name).gradient].some((g) => g.data instanceof Float32Array));
    const parts = this.#projections(node, d, head);
    Object.assign(this, parts);
    Object.assign(this, this.#dropped(node("context"), head));
    this.kept = (i, j) => lab.keep[i * this.S.cols + j] === 1;
    this.D = Grid.make(this.P.rows, 1, (i) => rowOf(this.P, i).reduce((s, p, j) => s + p * this.dP.at(i, j), 0));
  }
  // The weights of the values: P, or P after dropout.
  #dropped(context, head) {
    if (this.lab.nodes.dropped !== undefined) {
      const left = this.recording.node(this.lab.nodes.dropped);
      return {R: left.value.slice(head), dR: left.gradient.slice(head), dropout: left.attrs.p ?? 0};
    }
    let at = context;
    while (["reshape", "permute", "slice"].includes(at.op)) at = this.recording.node(at.inputs[0]);
    const mixed = this.recording.node(at.inputs[0]);
    if (!mixed || mixed.op !== "dropout" || !mixed.gradient || mixed.gradient.leftOut) return {R: this.P, dR: this.dP, dropout: null};
    return {R: mixed.value.slice(head), dR: mixed.gradient.slice(head), dropout: mixed.attrs.p ?? 0};
  }
  // Rows of the packed in-projection, or of three weights, that belong to this head; columns of weights [in, out].
  #projections(node, d, head) {
    const {nodes, heads} = this.lab, width = heads * d, result = {};
    ["Q", "K", "V"].forEach((letter, at) => {
      const own = `${letter.toLowerCase()}_proj_weight`, packed = nodes[own] === undefined;
      const weight = node(packed ? "in_proj_weight" : own), first = (packed ? at * width : 0) + head * d;
      const ownPart = (grid) => this.lab.in_by_out ? grid.columns(first, first + d) : grid.rowRange(first, first + d);
      result[`W_${letter}`] = ownPart(weight.value);
      result[`dW_${letter}`] = ownPart(weight.gradient);
      const ownBias = `${letter.toLowerCase()}_proj_bias`, name = nodes[ownBias] === undefined ? "in_proj_bias" : ownBias;
      if (nodes[name] === undefined) return;
      const bias = node(name), from = (name === ownBias ? 0 : at * width) + head * d;
      result[`b_${letter}`] = bias.value.columns(from, from + d);
      result[`db_${letter}`] = bias.gradient.columns(from, from + d);
    });
    return result;
  }
}
