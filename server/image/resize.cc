#include "server/image/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "server/image/weighted_sum.h"

namespace filo::image {
namespace {

double Bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

double Bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// The weights of one axis: output i is the sum over [first[i], first[i] + count[i]) with weights[i * stride
// ...].
struct Weights {
  int stride = 0;
  std::vector<int> first;
  std::vector<int> count;
  std::vector<double> weights;
};

Weights MakeWeights(int in_size, int out_size, Filter filter) {
  const double base_support = filter == Filter::kBilinear ? 1.0 : 2.0;
  const double scale = static_cast<double>(in_size) / out_size;
  const double filter_scale = std::max(scale, 1.0);
  const double support = base_support * filter_scale;
  const double inverse = 1.0 / filter_scale;

  Weights result;
  result.stride = static_cast<int>(std::ceil(support)) * 2 + 1;
  result.first.resize(out_size);
  result.count.resize(out_size);
  result.weights.assign(static_cast<std::size_t>(out_size) * result.stride, 0.0);
  for (int i = 0; i < out_size; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int count = std::min(static_cast<int>(centre + support + 0.5), in_size) - first;
    double* weights = &result.weights[static_cast<std::size_t>(i) * result.stride];
    double sum = 0.0;
    for (int k = 0; k < count; ++k) {
      const double x = (k + first - centre + 0.5) * inverse;
      weights[k] = filter == Filter::kBilinear ? Bilinear(x) : Bicubic(x);
      sum += weights[k];
    }
    if (sum != 0.0) {
      for (int k = 0; k < count; ++k) weights[k] /= sum;
    }
    result.first[i] = first;
    result.count[i] = count;
  }
  return result;
}

std::vector<std::int32_t> FixedPoint(const std::vector<double>& weights) {
  std::vector<std::int32_t> result(weights.size());
  std::transform(weights.begin(), weights.end(), result.begin(), [](double w) {
    return static_cast<std::int32_t>((w < 0 ? -0.5 : 0.5) + w * (1 << kWeightBits));
  });
  return result;
}

// Rows that are worked on together, so that one weight meets many neighbouring bytes.
constexpr int kBand = 32;

// Rows y..y+rows of `in` with the rows innermost: band[(x * kChannels + c) * kBand + row].
template <int kChannels>
void InterleaveRows(const std::uint8_t* in, int rows, int width, std::vector<std::uint8_t>& band) {
  const std::size_t samples = static_cast<std::size_t>(width) * kChannels;
  constexpr std::size_t kBlock = 128;  // samples: what is written stays in the first cache
  for (std::size_t begin = 0; begin < samples; begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, samples);
    for (int row = 0; row < rows; ++row) {
      const std::uint8_t* from = in + row * samples;
      for (std::size_t i = begin; i < end; ++i) band[i * kBand + row] = from[i];
    }
  }
}

template <int kChannels>
void HorizontalPass8(const std::uint8_t* in, int height, int in_width, std::uint8_t* out,
                     const Weights& weights) {
  constexpr std::size_t kLanes = std::size_t{kChannels} * kBand;
  const std::vector<std::int32_t> fixed = FixedPoint(weights.weights);
  const int out_width = static_cast<int>(weights.first.size());
  std::vector<std::uint8_t> band(in_width * kLanes);
  std::array<std::uint8_t, kLanes> pixels;
  for (int y = 0; y < height; y += kBand) {
    const int rows = std::min(kBand, height - y);
    InterleaveRows<kChannels>(in + static_cast<std::size_t>(y) * in_width * kChannels, rows, in_width, band);
    for (int x = 0; x < out_width; ++x) {
      WeightedSum(&band[weights.first[x] * kLanes], kLanes,
                  &fixed[static_cast<std::size_t>(x) * weights.stride], weights.count[x], kLanes,
                  pixels.data());
      for (int row = 0; row < rows; ++row) {
        std::uint8_t* pixel = out + (static_cast<std::size_t>(y + row) * out_width + x) * kChannels;
        for (int c = 0; c < kChannels; ++c) pixel[c] = pixels[c * kBand + row];
      }
    }
  }
}

void VerticalPass8(const std::uint8_t* in, std::size_t row_bytes, std::uint8_t* out, const Weights& weights) {
  const std::vector<std::int32_t> fixed = FixedPoint(weights.weights);
  for (std::size_t y = 0; y < weights.first.size(); ++y, out += row_bytes) {
    WeightedSum(in + weights.first[y] * row_bytes, row_bytes, &fixed[y * weights.stride], weights.count[y],
                row_bytes, out);
  }
}

template <int kChannels>
std::vector<std::uint8_t> Resample8(const std::vector<std::uint8_t>& pixels, int height, int width,
                                    int new_height, int new_width, Filter filter) {
  const std::vector<std::uint8_t>* source = &pixels;
  std::vector<std::uint8_t> wide;
  if (new_width != width) {
    wide.resize(static_cast<std::size_t>(height) * new_width * kChannels);
    HorizontalPass8<kChannels>(pixels.data(), height, width, wide.data(),
                               MakeWeights(width, new_width, filter));
    source = &wide;
  }
  if (new_height == height) return *source;
  const std::size_t row_bytes = static_cast<std::size_t>(new_width) * kChannels;
  std::vector<std::uint8_t> result(new_height * row_bytes);
  VerticalPass8(source->data(), row_bytes, result.data(), MakeWeights(height, new_height, filter));
  return result;
}

// Pillow 11.3 clips the two bytes of a 16-bit sum separately, so a value above 65535 keeps its low byte.
std::uint16_t RoundBytes16(double sum) {
  const int rounded = static_cast<int>(sum >= 0.0 ? std::floor(sum + 0.5) : -std::floor(std::abs(sum) + 0.5));
  const int low = std::clamp(rounded % 256, 0, 255);
  const int high = std::clamp(rounded >> 8, 0, 255);
  return static_cast<std::uint16_t>(high << 8 | low);
}

// `count` sums along an axis whose neighbours lie `step` samples apart.
std::uint16_t Sum16(const std::uint16_t* first, std::size_t step, const double* weights, int count) {
  double sum = 0.0;
  for (int k = 0; k < count; ++k) sum += first[k * step] * weights[k];
  return RoundBytes16(sum);
}

std::vector<std::uint8_t> Resample16(const std::vector<std::uint8_t>& pixels, int height, int width,
                                     int new_height, int new_width, Filter filter) {
  std::vector<std::uint16_t> source(pixels.size() / 2);
  std::memcpy(source.data(), pixels.data(), source.size() * 2);
  if (new_width != width) {
    const Weights weights = MakeWeights(width, new_width, filter);
    std::vector<std::uint16_t> wide;
    wide.reserve(static_cast<std::size_t>(height) * new_width);
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < new_width; ++x) {
        wide.push_back(Sum16(&source[static_cast<std::size_t>(y) * width + weights.first[x]], 1,
                             &weights.weights[static_cast<std::size_t>(x) * weights.stride],
                             weights.count[x]));
      }
    }
    source = std::move(wide);
  }
  if (new_height != height) {
    const Weights weights = MakeWeights(height, new_height, filter);
    std::vector<std::uint16_t> tall;
    tall.reserve(static_cast<std::size_t>(new_height) * new_width);
    for (int y = 0; y < new_height; ++y) {
      for (int x = 0; x < new_width; ++x) {
        tall.push_back(Sum16(&source[static_cast<std::size_t>(weights.first[y]) * new_width + x], new_width,
                             &weights.weights[static_cast<std::size_t>(y) * weights.stride],
                             weights.count[y]));
      }
    }
    source = std::move(tall);
  }
  std::vector<std::uint8_t> result(source.size() * 2);
  std::memcpy(result.data(), source.data(), result.size());
  return result;
}

// Source column (or row) of every output one. The position is accumulated, as Pillow does, not multiplied
// out.
std::vector<int> NearestTable(int in_size, int out_size) {
  const double step = static_cast<double>(in_size) / out_size;
  std::vector<int> table(out_size);
  double position = step * 0.5;
  for (int& index : table) {
    index = std::min(static_cast<int>(position), in_size - 1);
    position += step;
  }
  return table;
}

std::vector<std::uint8_t> ResampleNearest(const std::vector<std::uint8_t>& pixels, int height, int width,
                                          int new_height, int new_width, int bytes_per_pixel) {
  const std::vector<int> columns = NearestTable(width, new_width);
  const std::vector<int> rows = NearestTable(height, new_height);
  std::vector<std::uint8_t> result(static_cast<std::size_t>(new_height) * new_width * bytes_per_pixel);
  std::uint8_t* out = result.data();
  for (int y : rows) {
    const std::uint8_t* row = &pixels[static_cast<std::size_t>(y) * width * bytes_per_pixel];
    for (int x : columns) {
      std::memcpy(out, row + static_cast<std::size_t>(x) * bytes_per_pixel, bytes_per_pixel);
      out += bytes_per_pixel;
    }
  }
  return result;
}

// a * b / 255, rounded.
std::uint8_t MulDiv255(int a, int b) {
  const int product = a * b + 128;
  return static_cast<std::uint8_t>(((product >> 8) + product) >> 8);
}

// Alpha is the last channel.
void Premultiply(std::vector<std::uint8_t>& pixels, int channels) {
  for (std::size_t i = 0; i < pixels.size(); i += channels) {
    for (int c = 0; c < channels - 1; ++c) pixels[i + c] = MulDiv255(pixels[i + c], pixels[i + channels - 1]);
  }
}

void Unpremultiply(std::vector<std::uint8_t>& pixels, int channels) {
  for (std::size_t i = 0; i < pixels.size(); i += channels) {
    const int alpha = pixels[i + channels - 1];
    if (alpha == 0 || alpha == 255) continue;
    for (int c = 0; c < channels - 1; ++c) {
      pixels[i + c] = static_cast<std::uint8_t>(std::min(255 * pixels[i + c] / alpha, 255));
    }
  }
}

std::vector<std::uint8_t> ResampleAlpha(std::vector<std::uint8_t> pixels, int channels, int height, int width,
                                        int new_height, int new_width, Filter filter) {
  Premultiply(pixels, channels);
  pixels = channels == 2 ? Resample8<2>(pixels, height, width, new_height, new_width, filter)
                         : Resample8<4>(pixels, height, width, new_height, new_width, filter);
  Unpremultiply(pixels, channels);
  return pixels;
}

}  // namespace

int BytesPerPixel(Mode mode) {
  switch (mode) {
    case Mode::kBilevel:
    case Mode::kGray:
    case Mode::kPalette:
    case Mode::kPaletteAlpha:
      return 1;
    case Mode::kGrayAlpha:
    case Mode::kGray16:
      return 2;
    case Mode::kRgb:
      return 3;
    case Mode::kRgba:
    case Mode::kCmyk:
      return 4;
  }
  return 0;
}

const char* ModeName(Mode mode) {
  switch (mode) {
    case Mode::kBilevel:
      return "1";
    case Mode::kGray:
      return "L";
    case Mode::kGrayAlpha:
      return "LA";
    case Mode::kGray16:
      return "I;16";
    case Mode::kPalette:
      return "P";
    case Mode::kPaletteAlpha:
      return "P with transparency";
    case Mode::kRgb:
      return "RGB";
    case Mode::kRgba:
      return "RGBA";
    case Mode::kCmyk:
      return "CMYK";
  }
  return "?";
}

Image Resize(const Image& image, int height, int width, Filter filter) {
  if (height == image.height && width == image.width) return image;
  const auto& pixels = image.pixels;
  const int h = image.height;
  const int w = image.width;
  std::vector<std::uint8_t> resized;
  switch (image.mode) {
    case Mode::kBilevel:
    case Mode::kPalette:
    case Mode::kPaletteAlpha:
      filter = Filter::kNearest;
      break;
    default:
      break;
  }
  if (filter == Filter::kNearest) {
    resized = ResampleNearest(pixels, h, w, height, width, BytesPerPixel(image.mode));
  } else {
    switch (image.mode) {
      case Mode::kGray16:
        resized = Resample16(pixels, h, w, height, width, filter);
        break;
      case Mode::kGrayAlpha:
        resized = ResampleAlpha(pixels, 2, h, w, height, width, filter);
        break;
      case Mode::kRgba:
        resized = ResampleAlpha(pixels, 4, h, w, height, width, filter);
        break;
      case Mode::kRgb:
        resized = Resample8<3>(pixels, h, w, height, width, filter);
        break;
      case Mode::kCmyk:
        resized = Resample8<4>(pixels, h, w, height, width, filter);
        break;
      default:
        resized = Resample8<1>(pixels, h, w, height, width, filter);
        break;
    }
  }
  Image result;
  result.height = height;
  result.width = width;
  result.mode = image.mode;
  result.pixels = std::move(resized);
  result.palette = image.palette;
  result.palette_alpha = image.palette_alpha;
  result.warnings = image.warnings;
  result.orientation = image.orientation;
  return result;
}

RgbImage ResizeRgb(const RgbImage& image, int height, int width, Filter filter) {
  if (height == image.height && width == image.width) return image;
  if (filter == Filter::kNearest) {
    return {height, width, ResampleNearest(image.pixels, image.height, image.width, height, width, 3)};
  }
  return {height, width, Resample8<3>(image.pixels, image.height, image.width, height, width, filter)};
}

RgbImage ConvertToRgb(const Image& image) {
  RgbImage rgb{image.height, image.width, {}};
  if (image.mode == Mode::kRgb) {
    rgb.pixels = image.pixels;
    return rgb;
  }
  const std::size_t count = static_cast<std::size_t>(image.height) * image.width;
  rgb.pixels.resize(count * 3);
  const int step = BytesPerPixel(image.mode);
  const std::uint8_t* in = image.pixels.data();
  std::uint8_t* out = rgb.pixels.data();
  for (std::size_t i = 0; i < count; ++i, in += step, out += 3) {
    switch (image.mode) {
      case Mode::kGray16: {
        std::uint16_t value;
        std::memcpy(&value, in, sizeof(value));
        std::fill_n(out, 3, static_cast<std::uint8_t>(std::min<int>(value, 255)));
        break;
      }
      case Mode::kPalette:
      case Mode::kPaletteAlpha:
        std::copy_n(&image.palette[*in * 3], 3, out);
        break;
      case Mode::kRgb:
      case Mode::kRgba:
        std::copy_n(in, 3, out);
        break;
      case Mode::kCmyk: {
        const int white = 255 - in[3];
        for (int c = 0; c < 3; ++c) {
          out[c] = static_cast<std::uint8_t>(std::clamp(white - MulDiv255(in[c], white), 0, 255));
        }
        break;
      }
      case Mode::kBilevel:
      case Mode::kGray:
      case Mode::kGrayAlpha:
        std::fill_n(out, 3, in[0]);
        break;
    }
  }
  return rgb;
}

RgbImage ClipInput(const Image& image, int size, bundle::ColourOrder order) {
  if (order == bundle::ColourOrder::kResizeThenConvert) {
    return ConvertToRgb(Resize(image, size, size, Filter::kBicubic));
  }
  return ResizeRgb(ConvertToRgb(image), size, size, Filter::kBicubic);
}

Size GroundingSize(int height, int width, int shortest, int longest) {
  const double low = std::min(height, width);
  const double high = std::max(height, width);
  int size = shortest;
  if (high / low * size > longest) {
    // nearbyint rounds half to even in the default rounding mode, as Python's round does.
    size = std::max(static_cast<int>(std::nearbyint(longest * low / high)), 1);
  }
  if ((width <= height && width == size) || (height <= width && height == size)) return {height, width};
  const auto other = [size](int longer, int shorter) {
    return std::max(static_cast<int>(static_cast<double>(static_cast<std::int64_t>(size) * longer) / shorter),
                    1);
  };
  if (width < height) return {other(height, width), size};
  return {size, other(width, height)};
}

RgbImage GroundingInput(const Image& image, int shortest, int longest) {
  const Size size = GroundingSize(image.height, image.width, shortest, longest);
  return ResizeRgb(ConvertToRgb(image), size.height, size.width, Filter::kBilinear);
}

}  // namespace filo::image
