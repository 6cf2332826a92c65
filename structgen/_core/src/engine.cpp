#include "engine.hpp"

#include "completion.hpp"
#include "engine_walk.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <unordered_map>

namespace structgen {

namespace {

// Exits of fewer tokens than this are cheaper to walk on their own than to look up in a full, cached walk.
constexpr std::size_t kNarrowExits = 48;
constexpr std::size_t kForcedLimit = 4096;
// Bytes of stacks after which those that are of no use any more are looked for: little is done in vain, and never for long.
constexpr std::size_t kLeastSwept = std::size_t{1} << 20, kMostSwept = std::size_t{1} << 24;
constexpr std::size_t kFreed = 32;  // of each kind of what is forgotten, with each mask that is made
constexpr std::size_t kManyItems = 4;

// Adds the time until the end of the scope to a counter.
class Stopwatch {
 public:
  explicit Stopwatch(std::uint64_t& total) : total_(total), begin_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() { total_ += static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin_).count()); }

 private:
  std::uint64_t& total_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace

Engine::Engine(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const VocabularyData> vocabulary, EngineLimits limits)
    : grammar_(std::move(grammar)), vocabulary_(std::move(vocabulary)), limits_(limits), lexer_(grammar_->lexer()) {
  empty_lex_ = lexer_.start(Kind::kText, RegexStore::kEpsilon, RegexStore::kEpsilon);
  intern_set({}, false);  // kNoStack
  intern_set({}, true);   // kDone
  offsets_ = {0, 0, 0};   // DEAD and FINISHED have no items
  finished_mask_.set = vocabulary_->end_tokens;
  records_ = {&dead_mask_, &finished_mask_};
  accepts_ = {0, 1};
  seen_.emplace_back();
  seen_items_.emplace_back();
  refused_.assign(grammar_->guards().size() + 1, false);
  verdicts = std::make_shared<Verdicts>();
  if (grammar_->remembers()) state_texts_ = {0, 0};
  // The start expression sits in a sequence frame of its own, after an empty lexeme.
  Frame f{kSequenceFrame, kFirst, grammar_->start, -1, 0, 0, 0};
  start_ = intern({{empty_lex_, push(f, kDone)}}, {});
}

Items Engine::items(State s) const {
  return Items(pool_.begin() + offsets_[static_cast<std::size_t>(s)], pool_.begin() + offsets_[static_cast<std::size_t>(s) + 1]);
}

std::uint64_t Engine::hash_state(const Items& items, std::int32_t text) const {
  std::uint64_t h = items.size();
  for (const Item& i : items) h = combine(h, (static_cast<std::uint64_t>(static_cast<std::uint32_t>(i.lex)) << 32) | static_cast<std::uint32_t>(i.stacks));
  return text > 0 ? combine(h, static_cast<std::uint32_t>(text)) : h;
}

State Engine::intern(const Items& items, const Text& text) {
  settle();
  if (items.empty()) return kDead;
  if (shared_only)
    for (const Item& item : items) {
      const StackSet& set = sets_[static_cast<std::size_t>(item.stacks)];
      if (set.capturing || set.seen) throw CapturedStateError{};
    }
  const std::int32_t node = captured_.intern(text);
  const std::uint64_t hash = hash_state(items, node);
  const std::int32_t found = config_index_.find(hash, [&](std::int32_t s) {
    const std::uint32_t begin = offsets_[static_cast<std::size_t>(s)], end = offsets_[static_cast<std::size_t>(s) + 1];
    if (node != (state_texts_.empty() ? 0 : state_texts_[static_cast<std::size_t>(s)])) return false;
    return end - begin == items.size() && std::equal(items.begin(), items.end(), pool_.begin() + begin);
  });
  if (found >= 0) return found;
  if (states() >= limits_.states) throw StateLimitError("the automaton needs more states than allowed (max_states)", "max_states");
  const State id = static_cast<State>(states());
  pool_.insert(pool_.end(), items.begin(), items.end());
  offsets_.push_back(static_cast<std::uint32_t>(pool_.size()));
  records_.push_back(nullptr);
  accepts_.push_back(-1);
  if (!state_texts_.empty()) state_texts_.push_back(node);
  config_index_.insert(hash, id);
  return id;
}

// Sorts and makes unique by lexer state; equal lexer states unite their stacks.
void Engine::normalize(Items& items) {
  if (items.size() < 2) return;
  std::sort(items.begin(), items.end());
  std::size_t kept = 0;
  for (std::size_t i = 1; i < items.size(); ++i) {
    if (items[i].lex == items[kept].lex)
      items[kept].stacks = unite(items[kept].stacks, items[i].stacks);
    else
      items[++kept] = items[i];
  }
  items.resize(kept + 1);
}

// Adds what a byte leads to from an item at its beginning. Tells whether a guard is at work there.
bool Engine::enter(const Item& begin, std::uint8_t byte, Items& out, const Text* text) {
  if (is_scan(begin.lex)) return advance_scan(begin, byte, out, text);
  if (is_special(begin.lex)) return false;
  if (is_bound(begin.lex)) return enter_bound(grammar_->lark()->bound(begin.lex).promise, {grammar_->lark()->bound(begin.lex).lex, begin.stacks}, byte, out, text);
  const Lex first = lexer_.next(begin.lex, byte);
  if (first == kDeadLex) return false;
  const StackSet& set = sets_[static_cast<std::size_t>(begin.stacks)];
  const bool guarded = set.guarded();
  unsure_ = unsure_ || set.unsure;
  Stacks stacks = begin.stacks;
  if (set.pending) stacks = place(stacks, text ? captured_.length(*text) : 0);
  out.push_back({first, sets_[static_cast<std::size_t>(stacks)].captures ? capture(stacks, byte, false) : stacks});
  return guarded;
}

// Adds what a byte leads to within a lexeme. Tells whether a guard is at work there.
bool Engine::go_on(const Item& item, std::uint8_t byte, Items& out) {
  const Lex to = lexer_.next(item.lex, byte);
  if (to == kDeadLex) return false;
  const StackSet& set = sets_[static_cast<std::size_t>(item.stacks)];
  const bool guarded = set.guarded();
  unsure_ = unsure_ || set.unsure;
  out.push_back({to, set.captures ? capture(item.stacks, byte, lexer_[to].kind == Kind::kText) : item.stacks});
  return guarded;
}

void Engine::advance(const Items& in, std::uint8_t byte, Items& out, Text* text) {
  out.clear();
  bool guarded = false;
  for (const Item& item : in) {
    if (is_scan(item.lex)) {
      guarded = advance_scan(item, byte, out, text) || guarded;
      continue;
    }
    if (is_special(item.lex)) continue;
    if (is_bound(item.lex)) {
      guarded = advance_bound(item, byte, out, text) || guarded;
      continue;
    }
    guarded = go_on(item, byte, out) || guarded;
    if (!lexer_[item.lex].accepting) continue;
    if (sets_[static_cast<std::size_t>(item.stacks)].checks && !may_follow(item.stacks, byte)) continue;
    for (const Item& begin : expand(ended(item, text)).items) guarded = enter(begin, byte, out, text) || guarded;
  }
  if (guarded)
    finish_byte(out, byte, text);
  else if (text)
    *text = {};
  normalize(out);
}

void Engine::advance(Level& in, std::uint8_t byte, Items& out) {
  if (in.items.size() < kManyItems) return advance(in.items, byte, out, nullptr);
  if (!in.sorted_out) {
    in.sorted_out = true;
    in.broad.clear();
    in.bytes.fill(0);
    for (const Item& item : in.items) {
      if (is_special(item.lex)) continue;
      const std::int16_t single = !is_lexeme(item.lex) || lexer_[item.lex].accepting ? Lexer::kManyBytes : lexer_.single(item.lex);
      if (single == Lexer::kManyBytes)
        in.broad.push_back(item);
      else if (single != Lexer::kNoByte)
        in.bytes[static_cast<std::size_t>(single) / 64] |= std::uint64_t{1} << (single % 64);
    }
  }
  const bool awaited = in.bytes[byte / 64] >> (byte % 64) & 1;
  advance(awaited ? in.items : in.broad, byte, out, nullptr);
}

State Engine::advance(State s, const std::uint8_t* data, std::size_t size) {
  const State to = advance_bytes(s, data, size);
  return completable(to) ? to : kDead;
}

// Not an end token; dead ends that are searched for are not left out.
State Engine::read_token(State s, std::uint32_t token) {
  return vocabulary_->ordinary[token] ? advance_bytes(s, vocabulary_->token(token), vocabulary_->length(token)) : step_special(s, token);
}

State Engine::advance_bytes(State s, const std::uint8_t* data, std::size_t size) {
  if (s == kDead || (s == kFinished && size > 0)) return kDead;
  if (size == 0) return s;
  scratch_a_ = items(s);
  Text read = text(s);
  Text* const reading = grammar_->remembers() ? &read : nullptr;
  for (std::size_t i = 0; i < size && !scratch_a_.empty(); ++i) {
    advance(scratch_a_, data[i], scratch_b_, reading);
    scratch_a_.swap(scratch_b_);
  }
  return intern(scratch_a_, read);
}

State Engine::step(State s, std::uint32_t token) {
  ++counters.steps;
  const Stopwatch watch(counters.step_nanoseconds);
  State to = kDead;
  if (token < vocabulary_->size()) {
    if (vocabulary_->end[token])
      to = s == kFinished || accepts(s) ? kFinished : kDead;
    else if (s > kFinished)
      to = read_token(s, token);
    if (!completable(to)) to = kDead;
  }
  steps_.put((static_cast<std::uint64_t>(s) << 32) | token, to);
  return to;
}

bool Engine::accepts(State s) {
  std::int8_t& memo = accepts_[static_cast<std::size_t>(s)];
  if (memo >= 0) return memo != 0;
  bool result = false;
  const Text read = text(s);
  for (const Item& item : items(s)) result = result || ends(item, &read);
  settle();
  accepts_[static_cast<std::size_t>(s)] = result;
  return result;
}

void Engine::begin_walk(Lex exit, Stacks stacks) {
  if (levels_.empty()) levels_.resize(1);
  // An ended lexeme has no bytes of its own: start with what comes next.
  if (exit == empty_lex_)
    levels_[0].items = expand(stacks).items;
  else
    levels_[0].items.assign(1, {exit, stacks});
}

const Engine::Walk& Engine::live_suffixes(const SuffixTrie& trie, Lex exit, Stacks stacks) {
  const std::uint64_t hash = combine(combine(reinterpret_cast<std::uintptr_t>(&trie), static_cast<std::uint32_t>(exit)), static_cast<std::uint32_t>(stacks));
  const std::int32_t found = walk_index_.find(hash, [&](std::int32_t i) {
    const WalkKey& k = walks_[static_cast<std::size_t>(i)].first;
    return k.trie == &trie && k.exit == exit && k.stacks == stacks;
  });
  if (found >= 0) {
    ++counters.walks_shared;
    return walks_[static_cast<std::size_t>(found)].second;
  }
  ++counters.walks;
  Walk found_here;
  const auto unsure = [&](std::uint32_t node) { found_here.unsure.push_back(node); };
  begin_walk(exit, stacks);
  walk(trie, [](std::uint32_t) { return false; }, [&](std::uint32_t node) { found_here.live.push_back(node); }, unsure);
  mask_bytes_ += (found_here.live.size() + found_here.unsure.size()) * 4 + 64;
  walk_index_.insert(hash, static_cast<std::int32_t>(walks_.size()));
  walks_.push_back({{&trie, exit, stacks}, std::move(found_here)});
  return walks_.back().second;
}

// Tokens whose bytes decide what may follow are tried one by one.
void Engine::try_token(const Item& item, const Text& text, std::uint32_t token, MaskRecord& record) {
  Text read = text;
  Items current{item}, next;
  const std::uint8_t* bytes = vocabulary_->token(token);
  for (std::size_t i = 0; i < vocabulary_->length(token) && !current.empty(); ++i) {
    advance(current, bytes[i], next, &read);
    current.swap(next);
  }
  if (!current.empty()) record.set.push_back(token);
}

// Tokens that continue a text lexeme at whose end a check is due: those that stay inside may end the value too, by white space.
void Engine::try_tokens(const Item& first, const Text& text, MaskRecord& record) {
  struct Entry {
    std::uint32_t node;
    Items items;
    Text text;
  };
  const Trie& trie = lexer_.trie();
  std::vector<Entry> todo;
  todo.push_back({0, {first}, text});
  Items next;
  while (!todo.empty()) {
    const Entry at = std::move(todo.back());
    todo.pop_back();
    const Trie::Node n = trie[at.node];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      Text read = at.text;
      advance(at.items, trie[c].byte, next, &read);
      if (next.empty()) continue;
      for (std::uint32_t i = trie.token_begin(c); i < trie.token_end(c); ++i) record.set.push_back(trie.id(i));
      if (trie[c].children) todo.push_back({c, next, std::move(read)});
    }
  }
}

void Engine::collect(const Item& item, const Text& text, MaskRecord& record, std::vector<const Shape*>& dense) {
  const StackSet set = sets_[static_cast<std::size_t>(item.stacks)];
  // A value that begins with this lexeme begins behind the text so far.
  const auto begun = [&] { return Item{item.lex, place(item.stacks, captured_.length(text))}; };
  if (set.checks && lexer_[item.lex].kind == Kind::kText) return try_tokens(begun(), text, record);
  const Shape& shape = lexer_.shape(item.lex, grammar_->filter);
  if (shape.base) dense.push_back(&shape);
  record.set.insert(record.set.end(), shape.add.begin(), shape.add.end());
  if (shape.exits.empty()) return;
  const auto& exits = shape.exits;
  // What follows may depend on the key or value that the token completes.
  Stacks behind = item.stacks;
  if (set.captures || set.checks) behind = may_repeat(item.stacks, text) ? kNoStack : unread(item.stacks);
  if (behind == kNoStack) {
    const Item first = begun();
    for (const auto& exit : exits) try_token(first, text, exit.second, record);
    return;
  }
  std::size_t at = 0;
  const auto take = [&](std::uint32_t node) {
    while (at < exits.size() && exits[at].first < node) ++at;
    for (; at < exits.size() && exits[at].first == node; ++at) record.set.push_back(exits[at].second);
  };
  const auto try_below = [&](std::uint32_t node) {
    const Item first = begun();
    const std::uint32_t end = shape.suffixes->nodes[node].end;
    for (auto e = std::lower_bound(exits.begin(), exits.end(), std::make_pair(node, 0U)); e != exits.end() && e->first < end; ++e)
      try_token(first, text, e->second, record);
  };
  if (exits.size() < kNarrowExits) {
    const auto skip = [&](std::uint32_t node) {
      while (at < exits.size() && exits[at].first < node) ++at;
      return at == exits.size() || exits[at].first >= shape.suffixes->nodes[node].end;
    };
    std::vector<std::uint32_t> unsure;  // the walk's scratch is in use until it ends
    begin_walk(lexer_.exit(item.lex), behind);
    walk(*shape.suffixes, skip, take, [&](std::uint32_t node) { unsure.push_back(node); });
    for (const std::uint32_t node : unsure) try_below(node);
    return;
  }
  const Walk& found = live_suffixes(*shape.suffixes, lexer_.exit(item.lex), behind);
  for (std::uint32_t node : found.live) {
    at = static_cast<std::size_t>(std::lower_bound(exits.begin() + static_cast<std::ptrdiff_t>(at), exits.end(), std::make_pair(node, 0U)) - exits.begin());
    take(node);
  }
  for (std::uint32_t node : found.unsure) try_below(node);
}

const MaskRecord& Engine::mask(State s) {
  if (const MaskRecord* known = known_mask(s)) return *known;
  const Stopwatch watch(counters.mask_nanoseconds);
  if (grammar_->lark() && stack_bytes() - swept_bytes_ > std::max({swept_bytes_, kLeastSwept, std::min(kMostSwept, limits_.mask_bytes)})) sweep();
  free_some();
  const MaskRecord& record = vocabulary_->byte_complete && !careful() ? byte_mask(s) : token_mask(s);
  if (record.dead_end) throw GuardDeadEndError(record.refusals);
  records_[static_cast<std::size_t>(s)] = &record;
  return record;
}

const MaskRecord& Engine::byte_mask(State s) {
  ++counters.masks;
  if (grammar_->lark()) return lark_mask(s);
  // The mask depends on the shapes and the stacks behind them, not on the state: counters and outer frames drop out.
  Items parts = items(s);
  const Text read = text(s);
  const std::size_t own = parts.size();
  refused_.assign(refused_.size(), false);
  for (std::size_t i = 0; i < own; ++i)
    if (lexer_[parts[i].lex].accepting) {
      const Items& begin = expand(ended(parts[i], &read)).items;
      parts.insert(parts.end(), begin.begin(), begin.end());
    }
  const bool ends = accepts(s);
  std::vector<std::uint64_t> key;
  key.reserve(parts.size() * 2 + 1);
  key.push_back(ends);
  for (const Item& part : parts) {
    const Shape& shape = lexer_.shape(part.lex, grammar_->filter);
    key.push_back((static_cast<std::uint64_t>(shape.number) << 32) | static_cast<std::uint32_t>(lexer_.exit(part.lex)));
    key.push_back(shape.exits.empty() && !sets_[static_cast<std::size_t>(part.stacks)].checks ? 0 : static_cast<std::uint64_t>(part.stacks));
  }
  settle();
  const auto hash_key = [&] {
    std::uint64_t hash = key.size();
    for (std::uint64_t k : key) hash = combine(hash, k);
    return hash;
  };
  std::uint64_t hash = hash_key();
  const auto look_up = [&] { return shared_index_.find(hash, [&](std::int32_t i) { return shared_[static_cast<std::size_t>(i)].first == key; }); };
  std::int32_t found = look_up();
  if (found < 0 && read.node > 0) {
    // Only masks for which a check looked at the text are kept by text.
    key.push_back(static_cast<std::uint64_t>(read.node));
    hash = hash_key();
    found = look_up();
  }
  if (found >= 0) {
    ++counters.masks_shared;
    return *shared_[static_cast<std::size_t>(found)].second;
  }
  if (mask_bytes_ > limits_.mask_bytes) evict();

  auto record = std::make_unique<MaskRecord>();
  record->single = parts.size() == 1 && !sets_[static_cast<std::size_t>(parts[0].stacks)].captures;
  std::vector<const Shape*> dense;
  checked_ = false;
  for (const Item& part : parts) collect(part, read, *record, dense);
  settle();
  if (read.node > 0 && !checked_) {
    key.pop_back();
    hash = hash_key();
  }
  if (ends) record->set.insert(record->set.end(), vocabulary_->end_tokens.begin(), vocabulary_->end_tokens.end());
  merge_rows(*record, dense);
  if (grammar_->remembers()) find_dead_end(*record, ends);
  record->set.shrink_to_fit();
  mask_bytes_ += sizeof(MaskRecord) + 4 * (record->set.size() + record->clear.size()) + 8 * key.size() + (record->owned ? 4 * vocabulary_->mask_words : 0);
  shared_index_.insert(hash, static_cast<std::int32_t>(shared_.size()));
  shared_.emplace_back(std::move(key), std::move(record));
  return *shared_.back().second;
}

// Forgets all masks. Rows handed out as views live on: they own their memory.
void Engine::evict() {
  ++counters.evictions;
  std::fill(records_.begin() + 2, records_.end(), nullptr);
  forget(shared_, forgotten_.shared);
  shared_index_.clear();
  forget(token_masks_, forgotten_.token_masks);
  forget(walks_, forgotten_.walks);
  walk_index_.clear();
  forget(scan_records_, forgotten_.scan_records);
  scan_records_index_.clear();
  forget(followers_, forgotten_.followers);
  followers_index_.clear();
  forgotten_.mask_bytes = std::exchange(mask_bytes_, 0);
}

// Frees some of what is forgotten.
void Engine::free_some() {
  std::size_t masks = 0, freed = 0;
  const auto free = [](auto& list) {
    const std::size_t count = std::min(list.size(), kFreed);
    for (std::size_t i = 0; i < count; ++i) list.pop_back();
    return count;
  };
  const auto free_masks = [&](auto& list) {
    masks += list.size();
    freed += free(list);
  };
  free_masks(forgotten_.shared);
  free_masks(forgotten_.token_masks);
  free_masks(forgotten_.walks);
  free_masks(forgotten_.scan_records);
  free_masks(forgotten_.followers);
  free(forgotten_.opened);
  forgotten_.mask_bytes = masks == freed ? 0 : forgotten_.mask_bytes / masks * (masks - freed);
}

void Engine::copy_mask(const MaskRecord& record, std::uint32_t* out) const {
  const std::size_t bytes = vocabulary_->mask_words * sizeof(std::uint32_t);
  if (record.dense)
    std::memcpy(out, record.dense->data(), bytes);
  else if (record.base)
    std::memcpy(out, record.base->data(), bytes);
  else
    std::memset(out, 0, bytes);
  if (record.dense) return;
  for (const Row* row : record.more)
    for (std::size_t i = 0; i < row->size(); ++i) out[i] |= (*row)[i];
  for (std::uint32_t t : record.clear) out[t >> 5] &= ~(1U << (t & 31));
  for (std::uint32_t t : record.set) out[t >> 5] |= 1U << (t & 31);
}

std::shared_ptr<const Row> Engine::dense_mask(State s) {
  MaskRecord& record = const_cast<MaskRecord&>(mask(s));
  if (!record.dense) {
    auto row = std::make_shared<Row>(vocabulary_->mask_words, 0);
    copy_mask(record, row->data());
    record.dense = std::move(row);
    mask_bytes_ += vocabulary_->mask_words * 4;
  }
  return record.dense;
}

std::string Engine::forced(State s) {
  std::string out;
  if (s <= kFinished) return out;
  Items current = items(s), next, found;
  Text read = text(s), read_next, read_found;
  Text* const reading = grammar_->remembers() ? &read_next : nullptr;
  while (out.size() < kForcedLimit) {
    bool may_end = false;
    for (const Item& item : current) may_end = may_end || ends(item, &read);
    if (may_end) break;
    int live = 0;
    std::uint8_t byte = 0;
    for (int b = 0; b < 256 && live < 2; ++b) {
      if (reading) read_next = read;
      advance(current, static_cast<std::uint8_t>(b), next, reading);
      if (next.empty()) continue;
      ++live;
      byte = static_cast<std::uint8_t>(b);
      found.swap(next);
      std::swap(read_found, read_next);
    }
    if (live != 1) break;
    out.push_back(static_cast<char>(byte));
    current.swap(found);
    std::swap(read, read_found);
  }
  settle();
  return out;
}

State Engine::import(const Engine& other, State s) {
  if (s <= kFinished) return s;
  std::unordered_map<Stacks, Stacks> memo{{kNoStack, kNoStack}, {kDone, kDone}};
  // Sets refer to sets below them only, so an explicit stack in depth-first order suffices.
  const auto copy = [&](Stacks root) {
    std::vector<Stacks> todo{root};
    while (!todo.empty()) {
      const Stacks at = todo.back();
      if (memo.count(at)) {
        todo.pop_back();
        continue;
      }
      const StackSet set = other.sets_[static_cast<std::size_t>(at)];
      bool ready = true;
      for (std::uint32_t i = set.begin; i < set.end; ++i)
        if (!memo.count(other.entries_[i].below)) {
          todo.push_back(other.entries_[i].below);
          ready = false;
        }
      if (!ready) continue;
      std::vector<Entry> entries;
      for (std::uint32_t i = set.begin; i < set.end; ++i) {
        Frame f = other.frames_[static_cast<std::size_t>(other.entries_[i].frame)];
        if (f.kind == kObjectFrame && !grammar_->object_at(f.node).ordered && f.at > 0) {
          // Seen-sets are numbered by each engine.
          const std::vector<std::uint64_t>& bits = other.seen_[static_cast<std::size_t>(f.at)];
          std::int32_t seen = 0;
          for (std::size_t m = 0; m < bits.size() * 64; ++m)
            if (bits[m / 64] >> (m % 64) & 1) seen = seen_with(seen, static_cast<std::int32_t>(m));
          f.at = seen;
        }
        if (f.kind == kArrayFrame && f.excluded > 0) f.excluded = intern_seen_items(other.seen_items_[static_cast<std::size_t>(f.excluded)].values);
        if (f.text > 0) f.text = keys_.intern({0, other.keys_.from({f.text, {}}, 0)});
        entries.push_back({frame(f), memo.at(other.entries_[i].below)});
      }
      memo[at] = intern_set(std::move(entries), set.done);
      todo.pop_back();
    }
    return memo.at(root);
  };
  Items out;
  for (const Item& item : other.items(s)) out.push_back({item.lex, copy(item.stacks)});
  normalize(out);
  return intern(out, {0, other.captured_.from(other.text(s), 0)});
}

std::size_t Engine::bytes() const {
  std::size_t total = frames_.size() * sizeof(Frame) + stack_bytes() + pool_.size() * sizeof(Item) + offsets_.size() * 13 + steps_.bytes() + growth_.bytes() + frame_index_.bytes() +
                      config_index_.bytes() + mask_bytes() + scan_records_index_.bytes() + followers_index_.bytes() + captured_.bytes() + keys_.bytes() + state_texts_.size() * 4;
  for (const auto& e : expansions_)
    if (e) total += sizeof(Expansion) + e->items.size() * sizeof(Item);
  return total;
}

}  // namespace structgen
