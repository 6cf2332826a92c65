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

CharacterTrie::CharacterTrie(const Lexer& lexer, Kind kind) {
  const Trie& trie = lexer.trie();
  constexpr std::uint32_t kDeadNode = ~0U;
  struct At {
    std::uint32_t node;
    Decoder decoder;
  };
  std::vector<At> at(trie.size(), {kDeadNode, kClean});
  at[0].node = 0;
  nodes.push_back({0, 0});
  std::vector<std::pair<std::uint32_t, std::uint32_t>> found;
  for (std::uint32_t t = 0; t < trie.size(); ++t) {
    const At from = at[t];
    if (from.node == kDeadNode) continue;
    const Trie::Node n = trie[t];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      const Fed fed = feed(kind, from.decoder, trie[c].byte);
      if (fed.status == Fed::kDead) continue;
      if (fed.status == Fed::kClose) {
        found.clear();
        lexer.quote_exits(c, 0, found);
        for (const auto& x : found) exits.emplace_back(from.node, x);
        continue;
      }
      at[c] = {from.node, fed.value};
      if (fed.status == Fed::kChar) {
        at[c] = {static_cast<std::uint32_t>(nodes.size()), kClean};
        nodes.push_back({from.node, fed.value});
      }
      for (std::uint32_t i = trie.token_begin(c); i < trie.token_end(c); ++i) {
        if (at[c].decoder == kClean)
          tokens.emplace_back(at[c].node, trie.id(i));
        else
          partial.emplace_back(at[c].node, std::make_pair(at[c].decoder, trie.id(i)));
      }
    }
  }
}

Quotient::Quotient(Lexer& lexer, Kind kind, std::vector<std::int32_t> atoms)
    : kind_(kind), atoms_(std::move(atoms)), partition_(lexer.regexes(), atoms_) {
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
    const std::uint64_t key = (static_cast<std::uint64_t>(node) << 16) | character;
    const std::uint32_t found = flat ? table[node * classes + character] : static_cast<std::uint32_t>(map.get(key, 0));
    if (found) return found;
    const std::uint32_t id = static_cast<std::uint32_t>(made.size());
    made.push_back({node, character});
    if (flat) {
      table[node * classes + character] = id;
      table.resize(table.size() + classes, 0);
    } else {
      map.put(key, static_cast<std::int32_t>(id));
    }
    return id;
  };

  const CharacterTrie& trie = lexer.characters(kind_);
  std::vector<std::uint32_t> at(trie.nodes.size(), 0);
  for (std::size_t i = 1; i < trie.nodes.size(); ++i) at[i] = child(at[trie.nodes[i].parent], partition_.class_of(trie.nodes[i].code_point));

  // Renumber in preorder. Children were made after their parents, so one backward pass sums the subtrees.
  const std::size_t size = made.size();
  std::vector<std::uint32_t> subtree(size, 1), order(size, 0), next_free(size, 1);
  for (std::size_t i = size; i-- > 1;) subtree[made[i].parent] += subtree[i];
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
  for (std::uint32_t& node : at) node = order[node];
  // Counting sort by node.
  const auto file = [&](const auto& pairs, auto& out, std::uint32_t Node::*offset) {
    for (const auto& p : pairs) ++(nodes_[at[p.first]].*offset);
    std::uint32_t total = 0;
    for (Node& n : nodes_) {
      const std::uint32_t count = n.*offset;
      n.*offset = total;
      total += count;
    }
    std::vector<std::uint32_t> used(size, 0);
    out.resize(pairs.size());
    for (const auto& p : pairs) out[nodes_[at[p.first]].*offset + used[at[p.first]]++] = p.second;
  };
  file(trie.tokens, tokens_, &Node::tokens);
  file(trie.partial, partial_, &Node::partial);
  file(trie.exits, exits_, &Node::exits);
  // Equal decoders of a node side by side.
  for (std::size_t i = 0; i < size; ++i) std::sort(partial_.begin() + nodes_[i].partial, partial_.begin() + nodes_[i + 1].partial);
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
    const bool alive = regexes.narrow(residual, pending_ranges(kind_, decoder)) != RegexStore::kNone;
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
  if (live <= kSparse || dead > live) {
    lexer.set_inside(shape, list(v.live, v.live_partial));
    return;
  }
  if (!everything_) {
    everything_ = lexer.new_row();
    for (std::uint32_t t : tokens_) (*everything_)[t >> 5] |= 1U << (t & 31);
    for (const auto& p : partial_) (*everything_)[p.second >> 5] |= 1U << (p.second & 31);
  }
  shape.base = everything_;
  shape.clear = list(v.dead, v.dead_partial);
  if (dead > kExceptions) {
    Row* row = lexer.new_row();
    *row = *everything_;
    for (std::uint32_t t : shape.clear) (*row)[t >> 5] &= ~(1U << (t & 31));
    shape.base = row;
    shape.clear.clear();
    shape.clear.shrink_to_fit();
  }
}

}  // namespace structgen
