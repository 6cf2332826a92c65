// From what Python's parser makes of a pattern to the syntax tree: structgen/_frontends/regex/_python_tree.py and _ast.py.
#include <algorithm>
#include <cstdio>
#include <map>
#include <mutex>

#include "python_regex.hpp"

namespace structgen::pyregex {

namespace {

constexpr std::uint32_t kTypes = kAscii | kUnicode;
constexpr std::uint32_t kBmpEnd = 0xFFFF;
const CharSet kNewline{{'\n', '\n'}};
const CharSet kAll{{0, 0xD7FF}, {0xE000, kMaxCodePoint}};

CharSet without_surrogates(CharSet set) { return set.empty() || set.back().high < 0xD800 ? set : set_intersection(set, kAll); }

CharSet normalised(CharSet set) {
  if (set.size() < 2) return without_surrogates(std::move(set));
  std::sort(set.begin(), set.end(), [](const Range& a, const Range& b) { return a.low < b.low; });
  return without_surrogates(set_union(set, {}));
}

bool is_letter(std::uint32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

CharSet ascii_category(std::uint32_t letter) {
  CharSet set;
  switch (letter | 32) {
    case 'd': set = {{'0', '9'}}; break;
    case 's': set = {{'\t', '\r'}, {' ', ' '}}; break;
    default: set = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  }
  return (letter & 32) != 0 ? set : set_complement(set);
}

// Adds the other case of letters of ASCII, and where all of Unicode counts what else Python takes for them.
CharSet any_case(CharSet set, bool ascii_only) {
  CharSet more;
  more.reserve(set.size() * 2);
  more = set;
  for (const Range& r : set) {
    for (std::uint32_t c = r.low; c <= std::min(r.high, 0x7FU); ++c) {
      if (!is_letter(c)) continue;
      more.push_back({c ^ 32, c ^ 32});
      if (ascii_only) continue;
      if ((c | 32) == 'i') more.push_back({0x130, 0x131});
      if ((c | 32) == 's') more.push_back({0x17F, 0x17F});
      if ((c | 32) == 'k') more.push_back({0x212A, 0x212A});
    }
  }
  return normalised(std::move(more));
}

std::string spelt(const Item& item) {
  const auto character = [](std::uint32_t c) {
    char text[16];
    std::snprintf(text, sizeof text, "\\U%08x", c);
    return std::string(text);
  };
  if (item.kind != Item::Kind::kSet) return item.kind == Item::Kind::kNotLiteral ? "[^" + character(item.value) + "]" : character(item.value);
  std::string made = item.negative ? "[^" : "[";
  for (const Member& one : item.members) {
    if (one.kind == Member::Kind::kCategory) made += {'\\', static_cast<char>(one.low)};
    else made += one.kind == Member::Kind::kLiteral ? character(one.low) : character(one.low) + "-" + character(one.high);
  }
  return made + "]";
}

}  // namespace

CharSet set_complement(const CharSet& set) {
  CharSet gaps;
  std::uint32_t following = 0;
  for (const Range& r : set) {
    if (r.low > following) gaps.push_back({following, r.low - 1});
    following = r.high + 1;
  }
  if (following <= kMaxCodePoint) gaps.push_back({following, kMaxCodePoint});
  return without_surrogates(gaps);
}

const Node* Trees::tree(const Sequence& items) { return sequence(items, kUnicode, 0); }

const Node* Trees::sequence(const Sequence& items, std::uint32_t flags, int depth) {
  std::vector<const Node*> parts;
  Node* text = nullptr;
  for (const Item& one : items) {
    if (one.kind == Item::Kind::kLiteral && (flags & kIgnoreCase) == 0) {
      if (text == nullptr) parts.push_back(text = make(Node::Kind::kLiteral));
      text->text.push_back(one.value);
      continue;
    }
    text = nullptr;
    parts.push_back(item(one, flags, depth + 1));
  }
  return concat(parts);
}

const Node* Trees::item(const Item& item, std::uint32_t flags, int depth) {
  switch (item.kind) {
    case Item::Kind::kLiteral:
    case Item::Kind::kNotLiteral:
    case Item::Kind::kAny:
    case Item::Kind::kSet: return chars(one_character(item, flags));
    case Item::Kind::kAnchor: return anchor(item.value, flags);
    case Item::Kind::kGroup:
      if ((item.added & kTypes) != 0) flags &= ~kTypes;
      return sequence(item.inside[0], (flags | item.added) & ~item.removed, depth);
    case Item::Kind::kBranch: {
      std::vector<const Node*> options;
      for (const Sequence& option : item.inside) options.push_back(sequence(option, flags, depth));
      return choice(options);
    }
    case Item::Kind::kRepeat: return repeat(sequence(item.inside[0], flags, depth), item.low, item.high, item.lazy);
    case Item::Kind::kLook: return look(sequence(item.inside[0], flags, depth), item.behind, item.negative);
  }
  throw NotPlain{};
}

// -- characters ------------------------------------------------------------------------------------------------------------------------

CharSet Trees::one_character(const Item& item, std::uint32_t flags) {
  if (item.kind == Item::Kind::kAny) return (flags & kDotAll) != 0 ? kAll : set_complement(kNewline);
  const bool ascii_only = (flags & kAscii) != 0, ignore_case = (flags & kIgnoreCase) != 0;
  const bool negative = item.negative || item.kind == Item::Kind::kNotLiteral;
  CharSet set;
  bool known = true;
  if (item.kind != Item::Kind::kSet) set = {{item.value, item.value}};
  for (const Member& one : item.members) {
    if (one.kind != Member::Kind::kCategory) {
      set.push_back({one.low, one.high});
      continue;
    }
    known = false;
    if (ignore_case) break;
    Item alone{Item::Kind::kSet};
    alone.members.push_back(one);
    const CharSet category = ascii_only ? ascii_category(one.low) : asked(alone, flags);
    set.insert(set.end(), category.begin(), category.end());
  }
  if (ignore_case) {
    for (const Range& r : set) known = known && r.high <= (ascii_only ? kBmpEnd : 0x7FU);
    if (!known) return asked(item, flags);
    set = any_case(std::move(set), ascii_only);
  } else {
    set = normalised(std::move(set));
  }
  return negative ? set_complement(set) : set;
}

CharSet Trees::asked(const Item& item, std::uint32_t flags) {
  constexpr std::size_t kMostKept = 256;
  static std::map<std::pair<std::string, std::uint32_t>, CharSet> kept;
  static std::mutex guard;
  const std::pair<std::string, std::uint32_t> key{spelt(item), flags & (kIgnoreCase | kAscii)};
  {
    const std::lock_guard<std::mutex> lock(guard);
    const auto found = kept.find(key);
    if (found != kept.end()) return found->second;
  }
  CharSet set = ask_(key.first, key.second);
  const std::lock_guard<std::mutex> lock(guard);
  if (kept.size() < kMostKept) kept.emplace(key, set);
  return set;
}

const Node* Trees::anchor(std::uint32_t kind, std::uint32_t flags) {
  if (kind == 'b') {
    Item word{Item::Kind::kSet};
    word.members.push_back({Member::Kind::kCategory, 'w', 'w'});
    const CharSet inside = one_character(word, flags & ~kIgnoreCase), other = set_complement(inside);
    const Node* ends = concat({edge(true, inside, false), edge(false, other, true)});
    return choice({ends, concat({edge(true, other, true), edge(false, inside, false)})});
  }
  const bool lines = (flags & kMultiline) != 0;
  if (kind == 'A' || kind == '^') return edge(true, kind == '^' && lines ? kNewline : CharSet{}, true);
  if (kind == 'Z') return edge(false, {}, true);
  if (lines) return edge(false, kNewline, true);
  return look(concat({repeat(chars(kNewline), 0, 1, false), edge(false, {}, true)}), false, false);
}

// -- nodes -----------------------------------------------------------------------------------------------------------------------------

Node* Trees::make(Node::Kind kind) {
  nodes_.push_back({kind});
  return &nodes_.back();
}

const Node* Trees::chars(CharSet set) {
  Node* made = make(Node::Kind::kChars);
  made->chars = std::move(set);
  return made;
}

const Node* Trees::edge(bool behind, CharSet set, bool at_edge) {
  Node* made = make(behind ? Node::Kind::kBefore : Node::Kind::kAfter);
  made->plain = false;
  made->edge = at_edge;
  made->chars = std::move(set);
  return made;
}

const Node* Trees::concat(const std::vector<const Node*>& parts) {
  if (parts.size() == 1) return parts[0];
  Node* made = make(Node::Kind::kConcat);
  for (const Node* part : parts) {
    if (part->kind == Node::Kind::kConcat) made->parts.insert(made->parts.end(), part->parts.begin(), part->parts.end());
    else made->parts.push_back(part);
  }
  if (made->parts.size() == 1) return made->parts[0];
  made->plain = std::all_of(made->parts.begin(), made->parts.end(), [](const Node* part) { return part->plain; });
  return made;
}

const Node* Trees::choice(const std::vector<const Node*>& options) {
  Node* made = make(Node::Kind::kChoice);
  for (const Node* option : options) {
    if (option->kind == Node::Kind::kChoice) made->parts.insert(made->parts.end(), option->parts.begin(), option->parts.end());
    else made->parts.push_back(option);
  }
  if (made->parts.size() == 1) return made->parts[0];
  made->plain = std::all_of(made->parts.begin(), made->parts.end(), [](const Node* option) { return option->plain; });
  return made;
}

const Node* Trees::repeat(const Node* body, std::int32_t low, std::int32_t high, bool lazy) {
  if (low == 1 && high == 1) return body;
  if (high == 0) return concat({});
  Node* made = make(Node::Kind::kRepeat);
  made->plain = body->plain;
  made->low = low;
  made->high = high;
  made->lazy = lazy;
  made->parts = {body};
  return made;
}

namespace {

// The characters, and whether the edge of the text, too, that the body of a lookaround asks for.
bool find_edge(const Node* node, bool behind, CharSet& set, bool& at_edge) {
  switch (node->kind) {
    case Node::Kind::kChars: set = set_union(set, node->chars); return true;
    case Node::Kind::kLiteral:
      if (node->text.size() != 1) return false;
      set = set_union(set, {{node->text[0], node->text[0]}});
      return true;
    case Node::Kind::kBefore:
    case Node::Kind::kAfter:
      if (behind != (node->kind == Node::Kind::kBefore)) return false;
      set = set_union(set, node->chars);
      at_edge = at_edge || node->edge;
      return true;
    case Node::Kind::kChoice:
      return std::all_of(node->parts.begin(), node->parts.end(), [&](const Node* option) { return find_edge(option, behind, set, at_edge); });
    default: return false;
  }
}

}  // namespace

const Node* Trees::look(const Node* body, bool behind, bool negative) {
  if (!behind) body = without_last_lookahead(body);
  CharSet set;
  bool at_edge = false;
  if (find_edge(body, behind, set, at_edge)) return negative ? edge(behind, set_complement(set), !at_edge) : edge(behind, set, at_edge);
  if (body->kind == Node::Kind::kConcat && body->parts.empty()) return negative ? choice({}) : body;
  if (behind) throw NotPlain{};
  Node* made = make(Node::Kind::kLook);
  made->plain = false;
  made->negative = negative;
  made->parts = {body};
  return made;
}

const Node* Trees::without_last_lookahead(const Node* node) {
  if (node->kind == Node::Kind::kLook && !node->negative) return node->parts[0];
  if (node->kind == Node::Kind::kAfter && !node->chars.empty()) {
    return node->edge ? choice({chars(node->chars), edge(false, {}, true)}) : chars(node->chars);
  }
  if (node->plain || node->parts.empty()) return node;
  std::vector<const Node*> parts = node->parts;
  if (node->kind == Node::Kind::kConcat) {
    parts.back() = without_last_lookahead(parts.back());
    return concat(parts);
  }
  if (node->kind != Node::Kind::kChoice) return node;
  for (const Node*& option : parts) option = without_last_lookahead(option);
  return choice(parts);
}

}  // namespace structgen::pyregex
