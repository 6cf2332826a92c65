// Vocabularies that lack bytes: what the bytes allow, no sequence of tokens may be able to complete. Such states are
// found by searching the graph of states and tokens, and dropped from steps and masks.
#include <algorithm>
#include <queue>
#include <unordered_map>

#include "completion.hpp"
#include "engine.hpp"

namespace structgen {

namespace {

constexpr std::size_t kSearchLimit = 200000;  // states

}  // namespace

bool Engine::completable(State s) {
  if ((vocabulary_->byte_complete && !careful()) || s <= kFinished) return s != kDead;
  if (completable_.size() < states()) completable_.resize(states(), -1);
  if (completable_[static_cast<std::size_t>(s)] < 0) {
    if (vocabulary_->byte_complete)
      search_bytes(s, true);
    else
      search_tokens(s);
  }
  return completable_[static_cast<std::size_t>(s)] == 1;
}

// Best first by the bytes that are left at least. Marks what it learns; returns the bytes of the tokens found.
std::string Engine::search_tokens(State start) {
  if (!completion_) completion_ = std::make_unique<Completion>(*this);
  struct Entry {
    std::int64_t left;
    State s;
    bool operator<(const Entry& o) const { return left != o.left ? left > o.left : s > o.s; }
  };
  std::unordered_map<State, std::pair<State, std::uint32_t>> parent{{start, {kDead, 0}}};
  std::priority_queue<Entry> queue;
  queue.push({completion_->cost(items(start)), start});
  std::vector<std::uint32_t> row(vocabulary_->mask_words);
  while (!queue.empty()) {
    const State s = queue.top().s;
    queue.pop();
    if (accepts(s)) {
      std::string text;
      std::vector<std::uint32_t> path;
      completable_.resize(std::max(completable_.size(), states()), -1);
      for (State at = s; at != kDead; at = parent.at(at).first) {
        completable_[static_cast<std::size_t>(at)] = 1;
        if (at != start) path.push_back(parent.at(at).second);
      }
      for (std::size_t i = path.size(); i-- > 0;) text.append(reinterpret_cast<const char*>(vocabulary_->token(path[i])), vocabulary_->length(path[i]));
      return text;
    }
    copy_mask(byte_mask(s), row.data());
    for (std::uint32_t t = 0; t < vocabulary_->size(); ++t) {
      if (!(row[t >> 5] >> (t & 31) & 1) || vocabulary_->end[t]) continue;
      const State to = read_token(s, t);
      const bool hopeless = static_cast<std::size_t>(to) < completable_.size() && completable_[static_cast<std::size_t>(to)] == 0;
      if (hopeless || !parent.emplace(to, std::make_pair(s, t)).second) continue;
      if (parent.size() > kSearchLimit) throw LimitError("the vocabulary lacks bytes, and finding tokens that complete the text takes too long");
      queue.push({completion_->cost(items(to)), to});
    }
  }
  completable_.resize(std::max(completable_.size(), states()), -1);
  for (const auto& entry : parent) completable_[static_cast<std::size_t>(entry.first)] = 0;
  return {};
}

// The byte mask less the tokens that lead nowhere. The copy is the state's own: it depends on more than its shapes.
const MaskRecord& Engine::token_mask(State s) {
  if (mask_bytes_ > limits_.mask_bytes) evict();
  auto record = std::make_unique<MaskRecord>();
  record->owned = std::make_unique<Row>(vocabulary_->mask_words, 0);
  copy_mask(byte_mask(s), record->owned->data());
  for (std::uint32_t t = 0; t < vocabulary_->size(); ++t) {
    std::uint32_t& word = (*record->owned)[t >> 5];
    if (!(word >> (t & 31) & 1) || vocabulary_->end[t]) continue;
    if (!completable(read_token(s, t))) word &= ~(1U << (t & 31));
  }
  record->base = record->owned.get();
  if (grammar_->remembers()) find_dead_end(*record, accepts(s));
  mask_bytes_ += sizeof(MaskRecord) + 4 * vocabulary_->mask_words;
  token_masks_.push_back(std::move(record));
  return *token_masks_.back();
}

}  // namespace structgen
