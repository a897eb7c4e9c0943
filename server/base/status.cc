#include "server/base/status.h"

#include <utility>

#include "absl/strings/cord.h"
#include "fmt/format.h"

namespace filo {
namespace {

constexpr char kFieldPayload[] = "type.filo/FieldViolation";
constexpr std::size_t kShownValueBytes = 80;

std::string Shorten(std::string_view value) {
  if (value.size() <= kShownValueBytes) return fmt::format("\"{}\"", value);
  std::size_t cut = kShownValueBytes;
  // Never cut inside a UTF-8 sequence: the message travels in a protobuf string.
  while (cut > 0 && (static_cast<unsigned char>(value[cut]) & 0xC0u) == 0x80u) --cut;
  return fmt::format("\"{}…\" ({} bytes)", value.substr(0, cut), value.size());
}

}  // namespace

absl::Status FieldError(std::string_view field, std::string_view value, std::string_view expected) {
  const std::string description = fmt::format("is {}; it must {}", Shorten(value), expected);
  return WithField(absl::InvalidArgumentError(fmt::format("{} {}", field, description)), field, description);
}

absl::Status WithField(absl::Status status, std::string_view field, std::string_view description) {
  status.SetPayload(kFieldPayload, absl::Cord(fmt::format("{}{}{}", field, '\0', description)));
  return status;
}

std::optional<FieldViolation> GetFieldViolation(const absl::Status& status) {
  const auto payload = status.GetPayload(kFieldPayload);
  if (!payload.has_value()) return std::nullopt;
  const std::string flat(*payload);
  const std::size_t zero = flat.find('\0');
  return FieldViolation{flat.substr(0, zero), flat.substr(zero + 1)};
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), fmt::format("{}: {}", context, std::string(status.message())));
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { annotated.SetPayload(url, payload); });
  return annotated;
}

}  // namespace filo
