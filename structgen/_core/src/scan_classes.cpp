// The alphabet of a scanner: classes of characters that nothing in the grammar tells apart, and the decoder of UTF-8 into them.
#include <algorithm>
#include <map>

#include "scanner.hpp"

namespace structgen {

namespace {

constexpr std::size_t kMostClasses = 4096;

}  // namespace

// Code points that no pattern, lookahead, keyword or left context tells apart are one class.
void Scanner::make_classes() {
  std::vector<const CharSet*> sets;
  for (const CharSet& s : patterns.sets()) sets.push_back(&s);
  const std::size_t own = sets.size();
  std::vector<std::int32_t> atoms;
  const auto add_atoms = [&](Re r) {
    const std::vector<std::int32_t> found = re_.atoms(r);
    atoms.insert(atoms.end(), found.begin(), found.end());
  };
  for (std::size_t p = 0; p < patterns.size(); ++p) {
    const PatternNode& n = patterns[static_cast<Pattern>(p)];
    if (n.op != PatternOp::kAhead) continue;
    for (std::int32_t i = 0; i < n.b; ++i) add_atoms(patterns.child(n, i));
  }
  for (const Unless& u : unless_) add_atoms(u.texts);
  std::sort(atoms.begin(), atoms.end());
  atoms.erase(std::unique(atoms.begin(), atoms.end()), atoms.end());
  for (const std::int32_t a : atoms) sets.push_back(&re_.set(a));
  for (const CharSet& c : cells_) sets.push_back(&c);

  std::vector<std::pair<std::uint32_t, std::size_t>> toggles;
  for (std::size_t s = 0; s < sets.size(); ++s)
    for (const Range& r : *sets[s]) {
      toggles.emplace_back(r.low, s);
      if (r.high < kMaxCodePoint) toggles.emplace_back(r.high + 1, s);
    }
  // ASCII pieces are single, so that bytes can be looked up.
  std::sort(toggles.begin(), toggles.end());
  std::vector<std::uint64_t> now((sets.size() + 63) / 64, 0);
  std::map<std::vector<std::uint64_t>, std::int32_t> known;
  set_classes_.assign(own, {});
  for (std::size_t at = 0, start = 0;;) {
    while (at < toggles.size() && toggles[at].first == start) {
      now[toggles[at].second / 64] ^= std::uint64_t{1} << (toggles[at].second % 64);
      ++at;
    }
    const auto [entry, fresh] = known.emplace(now, static_cast<std::int32_t>(members_.size()));
    if (fresh) {
      if (members_.size() >= kMostClasses) throw LimitError("the terminals tell more than " + std::to_string(kMostClasses) + " classes of characters apart");
      members_.push_back(static_cast<std::uint32_t>(start));
      for (std::size_t s = 0; s < own; ++s) set_classes_[s].push_back(now[s / 64] >> (s % 64) & 1);
      class_sets_.push_back(now);
      std::int32_t cell = 0;
      for (std::size_t c = 0; c < cells_.size(); ++c) {
        const std::size_t s = sets.size() - cells_.size() + c;
        if (now[s / 64] >> (s % 64) & 1) cell = static_cast<std::int32_t>(c);
      }
      left_cells_.push_back(cell);
    }
    if (classes_.empty() || classes_.back() != entry->second) {
      starts_.push_back(static_cast<std::uint32_t>(start));
      classes_.push_back(entry->second);
    }
    if (at == toggles.size()) break;
    start = toggles[at].first;
  }
  set_bits_.assign(own, std::vector<std::uint64_t>(members_.size() / 64 + 1, 0));
  for (std::size_t s = 0; s < own; ++s)
    for (std::size_t cls = 0; cls < members_.size(); ++cls)
      if (set_classes_[s][cls]) set_bits_[s][cls / 64] |= std::uint64_t{1} << (cls % 64);
}

std::int32_t Scanner::class_of(std::uint32_t c) const {
  return classes_[static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), c) - starts_.begin() - 1)];
}

std::int32_t Scanner::intern_node(DecoderNode node) {
  for (const std::int32_t o : node.outcomes) {
    if (o == kInvalid) continue;
    if (o >= 0)
      node.classes.push_back(o);
    else
      node.classes.insert(node.classes.end(), decoder_[static_cast<std::size_t>(~o)].classes.begin(), decoder_[static_cast<std::size_t>(~o)].classes.end());
  }
  std::sort(node.classes.begin(), node.classes.end());
  node.classes.erase(std::unique(node.classes.begin(), node.classes.end()), node.classes.end());
  std::uint64_t h = 0;
  for (const std::int32_t o : node.outcomes) h = combine(h, static_cast<std::uint32_t>(o));
  const std::int32_t found = decoder_index_.find(h, [&](std::int32_t i) { return decoder_[static_cast<std::size_t>(i)].outcomes == node.outcomes; });
  if (found >= 0) return ~found;
  decoder_.push_back(std::move(node));
  decoder_index_.insert(h, static_cast<std::int32_t>(decoder_.size() - 1));
  return ~static_cast<std::int32_t>(decoder_.size() - 1);
}

// The outcome of the continuation bytes that spell the code points from `low` on, of which `depth` are to come.
std::int32_t Scanner::decode(std::uint32_t low, int depth) {
  const std::uint32_t high = low + (1U << (6 * depth)) - 1;
  if (low > kMaxCodePoint || (low >= 0xD800 && high <= 0xDFFF)) return kInvalid;
  if (depth == 0) return class_of(low);
  const std::size_t piece = static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), low) - starts_.begin());
  const bool overlong = low == 0 && depth >= 2;
  if ((piece == starts_.size() || starts_[piece] > high) && high <= kMaxCodePoint && (high < 0xD800 || low > 0xDFFF) && !overlong) {
    std::int32_t outcome = class_of(low);
    for (int d = 0; d < depth; ++d) outcome = intern_node({std::vector<std::int32_t>(64, outcome), {}});
    return outcome;
  }
  DecoderNode node;
  const std::uint32_t part = 1U << (6 * (depth - 1));
  // Spellings longer than need be are no UTF-8.
  const std::uint32_t first = !overlong ? 0 : depth == 2 ? 32 : 16;
  for (std::uint32_t i = 0; i < 64; ++i) node.outcomes.push_back(i < first ? kInvalid : decode(low + i * part, depth - 1));
  return intern_node(std::move(node));
}

void Scanner::make_decoder() {
  std::map<std::int32_t, std::uint8_t> column;
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::int32_t outcome = kInvalid;
    if (b < 0x80)
      outcome = class_of(b);
    else if (b >= 0xC2 && b < 0xE0)
      outcome = decode((b & 0x1F) << 6, 1);
    else if (b >= 0xE0 && b < 0xF0)
      outcome = decode((b & 0x0F) << 12, 2);
    else if (b >= 0xF0 && b < 0xF5)
      outcome = decode((b & 0x07) << 18, 3);
    lead_[b] = outcome;
    columns_[b] = kNoColumn;
    if (outcome == kInvalid) continue;
    const auto [entry, fresh] = column.emplace(outcome, static_cast<std::uint8_t>(column.size()));
    if (fresh) representatives_.push_back(static_cast<std::uint8_t>(b));
    columns_[b] = entry->second;
  }
}

}  // namespace structgen
