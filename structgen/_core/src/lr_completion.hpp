// The cheapest texts that complete an LR parser's stack, exact where resolved conflicts have taken actions away.
//
// A parser with some reductions taken away runs as one that follows every action, except that a lost reduction must not happen
// before certain terminals. So the search needs no lookahead: a configuration is a stack and the set of terminals that may come
// next, which shrinks with reductions and has all of them again after a shift. What can be done above one state of the stack,
// until that state is popped, does not depend on what is below; these facts are found best first (Knuth 1977, "A generalization
// of Dijkstra's algorithm"), and a stack's completion is put together from the facts of its states.
//
// Sets are made of classes of terminals that the lost reductions don't tell apart. A fact that holds before a set of terminals is
// left out where cheaper ones hold before each of them, so that there are at most as many of a kind as classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <queue>
#include <unordered_map>
#include <vector>

#include "lr_tables.hpp"

namespace structgen {

// Not thread-safe: questions leave answers behind.
class LrCompletion {
 public:
  static constexpr std::int64_t kImpossible = std::int64_t{1} << 60;
  static constexpr std::int32_t kFree = 0;  // the set of all terminals: anything may come next

  // The cost of all terminals, and then their number: so a cheapest completion ends even where terminals cost nothing.
  struct Cost {
    std::int64_t cost = 0, length = 0;
    bool operator<(const Cost& o) const { return cost != o.cost ? cost < o.cost : length < o.length; }
    Cost operator+(const Cost& o) const;
  };
  // A way to a reduction that pops `pops` states of the stack, to nonterminal `lhs`; `pops` is 0 where the text ends instead.
  struct Exit {
    std::int32_t lhs, pops;
    std::int32_t next;  // the set of terminals that may come next
    Cost cost;
    std::int32_t first;  // the first terminal that was shifted, -1 for none
  };
  struct Best {
    Cost cost{kImpossible, 0};
    std::int32_t first = -1;  // the number of terminals for the end of the text
    bool possible() const { return cost.cost < kImpossible; }
  };

  // `costs` of the terminals are not negative; kImpossible for those that match no text. LimitError, from any of these functions,
  // beyond `max_facts` facts: they are found when they are asked for. The tables must outlive this.
  LrCompletion(const LrTables& tables, const std::vector<LrRule>& rules, std::int32_t terminals, std::int32_t nonterminals,
               std::vector<std::int64_t> costs, std::size_t max_facts);

  // The set of one terminal, for stacks with that lookahead. The end of the text is terminal `terminals`.
  std::int32_t only(std::int32_t terminal);
  // Of a stack of states, the bottom first.
  Best best(const std::vector<std::int32_t>& stack, std::int32_t next = kFree);
  // What a stack [..., below, top] can come to until `below` is popped: the exits count their pops from `below` down.
  // The reference is good until the next call.
  const std::vector<Exit>& exits(std::int32_t below, std::int32_t top, std::int32_t next = kFree);
  // Of a stack of one state.
  Best alone(std::int32_t state, std::int32_t next = kFree);
  std::int32_t go(std::int32_t state, std::int32_t nonterminal) const;
  // Whether every stack that can be reached has a completion. May say no where that is so, but not without conflicts and with a
  // text for every nonterminal.
  bool always() const { return always_; }

  std::size_t facts() const { return facts_; }

 private:
  struct Call {
    std::int32_t node;
    Cost cost;
    std::int32_t first;
  };
  // A state on top of any stack, and what may come next.
  struct Node {
    std::int32_t state, next;
    std::vector<Exit> exits;
    std::vector<Call> callers;  // nodes that it can be above
  };
  // An exit of `node`, or (where `top` >= 0) a state that can be above it, with what may come next then.
  struct Entry {
    Exit exit;
    std::int32_t node, top, size;
    bool operator<(const Entry& o) const {
      return o.exit.cost < exit.cost || (!(exit.cost < o.exit.cost) && (size != o.size ? size < o.size : node > o.node));
    }
  };
  struct Set {
    std::vector<std::uint64_t> classes;
    std::int32_t terminal = -1;  // the only one, -1 for all of the classes
    std::int32_t size = 0;       // in classes
  };

  void make_classes();
  std::int32_t intern(Set set);
  std::int32_t class_set(std::size_t c);
  bool contains(std::int32_t set, std::int32_t terminal) const;
  template <class Visit>
  void meet(std::int32_t a, std::int32_t b, Visit&& visit);
  bool covered(const std::vector<std::int32_t>& by, std::int32_t set) const;
  bool add(std::vector<Exit>& to, const Exit& exit) const;
  std::int32_t find(std::int32_t state, std::int32_t next);
  const Node& node(std::int32_t state, std::int32_t next);
  void seed(std::int32_t node);
  void push(std::int32_t node, std::int32_t top, const Exit& exit);
  void relay(std::int32_t node, const Call& call, const Exit& exit);
  void take(const Entry& entry);
  void count();
  class Below;
  bool always_without_lost(const std::vector<LrRule>& rules, std::int32_t nonterminals, const std::vector<char>& matching) const;
  bool find_always();

  struct Reduction {
    std::int32_t lhs, pops, next;
  };
  const LrTables& tables_;
  std::int32_t terminals_;
  std::vector<std::int64_t> costs_;
  std::size_t max_facts_, facts_ = 0;
  bool always_ = false;
  std::vector<std::vector<Reduction>> reductions_;
  std::vector<char> by_shift_;  // states that shifts lead to
  std::vector<std::int32_t> class_of_;
  std::vector<Set> sets_;
  Index set_index_;
  FlatMap meets_, node_index_;
  std::vector<Node> nodes_;
  std::unordered_map<std::uint64_t, std::vector<std::int32_t>> called_;  // of a node and a state above it: what may come next there
  std::priority_queue<Entry> queue_;
  struct Above {
    std::int32_t below, top, next;
    bool operator==(const Above& o) const { return below == o.below && top == o.top && next == o.next; }
  };
  struct HashAbove {
    std::size_t operator()(const Above& a) const {
      const std::uint64_t pair = static_cast<std::uint64_t>(a.below) << 32 | static_cast<std::uint32_t>(a.top);
      return structgen::combine(pair, static_cast<std::uint64_t>(a.next));
    }
  };
  std::unordered_map<Above, std::vector<Exit>, HashAbove> above_;
};

}  // namespace structgen
