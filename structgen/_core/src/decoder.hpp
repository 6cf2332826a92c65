// Byte decoders in front of code-point residuals: UTF-8, and JSON strings with their escapes.
#pragma once

#include <cstdint>
#include <vector>

#include "regex.hpp"

namespace structgen {

enum class Kind : std::uint8_t {
  kText,           // plain UTF-8
  kStringMinimal,  // a JSON string spelled as json.dumps(..., ensure_ascii=False) spells it
  kStringAll,      // a JSON string with every legal escape
};

// A decoder state is a mode in the top four bits and a payload. Zero is "between characters".
using Decoder = std::uint32_t;

enum DecoderMode : std::uint32_t {
  kClean = 0,
  kUtf8 = 1,          // payload: length - 1 << 26 | remaining << 24 | bits so far
  kBackslash = 2,
  kHex = 3,           // payload: digits read << 16 | value
  kLowBackslash = 4,  // a high surrogate was escaped; payload: its ten bits
  kLowU = 5,
  kLowHex = 6,        // payload: digits read << 26 | high << 16 | value
  kOpen = 7,          // before the opening quote
};

inline constexpr Decoder kDecoderOpen = static_cast<Decoder>(kOpen) << 28;

inline DecoderMode decoder_mode(Decoder d) { return static_cast<DecoderMode>(d >> 28); }
inline std::uint32_t decoder_payload(Decoder d) { return d & 0x0FFFFFFF; }

struct Fed {
  enum Status : std::uint8_t { kDead, kPending, kChar, kClose } status;
  std::uint32_t value;  // the pending decoder state, or the code point
};

Fed feed(Kind kind, Decoder decoder, std::uint8_t byte);

// The code points that a pending decoder state can still become.
CharSet pending_ranges(Kind kind, Decoder decoder);

}  // namespace structgen
