// The texts of the timeline in English and Chinese. `{}` is replaced by the arguments in order.

const TIMELINE_TEXT = {
  en: {
    language: "English", title: "Training timeline", theme: "Theme", dark: "dark", light: "light", system: "system",
    options: "Display", steps: "Steps", first: "First sample", previous: "Previous sample", next: "Next sample",
    last: "Last sample", slider: "Sample", now: "step {}", keys: "Keys: → ← sample, Page Up and Page Down ten samples, Home and End.",
    status: "Step {}, sample {} of {}: loss {}, gradient norm {}, update/weight {}, {} of {} heads dead.",
    nothing: "No step was sampled yet.",
    curves: "Curves", loss: "Loss", training: "training", validation: "validation (dashed)", gradientNorm: "Gradient norm", updateRatio: "Update / weight",
    learningRate: "Learning rate", entropy: "Attention entropy, mean of all heads",
    chart: "{}: from {} at step {} to {} at step {}; least {}, greatest {}.", logarithmic: "logarithmic",
    gradientNote: "Norm of all gradients before clipping.",
    ratioNote: "Norm of one step's update over the norm of the weights. About 0.001 is usual; far more is unstable, far less learns slowly.",
    allNumbers: "All samples as a table", step: "step",
    layers: "Layers", layersNote: "The gradient is that before clipping; the weight is that before the update.",
    layersCaption: "Layers at step {}", layer: "layer", gradient: "gradient norm", weight: "weight norm", update: "update norm",
    ratio: "update / weight", over: "gradient norm over training",
    heads: "Attention heads",
    headsNote: "Entropy of a head: 1 looks at all keys alike, 0 at one key. A head is called dead when its entropy is 0.99 or more (uniform), when one key gets 0.95 of every query's weight or more (one key), or when the gradient of its projections is below 1/1000 of the largest head's (no gradient).",
    headsCaption: "Entropy of the heads at step {}", head: "head {}", alive: "", uniform: "dead: uniform", one_key: "dead: one key",
    no_gradient: "dead: no gradient",
    maps: "Attention maps", mapsNote: "A fixed example after {} steps; rows are queries, columns are keys.", whichLayer: "Layer",
    mapCaption: "Head {} of {}, after step {}",
    start: "Initialisation", startNote: "Before the first step: parameters against the rules that filled them, and standard deviations of what passes through every layer.",
    noWarnings: "Nothing suspicious.", warnings: "Warnings", parameter: "parameter", shape: "shape", mean: "mean", deviation: "std",
    promised: "expected std", rule: "rule", activation: "activation std", signal: "gradient std", parametersCaption: "Parameters at the start",
    signalsCaption: "Signals at the start", model: "(the whole model)",
  },
  zh: {
    language: "中文", title: "训练时间线", theme: "主题", dark: "深色", light: "浅色", system: "系统",
    options: "显示", steps: "步骤", first: "第一个样本", previous: "上一个样本", next: "下一个样本",
    last: "最后一个样本", slider: "样本", now: "第 {} 步", keys: "按键：→ ← 移动一个样本，Page Up 和 Page Down 移动十个，Home 和 End 到两端。",
    status: "第 {} 步，样本 {}，共 {} 个：损失 {}，梯度范数 {}，更新/权重 {}，死亡的头 {} 个，共 {} 个。",
    nothing: "尚未采样任何一步。",
    curves: "曲线", loss: "损失", training: "训练", validation: "验证（虚线）", gradientNorm: "梯度范数", updateRatio: "更新 / 权重",
    learningRate: "学习率", entropy: "注意力熵，所有头的平均",
    chart: "{}：从 {}（第 {} 步）到 {}（第 {} 步）；最小 {}，最大 {}。", logarithmic: "对数刻度",
    gradientNote: "裁剪之前所有梯度的范数。",
    ratioNote: "一步更新的范数与权重范数之比。通常约为 0.001；大得多则不稳定，小得多则学得慢。",
    allNumbers: "以表格显示全部样本", step: "步",
    layers: "各层", layersNote: "梯度是裁剪之前的；权重是更新之前的。",
    layersCaption: "第 {} 步的各层", layer: "层", gradient: "梯度范数", weight: "权重范数", update: "更新范数",
    ratio: "更新 / 权重", over: "训练中的梯度范数",
    heads: "注意力头",
    headsNote: "头的熵：1 表示同等地看所有键，0 表示只看一个键。以下情况称为死亡：熵不小于 0.99（均匀）；某一个键得到每个查询 0.95 或更多的权重（单键）；其投影的梯度小于最大的头的 1/1000（无梯度）。",
    headsCaption: "第 {} 步各头的熵", head: "头 {}", alive: "", uniform: "死亡：均匀", one_key: "死亡：单键", no_gradient: "死亡：无梯度",
    maps: "注意力图", mapsNote: "一个固定的例子，{} 步之后；行是查询，列是键。", whichLayer: "层",
    mapCaption: "头 {}：{}，第 {} 步之后",
    start: "初始化", startNote: "第一步之前：参数与填充它们的规则相比较，以及通过每一层的信号的标准差。",
    noWarnings: "没有可疑之处。", warnings: "警告", parameter: "参数", shape: "形状", mean: "均值", deviation: "标准差",
    promised: "期望的标准差", rule: "规则", activation: "激活的标准差", signal: "梯度的标准差", parametersCaption: "开始时的参数",
    signalsCaption: "开始时的信号", model: "（整个模型）",
  },
};

class TimelineWords {
  constructor(language) { this.language = TIMELINE_TEXT[language] ? language : "en"; }
  get(key, ...values) {
    let at = 0;
    return TIMELINE_TEXT[this.language][key].replace(/\{\}/g, () => String(values[at++]));
  }
}
