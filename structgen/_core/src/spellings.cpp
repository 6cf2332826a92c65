#include "spellings.hpp"

#include <queue>
#include <stdexcept>
#include <unordered_map>

namespace structgen {

namespace {

constexpr std::int64_t kSaturated = 1 << 30;  // costs beyond it are refused as too long anyway
constexpr std::int32_t kNever = kSaturated + 1;
// Of one search: residuals, and what the tables of regexes grow by.
constexpr std::size_t kMostResiduals = 400000;
constexpr std::size_t kMostBytes = std::size_t{96} << 20;

const CharSet& all_characters() {
  static const CharSet all{{0, kMaxCodePoint}};
  return all;
}

void append_utf8(std::uint32_t c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
    return;
  }
  const int rest = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static constexpr std::uint32_t kLead[] = {0, 0xC0, 0xE0, 0xF0};
  out.push_back(static_cast<char>(kLead[rest] | (c >> (6 * rest))));
  for (int i = rest; i-- > 0;) out.push_back(static_cast<char>(0x80 | ((c >> (6 * i)) & 0x3F)));
}

std::string hex(std::uint32_t unit) {
  std::string out;
  for (int shift = 12; shift >= 0; shift -= 4) out.push_back("0123456789abcdef"[(unit >> shift) & 15]);
  return out;
}

// Behind a backslash; zero where there is no such escape.
char short_escape(std::uint32_t c, bool all) {
  switch (c) {
    case '"': return '"';
    case '\\': return '\\';
    case '/': return all ? '/' : '\0';
    case 8: return 'b';
    case 9: return 't';
    case 10: return 'n';
    case 12: return 'f';
    case 13: return 'r';
    default: return '\0';
  }
}

std::int32_t saturated(std::int64_t cost) {
  return cost >= Spellings::kImpossible ? kNever : static_cast<std::int32_t>(std::min(cost, kSaturated));
}
std::int64_t unsaturated(std::int32_t cost) { return cost == kNever ? Spellings::kImpossible : cost; }

}  // namespace

std::string spelled(Kind kind, Decoder decoder, std::uint32_t c) {
  const std::uint32_t payload = decoder_payload(decoder);
  const std::uint32_t first = c < 0x10000 ? c : 0xD800 + ((c - 0x10000) >> 10), second = 0xDC00 + ((c - 0x10000) & 0x3FF);
  const std::string low = c < 0x10000 ? "" : "\\u" + hex(second);
  std::string out;
  switch (decoder_mode(decoder)) {
    case kClean:
    case kOpen:
      if (kind != Kind::kText && (c < 0x20 || c == '"' || c == '\\')) return "\\" + spelled(kind, Decoder{kBackslash} << 28, c);
      append_utf8(c, out);
      return out;
    case kUtf8:
      append_utf8(c, out);
      return out.substr(out.size() - ((payload >> 24) & 3));
    case kBackslash:
      if (const char escape = short_escape(c, kind == Kind::kStringAll)) return {escape};
      return "u" + hex(first) + low;
    case kHex: return hex(first).substr(payload >> 16) + low;
    case kLowBackslash: return low;
    case kLowU: return low.substr(1);
    case kLowHex: return low.substr(2 + (payload >> 26));
  }
  return out;
}

std::uint32_t Spellings::cheapest(const CharSet& set) const {
  std::uint32_t best = kMaxCodePoint;
  std::size_t least = ~std::size_t{0};
  for (const Range& alike : kSpelledAlike)
    for (const Range& range : set) {
      const std::uint32_t low = std::max(alike.low, range.low);
      if (low > std::min(alike.high, range.high)) continue;
      const std::size_t bytes = spelled(kind_, kClean, low).size();
      if (bytes < least) {
        least = bytes;
        best = low;
      }
    }
  return best;
}

std::int64_t Spellings::cost(Re r) { return evaluate(r, costs_, true); }

// By the parts, children first.
std::int64_t Spellings::evaluate(Re root, FlatMap& memo, bool exact) {
  const auto known = [&](Re r) { return memo.get(static_cast<std::uint64_t>(r), -1); };
  if (const std::int32_t before = known(root); before >= 0) return unsaturated(before);
  std::vector<Re> todo{root};
  std::vector<std::int64_t> parts;
  while (!todo.empty()) {
    const Re r = todo.back();
    if (known(r) >= 0) {
      todo.pop_back();
      continue;
    }
    const ReNode n = regexes_.node(r);
    const bool boolean = n.op == Op::kIntersection || n.op == Op::kComplement;
    if (boolean && exact) {
      todo.pop_back();
      search(r);
      continue;
    }
    parts.clear();
    bool ready = true;
    const auto part = [&](Re child) {
      const std::int32_t cost = known(child);
      parts.push_back(unsaturated(cost));
      if (cost >= 0) return;
      todo.push_back(child);
      ready = false;
    };
    if (n.op == Op::kConcat) {
      part(n.a);
      part(n.b);
    } else if (n.op == Op::kRepeat && n.low > 0) {
      part(n.a);
    } else if (n.op == Op::kUnion || n.op == Op::kIntersection) {
      for (std::int32_t i = 0; i < n.b; ++i) part(regexes_.child(n, i));
    }
    if (!ready) continue;
    std::int64_t cost = 0;
    switch (n.op) {
      case Op::kNone: cost = kImpossible; break;
      case Op::kEpsilon: break;
      case Op::kSet: cost = static_cast<std::int64_t>(spelled(kind_, kClean, cheapest(regexes_.set(n.a))).size()); break;
      case Op::kResidue: cost = n.min_length; break;  // digits, as few as will do
      case Op::kConcat: cost = parts[0] + parts[1]; break;
      case Op::kRepeat: cost = n.low == 0 ? 0 : parts[0] >= kImpossible ? kImpossible : parts[0] * n.low; break;
      case Op::kUnion: cost = *std::min_element(parts.begin(), parts.end()); break;
      case Op::kIntersection: cost = *std::max_element(parts.begin(), parts.end()); break;
      case Op::kComplement: {
        // What is not among all short strings is longer.
        const ReNode& body = regexes_.node(n.a);
        cost = n.min_length;
        if (body.op == Op::kRepeat && body.a == RegexStore::kAny && body.low == 0 && body.high != kInfinity) cost = body.high + std::int64_t{1};
        break;
      }
    }
    memo.put(static_cast<std::uint64_t>(r), saturated(std::min(cost, kImpossible)));
    // Those inside it have chosen already.
    if (exact && n.op == Op::kUnion && cost < kImpossible) chosen(r);
    todo.pop_back();
  }
  return unsaturated(known(root));
}

// Best first, by bytes so far and those that are left at least. What it learns of residuals that it only passed makes later searches
// short: they are as far from the end as the start, less the way to them.
std::int64_t Spellings::search(Re start) {
  struct Entry {
    std::int64_t estimate, so_far;
    Re r;
    bool operator<(const Entry& o) const { return estimate != o.estimate ? estimate > o.estimate : so_far < o.so_far; }
  };
  struct Step {
    Re from;
    std::uint32_t character;
    std::int64_t so_far;
  };
  const std::size_t before = regexes_.bytes();
  std::unordered_map<Re, Step> best{{start, {-1, 0, 0}}};
  std::priority_queue<Entry> queue;
  // Exact for what holds neither an intersection nor a complement.
  const auto left = [&](Re r) {
    const std::int32_t exact = costs_.get(static_cast<std::uint64_t>(r), -1);
    return exact >= 0 ? unsaturated(exact) : bound(r);
  };
  const auto final = [&](Re r) { return regexes_.nullable(r) || !regexes_.node(r).algebraic || costs_.get(static_cast<std::uint64_t>(r), -1) >= 0; };
  queue.push({left(start), 0, start});
  while (!queue.empty()) {
    const Entry top = queue.top();
    queue.pop();
    if (top.so_far > best.at(top.r).so_far) continue;
    if (final(top.r)) {
      const std::int64_t total = top.estimate;
      for (Re r = top.r; r != start;) {
        const Step step = best.at(r);
        r = step.from;
        next_.put(static_cast<std::uint64_t>(r), static_cast<std::int32_t>(step.character));
        costs_.put(static_cast<std::uint64_t>(r), saturated(total - best.at(r).so_far));
      }
      if (top.r == start) costs_.put(static_cast<std::uint64_t>(start), saturated(total));
      for (const auto& [r, step] : best)
        if (total - step.so_far > bound(r)) bounds_.put(static_cast<std::uint64_t>(r), saturated(total - step.so_far));
      return total;
    }
    characters(top.r, all_characters(), [&](std::uint32_t c, Re to) {
      const std::int64_t so_far = top.so_far + static_cast<std::int64_t>(spelled(kind_, kClean, c).size());
      const auto [known, fresh] = best.emplace(to, Step{top.r, c, so_far});
      if (!fresh) {
        if (known->second.so_far <= so_far) return;
        known->second = {top.r, c, so_far};
      }
      const std::int64_t more = regexes_.node(to).live == 2 ? kImpossible : left(to);
      if (more < kImpossible) queue.push({so_far + more, so_far, to});
    });
    if (best.size() > kMostResiduals || regexes_.bytes() > before + kMostBytes)
      throw LimitError("the shortest string that several conditions on it allow takes too much memory to find: " + std::to_string(best.size()) + " residuals were looked at");
  }
  for (const auto& entry : best) costs_.put(static_cast<std::uint64_t>(entry.first), kNever);
  return kImpossible;
}

// Of the options of a union that are as short as it, the one whose spelling comes first: the order of options depends on what else the
// store has seen, and equal automata complete alike.
Re Spellings::chosen(Re r) {
  const std::int32_t known = chosen_.get(static_cast<std::uint64_t>(r), -1);
  if (known >= 0) return known;
  const ReNode n = regexes_.node(r);
  const std::int64_t least = cost(r);
  std::vector<Re> shortest;
  for (std::int32_t i = 0; i < n.b; ++i)
    if (const Re child = regexes_.child(n, i); cost(child) == least) shortest.push_back(child);
  Re best = shortest.front();
  std::string first, text;
  for (std::size_t i = 0; shortest.size() > 1 && i < shortest.size(); ++i) {
    text.clear();
    append(shortest[i], text);
    if (i > 0 && text >= first) continue;
    best = shortest[i];
    first.swap(text);
  }
  chosen_.put(static_cast<std::uint64_t>(r), best);
  return best;
}

std::uint32_t Spellings::first(Re r) {
  for (;;) {
    const std::int32_t next = next_.get(static_cast<std::uint64_t>(r), -1);
    if (next >= 0) return static_cast<std::uint32_t>(next);
    const ReNode n = regexes_.node(r);
    switch (n.op) {
      case Op::kSet: return cheapest(regexes_.set(n.a));
      case Op::kConcat: r = cost(n.a) > 0 ? n.a : n.b; break;
      case Op::kRepeat: r = n.a; break;
      case Op::kUnion: r = chosen(r); break;
      case Op::kResidue:
        for (std::uint32_t digit = '0';; ++digit)
          if (regexes_.node(regexes_.derive(r, digit)).min_length < n.min_length) return digit;
      default: throw std::logic_error("no character to begin with");
    }
  }
}

void Spellings::append(Re root, std::string& out) {
  std::vector<std::pair<Re, std::int32_t>> todo{{root, 1}};  // and how often
  while (!todo.empty()) {
    auto& [r, times] = todo.back();
    if (times == 0 || cost(r) == 0) {
      todo.pop_back();
      continue;
    }
    --times;
    const Re at = r;
    const ReNode n = regexes_.node(at);
    const bool searched = next_.get(static_cast<std::uint64_t>(at), -1) >= 0;
    if (!searched && n.op == Op::kConcat) {
      todo.emplace_back(n.b, 1);
      todo.emplace_back(n.a, 1);
    } else if (!searched && n.op == Op::kRepeat) {
      todo.emplace_back(n.a, n.low);
    } else if (!searched && n.op == Op::kUnion) {
      todo.emplace_back(chosen(at), 1);
    } else {
      const std::uint32_t c = first(at);
      out += spelled(kind_, kClean, c);
      todo.emplace_back(regexes_.derive(at, c), 1);
    }
  }
}

}  // namespace structgen
