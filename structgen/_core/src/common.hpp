// Shared small things: errors, hashing, an open-addressing index over interned records.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace structgen {

inline constexpr std::uint32_t kMaxCodePoint = 0x10FFFF;
inline constexpr std::int32_t kInfinity = -1;  // an absent upper bound of a count

// A documented limit was exceeded; surfaces as structgen.LimitError, with the option that sets the limit where there is one.
struct LimitError : std::runtime_error {
  explicit LimitError(const std::string& message, const char* limit = nullptr) : std::runtime_error(message), option(limit) {}
  const char* option;
};

inline std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  x ^= x >> 32;
  return x;
}

// Two numbers as one key.
inline std::uint64_t pair_key(std::int32_t a, std::int32_t b) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(a)) << 32 | static_cast<std::uint32_t>(b);
}

inline std::uint64_t combine(std::uint64_t seed, std::uint64_t value) {
  return mix(seed * 0x9e3779b97f4a7c15ULL + value);
}

// Maps hashes to indices of records that live elsewhere. The caller supplies equality, so records
// are stored once and keys are never copied.
class Index {
 public:
  template <class Equal>
  std::int32_t find(std::uint64_t hash, Equal&& equal) const {
    if (slots_.empty()) return -1;
    const std::uint32_t tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::size_t at = hash & mask_;; at = (at + 1) & mask_) {
      const Slot& slot = slots_[at];
      if (slot.value < 0) return -1;
      if (slot.tag == tag && equal(slot.value)) return slot.value;
    }
  }

  void insert(std::uint64_t hash, std::int32_t value) {
    if ((count_ + 1) * 4 > slots_.size() * 3) grow();
    place(hash, value);
    ++count_;
  }

  void erase(std::uint64_t hash, std::int32_t value) {
    if (slots_.empty()) return;
    std::size_t hole = hash & mask_;
    for (; slots_[hole].value != value; hole = (hole + 1) & mask_)
      if (slots_[hole].value < 0) return;
    // What comes behind moves up, unless that would put it in front of where its search begins.
    for (std::size_t at = (hole + 1) & mask_; slots_[at].value >= 0; at = (at + 1) & mask_) {
      if (((at - hashes_[at]) & mask_) < ((at - hole) & mask_)) continue;
      slots_[hole] = slots_[at];
      hashes_[hole] = hashes_[at];
      hole = at;
    }
    slots_[hole] = Slot{};
    --count_;
  }

  void clear() {
    slots_.clear();
    hashes_.clear();
    count_ = 0;
    mask_ = 0;
  }

  std::size_t bytes() const { return slots_.size() * (sizeof(Slot) + sizeof(std::uint64_t)); }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::int32_t value = -1;
  };

  void place(std::uint64_t hash, std::int32_t value) {
    std::size_t at = hash & mask_;
    while (slots_[at].value >= 0) at = (at + 1) & mask_;
    slots_[at] = Slot{static_cast<std::uint32_t>(hash >> 32), value};
    hashes_[at] = hash;
  }

  void grow() {
    std::vector<Slot> old_slots = std::move(slots_);
    std::vector<std::uint64_t> old_hashes = std::move(hashes_);
    const std::size_t size = old_slots.empty() ? 16 : old_slots.size() * 2;
    slots_.assign(size, Slot{});
    hashes_.assign(size, 0);
    mask_ = size - 1;
    for (std::size_t i = 0; i < old_slots.size(); ++i)
      if (old_slots[i].value >= 0) place(old_hashes[i], old_slots[i].value);
  }

  std::vector<Slot> slots_;
  std::vector<std::uint64_t> hashes_;
  std::size_t mask_ = 0;
  std::size_t count_ = 0;
};

// A map from 64-bit keys to 32-bit values, for memo tables.
class FlatMap {
 public:
  static constexpr std::uint64_t kEmpty = ~0ULL;

  // The value, or `missing`.
  std::int32_t get(std::uint64_t key, std::int32_t missing) const {
    if (slots_.empty()) return missing;
    for (std::size_t at = mix(key) & mask_;; at = (at + 1) & mask_) {
      if (slots_[at].key == key) return slots_[at].value;
      if (slots_[at].key == kEmpty) return missing;
    }
  }

  void put(std::uint64_t key, std::int32_t value) {
    if ((count_ + 1) * 4 > slots_.size() * 3) grow();
    std::size_t at = mix(key) & mask_;
    while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & mask_;
    if (slots_[at].key == kEmpty) ++count_;
    slots_[at] = Slot{key, value};
  }

  void clear() {
    slots_.clear();
    count_ = 0;
    mask_ = 0;
  }

  std::size_t size() const { return count_; }
  std::size_t bytes() const { return slots_.size() * sizeof(Slot); }

 private:
  struct Slot {
    std::uint64_t key = kEmpty;
    std::int32_t value = 0;
  };

  void grow() {
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(old.empty() ? 16 : old.size() * 2, Slot{});
    mask_ = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.key == kEmpty) continue;
      std::size_t at = mix(slot.key) & mask_;
      while (slots_[at].key != kEmpty) at = (at + 1) & mask_;
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
  std::size_t count_ = 0;
};

}  // namespace structgen
