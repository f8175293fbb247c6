#include <torch/autograd.h>

#include <cmath>
#include <functional>
#include <set>

#include "conformance/components.h"
#include "elbo/quantizers/estimator.h"
#include "elbo/quantizers/tokens.h"
#include "elbo/quantizers/usage.h"
#include "support/tensors.h"

// What every quantiser must do, walked over the catalog. Each property is a function that says what is wrong, so that the same
// functions are shown to see a quantiser that is broken in just that way.

namespace elbo::conformance {
namespace {

constexpr int64_t kExamples = 5, kTokens = 7;

/// A quantiser with what it is called with, made anew for each property.
struct QuantizerBench {
  using Make = std::function<std::shared_ptr<Quantizer>(const QuantizerContext&)>;
  explicit QuantizerBench(const Make& make, uint64_t seed = 1)
      : init(seed, "init", at::kCPU), noise(5, "noise", at::kCPU), streams(5, at::kCPU) {
    made = make({.init = init});
    refill();
  }

  Step step(bool training) {
    return {.index = index, .training = training, .noise = noise, .streams = streams, .collective = alone};
  }
  void refill() {
    for (auto& number : made->scheduled()) number.refill({.step = 0, .steps_per_epoch = 10, .total_steps = 10});
  }
  Quantization forward(const Tensor& z, bool training, const Tensor& mask = {}) {
    noise.rekey(index);
    auto now = step(training);
    return made->forward(z, now, mask);
  }
  void initialise(const Tensor& z) {
    const torch::NoGradGuard no_grad;
    auto now = step(true);
    made->initialise(z, now);
  }
  void after_step() {
    const torch::NoGradGuard no_grad;
    streams.rekey(index);
    made->after_step(step(true));
    ++index;
  }
  /// Tokens [5, 7, D] of a few clusters, so that codes are used unevenly.
  Tensor tokens(int64_t number = 0) const {
    const auto D = made->code_space().input_size;
    Stream stream(11, "tokens", at::kCPU);
    stream.rekey(number);
    return 0.7 * stream.normal({kExamples, kTokens}, {D}) + wavy({D}, 0.4).to(at::kFloat);
  }
  std::vector<Tensor> state() const {
    std::vector<Tensor> all;
    for (const auto& parameter : made->parameters()) all.push_back(parameter.detach().clone());
    for (const auto& buffer : made->buffers()) all.push_back(buffer.clone());
    return all;
  }

  Stream init, noise;
  Streams streams;
  Collective alone;
  int64_t index = 0;
  std::shared_ptr<Quantizer> made;
};

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!a[i].equal(b[i])) return false;
  }
  return true;
}

using Make = QuantizerBench::Make;

/// U1: what the decoder reads is what the codes say, bit for bit.
std::string decodes_otherwise(const Make& make) {
  QuantizerBench bench(make);
  const auto out = bench.forward(bench.tokens(), false);
  const auto codes = bench.made->decode(out.indices);
  const auto D = bench.made->code_space().output_size;
  if (out.value.sizes() != Shape({kExamples, kTokens, D})) return "value has shape " + shape_text(out.value.sizes());
  return out.value.equal(codes) ? "" : "value is not decode(indices)";
}

/// U2: codes are those of the forward pass in evaluation; a token's code depends on no other token.
std::string encodes_otherwise(const Make& make) {
  QuantizerBench bench(make);
  const auto z = bench.tokens();
  const auto codes = bench.made->encode(z);
  if (codes.scalar_type() != at::kLong || codes.sizes() != Shape({kExamples, kTokens, bench.made->code_space().groups()})) {
    return "encode() gives " + shape_text(codes.sizes());
  }
  if (!codes.equal(bench.forward(z, false).indices)) return "encode() and forward() differ";
  const auto turned = torch::tensor({3, 0, 6, 1, 5, 2, 4}, at::kLong);
  if (!bench.made->encode(z.index_select(1, turned)).equal(codes.index_select(1, turned)))
    return "permuting tokens does not permute codes";
  for (int64_t t = 0; t < kTokens; ++t) {
    if (!bench.made->encode(z.select(1, t)).equal(codes.select(1, t))) return "a token alone has another code";
  }
  if (!bench.made->encode(z.narrow(0, 2, 1)).equal(codes.narrow(0, 2, 1))) return "an example alone has other codes";
  return "";
}

/// U3: the code of a code is itself, or one of the same value.
std::string encodes_codes_otherwise(const Make& make) {
  QuantizerBench bench(make);
  const auto value = bench.made->decode(bench.made->encode(bench.tokens())).detach();
  const auto again = bench.made->decode(bench.made->encode(value)).detach();
  return (again - value).abs().max().item<double>() <= 1e-6 * value.abs().max().item<double>()
             ? ""
             : "decode(encode(code)) is not the code";
}

/// U4: only after_step changes anything.
std::string changes_by_looking(const Make& make) {
  QuantizerBench bench(make);
  bench.initialise(bench.tokens());
  const auto before = bench.state();
  for (int64_t i = 0; i < 3; ++i) {
    bench.forward(bench.tokens(i), false);
    bench.forward(bench.tokens(i), true);
  }
  bench.made->encode(bench.tokens());
  return same(bench.state(), before) ? "" : "a forward pass changed a parameter or buffer";
}

/// U5: the decoder's gradient reaches the token unchanged, and no code.
std::string changes_the_gradient(const Make& make) {
  QuantizerBench bench(make);
  const auto z = bench.tokens().requires_grad_();
  const auto out = bench.forward(z, true);
  const auto g = wavy(out.value.sizes(), 0.9).to(at::kFloat);
  (out.value * g).sum().backward();
  if (!z.grad().defined() || !z.grad().equal(g)) return "the gradient of a token is not that of its value";
  for (const auto& parameter : bench.made->named_parameters()) {
    const auto& gradient = parameter.value().grad();
    if (gradient.defined() && gradient.ne(0).any().item<bool>()) return parameter.key() + " gets the decoder's gradient";
  }
  return "";
}

Tensor gradient_of(const Tensor& value, const Tensor& of) {
  if (!value.requires_grad()) return torch::zeros_like(of);
  const auto found =
      torch::autograd::grad({value.sum()}, {of}, {}, /*retain_graph=*/true, /*create_graph=*/false, /*allow_unused=*/true)[0];
  return found.defined() ? found : torch::zeros_like(of);
}

/// U6: the codebook term moves no token, the commitment no code.
std::string terms_overlap(const Make& make) {
  QuantizerBench bench(make);
  const auto z = bench.tokens().requires_grad_();
  const auto out = bench.forward(z, true);
  for (const auto& term : out.terms) {
    const auto is = [&](const std::string& name) { return term.name == name || term.name.ends_with("/" + name); };
    if (is("codebook") && gradient_of(term.value, z).ne(0).any().item<bool>()) return term.name + " moves tokens";
    if (!is("commitment")) continue;
    for (const auto& parameter : bench.made->named_parameters()) {
      if (parameter.key().find("projection") == std::string::npos && parameter.key().find("codes") == std::string::npos &&
          parameter.key().find("vectors") == std::string::npos)
        continue;
      if (gradient_of(term.value, parameter.value()).ne(0).any().item<bool>()) return term.name + " moves " + parameter.key();
    }
  }
  return "";
}

/// U7: perplexity in [1, V], usage in (0, 1], codes in [0, V), terms [B] or 0-dim, errors of 0 or more.
std::string leaves_bounds(const Make& make) {
  QuantizerBench bench(make);
  const auto space = bench.made->code_space();
  for (const bool training : {false, true}) {
    const auto out = bench.forward(bench.tokens(), training);
    for (const auto& term : out.terms) {
      if (term.value.dim() != 0 && term.value.sizes() != Shape{kExamples})
        return term.name + " has shape " + shape_text(term.value.sizes());
      if (!term.value.isfinite().all().item<bool>()) return term.name + " is not finite";
      if (term.weight.defined() && term.weight.dim() != 0) return "the weight of " + term.name + " is not 0-dim";
      if (!(term.elements >= 1)) return term.name + " sums no elements";
      const bool squared = term.name.ends_with("commitment") || term.name.ends_with("codebook") || term.name.ends_with("kl");
      if (squared && term.value.lt(0).any().item<bool>()) return term.name + " is negative";
    }
    for (const auto& reading : out.readings) {
      if (reading.value.dim() != 0 || reading.value.requires_grad())
        return "reading " + reading.name + " is not 0-dim and detached";
    }
    if (!out.indices.defined()) {
      if (!training) return "no codes in evaluation";
      continue;
    }
    if (space.bounded()) {
      for (int64_t g = 0; g < space.groups(); ++g) {
        const auto codes = out.indices.select(-1, g);
        if (codes.lt(training ? -1 : 0).any().item<bool>() || codes.ge(space.sizes[static_cast<size_t>(g)]).any().item<bool>()) {
          return "a code outside 0 to V - 1";
        }
      }
    }
    const auto usages = batch_usages(out.indices, space);
    for (size_t g = 0; g < usages.size(); ++g) {
      const auto V = space.bounded() ? static_cast<double>(space.sizes[g]) : INFINITY;
      const auto perplexity = usages[g].perplexity.item<double>();
      if (!(perplexity >= 1 - 1e-6 && perplexity <= V + 1e-3)) return "perplexity " + std::to_string(perplexity);
      if (!(usages[g].used.item<double>() >= 1 && usages[g].used.item<double>() <= V)) return "no code or more than V are used";
    }
  }
  const auto length = bench.made->code_length(bench.made->encode(bench.tokens()));
  if (length.sizes() != Shape{kExamples} || !(length.min().item<double>() >= 0)) return "code_length";
  return "";
}

/// U8: what is saved and loaded goes on as if nothing had happened.
std::string forgets(const Make& make) {
  QuantizerBench first(make, 1), second(make, 2);
  first.initialise(first.tokens());
  for (int64_t i = 0; i < 3; ++i) {
    first.forward(first.tokens(i), true);
    first.after_step();
  }
  {
    const torch::NoGradGuard no_grad;
    const auto from = first.made->named_parameters(), to = second.made->named_parameters();
    for (const auto& item : from) to[item.key()].copy_(item.value());
    const auto from_buffers = first.made->named_buffers(), to_buffers = second.made->named_buffers();
    for (const auto& item : from_buffers) to_buffers[item.key()].copy_(item.value());
  }
  second.index = first.index;
  for (int64_t i = 3; i < 5; ++i) {
    const auto a = first.forward(first.tokens(i), true), b = second.forward(second.tokens(i), true);
    if (!a.value.equal(b.value)) return "the loaded one gives other values";
    first.after_step();
    second.after_step();
    if (!same(first.state(), second.state())) return "the loaded one learns otherwise";
  }
  return "";
}

/// U9: of codes equally near the lowest number wins.
std::string breaks_ties_otherwise(const Make& make) {
  QuantizerBench bench(make);
  const torch::NoGradGuard no_grad;
  bool any = false;
  const auto level = [&](const auto& items) {
    for (const auto& item : items) {
      const auto name = item.key();
      const auto last = name.substr(name.rfind('.') == std::string::npos ? 0 : name.rfind('.') + 1);
      if (last != "codes" && last != "vectors") continue;
      auto rows = item.value();
      rows.copy_(rows.select(-2, 3).unsqueeze(-2).expand_as(rows));  // all codes are the fourth
      any = true;
    }
  };
  level(bench.made->named_parameters());
  level(bench.made->named_buffers());
  if (!any) return "no codes to make equal";
  return bench.made->encode(bench.tokens()).eq(0).all().item<bool>() ? "" : "a tie is not broken by the lowest number";
}

/// U10: what a token that doesn't count holds has no influence, on gradients neither, even if it is no number.
std::string sees_masked_tokens(const Make& make) {
  const auto mask =
      torch::tensor({1, 1, 0, 1, 0, 1, 1}, at::kByte).to(at::kBool).unsqueeze(0).expand({kExamples, kTokens}).contiguous();
  std::vector<Tensor> first;
  for (const double held : {3.0, 5.0, std::nan("")}) {
    std::vector<Tensor> seen;
    QuantizerBench bench(make);
    const auto clean = bench.tokens();
    bench.initialise(clean);
    const auto z = torch::where(mask.unsqueeze(-1), clean, held).requires_grad_();
    const auto out = bench.forward(z, true, mask);
    auto loss = (out.value * wavy(out.value.sizes(), 0.9).to(at::kFloat)).sum();
    if (out.continuous.defined()) loss = loss + out.continuous.sum();
    for (const auto& term : out.terms) {
      seen.push_back(term.value.detach());
      loss = loss + term.value.sum();
    }
    if (loss.requires_grad()) loss.backward();
    if (z.grad().defined()) seen.push_back(z.grad());
    for (const auto& parameter : bench.made->parameters()) {
      if (parameter.grad().defined()) seen.push_back(parameter.grad());
    }
    for (const auto& reading : out.readings) seen.push_back(reading.value.clone());
    if (out.indices.defined()) {
      seen.push_back(out.indices);
      const auto left_out = out.indices.masked_select(mask.logical_not().unsqueeze(-1).expand_as(out.indices));
      if (bench.made->code_space().bounded() && left_out.ne(-1).any().item<bool>()) return "a token that is left out has a code";
    }
    bench.after_step();
    for (const auto& tensor : bench.state()) seen.push_back(tensor);
    if (first.empty()) first = seen;
    if (same(first, seen)) continue;
    return std::isnan(held) ? "a NaN that is left out spreads" : "tokens that are left out change terms, codes or what is learnt";
  }
  return "";
}

struct QuantizerProperty {
  std::string name = {};
  std::string (*violation)(const Make&) = nullptr;
  /// Quantisers that do not have it by their definition, with what their own tests hold instead.
  std::map<std::string, std::string> exempt = {};
};

const std::vector<QuantizerProperty>& quantizer_properties() {
  static const std::vector<QuantizerProperty> properties = {
      {"U1 decode", decodes_otherwise},
      {"U2 encode", encodes_otherwise},
      {"U3 idempotent",
       encodes_codes_otherwise,
       {{"fsq", "tanh pulls outer levels inwards; fsq_test inverts the bound instead"},
        {"gaussian_quant", "reads means and variances, gives codes"},
        {"gumbel", "reads what is projected to logits"},
        {"residual", "greedy: coding again does not raise the error, residual_test"},
        {"vaevq", "reads means and variances, gives codes"}}},
      {"U4 changes nothing", changes_by_looking},
      {"U5 gradient",
       changes_the_gradient,
       {{"bsq", "the normalisation is differentiated, sign_codes_test"},
        {"fsq", "the bound is differentiated, fsq_test"},
        {"gaussian_quant", "the draw of a posterior, gaussian_quant_test"},
        {"gumbel", "the relaxed draw, gumbel_test"},
        {"mcquic", "the relaxed draw, mcquic_test"},
        {"multi_group", "the normalisation is differentiated, multi_group_test"},
        {"vaevq", "its code gets gradient too, vaevq_test"}}},
      {"U6 separate terms", terms_overlap},
      {"U7 bounds", leaves_bounds},
      {"U8 saved and loaded", forgets},
      {"U9 ties",
       breaks_ties_otherwise,
       {{"bsq", "no codebook"},
        {"fsq", "no codebook"},
        {"gaussian_quant", "its codes are fixed and all differ, gaussian_quant_test"},
        {"gumbel", "codes are chosen by logits"},
        {"lattice", "no codebook"},
        {"lfq", "no codebook"}}},
      {"U10 mask", sees_masked_tokens},
  };
  return properties;
}

Make catalog_make(const std::string& name) {
  return [name](const QuantizerContext& context) { return build(quantizers(), name, context); };
}

class EveryQuantizer : public ::testing::TestWithParam<Component> {};

TEST_P(EveryQuantizer, HasTheUniversalProperties) {
  for (const auto& property : quantizer_properties()) {
    if (property.exempt.contains(GetParam().name)) continue;
    EXPECT_EQ(property.violation(catalog_make(GetParam().name)), "") << property.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogs, EveryQuantizer, ::testing::ValuesIn(components({"quantizer"})), test_name);

TEST(QuantizerWalk, ExemptionsAreOfQuantisersThatExistAndSayWhy) {
  for (const auto& property : quantizer_properties()) {
    for (const auto& [name, reason] : property.exempt) {
      EXPECT_TRUE(quantizers().find(name)) << name;
      EXPECT_FALSE(reason.empty()) << name;
    }
  }
}

// ---- the walk sees each flaw

enum class Flaw {
  none,
  rounded_value,
  batch_dependent,
  shifted_codes,
  counts_in_forward,
  scaled_gradient,
  live_terms,
  code_out_of_range,
  plain_member,
  last_of_ties,
  ignores_mask,
  masks_late
};

/// A nearest-code layer of moving averages with one thing wrong with it.
class FlawedQuantizer final : public Quantizer {
 public:
  FlawedQuantizer(Flaw flaw, Stream& init) : flaw_(flaw) {
    codes_ = register_parameter("codes", init.normal({kV}, {kD}));
    count_ = torch::zeros({kV});
    if (flaw != Flaw::plain_member) count_ = register_buffer("count", count_);
  }

  Quantization forward(const Tensor& tokens, Step& step, const Tensor& given) override {
    const auto mask = flaw_ == Flaw::ignores_mask ? Tensor() : given;
    const auto z = flaw_ == Flaw::masks_late ? tokens : fill_left_out(tokens, mask, 0);
    auto indices = encode(z.detach());
    if (mask.defined()) indices = torch::where(mask.unsqueeze(-1), indices, -1);
    const auto used = torch::where(indices.ge(0), torch::embedding(codes_, indices.squeeze(-1).clamp_min(0)), 0.0);
    const auto value = pass_gradient(z, used, GradientEstimator::straight_through);
    Quantization out{.value = value, .indices = indices};
    if (flaw_ == Flaw::rounded_value) out.value = z + (used - z).detach();
    if (flaw_ == Flaw::scaled_gradient) out.value = pass_gradient(2 * z - z.detach(), used, GradientEstimator::straight_through);
    if (flaw_ == Flaw::code_out_of_range) out.indices = torch::where(indices.eq(indices.max()), kV, indices);
    const auto counted = mask.defined() ? mask : torch::ones(z.sizes().slice(0, z.dim() - 1), at::kBool);
    const auto squared = [&](const Tensor& a, const Tensor& b) {
      return torch::where(counted, (a - b).square().sum(-1), 0.0).flatten(1).sum(1);
    };
    const auto live = flaw_ == Flaw::live_terms;  // the terms of a port that takes them after straight-through
    out.terms = {{.name = "codebook", .value = squared(live ? z : z.detach(), used)},
                 {.name = "commitment", .value = squared(z, used.detach())}};
    if (!step.training) return out;
    pending_ = indices.masked_select(counted.unsqueeze(-1));
    if (flaw_ == Flaw::counts_in_forward) count_.index_add_(0, pending_, torch::ones(pending_.sizes()));
    return out;
  }
  Tensor encode(const Tensor& z) override {
    auto rows = z.reshape({-1, kD});
    if (flaw_ == Flaw::batch_dependent) rows = rows - rows.mean(0);
    const auto distance = (rows.unsqueeze(1) - codes_.detach()).square().sum(-1);
    const auto index = flaw_ == Flaw::last_of_ties ? kV - 1 - distance.flip(1).argmin(1) : distance.argmin(1);
    return index.reshape(joined(z.sizes().slice(0, z.dim() - 1), {1}));
  }
  Tensor decode(const Tensor& indices) override {
    const auto index = flaw_ == Flaw::shifted_codes ? (indices + 1).remainder(kV) : indices;
    return torch::where(indices.ge(0), torch::embedding(codes_, index.squeeze(-1).clamp(0, kV - 1)), 0.0);
  }
  CodeSpace code_space() const override { return {kD, kD, {kV}}; }
  void after_step(const Step&) override {
    if (!pending_.defined()) return;
    count_.index_add_(0, pending_, torch::ones(pending_.sizes()));
    const auto seldom = count_.lt(2).unsqueeze(1);
    codes_.data().copy_(torch::where(seldom, codes_ * 0.9, codes_));
    pending_ = Tensor();
  }

 private:
  static constexpr int64_t kV = 9, kD = 3;
  Flaw flaw_;
  Tensor codes_, count_, pending_;
};

Make flawed(Flaw flaw) {
  return [flaw](const QuantizerContext& context) { return std::make_shared<FlawedQuantizer>(flaw, context.init); };
}

TEST(QuantizerWalk, SeesEachFlaw) {
  const std::vector<std::pair<std::string, Flaw>> flaws = {
      {"U1 decode", Flaw::rounded_value},     {"U2 encode", Flaw::batch_dependent},
      {"U3 idempotent", Flaw::shifted_codes}, {"U4 changes nothing", Flaw::counts_in_forward},
      {"U5 gradient", Flaw::scaled_gradient}, {"U6 separate terms", Flaw::live_terms},
      {"U7 bounds", Flaw::code_out_of_range}, {"U8 saved and loaded", Flaw::plain_member},
      {"U9 ties", Flaw::last_of_ties},        {"U10 mask", Flaw::ignores_mask},
      {"U10 mask", Flaw::masks_late}};
  std::set<std::string> covered;
  for (const auto& property : quantizer_properties()) {
    EXPECT_EQ(property.violation(flawed(Flaw::none)), "") << property.name;
    for (const auto& [name, flaw] : flaws) {
      if (name != property.name) continue;
      covered.insert(name);
      EXPECT_NE(property.violation(flawed(flaw)), "") << property.name << " does not see its flaw";
    }
  }
  EXPECT_EQ(covered.size(), quantizer_properties().size());
}

}  // namespace
}  // namespace elbo::conformance
