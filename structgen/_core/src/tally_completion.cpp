// The cheapest way to the end of a tallied object or array.
#include <algorithm>
#include <queue>
#include <unordered_map>

#include "completion.hpp"

namespace structgen {

namespace {

constexpr std::size_t kSearchLimit = 2000000;

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

// A* over (stage, goal, was anything taken); what the required stages cost at least is the estimate.
std::int64_t Completion::cheapest(const Route& route, Goal wanted, bool must) const {
  GoalStore& goals = grammar_.goals();
  const std::size_t size = route.stages.size();
  std::vector<std::int64_t> bound(size + 1, 0);
  std::vector<Plan> plans(size + 1);
  const auto options = [&](const std::vector<Way>& ways, bool optional) {
    std::vector<Hits> choices;
    for (const Way& w : ways) choices.push_back(w.hits);
    if (optional) choices.push_back(GoalStore::kNoHits);
    return goals.options(std::move(choices));
  };
  plans[size] = goals.loop(options(route.repeated, false));
  for (std::size_t i = size; i-- > 0;) {
    const Route::Stage& stage = route.stages[i];
    plans[i] = goals.then(options(stage.ways, stage.optional), plans[i + 1], route.stops);
    std::int64_t least = route.stops || stage.optional ? 0 : kImpossible;
    for (const Way& w : stage.ways) least = std::min(least, w.cost);
    bound[i] = std::min(kImpossible, bound[i + 1] + least);
  }

  struct Entry {
    std::int64_t estimate, cost;
    std::size_t stage;
    Goal goal;
    bool taken;
    bool operator<(const Entry& o) const { return estimate > o.estimate; }
  };
  std::unordered_map<std::uint64_t, std::int64_t> best;
  std::priority_queue<Entry> queue;
  const auto enter = [&](std::size_t stage, Goal goal, std::int64_t cost, bool taken) {
    if (!goals.feasible(plans[stage], goal)) return;
    const std::uint64_t key = (static_cast<std::uint64_t>(stage) << 33) | (static_cast<std::uint64_t>(goal) << 1) | taken;
    const auto [known, fresh] = best.emplace(key, cost);
    if (!fresh && known->second <= cost) return;
    known->second = cost;
    if (best.size() > kSearchLimit) throw LimitError("the shortest completion of an object or array takes too long to find");
    queue.push({cost + bound[stage], cost, stage, goal, taken});
  };
  enter(0, goals.settle(wanted, plans[0]), 0, !must);
  while (!queue.empty()) {
    const Entry top = queue.top();
    queue.pop();
    const std::uint64_t key = (static_cast<std::uint64_t>(top.stage) << 33) | (static_cast<std::uint64_t>(top.goal) << 1) | top.taken;
    if (top.stage > size) return top.cost;
    if (best.at(key) < top.cost) continue;
    if (top.taken && (top.stage == size || route.stops) && goals.holds(top.goal)) queue.push({top.cost, top.cost, size + 1, top.goal, true});
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
std::int64_t Completion::close(const Route& route, const Engine::Frame& f, bool complete, Lex bracket) {
  const std::int64_t comma = lexeme(grammar_.comma);
  std::int64_t total;
  if (f.phase == Engine::kFirst || f.phase == Engine::kAfterComma) {
    total = cheapest(route, f.count, true);
    if (total < kImpossible) total -= comma;
    if (f.phase == Engine::kFirst && complete && grammar_.goals().holds(f.count)) total = 0;
  } else {
    total = cheapest(route, f.count, false);
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
  return close(route, f, complete, grammar_.close_brace);
}

std::int64_t Completion::tallied(const ArrayNode& a, const Engine::Frame& f) {
  const Tally& t = *a.tally;
  const std::int64_t comma = lexeme(grammar_.comma);
  Route route{{}, ways(t.extras[0], comma), true};
  for (std::size_t i = static_cast<std::size_t>(f.at); i < t.slots.size(); ++i) route.stages.push_back({ways(t.slots[i], comma), false});
  return close(route, f, true, grammar_.close_bracket);
}

}  // namespace structgen
