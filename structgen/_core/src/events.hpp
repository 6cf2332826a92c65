// Structure events: what the scanner and the parser of a Lark grammar did while a token was read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lark.hpp"

namespace structgen {

struct Event {
  enum class Kind : std::uint8_t { kTerminal, kIgnored, kOpen, kClose, kUnknown };
  Kind kind;
  std::string_view name;  // of the grammar, which lives as long as its automata
  std::size_t position;   // in bytes from the beginning of the token
  bool operator==(const Event& o) const { return kind == o.kind && name == o.name && position == o.position; }
};
using Events = std::vector<Event>;

// What the states of the parser tell of rules, by state.
struct ParserStructure {
  // All that is being read in this state is this rule, by name, after so many symbols; -1: it is not so.
  struct Certain {
    std::int32_t rule = -1, dot = 0;
  };
  explicit ParserStructure(const LarkGrammar& lark);
  // Rules that lark's expansion of operators makes, and ours for several start rules, are no structure.
  static bool reported(std::string_view name) { return name.rfind("__", 0) != 0 && name.rfind("$", 0) != 0; }

  std::vector<Certain> certain;
  std::vector<bool> told;               // by rule: whether it is structure
  std::vector<std::int32_t> reduction;  // the only action whatever comes, of a rule that is not empty; or -1
};

}  // namespace structgen
