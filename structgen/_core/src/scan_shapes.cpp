// The tokens of a scanner's states: which stay inside the lexeme, and what is left of the others behind its end.
#include <algorithm>

#include "scanner.hpp"

namespace structgen {

namespace {

constexpr std::size_t kSparse = 4096;   // tokens; more are kept as a row of bits
constexpr std::size_t kAbundant = 64;   // nodes that can follow; more are looked at from the parser's state, not merged

}  // namespace

// Whether more than kAbundant nodes below `node` can follow, as far as the first lexeme tells.
bool Scanner::abounds(std::uint32_t node, Scan first) {
  const Trie& t = lexer_.trie();
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
  return start(set, set, e.obligation, e.left);
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
      for (std::uint32_t i = t.token_begin(node); i < t.token_end(node); ++i) out.tokens.emplace_back(self, t.id(i));
    }
    const Scan to = level.free ? kDeadScan : next(level.state, byte);
    open(same, to, level.free || !exits(to).empty(), self);
  }
  if (out.tokens.empty()) return;
  bytes_ += trie.nodes.size() * sizeof(SuffixTrie::Node) + out.tokens.size() * 8;
  out.suffixes = made.get();
  tries_.push_back(std::move(made));
}

const ScanShape& Scanner::shape(Scan q, std::uint32_t root) {
  const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(q)) << 32) | root;
  const std::int32_t known = shape_index_.get(key, -1);
  if (known >= 0) return *shapes_[static_cast<std::size_t>(known)];
  const Trie& t = lexer_.trie();
  auto made = std::make_unique<ScanShape>();
  // Where the column of a newline matters: what the path from the root means for it.
  struct Entry {
    std::uint32_t node;
    Scan state;
    std::int32_t indent;
    bool new_line;
  };
  std::vector<Entry> todo{{root, q, 0, false}};
  std::vector<std::uint32_t> inside;
  std::vector<std::pair<std::int32_t, std::vector<std::uint32_t>>> ends;
  const auto end_at = [&](std::int32_t exit, std::uint32_t node) {
    for (auto& e : ends)
      if (e.first == exit) {
        e.second.push_back(node);
        return;
      }
    ends.emplace_back(exit, std::vector<std::uint32_t>{node});
  };
  const auto end_of = [&](std::int32_t number, const Entry& at) {
    ScanExit e = exits_[static_cast<std::size_t>(number)];
    if (e.terminal != newline_) return number;
    e.indent = at.indent;
    e.new_line = at.new_line;
    return intern_exit(e);
  };
  while (!todo.empty()) {
    const Entry at = todo.back();
    todo.pop_back();
    const Trie::Node n = t[at.node];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      const std::uint8_t byte = t[c].byte;
      const Scan to = next(at.state, byte);
      if (to == kDeadScan) continue;
      for (std::uint32_t i = t.token_begin(c); i < t.token_end(c); ++i) inside.push_back(t.id(i));
      if (t[c].children == 0) continue;
      Entry further{c, to, at.indent, at.new_line};
      if (newline_ >= 0 && counts(to)) {
        if (byte == '\n') {
          further.indent = 0;
          further.new_line = true;
        } else if (byte == ' ' || byte == '\t') {
          further.indent += byte == ' ' ? 1 : tab_;
        }
      }
      for (const std::int32_t e : exits(to)) end_at(end_of(e, further), c);
      todo.push_back(further);
    }
  }
  const auto add = [&](std::int32_t exit, ScanShape::Where where, const std::vector<std::uint32_t>& nodes) {
    ScanShape::Exits more;
    more.exit = exit;
    more.where = where;
    follow(more, nodes);
    if (!more.nodes.empty() || more.suffixes) made->exits.push_back(std::move(more));
  };
  for (const auto& [exit, nodes] : ends) {
    const bool newline = exits_[static_cast<std::size_t>(exit)].terminal == newline_;
    add(exit, newline ? ScanShape::Where::kOutside : ScanShape::Where::kAnywhere, nodes);
    if (newline) add(exit, ScanShape::Where::kInBrackets, nodes);
  }
  if (inside.size() > kSparse) {
    mask_rows_.push_back(std::make_unique<Row>(lexer_.mask_words(), 0));
    for (const std::uint32_t i : inside) (*mask_rows_.back())[i >> 5] |= 1U << (i & 31);
    bytes_ += lexer_.mask_words() * 4;
    made->base = mask_rows_.back().get();
  } else {
    made->add = std::move(inside);
    made->add.shrink_to_fit();
  }
  bytes_ += sizeof(ScanShape) + made->add.size() * 4;
  shape_index_.put(key, static_cast<std::int32_t>(shapes_.size()));
  shapes_.push_back(std::move(made));
  return *shapes_.back();
}

}  // namespace structgen
