// Making regexes: hash-consing and simplification.
#include "regex.hpp"

#include <algorithm>
#include <numeric>

namespace structgen {

namespace {

constexpr std::int32_t kSaturated = 1 << 30;
constexpr int kMaxWordNesting = 1000;

std::int32_t add_length(std::int64_t a, std::int64_t b) {
  return static_cast<std::int32_t>(std::min<std::int64_t>(a + b, kSaturated));
}

std::int32_t times_length(std::int64_t a, std::int64_t b) {
  return static_cast<std::int32_t>(std::min<std::int64_t>(a * b, kSaturated));
}

std::uint64_t hash_node(const ReNode& n, const std::vector<Re>* kids) {
  std::uint64_t h = combine(static_cast<std::uint64_t>(n.op), static_cast<std::uint32_t>(n.a));
  h = combine(h, static_cast<std::uint32_t>(n.b));
  h = combine(h, (static_cast<std::uint64_t>(static_cast<std::uint32_t>(n.low)) << 32) | static_cast<std::uint32_t>(n.high));
  if (kids)
    for (Re k : *kids) h = combine(h, static_cast<std::uint32_t>(k));
  return h;
}

}  // namespace

CharSet set_union(const CharSet& a, const CharSet& b) {
  CharSet all;
  all.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all),
             [](const Range& x, const Range& y) { return x.low < y.low; });
  CharSet out;
  for (const Range& r : all) {
    if (!out.empty() && r.low <= out.back().high + 1)
      out.back().high = std::max(out.back().high, r.high);
    else
      out.push_back(r);
  }
  return out;
}

CharSet set_intersection(const CharSet& a, const CharSet& b) {
  CharSet out;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const std::uint32_t low = std::max(a[i].low, b[j].low), high = std::min(a[i].high, b[j].high);
    if (low <= high) out.push_back({low, high});
    if (a[i].high < b[j].high) ++i; else ++j;
  }
  return out;
}

RegexStore::RegexStore() : ascii_(128, -1) {
  ReNode none{Op::kNone, false};
  none.live = 2;
  intern(none, nullptr);
  ReNode epsilon{Op::kEpsilon, true};
  intern(epsilon, nullptr);
  set_node({{0, kMaxCodePoint}});
  repeat(kAny, 0, kInfinity);
  repeat(kAny, 1, kInfinity);
}

Re RegexStore::intern(ReNode n, const std::vector<Re>* kids) {
  const std::uint64_t hash = hash_node(n, kids);
  const std::int32_t found = node_index_.find(hash, [&](std::int32_t i) {
    const ReNode& o = nodes_[i];
    if (o.op != n.op || o.low != n.low || o.high != n.high || o.b != n.b || o.min_length != n.min_length) return false;
    if (!kids) return o.a == n.a;
    return std::equal(kids->begin(), kids->end(), children_.begin() + o.a);
  });
  if (found >= 0) return found;
  if (n.depth > kMaxRegexDepth) throw LimitError("a regular expression nests deeper than " + std::to_string(kMaxRegexDepth));
  if (nodes_.size() >= node_limit) throw LimitError("the regular expressions need more than the allowed number of nodes (max_regex_nodes)", "max_regex_nodes");
  if (nodes_.size() % 1024 == 0) check_deadline();
  if (kids) {
    n.a = static_cast<std::int32_t>(children_.size());
    children_.insert(children_.end(), kids->begin(), kids->end());
    bytes_ += kids->size() * sizeof(Re);
  }
  if (!n.algebraic && n.op != Op::kNone) n.live = 1;
  const Re id = static_cast<Re>(nodes_.size());
  nodes_.push_back(n);
  derivatives_.emplace_back();
  node_index_.insert(hash, id);
  bytes_ += sizeof(ReNode) + 40;
  return id;
}

void RegexStore::check_deadline() const {
  if (deadline != std::chrono::steady_clock::time_point::max() && std::chrono::steady_clock::now() > deadline)
    throw LimitError("compiling takes longer than allowed (max_compile_seconds)", "max_compile_seconds");
}

std::int32_t RegexStore::intern_set(CharSet set) {
  std::uint64_t hash = set.size();
  for (const Range& r : set) hash = structgen::combine(hash, (static_cast<std::uint64_t>(r.low) << 32) | r.high);
  const std::int32_t found = set_index_.find(hash, [&](std::int32_t i) { return sets_[i] == set; });
  if (found >= 0) return found;
  const std::int32_t id = static_cast<std::int32_t>(sets_.size());
  bytes_ += set.size() * sizeof(Range) + 64;
  sets_.push_back(std::move(set));
  set_index_.insert(hash, id);
  return id;
}

Re RegexStore::set_node(CharSet set) {
  bool inhabited = false;
  for (const Range& r : set) inhabited = inhabited || !is_surrogate_only(r.low, r.high);
  if (!inhabited) return kNone;
  ReNode n{Op::kSet, false};
  n.uniform = set.size() == 1 && set[0].low == 0 && set[0].high == kMaxCodePoint;
  n.a = intern_set(std::move(set));
  n.min_length = n.max_length = 1;
  return intern(n, nullptr);
}

Re RegexStore::chars(CharSet ranges) {
  if (ranges.size() == 1 && ranges[0].low == ranges[0].high && ranges[0].low < 128) {
    Re& cached = ascii_[ranges[0].low];
    if (cached < 0) cached = set_node(std::move(ranges));
    return cached;
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
  return set_node(set_union(ranges, {}));
}

Re RegexStore::literal(const std::vector<std::uint32_t>& text) {
  Re r = kEpsilon;
  for (std::size_t i = text.size(); i-- > 0;) r = concat(chars({{text[i], text[i]}}), r);
  return r;
}

Re RegexStore::words_range(const std::vector<std::vector<std::uint32_t>>& w, std::size_t lo, std::size_t hi, std::size_t depth, int nesting) {
  if (hi - lo == 1) return literal({w[lo].begin() + static_cast<std::ptrdiff_t>(depth), w[lo].end()});
  if (nesting > kMaxWordNesting) {
    std::vector<Re> rest;
    for (std::size_t i = lo; i < hi; ++i) rest.push_back(literal({w[i].begin() + static_cast<std::ptrdiff_t>(depth), w[i].end()}));
    return unite(std::move(rest));
  }
  // The words are sorted, so the first and the last share what all of them share.
  std::size_t common = depth;
  while (common < w[lo].size() && common < w[hi - 1].size() && w[lo][common] == w[hi - 1][common]) ++common;
  std::vector<Re> branches;
  std::size_t i = lo;
  if (w[lo].size() == common) {
    branches.push_back(kEpsilon);
    ++i;
  }
  while (i < hi) {
    std::size_t j = i;
    while (j < hi && w[j][common] == w[i][common]) ++j;
    branches.push_back(words_range(w, i, j, common, nesting + 1));
    i = j;
  }
  return concat(literal({w[lo].begin() + static_cast<std::ptrdiff_t>(depth), w[lo].begin() + static_cast<std::ptrdiff_t>(common)}),
                unite(std::move(branches)));
}

Re RegexStore::words(std::vector<std::vector<std::uint32_t>> w) {
  if (w.empty()) return kNone;
  std::sort(w.begin(), w.end());
  w.erase(std::unique(w.begin(), w.end()), w.end());
  return words_range(w, 0, w.size(), 0, 0);
}

Re RegexStore::concat(Re head, Re tail) {
  if (head == kNone || tail == kNone) return kNone;
  if (head == kEpsilon) return tail;
  if (tail == kEpsilon) return head;
  if (nodes_[head].op == Op::kConcat) {
    std::vector<Re> parts;
    for (; nodes_[head].op == Op::kConcat; head = nodes_[head].b) parts.push_back(nodes_[head].a);
    Re out = concat(head, tail);
    for (std::size_t i = parts.size(); i-- > 0;) out = concat(parts[i], out);
    return out;
  }
  // x{a,b} x{c,d} = x{a+c,b+d}, also in front of a tail.
  const auto as_repeat = [&](Re r, Re& body, std::int32_t& low, std::int32_t& high) {
    const ReNode& n = nodes_[r];
    body = n.op == Op::kRepeat ? n.a : r;
    low = n.op == Op::kRepeat ? n.low : 1;
    high = n.op == Op::kRepeat ? n.high : 1;
    return n.op == Op::kRepeat;
  };
  const bool chain = nodes_[tail].op == Op::kConcat;
  const Re next = chain ? nodes_[tail].a : tail;
  Re body1, body2;
  std::int32_t low1, high1, low2, high2;
  const bool repeat1 = as_repeat(head, body1, low1, high1), repeat2 = as_repeat(next, body2, low2, high2);
  if ((repeat1 || repeat2) && body1 == body2) {
    const Re rest = chain ? nodes_[tail].b : kEpsilon;
    const std::int32_t high = high1 == kInfinity || high2 == kInfinity ? kInfinity : add_length(high1, high2);
    return concat(repeat(body1, add_length(low1, low2), high), rest);
  }
  const ReNode &h = nodes_[head], &t = nodes_[tail];
  ReNode n{Op::kConcat, h.nullable && t.nullable, h.uniform && t.uniform, h.algebraic || t.algebraic};
  n.a = head;
  n.b = tail;
  n.min_length = add_length(h.min_length, t.min_length);
  n.max_length = h.max_length == kInfinity || t.max_length == kInfinity ? kInfinity : add_length(h.max_length, t.max_length);
  n.max_count = std::max(h.max_count, t.max_count);
  n.depth = h.nullable ? std::max(h.depth, t.depth) + 1 : h.depth + 1;
  n.height = std::max(h.height + 1, t.height);
  return intern(n, nullptr);
}

Re RegexStore::concat(const std::vector<Re>& parts) {
  Re out = kEpsilon;
  for (std::size_t i = parts.size(); i-- > 0;) out = concat(parts[i], out);
  return out;
}

// Merges repeats of plain character sets: [A]{m,n} & [B]{p,q} = [A&B]{max,min}; in unions of one body,
// overlapping or adjacent counts join. Keeps length bounds and patterns from becoming products.
bool RegexStore::absorb_repeats(std::vector<Re>& parts, bool intersection) {
  const auto view = [&](Re r, Re& body, std::int64_t& low, std::int64_t& high) {
    const ReNode& n = nodes_[r];
    body = n.op == Op::kRepeat ? n.a : r;
    low = n.op == Op::kRepeat ? n.low : 1;
    high = n.op == Op::kRepeat ? (n.high == kInfinity ? kSaturated : n.high) : 1;
    if (r == kEpsilon) low = high = 0;
    return n.op == Op::kRepeat || n.op == Op::kSet || r == kEpsilon;
  };
  const std::size_t size = parts.size();
  bool any_repeat = false;
  for (Re p : parts) any_repeat = any_repeat || nodes_[p].op == Op::kRepeat;
  if (!any_repeat || size > 64) return false;  // quadratic: only worth it on small sets
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t j = 0; j < size; ++j) {
      if (i == j) continue;
      Re b1, b2;
      std::int64_t l1, h1, l2, h2;
      if (!view(parts[i], b1, l1, h1) || nodes_[parts[i]].op != Op::kRepeat || !view(parts[j], b2, l2, h2)) continue;
      Re merged;
      if (intersection) {
        if (nodes_[b1].op != Op::kSet || nodes_[b2].op != Op::kSet) continue;
        const std::int64_t low = std::max(l1, l2), high = std::min(h1, h2);
        const Re body = set_node(set_intersection(sets_[nodes_[b1].a], sets_[nodes_[b2].a]));
        merged = low > high ? kNone
                            : repeat(body, static_cast<std::int32_t>(low), high >= kSaturated ? kInfinity : static_cast<std::int32_t>(high));
      } else {
        const bool same = b1 == b2 || parts[j] == kEpsilon;
        if (!same || l1 > h2 + 1 || l2 > h1 + 1) continue;
        const std::int64_t high = std::max(h1, h2);
        merged = repeat(b1, static_cast<std::int32_t>(std::min(l1, l2)), high >= kSaturated ? kInfinity : static_cast<std::int32_t>(high));
      }
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(std::max(i, j)));
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(std::min(i, j)));
      parts.push_back(merged);
      return true;
    }
  }
  return false;
}

Re RegexStore::unite(std::vector<Re> parts) {
  std::vector<Re> flat;
  CharSet joined;
  bool sets = false;
  for (Re p : parts) {
    const ReNode& n = nodes_[p];
    if (p == kNone) continue;
    if (p == kAnyStar) return kAnyStar;
    if (n.op == Op::kUnion) {
      for (std::int32_t i = 0; i < n.b; ++i) flat.push_back(child(n, i));
    } else {
      flat.push_back(p);
    }
  }
  std::vector<Re> kept;
  Re only_set = kNone;
  for (Re p : flat) {
    if (nodes_[p].op != Op::kSet) {
      kept.push_back(p);
    } else if (!sets) {
      sets = true;
      only_set = p;
      joined = sets_[nodes_[p].a];
    } else if (p != only_set) {
      only_set = -1;
      joined = set_union(joined, sets_[nodes_[p].a]);
    }
  }
  if (sets) kept.push_back(only_set >= 0 ? only_set : set_node(std::move(joined)));
  std::sort(kept.begin(), kept.end());
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  if (kept.size() > 1 && absorb_repeats(kept, false)) return unite(std::move(kept));
  if (kept.size() > 1 && kept[0] == kEpsilon) {
    for (std::size_t i = 1; i < kept.size(); ++i)
      if (nodes_[kept[i]].nullable) {
        kept.erase(kept.begin());
        break;
      }
  }
  if (kept.empty()) return kNone;
  if (kept.size() == 1) return kept[0];
  ReNode n{Op::kUnion, false};
  n.min_length = kSaturated;
  for (Re p : kept) {
    const ReNode& k = nodes_[p];
    if (k.op == Op::kComplement && std::binary_search(kept.begin(), kept.end(), k.a)) return kAnyStar;
    n.nullable = n.nullable || k.nullable;
    n.uniform = n.uniform && k.uniform;
    n.algebraic = n.algebraic || k.algebraic;
    n.min_length = std::min(n.min_length, k.min_length);
    n.max_length = n.max_length == kInfinity || k.max_length == kInfinity ? kInfinity : std::max(n.max_length, k.max_length);
    n.max_count = std::max(n.max_count, k.max_count);
    n.depth = std::max(n.depth, k.depth + 1);
    n.height = std::max(n.height, k.height + 1);
  }
  n.b = static_cast<std::int32_t>(kept.size());
  return intern(n, &kept);
}

Re RegexStore::intersect(std::vector<Re> parts) {
  std::vector<Re> kept;
  for (Re p : parts) {
    const ReNode& n = nodes_[p];
    if (p == kNone) return kNone;
    if (p == kAnyStar) continue;
    if (n.op == Op::kIntersection) {
      for (std::int32_t i = 0; i < n.b; ++i) kept.push_back(child(n, i));
    } else {
      kept.push_back(p);
    }
  }
  std::sort(kept.begin(), kept.end());
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  if (kept.empty()) return kAnyStar;
  if (kept.size() == 1) return kept[0];
  if (absorb_repeats(kept, true)) return intersect(std::move(kept));
  std::int32_t low = 0, high = kInfinity;
  bool nullable = true;
  for (Re p : kept) {
    const ReNode& k = nodes_[p];
    if (k.op == Op::kComplement && std::binary_search(kept.begin(), kept.end(), k.a)) return kNone;
    nullable = nullable && k.nullable;
    low = std::max(low, k.min_length);
    if (k.max_length != kInfinity) high = high == kInfinity ? k.max_length : std::min(high, k.max_length);
  }
  if (high != kInfinity && low > high) return kNone;
  if (kept[0] == kEpsilon) return nullable ? kEpsilon : kNone;
  // A pure length bound that another part implies is dropped; sets merge.
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const ReNode& k = nodes_[kept[i]];
    const bool lengths = k.op == Op::kRepeat && k.a == kAny;
    for (std::size_t j = 0; j < kept.size(); ++j) {
      if (i == j) continue;
      const ReNode& o = nodes_[kept[j]];
      const bool implied = lengths && o.min_length >= k.low && (k.high == kInfinity || (o.max_length != kInfinity && o.max_length <= k.high));
      const bool both_sets = k.op == Op::kSet && o.op == Op::kSet;
      if (!implied && !both_sets) continue;
      const Re merged = implied ? kept[j] : set_node(set_intersection(sets_[k.a], sets_[o.a]));
      kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(std::max(i, j)));
      kept[std::min(i, j)] = merged;
      return intersect(std::move(kept));
    }
  }
  ReNode n{Op::kIntersection, nullable, true, true};
  for (Re p : kept) {
    n.uniform = n.uniform && nodes_[p].uniform;
    n.depth = std::max(n.depth, nodes_[p].depth + 1);
    n.height = std::max(n.height, nodes_[p].height + 1);
  }
  n.min_length = low;
  n.max_length = high;
  n.b = static_cast<std::int32_t>(kept.size());
  return intern(n, &kept);
}

Re RegexStore::complement(Re body) {
  if (body == kNone) return kAnyStar;
  if (body == kAnyStar) return kNone;
  const ReNode& k = nodes_[body];
  if (k.op == Op::kComplement) return k.a;
  ReNode n{Op::kComplement, !k.nullable, k.uniform, true};
  n.a = body;
  n.depth = k.depth + 1;
  n.height = k.height + 1;
  n.min_length = k.nullable ? 1 : 0;
  n.max_length = kInfinity;
  return intern(n, nullptr);
}

Re RegexStore::repeat(Re body, std::int32_t low, std::int32_t high) {
  if (high == 0 || body == kEpsilon) return kEpsilon;
  if (body == kNone) return low == 0 ? kEpsilon : kNone;
  if (low == 1 && high == 1) return body;
  const ReNode k = nodes_[body];
  if (k.nullable) low = 0;
  if (k.op == Op::kRepeat && k.low <= 1 && (k.high == kInfinity || (k.low == 0 && k.high == 1)))
    return repeat(k.a, k.low == 0 ? 0 : low, k.high == kInfinity ? kInfinity : high);
  if (body == kAnyStar) return kAnyStar;
  ReNode n{Op::kRepeat, low == 0 || k.nullable, k.uniform, k.algebraic};
  n.a = body;
  n.depth = k.depth + 1;
  n.height = k.height + 1;
  n.low = low;
  n.high = high;
  n.min_length = times_length(low, k.min_length);
  n.max_length = high == kInfinity || k.max_length == kInfinity ? kInfinity : times_length(high, k.max_length);
  if (!k.algebraic) n.max_count = std::max({low, high == kInfinity ? 0 : high, k.max_count});
  return intern(n, nullptr);
}

// What follows a read number r is decided by how many digits it needs at least, n, and by r modulo m / gcd(m, 10^n): they say
// which strings of n or more digits complete a multiple of m, and no shorter one does. As nodes, these pairs are a minimal
// automaton. The nodes are those of `read`, then `digit`, of which it is known that fewer than `least` digits don't suffice.
Re RegexStore::residue_node(std::uint64_t modulus, std::uint64_t read, int digit, std::int32_t least) {
  static_assert(kModulusLimit <= ~std::uint64_t{0} / 10 - 1, "ten times a residue and a digit must fit 64 bits");
  const std::uint64_t residue = (read * 10 + static_cast<unsigned>(digit)) % modulus;
  std::uint64_t power = 1, shifted = residue;  // 10^n and residue * 10^n; at the latest 10^18 * 10 exceeds the modulus
  std::int32_t n = 0;
  for (; n < least || (shifted != 0 && modulus - shifted >= power); ++n) {
    power *= 10;
    shifted = shifted * 10 % modulus;
  }
  const std::uint64_t kept = residue % (modulus / std::gcd(modulus, power));
  ReNode node{Op::kResidue, n == 0, false};
  node.a = static_cast<std::int32_t>(modulus & 0xFFFFFFFF);
  node.b = static_cast<std::int32_t>(modulus >> 32);
  node.low = static_cast<std::int32_t>(kept & 0xFFFFFFFF);
  node.high = static_cast<std::int32_t>(kept >> 32);
  node.min_length = n;
  node.max_length = kInfinity;
  return intern(node, nullptr);
}

}  // namespace structgen
