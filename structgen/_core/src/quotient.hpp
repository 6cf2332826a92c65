// The quotient trie: tokens as sequences of character classes, for one partition of the code points.
//
// Residuals that only distinguish the classes of the partition walk hundreds of nodes instead of the
// whole token trie. A token that ends inside a character or escape is kept at the node of its last whole character.
#pragma once

#include <array>
#include <vector>

#include "lexer.hpp"

namespace structgen {

// The coarsest partition of the code points that respects some character sets.
struct Partition {
  std::vector<std::pair<std::uint32_t, std::uint16_t>> starts;  // first code point of a run, its class
  std::vector<std::uint32_t> representative;                    // one code point of each class
  std::array<std::uint16_t, 128> ascii{};

  Partition(const RegexStore& regexes, const std::vector<std::int32_t>& atoms);
  std::uint16_t class_of(std::uint32_t code_point) const;
};

// The token trie in whole characters, as one decoder reads it. Made once per decoder; parents come first.
struct CharacterTrie {
  struct Node {
    std::uint32_t parent, code_point;
  };
  std::vector<Node> nodes;                                                // nodes[0] is the root
  std::vector<std::pair<std::uint32_t, std::uint32_t>> tokens;            // node, token
  std::vector<std::pair<std::uint32_t, std::pair<Decoder, std::uint32_t>>> partial;      // node, (decoder, token)
  std::vector<std::pair<std::uint32_t, std::pair<std::uint32_t, std::uint32_t>>> exits;  // node, (suffix, token)

  CharacterTrie(const Lexer& lexer, Kind kind);
};

class Quotient {
 public:
  Quotient(Lexer& lexer, Kind kind, std::vector<std::int32_t> atoms);
  Kind kind() const { return kind_; }
  // The character sets that the classes respect, sorted.
  const std::vector<std::int32_t>& atoms() const { return atoms_; }
  // Fills inside and exits of a shape whose decoder is clean.
  void walk(Lexer& lexer, Re residual, Shape& shape);
  std::size_t bytes() const;
  std::size_t size() const { return nodes_.size(); }

 private:
  struct Node {
    std::uint32_t end;        // one past the subtree, in preorder
    std::uint32_t tokens;     // offsets of the node's own entries; the subtree's are contiguous
    std::uint32_t partial;
    std::uint32_t exits;
    std::uint16_t character;  // class of the edge from the parent
  };
  struct Visit;

  void visit(Visit& v, std::uint32_t node, Re residual);

  Kind kind_;
  std::vector<std::int32_t> atoms_;
  Partition partition_;
  std::vector<Node> nodes_;  // with a sentinel at the end
  std::vector<std::uint32_t> tokens_;
  std::vector<std::pair<Decoder, std::uint32_t>> partial_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> exits_;  // suffix node, token
  Row* everything_ = nullptr;
};

}  // namespace structgen
