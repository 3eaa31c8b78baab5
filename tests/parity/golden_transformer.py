"""Golden steps of nn.Transformer, of a whole sequence-to-sequence model, and of nn.MultiheadAttention."""
import math

from golden_format import draw, draw_parameters
import torch
from torch import nn
from torch.nn import functional as F

PAD = 0


def padding(length, *valid):
    """[batch, length], true where blocked: row b has valid[b] tokens, then padding."""
    return torch.arange(length)[None, :] >= torch.tensor(valid)[:, None]


def causal(length):
    """[length, length], true where blocked: above the diagonal."""
    return torch.ones(length, length, dtype=torch.bool).triu(1)


def with_gradients(module, loss, inputs):
    """The tensors common to all files: parameters, inputs and all gradients of `loss`."""
    parameters = {f"model.{name}": p for name, p in module.named_parameters()}
    leaves = {**inputs, **parameters}
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    return {**leaves, **{f"grad.{name}": g for name, g in zip(leaves, gradients)}, "loss": loss}


def transformer_step(name, *, masked, tgt_is_causal, **options):
    """One nn.Transformer call with the scalar <out, dout> and all its gradients."""
    model = nn.Transformer(batch_first=True, dropout=0.0, dtype=torch.float64, **options)
    draw_parameters(model, name)
    width = options["d_model"]
    src = draw(name + ".src", 2, 5, width).requires_grad_()
    tgt = draw(name + ".tgt", 2, 4, width).requires_grad_()
    dout = draw(name + ".dout", 2, 4, width)
    masks = {}
    if masked:  # Three different masks, so that mixing them up shows.
        masks = {"src_key_padding_mask": padding(5, 5, 3), "tgt_key_padding_mask": padding(4, 3, 4),
                 "memory_key_padding_mask": padding(5, 4, 2)}
    memory = model.encoder(src, src_key_padding_mask=masks.get("src_key_padding_mask"))
    out = model(src, tgt, tgt_mask=causal(4) if tgt_is_causal else None, tgt_is_causal=tgt_is_causal, **masks)
    tensors = with_gradients(model, (out * dout).sum(), {"src": src, "tgt": tgt})
    tensors.update(masks, dout=dout, out=out, memory=memory)
    metadata = {"layer_norm_eps": "1e-05", "bias": "True", "tgt_is_causal": str(tgt_is_causal)}
    metadata.update({key: str(value) for key, value in options.items()})
    return tensors, metadata


def positions(length, width):
    """Sinusoids of 'Attention Is All You Need' 3.5: even columns sine, odd cosine.  [length, width]"""
    table = torch.zeros(length, width, dtype=torch.float64)
    for position in range(length):
        for i in range(0, width, 2):
            angle = position / 10000 ** (i / width)
            table[position, i], table[position, i + 1] = math.sin(angle), math.cos(angle)
    return table


class Seq2Seq(nn.Module):
    """Embedding * sqrt(d_model) + positions on both sides, nn.Transformer, Linear to the vocabulary."""

    def __init__(self, source_vocabulary, target_vocabulary, width, **options):
        super().__init__()
        self.src_emb = nn.Embedding(source_vocabulary, width, padding_idx=PAD)
        self.tgt_emb = nn.Embedding(target_vocabulary, width, padding_idx=PAD)
        self.transformer = nn.Transformer(width, batch_first=True, dropout=0.0, **options)
        self.generator = nn.Linear(width, target_vocabulary)
        self.width = width

    def embed(self, table, ids):
        return table(ids) * math.sqrt(self.width) + positions(ids.shape[1], self.width)

    def forward(self, src, tgt):
        blocked = src == PAD
        hidden = self.transformer(self.embed(self.src_emb, src), self.embed(self.tgt_emb, tgt),
                                  tgt_mask=causal(tgt.shape[1]), tgt_is_causal=True,
                                  src_key_padding_mask=blocked, tgt_key_padding_mask=tgt == PAD,
                                  memory_key_padding_mask=blocked)
        return self.generator(hidden)


def train_step():
    """Loss, gradients and the weights after one step of Adam, for a padded batch of three pairs."""
    options = {"nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 1, "dim_feedforward": 16}
    model = Seq2Seq(9, 7, 8, **options).double()
    draw_parameters(model, "train_step")
    src = torch.tensor([[3, 4, 5, 6, 7, 2], [8, 3, 3, 2, 0, 0], [5, 2, 0, 0, 0, 0]])
    tgt_in = torch.tensor([[1, 3, 4, 5, 6], [1, 6, 6, 0, 0], [1, 4, 0, 0, 0]])
    tgt_out = torch.tensor([[3, 4, 5, 6, 2], [6, 6, 2, 0, 0], [4, 2, 0, 0, 0]])
    logits = model(src, tgt_in)
    loss = F.cross_entropy(logits.flatten(0, 1), tgt_out.flatten(), ignore_index=PAD, label_smoothing=0.1)
    tensors = {name: t.clone() for name, t in with_gradients(model, loss, {}).items()}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, foreach=False)
    for name, parameter in model.named_parameters():
        parameter.grad = tensors[f"grad.model.{name}"].clone()
    optimizer.step()
    tensors.update({f"after.{name}": p for name, p in model.named_parameters()})
    tensors.update(src=src, tgt_in=tgt_in, tgt_out=tgt_out, logits=logits, positions=positions(6, 8))
    metadata = {key: str(value) for key, value in options.items()}
    metadata.update(d_model="8", source_vocabulary="9", target_vocabulary="7", activation="relu",
                    norm_first="False", layer_norm_eps="1e-05", bias="True", padding_idx="0",
                    ignore_index="0", label_smoothing="0.1", reduction="mean",
                    valid_targets=str(int((tgt_out != PAD).sum())),
                    optimizer="Adam lr=0.001 betas=0.9,0.999 eps=1e-08 weight_decay=0")
    return tensors, metadata


def mha_case(name, inputs, apply):
    """One nn.MultiheadAttention call; the loss is <out, dout> + <weights, dweights>, weights per head."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    draw_parameters(layer, name)
    query, key, value, masks = apply(inputs)
    out, weights = layer(query, key, value, need_weights=True, average_attn_weights=False, **masks)
    dout, dweights = draw(name + ".dout", *out.shape), draw(name + ".dweights", *weights.shape)
    tensors = with_gradients(layer, (out * dout).sum() + (weights * dweights).sum(), inputs)
    tensors.update(masks, out=out, weights=weights, dout=dout, dweights=dweights)
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}


def mha():
    def leaf(name, length):
        return draw("mha." + name, 2, length, 8).requires_grad_()

    self_masks = {"key_padding_mask": padding(4, 4, 3)}
    causal_masks = {**self_masks, "attn_mask": causal(4)}
    cross_masks = {"key_padding_mask": padding(5, 3, 5)}
    tensors = mha_case("self", {"x": leaf("self.x", 4)}, lambda i: (i["x"], i["x"], i["x"], self_masks))
    tensors |= mha_case("self_causal", {"x": leaf("causal.x", 4)},
                        lambda i: (i["x"], i["x"], i["x"], causal_masks))
    tensors |= mha_case("cross", {"query": leaf("cross.query", 3), "key": leaf("cross.key", 5),
                                  "value": leaf("cross.value", 5)},
                        lambda i: (i["query"], i["key"], i["value"], cross_masks))
    return tensors, {"embed_dim": "8", "num_heads": "2", "bias": "True", "average_attn_weights": "False",
                     "masks": "U8, 1 = blocked; loss = <out, dout> + <weights, dweights>"}


def files():
    small = {"d_model": 8, "nhead": 2, "num_encoder_layers": 2, "num_decoder_layers": 2,
             "dim_feedforward": 16}
    bare = {"d_model": 6, "nhead": 3, "num_encoder_layers": 1, "num_decoder_layers": 2,
            "dim_feedforward": 10}
    return {
        "transformer_step_post_relu": transformer_step("post_relu", masked=True, tgt_is_causal=True, **small,
                                                       activation="relu", norm_first=False),
        "transformer_step_pre_gelu": transformer_step("pre_gelu", masked=True, tgt_is_causal=True, **small,
                                                      activation="gelu", norm_first=True),
        "transformer_step_bare": transformer_step("bare", masked=False, tgt_is_causal=False, **bare,
                                                  activation="gelu", norm_first=False, bias=False,
                                                  layer_norm_eps=1e-3),
        "transformer_train_step": train_step(),
        "mha": mha(),
    }
