// JSON values as canonical text: equal values, however they are spelt, have equal canonical texts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace structgen {

// Equality is that of JSON Schema: key order, escapes and the spelling of numbers make no difference (1, 1.0 and 10e-1 are
// one exact decimal), true is not 1, and the last of equal keys counts. What is no JSON text stands for itself.
//
// Canonical texts: "t", "f", "z" (null), "n" number ";", "s" size ":" UTF-8, "[" items "]", "{" keys and values "}", and "x" in front of
// what is no JSON.
std::string canonical_json(std::string_view text);
// The canonical items of an array; nothing for other texts. `valid` tells the two apart.
std::vector<std::string> canonical_items(std::string_view text, bool& valid);

// A canonical number as digits and a power of ten: "-12e-1" is -1.2. False when the exponent is beyond all measure.
struct Decimal {
  bool negative = false;
  std::string digits;  // no zero at either end; empty for zero
  std::int64_t exponent = 0;
};
bool parse_decimal(std::string_view canonical, Decimal& out);
void append_utf8(std::string& out, std::uint32_t c);
// The code points of a canonical string.
std::vector<std::uint32_t> string_characters(std::string_view canonical);

}  // namespace structgen
