#include "server/model/adapter.h"

namespace filo::model {

Adapter Adapter::Take(WeightReader& reader, std::int64_t width) {
  return {.down = Linear::Take(reader, "adapter.fc.0", width, width / 2, /*has_bias=*/false),
          .up = Linear::Take(reader, "adapter.fc.2", width / 2, width, /*has_bias=*/false)};
}

at::Tensor Adapter::operator()(const at::Tensor& x) const { return x + at::silu(up(at::relu(down(x)))); }

}  // namespace filo::model
