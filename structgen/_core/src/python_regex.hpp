// Patterns of Python's re, read natively: what its parser (re._parser) and structgen/_frontends/regex make of a pattern, node by node.
//
// Only what is surely read the same way is read: whatever is rare (backreferences, atomic groups, named groups, flags for all of a
// pattern) or wrong is left to Python, which has the errors. Python's own sets of characters are asked for where ASCII does not tell them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "patterns.hpp"
#include "regex.hpp"

namespace structgen::pyregex {

// Thrown where Python has to take over. Never leaves the core.
struct NotPlain {};

// Flags of re, with its numbers.
inline constexpr std::uint32_t kIgnoreCase = 2, kMultiline = 8, kDotAll = 16, kUnicode = 32, kVerbose = 64, kAscii = 256;

// Ask Python for the characters that one item such as [\w-] matches under some flags.
using Ask = std::function<CharSet(const std::string& item, std::uint32_t flags)>;

// -- what re._parser makes -------------------------------------------------------------------------------------------------------------

struct Item;
using Sequence = std::vector<Item>;

struct Member {  // of a set
  enum class Kind : std::uint8_t { kLiteral, kRange, kCategory } kind;
  std::uint32_t low, high;  // kCategory: the letter of its escape, twice
  bool operator==(const Member& o) const { return kind == o.kind && low == o.low && high == o.high; }
};

struct Item {
  enum class Kind : std::uint8_t { kLiteral, kNotLiteral, kAny, kSet, kAnchor, kGroup, kBranch, kRepeat, kLook } kind;
  bool negative = false, lazy = false, behind = false, captures = false;
  std::uint32_t value = 0;                // kLiteral, kNotLiteral: the character; kAnchor: one of ^$AZb
  std::uint32_t added = 0, removed = 0;   // flags of a group
  std::int32_t low = 0, high = 0;         // of kRepeat; kInfinity for no bound
  std::vector<Member> members{};            // of kSet
  std::vector<Sequence> inside{};           // options of kBranch; else one
};

// A width from 0 to 2^64, as its halves of 32 bits; sums and products stop at 2^64.
struct Extent {
  std::uint64_t high = 0, low = 0;

  Extent& operator+=(const Extent& other) { return *this = joined(high + other.high, low + other.low); }
  Extent operator*(std::uint32_t count) const { return joined(high * count, low * count); }
  bool operator<(const Extent& other) const { return std::tie(high, low) < std::tie(other.high, other.low); }
  bool operator==(const Extent& other) const { return high == other.high && low == other.low; }

 private:
  static Extent joined(std::uint64_t high, std::uint64_t low) {
    high += low >> 32;
    return high >> 32 != 0 ? Extent{std::uint64_t{1} << 32, 0} : Extent{high, low & 0xFFFFFFFF};
  }
};
inline constexpr Extent kMaxWidth{std::uint64_t{1} << 32, 0};

// Least and greatest width, as SubPattern.getwidth tells them: at most kMaxWidth.
struct Width {
  Extent low, high;
};

// Parses a pattern in UTF-8.
Sequence parse(const std::string& pattern);
Width width(const Sequence& items);

// -- the syntax tree of structgen/_frontends/regex/_ast.py ------------------------------------------------------------------------------

struct Node {
  enum class Kind : std::uint8_t { kChars, kLiteral, kConcat, kChoice, kRepeat, kBefore, kAfter, kLook } kind;
  bool plain = true;  // no assertion below
  bool lazy = false;
  bool negative = false;  // kLook, which looks ahead
  bool edge = false;      // of kBefore and kAfter: holds at the start, or end, too
  std::int32_t low = 0, high = 0;
  CharSet chars{};  // of kChars, kBefore and kAfter: sorted, without surrogates
  std::vector<std::uint32_t> text{};
  std::vector<const Node*> parts{};  // of kConcat and kChoice; the body of kRepeat and kLook
};

class Trees {
 public:
  explicit Trees(Ask ask) : ask_(std::move(ask)) {}
  const Node* tree(const Sequence& items);

 private:
  const Node* sequence(const Sequence& items, std::uint32_t flags, int depth);
  const Node* item(const Item& item, std::uint32_t flags, int depth);
  CharSet one_character(const Item& item, std::uint32_t flags);
  const Node* anchor(std::uint32_t kind, std::uint32_t flags);
  CharSet asked(const Item& item, std::uint32_t flags);

  Node* make(Node::Kind kind);
  const Node* chars(CharSet set);
  const Node* edge(bool behind, CharSet set, bool at_edge);
  const Node* concat(const std::vector<const Node*>& parts);
  const Node* choice(const std::vector<const Node*>& options);
  const Node* repeat(const Node* body, std::int32_t low, std::int32_t high, bool lazy);
  const Node* look(const Node* body, bool behind, bool negative);
  const Node* without_last_lookahead(const Node* node);

  Ask ask_;
  std::deque<Node> nodes_;
};

CharSet set_complement(const CharSet& set);

// -- what is made of trees ---------------------------------------------------------------------------------------------------------------

// Makes patterns that are matched in one text, as Prioritised does, in stores that may hold others.
class Lowering {
 public:
  // All the trees, whose lookbehinds share their states; null ones are left out.
  Lowering(const std::vector<const Node*>& trees, RegexStore& regexes, PatternStore& patterns);

  // The left context that the patterns need; a single state where none looks back.
  const std::vector<CharSet>& cells() const { return cells_; }
  const std::vector<std::vector<std::int32_t>>& following() const { return following_; }

  Pattern pattern(const Node* node);
  Re regex(const Node* node);  // of a tree without assertions

 private:
  using Vector = std::vector<Re>;  // by state of the left context

  void find_sets(const Node* node);
  void explore();
  bool holds(std::size_t state, const Node* before) const;
  Pattern test(const Node* node);
  Vector lower(const Node* node, Vector after);
  Vector lower_choice(const Node* node, const Vector& after);
  Re next_is(const Node* node, Re after);
  Re set(const CharSet& chars);
  Re unite(const std::vector<Re>& parts);
  Re meet(Re first, Re second);

  RegexStore& re_;
  PatternStore& patterns_;
  std::vector<CharSet> sets_, cells_;
  std::vector<std::vector<std::int32_t>> following_;
  std::vector<std::int64_t> known_;  // by state: which sets hold the last character, as bits; -1 at the start
  int steps_ = 0;
};

// Whether the preferred match at the start of a text is all of it.
bool matches(const Node* tree, const std::vector<std::uint32_t>& text);

std::vector<std::uint32_t> decode(const std::string& text);

}  // namespace structgen::pyregex
