#pragma once
#include "elbo/math/couples_batch.h"
#include "sign_codes.h"

namespace elbo::detail {

/// Where a token is moved to before its signs are taken. Shapes: [..., D] alike.
using TokenMap = Tensor (*)(const Tensor&);

/// What `reduction: mean` averages the commitment over.
enum class CommitmentMean { numbers, tokens };

struct SignQuantizerParts {
  const char* name = "";
  SignCodes codes = {};
  ScheduledNumber commitment = scheduled_number(0);
  CommitmentMean commitment_mean = CommitmentMean::numbers;
  SignEntropyConfig entropy = {};
  EntropyScale entropy_scale = EntropyScale::one;
  TokenMap move = nullptr;  // nullptr leaves tokens where they are
};

/// Each number's sign is kept, by the straight-through estimator, with the terms commitment and SignEntropy's.
class SignQuantizer final : public Quantizer, public CouplesBatch {
 public:
  SignQuantizer(const SignQuantizerParts& parts, at::Device device);
  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override;
  Tensor encode(const Tensor& z) override;
  Tensor decode(const Tensor& indices) override { return codes_.decode(indices); }
  CodeSpace code_space() const override { return codes_.space(); }
  Tensor codebook(int64_t group) override;
  std::vector<Scheduled> scheduled() override;
  std::string_view couples_batch_by() const override;

 private:
  Tensor moved(const Tensor& z) const { return move_ ? move_(z) : z; }

  const char* name_;
  SignCodes codes_;
  Scheduled commitment_;
  CommitmentMean commitment_mean_;
  SignEntropy entropy_;
  TokenMap move_;
};

}  // namespace elbo::detail
