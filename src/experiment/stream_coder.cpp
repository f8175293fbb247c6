#include "stream_coder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/counts.h"

namespace elbo::detail {
namespace {

/// A table and what each of its symbols costs before its probability became an integer. Units: bits.
struct PricedTable {
  FrequencyTable table;
  std::vector<double> costs;
};

PricedTable uniform_table(int64_t num_codes) {
  return {uniform_frequencies(num_codes, frequency_bits(num_codes)),
          std::vector(static_cast<size_t>(num_codes), std::log2(static_cast<double>(num_codes)))};
}

PricedTable table_of(const std::vector<uint64_t>& counts) {
  double total = 0;
  for (const auto count : counts) total += static_cast<double>(count);
  std::vector<double> costs;
  for (const auto count : counts) costs.push_back(-std::log2(static_cast<double>(count) / total));
  return {frequencies_from_counts(counts, frequency_bits(static_cast<int64_t>(counts.size()))), std::move(costs)};
}

double cost_of_integer(uint64_t value) { return 2.0 * (static_cast<int>(std::bit_width(value + 1)) - 1) + 1; }

bool is_unbounded(const CodeAlphabet& alphabet) { return alphabet.grid.vocabulary == 0; }

std::vector<int64_t> list_lengths(const std::vector<CodeAlphabet>& alphabets) {
  std::vector<int64_t> lengths;
  for (const auto& alphabet : alphabets) {
    if (is_unbounded(alphabet)) {
      lengths.push_back(kEscape + 1);
    } else {
      lengths.insert(lengths.end(), alphabet.sizes.begin(), alphabet.sizes.end());
    }
  }
  return lengths;
}

/// One table a group whatever the other codes are.
class StaticCoder final : public StreamCoder {
 public:
  using Tables = std::vector<std::shared_ptr<const PricedTable>>;  // one a group; null: integers, gamma coded

  StaticCoder(std::vector<CodeAlphabet> alphabets, std::vector<Tables> tables)
      : StreamCoder(std::move(alphabets)), tables_(std::move(tables)) {}

 protected:
  int max_bits() const override {
    constexpr int kOfIntegers = 16;
    int largest = 0;
    for (const auto& level : tables_) {
      for (const auto& group : level) largest = std::max(largest, group ? group->table.bits() : kOfIntegers);
    }
    return largest;
  }

  StreamBits push(RansEncoder& encoder, size_t level, const std::vector<Tensor>& codes) const override {
    const auto ordered = position_major(codes.at(level));
    const auto& tables = tables_.at(level);
    const auto n = ordered.size(1);
    const auto* code = ordered.const_data_ptr<int64_t>();
    StreamBits bits;
    for (int64_t t = 0; t < ordered.size(0); ++t) {
      const auto* priced = tables[static_cast<size_t>(t) % tables.size()].get();
      for (int64_t i = 0; i < n; ++i) bits += push_one(encoder, level, priced, *code++);
    }
    return bits;
  }

  Tensor pop(RansDecoder& decoder, size_t level, int64_t n, const std::vector<Tensor>& /*above*/) const override {
    const auto& grid = alphabet(level).grid;
    const auto& tables = tables_.at(level);
    const auto ordered = torch::empty({grid.height * grid.width * grid.groups, n}, torch::kLong);
    auto* code = ordered.mutable_data_ptr<int64_t>();
    const bool unbounded = is_unbounded(alphabet(level));
    for (int64_t t = 0; t < ordered.size(0); ++t) {
      const auto* priced = tables[static_cast<size_t>(t) % tables.size()].get();
      for (int64_t i = 0; i < n; ++i) {
        if (unbounded) {
          *code++ = unzigzag(priced ? decoder.pop_escaped(priced->table) : decoder.pop_integer());
        } else {
          *code++ = decoder.pop(priced->table);
        }
      }
    }
    return image_major(ordered, grid);
  }

 private:
  StreamBits push_one(RansEncoder& encoder, size_t level, const PricedTable* priced, int64_t code) const {
    if (!is_unbounded(alphabet(level))) {
      const auto symbol = static_cast<uint32_t>(std::clamp<int64_t>(code, -1, std::numeric_limits<int32_t>::max()));
      encoder.push(priced->table, symbol);
      return {.model = priced->costs[symbol], .integer = priced->table.cost_bits(symbol)};
    }
    const auto value = zigzag(code);
    if (!priced) {
      encoder.push_integer(value);
      return {.model = cost_of_integer(value), .integer = cost_of_integer(value)};
    }
    encoder.push_escaped(priced->table, value);
    const auto symbol = static_cast<uint32_t>(std::min<uint64_t>(value, kEscape));
    const double excess = symbol == kEscape ? cost_of_integer(value - kEscape) : 0;
    return {.model = priced->costs[symbol] + excess, .integer = priced->table.cost_bits(symbol) + excess};
  }

  std::vector<Tables> tables_;  // a level each
};

}  // namespace

Tensor position_major(const Tensor& codes) { return codes.reshape({codes.size(0), -1}).t().contiguous(); }

Tensor image_major(const Tensor& positions, const CodeGrid& grid) {
  return positions.t().contiguous().view({positions.size(1), grid.height, grid.width, grid.groups});
}

std::vector<uint8_t> StreamCoder::encode(const std::vector<Tensor>& codes, StreamBits& bits) const {
  RansEncoder encoder(max_bits());
  for (size_t level = 0; level < alphabets_.size(); ++level) bits += push(encoder, level, codes);
  return encoder.finish();
}

std::vector<Tensor> StreamCoder::decode(std::span<const uint8_t> bytes, int64_t num_images, const std::string& origin) const {
  RansDecoder decoder(bytes, max_bits(), origin);
  std::vector<Tensor> codes;
  for (size_t level = 0; level < alphabets_.size(); ++level) codes.push_back(pop(decoder, level, num_images, codes));
  decoder.finish();
  return codes;
}

void StreamCoder::check_room(size_t num_bytes, int64_t num_images, const std::string& origin) const {
  // A symbol beside which V - 1 others have a frequency of 1 makes the coder's state x at least x / f (V - 1) larger, rounded
  // down, with f < 2^b <= x: never less than half of that.
  double bits_an_image = 0, codes_an_image = 0;
  for (const auto& alphabet : alphabets_) {
    for (const auto size : alphabet.sizes) {
      const auto V = size > 0 ? size : kEscape + 1;
      const double places = static_cast<double>(alphabet.grid.height * alphabet.grid.width);
      bits_an_image += places * std::log2(1 + std::ldexp(static_cast<double>(V - 1), -frequency_bits(V) - 1));
      codes_an_image += places;
    }
  }
  constexpr double kSlack = 64;  // the state begins above 1 and is stored in whole bytes
  const auto images = static_cast<double>(num_images);
  if (0.999 * images * bits_an_image <= 8 * static_cast<double>(num_bytes) + kSlack) return;
  throw DataError(text(origin, ": ", with_commas(static_cast<int64_t>(images * codes_an_image)), " codes don't fit into ",
                       num_bytes, num_bytes == 1 ? " byte" : " bytes", "; get the file again or compress anew"));
}

CodeCounts count_codes(const std::vector<CodeAlphabet>& alphabets, const std::vector<Tensor>& codes) {
  CodeCounts counts;
  for (size_t level = 0; level < alphabets.size(); ++level) {
    const auto& alphabet = alphabets[level];
    if (is_unbounded(alphabet)) {
      auto& list = counts.emplace_back(static_cast<size_t>(kEscape + 1), 0);
      const auto flat = codes.at(level).contiguous();
      const auto* code = flat.const_data_ptr<int64_t>();
      for (int64_t i = 0; i < flat.numel(); ++i) ++list[std::min<uint64_t>(zigzag(code[i]), kEscape)];
      continue;
    }
    for (int64_t g = 0; g < alphabet.grid.groups; ++g) {
      const auto size = alphabet.sizes[static_cast<size_t>(g)];
      auto& list = counts.emplace_back(static_cast<size_t>(size), 0);
      const auto group = codes.at(level).select(-1, g).contiguous();
      const auto* code = group.const_data_ptr<int64_t>();
      for (int64_t i = 0; i < group.numel(); ++i) {
        if (code[i] < 0 || code[i] >= size) {
          throw UsageError(text("codec: got the code ", code[i], " in level ", level, ", expected 0 to ", size - 1));
        }
        ++list[static_cast<size_t>(code[i])];
      }
    }
  }
  return counts;
}

std::vector<uint8_t> pack_code_counts(const CodeCounts& counts) {
  std::vector<uint64_t> all;
  for (const auto& list : counts) all.insert(all.end(), list.begin(), list.end());
  return pack_counts(all);
}

CodeCounts unpack_code_counts(const std::vector<CodeAlphabet>& alphabets, std::span<const uint8_t> bytes,
                              const std::string& origin) {
  const auto lengths = list_lengths(alphabets);
  int64_t total = 0;
  for (const auto length : lengths) total += length;
  const auto all = unpack_counts(bytes, static_cast<uint32_t>(total), origin);
  CodeCounts counts;
  auto from = all.begin();
  for (const auto length : lengths) {
    counts.emplace_back(from, from + length);
    from += length;
  }
  return counts;
}

std::unique_ptr<StreamCoder> make_uniform_coder(const std::vector<CodeAlphabet>& alphabets) {
  std::vector<StaticCoder::Tables> tables;
  for (const auto& alphabet : alphabets) {
    auto& level = tables.emplace_back();
    for (size_t g = 0; g < alphabet.sizes.size(); ++g) {
      const bool as_before = g > 0 && alphabet.sizes[g] == alphabet.sizes[g - 1];
      level.push_back(as_before                ? level.back()
                      : is_unbounded(alphabet) ? nullptr
                                               : std::make_shared<PricedTable>(uniform_table(alphabet.sizes[g])));
    }
  }
  return std::make_unique<StaticCoder>(alphabets, std::move(tables));
}

std::unique_ptr<StreamCoder> make_empirical_coder(const std::vector<CodeAlphabet>& alphabets, const CodeCounts& counts) {
  std::vector<StaticCoder::Tables> tables;
  size_t next = 0;
  for (const auto& alphabet : alphabets) {
    auto& level = tables.emplace_back();
    for (size_t g = 0; g < alphabet.sizes.size(); ++g) {
      const bool shared = g > 0 && is_unbounded(alphabet);
      level.push_back(shared ? level.back() : std::make_shared<PricedTable>(table_of(counts.at(next++))));
    }
  }
  return std::make_unique<StaticCoder>(alphabets, std::move(tables));
}

}  // namespace elbo::detail
