// The skeleton of a JPEG file, read before libjpeg sees it: libjpeg takes a file whose last scans are missing
// for a whole one, and fills what is not there.
#pragma once

#include <cstddef>
#include <span>

#include "absl/status/statusor.h"

namespace filo::image {

struct JpegStructure {
  int height = 0;
  int width = 0;
  int components = 0;  // 1, 3 or 4
  int orientation = 1;
  bool end_marker = false;         // EOI found
  std::size_t trailing_bytes = 0;  // after EOI
};

// Walks all markers. Errors (kInvalidArgument, field "image"): no JPEG; a variant that is not accepted
// (arithmetic coding, lossless, hierarchical, 12 bits, height in a DNL marker, other than 1, 3 or 4
// components); bytes where a marker must be; a segment that ends outside the file; a component without its
// scan, or a progressive file whose scans do not refine every coefficient to its last bit (ITU-T T.81,
// G.1.1); more than 40 scans.
absl::StatusOr<JpegStructure> ReadJpegStructure(std::span<const std::byte> bytes);

}  // namespace filo::image
