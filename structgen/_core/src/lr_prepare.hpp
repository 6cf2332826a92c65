// Grammars made ready for parsing tables: without rules that can't be used, and without empty rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lr_tables.hpp"

namespace structgen {

struct Pruned {
  std::vector<std::int32_t> kept;          // rules, by number
  std::vector<std::int32_t> unproductive;  // nonterminals that derive no string
  std::vector<std::int32_t> unreachable;   // productive ones that no derivation of a string from the start uses
};

// `terminals` says which terminals match any text.
Pruned prune(const std::vector<LrRule>& rules, std::int32_t nonterminals, std::int32_t start, const std::vector<char>& terminals);

struct WithoutEmpty {
  std::vector<LrRule> rules;
  std::vector<std::int32_t> from;  // the rule that each one comes from
  std::int32_t nonterminals;       // the grammar's own, then helpers
  bool nullable_start;             // the empty string was in the language of a start symbol; it no longer is
};

// The same strings of each nonterminal, save the empty one. Nonterminals that derive nothing else have no rules then, be it a start.
// Rules A: A, rules that are there already, and rules that derive nothing are left out. LimitError beyond `max_rules` rules.
WithoutEmpty without_empty(const std::vector<LrRule>& rules, std::int32_t terminals, std::int32_t nonterminals,
                           const std::vector<std::int32_t>& starts, std::size_t max_rules);

}  // namespace structgen
