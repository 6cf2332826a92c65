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
}

}  // namespace structgen
