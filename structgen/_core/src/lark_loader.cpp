// From the definitions of a Lark grammar to plain terminals and rules: what lark.load_grammar.Grammar.compile does.
#include "lark_loader.hpp"

#include <algorithm>
#include <tuple>

#include "lr_prepare.hpp"

namespace structgen::larkread {

namespace {

// Sizes at which Lark's way is asked, which has the errors.
constexpr std::int64_t kMostAlternatives = 200000;
constexpr std::size_t kMostSymbols = 2000000;
constexpr std::size_t kLongestPattern = 1 << 18;
constexpr std::int64_t kMostParts = 10000;
constexpr int kDeepest = 400;  // trees, with terminals inside terminals
constexpr std::int64_t kFewCopies = 50;  // beyond, Lark splits a repetition into rules

const std::map<std::string, std::string>& terminal_names() {
  static const std::map<std::string, std::string> names{
      {".", "DOT"}, {",", "COMMA"}, {":", "COLON"}, {";", "SEMICOLON"}, {"+", "PLUS"}, {"-", "MINUS"}, {"*", "STAR"}, {"/", "SLASH"},
      {"\\", "BACKSLASH"}, {"|", "VBAR"}, {"?", "QMARK"}, {"!", "BANG"}, {"@", "AT"}, {"#", "HASH"}, {"$", "DOLLAR"}, {"%", "PERCENT"},
      {"^", "CIRCUMFLEX"}, {"&", "AMPERSAND"}, {"_", "UNDERSCORE"}, {"<", "LESSTHAN"}, {">", "MORETHAN"}, {"=", "EQUAL"}, {"\"", "DBLQUOTE"},
      {"'", "QUOTE"}, {"`", "BACKQUOTE"}, {"~", "TILDE"}, {"(", "LPAR"}, {")", "RPAR"}, {"{", "LBRACE"}, {"}", "RBRACE"}, {"[", "LSQB"},
      {"]", "RSQB"}, {"\n", "NEWLINE"}, {"\r\n", "CRLF"}, {"\t", "TAB"}, {" ", "SPACE"}};
  return names;
}

using Widths = std::pair<Length, Length>;

Length longest_first(const Length& l) { return {-l.first, -l.second}; }

struct Named {
  std::string name;
  Literal pattern;
  std::int64_t priority;
};

struct Symbol {
  Kind kind;  // kTerminal, kNonterminal or kNothing
  std::int32_t name;  // the name's number
  bool operator<(const Symbol& o) const { return std::tie(kind, name) < std::tie(o.kind, o.name); }
  bool operator==(const Symbol& o) const { return kind == o.kind && name == o.name; }
};
using Symbols = std::vector<Symbol>;

struct Alternative {
  Symbols symbols;
  std::string alias;
  bool operator<(const Alternative& o) const { return std::tie(symbols, alias) < std::tie(o.symbols, o.alias); }
};

struct Body {
  std::string name;
  Node* tree;
  std::int64_t priority;
};

struct Flat {
  std::int32_t origin;  // the name's number
  Symbols symbols;
  std::string alias;
  std::int64_t priority;
};

class Compiler {
 public:
  Compiler(Definitions& definitions, const Width& width, bool natively) : definitions_(definitions), width_(width), natively_(natively) {}

  Loaded run(const std::vector<std::string>& starts, const std::set<std::string>& keep) {
    std::int64_t alternatives = 0;
    for (const Definition* one : definitions_.kept) {
      if (!one->terminal && (alternatives += sized(one->tree)) > kMostAlternatives) throw NotPlain{};
    }
    for (const Definition* one : definitions_.kept) {
      if (one->terminal && one->tree != nullptr) add_terminal({one->name, pattern(*one), one->priority});
    }
    std::vector<Body> bodies;
    for (const Definition* one : definitions_.kept) {
      if (one->terminal) continue;
      name_patterns(*one);
      expand_repeats(*one);
      bodies.push_back({one->name, one->tree, one->priority});
    }
    bodies.insert(bodies.end(), added_.begin(), added_.end());
    for (const Body& body : bodies) flatten(body);
    drop_doubles();
    drop_unused(starts);
    return finish(starts, keep);
  }

 private:
  // -- sizes ---------------------------------------------------------------------------------------------------------------------------

  // How many alternatives a tree and the rules made for it will have at most, counted as Lark grammars are limited.
  std::int64_t sized(const Node* tree) {
    std::int64_t helpers = 0;
    const std::int64_t own = alternatives(tree, helpers);
    return std::min(own + helpers, kMostAlternatives + 1);
  }

  std::int64_t alternatives(const Node* node, std::int64_t& helpers) {
    const auto capped = [](std::int64_t count) { return std::min(count, kMostAlternatives + 1); };
    std::int64_t count = node->kind == Kind::kExpansions ? 0 : 1;
    if (node->kind == Kind::kExpr) {
      const std::int64_t inner = alternatives(node->children[0], helpers);
      if (node->op == '?') return inner + 1;
      if (node->op != '~') {
        helpers = capped(helpers + 2 * inner);
        return node->op == '+' ? 1 : 2;
      }
      if (node->high >= kFewCopies) throw NotPlain{};
      count = 0;
      for (std::int64_t copies = node->low < 0 ? node->high : node->low; copies <= node->high; ++copies) {
        std::int64_t product = 1;
        for (std::int64_t i = 0; i < copies; ++i) product = capped(product * inner);
        count = capped(count + product);
      }
      return count;
    }
    if (node->kind == Kind::kLiteral || node->kind == Kind::kRange) return 1;
    for (const Node* child : node->children) {
      const std::int64_t inner = alternatives(child, helpers);
      count = capped(node->kind == Kind::kExpansions ? count + inner : count * inner);
    }
    return node->kind == Kind::kMaybe ? count + 1 : count;
  }

  // -- terminals -----------------------------------------------------------------------------------------------------------------------

  const Literal& pattern(const Definition& one, int depth = 0) {
    const auto known = patterns_.find(&one);
    if (known != patterns_.end()) return known->second;
    return patterns_.emplace(&one, pattern(one.tree, depth)).first->second;
  }

  // lark.load_grammar.PrepareLiterals and TerminalTreeToPattern
  Literal pattern(const Node* node, int depth) {
    if (++parts_ > kMostParts || depth > kDeepest) throw NotPlain{};
    std::vector<Literal> parts;
    switch (node->kind) {
      case Kind::kLiteral: return read_literal(node->text);
      case Kind::kRange: return read_range(node->text, node->last);
      case Kind::kTerminal: return pattern(*node->target, depth + 1);
      case Kind::kExpansions:
      case Kind::kExpansion:
      case Kind::kMaybe:
      case Kind::kExpr:
        for (const Node* child : node->children) parts.push_back(pattern(child, depth + 1));
        break;
      default: throw NotPlain{};
    }
    if (node->kind == Kind::kMaybe) return repeated(parts[0], "?");
    if (node->kind == Kind::kExpr) return repeated(parts[0], operator_of(*node));
    if (parts.size() == 1) return parts[0];
    Literal made;
    if (node->kind == Kind::kExpansion) {
      for (const Literal& part : parts) made.value += part.regexp();
    } else {
      using Key = std::tuple<Length, Length, std::int64_t>;
      std::vector<std::pair<Key, std::size_t>> order;
      for (const Literal& part : parts) {
        const Widths w = widths(part);
        order.push_back({{longest_first(w.second), longest_first(w.first), -static_cast<std::int64_t>(code_points(part.value))}, order.size()});
      }
      std::sort(order.begin(), order.end());
      for (const auto& [key, number] : order) made.value += (made.value.empty() ? "(?:" : "|") + parts[number].regexp();
      made.value += ")";
    }
    if (made.value.size() > kLongestPattern) throw NotPlain{};
    return made;
  }

  static std::string operator_of(const Node& node) {
    if (node.op != '~') return {node.op};
    if (node.low < 0) return "{" + std::to_string(node.high) + "}";
    return "{" + std::to_string(node.low) + "," + std::to_string(node.high) + "}";
  }

  static Literal repeated(const Literal& inner, const std::string& how) {
    Literal made;
    made.value = "(?:" + inner.regexp() + ")" + how;
    made.flag = inner.flag;
    return made;
  }

  const Widths& widths(const Literal& one) {
    const std::string regexp = one.regexp();
    const auto known = widths_.find({one.string, regexp});
    if (known != widths_.end()) return known->second;
    const Length length{0, static_cast<std::int64_t>(code_points(one.value))};
    return widths_.emplace(std::pair{one.string, regexp}, one.string ? Widths{length, length} : width_of(regexp)).first->second;
  }

  Widths width_of(const std::string& regexp) {
    if (!natively_) return width_(regexp);
    const auto halves = [](const pyregex::Extent& length) { return Length{static_cast<std::int64_t>(length.high), static_cast<std::int64_t>(length.low)}; };
    try {
      pyregex::Sequence items = pyregex::parse(regexp);
      const pyregex::Width width = pyregex::width(items);
      parsed_.emplace(regexp, std::move(items));
      return {halves(width.low), halves(width.high)};
    } catch (const pyregex::NotPlain&) {
      return width_(regexp);
    }
  }

  void add_terminal(Named terminal) {
    taken_.insert(terminal.name);
    by_pattern_[terminal.pattern] = terminal.name;
    terminals_.push_back(std::move(terminal));
  }

  // -- rules: trees --------------------------------------------------------------------------------------------------------------------

  // The inner nodes of a tree as Lark's transformers come by them: the deepest first, from left to right.
  static std::vector<Node*> inside_out(Node* tree) {
    std::vector<Node*> nodes{tree};
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const std::vector<Node*>& children = nodes[i]->children;
      nodes.insert(nodes.end(), children.rbegin(), children.rend());
    }
    std::reverse(nodes.begin(), nodes.end());
    return nodes;
  }

  // lark.load_grammar.PrepareAnonTerminals
  void name_patterns(const Definition& rule) {
    for (Node* node : inside_out(rule.tree)) {
      if (node->kind != Kind::kLiteral && node->kind != Kind::kRange) continue;
      const Literal made = node->kind == Kind::kLiteral ? read_literal(node->text) : read_range(node->text, node->last);
      node->kind = Kind::kTerminal;
      node->filtered = made.string && !rule.keep_all;
      node->text = name_of(made);
    }
  }

  std::string name_of(const Literal& pattern) {
    const auto known = by_pattern_.find(pattern);
    if (known != by_pattern_.end()) return known->second;
    std::string name = pattern.string ? telling_name(pattern.value) : "";
    if (name.empty() || taken_.count(name) != 0) name = "__ANON_" + std::to_string(anonymous_++);
    if (taken_.count(name) != 0) throw NotPlain{};
    add_terminal({name, pattern, 0});
    return name;
  }

  static std::string telling_name(const std::string& value) {
    const auto known = terminal_names().find(value);
    if (known != terminal_names().end()) return known->second;
    std::string upper;
    bool other = false;
    for (const char c : value) {
      other |= static_cast<unsigned char>(c) > 127;
      if (static_cast<unsigned char>(c) > 127) continue;
      const bool small = c >= 'a' && c <= 'z', large = c >= 'A' && c <= 'Z', number = c >= '0' && c <= '9';
      if (!small && !large && c != '_' && (!number || (upper.empty() && !other))) return "";
      upper.push_back(small ? static_cast<char>(c - 'a' + 'A') : c);
    }
    // Letters of other scripts have capitals, too, and may or may not be part of names.
    if (other) throw NotPlain{};
    return upper;
  }

  Node* node(Kind kind, std::vector<Node*> children = {}) {
    definitions_.nodes.push_back({});
    Node* made = &definitions_.nodes.back();
    made->kind = kind;
    made->children = std::move(children);
    return made;
  }

  // lark.load_grammar.EBNF_to_BNF
  void expand_repeats(const Definition& rule) {
    for (Node* one : inside_out(rule.tree)) {
      if (one->kind != Kind::kExpr && one->kind != Kind::kMaybe) continue;
      Node* inner = one->children[0];
      const bool maybe = one->kind == Kind::kMaybe;
      one->kind = Kind::kExpansions;
      if (maybe || one->op == '?') {
        Node* empty = node(Kind::kExpansion);
        if (maybe) empty->children.assign(static_cast<std::size_t>(placeholders(inner, rule.keep_all)), node(Kind::kNothing));
        one->children = {inner, empty};
      } else if (one->op == '*') {
        Node* repeat = node(Kind::kNonterminal);
        repeat->text = recursive(inner, rule, "star");
        one->children = {repeat, node(Kind::kExpansion)};
      } else if (one->op == '+') {
        one->kind = Kind::kNonterminal;
        one->text = recursive(inner, rule, "plus");
        one->children.clear();
      } else {
        one->children.clear();
        for (std::int64_t copies = one->low < 0 ? one->high : one->low; copies <= one->high; ++copies) {
          one->children.push_back(node(Kind::kExpansion, std::vector<Node*>(static_cast<std::size_t>(copies), inner)));
        }
      }
    }
  }

  // The name of the rule for one or more `inner`.
  std::string recursive(Node* inner, const Definition& rule, const std::string& type) {
    std::string key;
    write(inner, key);
    const auto known = repeats_.find(key);
    if (known != repeats_.end()) return known->second;
    const std::string name = "__" + rule.name + "_" + type + "_" + std::to_string(repeats_.size());
    Node* again = node(Kind::kNonterminal);
    again->text = name;
    added_.push_back({name, node(Kind::kExpansions, {node(Kind::kExpansion, {inner}), node(Kind::kExpansion, {again, inner})}), 0});
    repeats_.emplace(key, name);
    return name;
  }

  // Equal trees, equal texts.
  static void write(const Node* node, std::string& to) {
    to += static_cast<char>('a' + static_cast<int>(node->kind));
    to += node->text;
    to += '(';
    for (const Node* child : node->children) write(child, to);
    to += ')';
  }

  // lark.load_grammar.FindRuleSize
  static std::int64_t placeholders(const Node* node, bool keep_all) {
    if (node->kind == Kind::kNothing) return 0;
    if (node->kind == Kind::kTerminal) return keep_all || !node->filtered ? 1 : 0;
    if (node->kind == Kind::kNonterminal) return node->text[0] == '_' ? 0 : 1;
    if (node->kind == Kind::kAlias) throw NotPlain{};
    std::int64_t size = 0;
    for (const Node* child : node->children) {
      const std::int64_t one = placeholders(child, keep_all);
      size = node->kind == Kind::kExpansion ? size + one : std::max(size, one);
    }
    return size;
  }

  std::int32_t number(const std::string& name) {
    const auto [place, is_new] = numbers_.emplace(name, static_cast<std::int32_t>(names_.size()));
    if (is_new) names_.push_back(name);
    return place->second;
  }

  // -- rules: alternatives -------------------------------------------------------------------------------------------------------------

  // lark.load_grammar.SimplifyRule_Visitor and RuleTreeToText
  void flatten(const Body& body) {
    const std::int32_t origin = number(body.name);
    std::set<Alternative> seen;
    for (const Node* child : body.tree->children) {
      const bool aliased = child->kind == Kind::kAlias;
      if (aliased && body.name[0] == '_') throw NotPlain{};
      for (Symbols& symbols : written_out(aliased ? child->children[0] : child)) {
        Alternative one{std::move(symbols), aliased ? child->text : ""};
        if (!seen.insert(one).second) continue;
        one.symbols.erase(std::remove_if(one.symbols.begin(), one.symbols.end(), [](const Symbol& s) { return s.kind == Kind::kNothing; }), one.symbols.end());
        flat_.push_back({origin, std::move(one.symbols), std::move(one.alias), body.priority});
      }
    }
  }

  std::vector<Symbols> written_out(const Node* node) {
    switch (node->kind) {
      case Kind::kTerminal:
      case Kind::kNonterminal:
      case Kind::kNothing: return {{{node->kind, number(node->text)}}};
      case Kind::kExpansions: {
        if (node->children.size() == 1) return written_out(node->children[0]);
        std::vector<Symbols> made;
        std::set<Symbols> seen;
        for (const Node* child : node->children) {
          for (Symbols& one : written_out(child)) {
            if (seen.insert(one).second) made.push_back(std::move(one));
          }
        }
        return made;
      }
      case Kind::kExpansion: {
        std::vector<Symbols> made{{}};
        for (const Node* child : node->children) {
          const std::vector<Symbols> next = written_out(child);
          if (next.size() == 1) {
            for (Symbols& start : made) {
              start.insert(start.end(), next[0].begin(), next[0].end());
              if ((written_ += start.size()) > kMostSymbols) throw NotPlain{};
            }
            continue;
          }
          std::vector<Symbols> longer;
          for (const Symbols& start : made) {
            for (const Symbols& end : next) {
              longer.push_back(start);
              longer.back().insert(longer.back().end(), end.begin(), end.end());
              if ((written_ += longer.back().size()) > kMostSymbols) throw NotPlain{};
            }
          }
          made = std::move(longer);
        }
        return made;
      }
      default: throw NotPlain{};  // an alias inside a group
    }
  }

  // Of equal rules, all but empty ones are an error.
  void drop_doubles() {
    std::set<std::pair<std::int32_t, Symbols>> seen;
    std::vector<Flat> kept;
    for (Flat& rule : flat_) {
      if (seen.insert({rule.origin, rule.symbols}).second) kept.push_back(std::move(rule));
      else if (!rule.symbols.empty()) throw NotPlain{};
    }
    flat_ = std::move(kept);
  }

  void drop_unused(const std::vector<std::string>& starts) {
    std::vector<std::int32_t> first;
    for (const std::string& start : starts) first.push_back(number(start));
    for (std::size_t before = flat_.size() + 1; before != flat_.size();) {
      before = flat_.size();
      std::vector<char> used(names_.size(), 0);
      for (const std::int32_t start : first) used[static_cast<std::size_t>(start)] = 1;
      for (const Flat& rule : flat_) {
        for (const Symbol& symbol : rule.symbols) {
          if (symbol.kind == Kind::kNonterminal && symbol.name != rule.origin) used[static_cast<std::size_t>(symbol.name)] = 1;
        }
      }
      flat_.erase(std::remove_if(flat_.begin(), flat_.end(), [&](const Flat& rule) { return !used[static_cast<std::size_t>(rule.origin)]; }), flat_.end());
    }
  }

  // -- numbers -------------------------------------------------------------------------------------------------------------------------

  Loaded finish(const std::vector<std::string>& starts, const std::set<std::string>& keep) {
    Loaded made;
    std::set<std::string> used(keep);
    used.insert(definitions_.ignore.begin(), definitions_.ignore.end());
    std::vector<std::int32_t> nonterminals(names_.size(), -1), terminals(names_.size(), -1);  // by the name's number
    std::vector<char> named(names_.size(), 0);
    for (const Flat& rule : flat_) {
      std::int32_t& place = nonterminals[static_cast<std::size_t>(rule.origin)];
      if (place < 0) {
        place = static_cast<std::int32_t>(made.nonterminals.size());
        made.nonterminals.push_back(names_[static_cast<std::size_t>(rule.origin)]);
      }
      for (const Symbol& symbol : rule.symbols) {
        if (symbol.kind == Kind::kTerminal) named[static_cast<std::size_t>(symbol.name)] = 1;
      }
    }
    for (std::size_t n = 0; n < names_.size(); ++n) {
      if (named[n]) used.insert(names_[n]);
    }
    for (const Named* one : scan_order(used)) {
      const Literal& p = one->pattern;
      const auto name = numbers_.find(one->name);
      if (name != numbers_.end()) terminals[static_cast<std::size_t>(name->second)] = static_cast<std::int32_t>(made.terminals.size());
      const Widths& w = widths(p);
      made.terminals.push_back({one->name, p.value, p.string, p.flag, p.raw, one->priority, p.regexp(), w.first, w.second});
    }
    for (const Flat& rule : flat_) {
      std::vector<std::int32_t> symbols;
      for (const Symbol& symbol : rule.symbols) {
        const std::size_t name = static_cast<std::size_t>(symbol.name);
        if (symbol.kind == Kind::kTerminal) {
          if (terminals[name] < 0) {
            terminals[name] = static_cast<std::int32_t>(made.terminals.size() + made.declared.size());
            made.declared.push_back(names_[name]);
          }
          symbols.push_back(terminals[name]);
        } else {
          if (nonterminals[name] < 0) throw NotPlain{};
          symbols.push_back(~nonterminals[name]);
        }
      }
      const std::size_t origin = static_cast<std::size_t>(rule.origin);
      made.rules.push_back({nonterminals[origin], std::move(symbols), rule.priority, rule.alias.empty() ? names_[origin] : rule.alias});
    }
    made.ignore = definitions_.ignore;
    made.productive = productive(made, starts, nonterminals);
    made.parsed = std::move(parsed_);
    return made;
  }

  // Lark's lexer sorts by -priority, -max_width, -len(value), name.
  std::vector<const Named*> scan_order(const std::set<std::string>& used) {
    using Key = std::tuple<std::int64_t, Length, std::int64_t, std::string>;
    std::vector<std::pair<Key, const Named*>> order;
    for (const Named& one : terminals_) {
      if (used.count(one.name) == 0) continue;
      const auto length = static_cast<std::int64_t>(code_points(one.pattern.value));
      order.push_back({{-one.priority, longest_first(widths(one.pattern).second), -length, one.name}, &one});
    }
    std::sort(order.begin(), order.end());
    std::vector<const Named*> made;
    for (const auto& [key, one] : order) made.push_back(one);
    return made;
  }

  bool productive(const Loaded& grammar, const std::vector<std::string>& starts, const std::vector<std::int32_t>& nonterminals) {
    std::vector<LrRule> rules;
    for (const Loaded::Rule& rule : grammar.rules) rules.push_back({rule.origin, rule.symbols, 0});
    const std::vector<char> terminals(grammar.terminals.size() + grammar.declared.size(), 1);
    for (const std::string& start : starts) {
      const std::int32_t found = nonterminals[static_cast<std::size_t>(number(start))];
      if (found < 0) throw NotPlain{};
      const Pruned pruned = prune(rules, static_cast<std::int32_t>(grammar.nonterminals.size()), found, terminals);
      if (!pruned.unproductive.empty()) return false;
    }
    return true;
  }

  Definitions& definitions_;
  const Width& width_;
  bool natively_;
  std::map<std::string, pyregex::Sequence> parsed_;
  std::vector<Named> terminals_;
  std::set<std::string> taken_;
  std::map<Literal, std::string> by_pattern_;
  std::unordered_map<const Definition*, Literal> patterns_;
  std::map<std::pair<bool, std::string>, Widths> widths_;
  std::map<std::string, std::string> repeats_;
  std::vector<Body> added_;
  std::vector<Flat> flat_;
  std::vector<std::string> names_;  // of what rules are made of
  std::unordered_map<std::string, std::int32_t> numbers_;
  std::int64_t anonymous_ = 0, parts_ = 0;
  std::size_t written_ = 0;
};

}  // namespace

std::optional<Loaded> load(const std::string& text, const std::vector<std::string>& starts, const std::set<std::string>& keep, const Width& width,
                           const Find& find, bool natively) {
  try {
    Definitions definitions;
    read_grammar(text, find, definitions);
    return Compiler(definitions, width, natively).run(starts, keep);
  } catch (const NotPlain&) {
    return std::nullopt;
  }
}

}  // namespace structgen::larkread
