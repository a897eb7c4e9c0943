// How this code base reports errors.
//
// Every fallible function returns absl::Status or absl::StatusOr<T>; exceptions of libraries are caught where
// the library is called. Three kinds of error are kept apart:
//   - bad input (a request, a file, a flag): kInvalidArgument made by FieldError, which names the field,
//   shows the
//     value and says what would be right. rpc/ turns it into google.rpc.BadRequest.
//   - the world (a full queue, a missing file, a slow peer): the canonical code that fits.
//   - a bug: kInternal; nothing that a caller can cause may end there.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace filo {

// A field that a caller got wrong. `field` is a path in the caller's own terms ("category.class_name",
// "manifest.json: image_tower.width"), `description` one sentence with the value and what would be right.
struct FieldViolation {
  std::string field;
  std::string description;
};

// kInvalidArgument with a FieldViolation attached. `value` is shortened when shown; `expected` completes the
// sentence "<field> is <value>; it must <expected>", e.g. "be between 1 and 64".
absl::Status FieldError(std::string_view field, std::string_view value, std::string_view expected);

// Attaches a violation to a status that already has its own code and message.
absl::Status WithField(absl::Status status, std::string_view field, std::string_view description);

// The violation attached by one of the above, if any.
std::optional<FieldViolation> GetFieldViolation(const absl::Status& status);

// The same status with "context: " before its message; code and payloads are kept. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace filo

#define FILO_CONCAT_INNER(a, b) a##b
#define FILO_CONCAT(a, b) FILO_CONCAT_INNER(a, b)

// Returns the status from the enclosing function unless it is OK.
#define FILO_RETURN_IF_ERROR(expr)                                \
  do {                                                            \
    if (absl::Status filo_status_ = (expr); !filo_status_.ok()) { \
      return filo_status_;                                        \
    }                                                             \
  } while (false)

// FILO_ASSIGN_OR_RETURN(auto x, MakeX()): x is the value, or the enclosing function returns the error.
#define FILO_ASSIGN_OR_RETURN(lhs, expr) \
  FILO_ASSIGN_OR_RETURN_IMPL(FILO_CONCAT(filo_statusor_, __LINE__), lhs, expr)
#define FILO_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                               \
  if (!tmp.ok()) return std::move(tmp).status();   \
  lhs = std::move(tmp).value()
