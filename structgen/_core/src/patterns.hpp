// Prioritised patterns: what Python's backtracking matcher prefers, kept in the order of preference.
//
// A thread is what a pattern still has to match: a list of nodes, hash-consed. An ordered list of threads is a state of the matcher
// (Pike's virtual machine; Cox, "Regular Expression Matching: the Virtual Machine Approach", 2009).
#pragma once

#include <cstdint>
#include <vector>

#include "regex.hpp"

namespace structgen {

using Pattern = std::int32_t;
using Thread = std::int32_t;
inline constexpr Thread kMatched = 0;

enum class PatternOp : std::uint8_t { kChars, kConcat, kChoice, kRepeat, kAhead, kBehind };

struct PatternNode {
  PatternOp op;
  bool asserts = false;    // holds an assertion
  bool optional = false;   // matches the empty string, whatever is around it
  bool lazy = false;       // kRepeat
  bool negative = false;   // kAhead
  std::int32_t a = 0;      // kChars: number of the set | body | first child's offset (kAhead: regexes, kBehind: states)
  std::int32_t b = 0;      // number of children
  std::int32_t low = 0, high = 0;
  std::int32_t min_length = 0;  // code points, assertions taken to hold
};

class PatternStore {
 public:
  static constexpr Pattern kEmpty = 0;  // a concatenation of nothing
  static constexpr Pattern kNever = 1;  // a choice of nothing

  PatternStore();

  Pattern chars(CharSet set);
  Pattern concat(const std::vector<Pattern>& parts);
  Pattern choice(const std::vector<Pattern>& parts);
  Pattern repeat(Pattern body, std::int32_t low, std::int32_t high, bool lazy);
  // By state of the left context: the regex that the rest of the text must be in.
  Pattern ahead(const std::vector<Re>& rest, bool negative);
  Pattern behind(const std::vector<std::int32_t>& states);

  const PatternNode& operator[](Pattern p) const { return nodes_[static_cast<std::size_t>(p)]; }
  std::int32_t child(const PatternNode& n, std::int32_t i) const { return children_[static_cast<std::size_t>(n.a + i)]; }
  bool is_pattern(Pattern p) const { return p >= 0 && static_cast<std::size_t>(p) < nodes_.size(); }
  const std::vector<CharSet>& sets() const { return sets_; }
  std::size_t size() const { return nodes_.size(); }

  // The thread that matches `head`, then what `tail` matches.
  Thread cons(Pattern head, Thread tail);
  Pattern head(Thread t) const { return threads_[static_cast<std::size_t>(t)].head; }
  Thread tail(Thread t) const { return threads_[static_cast<std::size_t>(t)].tail; }
  // Whether the thread matches the empty string, whatever is around it.
  bool optional(Thread t) const { return threads_[static_cast<std::size_t>(t)].optional; }
  bool asserts(Thread t) const { return threads_[static_cast<std::size_t>(t)].asserts; }
  std::int32_t min_length(Thread t) const { return threads_[static_cast<std::size_t>(t)].min_length; }
  std::size_t bytes() const;

  static constexpr std::size_t kMostNodes = 4000000;
  static constexpr std::size_t kMostThreads = 8000000;

 private:
  struct Cons {
    Pattern head;
    Thread tail;
    bool asserts, optional;
    std::int32_t min_length;  // code points
  };
  Pattern intern(PatternNode n, const std::vector<std::int32_t>& kids);

  std::vector<PatternNode> nodes_;
  std::vector<std::int32_t> children_;
  std::vector<CharSet> sets_;
  std::vector<Cons> threads_;
  Index node_index_, set_index_;
  FlatMap thread_index_;
};

}  // namespace structgen
