#include "lark_liveness.hpp"

#include <algorithm>
#include <map>

namespace structgen {

namespace {

constexpr std::size_t kMostPlaces = 400;
constexpr std::size_t kMostHopeless = 50;     // places from which nothing may lead on
constexpr std::size_t kMostSearched = 500;   // states of the scanner, to tell whether a terminal can match

}  // namespace

Liveness::Liveness(LarkGrammar& lark) : lark_(lark), scanner_(lark.scanner) {}

void Liveness::find_states() {
  every_ = scanner_.terminal_set(lark_.scanned);
  for (const std::int32_t t : lark_.scanned)
    if (lark_.ignored[static_cast<std::size_t>(t)]) separators_.push_back(t);
  const std::size_t count = lark_.terminals.size();
  groups_.resize(count + 2);
  std::map<std::vector<std::int32_t>, std::int32_t> known;
  for (std::size_t q = 0; q < lark_.tables.states.size(); ++q) {
    std::vector<std::int32_t> taken;
    for (const auto& [t, action] : lark_.tables.states[q].actions)
      if (taken.empty() || taken.back() != t) taken.push_back(t);
    const auto [entry, fresh] = known.emplace(std::move(taken), static_cast<std::int32_t>(members_.size()));
    if (fresh) members_.push_back(static_cast<std::int32_t>(q));
    alike_.push_back(entry->second);
  }
  for (const LrTables::State& s : lark_.tables.states)
    for (const auto& [t, action] : s.actions)
      if (t < lark_.end() && action >= 0) groups_[static_cast<std::size_t>(t)].push_back(alike_[static_cast<std::size_t>(action)]);
  // A newline is ignored in brackets, and elsewhere begins and ends indentations.
  for (std::size_t c = 0; c < members_.size(); ++c) groups_[count + 1].push_back(static_cast<std::int32_t>(c));
  if (lark_.indents && lark_.indenter.newline >= 0) {
    if (!lark_.indenter.opening.empty()) groups_[count] = groups_[count + 1];
    for (const std::int32_t t : {lark_.indenter.newline, lark_.indenter.indent, lark_.indenter.dedent})
      if (t >= 0) groups_[count].insert(groups_[count].end(), groups_[static_cast<std::size_t>(t)].begin(), groups_[static_cast<std::size_t>(t)].end());
  }
  for (std::vector<std::int32_t>& list : groups_) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  unreliable_.assign(count, false);
  widths_.assign(count, 1);
  for (std::size_t t = 0; t < count; ++t)
    if (lark_.terminals[t].kind == LarkGrammar::Kind::kDeclared) widths_[t] = 0;
}

bool Liveness::holds() {
  if (decided_) return holds_;
  decided_ = true;
  if (!lark_.rebreaks) return false;
  find_states();
  deciding_ = true;
  for (const std::int32_t start : lark_.tables.starts) node(place(0, 0), alike_[static_cast<std::size_t>(start)], -1);
  work();
  deciding_ = false;
  const bool all = std::find(unreliable_.begin(), unreliable_.end(), true) == unreliable_.end();
  if (all && (lark_.general || !lark_.tables.conflicts)) return holds_ = true;
  if (all) return holds_ = lark_.least().always();
  std::vector<std::int64_t> costs = lark_.least_widths();
  for (std::size_t t = 0; t < costs.size(); ++t)
    if (unreliable_[t]) costs[t] = LrCompletion::kImpossible;
  return holds_ = LrCompletion(lark_.tables, lark_.rules, lark_.end(), lark_.symbols, std::move(costs), kMostFacts).always();
}

Place Liveness::place(Obligation obligation, Left left) {
  const auto known = place_index_.find(pair_key(obligation, left));
  if (known != place_index_.end()) return known->second;
  if (places_.size() >= kMostPlaces) return -1;
  places_.emplace_back(obligation, left);
  return place_index_.emplace(pair_key(obligation, left), static_cast<Place>(places_.size() - 1)).first->second;
}

Place Liveness::behind(std::int32_t exit) { return place(scanner_.exit(exit).obligation, scanner_.exit(exit).left); }

bool Liveness::may_end(Place p) const { return scanner_.may_end(places_[static_cast<std::size_t>(p)].first); }

std::int32_t Liveness::alone(std::int32_t set, std::int32_t terminal) { return lark_.alone() ? scanner_.terminal_set({terminal}) : set; }

bool Liveness::good(Place p, std::int32_t state) {
  if (p < 0) return false;
  const std::int32_t i = node(p, alike_[static_cast<std::size_t>(state)], -1);
  work();
  return !nodes_[static_cast<std::size_t>(i)].bad;
}

bool Liveness::good(std::int32_t exit) {
  if (exits_.size() <= static_cast<std::size_t>(exit)) exits_.resize(static_cast<std::size_t>(exit) + 1, -1);
  if (exits_[static_cast<std::size_t>(exit)] < 0) {
    const ScanExit e = scanner_.exit(exit);
    const std::int32_t count = lark_.end();
    const bool ignored = lark_.ignored[static_cast<std::size_t>(e.terminal)] && !e.keyword;
    const bool newline = lark_.indents && e.terminal == lark_.indenter.newline;
    const Place p = behind(exit);
    bool is_good = false;
    if (p >= 0) {
      const std::int32_t i = node(p, -1, ignored ? count + 1 : newline ? count : e.terminal);
      work();
      is_good = !nodes_[static_cast<std::size_t>(i)].bad;
    }
    exits_[static_cast<std::size_t>(exit)] = is_good;
  }
  return exits_[static_cast<std::size_t>(exit)] != 0;
}

// Each terminal is read without competitors, which obliges to less.
bool Liveness::hopeful(Place start) {
  if (start < 0 || lark_.any_text >= 0) return true;
  if (const auto known = hopeful_.find(start); known != hopeful_.end()) return known->second;
  std::vector<Place> met{start};
  bool found = false;
  const bool done = scanner_.within(kMostSearched, [&] {
    for (std::size_t i = 0; i < met.size() && !found; ++i) {
      const auto [obligation, left] = places_[static_cast<std::size_t>(met[i])];
      found = obligation == 0 || scanner_.may_end(obligation) || met.size() > kMostHopeless;
      for (std::size_t k = 0; k < lark_.scanned.size() && !found; ++k) {
        const std::int32_t alone = scanner_.terminal_set({lark_.scanned[k]});
        const Scan q = scanner_.start(alone, alone, obligation, left);
        if (q == kDeadScan) continue;
        std::vector<std::int32_t> exits;
        found = !scanner_.explore(q, exits);
        for (const std::int32_t e : exits) {
          const Place p = behind(e);
          found = found || p < 0;
          if (std::find(met.begin(), met.end(), p) == met.end()) met.push_back(p);
        }
      }
    }
  });
  return hopeful_[start] = found || !done;
}

std::vector<std::int64_t> Liveness::widths() {
  std::vector<std::int64_t> out = widths_;
  // Where another place was looked at instead.
  for (std::size_t p = 0; p < detours_.size(); ++p) {
    const Detour d = detours_[p];
    if (d.to < 0) continue;
    for (std::size_t t = 0; t < out.size(); ++t) {
      if (unreliable_[t] || lark_.ignored[t] || lark_.terminals[t].kind != LarkGrammar::Kind::kPattern) continue;
      const std::int32_t terminal = static_cast<std::int32_t>(t), set = alone(every_, terminal);
      const Scanner::Realized here = read(static_cast<Place>(p), set, terminal, false), there = read(d.to, set, terminal, false);
      bool is_good = false;
      if (const Place q = here.exit < 0 ? -1 : behind(here.exit); q >= 0) {
        const std::int32_t i = node(q, -1, terminal);
        work();
        is_good = !nodes_[static_cast<std::size_t>(i)].bad;
      }
      const std::int64_t length = is_good ? here.length : d.length + (there.exit < 0 ? widths_[t] : there.length);
      out[t] = std::max({out[t], widths_[t], length});
    }
  }
  for (std::size_t t = 0; t < out.size(); ++t)
    if (unreliable_[t]) out[t] = LrCompletion::kImpossible;
  return out;
}

std::int32_t Liveness::node(Place p, std::int32_t alike, std::int32_t group) {
  const std::uint64_t key = pair_key(p, alike >= 0 ? alike : ~group);
  const std::int32_t known = node_index_.get(key, -1);
  if (known >= 0) return known;
  nodes_.push_back({p, alike, group, false, {}});
  const std::int32_t made = static_cast<std::int32_t>(nodes_.size() - 1);
  node_index_.put(key, made);
  todo_.push_back(made);
  return made;
}

// A node that turns out bad is looked at no more; those that relied on it are looked at again.
void Liveness::work() {
  while (!todo_.empty()) {
    const std::int32_t i = todo_.back();
    todo_.pop_back();
    if (!nodes_[static_cast<std::size_t>(i)].bad) look_at(i);
  }
}

void Liveness::look_at(std::int32_t i) {
  const Node n = nodes_[static_cast<std::size_t>(i)];
  const auto fail = [&] {
    Node& bad = nodes_[static_cast<std::size_t>(i)];
    bad.bad = true;
    todo_.insert(todo_.end(), bad.users.begin(), bad.users.end());
    bad.users.clear();
  };
  const std::int32_t first = static_cast<std::int32_t>(groups_.size());
  if (n.group >= first) {
    if (!among(i, n.place, n.group - first, alone(every_, n.group - first), false)) fail();
    return;
  }
  if (const Place q = deciding_ ? -1 : detour(n.place); q >= 0) {
    Node& there = nodes_[static_cast<std::size_t>(node(q, n.alike, n.group))];
    if (!there.bad) {
      there.users.push_back(i);
      return;
    }
  }
  if (n.alike < 0) {
    for (const std::int32_t c : groups_[static_cast<std::size_t>(n.group)]) {
      const std::int32_t member = node(n.place, c, -1);
      if (nodes_[static_cast<std::size_t>(member)].bad) return fail();
      nodes_[static_cast<std::size_t>(member)].users.push_back(i);
    }
    return;
  }
  std::int32_t last = -1;
  for (const auto& [t, action] : lark_.tables.states[static_cast<std::size_t>(members_[static_cast<std::size_t>(n.alike)])].actions) {
    if (t == last) continue;
    last = t;
    if (t < lark_.end() && unreliable_[static_cast<std::size_t>(t)]) continue;
    if (readable(i, n.place, t) || supported(i, t)) continue;
    if (!deciding_ || t == lark_.end() || !hopeless(n, t)) return fail();
    unreliable_[static_cast<std::size_t>(t)] = true;
  }
}

// The place behind something ignored, if what can be read is to be looked at there instead; -1 if it is looked at here. There are many places,
// as many as ways to forbid that a keyword goes on, and behind a space most are the same. A place that others lead to leads to none, so that
// something besides what is ignored is read in the end.
Place Liveness::detour(Place p) {
  const auto at = [&](Place q) -> Detour& {
    if (detours_.size() < places_.size()) detours_.resize(places_.size());
    return detours_[static_cast<std::size_t>(q)];
  };
  if (at(p).decided) return at(p).to;
  at(p).decided = true;
  for (const std::int32_t s : separators_) {
    const Scanner::Realized between = read(p, alone(every_, s), s, false);
    const Place q = between.exit < 0 ? -1 : behind(between.exit);
    if (q < 0 || q == p || at(q).to >= 0) continue;
    at(q).decided = true;
    at(p) = {true, q, between.length};
    ++version_;
    return q;
  }
  return -1;
}

// Whether a terminal can be read at a place among all others, which is found out once for all states.
bool Liveness::readable(std::int32_t user, Place p, std::int32_t t) {
  if (t == lark_.end() || lark_.ignored[static_cast<std::size_t>(t)] || lark_.terminals[static_cast<std::size_t>(t)].kind != LarkGrammar::Kind::kPattern) return false;
  const std::size_t before = nodes_.size();
  const std::int32_t i = node(p, -1, static_cast<std::int32_t>(groups_.size()) + t);
  if (nodes_.size() > before) {
    todo_.pop_back();  // at once, so that mostly nobody relies on it in vain
    look_at(i);
  }
  Node& n = nodes_[static_cast<std::size_t>(i)];
  if (!n.bad) n.users.push_back(user);
  return !n.bad;
}

// Whether a terminal that cannot be read at a node could not be read there if nothing were obliged.
bool Liveness::hopeless(const Node& n, std::int32_t t) {
  const auto [obligation, left] = places_[static_cast<std::size_t>(n.place)];
  if (obligation == 0) return true;
  const Place free = place(0, left);
  if (free < 0 || lark_.terminals[static_cast<std::size_t>(t)].kind != LarkGrammar::Kind::kPattern) return false;
  const auto leads_nowhere = [&](std::int32_t set) {
    const Scanner::Realized found = read(free, alone(set, t), t, true);
    const Place q = found.exit < 0 ? -1 : behind(found.exit);
    return q < 0 || nodes_[static_cast<std::size_t>(node(q, -1, t))].bad;
  };
  return leads_nowhere(every_) && leads_nowhere(lark_.tried(members_[static_cast<std::size_t>(n.alike)]));
}

bool Liveness::leads_on(std::int32_t user, Place p, std::int32_t group) {
  if (p < 0) return false;
  const std::int32_t to = node(p, -1, group);
  Node& n = nodes_[static_cast<std::size_t>(to)];
  if (n.bad) return false;
  n.users.push_back(user);
  return true;
}

// Among these competitors, from a place; memoised. What takes long to find out is not relied on.
Scanner::Realized Liveness::read(Place p, std::int32_t set, std::int32_t terminal, bool thorough) {
  std::vector<Read>& row = read_[pair_key(p, set)];
  if (row.empty()) row.resize(lark_.terminals.size());
  Read& known = row[static_cast<std::size_t>(terminal)];
  if (known.tried && (!thorough || known.sought || known.found.exit >= 0)) return known.found;
  const auto [obligation, left] = places_[static_cast<std::size_t>(p)];
  const bool done = scanner_.within(kMostSearched, [&] {
    if (!known.tried) known.found = scanner_.realize(set, terminal, obligation, left);
    if (thorough && known.found.exit < 0) known.found = scanner_.seek(set, terminal, obligation, left);
  });
  if (!done) known.found = {};
  known.sought = known.sought || thorough || !done;
  known.tried = true;
  return known.found;
}

bool Liveness::reads(std::int32_t i, std::int32_t terminal, std::int32_t set, Place from, std::int64_t before, bool thorough) {
  const Scanner::Realized found = read(from, set, terminal, thorough);
  if (found.exit < 0 || !leads_on(i, behind(found.exit), terminal)) return false;
  std::int64_t& width = widths_[static_cast<std::size_t>(terminal)];
  if (before + found.length > width) {
    width = before + found.length;
    ++version_;
  }
  return true;
}

// Directly, or behind something ignored.
template <class Succeeds>
bool Liveness::somehow(Place p, std::int32_t set, bool thorough, Succeeds&& succeeds) {
  if (succeeds(p, 0)) return true;
  return std::any_of(separators_.begin(), separators_.end(), [&](std::int32_t s) {
    const Scanner::Realized between = read(p, alone(set, s), s, thorough);
    const Place q = between.exit < 0 ? -1 : behind(between.exit);
    return q >= 0 && succeeds(q, between.length);
  });
}

bool Liveness::among(std::int32_t i, Place p, std::int32_t t, std::int32_t set, bool thorough) {
  return somehow(p, set, thorough, [&](Place from, std::int64_t before) { return reads(i, t, set, from, before, thorough); });
}

// Whether a terminal can be read at a node, or the text end. All terminals compete first, which is the hardest and shared by all states; where
// one does not succeed so, those compete that the state tries.
bool Liveness::supported(std::int32_t i, std::int32_t t) {
  const Place p = nodes_[static_cast<std::size_t>(i)].place;
  const std::int32_t state = members_[static_cast<std::size_t>(nodes_[static_cast<std::size_t>(i)].alike)];
  if (t == lark_.end()) return somehow(p, every_, true, [&](Place from, std::int64_t) { return may_end(from); });
  switch (lark_.terminals[static_cast<std::size_t>(t)].kind) {
    case LarkGrammar::Kind::kDeclared:
      return leads_on(i, p, t);
    case LarkGrammar::Kind::kSpecial:  // ends the text in front of it
      return somehow(p, every_, true, [&](Place from, std::int64_t) { return may_end(from) && leads_on(i, place(0, 0), t); });
    case LarkGrammar::Kind::kExpression:
      return somehow(p, every_, true, [&](Place from, std::int64_t) { return places_[static_cast<std::size_t>(from)].first == 0 && leads_on(i, place(0, 0), t); });
    case LarkGrammar::Kind::kPattern:
      break;
  }
  if (lark_.ignored[static_cast<std::size_t>(t)]) return false;  // rare; only some of its lexemes count
  for (const bool thorough : {false, true})
    if (among(i, p, t, alone(every_, t), thorough) || (lark_.mode == LarkGrammar::Mode::kContextual && among(i, p, t, lark_.tried(state), thorough))) return true;
  return false;
}

}  // namespace structgen
