#include "decoder.hpp"

#include <algorithm>

namespace structgen {

namespace {

constexpr Fed kDeadFed{Fed::kDead, 0};

Fed pending(DecoderMode mode, std::uint32_t payload) { return {Fed::kPending, (static_cast<std::uint32_t>(mode) << 28) | payload}; }

// The code points that a UTF-8 sequence of `length` bytes can become, given its leading bits.
Range utf8_range(std::uint32_t length, std::uint32_t remaining, std::uint32_t bits) {
  static constexpr std::uint32_t kLowest[] = {0, 0, 0x80, 0x800, 0x10000};
  const std::uint32_t shift = 6 * remaining;
  return {std::max(bits << shift, kLowest[length]), std::min((bits << shift) | ((1U << shift) - 1), kMaxCodePoint)};
}

bool usable(const Range& r) { return r.low <= r.high && !(r.low >= 0xD800 && r.high <= 0xDFFF); }

Fed feed_utf8_lead(std::uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return pending(kUtf8, (1U << 26) | (1U << 24) | (byte & 0x1FU));
  if (byte >= 0xE0 && byte <= 0xEF) return pending(kUtf8, (2U << 26) | (2U << 24) | (byte & 0x0FU));
  if (byte >= 0xF0 && byte <= 0xF4) return pending(kUtf8, (3U << 26) | (3U << 24) | (byte & 0x07U));
  return kDeadFed;
}

int short_escape(std::uint8_t byte) {
  switch (byte) {
    case '"': return '"';
    case '\\': return '\\';
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return -1;
  }
}

bool has_short_escape(std::uint32_t c) { return c == 8 || c == 9 || c == 10 || c == 12 || c == 13; }

int hex_digit(std::uint8_t byte, bool lower_only) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F' && !lower_only) return byte - 'A' + 10;
  return -1;
}

// json.dumps writes \u00XX only for control characters without a short escape.
const CharSet& minimal_hex_characters() {
  static const CharSet set{{0x00, 0x07}, {0x0B, 0x0B}, {0x0E, 0x1F}};
  return set;
}

CharSet hex_ranges(std::uint32_t digits, std::uint32_t value) {
  const std::uint32_t shift = 4 * (4 - digits);
  const Range r{value << shift, (value << shift) | ((1U << shift) - 1)};
  CharSet out{r};
  // Escaped high surrogates stand for supplementary characters.
  const std::uint32_t high_low = std::max(r.low, 0xD800U), high_high = std::min(r.high, 0xDBFFU);
  if (high_low <= high_high) out.push_back({0x10000 + ((high_low - 0xD800) << 10), 0x10000 + ((high_high - 0xD800) << 10) + 0x3FF});
  return out;
}

}  // namespace

Fed feed(Kind kind, Decoder decoder, std::uint8_t byte) {
  const std::uint32_t payload = decoder_payload(decoder);
  const bool all = kind == Kind::kStringAll;
  switch (decoder_mode(decoder)) {
    case kClean:
      if (kind != Kind::kText) {
        if (byte == '"') return {Fed::kClose, 0};
        if (byte == '\\') return pending(kBackslash, 0);
        if (byte < 0x20) return kDeadFed;
      }
      if (byte < 0x80) return {Fed::kChar, byte};
      return feed_utf8_lead(byte);
    case kUtf8: {
      if ((byte & 0xC0) != 0x80) return kDeadFed;
      const std::uint32_t length = (payload >> 26) + 1, remaining = ((payload >> 24) & 3) - 1;
      const std::uint32_t bits = ((payload & 0xFFFFFF) << 6) | (byte & 0x3FU);
      if (!usable(utf8_range(length, remaining, bits))) return kDeadFed;
      if (remaining == 0) return {Fed::kChar, bits};
      return pending(kUtf8, ((length - 1) << 26) | (remaining << 24) | bits);
    }
    case kBackslash: {
      const int c = short_escape(byte);
      if (c >= 0) return {Fed::kChar, static_cast<std::uint32_t>(c)};
      if (byte == '/' && all) return {Fed::kChar, '/'};
      if (byte == 'u') return pending(kHex, 0);
      return kDeadFed;
    }
    case kHex: {
      const int digit = hex_digit(byte, !all);
      if (digit < 0) return kDeadFed;
      const std::uint32_t digits = (payload >> 16) + 1, value = ((payload & 0xFFFF) << 4) | static_cast<std::uint32_t>(digit);
      if (!all && (digits < 4 ? (value << (4 * (4 - digits))) >= 0x20 : value >= 0x20 || has_short_escape(value))) return kDeadFed;
      if (digits < 4) {
        // Nothing but low surrogates ahead, which stand for no character of their own.
        const std::uint32_t shift = 4 * (4 - digits), low = value << shift;
        if (low >= 0xDC00 && (low | ((1U << shift) - 1)) <= 0xDFFF) return kDeadFed;
        return pending(kHex, (digits << 16) | value);
      }
      if (value >= 0xD800 && value <= 0xDBFF) return pending(kLowBackslash, value - 0xD800);
      if (value >= 0xDC00 && value <= 0xDFFF) return kDeadFed;
      return {Fed::kChar, value};
    }
    case kLowBackslash:
      return byte == '\\' ? pending(kLowU, payload) : kDeadFed;
    case kLowU:
      return byte == 'u' ? pending(kLowHex, payload << 16) : kDeadFed;
    case kLowHex: {
      const int digit = hex_digit(byte, false);
      if (digit < 0) return kDeadFed;
      const std::uint32_t digits = (payload >> 26) + 1, high = (payload >> 16) & 0x3FF;
      const std::uint32_t value = ((payload & 0xFFFF) << 4) | static_cast<std::uint32_t>(digit);
      const std::uint32_t shift = 4 * (4 - digits);
      if ((value << shift) > 0xDFFF || (((value + 1) << shift) - 1) < 0xDC00) return kDeadFed;
      if (digits < 4) return pending(kLowHex, (digits << 26) | (high << 16) | value);
      return {Fed::kChar, 0x10000 + (high << 10) + (value - 0xDC00)};
    }
    case kOpen:
      return byte == '"' ? Fed{Fed::kPending, kClean} : kDeadFed;
  }
  return kDeadFed;
}

CharSet pending_ranges(Kind kind, Decoder decoder) {
  const std::uint32_t payload = decoder_payload(decoder);
  const bool all = kind == Kind::kStringAll;
  switch (decoder_mode(decoder)) {
    case kUtf8: return {utf8_range((payload >> 26) + 1, (payload >> 24) & 3, payload & 0xFFFFFF)};
    case kBackslash:
      return all ? CharSet{{0, kMaxCodePoint}} : CharSet{{0x00, 0x1F}, {'"', '"'}, {'\\', '\\'}};
    case kHex: {
      const CharSet ranges = hex_ranges(payload >> 16, payload & 0xFFFF);
      return all ? ranges : set_intersection({ranges[0]}, minimal_hex_characters());
    }
    case kLowBackslash:
    case kLowU: return {{0x10000 + (payload << 10), 0x10000 + (payload << 10) + 0x3FF}};
    case kLowHex: {
      const std::uint32_t shift = 4 * (4 - (payload >> 26)), high = 0x10000 + (((payload >> 16) & 0x3FF) << 10);
      const std::uint32_t low = std::max((payload & 0xFFFF) << shift, 0xDC00U);
      const std::uint32_t top = std::min((((payload & 0xFFFF) + 1) << shift) - 1, 0xDFFFU);
      return {{high + low - 0xDC00, high + top - 0xDC00}};
    }
    case kClean:
    case kOpen: break;
  }
  return {{0, kMaxCodePoint}};
}

}  // namespace structgen
