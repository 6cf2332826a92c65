// Arrays whose items must be pairwise distinct: what values the items can have, and whether enough of them are left.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "regex.hpp"

namespace structgen {

class Grammar;
struct ArrayNode;

// What an item can be, read off its terminals: strings by value, other scalars by text.
struct Domain {
  Re strings = RegexStore::kNone;
  Re texts = RegexStore::kNone;
  bool open = false;  // objects, arrays or other values besides, taken to be as many as ever needed
  bool sequences = false;  // a terminal need not be all of a value
};

class Distinct {
 public:
  explicit Distinct(const Grammar& grammar) : grammar_(grammar) {}

  Domain domain(std::int32_t expr) const;
  // The canonical values of an expression, or nothing when there are at least `enough` of them.
  std::optional<std::vector<std::string>> few(std::int32_t expr, std::int64_t enough);
  // How many values of an expression are not among those seen (sorted), up to `most`.
  std::int64_t left(std::int32_t expr, const std::vector<std::string>& seen, std::int64_t most);
  // Whether items `at` up to `need` can be distinct from each other and from `seen` (sorted).
  bool feasible(const ArrayNode& array, std::int32_t at, std::int32_t need, const std::vector<std::string>& seen);
  // Values that item `at` must not take, lest too few be left for the items up to `need`.
  std::vector<std::string> reserved(const ArrayNode& array, std::int32_t at, std::int32_t need, const std::vector<std::string>& seen);
  // The strings among the values, decoded; or the others in all spellings but those with exponents, with any white space behind.
  // Objects and arrays have no regex.
  Re excluded(const std::vector<std::string>& values, bool texts) const;
  // Whether any beginning of any member leads to endlessly many members, decided where r has few residuals; false beyond.
  bool endless(Re r);
  // While productivity is being decided, what was learnt soon is out of date.
  void forget() { few_.clear(); }

 private:
  Re spellings(const std::string& value) const;

  const Grammar& grammar_;
  struct Known {
    std::int64_t enough;  // asked for
    std::optional<std::vector<std::string>> values;
  };
  std::unordered_map<std::int32_t, Known> few_;
  FlatMap endless_;
};

}  // namespace structgen
