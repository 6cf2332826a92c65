#include "regex.hpp"

#include <algorithm>
#include <queue>
#include <unordered_map>

namespace structgen {

namespace {

constexpr std::int32_t kSaturated = 1 << 30;
// Recursions below are as deep as regexes nest; these keep them far from the end of the stack.
constexpr std::int32_t kMaxDepth = 2000;
constexpr int kMaxWordNesting = 1000;
constexpr std::size_t kFewResiduals = 64;

std::int32_t add_length(std::int64_t a, std::int64_t b) {
  return static_cast<std::int32_t>(std::min<std::int64_t>(a + b, kSaturated));
}

std::int32_t times_length(std::int64_t a, std::int64_t b) {
  return static_cast<std::int32_t>(std::min<std::int64_t>(a * b, kSaturated));
}

bool is_surrogate_only(std::uint32_t low, std::uint32_t high) { return low >= 0xD800 && high <= 0xDFFF; }

void push_piece(Derivative& out, std::uint32_t start, Re to) {
  if (out.empty() || out.back().to != to) out.push_back({start, to});
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
    if (o.op != n.op || o.low != n.low || o.high != n.high || o.b != n.b) return false;
    if (!kids) return o.a == n.a;
    return std::equal(kids->begin(), kids->end(), children_.begin() + o.a);
  });
  if (found >= 0) return found;
  if (n.depth > kMaxDepth) throw LimitError("a regular expression nests deeper than " + std::to_string(kMaxDepth));
  if (nodes_.size() >= node_limit) throw LimitError("the regular expressions need more than the allowed number of nodes (max_regex_nodes)");
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
    throw LimitError("compiling takes longer than allowed (max_seconds)");
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

Derivative RegexStore::combine(const std::vector<Re>& parts, Op op) {
  std::vector<const Derivative*> maps;
  for (Re p : parts) maps.push_back(&derivative(p));
  Derivative out;
  std::vector<Re> targets;
  if (op == Op::kUnion && parts.size() > 8) {
    // Many branches, few alive at a time: distribute the live pieces over the cells they cover.
    std::vector<std::uint32_t> starts{0};
    for (const Derivative* m : maps)
      for (const Piece& p : *m) starts.push_back(p.start);
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    std::vector<std::vector<Re>> cells(starts.size());
    for (const Derivative* m : maps)
      for (std::size_t i = 0; i < m->size(); ++i) {
        if ((*m)[i].to == kNone) continue;
        const std::uint32_t end = i + 1 < m->size() ? (*m)[i + 1].start : kMaxCodePoint + 1;
        std::size_t at = static_cast<std::size_t>(std::lower_bound(starts.begin(), starts.end(), (*m)[i].start) - starts.begin());
        for (; at < starts.size() && starts[at] < end; ++at) cells[at].push_back((*m)[i].to);
      }
    for (std::size_t i = 0; i < starts.size(); ++i) push_piece(out, starts[i], unite(std::move(cells[i])));
    return out;
  }
  std::vector<std::size_t> at(maps.size(), 0);
  for (std::uint32_t start = 0;;) {
    targets.clear();
    std::uint32_t next = kMaxCodePoint + 1;
    for (std::size_t i = 0; i < maps.size(); ++i) {
      const Derivative& m = *maps[i];
      while (at[i] + 1 < m.size() && m[at[i] + 1].start <= start) ++at[i];
      targets.push_back(m[at[i]].to);
      if (at[i] + 1 < m.size()) next = std::min(next, m[at[i] + 1].start);
    }
    push_piece(out, start, op == Op::kUnion ? unite(targets) : intersect(targets));
    if (next > kMaxCodePoint) return out;
    start = next;
  }
}

// A repeated derivative() of one node returns the same object: maps are held by pointer and never move.
const Derivative& RegexStore::derivative(Re r) {
  if (derivatives_[r]) return *derivatives_[r];
  const ReNode n = nodes_[r];
  Derivative out;
  switch (n.op) {
    case Op::kNone:
    case Op::kEpsilon:
      out.push_back({0, kNone});
      break;
    case Op::kSet: {
      const CharSet& set = sets_[n.a];
      if (set.empty() || set[0].low != 0) out.push_back({0, kNone});
      for (const Range& range : set) {
        push_piece(out, range.low, kEpsilon);
        if (range.high < kMaxCodePoint) push_piece(out, range.high + 1, kNone);
      }
      break;
    }
    case Op::kConcat: {
      const Derivative& head = derivative(n.a);
      Derivative mapped;
      for (const Piece& p : head) push_piece(mapped, p.start, concat(p.to, n.b));
      if (!nodes_[n.a].nullable) {
        out = std::move(mapped);
        break;
      }
      const Derivative& tail = derivative(n.b);
      for (std::size_t i = 0, j = 0;;) {
        const std::uint32_t start = std::max(mapped[i].start, tail[j].start);
        push_piece(out, start, unite({mapped[i].to, tail[j].to}));
        const std::uint32_t next1 = i + 1 < mapped.size() ? mapped[i + 1].start : kMaxCodePoint + 1;
        const std::uint32_t next2 = j + 1 < tail.size() ? tail[j + 1].start : kMaxCodePoint + 1;
        if (std::min(next1, next2) > kMaxCodePoint) break;
        if (next1 <= next2) ++i;
        if (next2 <= next1) ++j;
      }
      break;
    }
    case Op::kRepeat: {
      const Re rest = repeat(n.a, n.low > 0 ? n.low - 1 : 0, n.high == kInfinity ? kInfinity : n.high - 1);
      const Derivative& body = derivative(n.a);
      for (const Piece& p : body) push_piece(out, p.start, concat(p.to, rest));
      break;
    }
    case Op::kComplement: {
      const Derivative& body = derivative(n.a);
      for (const Piece& p : body) push_piece(out, p.start, complement(p.to));
      break;
    }
    case Op::kUnion:
    case Op::kIntersection: {
      std::vector<Re> parts;
      for (std::int32_t i = 0; i < n.b; ++i) parts.push_back(child(n, i));
      out = combine(parts, n.op);
      break;
    }
  }
  bytes_ += out.size() * sizeof(Piece) + 40;
  derivatives_[r] = std::make_unique<Derivative>(std::move(out));
  return *derivatives_[r];
}

Re RegexStore::derive(Re r, std::uint32_t code_point) {
  const Derivative& d = derivative(r);
  if (d.size() <= 8) {
    std::size_t i = d.size() - 1;
    while (d[i].start > code_point) --i;
    return d[i].to;
  }
  return (std::upper_bound(d.begin(), d.end(), code_point, [](std::uint32_t c, const Piece& p) { return c < p.start; }) - 1)->to;
}

bool RegexStore::immortal(Re start) {
  const std::int32_t memo = immortal_.get(static_cast<std::uint64_t>(start), -1);
  if (memo >= 0) return memo != 0;
  std::vector<Re> seen{start};
  bool result = true;
  for (std::size_t at = 0; at < seen.size() && result; ++at) {
    const Derivative& d = derivative(seen[at]);
    for (std::size_t i = 0; i < d.size() && result; ++i) {
      const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start - 1 : kMaxCodePoint;
      if (is_surrogate_only(d[i].start, end) || std::find(seen.begin(), seen.end(), d[i].to) != seen.end()) continue;
      seen.push_back(d[i].to);
      result = seen.size() <= kFewResiduals && !is_empty(d[i].to);
    }
  }
  if (result)
    for (Re r : seen) immortal_.put(static_cast<std::uint64_t>(r), 1);
  else
    immortal_.put(static_cast<std::uint64_t>(start), 0);
  return result;
}

// Best-first search for a member, by code points consumed plus a lower bound of what is left. Everything on
// a found path is not empty; when the search is exhausted, all that it saw is empty.
void RegexStore::search(Re start, std::vector<std::uint32_t>* witness) {
  struct Entry {
    std::int64_t cost;
    std::int32_t depth;
    Re r;
    bool operator<(const Entry& o) const { return cost != o.cost ? cost > o.cost : depth < o.depth; }
  };
  std::unordered_map<Re, std::pair<Re, std::uint32_t>> parent{{start, {-1, 0}}};
  std::priority_queue<Entry> queue;
  queue.push({nodes_[start].min_length, 0, start});
  for (std::size_t pops = 1; !queue.empty(); ++pops) {
    if (pops % 256 == 0) check_deadline();
    const Entry top = queue.top();
    queue.pop();
    // A known non-empty residual ends a plain emptiness search early.
    if (nodes_[top.r].nullable || (!witness && nodes_[top.r].live == 1)) {
      for (Re r = top.r; r >= 0;) {
        nodes_[r].live = 1;
        const auto& from = parent.at(r);
        if (witness && from.first >= 0) witness->push_back(from.second);
        r = from.first;
      }
      if (witness) std::reverse(witness->begin(), witness->end());
      return;
    }
    const Derivative& d = derivative(top.r);
    for (std::size_t i = 0; i < d.size(); ++i) {
      const Re to = d[i].to;
      const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start - 1 : kMaxCodePoint;
      if (to == kNone || nodes_[to].live == 2 || is_surrogate_only(d[i].start, end)) continue;
      std::uint32_t c = d[i].start >= 0xD800 && d[i].start <= 0xDFFF ? 0xE000 : d[i].start;
      // Prefer something readable where the piece allows it.
      if (c < 0x20 && end >= 0x20) c = end >= 0x61 && c <= 0x61 ? 0x61 : 0x20;
      if (!parent.emplace(to, std::make_pair(top.r, c)).second) continue;
      if (parent.size() > emptiness_limit)
        throw LimitError("deciding whether a regular expression is empty visits more residuals than allowed (max_emptiness_steps)");
      queue.push({static_cast<std::int64_t>(top.depth) + 1 + nodes_[to].min_length, top.depth + 1, to});
    }
  }
  for (const auto& entry : parent) nodes_[entry.first].live = 2;
}

bool RegexStore::is_empty(Re r) {
  if (nodes_[r].live == 0) {
    // The complement of a finite language is never empty.
    const ReNode& n = nodes_[r];
    if (n.op == Op::kComplement && nodes_[n.a].max_length != kInfinity) nodes_[r].live = 1;
    else search(r, nullptr);
  }
  return nodes_[r].live == 2;
}

std::vector<std::uint32_t> RegexStore::shortest(Re r) {
  std::vector<std::uint32_t> out;
  search(r, &out);
  return out;
}

Re RegexStore::narrow(Re r, const CharSet& ranges) {
  const Derivative& d = derivative(r);
  Re common = -1;
  bool live = false, uniform = true;
  for (const Range& range : ranges) {
    if (range.low > range.high) continue;
    std::size_t i = static_cast<std::size_t>(
        std::upper_bound(d.begin(), d.end(), range.low, [](std::uint32_t c, const Piece& p) { return c < p.start; }) - d.begin() - 1);
    for (; i < d.size() && d[i].start <= range.high; ++i) {
      const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start - 1 : kMaxCodePoint;
      if (is_surrogate_only(std::max(range.low, d[i].start), std::min(range.high, end))) continue;
      uniform = uniform && (common < 0 || common == d[i].to);
      common = d[i].to;
      live = live || !is_empty(d[i].to);
    }
  }
  if (!live) return kNone;
  return uniform ? concat(kAny, common) : r;
}

Re RegexStore::clamp(Re r, std::int32_t limit) {
  // Only sharing is lost where nothing is clamped.
  if (nodes_[r].max_count <= limit + 1 || nodes_[r].height > kMaxDepth) return r;
  if (limit != clamp_limit_) {
    clamped_.clear();
    clamp_limit_ = limit;
  }
  const Re memo = clamped_.get(static_cast<std::uint64_t>(r), -1);
  if (memo >= 0) return memo;
  const ReNode n = nodes_[r];
  Re out = r;
  if (n.op == Op::kConcat) {
    std::vector<Re> parts;
    for (out = r; nodes_[out].op == Op::kConcat; out = nodes_[out].b) parts.push_back(nodes_[out].a);
    out = clamp(out, limit);
    for (std::size_t i = parts.size(); i-- > 0;) out = concat(clamp(parts[i], limit), out);
  } else if (n.op == Op::kRepeat) {
    const Re body = clamp(n.a, limit);
    out = repeat(body, std::min(n.low, limit + 1), n.high == kInfinity || n.high > limit ? kInfinity : n.high);
  } else if (n.op == Op::kUnion) {
    std::vector<Re> parts;
    for (std::int32_t i = 0; i < n.b; ++i) parts.push_back(clamp(child(nodes_[r], i), limit));
    out = unite(std::move(parts));
  }
  clamped_.put(static_cast<std::uint64_t>(r), out);
  return out;
}

// Level by level: how many strings of each length lead to each live residual.
std::int32_t RegexStore::count(Re start, std::int32_t enough) {
  const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(start)) << 32) | static_cast<std::uint32_t>(enough);
  const std::int32_t memo = counts_.get(key, -1);
  if (memo >= 0) return memo;
  std::unordered_map<Re, std::int64_t> level, next;
  std::int64_t total = 0;
  if (!is_empty(start)) level.emplace(start, 1);
  for (std::size_t visited = 0; !level.empty() && total < enough; level.swap(next)) {
    next.clear();
    for (const auto& [r, strings] : level) {
      if (nodes_[r].nullable) total += strings;
      const Derivative& d = derivative(r);
      for (std::size_t i = 0; i < d.size(); ++i) {
        const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start : kMaxCodePoint + 1;
        if (is_empty(d[i].to) || is_surrogate_only(d[i].start, end - 1)) continue;
        const std::uint32_t low = std::max(d[i].start, 0xD800U), high = std::min(end, 0xE000U);
        const std::int64_t characters = end - d[i].start - (low < high ? high - low : 0);  // surrogates don't count
        std::int64_t& sum = next[d[i].to];
        sum = std::min<std::int64_t>(enough, sum + strings * characters);
      }
    }
    visited += next.size();
    if (visited > emptiness_limit) throw LimitError("counting the keys of a pattern visits more residuals than allowed (max_emptiness_steps)");
  }
  const std::int32_t result = static_cast<std::int32_t>(std::min<std::int64_t>(total, enough));
  counts_.put(key, result);
  return result;
}

std::vector<std::int64_t> RegexStore::shortest_spellings(Re start, std::size_t wanted) {
  // Bytes that a character takes, by range: short escapes, \\u00XX for the other control characters, UTF-8.
  struct Cost {
    std::uint32_t low, high;
    std::size_t bytes;
  };
  static constexpr Cost kCosts[] = {{0x00, 0x07, 6}, {0x08, 0x0A, 2}, {0x0B, 0x0B, 6}, {0x0C, 0x0D, 2}, {0x0E, 0x1F, 6}, {0x20, 0x21, 1}, {0x22, 0x22, 2},
                                    {0x23, 0x5B, 1}, {0x5C, 0x5C, 2}, {0x5D, 0x7F, 1}, {0x80, 0x7FF, 2}, {0x800, 0xD7FF, 3}, {0xE000, 0xFFFF, 3}, {0x10000, kMaxCodePoint, 4}};
  std::vector<std::int64_t> out;
  std::vector<std::unordered_map<Re, std::size_t>> levels(1);  // by bytes so far: residuals and how many strings lead there
  if (!is_empty(start)) levels[0].emplace(start, 1);
  std::size_t visited = 0;
  for (std::size_t bytes = 0; bytes < levels.size() && out.size() < wanted; ++bytes) {
    const auto level = std::move(levels[bytes]);
    for (const auto& [r, strings] : level) {
      if (nodes_[r].nullable) out.insert(out.end(), std::min(strings, wanted - out.size()), static_cast<std::int64_t>(bytes));
      const Derivative& d = derivative(r);
      for (std::size_t i = 0; i < d.size(); ++i) {
        const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start - 1 : kMaxCodePoint;
        if (is_empty(d[i].to)) continue;
        for (const Cost& c : kCosts) {
          const std::uint32_t low = std::max(c.low, d[i].start), high = std::min(c.high, end);
          if (low > high) continue;
          if (levels.size() <= bytes + c.bytes) levels.resize(bytes + c.bytes + 1);
          std::size_t& sum = levels[bytes + c.bytes][d[i].to];
          sum = std::min(wanted, sum + std::min<std::size_t>(wanted, strings * (high - low + 1)));
        }
      }
    }
    visited += level.size();
    if (visited > emptiness_limit) throw LimitError("listing the shortest keys of a pattern visits more residuals than allowed (max_emptiness_steps)");
  }
  return out;
}

std::vector<std::int32_t> RegexStore::atoms(Re r) {
  std::vector<std::int32_t> out;
  std::vector<Re> todo{r};
  std::unordered_map<Re, bool> seen{{r, true}};
  while (!todo.empty()) {
    const ReNode n = nodes_[todo.back()];
    todo.pop_back();
    const auto visit = [&](Re k) {
      if (seen.emplace(k, true).second) todo.push_back(k);
    };
    if (n.op == Op::kSet) out.push_back(n.a);
    if (n.op == Op::kConcat || n.op == Op::kRepeat || n.op == Op::kComplement) visit(n.a);
    if (n.op == Op::kConcat) visit(n.b);
    if (n.op == Op::kUnion || n.op == Op::kIntersection)
      for (std::int32_t i = 0; i < n.b; ++i) visit(child(n, i));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace structgen
