#include "goals.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

namespace structgen {

namespace {

// Parts of formulas rewritten, and pairs of plan and goal visited, for one grammar.
constexpr std::size_t kStepLimit = 5000000;  // of one compilation, and of each call of its automaton
constexpr std::size_t kMostBytes = std::size_t{1} << 29;
constexpr std::size_t kMostCompared = 16;  // choices
constexpr std::int32_t kFewestSplit = 4;   // goals that must all be met
constexpr std::int64_t kMostCopies = 3;       // of what can happen again, as stages
constexpr std::int64_t kMostArranged = 200;  // stages

}  // namespace

std::int32_t SetStore::intern(std::vector<std::int32_t> members) {
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  std::uint64_t h = members.size();
  for (std::int32_t m : members) h = structgen::combine(h, static_cast<std::uint32_t>(m));
  const std::int32_t found = index_.find(h, [&](std::int32_t i) { return sets_[static_cast<std::size_t>(i)] == members; });
  if (found >= 0) return found;
  const std::int32_t id = static_cast<std::int32_t>(sets_.size());
  bytes_ += sizeof(members) + members.size() * sizeof(std::int32_t);
  sets_.push_back(std::move(members));
  index_.insert(h, id);
  return id;
}

GoalStore::GoalStore() {
  nodes_.push_back({Op::kFalse});
  nodes_.push_back({Op::kTrue});
}

void GoalStore::work(std::size_t steps) {
  steps_ += steps;
  if (steps_ > kStepLimit)
    throw LimitError("deciding whether an object or array can still meet the conditions on its counts takes more than " + std::to_string(kStepLimit) + " steps");
  if (steps_ % 1024 < steps && bytes() > kMostBytes)
    throw LimitError("remembering what can still meet the conditions on counts takes more than " + std::to_string(kMostBytes >> 20) + " MiB");
}

Goal GoalStore::intern(Node n, const std::vector<Goal>& kids) {
  std::uint64_t h = static_cast<std::uint64_t>(n.op);
  if (n.op == Op::kCount)
    for (std::int32_t x : {n.a, n.low, n.high}) h = structgen::combine(h, static_cast<std::uint32_t>(x));
  for (Goal k : kids) h = structgen::combine(h, static_cast<std::uint32_t>(k));
  const std::int32_t found = node_index_.find(h, [&](std::int32_t i) {
    const Node& o = nodes_[static_cast<std::size_t>(i)];
    if (o.op != n.op) return false;
    if (n.op == Op::kCount) return o.a == n.a && o.low == n.low && o.high == n.high;
    return static_cast<std::size_t>(o.b) == kids.size() && std::equal(kids.begin(), kids.end(), children_.begin() + o.a);
  });
  if (found >= 0) return found;
  if (n.op != Op::kCount) {
    n.a = static_cast<std::int32_t>(children_.size());
    n.b = static_cast<std::int32_t>(kids.size());
    children_.insert(children_.end(), kids.begin(), kids.end());
    n.first = INT32_MAX;
    for (Goal k : kids) {
      const Node& kid = nodes_[static_cast<std::size_t>(k)];
      n.first = std::min(n.first, kid.first);
      n.last = std::max(n.last, kid.last);
      n.bits |= kid.bits;
    }
  } else {
    n.first = n.last = n.a;
    n.bits = std::uint64_t{1} << (n.a % 64);
  }
  const Goal id = static_cast<Goal>(nodes_.size());
  nodes_.push_back(n);
  node_index_.insert(h, id);
  return id;
}

Goal GoalStore::count(std::int32_t counter, std::int32_t low, std::int32_t high) {
  if (high != kInfinity && low > high) return kFalse;
  if (low == 0 && high == kInfinity) return kTrue;
  return intern({Op::kCount, counter, 0, low, high}, {});
}

// Conditions on one counter become one where that is one range again.
void GoalStore::merge_counts(Op op, std::vector<Node>& counts) const {
  std::sort(counts.begin(), counts.end(), [](const Node& x, const Node& y) { return x.a != y.a ? x.a < y.a : x.low < y.low; });
  std::vector<Node> out;
  for (const Node& n : counts) {
    Node* last = out.empty() || out.back().a != n.a ? nullptr : &out.back();
    if (op == Op::kAll && last) {
      last->low = n.low;
      if (last->high == kInfinity || (n.high != kInfinity && n.high < last->high)) last->high = n.high;
    } else if (last && (last->high == kInfinity || n.low <= last->high + 1)) {
      if (last->high != kInfinity && (n.high == kInfinity || n.high > last->high)) last->high = n.high;
    } else {
      out.push_back(n);
    }
  }
  counts = std::move(out);
}

Goal GoalStore::combine(Op op, const std::vector<Goal>& parts) {
  const Goal absorbing = op == Op::kAll ? kFalse : kTrue, neutral = op == Op::kAll ? kTrue : kFalse;
  std::vector<Goal> kids;
  std::vector<Node> counts;
  for (Goal g : parts) {
    if (g == absorbing) return absorbing;
    if (g == neutral) continue;
    const Node& n = nodes_[static_cast<std::size_t>(g)];
    if (n.op == Op::kCount)
      counts.push_back(n);
    else
      kids.push_back(g);
  }
  merge_counts(op, counts);
  for (const Node& n : counts) {
    const Goal g = count(n.a, n.low, n.high);
    if (g == absorbing) return absorbing;
    if (g != neutral) kids.push_back(g);
  }
  if (kids.empty()) return neutral;
  std::sort(kids.begin(), kids.end());
  kids.erase(std::unique(kids.begin(), kids.end()), kids.end());
  return kids.size() == 1 ? kids[0] : intern({op}, kids);
}

// Rebuilds a formula from what becomes of the leaves whose counters are touched, children first. Parts without any stay.
template <class Leaf>
Goal GoalStore::rewrite(Goal root, FlatMap& memo, Hits touched, Leaf&& leaf) {
  const std::vector<std::int32_t> counters = hit_sets_[touched];
  std::uint64_t bits = 0;
  for (std::int32_t c : counters) bits |= std::uint64_t{1} << (c % 64);
  const auto known = [&](Goal g) {
    const Node& n = nodes_[static_cast<std::size_t>(g)];
    if (!(n.bits & bits) || n.last < counters.front() || n.first > counters.back()) return g;
    return memo.get(pair_key(touched, g), -1);
  };
  const Goal before = counters.empty() ? root : known(root);
  if (before >= 0) return before;
  std::vector<Goal> todo{root};
  std::vector<Goal> kids;
  while (!todo.empty()) {
    const Goal g = todo.back();
    if (known(g) >= 0) {
      todo.pop_back();
      continue;
    }
    const Node n = nodes_[static_cast<std::size_t>(g)];
    if (n.op == Op::kCount) {
      memo.put(pair_key(touched, g), std::binary_search(counters.begin(), counters.end(), n.a) ? leaf(n) : g);
      todo.pop_back();
      continue;
    }
    kids.clear();
    bool ready = true;
    for (std::int32_t i = 0; i < n.b; ++i) {
      const Goal child = children_[static_cast<std::size_t>(n.a + i)];
      kids.push_back(known(child));
      if (kids.back() >= 0) continue;
      todo.push_back(child);
      ready = false;
    }
    if (!ready) continue;
    work(1 + kids.size() / 4);
    memo.put(pair_key(touched, g), combine(n.op, kids));
    todo.pop_back();
  }
  return known(root);
}

Goal GoalStore::derive(Goal g, Hits hits) {
  return rewrite(g, derived_, hits, [&](const Node& n) {
    if (n.high == 0) return kFalse;
    return count(n.a, std::max(0, n.low - 1), n.high == kInfinity ? kInfinity : n.high - 1);
  });
}

Goal GoalStore::resolve(Goal g, Hits dead) {
  return rewrite(g, resolved_, dead, [](const Node& n) { return n.low == 0 ? kTrue : kFalse; });
}

Goal GoalStore::settle(Goal g, Plan p) {
  const std::vector<std::int32_t>& alive = hit_sets_[plans_[static_cast<std::size_t>(p)].alive];
  std::vector<std::int32_t> dead;
  for (const auto& [counter, bound] : bounds(g))
    if (!std::binary_search(alive.begin(), alive.end(), counter)) dead.push_back(counter);
  return resolve(g, hits(std::move(dead)));
}

Goal GoalStore::pass(Goal g, Plan from, Plan to) {
  if (from == to || g <= kTrue) return g;
  Hits gone = gone_.get(pair_key(from, to), -1);
  if (gone < 0) {
    const std::vector<std::int32_t>& before = hit_sets_[plans_[static_cast<std::size_t>(from)].alive];
    const std::vector<std::int32_t>& now = hit_sets_[plans_[static_cast<std::size_t>(to)].alive];
    std::vector<std::int32_t> dead;
    std::set_difference(before.begin(), before.end(), now.begin(), now.end(), std::back_inserter(dead));
    gone = hits(std::move(dead));
    gone_.put(pair_key(from, to), gone);
  }
  return resolve(g, gone);
}

bool GoalStore::holds(Goal g) {
  if (g <= kTrue) return g == kTrue;
  const std::int32_t memo = holds_.get(static_cast<std::uint64_t>(g), -1);
  if (memo >= 0) return memo != 0;
  std::vector<Goal> todo{g};
  const auto known = [&](Goal k) { return k <= kTrue ? k : holds_.get(static_cast<std::uint64_t>(k), -1); };
  while (!todo.empty()) {
    const Goal at = todo.back();
    const Node& n = nodes_[static_cast<std::size_t>(at)];
    bool ready = true, all = true, any = false;
    for (std::int32_t i = 0; n.op != Op::kCount && i < n.b; ++i) {
      const Goal child = children_[static_cast<std::size_t>(n.a + i)];
      const std::int32_t value = known(child);
      if (value < 0) todo.push_back(child);
      ready = ready && value >= 0;
      all = all && value == 1;
      any = any || value == 1;
    }
    if (!ready) continue;
    work(1 + static_cast<std::size_t>(n.b) / 4);
    holds_.put(static_cast<std::uint64_t>(at), n.op == Op::kCount ? n.low == 0 : n.op == Op::kAll ? all : any);
    todo.pop_back();
  }
  return known(g) == 1;
}

Plan GoalStore::plan(PlanNode p) {
  std::uint64_t h = structgen::combine(static_cast<std::uint32_t>(p.options), static_cast<std::uint32_t>(p.next));
  h = structgen::combine(h, p.stops);
  const std::int32_t found = plan_index_.find(h, [&](std::int32_t i) {
    const PlanNode& o = plans_[static_cast<std::size_t>(i)];
    return o.options == p.options && o.next == p.next && o.stops == p.stops;
  });
  if (found >= 0) return found;
  std::vector<std::int32_t> alive;
  if (p.next >= 0) {
    const PlanNode& next = plans_[static_cast<std::size_t>(p.next)];
    alive = hit_sets_[next.alive];
    p.dead = !p.stops && (p.options == kImpossible || next.dead);
  }
  for (Hits hits : choices(p.options)) alive.insert(alive.end(), hit_sets_[hits].begin(), hit_sets_[hits].end());
  work(1 + alive.size() / 16);
  p.alive = hit_sets_.intern(std::move(alive));
  const Plan id = static_cast<Plan>(plans_.size());
  plans_.push_back(p);
  plan_index_.insert(h, id);
  return id;
}

// The counters of which a goal wants more somewhere, or no more than so many.
const std::vector<std::int32_t>& GoalStore::wanting(Goal root, bool more) {
  const auto key = [&](Goal g) { return static_cast<std::uint64_t>(g) << 1 | more; };
  std::vector<Goal> todo{root};
  std::vector<std::int32_t> all;
  while (wanting_.get(key(root), -1) < 0) {
    const Goal g = todo.back();
    const Node n = nodes_[static_cast<std::size_t>(g)];
    all.clear();
    bool ready = true;
    if (n.op == Op::kCount && (more ? n.low > 0 : n.high != kInfinity)) all.push_back(n.a);
    for (std::int32_t i = 0; (n.op == Op::kAll || n.op == Op::kAny) && i < n.b; ++i) {
      const Goal child = children_[static_cast<std::size_t>(n.a + i)];
      const std::int32_t known = wanting_.get(key(child), -1);
      if (known < 0) {
        todo.push_back(child);
        ready = false;
      } else {
        all.insert(all.end(), hit_sets_[known].begin(), hit_sets_[known].end());
      }
    }
    if (!ready) continue;
    work(1 + all.size() / 16);
    wanting_.put(key(g), hits(all));
    todo.pop_back();
  }
  return hit_sets_[wanting_.get(key(root), -1)];
}

// The choices that matter: another is as good as one that hits all that is wanted of it, and nothing more that may be too much.
std::vector<Hits> GoalStore::undominated(const std::vector<Hits>& choices, Goal g) {
  if (choices.size() < 2 || choices.size() > kMostCompared) return choices;
  const std::vector<std::int32_t> more = wanting(g, true), less = wanting(g, false);
  std::vector<std::pair<std::vector<std::int32_t>, std::vector<std::int32_t>>> matter;
  for (const Hits h : choices) {
    matter.emplace_back();
    const std::vector<std::int32_t>& counters = hit_sets_[h];
    std::set_intersection(counters.begin(), counters.end(), more.begin(), more.end(), std::back_inserter(matter.back().first));
    std::set_intersection(counters.begin(), counters.end(), less.begin(), less.end(), std::back_inserter(matter.back().second));
  }
  const auto within = [](const std::vector<std::int32_t>& a, const std::vector<std::int32_t>& b) { return std::includes(b.begin(), b.end(), a.begin(), a.end()); };
  std::vector<Hits> out;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    bool needed = true;
    for (std::size_t j = 0; j < choices.size() && needed; ++j) {
      const bool as_good = i != j && within(matter[i].first, matter[j].first) && within(matter[j].second, matter[i].second);
      needed = !as_good || (j > i && matter[i] == matter[j]);  // of two that are alike, the first
    }
    if (needed) out.push_back(choices[i]);
  }
  return out;
}

// Of choices that can be made again and again, the counters that they bring to any height without harm: of which, and of all else that is
// hit with them, no goal wants less.
Hits GoalStore::harmless(const std::vector<Hits>& choices, Goal g) {
  const std::vector<std::int32_t> more = wanting(g, true), less = wanting(g, false);
  std::vector<std::int32_t> out;
  for (const Hits h : choices) {
    const std::vector<std::int32_t>& counters = hit_sets_[h];
    if (std::any_of(counters.begin(), counters.end(), [&](std::int32_t c) { return std::binary_search(less.begin(), less.end(), c); })) continue;
    std::set_intersection(counters.begin(), counters.end(), more.begin(), more.end(), std::back_inserter(out));
  }
  return hits(std::move(out));
}

// Of a part with several goals: what can happen again becomes as many stages as matter, and these come in a close order. Else every set of
// what has happened would be a goal of its own.
void GoalStore::arrange(const std::vector<Goal>& goals, std::vector<Options>& stages, std::vector<Hits>& repeated) {
  if (goals.size() < 2) return;
  if (repeated.size() > 1) {
    const std::vector<std::int64_t> uses = few_uses(repeated, goals);
    if (uses.empty() || std::accumulate(uses.begin(), uses.end(), static_cast<std::int64_t>(stages.size())) > kMostArranged) return;
    for (std::size_t i = 0; i < repeated.size(); ++i) stages.insert(stages.end(), static_cast<std::size_t>(uses[i]), options({repeated[i], kNoHits}));
    repeated.clear();
  }
  if (stages.size() < 3 || stages.size() > static_cast<std::size_t>(kMostArranged)) return;
  std::vector<std::vector<std::int32_t>> hit;
  for (const Options o : stages) {
    hit.emplace_back();
    for (const Hits h : choices(o)) hit.back().insert(hit.back().end(), hit_sets_[h].begin(), hit_sets_[h].end());
  }
  std::vector<Options> ordered;
  for (const std::size_t i : close_order(hit, goals)) ordered.push_back(stages[i]);
  work(1 + stages.size() * stages.size() / 16);
  stages = std::move(ordered);
}

std::vector<std::int64_t> GoalStore::few_uses(const std::vector<Hits>& hits, const std::vector<Goal>& goals) const {
  std::unordered_map<std::int32_t, std::int64_t> most;
  for (const Goal g : goals)
    for (const auto& [counter, bound] : bounds(g)) most[counter] = std::max(most[counter], bound);
  std::vector<std::int64_t> out;
  for (const Hits h : hits) {
    out.push_back(0);
    for (const std::int32_t c : hit_sets_[h])
      if (const auto at = most.find(c); at != most.end()) out.back() = std::max(out.back(), at->second);
    if (out.back() > kMostCopies) return {};
  }
  return out;
}

std::vector<std::size_t> GoalStore::close_order(const std::vector<std::vector<std::int32_t>>& counters_of, const std::vector<Goal>& goals) const {
  const std::size_t size = counters_of.size();
  std::unordered_map<std::int32_t, std::vector<std::size_t>> asking;  // by counter
  for (std::size_t g = 0; g < goals.size(); ++g)
    for (const std::int32_t c : counters(goals[g])) asking[c].push_back(g);
  std::vector<std::vector<std::size_t>> touched(size);
  std::vector<std::size_t> left(goals.size(), 0), out;
  std::vector<char> open(goals.size(), 0), placed(size, 0);
  for (std::size_t i = 0; i < size; ++i) {
    for (const std::int32_t c : counters_of[i])
      if (const auto at = asking.find(c); at != asking.end()) touched[i].insert(touched[i].end(), at->second.begin(), at->second.end());
    std::sort(touched[i].begin(), touched[i].end());
    touched[i].erase(std::unique(touched[i].begin(), touched[i].end()), touched[i].end());
    for (const std::size_t g : touched[i]) ++left[g];
  }
  while (out.size() < size) {
    std::size_t best = size;
    std::int64_t least = 0;
    for (std::size_t i = 0; i < size; ++i) {
      if (placed[i]) continue;
      std::int64_t more = 0;
      for (const std::size_t g : touched[i]) more += !open[g] - (left[g] == 1);
      if (best < size && more >= least) continue;
      best = i;
      least = more;
    }
    for (const std::size_t g : touched[best]) {
      open[g] = 1;
      --left[g];
    }
    placed[best] = 1;
    out.push_back(best);
  }
  return out;
}

// Goals that no options tie together, each with its part of the plan in an order that suits it; none where the goals are few, or the plan may
// end early. `others`:
// of what happens once, what has no part in it.
std::vector<std::pair<Plan, Goal>> GoalStore::split(Plan p, Goal wanted, std::vector<Options>* others) {
  if (nodes_[static_cast<std::size_t>(wanted)].op != Op::kAll || nodes_[static_cast<std::size_t>(wanted)].b < kFewestSplit) return {};
  std::vector<Options> stages;
  for (; plans_[static_cast<std::size_t>(p)].next >= 0; p = plans_[static_cast<std::size_t>(p)].next) {
    if (plans_[static_cast<std::size_t>(p)].stops) return {};
    stages.push_back(plans_[static_cast<std::size_t>(p)].options);
  }
  const auto asked = [&](Goal g) {
    std::vector<std::int32_t> more = wanting(g, true), out;
    const std::vector<std::int32_t>& less = wanting(g, false);
    std::set_union(more.begin(), more.end(), less.begin(), less.end(), std::back_inserter(out));
    return out;
  };
  const std::vector<std::int32_t> counters = asked(wanted);
  std::vector<std::size_t> above(counters.size());
  std::iota(above.begin(), above.end(), std::size_t{0});
  const auto root = [&](std::size_t i) {
    while (above[i] != i) i = above[i] = above[above[i]];
    return i;
  };
  constexpr std::size_t kNone = ~std::size_t{0};
  const auto tie = [&](const std::vector<std::int32_t>& some, std::size_t to) {
    for (const std::int32_t c : some) {
      const auto at = std::lower_bound(counters.begin(), counters.end(), c);
      if (at == counters.end() || *at != c) continue;
      const std::size_t i = root(static_cast<std::size_t>(at - counters.begin()));
      if (to != kNone) above[i] = root(to);
      to = i;
    }
    return to;
  };
  const std::vector<Goal> all = conjuncts(wanted);
  const std::vector<Hits> loop_choices = choices(plans_[static_cast<std::size_t>(p)].options);
  work(1 + (all.size() + stages.size() + loop_choices.size()) / 4);
  std::vector<std::size_t> of_goal, of_stage, of_choice;
  for (const Goal g : all) of_goal.push_back(tie(asked(g), kNone));
  for (const Options o : stages) {
    of_stage.push_back(kNone);
    for (const Hits h : choices(o)) of_stage.back() = tie(hit_sets_[h], of_stage.back());
  }
  for (const Hits h : loop_choices) of_choice.push_back(tie(hit_sets_[h], kNone));
  struct Part {
    std::vector<Goal> goals;
    std::vector<Options> stages;
    std::vector<Hits> repeated;
  };
  std::map<std::size_t, Part> parts;
  for (std::size_t i = 0; i < all.size(); ++i) parts[root(of_goal[i])].goals.push_back(all[i]);
  for (std::size_t i = 0; i < stages.size(); ++i)
    if (of_stage[i] != kNone) parts[root(of_stage[i])].stages.push_back(stages[i]);
    else if (others) others->push_back(stages[i]);
  for (std::size_t i = 0; i < loop_choices.size(); ++i)
    if (of_choice[i] != kNone) parts[root(of_choice[i])].repeated.push_back(loop_choices[i]);
  std::vector<std::pair<Plan, Goal>> out;
  for (auto& entry : parts) {
    arrange(entry.second.goals, entry.second.stages, entry.second.repeated);
    Plan plan = loop(options(std::move(entry.second.repeated)));
    for (std::size_t i = entry.second.stages.size(); i-- > 0;) plan = then(entry.second.stages[i], plan, false);
    out.emplace_back(plan, this->all(entry.second.goals));
  }
  return out;
}

bool GoalStore::feasible(Plan p, Goal g) {
  if (plans_[static_cast<std::size_t>(p)].dead || g <= kTrue) return reachable(p, g);
  const std::int32_t memo = feasible_.get(pair_key(p, g), -1);
  if (memo >= 0) return memo != 0;
  const std::vector<std::pair<Plan, Goal>> parts = split(p, g);
  if (parts.empty()) return reachable(p, g);
  const bool all = std::all_of(parts.begin(), parts.end(), [&](const auto& part) { return reachable(part.first, part.second); });
  feasible_.put(pair_key(p, g), all);
  return all;
}

// Depth first. Hits lower the bounds of a goal or leave it alone, so the only cycles are options that change nothing.
bool GoalStore::reachable(Plan start, Goal wanted) {
  struct Visit {
    Plan plan;
    Goal goal;
    std::vector<Hits> choices;
    std::size_t next = 0;
  };
  std::vector<Visit> path;
  // 1 yes, 0 no, -1 to be found out: then it is on the path.
  const auto enter = [&](Plan p, Goal g) {
    const PlanNode& n = plans_[static_cast<std::size_t>(p)];
    if (n.dead) return 0;
    if (n.next < 0 && g > kTrue) g = rewrite(g, met_, harmless(choices(n.options), g), [](const Node&) { return kTrue; });
    if (g <= kTrue) return g == kTrue ? 1 : 0;
    const std::int32_t memo = feasible_.get(pair_key(p, g), -1);
    if (memo >= 0) return memo;
    if (n.stops && holds(g)) return 1;
    work(1);
    path.push_back({p, g, undominated(choices(n.options), g)});
    return -1;
  };
  int found = enter(start, wanted);
  while (found != 1 && !path.empty()) {
    Visit& top = path.back();
    const PlanNode& n = plans_[static_cast<std::size_t>(top.plan)];
    if (top.next == top.choices.size()) {
      feasible_.put(pair_key(top.plan, top.goal), 0);
      path.pop_back();
      continue;
    }
    const Plan next = n.next < 0 ? top.plan : n.next;
    const Goal rest = after(top.goal, top.choices[top.next++], top.plan, next);
    if (next != top.plan || rest != top.goal) found = enter(next, rest);
  }
  for (const Visit& visit : path) feasible_.put(pair_key(visit.plan, visit.goal), 1);
  return found == 1;
}

void GoalStore::witness(Plan p, Goal g, bool last, std::vector<std::pair<Options, Hits>>& out) {
  std::vector<Options> others;
  const std::vector<std::pair<Plan, Goal>> parts = split(p, g, &others);
  if (parts.empty()) return walk(p, g, last, out);
  for (const Options o : others)
    if (!choices(o).empty()) out.emplace_back(o, last ? choices(o).back() : choices(o).front());
  for (const auto& [plan, goal] : parts) walk(plan, goal, last, out);
}

void GoalStore::walk(Plan p, Goal g, bool last, std::vector<std::pair<Options, Hits>>& out) {
  while (plans_[static_cast<std::size_t>(p)].next >= 0) {
    const PlanNode n = plans_[static_cast<std::size_t>(p)];
    const std::vector<Hits> order = choices(n.options);
    std::size_t i = 0;
    Goal rest = kFalse;
    for (; i < order.size(); ++i) {
      rest = after(g, order[last ? order.size() - 1 - i : i], p, n.next);
      if (feasible(n.next, rest)) break;
    }
    if (i == order.size()) return;
    out.emplace_back(n.options, order[last ? order.size() - 1 - i : i]);
    p = n.next;
    g = rest;
  }
}

// The counters that occur, and from how many hits on each changes nothing more.
std::vector<std::pair<std::int32_t, std::int64_t>> GoalStore::bounds(Goal root) const {
  std::map<std::int32_t, std::int64_t> bounds;
  std::unordered_set<Goal> seen{root};
  std::vector<Goal> todo{root};
  while (!todo.empty()) {
    const Node& n = nodes_[static_cast<std::size_t>(todo.back())];
    todo.pop_back();
    if (n.op == Op::kCount) {
      std::int64_t& bound = bounds[n.a];
      bound = std::max<std::int64_t>({bound, n.low, n.high == kInfinity ? 0 : n.high + 1});
    } else {
      for (std::int32_t i = 0; i < n.b; ++i)
        if (seen.insert(children_[static_cast<std::size_t>(n.a + i)]).second) todo.push_back(children_[static_cast<std::size_t>(n.a + i)]);
    }
  }
  return {bounds.begin(), bounds.end()};
}

std::vector<std::int32_t> GoalStore::counters(Goal g) const {
  std::vector<std::int32_t> out;
  for (const auto& entry : bounds(g)) out.push_back(entry.first);
  return out;
}

std::vector<Goal> GoalStore::conjuncts(Goal root) const {
  std::vector<Goal> out, todo{root};
  while (!todo.empty()) {
    const Goal g = todo.back();
    todo.pop_back();
    const Node& n = nodes_[static_cast<std::size_t>(g)];
    if (n.op == Op::kAll) todo.insert(todo.end(), children_.begin() + n.a, children_.begin() + n.a + n.b);
    else if (n.op != Op::kTrue) out.push_back(g);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::int32_t GoalStore::most_hits(Goal g) const {
  std::int64_t total = 0;
  for (const auto& entry : bounds(g)) total += entry.second;
  return static_cast<std::int32_t>(std::min<std::int64_t>(total, 1 << 30));
}

std::size_t GoalStore::bytes() const {
  return nodes_.size() * sizeof(Node) + children_.size() * sizeof(Goal) + plans_.size() * sizeof(PlanNode) + node_index_.bytes() + plan_index_.bytes() +
         hit_sets_.bytes() + option_sets_.bytes() + derived_.bytes() + resolved_.bytes() + holds_.bytes() +
         gone_.bytes() + feasible_.bytes() + wanting_.bytes() + met_.bytes();
}

}  // namespace structgen
