// Dead ends of Lark grammars that the proof (lark_liveness.hpp) leaves open: whether anything completes an item is looked at before it is kept.
#include <algorithm>
#include <limits>
#include <tuple>

#include "engine.hpp"
#include "lark_liveness.hpp"

namespace structgen {

namespace {

constexpr int kLookahead = 2;  // lexemes
constexpr std::size_t kMostSearched = 500;  // states of the scanner, to tell whether a terminal can match

}  // namespace

// The stacks behind an exit that may be some bytes away. Of a newline any column will do: what is indented can be closed.
Stacks Engine::feed_anywhere(const Item& item, ScanExit e) {
  LarkGrammar& lark = *grammar_->lark();
  if (lark.indents && e.terminal == lark.indenter.newline) {
    const Entry* top = only(item.stacks);
    e.new_line = true;
    e.indent = top ? lark.level(frames_[static_cast<std::size_t>(top->frame)].at).column : 0;
  }
  return feed(item.stacks, e);
}

// The parser's stacks one by one, each with the indentation around it.
std::vector<Engine::Parser> Engine::parsers(Stacks s) {
  std::vector<Parser> out;
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  const auto add = [&](bool indented, const Frame& f, Stacks lr) {
    const StackSet inner = sets_[static_cast<std::size_t>(lr)];
    for (std::uint32_t j = inner.begin; j < inner.end; ++j) out.push_back({indented, f, intern_set({entries_[j]}, false)});
  };
  if (!grammar_->lark()->indents) {
    add(false, {}, s);
    return out;
  }
  lowest_ = std::min(lowest_, set.depth);
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Entry e = entries_[i];
    const Frame f = frames_[static_cast<std::size_t>(e.frame)];
    add(true, f, e.below);
  }
  return out;
}

// Whether it is proved that a stack can be completed from a place.
bool Engine::is_good(Stacks s, Obligation obligation, Left left) {
  Liveness& liveness = grammar_->lark()->liveness();
  const Place place = liveness.place(obligation, left);
  const std::vector<Parser> found = parsers(s);
  return std::any_of(found.begin(), found.end(), [&](const Parser& p) { return liveness.good(place, state_of(p.lr)); });
}

// By reading some lexemes, one text of each terminal. Dead where none can even begin.
Engine::Outlook Engine::outlook(Stacks s, Obligation obligation, Left left, int depth) {
  LarkGrammar& lark = *grammar_->lark();
  Scanner& scanner = lark.scanner;
  if (is_good(s, obligation, left) || (scanner.may_end(obligation) && lark_accepts(s))) return Outlook::kLive;
  if (!lark.liveness().hopeful(lark.liveness().place(obligation, left))) return Outlook::kDead;
  bool begins = false;
  for (const auto& [indented, frame, lr] : parsers(s)) {
    const bool bracketed = indented && frame.count > 0;
    const Stacks here = indented ? push(frame, lr) : lr;
    const std::int32_t tried = lark.tried(state_of(lr));
    const std::vector<std::int32_t> winners = scanner.terminals(wanted(lr, tried, bracketed));
    for (const std::int32_t t : lark.embedded)
      begins = begins || lark.ignored[static_cast<std::size_t>(t)] || takes(lr, t);
    for (const std::int32_t winner : winners) {
      const std::int32_t t = winner % lark.end();
      const std::int32_t compete = lark.alone() ? scanner.terminal_set({t}) : tried;
      Scan first = kDeadScan;
      Scanner::Realized read;
      const bool done = scanner.within(kMostSearched, [&] {
        first = scanner.start(compete, scanner.terminal_set({winner}), obligation, left);
        if (first == kDeadScan || depth == 0) return;
        read = scanner.realize(compete, t, obligation, left);
      });
      begins = begins || first != kDeadScan || !done;
      if (read.exit < 0) continue;
      const ScanExit e = scanner.exit(read.exit);
      const Stacks behind = feed_anywhere({kDeadLex, here}, e);
      if (behind != kNoStack && outlook(behind, e.obligation, e.left, depth - 1) == Outlook::kLive) return Outlook::kLive;
    }
  }
  return begins ? Outlook::kUnknown : Outlook::kDead;
}

Engine::Outlook Engine::outlook(const Item& item) {
  if (is_bound(item.lex)) return Outlook::kUnknown;
  std::vector<std::int32_t> exits;
  bool unknown = !grammar_->lark()->scanner.explore(item.lex - kScanBase, exits);
  for (const std::int32_t number : exits) {
    const ScanExit e = grammar_->lark()->scanner.exit(number);
    const Stacks behind = feed_anywhere(item, e);
    if (behind == kNoStack) continue;
    const Outlook found = outlook(behind, e.obligation, e.left, kLookahead);
    if (found == Outlook::kLive) return found;
    unknown = unknown || found == Outlook::kUnknown;
  }
  return unknown ? Outlook::kUnknown : Outlook::kDead;
}

// Whether anything completes an item of the scanner, or a bound one; exactly.
bool Engine::live(const Item& item) {
  if (searching_ || careful()) return true;  // decided for the state as a whole
  const std::uint64_t key = pair_key(item.lex, item.stacks);
  std::int32_t known = live_index_.get(key, -1);
  if (known < 0) {
    const std::int32_t lowest = lowest_;
    lowest_ = std::numeric_limits<std::int32_t>::max();
    const Outlook found = outlook(item);
    bool is_live = found == Outlook::kLive;
    if (found == Outlook::kUnknown) {
      lowest_ = 0;
      searching_ = true;
      try {
        is_live = search_bytes(intern({item}, {}), true).has_value();
      } catch (...) {
        searching_ = false;
        throw;
      }
      searching_ = false;
    }
    known = static_cast<std::int32_t>(lives_.size());
    lives_.push_back({is_live, lowest_});
    live_index_.put(key, known);
    lowest_ = lowest;
  }
  lowest_ = std::min(lowest_, lives_[static_cast<std::size_t>(known)].second);
  return lives_[static_cast<std::size_t>(known)].first;
}

std::vector<std::int32_t> LarkGrammar::short_text() const {
  constexpr std::size_t kMostTerminals = 1000;
  constexpr std::int64_t kNone = std::int64_t{1} << 40;
  std::vector<std::int64_t> costs(static_cast<std::size_t>(symbols), kNone);
  std::vector<std::int32_t> best(costs.size(), -1);
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t r = 0; r < rules.size(); ++r) {
      std::int64_t cost = 1;
      for (const std::int32_t s : rules[r].rhs) cost = std::min(kNone, cost + (s >= 0 ? 1 : costs[static_cast<std::size_t>(~s)]));
      std::int64_t& known = costs[static_cast<std::size_t>(rules[r].lhs)];
      if (cost >= known) continue;
      known = cost;
      best[static_cast<std::size_t>(rules[r].lhs)] = static_cast<std::int32_t>(r);
      changed = true;
    }
  }
  std::vector<std::int32_t> out, todo;
  const auto start = std::min_element(starts.begin(), starts.end(), [&](std::int32_t a, std::int32_t b) { return costs[static_cast<std::size_t>(a)] < costs[static_cast<std::size_t>(b)]; });
  if (start == starts.end() || costs[static_cast<std::size_t>(*start)] >= kNone) return {};
  todo.push_back(~*start);
  while (!todo.empty() && out.size() < kMostTerminals) {
    const std::int32_t s = todo.back();
    todo.pop_back();
    if (s >= 0) {
      out.push_back(s);
      continue;
    }
    const std::vector<std::int32_t>& rhs = rules[static_cast<std::size_t>(best[static_cast<std::size_t>(~s)])].rhs;
    todo.insert(todo.end(), rhs.rbegin(), rhs.rend());
  }
  return todo.empty() ? out : std::vector<std::int32_t>{};
}

// Whether a text of these terminals is parsed, as far as one text of each tells, with something ignored between them where need be.
bool Engine::reads(const std::vector<std::int32_t>& terminals) {
  LarkGrammar& lark = *grammar_->lark();
  Scanner& scanner = lark.scanner;
  Stacks at = lark_start(kDone);
  Obligation obligation = 0;
  Left left = 0;
  const auto read = [&](std::int32_t t) {
    const std::vector<Parser> found = parsers(at);
    if (found.size() != 1) return false;
    const Scanner::Realized text = scanner.realize(lark.alone() ? scanner.terminal_set({t}) : lark.tried(state_of(found[0].lr)), t, obligation, left);
    if (text.exit < 0) return false;
    const ScanExit e = scanner.exit(text.exit);
    const Stacks behind = feed(at, e);
    if (behind == kNoStack) return false;
    at = behind;
    obligation = e.obligation;
    left = e.left;
    return true;
  };
  const auto separated = [&](auto&& next) {
    if (next()) return true;
    const auto before = std::make_tuple(at, obligation, left);
    return std::any_of(lark.scanned.begin(), lark.scanned.end(), [&](std::int32_t s) {
      std::tie(at, obligation, left) = before;
      return lark.ignored[static_cast<std::size_t>(s)] && read(s) && next();
    });
  };
  for (const std::int32_t t : terminals) {
    const LarkGrammar::Terminal& terminal = lark.terminals[static_cast<std::size_t>(t)];
    if (terminal.kind != LarkGrammar::Kind::kPattern || !separated([&] { return read(t); })) return false;
  }
  return separated([&] { return scanner.may_end(obligation) && lark_accepts(at); });
}

bool Engine::inhabited() {
  // A text that is easily found spares the proof, which is not needed before the first mask.
  if (LarkGrammar* lark = grammar_->lark(); lark && vocabulary_->byte_complete && !lark->indents && reads(lark->short_text())) return true;
  return completable(start_);
}

}  // namespace structgen
