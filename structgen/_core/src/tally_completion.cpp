// The cheapest way to the end of a tallied object or array.
#include <algorithm>
#include <map>
#include <numeric>
#include <queue>
#include <unordered_map>

#include "completion.hpp"

namespace structgen {

namespace {

constexpr std::size_t kSearchLimit = 1000000;
constexpr std::size_t kMostOrdered = 400;  // stages: it takes their square
constexpr std::size_t kMostRemembered = 2000000;  // numbers in the keys of parts
constexpr std::int64_t kSaturated = 1 << 30;
constexpr std::uint64_t kNowhere = ~std::uint64_t{0};

}  // namespace

// One way to take a member or item.
struct Completion::Way {
  Hits hits;
  std::int64_t cost;
};

struct Completion::Route {
  struct Stage {
    std::vector<Way> ways;
    bool optional;
  };
  std::vector<Stage> stages;
  std::vector<Way> repeated;  // after the stages
  bool stops;                 // or ends before any stage
};

std::vector<Completion::Way> Completion::ways(const Cells& cells, std::int64_t more) const {
  std::vector<Way> out;
  for (const Cell& c : cells) {
    const std::int64_t value = exprs_[static_cast<std::size_t>(c.value)];
    if (value < kImpossible && more < kImpossible) out.push_back({c.hits, value + more});
  }
  return out;
}

namespace {

// The parts of a goal that no hit of the route ties together, as sets of counters.
class Parts {
 public:
  void tie(const std::vector<std::int32_t>& counters) {
    for (const std::int32_t c : counters) part_.emplace(c, c);
    for (std::size_t i = 1; i < counters.size(); ++i) part_[root(counters[i])] = root(counters[0]);
  }
  bool matters(std::int32_t counter) const { return part_.count(counter) != 0; }
  std::int32_t root(std::int32_t counter) const {
    while (part_.at(counter) != counter) counter = part_.at(counter);
    return counter;
  }

 private:
  std::unordered_map<std::int32_t, std::int32_t> part_;
};

}  // namespace

// The counters that a goal asks for, of all that the ways hit.
std::vector<std::int32_t> Completion::counters(const std::vector<Way>& ways) const {
  std::vector<std::int32_t> out;
  for (const Way& w : ways) {
    const std::vector<std::int32_t>& hits = grammar_.goals().counters_of(w.hits);
    out.insert(out.end(), hits.begin(), hits.end());
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// In an object, what counters are met by which members does not depend on their order, so parts of the goal without a common member
// are met each on its own. `must`: something is taken.
std::int64_t Completion::cheapest(const Route& route, Goal wanted, bool must, std::size_t first, Known* known) const {
  if (route.stops && !route.stages.empty()) return search(route, wanted, must, first, known);
  GoalStore& goals = grammar_.goals();
  std::vector<Hits> every;
  for (const Route::Stage& s : route.stages)
    for (const Way& w : s.ways) every.push_back(w.hits);
  for (const Way& w : route.repeated) every.push_back(w.hits);
  wanted = goals.settle(wanted, goals.loop(goals.options(std::move(every))));
  if (wanted == GoalStore::kFalse) return kImpossible;

  const std::vector<Goal> conjuncts = goals.conjuncts(wanted);
  Parts parts;
  for (const Goal g : conjuncts) parts.tie(goals.counters(g));
  const auto relevant = [&](const std::vector<Way>& ways) {
    std::vector<std::int32_t> out = counters(ways);
    out.erase(std::remove_if(out.begin(), out.end(), [&](std::int32_t c) { return !parts.matters(c); }), out.end());
    return out;
  };
  for (const Route::Stage& s : route.stages) parts.tie(relevant(s.ways));
  for (const Way& w : route.repeated) parts.tie(relevant({w}));

  struct Part {
    Route route{{}, {}, false};
    std::vector<Goal> goals;
  };
  std::map<std::int32_t, Part> found;
  std::int64_t total = 0, loose = kImpossible;  // what is taken in any case; the cheapest that could be taken besides
  const auto cheapest_of = [](const std::vector<Way>& ways) {
    std::int64_t least = kImpossible;
    for (const Way& w : ways) least = std::min(least, w.cost);
    return least;
  };
  for (const Goal g : conjuncts) found[parts.root(goals.counters(g)[0])].goals.push_back(g);
  for (const Route::Stage& s : route.stages) {
    const std::vector<std::int32_t> own = relevant(s.ways);
    if (!own.empty()) {
      found[parts.root(own[0])].route.stages.push_back(s);
    } else if (s.optional) {
      loose = std::min(loose, cheapest_of(s.ways));
    } else {
      total = std::min(kImpossible, total + cheapest_of(s.ways));
      must = false;
    }
  }
  for (const Way& w : route.repeated) {
    const std::vector<std::int32_t> own = relevant({w});
    if (own.empty()) loose = std::min(loose, w.cost);
    else found[parts.root(own[0])].route.repeated.push_back(w);
  }
  for (auto& [root, part] : found) {
    const Goal goal = goals.all(part.goals);
    const bool staged = stage_repeated(part.route, part.goals);
    order(part.route, part.goals);
    Known* const own = staged ? nullptr : known;
    const std::int64_t cost = own ? search(part.route, goal, false, first, own) : part_cost(part.route, goal);
    total = std::min(kImpossible, total + cost);
    if (cost > 0) must = false;
    if (total >= kImpossible) return kImpossible;
    if (must) loose = std::min(loose, search(part.route, goal, true, first, own));
  }
  return must ? std::min(kImpossible, total + loose) : total;
}

// Where there are several goals, ways that can be taken again become as many stages as can matter. Else every set of them would be a place
// of its own.
bool Completion::stage_repeated(Route& route, const std::vector<Goal>& goals) const {
  if (route.repeated.size() < 2 || goals.size() < 2) return false;
  std::vector<Hits> hits;
  for (const Way& w : route.repeated) hits.push_back(w.hits);
  const std::vector<std::int64_t> uses = grammar_.goals().few_uses(hits, goals);
  if (uses.empty() || std::accumulate(uses.begin(), uses.end(), static_cast<std::int64_t>(route.stages.size())) > static_cast<std::int64_t>(kMostOrdered)) return false;
  for (std::size_t i = 0; i < uses.size(); ++i) route.stages.insert(route.stages.end(), static_cast<std::size_t>(uses[i]), {{route.repeated[i]}, true});
  route.repeated.clear();
  return true;
}

void Completion::order(Route& route, const std::vector<Goal>& goals) const {
  const std::size_t size = route.stages.size();
  if (size < 3 || size > kMostOrdered || goals.size() < 2) return;
  std::vector<std::vector<std::int32_t>> hit;
  for (const Route::Stage& s : route.stages) hit.push_back(counters(s.ways));
  std::vector<Route::Stage> ordered;
  for (const std::size_t i : grammar_.goals().close_order(hit, goals)) ordered.push_back(std::move(route.stages[i]));
  route.stages = std::move(ordered);
}

// The same parts occur in the frames of many members.
std::int64_t Completion::part_cost(const Route& route, Goal goal) const {
  std::vector<std::int64_t> key{goal};
  const auto add = [&](const std::vector<Way>& ways) {
    for (const Way& w : ways) {
      key.push_back(w.hits);
      key.push_back(w.cost);
    }
  };
  for (const Route::Stage& s : route.stages) {
    key.push_back(s.optional ? -1 : -2);
    add(s.ways);
  }
  key.push_back(-3);
  add(route.repeated);
  if (const auto known = parts_.find(key); known != parts_.end()) return known->second;
  const std::int64_t cost = search(route, goal, false, 0, nullptr);
  if (part_keys_ + key.size() > kMostRemembered) {
    parts_.clear();
    part_keys_ = 0;
  }
  part_keys_ += key.size();
  parts_.emplace(std::move(key), cost);
  return cost;
}

// A* over (stage, goal, was anything taken). What is left costs at least as much as the required stages, and as the hits that the goal
// still needs. `known`: what is left in which places, the first of this route is `first`; it learns of those on the way that was found.
std::int64_t Completion::search(const Route& route, Goal wanted, bool must, std::size_t first, Known* known) const {
  GoalStore& goals = grammar_.goals();
  const std::size_t size = route.stages.size();
  std::vector<std::int64_t> bound(size + 1, 0);
  std::vector<Plan> plans(size + 1);
  std::unordered_map<std::int32_t, std::int64_t> hit_costs;
  const auto options = [&](const std::vector<Way>& ways, bool optional) {
    std::vector<Hits> choices;
    for (const Way& w : ways) choices.push_back(w.hits);
    if (optional) choices.push_back(GoalStore::kNoHits);
    return goals.options(std::move(choices));
  };
  const auto learn = [&](const std::vector<Way>& ways) {
    for (const Way& w : ways)
      for (const std::int32_t c : goals.counters_of(w.hits)) {
        const auto [at, fresh] = hit_costs.emplace(c, w.cost);
        if (!fresh) at->second = std::min(at->second, w.cost);
      }
  };
  plans[size] = goals.loop(options(route.repeated, false));
  learn(route.repeated);
  for (std::size_t i = size; i-- > 0;) {
    const Route::Stage& stage = route.stages[i];
    plans[i] = goals.then(options(stage.ways, stage.optional), plans[i + 1], route.stops);
    learn(stage.ways);
    std::int64_t least = route.stops || stage.optional ? 0 : kImpossible;
    for (const Way& w : stage.ways) least = std::min(least, w.cost);
    bound[i] = std::min(kImpossible, bound[i + 1] + least);
  }
  FlatMap least_costs;
  const auto least = [&](Goal g) {
    return goals.least_cost(g, least_costs, kSaturated, [&](std::int32_t c) {
      const auto at = hit_costs.find(c);
      return at == hit_costs.end() ? kSaturated : at->second;
    });
  };

  struct Entry {
    std::int64_t estimate, cost;
    std::size_t stage;
    Goal goal;
    bool taken;
    bool operator<(const Entry& o) const { return estimate != o.estimate ? estimate > o.estimate : cost < o.cost; }
  };
  struct Best {
    std::int64_t cost;
    std::uint64_t from;
  };
  const auto key_of = [](std::size_t stage, Goal goal, bool taken) {
    return (static_cast<std::uint64_t>(stage) << 33) | (static_cast<std::uint64_t>(goal) << 1) | taken;
  };
  std::unordered_map<std::uint64_t, Best> best;
  std::priority_queue<Entry> queue;
  std::uint64_t from = kNowhere;
  const auto left = [&](std::size_t stage, Goal goal) { return known ? known->get(first + stage, goal) : -1; };
  const auto enter = [&](std::size_t stage, Goal goal, std::int64_t cost, bool taken) {
    if (!goals.reachable(plans[stage], goal)) return;
    const auto [at, fresh] = best.emplace(key_of(stage, goal, taken), Best{cost, from});
    if (!fresh && at->second.cost <= cost) return;
    at->second = {cost, from};
    if (best.size() > kSearchLimit)
      throw LimitError("the shortest completion of an object or array whose members are counted needs more than " + std::to_string(kSearchLimit) + " steps to find");
    const std::int64_t rest = taken ? left(stage, goal) : -1;
    const std::int64_t learnt = taken && known ? known->bound(first + stage, goal) : 0;
    queue.push({cost + (rest >= 0 ? rest : std::max({bound[stage], least(goal), learnt})), cost, stage, goal, taken});
  };
  // What is left in each place on the way that ended there. From others that were met it is as far as from the start, less the way to them.
  const auto remember = [&](std::uint64_t last, std::int64_t total) {
    if (known)
      for (const auto& [key, met] : best)
        if (key & 1) known->raise((key >> 33) + first, static_cast<Goal>(key >> 1), total - met.cost);
    for (std::uint64_t key = last; known && key != kNowhere; key = best.at(key).from)
      if (key & 1) known->put((key >> 33) + first, static_cast<Goal>(key >> 1), total - best.at(key).cost);
  };
  enter(0, goals.settle(wanted, plans[0]), 0, !must);
  while (!queue.empty()) {
    const Entry top = queue.top();
    queue.pop();
    const std::uint64_t key = key_of(top.stage, top.goal, top.taken);
    if (best.at(key).cost < top.cost) continue;
    from = key;
    if (top.taken && (left(top.stage, top.goal) >= 0 || ((top.stage == size || route.stops) && goals.holds(top.goal)))) {
      remember(key, top.estimate);
      return top.estimate;
    }
    if (top.stage == size) {
      for (const Way& w : route.repeated) {
        const Goal after = goals.derive(top.goal, w.hits);
        if (after != top.goal || !top.taken) enter(size, after, top.cost + w.cost, true);
      }
      continue;
    }
    const Route::Stage& stage = route.stages[top.stage];
    const Plan here = plans[top.stage], next = plans[top.stage + 1];
    if (stage.optional) enter(top.stage + 1, goals.pass(top.goal, here, next), top.cost, top.taken);
    for (const Way& w : stage.ways) enter(top.stage + 1, goals.after(top.goal, w.hits, here, next), top.cost + w.cost, true);
  }
  return kImpossible;
}

// Every way counts a comma, but the first of all needs none.
std::int64_t Completion::close(const Route& route, const Engine::Frame& f, bool complete, Lex bracket, Known* known) {
  const std::size_t first = static_cast<std::size_t>(std::max(f.at, 0));  // of arrays, where `known` is
  const std::int64_t comma = lexeme(grammar_.comma);
  std::int64_t total;
  if (f.phase == Engine::kFirst || f.phase == Engine::kAfterComma) {
    total = cheapest(route, f.count, true, first, known);
    if (total < kImpossible) total -= comma;
    if (f.phase == Engine::kFirst && complete && grammar_.goals().holds(f.count)) total = 0;
  } else {
    total = cheapest(route, f.count, false, first, known);
    if (known && total < kImpossible) known->put(first, f.count, total);
  }
  return std::min(kImpossible, total + lexeme(bracket));
}

std::int64_t Completion::tallied(const ObjectNode& o, const Engine::Frame& f, std::int64_t key) {
  const Tally& t = *o.tally;
  const std::int64_t comma = lexeme(grammar_.comma);
  Route route{{}, {}, false};
  if (f.phase == Engine::kValue || f.phase == Engine::kKey)
    route.stages.push_back({ways(f.member >= 0 ? t.slots[static_cast<std::size_t>(f.member)] : t.extras[static_cast<std::size_t>(~f.member)], 0), false});
  bool complete = true;
  for (std::size_t i = o.ordered ? static_cast<std::size_t>(f.at) : 0; i < o.members.size(); ++i) {
    if (!o.ordered && engine_.has_seen(f.at, static_cast<std::int32_t>(i))) continue;
    complete = complete && !o.members[i].required;
    if (!t.slots[i].empty()) route.stages.push_back({ways(t.slots[i], comma + lexeme(o.members[i].key)), !o.members[i].required});
  }
  for (std::size_t j = 0; j < o.extras.size(); ++j) {
    if (t.extras[j].empty()) continue;
    if (!o.distinct) {
      const std::vector<Way> more = ways(t.extras[j], comma + lexeme(o.extras[j].key));
      route.repeated.insert(route.repeated.end(), more.begin(), more.end());
      continue;
    }
    for (const std::int64_t k : spellings(o, f, j, key, static_cast<std::size_t>(grammar_.goals().most_hits(f.count)) + 1))
      route.stages.push_back({ways(t.extras[j], comma + k + 2 + lexeme(lexer_.exit(o.extras[j].key))), true});
  }
  return close(route, f, complete, grammar_.close_brace, nullptr);
}

std::int64_t Completion::tallied(const ArrayNode& a, const Engine::Frame& f) {
  const Tally& t = *a.tally;
  const std::int64_t comma = lexeme(grammar_.comma);
  Known& known = arrays_[f.node];
  if (settled_ && f.phase != Engine::kFirst && f.phase != Engine::kAfterComma) {
    const std::int64_t left = known.get(static_cast<std::size_t>(f.at), f.count);
    if (left >= 0) return std::min(kImpossible, left + lexeme(grammar_.close_bracket));
  }
  Route route{{}, ways(t.extras[0], comma), true};
  for (std::size_t i = static_cast<std::size_t>(f.at); i < t.slots.size(); ++i) route.stages.push_back({ways(t.slots[i], comma), false});
  return close(route, f, true, grammar_.close_bracket, settled_ ? &known : nullptr);
}

}  // namespace structgen
