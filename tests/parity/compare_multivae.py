#!/usr/bin/env python3
"""Models of several modalities trained by the package `multivae` and by elbo, side by side: bound, coherence, time.

    python3 -m venv V && V/bin/pip install multivae            # a place of its own; it brings its own torch
    V/bin/python tests/parity/compare_multivae.py build/release/elbo --steps 1500 --threads 2

Both sides train MoPoE, MVTCAE and MMVAE (one sample, the looser bound, normal families) on the same rows of the procedural set
`poly`, with the same networks, batch size, number of steps, Adam and threads. The rows come from elbo: a linear encoder whose
weights are the identity hands them on to `elbo encode`. What multivae learnt goes back by `elbo import`, so that one program measures
both: the bound, and with --metrics coherence by the same classifiers. Before that, multivae's own loss at elbo's weights, with beta 1,
must be elbo's negative bound.

Times are of the steps alone: multivae's models in a plain loop, without its trainer. About ten minutes on two cores at the defaults;
--steps 100 --repeats 1 for a trial. Not part of the tests.
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import time

import numpy as np
import torch
from multivae.data.datasets.base import MultimodalBaseDataset
from multivae.models import MMVAE, MMVAEConfig, MoPoE, MoPoEConfig, MVTCAE, MVTCAEConfig
from multivae.models.base import BaseDecoder, BaseEncoder
from pythae.models.base.base_utils import ModelOutput

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from read_files import safetensors  # noqa: E402

NAMES = [f"m{i}" for i in range(5)]
SCALE, BETA = 0.75, 2.5
PICTURE = "{encoder: {type: conv, channels: [32, 64], hidden: 256}, decoder: {type: conv, channels: [32, 64], hidden: 256}, " \
          "likelihood: {type: laplace, scale: 0.75}}"
METHODS = {
    "mopoe": ("{type: mopoe, prior_expert: full_only, draw: one}", "{type: elbo, beta: 2.5}"),
    "mvtcae": ("{type: poe, prior_expert: none}", "{type: mvtcae, alpha: 0.8333333333, beta: 2.5}"),
    "mmvae": ("{type: moe}", "{type: iwae, samples: 1, mixture: looser}"),
}


def config(method, options):
    aggregation, objective = METHODS[method]
    modalities = "\n".join(f"    {name}: {PICTURE}" for name in NAMES)
    return f"""name: parity/{method}
seed: 1
data: {options.data}
model:
  type: multimodal_vae
  latent_size: {options.latent}
  aggregation: {aggregation}
  modalities:
{modalities}
objective: {objective}
optimizer: {{type: adam, learning_rate: 1e-3}}
training: {{steps: {options.steps}}}
evaluation: {{metrics: [elbo], every_epochs: 1000000, pictures: 0}}
"""


class Encoder(BaseEncoder):
    """elbo's conv encoder and its heads."""

    def __init__(self, latent):
        super().__init__()
        self.latent_dim = latent
        self.convs = torch.nn.ModuleList([torch.nn.Conv2d(3, 32, 4, 2, 1), torch.nn.Conv2d(32, 64, 4, 2, 1)])
        self.layers = torch.nn.ModuleList([torch.nn.Linear(3136, 256)])
        self.mean, self.log_var = torch.nn.Linear(256, latent), torch.nn.Linear(256, latent)

    def forward(self, x):
        for conv in self.convs:
            x = torch.relu(conv(x))
        h = torch.relu(self.layers[0](x.flatten(1)))
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    """elbo's conv decoder."""

    def __init__(self, latent):
        super().__init__()
        self.latent_dim = latent
        self.layers = torch.nn.ModuleList([torch.nn.Linear(latent, 256), torch.nn.Linear(256, 3136)])
        self.convs = torch.nn.ModuleList([torch.nn.ConvTranspose2d(64, 32, 4, 2, 1)])
        self.output = torch.nn.ConvTranspose2d(32, 3, 4, 2, 1)

    def forward(self, z):
        for layer in self.layers:
            z = torch.relu(layer(z))
        h = torch.relu(self.convs[0](z.reshape(-1, 64, 7, 7)))
        return ModelOutput(reconstruction=self.output(h))


def build(method, options, beta=BETA, alpha=5 / 6):
    common = {"n_modalities": 5, "latent_dim": options.latent, "input_dims": {name: (3, 28, 28) for name in NAMES},
              "decoders_dist": {name: "laplace" for name in NAMES},
              "decoder_dist_params": {name: {"scale": SCALE} for name in NAMES}}
    encoders = {name: Encoder(options.latent) for name in NAMES}
    decoders = {name: Decoder(options.latent) for name in NAMES}
    if method == "mopoe":
        return MoPoE(MoPoEConfig(beta=beta, **common), encoders, decoders)
    if method == "mvtcae":
        return MVTCAE(MVTCAEConfig(alpha=alpha, beta=beta, **common), encoders, decoders)
    return MMVAE(MMVAEConfig(K=1, prior_and_posterior_dist="normal", learn_prior=False, loss="iwae_looser", **common), encoders,
                 decoders)


def name_here(theirs):
    """'encoders.m0.mean.weight' -> 'posterior.m0.mean.weight', …; None for what elbo has no parameter for."""
    part, _, rest = theirs.partition(".")
    if part not in ("encoders", "decoders"):
        return None
    modality, _, rest = rest.partition(".")
    head = rest.split(".")[0] in ("mean", "log_var")
    return f"{'posterior' if head else part[:-1]}.{modality}.{rest}"


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in tensors.values()))


class Elbo:
    def __init__(self, program, out, threads):
        self.program, self.out, self.threads = program, out, threads

    def __call__(self, *words):
        done = subprocess.run([self.program, *map(str, words), "--threads", str(self.threads)], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            sys.exit(f"elbo {' '.join(map(str, words))}:\n{done.stderr}")
        return done.stdout

    def path(self, name):
        return os.path.join(self.out, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)


def rows_of(elbo, split, options):
    """All pictures of a split: an encoder that is the identity hands them on."""
    pixels = 3 * 28 * 28
    weights = elbo.path("identity.safetensors")
    data = {}
    for name in NAMES:
        write_safetensors(weights, {f"posterior.{name}.mean.weight": np.eye(pixels, dtype=np.float32),
                                    f"posterior.{name}.mean.bias": np.zeros(pixels, np.float32)})
        linear = f"{{encoder: {{type: mlp, hidden: []}}, decoder: {{type: mlp, hidden: [1]}}, likelihood: {{type: laplace}}}}"
        text = f"name: parity/rows\nseed: 1\ndata: {options.data}\nmodel: {{type: multimodal_vae, latent_size: {pixels}, " \
               f"aggregation: {{type: moe}}, modalities: {{{name}: {linear}}}}}\nobjective: {{type: elbo}}\ntraining: {{steps: 1}}\n"
        run = elbo.path(f"rows_{name}")
        if not os.path.exists(run):
            elbo("import", elbo.write("rows.yaml", text), weights, "--partial", "--run", run)
        elbo("encode", run, "--split", split, "--out", elbo.path("rows.npz"))
        data[name] = torch.from_numpy(np.load(elbo.path("rows.npz"))["mean"].reshape(-1, 3, 28, 28).astype(np.float32))
    return data


def train_theirs(method, data, options):
    torch.manual_seed(1)
    model = build(method, options).train()
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    rows, seconds, order = len(data["m0"]), 0.0, []
    for _ in range(options.steps):
        if len(order) < options.batch:
            order = torch.randperm(rows)
        chosen, order = order[:options.batch], order[options.batch:]
        batch = MultimodalBaseDataset({name: values[chosen] for name, values in data.items()})
        start = time.perf_counter()
        loss = model(batch).loss
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        seconds += time.perf_counter() - start
    return model, seconds


def train_ours(elbo, method, options):
    run = elbo.path(f"elbo_{method}")
    if not os.path.exists(run):
        elbo("train", elbo.write(f"{method}.yaml", config(method, options)), "--run", run, "--quiet")
    seconds, before = 0.0, 0
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as file:
        for line in map(json.loads, file):
            if line["split"] == "train":
                seconds += (line["step"] - before) * options.batch / line["examples_per_second"]
                before = line["step"]
    return os.path.join(run, "checkpoints", "last"), seconds


def check_loss(elbo, method, weights, run, test, options):
    """Their loss at our weights with beta 1 (of MVTCAE alpha 0) is our negative ELBO. MMVAE's has the mixture's density: no."""
    if method == "mmvae":
        return
    model = build(method, options, beta=1, alpha=0).eval()
    state = model.state_dict()
    ours = {name_here(name): name for name in state if name_here(name)}
    assert sorted(ours) == sorted(weights), "the networks differ"
    model.load_state_dict({**state, **{ours[name]: torch.from_numpy(array.copy()) for name, array in weights.items()}})
    torch.manual_seed(0)
    losses = []
    with torch.no_grad():
        for _ in range(20):
            order = torch.randperm(len(test["m0"]))  # MoPoE's components are slices of the batch, equal ones of 31 n rows
            losses += [model(MultimodalBaseDataset({name: values[part] for name, values in test.items()})).loss.item()
                       for part in order.split(124) if len(part) == 124]
    error = np.std(losses) / len(losses)**0.5
    values = json.loads(elbo("evaluate", run, "--metrics", "elbo", "--json", "-", "--quiet"))["metrics"]
    noise = error + values["elbo_standard_error_nats"] / 3  # the same rows, less those of the last slice
    verdict = "the same" if abs(-np.mean(losses) - values["elbo_nats"]) < 4 * noise else "DIFFERENT"
    print(f"{method}: their loss at our weights {np.mean(losses):.2f}, our negative ELBO {-values['elbo_nats']:.2f}: {verdict}")


def measure(elbo, run, options):
    result = json.loads(elbo("evaluate", run, "--metrics", options.metrics, "--limit", options.limit, "--json", "-", "--quiet",
                             *options.evaluate.split()))
    return {key: value for key, value in result["metrics"].items() if "(" not in key and "standard_error" not in key}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("elbo", help="the program")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5, help="of each digit; more rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--methods", default="mopoe,mvtcae,mmvae")
    parser.add_argument("--metrics", default="elbo,coherence")
    parser.add_argument("--evaluate", default="", help="further options of elbo evaluate")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--out", default="multivae_parity", help="folder; what is there is used again")
    options = parser.parse_args()
    options.data = f"{{type: poly, base: {{type: digits}}, repeats: {options.repeats}, batch_size: {options.batch}}}"
    os.makedirs(options.out, exist_ok=True)
    torch.set_num_threads(options.threads)
    elbo = Elbo(options.elbo, options.out, options.threads)
    data, test = rows_of(elbo, "train", options), rows_of(elbo, "test", options)
    print(f"{len(data['m0'])} rows, {options.steps} steps of {options.batch}, {options.threads} threads")

    table = []
    for method in options.methods.split(","):
        ours, seconds = train_ours(elbo, method, options)
        check_loss(elbo, method, safetensors(os.path.join(ours, "model.safetensors")), ours, test, options)
        table.append((method, "elbo", seconds, measure(elbo, ours, options)))
        model, seconds = train_theirs(method, data, options)
        weights = {name_here(name): array.detach().numpy() for name, array in model.state_dict().items() if name_here(name)}
        write_safetensors(elbo.path(f"{method}.safetensors"), weights)
        theirs = elbo.path(f"multivae_{method}_{os.getpid()}")
        elbo("import", elbo.path(f"{method}.yaml"), elbo.path(f"{method}.safetensors"), "--run", theirs)
        table.append((method, "multivae", seconds, measure(elbo, theirs, options)))

    columns = list(table[0][3])
    print("| method | trained by | seconds | " + " | ".join(columns) + " |\n|" + "---|" * (3 + len(columns)))
    for method, by, seconds, values in table:
        print(f"| {method} | {by} | {seconds:.1f} | " + " | ".join(f"{values.get(key, float('nan')):.4g}" for key in columns) + " |")


if __name__ == "__main__":
    main()
