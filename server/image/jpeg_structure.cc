#include "server/image/jpeg_structure.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/image/codec.h"
#include "server/image/exif.h"

namespace filo::image {
namespace {

constexpr int kMaxScans = 40;  // the usual progressive file has 10
constexpr std::uint8_t kSoi = 0xd8, kEoi = 0xd9, kSos = 0xda, kApp1 = 0xe1;

bool IsFrameHeader(std::uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}
bool IsRestart(std::uint8_t marker) { return marker >= 0xd0 && marker <= 0xd7; }

absl::Status CutShort(std::string_view where) {
  return Refuse(fmt::format("the JPEG is cut short {}; not all of its pixels are there", where));
}

class Walker {
 public:
  explicit Walker(Bytes bytes) : bytes_(bytes) {}

  absl::StatusOr<JpegStructure> Walk() {
    at_ = 2;  // SOI was seen by the caller
    while (true) {
      FILO_ASSIGN_OR_RETURN(const std::uint8_t marker, NextMarker());
      if (marker == 0) break;  // the end of the file, behind a scan
      if (marker == kEoi) {
        result_.end_marker = true;
        result_.trailing_bytes = bytes_.size() - at_;
        break;
      }
      FILO_RETURN_IF_ERROR(Segment(marker));
    }
    FILO_RETURN_IF_ERROR(CheckComplete());
    return result_;
  }

 private:
  struct Component {
    std::uint8_t id = 0;
    // Per coefficient (zigzag order): lowest bit known so far; -1 = never sent.
    std::array<int, 64> low_bit;
  };

  // 0 when the file ends right behind entropy-coded data.
  absl::StatusOr<std::uint8_t> NextMarker() {
    if (at_ >= bytes_.size()) {
      if (scans_ > 0) return std::uint8_t{0};
      return CutShort("before its first scan");
    }
    if (ByteAt(bytes_, at_) != 0xff) {
      return Refuse(fmt::format("the JPEG is damaged: no marker at byte {}", at_));
    }
    while (at_ < bytes_.size() && ByteAt(bytes_, at_) == 0xff) ++at_;
    if (at_ >= bytes_.size())
      return scans_ > 0 ? absl::StatusOr<std::uint8_t>(0) : CutShort("before its first scan");
    return ByteAt(bytes_, at_++);
  }

  absl::Status Segment(std::uint8_t marker) {
    if (marker == kSoi || marker == 0x01 || marker == 0x00 || IsRestart(marker)) {
      return Refuse(fmt::format("the JPEG is damaged: marker 0xff{:02x} at byte {}", marker, at_ - 2));
    }
    if (bytes_.size() - at_ < 2) return CutShort("inside a marker segment");
    const std::size_t length = Big16(bytes_, at_);
    if (length < 2)
      return Refuse(fmt::format("the JPEG is damaged: segment of length {} at byte {}", length, at_));
    if (bytes_.size() - at_ < length) return CutShort("inside a marker segment");
    const Bytes body = bytes_.subspan(at_ + 2, length - 2);
    at_ += length;
    if (IsFrameHeader(marker)) return Frame(marker, body);
    if (marker == kSos) return Scan(body);
    if (marker == kApp1 && Holds(body, 0, std::string_view("Exif\0\0", 6))) {
      result_.orientation = ExifOrientation(body.subspan(6));
    }
    return absl::OkStatus();
  }

  absl::Status Frame(std::uint8_t marker, Bytes body) {
    if (!components_.empty()) return Refuse("the JPEG is damaged: it has two frame headers");
    if (marker >= 0xc9) return Refuse("JPEG with arithmetic coding is not accepted; use Huffman coding");
    if (marker > 0xc2)
      return Refuse("lossless or hierarchical JPEG is not accepted; use baseline or progressive");
    progressive_ = marker == 0xc2;
    if (body.size() < 6 || body.size() != 6u + 3u * ByteAt(body, 5)) {
      return Refuse("the JPEG is damaged: its frame header has the wrong length");
    }
    const int precision = ByteAt(body, 0);
    if (precision != 8) {
      return Refuse(
          fmt::format("JPEG with {} bits a sample is not accepted; use 8, or 16-bit PNG or TIFF", precision));
    }
    result_.height = static_cast<int>(Big16(body, 1));
    result_.width = static_cast<int>(Big16(body, 3));
    if (result_.height == 0)
      return Refuse("JPEG without its height in the frame header (DNL) is not accepted");
    if (result_.width == 0) return Refuse("the JPEG is damaged: its width is 0");
    result_.components = ByteAt(body, 5);
    if (result_.components != 1 && result_.components != 3 && result_.components != 4) {
      return Refuse(
          fmt::format("JPEG with {} components is not accepted; use 1, 3 or 4", result_.components));
    }
    for (int i = 0; i < result_.components; ++i) {
      Component component;
      component.id = ByteAt(body, 6 + i * 3);
      component.low_bit.fill(-1);
      components_.push_back(component);
    }
    return absl::OkStatus();
  }

  absl::Status Scan(Bytes body) {
    if (components_.empty()) return Refuse("the JPEG is damaged: a scan comes before the frame header");
    if (++scans_ > kMaxScans)
      return Refuse(fmt::format("JPEG with more than {} scans is not accepted", kMaxScans));
    const std::size_t count = body.empty() ? 0 : ByteAt(body, 0);
    if (count < 1 || count > 4 || body.size() != 4 + count * 2) {
      return Refuse("the JPEG is damaged: a scan header has the wrong length");
    }
    const int first = ByteAt(body, 1 + count * 2);
    const int last = ByteAt(body, 2 + count * 2);
    const int high = ByteAt(body, 3 + count * 2) >> 4;
    const int low = ByteAt(body, 3 + count * 2) & 15;
    if (progressive_ && (first > last || last > 63 || low > 13 || (high != 0 && high != low + 1))) {
      return Refuse("the JPEG is damaged: a scan header is out of range");
    }
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint8_t id = ByteAt(body, 1 + i * 2);
      const auto component = std::find_if(components_.begin(), components_.end(),
                                          [id](const Component& c) { return c.id == id; });
      if (component == components_.end())
        return Refuse("the JPEG is damaged: a scan names an unknown component");
      for (int k = progressive_ ? first : 0; k <= (progressive_ ? last : 63); ++k) {
        if (component->low_bit[k] != (progressive_ && high != 0 ? high : -1)) {
          return Refuse("the JPEG is damaged: its scans repeat or skip coefficients");
        }
        component->low_bit[k] = progressive_ ? low : 0;
      }
    }
    SkipEntropyCodedData();
    return absl::OkStatus();
  }

  // To the next marker that is no restart, or to the end.
  void SkipEntropyCodedData() {
    while (at_ < bytes_.size()) {
      const auto rest = bytes_.subspan(at_);
      const auto ff = std::find(rest.begin(), rest.end(), std::byte{0xff});
      at_ += ff - rest.begin();
      if (at_ + 1 >= bytes_.size()) {
        at_ = bytes_.size();
        return;
      }
      const std::uint8_t code = ByteAt(bytes_, at_ + 1);
      if (code == 0xff) {
        ++at_;
      } else if (code == 0 || IsRestart(code)) {
        at_ += 2;
      } else {
        return;
      }
    }
  }

  absl::Status CheckComplete() const {
    if (scans_ == 0) return CutShort("before its first scan");
    for (const Component& component : components_) {
      if (std::any_of(component.low_bit.begin(), component.low_bit.end(), [](int bit) { return bit != 0; })) {
        return CutShort(progressive_ ? "before its last progressive scan"
                                     : "before the scan of its last component");
      }
    }
    return absl::OkStatus();
  }

  const Bytes bytes_;
  std::size_t at_ = 0;
  int scans_ = 0;
  bool progressive_ = false;
  std::vector<Component> components_;
  JpegStructure result_;
};

}  // namespace

absl::StatusOr<JpegStructure> ReadJpegStructure(std::span<const std::byte> bytes) {
  if (!Holds(bytes, 0, "\xff\xd8")) return Refuse("no JPEG: the start marker is missing");
  return Walker(bytes).Walk();
}

}  // namespace filo::image
