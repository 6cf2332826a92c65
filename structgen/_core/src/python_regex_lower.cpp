// From syntax trees to patterns and regexes: structgen/_frontends/regex/_prioritised.py and _lower.py, with lookbehinds of one character.
#include <algorithm>

#include "python_regex.hpp"

namespace structgen::pyregex {

namespace {

constexpr int kMostSteps = 5000;
constexpr std::size_t kMostSets = 16, kMostCells = 64, kMostStates = 50;
constexpr int kMostMoves = 20000, kDeepestMatch = 800;

bool zero_width(const Node* node) {
  switch (node->kind) {
    case Node::Kind::kChars:
    case Node::Kind::kLiteral: return false;
    case Node::Kind::kConcat:
    case Node::Kind::kChoice:
    case Node::Kind::kRepeat: return std::all_of(node->parts.begin(), node->parts.end(), zero_width);
    default: return true;
  }
}

bool contains(const CharSet& set, std::uint32_t c) {
  const auto after = std::upper_bound(set.begin(), set.end(), c, [](std::uint32_t x, const Range& r) { return x < r.low; });
  return after != set.begin() && c <= std::prev(after)->high;
}

bool is_all(const CharSet& set) { return set.size() == 2 && set[0] == Range{0, 0xD7FF} && set[1] == Range{0xE000, kMaxCodePoint}; }

}  // namespace

Lowering::Lowering(const std::vector<const Node*>& trees, RegexStore& regexes, PatternStore& patterns) : re_(regexes), patterns_(patterns) {
  for (const Node* tree : trees) {
    if (tree != nullptr) find_sets(tree);
  }
  explore();
}

void Lowering::find_sets(const Node* node) {
  if (node->plain) return;
  if (node->kind == Node::Kind::kBefore && std::find(sets_.begin(), sets_.end(), node->chars) == sets_.end()) sets_.push_back(node->chars);
  for (const Node* part : node->parts) find_sets(part);
}

void Lowering::explore() {
  cells_ = {{{0, 0xD7FF}, {0xE000, kMaxCodePoint}}};
  following_ = {{0}};
  if (sets_.empty()) return;
  if (sets_.size() > kMostSets) throw NotPlain{};
  for (const CharSet& set : sets_) {
    const CharSet outside = set_complement(set);
    std::vector<CharSet> split;
    for (const CharSet& cell : cells_) {
      for (const CharSet* side : {&set, &outside}) {
        CharSet part = set_intersection(cell, *side);
        if (!part.empty()) split.push_back(std::move(part));
      }
    }
    if (split.size() > kMostCells) throw NotPlain{};
    cells_ = std::move(split);
  }
  following_.clear();
  known_ = {-1};
  std::vector<std::int32_t> row;
  for (const CharSet& cell : cells_) {
    std::int64_t alike = 0;
    for (std::size_t i = 0; i < sets_.size(); ++i) {
      if (contains(sets_[i], cell[0].low)) alike |= std::int64_t{1} << i;
    }
    const auto found = std::find(known_.begin(), known_.end(), alike);
    row.push_back(static_cast<std::int32_t>(found - known_.begin()));
    if (found == known_.end()) known_.push_back(alike);
  }
  if (known_.size() > kMostStates) throw NotPlain{};
  following_.assign(known_.size(), row);
}

bool Lowering::holds(std::size_t state, const Node* before) const {
  if (state == 0) return before->edge;
  const auto number = std::find(sets_.begin(), sets_.end(), before->chars) - sets_.begin();
  return (known_[state] >> number & 1) != 0;
}

// -- patterns --------------------------------------------------------------------------------------------------------------------------

Pattern Lowering::pattern(const Node* node) {
  if (!node->plain && zero_width(node)) return test(node);
  std::vector<Pattern> parts;
  switch (node->kind) {
    case Node::Kind::kChars: return patterns_.chars(node->chars);
    case Node::Kind::kLiteral:
      for (const std::uint32_t c : node->text) parts.push_back(patterns_.chars({{c, c}}));
      return patterns_.concat(parts);
    default: break;
  }
  for (const Node* part : node->parts) parts.push_back(pattern(part));
  if (node->kind == Node::Kind::kConcat) return patterns_.concat(parts);
  if (node->kind == Node::Kind::kChoice) return patterns_.choice(parts);
  return patterns_.repeat(parts[0], node->low, node->high, node->lazy);
}

// A node that only tests where it stands.
Pattern Lowering::test(const Node* node) {
  const bool looks = node->kind == Node::Kind::kLook, negative = looks && node->negative;
  const Vector rest = lower(looks ? node->parts[0] : node, Vector(following_.size(), RegexStore::kAnyStar));
  std::vector<std::int32_t> states;
  bool decided = true;
  for (std::size_t s = 0; s < rest.size(); ++s) {
    decided = decided && (rest[s] == RegexStore::kAnyStar || rest[s] == RegexStore::kNone);
    if ((rest[s] == RegexStore::kAnyStar) != negative) states.push_back(static_cast<std::int32_t>(s));
  }
  if (!decided) return patterns_.ahead(rest, negative);
  return states.size() == rest.size() ? PatternStore::kEmpty : patterns_.behind(states);
}

// -- regexes ---------------------------------------------------------------------------------------------------------------------------

Re Lowering::set(const CharSet& chars) {
  if (chars.empty()) return RegexStore::kNone;
  return is_all(chars) ? RegexStore::kAny : re_.chars(chars);
}

Re Lowering::regex(const Node* node) {
  std::vector<Re> parts;
  switch (node->kind) {
    case Node::Kind::kChars: return set(node->chars);
    case Node::Kind::kLiteral: return re_.literal(node->text);
    case Node::Kind::kConcat:
      for (const Node* part : node->parts) parts.push_back(regex(part));
      return re_.concat(parts);
    case Node::Kind::kRepeat: return re_.repeat(regex(node->parts[0]), node->low, node->high);
    case Node::Kind::kChoice: break;
    default: throw NotPlain{};
  }
  std::vector<std::vector<std::uint32_t>> words;
  for (const Node* option : node->parts) {
    if (option->kind == Node::Kind::kLiteral) words.push_back(option->text);
  }
  if (words.size() >= 3) parts.push_back(re_.words(std::move(words)));
  const bool shared = !parts.empty();
  for (const Node* option : node->parts) {
    if (!shared || option->kind != Node::Kind::kLiteral) parts.push_back(regex(option));
  }
  return shared && parts.size() == 1 ? parts[0] : re_.unite(std::move(parts));
}

Re Lowering::unite(const std::vector<Re>& parts) {
  std::vector<Re> distinct;
  for (const Re part : parts) {
    if (part != RegexStore::kNone && std::find(distinct.begin(), distinct.end(), part) == distinct.end()) distinct.push_back(part);
  }
  if (distinct.empty()) return RegexStore::kNone;
  return distinct.size() == 1 ? distinct[0] : re_.unite(std::move(distinct));
}

Re Lowering::meet(Re first, Re second) {
  if (first == RegexStore::kNone || second == RegexStore::kNone) return RegexStore::kNone;
  if (second == RegexStore::kEpsilon) return re_.nullable(first) ? second : RegexStore::kNone;
  return re_.intersect({first, second});
}

// The strings of `after` that begin, or end at once, as the assertion asks.
Re Lowering::next_is(const Node* node, Re after) {
  if (after == RegexStore::kNone) return after;
  std::vector<Re> found;
  if (node->edge && re_.nullable(after)) found.push_back(RegexStore::kEpsilon);
  if (!node->chars.empty()) {
    const Re begin = re_.concat({set(node->chars), RegexStore::kAnyStar});
    found.push_back(after == RegexStore::kAnyStar ? begin : meet(begin, after));
  }
  return unite(found);
}

// The node, then what comes after it; by state of the left context.
Lowering::Vector Lowering::lower(const Node* node, Vector after) {
  if (++steps_ > kMostSteps) throw NotPlain{};
  if (node->plain) {
    // Where it matters what the node ends in, Python splits its strings.
    if (std::count(after.begin(), after.end(), after[0]) != static_cast<std::ptrdiff_t>(after.size())) throw NotPlain{};
    after.assign(after.size(), re_.concat(regex(node), after[0]));
    return after;
  }
  switch (node->kind) {
    case Node::Kind::kConcat: {
      for (std::size_t i = node->parts.size(); i-- > 0;) {
        if (!node->parts[i]->plain) {
          after = lower(node->parts[i], std::move(after));
          continue;
        }
        // Parts without assertions go together.
        Node together{Node::Kind::kConcat};
        const std::size_t last = i + 1;
        while (i > 0 && node->parts[i - 1]->plain) --i;
        together.parts.assign(node->parts.begin() + static_cast<std::ptrdiff_t>(i), node->parts.begin() + static_cast<std::ptrdiff_t>(last));
        after = lower(&together, std::move(after));
      }
      return after;
    }
    case Node::Kind::kChoice: return lower_choice(node, after);
    case Node::Kind::kBefore:
      for (std::size_t s = 0; s < after.size(); ++s) {
        if (!holds(s, node)) after[s] = RegexStore::kNone;
      }
      return after;
    case Node::Kind::kAfter:
      for (Re& handle : after) handle = next_is(node, handle);
      return after;
    case Node::Kind::kLook: {
      const Vector ahead = lower(node->parts[0], Vector(after.size(), RegexStore::kAnyStar));
      for (std::size_t s = 0; s < after.size(); ++s) after[s] = meet(node->negative ? re_.complement(ahead[s]) : ahead[s], after[s]);
      return after;
    }
    default: throw NotPlain{};  // a loop with an assertion inside
  }
}

Lowering::Vector Lowering::lower_choice(const Node* node, const Vector& after) {
  std::vector<Vector> results;
  Node plain{Node::Kind::kChoice};
  for (const Node* option : node->parts) {
    if (option->plain) plain.parts.push_back(option);
    else results.push_back(lower(option, after));
  }
  if (!plain.parts.empty()) results.push_back(lower(plain.parts.size() == 1 ? plain.parts[0] : &plain, after));
  Vector made(after.size(), RegexStore::kNone);
  for (std::size_t s = 0; s < after.size(); ++s) {
    std::vector<Re> handles;
    for (const Vector& one : results) handles.push_back(one[s]);
    made[s] = unite(handles);
  }
  return made;
}

// -- matching --------------------------------------------------------------------------------------------------------------------------

namespace {

// A backtracking matcher, as re has it.
class Matcher {
 public:
  explicit Matcher(const std::vector<std::uint32_t>& text) : text_(text) {}

  // What a match goes on with.
  struct Next {
    const Node* node;  // null: the end of `up`
    std::size_t part;  // parts of a concatenation that are done; rounds of a loop
    std::size_t from;  // where the round before began
    const Next* up;
  };

  // The place where the preferred match ends, or -1.
  std::int64_t match(const Node* node, std::size_t at) { return go(node, at, nullptr); }

 private:
  std::int64_t done(const Next* next, std::size_t at) {
    if (next == nullptr) return static_cast<std::int64_t>(at);
    if (next->node->kind == Node::Kind::kConcat) return part(next->node, next->part, at, next->up);
    return round(next->node, next->part, next->from, at, next->up);
  }

  std::int64_t part(const Node* node, std::size_t number, std::size_t at, const Next* up) {
    if (number == node->parts.size()) return done(up, at);
    const Next next{node, number + 1, 0, up};
    return go(node->parts[number], at, &next);
  }

  // A loop behind `rounds` rounds, the last of which began at `from`.
  std::int64_t round(const Node* node, std::size_t rounds, std::size_t from, std::size_t at, const Next* up) {
    const auto low = static_cast<std::size_t>(node->low);
    // How a loop ends whose body matches nothing, Python decides.
    if (rounds > 0 && from == at) throw NotPlain{};
    const auto again = [&] {
      if (node->high != kInfinity && rounds >= static_cast<std::size_t>(node->high)) return std::int64_t{-1};
      const Next next{node, rounds + 1, at, up};
      return go(node->parts[0], at, &next);
    };
    if (rounds < low) return again();
    const std::int64_t first = node->lazy ? done(up, at) : again();
    return first >= 0 ? first : node->lazy ? again() : done(up, at);
  }

  std::int64_t go(const Node* node, std::size_t at, const Next* next) {
    if (++moves_ > kMostMoves || depth_ > kDeepestMatch) throw NotPlain{};
    ++depth_;
    const std::int64_t found = at_node(node, at, next);
    --depth_;
    return found;
  }

  std::int64_t at_node(const Node* node, std::size_t at, const Next* next) {
    switch (node->kind) {
      case Node::Kind::kChars: return at < text_.size() && contains(node->chars, text_[at]) ? done(next, at + 1) : -1;
      case Node::Kind::kLiteral:
        if (node->text.size() > text_.size() - at || !std::equal(node->text.begin(), node->text.end(), text_.begin() + static_cast<std::ptrdiff_t>(at))) return -1;
        return done(next, at + node->text.size());
      case Node::Kind::kConcat: return part(node, 0, at, next);
      case Node::Kind::kChoice:
        for (const Node* option : node->parts) {
          const std::int64_t found = go(option, at, next);
          if (found >= 0) return found;
        }
        return -1;
      case Node::Kind::kRepeat: return round(node, 0, at, at, next);
      case Node::Kind::kBefore: return (at == 0 ? node->edge : contains(node->chars, text_[at - 1])) ? done(next, at) : -1;
      case Node::Kind::kAfter: return (at == text_.size() ? node->edge : contains(node->chars, text_[at])) ? done(next, at) : -1;
      case Node::Kind::kLook: return (go(node->parts[0], at, nullptr) >= 0) != node->negative ? done(next, at) : -1;
    }
    return -1;
  }

  const std::vector<std::uint32_t>& text_;
  int moves_ = 0, depth_ = 0;
};

}  // namespace

bool matches(const Node* tree, const std::vector<std::uint32_t>& text) { return Matcher(text).match(tree, 0) == static_cast<std::int64_t>(text.size()); }

}  // namespace structgen::pyregex
