#include "trie.hpp"

#include <algorithm>
#include <numeric>

namespace structgen {

Trie::Trie(const std::vector<std::string>& tokens, const std::vector<bool>& excluded) {
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < tokens.size(); ++i)
    if (!excluded[i] && !tokens[i].empty()) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return tokens[a] != tokens[b] ? tokens[a] < tokens[b] : a < b;
  });
  // Breadth first, so that the children of a node are neighbours. An entry is a run of `order` that shares a prefix.
  struct Entry {
    std::uint32_t begin, end, depth;
  };
  std::vector<Entry> entries{{0, static_cast<std::uint32_t>(order.size()), 0}};
  nodes_.push_back({});
  for (std::size_t at = 0; at < entries.size(); ++at) {
    const Entry e = entries[at];
    max_depth_ = std::max(max_depth_, e.depth);
    std::uint32_t i = e.begin;
    nodes_[at].first_token = static_cast<std::uint32_t>(ids_.size());
    while (i < e.end && tokens[order[i]].size() == e.depth) ids_.push_back(order[i++]);
    nodes_[at].first_child = static_cast<std::uint32_t>(nodes_.size());
    while (i < e.end) {
      const char byte = tokens[order[i]][e.depth];
      std::uint32_t j = i;
      while (j < e.end && tokens[order[j]][e.depth] == byte) ++j;
      entries.push_back({i, j, e.depth + 1});
      Node child;
      child.byte = static_cast<std::uint8_t>(byte);
      nodes_.push_back(child);
      ++nodes_[at].children;
      i = j;
    }
  }
  make_spans();
  for (std::size_t n = 0; n < nodes_.size(); ++n)
    if (below_[n] >= kFew) {
      spans_[below_[n] - kFew].first = entries[n].begin;
      spans_[below_[n] - kFew].last = entries[n].end;
    }
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

void Trie::make_spans() {
  struct Below {
    std::uint32_t nodes = 0;
    Utf8 read;          // of the bytes up to the node
    bool valid = true;  // they are UTF-8, and so is everything below
    bool wide = false;
    std::uint64_t ascii[2] = {0, 0};
  };
  std::vector<Below> all(nodes_.size());
  // Children come behind their parents.
  for (std::size_t n = 0; n < nodes_.size(); ++n)
    for (std::uint32_t c = nodes_[n].first_child; c < nodes_[n].first_child + nodes_[n].children; ++c) {
      all[c].read = all[n].read;
      all[c].valid = all[n].valid && all[c].read.read(nodes_[c].byte);
    }
  below_.resize(nodes_.size());
  for (std::size_t n = nodes_.size(); n-- > 0;) {
    Below& b = all[n];
    for (std::uint32_t c = nodes_[n].first_child; c < nodes_[n].first_child + nodes_[n].children; ++c) {
      const Below& child = all[c];
      b.nodes += 1 + child.nodes;
      b.valid = b.valid && child.valid;
      b.wide = b.wide || child.wide || nodes_[c].byte >= 0x80;
      for (std::size_t i = 0; i < 2; ++i) b.ascii[i] |= child.ascii[i];
      if (nodes_[c].byte < 0x80) b.ascii[nodes_[c].byte / 64] |= std::uint64_t{1} << (nodes_[c].byte % 64);
    }
    below_[n] = b.nodes;
    if (b.nodes < kFew) continue;
    below_[n] = kFew + static_cast<std::uint32_t>(spans_.size());
    spans_.push_back({b.nodes, 0, 0, {b.ascii[0], b.ascii[1]}, b.wide, b.valid && b.read.missing == 0});
  }
  spans_.shrink_to_fit();
}

}  // namespace structgen
