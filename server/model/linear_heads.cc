#include "server/model/linear_heads.h"

#include "fmt/format.h"

namespace filo::model {

LinearHeads LinearHeads::Take(WeightReader& reader, int count, std::int64_t patch_width,
                              std::int64_t text_width) {
  LinearHeads heads;
  for (int head = 0; head < count; ++head) {
    heads.heads.push_back(
        Linear::Take(reader, fmt::format("decoder_linear.fc.{}", head), patch_width, text_width));
  }
  return heads;
}

std::vector<at::Tensor> LinearHeads::operator()(const std::vector<at::Tensor>& patches) const {
  std::vector<at::Tensor> outputs;
  for (std::size_t head = 0; head < heads.size(); ++head) outputs.push_back(heads[head](patches[head]));
  return outputs;
}

}  // namespace filo::model
