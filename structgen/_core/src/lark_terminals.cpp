// From the terminals of a Lark grammar to what its lexer matches: structgen/_frontends/lark/_spec.py, where nothing is wrong.
#include <algorithm>
#include <set>

#include "lark_loader.hpp"

namespace structgen::larkread {

namespace {

// Lark's _create_unless, for all terminals at once.
void find_unless(const Loaded& grammar, Scanned& scanned) {
  std::vector<std::pair<std::int32_t, std::vector<std::uint32_t>>> strings;
  const auto size = static_cast<std::int32_t>(grammar.terminals.size());
  for (std::int32_t i = 0; i < size; ++i) {
    const Loaded::Terminal& one = grammar.terminals[static_cast<std::size_t>(i)];
    if (one.string) strings.emplace_back(i, pyregex::decode(one.value));
  }
  for (std::int32_t i = 0; i < size; ++i) {
    const Loaded::Terminal& one = grammar.terminals[static_cast<std::size_t>(i)];
    if (one.string) continue;
    for (const auto& [number, text] : strings) {
      const Loaded::Terminal& other = grammar.terminals[static_cast<std::size_t>(number)];
      if (other.priority != one.priority || other.low < one.low || one.high < other.high) continue;
      if (pyregex::matches(scanned.patterns[static_cast<std::size_t>(i)], text)) {
        scanned.unless.push_back({i, number, other.flag == 0 || other.flag == one.flag});
      }
    }
  }
}

}  // namespace

std::unique_ptr<Scanned> scan(const Loaded& grammar, const pyregex::Ask& ask) {
  auto scanned = std::make_unique<Scanned>(ask);
  try {
    std::set<std::string> names;
    for (const Loaded::Terminal& one : grammar.terminals) {
      names.insert(one.name);
      // Empty terminals are wrong; numbers beyond 32 bits, Python refuses in its way.
      if (one.low == Length{0, 0} || one.priority != static_cast<std::int32_t>(one.priority)) return nullptr;
      const pyregex::Node* tree = nullptr;
      if (!one.string || one.flag != 0) {
        const auto known = grammar.parsed.find(one.regexp);
        if (!one.string && known == grammar.parsed.end()) return nullptr;
        tree = scanned->trees.tree(known == grammar.parsed.end() ? pyregex::parse(one.regexp) : known->second);
      }
      scanned->patterns.push_back(tree);
    }
    for (const std::string& name : grammar.ignore) {
      if (names.count(name) == 0) return nullptr;
    }
    for (const Loaded::Rule& rule : grammar.rules) {
      if (rule.priority != static_cast<std::int32_t>(rule.priority)) return nullptr;
    }
    find_unless(grammar, *scanned);
  } catch (const pyregex::NotPlain&) {
    return nullptr;
  }
  return scanned;
}

}  // namespace structgen::larkread
