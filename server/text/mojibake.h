// Repair of mojibake: UTF-8 that somewhere was read in an 8-bit encoding ("schÃ¶n" for "schön").
//
// The method and its tables are those of ftfy 6.3.1 (Robyn Speer, Apache-2.0), so that the same strings are
// touched and the same left alone: CLIP's tokenizer calls it, and ids must agree. Pure functions,
// thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace filo::text {

// Contains a sequence of characters that is far likelier to be an encoding mix-up than meant.
bool LooksLikeMojibake(std::u32string_view text);

// ftfy.fix_encoding: undoes mix-ups, also nested ones, until none is found; other text comes back unchanged.
std::u32string FixEncoding(std::u32string_view text);

// C1 control characters read as the Windows-1252 characters of the same byte, as browsers do.
std::u32string FixC1Controls(std::u32string_view text);

// Windows-1252's character for byte 0x80-0x9F; unassigned bytes stand for themselves.
char32_t Windows1252(char32_t byte);

}  // namespace filo::text
