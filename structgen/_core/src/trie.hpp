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
  // The tokens below a node, its own included: ordered(first(node)) up to ordered(last(node)).
  std::uint32_t first(std::uint32_t node) const { return below_[node].first; }
  std::uint32_t last(std::uint32_t node) const { return below_[node].last; }
  // The kinds of bytes that occur below a node, as bits. Bytes from 0x80 on are of one kind, and of another one besides unless all tokens below are
  // UTF-8, up to an end within a character.
  using Kinds = std::uint64_t;
  static constexpr Kinds kWide = Kinds{1} << 62, kBroken = Kinds{1} << 63;
  Kinds kinds(std::uint32_t node) const { return below_[node].kinds; }
  // The bit of a kind of bytes below 0x80.
  static Kinds kind(std::uint8_t byte);
  std::uint32_t ordered(std::uint32_t i) const { return ordered_[i]; }
  // All ids that are not in the trie.
  const std::vector<std::uint32_t>& absent() const { return absent_; }
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

  std::size_t bytes() const { return nodes_.size() * sizeof(Node) + ids_.size() * 8 + below_.size() * sizeof(Below); }

 private:
  struct Below {
    std::uint32_t first, last;
    Kinds kinds;
  };

  void find_kinds();
  // The ids of the trie by their bytes; what is not in it goes to absent_.
  std::vector<std::uint32_t> sorted(const std::vector<std::string>& tokens, const std::vector<bool>& excluded);

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> ids_;
  std::vector<std::uint32_t> ordered_;  // ids by their bytes
  std::vector<std::uint32_t> absent_;
  std::vector<Below> below_;
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
