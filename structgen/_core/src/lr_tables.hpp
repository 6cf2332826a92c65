// LR parsing tables of context-free grammars: LALR(1), with conflicts resolved as lark resolves them, or kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

#include "common.hpp"

namespace structgen {

// Symbols: t >= 0 is terminal t, ~n is nonterminal n.
struct LrRule {
  std::int32_t lhs;
  std::vector<std::int32_t> rhs;
  std::int32_t priority = 0;
};

enum class Conflicts {
  kResolve,  // lark: a shift wins over a reduction, a rule of higher priority over the others; else an error
  kKeep,     // every action
};

// Rules number rules.size() and on are the augmented ones, start $END, one for each start symbol; terminal number `terminals` is $END.
struct LrTables {
  using Pair = std::pair<std::int32_t, std::int32_t>;
  struct State {
    std::vector<Pair> actions;  // (terminal, action) by terminal, a shift before reductions; s >= 0: shift to s; ~r: reduce rule r
    std::vector<Pair> gotos;    // (nonterminal, state) by nonterminal
    std::vector<Pair> kernel;   // (rule, dot)
    std::vector<Pair> lost;     // (terminal, rule): reductions that other actions won against
  };
  std::vector<State> states;
  std::vector<std::int32_t> starts;   // the first state of each start symbol
  std::vector<std::int32_t> accepts;  // where shifting $END leads
  bool conflicts = false;             // some terminal had two actions in some state, be they resolved or kept
};

// Rules that would be reduced on the same terminal, and none of them has the highest priority.
struct LrConflict {
  std::int32_t state, terminal;
  std::vector<std::int32_t> rules;
};
struct LrConflictError : std::runtime_error {
  explicit LrConflictError(std::vector<LrConflict> found);
  explicit LrConflictError(std::vector<std::int32_t> found);
  std::vector<LrConflict> conflicts;
  // Or: nonterminals that can be empty and follow each other forever. No such grammar is LR(k), and how lark resolves the conflicts
  // varies from run to run.
  std::vector<std::int32_t> endless;
};

// One table with a beginning for each start symbol: as lark has it, states are shared, and so are lookaheads.
// Throws std::invalid_argument for rules that are given twice and for nonterminals without rules, as lark refuses both (where all
// actions are kept, a start symbol may have none); LimitError beyond `max_states` states.
LrTables build_lr(const std::vector<LrRule>& rules, std::int32_t terminals, std::int32_t nonterminals,
                  const std::vector<std::int32_t>& starts, Conflicts how, std::size_t max_states);

// Throws std::invalid_argument unless all symbols are in range.
void check_rules(const std::vector<LrRule>& rules, std::int32_t terminals, std::int32_t nonterminals,
                 const std::vector<std::int32_t>& starts);
// Rules by their left side.
std::vector<std::vector<std::int32_t>> rules_by_lhs(const std::vector<LrRule>& rules, std::int32_t nonterminals);
// Nonterminals that derive some string of these terminals alone: the nullable ones when there are none, the productive ones when all are.
std::vector<char> deriving(const std::vector<LrRule>& rules, std::int32_t nonterminals, const std::vector<char>& terminals);

}  // namespace structgen
