// The anomaly map drawn over the photograph, with the boxes that the grounding network found.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/detect/answer.h"

namespace filo::client {

struct HeatmapOptions {
  double opacity = 0.55;  // of the hottest colour over the photograph, [0, 1]
  bool boxes = true;
  bool caption = true;          // verdict and score in the corner
  bool beside = false;          // photograph and map side by side
  int max_side = 0;             // pixels, of the picture; 0 = as the photograph
  std::string format = ".png";  // or ".jpg"
};

// What to ask of the server so that a heat map can be drawn.
void RequestMap(filo::v1::DetectRequest& request);

// Picture of the answer's first map over `image` (the file's bytes), as PNG or JPEG. The colours span the
// map's own fixed range, so pictures can be compared. kFailedPrecondition if the answer holds no map;
// decoding errors as they are.
absl::StatusOr<std::string> DrawHeatmap(const Answer& answer, const std::string& image,
                                        const HeatmapOptions& options);

// The photograph itself, at most max_side pixels wide and high, as JPEG.
absl::StatusOr<std::string> DrawThumbnail(const std::string& image, int max_side);

}  // namespace filo::client
