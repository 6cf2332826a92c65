#include "lexer.hpp"

#include <algorithm>
#include <atomic>
#include <set>

#include "quotient.hpp"

namespace structgen {

namespace {

// Narrow lexemes are quickest walked directly; beyond this many nodes the quotient trie takes over.
constexpr std::size_t kDirectBudget = 8000;
constexpr std::size_t kDifferenceBudget = 20000;
// Longer token lists become dense rows, which cost a copy.
constexpr std::size_t kSparseLimit = 256;
constexpr std::size_t kRowsPerBlock = 64;
constexpr std::size_t kWideBytes = 20;
constexpr std::size_t kSmallQuotient = 20000;

void set_bits(Row& row, const std::vector<std::uint32_t>& tokens) {
  for (std::uint32_t t : tokens) row[t >> 5] |= 1U << (t & 31);
}

// Every string that follows a quote inside some token, as one trie.
std::shared_ptr<const SuffixTrie> make_quote_suffixes(const Trie& t) {
  std::set<std::string> suffixes;
  std::vector<std::pair<std::uint32_t, std::string>> todo;
  for (std::uint32_t quote = 1; quote < t.size(); ++quote) {
    if (t[quote].byte != '"') continue;
    todo.assign(1, {quote, ""});
    while (!todo.empty()) {
      const auto [node, text] = std::move(todo.back());
      todo.pop_back();
      if (t.token_begin(node) != t.token_end(node)) suffixes.insert(text);
      for (std::uint32_t c = t[node].first_child; c < t[node].first_child + t[node].children; ++c) todo.emplace_back(c, text + static_cast<char>(t[c].byte));
    }
  }
  auto made = std::make_shared<SuffixTrie>();
  std::vector<SuffixTrie::Node>& nodes = made->nodes;
  nodes.push_back({0, 1});
  std::vector<std::uint32_t> path{0};
  std::string text;
  for (const std::string& s : suffixes) {
    std::size_t common = 0;
    while (common < s.size() && common < text.size() && s[common] == text[common]) ++common;
    path.resize(common + 1);
    for (std::size_t i = common; i < s.size(); ++i) {
      path.push_back(static_cast<std::uint32_t>(nodes.size()));
      nodes.push_back({static_cast<std::uint8_t>(s[i]), 0});
      for (std::uint32_t p : path) nodes[p].end = static_cast<std::uint32_t>(nodes.size());
    }
    text = s;
  }
  return made;
}

}  // namespace

namespace {

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

}  // namespace

Lexer::Lexer(std::shared_ptr<const Trie> trie, std::size_t mask_words, const Lexer* previous)
    : number(next_number()), trie_(std::move(trie)), mask_words_(mask_words) {
  states_.push_back({Kind::kText, false, kNoByte, 0, RegexStore::kNone, RegexStore::kEpsilon});
  filters_.push_back(kDeadLex);
  quote_suffixes_ = previous ? previous->quote_suffixes_ : make_quote_suffixes(*trie_);
  const std::size_t minimal = static_cast<std::size_t>(Kind::kStringMinimal);
  characters_[minimal] = previous ? previous->characters_[minimal] : std::make_shared<const CharacterTrie>(*this, Kind::kStringMinimal);
  // The plain string is the base of most tables: made before any request waits for it.
  shape(intern(Kind::kStringMinimal, RegexStore::kAnyStar, RegexStore::kEpsilon, kClean), 0);
}

Lexer::~Lexer() = default;

Lex Lexer::intern(Kind kind, Re residual, Re tail, Decoder decoder) {
  const std::uint64_t hash = combine(combine(combine(static_cast<std::uint64_t>(kind), decoder), static_cast<std::uint32_t>(residual)),
                                     static_cast<std::uint32_t>(tail));
  const std::int32_t found = state_index_.find(hash, [&](std::int32_t i) {
    const State& s = states_[i];
    return s.kind == kind && s.decoder == decoder && s.residual == residual && s.tail == tail;
  });
  if (found >= 0) return found;
  const Lex id = static_cast<Lex>(states_.size());
  State s{kind, kind == Kind::kText && decoder == 0 && regexes_.nullable(residual), kUnknown, decoder, residual, tail};
  states_.push_back(s);
  state_index_.insert(hash, id);
  bytes_ += sizeof(State) + 20;
  return id;
}

Lex Lexer::start(Kind kind, Re residual, Re tail) {
  if (regexes_.is_empty(residual) || regexes_.is_empty(tail)) return kDeadLex;
  return intern(kind, residual, tail, kind == Kind::kText ? 0 : kDecoderOpen);
}

Lex Lexer::exit(Lex q) {
  if (states_[q].exit < 0) {
    const Re after = states_[q].kind == Kind::kText ? static_cast<Re>(RegexStore::kEpsilon) : states_[q].tail;
    const Lex to = intern(Kind::kText, after, RegexStore::kEpsilon, kClean);
    states_[q].exit = to;
  }
  return states_[q].exit;
}

std::int32_t Lexer::filter(Re language) {
  const Lex q = start(Kind::kText, language, RegexStore::kEpsilon);
  const auto at = std::find(filters_.begin(), filters_.end(), q);
  if (at != filters_.end()) return static_cast<std::int32_t>(at - filters_.begin());
  filters_.push_back(q);
  return static_cast<std::int32_t>(filters_.size() - 1);
}

Lex Lexer::compute(const State& s, std::uint8_t byte) {
  const Fed fed = feed(s.kind, s.decoder, byte);
  switch (fed.status) {
    case Fed::kDead: return kDeadLex;
    case Fed::kClose: return regexes_.nullable(s.residual) ? intern(Kind::kText, s.tail, RegexStore::kEpsilon, 0) : kDeadLex;
    case Fed::kChar: {
      const Re to = regexes_.derive(s.residual, fed.value);
      return regexes_.is_empty(to) ? kDeadLex : intern(s.kind, to, s.tail, 0);
    }
    case Fed::kPending: break;
  }
  if (fed.value == kClean) return intern(s.kind, s.residual, s.tail, kClean);  // the opening quote
  const Re pending = regexes_.narrow(s.residual, pending_ranges(s.kind, fed.value));
  return pending == RegexStore::kNone ? kDeadLex : intern(s.kind, pending, s.tail, fed.value);
}

// Finds states that a single byte continues: most states inside keys, literals and enumerations.
void Lexer::classify(Lex q) {
  const State s = states_[q];
  std::int16_t single = kManyBytes;
  const auto plain = [&](std::uint32_t c) { return c < 0x80 && (s.kind == Kind::kText || (c >= 0x20 && c != '"' && c != '\\')); };
  const ReNode& n = regexes_.node(s.residual);
  if (n.op == Op::kConcat && s.decoder == kClean && s.kind != Kind::kStringAll && regexes_.node(n.a).op == Op::kSet && regexes_.node(n.b).live == 1) {
    // Literals: the head is one character, no derivative needs to be made.
    const CharSet& set = regexes_.set(regexes_.node(n.a).a);
    if (set.size() == 1 && set[0].low == set[0].high && plain(set[0].low)) {
      const Lex to = intern(s.kind, n.b, s.tail, kClean);
      states_[q].single_to = to;
      states_[q].single = static_cast<std::int16_t>(set[0].low);
      return;
    }
  }
  if (s.decoder == kDecoderOpen) {
    single = '"';
  } else if (s.decoder == kClean && (s.kind == Kind::kText || (s.kind == Kind::kStringMinimal && !regexes_.nullable(s.residual)))) {
    const Derivative& d = regexes_.derivative(s.residual);
    int live = 0;
    single = kNoByte;
    for (std::size_t i = 0; i < d.size() && live < 2; ++i) {
      if (d[i].to == RegexStore::kNone) continue;
      const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start : kMaxCodePoint + 1;
      const std::uint32_t c = d[i].start;
      live += end - c == 1 && plain(c) ? 1 : 2;
      single = static_cast<std::int16_t>(c);
    }
    if (live >= 2) single = kManyBytes;
  }
  const Lex to = single >= 0 && single < 256 ? compute(s, static_cast<std::uint8_t>(single)) : kDeadLex;
  states_[q].single_to = to;
  states_[q].single = to == kDeadLex && single >= 0 ? kNoByte : single;
}

Lex Lexer::next_slow(Lex q, std::uint8_t byte) {
  if (states_[q].single == kUnknown) {
    classify(q);
    if (states_[q].single >= 0) return next(q, byte);
  }
  if (!states_[q].row) {
    if (row_used_ % kRowsPerBlock == 0) row_blocks_.push_back(std::make_unique<std::int32_t[]>(kRowsPerBlock * 256));
    std::int32_t* row = row_blocks_.back().get() + (row_used_ % kRowsPerBlock) * 256;
    ++row_used_;
    bytes_ += 256 * sizeof(std::int32_t);
    std::fill(row, row + 256, -1);
    states_[q].row = row;
  }
  const State s = states_[q];
  return s.row[byte] = compute(s, byte);
}

Row* Lexer::new_row() {
  rows_.push_back(std::make_unique<Row>(mask_words_, 0));
  bytes_ += mask_words_ * 4 + 40;
  return rows_.back().get();
}

const Shape& Lexer::shape(Lex q, std::int32_t filter) {
  {
    const State& s = states_[q];
    if (s.shape && (s.filter == filter || s.kind != Kind::kText)) return *s.shape;
  }
  const State s = states_[q];
  const Re clamped = regexes_.clamp(s.residual, static_cast<std::int32_t>(trie_->max_depth()));
  const Lex to = intern(s.kind, clamped, RegexStore::kEpsilon, s.decoder);
  if (to != q) {
    const Shape& shared = shape(to, filter);
    states_[q].filter = filter;
    states_[q].shape = &shared;
    return shared;
  }
  auto made = std::make_unique<Shape>();
  build(*made, q, filter);
  made->number = static_cast<std::uint32_t>(shapes_.size());  // building may have made other shapes
  bytes_ += sizeof(Shape) + 4 * (made->clear.size() + made->add.size()) + 8 * made->exits.size();
  shapes_.push_back(std::move(made));
  states_[q].filter = filter;
  states_[q].shape = shapes_.back().get();
  return *shapes_.back();
}

void Lexer::build(Shape& shape, Lex q, std::int32_t filter) {
  const State s = states_[q];
  const bool string = s.kind != Kind::kText;
  if (string) shape.suffixes = quote_suffixes_.get();
  const auto done = [&](std::size_t how) { ++built[how]; };
  if (s.decoder == kClean && (string || filter == 0)) {
    if (string && regexes_.node(s.residual).uniform && s.residual != RegexStore::kEpsilon) {
      quotient(s.kind, s.residual).walk(*this, s.residual, shape);
      return done(1);
    }
    if (string && mostly_any(s.residual) && build_difference(shape, q, kDifferenceBudget)) return done(2);
    if (string && regexes_.immortal(s.residual)) {
      build_immortal(shape, q);
      return done(2);
    }
    // A small quotient trie at hand beats a direct walk that would likely run over its budget.
    const bool broad = wide(q);
    const Quotient* ready = broad ? find_quotient(s.kind, regexes_.atoms(s.residual)) : nullptr;
    if (!(ready && ready->size() < kSmallQuotient) && build_direct(shape, q, filter, kDirectBudget)) return done(0);
    quotient(s.kind, s.residual).walk(*this, s.residual, shape);
    return done(3);
  }
  build_direct(shape, q, filter, ~std::size_t{0});
  done(0);
}

void Lexer::set_inside(Shape& shape, std::vector<std::uint32_t> tokens) {
  if (tokens.size() <= kSparseLimit) {
    shape.add = std::move(tokens);
    return;
  }
  Row* row = new_row();
  set_bits(*row, tokens);
  shape.base = row;
}

// Pairs every token below `node` with the suffix that leads to it.
void Lexer::quote_exits(std::uint32_t node, std::uint32_t suffix, Exits& out) const {
  const Trie& t = *trie_;
  for (std::uint32_t i = t.token_begin(node); i < t.token_end(node); ++i) out.emplace_back(suffix, t.id(i));
  std::uint32_t child = suffix + 1;
  for (std::uint32_t i = 0; i < t[node].children; ++i) {
    const std::uint32_t c = t[node].first_child + i;
    while (quote_suffixes_->nodes[child].byte != t[c].byte) child = quote_suffixes_->nodes[child].end;
    quote_exits(c, child, out);
  }
}

bool Lexer::build_direct(Shape& shape, Lex start, std::int32_t filter, std::size_t budget) {
  const Trie& t = *trie_;
  const bool string = states_[start].kind != Kind::kText;
  std::vector<std::pair<std::uint32_t, Lex>> todo{{0, start}};
  std::vector<std::uint32_t> inside, ends;
  std::size_t visited = 0;
  const auto visit = [&](std::uint32_t node, Lex q) {
    if (string && states_[q].kind == Kind::kText) {
      ends.push_back(node);
      return;
    }
    for (std::uint32_t i = t.token_begin(node); i < t.token_end(node); ++i) inside.push_back(t.id(i));
    if (t[node].children == 0) return;
    if (!string && states_[q].accepting) ends.push_back(node);
    todo.emplace_back(node, q);
  };
  while (!todo.empty()) {
    const auto [node, q] = todo.back();
    todo.pop_back();
    const std::int16_t single = this->single(q);
    if (single >= 0) {
      const std::uint32_t c = single == kNoByte ? Trie::kNoChild : t.child(node, static_cast<std::uint8_t>(single));
      if (c != Trie::kNoChild) visit(c, states_[q].single_to);
      continue;
    }
    const Trie::Node n = t[node];
    visited += n.children;
    if (visited > budget) return false;
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      const Lex to = next(q, t[c].byte);
      if (to != kDeadLex) visit(c, to);
    }
  }
  if (string) {
    for (std::uint32_t node : ends) quote_exits(node, 0, shape.exits);
    std::sort(shape.exits.begin(), shape.exits.end());
  } else if (filter != 0 && !ends.empty()) {
    text_exits(shape, ends, filter);
  }
  set_inside(shape, std::move(inside));
  return true;
}

// Merges what follows all the places where the lexeme may end inside a token into one suffix trie, as far as the
// filter lets it follow.
void Lexer::text_exits(Shape& shape, const std::vector<std::uint32_t>& ends, std::int32_t filter) {
  const Trie& t = *trie_;
  auto made = std::make_unique<SuffixTrie>();
  SuffixTrie& out = *made;
  out.nodes.push_back({0, 1});
  struct Level {
    std::vector<std::pair<std::uint8_t, std::uint32_t>> children;  // byte, trie node; sorted
    std::size_t at = 0;
    std::uint32_t self = 0;
    Lex follow = kDeadLex;
  };
  std::vector<Level> levels;
  const auto open = [&](const std::vector<std::uint32_t>& sources, Lex follow, std::uint32_t self) {
    Level level;
    level.self = self;
    level.follow = follow;
    for (std::uint32_t node : sources) {
      const Trie::Node n = t[node];
      for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c)
        if (next(follow, t[c].byte) != kDeadLex) level.children.emplace_back(t[c].byte, c);
    }
    std::sort(level.children.begin(), level.children.end());
    levels.push_back(std::move(level));
  };
  open(ends, filters_[static_cast<std::size_t>(filter)], 0);
  std::vector<std::uint32_t> same;
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.at == level.children.size()) {
      out.nodes[level.self].end = static_cast<std::uint32_t>(out.nodes.size());
      levels.pop_back();
      continue;
    }
    const std::uint8_t byte = level.children[level.at].first;
    const std::uint32_t self = static_cast<std::uint32_t>(out.nodes.size());
    out.nodes.push_back({byte, self + 1});
    same.clear();
    for (; level.at < level.children.size() && level.children[level.at].first == byte; ++level.at) {
      const std::uint32_t node = level.children[level.at].second;
      same.push_back(node);
      for (std::uint32_t i = t.token_begin(node); i < t.token_end(node); ++i) shape.exits.emplace_back(self, t.id(i));
    }
    const Lex follow = next(level.follow, byte);
    open(same, follow, self);
  }
  if (shape.exits.empty()) return;
  bytes_ += out.nodes.size() * sizeof(SuffixTrie::Node);
  shape.suffixes = &out;
  tries_.push_back(std::move(made));
}

// Most printable characters lead back to "any string", as in "any key but these".
bool Lexer::mostly_any(Re r) {
  const Derivative& d = regexes_.derivative(r);
  std::uint32_t free = 0;
  for (std::size_t i = 0; i < d.size(); ++i) {
    if (d[i].to != RegexStore::kAnyStar) continue;
    const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start : kMaxCodePoint + 1;
    const std::uint32_t low = std::max(d[i].start, 0x20U), high = std::min(end, 0x7FU);
    if (low < high) free += high - low;
  }
  return free >= 48;
}

// The tables of the plain string, less what this residual forbids: only the paths where the two differ are walked,
// over residuals, so that no lexer states are made for them.
bool Lexer::build_difference(Shape& shape, Lex start, std::size_t budget) {
  const Trie& t = *trie_;
  const Kind kind = states_[start].kind;
  const Shape& base = this->shape(intern(kind, RegexStore::kAnyStar, RegexStore::kEpsilon, kClean), 0);
  std::vector<std::uint32_t> clear;
  Exits removed;
  struct Entry {
    std::uint32_t node;
    Re mine;
    Decoder decoder;
  };
  // Everything below the node is forbidden, though the plain string allows it.
  const auto forbid = [&](Entry root) {
    std::vector<Entry> todo{root};
    while (!todo.empty()) {
      const Entry e = todo.back();
      todo.pop_back();
      for (std::uint32_t i = t.token_begin(e.node); i < t.token_end(e.node); ++i) clear.push_back(t.id(i));
      for (std::uint32_t c = t[e.node].first_child; c < t[e.node].first_child + t[e.node].children; ++c) {
        const Fed fed = feed(kind, e.decoder, t[c].byte);
        if (fed.status == Fed::kClose) quote_exits(c, 0, removed);
        if (fed.status == Fed::kPending || fed.status == Fed::kChar) todo.push_back({c, e.mine, fed.status == Fed::kChar ? 0 : fed.value});
      }
    }
  };
  std::vector<Entry> todo{{0, states_[start].residual, kClean}};
  std::size_t visited = 0;
  while (!todo.empty()) {
    const Entry e = todo.back();
    todo.pop_back();
    if (e.decoder == kClean) {
      if (!regexes_.nullable(e.mine)) {
        const std::uint32_t quote = t.child(e.node, '"');
        if (quote != Trie::kNoChild) quote_exits(quote, 0, removed);
      }
      const Derivative& d = regexes_.derivative(e.mine);
      bool simple = true;
      for (std::size_t i = 0; i < d.size() && simple; ++i) {
        const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start : kMaxCodePoint + 1;
        simple = d[i].to == RegexStore::kAnyStar || (kind == Kind::kStringMinimal && d[i].start >= 0x20 && end <= 0x80 && !(d[i].start <= '"' && '"' < end) && !(d[i].start <= '\\' && '\\' < end));
      }
      if (simple) {
        // Few characters differ, and each has one spelling: look them up.
        for (std::size_t i = 0; i < d.size(); ++i) {
          if (d[i].to == RegexStore::kAnyStar) continue;
          for (std::uint32_t c = d[i].start; c < d[i + 1].start; ++c) {
            const std::uint32_t child = t.child(e.node, static_cast<std::uint8_t>(c));
            if (child == Trie::kNoChild) continue;
            if (++visited > budget) return false;
            if (regexes_.is_empty(d[i].to))
              forbid({child, d[i].to, kClean});
            else
              todo.push_back({child, d[i].to, kClean});
          }
        }
        continue;
      }
    }
    const Trie::Node n = t[e.node];
    visited += n.children;
    if (visited > budget) return false;
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      const Fed fed = feed(kind, e.decoder, t[c].byte);
      if (fed.status != Fed::kChar && fed.status != Fed::kPending) continue;  // a quote was dealt with above
      const bool whole = fed.status == Fed::kChar;
      const Re to = whole ? regexes_.derive(e.mine, fed.value) : regexes_.narrow(e.mine, pending_ranges(kind, fed.value));
      if (to == RegexStore::kAnyStar || (!whole && to == RegexStore::kAnyPlus)) continue;
      if (regexes_.is_empty(to))
        forbid({c, to, whole ? static_cast<Decoder>(kClean) : fed.value});
      else
        todo.push_back({c, to, whole ? static_cast<Decoder>(kClean) : fed.value});
    }
  }
  shape.base = base.base;
  shape.clear = base.clear;
  shape.clear.insert(shape.clear.end(), clear.begin(), clear.end());
  shape.add = base.add;
  if (!clear.empty() && !shape.add.empty()) {
    std::sort(clear.begin(), clear.end());
    const auto gone = [&](std::uint32_t token) { return std::binary_search(clear.begin(), clear.end(), token); };
    shape.add.erase(std::remove_if(shape.add.begin(), shape.add.end(), gone), shape.add.end());
  }
  std::sort(removed.begin(), removed.end());
  std::set_difference(base.exits.begin(), base.exits.end(), removed.begin(), removed.end(), std::back_inserter(shape.exits));
  return true;
}

// So many first bytes continue that a direct walk would run over its budget anyway.
bool Lexer::wide(Lex q) {
  std::size_t live = 0;
  for (int b = 0x20; b < 0x7F; ++b) live += next(q, static_cast<std::uint8_t>(b)) != kDeadLex;
  return live > kWideBytes;
}

// Nothing dies inside, as in a search for a substring: only the tokens that close the string need a look.
void Lexer::build_immortal(Shape& shape, Lex q) {
  const State s = states_[q];
  const Shape& base = this->shape(intern(s.kind, RegexStore::kAnyStar, RegexStore::kEpsilon, kClean), 0);
  shape.base = base.base;
  shape.clear = base.clear;
  shape.add = base.add;
  const CharacterTrie& trie = characters(s.kind);
  std::vector<std::uint32_t> path;
  for (const std::uint32_t node : trie.closing) {
    const std::uint32_t begin = trie.nodes[node].exits, end = trie.nodes[node + 1].exits;
    path.clear();
    for (std::uint32_t n = node; n != 0; n = trie.nodes[n].parent) path.push_back(trie.nodes[n].code_point);
    Re r = s.residual;
    for (std::size_t i = path.size(); i-- > 0;) r = regexes_.derive(r, path[i]);
    if (regexes_.nullable(r)) shape.exits.insert(shape.exits.end(), trie.exits.begin() + begin, trie.exits.begin() + end);
  }
  std::sort(shape.exits.begin(), shape.exits.end());
}

const CharacterTrie& Lexer::characters(Kind kind) {
  std::shared_ptr<const CharacterTrie>& made = characters_[static_cast<std::size_t>(kind)];
  if (!made) {
    made = std::make_shared<const CharacterTrie>(*this, kind);
    bytes_ += made->bytes();
  }
  return *made;
}

const Row& Lexer::every_token(Kind kind) {
  const Row*& row = every_token_[static_cast<std::size_t>(kind)];
  if (!row) {
    Row* made = new_row();
    set_bits(*made, characters(kind).tokens);
    for (const auto& p : characters(kind).partial) (*made)[p.second >> 5] |= 1U << (p.second & 31);
    row = made;
  }
  return *row;
}

// Any partition that is fine enough will do: the residuals of one pattern share that of the first.
Quotient* Lexer::find_quotient(Kind kind, const std::vector<std::int32_t>& atoms) const {
  Quotient* best = nullptr;
  for (const auto& q : quotients_) {
    const bool serves = q->kind() == kind && std::includes(q->atoms().begin(), q->atoms().end(), atoms.begin(), atoms.end());
    if (serves && (!best || q->atoms().size() < best->atoms().size())) best = q.get();
  }
  return best;
}

Quotient& Lexer::quotient(Kind kind, Re r) {
  const std::vector<std::int32_t> atoms = regexes_.atoms(r);
  if (Quotient* found = find_quotient(kind, atoms)) return *found;
  quotients_.push_back(std::make_unique<Quotient>(*this, kind, atoms));
  return *quotients_.back();
}

}  // namespace structgen
