// Every field of a DetectRequest that can be wrong, with the path that the error must name.
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/rpc/fake_detector.h"

namespace filo::rpc {
namespace {

using filo::v1::DetectRequest;

struct Case {
  const char* name;
  std::function<void(DetectRequest*)> spoil;
  const char* field;
  const char* reason = "INVALID_FIELD";
  grpc::StatusCode code = grpc::StatusCode::INVALID_ARGUMENT;
};

DetectRequest Inline() {
  DetectRequest request = GoodRequest();
  request.mutable_inline_category()->set_class_name("nut");
  return request;
}

std::vector<Case> Cases() {
  constexpr auto kUnimplemented = grpc::StatusCode::UNIMPLEMENTED;
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<Case> cases = {
      {"no image", [](auto* r) { r->clear_image(); }, "image"},
      {"empty image", [](auto* r) { r->mutable_image()->set_encoded(""); }, "image.encoded", "INVALID_IMAGE"},
      {"no image at all", [](auto* r) { r->mutable_image()->set_encoded("hello"); }, "image.encoded",
       "INVALID_IMAGE"},
      {"cut image",
       [](auto* r) { r->mutable_image()->mutable_encoded()->resize(r->image().encoded().size() / 2); },
       "image.encoded", "INVALID_IMAGE"},
      {"too many bytes", [](auto* r) { r->mutable_image()->mutable_encoded()->resize(300'001); },
       "image.encoded", "IMAGE_TOO_LARGE"},
      {"raw frame", [](auto* r) { r->mutable_image()->mutable_raw()->set_width(1); }, "image.raw",
       "UNSUPPORTED", kUnimplemented},
      {"significant bits", [](auto* r) { r->mutable_image()->set_significant_bits(17); },
       "image.significant_bits"},
      {"no category", [](auto* r) { r->clear_category_source(); }, "category"},
      {"empty category", [](auto* r) { r->set_category(""); }, "category"},
      {"upper case", [](auto* r) { r->set_category("Hazelnut"); }, "category"},
      {"path", [](auto* r) { r->set_category("categories/a/b"); }, "category"},
      {"unknown category", [](auto* r) { r->set_category("categories/walnut"); }, "", "CATEGORY_NOT_FOUND",
       grpc::StatusCode::NOT_FOUND},
      {"no class name", [](auto* r) { r->mutable_inline_category(); }, "inline_category.class_name"},
      {"blank class name", [](auto* r) { r->mutable_inline_category()->set_class_name("  "); },
       "inline_category.class_name"},
      {"long class name",
       [](auto* r) { r->mutable_inline_category()->set_class_name(std::string(201, 'x')); },
       "inline_category.class_name"},
      {"control character", [](auto* r) { r->mutable_inline_category()->set_class_name("a\nb"); },
       "inline_category.class_name"},
      {"map without encoding", [](auto* r) { r->mutable_outputs()->add_maps(); }, "outputs.maps[0].encoding"},
      {"unknown encoding",
       [](auto* r) {
         r->mutable_outputs()->add_maps()->set_encoding(static_cast<filo::v1::MapEncoding>(77));
       },
       "outputs.maps[0].encoding"},
      {"regions", [](auto* r) { r->mutable_outputs()->set_regions(true); }, "outputs.regions", "UNSUPPORTED",
       kUnimplemented},
      {"mask", [](auto* r) { r->mutable_outputs()->set_mask(filo::v1::MASK_ENCODING_PNG1); }, "outputs.mask",
       "UNSUPPORTED", kUnimplemented},
      {"overlay", [](auto* r) { r->mutable_outputs()->mutable_overlay(); }, "outputs.overlay", "UNSUPPORTED",
       kUnimplemented},
      {"request id", [](auto* r) { r->mutable_trace()->set_request_id(std::string(101, 'x')); },
       "trace.request_id"},
      {"part serial", [](auto* r) { r->mutable_trace()->set_part_serial(std::string(101, 'x')); },
       "trace.part_serial"},
      {"station", [](auto* r) { r->mutable_trace()->set_station(std::string(101, 'x')); }, "trace.station"},
      {"label", [](auto* r) { (*r->mutable_trace()->mutable_labels())["k"] = std::string(101, 'x'); },
       "trace.labels"},
      {"threshold", [nan](auto* r) { r->mutable_inspection()->set_score_threshold(nan); },
       "inspection.score_threshold"},
      {"margin", [](auto* r) { r->mutable_inspection()->set_unsure_margin(-0.1); },
       "inspection.unsure_margin"},
      {"tiling", [](auto* r) { r->mutable_inspection()->mutable_tiling(); }, "inspection.tiling",
       "UNSUPPORTED", kUnimplemented},
      {"inspect", [](auto* r) { r->mutable_inspection()->add_inspect(); }, "inspection.inspect",
       "UNSUPPORTED", kUnimplemented},
      {"priority", [](auto* r) { r->set_priority(static_cast<filo::v1::Priority>(9)); }, "priority"},
  };
  cases.push_back({"description",
                   [](auto* r) {
                     *r = Inline();
                     r->mutable_inline_category()->add_descriptions("good");
                     r->mutable_inline_category()->add_descriptions("");
                   },
                   "inline_category.descriptions[1]"});
  cases.push_back({"too many descriptions",
                   [](auto* r) {
                     *r = Inline();
                     for (int i = 0; i < 201; ++i) r->mutable_inline_category()->add_descriptions("bent");
                   },
                   "inline_category.descriptions"});
  cases.push_back({"state without place",
                   [](auto* r) {
                     *r = Inline();
                     r->mutable_inline_category()->add_abnormal_states("damaged");
                   },
                   "inline_category.abnormal_states[0]"});
  cases.push_back({"too many maps",
                   [](auto* r) {
                     for (int i = 0; i < 9; ++i) {
                       r->mutable_outputs()->add_maps()->set_encoding(filo::v1::MAP_ENCODING_PNG8);
                     }
                   },
                   "outputs.maps"});
  cases.push_back({"map size",
                   [](auto* r) {
                     auto* map = r->mutable_outputs()->add_maps();
                     map->set_encoding(filo::v1::MAP_ENCODING_PNG8);
                     map->set_size(static_cast<filo::v1::MapSize>(9));
                   },
                   "outputs.maps[0].size"});
  cases.push_back({"labels",
                   [](auto* r) {
                     for (int i = 0; i < 33; ++i)
                       (*r->mutable_trace()->mutable_labels())[std::to_string(i)] = "x";
                   },
                   "trace.labels"});
  return cases;
}

TEST(ValidationTest, EveryWrongFieldIsNamed) {
  ServerOptions options;
  options.max_image_bytes = 300'000;
  TestServer server(Plain(), options);
  ASSERT_TRUE(Detect(server, GoodRequest()).status.ok());
  for (const Case& wrong : Cases()) {
    SCOPED_TRACE(wrong.name);
    DetectRequest request = GoodRequest();
    wrong.spoil(&request);
    const Outcome outcome = Detect(server, request);
    EXPECT_EQ(outcome.status.error_code(), wrong.code) << outcome.status.error_message();
    EXPECT_EQ(outcome.Field(), wrong.field) << outcome.status.error_message();
    EXPECT_EQ(outcome.Reason(), wrong.reason);
    EXPECT_EQ(outcome.Detail<google::rpc::ErrorInfo>().domain(), "filo");
    EXPECT_FALSE(outcome.Detail<google::rpc::RequestInfo>().request_id().empty());
  }
  EXPECT_TRUE(Detect(server, GoodRequest()).status.ok()) << "and the server still answers";
}

TEST(ValidationTest, AHugeMessageIsRefusedWithoutMemory) {
  ServerOptions options;
  options.max_image_bytes = 300'000;
  TestServer server(Plain(), options);
  DetectRequest request = GoodRequest();
  request.mutable_image()->mutable_encoded()->resize(3'000'000);
  EXPECT_EQ(Detect(server, request).status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Detect(server, GoodRequest()).status.ok());
}

TEST(ValidationTest, APictureWithTooManyPixelsIsRefusedByItsHeader) {
  ServerOptions options;
  options.max_image_pixels = 1000;
  TestServer server(Plain(), options);
  const Outcome outcome = Detect(server, GoodRequest());
  EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(outcome.Reason(), "IMAGE_TOO_LARGE");
  EXPECT_EQ(outcome.Field(), "image.encoded");
}

}  // namespace
}  // namespace filo::rpc
