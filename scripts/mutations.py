"""What scripts/mutate breaks: the check that must notice, the file, its line and what becomes of it, and where to look for red.

`old` must stand exactly once in the file. `test` is a test program with a GoogleTest filter, or a script below tests/ with a
unittest name. Sources only, no headers: a header would build half the project."""
from typing import NamedTuple


class Mutation(NamedTuple):
    check: str
    file: str
    old: str
    new: str
    test: str
    filter: str


MUTATIONS = [
    # objectives
    Mutation("the KL lowers the bound", "src/objectives/elbo.cpp",
             "-(reconstruction + kl.detach())", "-(reconstruction - kl.detach())",
             "test_objectives", "Elbo.*"),
    Mutation("the KL is a cost", "src/objectives/elbo.cpp",
             ".loss = distortion + beta_.tensor() * kl", ".loss = distortion - beta_.tensor() * kl",
             "test_objectives", "Elbo.*"),
    Mutation("the reported bound has all weights 1", "src/objectives/elbo.cpp",
             "-(reconstruction + kl.detach())", "-(reconstruction + beta_.tensor() * kl.detach())",
             "test_objectives", "Elbo.*:BetaVae.*"),
    Mutation("beta-VAE has its own default", "src/objectives/elbo.cpp",
             "return make_elbo(config, model, context);", "return make_elbo({.samples = config.samples, .kl = config.kl}, model, context);",
             "test_objectives", "BetaVae.*"),
    Mutation("DReG weighs the gradient of z", "src/objectives/iwae.cpp",
             "return gradient * w;", "return gradient;", "test_objectives", "Iwae.Dreg*:Iwae.StlAndDreg*"),
    Mutation("STL and DReG cut log q's parameters off", "src/objectives/iwae.cpp",
             "live ? PosteriorGradient::live : PosteriorGradient::detached", "live ? PosteriorGradient::live : PosteriorGradient::live",
             "test_objectives", "Iwae.Dreg*:Iwae.StlAndDreg*"),
    Mutation("the mean of K weights has its log K", "src/math/numeric.cpp",
             "torch::logsumexp(tensor, dim) - std::log(static_cast<double>(tensor.size(dim)))", "torch::logsumexp(tensor, dim)",
             "test_objectives", "Iwae.IsTheExact*"),
    Mutation("strata weigh as their probabilities", "src/models/family.cpp",
             "over_samples * log_weight.exp()", "over_samples", "test_models", "Family.*"),
    Mutation("an unavailable stratum cannot leak NaN", "src/models/family.cpp",
             "torch::where(available, log_w + latents.log_weight, torch::full({}, kMinusInfinity, log_w.options()))",
             "log_w + latents.log_weight", "test_models", "Family.*"),
    # distributions
    Mutation("the normal's log-density has its log 2 pi", "src/distributions/normal.cpp",
             "(summed_log_var() + event_size(*this) * kLogTwoPi)", "summed_log_var()", "test_distributions", "DistributionGolden.Normal"),
    Mutation("a log-density is summed over the event, not averaged", "src/distributions/normal.cpp",
             "sum_last(square * inverse_variance, event_dims);", "sum_last(square * inverse_variance, event_dims) / event_size(*this);",
             "test_distributions", "DistributionGolden.Normal"),
    Mutation("the KL of normals has its minus one", "src/distributions/kl.cpp",
             "q.log_var().exp() - q.log_var() - 1)", "q.log_var().exp() - q.log_var())", "test_distributions", "Kl.*"),
    Mutation("rsample's spread is the standard deviation, not the variance", "src/distributions/normal.cpp",
             "const auto scale = (0.5 * log_var_).exp();", "const auto scale = log_var_.exp();", "test_distributions", "Normal.*"),
    Mutation("a stream is keyed by its step", "src/math/random.cpp",
             "hash_key({key_, static_cast<uint64_t>(step)})", "hash_key({key_})", "test_math", "Stream.*"),
    Mutation("streams of different names differ", "src/math/random.cpp",
             "hash_key({seed, hash_key(name), static_cast<uint64_t>(rank)})", "hash_key({seed, static_cast<uint64_t>(rank)})",
             "test_math", "Stream.*"),
    # optimisers and training
    Mutation("a non-finite step moves no parameter", "src/optim/adam.cpp",
             "config_.weight_decay, config_.epsilon, kAmsgrad, kMaximize, std::nullopt, found_inf);\n    }\n",
             "config_.weight_decay, config_.epsilon, kAmsgrad, kMaximize, std::nullopt, std::nullopt);\n    }\n",
             "test_optim", "Optimizers.*"),
    Mutation("a skipped step is not counted", "src/optim/adam.cpp", "count.sub_(found_inf);", "count.sub_(0);",
             "test_optim", "Optimizers.*"),
    Mutation("averaged weights stand still at a non-finite step", "src/optim/average.cpp",
             "((1 - found_inf) * weight_)", "(torch::ones_like(found_inf) * weight_)", "test_optim", "WeightAverage.*"),
    Mutation("clipping never enlarges a gradient", "src/optim/clip.cpp", ".clamp_max(1)", "", "test_optim", "ClipGradients.*"),
    Mutation("the loss is the sum over the batch divided by B", "src/training/gradients.cpp",
             "auto total = terms.loss.sum() / B;", "auto total = terms.loss.sum();", "test_training", "TrainerStep.*"),
    Mutation("a continued run restores its running means", "src/training/trainer_checkpoint.cpp",
             "  means.restore(window);\n", "", "test_training", "Resume.*"),
    Mutation("a continued run keeps its best value", "src/training/trainer_checkpoint.cpp",
             "  best = saved.best;\n", "", "test_training", "Resume.*"),
    Mutation("dynamic binarisation is keyed to its step", "src/training/trainer_step.cpp",
             "  streams.data.rekey(index);\n", "", "cli/resume_test.py",
             "Resume.test_a_signal_stops_after_a_checkpoint_and_the_run_goes_on_to_the_same_bits"),
    # files
    Mutation("event records carry the right checksum", "src/io/crc32c.cpp", "0xa282ead8", "0xa282ead9", "test_io", "Crc32c.*:Events.*"),
    Mutation("a damaged checkpoint is not read", "src/training/checkpoint.cpp",
             "if (sha256_file(folder_ / file) != expected->second)", "if (sha256_file(folder_ / file).empty())",
             "test_training", "Checkpoint.*"),
    Mutation("loading names what is unexpected", "src/training/checkpoint.cpp",
             "if (!std::binary_search(wanted.begin(), wanted.end(), name))", "if (false)", "test_training", "Checkpoint.*"),
    Mutation("arrays of Python objects are refused", "src/io/npy_format.cpp", "text.find('O') != std::string_view::npos",
             "text.find('Q') != std::string_view::npos", "test_io", "Hostile*"),
    # configs
    Mutation("a key given twice is refused", "src/config/reader.cpp",
             "\"given twice\" + (where", "\"\" + (where", "test_config", "Reader.*"),
    Mutation("several documents are refused", "src/config/yaml.cpp", "if (++num_documents_ > 1)", "if (++num_documents_ > 9)",
             "test_config", "Yaml.*"),
    # evaluation and data
    Mutation("log-likelihood sums all chunks of samples", "src/evaluation/likelihood.cpp",
             "sum_ = sum_ * before + sum * now;", "sum_ = sum * now;", "test_evaluation", "LogLikelihood.*"),
    Mutation("active units use the population variance over all rows", "src/evaluation/active_units.cpp",
             "product_ = product_ + product + step_a * step_b * (count_ * n / total);", "product_ = product_ + product;",
             "test_evaluation", "ActiveUnits.*"),
    Mutation("evaluation noise is keyed by its rows", "src/evaluation/granule_noise.cpp",
             "static_cast<uint64_t>(row_block), static_cast<uint64_t>(sample_block)", "static_cast<uint64_t>(sample_block)",
             "test_evaluation", "GranuleNoise.*"),
    Mutation("K = 50 is a prefix of K = 5,000", "src/evaluation/granule_noise.cpp",
             "granule.narrow(0, offset, samples)", "granule.narrow(0, 0, samples)", "test_evaluation", "GranuleNoise.*"),
    Mutation("evaluation rows are binarised once, not by the stream that is passed in", "src/data/memory_dataset.cpp",
             "const bool later = options_.binarize == Binarize::dynamic && split == Split::train;",
             "const bool later = options_.binarize == Binarize::dynamic;", "test_data", "Binarisation.*"),
    Mutation("each epoch has an order of its own", "src/data/loader.cpp", "order.rekey(epoch);", "order.rekey(0);",
             "test_data", "Loader.*"),
    # the command line
    Mutation("a run of another config is not continued", "src/training/config_differences.cpp",
             "if (is_free(path) || (other && *other == value)) continue;", "continue;", "cli/resume_test.py",
             "Resume.test_any_other_change_is_exit_2_and_lists_the_keys"),
    Mutation("a name holds letters, digits, _ - . and / only", "src/experiment/config.cpp",
             "if (!std::all_of(name.begin(), name.end(), allowed))", "if (!std::all_of(name.begin(), name.end(), allowed) && name.empty())",
             "cli/hostile_config_test.py", "HostileConfig.test_each_is_refused"),
    Mutation("a second writer is refused", "src/training/run_folder.cpp", "  lock_.emplace(path_ / kLockName);\n", "",
             "cli/train_test.py", "Refusals.test_two_writers_at_once"),
]
