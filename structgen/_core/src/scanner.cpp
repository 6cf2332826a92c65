#include "scanner.hpp"

#include <algorithm>
#include <map>

namespace structgen {

namespace {

constexpr std::size_t kMostCores = 2000000;
constexpr std::size_t kMostReadings = 64;

// A set of threads, each with the iterations that it is in; most sets are small.
class Threads {
 public:
  // False if it was there.
  bool insert(Thread thread, std::int32_t inside) {
    const std::uint64_t t = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(inside)) << 32) | static_cast<std::uint32_t>(thread);
    if (table_.empty()) {
      if (std::find(list_.begin(), list_.end(), t) != list_.end()) return false;
    } else if (table_[find(t)] == t) {
      return false;
    }
    if (list_.size() > kMostThreads) throw LimitError("matching a terminal takes more than " + std::to_string(kMostThreads) + " threads at once");
    list_.push_back(t);
    if (list_.size() * 2 > table_.size() && list_.size() > kFew) {
      table_.assign(std::max(kFew * 8, table_.size() * 2), kEmpty);
      for (const std::uint64_t known : list_) table_[find(known)] = known;
    } else if (!table_.empty()) {
      table_[find(t)] = t;
    }
    return true;
  }

 private:
  static constexpr std::size_t kFew = 16, kMostThreads = 100000;
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  // Where it is, or would be.
  std::size_t find(std::uint64_t t) const {
    std::size_t at = mix(t) & (table_.size() - 1);
    while (table_[at] != t && table_[at] != kEmpty) at = (at + 1) & (table_.size() - 1);
    return at;
  }
  std::vector<std::uint64_t> list_;
  std::vector<std::uint64_t> table_;  // a power of two, half empty; none while there are few
};

// Iterations that have begun at one place of the text and may yet turn out empty, innermost first: number 0 is none, any other
// one iteration, with what comes behind it, and the number of those around it.
class Iterations {
 public:
  struct Iteration {
    Thread behind;
    std::int32_t around;
  };
  std::int32_t begin(Thread behind, std::int32_t around) {
    const auto [entry, fresh] = numbers_.emplace(std::make_pair(behind, around), static_cast<std::int32_t>(list_.size()));
    if (fresh) list_.push_back({behind, around});
    return entry->second;
  }
  const Iteration& operator[](std::int32_t i) const { return list_[static_cast<std::size_t>(i)]; }

 private:
  std::vector<Iteration> list_{{-1, 0}};
  std::map<std::pair<Thread, std::int32_t>, std::int32_t> numbers_;
};

}  // namespace

void Scanner::left_context(std::vector<CharSet> cells, std::vector<std::vector<Left>> next) {
  cells_ = std::move(cells);
  left_next_ = std::move(next);
}

void Scanner::prepare(std::vector<Pattern> terminals, std::vector<Unless> unless, std::int32_t newline, std::int32_t tab, std::vector<bool> every_end) {
  terminals_ = std::move(terminals);
  unless_ = std::move(unless);
  newline_ = newline;
  tab_ = tab;
  every_end_ = std::move(every_end);
  cores_.push_back({0, {}, {}, false, 0});
  states_.push_back({0, 0});
  obligations_.push_back({{}, RegexStore::kAnyStar});
  obligation_index_.insert(combine(0, static_cast<std::uint32_t>(RegexStore::kAnyStar)), 0);
  make_classes();
  make_decoder();
}

void Scanner::set_followers(const std::vector<std::vector<std::int32_t>>& followers, std::vector<bool> embeds, const std::vector<std::int32_t>& every) {
  every_terminal_ = terminal_set(every);
  for (const std::vector<std::int32_t>& f : followers) followers_.push_back(terminal_set(f));
  embeds_ = std::move(embeds);
}

std::int32_t Scanner::terminal_set(const std::vector<std::int32_t>& terminals) {
  std::uint64_t h = terminals.size();
  for (const std::int32_t t : terminals) h = combine(h, static_cast<std::uint32_t>(t));
  const std::int32_t found = set_index_.find(h, [&](std::int32_t i) { return sets_[static_cast<std::size_t>(i)] == terminals; });
  if (found >= 0) return found;
  sets_.push_back(terminals);
  set_index_.insert(h, static_cast<std::int32_t>(sets_.size() - 1));
  return static_cast<std::int32_t>(sets_.size() - 1);
}

bool Scanner::only_counts(Scan q) const {
  const Core& core = cores_[static_cast<std::size_t>(states_[static_cast<std::size_t>(q)].core)];
  return core.counts && std::all_of(core.readings.begin(), core.readings.end(), [&](const Reading& r) {
    return (r.matched < 0 || r.matched == newline_) && std::all_of(r.contenders.begin(), r.contenders.end(), [&](const Contender& c) { return !c.wanted || c.terminal == newline_; });
  });
}

std::int32_t Scanner::with_keywords(std::int32_t set) {
  const std::int32_t known = with_keywords_.get(static_cast<std::uint64_t>(set), -1);
  if (known >= 0) return known;
  std::vector<std::int32_t> both = terminals(set);
  for (std::size_t i = 0, size = both.size(); i < size; ++i) both.push_back(both[i] + static_cast<std::int32_t>(terminals_.size()));
  const std::int32_t made = terminal_set(both);
  with_keywords_.put(static_cast<std::uint64_t>(set), made);
  return made;
}

Obligation Scanner::promise(Promise p) {
  std::uint64_t h = p.never.size();
  for (const Thread t : p.never) h = combine(h, static_cast<std::uint32_t>(t));
  h = combine(h, static_cast<std::uint32_t>(p.rest));
  const std::int32_t found = obligation_index_.find(h, [&](std::int32_t i) { return obligations_[static_cast<std::size_t>(i)] == p; });
  if (found >= 0) return found;
  obligations_.push_back(std::move(p));
  obligation_index_.insert(h, static_cast<std::int32_t>(obligations_.size() - 1));
  return static_cast<Obligation>(obligations_.size() - 1);
}

std::int32_t Scanner::intern_exit(const ScanExit& e) {
  std::uint64_t h = e.new_line * 2 + e.keyword;
  for (const std::int32_t x : {e.terminal, e.obligation, e.left, e.indent}) h = combine(h, static_cast<std::uint32_t>(x));
  const std::int32_t found = exit_index_.find(h, [&](std::int32_t i) { return exits_[static_cast<std::size_t>(i)] == e; });
  if (found >= 0) return found;
  exits_.push_back(e);
  exit_index_.insert(h, static_cast<std::int32_t>(exits_.size() - 1));
  return static_cast<std::int32_t>(exits_.size() - 1);
}

bool Scanner::has(Pattern chars, std::int32_t cls) const {
  return set_classes_[static_cast<std::size_t>(patterns[chars].a)][static_cast<std::size_t>(cls)];
}

// A reading whose threads have not all come to a character yet.
struct Scanner::Work {
  struct Task {
    std::int32_t terminal;  // -1: one that must not match
    bool wanted;
    Thread thread;
    std::int32_t inside = 0;  // iterations that have read nothing yet
  };
  Reading out;
  std::vector<Task> tasks;     // the next one last
  Threads seen, seen_never;    // threads that were met at this place
};

// Follows all threads to the next character, in order of preference. An assertion about what follows splits the reading in two.
// `asserts` tells whether any assertion was met.
void Scanner::settle(Work work, Left left, std::vector<Reading>& out, bool* asserts) {
  std::vector<Work> works;
  works.push_back(std::move(work));
  Iterations iterations;
  while (!works.empty()) {
    Work w = std::move(works.back());
    works.pop_back();
    bool broken = false;
    while (!w.tasks.empty() && !broken) {
      const Work::Task t = w.tasks.back();
      w.tasks.pop_back();
      const bool never = t.terminal < 0;
      if (t.thread == kMatched) {
        if (never) {
          broken = true;
          break;
        }
        // The preferred match so far: whatever comes behind it in the order has lost.
        std::int32_t terminal = t.terminal;
        bool wanted = t.wanted;
        w.out.keyword = false;
        for (const Shadow& s : w.out.shadows)
          if (s.owner == terminal && re_.nullable(s.texts)) {
            terminal = s.keyword;
            wanted = s.wanted;
            w.out.keyword = true;
            break;
          }
        w.out.matched = wanted ? terminal : -2;
        while (!w.tasks.empty() && w.tasks.back().terminal >= 0) w.tasks.pop_back();
        continue;
      }
      const Pattern head = patterns.head(t.thread);
      const Thread tail = patterns.tail(t.thread);
      const PatternNode n = patterns[head];
      const auto then = [&](Thread thread) { w.tasks.push_back({t.terminal, t.wanted, thread, t.inside}); };
      Threads& seen = never ? w.seen_never : w.seen;
      if (!seen.insert(t.thread, t.inside)) continue;
      if (t.inside != 0 && t.thread == iterations[t.inside].behind) {
        // As in `re`, an optional iteration that has read nothing is the last one of its loop.
        w.tasks.push_back({t.terminal, t.wanted, tail, iterations[t.inside].around});
        continue;
      }
      if (asserts) *asserts = *asserts || n.op == PatternOp::kBehind || n.op == PatternOp::kAhead;
      switch (n.op) {
        case PatternOp::kChars:
          if (t.inside != 0 && !seen.insert(t.thread, 0)) break;
          if (never)
            w.out.never.push_back(t.thread);
          else
            w.out.contenders.push_back({t.terminal, t.wanted, t.thread, n.a});
          break;
        case PatternOp::kConcat: {
          Thread rest = tail;
          for (std::int32_t i = n.b; i-- > 0;) rest = patterns.cons(patterns.child(n, i), rest);
          then(rest);
          break;
        }
        case PatternOp::kChoice:
          for (std::int32_t i = n.b; i-- > 0;) then(patterns.cons(patterns.child(n, i), tail));
          break;
        case PatternOp::kRepeat: {
          const Pattern fewer = patterns.repeat(n.a, n.low > 0 ? n.low - 1 : 0, n.high == kInfinity ? kInfinity : n.high - 1, n.lazy);
          const Thread behind = patterns.cons(fewer, tail), more = patterns.cons(n.a, behind);
          if (n.low > 0) {
            then(more);
            break;
          }
          if (!n.lazy) then(tail);
          const bool may_be_empty = fewer != PatternStore::kEmpty && patterns[n.a].min_length == 0;
          w.tasks.push_back({t.terminal, t.wanted, more, may_be_empty ? iterations.begin(behind, t.inside) : t.inside});
          if (n.lazy) then(tail);
          break;
        }
        case PatternOp::kBehind:
          for (std::int32_t i = 0; i < n.b; ++i)
            if (patterns.child(n, i) == left) {
              then(tail);
              break;
            }
          break;
        case PatternOp::kAhead: {
          const Re asked = patterns.child(n, n.b > 1 ? left : 0);
          const Re met = re_.intersect({w.out.rest, n.negative ? re_.complement(asked) : asked});
          const Re missed = re_.intersect({w.out.rest, n.negative ? asked : re_.complement(asked)});
          const bool can_meet = !re_.is_empty(met), can_miss = !re_.is_empty(missed);
          if (can_meet && can_miss) {
            if (works.size() + out.size() > kMostReadings) throw LimitError("lookaheads leave more than " + std::to_string(kMostReadings) + " ways to read the text open");
            Work other = w;
            other.out.rest = missed;
            works.push_back(std::move(other));
          }
          if (can_meet) {
            w.out.rest = met;
            then(tail);
          } else {
            w.out.rest = missed;
          }
          break;
        }
      }
    }
    if (broken) continue;
    // A match of a terminal that the parser refuses is no end, but cuts off what it wins against.
    if (w.out.matched == -2) w.out.matched = -1;
    if (w.out.matched < 0) w.out.keyword = false;
    if (w.out.contenders.empty() && w.out.matched < 0) continue;
    simplify(w.out.never);
    // Keywords of terminals that are out of the race.
    std::vector<Shadow> shadows;
    for (const Shadow& s : w.out.shadows) {
      const bool running = std::any_of(w.out.contenders.begin(), w.out.contenders.end(), [&](const Contender& c) { return c.terminal == s.owner; });
      if (running) shadows.push_back(s);
    }
    w.out.shadows = std::move(shadows);
    if (std::any_of(w.out.contenders.begin(), w.out.contenders.end(), [](const Contender& c) { return c.wanted; }) || !w.out.shadows.empty() || w.out.matched >= 0)
      out.push_back(std::move(w.out));
  }
}

// Leaves out threads whose first character is that of another that has matched right behind it: so that "not another letter" is the same
// promise whatever keywords might have gone on, too.
void Scanner::simplify(std::vector<Thread>& never) const {
  std::sort(never.begin(), never.end());
  never.erase(std::unique(never.begin(), never.end()), never.end());
  if (never.size() < 2) return;
  std::vector<bool> forbidden(members_.size(), false);
  std::vector<Thread> kept, others;
  for (const Thread t : never) {
    if (!patterns.optional(patterns.tail(t))) {
      others.push_back(t);
      continue;
    }
    const std::vector<bool>& first = set_classes_[static_cast<std::size_t>(patterns[patterns.head(t)].a)];
    bool more = false;
    for (std::size_t c = 0; c < first.size(); ++c) {
      more = more || (first[c] && !forbidden[c]);
      forbidden[c] = forbidden[c] || first[c];
    }
    if (more) kept.push_back(t);
  }
  for (const Thread t : others) {
    const std::vector<bool>& first = set_classes_[static_cast<std::size_t>(patterns[patterns.head(t)].a)];
    bool covered = true;
    for (std::size_t c = 0; c < first.size() && covered; ++c) covered = !first[c] || forbidden[c];
    if (!covered) kept.push_back(t);
  }
  std::sort(kept.begin(), kept.end());
  never.swap(kept);
}

std::int32_t Scanner::intern(Left left, std::vector<Reading> readings) {
  if (readings.empty()) return 0;
  std::uint64_t h = static_cast<std::uint32_t>(left);
  const auto add = [&](std::int64_t x) { h = combine(h, static_cast<std::uint64_t>(x)); };
  for (const Reading& r : readings) {
    add(r.matched * 2 + r.keyword);
    add(r.rest);
    add(static_cast<std::int64_t>(r.contenders.size()));
    for (const Contender& c : r.contenders) add((static_cast<std::int64_t>(c.terminal * 2 + c.wanted) << 32) | c.thread);
    for (const Shadow& s : r.shadows) add((static_cast<std::int64_t>(s.keyword * 2 + s.wanted) << 32) | s.texts);
    add(static_cast<std::int64_t>(r.never.size()));
    for (const Thread t : r.never) add(t);
  }
  const auto same = [](const Reading& a, const Reading& b) {
    return a.matched == b.matched && a.keyword == b.keyword && a.rest == b.rest && a.never == b.never &&
           std::equal(a.contenders.begin(), a.contenders.end(), b.contenders.begin(), b.contenders.end(),
                      [](const Contender& x, const Contender& y) { return x.terminal == y.terminal && x.wanted == y.wanted && x.thread == y.thread; }) &&
           std::equal(a.shadows.begin(), a.shadows.end(), b.shadows.begin(), b.shadows.end(),
                      [](const Shadow& x, const Shadow& y) { return x.owner == y.owner && x.keyword == y.keyword && x.wanted == y.wanted && x.texts == y.texts; });
  };
  const std::int32_t found = core_index_.find(h, [&](std::int32_t i) {
    const Core& c = cores_[static_cast<std::size_t>(i)];
    return c.left == left && std::equal(c.readings.begin(), c.readings.end(), readings.begin(), readings.end(), same);
  });
  if (found >= 0) return found;
  if (cores_.size() >= kMostCores) throw LimitError("matching the terminals takes more than " + std::to_string(kMostCores) + " states");
  Core core{left, std::move(readings), {}, false, -1};
  for (const Reading& r : core.readings) {
    bytes_ += sizeof(Reading) + r.contenders.size() * sizeof(Contender) + r.shadows.size() * sizeof(Shadow) + r.never.size() * sizeof(Thread);
    core.counts = core.counts || (newline_ >= 0 && r.matched == newline_);
    for (const Contender& c : r.contenders) core.counts = core.counts || (newline_ >= 0 && c.terminal == newline_);
    if (r.matched < 0) continue;
    Promise p{r.never, r.rest};
    for (const Contender& c : r.contenders)
      if (!every_end_[static_cast<std::size_t>(r.matched)]) p.never.push_back(c.thread);
    simplify(p.never);
    ScanExit e{r.matched, promise(std::move(p)), left};
    e.keyword = r.keyword;
    core.exits.push_back(intern_exit(e));
  }
  bytes_ += sizeof(Core) + 16;
  cores_.push_back(std::move(core));
  core_index_.insert(h, static_cast<std::int32_t>(cores_.size() - 1));
  return static_cast<std::int32_t>(cores_.size() - 1);
}

std::int32_t Scanner::step(std::int32_t from, std::int32_t cls) {
  if (!reads(from, cls)) return 0;
  const std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(from)) << 32) | static_cast<std::uint32_t>(cls);
  const std::int32_t known = steps_.get(key, -1);
  if (known >= 0) return known;
  const std::int32_t to = settle_rest(read_class(cores_[static_cast<std::size_t>(from)], cls));
  steps_.put(key, to);
  return to;
}

// What a character leaves of a core, threads not followed yet, as numbers: the left context, then for each reading what the rest of the text is in,
// how many contenders, promises and keywords there are, and these.
const std::vector<std::int32_t>& Scanner::read_class(const Core& core, std::int32_t cls) {
  const std::uint32_t member = members_[static_cast<std::size_t>(cls)];
  const std::vector<std::uint64_t>& sets = class_sets_[static_cast<std::size_t>(cls)];
  std::vector<std::int32_t>& out = left_over_;
  out.assign(1, left_next_.empty() ? 0 : left_next_[static_cast<std::size_t>(core.left)][static_cast<std::size_t>(left_cells_[static_cast<std::size_t>(cls)])]);
  for (const Reading& r : core.readings) {
    const std::size_t begin = out.size();
    out.insert(out.end(), 4, 0);
    bool wanted = false;
    for (const Contender& c : r.contenders) {
      if (!(sets[static_cast<std::size_t>(c.chars) / 64] >> (c.chars % 64) & 1)) continue;
      ++out[begin + 1];
      out.push_back(c.terminal * 2 + c.wanted);
      out.push_back(patterns.tail(c.thread));
      wanted = wanted || c.wanted;
    }
    const bool some = out[begin + 1] > 0;
    for (const Thread t : r.never)
      if (some && has(patterns.head(t), cls)) {
        ++out[begin + 2];
        out.push_back(patterns.tail(t));
      }
    for (const Shadow& s : r.shadows) {
      const Re texts = some ? re_.derive(s.texts, member) : RegexStore::kNone;
      if (texts == RegexStore::kNone || re_.is_empty(texts)) continue;
      ++out[begin + 3];
      out.insert(out.end(), {s.owner, s.keyword * 2 + s.wanted, texts});
    }
    // A reading in which nothing is wanted any more would be dropped once it is settled, which takes much longer.
    const bool lost = !some || (out[begin + 3] == 0 && !wanted);
    const Re rest = lost || r.rest == RegexStore::kAnyStar ? r.rest : re_.derive(r.rest, member);
    if (lost || rest == RegexStore::kNone || re_.is_empty(rest))
      out.resize(begin);
    else
      out[begin] = rest;
  }
  return out;
}

// The core that comes of it. Most characters leave the same of many cores.
std::int32_t Scanner::settle_rest(const std::vector<std::int32_t>& rest) {
  if (rest.size() == 1) return 0;
  std::uint64_t h = rest.size();
  for (const std::int32_t x : rest) h = combine(h, static_cast<std::uint32_t>(x));
  const std::int32_t found = rest_index_.find(h, [&](std::int32_t i) { return rests_[static_cast<std::size_t>(i)].first == rest; });
  if (found >= 0) return rests_[static_cast<std::size_t>(found)].second;
  std::vector<Reading> out;
  for (std::size_t at = 1; at < rest.size();) {
    Work w;
    w.out.rest = rest[at];
    const std::size_t contenders = at + 4, never = contenders + static_cast<std::size_t>(rest[at + 1]) * 2;
    const std::size_t shadows = never + static_cast<std::size_t>(rest[at + 2]), end = shadows + static_cast<std::size_t>(rest[at + 3]) * 3;
    for (std::size_t i = never; i < shadows; ++i) w.tasks.push_back({-1, false, rest[i]});
    for (std::size_t i = never; i > contenders; i -= 2) w.tasks.push_back({rest[i - 2] / 2, rest[i - 2] % 2 != 0, rest[i - 1]});
    for (std::size_t i = shadows; i < end; i += 3) w.out.shadows.push_back({rest[i], rest[i + 1] / 2, rest[i + 1] % 2 != 0, rest[i + 2]});
    settle(std::move(w), rest[0], out);
    at = end;
  }
  const std::int32_t to = intern(rest[0], std::move(out));
  rests_.emplace_back(rest, to);
  bytes_ += sizeof(rests_[0]) + rest.size() * 4 + 12;
  rest_index_.insert(h, static_cast<std::int32_t>(rests_.size() - 1));
  return to;
}

// The threads of a terminal before its first character, in order of preference; where that depends on what is around it, the whole.
const std::vector<Thread>& Scanner::first_threads(std::int32_t terminal) {
  if (first_threads_.empty()) first_threads_.resize(terminals_.size());
  std::vector<Thread>& made = first_threads_[static_cast<std::size_t>(terminal)];
  if (!made.empty()) return made;
  const Thread whole = patterns.cons(terminals_[static_cast<std::size_t>(terminal)], kMatched);
  Work w;
  w.tasks.push_back({terminal, true, whole});
  std::vector<Reading> out;
  bool asserts = false;
  settle(std::move(w), 0, out, &asserts);
  if (!asserts && out.size() == 1 && out[0].matched < 0)
    for (const Contender& c : out[0].contenders) made.push_back(c.thread);
  if (made.empty()) made.push_back(whole);
  return made;
}

// The readings with which a lexeme begins, as if every terminal were wanted.
const std::vector<Scanner::Reading>& Scanner::beginning(std::int32_t tried, Obligation obligation, Left left) {
  const std::array<std::int32_t, 3> key{tried, obligation, left};
  std::uint64_t h = 0;
  for (const std::int32_t x : key) h = combine(h, static_cast<std::uint32_t>(x));
  const std::int32_t found = beginning_index_.find(h, [&](std::int32_t i) { return beginnings_[static_cast<std::size_t>(i)].first == key; });
  if (found >= 0) return beginnings_[static_cast<std::size_t>(found)].second;
  const std::vector<std::int32_t> all = terminals(tried);
  const auto in = [&](std::int32_t t) { return std::binary_search(all.begin(), all.end(), t); };
  Work w;
  w.out.rest = obligations_[static_cast<std::size_t>(obligation)].rest;
  for (const Thread t : obligations_[static_cast<std::size_t>(obligation)].never) w.tasks.push_back({-1, false, t});
  for (const Unless& u : unless_)
    if (in(u.owner) && in(u.keyword)) w.out.shadows.push_back({u.owner, u.keyword, true, u.texts});
  for (auto t = all.rbegin(); t != all.rend(); ++t) {
    if (terminals_[static_cast<std::size_t>(*t)] < 0) continue;
    const bool embedded = std::any_of(unless_.begin(), unless_.end(), [&](const Unless& u) { return u.keyword == *t && u.embedded && in(u.owner); });
    if (embedded) continue;
    const std::vector<Thread>& threads = first_threads(*t);
    for (auto thread = threads.rbegin(); thread != threads.rend(); ++thread) w.tasks.push_back({*t, true, *thread});
  }
  std::vector<Reading> out;
  if (!w.tasks.empty() && w.tasks.back().terminal >= 0) settle(std::move(w), left, out);
  // Terminals match at least one character.
  for (Reading& r : out) {
    r.matched = -1;
    bytes_ += sizeof(Reading) + r.contenders.size() * sizeof(Contender) + r.shadows.size() * sizeof(Shadow) + r.never.size() * sizeof(Thread);
  }
  beginnings_.emplace_back(key, std::move(out));
  beginning_index_.insert(h, static_cast<std::int32_t>(beginnings_.size() - 1));
  return beginnings_.back().second;
}

Scan Scanner::start(std::int32_t tried, std::int32_t wanted, Obligation obligation, Left left) {
  const std::array<std::int32_t, 4> key{tried, wanted, obligation, left};
  std::uint64_t h = 0;
  for (const std::int32_t x : key) h = combine(h, static_cast<std::uint32_t>(x));
  const std::int32_t found = start_index_.find(h, [&](std::int32_t i) { return starts_memo_[static_cast<std::size_t>(i)].first == key; });
  if (found >= 0) return starts_memo_[static_cast<std::size_t>(found)].second;
  const std::vector<std::int32_t>& good = terminals(wanted);
  std::vector<bool> in(2 * terminals_.size(), false);
  for (const std::int32_t t : good) in[static_cast<std::size_t>(t)] = true;
  std::vector<Reading> out;
  for (const Reading& r : beginning(tried, obligation, left)) {
    Reading copy = r;
    bool some = !r.shadows.empty();
    for (Contender& c : copy.contenders) some = (c.wanted = in[static_cast<std::size_t>(c.terminal)]) || some;
    for (Shadow& s : copy.shadows) s.wanted = in[static_cast<std::size_t>(s.keyword) + terminals_.size()];
    if (some) out.push_back(std::move(copy));
  }
  const Scan q = state(intern(left, std::move(out)), 0);
  starts_memo_.push_back({key, q});
  start_index_.insert(h, static_cast<std::int32_t>(starts_memo_.size() - 1));
  return q;
}

}  // namespace structgen
