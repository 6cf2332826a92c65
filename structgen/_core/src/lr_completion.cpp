#include "lr_completion.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace structgen {

namespace {

constexpr std::int32_t kNothing = -1;
constexpr std::size_t kMostSets = 16;
constexpr std::size_t kMostRemembered = std::size_t{1} << 18;
constexpr std::int64_t kMostCost = LrCompletion::kImpossible - 1;

}  // namespace

LrCompletion::Cost LrCompletion::Cost::operator+(const Cost& o) const {
  return {std::min(cost + o.cost, kMostCost), std::min(length + o.length, kMostCost)};
}

LrCompletion::LrCompletion(const LrTables& tables, const std::vector<LrRule>& rules, std::int32_t terminals, std::int32_t nonterminals,
                           std::vector<std::int64_t> costs, std::size_t max_facts)
    : tables_(tables), terminals_(terminals), costs_(std::move(costs)), max_facts_(max_facts) {
  if (costs_.size() != static_cast<std::size_t>(terminals)) throw std::invalid_argument("every terminal needs a cost");
  std::vector<char> matching;
  for (const std::int64_t c : costs_) {
    if (c < 0) throw std::invalid_argument("costs must not be negative");
    matching.push_back(c < kImpossible);
  }
  const std::vector<char> productive = deriving(rules, nonterminals, matching);
  make_classes();
  bool all_live = true;  // no reduction was lost, and everything derives a text
  reductions_.resize(tables.states.size());
  by_shift_.resize(tables.states.size());
  for (std::size_t p = 0; p < tables.states.size(); ++p) {
    const LrTables::State& state = tables.states[p];
    all_live = all_live && state.lost.empty();
    for (const auto& [t, q] : state.actions) all_live = all_live && (q < 0 || t == terminals || matching[static_cast<std::size_t>(t)]);
    for (const auto& [n, q] : state.gotos) all_live = all_live && productive[static_cast<std::size_t>(n)];
    std::vector<std::int32_t> reduced;
    for (const auto& [t, action] : state.actions) {
      if (action < 0) reduced.push_back(~action);
      else by_shift_[static_cast<std::size_t>(action)] = 1;
    }
    std::sort(reduced.begin(), reduced.end());
    reduced.erase(std::unique(reduced.begin(), reduced.end()), reduced.end());
    for (const std::int32_t r : reduced) {
      Set next = sets_[kFree];
      for (const auto& [t, lost] : state.lost) {
        const std::int32_t c = class_of_[static_cast<std::size_t>(t)];
        if (lost == r) next.classes[static_cast<std::size_t>(c) / 64] &= ~(std::uint64_t{1} << (c % 64));
      }
      const LrRule& rule = rules[static_cast<std::size_t>(r)];
      reductions_[p].push_back({rule.lhs, static_cast<std::int32_t>(rule.rhs.size()), intern(std::move(next))});
    }
  }
  always_ = all_live || always_without_lost(rules, nonterminals, matching) || find_always();
}

// Terminals are of one class where the same reductions have been lost before them.
void LrCompletion::make_classes() {
  std::vector<std::vector<std::pair<std::size_t, std::int32_t>>> losses(static_cast<std::size_t>(terminals_) + 1);
  for (std::size_t p = 0; p < tables_.states.size(); ++p)
    for (const auto& [t, r] : tables_.states[p].lost) losses[static_cast<std::size_t>(t)].emplace_back(p, r);
  std::map<std::vector<std::pair<std::size_t, std::int32_t>>, std::int32_t> classes;
  for (std::vector<std::pair<std::size_t, std::int32_t>>& l : losses) {
    std::sort(l.begin(), l.end());
    class_of_.push_back(classes.emplace(l, static_cast<std::int32_t>(classes.size())).first->second);
  }
  Set all;
  all.classes.assign(classes.size() / 64 + 1, 0);
  for (std::size_t c = 0; c < classes.size(); ++c) all.classes[c / 64] |= std::uint64_t{1} << (c % 64);
  intern(std::move(all));
}

std::int32_t LrCompletion::intern(Set set) {
  std::uint64_t hash = static_cast<std::uint64_t>(set.terminal);
  for (const std::uint64_t word : set.classes) hash = combine(hash, word);
  const std::int32_t known = set_index_.find(hash, [&](std::int32_t i) {
    const Set& other = sets_[static_cast<std::size_t>(i)];
    return other.terminal == set.terminal && other.classes == set.classes;
  });
  if (known >= 0) return known;
  count();
  set.size = 0;
  for (const std::uint64_t word : set.classes) set.size += __builtin_popcountll(word);
  sets_.push_back(std::move(set));
  const std::int32_t made = static_cast<std::int32_t>(sets_.size()) - 1;
  set_index_.insert(hash, made);
  return made;
}

std::int32_t LrCompletion::class_set(std::size_t c) {
  Set set;
  set.classes.assign(sets_[kFree].classes.size(), 0);
  set.classes[c / 64] |= std::uint64_t{1} << (c % 64);
  return intern(std::move(set));
}

std::int32_t LrCompletion::only(std::int32_t terminal) {
  Set set = sets_[static_cast<std::size_t>(class_set(static_cast<std::size_t>(class_of_[static_cast<std::size_t>(terminal)])))];
  set.terminal = terminal;
  return intern(std::move(set));
}

bool LrCompletion::contains(std::int32_t set, std::int32_t terminal) const {
  const Set& s = sets_[static_cast<std::size_t>(set)];
  if (s.terminal >= 0) return s.terminal == terminal;
  const std::int32_t c = class_of_[static_cast<std::size_t>(terminal)];
  return s.classes[static_cast<std::size_t>(c) / 64] >> (c % 64) & 1;
}

// Visits sets that are together what both have: one, or where there are many sets already, one for each class.
template <class Visit>
void LrCompletion::meet(std::int32_t a, std::int32_t b, Visit&& visit) {
  if (a == b || b == kFree) return visit(a);
  if (a == kFree) return visit(b);
  const std::uint64_t key = pair_key(a, b);
  const std::int32_t memo = meets_.get(key, kNothing);
  if (memo >= 0) return visit(memo);
  Set both = sets_[static_cast<std::size_t>(a)];  // one terminal is of one class, so it stays or nothing does
  bool some = false;
  for (std::size_t w = 0; w < both.classes.size(); ++w) some |= (both.classes[w] &= sets_[static_cast<std::size_t>(b)].classes[w]) != 0;
  if (!some) return;
  if (sets_.size() < kMostSets || both.terminal >= 0) {
    const std::int32_t made = intern(std::move(both));
    meets_.put(key, made);
    return visit(made);
  }
  for (std::size_t w = 0; w < both.classes.size(); ++w)
    for (std::uint64_t left = both.classes[w]; left != 0; left &= left - 1)
      visit(class_set(w * 64 + static_cast<std::size_t>(__builtin_ctzll(left))));
}

bool LrCompletion::covered(const std::vector<std::int32_t>& by, std::int32_t set) const {
  const Set& s = sets_[static_cast<std::size_t>(set)];
  for (std::size_t w = 0; w < s.classes.size(); ++w) {
    std::uint64_t left = s.classes[w];
    for (const std::int32_t i : by) {
      const Set& other = sets_[static_cast<std::size_t>(i)];
      if (other.terminal < 0 || other.terminal == s.terminal) left &= ~other.classes[w];
    }
    if (left != 0) return false;
  }
  return true;
}

std::int32_t LrCompletion::go(std::int32_t state, std::int32_t nonterminal) const {
  const std::vector<LrTables::Pair>& gotos = tables_.states[static_cast<std::size_t>(state)].gotos;
  const auto at = std::lower_bound(gotos.begin(), gotos.end(), LrTables::Pair{nonterminal, -1});
  return at != gotos.end() && at->first == nonterminal ? at->second : kNothing;
}

void LrCompletion::count() {
  if (++facts_ > max_facts_) throw LimitError("the cheapest completions of the grammar need more than " + std::to_string(max_facts_) + " facts");
}

std::int32_t LrCompletion::find(std::int32_t state, std::int32_t next) {
  const std::uint64_t key = pair_key(state, next);
  const std::int32_t known = node_index_.get(key, kNothing);
  if (known >= 0) return known;
  count();
  const std::int32_t made = static_cast<std::int32_t>(nodes_.size());
  nodes_.push_back({state, next, {}, {}});
  node_index_.put(key, made);
  seed(made);
  return made;
}

// What one action leads to.
void LrCompletion::seed(std::int32_t n) {
  const std::int32_t p = nodes_[static_cast<std::size_t>(n)].state, next = nodes_[static_cast<std::size_t>(n)].next;
  for (const auto& [t, q] : tables_.states[static_cast<std::size_t>(p)].actions) {
    if (q < 0 || !contains(next, t)) continue;
    if (t == terminals_) push(n, kNothing, {kNothing, 0, kFree, {}, t});
    else if (costs_[static_cast<std::size_t>(t)] < kImpossible) push(n, q, {kNothing, 0, kFree, {costs_[static_cast<std::size_t>(t)], 1}, t});
  }
  for (const Reduction& r : reductions_[static_cast<std::size_t>(p)]) {
    meet(next, r.next, [&](std::int32_t after) {
      if (r.pops > 0) push(n, kNothing, {r.lhs, r.pops, after, {}, kNothing});
      else push(n, go(p, r.lhs), {kNothing, 0, after, {}, kNothing});
    });
  }
}

void LrCompletion::push(std::int32_t n, std::int32_t top, const Exit& exit) {
  queue_.push({exit, n, top, sets_[static_cast<std::size_t>(exit.next)].size});
}

// `call` is above `n`, and the call has that exit.
void LrCompletion::relay(std::int32_t n, const Call& call, const Exit& exit) {
  Exit out = exit;
  out.cost = call.cost + exit.cost;
  out.first = call.first >= 0 ? call.first : exit.first;
  if (exit.pops == 1) {
    push(n, go(nodes_[static_cast<std::size_t>(n)].state, exit.lhs), out);
    return;
  }
  if (exit.pops > 1) --out.pops;
  push(n, kNothing, out);
}

// Exits come cheapest first. False where earlier ones do for all that may come next.
bool LrCompletion::add(std::vector<Exit>& to, const Exit& exit) const {
  std::vector<std::int32_t> same;
  for (const Exit& e : to)
    if (e.lhs == exit.lhs && e.pops == exit.pops) same.push_back(e.next);
  if (covered(same, exit.next)) return false;
  to.push_back(exit);
  return true;
}

void LrCompletion::take(const Entry& entry) {
  const std::size_t n = static_cast<std::size_t>(entry.node);
  const Exit& exit = entry.exit;
  if (entry.top < 0) {
    if (!add(nodes_[n].exits, exit)) return;
    count();
    for (std::size_t i = 0; i < nodes_[n].callers.size(); ++i) {
      const Call caller = nodes_[n].callers[i];
      relay(caller.node, caller, exit);
    }
    return;
  }
  if (!by_shift_[static_cast<std::size_t>(entry.top)]) {  // of the others, there is one entry
    std::vector<std::int32_t>& called = called_[pair_key(entry.node, entry.top)];
    if (covered(called, exit.next)) return;
    called.push_back(exit.next);
  }
  count();
  const std::int32_t top = find(entry.top, exit.next);
  const Call call{entry.node, exit.cost, exit.first};
  Node& above = nodes_[static_cast<std::size_t>(top)];
  above.callers.push_back(call);
  for (std::size_t i = 0; i < above.exits.size(); ++i) relay(entry.node, call, above.exits[i]);
}

const LrCompletion::Node& LrCompletion::node(std::int32_t state, std::int32_t next) {
  const std::int32_t n = find(state, next);
  while (!queue_.empty()) {
    const Entry entry = queue_.top();
    queue_.pop();
    take(entry);
  }
  return nodes_[static_cast<std::size_t>(n)];
}

const std::vector<LrCompletion::Exit>& LrCompletion::exits(std::int32_t below, std::int32_t top, std::int32_t next) {
  if (const auto known = above_.find({below, top, next}); known != above_.end()) return known->second;
  std::vector<Exit> out;
  std::unordered_map<std::int32_t, std::vector<std::int32_t>> seen;
  std::priority_queue<Entry> queue;
  queue.push({{kNothing, 0, next, {}, kNothing}, 0, top, 0});
  while (!queue.empty()) {
    const Entry entry = queue.top();
    queue.pop();
    if (entry.top < 0) {
      add(out, entry.exit);
      continue;
    }
    std::vector<std::int32_t>& before = seen[entry.top];
    if (covered(before, entry.exit.next)) continue;
    before.push_back(entry.exit.next);
    for (Exit e : node(entry.top, entry.exit.next).exits) {
      const std::int32_t reached = e.pops == 1 ? go(below, e.lhs) : kNothing;
      if (e.pops == 1 && reached < 0) continue;  // no stack has these states on top of each other
      if (e.pops > 0) --e.pops;
      e.cost = entry.exit.cost + e.cost;
      if (entry.exit.first >= 0) e.first = entry.exit.first;
      queue.push({e, 0, reached, sets_[static_cast<std::size_t>(e.next)].size});
    }
  }
  if (above_.size() >= kMostRemembered) above_.clear();
  return above_.emplace(Above{below, top, next}, std::move(out)).first->second;
}

LrCompletion::Best LrCompletion::alone(std::int32_t state, std::int32_t next) {
  for (const Exit& e : node(state, next).exits)
    if (e.pops == 0) return {e.cost, e.first};
  return {};
}

LrCompletion::Best LrCompletion::best(const std::vector<std::int32_t>& stack, std::int32_t next) {
  for (const std::int32_t state : stack)
    if (state < 0 || static_cast<std::size_t>(state) >= tables_.states.size()) throw std::invalid_argument("not a state: " + std::to_string(state));
  if (stack.empty()) throw std::invalid_argument("a stack has at least one state");
  struct Top {
    std::int32_t state, next;
    Best so_far;
  };
  const auto better = [](const Best& a, const Best& b) { return a.cost < b.cost; };
  // By its place in the stack: a state that can be there, as the top.
  std::vector<std::vector<Top>> tops(stack.size());
  tops.back().push_back({stack.back(), next, {{}, kNothing}});
  Best best;
  const auto follow = [](const Best& so_far, const Cost& cost, std::int32_t first) {
    return Best{so_far.cost + cost, so_far.first >= 0 ? so_far.first : first};
  };
  for (std::size_t place = stack.size() - 1; place > 0; --place) {
    for (const Top& top : tops[place]) {
      for (const Exit& e : exits(stack[place - 1], top.state, top.next)) {
        const Best reached = follow(top.so_far, e.cost, e.first);
        if (e.pops == 0) {
          if (better(reached, best)) best = reached;
          continue;
        }
        const std::size_t pops = static_cast<std::size_t>(e.pops);
        const std::int32_t state = pops < place ? go(stack[place - pops - 1], e.lhs) : kNothing;
        if (state < 0) continue;  // not a stack of the parser
        std::vector<Top>& there = tops[place - pops];
        const auto same = std::find_if(there.begin(), there.end(), [&](const Top& t) { return t.state == state && t.next == e.next; });
        if (same == there.end()) there.push_back({state, e.next, reached});
        else if (better(reached, same->so_far)) same->so_far = reached;
      }
    }
  }
  for (const Top& top : tops[0]) {
    const Best end = alone(top.state, top.next);
    if (!end.possible()) continue;
    const Best reached = follow(top.so_far, end.cost, end.first);
    if (better(reached, best)) best = reached;
  }
  return best;
}

// The states that can be `pops` places below each state, by walking back.
class LrCompletion::Below {
 public:
  explicit Below(const LrTables& tables) : before_(tables.states.size()) {
    for (std::size_t p = 0; p < tables.states.size(); ++p) {
      const auto add = [&](std::int32_t q) { before_[static_cast<std::size_t>(q)].push_back(static_cast<std::int32_t>(p)); };
      for (const auto& [t, q] : tables.states[p].actions)
        if (q >= 0) add(q);
      for (const auto& [n, q] : tables.states[p].gotos) add(q);
    }
  }
  const std::vector<std::int32_t>& operator()(std::int32_t state, std::int32_t pops) {
    std::vector<std::vector<std::int32_t>>& layers = layers_[state];
    if (layers.empty()) layers.push_back({state});
    while (layers.size() <= static_cast<std::size_t>(pops)) {
      std::vector<std::int32_t> next;
      for (const std::int32_t q : layers.back()) next.insert(next.end(), before_[static_cast<std::size_t>(q)].begin(), before_[static_cast<std::size_t>(q)].end());
      std::sort(next.begin(), next.end());
      next.erase(std::unique(next.begin(), next.end()), next.end());
      layers.push_back(std::move(next));
    }
    return layers[static_cast<std::size_t>(pops)];
  }

 private:
  std::vector<std::vector<std::int32_t>> before_;
  std::unordered_map<std::int32_t, std::vector<std::vector<std::int32_t>>> layers_;
};

// A cheap proof that is enough for most grammars, such as those with a dangling else: rules that some state loses are not used at all.
//
// Shifts win against reductions, so what is read by the other rules is read as if there were no conflicts. A stack is completed item by
// item: the top state has one, of such a rule, whose rest derives a text by such rules; reading that and reducing leaves a stack that is
// shorter, or as long where the item had one symbol before the dot. The latter come to an end if they lead to states of a lower rank:
// states with another way out are of the lowest, the others above all that such an item leads to, whatever is below.
bool LrCompletion::always_without_lost(const std::vector<LrRule>& rules, std::int32_t nonterminals, const std::vector<char>& matching) const {
  std::vector<char> kept(rules.size(), 1);
  for (const LrTables::State& state : tables_.states)
    for (const auto& [t, r] : state.lost) kept[static_cast<std::size_t>(r)] = 0;
  std::vector<LrRule> left;
  for (std::size_t r = 0; r < rules.size(); ++r)
    if (kept[r]) left.push_back(rules[r]);
  const std::vector<char> derives = deriving(left, nonterminals, matching);
  const auto read = [&](std::int32_t s) { return s >= 0 ? matching[static_cast<std::size_t>(s)] != 0 : derives[static_cast<std::size_t>(~s)] != 0; };
  std::vector<char> ranked(tables_.states.size(), 0);
  std::vector<std::pair<std::int32_t, std::int32_t>> single;  // states, and what their items with one symbol before the dot reduce to
  for (std::size_t p = 0; p < tables_.states.size(); ++p) {
    for (const auto& [r, dot] : tables_.states[p].kernel) {
      if (static_cast<std::size_t>(r) >= rules.size()) {  // start $END
        const auto begins = [&, rule = r](const LrTables::Pair& to) {
          const std::vector<LrTables::Pair>& items = tables_.states[static_cast<std::size_t>(to.second)].kernel;
          return read(~to.first) && std::find(items.begin(), items.end(), LrTables::Pair{rule, 1}) != items.end();
        };
        const std::vector<LrTables::Pair>& gotos = tables_.states[p].gotos;
        if (dot > 0 || std::any_of(gotos.begin(), gotos.end(), begins)) ranked[p] = 1;
        continue;
      }
      const LrRule& rule = rules[static_cast<std::size_t>(r)];
      if (!kept[static_cast<std::size_t>(r)] || !std::all_of(rule.rhs.begin() + dot, rule.rhs.end(), read)) continue;
      if (dot > 1) ranked[p] = 1;
      else single.emplace_back(static_cast<std::int32_t>(p), rule.lhs);
    }
  }
  Below below(tables_);
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& [p, lhs] : single) {
      char& done = ranked[static_cast<std::size_t>(p)];
      const auto known = [&, to = lhs](std::int32_t s) { return ranked[static_cast<std::size_t>(go(s, to))] != 0; };
      if (done) continue;
      const std::vector<std::int32_t>& under = below(p, 1);
      if (std::all_of(under.begin(), under.end(), known)) done = changed = true;
    }
  }
  return std::all_of(ranked.begin(), ranked.end(), [](char r) { return r != 0; });
}

// A state is live on every stack if one exit leads to such states whatever is below. Exits that make the stack shorter may rely
// on that in a circle, since stacks end; the others may not: a greatest fixpoint around a least one.
bool LrCompletion::find_always() {
  struct Way {
    bool shorter;
    std::vector<std::int32_t> to;
  };
  std::unordered_map<std::int32_t, std::size_t> place;  // of nodes
  std::vector<std::int32_t> order;
  const auto need = [&](std::int32_t state, std::int32_t next) {
    node(state, next);
    const std::int32_t n = find(state, next);
    const auto [at, made] = place.emplace(n, order.size());
    if (made) order.push_back(n);
    return static_cast<std::int32_t>(at->second);
  };
  for (const std::int32_t start : tables_.starts) need(start, kFree);
  for (const LrTables::State& state : tables_.states)
    for (const auto& [t, q] : state.actions)
      if (q >= 0 && t != terminals_) need(q, kFree);
  const std::ptrdiff_t roots = static_cast<std::ptrdiff_t>(order.size());
  Below below(tables_);
  std::vector<std::vector<Way>> ways;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::int32_t state = nodes_[static_cast<std::size_t>(order[i])].state;
    const std::vector<Exit> exits = nodes_[static_cast<std::size_t>(order[i])].exits;  // a copy: nodes are added
    std::vector<Way>& out = ways.emplace_back();
    for (const Exit& e : exits) {
      Way& way = out.emplace_back(Way{e.pops > 1, {}});
      if (e.pops == 0) continue;
      for (const std::int32_t s : below(state, e.pops)) way.to.push_back(need(go(s, e.lhs), e.next));
      std::sort(way.to.begin(), way.to.end());
      way.to.erase(std::unique(way.to.begin(), way.to.end()), way.to.end());
    }
  }
  std::vector<char> live(order.size(), 1);
  for (;;) {
    std::vector<char> now(order.size(), 0);
    const auto works = [&](const Way& way) {
      const std::vector<char>& known = way.shorter ? live : now;
      return std::all_of(way.to.begin(), way.to.end(), [&](std::int32_t i) { return known[static_cast<std::size_t>(i)] != 0; });
    };
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t i = 0; i < order.size(); ++i) {
        if (now[i] || std::none_of(ways[i].begin(), ways[i].end(), works)) continue;
        now[i] = 1;
        changed = true;
      }
    }
    if (now == live) break;
    live = std::move(now);
  }
  return std::all_of(live.begin(), live.begin() + roots, [](char l) { return l != 0; });
}

}  // namespace structgen
