// Resampling and mode conversion that give the very bytes of Pillow 11.3, and the two preprocessings built on
// them.
//
// Pillow's resampling is antialiased (the support grows with the scale), uses fixed-point weights of 22 bits
// and rounds to uint8 after each of its two passes, horizontal first. All functions are pure and thread-safe.
// They expect images as Decode makes them: sides >= 1 and a pixel buffer of exactly the size that the mode
// asks for.
//
// Source: spec sections 4 and 5; checked byte for byte in tests/image/resize_test.cc.
#pragma once

#include "server/bundle/manifest.h"
#include "server/image/image.h"

namespace filo::image {

enum class Filter { kNearest, kBilinear, kBicubic };

// Bytes of one pixel in Image::pixels.
int BytesPerPixel(Mode mode);

// "RGB", "I;16", ...: Pillow's name of the mode.
const char* ModeName(Mode mode);

// Pillow's Image.resize((width, height), filter) in the image's own mode: palette and 1-bit images always by
// nearest, alpha modes premultiplied and divided back, 16-bit in double precision. width, height >= 1. The
// same size returns a copy. Warnings and palettes are carried over.
Image Resize(const Image& image, int height, int width, Filter filter);

// Pillow's Image.resize for mode RGB.
RgbImage ResizeRgb(const RgbImage& image, int height, int width, Filter filter);

// Pillow's Image.convert("RGB"): alpha is dropped (not blended), 16-bit gray is clipped at 255 (not scaled),
// CMYK is converted without a colour profile.
RgbImage ConvertToRgb(const Image& image);

// The CLIP tower's input (spec section 5): squashed to size x size, bicubic; kResizeThenConvert resizes in
// the file's own mode as the official code does, kConvertThenResize is the `paper` profile.
RgbImage ClipInput(const Image& image, int size, bundle::ColourOrder order);

struct Size {
  int height = 0;
  int width = 0;
};

// The size that Grounding DINO sees (spec section 4): shortest edge `shortest`, unless the longest would
// exceed `longest`; then the shortest becomes round(longest * min / max) (half to even, at least 1) and the
// other side follows it, so that the longest may still exceed the limit: 40x3000 with 518 and 1333 gives
// 18x1350.
Size GroundingSize(int height, int width, int shortest, int longest);

// The grounding input: converted to RGB first, then bilinear to GroundingSize.
RgbImage GroundingInput(const Image& image, int shortest, int longest);

}  // namespace filo::image
