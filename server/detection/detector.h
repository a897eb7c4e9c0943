// The pipeline of the paper as one call: an image and a category in, a score, a map and boxes out.
//
// This header is the border between the arithmetic (LibTorch, behind it) and everything that serves it: it
// names neither tensors nor protobuf.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/bundle/bundle.h"
#include "server/category/category.h"
#include "server/image/image.h"

namespace filo::detection {

// One box of the preliminary localisation (spec section 4).
struct Box {
  float x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // original image pixels, x1 and y1 exclusive, clipped to the image
  float confidence = 0;                  // largest token probability, [0, 1]
  std::string phrase;                    // decoded tokens above the text threshold, without the "(0.xx)"
  bool counts = false;                   // a description or general word occurs in the phrase
};

// Row-major float map over the whole image, values in [0, 1].
struct Map {
  int height = 0;
  int width = 0;
  std::vector<float> values;
  // Original pixel = map pixel centre * scale + offset, separately for x and y: with map column c (0-based),
  // x = (c + 0.5) * scale_x - 0.5.
  double scale_x = 1, scale_y = 1;
};

// Seconds spent per stage, in pipeline order.
struct StageTimes {
  double preprocess = 0, grounding = 0, image_tower = 0, text = 0, maps = 0, total = 0;
};

struct Result {
  double score = 0;             // S (spec section 8): [0, 2] in `paper`, about [-0.5, 1] in `released`
  double global_score = 0;      // `paper`: softmax(A.[Fn,Fa])[a]; `released`: A.Fa with the 1/sqrt(2) row
  double map_max = 0;           // max of the map before the box step
  std::optional<int> position;  // index into the bundle's positions; none = all averaged
  std::vector<Box> boxes;       // kept boxes, best first
  std::optional<std::size_t> position_box;  // index into boxes of the one that gave the position
  Map map;                                  // final map at model size
  StageTimes times;
  std::vector<std::string> warnings;
};

struct Options {
  std::string device = "cpu";  // "cpu" or "cuda:N"
  int threads = 0;             // intra-op threads of the whole process; 0 = leave LibTorch's
  bool self_test = true;       // run the bundle's self-test before the detector is handed out
  // Text features and projected kernels of the categories used last are kept up to this many bytes in all.
  std::size_t category_cache_bytes = std::size_t{512} << 20;
};

// Thread-safe: any number of threads may call Detect at once.
class Detector {
 public:
  // Builds the networks of `bundle`, which is kept alive as long as the detector, and runs the bundle's
  // self-test. Errors: kInvalidArgument listing every tensor that does not fit the manifest, or naming a
  // tokenizer file or the device; kFailedPrecondition with the numbers where the self-test deviates by more
  // than the manifest allows.
  static absl::StatusOr<std::unique_ptr<Detector>> Create(std::shared_ptr<const bundle::Bundle> bundle,
                                                          const Options& options);

  virtual ~Detector() = default;

  // Errors: kInvalidArgument naming the category's field (a prompt or caption that is too long, an empty
  // class name); kCancelled / kDeadlineExceeded when `keep_going` said so between two stages. `keep_going`
  // may be null; it is asked before every stage and its error returned as is.
  virtual absl::StatusOr<Result> Detect(const image::Image& image, const category::Category& category,
                                        const std::function<absl::Status()>& keep_going) const = 0;

  // Computes what depends on the category alone and keeps it for the next Detect, whose errors about the
  // category it gives at once: for a category that is being registered. The default does nothing.
  virtual absl::Status Prepare(const category::Category& /*category*/) const { return absl::OkStatus(); }
};

}  // namespace filo::detection
