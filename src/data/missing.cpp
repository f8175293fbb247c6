#include "missing.h"

#include <algorithm>
#include <span>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/sha256.h"
#include "elbo/math/upload.h"

namespace elbo {

void MissingOptions::check(Relations& relations) const {
  if (draw != MissingDraw::dynamic) return;
  if (block > 1) relations.problem("block", "rows that are drawn whenever they are read come in no order: leave block at 1");
  if (!guarantee_one)
    relations.problem("guarantee_one", "draw: dynamic would leave a row with nothing sooner or later; set it true");
}

bool MissingOptions::any() const {
  return rate > 0 || std::any_of(rates.begin(), rates.end(), [](const auto& entry) { return entry.second > 0; });
}

namespace detail {
namespace {

std::vector<std::string> names_of(const DataSpec& spec) {
  std::vector<std::string> names;
  for (const auto& [name, field] : spec) names.push_back(name);
  return names;
}

std::vector<std::string> modalities_of(const MissingOptions& options, const DataSpec& spec) {
  auto names = names_of(spec);
  for (const auto& name : options.modalities) {
    if (spec.contains(name)) continue;
    throw ConfigError("data.missing.modalities: this set has no field '" + name + "'" +
                      did_you_mean(name, names, "it has " + join(names, ", ")));
  }
  if (!options.modalities.empty()) names = options.modalities;
  if (options.modalities.empty() && names.size() > 2) std::erase(names, "label");
  for (const auto& [name, rate] : options.rates) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    throw ConfigError("data.missing.rates: no modality is named '" + name + "'" +
                      did_you_mean(name, names, "they are " + join(names, ", ")));
  }
  return names;
}

constexpr std::array kSplitNames = {"training", "validation", "test"};

}  // namespace

Tensor draw_patterns(const Tensor& rates, const Tensor& u, Guarantee guarantee) {
  const int64_t M = rates.size(1);
  const Tensor own = u.narrow(1, 0, M).ge(rates);
  if (guarantee == Guarantee::none) return own;
  const Tensor lacking_so_far = torch::cat({torch::ones_like(rates.narrow(1, 0, 1)), rates.cumprod(1).narrow(1, 0, M - 1)}, 1);
  const Tensor cumulative = (lacking_so_far * (1 - rates)).cumsum(1);
  const Tensor total = cumulative.narrow(1, M - 1, 1);
  const Tensor first = u.narrow(1, M, 1).ge(cumulative / total).sum(1, /*keepdim=*/true);
  const Tensor place = torch::arange(M, first.options());
  return place.eq(first).logical_or(place.gt(first).logical_and(own)).logical_and(total.gt(0));
}

MissingFields::MissingFields(const MissingOptions& options, DataSpec& spec, const std::array<int64_t, 3>& sizes,
                             const Natural& natural, uint64_t seed)
    : options_(options), seed_(seed), draws_(options.any()) {
  const auto modalities = modalities_of(options, spec);
  if (draws_ && modalities.size() < 2) {
    throw ConfigError("data.missing: a row keeps at least one modality, and " + join(modalities, ", ") +
                      " is the only one; leave it out, or name two in data.missing.modalities");
  }
  std::vector<int64_t> places;
  std::vector<double> rates;
  for (auto& [name, field] : spec) {
    const bool is_modality = std::find(modalities.begin(), modalities.end(), name) != modalities.end();
    const auto given = options.rates.find(name);
    const double rate = !is_modality ? 0 : given != options.rates.end() ? given->second : options.rate;
    const auto has_gaps = [&name = name](const auto& of_split) { return of_split.contains(name); };
    field.may_be_missing = rate > 0 || std::any_of(natural.begin(), natural.end(), has_gaps);
    if (!field.may_be_missing && !is_modality) continue;
    if (is_modality) {
      places.push_back(static_cast<int64_t>(fields_.size()));
      rates.push_back(rate);
    }
    fields_.push_back(name);
  }
  modality_ = torch::tensor(places, torch::kLong);
  rates_ = torch::tensor(rates, torch::kDouble);
  const bool all_there = std::all_of(natural.begin(), natural.end(), [](const auto& of_split) { return of_split.empty(); });
  if (!draws_ && all_there) return;
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const auto place = static_cast<size_t>(split);
    Tensor there = torch::ones({sizes[place], static_cast<int64_t>(fields_.size())}, torch::kBool);
    for (size_t i = 0; i < fields_.size(); ++i) {
      const auto found = natural[place].find(fields_[i]);
      if (found != natural[place].end()) there.select(1, static_cast<int64_t>(i)).copy_(found->second);
    }
    refuse_empty_rows(there, split);
    if (draws_ && !is_dynamic(split) && (split == Split::train || options.splits == MissingSplits::all)) {
      there = drawn_once(there, split);
      refuse_empty_rows(there, split);
    }
    if (!there.all().item<bool>()) host_[place] = there.contiguous();
  }
  on_device_ = host_;
}

Tensor MissingFields::drawn_for(const Tensor& there, Stream& stream) const {
  const Tensor rates = torch::where(there.index_select(1, modality_), rates_, torch::ones({}, rates_.options()));
  const Tensor u = stream.uniform({there.size(0)}, {modality_.size(0) + 1}).to(torch::kCPU, torch::kDouble);
  return draw_patterns(rates, u, options_.guarantee_one ? Guarantee::at_least_one : Guarantee::none);
}

Tensor MissingFields::left_of(const Tensor& there, const Tensor& drawn) const {
  return there.index_copy(1, modality_, there.index_select(1, modality_).logical_and(drawn));
}

Tensor MissingFields::drawn_once(const Tensor& there, Split split) const {
  Stream stream(seed_, "missing", at::kCPU);
  stream.rekey(static_cast<int64_t>(split));
  if (options_.block == 1) return left_of(there, drawn_for(there, stream));
  const int64_t N = there.size(0), blocks = (N + options_.block - 1) / options_.block;
  const Tensor whole = torch::ones({blocks, there.size(1)}, torch::kBool);
  const Tensor drawn = drawn_for(whole, stream).repeat_interleave(options_.block, 0).narrow(0, 0, N);
  const Tensor left = left_of(there, drawn);
  if (!options_.guarantee_one) return left;
  // Where the data has gaps of its own, what a block keeps may be what a row never had: that row is drawn by itself.
  const Tensor lost = left.index_select(1, modality_).any(1).logical_not();
  return torch::where(lost.unsqueeze(1), left_of(there, drawn_for(there, stream)), left);
}

void MissingFields::refuse_empty_rows(const Tensor& there, Split split) const {
  const Tensor lost = there.index_select(1, modality_).any(1).logical_not();
  if (!lost.any().item<bool>()) return;
  std::vector<std::string> names;
  for (const int64_t i : std::span(modality_.const_data_ptr<int64_t>(), static_cast<size_t>(modality_.numel()))) {
    names.push_back(fields_[static_cast<size_t>(i)]);
  }
  throw DataError(text("data.missing: row ", lost.nonzero()[0][0].item<int64_t>(), " of the ",
                       kSplitNames[static_cast<size_t>(split)], " split has none of ", join(names, ", "), "; ",
                       draws_ && !options_.guarantee_one ? "set guarantee_one: true, or lower the rates"
                                                         : "leave the row out, or lower the rates that are 1"));
}

void MissingFields::to(at::Device device) {
  for (size_t i = 0; i < 3; ++i) on_device_[i] = host_[i].defined() ? host_[i].to(device) : Tensor();
}

void MissingFields::apply(Batch& batch, Split split, Stream& stream) const {
  const auto place = static_cast<size_t>(split);
  Tensor there;  // [B, F]
  if (is_dynamic(split)) {
    const Tensor has = host_[place].defined() ? host_[place].index_select(0, batch.index)
                                              : torch::ones({batch.size(), static_cast<int64_t>(fields_.size())}, torch::kBool);
    there = upload(left_of(has, drawn_for(has, stream)), batch.fields.begin()->second.value.device());
  } else if (on_device_[place].defined()) {
    there = on_device_[place].index_select(0, upload(batch.index, on_device_[place].device()));
  } else {
    return;
  }
  const Tensor by_field = there.t().contiguous();
  for (size_t i = 0; i < fields_.size(); ++i) {
    auto& field = batch.fields.at(fields_[i]);
    field.present = by_field[static_cast<int64_t>(i)];
    Shape extents(static_cast<size_t>(field.value.dim()), 1);
    extents[0] = batch.size();
    field.value.masked_fill_(field.present.logical_not().view(extents), 0);
  }
}

Tensor MissingFields::rows_with(Split split, const std::string& field) const {
  const auto& there = host_[static_cast<size_t>(split)];
  const auto found = std::find(fields_.begin(), fields_.end(), field);
  if (!there.defined() || found == fields_.end()) return {};
  return there.select(1, found - fields_.begin()).nonzero().select(1, 0);
}

std::string MissingFields::fingerprint() const {
  std::string whole;
  if (is_dynamic(Split::train)) {
    whole = text("drawn ", seed_);
    for (int64_t i = 0; i < rates_.numel(); ++i) {
      whole += " " + fields_[static_cast<size_t>(modality_[i].item<int64_t>())] + " " + shortest(rates_[i].item<double>());
    }
  }
  for (const auto& there : host_) {
    if (there.defined())
      whole += text(join(fields_, " "), " ",
                    sha256(std::string(static_cast<const char*>(there.const_data_ptr()), there.nbytes())), "\n");
  }
  return whole;
}

}  // namespace detail
}  // namespace elbo
