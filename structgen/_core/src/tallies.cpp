// Tallied objects and arrays: members and items with cells, a goal instead of bounds.
#include <algorithm>

#include "engine.hpp"

namespace structgen {

// -- grammars ---------------------------------------------------------------------------------------------------

Re Grammar::extra_key(const ObjectNode& o, std::size_t extra, Re excluded) const {
  RegexStore& re = lexer_->regexes();
  return excluded == RegexStore::kNone ? o.extra_keys[extra] : re.intersect({o.extra_keys[extra], re.complement(excluded)});
}

Options Grammar::usable(const Cells& cells, bool optional) const {
  std::vector<Hits> choices;
  for (const Cell& c : cells)
    if (productive(c.value)) choices.push_back(c.hits);
  if (optional) choices.push_back(GoalStore::kNoHits);
  return goals_->options(std::move(choices));
}

void Grammar::refresh(ObjectNode& o) const {
  Tally& t = *o.tally;
  t.slot_options.clear();
  t.extra_options.clear();
  for (std::size_t i = 0; i < o.members.size(); ++i) {
    if (o.members[i].key == kDeadLex) t.slots[i].clear();
    t.slot_options.push_back(usable(t.slots[i], !o.members[i].required));
  }
  for (std::size_t j = 0; j < o.extras.size(); ++j) {
    if (o.extras[j].key == kDeadLex) t.extras[j].clear();
    t.extra_options.push_back(usable(t.extras[j], false));
  }
}

void Grammar::refresh(ArrayNode& a) const {
  Tally& t = *a.tally;
  t.plans.resize(t.slots.size() + 1);
  t.plans.back() = items_plan(a, t.slots.size(), {}, t.extras[0].size());
  for (std::size_t i = t.slots.size(); i-- > 0;) t.plans[i] = slot_plan(a, i, {}, t.plans[i + 1]);
}

Plan Grammar::slot_plan(const ArrayNode& a, std::size_t slot, const std::vector<std::string>& seen, Plan after) const {
  Cells cells = a.tally->slots[slot];
  if (a.unique) cells.erase(std::remove_if(cells.begin(), cells.end(), [&](const Cell& c) { return distinct_->left(c.value, seen, 1) == 0; }), cells.end());
  const Options options = usable(cells, false);
  return options == GoalStore::kImpossible ? goals_->loop(options) : goals_->then(options, after, true);
}

Plan Grammar::items_plan(const ArrayNode& a, std::size_t at, const std::vector<std::string>& seen, std::size_t used) const {
  const Tally& t = *a.tally;
  std::vector<Hits> always;
  std::vector<std::pair<Options, std::int64_t>> limited;
  for (std::size_t k = 0; k < t.extras[0].size(); ++k) {
    const Cell& c = t.extras[0][k];
    if (!productive(c.value)) continue;
    // More items than hits that can matter are as good as infinitely many.
    const std::int64_t enough = t.most_hits + 2, values = a.unique ? distinct_->left(c.value, seen, enough) : enough;
    if (values == enough)
      always.push_back(c.hits);
    else
      limited.emplace_back(goals_->options({c.hits, GoalStore::kNoHits}), values - (k == used));
  }
  Plan plan = goals_->loop(goals_->options(std::move(always)));
  for (const auto& [options, values] : limited)
    for (std::int64_t i = 0; i < values && !goals_->inert(options); ++i) plan = goals_->then(options, plan, false);
  for (std::size_t i = t.slots.size(); i-- > at;) plan = slot_plan(a, i, seen, plan);
  return plan;
}

Plan Grammar::extras_plan(const ObjectNode& o, Re excluded, std::int32_t used) const {
  const Tally& t = *o.tally;
  std::vector<Hits> always;
  std::vector<std::pair<Options, std::int32_t>> limited;
  for (std::size_t j = 0; j < o.extras.size(); ++j) {
    if (t.extra_options[j] == GoalStore::kImpossible) continue;
    std::vector<Hits> choices = goals_->choices(t.extra_options[j]);
    // More keys than hits that can matter are as good as infinitely many.
    const std::int32_t enough = t.most_hits + 1;
    const std::int32_t keys = o.distinct ? lexer_->regexes().count(extra_key(o, j, excluded), enough) : enough;
    if (keys == enough) {
      always.insert(always.end(), choices.begin(), choices.end());
    } else {
      choices.push_back(GoalStore::kNoHits);
      limited.emplace_back(goals_->options(std::move(choices)), keys - (used == static_cast<std::int32_t>(j)));
    }
  }
  Plan plan = goals_->loop(goals_->options(std::move(always)));
  for (const auto& [options, keys] : limited)
    for (std::int32_t i = 0; i < keys && !goals_->inert(options); ++i) plan = goals_->then(options, plan, false);
  return plan;
}

Plan Grammar::members_plan(const std::vector<Options>& members, Plan plan) const {
  for (std::size_t i = members.size(); i-- > 0;)
    if (!goals_->inert(members[i])) plan = goals_->then(members[i], plan, false);
  return plan;
}

void Grammar::prune_tally(ObjectNode& o) const {
  refresh(o);
  for (std::vector<Cells>* cells : {&o.tally->slots, &o.tally->extras})
    for (Cells& c : *cells) c.erase(std::remove_if(c.begin(), c.end(), [&](const Cell& cell) { return !productive(cell.value); }), c.end());
  std::vector<Options> members = o.tally->slot_options;
  if (!o.ordered) std::sort(members.begin(), members.end());
  o.tally->goal = goals_->settle(o.tally->goal, members_plan(members, extras_plan(o, RegexStore::kNone)));
}

void Grammar::prune_tally(ArrayNode& a) const {
  refresh(a);
  for (std::vector<Cells>* cells : {&a.tally->slots, &a.tally->extras})
    for (Cells& c : *cells) c.erase(std::remove_if(c.begin(), c.end(), [&](const Cell& cell) { return !productive(cell.value); }), c.end());
  a.tally->goal = goals_->settle(a.tally->goal, a.tally->plans[0]);
  if (a.unique)
    for (const std::vector<Cells>* cells : {&a.tally->slots, &a.tally->extras})
      for (const Cells& some : *cells)
        for (const Cell& c : some) a.plain = a.plain && !distinct_->domain(c.value).sequences;
}

// -- engines ----------------------------------------------------------------------------------------------------

// The members that can still come, and what they may do together. Any order is as good as another for counting; sorted,
// members that do the same are alike.
struct Engine::Open {
  std::vector<std::int32_t> members;
  std::vector<Options> options;  // of the members; sorted when they come in any order
  bool complete = true;          // no required one is missing
};

Engine::Open Engine::open_members(const ObjectNode& o, std::int32_t at) const {
  Open open;
  const std::int32_t size = static_cast<std::int32_t>(o.members.size());
  for (std::int32_t i = o.ordered ? at : 0; i < size; ++i) {
    if (!o.ordered && has_seen(at, i)) continue;
    open.members.push_back(i);
    open.options.push_back(o.tally->slot_options[static_cast<std::size_t>(i)]);
    open.complete = open.complete && !o.members[static_cast<std::size_t>(i)].required;
  }
  if (!o.ordered) std::sort(open.options.begin(), open.options.end());
  return open;
}

bool Engine::some_feasible(const Cells& cells, Goal goal, Plan here, Plan rest) {
  GoalStore& goals = grammar_->goals();
  return std::any_of(cells.begin(), cells.end(), [&](const Cell& c) { return goals.feasible(rest, goals.after(goal, c.hits, here, rest)); });
}

// `next` is the frame after the value, but for its goal.
void Engine::expand_cells(const Cells& cells, Goal goal, Plan here, Plan rest, Frame next, Stacks below, Expansion& out) {
  GoalStore& goals = grammar_->goals();
  for (const Cell& c : cells) {
    next.count = goals.after(goal, c.hits, here, rest);
    if (goals.feasible(rest, next.count)) expand_expr(c.value, push(next, below), out, 0);
  }
}

// Calls member(index, goal) for every member that can come next, until it returns false.
template <class Member>
void Engine::offer_in_order(const ObjectNode& o, Goal goal, const Open& open, Plan extras, Member&& member) {
  // ahead[k]: what is left from the k-th on. The goal follows as members are passed over.
  std::vector<Plan> ahead(open.options.size() + 1, extras);
  for (std::size_t k = open.options.size(); k-- > 0;) ahead[k] = grammar_->members_plan({open.options[k]}, ahead[k + 1]);
  for (std::size_t k = 0; k < open.members.size() && goal != GoalStore::kFalse; ++k) {
    const std::int32_t i = open.members[k];
    if (some_feasible(o.tally->slots[static_cast<std::size_t>(i)], goal, ahead[k], ahead[k + 1]) && !member(i, goal)) return;
    if (o.members[static_cast<std::size_t>(i)].required) return;
    goal = grammar_->goals().pass(goal, ahead[k], ahead[k + 1]);
  }
}

// One way to meet the goal shows for many members at once that they can come: it takes something of each, and the order
// is free. Only for the others is there a search of its own.
template <class Member>
void Engine::offer_in_any_order(const ObjectNode& o, Goal goal, const Open& open, Plan extras, Member&& member) {
  GoalStore& goals = grammar_->goals();
  std::vector<Plan> ahead(open.options.size() + 1, extras);
  for (std::size_t k = open.options.size(); k-- > 0;) ahead[k] = grammar_->members_plan({open.options[k]}, ahead[k + 1]);
  const Plan here = ahead[0];
  FlatMap known;  // by options and hits
  const auto key = [](Options options, Hits hits) { return (static_cast<std::uint64_t>(options) << 32) | static_cast<std::uint32_t>(hits); };
  const auto learn = [&](Plan p, Goal g, bool last) {
    std::vector<std::pair<Options, Hits>> taken;
    goals.witness(p, g, last, taken);
    for (const auto& [options, hits] : taken) known.put(key(options, hits), 1);
  };
  learn(here, goal, false);
  learn(here, goal, true);
  const auto can_take = [&](Options own, Hits hits) {
    // Members that nothing depends on are in no plan.
    std::int32_t found = goals.inert(own) ? 1 : known.get(key(own, hits), -1);
    if (found >= 0) return found == 1;
    const auto place = std::lower_bound(open.options.begin(), open.options.end(), own);
    const Plan rest = grammar_->members_plan({open.options.begin(), place}, ahead[static_cast<std::size_t>(place - open.options.begin()) + 1]);
    const Goal left = goals.after(goal, hits, here, rest);
    found = goals.feasible(rest, left);
    known.put(key(own, hits), found);
    if (found) learn(rest, left, false);
    return found == 1;
  };
  for (const std::int32_t i : open.members) {
    const Options own = o.tally->slot_options[static_cast<std::size_t>(i)];
    const Cells& cells = o.tally->slots[static_cast<std::size_t>(i)];
    if (std::any_of(cells.begin(), cells.end(), [&](const Cell& c) { return can_take(own, c.hits); }) && !member(i, goal)) return;
  }
}

// Whether the cells of an extra's value are the same whichever key was taken: so many are left that one less never matters.
bool Engine::keys_abound(const ObjectNode& o, std::size_t extra, Re excluded) {
  if (!o.tally) return true;
  const std::int32_t enough = o.tally->most_hits + 2;
  return lexer_.regexes().count(grammar_->extra_key(o, extra, excluded), enough) == enough;
}

void Engine::expand_tallied(const ObjectNode& o, const Frame& f, Stacks below, Expansion& out) {
  GoalStore& goals = grammar_->goals();
  const Tally& t = *o.tally;
  const Goal goal = f.count;
  const Open open = open_members(o, f.at);
  const Plan extras = grammar_->extras_plan(o, f.excluded);
  const Plan here = grammar_->members_plan(open.options, extras);
  if (f.phase == kValue) {
    const std::size_t i = static_cast<std::size_t>(f.member >= 0 ? f.member : ~f.member);
    // The goal was settled for the member to come, too.
    const Plan before = goals.then(f.member >= 0 ? t.slot_options[i] : t.extra_options[i], here, false);
    expand_cells(f.member >= 0 ? t.slots[i] : t.extras[i], goal, before, here, {kObjectFrame, kAfterValue, f.node, f.at, 0, 0, f.excluded, f.text}, below, out);
    return;
  }
  if (f.phase != kAfterComma && open.complete && goals.holds(goal)) out.items.push_back({grammar_->close_brace, below});
  const auto offer = [&](auto&& member, auto&& extra) {
    if (o.ordered)
      offer_in_order(o, goal, open, extras, member);
    else
      offer_in_any_order(o, goal, open, extras, member);
    for (std::size_t j = 0; j < o.extras.size(); ++j) {
      if (o.distinct && lexer_.regexes().is_empty(grammar_->extra_key(o, j, f.excluded))) continue;
      const Plan others = o.distinct ? grammar_->extras_plan(o, f.excluded, static_cast<std::int32_t>(j)) : extras;
      if (some_feasible(t.extras[j], goal, here, grammar_->members_plan(open.options, others)) && !extra(j)) return;
    }
  };
  if (f.phase == kAfterValue) {
    bool more = false;
    offer([&](std::int32_t, Goal) { return !(more = true); }, [&](std::size_t) { return !(more = true); });
    if (more) out.items.push_back({grammar_->comma, push({kObjectFrame, kAfterComma, f.node, f.at, goal, 0, f.excluded}, below)});
    return;
  }
  offer(
      [&](std::int32_t i, Goal left) {
        const Frame next{kObjectFrame, kValue, f.node, o.ordered ? i + 1 : seen_with(f.at, i), left, i, f.excluded};
        out.items.push_back({o.members[static_cast<std::size_t>(i)].key, push(next, below)});
        return true;
      },
      [&](std::size_t j) {
        expand_extra(o, j, f, goal, below, out);
        return true;
      });
}

void Engine::expand_tallied(const ArrayNode& a, const Frame& f, Stacks below, Expansion& out) {
  const Tally& t = *a.tally;
  const Goal goal = f.count;
  const std::size_t at = static_cast<std::size_t>(f.at), next = std::min(at + 1, t.slots.size());
  const Cells& cells = at < t.slots.size() ? t.slots[at] : t.extras[0];
  if (f.phase == kItem) return;  // checked before anything follows
  if (f.phase != kAfterComma && grammar_->goals().holds(goal)) out.items.push_back({grammar_->close_bracket, below});
  if (a.unique) {
    expand_distinct_cells(a, cells, next, f, below, out);
  } else if (f.phase != kAfterValue) {
    expand_cells(cells, goal, t.plans[at], t.plans[next], {kArrayFrame, kAfterValue, f.node, static_cast<std::int32_t>(next), 0, 0, 0}, below, out);
  } else if (some_feasible(cells, goal, t.plans[at], t.plans[next])) {
    out.items.push_back({grammar_->comma, push({kArrayFrame, kAfterComma, f.node, f.at, goal, 0, 0}, below)});
  }
}

void Engine::expand_distinct_cells(const ArrayNode& a, const Cells& cells, std::size_t next, const Frame& f, Stacks below, Expansion& out) {
  GoalStore& goals = grammar_->goals();
  const bool in_rest = static_cast<std::size_t>(f.at) >= a.tally->slots.size();
  SeenItems seen = seen_items_[static_cast<std::size_t>(f.excluded)];
  for (std::size_t k = 0; k < cells.size(); ++k) {
    if (grammar_->distinct().left(cells[k].value, seen.values, 1) == 0) continue;
    const Goal goal = goals.derive(f.count, cells[k].hits);
    const Plan rest = grammar_->items_plan(a, next, seen.values, in_rest ? k : cells.size());
    if (!goals.feasible(rest, goals.settle(goal, rest))) continue;
    if (f.phase == kAfterValue) {
      out.items.push_back({grammar_->comma, push({kArrayFrame, kAfterComma, f.node, f.at, f.count, 0, f.excluded}, below)});
      return;
    }
    const Frame item{kArrayFrame, kItem, f.node, static_cast<std::int32_t>(next), goals.settle(goal, a.tally->plans[next]), -1, f.excluded};
    expand_item(cells[k].value, seen, push(item, below), out, 0);
  }
  seen_items_[static_cast<std::size_t>(f.excluded)].strings = seen.strings;
  seen_items_[static_cast<std::size_t>(f.excluded)].texts = seen.texts;
}

}  // namespace structgen
