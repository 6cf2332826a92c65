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

// The token trie in whole characters, as one decoder reads it, in preorder: a subtree's entries are contiguous.
// Made once per decoder.
struct CharacterTrie {
  struct Node {
    std::uint32_t end;  // one past the subtree
    std::uint32_t parent;
    std::uint32_t code_point;
    std::uint32_t tokens, partial, exits;  // offsets of the node's own entries
  };
  std::vector<Node> nodes;  // nodes[0] is the root; a sentinel at the end
  std::vector<std::uint32_t> tokens;
  std::vector<std::pair<Decoder, std::uint32_t>> partial;      // tokens that end inside a character
  std::vector<std::pair<std::uint32_t, std::uint32_t>> exits;  // suffix node, token
  std::vector<std::uint32_t> closing;                          // the nodes that have exits

  CharacterTrie(const Lexer& lexer, Kind kind);
  std::size_t bytes() const { return nodes.size() * sizeof(Node) + tokens.size() * 4 + (partial.size() + exits.size()) * 8; }
};

// Nodes are sets of two or more nodes of the character trie that the classes can't tell apart, made when a walk reaches
// them. Below single nodes there is nothing to merge: the character trie itself is walked.
class Quotient {
 public:
  Quotient(Lexer& lexer, Kind kind, std::vector<std::int32_t> atoms);
  Kind kind() const { return kind_; }
  // The character sets that the classes respect, sorted.
  const std::vector<std::int32_t>& atoms() const { return atoms_; }
  // Fills inside and exits of a shape whose decoder is clean.
  void walk(Lexer& lexer, Re residual, Shape& shape);
  std::size_t size() const { return nodes_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Node {
    std::vector<std::uint32_t> members;
    std::vector<std::pair<std::uint16_t, std::uint32_t>> children;  // class, node
    std::vector<std::uint32_t> singles;                             // children that are one node of the character trie
    std::vector<std::uint32_t> tokens;
    std::vector<std::pair<Decoder, std::uint32_t>> partial;  // sorted
    std::vector<std::pair<std::uint32_t, std::uint32_t>> exits;
    bool expanded = false;
  };
  struct Visit;

  void expand(std::uint32_t node);
  void visit(Visit& v, std::uint32_t node, Re residual);
  void visit_single(Visit& v, std::uint32_t member, Re residual);
  void visit_partial(Visit& v, const std::pair<Decoder, std::uint32_t>* at, const std::pair<Decoder, std::uint32_t>* end, Re residual);

  Kind kind_;
  std::vector<std::int32_t> atoms_;
  Partition partition_;
  const CharacterTrie& trie_;
  std::vector<Node> nodes_;
  // Scratch of expand(), by class: the child, and its first member.
  static constexpr std::uint32_t kNoChild = 0;
  std::vector<std::uint32_t> child_of_, first_of_;
  std::size_t bytes_ = 0;
};

}  // namespace structgen
