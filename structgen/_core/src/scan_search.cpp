// Searches in the scanner: whether a terminal can be read at all, and how soon a lexeme can end.
#include <algorithm>
#include <deque>
#include <map>
#include <queue>
#include <unordered_set>

#include "scanner.hpp"

namespace structgen {

namespace {

constexpr std::size_t kFewClasses = 3;        // characters tried first for each thread that is wanted
constexpr std::size_t kMostGreedy = 64;       // steps straight to an end
constexpr std::size_t kMostTried = 8;         // contenders at each
constexpr std::size_t kFirstSearch = 500;     // states
constexpr std::size_t kMostRealized = 5000;   // states looked at to find a text of a terminal
constexpr std::size_t kMostExplored = 300;
constexpr std::size_t kMostExits = 64;
// States looked at to find a good exit: more where there is but one way on, as in a long string.
constexpr std::size_t kMostPlain = 300, kMostPlainInLine = 6000, kInLine = 4;
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

bool Scanner::clearly_alive(const Core& core) const {
  for (const Reading& r : core.readings) {
    if (r.matched >= 0) return true;
    if (r.rest != RegexStore::kAnyStar || !r.never.empty()) continue;
    bool all = true, plain = false;
    for (const Contender& c : r.contenders) {
      all = all && c.wanted;
      plain = plain || !patterns.asserts(c.thread);
    }
    if (all && plain && r.shadows.empty()) return true;
  }
  return false;
}

// Whether no character leaves anything of a core.
bool Scanner::clearly_dead(std::int32_t number) {
  const Core& core = cores_[static_cast<std::size_t>(number)];
  if (std::any_of(core.readings.begin(), core.readings.end(), [](const Reading& r) { return r.matched >= 0; })) return false;
  for (std::size_t cls = 0; cls < members_.size(); ++cls) {
    if (!reads(number, static_cast<std::int32_t>(cls))) continue;
    for (const Reading& r : core.readings)
      if (r.rest == RegexStore::kAnyStar || !re_.is_empty(re_.derive(r.rest, members_[cls]))) return false;
  }
  return true;
}

// Goes straight for the end of whatever is wanted and needs least. Mostly finds one in a few steps; a failure says nothing.
bool Scanner::soon_alive(std::int32_t start) {
  std::vector<std::int32_t> path;
  std::vector<std::pair<std::int32_t, Pattern>> wanted;  // characters that are needed, the next one
  const auto less = [](const auto& a, const auto& b) { return b < a; };
  for (std::int32_t at = start; path.size() < kMostGreedy;) {
    path.push_back(at);
    if (cores_[static_cast<std::size_t>(at)].alive == 1 || (cores_[static_cast<std::size_t>(at)].alive < 0 && clearly_alive(cores_[static_cast<std::size_t>(at)]))) {
      for (const std::int32_t c : path) cores_[static_cast<std::size_t>(c)].alive = 1;
      return true;
    }
    wanted.clear();
    for (const Reading& r : cores_[static_cast<std::size_t>(at)].readings)
      for (const Contender& c : r.contenders)
        if (c.wanted) wanted.emplace_back(patterns.min_length(c.thread), patterns.head(c.thread));
    std::make_heap(wanted.begin(), wanted.end(), less);
    std::int32_t next = 0;
    for (std::size_t i = 0; i < kMostTried && !wanted.empty() && next == 0; ++i) {
      const Pattern head = wanted.front().second;
      std::pop_heap(wanted.begin(), wanted.end(), less);
      wanted.pop_back();
      for (std::size_t cls = 0, met = 0; cls < members_.size() && met < kFewClasses && next == 0; ++cls) {
        if (!has(head, static_cast<std::int32_t>(cls)) || !reads(at, static_cast<std::int32_t>(cls))) continue;
        ++met;
        const std::int32_t to = step(at, static_cast<std::int32_t>(cls));
        if (to != 0 && cores_[static_cast<std::size_t>(to)].alive != 0 && std::find(path.begin(), path.end(), to) == path.end()) next = to;
      }
    }
    if (next == 0) return false;
    at = next;
  }
  return false;
}

// Whether the lexeme can end as something that is wanted, decided by search.
bool Scanner::alive(std::int32_t start) {
  if (cores_[static_cast<std::size_t>(start)].alive >= 0) return cores_[static_cast<std::size_t>(start)].alive != 0;
  if (clearly_dead(start)) {
    cores_[static_cast<std::size_t>(start)].alive = 0;
    return false;
  }
  if (soon_alive(start)) return true;
  std::unordered_map<std::int32_t, std::int32_t> parent{{start, -1}};
  // With few characters of each kind first: mostly they do.
  for (const bool all : {false, true}) {
    std::deque<std::int32_t> queue;
    for (const auto& entry : parent) queue.push_back(entry.first);
    std::size_t looked_at = 0;
    while (!queue.empty() && (all || ++looked_at < kFirstSearch)) {
      const std::int32_t at = queue.front();
      queue.pop_front();
      const std::int8_t known = cores_[static_cast<std::size_t>(at)].alive;
      if (known == 1 || (known < 0 && clearly_alive(cores_[static_cast<std::size_t>(at)]))) {
        for (std::int32_t c = at; c >= 0; c = parent.at(c)) cores_[static_cast<std::size_t>(c)].alive = 1;
        return true;
      }
      if (known == 0) continue;
      for (const std::int32_t cls : onward(cores_[static_cast<std::size_t>(at)], all)) {
        const std::int32_t to = step(at, cls);
        if (to == 0 || !parent.emplace(to, at).second) continue;
        if (parent.size() > search_limit_) throw LimitError("deciding whether a terminal can still match takes more than " + std::to_string(search_limit_) + " states");
        queue.push_back(to);
      }
    }
  }
  for (const auto& entry : parent) cores_[static_cast<std::size_t>(entry.first)].alive = 0;
  return false;
}

namespace {

std::int32_t width(std::uint32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

}  // namespace

// A short text, as classes of characters, after which a lexeme that began in a state can end as a terminal.
std::vector<std::int32_t> Scanner::witness(Scan from, std::int32_t terminal) {
  const std::int32_t first = states_[static_cast<std::size_t>(from)].core;
  const auto ends = [&](std::int32_t core) {
    const std::vector<std::int32_t>& exits = cores_[static_cast<std::size_t>(core)].exits;
    return std::any_of(exits.begin(), exits.end(), [&](std::int32_t e) { return exits_[static_cast<std::size_t>(e)].terminal == terminal; });
  };
  for (const bool all : {false, true}) {
    std::map<std::int32_t, std::pair<std::int32_t, std::int32_t>> parent{{first, {0, -1}}};
    std::deque<std::int32_t> queue{first};
    while (!queue.empty() && parent.size() < kMostRealized) {
      const std::int32_t at = queue.front();
      queue.pop_front();
      if (ends(at)) {
        std::vector<std::int32_t> text;
        for (std::int32_t c = at; c != first; c = parent.at(c).first) text.push_back(parent.at(c).second);
        std::reverse(text.begin(), text.end());
        return text;
      }
      for (const std::int32_t cls : onward(cores_[static_cast<std::size_t>(at)], all)) {
        const std::int32_t to = step(at, cls);
        if (to != 0 && parent.emplace(to, std::make_pair(at, cls)).second) queue.push_back(to);
      }
    }
  }
  return {};
}

Scanner::Realized Scanner::read(Scan from, std::int32_t terminal, const std::vector<std::int32_t>& classes) {
  Realized out;
  if (from == kDeadScan || classes.empty()) return out;
  std::int32_t at = states_[static_cast<std::size_t>(from)].core;
  for (const std::int32_t cls : classes) {
    out.length += width(members_[static_cast<std::size_t>(cls)]);
    at = step(at, cls);
  }
  for (const std::int32_t e : cores_[static_cast<std::size_t>(at)].exits)
    if (exits_[static_cast<std::size_t>(e)].terminal == terminal) out.exit = e;
  return out;
}

Scanner::Realized Scanner::realize(std::int32_t tried, std::int32_t terminal, Obligation obligation, Left left) {
  if (witnesses_.empty()) witnesses_.resize(terminals_.size());
  auto& [sought, text] = witnesses_[static_cast<std::size_t>(terminal)];
  if (!sought) {
    sought = true;
    const std::int32_t alone = terminal_set({terminal});
    const Scan q = start(alone, alone, 0, 0);
    if (q != kDeadScan) text = witness(q, terminal);
  }
  return read(start(tried, with_keywords(tried), obligation, left), terminal, text);
}

Scanner::Realized Scanner::seek(std::int32_t tried, std::int32_t terminal, Obligation obligation, Left left) {
  const Scan q = start(tried, with_keywords(terminal_set({terminal})), obligation, left);
  return q == kDeadScan ? Realized{} : read(q, terminal, witness(q, terminal));
}

bool Scanner::explore(Scan from, std::vector<std::int32_t>& exits) {
  std::unordered_set<std::int32_t> met;
  std::vector<std::int32_t> todo;
  const auto meet = [&](std::int32_t core) {
    if (core == 0 || !met.insert(core).second) return;
    todo.push_back(core);
    for (const std::int32_t e : cores_[static_cast<std::size_t>(core)].exits)
      if (std::find(exits.begin(), exits.end(), e) == exits.end()) exits.push_back(e);
  };
  const State s = states_[static_cast<std::size_t>(from)];
  if (s.partial < kFirstNode)
    meet(s.core);
  else
    for (const std::int32_t cls : decoder_[static_cast<std::size_t>(s.partial - kFirstNode)].classes) meet(step(s.core, cls));
  while (!todo.empty()) {
    if (met.size() > kMostExplored || exits.size() > kMostExits) return false;
    const std::int32_t at = todo.back();
    todo.pop_back();
    for (std::size_t cls = 0; cls < members_.size(); ++cls) meet(step(at, static_cast<std::int32_t>(cls)));
  }
  return true;
}

bool Scanner::find_plain(Scan q) {
  const State s = states_[static_cast<std::size_t>(q)];
  bool found = q == kDeadScan || !proof || !proof->holds();
  if (!found && s.partial < kFirstNode) found = plain_core(s.core);
  if (!found && s.partial >= kFirstNode) {
    const std::vector<std::int32_t>& classes = decoder_[static_cast<std::size_t>(s.partial - kFirstNode)].classes;
    found = std::any_of(classes.begin(), classes.end(), [&](std::int32_t cls) {
      const std::int32_t to = step(s.core, cls);
      return to != 0 && plain_core(to);
    });
  }
  states_[static_cast<std::size_t>(q)].plain = found;
  return found;
}

// Looks for a good exit, with few characters of each kind first. Where there are too many states to look at, there is none.
bool Scanner::plain_core(std::int32_t start) {
  if (cores_[static_cast<std::size_t>(start)].plain >= 0) return cores_[static_cast<std::size_t>(start)].plain != 0;
  const std::vector<std::int32_t> ends = cores_[static_cast<std::size_t>(start)].exits;
  if (std::any_of(ends.begin(), ends.end(), [&](std::int32_t e) { return proof->good(e); })) {
    cores_[static_cast<std::size_t>(start)].plain = 1;
    return true;
  }
  std::map<std::int32_t, std::int32_t> parent{{start, -1}};
  for (const bool all : {false, true}) {
    std::deque<std::int32_t> queue;
    for (const auto& entry : parent) queue.push_back(entry.first);
    while (!queue.empty()) {
      const std::int32_t at = queue.front();
      queue.pop_front();
      const Core& core = cores_[static_cast<std::size_t>(at)];
      if (core.plain == 0) continue;
      if (core.plain == 1 || std::any_of(core.exits.begin(), core.exits.end(), [&](std::int32_t e) { return proof->good(e); })) {
        for (std::int32_t c = at; c >= 0; c = parent.at(c)) cores_[static_cast<std::size_t>(c)].plain = 1;
        return true;
      }
      for (const std::int32_t cls : onward(core, all)) {
        const std::int32_t to = step(at, cls);
        if (to != 0 && parent.emplace(to, at).second) queue.push_back(to);
      }
      if (parent.size() > kMostPlainInLine || (parent.size() > kMostPlain && queue.size() > kInLine)) {
        cores_[static_cast<std::size_t>(start)].plain = 0;

        return false;
      }
    }
  }

  for (const auto& entry : parent) cores_[static_cast<std::size_t>(entry.first)].plain = 0;
  return false;
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
