// Answers as text: a table for people, JSON lines and CSV for programs.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "client/detect/answer.h"

namespace filo::client {

// Thread-compatible.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;
  virtual void Write(const Answer& answer) = 0;
  virtual void Finish() {}
};

// Aligned columns; `names_width` is the longest file name. Warnings and errors on lines of their own. With
// `colour` verdicts are coloured for a terminal.
std::unique_ptr<AnswerWriter> MakeTableWriter(std::FILE* out, std::size_t names_width, bool colour);
// {"file", "seconds", "attempts", "verdict", "result": DetectionResult as proto JSON} or {"file", "error":
// {…}}.
std::unique_ptr<AnswerWriter> MakeJsonWriter(std::FILE* out);
// One header line, RFC 4180 quoting.
std::unique_ptr<AnswerWriter> MakeCsvWriter(std::FILE* out);

// One answer as the JSON writer's line, without the newline.
std::string AnswerJson(const Answer& answer);

// Shortens a text to `width` columns in the middle, counting code points.
std::string Fit(const std::string& text, std::size_t width);
// Code points of UTF-8 text.
std::size_t Columns(const std::string& text);

}  // namespace filo::client
