// The walk of what can follow the end of a lexeme inside tokens.
#pragma once

#include "engine.hpp"

namespace structgen {

// Visits, in preorder, the nodes of the suffix trie that can follow; skip(i) prunes the subtree of node i. Where checks depend on text
// that only the whole token tells, unsure(i) is called for the subtree instead.
template <class Visit, class Skip, class Unsure>
void Engine::walk(const SuffixTrie& trie, Skip&& skip, Visit&& visit, Unsure&& unsure) {
  const std::vector<SuffixTrie::Node>& nodes = trie.nodes;
  levels_[0].sorted_out = false;
  std::vector<std::uint32_t>& ends = ends_;
  ends.assign(1, 0);
  std::size_t depth = 0;
  visit(0U);
  for (std::uint32_t i = 1; i < nodes.size();) {
    while (depth > 0 && i >= ends[depth]) --depth;
    if (levels_.size() < depth + 2) levels_.resize(depth + 2);
    Level& next = levels_[depth + 1];
    if (!skip(i)) {
      unsure_ = false;
      advance(levels_[depth], nodes[i].byte, next.items);
      if (unsure_) {
        unsure(i);
        next.items.clear();
      }
    } else {
      next.items.clear();
    }
    if (next.items.empty()) {
      i = nodes[i].end;
      continue;
    }
    visit(i);
    next.sorted_out = false;
    if (ends.size() <= ++depth) ends.resize(depth + 1);
    ends[depth] = nodes[i].end;
    ++i;
  }
}

}  // namespace structgen
