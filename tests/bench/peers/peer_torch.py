"""PyTorch peer: nn.Transformer, eager or torch.compile (see peer_bench.py for the program)."""
import math

import torch
from torch import nn


def positions(seq, d):
    pos = torch.arange(seq, dtype=torch.float32).unsqueeze(1)
    div = torch.exp(torch.arange(0, d, 2, dtype=torch.float32) * (-math.log(10000.0) / d))
    pe = torch.zeros(seq, d)
    pe[:, 0::2] = torch.sin(pos * div)
    pe[:, 1::2] = torch.cos(pos * div)
    return pe


class Seq2Seq(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["d_model"]
        self.scale = math.sqrt(d)
        self.src_emb = nn.Embedding(c["vocab"], d)
        self.tgt_emb = nn.Embedding(c["vocab"], d)
        self.transformer = nn.Transformer(d, c["heads"], c["layers"], c["layers"], c["ff"],
                                          dropout=0.0, activation="relu", batch_first=True)
        self.generator = nn.Linear(d, c["vocab"])
        self.register_buffer("pe", positions(c["seq"], d))
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(c["seq"]))
        for name, p in self.named_parameters():
            if "_emb." in name:
                nn.init.normal_(p, std=d ** -0.5)
            elif p.dim() > 1:
                nn.init.xavier_uniform_(p)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, src, tin, tout):
        x = self.src_emb(src) * self.scale + self.pe
        y = self.tgt_emb(tin) * self.scale + self.pe
        h = self.transformer(x, y, tgt_mask=self.mask, tgt_is_causal=True)
        logits = self.generator(h)
        return nn.functional.cross_entropy(logits.flatten(0, 1), tout.flatten())


def build(c, args, state):
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = Seq2Seq(c).train()
    if state:
        model.load_state_dict({name: torch.from_numpy(x).float() for name, x in state.items()})
    n_params = sum(p.numel() for p in model.parameters())
    opt = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True if args.adam == "fused" else None)
    loss_fn = torch.compile(model, dynamic=False) if args.backend == "compile" else model

    def step(src, tin, tout):
        opt.zero_grad(set_to_none=True)
        loss = loss_fn(src, tin, tout)
        loss.backward()
        opt.step()
        return loss.item()

    def to_device(*arrays):
        return tuple(torch.from_numpy(x) for x in arrays)

    return step, to_device, n_params
