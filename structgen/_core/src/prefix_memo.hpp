// Memos of what was found out by looking at the top of a stack only: they serve every stack with the same frames there.
#pragma once

#include <cstdint>
#include <vector>

#include "common.hpp"

namespace structgen {

class PrefixMemo {
 public:
  // `frame_at(i, symbol)` gives the symbol of the i-th frame from the top, and false below the bottom. Returns the value, or -1; `looked`
  // becomes the number of frames that it depends on.
  template <class FrameAt>
  std::int32_t find(std::uint64_t root, FrameAt&& frame_at, std::int32_t& looked) const {
    std::int32_t node = roots_.get(root, -1);
    for (looked = 0; node >= 0; ++looked) {
      if (values_[static_cast<std::size_t>(node)] >= 0) return values_[static_cast<std::size_t>(node)];
      std::int32_t symbol = 0;
      if (!frame_at(looked, symbol)) return -1;
      node = children_.get(key(node, symbol), -1);
    }
    return -1;
  }

  template <class FrameAt>
  void insert(std::uint64_t root, FrameAt&& frame_at, std::int32_t looked, std::int32_t value) {
    std::int32_t node = roots_.get(root, -1);
    if (node < 0) roots_.put(root, node = add());
    for (std::int32_t i = 0; i < looked; ++i) {
      std::int32_t symbol = 0;
      if (!frame_at(i, symbol)) break;
      std::int32_t next = children_.get(key(node, symbol), -1);
      if (next < 0) children_.put(key(node, symbol), next = add());
      node = next;
    }
    values_[static_cast<std::size_t>(node)] = value;
  }

  void clear() {
    roots_.clear();
    children_.clear();
    values_.clear();
  }
  std::size_t bytes() const { return roots_.bytes() + children_.bytes() + values_.size() * 4; }

 private:
  static std::uint64_t key(std::int32_t node, std::int32_t symbol) { return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(node)) << 32) | static_cast<std::uint32_t>(symbol); }
  std::int32_t add() {
    values_.push_back(-1);
    return static_cast<std::int32_t>(values_.size() - 1);
  }

  FlatMap roots_, children_;
  std::vector<std::int32_t> values_;
};

}  // namespace structgen
