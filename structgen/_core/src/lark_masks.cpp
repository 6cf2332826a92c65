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

void Engine::collect_scan(const Item& item, std::uint32_t node, MaskRecord& record, std::vector<const Shape*>& dense) {
  if (is_special(item.lex)) {
    if (node == 0) record.set.push_back(static_cast<std::uint32_t>(item.lex - kSpecialBase));
    return;
  }
  if (!is_scan(item.lex)) {
    lowest_ = 0;  // what follows an embedded value may look at anything
    if (node == 0)
      collect(item, {}, record, dense);
    else
      collect_below(item, node, record);
    return;
  }
  Scanner& scanner = grammar_->lark()->scanner;
  const ScanShape& shape = scanner.shape(item.lex - kScanBase, node);
  if (shape.base) record.more.push_back(shape.base);
  record.set.insert(record.set.end(), shape.add.begin(), shape.add.end());
  for (const ScanShape::Exits& exits : shape.exits) {
    const ScanExit e = scanner.exit(exits.exit);
    const Stacks behind = feed(item.stacks, e);
    if (behind == kNoStack) continue;
    const Opened& begin = open(behind, e.obligation, e.left);
    for (const std::uint32_t n : exits.nodes)
      for (const Item& b : begin.items) collect_scan(b, n, record, dense);
    if (!exits.suffixes) continue;
    auto frame_at = frames_of(behind);
    const std::uint64_t root = reinterpret_cast<std::uintptr_t>(&exits);
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
        while (at < exits.tokens.size() && exits.tokens[at].first < suffix) ++at;
        for (; at < exits.tokens.size() && exits.tokens[at].first == suffix; ++at) tokens.push_back(exits.tokens[at].second);
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
}

std::int32_t Engine::scan_record(const Item& item) {
  auto frame_at = frames_of(item.stacks);
  const std::uint64_t root = static_cast<std::uint32_t>(item.lex);
  std::int32_t looked = 0;
  std::int32_t found = scan_records_index_.find(root, frame_at, looked);
  if (found >= 0) {
    ++counters.masks_shared;
    return found;
  }
  lowest_ = std::numeric_limits<std::int32_t>::max();
  auto record = std::make_unique<MaskRecord>();
  std::vector<const Shape*> dense;
  collect_scan(item, 0, *record, dense);
  if (ends(item, nullptr)) record->set.insert(record->set.end(), vocabulary_->end_tokens.begin(), vocabulary_->end_tokens.end());
  merge_rows(*record, dense);
  record->set.shrink_to_fit();
  mask_bytes_ += sizeof(MaskRecord) + 4 * (record->set.size() + record->clear.size()) + 8 * record->more.size() + (record->owned ? 4 * vocabulary_->mask_words : 0) + 64;
  found = static_cast<std::int32_t>(scan_records_.size());
  scan_records_.push_back(std::move(record));
  scan_records_index_.insert(root, frame_at, sets_[static_cast<std::size_t>(item.stacks)].depth - lowest_ + 1, found);
  return found;
}

const MaskRecord& Engine::lark_mask(State s) {
  if (mask_bytes_ > limits_.mask_bytes) evict();
  Items parts = items(s);
  if (parts.size() == 1 && is_scan(parts[0].lex)) return *scan_records_[static_cast<std::size_t>(scan_record(parts[0]))];
  const Text read = text(s);
  auto record = std::make_unique<MaskRecord>();
  std::vector<const Shape*> dense;
  bool may_end = false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Item item = parts[i];
    if (is_scan(item.lex)) {
      const MaskRecord& one = *scan_records_[static_cast<std::size_t>(scan_record(item))];
      if (one.base) record->more.push_back(one.base);
      record->more.insert(record->more.end(), one.more.begin(), one.more.end());
      record->set.insert(record->set.end(), one.set.begin(), one.set.end());
      continue;
    }
    if (is_special(item.lex)) {
      record->set.push_back(static_cast<std::uint32_t>(item.lex - kSpecialBase));
      continue;
    }
    collect(item, read, *record, dense);
    if (!lexer_[item.lex].accepting) continue;
    const Expansion& next = expand(ended(item, &read));
    parts.insert(parts.end(), next.items.begin(), next.items.end());
    may_end = may_end || next.accepts;
  }
  settle();
  if (may_end) record->set.insert(record->set.end(), vocabulary_->end_tokens.begin(), vocabulary_->end_tokens.end());
  merge_rows(*record, dense);
  if (grammar_->remembers()) find_dead_end(*record, may_end);
  mask_bytes_ += sizeof(MaskRecord) + 4 * (record->set.size() + record->clear.size()) + (record->owned ? 4 * vocabulary_->mask_words : 0);
  scan_records_.push_back(std::move(record));
  return *scan_records_.back();
}

}  // namespace structgen
