// Completions of Lark grammars: whether there always is one, how long it is, and a shortest one.
#include <algorithm>
#include <map>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "engine.hpp"

namespace structgen {

namespace {

constexpr std::size_t kMostFacts = 5000000;
constexpr std::size_t kMostExits = 8;        // of a terminal that is looked at before it is allowed
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

// A proof by what is read behind what. A place is where a lexeme has ended, with what it obliges to; at each place, in each state of the parser that
// can be reached there, every terminal that the parser may take has to be readable, at once or behind something ignored. All terminals compete first, which is
// the hardest and shared by all states; where one does not succeed so, those compete that the state tries.
class LarkGrammar::Proof {
 public:
  explicit Proof(LarkGrammar& lark) : lark_(lark), scanner_(lark.scanner), every_(lark.scanner.terminal_set(lark.scanned)), targets_(lark.terminals.size()) {
    for (const LrTables::State& s : lark.tables.states)
      for (const auto& [t, action] : s.actions)
        if (t < lark.end() && action >= 0) targets_[static_cast<std::size_t>(t)].push_back(action);
    std::map<std::vector<std::int32_t>, std::int32_t> known;
    for (const LrTables::State& s : lark.tables.states) {
      std::vector<std::int32_t> taken;
      for (const auto& [t, action] : s.actions)
        if (taken.empty() || taken.back() != t) taken.push_back(t);
      alike_.push_back(known.emplace(std::move(taken), static_cast<std::int32_t>(known.size())).first->second);
    }
    for (std::vector<std::int32_t>& list : targets_) {
      std::sort(list.begin(), list.end());
      list.erase(std::unique(list.begin(), list.end()), list.end());
    }
    for (const std::int32_t t : lark.scanned)
      if (lark.ignored[static_cast<std::size_t>(t)]) separators_.push_back(t);
    lark.widths.assign(lark.terminals.size(), 1);
    for (std::size_t t = 0; t < lark.terminals.size(); ++t)
      if (lark.terminals[t].kind == Kind::kDeclared) lark.widths[t] = 0;
  }

  bool succeeds() {
    for (const std::int32_t start : lark_.tables.starts) add(number({0, 0}), start);
    while (!todo_.empty()) {
      const auto [place, state] = todo_.back();
      todo_.pop_back();
      if (places_.size() > kMostPlaces || !all_readable(place, state)) return false;
    }
    return true;
  }

  // Terminals behind which, however their lexeme ends, some terminal is not readable (a comment, behind which only a line can end): whether they
  // lead anywhere is looked at before they are allowed.
  // False where that depends on how the lexeme ends, by what looks back at it.
  bool find_fragile() {
    lark_.fragile.assign(lark_.terminals.size(), {});
    // Some are never read where all compete; that says nothing of what stands before them.
    std::vector<std::int32_t> all;
    for (const std::int32_t t : lark_.scanned)
      if (readable(number({0, 0}), alone(every_, t), t)) all.push_back(t);
    for (const std::int32_t t : lark_.scanned) {
      if (t == lark_.indenter.newline) continue;  // its column decides
      const std::int32_t only = scanner_.terminal_set({t});
      std::unordered_set<std::int32_t> met;
      std::vector<std::int32_t> exits;
      if (!scanner_.explore(scanner_.start(only, only, 0, 0), met, exits)) continue;
      const bool free = std::any_of(exits.begin(), exits.end(), [&](std::int32_t e) { return scanner_.exit(e).obligation == 0; });
      const bool looked_back_at = std::any_of(exits.begin(), exits.end(), [&](std::int32_t e) { return scanner_.exit(e).left != scanner_.exit(exits[0]).left; });
      if ((free && !looked_back_at) || places_.size() > kMostPlaces) continue;
      std::sort(exits.begin(), exits.end());
      exits.erase(std::unique(exits.begin(), exits.end()), exits.end());
      const auto leads_anywhere = [&](std::int32_t e) {
        const std::int32_t place = behind(e);
        return std::all_of(all.begin(), all.end(), [&](std::int32_t next) { return readable(place, alone(every_, next), next); });
      };
      const std::ptrdiff_t good = std::count_if(exits.begin(), exits.end(), leads_anywhere);
      if (looked_back_at && good > 0 && good < static_cast<std::ptrdiff_t>(exits.size())) return false;
      if (exits.size() <= kMostExits && good == 0) lark_.fragile[static_cast<std::size_t>(t)] = exits;
    }
    return true;
  }

 private:
  struct Place {
    Obligation obligation;
    Left left;
  };

  std::int32_t number(const Place& p) {
    for (std::size_t i = 0; i < places_.size(); ++i)
      if (places_[i].obligation == p.obligation && places_[i].left == p.left) return static_cast<std::int32_t>(i);
    places_.push_back(p);
    return static_cast<std::int32_t>(places_.size() - 1);
  }
  std::int32_t behind(std::int32_t exit) { return number({scanner_.exit(exit).obligation, scanner_.exit(exit).left}); }
  void add(std::int32_t place, std::int32_t state) {
    // States that take the same terminals are one.
    const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(place)) << 32) | static_cast<std::uint32_t>(alike_[static_cast<std::size_t>(state)]);
    if (seen_.get(key, 0) == 0) {
      seen_.put(key, 1);
      todo_.emplace_back(place, state);
    }
  }
  void reach(std::int32_t place, std::int32_t terminal) {
    for (const std::int32_t q : targets_[static_cast<std::size_t>(terminal)]) add(place, q);
  }

  // Among these competitors, from a place; memoised.
  const Scanner::Realized& read(std::int32_t place, std::int32_t set, std::int32_t terminal) {
    std::vector<std::pair<bool, Scanner::Realized>>& row = read_[(static_cast<std::uint64_t>(static_cast<std::uint32_t>(place)) << 32) | static_cast<std::uint32_t>(set)];
    if (row.empty()) row.resize(lark_.terminals.size());
    auto& [known, found] = row[static_cast<std::size_t>(terminal)];
    if (!known) {
      known = true;
      const Place p = places_[static_cast<std::size_t>(place)];
      found = scanner_.realize(set, terminal, p.obligation, p.left);
    }
    return found;
  }

  bool readable(std::int32_t place, std::int32_t set, std::int32_t terminal) {
    const auto take = [&](const Scanner::Realized& found, std::int64_t before) {
      if (found.exit < 0) return false;
      std::int64_t& width = lark_.widths[static_cast<std::size_t>(terminal)];
      width = std::max(width, before + found.length);
      reach(behind(found.exit), terminal);
      return true;
    };
    if (take(read(place, set, terminal), 0)) return true;
    for (const std::int32_t s : separators_) {
      const Scanner::Realized between = read(place, alone(set, s), s);
      if (between.exit >= 0 && take(read(behind(between.exit), set, terminal), between.length)) return true;
    }
    return false;
  }
  std::int32_t alone(std::int32_t set, std::int32_t terminal) const {
    return lark_.alone() ? scanner_.terminal_set({terminal}) : set;
  }

  bool all_readable(std::int32_t place, std::int32_t state) {
    for (const auto& [t, action] : lark_.tables.states[static_cast<std::size_t>(state)].actions) {
      if (t == lark_.end()) {
        const auto ends = [&](std::int32_t p) { return scanner_.may_end(places_[static_cast<std::size_t>(p)].obligation); };
        const auto separates = [&](std::int32_t s) {
          const Scanner::Realized between = read(place, alone(every_, s), s);
          return between.exit >= 0 && ends(behind(between.exit));
        };
        if (!ends(place) && std::none_of(separators_.begin(), separators_.end(), separates)) return false;
      } else if (lark_.terminals[static_cast<std::size_t>(t)].kind == Kind::kDeclared) {
        reach(place, t);
      } else if (lark_.terminals[static_cast<std::size_t>(t)].kind != Kind::kPattern) {
        reach(number({0, 0}), t);
      } else if (lark_.ignored[static_cast<std::size_t>(t)]) {
        return false;  // rare; only some of its lexemes count
      } else if (!readable(place, alone(every_, t), t) && (lark_.mode != Mode::kContextual || !readable(place, lark_.tried(state), t))) {
        return false;
      }
    }
    return true;
  }

  LarkGrammar& lark_;
  Scanner& scanner_;
  std::int32_t every_;
  std::vector<std::int32_t> separators_;
  std::vector<std::vector<std::int32_t>> targets_;  // states behind each terminal
  std::vector<Place> places_;
  std::vector<std::pair<std::int32_t, std::int32_t>> todo_;  // place, state
  std::vector<std::int32_t> alike_;
  FlatMap seen_;
  std::unordered_map<std::uint64_t, std::vector<std::pair<bool, Scanner::Realized>>> read_;
};

void LarkGrammar::find_always() {
  Proof proof(*this);
  if (indents && indenter.newline >= 0) {
    const std::int32_t newline = scanner.terminal_set({indenter.newline});
    Scan q = scanner.start(newline, newline, 0, 0);
    for (const std::uint8_t byte : {'\n', ' ', '\n'})
      if (q != kDeadScan) q = scanner.next(q, byte);
    rebreaks = q != kDeadScan;
  }
  always = rebreaks && (general || !tables.conflicts || least().always()) && proof.succeeds() && proof.find_fragile();
}

// Bytes that complete a stack behind a lexeme. Zero, a lower bound, where stacks divide.
std::int64_t Engine::lark_cost(Stacks s, LrCompletion& costs) {
  const Entry* e = only(s);
  if (e && frames_[static_cast<std::size_t>(e->frame)].kind == kIndentFrame) e = only(s = e->below);
  std::vector<std::int32_t> states;
  for (; e; e = only(s = e->below)) states.push_back(frames_[static_cast<std::size_t>(e->frame)].at);
  if (s != kDone || states.empty()) return 0;
  if (states.size() == 1 && grammar_->lark()->empty_text) return 0;
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
