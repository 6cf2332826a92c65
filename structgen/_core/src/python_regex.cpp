// The parser of Python's re (re._parser of the standard library), for what is common.
#include "python_regex.hpp"

#include <algorithm>

namespace structgen::pyregex {

namespace {

constexpr int kDeepest = 30;  // groups: Python refuses trees deeper than 100
constexpr std::size_t kLongest = 65536;
constexpr std::int64_t kMostCopies = 1 << 30;
constexpr std::uint32_t kEnd = ~0U;
constexpr std::uint32_t kEscaped = 1U << 31;  // a character behind a backslash

bool is_digit(std::uint32_t c) { return c >= '0' && c <= '9'; }
bool is_octal(std::uint32_t c) { return c >= '0' && c <= '7'; }
bool is_letter(std::uint32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_space(std::uint32_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

class Parser {
 public:
  explicit Parser(const std::string& pattern) : text_(decode(pattern)) {
    if (text_.size() > kLongest) throw NotPlain{};
  }

  Sequence run() {
    Sequence made = options(false, 0);
    if (next() != kEnd) throw NotPlain{};
    return made;
  }

 private:
  // -- characters, each with the backslash in front of it ------------------------------------------------------------------------------

  std::uint32_t next() const {
    if (at_ >= text_.size()) return kEnd;
    if (text_[at_] != '\\') return text_[at_];
    if (at_ + 1 >= text_.size()) throw NotPlain{};
    return text_[at_ + 1] | kEscaped;
  }
  std::uint32_t get() {
    const std::uint32_t c = next();
    if (c == kEnd) throw NotPlain{};
    at_ += (c & kEscaped) != 0 ? 2 : 1;
    return c;
  }
  bool match(std::uint32_t c) {
    if (next() != c) return false;
    get();
    return true;
  }

  // -- parts of a pattern --------------------------------------------------------------------------------------------------------------

  // _parse_sub
  Sequence options(bool verbose, int depth) {
    if (depth > kDeepest) throw NotPlain{};
    std::vector<Sequence> found;
    do found.push_back(sequence(verbose, depth)); while (match('|'));
    if (found.size() == 1) return std::move(found[0]);
    Sequence made = common_prefix(found);
    Item set{Item::Kind::kSet};
    for (const Sequence& option : found) {
      if (option.size() != 1) return branch(std::move(made), std::move(found));
      const Item& only = option[0];
      if (only.kind == Item::Kind::kLiteral) set.members.push_back({Member::Kind::kLiteral, only.value, only.value});
      else if (only.kind == Item::Kind::kSet && !only.negative) set.members.insert(set.members.end(), only.members.begin(), only.members.end());
      else return branch(std::move(made), std::move(found));
    }
    drop_doubles(set.members);
    made.push_back(std::move(set));
    return made;
  }

  static Sequence branch(Sequence made, std::vector<Sequence> found) {
    made.push_back({Item::Kind::kBranch});
    made.back().inside = std::move(found);
    return made;
  }

  // Moves what all options begin with out of them.
  static Sequence common_prefix(std::vector<Sequence>& found) {
    std::size_t shared = 0;
    const auto same = [&](const Sequence& option) { return option.size() > shared && equal(option[shared], found[0][shared]); };
    while (found[0].size() > shared && std::all_of(found.begin(), found.end(), same)) ++shared;
    Sequence made(found[0].begin(), found[0].begin() + static_cast<std::ptrdiff_t>(shared));
    for (Sequence& option : found) option.erase(option.begin(), option.begin() + static_cast<std::ptrdiff_t>(shared));
    return made;
  }

  // What holds a pattern is equal to nothing else.
  static bool equal(const Item& a, const Item& b) {
    if (a.kind != b.kind || a.value != b.value || a.negative != b.negative) return false;
    return a.inside.empty() && b.inside.empty() && a.members == b.members;
  }

  static void drop_doubles(std::vector<Member>& members) {
    std::vector<Member> kept;
    for (const Member& one : members)
      if (std::find(kept.begin(), kept.end(), one) == kept.end()) kept.push_back(one);
    members = std::move(kept);
  }

  // _parse
  Sequence sequence(bool verbose, int depth) {
    Sequence made;
    for (;;) {
      std::uint32_t c = next();
      if (c == kEnd || c == '|' || c == ')') break;
      get();
      if (verbose && is_space(c)) continue;
      if (verbose && c == '#') {
        while (next() != kEnd && get() != '\n') {}
        continue;
      }
      if ((c & kEscaped) != 0) {
        made.push_back(escape(c & ~kEscaped));
        continue;
      }
      switch (c) {
        case '[': made.push_back(set()); break;
        case '.': made.push_back({Item::Kind::kAny}); break;
        case '^':
        case '$':
          made.push_back({Item::Kind::kAnchor});
          made.back().value = c;
          break;
        case '(': made.push_back(group(verbose, depth)); break;
        case '*':
        case '+':
        case '?':
        case '{':
          if (c != '{' || !braces()) {
            if (c == '{') {
              made.push_back(literal(c));
              break;
            }
            low_ = c == '+' ? 1 : 0;
            high_ = c == '?' ? 1 : kInfinity;
          }
          quantify(made);
          break;
        default: made.push_back(literal(c));
      }
    }
    // Groups that are there for the brackets only.
    for (std::size_t i = made.size(); i-- > 0;) {
      if (!bare(made[i])) continue;
      Sequence inner = std::move(made[i].inside[0]);
      const auto place = made.erase(made.begin() + static_cast<std::ptrdiff_t>(i));
      made.insert(place, std::make_move_iterator(inner.begin()), std::make_move_iterator(inner.end()));
    }
    return made;
  }

  static bool bare(const Item& item) { return item.kind == Item::Kind::kGroup && !item.captures && item.added == 0 && item.removed == 0; }

  static Item literal(std::uint32_t c) {
    if (c >= 0xD800 && c <= 0xDFFF) throw NotPlain{};
    Item made{Item::Kind::kLiteral};
    made.value = c;
    return made;
  }

  // Reads the rest of {m,n}, or nothing.
  bool braces() {
    if (next() == '}') return false;
    const std::size_t here = at_;
    std::int64_t low = 0, high = -1;
    const bool any_low = number(low);
    if (match(',')) number(high);
    else if (any_low) high = low;
    if (!match('}')) {
      at_ = here;
      return false;
    }
    if (high >= 0 && high < low) throw NotPlain{};
    low_ = static_cast<std::int32_t>(low);
    high_ = high < 0 ? kInfinity : static_cast<std::int32_t>(high);
    return true;
  }

  bool number(std::int64_t& value) {
    bool any = false;
    while (is_digit(next())) {
      value = (any ? value : 0) * 10 + (get() - '0');
      if (value >= kMostCopies) throw NotPlain{};
      any = true;
    }
    return any;
  }

  void quantify(Sequence& made) {
    if (made.empty() || made.back().kind == Item::Kind::kAnchor || made.back().kind == Item::Kind::kRepeat) throw NotPlain{};
    Item repeat{Item::Kind::kRepeat};
    repeat.low = low_;
    repeat.high = high_;
    repeat.lazy = match('?');
    if (!repeat.lazy && next() == '+') throw NotPlain{};
    if (bare(made.back())) {
      repeat.inside = std::move(made.back().inside);
    } else {
      repeat.inside.emplace_back();
      repeat.inside[0].push_back(std::move(made.back()));
    }
    made.back() = std::move(repeat);
  }

  Item group(bool verbose, int depth) {
    Item made{Item::Kind::kGroup};
    made.captures = true;
    if (match('?')) {
      std::uint32_t c = get();
      if (c == '=' || c == '!' || c == '<') {
        made.kind = Item::Kind::kLook;
        made.behind = c == '<';
        if (made.behind) c = get();
        if (c != '=' && c != '!') throw NotPlain{};
        made.negative = c == '!';
      } else if (c != ':') {
        flags(c, made);
        verbose = (verbose || (made.added & kVerbose) != 0) && (made.removed & kVerbose) == 0;
      }
      made.captures = false;
    }
    made.inside.push_back(options(verbose, depth + 1));
    if (!match(')')) throw NotPlain{};
    if (made.behind) {
      const Width w = width(made.inside[0]);
      if (!(w.low == w.high)) throw NotPlain{};
    }
    return made;
  }

  void flags(std::uint32_t c, Item& to) {
    std::uint32_t* into = &to.added;
    for (; c != ':'; c = get()) {
      switch (c) {
        case 'i': *into |= kIgnoreCase; break;
        case 'm': *into |= kMultiline; break;
        case 's': *into |= kDotAll; break;
        case 'x': *into |= kVerbose; break;
        case 'a':
        case 'u':
          if (into == &to.removed || (to.added & (kAscii | kUnicode)) != 0) throw NotPlain{};
          *into |= c == 'a' ? kAscii : kUnicode;
          break;
        case '-':
          if (into == &to.removed || next() == ':') throw NotPlain{};
          into = &to.removed;
          break;
        default: throw NotPlain{};
      }
    }
    if ((to.added & to.removed) != 0) throw NotPlain{};
  }

  // -- escapes and sets ----------------------------------------------------------------------------------------------------------------

  static bool is_category(std::uint32_t c) { return c == 'd' || c == 'D' || c == 's' || c == 'S' || c == 'w' || c == 'W'; }

  // _escape
  Item escape(std::uint32_t c) {
    if (c == 'A' || c == 'b' || c == 'Z') {
      Item made{Item::Kind::kAnchor};
      made.value = c;
      return made;
    }
    if (is_category(c)) {
      Item made{Item::Kind::kSet};
      made.members.push_back({Member::Kind::kCategory, c, c});
      return made;
    }
    // A number may be a reference to a group.
    if (is_digit(c) && c != '0') throw NotPlain{};
    return literal(character(c));
  }

  // The character that an escape is in any place.
  std::uint32_t character(std::uint32_t c) {
    switch (c) {
      case 'a': return 7;
      case 'f': return 12;
      case 'n': return 10;
      case 'r': return 13;
      case 't': return 9;
      case 'v': return 11;
      case 'x': return hexadecimal(2);
      case 'u': return hexadecimal(4);
      case 'U': return hexadecimal(8);
      default: break;
    }
    if (is_letter(c) || c == '8' || c == '9') throw NotPlain{};
    if (!is_octal(c)) return c;
    std::uint32_t value = c - '0';
    for (int digits = 1; digits < 3 && is_octal(next()); ++digits) value = value * 8 + (get() - '0');
    if (value > 0377) throw NotPlain{};
    return value;
  }

  std::uint32_t hexadecimal(int digits) {
    std::uint32_t value = 0;
    for (; digits > 0; --digits) {
      const std::uint32_t c = get();
      if (is_digit(c)) value = value * 16 + (c - '0');
      else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) value = value * 16 + ((c | 32) - 'a' + 10);
      else throw NotPlain{};
    }
    if (value > kMaxCodePoint || (value >= 0xD800 && value <= 0xDFFF)) throw NotPlain{};
    return value;
  }

  Item set() {
    Item made{Item::Kind::kSet};
    if (next() == '[') throw NotPlain{};  // what sets in sets may mean one day, Python warns of
    made.negative = match('^');
    for (bool first = true;; first = false) {
      const std::uint32_t c = get();
      if (c == ']' && !first) break;
      // Doubled operators of sets, which Python warns of.
      if (!first && (c == '-' || c == '&' || c == '~' || c == '|') && next() == c) throw NotPlain{};
      const Member low = member(c);
      if (!match('-')) {
        made.members.push_back(low);
        continue;
      }
      const std::uint32_t last = get();
      if (last == ']') {
        made.members.push_back(low);
        made.members.push_back({Member::Kind::kLiteral, '-', '-'});
        break;
      }
      if (last == '-') throw NotPlain{};
      const Member high = member(last);
      if (low.kind != Member::Kind::kLiteral || high.kind != Member::Kind::kLiteral || high.low < low.low) throw NotPlain{};
      made.members.push_back({Member::Kind::kRange, low.low, high.low});
    }
    drop_doubles(made.members);
    if (made.members.size() == 1 && made.members[0].kind == Member::Kind::kLiteral) {
      Item one = literal(made.members[0].low);
      if (made.negative) one.kind = Item::Kind::kNotLiteral;
      return one;
    }
    return made;
  }

  // _class_escape
  Member member(std::uint32_t c) {
    if ((c & kEscaped) != 0) {
      c &= ~kEscaped;
      if (is_category(c)) return {Member::Kind::kCategory, c, c};
      c = c == 'b' ? 8 : character(c);
    }
    return {Member::Kind::kLiteral, c, c};
  }

  std::vector<std::uint32_t> text_;
  std::size_t at_ = 0;
  std::int32_t low_ = 0, high_ = 0;  // of the quantifier just read
};

}  // namespace

std::vector<std::uint32_t> decode(const std::string& text) {
  std::vector<std::uint32_t> made;
  made.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at])); };
    const std::uint32_t first = byte(i);
    const std::size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (i + length > text.size()) throw NotPlain{};
    std::uint32_t c = length == 1 ? first : first & (0x7FU >> length);
    for (std::size_t k = 1; k < length; ++k) c = c << 6 | (byte(i + k) & 0x3F);
    made.push_back(c);
    i += length;
  }
  return made;
}

Sequence parse(const std::string& pattern) { return Parser(pattern).run(); }

Width width(const Sequence& items) {
  Width total{};
  for (const Item& item : items) {
    switch (item.kind) {
      case Item::Kind::kLiteral:
      case Item::Kind::kNotLiteral:
      case Item::Kind::kAny:
      case Item::Kind::kSet:
        total.low += {0, 1};
        total.high += {0, 1};
        break;
      case Item::Kind::kGroup: {
        const Width inner = width(item.inside[0]);
        total.low += inner.low;
        total.high += inner.high;
        break;
      }
      case Item::Kind::kBranch: {
        Width widest{kMaxWidth, {}};
        for (const Sequence& option : item.inside) {
          const Width one = width(option);
          widest = {std::min(widest.low, one.low), std::max(widest.high, one.high)};
        }
        total.low += widest.low;
        total.high += widest.high;
        break;
      }
      case Item::Kind::kRepeat: {
        const Width body = width(item.inside[0]);
        total.low += body.low * static_cast<std::uint32_t>(item.low);
        if (item.high != kInfinity) total.high += body.high * static_cast<std::uint32_t>(item.high);
        else if (!(body.high == Extent{})) total.high = kMaxWidth;
        break;
      }
      case Item::Kind::kAnchor:
      case Item::Kind::kLook: break;
    }
  }
  return total;
}

}  // namespace structgen::pyregex
