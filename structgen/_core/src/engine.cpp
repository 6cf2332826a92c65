#include "engine.hpp"

#include "completion.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace structgen {

namespace {

// Exits of fewer tokens than this are cheaper to walk on their own than to look up in a full, cached walk.
constexpr std::size_t kNarrowExits = 48;
constexpr std::size_t kForcedLimit = 4096;
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

std::uint64_t hash_items(const Items& items) {
  std::uint64_t h = items.size();
  for (const Item& i : items) h = combine(h, (static_cast<std::uint64_t>(static_cast<std::uint32_t>(i.lex)) << 32) | static_cast<std::uint32_t>(i.stacks));
  return h;
}

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
  intern_text({});
  // The start expression sits in a sequence frame of its own, after an empty lexeme.
  Frame f{kSequenceFrame, kFirst, grammar_->start, -1, 0, 0, 0};
  start_ = intern({{empty_lex_, push(f, kDone)}});
}

Items Engine::items(State s) const {
  return Items(pool_.begin() + offsets_[static_cast<std::size_t>(s)], pool_.begin() + offsets_[static_cast<std::size_t>(s) + 1]);
}

State Engine::intern(const Items& items) {
  if (items.empty()) return kDead;
  const std::uint64_t hash = hash_items(items);
  const std::int32_t found = config_index_.find(hash, [&](std::int32_t s) {
    const std::uint32_t begin = offsets_[static_cast<std::size_t>(s)], end = offsets_[static_cast<std::size_t>(s) + 1];
    return end - begin == items.size() && std::equal(items.begin(), items.end(), pool_.begin() + begin);
  });
  if (found >= 0) return found;
  if (states() >= limits_.states) throw StateLimitError("the automaton needs more states than allowed (max_states)");
  const State id = static_cast<State>(states());
  pool_.insert(pool_.end(), items.begin(), items.end());
  offsets_.push_back(static_cast<std::uint32_t>(pool_.size()));
  records_.push_back(nullptr);
  accepts_.push_back(-1);
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

void Engine::advance(const Items& in, std::uint8_t byte, Items& out) {
  out.clear();
  for (const Item& item : in) {
    const Lex to = lexer_.next(item.lex, byte);
    if (to != kDeadLex) {
      const bool captures = sets_[static_cast<std::size_t>(item.stacks)].captures;
      out.push_back({to, captures ? capture(item.stacks, byte, lexer_[to].kind == Kind::kText) : item.stacks});
    }
    if (!lexer_[item.lex].accepting) continue;
    for (const Item& begin : expand(item.stacks).items) {
      const Lex first = lexer_.next(begin.lex, byte);
      if (first == kDeadLex) continue;
      const bool captures = sets_[static_cast<std::size_t>(begin.stacks)].captures;
      out.push_back({first, captures ? capture(begin.stacks, byte, false) : begin.stacks});
    }
  }
  normalize(out);
}

void Engine::advance(Level& in, std::uint8_t byte, Items& out) {
  if (in.items.size() < kManyItems) return advance(in.items, byte, out);
  if (!in.sorted_out) {
    in.sorted_out = true;
    in.broad.clear();
    in.bytes.fill(0);
    for (const Item& item : in.items) {
      const std::int16_t single = lexer_[item.lex].accepting ? Lexer::kManyBytes : lexer_.single(item.lex);
      if (single == Lexer::kManyBytes)
        in.broad.push_back(item);
      else if (single != Lexer::kNoByte)
        in.bytes[static_cast<std::size_t>(single) / 64] |= std::uint64_t{1} << (single % 64);
    }
  }
  const bool awaited = in.bytes[byte / 64] >> (byte % 64) & 1;
  advance(awaited ? in.items : in.broad, byte, out);
}

State Engine::advance(State s, const std::uint8_t* data, std::size_t size) {
  const State to = advance_bytes(s, data, size);
  return completable(to) ? to : kDead;
}

State Engine::advance_bytes(State s, const std::uint8_t* data, std::size_t size) {
  if (s == kDead || (s == kFinished && size > 0)) return kDead;
  if (size == 0) return s;
  scratch_a_ = items(s);
  for (std::size_t i = 0; i < size && !scratch_a_.empty(); ++i) {
    advance(scratch_a_, data[i], scratch_b_);
    scratch_a_.swap(scratch_b_);
  }
  return intern(scratch_a_);
}

State Engine::step(State s, std::uint32_t token) {
  ++counters.steps;
  const Stopwatch watch(counters.step_nanoseconds);
  State to = kDead;
  if (token < vocabulary_->size()) {
    if (vocabulary_->end[token])
      to = s == kFinished || accepts(s) ? kFinished : kDead;
    else if (s > kFinished && vocabulary_->ordinary[token])
      to = advance(s, vocabulary_->token(token), vocabulary_->length(token));
  }
  steps_.put((static_cast<std::uint64_t>(s) << 32) | token, to);
  return to;
}

bool Engine::accepts(State s) {
  std::int8_t& memo = accepts_[static_cast<std::size_t>(s)];
  if (memo >= 0) return memo != 0;
  bool result = false;
  for (const Item& item : items(s)) result = result || (lexer_[item.lex].accepting && expand(item.stacks).accepts);
  accepts_[static_cast<std::size_t>(s)] = result;
  return result;
}

// Visits, in preorder, the nodes of the suffix trie that can follow; skip(i) prunes the subtree of node i.
template <class Visit, class Skip>
void Engine::walk(const SuffixTrie& trie, Lex exit, Stacks stacks, Skip&& skip, Visit&& visit) {
  const std::vector<SuffixTrie::Node>& nodes = trie.nodes;
  if (levels_.empty()) levels_.resize(1);
  // An ended lexeme has no bytes of its own: start with what comes next.
  levels_[0].sorted_out = false;
  if (exit == empty_lex_)
    levels_[0].items = expand(stacks).items;
  else
    levels_[0].items.assign(1, {exit, stacks});
  std::vector<std::uint32_t>& ends = ends_;
  ends.assign(1, 0);
  std::size_t depth = 0;
  visit(0U);
  for (std::uint32_t i = 1; i < nodes.size();) {
    while (depth > 0 && i >= ends[depth]) --depth;
    if (levels_.size() < depth + 2) levels_.resize(depth + 2);
    Level& next = levels_[depth + 1];
    if (!skip(i)) {
      advance(levels_[depth], nodes[i].byte, next.items);
    } else {
      next.items.clear();
    }
    if (next.items.empty()) {
      i = nodes[i].end;
      continue;
    }
    visit(i);
    next.sorted_out = false;
    if (ends.size() <= ++depth) ends.resize(depth + 1);
    ends[depth] = nodes[i].end;
    ++i;
  }
}

const std::vector<std::uint32_t>& Engine::live_suffixes(const SuffixTrie& trie, Lex exit, Stacks stacks) {
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
  std::vector<std::uint32_t> live;
  walk(trie, exit, stacks, [](std::uint32_t) { return false; }, [&](std::uint32_t node) { live.push_back(node); });
  mask_bytes_ += live.size() * 4 + 64;
  walk_index_.insert(hash, static_cast<std::int32_t>(walks_.size()));
  walks_.push_back({{&trie, exit, stacks}, std::move(live)});
  return walks_.back().second;
}

void Engine::collect(const Item& item, MaskRecord& record, std::vector<const Shape*>& dense) {
  const Shape& shape = lexer_.shape(item.lex, grammar_->filter);
  if (shape.base) dense.push_back(&shape);
  record.set.insert(record.set.end(), shape.add.begin(), shape.add.end());
  if (shape.exits.empty()) return;
  const auto& exits = shape.exits;
  if (sets_[static_cast<std::size_t>(item.stacks)].captures) {
    // What follows may depend on the key that the token completes, so the few tokens that do are tried one by one.
    for (const auto& exit : exits) {
      Items current{item}, next;
      const std::uint8_t* bytes = vocabulary_->token(exit.second);
      for (std::size_t i = 0; i < vocabulary_->length(exit.second) && !current.empty(); ++i) {
        advance(current, bytes[i], next);
        current.swap(next);
      }
      if (!current.empty()) record.set.push_back(exit.second);
    }
    return;
  }
  std::size_t at = 0;
  const auto take = [&](std::uint32_t node) {
    while (at < exits.size() && exits[at].first < node) ++at;
    for (; at < exits.size() && exits[at].first == node; ++at) record.set.push_back(exits[at].second);
  };
  if (exits.size() < kNarrowExits) {
    const auto skip = [&](std::uint32_t node) {
      while (at < exits.size() && exits[at].first < node) ++at;
      return at == exits.size() || exits[at].first >= shape.suffixes->nodes[node].end;
    };
    walk(*shape.suffixes, lexer_.exit(item.lex), item.stacks, skip, take);
    return;
  }
  for (std::uint32_t node : live_suffixes(*shape.suffixes, lexer_.exit(item.lex), item.stacks)) {
    at = static_cast<std::size_t>(std::lower_bound(exits.begin() + static_cast<std::ptrdiff_t>(at), exits.end(), std::make_pair(node, 0U)) - exits.begin());
    take(node);
  }
}

const MaskRecord& Engine::mask(State s) {
  if (const MaskRecord* known = known_mask(s)) return *known;
  const Stopwatch watch(counters.mask_nanoseconds);
  const MaskRecord& record = vocabulary_->byte_complete ? byte_mask(s) : token_mask(s);
  records_[static_cast<std::size_t>(s)] = &record;
  return record;
}

const MaskRecord& Engine::byte_mask(State s) {
  ++counters.masks;
  // The mask depends on the shapes and the stacks behind them, not on the state: counters and outer frames drop out.
  Items parts = items(s);
  const std::size_t own = parts.size();
  for (std::size_t i = 0; i < own; ++i)
    if (lexer_[parts[i].lex].accepting) {
      const Items& begin = expand(parts[i].stacks).items;
      parts.insert(parts.end(), begin.begin(), begin.end());
    }
  const bool ends = accepts(s);
  std::vector<std::uint64_t> key;
  key.reserve(parts.size() * 2 + 1);
  key.push_back(ends);
  for (const Item& part : parts) {
    const Shape& shape = lexer_.shape(part.lex, grammar_->filter);
    key.push_back((static_cast<std::uint64_t>(shape.number) << 32) | static_cast<std::uint32_t>(lexer_.exit(part.lex)));
    key.push_back(shape.exits.empty() ? 0 : static_cast<std::uint64_t>(part.stacks));
  }
  std::uint64_t hash = key.size();
  for (std::uint64_t k : key) hash = combine(hash, k);
  const std::int32_t found = shared_index_.find(hash, [&](std::int32_t i) { return shared_[static_cast<std::size_t>(i)].first == key; });
  if (found >= 0) {
    ++counters.masks_shared;
    return *shared_[static_cast<std::size_t>(found)].second;
  }
  if (mask_bytes_ > limits_.mask_bytes) evict();

  auto record = std::make_unique<MaskRecord>();
  std::vector<const Shape*> dense;
  for (const Item& part : parts) collect(part, *record, dense);
  if (ends) record->set.insert(record->set.end(), vocabulary_->end_tokens.begin(), vocabulary_->end_tokens.end());
  if (dense.size() == 1) {
    record->base = dense[0]->base;
    record->clear = dense[0]->clear;
  } else if (dense.size() > 1) {
    record->owned = std::make_unique<Row>(vocabulary_->mask_words, 0);
    for (const Shape* shape : dense) {
      Row row = *shape->base;
      for (std::uint32_t t : shape->clear) row[t >> 5] &= ~(1U << (t & 31));
      for (std::size_t i = 0; i < row.size(); ++i) (*record->owned)[i] |= row[i];
    }
    record->base = record->owned.get();
  }
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
  shared_.clear();
  shared_index_.clear();
  token_masks_.clear();
  walks_.clear();
  walk_index_.clear();
  mask_bytes_ = 0;
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
  while (out.size() < kForcedLimit) {
    bool ends = false;
    for (const Item& item : current) ends = ends || (lexer_[item.lex].accepting && expand(item.stacks).accepts);
    if (ends) break;
    int live = 0;
    std::uint8_t byte = 0;
    for (int b = 0; b < 256 && live < 2; ++b) {
      advance(current, static_cast<std::uint8_t>(b), next);
      if (next.empty()) continue;
      ++live;
      byte = static_cast<std::uint8_t>(b);
      found.swap(next);
    }
    if (live != 1) break;
    out.push_back(static_cast<char>(byte));
    current.swap(found);
  }
  return out;
}

State Engine::import(const Engine& other, State s) {
  if (s <= kFinished) return s;
  std::vector<Stacks> memo(other.sets_.size(), -1);
  memo[kNoStack] = kNoStack;
  memo[kDone] = kDone;
  // Sets refer to sets below them only, so an explicit stack in depth-first order suffices.
  const auto copy = [&](Stacks root) {
    std::vector<Stacks> todo{root};
    while (!todo.empty()) {
      const Stacks at = todo.back();
      if (memo[static_cast<std::size_t>(at)] >= 0) {
        todo.pop_back();
        continue;
      }
      const StackSet set = other.sets_[static_cast<std::size_t>(at)];
      bool ready = true;
      for (std::uint32_t i = set.begin; i < set.end; ++i)
        if (memo[static_cast<std::size_t>(other.entries_[i].below)] < 0) {
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
        if (f.text > 0) f.text = intern_text(other.texts_[static_cast<std::size_t>(f.text)]);
        entries.push_back({frame(f), memo[static_cast<std::size_t>(other.entries_[i].below)]});
      }
      memo[static_cast<std::size_t>(at)] = intern_set(std::move(entries), set.done);
      todo.pop_back();
    }
    return memo[static_cast<std::size_t>(root)];
  };
  Items out;
  for (const Item& item : other.items(s)) out.push_back({item.lex, copy(item.stacks)});
  normalize(out);
  return intern(out);
}

std::size_t Engine::bytes() const {
  std::size_t total = frames_.size() * sizeof(Frame) + entries_.size() * sizeof(Entry) + sets_.size() * (sizeof(StackSet) + 8) + pool_.size() * sizeof(Item) +
                      offsets_.size() * 13 + steps_.bytes() + frame_index_.bytes() + set_index_.bytes() + config_index_.bytes() + mask_bytes_;
  for (const auto& e : expansions_)
    if (e) total += sizeof(Expansion) + e->items.size() * sizeof(Item);
  return total;
}

}  // namespace structgen
