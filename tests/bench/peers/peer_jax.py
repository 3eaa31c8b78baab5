"""JAX peer: hand-written Transformer step in one jit (see peer_bench.py for the program)."""
import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np


def positions(seq, d):
    pos = np.arange(seq, dtype=np.float32)[:, None]
    div = np.exp(np.arange(0, d, 2, dtype=np.float32) * (-np.log(10000.0) / d))
    pe = np.zeros((seq, d), np.float32)
    pe[:, 0::2], pe[:, 1::2] = np.sin(pos * div), np.cos(pos * div)
    return jnp.asarray(pe)


def init(c, seed):
    rng = np.random.default_rng(seed)
    d, f, v = c["d_model"], c["ff"], c["vocab"]

    def lin(n_out, n_in):
        a = (6.0 / (n_in + n_out)) ** 0.5
        return {"w": rng.uniform(-a, a, (n_in, n_out)).astype(np.float32),
                "b": np.zeros(n_out, np.float32)}

    def ln():
        return {"g": np.ones(d, np.float32), "b": np.zeros(d, np.float32)}

    def emb():
        return rng.normal(0.0, d ** -0.5, (v, d)).astype(np.float32)

    def mha():
        return {"qkv": lin(3 * d, d), "o": lin(d, d)}

    def enc():
        return {"att": mha(), "n1": ln(), "f1": lin(f, d), "f2": lin(d, f), "n2": ln()}

    def dec():
        return {**enc(), "cross": mha(), "n3": ln()}

    n = c["layers"]
    p = {"src": emb(), "tgt": emb(), "enc": [enc() for _ in range(n)], "dec": [dec() for _ in range(n)],
         "enc_norm": ln(), "dec_norm": ln(), "gen": lin(v, d)}
    return jax.tree.map(jnp.asarray, p)


def load(c, state):
    """The state dict of peer_torch.py's Seq2Seq as this peer's parameters."""
    def lin(path, weight="weight", bias="bias"):
        return {"w": state[f"{path}{weight}"].T, "b": state[f"{path}{bias}"]}

    def ln(path):
        return {"g": state[f"{path}.weight"], "b": state[f"{path}.bias"]}

    def mha(path):
        return {"qkv": lin(f"{path}.", "in_proj_weight", "in_proj_bias"), "o": lin(f"{path}.out_proj.")}

    def layer(path, norms):
        block = {"att": mha(f"{path}.self_attn"), "f1": lin(f"{path}.linear1."),
                 "f2": lin(f"{path}.linear2.")}
        return {**block, **{f"n{i}": ln(f"{path}.norm{i}") for i in range(1, norms + 1)}}

    def dec(path):
        return {**layer(path, 3), "cross": mha(f"{path}.multihead_attn")}

    encoder, decoder = "transformer.encoder", "transformer.decoder"
    p = {"src": state["src_emb.weight"], "tgt": state["tgt_emb.weight"],
         "enc": [layer(f"{encoder}.layers.{i}", 2) for i in range(c["layers"])],
         "dec": [dec(f"{decoder}.layers.{i}") for i in range(c["layers"])],
         "enc_norm": ln(f"{encoder}.norm"), "dec_norm": ln(f"{decoder}.norm"), "gen": lin("generator.")}
    return jax.tree.map(lambda x: jnp.asarray(x, dtype=jnp.float32), p)


def build(c, args, state):
    h, d, seq = c["heads"], c["d_model"], c["seq"]
    pe, scale, att_scale = positions(seq, d), d ** 0.5, (d // h) ** -0.5
    causal = jnp.where(np.tril(np.ones((seq, seq), bool)), 0.0, -jnp.inf).astype(jnp.float32)

    def linear(p, x):
        return x @ p["w"] + p["b"]

    def norm(p, x):
        mu = x.mean(-1, keepdims=True)
        var = jnp.square(x - mu).mean(-1, keepdims=True)
        return (x - mu) * jax.lax.rsqrt(var + 1e-5) * p["g"] + p["b"]

    def heads(x):
        return x.reshape(x.shape[0], x.shape[1], h, d // h)

    def attend(p, q, k, v, mask):
        s = jnp.einsum("bqhe,bkhe->bhqk", heads(q), heads(k)) * att_scale
        if mask is not None:
            s = s + mask
        o = jnp.einsum("bhqk,bkhe->bqhe", jax.nn.softmax(s, axis=-1), heads(v))
        return linear(p["o"], o.reshape(q.shape))

    def self_att(p, x, mask):
        return attend(p, *jnp.split(linear(p["qkv"], x), 3, axis=-1), mask)

    def cross_att(p, x, m):
        w, b = p["qkv"]["w"], p["qkv"]["b"]
        q = x @ w[:, :d] + b[:d]
        k, v = jnp.split(m @ w[:, d:] + b[d:], 2, axis=-1)
        return attend(p, q, k, v, None)

    def ffn(p, x):
        return linear(p["f2"], jax.nn.relu(linear(p["f1"], x)))

    def loss_fn(p, src, tin, tout):
        x = p["src"][src] * scale + pe
        for layer in p["enc"]:
            x = norm(layer["n1"], x + self_att(layer["att"], x, None))
            x = norm(layer["n2"], x + ffn(layer, x))
        m = norm(p["enc_norm"], x)
        y = p["tgt"][tin] * scale + pe
        for layer in p["dec"]:
            y = norm(layer["n1"], y + self_att(layer["att"], y, causal))
            y = norm(layer["n2"], y + cross_att(layer["cross"], y, m))
            y = norm(layer["n3"], y + ffn(layer, y))
        logp = jax.nn.log_softmax(linear(p["gen"], norm(p["dec_norm"], y)))
        return -jnp.take_along_axis(logp, tout[..., None], axis=-1).mean()

    def train_step(state, src, tin, tout):
        p, m, v, t = state
        loss, g = jax.value_and_grad(loss_fn)(p, src, tin, tout)
        t = t + 1.0
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        c1, c2 = 1.0 - 0.9 ** t, 1.0 - 0.999 ** t
        p = jax.tree.map(lambda p, m, v: p - 1e-3 * (m / c1) / (jnp.sqrt(v / c2) + 1e-8), p, m, v)
        return (p, m, v, t), loss

    train_step = jax.jit(train_step, donate_argnums=0)
    params = load(c, state) if state else init(c, args.seed)
    n_params = sum(x.size for x in jax.tree.leaves(params))
    box = [(params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params),
            jnp.float32(0.0))]

    def step(src, tin, tout):
        box[0], loss = train_step(box[0], src, tin, tout)
        return float(jax.block_until_ready(loss))

    def to_device(*arrays):
        return tuple(jnp.asarray(x, dtype=jnp.int32) for x in arrays)

    return step, to_device, n_params
