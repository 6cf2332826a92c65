#include "patterns.hpp"

#include <algorithm>
#include <limits>

namespace structgen {

namespace {

std::int32_t saturated(std::int64_t length) { return static_cast<std::int32_t>(std::min<std::int64_t>(length, std::numeric_limits<std::int32_t>::max() / 2)); }

}  // namespace

PatternStore::PatternStore() {
  PatternNode empty{PatternOp::kConcat};
  empty.optional = true;
  intern(empty, {});
  PatternNode never{PatternOp::kChoice};
  never.min_length = saturated(std::numeric_limits<std::int64_t>::max());
  intern(never, {});
  threads_.push_back({kEmpty, kMatched, false, true, 0});
}

Pattern PatternStore::intern(PatternNode n, const std::vector<std::int32_t>& kids) {
  std::uint64_t h = (static_cast<std::uint64_t>(n.op) << 2) | (n.lazy ? 2U : 0U) | (n.negative ? 1U : 0U);
  for (const std::int32_t x : {kids.empty() ? n.a : 0, n.b, n.low, n.high}) h = combine(h, static_cast<std::uint32_t>(x));
  for (const std::int32_t k : kids) h = combine(h, static_cast<std::uint32_t>(k));
  const std::int32_t found = node_index_.find(h, [&](std::int32_t i) {
    const PatternNode& o = nodes_[static_cast<std::size_t>(i)];
    if (o.op != n.op || o.b != n.b || o.low != n.low || o.high != n.high || o.lazy != n.lazy || o.negative != n.negative) return false;
    if (kids.empty()) return o.a == n.a || n.b == 0;
    return std::equal(kids.begin(), kids.end(), children_.begin() + o.a);
  });
  if (found >= 0) return found;
  if (nodes_.size() >= kMostNodes) throw LimitError("the terminals have more than " + std::to_string(kMostNodes) + " parts");
  if (!kids.empty()) {
    n.a = static_cast<std::int32_t>(children_.size());
    children_.insert(children_.end(), kids.begin(), kids.end());
  }
  const Pattern id = static_cast<Pattern>(nodes_.size());
  nodes_.push_back(n);
  node_index_.insert(h, id);
  return id;
}

Pattern PatternStore::chars(CharSet set) {
  std::sort(set.begin(), set.end(), [](const Range& x, const Range& y) { return x.low < y.low; });
  CharSet merged;
  for (const Range& r : set) {
    if (!merged.empty() && r.low <= merged.back().high + 1)
      merged.back().high = std::max(merged.back().high, r.high);
    else
      merged.push_back(r);
  }
  if (merged.empty()) return kNever;
  std::uint64_t h = merged.size();
  for (const Range& r : merged) h = combine(h, (static_cast<std::uint64_t>(r.low) << 32) | r.high);
  std::int32_t number = set_index_.find(h, [&](std::int32_t i) { return sets_[static_cast<std::size_t>(i)] == merged; });
  if (number < 0) {
    number = static_cast<std::int32_t>(sets_.size());
    sets_.push_back(std::move(merged));
    set_index_.insert(h, number);
  }
  PatternNode n{PatternOp::kChars};
  n.a = number;
  n.b = 1;
  n.min_length = 1;
  return intern(n, {});
}

Pattern PatternStore::concat(const std::vector<Pattern>& parts) {
  std::vector<std::int32_t> kids;
  PatternNode n{PatternOp::kConcat};
  n.optional = true;
  std::int64_t length = 0;
  for (const Pattern p : parts) {
    if (p == kNever) return kNever;
    if (p == kEmpty) continue;
    kids.push_back(p);
    n.optional = n.optional && (*this)[p].optional;
    n.asserts = n.asserts || (*this)[p].asserts;
    length += (*this)[p].min_length;
  }
  if (kids.size() == 1) return kids[0];
  n.b = static_cast<std::int32_t>(kids.size());
  n.min_length = saturated(length);
  return kids.empty() ? kEmpty : intern(n, kids);
}

Pattern PatternStore::choice(const std::vector<Pattern>& parts) {
  std::vector<std::int32_t> kids;
  PatternNode n{PatternOp::kChoice};
  for (const Pattern p : parts) {
    if (p == kNever || std::find(kids.begin(), kids.end(), p) != kids.end()) continue;
    n.min_length = kids.empty() ? (*this)[p].min_length : std::min(n.min_length, (*this)[p].min_length);
    n.asserts = n.asserts || (*this)[p].asserts;
    n.optional = n.optional || (*this)[p].optional;
    kids.push_back(p);
  }
  if (kids.size() == 1) return kids[0];
  n.b = static_cast<std::int32_t>(kids.size());
  return kids.empty() ? kNever : intern(n, kids);
}

Pattern PatternStore::repeat(Pattern body, std::int32_t low, std::int32_t high, bool lazy) {
  if (high == 0 || body == kEmpty) return kEmpty;
  if (low == 1 && high == 1) return body;
  PatternNode n{PatternOp::kRepeat};
  n.a = body;
  n.b = 1;
  n.low = low;
  n.high = high;
  n.lazy = lazy;
  n.asserts = (*this)[body].asserts;
  n.optional = low == 0 || (*this)[body].optional;
  n.min_length = saturated(static_cast<std::int64_t>(low) * (*this)[body].min_length);
  return intern(n, {});
}

Pattern PatternStore::ahead(const std::vector<Re>& rest, bool negative) {
  PatternNode n{PatternOp::kAhead};
  n.asserts = true;
  n.negative = negative;
  n.b = static_cast<std::int32_t>(rest.size());
  return intern(n, rest);
}

Pattern PatternStore::behind(const std::vector<std::int32_t>& states) {
  if (states.empty()) return kNever;
  PatternNode n{PatternOp::kBehind};
  n.asserts = true;
  n.b = static_cast<std::int32_t>(states.size());
  return intern(n, states);
}

Thread PatternStore::cons(Pattern head, Thread tail) {
  if (head == kEmpty) return tail;
  const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(head)) << 32) | static_cast<std::uint32_t>(tail);
  const Thread found = thread_index_.get(key, -1);
  if (found >= 0) return found;
  if (threads_.size() >= kMostThreads) throw LimitError("matching the terminals takes more than " + std::to_string(kMostThreads) + " threads");
  const Thread id = static_cast<Thread>(threads_.size());
  const Cons& rest = threads_[static_cast<std::size_t>(tail)];
  threads_.push_back({head, tail, (*this)[head].asserts || rest.asserts, (*this)[head].optional && rest.optional, saturated(static_cast<std::int64_t>((*this)[head].min_length) + rest.min_length)});
  thread_index_.put(key, id);
  return id;
}

std::size_t PatternStore::bytes() const {
  return nodes_.size() * sizeof(PatternNode) + children_.size() * 4 + threads_.size() * sizeof(Cons) + node_index_.bytes() + thread_index_.bytes();
}

}  // namespace structgen
