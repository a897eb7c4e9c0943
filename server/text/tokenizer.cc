#include "server/text/tokenizer.h"

namespace filo::text {

std::vector<std::int64_t> CutLikeReference(std::vector<std::int64_t> ids, std::size_t context_length,
                                           std::int64_t end_token) {
  if (ids.size() > context_length && context_length > 0) {
    ids.resize(context_length);
    ids.back() = end_token;
  }
  return ids;
}

}  // namespace filo::text
