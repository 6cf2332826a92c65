// The tokens of a scanner's states: which stay inside the lexeme, and what is left of the others behind its end.
#include <algorithm>

#include "scanner.hpp"

namespace structgen {

namespace {

constexpr std::size_t kSparse = 4096;   // tokens; more are kept as a row of bits
constexpr std::size_t kMostReferences = 32;
constexpr std::size_t kMostDifferent = 6000;  // nodes at which two states may differ for the table of one to be made from the other's
constexpr std::size_t kFewDifferent = 64;     // nodes at which they are taken to differ below a byte with which both go on
constexpr std::size_t kAbundant = 64;   // nodes that can follow; more are looked at from the parser's state, not merged

}  // namespace

// Whether more than kAbundant nodes below `node` can follow, as far as the first lexeme tells.
bool Scanner::abounds(std::uint32_t node, Scan first) {
  const Trie& t = lexer_.trie();
  if (t.below(node) <= kAbundant) return false;
  std::vector<std::pair<std::uint32_t, Scan>> todo{{node, first}};
  std::size_t met = 0;
  while (!todo.empty()) {
    const auto [at, q] = todo.back();
    todo.pop_back();
    const Trie::Node n = t[at];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      // Behind the first lexeme anything may follow.
      const Scan to = q == kDeadScan ? kDeadScan : next(q, t[c].byte);
      if (q != kDeadScan && to == kDeadScan) continue;
      if (++met > kAbundant) return true;
      todo.emplace_back(c, to != kDeadScan && !exits(to).empty() ? kDeadScan : to);
    }
  }
  return false;
}

// What may follow an exit, as far as the terminal tells.
Scan Scanner::follower(const ScanExit& e, bool dropped) {
  const std::int32_t set = dropped ? every_terminal_ : followers_[static_cast<std::size_t>(e.terminal)];
  return start(set, with_keywords(set), e.obligation, e.left);
}

// The bytes that a plain state reads without any change, and of which none can be the next one behind the lexeme, were it to end in this state.
const Scanner::Bytes& Scanner::stays(Scan q) {
  const std::int32_t known = states_[static_cast<std::size_t>(q)].stays;
  if (known >= 0) return stays_[static_cast<std::size_t>(known)];
  Bytes found;
  const std::vector<std::int32_t> ends = exits(q);
  const bool any = std::any_of(ends.begin(), ends.end(), [&](std::int32_t e) { return embeds_[static_cast<std::size_t>(exits_[static_cast<std::size_t>(e)].terminal)]; });
  const State s = states_[static_cast<std::size_t>(q)];
  if (s.partial == 0 && !any && plain(q) && !(newline_ >= 0 && counts(q))) {
    for (std::uint32_t b = 0; b < 0x80; ++b)
      if (next(q, static_cast<std::uint8_t>(b)) == q) found.ascii[b / 64] |= std::uint64_t{1} << (b % 64);
    found.wide = true;
    for (std::uint32_t b = 0x80; b < 0x100 && found.wide; ++b) {
      if (lead_[b] == kInvalid) continue;
      const std::vector<std::int32_t> one(1, lead_[b]);
      const std::vector<std::int32_t>& classes = lead_[b] >= 0 ? one : decoder_[static_cast<std::size_t>(~lead_[b])].classes;
      for (const std::int32_t cls : classes) found.wide = found.wide && step(s.core, cls) == s.core;
    }
    for (const std::int32_t e : ends) {
      const Scan first = follower(exits_[static_cast<std::size_t>(e)], false);
      if (first == kDeadScan) continue;
      for (std::uint32_t b = 0; b < 0x100; ++b)
        if (next(first, static_cast<std::uint8_t>(b)) != kDeadScan) {
          if (b < 0x80)
            found.ascii[b / 64] &= ~(std::uint64_t{1} << (b % 64));
          else
            found.wide = false;
        }
    }
  }
  states_[static_cast<std::size_t>(q)].stays = static_cast<std::int32_t>(stays_.size());
  bytes_ += sizeof(Bytes);
  stays_.push_back(found);
  return stays_.back();
}

// Whether all tokens below a node, at which a state is reached from another, stay inside the lexeme, in the same state, and where they might leave it
// nothing could follow. Looked at only where the last byte changed nothing, or it is known of the state what changes it.
bool Scanner::all_stay(Scan from, Scan to, std::uint32_t node) {
  const Trie::Span* span = lexer_.trie().span(node);
  if (!span || to == kDeadScan) return false;
  if (to != from && states_[static_cast<std::size_t>(from)].partial == 0 && states_[static_cast<std::size_t>(to)].stays < 0) return false;
  const Bytes& bytes = stays(to);
  return !(span->ascii[0] & ~bytes.ascii[0]) && !(span->ascii[1] & ~bytes.ascii[1]) && (!span->wide || (bytes.wide && span->utf8));
}

// Merges what can follow the places where the lexeme ends inside a token into one trie.
void Scanner::follow(ScanShape::Exits& out, const std::vector<std::uint32_t>& ends) {
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
  std::vector<Level> levels;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> tokens;
  const auto open = [&](const std::vector<std::uint32_t>& sources, Scan state, bool free, std::uint32_t self) {
    Level level;
    level.self = self;
    level.state = state;
    level.free = free;
    for (const std::uint32_t node : sources) {
      const Trie::Node n = t[node];
      for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c)
        if (free || next(state, t[c].byte) != kDeadScan) level.children.emplace_back(t[c].byte, c);
    }
    std::sort(level.children.begin(), level.children.end());
    levels.push_back(std::move(level));
  };
  open(few, first, any, 0);
  std::vector<std::uint32_t> same;
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.at == level.children.size()) {
      trie.nodes[level.self].end = static_cast<std::uint32_t>(trie.nodes.size());
      levels.pop_back();
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
    ScanShape::Exits more;
    more.exit = exit;
    more.where = where;
    follow(more, nodes);
    if (!more.nodes.empty() || more.suffixes) out.exits.push_back(std::move(more));
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
  std::vector<std::uint32_t> inside;
  std::vector<const Trie::Span*> whole;
  std::size_t size = 0;
  std::vector<std::pair<Scan, std::uint32_t>> doubts;
  Ends ends;
  while (!todo.empty()) {
    const Entry at = todo.back();
    todo.pop_back();
    const Trie::Node n = t[at.node];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      const Scan to = next(at.state, t[c].byte);
      if (to == kDeadScan) continue;
      if (all_stay(at.state, to, c)) {
        whole.push_back(t.span(c));
        size += whole.back()->last - whole.back()->first;
        continue;
      }
      sort_in(to, c, inside, doubts);
      if (t[c].children == 0) continue;
      Entry further{c, to, at.column};
      if (newline_ >= 0 && counts(to)) further.column.read(t[c].byte, tab_);
      for (const std::int32_t e : exits(to)) ends.add(with_column(e, further.column.indent, further.column.new_line), c);
      todo.push_back(further);
    }
  }
  add_exits(out, ends);
  out.doubts = grouped(std::move(doubts));
  size += inside.size();
  if (size > kSparse) {
    mask_rows_.push_back(std::make_unique<Row>(lexer_.mask_words(), 0));
    Row& row = *mask_rows_.back();
    for (const std::uint32_t i : inside) row[i >> 5] |= 1U << (i & 31);
    for (const Trie::Span* span : whole)
      for (std::uint32_t i = span->first; i < span->last; ++i) row[t.ordered(i) >> 5] |= 1U << (t.ordered(i) & 31);
    bytes_ += lexer_.mask_words() * 4;
    out.base = mask_rows_.back().get();
  } else {
    for (const Trie::Span* span : whole)
      for (std::uint32_t i = span->first; i < span->last; ++i) inside.push_back(t.ordered(i));
    out.add = std::move(inside);
    out.add.shrink_to_fit();
  }
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
        if (std::find(other.begin(), other.end(), e) == other.end()) more.add(e, c);
      for (const std::int32_t e : other)
        if (std::find(mine.begin(), mine.end(), e) == mine.end()) fewer.add(e, c);
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
      const std::size_t below = t.below(c) + 1;
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
