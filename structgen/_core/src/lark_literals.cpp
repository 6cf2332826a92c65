// String and regular expression literals of Lark grammars, read as lark.load_grammar does.
#include <cstring>

#include "lark_loader.hpp"

namespace structgen::larkread {

namespace {

constexpr std::uint32_t kLastCodePoint = 0x10FFFF;

void append(std::string& to, std::uint32_t c) {
  if (c > kLastCodePoint || (c >= 0xD800 && c <= 0xDFFF)) throw NotPlain{};
  const auto put = [&](std::uint32_t byte) { to.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

void replace(std::string& text, const char* from, const char* to) {
  const std::size_t length = std::strlen(from), other = std::strlen(to);
  for (std::size_t i = 0; (i = text.find(from, i)) != std::string::npos; i += other) text.replace(i, length, to);
}

std::uint32_t hexadecimal(const std::string& text, std::size_t from, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = from; i < from + count; ++i) {
    const char c = i < text.size() ? text[i] : '\0';
    if (c >= '0' && c <= '9') value = value * 16 + static_cast<std::uint32_t>(c - '0');
    else if (c >= 'a' && c <= 'f') value = value * 16 + static_cast<std::uint32_t>(c - 'a' + 10);
    else if (c >= 'A' && c <= 'F') value = value * 16 + static_cast<std::uint32_t>(c - 'A' + 10);
    else throw NotPlain{};
  }
  return value;
}

// What Python makes of a string literal of this text, in quotes that it does not hold.
std::string evaluate(const std::string& text) {
  std::string made;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\0' || text[i] == '\r') throw NotPlain{};
    if (text[i] != '\\') {
      made.push_back(text[i]);
      continue;
    }
    if (++i == text.size()) throw NotPlain{};
    switch (text[i]) {
      case '\\':
      case '\'':
      case '"': made.push_back(text[i]); break;
      case 'n': made.push_back('\n'); break;
      case 'r': made.push_back('\r'); break;
      case 't': made.push_back('\t'); break;
      case 'f': made.push_back('\f'); break;
      case 'x':
      case 'u':
      case 'U': {
        const std::size_t digits = text[i] == 'x' ? 2 : text[i] == 'u' ? 4 : 8;
        append(made, hexadecimal(text, i + 1, digits));
        i += digits;
        break;
      }
      default: throw NotPlain{};
    }
  }
  return made;
}

// lark.load_grammar.eval_escaping
std::string unescape(const std::string& text) {
  std::string made;
  for (std::size_t i = 0; i < text.size(); ++i) {
    made.push_back(text[i]);
    if (text[i] != '\\') continue;
    if (++i == text.size()) throw NotPlain{};
    if (text[i] == '\\') made += "\\\\";
    else if (std::strchr("Uuxnftr", text[i]) == nullptr || text[i] == '\0') made.push_back('\\');
    made.push_back(text[i]);
  }
  replace(made, "\\\"", "\"");
  replace(made, "'", "\\'");
  return evaluate(made);
}

// re.escape
std::string escape(const std::string& text) {
  std::string made;
  for (const char c : text) {
    if (c != '\0' && std::strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", c) != nullptr) made.push_back('\\');
    made.push_back(c);
  }
  return made;
}

}  // namespace

std::size_t code_points(const std::string& text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

std::string Literal::regexp() const {
  const std::string plain = string ? escape(value) : value;
  return flag == 0 ? plain : std::string("(?") + flag + ":" + plain + ")";
}

Literal read_literal(const std::string& spelling) {
  Literal made;
  made.string = spelling[0] == '"';
  const std::size_t end = spelling.find_last_of(made.string ? "\"" : "/\"");
  // Lark keeps several flags as a set, whose order is any.
  if (spelling.size() > end + 2) throw NotPlain{};
  if (spelling.size() == end + 2) made.flag = spelling[end + 1];
  if (spelling.find('\n') != std::string::npos && made.flag != 'x') throw NotPlain{};
  made.value = unescape(spelling.substr(1, end - 1));
  if (made.value.empty()) throw NotPlain{};
  if (made.string) replace(made.value, "\\\\", "\\");
  made.raw = spelling;
  return made;
}

Literal read_range(const std::string& first, const std::string& last) {
  std::string value = "[";
  for (const std::string& one : {first, last}) {
    if (one.back() != '"') throw NotPlain{};
    const std::string inner = one.substr(1, one.size() - 2);
    if (code_points(unescape(inner)) != 1) throw NotPlain{};
    value += (value.size() == 1 ? "" : "-") + inner;
  }
  Literal made;
  made.value = value + "]";
  return made;
}

}  // namespace structgen::larkread
