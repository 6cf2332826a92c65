// Adjacent repeats at the end of a growing sequence, of any period, found as soon as they are complete.
//
// A run of period p is a stretch in which every symbol equals the one p before it, as long to both sides as that holds; it counts
// from two copies of its unit on, and only under its least period. In C A B A B the unit is A B: the run begins where the repeating
// does, and that is where its copies are counted from.
//
// A run of period p is first seen when its second copy is complete. For periods from m to 2m - 1, m a power of two, that is looked
// for at every (m / 2)-th symbol: one Z-function of the reversed last 4m symbols (Main and Lorentz, 1984) says how far the end repeats
// what is p before it, for all p at once. Where less than m / 2 symbols are missing to a second copy, a check is scheduled for when
// they are there. That is a constant number of steps per symbol and power of two: O(log window), amortised. A check compares the
// texts themselves, no hashes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace structgen {

// Values: copied, so that branches share nothing. Two copies of a unit must fit into the window for a run to be found; afterwards it
// is followed for as long as it goes on.
class Repeats {
 public:
  // `matched` symbols equal the one `period` before them: what follows the first copy.
  struct Run {
    std::int32_t period;
    std::int64_t matched;
  };

  explicit Repeats(std::int32_t window) : window_(window) {}
  void append(std::int32_t symbol);

  std::int32_t window() const { return window_; }
  std::int64_t length() const { return length_; }
  // The last symbols, one more than the window if there were as many.
  const std::vector<std::int32_t>& text() const { return text_; }
  const std::vector<Run>& runs() const { return runs_; }
  // What is one symbol short of a complete copy: runs, and squares that would be new.
  std::vector<Run> nearly() const;

 private:
  // A second copy that may be complete at a length; `missing` symbols were not there when it was scheduled.
  struct Due {
    std::int64_t at;
    std::int32_t period, missing;
  };
  bool repeats(std::int32_t count, std::int32_t period) const;
  void schedule();

  std::int32_t window_;
  std::int64_t length_ = 0;
  std::vector<std::int32_t> text_;
  std::vector<Run> runs_;
  std::vector<Due> due_;
};

}  // namespace structgen
