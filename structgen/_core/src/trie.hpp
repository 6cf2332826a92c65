// The token trie: the byte strings of all ordinary tokens, children of a node contiguous and sorted by byte.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace structgen {

class Trie {
 public:
  struct Node {
    std::uint32_t first_child = 0;
    std::uint32_t first_token = 0;
    std::uint16_t children = 0;
    std::uint8_t byte = 0;
  };

  // `tokens` holds every id's bytes; ids in `excluded` (end and special tokens) and empty tokens are left out.
  Trie(const std::vector<std::string>& tokens, const std::vector<bool>& excluded);

  const Node& operator[](std::uint32_t node) const { return nodes_[node]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size()); }
  // Token ids whose bytes end at the node: ids()[first_token(node)] up to first_token(node + 1).
  std::uint32_t token_begin(std::uint32_t node) const { return nodes_[node].first_token; }
  std::uint32_t token_end(std::uint32_t node) const {
    return node + 1 < nodes_.size() ? nodes_[node + 1].first_token : static_cast<std::uint32_t>(ids_.size());
  }
  std::uint32_t id(std::uint32_t i) const { return ids_[i]; }
  // What is below a node, where that is much: the tokens, and the bytes that occur.
  struct Span {
    std::uint32_t below;  // nodes
    std::uint32_t first, last;  // tokens: ordered(first) up to ordered(last), those of the node itself included
    std::uint64_t ascii[2] = {0, 0};
    bool wide = false;  // other bytes occur
    bool utf8 = false;  // read on from the beginning of a character, all of it is UTF-8
  };
  // Nodes below a node.
  std::uint32_t below(std::uint32_t node) const { return below_[node] < kFew ? below_[node] : spans_[below_[node] - kFew].below; }
  const Span* span(std::uint32_t node) const { return below_[node] < kFew ? nullptr : &spans_[below_[node] - kFew]; }
  std::uint32_t ordered(std::uint32_t i) const { return ordered_[i]; }
  std::uint32_t tokens() const { return static_cast<std::uint32_t>(ids_.size()); }
  std::uint32_t max_depth() const { return max_depth_; }

  static constexpr std::uint32_t kNoChild = ~0U;
  std::uint32_t child(std::uint32_t node, std::uint8_t byte) const {
    const Node& n = nodes_[node];
    std::uint32_t lo = n.first_child, hi = n.first_child + n.children;
    while (hi - lo > 8) {
      const std::uint32_t mid = (lo + hi) / 2;
      if (nodes_[mid].byte <= byte) lo = mid; else hi = mid;
    }
    for (; lo < hi; ++lo)
      if (nodes_[lo].byte == byte) return lo;
    return kNoChild;
  }

  std::size_t bytes() const { return nodes_.size() * (sizeof(Node) + 4) + ids_.size() * 8 + spans_.size() * sizeof(Span); }

 private:
  void make_spans();

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> ids_;
  std::vector<std::uint32_t> ordered_;  // ids by their bytes
  // The number of nodes below each, or from kFew on kFew plus the number of its span.
  static constexpr std::uint32_t kFew = 16;
  std::vector<std::uint32_t> below_;
  std::vector<Span> spans_;
  std::uint32_t max_depth_ = 0;
};

// A small trie in preorder: what can follow the end of a lexeme inside a token.
struct SuffixTrie {
  struct Node {
    std::uint8_t byte = 0;
    std::uint32_t end = 0;  // one past the subtree
  };
  std::vector<Node> nodes;  // nodes[0] is the empty suffix
};

}  // namespace structgen
