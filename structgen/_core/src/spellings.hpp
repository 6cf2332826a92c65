// The shortest spellings of what a regex holds, in bytes: of plain UTF-8, or inside a JSON string.
//
// Sets, concatenations, unions and repetitions have theirs by their parts. Only intersections and complements are searched, over
// residuals rather than bytes, best first by what their parts need at least.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "decoder.hpp"
#include "regex.hpp"

namespace structgen {

// How a decoder goes on, from between characters or within one, until it has read that character. It must be one that it can read.
std::string spelled(Kind kind, Decoder decoder, std::uint32_t code_point);

class Spellings {
 public:
  static constexpr std::int64_t kImpossible = std::int64_t{1} << 60;

  // `kind` is kText or kStringMinimal, whose spellings are the shortest of all strings. LimitError from `cost` where a search
  // would need too much memory.
  Spellings(RegexStore& regexes, Kind kind) : regexes_(regexes), kind_(kind) {}

  // Bytes of the shortest spelling of a string that r holds.
  std::int64_t cost(Re r);
  // At most that, without a search.
  std::int64_t bound(Re r) { return evaluate(r, bounds_, false); }
  // The first character of a shortest spelling, where that has one.
  std::uint32_t first(Re r);
  void append(Re r, std::string& out);
  // Calls visit(code point, residual) for characters that derive r: of each residual, the ones with the fewest bytes that `ranges`
  // leave, whatever decoder reads them.
  template <class Visit>
  void characters(Re r, const CharSet& ranges, Visit&& visit);

 private:
  std::int64_t evaluate(Re r, FlatMap& memo, bool exact);
  std::int64_t search(Re r);
  std::uint32_t cheapest(const CharSet& set) const;
  Re chosen(Re r);

  RegexStore& regexes_;
  Kind kind_;
  FlatMap bounds_, costs_;  // saturated
  FlatMap chosen_;          // of unions, the option that a shortest spelling takes
  FlatMap next_;            // of residuals on a path that a search found, the next character
};

// Characters of one range take the same number of bytes in every decoder.
inline constexpr Range kSpelledAlike[] = {{0x20, 0x21}, {0x23, 0x2E}, {0x2F, 0x2F}, {0x30, 0x5B}, {0x5D, 0x7F}, {0x22, 0x22},
                                          {0x5C, 0x5C}, {0x08, 0x0A}, {0x0C, 0x0D}, {0x00, 0x07}, {0x0B, 0x0B}, {0x0E, 0x1F},
                                          {0x80, 0x7FF}, {0x800, 0xD7FF}, {0xE000, 0xFFFF}, {0x10000, kMaxCodePoint}};

template <class Visit>
void Spellings::characters(Re r, const CharSet& ranges, Visit&& visit) {
  const Derivative& d = regexes_.derivative(r);
  for (std::size_t i = 0; i < d.size(); ++i) {
    if (d[i].to == RegexStore::kNone) continue;
    const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start - 1 : kMaxCodePoint;
    for (const Range& alike : kSpelledAlike)
      for (const Range& range : ranges) {
        const std::uint32_t low = std::max({alike.low, range.low, d[i].start});
        if (low <= std::min({alike.high, range.high, end})) visit(low, d[i].to);
      }
  }
}

}  // namespace structgen
