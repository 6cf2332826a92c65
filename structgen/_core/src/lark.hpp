// A Lark grammar after lowering: LR tables, its scanner, and what stands beside both (ignored terminals, indentation, embedded expressions).
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "lr_completion.hpp"
#include "lr_tables.hpp"
#include "scanner.hpp"

namespace structgen {

// Lexer states from here on are special tokens by number, then states of embedded expressions under an obligation, and from kScanBase on states
// of the grammar's scanner.
inline constexpr Lex kSpecialBase = 1 << 29;
inline constexpr Lex kBoundBase = kSpecialBase + (1 << 28);
inline constexpr Lex kScanBase = 1 << 30;
inline bool is_scan(Lex q) { return q >= kScanBase; }
inline bool is_special(Lex q) { return q >= kSpecialBase && q < kBoundBase; }
inline bool is_bound(Lex q) { return q >= kBoundBase && q < kScanBase; }
// A state of the lexer, as in other grammars.
inline bool is_lexeme(Lex q) { return q < kSpecialBase; }

class Liveness;

// Facts about completions that are found at most.
inline constexpr std::size_t kMostFacts = 5000000;
// Reductions before one terminal.
inline constexpr std::size_t kMostReductions = 200000;

struct LarkGrammar {
  enum class Mode : std::uint8_t {
    kContextual,       // only the terminals that the parser's state accepts compete
    kBasic,            // all terminals compete
    kDynamic,          // every terminal that can come is matched on its own
    kDynamicComplete,  // and may end wherever it matches
  };
  enum class Kind : std::uint8_t { kPattern, kDeclared, kExpression, kSpecial };
  struct Terminal {
    std::string name;
    Kind kind;
    std::int32_t handle;  // pattern, expression or token
  };

  explicit LarkGrammar(Lexer& lexer);
  ~LarkGrammar();

  // Indentation, as lark's Indenter has it.
  struct Indenter {
    std::int32_t newline = -1, indent = -1, dedent = -1, tab = 8;
    std::vector<std::int32_t> opening, closing;
  };

  std::vector<Terminal> terminals;
  std::vector<std::string> nonterminals, rule_names;
  std::int32_t symbols = 0;     // nonterminals, with helpers
  std::vector<LrRule> rules;
  std::vector<std::int32_t> starts;  // nonterminals
  LrTables tables;
  Mode mode = Mode::kContextual;
  bool general = false;         // every action counts
  bool empty_text = false;      // of a general grammar, whose rules are never empty: whether a start was
  std::vector<bool> ignored;    // by terminal
  std::vector<bool> used;       // terminals that occur in rules
  std::vector<bool> keywords;   // terminals that can be keywords of a regex
  std::vector<std::int32_t> scanned, embedded;  // terminals with a pattern; those that are expressions or special tokens
  Indenter indenter;
  bool indents = false;
  Scanner scanner;

  // Whether a newline that is indented can go on with another line: else its column decides whether it can end at all.
  bool rebreaks = true;
  void find_rebreaks();
  // What can always be completed. Where the proof does not hold, dead ends are looked for behind every token.
  Liveness& liveness() { return *liveness_; }
  // Few terminals that a start derives; none where it cannot be told easily.
  std::vector<std::int32_t> short_text() const;
  // Bytes that each terminal takes at least.
  std::vector<std::int64_t> least_widths();
  bool never_matches(std::int32_t terminal);
  // Bytes that complete a stack at least, and (where it is proved that they can be read) bytes in which it can be done.
  LrCompletion& least();
  LrCompletion& enough();

  // What precedes an embedded expression can oblige the text that it begins with: a state of the lexer beside one of the scanner, which
  // reads any text that keeps the promise.
  struct Bound {
    Scan promise;
    Lex lex;
  };
  std::int32_t any_text = -1;  // the terminal for it
  const Bound& bound(Lex q) const { return bounds_[static_cast<std::size_t>(q - kBoundBase)]; }
  // The state of the lexer alone once nothing is obliged any more.
  Lex bind(Scan promise, Lex lex);
  Lex next_bound(Lex q, std::uint8_t byte);

  std::int32_t end() const { return static_cast<std::int32_t>(terminals.size()); }

  // Tells the scanner what can follow each terminal; the tables are made.
  void find_followers();
  // Whether terminals are matched each on its own.
  bool alone() const { return mode == Mode::kDynamic || mode == Mode::kDynamicComplete; }
  // The terminals that compete in a state of the parser; made on demand.
  std::int32_t tried(std::int32_t state);

  // The actions of a state of the parser that has one for each terminal: the terminals that are shifted, and those before which a rule is
  // reduced. Sets of terminals as bits; made on demand.
  struct Actions {
    std::vector<std::uint64_t> shifted;
    std::vector<std::pair<std::int32_t, std::vector<std::uint64_t>>> reduced;
  };
  const Actions& actions(std::int32_t state);

  // Open indentations: 0 is the margin.
  struct Level {
    std::int32_t outer, column;
  };
  const Level& level(std::int32_t i) const { return levels_[static_cast<std::size_t>(i)]; }
  std::int32_t indented(std::int32_t outer, std::int32_t column);

 private:
  std::unique_ptr<LrCompletion> least_, enough_;
  std::size_t enough_version_ = 0;
  std::unique_ptr<Liveness> liveness_;
  std::vector<std::int32_t> tried_;
  std::vector<Actions> actions_;
  std::vector<Bound> bounds_;
  FlatMap bound_index_;
  std::vector<Level> levels_{{-1, 0}};
  FlatMap level_index_;
};

}  // namespace structgen
