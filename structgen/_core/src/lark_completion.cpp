// Completions of Lark grammars: whether there always is one, how long it is, and a shortest one.
#include <algorithm>
#include <queue>
#include <unordered_map>

#include "engine.hpp"

namespace structgen {

namespace {

constexpr std::size_t kMostFacts = 5000000;
constexpr std::size_t kMostPlaces = 200;     // ways in which a lexeme can end that are checked beforehand
constexpr std::size_t kMostSearched = 100000;  // states
constexpr std::int64_t kLongest = 1 << 24;

}  // namespace

std::vector<std::int64_t> LarkGrammar::least_widths() const {
  std::vector<std::int64_t> out;
  for (const Terminal& t : terminals) out.push_back(t.kind == Kind::kPattern ? scanner.patterns[t.handle].min_length : t.kind == Kind::kDeclared ? 0 : 1);
  return out;
}

LrCompletion& LarkGrammar::least() {
  if (!least_) least_ = std::make_unique<LrCompletion>(tables, rules, end(), symbols, least_widths(), kMostFacts);
  return *least_;
}

LrCompletion& LarkGrammar::enough() {
  if (!enough_) enough_ = std::make_unique<LrCompletion>(tables, rules, end(), symbols, widths, kMostFacts);
  return *enough_;
}

// A proof by what is read behind what: every terminal can be read wherever a lexeme has ended, be it behind something ignored. All terminals compete at
// once there, which leaves the strictest obligations, and those that do not succeed so are looked at in every state of the parser that tries them.
void LarkGrammar::find_always() {
  always = false;
  if (!general && tables.conflicts && !least().always()) return;
  struct Place {
    Obligation obligation;
    Left left;
  };
  std::vector<Place> places{{0, 0}};
  const auto add = [&](std::int32_t exit) {
    const ScanExit& e = scanner.exit(exit);
    if (std::none_of(places.begin(), places.end(), [&](const Place& p) { return p.obligation == e.obligation && p.left == e.left; })) places.push_back({e.obligation, e.left});
  };
  std::vector<std::int32_t> used, separators;
  std::vector<std::vector<std::int32_t>> triers(terminals.size());  // sets in which a terminal is tried
  for (const std::int32_t t : scanned) (ignored[static_cast<std::size_t>(t)] ? separators : used).push_back(t);
  const std::int32_t every = scanner.terminal_set(scanned);
  const bool alone = mode == Mode::kDynamic || mode == Mode::kDynamicComplete;
  for (std::size_t s = 0; mode == Mode::kContextual && s < tables.states.size(); ++s) {
    const std::int32_t set = tried(static_cast<std::int32_t>(s));
    for (const auto& [t, action] : tables.states[s].actions)
      if (t < end() && std::find(triers[static_cast<std::size_t>(t)].begin(), triers[static_cast<std::size_t>(t)].end(), set) == triers[static_cast<std::size_t>(t)].end())
        triers[static_cast<std::size_t>(t)].push_back(set);
  }
  widths.assign(terminals.size(), 1);
  for (std::size_t t = 0; t < terminals.size(); ++t)
    if (terminals[t].kind == Kind::kDeclared) widths[t] = 0;
  // In a set of competitors: at once, or behind a separator.
  const auto readable = [&](std::int32_t t, const Place& p, std::int32_t set) {
    const Scanner::Realized here = scanner.realize(set, t, p.obligation, p.left);
    if (here.exit >= 0) {
      add(here.exit);
      widths[static_cast<std::size_t>(t)] = std::max<std::int64_t>(widths[static_cast<std::size_t>(t)], here.length);
      return true;
    }
    for (const std::int32_t s : separators) {
      const Scanner::Realized between = scanner.realize(alone ? scanner.terminal_set({s}) : set, s, p.obligation, p.left);
      if (between.exit < 0) continue;
      const ScanExit e = scanner.exit(between.exit);
      const Scanner::Realized behind = scanner.realize(set, t, e.obligation, e.left);
      if (behind.exit < 0) continue;
      add(behind.exit);
      widths[static_cast<std::size_t>(t)] = std::max<std::int64_t>(widths[static_cast<std::size_t>(t)], between.length + behind.length);
      return true;
    }
    return false;
  };
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places.size() > kMostPlaces) return;
    const Place p = places[i];
    if (!scanner.may_end(p.obligation)) return;
    for (const std::int32_t t : used) {
      if (readable(t, p, alone ? scanner.terminal_set({t}) : every)) continue;
      if (mode != Mode::kContextual) return;
      for (const std::int32_t set : triers[static_cast<std::size_t>(t)])
        if (!readable(t, p, set)) return;
    }
  }
  always = true;
}

// Bytes that complete a stack behind a lexeme. Zero, a lower bound, where stacks divide.
std::int64_t Engine::lark_cost(Stacks s, LrCompletion& costs) {
  const Entry* e = only(s);
  if (e && frames_[static_cast<std::size_t>(e->frame)].kind == kIndentFrame) e = only(s = e->below);
  std::vector<std::int32_t> states;
  for (; e; e = only(s = e->below)) states.push_back(frames_[static_cast<std::size_t>(e->frame)].at);
  if (s != kDone || states.empty()) return 0;
  std::reverse(states.begin(), states.end());
  return costs.best(states).cost.cost;
}

std::int64_t Engine::lark_cost(const Item& item, bool enough) {
  LarkGrammar& lark = *grammar_->lark();
  LrCompletion& costs = enough ? lark.enough() : lark.least();
  if (is_special(item.lex)) return 1 + lark_cost(item.stacks, costs);
  if (!is_scan(item.lex)) return 0;
  const Scan q = item.lex - kScanBase;
  std::int64_t least = LrCompletion::kImpossible;
  const auto consider = [&](ScanExit e, std::int64_t length) {
    // Any column will do: what is indented can be closed.
    if (e.terminal == lark.indenter.newline) {
      const Entry* top = only(item.stacks);
      e.new_line = true;
      e.indent = top ? lark.level(frames_[static_cast<std::size_t>(top->frame)].at).column : 0;
    }
    const Stacks behind = feed(item.stacks, e);
    if (behind != kNoStack) least = std::min(least, length + lark_cost(behind, costs));
  };
  if (enough) {
    const std::vector<std::pair<std::int32_t, std::int32_t>> ways = lark.scanner.finishes(q);
    for (const auto& [exit, length] : ways) consider(lark.scanner.exit(exit), length);
  } else {
    for (const auto& [terminal, length] : lark.scanner.distances(q)) consider({terminal, 0, 0}, length);
  }
  return least;
}

// Best first by the bytes so far and those that are left at least. Marks what it learns of states; with `any`, a state that is known to be
// completable is as good as an end.
std::string Engine::search_bytes(State start, bool any) {
  struct Entry {
    std::int64_t total, so_far;
    State s;
    bool operator<(const Entry& o) const { return total != o.total ? total > o.total : so_far != o.so_far ? so_far < o.so_far : s > o.s; }
  };
  struct Way {
    State from;
    std::uint8_t byte;
    std::int64_t so_far;
  };
  const auto left = [&](State s) {
    std::int64_t least = LrCompletion::kImpossible;
    for (const Item& item : items(s)) least = std::min(least, lark_cost(item, false));
    return least;
  };
  std::unordered_map<State, Way> ways{{start, {kDead, 0, 0}}};
  std::priority_queue<Entry> queue;
  queue.push({0, 0, start});
  completable_.resize(std::max(completable_.size(), states()), -1);
  const auto known = [&](State s) { return static_cast<std::size_t>(s) < completable_.size() ? completable_[static_cast<std::size_t>(s)] : std::int8_t{-1}; };
  while (!queue.empty()) {
    const Entry at = queue.top();
    queue.pop();
    if (at.so_far > ways.at(at.s).so_far || known(at.s) == 0) continue;
    if ((any && known(at.s) == 1) || accepts(at.s)) {
      completable_.resize(std::max(completable_.size(), states()), -1);
      std::string text;
      for (State s = at.s; s != start; s = ways.at(s).from) {
        completable_[static_cast<std::size_t>(s)] = 1;
        text.push_back(static_cast<char>(ways.at(s).byte));
      }
      completable_[static_cast<std::size_t>(start)] = 1;
      std::reverse(text.begin(), text.end());
      return text;
    }
    // ASCII first: it makes plainer texts.
    for (int b = 0; b < 256; ++b) {
      const std::uint8_t byte = static_cast<std::uint8_t>(b < 0x60 ? b + 0x20 : b < 0x80 ? b - 0x60 : b);
      const State to = advance_bytes(at.s, &byte, 1);
      if (to == kDead || known(to) == 0) continue;
      const auto [entry, fresh] = ways.emplace(to, Way{at.s, byte, at.so_far + 1});
      if (!fresh) {
        if (entry->second.so_far <= at.so_far + 1) continue;
        entry->second = {at.s, byte, at.so_far + 1};
      }
      if (ways.size() > kMostSearched) throw LimitError("finding a text that completes this one takes more than " + std::to_string(kMostSearched) + " states");
      const std::int64_t more = left(to);
      if (more < LrCompletion::kImpossible) queue.push({at.so_far + 1 + more, at.so_far + 1, to});
    }
  }
  completable_.resize(std::max(completable_.size(), states()), -1);
  for (const auto& entry : ways) completable_[static_cast<std::size_t>(entry.first)] = 0;
  return {};
}

// Tokens after which a completion within the budget is known.
void Engine::lark_mask_within(State s, std::int64_t budget, std::uint32_t* out) {
  const std::size_t words = vocabulary_->mask_words;
  std::vector<std::uint32_t> allowed(words);
  copy_mask(mask(s), allowed.data());
  std::fill(out, out + words, 0);
  std::unordered_map<State, bool> seen;
  const auto within = [&](State to) {
    if (to == kDead) return false;
    const auto [entry, fresh] = seen.emplace(to, false);
    if (!fresh) return entry->second;
    if (careful() || grammar_->remembers()) return entry->second = static_cast<std::int64_t>(shortest(to).size()) <= budget;
    std::int64_t least = accepts(to) ? 0 : LrCompletion::kImpossible;
    for (const Item& item : items(to)) least = std::min(least, lark_cost(item, true));
    return entry->second = least <= budget;
  };
  for (std::size_t t = 0; t < vocabulary_->size(); ++t) {
    if (!(allowed[t >> 5] >> (t & 31) & 1)) continue;
    const bool fits = vocabulary_->end[t] || within(vocabulary_->ordinary[t] ? advance_bytes(s, vocabulary_->token(t), vocabulary_->length(t)) : step_special(s, static_cast<std::uint32_t>(t)));
    if (fits) out[t >> 5] |= 1U << (t & 31);
  }
}

}  // namespace structgen
