#include "json_value.hpp"

#include <algorithm>

namespace structgen {

namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The sum of an exponent of any length, without leading zeros, and a number that is small beside the longest ones.
std::string shifted_exponent(bool negative, std::string digits, std::int64_t shift) {
  constexpr std::size_t kPlainDigits = 18;
  if (digits.size() <= kPlainDigits) {
    const std::int64_t value = digits.empty() ? 0 : std::stoll(digits);
    return std::to_string((negative ? -value : value) + shift);
  }
  // From here on the shift never changes the sign. From the last digit to the first, `carry` is what is still to be added.
  std::int64_t carry = negative ? -shift : shift;
  for (std::size_t i = digits.size(); i-- > 0 && carry != 0;) {
    const std::int64_t sum = (digits[i] - '0') + carry;
    const std::int64_t digit = (sum % 10 + 10) % 10;
    digits[i] = static_cast<char>('0' + digit);
    carry = (sum - digit) / 10;
  }
  if (carry != 0) digits.insert(0, std::to_string(carry));
  digits.erase(0, digits.find_first_not_of('0'));
  return (negative ? "-" : "") + digits;
}

// Reads values without recursion: documents nest deeper than stacks do.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  // The canonical texts of the outermost array's items, or of the one value when `items` is false.
  bool read(bool items, std::vector<std::string>& out) {
    struct Open {
      bool object;
      std::string key;
      std::vector<std::pair<std::string, std::string>> members;  // items have no key
    };
    std::vector<Open> open;
    while (true) {
      space();
      if (at_ == text_.size()) return false;
      std::string value;
      const char c = text_[at_];
      if (c == '[' || c == '{') {
        ++at_;
        open.push_back({c == '{', {}, {}});
        space();
        if (!eat(c == '{' ? '}' : ']')) {
          if (c == '{' && !key(open.back().key)) return false;
          continue;
        }
        open.pop_back();
        value = c == '{' ? "{}" : "[]";
        if (items && open.empty()) return c == '[' && end();
      } else if (!scalar(value)) {
        return false;
      }
      // Whatever the value ends, ends.
      while (true) {
        space();
        if (open.empty()) {
          if (!items) out.push_back(std::move(value));
          return !items && end();
        }
        Open& top = open.back();
        top.members.emplace_back(std::move(top.key), std::move(value));
        if (eat(',')) {
          space();
          top.key.clear();
          if (top.object && !key(top.key)) return false;
          break;
        }
        if (!eat(top.object ? '}' : ']')) return false;
        if (items && open.size() == 1) {
          if (top.object) return false;
          for (auto& member : top.members) out.push_back(std::move(member.second));
          return end();
        }
        value = close(top.object, std::move(top.members));
        open.pop_back();
      }
    }
  }

 private:
  static std::string close(bool object, std::vector<std::pair<std::string, std::string>> members) {
    if (object) std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string out(1, object ? '{' : '[');
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (object && i + 1 < members.size() && members[i].first == members[i + 1].first) continue;
      out += members[i].first;
      out += members[i].second;
    }
    out.push_back(object ? '}' : ']');
    return out;
  }

  void space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool eat(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool end() {
    space();
    return at_ == text_.size();
  }
  bool key(std::string& out) {
    if (!string(out)) return false;
    space();
    return eat(':');
  }

  bool scalar(std::string& out) {
    const char c = text_[at_];
    if (c == '"') return string(out);
    if (c == '-' || is_digit(c)) return number(out);
    for (const char* word : {"true", "false", "null"}) {
      const std::string_view name(word);
      if (text_.substr(at_, name.size()) != name) continue;
      at_ += name.size();
      out = c == 'n' ? "z" : std::string(1, c);
      return true;
    }
    return false;
  }

  bool hex(std::uint32_t& out) {
    if (text_.size() - at_ < 4) return false;
    out = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const int digit = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (digit < 0) return false;
      out = out << 4 | static_cast<std::uint32_t>(digit);
    }
    return true;
  }

  bool string(std::string& out) {
    if (!eat('"')) return false;
    std::string value;
    while (true) {
      if (at_ == text_.size()) return false;
      const char c = text_[at_++];
      if (c == '"') break;
      if (c != '\\') {
        value.push_back(c);
        continue;
      }
      if (at_ == text_.size()) return false;
      const char escape = text_[at_++];
      static constexpr std::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
      const std::size_t which = kEscapes.find(escape);
      if (which != std::string_view::npos) {
        value.push_back(kMeanings[which]);
        continue;
      }
      std::uint32_t unit, low;
      if (escape != 'u' || !hex(unit)) return false;
      if (unit >= 0xD800 && unit < 0xDC00 && text_.substr(at_, 2) == "\\u") {
        const std::size_t before = at_;
        at_ += 2;
        if (!hex(low)) return false;
        if (low >= 0xDC00 && low < 0xE000)
          unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        else
          at_ = before;
      }
      append_utf8(value, unit);
    }
    out = "s" + std::to_string(value.size()) + ":" + value;
    return true;
  }

  bool number(std::string& out) {
    const bool negative = eat('-');
    std::string digits, exponent;
    std::size_t fraction = 0;
    const auto run = [&](std::string& into) {
      const std::size_t begin = at_;
      while (at_ < text_.size() && is_digit(text_[at_])) into.push_back(text_[at_++]);
      return at_ - begin;
    };
    if (run(digits) == 0) return false;
    if (eat('.') && (fraction = run(digits)) == 0) return false;
    bool down = false;
    if (eat('e') || eat('E')) {
      down = eat('-');
      if (!down) eat('+');
      if (run(exponent) == 0) return false;
    }
    std::size_t zeros = 0;
    while (zeros < digits.size() && digits[digits.size() - 1 - zeros] == '0') ++zeros;
    digits.resize(digits.size() - zeros);
    digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
    exponent.erase(0, std::min(exponent.find_first_not_of('0'), exponent.size()));
    if (digits.empty()) {
      out = "n0;";
      return true;
    }
    out = negative ? "n-" : "n";
    const std::int64_t shift = static_cast<std::int64_t>(zeros) - static_cast<std::int64_t>(fraction);
    out += digits + "e" + shifted_exponent(down, std::move(exponent), shift) + ";";
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

void append_utf8(std::string& out, std::uint32_t c) {
  const auto push = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return push(c);
  if (c < 0x800) {
    push(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      push(0xE0 | c >> 12);
    } else {
      push(0xF0 | c >> 18);
      push(0x80 | (c >> 12 & 0x3F));
    }
    push(0x80 | (c >> 6 & 0x3F));
  }
  push(0x80 | (c & 0x3F));
}

std::string canonical_json(std::string_view text) {
  std::vector<std::string> out;
  return Reader(text).read(false, out) ? std::move(out[0]) : "x" + std::string(text);
}

std::vector<std::string> canonical_items(std::string_view text, bool& valid) {
  std::vector<std::string> out;
  valid = Reader(text).read(true, out);
  return out;
}

bool parse_decimal(std::string_view canonical, Decimal& out) {
  canonical = canonical.substr(1, canonical.size() - 2);
  out = {};
  if (canonical == "0") return true;
  out.negative = canonical[0] == '-';
  const std::size_t e = canonical.find('e');
  out.digits = std::string(canonical.substr(out.negative, e - out.negative));
  const std::string exponent(canonical.substr(e + 1));
  if (exponent.size() > 18) return false;
  out.exponent = std::stoll(exponent);
  return true;
}

std::vector<std::uint32_t> string_characters(std::string_view canonical) {
  std::vector<std::uint32_t> out;
  for (std::size_t i = canonical.find(':') + 1; i < canonical.size();) {
    const std::uint32_t lead = static_cast<std::uint8_t>(canonical[i]);
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t c = size == 1 ? lead : lead & (0x7FU >> size);
    for (std::size_t k = 1; k < size && i + k < canonical.size(); ++k) c = c << 6 | (static_cast<std::uint8_t>(canonical[i + k]) & 0x3F);
    out.push_back(c);
    i += size;
  }
  return out;
}

}  // namespace structgen
