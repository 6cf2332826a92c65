// LALR(1) lookaheads after DeRemer and Pennello, "Efficient computation of LALR(1) look-ahead sets" (1982).
#include "lr_tables.hpp"

#ifdef _MSC_VER
#include <intrin.h>
#endif

#include <algorithm>
#include <string>

namespace structgen {

namespace {

using State = LrTables::State;
using Pair = LrTables::Pair;

constexpr std::size_t kMaxSetBytes = std::size_t{1} << 28;
constexpr std::size_t kMaxActions = 10000000;

// The place of the lowest bit of a number that is not zero.
int lowest_bit(std::uint64_t x) {
#ifdef _MSC_VER
  unsigned long place = 0;
  _BitScanForward64(&place, x);
  return static_cast<int>(place);
#else
  return __builtin_ctzll(x);
#endif
}

// One set of terminals per row.
class Rows {
 public:
  Rows(std::size_t rows, std::size_t bits) : words_((bits + 63) / 64) {
    if (rows * words_ * sizeof(std::uint64_t) > kMaxSetBytes) throw LimitError("the grammar's sets of lookaheads need too much memory");
    data_.resize(rows * words_);
  }
  void set(std::size_t row, std::int32_t bit) { data_[row * words_ + static_cast<std::size_t>(bit) / 64] |= std::uint64_t{1} << (bit % 64); }
  void join(std::size_t row, const Rows& other, std::size_t from) {
    for (std::size_t w = 0; w < words_; ++w) data_[row * words_ + w] |= other.data_[from * words_ + w];
  }
  void copy(std::size_t row, std::size_t from) {
    std::copy_n(data_.begin() + static_cast<std::ptrdiff_t>(from * words_), words_, data_.begin() + static_cast<std::ptrdiff_t>(row * words_));
  }
  template <class Visit>
  void each(std::size_t row, Visit&& visit) const {
    for (std::size_t w = 0; w < words_; ++w)
      for (std::uint64_t left = data_[row * words_ + w]; left != 0; left &= left - 1)
        visit(static_cast<std::int32_t>(w * 64) + lowest_bit(left));
  }

 private:
  std::size_t words_;
  std::vector<std::uint64_t> data_;
};

// A relation between the nonterminal transitions.
class Relation {
 public:
  explicit Relation(std::size_t size) : begin_(size + 1) {}
  void add(std::size_t x, std::size_t y) { pairs_.emplace_back(static_cast<std::uint32_t>(x), static_cast<std::uint32_t>(y)); }
  void close() {
    for (const auto& [x, y] : pairs_) ++begin_[x + 1];
    for (std::size_t x = 1; x < begin_.size(); ++x) begin_[x] += begin_[x - 1];
    to_.resize(pairs_.size());
    end_.assign(begin_.begin(), begin_.end() - 1);
    for (const auto& [x, y] : pairs_) to_[end_[x]++] = y;
    for (std::size_t x = 0; x < end_.size(); ++x) {
      const auto first = to_.begin() + static_cast<std::ptrdiff_t>(begin_[x]), last = to_.begin() + static_cast<std::ptrdiff_t>(end_[x]);
      std::sort(first, last);
      end_[x] = static_cast<std::size_t>(std::unique(first, last) - to_.begin());
    }
  }
  std::size_t begin(std::size_t x) const { return begin_[x]; }
  std::size_t end(std::size_t x) const { return end_[x]; }
  std::size_t operator[](std::size_t i) const { return to_[i]; }
  std::size_t size() const { return begin_.size() - 1; }

 private:
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs_;
  std::vector<std::uint32_t> to_;
  std::vector<std::size_t> begin_, end_;  // in to_
};

// The least sets such that each has all of those it is related to: the paper's "digraph", without recursion. `same` is called with
// two members of a cycle, until all are linked.
template <class Same>
void propagate(const Relation& relation, Rows& sets, Same&& same) {
  constexpr std::size_t kDone = ~std::size_t{0};
  struct Call {
    std::size_t x, depth, next;
  };
  std::vector<std::size_t> low(relation.size(), 0), stack;
  std::vector<Call> calls;
  const auto enter = [&](std::size_t x) {
    stack.push_back(x);
    low[x] = stack.size();
    calls.push_back({x, stack.size(), relation.begin(x)});
  };
  for (std::size_t root = 0; root < relation.size(); ++root) {
    if (low[root] != 0) continue;
    enter(root);
    while (!calls.empty()) {
      Call& call = calls.back();
      const std::size_t x = call.x;
      if (call.next < relation.end(x)) {
        const std::size_t y = relation[call.next];
        if (low[y] == 0) {
          enter(y);
          continue;
        }
        ++call.next;
        low[x] = std::min(low[x], low[y]);
        sets.join(x, sets, y);
        continue;
      }
      if (low[x] == call.depth) {
        for (std::size_t z = kDone; z != x;) {
          z = stack.back();
          stack.pop_back();
          low[z] = kDone;
          if (z == x) continue;
          sets.copy(z, x);
          same(z, x);
        }
      }
      calls.pop_back();
    }
  }
}

class Analysis {
 public:
  Analysis(const std::vector<LrRule>& rules, std::int32_t terminals, std::int32_t nonterminals, const std::vector<std::int32_t>& starts,
           std::size_t max_states)
      : rules_(rules), terminals_(terminals), max_states_(max_states), starts_(starts), of_(rules_by_lhs(rules, nonterminals)) {
    for (const std::int32_t start : starts) rules_.push_back({nonterminals, {~start, terminals}, 0});
    nullable_ = deriving(rules, nonterminals, std::vector<char>(static_cast<std::size_t>(terminals), 0));
    for (const LrRule& r : rules_) {
      first_item_.push_back(static_cast<std::int32_t>(next_.size()));
      for (const std::int32_t s : r.rhs) next_.push_back(symbol(s));
      next_.push_back(-1);
    }
    rule_of_.resize(next_.size());
    empty_from_.resize(next_.size());
    for (std::size_t r = 0; r < rules_.size(); ++r) {
      bool empty = true;
      for (std::size_t dot = rules_[r].rhs.size() + 1; dot-- > 0;) {
        const std::size_t item = static_cast<std::size_t>(first_item_[r]) + dot;
        empty = empty && (next_[item] < 0 || is_nullable(next_[item]));
        empty_from_[item] = empty;
        rule_of_[item] = static_cast<std::int32_t>(r);
      }
    }
  }

  LrTables run(Conflicts how) {
    make_states();
    LrTables tables;
    tables.states.resize(states_.size());
    const Rows lookaheads = make_lookaheads(how);
    std::vector<LrConflict> refused;
    std::size_t actions = 0;
    for (std::size_t p = 0; p < states_.size(); ++p) {
      State& out = tables.states[p];
      for (const std::int32_t item : states_[p].kernel) {
        const std::int32_t r = rule_of_[static_cast<std::size_t>(item)];
        out.kernel.emplace_back(r, item - first_item_[static_cast<std::size_t>(r)]);
      }
      for (const auto& [s, q] : states_[p].transitions) {
        if (is_terminal(s)) out.actions.emplace_back(s, q);
        else out.gotos.emplace_back(s - terminals_ - 1, q);
      }
      add_reductions(p, lookaheads, how, tables, refused);
      actions += out.actions.size();
      if (actions > kMaxActions) throw LimitError("the grammar's parsing tables have more than " + std::to_string(kMaxActions) + " actions");
    }
    if (!refused.empty()) throw LrConflictError(std::move(refused));
    for (std::size_t i = 0; i < starts_.size(); ++i) {
      tables.starts.push_back(static_cast<std::int32_t>(i));
      tables.accepts.push_back(find(static_cast<std::size_t>(find(i, ~starts_[i])), terminals_));
    }
    return tables;
  }

 private:
  // In here, symbols are numbered from 0: terminals, $END, nonterminals.
  struct ItemSet {
    std::vector<std::int32_t> kernel;
    std::vector<Pair> transitions;
    std::vector<std::int32_t> moves;     // by place in the kernel: the place of its transition; -1 where a rule ends
    std::vector<std::int32_t> complete;  // rules whose end has been reached
    std::size_t first_goto = 0;          // nonterminal transitions are numbered through all states; and the first one's place here
    std::size_t goto_place = 0;
    std::size_t first_complete = 0;
  };

  std::int32_t symbol(std::int32_t s) const { return s >= 0 ? s : terminals_ + 1 + ~s; }
  bool is_terminal(std::int32_t s) const { return s <= terminals_; }
  bool is_nullable(std::int32_t s) const { return !is_terminal(s) && nullable_[static_cast<std::size_t>(s - terminals_ - 1)]; }
  const std::vector<std::int32_t>& rules_of(std::int32_t s) const { return of_[static_cast<std::size_t>(s - terminals_ - 1)]; }

  // Where a symbol that can be read leads to.
  std::int32_t find(std::size_t p, std::int32_t s) const {
    const std::vector<Pair>& t = states_[p].transitions;
    return std::lower_bound(t.begin(), t.end(), Pair{s >= 0 ? s : symbol(s), -1})->second;
  }
  std::size_t transition(const ItemSet& set, std::size_t place) const { return set.first_goto + place - set.goto_place; }

  std::int32_t intern(const std::vector<std::int32_t>& kernel) {
    std::uint64_t hash = kernel.size();
    for (const std::int32_t item : kernel) hash = combine(hash, static_cast<std::uint64_t>(item));
    const std::int32_t known = index_.find(hash, [&](std::int32_t p) { return states_[static_cast<std::size_t>(p)].kernel == kernel; });
    if (known >= 0) return known;
    if (states_.size() >= max_states_) throw LimitError("the grammar has more than " + std::to_string(max_states_) + " parser states");
    const std::int32_t made = static_cast<std::int32_t>(states_.size());
    states_.emplace_back();
    states_.back().kernel = kernel;
    index_.insert(hash, made);
    return made;
  }

  void make_states() {
    for (std::size_t i = 0; i < starts_.size(); ++i) intern({first_item_[rules_.size() - starts_.size() + i]});
    const std::size_t symbols = static_cast<std::size_t>(terminals_) + 1 + of_.size();
    std::vector<std::size_t> seen(symbols, ~std::size_t{0});
    std::vector<std::vector<std::int32_t>> behind(symbols);  // the items behind a symbol
    std::vector<std::int32_t> items, read;
    for (std::size_t p = 0; p < states_.size(); ++p) {
      items = states_[p].kernel;
      read.clear();
      std::vector<std::int32_t> complete;
      for (std::size_t i = 0; i < items.size(); ++i) {
        const std::int32_t s = next_[static_cast<std::size_t>(items[i])];
        if (s < 0) {
          complete.push_back(rule_of_[static_cast<std::size_t>(items[i])]);
          continue;
        }
        behind[static_cast<std::size_t>(s)].push_back(items[i] + 1);
        if (seen[static_cast<std::size_t>(s)] == p) continue;
        seen[static_cast<std::size_t>(s)] = p;
        read.push_back(s);
        if (is_terminal(s)) continue;
        for (const std::int32_t r : rules_of(s)) items.push_back(first_item_[static_cast<std::size_t>(r)]);
      }
      std::sort(read.begin(), read.end());
      std::vector<Pair> transitions;
      transitions.reserve(read.size());
      for (const std::int32_t s : read) {
        std::vector<std::int32_t>& kernel = behind[static_cast<std::size_t>(s)];
        if (!std::is_sorted(kernel.begin(), kernel.end())) std::sort(kernel.begin(), kernel.end());
        transitions.emplace_back(s, intern(kernel));
        kernel.clear();
      }
      ItemSet& set = states_[p];
      set.transitions = std::move(transitions);
      for (const std::int32_t item : set.kernel) {
        const std::int32_t s = next_[static_cast<std::size_t>(item)];
        set.moves.push_back(s < 0 ? -1 : static_cast<std::int32_t>(std::lower_bound(read.begin(), read.end(), s) - read.begin()));
      }
      set.complete = std::move(complete);
      std::sort(set.complete.begin(), set.complete.end());
      set.goto_place = static_cast<std::size_t>(std::upper_bound(read.begin(), read.end(), terminals_) - read.begin());
      set.first_goto = gotos_;
      set.first_complete = complete_;
      gotos_ += set.transitions.size() - set.goto_place;
      complete_ += set.complete.size();
    }
  }

  // The lookaheads of each state's complete rules.
  Rows make_lookaheads(Conflicts how) const {
    const std::size_t bits = static_cast<std::size_t>(terminals_) + 1;
    Rows follow(gotos_, bits), shifts(states_.size(), bits);
    Relation reads(gotos_), includes(gotos_);
    std::vector<std::pair<std::size_t, std::size_t>> lookback;  // (row of a complete rule, transition)
    std::vector<std::int32_t> symbols(gotos_);                  // of the transitions
    std::vector<std::vector<std::size_t>> empties(states_.size());  // the transitions of each state with symbols that can be empty
    for (std::size_t p = 0; p < states_.size(); ++p) {
      const ItemSet& set = states_[p];
      for (std::size_t i = 0; i < set.goto_place; ++i) shifts.set(p, set.transitions[i].first);
      for (std::size_t i = set.goto_place; i < set.transitions.size(); ++i)
        if (is_nullable(set.transitions[i].first)) empties[p].push_back(transition(set, i));
    }
    std::vector<std::int32_t> places(bits + of_.size(), -1);  // of the transitions of the state at hand, by symbol
    for (std::size_t p = 0; p < states_.size(); ++p) {
      const ItemSet& set = states_[p];
      for (std::size_t i = 0; i < set.transitions.size(); ++i) places[static_cast<std::size_t>(set.transitions[i].first)] = static_cast<std::int32_t>(i);
      for (std::size_t i = set.goto_place; i < set.transitions.size(); ++i) {
        const std::size_t x = transition(set, i);
        const std::size_t q = static_cast<std::size_t>(set.transitions[i].second);
        symbols[x] = set.transitions[i].first;
        follow.join(x, shifts, q);
        for (const std::size_t y : empties[q]) reads.add(x, y);
        for (const std::int32_t r : rules_of(symbols[x])) {
          const std::size_t end = include(p, places, first_item_[static_cast<std::size_t>(r)], x, includes);
          const std::vector<std::int32_t>& complete = states_[end].complete;
          const auto row = std::lower_bound(complete.begin(), complete.end(), r) - complete.begin();
          lookback.emplace_back(states_[end].first_complete + static_cast<std::size_t>(row), x);
        }
      }
      // lark also includes the follow set of a nonterminal that can begin here where rules of that nonterminal are half read.
      // That adds lookaheads, and so conflicts, that LALR(1) has not; they are part of what lark's tables accept.
      for (const std::int32_t item : set.kernel) {
        const LrRule& rule = rules_[static_cast<std::size_t>(rule_of_[static_cast<std::size_t>(item)])];
        const auto lhs = static_cast<std::size_t>(symbol(~rule.lhs));
        const std::int32_t at = lhs < places.size() ? places[lhs] : -1;  // no state has transitions with what stands for the start
        if (at >= 0) include(p, places, item, transition(set, static_cast<std::size_t>(at)), includes);
      }
      for (const Pair& move : set.transitions) places[static_cast<std::size_t>(move.first)] = -1;
    }
    reads.close();
    std::vector<std::int32_t> endless;
    propagate(reads, follow, [&](std::size_t x, std::size_t y) {
      // In lark, the members of a cycle are one set object from here on, and what it holds by the time it is copied
      // depends on the order of its hash tables.
      endless.insert(endless.end(), {symbols[x] - terminals_ - 1, symbols[y] - terminals_ - 1});
      includes.add(x, y);
      includes.add(y, x);
    });
    if (how == Conflicts::kResolve && !endless.empty()) {
      std::sort(endless.begin(), endless.end());
      endless.erase(std::unique(endless.begin(), endless.end()), endless.end());
      throw LrConflictError(std::move(endless));
    }
    includes.close();
    propagate(includes, follow, [](std::size_t, std::size_t) {});
    Rows lookaheads(complete_, bits);
    for (const auto& [row, x] : lookback) lookaheads.join(row, follow, x);
    return lookaheads;
  }

  // From `item` to the end of its rule: the transitions behind which the rule can end include transition `x`. Returns the last state.
  // `places` are the transitions of the first state.
  std::size_t include(std::size_t p, const std::vector<std::int32_t>& places, std::int32_t item, std::size_t x, Relation& includes) const {
    std::size_t i = static_cast<std::size_t>(item);
    if (next_[i] < 0) return p;
    std::int32_t at = places[static_cast<std::size_t>(next_[i])];
    for (;;) {
      const ItemSet& set = states_[p];
      if (!is_terminal(next_[i]) && empty_from_[i + 1]) includes.add(transition(set, static_cast<std::size_t>(at)), x);
      p = static_cast<std::size_t>(set.transitions[static_cast<std::size_t>(at)].second);
      if (next_[++i] < 0) return p;
      const std::vector<std::int32_t>& kernel = states_[p].kernel;
      std::size_t k = 0;
      while (kernel[k] != static_cast<std::int32_t>(i)) ++k;
      at = states_[p].moves[k];
    }
  }

  void add_reductions(std::size_t p, const Rows& lookaheads, Conflicts how, LrTables& tables, std::vector<LrConflict>& refused) const {
    const ItemSet& set = states_[p];
    if (set.complete.empty()) return;
    std::vector<Pair>& actions = tables.states[p].actions;
    const std::size_t shifts = actions.size();
    std::vector<Pair> reductions;  // (terminal, rule)
    std::vector<std::int32_t> rules;
    for (std::size_t i = 0; i < set.complete.size(); ++i)
      lookaheads.each(set.first_complete + i, [&](std::int32_t t) { reductions.emplace_back(t, set.complete[i]); });
    if (set.complete.size() > 1) std::sort(reductions.begin(), reductions.end());
    actions.reserve(shifts + reductions.size());
    for (std::size_t i = 0; i < reductions.size();) {
      const std::int32_t t = reductions[i].first;
      rules.clear();
      for (; i < reductions.size() && reductions[i].first == t; ++i) rules.push_back(reductions[i].second);
      const auto end = actions.begin() + static_cast<std::ptrdiff_t>(shifts);
      const auto shift = std::lower_bound(actions.begin(), end, Pair{t, -1});
      const bool shifted = shift != end && shift->first == t;
      tables.conflicts = tables.conflicts || shifted || rules.size() > 1;
      if (how == Conflicts::kResolve && rules.size() > 1) {
        const auto priority = [&](std::int32_t r) { return rules_[static_cast<std::size_t>(r)].priority; };
        std::int32_t highest = priority(rules[0]);
        for (const std::int32_t r : rules) highest = std::max(highest, priority(r));
        std::vector<std::int32_t> best;
        for (const std::int32_t r : rules)
          if (priority(r) == highest) best.push_back(r);
        if (best.size() > 1) {
          refused.push_back({static_cast<std::int32_t>(p), t, rules});
          continue;
        }
        for (const std::int32_t r : rules)
          if (r != best[0]) tables.states[p].lost.emplace_back(t, r);
        rules = best;
      }
      if (how == Conflicts::kResolve && shifted) {
        tables.states[p].lost.emplace_back(t, rules[0]);
        continue;
      }
      for (const std::int32_t r : rules) actions.emplace_back(t, ~r);
    }
    std::inplace_merge(actions.begin(), actions.begin() + static_cast<std::ptrdiff_t>(shifts), actions.end(),
                       [](const Pair& a, const Pair& b) { return a.first < b.first; });
  }

  std::vector<LrRule> rules_;
  std::int32_t terminals_;
  std::size_t max_states_;
  std::vector<std::int32_t> starts_;
  std::vector<std::vector<std::int32_t>> of_;
  std::vector<char> nullable_;
  // An item is a place in a rule: the rule's first item plus the position of the dot.
  std::vector<std::int32_t> first_item_, next_, rule_of_;
  std::vector<char> empty_from_;  // what is behind the dot can be empty
  std::vector<ItemSet> states_;
  Index index_;
  std::size_t gotos_ = 0, complete_ = 0;
};

std::string describe(const std::vector<LrConflict>& conflicts) {
  std::string out;
  for (const LrConflict& c : conflicts) {
    if (!out.empty()) out += "; ";
    out += "reduce/reduce conflict on terminal " + std::to_string(c.terminal) + " between rules";
    for (const std::int32_t r : c.rules) out += ' ' + std::to_string(r);
  }
  return out;
}

std::string describe(const std::vector<std::int32_t>& endless) {
  std::string out = "can be empty and follow each other forever: nonterminals";
  for (const std::int32_t n : endless) out += ' ' + std::to_string(n);
  return out;
}

}  // namespace

LrConflictError::LrConflictError(std::vector<LrConflict> found) : std::runtime_error(describe(found)), conflicts(std::move(found)) {}
LrConflictError::LrConflictError(std::vector<std::int32_t> found) : std::runtime_error(describe(found)), endless(std::move(found)) {}

void check_rules(const std::vector<LrRule>& rules, std::int32_t terminals, std::int32_t nonterminals,
                 const std::vector<std::int32_t>& starts) {
  const auto is_nonterminal = [&](std::int32_t n) { return n >= 0 && n < nonterminals; };
  if (terminals < 0 || starts.empty() || !std::all_of(starts.begin(), starts.end(), is_nonterminal))
    throw std::invalid_argument("the start symbol is not a nonterminal");
  for (std::size_t r = 0; r < rules.size(); ++r) {
    bool good = is_nonterminal(rules[r].lhs);
    for (const std::int32_t s : rules[r].rhs) good = good && (s >= 0 ? s < terminals : is_nonterminal(~s));
    if (!good) throw std::invalid_argument("rule " + std::to_string(r) + " has a symbol that is out of range");
  }
}

std::vector<std::vector<std::int32_t>> rules_by_lhs(const std::vector<LrRule>& rules, std::int32_t nonterminals) {
  std::vector<std::vector<std::int32_t>> out(static_cast<std::size_t>(nonterminals));
  for (std::size_t r = 0; r < rules.size(); ++r) out[static_cast<std::size_t>(rules[r].lhs)].push_back(static_cast<std::int32_t>(r));
  return out;
}

std::vector<char> deriving(const std::vector<LrRule>& rules, std::int32_t nonterminals, const std::vector<char>& terminals) {
  std::vector<char> found(static_cast<std::size_t>(nonterminals), 0);
  std::vector<std::vector<std::int32_t>> uses(found.size());
  std::vector<std::size_t> missing(rules.size(), 0);
  std::vector<std::int32_t> work;
  const auto derive = [&](std::int32_t n) {
    if (found[static_cast<std::size_t>(n)]) return;
    found[static_cast<std::size_t>(n)] = 1;
    work.push_back(n);
  };
  for (std::size_t r = 0; r < rules.size(); ++r) {
    for (const std::int32_t s : rules[r].rhs) {
      if (s < 0) uses[static_cast<std::size_t>(~s)].push_back(static_cast<std::int32_t>(r));
      if (s < 0 || !terminals[static_cast<std::size_t>(s)]) ++missing[r];
    }
    if (missing[r] == 0) derive(rules[r].lhs);
  }
  while (!work.empty()) {
    const std::int32_t n = work.back();
    work.pop_back();
    for (const std::int32_t r : uses[static_cast<std::size_t>(n)])
      if (--missing[static_cast<std::size_t>(r)] == 0) derive(rules[static_cast<std::size_t>(r)].lhs);
  }
  return found;
}

LrTables build_lr(const std::vector<LrRule>& rules, std::int32_t terminals, std::int32_t nonterminals,
                  const std::vector<std::int32_t>& starts, Conflicts how, std::size_t max_states) {
  check_rules(rules, terminals, nonterminals, starts);
  for (std::size_t i = 1; i < starts.size(); ++i)
    if (std::find(starts.begin(), starts.begin() + static_cast<std::ptrdiff_t>(i), starts[i]) != starts.begin() + static_cast<std::ptrdiff_t>(i))
      throw std::invalid_argument("a start symbol is given twice");
  const std::vector<std::vector<std::int32_t>> of = rules_by_lhs(rules, nonterminals);
  const auto need = [&](std::int32_t n) {
    if (of[static_cast<std::size_t>(n)].empty()) throw std::invalid_argument("nonterminal " + std::to_string(n) + " has no rules");
  };
  for (const std::int32_t start : starts)
    if (how == Conflicts::kResolve) need(start);
  for (const LrRule& r : rules)
    for (const std::int32_t s : r.rhs)
      if (s < 0) need(~s);
  std::vector<std::int32_t> order(rules.size());
  for (std::size_t r = 0; r < order.size(); ++r) order[r] = static_cast<std::int32_t>(r);
  const auto rule = [&](std::int32_t r) -> const LrRule& { return rules[static_cast<std::size_t>(r)]; };
  std::sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return rule(a).lhs != rule(b).lhs ? rule(a).lhs < rule(b).lhs : rule(a).rhs < rule(b).rhs;
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    const LrRule &a = rule(order[i - 1]), &b = rule(order[i]);
    if (a.lhs == b.lhs && a.rhs == b.rhs)
      throw std::invalid_argument("rules " + std::to_string(order[i - 1]) + " and " + std::to_string(order[i]) + " are the same");
  }
  return Analysis(rules, terminals, nonterminals, starts, max_states).run(how);
}

}  // namespace structgen
