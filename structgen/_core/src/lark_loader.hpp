// What Lark's loader (lark.load_grammar) makes of the text of a grammar, made natively.
//
// Only what is common and right is read here: templates, %override, %extend, relative imports, and whatever Lark refuses are left to
// Lark's own loader, which is slower and has the error messages. Whatever is read becomes exactly what Lark makes of it, down to the
// names of the rules and terminals that it adds.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "python_regex.hpp"

namespace structgen::larkread {

// Thrown where Lark's own loader has to take over. Never leaves this loader.
struct NotPlain {};

// Python's widths of unbounded loops exceed 64 bits: both halves of 64.
using Length = std::pair<std::int64_t, std::int64_t>;
// Ask Python: the least and greatest width of a regular expression, and the text of a grammar to import.
using Width = std::function<std::pair<Length, Length>(const std::string&)>;
using Find = std::function<std::string(const std::string&)>;

struct Loaded {
  struct Terminal {
    std::string name, value;
    bool string;  // a string, not a regular expression
    char flag;    // 0: none
    std::optional<std::string> raw;
    std::int64_t priority;
    std::string regexp;
    Length low, high;  // widths

    // As the grammar writes it: names that Lark made up are nobody's.
    std::string shown() const { return name.compare(0, 2, "__") != 0 ? name : raw && !raw->empty() ? *raw : "/" + regexp + "/"; }
  };
  struct Rule {
    std::int32_t origin;
    std::vector<std::int32_t> symbols;  // terminals by number (those declared only come behind the others), nonterminal n as ~n
    std::int64_t priority;
    std::string name;
  };
  std::vector<Terminal> terminals;  // in the order of Lark's scanner
  std::vector<std::string> declared;
  std::vector<std::string> nonterminals;
  std::vector<Rule> rules;
  std::vector<std::string> ignore;
  bool productive;  // every rule that a start rule reaches derives a text, if every declared terminal has one
  std::map<std::string, pyregex::Sequence> parsed;  // regular expressions that were read natively
};

// Nothing: Lark's own loader has to read this grammar. Without `natively`, Python is asked for the width of every pattern.
std::optional<Loaded> load(const std::string& text, const std::vector<std::string>& starts, const std::set<std::string>& keep, const Width& width,
                           const Find& find, bool natively);

// The terminals of a grammar as Lark's lexer has them.
struct Scanned {
  struct Unless {  // a string takes over the texts of a regular expression that it matches itself
    std::int32_t regex, string;
    bool embedded;
  };
  explicit Scanned(pyregex::Ask ask) : trees(std::move(ask)) {}

  pyregex::Trees trees;
  std::vector<const pyregex::Node*> patterns;  // null: a string
  std::vector<Unless> unless;
};

// Nothing: Python has to read some pattern, or refuse it.
std::unique_ptr<Scanned> scan(const Loaded& grammar, const pyregex::Ask& ask);

// -- the tree of a grammar, as Lark has it -------------------------------------------------------------------------------------------

enum class Kind : std::uint8_t { kExpansions, kExpansion, kAlias, kExpr, kMaybe, kTerminal, kNonterminal, kNothing, kLiteral, kRange };

struct Definition;

struct Node {
  Kind kind;
  bool filtered = false;           // a terminal that leaves no trace in Lark's parse trees
  char op = 0;                     // of kExpr
  std::int64_t low = 0, high = 0;  // of ~; low < 0: only high was written
  std::string text;                // the name of a symbol or alias; a literal as it is spelt; the first string of a range
  std::string last;                // the last string of a range
  std::vector<Node*> children;
  const Definition* target = nullptr;  // of a terminal inside a terminal
};

struct Definition {
  std::string name;
  bool terminal;
  Node* tree;  // null: declared
  std::int64_t priority;
  bool keep_all;
};

struct Import {
  std::vector<std::string> path;
  std::map<std::string, std::string> aliases;  // names there -> here
};

struct Statement {
  enum class Kind : std::uint8_t { kDefinition, kIgnore, kDeclare } kind;
  Definition definition;       // kIgnore: only its tree
  std::vector<Node*> symbols;  // kDeclare
};

struct File {
  std::vector<Statement> statements;
  std::vector<Import> imports;
};

// Reads one file. The nodes live in `nodes`.
File read_file(const std::string& text, std::deque<Node>& nodes);

// The definitions of a grammar and all that it imports, in Lark's order; names are resolved.
struct Definitions {
  std::deque<Node> nodes;
  std::deque<Definition> all;
  std::vector<const Definition*> kept;
  std::vector<std::string> ignore;
};
void read_grammar(const std::string& text, const Find& find, Definitions& into);

// -- patterns --------------------------------------------------------------------------------------------------------------------------

struct Literal {
  bool string = false;
  std::string value;
  char flag = 0;
  std::optional<std::string> raw;

  std::string regexp() const;
  bool operator<(const Literal& o) const { return std::tie(string, value, flag) < std::tie(o.string, o.value, o.flag); }
};
Literal read_literal(const std::string& spelling);
Literal read_range(const std::string& first, const std::string& last);
std::size_t code_points(const std::string& text);

}  // namespace structgen::larkread
