// The states of a scanner, which stand between characters or within one, and their rows: where each byte leads.
#include <algorithm>

#include "scanner.hpp"

namespace structgen {

// Whether a reading may go on with a class of characters. What is not wanted only matters where a keyword of it may be.
bool Scanner::reads(std::int32_t number, std::int32_t cls) {
  Core& core = cores_[static_cast<std::size_t>(number)];
  if (core.reads.empty()) {
    core.reads.assign(members_.size() / 64 + 1, 0);
    std::vector<std::uint64_t> some;
    for (const Reading& r : core.readings) {
      some.assign(core.reads.size(), 0);
      for (const Contender& c : r.contenders) {
        if (!c.wanted && r.shadows.empty()) continue;
        const std::vector<std::uint64_t>& bits = set_bits_[static_cast<std::size_t>(c.chars)];
        for (std::size_t i = 0; i < bits.size(); ++i) some[i] |= bits[i];
      }
      for (const Thread t : r.never) {
        if (!patterns.optional(patterns.tail(t))) continue;
        const std::vector<std::uint64_t>& bits = set_bits_[static_cast<std::size_t>(patterns[patterns.head(t)].a)];
        for (std::size_t i = 0; i < bits.size(); ++i) some[i] &= ~bits[i];
      }
      for (std::size_t i = 0; i < some.size(); ++i) core.reads[i] |= some[i];
    }
  }
  return (core.reads[static_cast<std::size_t>(cls) / 64] >> (cls % 64) & 1) != 0;
}

// The same of the characters that begin with a byte.
bool Scanner::reads_first(std::int32_t core, std::uint8_t byte) {
  const std::int32_t outcome = lead_[byte];
  if (outcome == kInvalid) return false;
  if (outcome >= 0) return reads(core, outcome);
  const std::vector<std::int32_t>& classes = decoder_[static_cast<std::size_t>(~outcome)].classes;
  return std::any_of(classes.begin(), classes.end(), [&](std::int32_t cls) { return reads(core, cls); });
}

Scan Scanner::state(std::int32_t core, std::int32_t partial) {
  if (core == 0) return kDeadScan;
  if (partial < kFirstNode) {
    if (!alive(core)) return kDeadScan;
  } else {
    const std::vector<std::int32_t>& classes = decoder_[static_cast<std::size_t>(partial - kFirstNode)].classes;
    const bool some = std::any_of(classes.begin(), classes.end(), [&](std::int32_t c) {
      const std::int32_t to = step(core, c);
      return to != 0 && alive(to);
    });
    if (!some) return kDeadScan;
  }
  const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(core)) << 32) | static_cast<std::uint32_t>(partial);
  const std::int32_t found = state_index_.get(key, -1);
  if (found >= 0) return found;
  states_.push_back({core, partial});
  bytes_ += sizeof(State) + 16;
  state_index_.put(key, static_cast<std::int32_t>(states_.size() - 1));
  return static_cast<Scan>(states_.size() - 1);
}

// Where an outcome of the decoder leads: a class at once where nothing else can come of the bytes that are left.
Scan Scanner::arrive(std::int32_t core, std::int32_t outcome) {
  if (outcome == kInvalid) return kDeadScan;
  if (outcome >= 0) return state(step(core, outcome), 0);
  const std::int32_t number = ~outcome;
  int depth = 0;
  for (std::int32_t o = outcome; o < 0;) {
    const std::vector<std::int32_t>& outcomes = decoder_[static_cast<std::size_t>(~o)].outcomes;
    const bool uniform = std::all_of(outcomes.begin(), outcomes.end(), [&](std::int32_t x) { return x == outcomes[0]; });
    if (!uniform || outcomes[0] == kInvalid) return state(core, kFirstNode + number);
    o = outcomes[0];
    ++depth;
  }
  return state(step(core, decoder_[static_cast<std::size_t>(number)].classes[0]), depth);
}

// With all that is dead at first sight.
void Scanner::make_row(Scan q) {
  State& s = states_[static_cast<std::size_t>(q)];
  const std::size_t width = s.partial == 0 ? representatives_.size() : 64;
  rows_.push_back(std::make_unique<std::int32_t[]>(width));
  s.row = rows_.back().get();
  bytes_ += width * 4 + 8;
  std::fill(s.row, s.row + width, -1);
  s.live = kMany;
  if (s.partial != 0) return;
  for (std::size_t column = 0; column < width; ++column)
    if (!reads_first(s.core, representatives_[column])) s.row[column] = kDeadScan;
  s.live = 0;
  for (std::uint32_t b = 0; b < 0x100 && s.live != kMany; ++b) {
    if (columns_[b] == kNoColumn || s.row[columns_[b]] == kDeadScan) continue;
    if (s.live == kFewLive)
      s.live = kMany;
    else
      s.few[s.live++] = static_cast<std::uint8_t>(b);
  }
}

Scan Scanner::next_slow(Scan q, std::uint8_t byte) {
  if (!states_[static_cast<std::size_t>(q)].row) make_row(q);
  const State s = states_[static_cast<std::size_t>(q)];
  const std::size_t column = s.partial == 0 ? columns_[byte] : byte & 63U;
  if (s.row[column] >= 0) return s.row[column];
  Scan to;
  if (s.partial == 0)
    to = arrive(s.core, lead_[byte]);
  else if (s.partial < kFirstNode)
    to = state(s.core, s.partial - 1);
  else
    to = arrive(s.core, decoder_[static_cast<std::size_t>(s.partial - kFirstNode)].outcomes[byte & 63]);
  return states_[static_cast<std::size_t>(q)].row[column] = to;
}

std::vector<std::pair<std::int32_t, std::int32_t>> Scanner::distances(Scan q) const {
  const State& s = states_[static_cast<std::size_t>(q)];
  const std::int32_t pending = s.partial == 0 ? 0 : s.partial < kFirstNode ? s.partial : 1;
  std::vector<std::pair<std::int32_t, std::int32_t>> out;
  const auto add = [&](std::int32_t terminal, std::int32_t length) {
    for (auto& entry : out)
      if (entry.first == terminal) {
        entry.second = std::min(entry.second, length);
        return;
      }
    out.emplace_back(terminal, length);
  };
  for (const Reading& r : cores_[static_cast<std::size_t>(s.core)].readings) {
    if (r.matched >= 0) add(r.matched, pending);
    for (const Contender& c : r.contenders)
      if (c.wanted) add(c.terminal, std::max(pending, patterns.min_length(c.thread)));
    for (const Shadow& k : r.shadows)
      if (k.wanted) add(k.keyword, std::max(pending, re_.node(k.texts).min_length));
  }
  return out;
}

}  // namespace structgen
