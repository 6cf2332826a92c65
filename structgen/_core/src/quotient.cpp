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
  struct Entry {
    std::uint32_t trie_node, node;
    Decoder decoder;
  };
  // A first pass makes the nodes in the order of the token trie, a second one sorts them into preorder.
  std::vector<Node> made{{1, 0, 0, 0, 0, 0}};
  std::vector<std::pair<std::uint32_t, std::uint32_t>> token_at;
  std::vector<std::pair<std::uint32_t, std::pair<Decoder, std::uint32_t>>> partial_at;
  std::vector<std::pair<std::uint32_t, std::pair<std::uint32_t, std::uint32_t>>> exit_at;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> found;
  std::vector<Entry> todo{{0, 0, kClean}};
  for (std::size_t at = 0; at < todo.size(); ++at) {
    const Entry from = todo[at];
    const Trie::Node n = trie[from.trie_node];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      const Fed fed = feed(kind, from.decoder, trie[c].byte);
      if (fed.status == Fed::kDead) continue;
      if (fed.status == Fed::kClose) {
        found.clear();
        lexer.quote_exits(c, 0, found);
        for (const auto& x : found) exit_at.emplace_back(from.node, x);
        continue;
      }
      Entry to{c, from.node, fed.value};
      if (fed.status == Fed::kChar) {
        to = {c, static_cast<std::uint32_t>(made.size()), kClean};
        made.push_back({1, from.node, fed.value, 0, 0, 0});
      }
      for (std::uint32_t i = trie.token_begin(c); i < trie.token_end(c); ++i) {
        if (to.decoder == kClean)
          token_at.emplace_back(to.node, trie.id(i));
        else
          partial_at.emplace_back(to.node, std::make_pair(to.decoder, trie.id(i)));
      }
      if (trie[c].children) todo.push_back(to);
    }
  }

  // Parents come first, so one backward pass sums the subtrees (in `end`) and one forward pass places them.
  const std::size_t size = made.size();
  for (std::size_t i = size; i-- > 1;) made[made[i].parent].end += made[i].end;
  std::vector<std::uint32_t> order(size, 0), next_free(size, 1);
  for (std::size_t i = 1; i < size; ++i) {
    const std::uint32_t parent = made[i].parent;
    order[i] = order[parent] + next_free[parent];
    next_free[parent] += made[i].end;
  }
  nodes.assign(size + 1, {static_cast<std::uint32_t>(size + 1), 0, 0, 0, 0, 0});
  for (std::size_t i = 0; i < size; ++i) nodes[order[i]] = {order[i] + made[i].end, order[made[i].parent], made[i].code_point, 0, 0, 0};
  const auto file = [&](auto& pairs, auto& out, std::uint32_t Node::*offset) {
    for (auto& p : pairs) p.first = order[p.first];
    std::sort(pairs.begin(), pairs.end());
    std::size_t i = 0;
    for (std::size_t node = 0; node <= size; ++node) {
      while (i < pairs.size() && pairs[i].first < node) ++i;
      nodes[node].*offset = static_cast<std::uint32_t>(i);
    }
    for (const auto& p : pairs) out.push_back(p.second);
  };
  file(token_at, tokens, &Node::tokens);
  file(partial_at, partial, &Node::partial);
  file(exit_at, exits, &Node::exits);
  for (std::uint32_t node = 0; node < size; ++node)
    if (nodes[node].exits != nodes[node + 1].exits) closing.push_back(node);
}

Quotient::Quotient(Lexer& lexer, Kind kind, std::vector<std::int32_t> atoms)
    : kind_(kind), atoms_(std::move(atoms)), partition_(lexer.regexes(), atoms_), trie_(lexer.characters(kind)) {
  nodes_.emplace_back();
  nodes_[0].members.push_back(0);
  child_of_.assign(partition_.representative.size(), kNoChild);
  first_of_.assign(partition_.representative.size(), 0);
}

void Quotient::expand(std::uint32_t at) {
  Node n = std::move(nodes_[at]);
  n.expanded = true;
  std::vector<std::uint16_t> classes;
  for (const std::uint32_t m : n.members) {
    const CharacterTrie::Node &own = trie_.nodes[m], &next = trie_.nodes[m + 1];
    for (std::uint32_t i = own.tokens; i < next.tokens; ++i) n.tokens.push_back(trie_.tokens[i]);
    for (std::uint32_t i = own.partial; i < next.partial; ++i) n.partial.push_back(trie_.partial[i]);
    for (std::uint32_t i = own.exits; i < next.exits; ++i) n.exits.push_back(trie_.exits[i]);
    for (std::uint32_t c = m + 1; c < own.end; c = trie_.nodes[c].end) {
      const std::uint16_t character = partition_.class_of(trie_.nodes[c].code_point);
      std::uint32_t &child = child_of_[character], &first = first_of_[character];
      if (first == 0) {
        first = c;  // the root is nobody's child, so zero is free
        classes.push_back(character);
        continue;
      }
      if (child == kNoChild) {
        child = static_cast<std::uint32_t>(nodes_.size());
        nodes_.emplace_back();
        nodes_[child].members.push_back(first);
      }
      nodes_[child].members.push_back(c);
    }
  }
  std::sort(n.partial.begin(), n.partial.end());
  for (const std::uint16_t character : classes) {
    if (child_of_[character] == kNoChild) {
      n.singles.push_back(first_of_[character]);
    } else {
      n.children.emplace_back(character, child_of_[character]);
      bytes_ += sizeof(Node) + nodes_[child_of_[character]].members.size() * 4;
    }
    child_of_[character] = kNoChild;
    first_of_[character] = 0;
  }
  bytes_ += n.tokens.size() * 4 + (n.partial.size() + n.exits.size()) * 8;
  nodes_[at] = std::move(n);
}

struct Quotient::Visit {
  Lexer& lexer;
  Shape& shape;
  std::vector<std::uint32_t> live;               // nodes whose own tokens live
  std::vector<std::uint32_t> live_single;        // nodes of the character trie whose own tokens live
  std::vector<std::uint32_t> live_whole, dead;   // nodes of the character trie whose subtrees live, or die
  std::vector<std::uint32_t> live_partial, dead_partial;
};

void Quotient::visit_partial(Visit& v, const std::pair<Decoder, std::uint32_t>* at, const std::pair<Decoder, std::uint32_t>* end, Re residual) {
  while (at != end) {
    const Decoder decoder = at->first;
    const bool alive = v.lexer.regexes().narrow(residual, pending_ranges(kind_, decoder)) != RegexStore::kNone;
    for (; at != end && at->first == decoder; ++at) (alive ? v.live_partial : v.dead_partial).push_back(at->second);
  }
}

void Quotient::visit_single(Visit& v, std::uint32_t member, Re residual) {
  RegexStore& regexes = v.lexer.regexes();
  const CharacterTrie::Node& own = trie_.nodes[member];
  const bool whole = residual == RegexStore::kAnyStar;
  const CharacterTrie::Node& next = trie_.nodes[whole ? own.end : member + 1];
  (whole ? v.live_whole : v.live_single).push_back(member);
  if (regexes.nullable(residual)) v.shape.exits.insert(v.shape.exits.end(), trie_.exits.begin() + own.exits, trie_.exits.begin() + next.exits);
  if (whole) return;
  visit_partial(v, trie_.partial.data() + own.partial, trie_.partial.data() + next.partial, residual);
  for (std::uint32_t c = member + 1; c < own.end; c = trie_.nodes[c].end) {
    const Re to = regexes.derive(residual, trie_.nodes[c].code_point);
    if (regexes.is_empty(to))
      v.dead.push_back(c);
    else
      visit_single(v, c, to);
  }
}

void Quotient::visit(Visit& v, std::uint32_t node, Re residual) {
  RegexStore& regexes = v.lexer.regexes();
  if (residual == RegexStore::kAnyStar) {
    for (const std::uint32_t m : nodes_[node].members) visit_single(v, m, residual);
    return;
  }
  if (!nodes_[node].expanded) expand(node);
  v.live.push_back(node);
  if (regexes.nullable(residual)) v.shape.exits.insert(v.shape.exits.end(), nodes_[node].exits.begin(), nodes_[node].exits.end());
  visit_partial(v, nodes_[node].partial.data(), nodes_[node].partial.data() + nodes_[node].partial.size(), residual);
  for (std::size_t i = 0; i < nodes_[node].children.size(); ++i) {
    const auto [character, child] = nodes_[node].children[i];
    const Re to = regexes.derive(residual, partition_.representative[character]);
    if (regexes.is_empty(to))
      v.dead.insert(v.dead.end(), nodes_[child].members.begin(), nodes_[child].members.end());
    else
      visit(v, child, to);
  }
  for (std::size_t i = 0; i < nodes_[node].singles.size(); ++i) {
    const std::uint32_t c = nodes_[node].singles[i];
    const Re to = regexes.derive(residual, trie_.nodes[c].code_point);
    if (regexes.is_empty(to))
      v.dead.push_back(c);
    else
      visit_single(v, c, to);
  }
}

void Quotient::walk(Lexer& lexer, Re residual, Shape& shape) {
  Visit v{lexer, shape, {}, {}, {}, {}, {}, {}};
  const std::size_t before = bytes_;
  visit(v, 0, residual);
  lexer.bytes_ += bytes_ - before;
  std::sort(shape.exits.begin(), shape.exits.end());
  // Applies `take` to the token ranges of whole subtrees.
  const auto subtrees = [&](const std::vector<std::uint32_t>& members, auto&& take) {
    for (const std::uint32_t m : members) {
      const CharacterTrie::Node &first = trie_.nodes[m], &end = trie_.nodes[first.end];
      take(first.tokens, end.tokens, first.partial, end.partial);
    }
  };
  std::size_t live = v.live_partial.size();
  for (const std::uint32_t node : v.live) live += nodes_[node].tokens.size();
  for (const std::uint32_t m : v.live_single) live += trie_.nodes[m + 1].tokens - trie_.nodes[m].tokens;
  subtrees(v.live_whole, [&](auto t, auto t_end, auto p, auto p_end) { live += (t_end - t) + (p_end - p); });
  const std::size_t all = trie_.tokens.size() + trie_.partial.size();
  const auto list = [&](std::vector<std::uint32_t> out, const std::vector<std::uint32_t>& whole) {
    subtrees(whole, [&](auto t, auto t_end, auto p, auto p_end) {
      out.insert(out.end(), trie_.tokens.begin() + t, trie_.tokens.begin() + t_end);
      for (; p < p_end; ++p) out.push_back(trie_.partial[p].second);
    });
    return out;
  };
  if (live <= kSparse || 2 * live < all) {
    std::vector<std::uint32_t> tokens = list(std::move(v.live_partial), v.live_whole);
    for (const std::uint32_t node : v.live) tokens.insert(tokens.end(), nodes_[node].tokens.begin(), nodes_[node].tokens.end());
    for (const std::uint32_t m : v.live_single) tokens.insert(tokens.end(), trie_.tokens.begin() + trie_.nodes[m].tokens, trie_.tokens.begin() + trie_.nodes[m + 1].tokens);
    lexer.set_inside(shape, std::move(tokens));
    return;
  }
  shape.base = &lexer.every_token(kind_);
  shape.clear = list(std::move(v.dead_partial), v.dead);
  if (shape.clear.size() > kExceptions) {
    Row* row = lexer.new_row();
    *row = *shape.base;
    for (std::uint32_t t : shape.clear) (*row)[t >> 5] &= ~(1U << (t & 31));
    shape.base = row;
    shape.clear = {};
  }
}

}  // namespace structgen
