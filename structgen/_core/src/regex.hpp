// Regex residuals over Unicode code points: hash-consed nodes with intersection, complement and counted
// repetition, Brzozowski derivatives as piecewise-constant maps, and exact emptiness.
//
// Brzozowski, "Derivatives of Regular Expressions", JACM 11(4), 1964.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common.hpp"

namespace structgen {

using Re = std::int32_t;

struct Range {
  std::uint32_t low, high;  // inclusive
  bool operator==(const Range& o) const { return low == o.low && high == o.high; }
};
using CharSet = std::vector<Range>;  // sorted, disjoint, not adjacent

// One piece of a derivative map: code points from `start` up to the next piece derive to `to`.
struct Piece {
  std::uint32_t start;
  Re to;
};
using Derivative = std::vector<Piece>;

enum class Op : std::uint8_t { kNone, kEpsilon, kSet, kConcat, kUnion, kIntersection, kComplement, kRepeat, kResidue };

struct ReNode {
  Op op;
  bool nullable;
  bool uniform = true;    // no character set but "any" occurs
  bool algebraic = false; // holds an intersection or complement: emptiness is not syntactic
  std::uint8_t live = 0;  // 0 unknown, 1 not empty, 2 empty
  std::int32_t a = 0;     // set id | head | first child's offset | body | low half of the modulus
  std::int32_t b = 0;     // tail | number of children | high half of the modulus
  std::int32_t low = 0, high = 0;  // counts | halves of the residue
  std::int32_t min_length = 0, max_length = 0;  // bounds in code points; kInfinity for no upper bound
  std::int32_t depth = 0;                       // how deep derivative() recurses
  std::int32_t height = 0;                      // nesting, through tails too
  std::int32_t max_count = 0;                   // largest finite count outside algebra, for clamp()
};

class RegexStore {
 public:
  static constexpr Re kNone = 0;
  static constexpr Re kEpsilon = 1;
  static constexpr Re kAny = 2;      // any one code point
  static constexpr Re kAnyStar = 3;  // every string
  static constexpr Re kAnyPlus = 4;  // every string but the empty one

  RegexStore();

  Re chars(CharSet ranges);  // any order, overlaps allowed
  Re literal(const std::vector<std::uint32_t>& text);
  Re words(std::vector<std::vector<std::uint32_t>> words);
  Re concat(Re head, Re tail);
  Re concat(const std::vector<Re>& parts);
  Re unite(std::vector<Re> parts);
  Re intersect(std::vector<Re> parts);
  Re complement(Re body);
  Re repeat(Re body, std::int32_t low, std::int32_t high);
  // Digits that are a multiple of 0 < modulus < kModulusLimit when read as one number; dots are ignored.
  Re residue(std::uint64_t modulus) { return residue_node(modulus, 0, 0, 1); }

  const Derivative& derivative(Re r);
  Re derive(Re r, std::uint32_t code_point);
  bool nullable(Re r) const { return nodes_[r].nullable; }
  bool is_empty(Re r);
  // A regex that derives as r does inside the ranges, and is the same for all r that agree there where it can be;
  // kNone when no code point of the ranges is live.
  Re narrow(Re r, const CharSet& ranges);
  // No string leads r to an empty residual, decided where r has few residuals; false beyond.
  bool immortal(Re r);
  // A shortest member (fewest code points). The language must not be empty.
  std::vector<std::uint32_t> shortest(Re r);
  // The same language as far as strings of at most `limit` code points and what follows them can tell.
  Re clamp(Re r, std::int32_t limit);
  // How many strings r holds, counted up to `enough`.
  std::int32_t count(Re r, std::int32_t enough);
  // The lengths in bytes of the `wanted` shortest spellings inside a JSON string, ascending; fewer if r holds fewer.
  std::vector<std::int64_t> shortest_spellings(Re r, std::size_t wanted);
  // Ids of all character sets that occur in r.
  std::vector<std::int32_t> atoms(Re r);

  const ReNode& node(Re r) const { return nodes_[r]; }
  const CharSet& set(std::int32_t id) const { return sets_[id]; }
  Re child(const ReNode& n, std::int32_t i) const { return children_[n.a + i]; }
  std::size_t size() const { return nodes_.size(); }
  std::size_t bytes() const { return bytes_; }

  std::size_t node_limit = ~std::size_t{0};          // total nodes; LimitError beyond
  std::size_t emptiness_limit = 200000;              // residuals visited by one emptiness search
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();

 private:
  Re intern(ReNode n, const std::vector<Re>* kids);
  std::int32_t intern_set(CharSet set);
  Re set_node(CharSet set);
  Re residue_node(std::uint64_t modulus, std::uint64_t read, int digit, std::int32_t least);
  void check_deadline() const;
  bool absorb_repeats(std::vector<Re>& parts, bool intersection);
  void search(Re start, std::vector<std::uint32_t>* witness);
  Derivative combine(const std::vector<Re>& parts, Op op);
  Re words_range(const std::vector<std::vector<std::uint32_t>>& w, std::size_t lo, std::size_t hi, std::size_t depth, int nesting);

  std::vector<ReNode> nodes_;
  std::vector<Re> children_;
  std::vector<std::unique_ptr<Derivative>> derivatives_;
  std::vector<CharSet> sets_;
  Index node_index_, set_index_;
  std::vector<Re> ascii_;  // single-character sets, made on demand
  FlatMap clamped_, counts_, immortal_;
  std::int32_t clamp_limit_ = -1;
  std::size_t bytes_ = 0;
};

inline constexpr std::uint64_t kModulusLimit = std::uint64_t{1} << 60;

// Recursions are as deep as regexes nest; this keeps them far from the end of the stack.
inline constexpr std::int32_t kMaxRegexDepth = 2000;

inline bool is_surrogate_only(std::uint32_t low, std::uint32_t high) { return low >= 0xD800 && high <= 0xDFFF; }

CharSet set_union(const CharSet& a, const CharSet& b);
CharSet set_intersection(const CharSet& a, const CharSet& b);

}  // namespace structgen
