// What guards need: the text captured so far, verdicts on texts, and what is thrown when one is missing.
//
// Text belongs to a configuration, not to its stacks: all hypotheses read the same bytes. A frame that guards a value holds
// the position in the text where its value began. Texts are nodes of a trie, so equal texts have equal numbers.
#pragma once

#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common.hpp"

namespace structgen {

// A node of the trie of texts, and bytes read since. Nothing is captured where both are empty.
struct Text {
  std::int32_t node = 0;
  std::string tail;
};

class TextTrie {
 public:
  TextTrie() : nodes_{{-1, 0, 0}} {}

  std::int32_t intern(const Text& text) {
    std::int32_t at = text.node;
    for (const char c : text.tail) {
      const std::uint64_t key = (static_cast<std::uint64_t>(at) << 8) | static_cast<std::uint8_t>(c);
      std::int32_t to = children_.get(key, -1);
      if (to < 0) {
        to = static_cast<std::int32_t>(nodes_.size());
        nodes_.push_back({at, nodes_[static_cast<std::size_t>(at)].depth + 1, c});
        children_.put(key, to);
      }
      at = to;
    }
    return at;
  }
  std::int32_t length(const Text& text) const { return nodes_[static_cast<std::size_t>(text.node)].depth + static_cast<std::int32_t>(text.tail.size()); }
  // The bytes from `position` on.
  std::string from(const Text& text, std::int32_t position) const {
    std::int32_t at = text.node, depth = nodes_[static_cast<std::size_t>(at)].depth;
    if (position >= depth) return text.tail.substr(static_cast<std::size_t>(position - depth));
    std::string out(static_cast<std::size_t>(depth - position), 0);
    for (; depth > position; --depth) {
      out[static_cast<std::size_t>(depth - position - 1)] = nodes_[static_cast<std::size_t>(at)].byte;
      at = nodes_[static_cast<std::size_t>(at)].parent;
    }
    return out + text.tail;
  }
  std::size_t bytes() const { return nodes_.size() * sizeof(Node) + children_.bytes(); }

 private:
  struct Node {
    std::int32_t parent, depth;
    char byte;
  };
  std::vector<Node> nodes_;
  FlatMap children_;
};

// What guards said about texts. The engines of an automaton and its sessions share it; the lexer's lock protects it.
class Verdicts {
 public:
  using Question = std::pair<std::int32_t, std::string>;  // guard, text

  // The verdict, or -1.
  int get(std::int32_t guard, const std::string& text) const {
    const auto found = known_.find(key(guard, text));
    return found == known_.end() ? -1 : found->second;
  }
  void put(std::int32_t guard, const std::string& text, bool verdict) {
    const std::string k = key(guard, text);
    bytes_ += known_.emplace(k, verdict).second ? k.size() + 64 : 0;
  }
  // Called between operations only: one operation may need more verdicts than the budget holds.
  void trim() {
    if (bytes_ <= kBudget) return;
    known_.clear();
    bytes_ = 0;
  }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kBudget = std::size_t{16} << 20;
  static std::string key(std::int32_t guard, const std::string& text) { return std::to_string(guard) + ":" + text; }

  std::unordered_map<std::string, bool> known_;
  std::size_t bytes_ = 0;
};

// An operation met texts that predicates have not judged: it is to be repeated when they have. Nothing that depends on
// them has been remembered.
struct NeedVerdicts {
  std::vector<Verdicts::Question> questions;
};

// Guards leave no token, and the document may not end. Surfaces as structgen.GuardDeadEnd.
struct GuardDeadEndError : std::runtime_error {
  explicit GuardDeadEndError(std::vector<std::string> names) : std::runtime_error("guards allow no token"), guards(std::move(names)) {}
  std::vector<std::string> guards;
};

}  // namespace structgen
