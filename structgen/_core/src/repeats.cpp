#include "repeats.hpp"

#include <algorithm>

namespace structgen {

namespace {

// How many symbols at the end of a text equal those p before, for each p up to `highest`: the Z-function of the reversed text.
std::vector<std::int32_t> common_suffixes(const std::vector<std::int32_t>& text, std::int32_t highest) {
  const std::int32_t size = static_cast<std::int32_t>(std::min(text.size(), static_cast<std::size_t>(2 * highest + 1)));
  const auto reversed = [&](std::int32_t i) { return text[text.size() - 1 - static_cast<std::size_t>(i)]; };
  std::vector<std::int32_t> z(static_cast<std::size_t>(std::max(highest, size)) + 1, 0);
  std::int32_t left = 0, right = 0;
  for (std::int32_t i = 1; i <= std::min(highest, size - 1); ++i) {
    std::int32_t k = i < right ? std::min(right - i, z[static_cast<std::size_t>(i - left)]) : 0;
    while (i + k < size && reversed(k) == reversed(i + k)) ++k;
    z[static_cast<std::size_t>(i)] = k;
    if (i + k > right) {
      left = i;
      right = i + k;
    }
  }
  return z;
}

}  // namespace

// Whether the last symbols equal those `period` before them.
bool Repeats::repeats(std::int32_t count, std::int32_t period) const {
  if (text_.size() < static_cast<std::size_t>(count + period)) return false;
  return std::equal(text_.end() - count, text_.end(), text_.end() - count - period);
}

void Repeats::append(std::int32_t symbol) {
  if (text_.size() > static_cast<std::size_t>(window_)) text_.erase(text_.begin());
  text_.push_back(symbol);
  ++length_;
  const auto ended = [&](Run& run) {
    ++run.matched;
    return text_[text_.size() - 1 - static_cast<std::size_t>(run.period)] != symbol;
  };
  runs_.erase(std::remove_if(runs_.begin(), runs_.end(), ended), runs_.end());
  std::vector<Due> now;
  for (const Due& due : due_)
    if (due.at == length_) now.push_back(due);
  due_.erase(std::remove_if(due_.begin(), due_.end(), [&](const Due& due) { return due.at <= length_; }), due_.end());
  // A run of a shorter period that explains another is known before it.
  std::sort(now.begin(), now.end(), [](const Due& a, const Due& b) { return a.period < b.period; });
  for (const Due& due : now) {
    if (!repeats(due.missing, due.period)) continue;
    const auto explains = [&](const Run& run) { return due.period % run.period == 0 && run.matched + run.period >= 2 * std::int64_t{due.period}; };
    if (std::none_of(runs_.begin(), runs_.end(), explains)) runs_.push_back({due.period, due.period});
  }
  schedule();
}

void Repeats::schedule() {
  const auto size = static_cast<std::int32_t>(text_.size());
  for (std::int32_t least = 1; 2 * least <= window_; least *= 2) {
    const std::int32_t step = std::max(1, least / 2);
    if (length_ % step != 0) continue;
    // Symbols before the second copy's end that must be there already.
    const std::int32_t block = least - step, highest = std::min(2 * least - 1, window_ / 2);
    if (size < least + block) continue;
    if (block > 0) {
      const auto begin = text_.begin() + std::max(0, size - highest - block), end = text_.end() - least;
      if (std::search(begin, end, text_.end() - block, text_.end()) == end) continue;
    }
    const std::vector<std::int32_t> reach = common_suffixes(text_, highest);
    for (std::int32_t period = least; period <= highest; ++period) {
      const std::int32_t missing = period - reach[static_cast<std::size_t>(period)];
      if (missing > 0 && missing <= step) due_.push_back({length_ + missing, period, missing});
    }
  }
}

std::vector<Repeats::Run> Repeats::nearly() const {
  std::vector<Run> near;
  std::vector<std::int32_t> known;
  for (const Run& run : runs_) {
    known.push_back(run.period);
    if (run.matched % run.period == run.period - 1) near.push_back(run);
  }
  for (const Due& due : due_) {
    if (due.at != length_ + 1 || std::find(known.begin(), known.end(), due.period) != known.end()) continue;
    if (!repeats(due.missing - 1, due.period)) continue;
    known.push_back(due.period);
    near.push_back({due.period, due.period - 1});
  }
  return near;
}

}  // namespace structgen
