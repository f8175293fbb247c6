#!/usr/bin/env bash
# From a fresh clone to a trained VAE, its test log-likelihood and pictures of what it learnt.
#
#   scripts/quickstart.sh [RUN]      the run folder, by default runs/quickstart-<UTC time>
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/common.sh
source scripts/common.sh
readonly run=${1:-runs/quickstart-$(date -u +%Y%m%dT%H%M%SZ)}
[[ ! -e $run ]] || die "$run is there already. Name another folder."

scripts/setup.sh
# shellcheck source=/dev/null
source .deps/env.sh
cmake --preset release && cmake --build --preset release -j "$(compile_jobs)" --target elbo_program
scripts/fetch_data.sh fashion_mnist
readonly elbo=build/release/elbo

start=$SECONDS
say "training a VAE on Fashion-MNIST"
"$elbo" train configs/fashion_mnist/quickstart.yaml --run "$run"
say "evaluating: test log-likelihood by 1,000 importance samples on 1,000 test images"
"$elbo" evaluate "$run" --metrics elbo,log_likelihood,active_units --samples 1000 --limit 1000 --split test
say "drawing"
"$elbo" sample "$run" --count 64 --out "$run/samples/samples.png"
"$elbo" reconstruct "$run" --out "$run/samples/reconstructions.png"

cat <<END

Done, $((SECONDS - start)) seconds after the build.
  The run            $run   (config.yaml says what was run, metrics.jsonl and TensorBoard's events how it went)
  New images         $run/samples/samples.png
  Reconstructions    $run/samples/reconstructions.png

Next:
  $elbo info $run          what this run is, and its numbers
  $elbo list          every data set, network, model and objective there is
  $elbo train configs/fashion_mnist/iwae.yaml          another method, as its paper set it
END
