// Searches in the scanner: whether a terminal can be read at all, and how soon a lexeme can end.
#include <algorithm>
#include <deque>
#include <map>
#include <queue>

#include "scanner.hpp"

namespace structgen {

namespace {

constexpr std::size_t kFewClasses = 3;        // characters tried first for each thread that is wanted
constexpr std::size_t kMostRealized = 20000;  // states looked at to find a text of a terminal
constexpr std::size_t kMostFinished = 20000;

}  // namespace

// The classes with which a contender that is wanted can go on; a few of each unless all are asked for.
std::vector<std::int32_t> Scanner::onward(const Core& core, bool all) const {
  std::vector<std::int32_t> out;
  std::vector<Pattern> heads;
  for (const Reading& r : core.readings) {
    for (const Contender& c : r.contenders) {
      const bool keyword = std::any_of(r.shadows.begin(), r.shadows.end(), [&](const Shadow& s) { return s.wanted && s.owner == c.terminal; });
      if (c.wanted || keyword) heads.push_back(patterns.head(c.thread));
    }
    if (r.shadows.empty() || all) continue;
    // The characters of a keyword.
    for (const Shadow& s : r.shadows)
      if (s.wanted)
        for (std::size_t cls = 0; cls < members_.size(); ++cls)
          if (re_.derive(s.texts, members_[cls]) != RegexStore::kNone) out.push_back(static_cast<std::int32_t>(cls));
  }
  for (const Pattern head : heads) {
    std::size_t found = 0;
    for (std::size_t cls = 0; cls < members_.size() && (all || found < kFewClasses); ++cls)
      if (has(head, static_cast<std::int32_t>(cls))) {
        out.push_back(static_cast<std::int32_t>(cls));
        ++found;
      }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Scanner::Realized Scanner::realize(std::int32_t tried, std::int32_t terminal, Obligation obligation, Left left) {
  const Scan q = start(tried, terminal_set({terminal}), obligation, left);
  if (q == kDeadScan) return {};
  const std::int32_t first = states_[static_cast<std::size_t>(q)].core;
  for (const bool all : {false, true}) {
    std::map<std::int32_t, std::int32_t> length{{first, 0}};
    std::deque<std::int32_t> queue{first};
    while (!queue.empty() && length.size() < kMostRealized) {
      const std::int32_t at = queue.front();
      queue.pop_front();
      if (!cores_[static_cast<std::size_t>(at)].exits.empty()) return {cores_[static_cast<std::size_t>(at)].exits[0], length.at(at)};
      for (const std::int32_t cls : onward(cores_[static_cast<std::size_t>(at)], all)) {
        const std::int32_t to = step(at, cls);
        const std::uint32_t c = members_[static_cast<std::size_t>(cls)];
        if (to != 0 && length.emplace(to, length.at(at) + (c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4)).second) queue.push_back(to);
      }
    }
  }
  return {};
}

const std::vector<std::pair<std::int32_t, std::int32_t>>& Scanner::finishes(Scan q) {
  const std::int32_t known = finish_index_.get(static_cast<std::uint64_t>(q), -1);
  if (known >= 0) return finishes_[static_cast<std::size_t>(known)];
  const std::size_t wanted = distances(q).size();
  std::vector<std::pair<std::int32_t, std::int32_t>> out;
  std::vector<std::int32_t> found;  // terminals
  std::map<Scan, std::int32_t> length{{q, 0}};
  std::deque<Scan> queue{q};
  while (!queue.empty() && found.size() < wanted && length.size() < kMostFinished) {
    const Scan at = queue.front();
    queue.pop_front();
    const std::int32_t so_far = length.at(at);
    for (const std::int32_t e : std::vector<std::int32_t>(exits(at))) {
      const std::int32_t terminal = exits_[static_cast<std::size_t>(e)].terminal;
      if (std::find(found.begin(), found.end(), terminal) == found.end()) found.push_back(terminal);
      if (std::none_of(out.begin(), out.end(), [&](const auto& pair) { return pair.first == e; })) out.emplace_back(e, so_far);
    }
    const bool between = states_[static_cast<std::size_t>(at)].partial == 0;
    const std::size_t columns = between ? representatives_.size() : 64;
    for (std::size_t i = 0; i < columns; ++i) {
      const Scan to = next(at, between ? representatives_[i] : static_cast<std::uint8_t>(0x80 + i));
      if (to != kDeadScan && length.emplace(to, so_far + 1).second) queue.push_back(to);
    }
  }
  finish_index_.put(static_cast<std::uint64_t>(q), static_cast<std::int32_t>(finishes_.size()));
  bytes_ += out.size() * 8 + 40;
  finishes_.push_back(std::move(out));
  return finishes_.back();
}

}  // namespace structgen
