#include "freeze.hpp"

#include <algorithm>
#include <array>

#include "builder.hpp"
#include "json_value.hpp"

namespace structgen {

namespace {

constexpr State kUnknown = -1;
constexpr std::size_t kBytes = 256;

}  // namespace

Freezer::Freezer(std::shared_ptr<Automaton> core, FreezeLimits limits)
    : core_(std::move(core)), limits_(limits), deadline_(deadline_in(limits.seconds)), vocabulary_(core_->engine.vocabulary()), lock_(core_->lexer->mutex, std::defer_lock) {
  if (const LarkGrammar* lark = core_->grammar->lark())
    for (const LarkGrammar::Terminal& t : lark->terminals)
      if (t.kind == LarkGrammar::Kind::kSpecial && !vocabulary_.end[static_cast<std::size_t>(t.handle)]) specials_.push_back(static_cast<std::uint32_t>(t.handle));
  std::sort(specials_.begin(), specials_.end());
  specials_.erase(std::unique(specials_.begin(), specials_.end()), specials_.end());
  columns_ = kBytes + specials_.size();
  complete_ = vocabulary_.byte_complete;
  acquire();
  // Room for DEAD, FINISHED and one state too many, so that the limit that is met is this one.
  engine_ = std::make_unique<Engine>(core_->grammar, core_->engine.shared_vocabulary(), EngineLimits{limits_.states + 3, core_->limits.mask_bytes});
  engine_->verdicts = core_->engine.verdicts;
  engine_->shared_only = !finite_memory();
  release();
}

Freezer::~Freezer() {
  acquire();
  engine_.reset();
}

void Freezer::acquire() {
  if (!lock_.owns_lock()) lock_.lock();
}

void Freezer::release() {
  if (lock_.owns_lock()) lock_.unlock();
}

void Freezer::check() const {
  if (std::chrono::steady_clock::now() > deadline_)
    throw LimitError("freezing takes longer than max_seconds; " + std::to_string(engine_->states() - 2) +
                     " states were reached so far: give freeze() more seconds, or use the automaton as it is, which needs no tables",
                     "max_seconds");
}

void Freezer::check_bytes(std::size_t bytes) const {
  if (bytes > limits_.bytes)
    throw LimitError("the tables need more than max_bytes = " + std::to_string(limits_.bytes) + " bytes; " + std::to_string(engine_->states() - 2) +
                     " states were reached: give freeze() a larger max_bytes, or use the automaton as it is, which needs no tables",
                     "max_bytes");
}

// Whether what states remember is one of finitely many texts: without guards, where every array of distinct items has few values for each.
bool Freezer::finite_memory() const {
  const Grammar& grammar = *core_->grammar;
  // As many values are as many states, after the first item.
  const std::int64_t enough = static_cast<std::int64_t>(limits_.states) + 1;
  const auto few = [&](Expr item) { return !grammar.productive(item) || grammar.distinct().few(item, enough); };
  const auto all_few = [&](const std::vector<Cells>& places) {
    return std::all_of(places.begin(), places.end(), [&](const Cells& cells) { return std::all_of(cells.begin(), cells.end(), [&](const Cell& c) { return few(c.value); }); });
  };
  if (!grammar.guards().empty()) return false;
  return std::all_of(grammar.arrays().begin(), grammar.arrays().end(), [&](const ArrayNode& a) {
    if (!a.unique) return true;
    if (a.tally) return all_few(a.tally->slots) && all_few(a.tally->extras);
    return few(a.rest) && std::all_of(a.prefix.begin(), a.prefix.end(), few);
  });
}

// What is left of a character whose code points all lead to the same regex: the mode of its decoder and what else says which bytes it may take.
// -1 where that is no less than its decoder.
std::int64_t Freezer::rest_of_character(const Lexer::State& q) {
  const std::uint32_t payload = decoder_payload(q.decoder);
  const auto left = [&](std::uint32_t what) { return static_cast<std::int64_t>(q.decoder >> 28) << 32 | what; };
  const auto touches_surrogates = [](std::uint32_t low, std::uint32_t high) { return low <= 0xDFFF && high >= 0xD800; };
  switch (decoder_mode(q.decoder)) {
    case kUtf8: {
      const std::uint32_t length = (payload >> 26) + 1, remaining = (payload >> 24) & 3, shift = 6 * remaining;
      const std::uint32_t low = (payload & 0xFFFFFF) << shift, high = low | ((1U << shift) - 1);
      const std::uint32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
      if (low < least || high > kMaxCodePoint || touches_surrogates(low, high)) return -1;
      return left(remaining);
    }
    case kHex: {
      const std::uint32_t digits = payload >> 16, shift = 4 * (4 - digits), low = (payload & 0xFFFF) << shift;
      if (q.kind != Kind::kStringAll || touches_surrogates(low, low | ((1U << shift) - 1))) return -1;
      return left(digits);
    }
    case kLowBackslash:
    case kLowU: return left(0);
    case kLowHex: return left((payload >> 26) << 16 | (payload >> 26 < 2 ? payload & 0xFFFF : 0));
    default: return -1;
  }
}

// States of the lexer within a character are as many as its beginnings. Those that go on alike have the same number here, below zero; others
// keep theirs.
std::int32_t Freezer::kind_of(Lex lex) {
  if (!is_lexeme(lex)) return lex;
  Lexer& lexer = *core_->lexer;
  const Lexer::State q = lexer[lex];
  if (decoder_mode(q.decoder) == kClean || decoder_mode(q.decoder) == kOpen) return lex;
  const std::int32_t known = kinds_.get(static_cast<std::uint32_t>(lex), 0);
  if (known) return known;
  std::int32_t found = lex;
  const std::int64_t rest = rest_of_character(q);
  const CharSet ranges = pending_ranges(q.kind, q.decoder);
  if (rest >= 0) {
    const Derivative& pieces = lexer.regexes().derivative(q.residual);
    Re to = -1;
    bool alike = true;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const std::uint32_t last = i + 1 < pieces.size() ? pieces[i + 1].start - 1 : kMaxCodePoint;
      const bool meets = std::any_of(ranges.begin(), ranges.end(), [&](const Range& r) { return r.low <= last && pieces[i].start <= r.high; });
      if (!meets) continue;
      alike = alike && (to < 0 || to == pieces[i].to);
      to = pieces[i].to;
    }
    if (alike) {
      const auto key = std::make_tuple(static_cast<int>(q.kind), to, q.tail, rest);
      found = kind_numbers_.emplace(key, -1 - static_cast<std::int32_t>(kind_numbers_.size())).first->second;
    }
  }
  kinds_.put(static_cast<std::uint32_t>(lex), found);
  return found;
}

// What an item of an array has come to be: of its spellings so far, those with the same lexeme left and the same value of a shortest
// completion go on alike, since its values are few (a zero more behind a decimal point would make endlessly many).
std::string Freezer::value_so_far(Lex lex, const std::string& text) {
  const Lexer::State q = (*core_->lexer)[lex];
  if (q.decoder != kClean) return text;
  if (q.kind != Kind::kText) return canonical_json(text + "\"");
  std::string whole = text;
  for (const std::uint32_t c : core_->lexer->regexes().shortest(q.residual)) append_utf8(whole, c);
  return canonical_json(whole);
}

// The state of items, or one that goes on as they do.
State Freezer::state_of(const Items& items, const Text& text) {
  if (text.node || !text.tail.empty()) {
    const std::string read = engine_->captured_.from(text, 0);
    std::vector<std::tuple<Lex, Stacks, std::string>> key;
    for (const Item& item : items) key.emplace_back(item.lex, item.stacks, is_lexeme(item.lex) ? value_so_far(item.lex, read) : read);
    const auto [at, added] = remembering_.emplace(std::move(key), kDead);
    if (added) at->second = engine_->intern(items, text);
    return at->second;
  }
  std::vector<std::pair<std::int32_t, Stacks>> key;
  bool within = false;
  for (const Item& item : items) {
    key.emplace_back(kind_of(item.lex), item.stacks);
    within = within || key.back().first < 0;
  }
  if (!within) return engine_->intern(items, text);
  engine_->settle();
  std::sort(key.begin(), key.end());
  const auto [at, added] = within_.emplace(std::move(key), kDead);
  if (added) at->second = engine_->intern(items, text);
  return at->second;
}

void Freezer::remembers() {
  throw FreezeError(
      "a guard (a keyword that is checked when its value ends) or an array of distinct items, of endlessly many values or of objects and arrays, "
      "remembers the text, so that there are as many states as texts: use the automaton as it is");
}

// The engine's answer; it may be a new state.
State Freezer::compute(State s, std::size_t column) {
  acquire();
  core_->grammar->goals().refill();
  try {
    if (column >= kBytes) return engine_->read_token(s, specials_[column - kBytes]);
    Text text = engine_->text(s);
    engine_->advance(engine_->items(s), static_cast<std::uint8_t>(column), items_, core_->grammar->remembers() ? &text : nullptr);
    return state_of(items_, text);
  } catch (const CapturedStateError&) {
  } catch (const NeedVerdicts&) {
  }
  remembers();
}

State Freezer::next(State s, std::size_t column) {
  const std::size_t at = static_cast<std::size_t>(s) * columns_ + column;
  if (next_[at] == kUnknown) {
    const State to = compute(s, column);
    next_[at] = to;
    grow();
  }
  return next_[at];
}

// Makes room for the states that the engine has found.
void Freezer::grow() {
  const std::size_t count = engine_->states();
  if (next_.size() >= count * columns_) return;
  if (count - 2 > limits_.states)
    throw LimitError("the automaton has more than max_states = " + std::to_string(limits_.states) + " states (" + std::to_string(count - 2) +
                     " were reached), if it is finite at all: give freeze() a larger max_states, bound what the grammar leaves unbounded (nesting, numbers of items), "
                     "or use the automaton as it is, which needs no tables",
                     "max_states");
  if (count % 1024 == 0) check_bytes(count * columns_ * sizeof(State) + engine_->bytes());
  next_.resize(count * columns_, kUnknown);
  accepts_.resize(count, -1);
}

bool Freezer::accepting(State s) {
  std::int8_t& known = accepts_[static_cast<std::size_t>(s)];
  if (known < 0) {
    acquire();
    try {
      known = engine_->accepts(s);
    } catch (const NeedVerdicts&) {
      remembers();
    }
  }
  return known != 0;
}

void Freezer::explore_bytes() {
  for (State s = kFinished + 1; static_cast<std::size_t>(s) < engine_->states(); ++s) {
    check();
    for (std::size_t column = 0; column < columns_; ++column) next(s, column);
    accepting(s);
    between_.push_back(s);
    release();
  }
}

// Where bytes are missing, states within tokens need not occur between them.
void Freezer::explore_tokens() {
  std::vector<bool> found;
  const auto find = [&](State s) {
    if (found.size() < engine_->states()) found.resize(engine_->states(), false);
    if (s <= kFinished || found[static_cast<std::size_t>(s)]) return;
    found[static_cast<std::size_t>(s)] = true;
    between_.push_back(s);
  };
  find(engine_->start());
  std::vector<Move> moves;
  for (std::size_t i = 0; i < between_.size(); ++i) {
    check();
    accepting(between_[i]);
    walk(between_[i], moves);
    for (const Move& m : moves) find(m.to);
    release();
  }
}

// What tokens lead on from a state, other than end tokens.
void Freezer::walk(State s, std::vector<Move>& out) {
  struct Entry {
    std::uint32_t node;
    State s;
  };
  out.clear();
  const Trie& trie = *vocabulary_.trie;
  std::vector<Entry> todo{{0, s}};
  while (!todo.empty()) {
    const Entry at = todo.back();
    todo.pop_back();
    const Trie::Node n = trie[at.node];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      const State to = next(at.s, trie[c].byte);
      if (to == kDead) continue;
      for (std::uint32_t i = trie.token_begin(c); i < trie.token_end(c); ++i) out.push_back({trie.id(i), to});
      if (trie[c].children) todo.push_back({c, to});
    }
  }
  for (std::size_t i = 0; i < specials_.size(); ++i) {
    const State to = next(s, kBytes + i);
    if (to != kDead) out.push_back({specials_[i], to});
  }
}

// Which states some tokens complete, backwards from those that accept.
void Freezer::find_live() {
  const std::size_t count = engine_->states();
  live_.assign(count, false);
  std::vector<std::vector<State>> before(count);
  std::vector<Move> moves;
  std::vector<State> todo;
  for (const State s : between_) {
    check();
    std::vector<State> to;
    if (complete_) {
      to.assign(next_.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(s) * columns_), next_.begin() + static_cast<std::ptrdiff_t>((static_cast<std::size_t>(s) + 1) * columns_));
    } else {
      walk(s, moves);
      for (const Move& m : moves) to.push_back(m.to);
    }
    std::sort(to.begin(), to.end());
    to.erase(std::unique(to.begin(), to.end()), to.end());
    for (const State t : to)
      if (t > kFinished) before[static_cast<std::size_t>(t)].push_back(s);
    if (accepting(s)) {
      live_[static_cast<std::size_t>(s)] = true;
      todo.push_back(s);
    }
  }
  while (!todo.empty()) {
    const State s = todo.back();
    todo.pop_back();
    for (const State b : before[static_cast<std::size_t>(s)]) {
      if (live_[static_cast<std::size_t>(b)]) continue;
      live_[static_cast<std::size_t>(b)] = true;
      todo.push_back(b);
    }
  }
  release();
}

// Splits the classes by where the tokens of a state lead, and notes where each class does.
void Freezer::refine(const std::vector<Move>& moves) {
  struct Group {
    std::int32_t of, to;
    std::size_t size;
    std::int32_t next;  // another group of the class
    std::int32_t name;
  };
  std::vector<Group> groups;
  std::vector<std::int32_t> group_of(moves.size());
  FlatMap other;  // groups of classes that lead to many rows
  const std::size_t stamp = rows_.size() + 1;
  for (std::size_t i = 0; i < moves.size(); ++i) {
    const std::int32_t of = class_of_[moves[i].token], to = number_[static_cast<std::size_t>(moves[i].to)];
    Class& c = classes_[static_cast<std::size_t>(of)];
    std::int32_t found;
    if (c.stamp != stamp) {
      c.stamp = stamp;
      c.group = found = static_cast<std::int32_t>(groups.size());
      groups.push_back({of, to, 0, -1, -1});
    } else if (groups[static_cast<std::size_t>(c.group)].to == to) {
      found = c.group;
    } else {
      found = other.get(pair_key(of, to), -1);
      if (found < 0) {
        found = static_cast<std::int32_t>(groups.size());
        other.put(pair_key(of, to), found);
        groups.push_back({of, to, 0, groups[static_cast<std::size_t>(c.group)].next, -1});
        groups[static_cast<std::size_t>(c.group)].next = found;
      }
    }
    ++groups[static_cast<std::size_t>(found)].size;
    group_of[i] = found;
  }
  bool renamed = false;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const std::int32_t of = groups[g].of;
    if (classes_[static_cast<std::size_t>(of)].group != static_cast<std::int32_t>(g)) continue;
    std::size_t moved = 0;
    for (std::int32_t i = static_cast<std::int32_t>(g); i >= 0; i = groups[static_cast<std::size_t>(i)].next) moved += groups[static_cast<std::size_t>(i)].size;
    // Where no token of the class stays behind, the first group keeps its name.
    bool keeps = moved == classes_[static_cast<std::size_t>(of)].size;
    for (std::int32_t i = static_cast<std::int32_t>(g); i >= 0; i = groups[static_cast<std::size_t>(i)].next) {
      Group& group = groups[static_cast<std::size_t>(i)];
      group.name = of;
      if (!keeps) {
        group.name = static_cast<std::int32_t>(classes_.size());
        classes_[static_cast<std::size_t>(of)].size -= group.size;
        classes_.push_back({of, group.size});
        renamed = true;
      }
      keeps = false;
    }
  }
  if (renamed)
    for (std::size_t i = 0; i < moves.size(); ++i) class_of_[moves[i].token] = groups[static_cast<std::size_t>(group_of[i])].name;
  const std::size_t begin = entries_.size();
  for (const Group& g : groups) entries_.emplace_back(g.name, g.to);
  rows_.push_back({begin, entries_.size(), static_cast<std::int32_t>(classes_.size())});
}

// The rows of all states that tokens reach, the classes of tokens refined by one after the other.
void Freezer::tabulate() {
  number_.assign(engine_->states(), -1);
  number_[kDead] = kDead;
  number_[kFinished] = kFinished;
  const auto number = [&](State s) {
    if (number_[static_cast<std::size_t>(s)] >= 0) return;
    order_.push_back(s);
    number_[static_cast<std::size_t>(s)] = static_cast<std::int32_t>(kFinished + order_.size());
  };
  class_of_.assign(core_->logits_size, 0);
  // One more than there are tokens: class 0 stays what no state allows.
  classes_.assign(1, {-1, core_->logits_size + 1});
  std::vector<Move> moves;
  const auto add_ends = [&] {
    for (const std::uint32_t token : vocabulary_.end_tokens) moves.push_back({token, kFinished});
  };
  refine({});
  add_ends();
  refine(moves);
  number(engine_->start());
  for (std::size_t i = 0; i < order_.size(); ++i) {
    check();
    const State s = order_[i];
    walk(s, moves);
    std::size_t kept = 0;
    for (const Move& m : moves) {
      if (!live_[static_cast<std::size_t>(m.to)]) continue;
      number(m.to);
      moves[kept++] = m;
    }
    moves.resize(kept);
    if (accepting(s)) add_ends();
    refine(moves);
    check_bytes(entries_.size() * 8 + next_.size() * sizeof(State));
  }
  release();
}

FrozenTables Freezer::finish() {
  FrozenTables out;
  // Classes that have tokens, numbered anew.
  std::vector<std::int32_t> name(classes_.size(), 0);
  std::vector<std::int32_t> kept{0};
  for (std::size_t c = 1; c < classes_.size(); ++c) {
    if (!classes_[c].size) continue;
    name[c] = static_cast<std::int32_t>(kept.size());
    kept.push_back(static_cast<std::int32_t>(c));
  }
  out.classes = kept.size();
  for (const std::int32_t c : class_of_) out.class_of_token.push_back(name[static_cast<std::size_t>(c)]);
  // A row was noted for the classes of its time: a class of today leads where the one does that it was part of.
  std::vector<std::int32_t> leads(classes_.size(), kDead);
  out.row_begin.push_back(0);
  for (const Row& row : rows_) {
    check();
    for (std::size_t i = row.begin; i < row.end; ++i) leads[static_cast<std::size_t>(entries_[i].first)] = entries_[i].second;
    for (std::size_t c = static_cast<std::size_t>(row.classes); c < classes_.size(); ++c) leads[c] = leads[static_cast<std::size_t>(classes_[c].parent)];
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const std::int32_t to = leads[static_cast<std::size_t>(kept[i])];
      if (to == kDead) continue;
      out.row_class.push_back(static_cast<std::int32_t>(i));
      out.row_next.push_back(to);
    }
    for (std::size_t i = row.begin; i < row.end; ++i) leads[static_cast<std::size_t>(entries_[i].first)] = kDead;
    out.row_begin.push_back(static_cast<std::int64_t>(out.row_class.size()));
    check_bytes(out.row_class.size() * 8);
  }
  out.accepts.push_back(false);
  out.accepts.push_back(true);
  for (const State s : order_) out.accepts.push_back(accepting(s));
  return out;
}

FrozenTables Freezer::run() {
  grow();
  if (complete_)
    explore_bytes();
  else
    explore_tokens();
  find_live();
  tabulate();
  return finish();
}

}  // namespace structgen
