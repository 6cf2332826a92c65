#include "trie.hpp"

#include <algorithm>
#include <array>

namespace structgen {

std::vector<std::uint32_t> Trie::sorted(const std::vector<std::string>& tokens, const std::vector<bool>& excluded) {
  // The first bytes decide about most pairs: beside the id, they spare the comparison a visit of both texts.
  struct Key {
    std::uint64_t head;
    std::uint32_t id;
  };
  std::vector<Key> keys;
  for (std::uint32_t i = 0; i < tokens.size(); ++i) {
    const std::string& token = tokens[i];
    if (excluded[i] || token.empty()) {
      absent_.push_back(i);
      continue;
    }
    std::uint64_t head = 0;
    for (std::size_t byte = 0; byte < 8; ++byte) head = head << 8 | (byte < token.size() ? static_cast<std::uint8_t>(token[byte]) : 0);
    keys.push_back({head, i});
  }
  std::sort(keys.begin(), keys.end(), [&](const Key& a, const Key& b) {
    if (a.head != b.head) return a.head < b.head;
    const int order = tokens[a.id].compare(tokens[b.id]);
    return order != 0 ? order < 0 : a.id < b.id;
  });
  std::vector<std::uint32_t> order;
  order.reserve(keys.size());
  for (const Key& key : keys) order.push_back(key.id);
  return order;
}

Trie::Trie(const std::vector<std::string>& tokens, const std::vector<bool>& excluded) {
  std::vector<std::uint32_t> order = sorted(tokens, excluded);
  // The children of a node are neighbours, and what is below the last of them follows at once: what a walk reads lies together. An entry is
  // a run of `order` that shares a prefix.
  struct Entry {
    std::uint32_t begin, end, depth;
  };
  std::vector<Entry> entries{{0, static_cast<std::uint32_t>(order.size()), 0}};
  std::vector<std::uint32_t> todo{0};
  nodes_.push_back({});
  while (!todo.empty()) {
    const std::uint32_t at = todo.back();
    todo.pop_back();
    const Entry e = entries[at];
    max_depth_ = std::max(max_depth_, e.depth);
    std::uint32_t i = e.begin;
    while (i < e.end && tokens[order[i]].size() == e.depth) ++i;
    nodes_[at].first_child = static_cast<std::uint32_t>(nodes_.size());
    while (i < e.end) {
      const char byte = tokens[order[i]][e.depth];
      std::uint32_t j = i;
      while (j < e.end && tokens[order[j]][e.depth] == byte) ++j;
      todo.push_back(static_cast<std::uint32_t>(entries.size()));
      entries.push_back({i, j, e.depth + 1});
      Node child;
      child.byte = static_cast<std::uint8_t>(byte);
      nodes_.push_back(child);
      ++nodes_[at].children;
      i = j;
    }
  }
  below_.reserve(nodes_.size());
  for (std::size_t n = 0; n < nodes_.size(); ++n) {
    const Entry& e = entries[n];
    nodes_[n].first_token = static_cast<std::uint32_t>(ids_.size());
    for (std::uint32_t i = e.begin; i < e.end && tokens[order[i]].size() == e.depth; ++i) ids_.push_back(order[i]);
    below_.push_back({e.begin, e.end, 0});
  }
  find_kinds();
  ordered_ = std::move(order);
}

namespace {

// Where in a character a text of UTF-8 ends: the bytes that are missing, and the range of the next one.
struct Utf8 {
  std::uint8_t missing = 0, low = 0x80, high = 0xBF;
  // False where the byte can't come next.
  bool read(std::uint8_t byte) {
    if (missing > 0) {
      if (byte < low || byte > high) return false;
      *this = {static_cast<std::uint8_t>(missing - 1)};
      return true;
    }
    if (byte < 0x80) return true;
    if (byte < 0xC2 || byte > 0xF4) return false;
    missing = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    low = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;  // no spellings longer than need be
    high = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;  // no surrogates, nothing beyond U+10FFFF
    return true;
  }
};

}  // namespace

Trie::Kinds Trie::kind(std::uint8_t byte) {
  // Letters and digits that are not told apart by the common patterns are of one kind, and so are control characters; all others are alone.
  static const std::array<std::uint8_t, 128> numbers = [] {
    std::array<std::uint8_t, 128> out{};
    std::uint8_t next = 6;
    for (std::uint8_t c = 0; c < 128; ++c) {
      const bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
      if (c >= '0' && c <= '9')
        out[c] = 1;
      else if (upper || lower)
        out[c] = static_cast<std::uint8_t>((upper ? 2 : 4) + ((c | 0x20) > 'f'));
      else if (c >= ' ' && c < 0x7F)
        out[c] = next++;
      else if (c == '\t' || c == '\n' || c == '\r')
        out[c] = next++;
    }
    return out;
  }();
  return Kinds{1} << numbers[byte];
}

void Trie::find_kinds() {
  std::vector<Utf8> read(nodes_.size());     // of the bytes up to each node
  std::vector<bool> valid(nodes_.size(), true);  // they are UTF-8, and so is everything below
  // Children come behind their parents.
  for (std::size_t n = 0; n < nodes_.size(); ++n)
    for (std::uint32_t c = nodes_[n].first_child; c < nodes_[n].first_child + nodes_[n].children; ++c) {
      read[c] = read[n];
      valid[c] = valid[n] && read[c].read(nodes_[c].byte);
    }
  for (std::size_t n = nodes_.size(); n-- > 0;) {
    Kinds kinds = 0;
    for (std::uint32_t c = nodes_[n].first_child; c < nodes_[n].first_child + nodes_[n].children; ++c) {
      valid[n] = valid[n] && valid[c];
      kinds |= (below_[c].kinds & ~kBroken) | (nodes_[c].byte < 0x80 ? kind(nodes_[c].byte) : kWide);
    }
    if ((kinds & kWide) && !valid[n]) kinds |= kBroken;
    below_[n].kinds = kinds;
  }
}

}  // namespace structgen
