// Clean-up of what people paste, as CLIP's own tokenizer does it before byte-pair encoding.
//
// Written after the behaviour of ftfy 6.3.1 (Robyn Speer, Apache-2.0) and Python 3.11's html module, which
// the reference uses; checked against both. Pure functions, thread-safe; input is UTF-8 (ill-formed bytes
// read as U+FFFD).
#pragma once

#include <string>
#include <string_view>

namespace filo::text {

// ftfy.fix_text with its default settings: HTML entities (unless a line holds "<"), mojibake, C1 controls,
// Latin ligatures, character width, curly quotes, line breaks, terminal escapes, control characters, NFC;
// repeated until nothing changes.
std::string FixText(std::string_view text);

// html.unescape: every character reference of HTML 5, with or without its semicolon.
std::string UnescapeHtml(std::string_view text);

// All that CLIP does before encoding: FixText, two UnescapeHtml, runs of white space to one space, stripped,
// lower case.
std::string CleanForClip(std::string_view text);

}  // namespace filo::text
