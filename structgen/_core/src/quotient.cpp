#include "quotient.hpp"

#include <algorithm>
#include <map>

namespace structgen {

namespace {

// Up to this many tokens are kept as a list of exceptions to a shared row.
constexpr std::size_t kExceptions = 1024;
constexpr std::size_t kSparse = 256;

}  // namespace

Partition::Partition(const RegexStore& regexes, const std::vector<std::int32_t>& atoms) {
  // Sweep over the range boundaries; a class is a set of atoms that hold.
  std::vector<std::pair<std::uint32_t, std::int32_t>> flips;  // where, atom + 1 with its sign
  for (std::size_t i = 0; i < atoms.size(); ++i)
    for (const Range& r : regexes.set(atoms[i])) {
      flips.emplace_back(r.low, static_cast<std::int32_t>(i));
      if (r.high < kMaxCodePoint) flips.emplace_back(r.high + 1, static_cast<std::int32_t>(i));
    }
  std::sort(flips.begin(), flips.end());
  std::vector<bool> holds(atoms.size(), false);
  std::map<std::vector<bool>, std::uint16_t> classes;
  std::size_t i = 0;
  for (std::uint32_t at = 0; at <= kMaxCodePoint;) {
    for (; i < flips.size() && flips[i].first == at; ++i) holds[static_cast<std::size_t>(flips[i].second)] = !holds[static_cast<std::size_t>(flips[i].second)];
    const std::uint32_t next = i < flips.size() ? flips[i].first : kMaxCodePoint + 1;
    if (classes.size() >= 65535) throw LimitError("a regular expression distinguishes too many character classes");
    const auto entry = classes.emplace(holds, static_cast<std::uint16_t>(classes.size()));
    if (entry.second) representative.push_back(at);
    std::uint32_t& rep = representative[entry.first->second];
    // Surrogates never reach a residual, so they can't speak for a class.
    if (rep >= 0xD800 && rep <= 0xDFFF) rep = next > 0xE000 && at <= 0xE000 ? 0xE000 : at;
    if (starts.empty() || starts.back().second != entry.first->second) starts.emplace_back(at, entry.first->second);
    at = next;
  }
  for (std::uint32_t c = 0; c < 128; ++c) {
    const auto run = std::upper_bound(starts.begin(), starts.end(), c, [](std::uint32_t x, const auto& s) { return x < s.first; }) - 1;
    ascii[c] = run->second;
  }
}

std::uint16_t Partition::class_of(std::uint32_t c) const {
  if (c < 128) return ascii[c];
  return (std::upper_bound(starts.begin(), starts.end(), c, [](std::uint32_t x, const auto& s) { return x < s.first; }) - 1)->second;
}

std::uint64_t Partition::hash(Kind kind) const {
  std::uint64_t h = static_cast<std::uint64_t>(kind) + 1;
  for (const auto& s : starts) h = combine(h, (static_cast<std::uint64_t>(s.first) << 16) | s.second);
  return h;
}

Quotient::Quotient(Lexer& lexer, Kind kind, Partition partition) : kind_(kind), partition_(std::move(partition)) {
  const Trie& trie = lexer.trie();
  const std::size_t classes = partition_.representative.size();
  const bool flat = classes <= 16;
  struct Made {
    std::uint32_t parent;
    std::uint16_t character;
  };
  std::vector<Made> made{{0, 0}};
  std::vector<std::uint32_t> table(flat ? classes : 0, 0);  // child by class, 0 for none
  FlatMap map;
  const auto child = [&](std::uint32_t node, std::uint16_t character) {
    if (flat) {
      const std::uint32_t found = table[node * classes + character];
      if (found) return found;
    } else {
      const std::int32_t found = map.get((static_cast<std::uint64_t>(node) << 16) | character, -1);
      if (found >= 0) return static_cast<std::uint32_t>(found);
    }
    const std::uint32_t id = static_cast<std::uint32_t>(made.size());
    made.push_back({node, character});
    if (flat) {
      table[node * classes + character] = id;
      table.resize(table.size() + classes, 0);
    } else {
      map.put((static_cast<std::uint64_t>(node) << 16) | character, static_cast<std::int32_t>(id));
    }
    return id;
  };

  struct Entry {
    std::uint32_t trie_node, node;
    Decoder decoder;
  };
  std::vector<std::pair<std::uint32_t, std::uint32_t>> tokens;                          // node, token
  std::vector<std::pair<std::uint32_t, std::pair<Decoder, std::uint32_t>>> partial;     // node, (decoder, token)
  std::vector<std::pair<std::uint32_t, std::pair<std::uint32_t, std::uint32_t>>> exits;  // node, (suffix, token)
  Lexer::Exits found;
  std::vector<Entry> todo{{0, 0, kClean}};
  while (!todo.empty()) {
    const Entry e = todo.back();
    todo.pop_back();
    const Trie::Node n = trie[e.trie_node];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      const Fed fed = feed(kind_, e.decoder, trie[c].byte);
      Entry to{c, e.node, kClean};
      if (fed.status == Fed::kDead) continue;
      if (fed.status == Fed::kClose) {
        found.clear();
        lexer.quote_exits(c, 0, found);
        for (const auto& x : found) exits.emplace_back(e.node, x);
        continue;
      }
      if (fed.status == Fed::kChar)
        to.node = child(e.node, partition_.class_of(fed.value));
      else
        to.decoder = fed.value;
      for (std::uint32_t i = trie.token_begin(c); i < trie.token_end(c); ++i) {
        if (to.decoder == kClean)
          tokens.emplace_back(to.node, trie.id(i));
        else
          partial.emplace_back(to.node, std::make_pair(to.decoder, trie.id(i)));
      }
      if (trie[c].children) todo.push_back(to);
    }
  }

  // Renumber in preorder. Children were made after their parents, so one backward pass sums the subtrees.
  const std::size_t size = made.size();
  std::vector<std::uint32_t> subtree(size, 1), order(size, 0);
  for (std::size_t i = size; i-- > 1;) subtree[made[i].parent] += subtree[i];
  std::vector<std::uint32_t> next_free(size, 1);
  for (std::size_t i = 1; i < size; ++i) {
    const std::uint32_t parent = made[i].parent;
    order[i] = order[parent] + next_free[parent];
    next_free[parent] += subtree[i];
  }
  nodes_.assign(size + 1, Node{});
  for (std::size_t i = 0; i < size; ++i) {
    nodes_[order[i]].end = order[i] + subtree[i];
    nodes_[order[i]].character = made[i].character;
  }
  const auto file = [&](auto& pairs, auto& out, std::uint32_t Node::*offset) {
    for (auto& p : pairs) p.first = order[p.first];
    std::sort(pairs.begin(), pairs.end());
    std::size_t i = 0;
    for (std::uint32_t node = 0; node <= size; ++node) {
      while (i < pairs.size() && pairs[i].first < node) ++i;
      nodes_[node].*offset = static_cast<std::uint32_t>(i);
    }
    for (auto& p : pairs) out.push_back(p.second);
  };
  file(tokens, tokens_, &Node::tokens);
  file(partial, partial_, &Node::partial);
  file(exits, exits_, &Node::exits);
}

std::size_t Quotient::bytes() const {
  return nodes_.size() * sizeof(Node) + tokens_.size() * 4 + (partial_.size() + exits_.size()) * 8 + partition_.starts.size() * 8;
}

// Live and dead parts of one walk, as ranges of the token arrays.
struct Quotient::Visit {
  Lexer& lexer;
  Shape& shape;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> live, dead;
  std::vector<std::uint32_t> live_partial, dead_partial;
};

void Quotient::visit(Visit& v, std::uint32_t node, Re residual) {
  RegexStore& regexes = v.lexer.regexes();
  const Node& n = nodes_[node];
  const Node& after = nodes_[residual == RegexStore::kAnyStar ? n.end : node + 1];
  v.live.emplace_back(n.tokens, after.tokens);
  if (regexes.nullable(residual)) v.shape.exits.insert(v.shape.exits.end(), exits_.begin() + n.exits, exits_.begin() + after.exits);
  if (residual == RegexStore::kAnyStar) {
    for (std::uint32_t i = n.partial; i < after.partial; ++i) v.live_partial.push_back(partial_[i].second);
    return;
  }
  for (std::uint32_t i = n.partial; i < after.partial;) {
    const Decoder decoder = partial_[i].first;
    bool alive = false;
    for (const Range& r : pending_ranges(kind_, decoder)) alive = alive || (r.low <= r.high && regexes.live_in(residual, r.low, r.high));
    for (; i < after.partial && partial_[i].first == decoder; ++i) (alive ? v.live_partial : v.dead_partial).push_back(partial_[i].second);
  }
  for (std::uint32_t c = node + 1; c < n.end; c = nodes_[c].end) {
    const Re to = regexes.derive(residual, partition_.representative[nodes_[c].character]);
    if (regexes.is_empty(to)) {
      const Node& end = nodes_[nodes_[c].end];
      v.dead.emplace_back(nodes_[c].tokens, end.tokens);
      for (std::uint32_t i = nodes_[c].partial; i < end.partial; ++i) v.dead_partial.push_back(partial_[i].second);
    } else {
      visit(v, c, to);
    }
  }
}

void Quotient::walk(Lexer& lexer, Re residual, Shape& shape) {
  Visit v{lexer, shape, {}, {}, {}, {}};
  visit(v, 0, residual);
  std::sort(shape.exits.begin(), shape.exits.end());
  const auto count = [](const auto& ranges) {
    std::size_t total = 0;
    for (const auto& r : ranges) total += r.second - r.first;
    return total;
  };
  const auto list = [&](const auto& ranges, const std::vector<std::uint32_t>& partial) {
    std::vector<std::uint32_t> out(partial);
    for (const auto& r : ranges) out.insert(out.end(), tokens_.begin() + r.first, tokens_.begin() + r.second);
    return out;
  };
  const std::size_t live = count(v.live) + v.live_partial.size(), dead = count(v.dead) + v.dead_partial.size();
  if (live > kSparse && dead <= kExceptions) {
    if (!everything_) {
      everything_ = lexer.new_row();
      for (std::uint32_t t : tokens_) (*everything_)[t >> 5] |= 1U << (t & 31);
      for (const auto& p : partial_) (*everything_)[p.second >> 5] |= 1U << (p.second & 31);
    }
    shape.base = everything_;
    shape.clear = list(v.dead, v.dead_partial);
  } else {
    lexer.set_inside(shape, list(v.live, v.live_partial));
  }
}

}  // namespace structgen
