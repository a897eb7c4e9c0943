#include "server/bundle/importer/import.h"

#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "server/base/status.h"
#include "server/bundle/expected_tensors.h"
#include "server/bundle/importer/layouts.h"

namespace filo::bundle::importer {
namespace {

absl::Status Refuse(const Mapper& mapper, const Shapes& expected) {
  const std::vector<std::string> problems = mapper.Check(expected);
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{} ({}): {} tensors do not fit: {}", mapper.source().path,
                                                mapper.source().container, problems.size(),
                                                fmt::join(problems, "; ")));
}

}  // namespace

absl::StatusOr<Towers> ImportTowers(const std::string& image_path, const std::string& text_path,
                                    const std::string& out, std::optional<DType> type,
                                    const Progress& progress) {
  FILO_ASSIGN_OR_RETURN(const TensorSource image_source, OpenTensorSource(image_path));
  FILO_ASSIGN_OR_RETURN(const TensorSource text_source, OpenTensorSource(text_path));
  FILO_ASSIGN_OR_RETURN(const Mapper image, MapDinoV2(image_source));
  FILO_ASSIGN_OR_RETURN(const Mapper text, MapBert(text_source));
  Towers towers;
  DetectDinoV2(image, towers.image);
  DetectBert(text, towers.text);
  FILO_RETURN_IF_ERROR(Refuse(image, ExpectedImageTower(towers.image)));
  FILO_RETURN_IF_ERROR(Refuse(text, ExpectedTextTower(towers.text)));
  FILO_RETURN_IF_ERROR(WriteMapped(out, {&image, &text}, type, progress));
  return towers;
}

}  // namespace filo::bundle::importer
