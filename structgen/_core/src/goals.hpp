// Goals: Boolean formulas over counters, and whether what can still come may meet them.
//
// A goal is the residual of a formula: a literal says how many *further* hits a counter takes. Hits derive it, as
// characters derive a regex. Everything is hash-consed and memoised over the shared nodes, so ids mean the same to every
// engine of a grammar.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common.hpp"

namespace structgen {

using Goal = std::int32_t;
using Hits = std::int32_t;     // a set of counters; 0 is the empty one
using Options = std::int32_t;  // a set of hits, one of which happens
using Plan = std::int32_t;     // options that happen one after the other, and some that may repeat

// Sets of integers, kept sorted and stored once.
class SetStore {
 public:
  SetStore() { intern({}); }
  std::int32_t intern(std::vector<std::int32_t> members);
  const std::vector<std::int32_t>& operator[](std::int32_t set) const { return sets_[static_cast<std::size_t>(set)]; }
  std::size_t bytes() const { return bytes_ + index_.bytes(); }

 private:
  std::vector<std::vector<std::int32_t>> sets_;
  Index index_;
  std::size_t bytes_ = 0;
};

class GoalStore {
 public:
  static constexpr Goal kFalse = 0;
  static constexpr Goal kTrue = 1;
  static constexpr Hits kNoHits = 0;
  static constexpr Options kImpossible = 0;  // no options at all

  GoalStore();

  // `high` may be kInfinity.
  Goal count(std::int32_t counter, std::int32_t low, std::int32_t high);
  Goal all(const std::vector<Goal>& parts) { return combine(Op::kAll, parts); }
  Goal any(const std::vector<Goal>& parts) { return combine(Op::kAny, parts); }
  bool is_goal(Goal g) const { return g >= 0 && static_cast<std::size_t>(g) < nodes_.size(); }

  Hits hits(std::vector<std::int32_t> counters) { return hit_sets_.intern(std::move(counters)); }
  Options options(std::vector<Hits> choices) { return option_sets_.intern(std::move(choices)); }
  const std::vector<Hits>& choices(Options o) const { return option_sets_[o]; }
  // No options but "no hits": nothing depends on it.
  bool inert(Options o) const { return choices(o).size() == 1 && choices(o)[0] == kNoHits; }

  // The options, as often as one likes.
  Plan loop(Options o) { return plan({o, -1, true}); }
  // The options once, then `next`. `stops`: it may also end before.
  Plan then(Options o, Plan next, bool stops) { return plan({o, next, stops}); }

  Goal derive(Goal g, Hits hits);
  // Counters that the plan can't hit become constants: what they counted matters no more.
  Goal settle(Goal g, Plan p);
  // The same for a goal that was settled for one plan and is to be for another.
  Goal pass(Goal g, Plan from, Plan to);
  // After these hits, with this plan ahead.
  Goal after(Goal g, Hits hits, Plan from, Plan to) { return pass(derive(g, hits), from, to); }
  // Is the goal met when nothing follows?
  bool holds(Goal g);
  // Is there a way through the plan that meets the goal, which has been settled for it?
  bool feasible(Plan p, Goal g);
  // The same, stage by stage as they come, which is the better way for a goal of one part in a good order.
  bool reachable(Plan p, Goal g);
  // Such a way: which hits it takes of which options. Of those that will do, the first, or the last.
  void witness(Plan p, Goal g, bool last, std::vector<std::pair<Options, Hits>>& out);
  // Every call of an automaton has a budget of its own, else a long life would end in a limit.
  void refill() { steps_ = 0; }
  // A bound of the hits after which further ones change nothing.
  std::int32_t most_hits(Goal g) const;
  const std::vector<std::int32_t>& counters_of(Hits hits) const { return hit_sets_[hits]; }
  std::vector<std::int32_t> counters(Goal g) const;
  // From how many hits on a counter changes nothing more, by counter.
  std::vector<std::pair<std::int32_t, std::int64_t>> bounds(Goal g) const;
  // The goals that must all be met, each of them no conjunction.
  std::vector<Goal> conjuncts(Goal g) const;
  // An order of things that hit counters in which goals that several of them have a say in are open for a short time only. It takes the
  // square of their number.
  std::vector<std::size_t> close_order(const std::vector<std::vector<std::int32_t>>& counters, const std::vector<Goal>& goals) const;
  // How often each set of hits can matter to one of the goals; nothing where that is more than a few times.
  std::vector<std::int64_t> few_uses(const std::vector<Hits>& hits, const std::vector<Goal>& goals) const;
  // What the hits that a goal needs cost at least: at most `saturated`, which must not exceed 2^30. One hit of a counter costs at least
  // hit(counter). The memo must be of the same costs.
  template <class Hit>
  std::int64_t least_cost(Goal g, FlatMap& memo, std::int64_t saturated, Hit&& hit) const;

  std::size_t bytes() const;

 private:
  enum class Op : std::uint8_t { kFalse, kTrue, kCount, kAll, kAny };
  struct Node {
    Op op;
    std::int32_t a = 0, b = 0;  // the counter | the children's offset, and their number
    std::int32_t low = 0, high = kInfinity;
    // Bounds of the counters that occur, and a bit for each, modulo 64.
    std::int32_t first = 0, last = -1;
    std::uint64_t bits = 0;
  };
  struct PlanNode {
    Options options;
    Plan next;  // -1: again
    bool stops;
    bool dead = false;      // something that must come can't
    Hits alive = kNoHits;   // what can still be hit
  };

  Goal intern(Node n, const std::vector<Goal>& kids);
  Goal combine(Op op, const std::vector<Goal>& parts);
  void merge_counts(Op op, std::vector<Node>& counts) const;
  Plan plan(PlanNode p);
  const std::vector<std::int32_t>& wanting(Goal g, bool more);
  std::vector<std::pair<Plan, Goal>> split(Plan p, Goal g, std::vector<Options>* others = nullptr);
  void arrange(const std::vector<Goal>& goals, std::vector<Options>& stages, std::vector<Hits>& repeated);
  void walk(Plan p, Goal g, bool last, std::vector<std::pair<Options, Hits>>& out);
  Hits harmless(const std::vector<Hits>& choices, Goal g);
  std::vector<Hits> undominated(const std::vector<Hits>& choices, Goal g);
  Goal resolve(Goal g, Hits dead);
  template <class Leaf>
  Goal rewrite(Goal root, FlatMap& memo, Hits touched, Leaf&& leaf);
  void work(std::size_t steps);

  std::vector<Node> nodes_;
  std::vector<Goal> children_;
  Index node_index_;
  SetStore hit_sets_, option_sets_;
  std::vector<PlanNode> plans_;
  Index plan_index_;
  FlatMap derived_, resolved_, holds_, gone_, feasible_, wanting_, met_;
  std::size_t steps_ = 0;
};

template <class Hit>
std::int64_t GoalStore::least_cost(Goal root, FlatMap& memo, std::int64_t saturated, Hit&& hit) const {
  const auto known = [&](Goal g) { return g <= kTrue ? 0 : memo.get(static_cast<std::uint64_t>(g), -1); };
  std::vector<Goal> todo{root};
  while (known(root) < 0) {
    const Goal g = todo.back();
    const Node& n = nodes_[static_cast<std::size_t>(g)];
    bool ready = known(g) < 0;
    std::int64_t least = n.op == Op::kAny ? saturated : 0;
    if (n.op == Op::kCount && n.low > 0) least = std::min(saturated, std::min(saturated, hit(n.a)) * n.low);
    const std::int32_t kids = ready && n.op != Op::kCount ? n.b : 0;
    for (std::int32_t i = 0; i < kids; ++i) {
      const Goal child = children_[static_cast<std::size_t>(n.a + i)];
      const std::int64_t cost = known(child);
      if (cost < 0) {
        todo.push_back(child);
        ready = false;
      }
      least = n.op == Op::kAny ? std::min(least, cost) : std::max(least, cost);
    }
    if (ready) memo.put(static_cast<std::uint64_t>(g), static_cast<std::int32_t>(least));
    if (known(g) >= 0) todo.pop_back();
  }
  return known(root);
}

}  // namespace structgen
