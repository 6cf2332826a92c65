// The terminals that can come next on a stack of a Lark grammar's parser.
#include <algorithm>

#include "engine.hpp"

namespace structgen {

std::int32_t LarkGrammar::tried(std::int32_t state) {
  if (tried_.empty()) tried_.assign(mode == Mode::kContextual ? tables.states.size() : 1, -1);
  std::int32_t& memo = tried_[mode == Mode::kContextual ? static_cast<std::size_t>(state) : 0];
  if (memo >= 0) return memo;
  std::vector<std::int32_t> found;
  if (mode == Mode::kContextual) {
    for (const auto& [terminal, action] : tables.states[static_cast<std::size_t>(state)].actions)
      if (terminal < end() && terminals[static_cast<std::size_t>(terminal)].kind == Kind::kPattern) found.push_back(terminal);
    for (const std::int32_t t : scanned)
      if (ignored[static_cast<std::size_t>(t)]) found.push_back(t);
    if (indents && indenter.newline >= 0) found.push_back(indenter.newline);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
  } else {
    found = scanned;
  }
  return memo = scanner.terminal_set(found);
}

const LarkGrammar::Actions& LarkGrammar::actions(std::int32_t state) {
  if (actions_.empty()) actions_.resize(tables.states.size());
  Actions& made = actions_[static_cast<std::size_t>(state)];
  if (!made.shifted.empty()) return made;
  const std::vector<std::uint64_t> none(static_cast<std::size_t>(end()) / 64 + 1, 0);
  made.shifted = none;
  std::int32_t last = -1;
  for (const auto& [terminal, action] : tables.states[static_cast<std::size_t>(state)].actions) {
    if (terminal == last) continue;  // the first action is taken
    last = terminal;
    std::vector<std::uint64_t>* bits = &made.shifted;
    if (action < 0) {
      auto known = std::find_if(made.reduced.begin(), made.reduced.end(), [rule = ~action](const auto& r) { return r.first == rule; });
      if (known == made.reduced.end()) known = made.reduced.insert(known, {~action, none});
      bits = &known->second;
    }
    (*bits)[static_cast<std::size_t>(terminal) / 64] |= std::uint64_t{1} << (terminal % 64);
  }
  return made;
}

// Whether the parser takes a terminal; as shift(), without making the stack.
bool Engine::takes(Stacks s, std::int32_t terminal) {
  Stacks base = s;
  const std::int32_t to = reduce_before(terminal, base, reduced_);
  return to == kDivides ? shift(s, terminal) != kNoStack : to != kRefused;
}

// Those of some terminals that the parser takes, as bits: takes() for all at once, so that each reduction is made once.
std::vector<std::uint64_t> Engine::taken(Stacks s, std::vector<std::uint64_t> asked) {
  LarkGrammar& lark = *grammar_->lark();
  struct Entry {
    Stacks base;
    std::vector<std::int32_t> above;
    std::vector<std::uint64_t> before;  // the terminals asked for
  };
  const std::size_t words = asked.size();
  std::vector<std::uint64_t> taken(words, 0);
  const auto one_by_one = [&](const std::vector<std::uint64_t>& before) {
    for (std::int32_t t = 0; t <= lark.end(); ++t) {
      const std::size_t word = static_cast<std::size_t>(t) / 64;
      const std::uint64_t bit = std::uint64_t{1} << (t % 64);
      if ((before[word] & bit) && takes(s, t)) taken[word] |= bit;
    }
  };
  std::vector<Entry> todo;
  if (lark.general || !only(s))
    one_by_one(asked);
  else
    todo.push_back({s, {}, std::move(asked)});
  std::vector<std::uint64_t> before;
  for (std::size_t reductions = 0; !todo.empty(); ++reductions) {
    if (reductions > kMostReductions) throw LimitError("the grammar reduces more than " + std::to_string(kMostReductions) + " rules before one terminal");
    const Entry at = std::move(todo.back());
    todo.pop_back();
    const LarkGrammar::Actions& actions = lark.actions(at.above.empty() ? state_of(at.base) : at.above.back());
    for (std::size_t i = 0; i < words; ++i) taken[i] |= at.before[i] & actions.shifted[i];
    for (const auto& [rule, terminals] : actions.reduced) {
      before.assign(words, 0);
      std::uint64_t some = 0;
      for (std::size_t i = 0; i < words; ++i) some |= before[i] = at.before[i] & terminals[i];
      if (some == 0) continue;
      Entry next{at.base, at.above, before};
      if (reduce(lark.rules[static_cast<std::size_t>(rule)], next.base, next.above))
        todo.push_back(std::move(next));
      else
        one_by_one(before);
    }
  }
  return taken;
}

// Those of the terminals tried that the parser takes, or that are dropped.
std::int32_t Engine::wanted(Stacks lr, std::int32_t tried, bool bracketed) {
  LarkGrammar& lark = *grammar_->lark();
  auto frame_at = frames_of(lr);
  const std::uint64_t root = bracketed;
  const std::int32_t depth = sets_[static_cast<std::size_t>(lr)].depth;
  std::int32_t looked = 0;
  std::int32_t found = wanted_index_.find(root, frame_at, looked);
  if (found >= 0) {
    lowest_ = std::min(lowest_, depth - looked + 1);
    return found;
  }
  const std::int32_t lowest = lowest_;
  lowest_ = depth;
  std::vector<std::int32_t> terminals;
  const std::vector<std::int32_t> all = lark.scanner.terminals(tried);
  const auto dropped = [&](std::int32_t t) { return bracketed && t == lark.indenter.newline; };
  std::vector<std::uint64_t> asked(static_cast<std::size_t>(lark.end()) / 64 + 1, 0);
  for (const std::int32_t t : all)
    if (!dropped(t) && (!lark.ignored[static_cast<std::size_t>(t)] || lark.keywords[static_cast<std::size_t>(t)])) asked[static_cast<std::size_t>(t) / 64] |= std::uint64_t{1} << (t % 64);
  const std::vector<std::uint64_t> bits = taken(lr, std::move(asked));
  const auto welcome = [&](std::int32_t t) { return dropped(t) || (bits[static_cast<std::size_t>(t) / 64] >> (t % 64) & 1); };
  for (const std::int32_t t : all)
    if (lark.ignored[static_cast<std::size_t>(t)] || welcome(t)) terminals.push_back(t);
  // As keywords of a regex they are not ignored.
  for (const std::int32_t t : all)
    if (lark.keywords[static_cast<std::size_t>(t)] && welcome(t)) terminals.push_back(t + lark.end());
  found = lark.scanner.terminal_set(terminals);
  wanted_index_.insert(root, frame_at, depth - lowest_ + 1, found);
  lowest_ = std::min(lowest_, lowest);
  return found;
}

}  // namespace structgen
