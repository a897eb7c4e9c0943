#include "server/detection/pipeline.h"

#include <chrono>
#include <new>
#include <string>
#include <utility>

#include "ATen/core/grad_mode.h"
#include "fmt/format.h"
#include "server/base/status.h"
#include "server/image/resize.h"
#include "server/model/input.h"
#include "server/model/layers.h"
#include "server/model/maps.h"

namespace filo::detection {
namespace {

using bundle::Profile;
using model::ImageFeatures;
using model::Record;

// The share of the category cache that the features get; projected kernels get the rest.
constexpr std::size_t kFeatureShare = 4;

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Runs `body` with LibTorch's exceptions turned into statuses.
template <typename Body>
auto Guarded(Body body) -> decltype(body()) {
  try {
    const at::InferenceMode inference;
    return body();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory during detection");
  } catch (const c10::Error& error) {
    return absl::InternalError(fmt::format("detection failed: {}", error.what_without_backtrace()));
  }
}

}  // namespace

// One image on its way through the stages. Each method is one stage; Detect at the bottom is their order.
class Pipeline::Run {
 public:
  Run(const Pipeline& pipeline, const image::Image& image, const category::Category& category,
      const Hooks& hooks)
      : pipeline_(pipeline),
        networks_(*pipeline.networks_),
        manifest_(networks_.manifest()),
        image_(image),
        category_(category),
        hooks_(hooks) {}

  absl::StatusOr<Result> Detect(const std::function<absl::Status()>& keep_going);

 private:
  using Stage = absl::Status (Run::*)();
  absl::Status Time(const std::function<absl::Status()>& keep_going, double& seconds, Stage stage);

  absl::Status Preprocess();
  absl::Status DescribeCategory();
  absl::Status EncodeImage();
  absl::Status Locate();
  absl::Status EncodeText();
  absl::Status MapPatches();
  absl::Status Conclude();

  at::Tensor PaperMap() const;
  at::Tensor ReleasedMap() const;
  at::Tensor DampOutsideBoxes(const at::Tensor& map) const;

  const Pipeline& pipeline_;
  const Networks& networks_;
  const bundle::Manifest& manifest_;
  const image::Image& image_;
  const category::Category& category_;
  const Hooks& hooks_;

  at::Tensor clip_input_, grounding_input_;           // [1, 3, height, width]
  std::shared_ptr<const CategoryFeatures> features_;  // of the category
  ImageFeatures patches_;                             // P_i of several stages
  at::Tensor adapted_;                                // A [C], L2-normalised
  Localisation localisation_;                         // boxes and position
  at::Tensor rows_;                                   // [F_n; F_a(position)] [2, C]
  at::Tensor map_;                                    // M [size, size]
  Result result_;
};

// ---- 1. Pixels (spec sections 4 and 5) -----------------------------------------------------------
absl::Status Pipeline::Run::Preprocess() {
  const auto input = [&](const image::RgbImage& rgb, const bundle::Normalisation& normalisation,
                         const char* name) {
    const at::Tensor tensor = model::NormalisedInput(rgb.pixels, rgb.height, rgb.width, normalisation,
                                                     networks_.device, networks_.dtype);
    Record(hooks_.trace, name, tensor[0]);
    return tensor;
  };
  const bundle::ImageTower& tower = manifest_.image_tower;
  clip_input_ = input(image::ClipInput(image_, tower.image_size, tower.colour_order), tower.normalisation,
                      "clip.input");
  if (manifest_.has_grounding && manifest_.grounding.backbone == bundle::GroundingBackbone::kSwin) {
    const bundle::Grounding& g = manifest_.grounding;
    grounding_input_ =
        input(image::GroundingInput(image_, g.shortest_edge, g.longest_edge), g.normalisation, "gdino.input");
  }
  return absl::OkStatus();
}

// ---- 2. FG-Des: what the category says whatever the image (spec sections 2 and 3) ----------------
absl::Status Pipeline::Run::DescribeCategory() {
  FILO_ASSIGN_OR_RETURN(features_, pipeline_.FeaturesOf(category_, hooks_.trace));
  return absl::OkStatus();
}

// ---- 3. Image tower with V-V path, adapter (spec sections 5 and 6) -------------------------------
absl::Status Pipeline::Run::EncodeImage() {
  patches_ = networks_.image_tower->Forward(clip_input_, hooks_.trace);
  const at::Tensor global = patches_.global[0];
  const at::Tensor adapted = networks_.adapter ? (*networks_.adapter)(global) : global;
  adapted_ = model::L2Normalise(adapted);
  Record(hooks_.trace, "filo.adapter", adapted);
  Record(hooks_.trace, "filo.adapter_norm", adapted_);
  return absl::OkStatus();
}

// ---- 4. HQ-Loc, preliminary localisation by Grounding DINO (spec section 4) ----------------------
absl::Status Pipeline::Run::Locate() {
  if (!networks_.grounding) return absl::OkStatus();
  const model::GroundingDino& dino = *networks_.grounding;
  std::vector<at::Tensor> feature_maps;
  if (manifest_.grounding.backbone == bundle::GroundingBackbone::kSwin) {
    feature_maps = dino.ImageFeatures(grounding_input_, hooks_.trace);
  } else {
    std::vector<at::Tensor> taps;
    for (const int block : manifest_.grounding.tower_taps)
      taps.push_back(patches_.At(block).ordinary.slice(1, 1));
    const std::int64_t grid = networks_.image_tower->grid();
    feature_maps = model::GroundingDino::TowerFeatures(taps, grid, grid);
  }
  const model::GroundingOutput output =
      dino.ForwardFeatures(feature_maps, features_->grounding, hooks_.trace, hooks_.forced_topk);

  const at::Tensor probabilities = at::sigmoid(output.logits).to(at::kCPU, at::kFloat).contiguous();
  const at::Tensor boxes = output.boxes.to(at::kCPU, at::kFloat).contiguous();
  const auto values = [](const at::Tensor& tensor) {
    return std::span(tensor.const_data_ptr<float>(), static_cast<std::size_t>(tensor.numel()));
  };
  localisation_ =
      Localise(pipeline_.localisation_, *networks_.caption_tokenizer, features_->caption, features_->words,
               {.probabilities = values(probabilities),
                .tokens = static_cast<std::size_t>(probabilities.size(1)),
                .boxes = values(boxes)},
               category_.harmless_phrases);
  ImageBoxes in_image = ToImage(localisation_, image_.width, image_.height);
  result_.boxes = std::move(in_image.boxes);
  result_.position_box = in_image.position_box;
  result_.position = localisation_.position;
  return absl::OkStatus();
}

// ---- 5. FG-Des, position-enhanced text rows [F_n; F_a(position)] (spec section 3) ----------------
absl::Status Pipeline::Run::EncodeText() {
  rows_ = TextRows(networks_, *features_, localisation_.position, adapted_, hooks_.trace);
  return absl::OkStatus();
}

// ---- 6. HQ-Loc, MMCI: patches against text (spec section 7) --------------------------------------
absl::Status Pipeline::Run::MapPatches() {
  map_ = manifest_.profile == Profile::kPaper ? PaperMap() : ReleasedMap();
  return absl::OkStatus();
}

// M_i = Norm(sum_j softmax(C_j(P_i) . [F_n, F_a]^T));  M = G(M^a + 1 - M^n) / 2
at::Tensor Pipeline::Run::PaperMap() const {
  const bundle::Heads& heads = manifest_.heads;
  const int everywhere = static_cast<int>(manifest_.prompts.positions.size());
  const auto kernels = pipeline_.KernelsFor(category_, localisation_.position.value_or(everywhere), rows_);
  const std::vector<at::Tensor> stages = model::PatchSnapshots(patches_, heads.mmci_taps);
  std::vector<at::Tensor> stage_maps;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    stage_maps.push_back(model::StageMap(model::KernelLogits(kernels->stages[i], stages[i][0]),
                                         static_cast<int>(i), hooks_.trace));
  }
  return model::PaperMap(stage_maps, manifest_.image_tower.image_size, heads, hooks_.trace);
}

// Plain heads read the even entries of the stored token lists, MMCI the odd ones (spec section 9.1).
at::Tensor Pipeline::Run::ReleasedMap() const {
  const bundle::Heads& heads = manifest_.heads;
  const std::vector<at::Tensor> stored = model::StoredTokens(patches_);
  std::vector<at::Tensor> even, odd, outputs;
  for (std::size_t i = 0; i < stored.size(); ++i) {
    (i % 2 == 0 ? even : odd).push_back(stored[i][0].slice(0, 1));
    if (hooks_.trace != nullptr) Record(hooks_.trace, fmt::format("clip.stored.{}", i), stored[i][0]);
  }
  const std::vector<at::Tensor> linear = networks_.linear(even),
                                mmci = model::Convolve(networks_.folded, odd);
  std::vector<at::Tensor> logits;
  for (const auto& [name, list] : {std::pair("linear", &linear), std::pair("mmci", &mmci)}) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      logits.push_back(model::CosineLogits((*list)[i], rows_, heads.logit_scale));
      if (hooks_.trace != nullptr) Record(hooks_.trace, fmt::format("filo.{}.{}", name, i), (*list)[i]);
    }
  }
  return model::ReleasedMap(at::stack(logits), manifest_.image_tower.image_size, heads, hooks_.trace);
}

// ---- 7. Scores and box step (spec sections 8 and 9.7) --------------------------------------------
absl::Status Pipeline::Run::Conclude() {
  result_.map_max = map_.max().item<double>();
  if (manifest_.profile == Profile::kPaper) {
    result_.global_score = model::PaperGlobalScore(adapted_, rows_);
    result_.score = result_.global_score + result_.map_max;
  } else {
    result_.global_score = model::ReleasedGlobalScore(adapted_, rows_);
    result_.score = (result_.global_score + result_.map_max) / 2;
  }
  at::Tensor final_map = map_.to(at::kCPU, at::kFloat).contiguous();
  if (manifest_.profile == Profile::kReleased && networks_.grounding) final_map = DampOutsideBoxes(final_map);
  Record(hooks_.trace, "filo.map_final", final_map);

  const std::int64_t size = manifest_.image_tower.image_size;
  const float* values = final_map.const_data_ptr<float>();
  result_.map.height = result_.map.width = static_cast<int>(size);
  result_.map.values.assign(values, values + size * size);
  result_.map.scale_x = static_cast<double>(image_.width) / static_cast<double>(size);
  result_.map.scale_y = static_cast<double>(image_.height) / static_cast<double>(size);
  result_.warnings = image_.warnings;
  return absl::OkStatus();
}

at::Tensor Pipeline::Run::DampOutsideBoxes(const at::Tensor& map) const {
  const int size = manifest_.image_tower.image_size;
  at::Tensor damped = map.clone();
  float* values = damped.data_ptr<float>();
  DampOutside(ProtectedPixels(localisation_, size, size), size, size, manifest_.decision.outside_box_factor,
              std::span(values, static_cast<std::size_t>(damped.numel())));
  return damped;
}

absl::Status Pipeline::Run::Time(const std::function<absl::Status()>& keep_going, double& seconds,
                                 Stage stage) {
  if (keep_going) FILO_RETURN_IF_ERROR(keep_going());
  const double begin = Seconds();
  FILO_RETURN_IF_ERROR((this->*stage)());
  seconds += Seconds() - begin;
  return absl::OkStatus();
}

absl::StatusOr<Result> Pipeline::Run::Detect(const std::function<absl::Status()>& keep_going) {
  const double begin = Seconds();
  StageTimes& times = result_.times;
  FILO_RETURN_IF_ERROR(Time(keep_going, times.preprocess, &Run::Preprocess));
  FILO_RETURN_IF_ERROR(Time(keep_going, times.text, &Run::DescribeCategory));
  FILO_RETURN_IF_ERROR(Time(keep_going, times.image_tower, &Run::EncodeImage));
  FILO_RETURN_IF_ERROR(Time(keep_going, times.grounding, &Run::Locate));
  FILO_RETURN_IF_ERROR(Time(keep_going, times.text, &Run::EncodeText));
  FILO_RETURN_IF_ERROR(Time(keep_going, times.maps, &Run::MapPatches));
  FILO_RETURN_IF_ERROR(Time(keep_going, times.maps, &Run::Conclude));
  times.total = Seconds() - begin;
  return std::move(result_);
}

// ---- The pipeline around a run -------------------------------------------------------------------
Pipeline::Pipeline(std::shared_ptr<const Networks> networks, const Options& options)
    : networks_(std::move(networks)),
      localisation_(LocalisationOptions::FromManifest(networks_->manifest())),
      features_(options.category_cache_bytes / kFeatureShare),
      kernels_(options.category_cache_bytes - options.category_cache_bytes / kFeatureShare) {}

absl::StatusOr<Result> Pipeline::Detect(const image::Image& image, const category::Category& category,
                                        const std::function<absl::Status()>& keep_going) const {
  return DetectTraced(image, category, keep_going, {});
}

absl::StatusOr<Result> Pipeline::DetectTraced(const image::Image& image, const category::Category& category,
                                              const std::function<absl::Status()>& keep_going,
                                              const Hooks& hooks) const {
  return Guarded([&] { return Run(*this, image, category, hooks).Detect(keep_going); });
}

absl::Status Pipeline::Prepare(const category::Category& category) const {
  return Guarded([&] { return FeaturesOf(category, nullptr).status(); });
}

absl::StatusOr<std::shared_ptr<const CategoryFeatures>> Pipeline::FeaturesOf(
    const category::Category& category, model::Trace* trace) const {
  const std::string key = FeatureKey(category);
  // A traced run computes everything anew, to show it.
  if (auto cached = features_.Get(key); cached && trace == nullptr) return cached;
  FILO_ASSIGN_OR_RETURN(CategoryFeatures made, MakeCategoryFeatures(*networks_, category, trace));
  auto features = std::make_shared<const CategoryFeatures>(std::move(made));
  features_.Put(key, features, features->bytes());
  return features;
}

std::shared_ptr<const model::ProjectedKernels> Pipeline::KernelsFor(const category::Category& category,
                                                                    int position,
                                                                    const at::Tensor& rows) const {
  const std::string key = fmt::format("{}@{}", FeatureKey(category), position);
  if (auto cached = kernels_.Get(key)) return cached;
  auto kernels =
      std::make_shared<const model::ProjectedKernels>(model::ProjectKernels(networks_->kernels, rows));
  kernels_.Put(key, kernels, static_cast<std::size_t>(kernels->bytes()));
  return kernels;
}

}  // namespace filo::detection
