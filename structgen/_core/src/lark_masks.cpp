// Masks of Lark grammars. What a state of the scanner allows depends on the top of the parser's stack only as far as the tokens that leave the
// lexeme make the parser look: records are kept by the frames that were looked at.
#include <algorithm>
#include <limits>

#include "engine_walk.hpp"

namespace structgen {

namespace {

constexpr std::size_t kMostRows = 4;      // more are united into a row of their own
constexpr std::size_t kMostTokens = 2048;

}  // namespace

// Rows of lexemes outside Lark's scanner, which may have bits to clear.
void Engine::merge_rows(MaskRecord& record, const std::vector<const Shape*>& dense) const {
  if (dense.size() == 1 && record.more.empty()) {
    record.base = dense[0]->base;
    record.clear = dense[0]->clear;
    return;
  }
  if (dense.empty() && record.more.size() <= kMostRows && record.set.size() <= kMostTokens) return;
  if (dense.empty() && record.more.empty() && !grammar_->lark()) return;
  record.owned = std::make_unique<Row>(vocabulary_->mask_words, 0);
  Row& out = *record.owned;
  for (const Shape* shape : dense) {
    Row row = *shape->base;
    for (std::uint32_t t : shape->clear) row[t >> 5] &= ~(1U << (t & 31));
    for (std::size_t i = 0; i < row.size(); ++i) out[i] |= row[i];
  }
  for (const Row* row : record.more)
    for (std::size_t i = 0; i < row->size(); ++i) out[i] |= (*row)[i];
  record.more.clear();
  if (grammar_->lark()) {
    for (const std::uint32_t t : record.set) out[t >> 5] |= 1U << (t & 31);
    record.set.clear();
  }
  record.base = record.owned.get();
}

// The tokens below a node of the trie that an item outside the scanner allows.
void Engine::collect_below(const Item& item, std::uint32_t node, MaskRecord& record) {
  const Trie& trie = lexer_.trie();
  std::vector<std::pair<std::uint32_t, Items>> todo;
  todo.emplace_back(node, Items{item});
  Items next;
  while (!todo.empty()) {
    const auto [at, items] = std::move(todo.back());
    todo.pop_back();
    const Trie::Node n = trie[at];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      advance(items, trie[c].byte, next, nullptr);
      if (next.empty()) continue;
      for (std::uint32_t i = trie.token_begin(c); i < trie.token_end(c); ++i) record.set.push_back(trie.id(i));
      if (trie[c].children) todo.emplace_back(c, next);
    }
  }
}

// The tokens below a node of the trie that an item of the scanner allows, where it goes on or leaves the lexeme behind the node.
void Engine::collect_scan(const Item& item, std::uint32_t node, MaskRecord& record) {
  Scanner& scanner = grammar_->lark()->scanner;
  const ScanShape& shape = scanner.shape(item.lex - kScanBase, node);
  if (shape.base) record.more.push_back(shape.base);
  record.set.insert(record.set.end(), shape.add.begin(), shape.add.end());
  for (const ScanShape::Doubt& d : shape.doubts)
    if (live({kScanBase + d.state, item.stacks})) record.set.insert(record.set.end(), d.tokens.begin(), d.tokens.end());
  for (const ScanShape::Exits& exits : shape.exits) {
    const ScanExit e = scanner.exit(exits.exit);
    if (exits.where != ScanShape::Where::kAnywhere && (exits.where == ScanShape::Where::kInBrackets) != in_brackets(item.stacks)) continue;
    if (exits.where == ScanShape::Where::kOutside) {
      record.late.push_back({{}, &exits});
      continue;
    }
    const Stacks behind = feed(item.stacks, e);
    if (behind == kNoStack) continue;
    const Opened& begin = open(behind, e.obligation, e.left);
    for (const std::uint32_t n : exits.nodes)
      for (const Item& b : begin.items) {
        if (is_special(b.lex)) continue;
        if (!is_scan(b.lex)) {
          lowest_ = 0;  // what follows an embedded value may look at anything
          collect_below(b, n, record);
          continue;
        }
        const MaskRecord& part = *scan_records_[static_cast<std::size_t>(scan_record(b, n))];
        if (part.base) record.more.push_back(part.base);
        record.more.insert(record.more.end(), part.more.begin(), part.more.end());
        record.set.insert(record.set.end(), part.set.begin(), part.set.end());
        for (const MaskRecord::Late& late : part.late) {
          record.late.push_back({{exits.exit}, late.exits});
          record.late.back().path.insert(record.late.back().path.end(), late.path.begin(), late.path.end());
        }
      }
    if (exits.suffixes) collect_followers(exits, behind, begin, record);
  }
}

// The tokens that leave the lexeme and go on with something that can follow.
void Engine::collect_followers(const ScanShape::Exits& exits, Stacks behind, const Opened& begin, MaskRecord& record) {
  auto frame_at = frames_of(behind);
  const std::uint64_t root = reinterpret_cast<std::uintptr_t>(exits.tokens.get());
  std::int32_t looked = 0;
  std::int32_t found = followers_index_.find(root, frame_at, looked);
  const std::int32_t depth = sets_[static_cast<std::size_t>(behind)].depth;
  if (found >= 0) {
    ++counters.walks_shared;
    lowest_ = std::min(lowest_, depth - looked + 1);
  } else {
    ++counters.walks;
    const std::int32_t lowest = lowest_;
    lowest_ = begin.lowest;
    std::vector<std::uint32_t> tokens;
    std::size_t at = 0;
    const auto take = [&](std::uint32_t suffix) {
      while (at < exits.tokens->size() && (*exits.tokens)[at].first < suffix) ++at;
      for (; at < exits.tokens->size() && (*exits.tokens)[at].first == suffix; ++at) tokens.push_back((*exits.tokens)[at].second);
    };
    if (levels_.empty()) levels_.resize(1);
    levels_[0].items = begin.items;
    walk(*exits.suffixes, [](std::uint32_t) { return false; }, take, [](std::uint32_t) {});
    found = static_cast<std::int32_t>(followers_.size());
    mask_bytes_ += tokens.size() * 4 + 64;
    followers_.push_back(std::move(tokens));
    followers_index_.insert(root, frame_at, depth - lowest_ + 1, found);
    lowest_ = std::min(lowest_, lowest);
  }
  const std::vector<std::uint32_t>& tokens = followers_[static_cast<std::size_t>(found)];
  record.set.insert(record.set.end(), tokens.begin(), tokens.end());
}

std::int32_t Engine::scan_record(const Item& item, std::uint32_t node) {
  auto frame_at = frames_of(item.stacks);
  const std::uint64_t root = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(item.lex)) << 32) | node;
  const std::int32_t depth = sets_[static_cast<std::size_t>(item.stacks)].depth;
  std::int32_t looked = 0;
  std::int32_t found = scan_records_index_.find(root, frame_at, looked);
  if (found >= 0) {
    lowest_ = std::min(lowest_, depth - looked + 1);
    return found;
  }
  const std::int32_t lowest = lowest_;
  lowest_ = std::numeric_limits<std::int32_t>::max();
  auto record = std::make_unique<MaskRecord>();
  collect_scan(item, node, *record);
  merge_rows(*record, {});
  record->set.shrink_to_fit();
  mask_bytes_ += sizeof(MaskRecord) + 4 * record->set.size() + 8 * record->more.size() + (record->owned ? 4 * vocabulary_->mask_words : 0) + 64;
  found = static_cast<std::int32_t>(scan_records_.size());
  scan_records_.push_back(std::move(record));
  scan_records_index_.insert(root, frame_at, depth - lowest_ + 1, found);
  lowest_ = std::min(lowest_, lowest);
  return found;
}

// What the tokens of a newline that is left within them lead to depends on every open block: they are looked at for each stack.
void Engine::collect_late(const Item& item, const MaskRecord& record, std::vector<std::uint32_t>& numbers, MaskRecord& out) {
  Scanner& scanner = grammar_->lark()->scanner;
  const std::vector<MaskRecord::Late> all = record.late;
  for (const MaskRecord::Late& late : all) {
    Stacks behind = item.stacks;
    for (const std::int32_t number : late.path) behind = behind == kNoStack ? behind : feed(behind, scanner.exit(number));
    const ScanExit e = scanner.exit(late.exits->exit);
    if (behind != kNoStack) behind = feed(behind, e);
    if (behind == kNoStack) continue;
    const Opened& begin = open(behind, e.obligation, e.left);
    for (const std::uint32_t n : late.exits->nodes)
      for (const Item& b : begin.items) {
        if (is_scan(b.lex)) {
          numbers.push_back(static_cast<std::uint32_t>(scan_record(b, n)));
          collect_late(b, *scan_records_[numbers.back()], numbers, out);
        } else if (!is_special(b.lex)) {
          collect_below(b, n, out);
        }
      }
    if (late.exits->suffixes) collect_followers(*late.exits, behind, begin, out);
  }
}

// The mask of a state: the records of its items and of what begins where they end, put together.
const MaskRecord& Engine::lark_mask(State s) {
  if (mask_bytes_ > limits_.mask_bytes) evict();
  Scanner& scanner = grammar_->lark()->scanner;
  Items parts = items(s);
  const Text read = text(s);
  std::vector<std::uint32_t> numbers, tokens;
  auto record = std::make_unique<MaskRecord>();
  MaskRecord late;
  std::vector<const Shape*> dense;
  bool may_end = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Item item = parts[i];
    if (is_special(item.lex)) {
      tokens.push_back(static_cast<std::uint32_t>(item.lex - kSpecialBase));
      continue;
    }
    may_end = may_end || ends(item, &read);
    if (is_bound(item.lex)) {
      lowest_ = 0;
      collect_below(item, 0, *record);
      Items within, behind;
      behind_bound(item, &read, within, behind);
      for (const Item& b : behind)
        if (is_special(b.lex)) tokens.push_back(static_cast<std::uint32_t>(b.lex - kSpecialBase));
      continue;
    }
    if (!is_scan(item.lex)) {
      collect(item, read, *record, dense);
      if (!lexer_[item.lex].accepting) continue;
      const Items& next = expand(ended(item, &read)).items;
      parts.insert(parts.end(), next.begin(), next.end());
      continue;
    }
    numbers.push_back(static_cast<std::uint32_t>(scan_record(item, 0)));
    collect_late(item, *scan_records_[numbers.back()], numbers, late);
    const std::vector<std::int32_t> exits = scanner.exits(item.lex - kScanBase);
    for (const std::int32_t number : exits) {
      const ScanExit e = scanner.exit(number);
      const Stacks behind = feed(item.stacks, e);
      if (behind == kNoStack) continue;
      const Items& next = open(behind, e.obligation, e.left).items;
      parts.insert(parts.end(), next.begin(), next.end());
    }
  }
  settle();
  tokens.insert(tokens.end(), late.set.begin(), late.set.end());
  if (may_end) tokens.insert(tokens.end(), vocabulary_->end_tokens.begin(), vocabulary_->end_tokens.end());
  const bool plain = dense.empty() && record->set.empty() && record->more.empty() && !grammar_->remembers();
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  if (plain && numbers.size() == 1 && tokens.empty()) return *scan_records_[numbers[0]];
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  std::vector<std::uint64_t> key(numbers.begin(), numbers.end());
  key.push_back(~std::uint64_t{0});
  key.insert(key.end(), tokens.begin(), tokens.end());
  std::uint64_t hash = key.size();
  for (const std::uint64_t k : key) hash = combine(hash, k);
  if (plain) {
    const std::int32_t found = shared_index_.find(hash, [&](std::int32_t i) { return shared_[static_cast<std::size_t>(i)].first == key; });
    if (found >= 0) {
      ++counters.masks_shared;
      return *shared_[static_cast<std::size_t>(found)].second;
    }
  }
  for (const std::uint32_t number : numbers) {
    const MaskRecord& one = *scan_records_[number];
    if (one.base) record->more.push_back(one.base);
    record->more.insert(record->more.end(), one.more.begin(), one.more.end());
    record->set.insert(record->set.end(), one.set.begin(), one.set.end());
  }
  record->set.insert(record->set.end(), tokens.begin(), tokens.end());
  merge_rows(*record, dense);
  if (grammar_->remembers()) find_dead_end(*record, may_end);
  record->set.shrink_to_fit();
  mask_bytes_ += sizeof(MaskRecord) + 4 * (record->set.size() + record->clear.size()) + 8 * (key.size() + record->more.size()) + (record->owned ? 4 * vocabulary_->mask_words : 0);
  if (plain) shared_index_.insert(hash, static_cast<std::int32_t>(shared_.size()));
  shared_.emplace_back(std::move(key), std::move(record));
  return *shared_.back().second;
}

}  // namespace structgen
