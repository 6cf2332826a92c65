// Completions of Lark grammars: whether there always is one, how long it is, and a shortest one.
#include <algorithm>
#include <map>
#include <queue>
#include <unordered_map>
#include <unordered_set>

#include "engine.hpp"
#include "lark_liveness.hpp"

namespace structgen {

namespace {

constexpr std::size_t kMostSearched = 100000;  // states
constexpr std::size_t kMostScanned = 500;      // states of the scanner, to tell that a terminal matches nothing
constexpr std::int64_t kLongest = 1 << 24;

}  // namespace

std::vector<std::int64_t> LarkGrammar::least_widths() {
  std::vector<std::int64_t> out;
  for (const Terminal& t : terminals) out.push_back(t.kind == Kind::kPattern ? scanner.patterns[t.handle].min_length : t.kind == Kind::kDeclared ? 0 : 1);
  for (const std::int32_t t : scanned)
    if (never_matches(t)) out[static_cast<std::size_t>(t)] = LrCompletion::kImpossible;
  return out;
}

// Whether assertions contradict each other, or the pattern, whatever is in front of a terminal and behind it. Others than it don't compete.
bool LarkGrammar::never_matches(std::int32_t terminal) {
  const Terminal& t = terminals[static_cast<std::size_t>(terminal)];
  if (t.kind != Kind::kPattern || !scanner.patterns[t.handle].asserts) return false;
  bool never = true;
  const bool done = scanner.within(kMostScanned, [&] {
    const std::int32_t alone = scanner.terminal_set({terminal});
    for (Left left = 0; left < scanner.left_contexts() && never; ++left) {
      const Scan q = scanner.start(alone, alone, 0, left);
      std::vector<std::int32_t> exits;
      never = q == kDeadScan || (scanner.explore(q, exits) && exits.empty());
    }
  });
  return done && never;
}

LrCompletion& LarkGrammar::least() {
  if (!least_) least_ = std::make_unique<LrCompletion>(tables, rules, end(), symbols, least_widths(), kMostFacts);
  return *least_;
}

LrCompletion& LarkGrammar::enough() {
  if (!enough_ || enough_version_ != liveness_->version()) {
    enough_version_ = liveness_->version();
    enough_ = std::make_unique<LrCompletion>(tables, rules, end(), symbols, liveness_->widths(), kMostFacts);
  }
  return *enough_;
}

LarkGrammar::LarkGrammar(Lexer& lexer) : scanner(lexer), liveness_(std::make_unique<Liveness>(*this)) { scanner.proof = liveness_.get(); }
LarkGrammar::~LarkGrammar() = default;

void LarkGrammar::find_rebreaks() {
  if (!indents || indenter.newline < 0) return;
  const std::int32_t newline = scanner.terminal_set({indenter.newline});
  Scan q = scanner.start(newline, newline, 0, 0);
  for (const std::uint8_t byte : {'\n', ' ', '\n'})
    if (q != kDeadScan) q = scanner.next(q, byte);
  rebreaks = q != kDeadScan;
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
  const auto consider = [&](const ScanExit& e, std::int64_t length) {
    const Stacks behind = feed_anywhere(item, e);
    if (behind == kNoStack || (enough && !is_good(behind, e.obligation, e.left))) return;
    least = std::min(least, length + lark_cost(behind, costs));
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
std::optional<std::string> Engine::search_bytes(State start, bool any) {
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
  LarkGrammar& lark = *grammar_->lark();
  const bool proved = lark.liveness().holds();
  const auto can_be_completed = [&](State s) {
    if (known(s) == 1) return true;
    const Items here = items(s);
    return proved && std::any_of(here.begin(), here.end(), [&](const Item& item) { return is_lexeme(item.lex) || is_special(item.lex) || (is_scan(item.lex) && lark.scanner.plain(item.lex - kScanBase)); });
  };
  // ASCII first: it makes plainer texts.
  std::vector<std::uint8_t> every;
  for (int b = 0; b < 256; ++b) every.push_back(static_cast<std::uint8_t>(b < 0x60 ? b + 0x20 : b < 0x80 ? b - 0x60 : b));
  std::size_t work = 0;
  Items in, out;
  const auto read_byte = [&](State s, std::uint8_t byte) {
    in = items(s);
    Text read = text(s);
    advance(in, byte, out, grammar_->remembers() ? &read : nullptr);
    return intern(out, read);
  };
  while (!queue.empty()) {
    const Entry at = queue.top();
    queue.pop();
    if (at.so_far > ways.at(at.s).so_far || known(at.s) == 0) continue;
    if ((any && can_be_completed(at.s)) || accepts(at.s)) {
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
    const Items here = items(at.s);
    const bool few = any && lark.any_text < 0 && std::all_of(here.begin(), here.end(), [&](const Item& i) { return is_scan(i.lex) && lark.scanner.between_characters(i.lex - kScanBase); });
    for (const std::uint8_t byte : few ? lark.scanner.representatives() : every) {
      const State to = read_byte(at.s, byte);
      if (to == kDead || known(to) == 0) continue;
      const auto [entry, fresh] = ways.emplace(to, Way{at.s, byte, at.so_far + 1});
      if (!fresh) {
        if (entry->second.so_far <= at.so_far + 1) continue;
        entry->second = {at.s, byte, at.so_far + 1};
      }
      for (const Item& item : items(to)) work += 1 + (any ? search_cost(item) : 0);
      if (work > kMostSearched) throw LimitError("finding a text that completes this one takes more than " + std::to_string(kMostSearched) + " states");
      const std::int64_t more = left(to);
      if (more < LrCompletion::kImpossible) queue.push({at.so_far + 1 + more, at.so_far + 1, to});
    }
  }
  completable_.resize(std::max(completable_.size(), states()), -1);
  for (const auto& entry : ways) completable_[static_cast<std::size_t>(entry.first)] = 0;
  return std::nullopt;
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
    const Items here = items(to);
    for (const Item& item : here)
      if (!is_lexeme(item.lex) && !is_bound(item.lex)) least = std::min(least, lark_cost(item, true));
    if (least >= LrCompletion::kImpossible) least = static_cast<std::int64_t>(shortest(to).size());
    return entry->second = least <= budget;
  };
  for (std::size_t t = 0; t < vocabulary_->size(); ++t) {
    if (!(allowed[t >> 5] >> (t & 31) & 1)) continue;
    const bool fits = vocabulary_->end[t] || within(read_token(s, static_cast<std::uint32_t>(t)));
    if (fits) out[t >> 5] |= 1U << (t & 31);
  }
}

}  // namespace structgen
