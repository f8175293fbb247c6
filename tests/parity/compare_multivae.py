#!/usr/bin/env python3
"""Models of several modalities trained by the package `multivae` and by elbo, side by side: bound, coherence, time.

    python3 -m venv V && V/bin/pip install multivae            # a place of its own; it brings its own torch
    V/bin/python tests/parity/compare_multivae.py build/release/elbo

Both sides train MoPoE, MVTCAE and MMVAE (one sample, the looser bound, normal families) on the same rows of the procedural set
`poly`, with the same networks, batch size, number of steps, Adam and threads: the set and networks of
`scripts/multimodal_table --small`. The rows come from elbo: a linear encoder whose weights are the identity hands them on to
`elbo encode`. What multivae learnt goes back by `elbo import`, so that one program measures both, coherence and Frechet distances by the
same classifiers. Before that, multivae's own loss at elbo's weights, with beta 1, must be elbo's negative bound. The rows, too, are
drawn by the seed.

Wall seconds are of the steps alone, multivae's models in a plain loop without its trainer. Processor seconds, which other work on the
machine touches less, are multivae's of the steps alone and elbo's of the whole call of `elbo train`. About ten minutes on two idle
cores; --steps 100 --seeds 1 for a trial. Not part of the tests.
"""
import argparse
import json
import os
import struct
import statistics
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

NAMES = [f"m{i}" for i in range(3)]
SHAPE, HIDDEN = (3, 8, 8), 128
PIXELS = 3 * 8 * 8
SCALE, BETA = 0.2, 2.5
NETWORK = "{type: mlp, hidden: [128]}"
PICTURE = f"{{encoder: {NETWORK}, decoder: {NETWORK}, likelihood: {{type: laplace, scale: {SCALE}, mean: sigmoid}}}}"
LEARNING_RATE = 2e-3
METHODS = {
    "mopoe": ("{type: mopoe, prior_expert: full_only, draw: one}", "{type: elbo, beta: 2.5}"),
    "mvtcae": ("{type: poe, prior_expert: none}", "{type: mvtcae, alpha: 0.8333333333, beta: 2.5}"),
    "mmvae": ("{type: moe}", "{type: iwae, samples: 1, mixture: looser}"),
}


def config(method, seed, options):
    aggregation, objective = METHODS[method]
    modalities = "\n".join(f"    {name}: {PICTURE}" for name in NAMES)
    return f"""name: parity/{method}
seed: {seed}
data: {options.data}
model:
  type: multimodal_vae
  latent_size: {options.latent}
  aggregation: {aggregation}
  modalities:
{modalities}
objective: {objective}
optimizer: {{type: adam, learning_rate: {LEARNING_RATE}}}
training: {{steps: {options.steps}}}
evaluation: {{metrics: [elbo], every_epochs: 1000000, pictures: 0}}
"""


def initialised(module):
    """As elbo's: Glorot's uniform weights, biases 0; the heads start as torch's."""
    for layer in module.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.xavier_uniform_(layer.weight)
            torch.nn.init.zeros_(layer.bias)


class Encoder(BaseEncoder):
    """elbo's mlp encoder and its heads."""

    def __init__(self, latent):
        super().__init__()
        self.latent_dim = latent
        self.layers = torch.nn.ModuleList([torch.nn.Linear(PIXELS, HIDDEN)])
        initialised(self)
        self.mean, self.log_var = torch.nn.Linear(HIDDEN, latent), torch.nn.Linear(HIDDEN, latent)

    def forward(self, x):
        h = torch.tanh(self.layers[0](x.flatten(1)))
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    """elbo's mlp decoder."""

    def __init__(self, latent):
        super().__init__()
        self.latent_dim = latent
        self.layers = torch.nn.ModuleList([torch.nn.Linear(latent, HIDDEN)])
        self.output = torch.nn.Linear(HIDDEN, PIXELS)
        initialised(self)

    def forward(self, z):
        h = torch.tanh(self.layers[0](z))
        return ModelOutput(reconstruction=torch.sigmoid(self.output(h)).reshape(*z.shape[:-1], *SHAPE))


def build(method, options, beta=BETA, alpha=5 / 6):
    common = {"n_modalities": len(NAMES), "latent_dim": options.latent, "input_dims": {name: SHAPE for name in NAMES},
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
    def __init__(self, program, out, options):
        self.program, self.out, self.threads, self.data_root = program, out, options.threads, options.data_root

    def __call__(self, *words):
        done = subprocess.run([self.program, *map(str, words), "--threads", str(self.threads),
                               "--data-root", self.data_root], capture_output=True, text=True,
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


def rows_of(elbo, split, seed, options):
    """All pictures of a split: an encoder that is the identity hands them on."""
    weights = elbo.path("identity.safetensors")
    data = {}
    for name in NAMES:
        write_safetensors(weights, {f"posterior.{name}.mean.weight": np.eye(PIXELS, dtype=np.float32),
                                    f"posterior.{name}.mean.bias": np.zeros(PIXELS, np.float32)})
        linear = f"{{encoder: {{type: mlp, hidden: []}}, decoder: {{type: mlp, hidden: [1]}}, likelihood: {{type: laplace}}}}"
        text = f"name: parity/rows\nseed: {seed}\ndata: {options.data}\nmodel: {{type: multimodal_vae, latent_size: {PIXELS}, " \
               f"aggregation: {{type: moe}}, modalities: {{{name}: {linear}}}}}\nobjective: {{type: elbo}}\ntraining: {{steps: 1}}\n"
        run = elbo.path(f"rows_{name}")
        if not os.path.exists(run):
            elbo("import", elbo.write("rows.yaml", text), weights, "--partial", "--run", run)
        elbo("encode", run, "--split", split, "--out", elbo.path("rows.npz"))
        data[name] = torch.from_numpy(np.load(elbo.path("rows.npz"))["mean"].reshape(-1, *SHAPE).astype(np.float32))
    return data


def train_theirs(method, data, seed, options):
    torch.manual_seed(seed)
    model = build(method, options).train()
    adam = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    rows, seconds, used, order = len(data["m0"]), 0.0, 0.0, []
    for _ in range(options.steps):
        if len(order) < options.batch:
            order = torch.randperm(rows)
        chosen, order = order[:options.batch], order[options.batch:]
        batch = MultimodalBaseDataset({name: values[chosen] for name, values in data.items()})
        start, start_used = time.perf_counter(), time.process_time()
        loss = model(batch).loss
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        seconds += time.perf_counter() - start
        used += time.process_time() - start_used
    return model, seconds, used


def train_ours(elbo, method, seed, options):
    run = elbo.path(f"elbo_{method}")
    used, taken = run + ".cpu_seconds", os.times()
    if not os.path.exists(used):
        elbo("train", elbo.write(f"{method}.yaml", config(method, seed, options)), "--run", run, "--quiet")
        now = os.times()
        with open(used, "w", encoding="utf-8") as file:
            file.write(str(now.children_user + now.children_system - taken.children_user - taken.children_system))
    seconds, before = 0.0, 0
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as file:
        for line in map(json.loads, file):
            if line["split"] == "train":
                seconds += (line["step"] - before) * options.batch / line["examples_per_second"]
                before = line["step"]
    with open(used, encoding="utf-8") as file:
        return os.path.join(run, "checkpoints", "last"), seconds, float(file.read())


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
            order = torch.randperm(len(test["m0"]))  # MoPoE's components are slices of the batch, equal ones of 7 n rows
            losses += [model(MultimodalBaseDataset({name: values[part] for name, values in test.items()})).loss.item()
                       for part in order.split(126) if len(part) == 126]
    error = np.std(losses) / len(losses)**0.5
    values = json.loads(elbo("evaluate", run, "--metrics", "elbo", "--json", "-", "--quiet"))["metrics"]
    noise = error + values["elbo_standard_error_nats"] / 3  # the same rows, less those of the last slice
    verdict = "the same" if abs(-np.mean(losses) - values["elbo_nats"]) < 4 * noise else "DIFFERENT"
    print(f"{method}: their loss at our weights {np.mean(losses):.2f}, our negative ELBO {-values['elbo_nats']:.2f}: {verdict}")


def measure(elbo, run, options):
    link = os.path.join(os.path.realpath(run), "classifiers")
    if not os.path.lexists(link):  # the same for all runs of these rows: trained once
        os.makedirs(elbo.path("classifiers"), exist_ok=True)
        os.symlink(os.path.abspath(elbo.path("classifiers")), link)
    result = json.loads(elbo("evaluate", run, "--metrics", options.metrics, "--limit", options.limit, "--json", "-", "--quiet",
                             *options.evaluate.split()))
    metrics = result["metrics"]
    distances = [value for key, value in metrics.items() if key.startswith("frechet_classifier(")]
    kept = {key: value for key, value in metrics.items() if "(" not in key and "standard_error" not in key}
    return {**kept, **({"frechet_classifier": statistics.mean(distances)} if distances else {})}


def spread(values):
    """Mean and standard deviation over seeds."""
    if len(values) < 2:
        return "".join(f"{value:.4g}" for value in values)
    return f"{statistics.mean(values):.4g} ± {statistics.stdev(values):.2g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("elbo", help="the program")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--latent", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=10, help="of each digit; more rows")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", default="mopoe,mvtcae,mmvae")
    parser.add_argument("--metrics", default="elbo,coherence,frechet_classifier")
    parser.add_argument("--evaluate", default="", help="further options of elbo evaluate")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--data-root", default=os.environ.get("ELBO_DATA_ROOT", "data"))
    parser.add_argument("--out", default="multivae_parity", help="folder; what is there is used again")
    options = parser.parse_args()
    options.data = "{type: poly, base: {type: digits, test_fraction: 0.3}, modalities: %d, size: %d, repeats: %d, batch_size: %d}" % (
        len(NAMES), SHAPE[-1], options.repeats, options.batch)
    torch.set_num_threads(options.threads)

    table = {}
    for seed in range(1, options.seeds + 1):
        out = os.path.join(options.out, f"seed-{seed}")
        os.makedirs(out, exist_ok=True)
        elbo = Elbo(options.elbo, out, options)
        data, test = rows_of(elbo, "train", seed, options), rows_of(elbo, "test", seed, options)
        print(f"seed {seed}: {len(data['m0'])} rows, {options.steps} steps of {options.batch}, {options.threads} threads", flush=True)
        for method in options.methods.split(","):
            ours, seconds, used = train_ours(elbo, method, seed, options)
            check_loss(elbo, method, safetensors(os.path.join(ours, "model.safetensors")), ours, test, options)
            table.setdefault((method, "elbo"), []).append({"seconds": seconds, "cpu_seconds": used, **measure(elbo, ours, options)})
            theirs = elbo.path(f"multivae_{method}")
            kept = theirs + ".json"
            if not os.path.exists(kept):
                model, seconds, used = train_theirs(method, data, seed, options)
                weights = {name_here(name): array.detach().numpy() for name, array in model.state_dict().items() if name_here(name)}
                write_safetensors(elbo.path(f"{method}.safetensors"), weights)
                elbo("import", elbo.path(f"{method}.yaml"), elbo.path(f"{method}.safetensors"), "--run", theirs)
                with open(kept, "w", encoding="utf-8") as file:
                    json.dump({"seconds": seconds, "cpu_seconds": used, **measure(elbo, theirs, options)}, file)
            with open(kept, encoding="utf-8") as file:
                table.setdefault((method, "multivae"), []).append(json.load(file))

    columns = list(table[next(iter(table))][0])
    print("| method | trained by | " + " | ".join(columns) + " |\n|" + "---|" * (2 + len(columns)))
    for (method, by), runs in table.items():
        print(f"| {method} | {by} | " + " | ".join(spread([run[key] for run in runs if key in run]) for key in columns) + " |")


if __name__ == "__main__":
    main()
