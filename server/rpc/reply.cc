#include "server/rpc/reply.h"

#include <cmath>
#include <utility>

#include "absl/time/clock.h"
#include "fmt/format.h"

namespace filo::rpc {
namespace {

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp out;
  const std::int64_t seconds = absl::ToUnixSeconds(time);
  out.set_seconds(seconds);
  out.set_nanos(static_cast<std::int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return out;
}

filo::v1::MapEncoding ToProto(image::MapFormat format) {
  switch (format) {
    case image::MapFormat::kPng8:
      return filo::v1::MAP_ENCODING_PNG8;
    case image::MapFormat::kPng16:
      return filo::v1::MAP_ENCODING_PNG16;
    case image::MapFormat::kZstdFloat16:
      return filo::v1::MAP_ENCODING_ZSTD_FLOAT16;
  }
  return filo::v1::MAP_ENCODING_UNSPECIFIED;
}

filo::v1::MapSize ToProto(serving::MapSize size) {
  switch (size) {
    case serving::MapSize::kModel:
      return filo::v1::MAP_SIZE_MODEL;
    case serving::MapSize::kImage:
      return filo::v1::MAP_SIZE_IMAGE;
    case serving::MapSize::kGrid:
      return filo::v1::MAP_SIZE_GRID;
  }
  return filo::v1::MAP_SIZE_UNSPECIFIED;
}

void FillMap(serving::EncodedMap* map, filo::v1::AnomalyMap* out) {
  out->set_encoding(ToProto(map->wanted.format));
  out->set_size(ToProto(map->wanted.size));
  out->set_width(static_cast<std::uint32_t>(map->width));
  out->set_height(static_cast<std::uint32_t>(map->height));
  out->set_data(std::move(map->data));
  out->set_value_min(serving::kMapRange.min);
  out->set_value_max(serving::kMapRange.max);
  filo::v1::AffineTransform* transform = out->mutable_to_image();
  transform->set_xx(map->step_x);
  transform->set_x0(map->first_x);
  transform->set_yy(map->step_y);
  transform->set_y0(map->first_y);
}

void FillBoxes(const detection::Result& result, bool uncounted, filo::v1::DetectionResult* out) {
  for (std::size_t i = 0; i < result.boxes.size(); ++i) {
    const detection::Box& box = result.boxes[i];
    // The box that gave the position is always told, or position_box would point nowhere.
    const bool gave_position = result.position_box == i;
    if (!box.counts && !uncounted && !gave_position) continue;
    if (gave_position) out->set_position_box(static_cast<std::uint32_t>(out->boxes_size()));
    filo::v1::Box* to = out->add_boxes();
    to->mutable_rectangle()->set_x_min(static_cast<double>(box.x0));
    to->mutable_rectangle()->set_y_min(static_cast<double>(box.y0));
    to->mutable_rectangle()->set_x_max(static_cast<double>(box.x1));
    to->mutable_rectangle()->set_y_max(static_cast<double>(box.y1));
    to->set_phrase(box.phrase);
    to->set_confidence(box.confidence);
    to->set_counts(box.counts);
  }
}

}  // namespace

filo::v1::ModelReference ToModelReference(const serving::LoadedModel& model) {
  filo::v1::ModelReference out;
  out.set_bundle(model.manifest.name);
  out.set_digest(model.digest);
  out.set_profile(model.manifest.profile == bundle::Profile::kPaper ? filo::v1::PROFILE_PAPER
                                                                    : filo::v1::PROFILE_RELEASED);
  return out;
}

filo::v1::Model ToModel(const serving::LoadedModel& model) {
  filo::v1::Model out;
  *out.mutable_reference() = ToModelReference(model);
  out.set_summary(model.manifest.summary);
  for (const auto& [role, file] : model.manifest.files) {
    filo::v1::ModelFile* to = out.add_files();
    to->set_role(role);
    to->set_sha256(file.sha256);
    to->set_size_bytes(file.bytes);
    to->set_provenance(file.provenance);
    to->set_licence(file.licence);
  }
  out.set_image_size(static_cast<std::uint32_t>(model.manifest.image_tower.image_size));
  for (const std::string& position : model.manifest.prompts.positions) out.add_positions(position);
  for (const std::string& word : model.manifest.prompts.general_words) out.add_general_words(word);
  out.set_device(model.device);
  *out.mutable_load_time() = ToTimestamp(model.load_time);
  out.set_load_seconds(absl::ToDoubleSeconds(model.load_duration));
  return out;
}

filo::v1::Decision Decide(double score, const filo::v1::InspectionSettings& settings) {
  filo::v1::Decision out;
  out.set_score(score);
  *out.mutable_settings() = settings;
  if (!settings.has_score_threshold()) return out;
  const double threshold = settings.score_threshold();
  out.set_threshold(threshold);
  if (std::abs(score - threshold) < settings.unsure_margin()) {
    out.set_verdict(filo::v1::VERDICT_UNSURE);
  } else {
    out.set_verdict(score >= threshold ? filo::v1::VERDICT_NG : filo::v1::VERDICT_OK);
  }
  return out;
}

const char* VerdictLabel(filo::v1::Verdict verdict) {
  switch (verdict) {
    case filo::v1::VERDICT_OK:
      return "ok";
    case filo::v1::VERDICT_NG:
      return "ng";
    case filo::v1::VERDICT_UNSURE:
      return "unsure";
    default:
      return "none";
  }
}

void FillResult(serving::Inspection* inspection, const serving::ResolvedCategory& category,
                const filo::v1::Outputs& outputs, const filo::v1::InspectionSettings& settings,
                const filo::v1::Trace& trace, const ReplyContext& context, filo::v1::DetectionResult* out) {
  const detection::Result& result = inspection->result;
  out->set_result_id(context.result_id);
  out->set_score(result.score);
  out->set_global_score(result.global_score);
  out->set_map_maximum(result.map_max);
  *out->mutable_decision() = Decide(result.score, settings);
  FillBoxes(result, outputs.uncounted_boxes(), out);
  const std::vector<std::string>& positions = inspection->model->manifest.prompts.positions;
  if (result.position.has_value() && static_cast<std::size_t>(*result.position) < positions.size()) {
    out->set_position(positions[static_cast<std::size_t>(*result.position)]);
  }
  for (serving::EncodedMap& map : inspection->maps) FillMap(&map, out->add_maps());
  out->mutable_image()->set_width(static_cast<std::uint32_t>(inspection->image_width));
  out->mutable_image()->set_height(static_cast<std::uint32_t>(inspection->image_height));
  out->mutable_image()->set_exif_orientation(static_cast<std::uint32_t>(inspection->orientation));
  *out->mutable_model() = ToModelReference(*inspection->model);
  if (!category.id.empty()) out->mutable_category()->set_name("categories/" + category.id);
  out->mutable_category()->set_revision(category.revision);
  out->mutable_category()->set_class_name(category.category.class_name);
  for (const std::string& warning : inspection->warnings) out->add_warnings(warning);
  const auto add_stage = [out](std::string_view stage, double seconds) {
    filo::v1::StageTime* to = out->add_stage_times();
    to->set_stage(std::string(stage));
    to->set_seconds(seconds);
  };
  add_stage("queue", context.queue_seconds);
  for (const auto& [stage, seconds] : inspection->stage_seconds) add_stage(stage, seconds);
  out->set_total_seconds(absl::ToDoubleSeconds(context.completion - context.arrival));
  *out->mutable_trace() = trace;
  *out->mutable_complete_time() = ToTimestamp(context.completion);
}

}  // namespace filo::rpc
