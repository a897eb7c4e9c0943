// Which photographs a command line means.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace filo::client {

// A photograph to send. `path` is "-" for standard input.
struct InputFile {
  std::string path;
  std::string name;  // as shown: relative as given
};

// Expands arguments in order: a file is itself (whatever its name), a folder its photographs (by extension:
// jpg, jpeg, png, bmp, tif, tiff, webp; sorted; with `recursive` its sub-folders', too), a pattern with * ? [
// ] what it matches (sorted), "-" standard input, "@FILE" the paths in a file, one a line. Duplicates stay.
// Errors name the argument: kNotFound (file missing, pattern without match, folder without photographs),
// kInvalidArgument ("-" twice, nothing given).
absl::StatusOr<std::vector<InputFile>> ExpandInputs(const std::vector<std::string>& arguments,
                                                    bool recursive);

// True if the name ends like a photograph.
bool LooksLikePhotograph(const std::string& path);

// The bytes of a photograph or of standard input. kNotFound if it cannot be read, kResourceExhausted above
// `limit`.
absl::StatusOr<std::string> ReadInput(const InputFile& file, std::size_t limit);

}  // namespace filo::client
