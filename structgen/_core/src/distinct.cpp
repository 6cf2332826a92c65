#include "distinct.hpp"

#include <algorithm>

#include "grammar.hpp"
#include "json_value.hpp"

namespace structgen {

namespace {

constexpr std::int64_t kLongestPlain = 1000;  // zeros that a number's exclusion spells out
constexpr std::size_t kFewResiduals = 64;
constexpr std::size_t kRareSpellings = 1000;
// Items of a prefix that are matched with values of their own, once for each value that one of them could take.
constexpr std::size_t kMostMatched = 128;

bool contains(const std::vector<std::string>& sorted, const std::string& value) { return std::binary_search(sorted.begin(), sorted.end(), value); }

void append_words(RegexStore& re, Re r, std::vector<std::uint32_t>& prefix, std::vector<std::vector<std::uint32_t>>& out) {
  if (re.nullable(r)) out.push_back(prefix);
  const Derivative& d = re.derivative(r);
  for (std::size_t i = 0; i < d.size(); ++i) {
    const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start : kMaxCodePoint + 1;
    if (re.is_empty(d[i].to)) continue;
    for (std::uint32_t c = d[i].start; c < end; ++c) {
      if (is_surrogate_only(c, c)) continue;
      prefix.push_back(c);
      append_words(re, d[i].to, prefix, out);
      prefix.pop_back();
    }
  }
}

// All words of a finite language.
std::vector<std::vector<std::uint32_t>> all_words(RegexStore& re, Re r) {
  std::vector<std::vector<std::uint32_t>> out;
  std::vector<std::uint32_t> prefix;
  if (!re.is_empty(r)) append_words(re, r, prefix, out);
  return out;
}

std::string utf8(const std::vector<std::uint32_t>& characters, bool quoted) {
  // Spelt as escapes where it must be: canonical_json() reads it back.
  std::string out;
  for (std::uint32_t c : characters) {
    if (quoted && (c < 0x20 || c == '"' || c == '\\')) {
      static constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'u', '0', '0', kHex[c >> 4], kHex[c & 15]};
    } else if (c < 0x80) {
      out.push_back(static_cast<char>(c));
    } else {
      const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
      out.push_back(static_cast<char>((0xFF00 >> (more + 1) & 0xFF) | c >> (6 * more)));
      for (int k = more; k-- > 0;) out.push_back(static_cast<char>(0x80 | (c >> (6 * k) & 0x3F)));
    }
  }
  return quoted ? "\"" + out + "\"" : out;
}

std::string trimmed(std::string text) {
  text.erase(text.find_last_not_of(" \t\n\r") + 1);
  return text;
}

Re character(RegexStore& re, char c) {
  const std::uint32_t p = static_cast<std::uint8_t>(c);
  return re.chars({{p, p}});
}

Re white_space(RegexStore& re) { return re.chars({{' ', ' '}, {'\t', '\n'}, {'\r', '\r'}}); }

// One spelling of each value: integers as digits, fractions without zeros at the end; anything that is no number.
Re plain_spellings(RegexStore& re) {
  const Re digit = re.chars({{'0', '9'}}), nonzero = re.chars({{'1', '9'}}), digits = re.repeat(digit, 0, kInfinity);
  const Re minus = character(re, '-');
  const Re fraction = re.concat({character(re, '.'), digits, nonzero});
  const Re positive = re.unite({re.concat({nonzero, digits, re.unite({RegexStore::kEpsilon, fraction})}), re.concat({character(re, '0'), fraction})});
  const Re numbers = re.unite({character(re, '0'), positive, re.concat(minus, positive)});
  const Re number_like = re.concat(re.unite({minus, digit}), RegexStore::kAnyStar);
  return re.unite({numbers, re.complement(re.unite({number_like, re.concat(RegexStore::kAnyStar, white_space(re))}))});
}

}  // namespace

Domain Distinct::domain(Expr root) const {
  RegexStore& re = grammar_.lexer().regexes();
  std::vector<Expr> todo{root}, visited;
  std::vector<Re> strings, texts;
  Domain out;
  while (!todo.empty()) {
    const Expr e = todo.back();
    todo.pop_back();
    if (!grammar_.productive(e) || std::find(visited.begin(), visited.end(), e) != visited.end()) continue;
    visited.push_back(e);
    const ExprNode& n = grammar_[e];
    switch (n.op) {
      case ExprOp::kTerminal: {
        const Lexer::State& q = grammar_.lexer()[n.a];
        (q.kind == Kind::kText ? texts : strings).push_back(q.residual);
        break;
      }
      case ExprOp::kRule:
      case ExprOp::kGuarded: todo.push_back(n.a); break;
      case ExprOp::kChoice:
        for (std::int32_t i = 0; i < n.b; ++i) todo.push_back(grammar_.child(n, i));
        break;
      case ExprOp::kSequence: out.sequences = true; [[fallthrough]];
      default: out.open = true;
    }
  }
  out.strings = re.unite(std::move(strings));
  out.texts = re.unite(std::move(texts));
  return out;
}

std::optional<std::vector<std::string>> Distinct::few(Expr e, std::int64_t enough) {
  const auto known = few_.find(e);
  if (known != few_.end()) {
    const Known& k = known->second;
    if (!k.values && enough <= k.enough) return std::nullopt;
    if (k.values) return static_cast<std::int64_t>(k.values->size()) < enough ? k.values : std::nullopt;
  }
  Known& out = few_[e];
  out = {enough, std::nullopt};
  RegexStore& re = grammar_.lexer().regexes();
  const Domain d = domain(e);
  if (d.open) {
    out.enough = std::int64_t{1} << 40;
    return std::nullopt;
  }
  const std::int32_t limit = static_cast<std::int32_t>(std::min<std::int64_t>(enough, 1 << 30));
  const std::int64_t strings = re.count(d.strings, limit);
  if (strings >= enough) return std::nullopt;
  // Counted by one spelling each, before anything is listed. White space that must follow does.
  const Re space = re.literal(re.shortest(grammar_.whitespace));
  const Re plain = re.intersect({d.texts, re.concat(plain_spellings(re), space)});
  if (strings + re.count(plain, limit) >= enough) return std::nullopt;
  std::vector<std::string> values;
  for (const auto& word : all_words(re, d.strings)) values.push_back(canonical_json(utf8(word, true)));
  Re taken = RegexStore::kNone;
  const auto add = [&](const std::vector<std::uint32_t>& word) {
    const std::string value = canonical_json(trimmed(utf8(word, false)));
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
    taken = re.unite({taken, excluded({value}, true), re.literal(word)});
  };
  for (const auto& word : all_words(re, plain)) add(word);
  // Values that only have other spellings.
  for (std::size_t rounds = 0;; ++rounds) {
    const Re rest = re.intersect({d.texts, re.complement(taken)});
    if (re.is_empty(rest)) break;
    if (rounds > kRareSpellings || static_cast<std::int64_t>(values.size()) >= enough) return std::nullopt;
    add(re.shortest(rest));
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  out.values = std::move(values);
  return static_cast<std::int64_t>(out.values->size()) < enough ? out.values : std::nullopt;
}

Re Distinct::spellings(const std::string& value) const {
  RegexStore& re = grammar_.lexer().regexes();
  const auto text = [&](std::string_view s) { return re.literal(std::vector<std::uint32_t>(s.begin(), s.end())); };
  if (value == "t") return text("true");
  if (value == "f") return text("false");
  if (value == "z") return text("null");
  if (value[0] == 'x') {
    const std::vector<std::uint32_t> characters = string_characters(":" + value.substr(1));
    return re.literal(characters);
  }
  if (value[0] != 'n') return RegexStore::kNone;
  Decimal d;
  const Re zeros = re.repeat(character(re, '0'), 0, kInfinity), some_zeros = re.repeat(character(re, '0'), 1, kInfinity);
  const Re zero_fraction = re.unite({RegexStore::kEpsilon, re.concat(character(re, '.'), some_zeros)});
  const Re minus = character(re, '-');
  if (!parse_decimal(value, d) || d.exponent > kLongestPlain || d.exponent < -kLongestPlain) return RegexStore::kNone;
  Re number;
  if (d.digits.empty()) {
    number = re.concat({re.unite({RegexStore::kEpsilon, minus}), character(re, '0'), zero_fraction});
  } else {
    const std::int64_t whole = static_cast<std::int64_t>(d.digits.size()) + d.exponent;  // digits before the point
    if (d.exponent >= 0)
      number = re.concat(text(d.digits + std::string(static_cast<std::size_t>(d.exponent), '0')), zero_fraction);
    else if (whole > 0)
      number = re.concat(text(d.digits.substr(0, static_cast<std::size_t>(whole)) + "." + d.digits.substr(static_cast<std::size_t>(whole))), zeros);
    else
      number = re.concat(text("0." + std::string(static_cast<std::size_t>(-whole), '0') + d.digits), zeros);
    if (d.negative) number = re.concat(minus, number);
  }
  const Re sign = re.chars({{'+', '+'}, {'-', '-'}});
  const Re no_power = re.concat({re.chars({{'e', 'e'}, {'E', 'E'}}), re.repeat(sign, 0, 1), some_zeros});
  return re.concat(number, re.unite({RegexStore::kEpsilon, no_power}));
}

Re Distinct::excluded(const std::vector<std::string>& values, bool texts) const {
  RegexStore& re = grammar_.lexer().regexes();
  std::vector<Re> parts;
  for (const std::string& value : values) {
    if (!texts && value[0] == 's') parts.push_back(re.literal(string_characters(value)));
    if (texts && value[0] != 's') parts.push_back(spellings(value));
  }
  const Re any = re.unite(std::move(parts));
  return texts ? re.concat(any, re.repeat(white_space(re), 0, kInfinity)) : any;
}

bool Distinct::endless(Re root) {
  const std::int32_t memo = endless_.get(static_cast<std::uint64_t>(root), -1);
  if (memo >= 0) return memo != 0;
  RegexStore& re = grammar_.lexer().regexes();
  std::vector<Re> reached{root};
  bool result = true;
  for (std::size_t at = 0; at < reached.size() && result; ++at) {
    const Derivative& d = re.derivative(reached[at]);
    bool goes_on = false;
    for (std::size_t i = 0; i < d.size() && reached.size() <= kFewResiduals; ++i) {
      const std::uint32_t end = i + 1 < d.size() ? d[i + 1].start - 1 : kMaxCodePoint;
      if (is_surrogate_only(d[i].start, end) || re.is_empty(d[i].to)) continue;
      goes_on = true;
      if (std::find(reached.begin(), reached.end(), d[i].to) == reached.end()) reached.push_back(d[i].to);
    }
    result = goes_on && reached.size() <= kFewResiduals;
  }
  endless_.put(static_cast<std::uint64_t>(root), result);
  return result;
}

std::int64_t Distinct::left(Expr e, const std::vector<std::string>& seen, std::int64_t most) {
  const auto values = few(e, most + static_cast<std::int64_t>(seen.size()));
  if (!values) return most;
  return std::min<std::int64_t>(most, std::count_if(values->begin(), values->end(), [&](const std::string& v) { return !contains(seen, v); }));
}

bool Distinct::feasible(const ArrayNode& array, std::int32_t at, std::int32_t need, const std::vector<std::string>& seen) {
  if (need <= at) return true;
  const std::int64_t items = need - at, enough = items + static_cast<std::int64_t>(seen.size());
  const std::int32_t prefix = static_cast<std::int32_t>(array.prefix.size());
  // Items with enough to choose from come last; the others must be matched with distinct values.
  std::vector<std::vector<std::string>> choices;
  for (std::int32_t i = at; i < need; ++i) {
    const auto values = few(array.item(i), enough);
    if (!values) {
      if (i >= prefix) break;
      continue;
    }
    std::vector<std::string> left;
    std::set_difference(values->begin(), values->end(), seen.begin(), seen.end(), std::back_inserter(left));
    const std::size_t equal = i >= prefix ? static_cast<std::size_t>(need - i) : 1;
    if (left.size() < equal) return false;
    choices.insert(choices.end(), equal, left);
    if (i >= prefix) break;
  }
  if (at >= prefix || choices.size() < 2) return true;
  if (choices.size() > kMostMatched)
    throw LimitError("more than " + std::to_string(kMostMatched) + " positions of an array of distinct items choose from few values each");
  // Augmenting paths.
  std::unordered_map<std::string, std::size_t> taken;
  std::vector<std::string> tried;
  const auto place = [&](auto&& self, std::size_t item) -> bool {
    for (const std::string& value : choices[item]) {
      if (std::find(tried.begin(), tried.end(), value) != tried.end()) continue;
      tried.push_back(value);
      const auto owner = taken.find(value);
      if (owner == taken.end() || self(self, owner->second)) {
        taken[value] = item;
        return true;
      }
    }
    return false;
  };
  for (std::size_t i = 0; i < choices.size(); ++i) {
    tried.clear();
    if (!place(place, i)) return false;
  }
  return true;
}

std::vector<std::string> Distinct::reserved(const ArrayNode& array, std::int32_t at, std::int32_t need, const std::vector<std::string>& seen) {
  std::vector<std::string> candidates, out;
  if (at >= static_cast<std::int32_t>(array.prefix.size())) return out;  // all items alike: any choice is as good
  const std::int64_t enough = need - at + static_cast<std::int64_t>(seen.size());
  for (std::int32_t i = at + 1; i < need; ++i) {
    if (const auto values = few(array.item(i), enough)) candidates.insert(candidates.end(), values->begin(), values->end());
    if (i >= static_cast<std::int32_t>(array.prefix.size())) break;
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  for (const std::string& value : candidates) {
    if (contains(seen, value)) continue;
    std::vector<std::string> after = seen;
    after.insert(std::upper_bound(after.begin(), after.end(), value), value);
    if (!feasible(array, at + 1, need, after)) out.push_back(value);
  }
  return out;
}

}  // namespace structgen
