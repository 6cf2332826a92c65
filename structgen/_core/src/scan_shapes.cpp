// The tokens of a scanner's states: which stay inside the lexeme, and what is left of the others behind its end.
#include <algorithm>

#include "scanner.hpp"

namespace structgen {

namespace {

constexpr std::size_t kSparse = 4096;   // tokens; more are kept as a row of bits
constexpr std::size_t kMostReferences = 32;
constexpr std::size_t kMostDifferent = 6000;  // nodes at which two states may differ for the table of one to be made from the other's
constexpr std::size_t kFewDifferent = 64;     // nodes at which they are taken to differ below a byte with which both go on
constexpr std::uint32_t kFewTokens = 8;  // fewer are not worth finding out what all of them do
constexpr std::size_t kAbundant = 64;   // nodes that can follow; more are looked at from the parser's state, not merged

}  // namespace

// Visits the children of a node to which a state goes on, with the state there.
template <class Visit>
void Scanner::each_child(Scan q, std::uint32_t node, Visit&& visit) {
  const Trie& t = lexer_.trie();
  const Trie::Node n = t[node];
  if (!states_[static_cast<std::size_t>(q)].row) make_row(q);
  const State s = states_[static_cast<std::size_t>(q)];
  if (s.live == kMany || n.children <= s.live) {
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c)
      if (const Scan to = next(q, t[c].byte); to != kDeadScan) visit(c, to);
    return;
  }
  for (std::size_t i = 0; i < s.live; ++i) {
    const std::uint32_t c = t.child(node, s.few[i]);
    if (c == Trie::kNoChild) continue;
    if (const Scan to = next(q, s.few[i]); to != kDeadScan) visit(c, to);
  }
}

// Whether more than kAbundant nodes below `node` can follow, as far as the first lexeme tells.
bool Scanner::abounds(std::uint32_t node, Scan first) {
  const Trie& t = lexer_.trie();
  if (t.last(node) - t.first(node) <= kAbundant / 2) return false;
  std::vector<std::pair<std::uint32_t, Scan>> todo{{node, first}};
  std::size_t met = 0;
  while (!todo.empty() && met <= kAbundant) {
    const auto [at, q] = todo.back();
    todo.pop_back();
    // Behind the first lexeme anything may follow.
    const auto meet = [&](std::uint32_t c, Scan to) {
      ++met;
      todo.emplace_back(c, to != kDeadScan && !exits(to).empty() ? kDeadScan : to);
    };
    const Trie::Node n = t[at];
    if (q != kDeadScan)
      each_child(q, at, meet);
    else
      for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) meet(c, kDeadScan);
  }
  return met > kAbundant;
}

// What may follow an exit, as far as the terminal tells.
Scan Scanner::follower(const ScanExit& e, bool dropped) {
  const std::int32_t set = dropped ? every_terminal_ : followers_[static_cast<std::size_t>(e.terminal)];
  return start(set, with_keywords(set), e.obligation, e.left);
}

// The kinds of bytes that a plain state reads without any change, and of which none can be the next one behind the lexeme, were it to end in
// this state.
Trie::Kinds Scanner::stays(Scan q) {
  const std::int32_t known = states_[static_cast<std::size_t>(q)].stays;
  if (known >= 0) return stays_[static_cast<std::size_t>(known)];
  const std::vector<std::int32_t> ends = exits(q);
  const bool any = std::any_of(ends.begin(), ends.end(), [&](std::int32_t e) { return embeds_[static_cast<std::size_t>(exits_[static_cast<std::size_t>(e)].terminal)]; });
  const std::int32_t core = states_[static_cast<std::size_t>(q)].core;
  Trie::Kinds gone = Trie::kBroken;
  if (!between_characters(q) || any || !plain(q) || (newline_ >= 0 && counts(q))) gone = ~Trie::Kinds{0};
  const auto kind = [](std::uint32_t b) { return b < 0x80 ? Trie::kind(static_cast<std::uint8_t>(b)) : Trie::kWide; };
  for (std::uint32_t b = 0; b < 0x100; ++b) {
    if ((gone & kind(b)) || (b >= 0x80 && lead_[b] == kInvalid)) continue;
    if (b < 0x80 || lead_[b] >= 0) {
      if (next(q, static_cast<std::uint8_t>(b)) != q && (b < 0x80 || step(core, lead_[b]) != core)) gone |= kind(b);
      continue;
    }
    for (const std::int32_t cls : decoder_[static_cast<std::size_t>(~lead_[b])].classes)
      if (step(core, cls) != core) gone |= kind(b);
  }
  for (const std::int32_t e : ends) {
    const Scan first = gone == ~Trie::Kinds{0} ? kDeadScan : follower(exits_[static_cast<std::size_t>(e)], false);
    if (first == kDeadScan) continue;
    for (std::uint32_t b = 0; b < 0x100; ++b)
      if (!(gone & kind(b)) && next(first, static_cast<std::uint8_t>(b)) != kDeadScan) gone |= kind(b);
  }
  states_[static_cast<std::size_t>(q)].stays = static_cast<std::int32_t>(stays_.size());
  bytes_ += sizeof(Trie::Kinds);
  stays_.push_back(~gone);
  return ~gone;
}

// The kinds of bytes that may come next behind an exit.
Trie::Kinds Scanner::follows(std::int32_t exit) {
  if (follows_.size() <= static_cast<std::size_t>(exit)) follows_.resize(exits_.size());
  std::optional<Trie::Kinds>& known = follows_[static_cast<std::size_t>(exit)];
  if (known) return *known;
  const ScanExit e = exits_[static_cast<std::size_t>(exit)];
  // Newlines are left with every terminal in brackets, and of embedded expressions nothing is known here.
  if (embeds_[static_cast<std::size_t>(e.terminal)] || e.terminal == newline_) return *(known = ~Trie::Kinds{0});
  const Scan first = follower(e, false);
  Trie::Kinds found = 0;
  for (std::uint32_t b = 0; b < 0x100 && first != kDeadScan; ++b)
    if (reads_first(states_[static_cast<std::size_t>(first)].core, static_cast<std::uint8_t>(b))) found |= b < 0x80 ? Trie::kind(static_cast<std::uint8_t>(b)) : Trie::kWide;
  return *(known = found);
}

// Whether all tokens below a node, at which a state is reached from another, stay inside the lexeme, in the same state, and where they might leave it
// nothing could follow. Looked for only where much is below and the last byte changed nothing. Within a character, what stays is told by the state
// in front of it.
bool Scanner::all_stay(Scan from, Scan to, std::uint32_t node) {
  const Trie& t = lexer_.trie();
  if (to == kDeadScan || t[node].children == 0) return false;
  if (!between_characters(to)) {
    const State& s = states_[static_cast<std::size_t>(from)];
    return s.partial == 0 && s.stays >= 0 && (stays(from) & Trie::kWide) && !(t.kinds(node) & ~stays(from));
  }
  if (states_[static_cast<std::size_t>(to)].stays < 0) {
    if (t.last(node) - t.first(node) < kFewTokens) return false;
    if (to != from && states_[static_cast<std::size_t>(from)].partial == 0) return false;
  }
  return !(t.kinds(node) & ~stays(to));
}

// What can follow the places where the lexeme ends inside a token; tables of similar states share it.
const ScanShape::Exits& Scanner::follow(std::int32_t exit, ScanShape::Where where, const std::vector<std::uint32_t>& ends) {
  std::uint64_t h = combine(static_cast<std::uint64_t>(exit), static_cast<std::uint64_t>(where));
  for (const std::uint32_t node : ends) h = combine(h, node);
  const std::int32_t found = followed_index_.find(h, [&](std::int32_t i) {
    const Followed& f = followed_[static_cast<std::size_t>(i)];
    return f.exits.exit == exit && f.exits.where == where && f.ends == ends;
  });
  if (found >= 0) return followed_[static_cast<std::size_t>(found)].exits;
  ScanShape::Exits made;
  made.exit = exit;
  made.where = where;
  merge(made, ends);
  bytes_ += sizeof(Followed) + ends.size() * 4 + 12;
  followed_.push_back({ends, std::move(made)});
  followed_index_.insert(h, static_cast<std::int32_t>(followed_.size() - 1));
  return followed_.back().exits;
}

// Merges what can follow the places into one trie.
void Scanner::merge(ScanShape::Exits& out, const std::vector<std::uint32_t>& ends) {
  const Trie& t = lexer_.trie();
  const ScanExit exit = exits_[static_cast<std::size_t>(out.exit)];
  const bool any = embeds_[static_cast<std::size_t>(exit.terminal)];  // not only the scanner knows what can follow
  const Scan first = any ? kDeadScan : follower(exit, out.where == ScanShape::Where::kInBrackets);
  std::vector<std::uint32_t> few;
  for (const std::uint32_t node : ends) {
    if (first == kDeadScan && !any) break;
    if (abounds(node, first))
      out.nodes.push_back(node);
    else
      few.push_back(node);
  }
  auto made = std::make_unique<SuffixTrie>();
  SuffixTrie& trie = *made;
  trie.nodes.push_back({0, 1});
  struct Level {
    std::vector<std::pair<std::uint8_t, std::uint32_t>> children;  // byte, trie node; sorted
    std::size_t at = 0;
    std::uint32_t self = 0;
    Scan state = kDeadScan;
    bool free = false;
  };
  std::deque<Level> levels;  // those from `depth` on are left over
  std::size_t depth = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> tokens;
  const auto open = [&](const std::vector<std::uint32_t>& sources, Scan state, bool free, std::uint32_t self) {
    if (levels.size() == depth) levels.emplace_back();
    Level& level = levels[depth++];
    level.children.clear();
    level.at = 0;
    level.self = self;
    level.state = state;
    level.free = free;
    const auto add = [&](std::uint32_t c, Scan) { level.children.emplace_back(t[c].byte, c); };
    for (const std::uint32_t node : sources) {
      const Trie::Node n = t[node];
      if (free)
        for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) add(c, kDeadScan);
      else if (state != kDeadScan)
        each_child(state, node, add);
    }
    if (level.children.size() > 1) std::sort(level.children.begin(), level.children.end());
  };
  open(few, first, any, 0);
  std::vector<std::uint32_t> same;
  while (depth > 0) {
    Level& level = levels[depth - 1];
    if (level.at == level.children.size()) {
      trie.nodes[level.self].end = static_cast<std::uint32_t>(trie.nodes.size());
      --depth;
      continue;
    }
    const std::uint8_t byte = level.children[level.at].first;
    const std::uint32_t self = static_cast<std::uint32_t>(trie.nodes.size());
    trie.nodes.push_back({byte, self + 1});
    same.clear();
    for (; level.at < level.children.size() && level.children[level.at].first == byte; ++level.at) {
      const std::uint32_t node = level.children[level.at].second;
      same.push_back(node);
      for (std::uint32_t i = t.token_begin(node); i < t.token_end(node); ++i) tokens.emplace_back(self, t.id(i));
    }
    const Scan to = level.free ? kDeadScan : next(level.state, byte);
    open(same, to, level.free || !exits(to).empty(), self);
  }
  if (tokens.empty()) return;
  std::sort(tokens.begin(), tokens.end());  // those of one suffix come in the order of their nodes
  bytes_ += trie.nodes.size() * sizeof(SuffixTrie::Node) + tokens.size() * 8;
  out.tokens = std::make_shared<const std::vector<std::pair<std::uint32_t, std::uint32_t>>>(std::move(tokens));
  out.suffixes = made.get();
  tries_.push_back(std::move(made));
}

// Where lexemes end, by exit. What the path from the root means for the column of a newline is part of the exit.
struct Scanner::Ends {
  std::vector<std::pair<std::int32_t, std::vector<std::uint32_t>>> lists;
  void add(std::int32_t exit, std::uint32_t node) {
    for (auto& list : lists)
      if (list.first == exit) {
        list.second.push_back(node);
        return;
      }
    lists.emplace_back(exit, std::vector<std::uint32_t>{node});
  }
};

namespace {

struct Column {
  std::int32_t indent = 0;
  bool new_line = false;
  void read(std::uint8_t byte, std::int32_t tab) {
    if (byte == '\n') {
      indent = 0;
      new_line = true;
    } else if (byte == ' ' || byte == '\t') {
      indent += byte == ' ' ? 1 : tab;
    }
  }
};

}  // namespace

void Scanner::add_exits(ScanShape& out, const Ends& ends) {
  const auto add = [&](std::int32_t exit, ScanShape::Where where, const std::vector<std::uint32_t>& nodes) {
    const ScanShape::Exits& more = follow(exit, where, nodes);
    if (!more.nodes.empty() || more.suffixes) out.exits.push_back(more);
  };
  for (const auto& [exit, nodes] : ends.lists) {
    const bool newline = exits_[static_cast<std::size_t>(exit)].terminal == newline_;
    add(exit, newline ? ScanShape::Where::kOutside : ScanShape::Where::kAnywhere, nodes);
    if (newline) add(exit, ScanShape::Where::kInBrackets, nodes);
  }
}

// The tokens at a node, where a state is reached.
void Scanner::sort_in(Scan q, std::uint32_t node, std::vector<std::uint32_t>& inside, std::vector<std::pair<Scan, std::uint32_t>>& doubts) {
  const Trie& t = lexer_.trie();
  if (q == kDeadScan || t.token_begin(node) == t.token_end(node)) return;
  const bool sure = plain(q);
  for (std::uint32_t i = t.token_begin(node); i < t.token_end(node); ++i) {
    if (sure)
      inside.push_back(t.id(i));
    else
      doubts.emplace_back(q, t.id(i));
  }
}

namespace {

// By state.
std::vector<ScanShape::Doubt> grouped(std::vector<std::pair<Scan, std::uint32_t>> doubts) {
  std::sort(doubts.begin(), doubts.end());
  std::vector<ScanShape::Doubt> out;
  for (const auto& [q, token] : doubts) {
    if (out.empty() || out.back().state != q) out.push_back({q, {}});
    out.back().tokens.push_back(token);
  }
  return out;
}

}  // namespace

void Scanner::walk(ScanShape& out, Scan q, std::uint32_t root) {
  const Trie& t = lexer_.trie();
  struct Entry {
    std::uint32_t node;
    Scan state;
    Column column;
  };
  std::vector<Entry> todo{{root, q, {}}};
  std::vector<std::uint32_t> inside, whole;
  std::size_t size = 0;
  std::vector<std::pair<Scan, std::uint32_t>> doubts;
  Ends ends;
  // Of the state that was met last: mostly it is the next one, too.
  Scan last = kDeadScan;
  const std::vector<std::int32_t>* last_exits = nullptr;
  Trie::Kinds last_follows = 0;
  while (!todo.empty()) {
    const Entry at = todo.back();
    todo.pop_back();
    each_child(at.state, at.node, [&](std::uint32_t c, Scan to) {
      if (all_stay(at.state, to, c)) {
        whole.push_back(c);
        size += t.last(c) - t.first(c);
        return;
      }
      sort_in(to, c, inside, doubts);
      if (t[c].children == 0) return;
      if (to != last) {
        last = to;
        last_exits = &exits(to);
        last_follows = 0;
        for (const std::int32_t e : *last_exits) last_follows |= follows(e);
      }
      Entry further{c, to, at.column};
      if (newline_ >= 0 && counts(to)) further.column.read(t[c].byte, tab_);
      if (t.kinds(c) & last_follows)
        for (const std::int32_t e : *last_exits)
          if (t.kinds(c) & follows(e)) ends.add(with_column(e, further.column.indent, further.column.new_line), c);
      todo.push_back(further);
    });
  }
  add_exits(out, ends);
  out.doubts = grouped(std::move(doubts));
  size += inside.size();
  if (size > kSparse) {
    mask_rows_.push_back(std::make_unique<Row>(row_of(std::move(whole), size)));
    Row& row = *mask_rows_.back();
    for (const std::uint32_t i : inside) row[i >> 5] |= 1U << (i & 31);
    bytes_ += lexer_.mask_words() * 4;
    out.base = mask_rows_.back().get();
  } else {
    for (const std::uint32_t node : whole)
      for (std::uint32_t i = t.first(node); i < t.last(node); ++i) inside.push_back(t.ordered(i));
    out.add = std::move(inside);
    out.add.shrink_to_fit();
  }
}

// All tokens below some nodes, of which none is below another; where they are most of the `size` that are wanted, by what is left out.
Row Scanner::row_of(std::vector<std::uint32_t> nodes, std::size_t size) const {
  const Trie& t = lexer_.trie();
  Row row(lexer_.mask_words(), 0);
  if (size < t.tokens() / 2) {
    for (const std::uint32_t node : nodes)
      for (std::uint32_t i = t.first(node); i < t.last(node); ++i) row[t.ordered(i) >> 5] |= 1U << (t.ordered(i) & 31);
    return row;
  }
  const std::size_t ids = t.tokens() + t.absent().size();
  std::fill(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(ids / 32), ~0U);
  if (ids % 32) row[ids / 32] = (1U << (ids % 32)) - 1;
  for (const std::uint32_t i : t.absent()) row[i >> 5] &= ~(1U << (i & 31));
  std::sort(nodes.begin(), nodes.end(), [&](std::uint32_t a, std::uint32_t b) { return t.first(a) < t.first(b); });
  std::uint32_t at = 0;
  const auto clear = [&](std::uint32_t end) {
    for (; at < end; ++at) row[t.ordered(at) >> 5] &= ~(1U << (t.ordered(at) & 31));
  };
  for (const std::uint32_t node : nodes) {
    clear(t.first(node));
    at = t.last(node);
  }
  clear(t.tokens());
  return row;
}

// The exit of a newline with what was read of its column.
std::int32_t Scanner::with_column(std::int32_t number, std::int32_t indent, bool new_line) {
  ScanExit e = exits_[static_cast<std::size_t>(number)];
  if (e.terminal != newline_) return number;
  e.indent = indent;
  e.new_line = new_line;
  return intern_exit(e);
}

// Takes away what follows the ends at some nodes.
void Scanner::remove_exits(ScanShape::Exits& from, const std::vector<std::uint32_t>& nodes) const {
  const Trie& t = lexer_.trie();
  std::vector<std::pair<std::uint32_t, std::uint32_t>> gone, todo;
  for (const std::uint32_t node : nodes) {
    const auto known = std::find(from.nodes.begin(), from.nodes.end(), node);
    if (known != from.nodes.end()) {
      from.nodes.erase(known);
      continue;
    }
    if (!from.suffixes) continue;
    todo.assign(1, {node, 0});
    while (!todo.empty()) {
      const auto [at, suffix] = todo.back();
      todo.pop_back();
      const std::vector<SuffixTrie::Node>& suffixes = from.suffixes->nodes;
      for (std::uint32_t s = suffix + 1; s < suffixes[suffix].end; s = suffixes[s].end) {
        const std::uint32_t c = t.child(at, suffixes[s].byte);
        if (c == Trie::kNoChild) continue;
        for (std::uint32_t i = t.token_begin(c); i < t.token_end(c); ++i) gone.emplace_back(s, t.id(i));
        todo.emplace_back(c, s);
      }
    }
  }
  if (gone.empty()) return;
  std::sort(gone.begin(), gone.end());
  auto left = std::make_shared<std::vector<std::pair<std::uint32_t, std::uint32_t>>>();
  std::set_difference(from.tokens->begin(), from.tokens->end(), gone.begin(), gone.end(), std::back_inserter(*left));
  if (left->empty())
    from.suffixes = nullptr;
  from.tokens = std::move(left);
}

// Makes a table from that of another state, where the two differ at few nodes only: at keywords, say, that one of them does not expect.
bool Scanner::adapt(ScanShape& out, Scan q, const Reference& from, std::uint32_t root) {
  const Trie& t = lexer_.trie();
  struct Entry {
    std::uint32_t node;
    Scan mine, other;
    Column my_column, other_column;
  };
  std::vector<Entry> todo{{root, q, from.state, {}, {}}};
  std::vector<std::uint32_t> add, clear;
  std::vector<std::pair<Scan, std::uint32_t>> doubts, former;
  Ends more, fewer;
  std::size_t met = 0;
  while (!todo.empty()) {
    const Entry at = todo.back();
    todo.pop_back();
    const Trie::Node n = t[at.node];
    met += n.children;
    if (met > kMostDifferent) return false;
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      const std::uint8_t byte = t[c].byte;
      Entry to{c, at.mine == kDeadScan ? kDeadScan : next(at.mine, byte), at.other == kDeadScan ? kDeadScan : next(at.other, byte), at.my_column, at.other_column};
      if (to.mine == to.other) continue;
      sort_in(to.other, c, clear, former);
      sort_in(to.mine, c, add, doubts);
      if (t[c].children == 0) continue;
      std::vector<std::int32_t> mine, other;
      if (to.mine != kDeadScan) {
        if (newline_ >= 0 && counts(to.mine)) to.my_column.read(byte, tab_);
        for (const std::int32_t e : exits(to.mine)) mine.push_back(with_column(e, to.my_column.indent, to.my_column.new_line));
      }
      if (to.other != kDeadScan) {
        if (newline_ >= 0 && counts(to.other)) to.other_column.read(byte, tab_);
        for (const std::int32_t e : exits(to.other)) other.push_back(with_column(e, to.other_column.indent, to.other_column.new_line));
      }
      for (const std::int32_t e : mine)
        if ((t.kinds(c) & follows(e)) && std::find(other.begin(), other.end(), e) == other.end()) more.add(e, c);
      for (const std::int32_t e : other)
        if ((t.kinds(c) & follows(e)) && std::find(mine.begin(), mine.end(), e) == mine.end()) fewer.add(e, c);
      if (all_stay(at.mine, to.mine, c) && all_stay(at.other, to.other, c)) continue;
      todo.push_back(to);
    }
  }
  for (const ScanShape::Exits& x : from.shape->exits) {
    ScanShape::Exits kept = x;
    for (const auto& [exit, nodes] : fewer.lists)
      if (exit == x.exit) remove_exits(kept, nodes);
    if (!kept.nodes.empty() || kept.suffixes) out.exits.push_back(std::move(kept));
  }
  add_exits(out, more);
  mask_rows_.push_back(std::make_unique<Row>(*from.shape->base));
  for (const std::uint32_t i : clear) (*mask_rows_.back())[i >> 5] &= ~(1U << (i & 31));
  for (const std::uint32_t i : add) (*mask_rows_.back())[i >> 5] |= 1U << (i & 31);
  bytes_ += lexer_.mask_words() * 4;
  out.base = mask_rows_.back().get();
  std::sort(former.begin(), former.end());
  for (const ScanShape::Doubt& d : from.shape->doubts)
    for (const std::uint32_t token : d.tokens)
      if (!std::binary_search(former.begin(), former.end(), std::make_pair(d.state, token))) doubts.emplace_back(d.state, token);
  out.doubts = grouped(std::move(doubts));
  return true;
}

// The table, of those at a node, of the state that agrees best with this one about the first bytes there, and at how many nodes they may
// differ. Null where all of them differ much.
const Scanner::Reference* Scanner::nearest(Scan q, std::uint32_t root, std::size_t& least) {
  const auto found = references_.find(root);
  if (found == references_.end()) return nullptr;
  const Trie& t = lexer_.trie();
  const Trie::Node n = t[root];
  const Reference* best = nullptr;
  least = kMostDifferent + 1;
  for (const Reference& from : found->second) {
    std::size_t differ = 0;
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children && differ < least; ++c) {
      const Scan mine = next(q, t[c].byte), other = next(from.state, t[c].byte);
      if (mine == other) continue;
      // Where both go on, they mostly differ at a few keywords.
      const std::size_t below = 2 * (t.last(c) - t.first(c));  // nodes, about
      differ += mine == kDeadScan || other == kDeadScan ? below : std::min(below, kFewDifferent);
    }
    if (differ >= least) continue;
    least = differ;
    best = &from;
  }
  return best;
}

const ScanShape& Scanner::shape(Scan q, std::uint32_t root) {
  const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(q)) << 32) | root;
  const std::int32_t known = shape_index_.get(key, -1);
  if (known >= 0) return *shapes_[static_cast<std::size_t>(known)];
  auto made = std::make_unique<ScanShape>();
  std::size_t differ = 0;
  const Reference* from = nearest(q, root, differ);
  if (!from || !adapt(*made, q, *from, root)) walk(*made, q, root);
  if (made->base && (!from || differ > kFewDifferent)) {
    std::vector<Reference>& list = references_[root];
    if (list.size() < kMostReferences) list.push_back({q, made.get()});
  }
  bytes_ += sizeof(ScanShape) + made->add.size() * 4;
  for (const ScanShape::Doubt& d : made->doubts) bytes_ += sizeof(d) + d.tokens.size() * 4;
  shape_index_.put(key, static_cast<std::int32_t>(shapes_.size()));
  shapes_.push_back(std::move(made));
  return *shapes_.back();
}

}  // namespace structgen
