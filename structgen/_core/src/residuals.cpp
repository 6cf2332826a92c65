// Reading regexes: derivatives, emptiness and what follows from them.
#include <algorithm>
#include <queue>
#include <unordered_map>

#include "regex.hpp"

namespace structgen {

namespace {

constexpr std::size_t kFewResiduals = 64;

void push_piece(Derivative& out, std::uint32_t start, Re to) {
  if (out.empty() || out.back().to != to) out.push_back({start, to});
}

std::uint64_t join(std::int32_t low, std::int32_t high) {
  return static_cast<std::uint32_t>(low) | (static_cast<std::uint64_t>(static_cast<std::uint32_t>(high)) << 32);
}

}  // namespace

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
    case Op::kResidue: {
      const std::uint64_t modulus = join(n.a, n.b), residue = join(n.low, n.high);
      out = {{0, kNone}, {'.', r}, {'.' + 1, kNone}};
      for (int digit = 0; digit < 10; ++digit)
        push_piece(out, static_cast<std::uint32_t>('0' + digit), residue_node(modulus, residue, digit, std::max(0, n.min_length - 1)));
      out.push_back({'9' + 1, kNone});
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
        throw LimitError("deciding whether a regular expression is empty visits more residuals than allowed (max_emptiness_steps)", "max_emptiness_steps");
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
  if (nodes_[r].max_count <= limit + 1 || nodes_[r].height > kMaxRegexDepth) return r;
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
    if (visited > emptiness_limit) throw LimitError("counting the keys of a pattern visits more residuals than allowed (max_emptiness_steps)", "max_emptiness_steps");
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
    if (visited > emptiness_limit) throw LimitError("listing the shortest keys of a pattern visits more residuals than allowed (max_emptiness_steps)", "max_emptiness_steps");
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
    if (n.op == Op::kResidue)
      for (const char c : std::string(".0123456789")) out.push_back(intern_set({{static_cast<std::uint32_t>(c), static_cast<std::uint32_t>(c)}}));
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
