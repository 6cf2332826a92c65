// The parser of Lark grammars: stacks of LR states as sets of stacks, and what can come next on them.
#include <algorithm>
#include <limits>
#include <set>

#include "engine.hpp"

namespace structgen {

namespace {

constexpr std::size_t kMostReductions = 200000;  // before one terminal

}  // namespace

std::int32_t LarkGrammar::tried(std::int32_t state) {
  if (tried_.empty()) tried_.assign(mode == Mode::kContextual ? tables.states.size() : 1, -1);
  std::int32_t& memo = tried_[mode == Mode::kContextual ? static_cast<std::size_t>(state) : 0];
  if (memo >= 0) return memo;
  std::vector<std::int32_t> found;
  if (mode == Mode::kContextual) {
    for (const auto& [terminal, action] : tables.states[static_cast<std::size_t>(state)].actions)
      if (terminal < end() && terminals[static_cast<std::size_t>(terminal)].kind == Kind::kPattern) found.push_back(terminal);
    for (const std::int32_t t : scanned)
      if (ignored[static_cast<std::size_t>(t)]) found.push_back(t);
    if (indents && indenter.newline >= 0) found.push_back(indenter.newline);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
  } else {
    found = scanned;
  }
  return memo = scanner.terminal_set(found);
}

void LarkGrammar::find_followers() {
  const std::size_t count = terminals.size();
  std::vector<std::vector<std::int32_t>> found(count), reached(count);
  for (const LrTables::State& s : tables.states)
    for (const auto& [terminal, action] : s.actions)
      if (action >= 0 && terminal < end()) reached[static_cast<std::size_t>(terminal)].push_back(action);
  std::vector<std::size_t> last(count, count);  // whom each terminal was last found to follow
  for (std::size_t t = 0; t < count; ++t) {
    std::sort(reached[t].begin(), reached[t].end());
    reached[t].erase(std::unique(reached[t].begin(), reached[t].end()), reached[t].end());
    for (const std::int32_t state : reached[t])
      for (const auto& [next, action] : tables.states[static_cast<std::size_t>(state)].actions) {
        if (next >= end() || last[static_cast<std::size_t>(next)] == t) continue;
        last[static_cast<std::size_t>(next)] = t;
        found[t].push_back(next);
      }
  }
  const auto add = [&](std::int32_t to, std::int32_t from) {
    if (to < 0 || from < 0 || to == from) return;
    const std::vector<std::int32_t> more = found[static_cast<std::size_t>(from)];
    found[static_cast<std::size_t>(to)].insert(found[static_cast<std::size_t>(to)].end(), more.begin(), more.end());
  };
  // A newline stands for the indentation that comes with it, too.
  add(indenter.newline, indenter.indent);
  add(indenter.newline, indenter.dedent);
  std::vector<bool> embeds(count, false);
  for (std::size_t t = 0; t < count; ++t) {
    std::vector<std::int32_t>& list = found[t];
    if (ignored[t])
      for (std::size_t any = 0; any < count; ++any) list.push_back(static_cast<std::int32_t>(any));
    for (const std::int32_t f : list) embeds[t] = embeds[t] || terminals[static_cast<std::size_t>(f)].kind == Kind::kExpression;
    for (const std::int32_t s : scanned)
      if (ignored[static_cast<std::size_t>(s)] || s == indenter.newline) list.push_back(s);
    list.erase(std::remove_if(list.begin(), list.end(), [&](std::int32_t f) { return f == any_text || terminals[static_cast<std::size_t>(f)].kind != Kind::kPattern; }), list.end());
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
  }
  scanner.set_followers(found, std::move(embeds), scanned);
}

std::int32_t LarkGrammar::indented(std::int32_t outer, std::int32_t column) {
  const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(outer)) << 32) | static_cast<std::uint32_t>(column);
  const std::int32_t known = level_index_.get(key, -1);
  if (known >= 0) return known;
  levels_.push_back({outer, column});
  level_index_.put(key, static_cast<std::int32_t>(levels_.size() - 1));
  return static_cast<std::int32_t>(levels_.size() - 1);
}

namespace {

// The actions on a terminal: a range of the sorted list.
std::pair<std::size_t, std::size_t> actions_on(const LrTables::State& s, std::int32_t terminal) {
  const auto less = [](const LrTables::Pair& p, std::int32_t t) { return p.first < t; };
  const auto first = std::lower_bound(s.actions.begin(), s.actions.end(), terminal, less);
  auto last = first;
  while (last != s.actions.end() && last->first == terminal) ++last;
  return {static_cast<std::size_t>(first - s.actions.begin()), static_cast<std::size_t>(last - s.actions.begin())};
}

std::int32_t goto_on(const LrTables::State& s, std::int32_t nonterminal) {
  const auto less = [](const LrTables::Pair& p, std::int32_t n) { return p.first < n; };
  return std::lower_bound(s.gotos.begin(), s.gotos.end(), nonterminal, less)->second;
}

}  // namespace

Stacks Engine::lark_start(Stacks below) {
  if (below != kDone) throw std::invalid_argument("a Lark grammar must be the whole language, not a part of an expression");
  const LarkGrammar& lark = *grammar_->lark();
  Stacks s = kNoStack;
  for (const std::int32_t start : lark.tables.starts) {
    const Stacks one = push({kLrFrame, kFirst, 0, start, 0, 0, 0}, below);
    s = s == kNoStack ? one : unite(s, one);
  }
  return lark.indents ? push({kIndentFrame, kFirst, 0, 0, 0, -1, 0}, s) : s;
}

// The stacks after a terminal of the grammar; kNoStack where the parser refuses it.
Stacks Engine::shift(Stacks s, std::int32_t terminal) {
  if (recorder_) note_shift(s, terminal);
  const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(s)) << 32) | static_cast<std::uint32_t>(terminal);
  std::int32_t known = shift_index_.get(key, -1);
  if (known < 0) {
    const std::int32_t lowest = lowest_;
    lowest_ = std::numeric_limits<std::int32_t>::max();
    const Stacks to = shift_one(s, terminal);
    known = static_cast<std::int32_t>(shifts_.size());
    shifts_.push_back({to, lowest_});
    shift_index_.put(key, known);
    lowest_ = lowest;
  }
  const Shift& found = shifts_[static_cast<std::size_t>(known)];
  lowest_ = std::min(lowest_, found.lowest);
  return found.to;
}

// The only entry of a set of stacks, or null.
const Engine::Entry* Engine::only(Stacks s) const {
  const StackSet& set = sets_[static_cast<std::size_t>(s)];
  return set.end - set.begin == 1 ? &entries_[set.begin] : nullptr;
}

// The state of the parser on top of a single stack.
std::int32_t Engine::state_of(Stacks s) {
  lowest_ = std::min(lowest_, sets_[static_cast<std::size_t>(s)].depth);
  return frames_[static_cast<std::size_t>(only(s)->frame)].at;
}

// A reduction on the states `above` a stack. False where the stack divides.
bool Engine::reduce(const LrRule& rule, Stacks& base, std::vector<std::int32_t>& above) {
  std::size_t pops = rule.rhs.size();
  const std::size_t here = std::min(pops, above.size());
  above.resize(above.size() - here);
  for (pops -= here; pops > 0; --pops) {
    state_of(base);
    base = only(base)->below;
    if (!only(base)) return false;
  }
  const std::int32_t top = above.empty() ? state_of(base) : above.back();
  above.push_back(goto_on(grammar_->lark()->tables.states[static_cast<std::size_t>(top)], rule.lhs));
  return true;
}

// One stack and one action at a time: makes the reductions before a terminal on the side, down to `base` and the states `above` it. Gives the
// state that the terminal is shifted to, or kRefused, or kDivides where several stacks or actions have to be followed.
std::int32_t Engine::reduce_before(std::int32_t terminal, Stacks& base, std::vector<std::int32_t>& above) {
  const LarkGrammar& lark = *grammar_->lark();
  above.clear();
  if (lark.general || !only(base)) return kDivides;
  for (std::size_t reductions = 0;; ++reductions) {
    if (reductions > kMostReductions) throw LimitError("the grammar reduces more than " + std::to_string(kMostReductions) + " rules before one terminal");
    const std::int32_t top = above.empty() ? state_of(base) : above.back();
    const LrTables::State& state = lark.tables.states[static_cast<std::size_t>(top)];
    const auto [first, last] = actions_on(state, terminal);
    if (first == last) return kRefused;
    const std::int32_t action = state.actions[first].second;
    if (action >= 0) return action;
    if (!reduce(lark.rules[static_cast<std::size_t>(~action)], base, above)) return kDivides;
  }
}

// Only what is left of the reductions becomes a stack.
Stacks Engine::shift_one(Stacks s, std::int32_t terminal) {
  Stacks base = s;
  const std::int32_t to = reduce_before(terminal, base, reduced_);
  if (to == kRefused) return kNoStack;
  if (to == kDivides) return shift_all(s, terminal);
  for (const std::int32_t a : reduced_) base = push({kLrFrame, kFirst, 0, a, 0, 0, 0}, base);
  return push({kLrFrame, kFirst, 0, to, 0, 0, 0}, base);
}

// All stacks and all actions (Tomita 1985, on sets of stacks that share their tails).
Stacks Engine::shift_all(Stacks s, std::int32_t terminal) {
  const LarkGrammar& lark = *grammar_->lark();
  lowest_ = 0;
  std::vector<Entry> todo(entries_.begin() + sets_[static_cast<std::size_t>(s)].begin, entries_.begin() + sets_[static_cast<std::size_t>(s)].end), shifted;
  std::set<Entry> seen(todo.begin(), todo.end());
  std::vector<Stacks> bases, lower;
  while (!todo.empty()) {
    const Entry e = todo.back();
    todo.pop_back();
    if (seen.size() > kMostReductions) throw LimitError("the grammar reduces more than " + std::to_string(kMostReductions) + " rules before one terminal");
    const LrTables::State& state = lark.tables.states[static_cast<std::size_t>(frames_[static_cast<std::size_t>(e.frame)].at)];
    const auto [first, last] = actions_on(state, terminal);
    for (std::size_t i = first; i < last; ++i) {
      const std::int32_t action = state.actions[i].second;
      if (action >= 0) {
        shifted.push_back({frame({kLrFrame, kFirst, 0, action, 0, 0, 0}), intern_set({e}, false)});
        continue;
      }
      const LrRule& rule = lark.rules[static_cast<std::size_t>(~action)];
      if (rule.rhs.empty())
        bases.assign(1, intern_set({e}, false));
      else
        bases.assign(1, e.below);
      for (std::size_t pops = 1; pops < rule.rhs.size(); ++pops) {
        lower.clear();
        for (const Stacks b : bases)
          for (std::uint32_t j = sets_[static_cast<std::size_t>(b)].begin; j < sets_[static_cast<std::size_t>(b)].end; ++j) lower.push_back(entries_[j].below);
        std::sort(lower.begin(), lower.end());
        lower.erase(std::unique(lower.begin(), lower.end()), lower.end());
        bases.swap(lower);
      }
      for (const Stacks b : bases) {
        const StackSet set = sets_[static_cast<std::size_t>(b)];
        for (std::uint32_t j = set.begin; j < set.end; ++j) {
          const Entry under = entries_[j];
          const LrTables::State& from = lark.tables.states[static_cast<std::size_t>(frames_[static_cast<std::size_t>(under.frame)].at)];
          const Entry next{frame({kLrFrame, kFirst, 0, goto_on(from, rule.lhs), 0, 0, 0}), intern_set({under}, false)};
          if (seen.insert(next).second) todo.push_back(next);
        }
      }
    }
  }
  if (shifted.empty()) return kNoStack;
  Stacks out = intern_set({shifted[0]}, false);
  for (std::size_t i = 1; i < shifted.size(); ++i) out = unite(out, intern_set({shifted[i]}, false));
  return out;
}

// The stacks behind a lexeme; kNoStack where the parser refuses it.
Stacks Engine::feed(Stacks s, const ScanExit& e) {
  LarkGrammar& lark = *grammar_->lark();
  const bool ignored = lark.ignored[static_cast<std::size_t>(e.terminal)] && !e.keyword;
  if (!lark.indents) {
    if (!ignored) return shift(s, e.terminal);
    if (!lark.alone() || !lark.used[static_cast<std::size_t>(e.terminal)]) return s;
    // On their own, what is ignored may be read as a terminal, too.
    const Stacks read = shift(s, e.terminal);
    return read == kNoStack ? s : unite(s, read);
  }
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  lowest_ = std::min(lowest_, set.depth);
  Stacks out = kNoStack;
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Entry entry = entries_[i];
    Frame f = frames_[static_cast<std::size_t>(entry.frame)];
    const std::int32_t column = e.new_line ? e.indent : f.member < 0 ? -1 : f.member + e.indent;
    f.member = -1;
    Stacks lr = entry.below;
    if (e.terminal == lark.indenter.newline) {
      if (f.count == 0) lr = indent(f, lr, column);
    } else if (!ignored) {
      lr = shift(lr, e.terminal);
      const auto among = [&](const std::vector<std::int32_t>& list) { return std::find(list.begin(), list.end(), e.terminal) != list.end(); };
      if (among(lark.indenter.opening))
        ++f.count;
      else if (among(lark.indenter.closing) && --f.count < 0)
        lr = kNoStack;
    }
    if (lr == kNoStack) continue;
    const Stacks one = push(f, lr);
    out = out == kNoStack ? one : unite(out, one);
  }
  return out;
}

// A newline outside brackets, and the indentation that it begins or ends. Lark fails at one that has no line break in it.
Stacks Engine::indent(Frame& f, Stacks lr, std::int32_t column) {
  LarkGrammar& lark = *grammar_->lark();
  if (column < 0) return kNoStack;
  lr = shift(lr, lark.indenter.newline);
  if (lr == kNoStack) return lr;
  if (column > lark.level(f.at).column) {
    f.at = lark.indented(f.at, column);
    return lark.indenter.indent < 0 ? kNoStack : shift(lr, lark.indenter.indent);
  }
  while (column < lark.level(f.at).column && lr != kNoStack) {
    f.at = lark.level(f.at).outer;
    lr = lark.indenter.dedent < 0 ? kNoStack : shift(lr, lark.indenter.dedent);
  }
  return column == lark.level(f.at).column ? lr : kNoStack;
}

// Whether the text may end here.
bool Engine::lark_accepts(Stacks s) {
  LarkGrammar& lark = *grammar_->lark();
  const auto ends = [&](Stacks lr) {
    if (shift(lr, lark.end()) != kNoStack) return true;
    if (!lark.empty_text) return false;
    // Nothing has been read but what is ignored.
    const StackSet set = sets_[static_cast<std::size_t>(lr)];
    for (std::uint32_t i = set.begin; i < set.end; ++i)
      if (entries_[i].below == kDone) return true;
    return false;
  };
  if (!lark.indents) return ends(s);
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  lowest_ = std::min(lowest_, set.depth);
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Entry e = entries_[i];
    const Frame f = frames_[static_cast<std::size_t>(e.frame)];
    Stacks lr = e.below;
    for (std::int32_t at = f.at; at > 0 && lr != kNoStack; at = lark.level(at).outer) lr = lark.indenter.dedent < 0 ? kNoStack : shift(lr, lark.indenter.dedent);
    if (lr != kNoStack && ends(lr)) return true;
  }
  return false;
}

// Whether brackets are open, in some reading at least.
bool Engine::in_brackets(Stacks s) {
  const StackSet& set = sets_[static_cast<std::size_t>(s)];
  lowest_ = std::min(lowest_, set.depth);
  return std::any_of(entries_.begin() + set.begin, entries_.begin() + set.end, [&](const Entry& e) {
    const Frame& f = frames_[static_cast<std::size_t>(e.frame)];
    return f.kind == kIndentFrame && f.count > 0;
  });
}

// Counts the column while a newline is read.
Stacks Engine::count_column(Stacks s, std::uint8_t byte) {
  if (byte != '\n' && byte != ' ' && byte != '\t') return s;
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  std::vector<Entry> out;
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    Entry e = entries_[i];
    Frame f = frames_[static_cast<std::size_t>(e.frame)];
    if (byte == '\n')
      f.member = 0;
    else if (f.member >= 0)
      f.member += byte == ' ' ? 1 : grammar_->lark()->indenter.tab;
    e.frame = frame(f);
    out.push_back(e);
  }
  return intern_set(std::move(out), false);
}

// Whether a newline that only grows wider can still end at a column that the parser takes.
bool Engine::column_fits(Stacks s) {
  LarkGrammar& lark = *grammar_->lark();
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Entry e = entries_[i];
    const Frame f = frames_[static_cast<std::size_t>(e.frame)];
    if (f.count > 0 || f.member < 0) return true;
    for (std::int32_t at = f.at; at >= 0 && lark.level(at).column >= f.member; at = lark.level(at).outer) {
      Frame ended = f;
      if (indent(ended, e.below, lark.level(at).column) != kNoStack) return true;
    }
    Frame deeper = f;
    if (indent(deeper, e.below, std::max(f.member, lark.level(f.at).column + 1)) != kNoStack) return true;
  }
  return false;
}

// What can begin behind a lexeme.
const Engine::Opened& Engine::open(Stacks s, Obligation obligation, Left left) {
  std::uint64_t h = static_cast<std::uint32_t>(s);
  h = combine(combine(h, static_cast<std::uint32_t>(obligation)), static_cast<std::uint32_t>(left));
  std::int32_t known = open_index_.find(h, [&](std::int32_t i) {
    const Opened& o = *opened_[static_cast<std::size_t>(i)];
    return o.stacks == s && o.obligation == obligation && o.left == left;
  });
  if (known < 0) {
    const std::int32_t lowest = lowest_;
    lowest_ = std::numeric_limits<std::int32_t>::max();
    auto made = std::make_unique<Opened>();
    made->stacks = s;
    made->obligation = obligation;
    made->left = left;
    const StackSet set = sets_[static_cast<std::size_t>(s)];
    const LarkGrammar& lark = *grammar_->lark();
    const bool split = lark.mode == LarkGrammar::Mode::kContextual;
    if (lark.indents) {
      for (std::uint32_t i = set.begin; i < set.end; ++i) {
        const Entry e = entries_[i];
        const Frame f = frames_[static_cast<std::size_t>(e.frame)];
        const StackSet inner = sets_[static_cast<std::size_t>(e.below)];
        for (std::uint32_t j = inner.begin; split && j < inner.end; ++j) open_one(&f, intern_set({entries_[j]}, false), *made);
        if (!split) open_one(&f, e.below, *made);
      }
    } else {
      for (std::uint32_t i = set.begin; split && i < set.end; ++i) open_one(nullptr, intern_set({entries_[i]}, false), *made);
      if (!split) open_one(nullptr, s, *made);
    }
    lowest_ = std::min(lowest_, sets_[static_cast<std::size_t>(s)].depth);
    normalize(made->items);
    made->lowest = lowest_;
    known = static_cast<std::int32_t>(opened_.size());
    opened_.push_back(std::move(made));
    open_index_.insert(h, known);
    lowest_ = lowest;
  }
  const Opened& found = *opened_[static_cast<std::size_t>(known)];
  lowest_ = std::min(lowest_, found.lowest);
  return found;
}

// Whether the parser takes a terminal; as shift(), without making the stack.
bool Engine::takes(Stacks s, std::int32_t terminal) {
  Stacks base = s;
  const std::int32_t to = reduce_before(terminal, base, reduced_);
  return to == kDivides ? shift(s, terminal) != kNoStack : to != kRefused;
}

// Those of the terminals tried that the parser takes, or that are dropped.
std::int32_t Engine::wanted(Stacks lr, std::int32_t tried, bool bracketed) {
  LarkGrammar& lark = *grammar_->lark();
  auto frame_at = frames_of(lr);
  const std::uint64_t root = bracketed;
  const std::int32_t depth = sets_[static_cast<std::size_t>(lr)].depth;
  std::int32_t looked = 0;
  std::int32_t found = wanted_index_.find(root, frame_at, looked);
  if (found >= 0) {
    lowest_ = std::min(lowest_, depth - looked + 1);
    return found;
  }
  const std::int32_t lowest = lowest_;
  lowest_ = depth;
  std::vector<std::int32_t> terminals;
  const std::vector<std::int32_t> all = lark.scanner.terminals(tried);
  for (const std::int32_t t : all)
    if (lark.ignored[static_cast<std::size_t>(t)] || (bracketed && t == lark.indenter.newline) || takes(lr, t)) terminals.push_back(t);
  // As keywords of a regex they are not ignored.
  for (const std::int32_t t : all)
    if (lark.keywords[static_cast<std::size_t>(t)] && ((bracketed && t == lark.indenter.newline) || takes(lr, t))) terminals.push_back(t + lark.end());
  found = lark.scanner.terminal_set(terminals);
  wanted_index_.insert(root, frame_at, depth - lowest_ + 1, found);
  lowest_ = std::min(lowest_, lowest);
  return found;
}

void Engine::open_one(const Frame* indentation, Stacks lr, Opened& out) {
  LarkGrammar& lark = *grammar_->lark();
  Scanner& scanner = lark.scanner;
  const auto behind = [&](Stacks s) { return indentation ? push(*indentation, s) : s; };
  const Stacks here = behind(lr);
  const std::int32_t state = frames_[static_cast<std::size_t>(entries_[sets_[static_cast<std::size_t>(lr)].begin].frame)].at;
  const std::int32_t tried = lark.tried(state);
  const std::int32_t win = wanted(lr, tried, indentation && indentation->count > 0);
  const auto offer = [&](std::int32_t compete, std::int32_t winners) {
    const Scan q = scanner.start(compete, winners, out.obligation, out.left);
    if (q != kDeadScan) out.items.push_back({kScanBase + q, here});
  };
  if (lark.mode == LarkGrammar::Mode::kContextual || lark.mode == LarkGrammar::Mode::kBasic) {
    offer(tried, win);
  } else {
    const std::vector<std::int32_t> each = scanner.terminals(win);
    for (const std::int32_t t : each) {
      if (t >= lark.end()) break;  // there are no keywords
      const std::int32_t alone = scanner.terminal_set({t});
      offer(alone, alone);
    }
  }
  for (const std::int32_t t : lark.embedded) {
    const LarkGrammar::Terminal& terminal = lark.terminals[static_cast<std::size_t>(t)];
    const Stacks after = lark.ignored[static_cast<std::size_t>(t)] ? lr : shift(lr, t);
    if (after == kNoStack) continue;
    if (terminal.kind == LarkGrammar::Kind::kSpecial) {
      // A special token ends the text in front of it.
      if (scanner.may_end(out.obligation)) out.items.push_back({kSpecialBase + terminal.handle, behind(after)});
      continue;
    }
    Expansion begin;
    expand_expr(terminal.handle, behind(after), begin, 0);
    if (out.obligation == 0) {
      out.items.insert(out.items.end(), begin.items.begin(), begin.items.end());
      continue;
    }
    const std::int32_t any = scanner.terminal_set({lark.any_text});
    const Scan promise = scanner.start(any, any, out.obligation, out.left);
    if (promise == kDeadScan) continue;
    for (const Item& item : begin.items) out.items.push_back({lark.bind(promise, item.lex), item.stacks});
  }
}

// Adds what a byte leads to from a state of the scanner. Tells whether a guard is at work there.
bool Engine::advance_scan(const Item& item, std::uint8_t byte, Items& out, const Text* text) {
  Scanner& scanner = grammar_->lark()->scanner;
  const Scan q = item.lex - kScanBase;
  const bool counting = grammar_->lark()->indents;
  const bool rebreaks = grammar_->lark()->rebreaks;
  const auto arrive = [&](Scan to, Stacks stacks) {
    if (to == kDeadScan) return;
    if (counting && scanner.counts(to)) stacks = count_column(stacks, byte);
    if (!rebreaks && scanner.only_counts(to) && !column_fits(stacks)) return;
    if (scanner.plain(to) || live({kScanBase + to, stacks})) out.push_back({kScanBase + to, stacks});
  };
  bool guarded = false;
  arrive(scanner.next(q, byte), item.stacks);
  for (std::size_t i = 0; i < scanner.exits(q).size(); ++i) {
    const ScanExit e = scanner.exit(scanner.exits(q)[i]);
    const Stacks behind = feed(item.stacks, e);
    if (behind == kNoStack) continue;
    for (const Item& begin : open(behind, e.obligation, e.left).items) {
      if (is_scan(begin.lex))
        arrive(scanner.next(begin.lex - kScanBase, byte), begin.stacks);
      else
        guarded = enter(begin, byte, out, text) || guarded;
    }
  }
  return guarded;
}

// Whether the text may end in the midst of an item.
bool Engine::ends(const Item& item, const Text* text) {
  if (is_special(item.lex)) return false;
  if (is_bound(item.lex)) {
    const LarkGrammar& lark = *grammar_->lark();
    const LarkGrammar::Bound b = lark.bound(item.lex);
    const std::vector<std::int32_t>& kept = grammar_->lark()->scanner.exits(b.promise);
    return !kept.empty() && lark.scanner.may_end(lark.scanner.exit(kept[0]).obligation) && ends({b.lex, item.stacks}, text);
  }
  if (!is_scan(item.lex)) return lexer_[item.lex].accepting && expand(ended(item, text)).accepts;
  Scanner& scanner = grammar_->lark()->scanner;
  const std::vector<std::int32_t> exits = scanner.exits(item.lex - kScanBase);
  return std::any_of(exits.begin(), exits.end(), [&](std::int32_t number) {
    const ScanExit e = scanner.exit(number);
    if (!scanner.may_end(e.obligation)) return false;
    const Stacks behind = feed(item.stacks, e);
    return behind != kNoStack && lark_accepts(behind);
  });
}

// The items that a special token leads to.
State Engine::step_special(State s, std::uint32_t token) {
  if (!grammar_->lark() || s <= kFinished) return kDead;
  Scanner& scanner = grammar_->lark()->scanner;
  const Text read = text(s);
  Items out;
  const auto take = [&](const Items& begin) {
    for (const Item& b : begin)
      if (b.lex == kSpecialBase + static_cast<Lex>(token)) out.push_back({empty_lex_, b.stacks});
  };
  for (const Item& item : items(s)) {
    if (is_bound(item.lex)) {
      Items within, behind;
      behind_bound(item, &read, within, behind);
      take(behind);
      continue;
    }
    if (!is_scan(item.lex)) {
      take({item});
      if (!is_special(item.lex) && lexer_[item.lex].accepting) take(expand(ended(item, &read)).items);
      continue;
    }
    const std::vector<std::int32_t> exits = scanner.exits(item.lex - kScanBase);
    for (const std::int32_t number : exits) {
      const ScanExit e = scanner.exit(number);
      const Stacks behind = feed(item.stacks, e);
      if (behind != kNoStack) take(open(behind, e.obligation, e.left).items);
    }
  }
  normalize(out);
  return intern(out, {});
}

}  // namespace structgen
