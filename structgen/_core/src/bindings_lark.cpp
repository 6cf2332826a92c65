// Patterns and parsers of Lark grammars, as Python makes them.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "bindings_lark_loader.hpp"
#include "builder.hpp"
#include "lr_prepare.hpp"
#include "python_regex.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace structgen {

namespace {

constexpr std::size_t kMostLrStates = 200000;
constexpr std::size_t kMostRules = 200000;

using Ranges = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
using TerminalList = std::vector<std::tuple<std::string, std::int32_t, std::int32_t>>;
using UnlessList = std::vector<std::tuple<std::int32_t, std::int32_t, Re, bool>>;
using RuleList = std::vector<std::tuple<std::int32_t, std::vector<std::int32_t>, std::int32_t, std::string>>;
using IndenterTuple = std::tuple<std::int32_t, std::int32_t, std::int32_t, std::vector<std::int32_t>, std::vector<std::int32_t>, std::int32_t>;

CharSet char_set(const Ranges& ranges) {
  CharSet set;
  for (const auto& r : ranges) {
    if (r.first > r.second || r.second > kMaxCodePoint) throw std::invalid_argument("a character range must satisfy 0 <= low <= high <= 0x10FFFF");
    set.push_back({r.first, r.second});
  }
  return set;
}

std::vector<Pattern> checked_patterns(Builder& b, const std::vector<Pattern>& parts) {
  for (const Pattern p : parts)
    if (!b.lark().scanner.patterns.is_pattern(p)) throw std::invalid_argument("not a pattern handle: " + std::to_string(p));
  return parts;
}

void bind_patterns(nb::class_<Builder>& c) {
  using G = Builder::OpenGuard;
  const auto patterns = [](Builder& b) -> PatternStore& { return b.lark().scanner.patterns; };
  c.def("left_context",
        [](Builder& b, const std::vector<Ranges>& cells, std::vector<std::vector<Left>> next) {
          G g(b);
          std::vector<CharSet> sets;
          for (const Ranges& r : cells) sets.push_back(char_set(r));
          for (const std::vector<Left>& row : next) {
            if (row.size() != cells.size()) throw std::invalid_argument("each row of a left context needs one state for each cell");
            for (const Left to : row)
              if (to < 0 || static_cast<std::size_t>(to) >= next.size()) throw std::invalid_argument("not a state of the left context: " + std::to_string(to));
          }
          b.lark().scanner.left_context(std::move(sets), std::move(next));
        }, "cells"_a, "following"_a)
      .def("pat_empty", [](Builder&) { return PatternStore::kEmpty; })
      .def("pat_chars", [patterns](Builder& b, const Ranges& ranges) { G g(b); return patterns(b).chars(char_set(ranges)); }, "ranges"_a)
      .def("pat_literal",
           [patterns](Builder& b, const nb::str& text) {
             G g(b);
             std::vector<Pattern> parts;
             for (const std::uint32_t c : code_points(text)) parts.push_back(patterns(b).chars({{c, c}}));
             return patterns(b).concat(parts);
           }, "text"_a)
      .def("pat_concat", [patterns](Builder& b, const std::vector<Pattern>& parts) { G g(b); return patterns(b).concat(checked_patterns(b, parts)); }, "parts"_a)
      .def("pat_choice", [patterns](Builder& b, const std::vector<Pattern>& parts) { G g(b); return patterns(b).choice(checked_patterns(b, parts)); }, "parts"_a)
      .def("pat_repeat",
           [patterns](Builder& b, Pattern body, std::int64_t low, std::int64_t high, bool lazy) {
             G g(b);
             checked_patterns(b, {body});
             if (low < 0 || high < -1 || (high != -1 && high < low)) throw std::invalid_argument("a repetition must satisfy 0 <= low <= high, or high = -1");
             if (low >= 1 << 30 || high >= 1 << 30) throw LimitError("a repetition count exceeds 2**30 - 1");
             return patterns(b).repeat(body, static_cast<std::int32_t>(low), static_cast<std::int32_t>(high), lazy);
           }, "body"_a, "low"_a, "high"_a, "lazy"_a)
      .def("pat_ahead",
           [patterns](Builder& b, const std::vector<Re>& rest, bool negative) {
             G g(b);
             if (rest.empty()) throw std::invalid_argument("a lookahead needs a regex for each state of the left context");
             for (const Re r : rest) b.check_re(r);
             return patterns(b).ahead(rest, negative);
           }, "rest"_a, "negative"_a)
      .def("pat_behind", [patterns](Builder& b, const std::vector<Left>& states) { G g(b); return patterns(b).behind(states); }, "states"_a);
}

void read_terminals(Builder& b, LarkGrammar& lark, const TerminalList& terminals, const std::vector<std::int32_t>& ignore) {
  for (const auto& [name, kind, handle] : terminals) {
    if (kind < 0 || kind > 3) throw std::invalid_argument("not a kind of terminal: " + std::to_string(kind));
    const LarkGrammar::Terminal t{name, static_cast<LarkGrammar::Kind>(kind), handle};
    const std::int32_t number = static_cast<std::int32_t>(lark.terminals.size());
    if (t.kind == LarkGrammar::Kind::kPattern) {
      checked_patterns(b, {handle});
      lark.scanned.push_back(number);
    } else if (t.kind != LarkGrammar::Kind::kDeclared) {
      if (t.kind == LarkGrammar::Kind::kExpression) b.check_expr(handle);
      else if (handle < 0 || static_cast<std::size_t>(handle) >= b.vocabulary->data->size()) throw std::invalid_argument("not a token: " + std::to_string(handle));
      lark.embedded.push_back(number);
    }
    lark.terminals.push_back(t);
  }
  const bool embeds = std::any_of(lark.terminals.begin(), lark.terminals.end(), [](const LarkGrammar::Terminal& t) { return t.kind == LarkGrammar::Kind::kExpression; });
  if (embeds) {
    PatternStore& patterns = lark.scanner.patterns;
    lark.any_text = lark.end();
    lark.terminals.push_back({"any text", LarkGrammar::Kind::kPattern, patterns.repeat(patterns.chars({{0, 0xD7FF}, {0xE000, 0x10FFFF}}), 0, kInfinity, false)});
  }
  lark.ignored.assign(lark.terminals.size(), false);
  for (const std::int32_t t : ignore) lark.ignored.at(static_cast<std::size_t>(t)) = true;
}

// Numbers of terminals may be -1: the grammar does not have that one.
void read_indenter(LarkGrammar& lark, const IndenterTuple& given) {
  const auto& [newline, indent, dedent, opening, closing, tab] = given;
  const auto check = [&](std::int32_t t) {
    if (t < -1 || t >= lark.end()) throw std::invalid_argument("not a terminal: " + std::to_string(t));
  };
  for (const std::int32_t t : {newline, indent, dedent}) check(t);
  for (const std::int32_t t : opening) check(t);
  for (const std::int32_t t : closing) check(t);
  if (tab <= 0) throw std::invalid_argument("a tab must count for something");
  lark.indents = true;
  lark.indenter = {newline, indent, dedent, tab, opening, closing};
}

Expr make_parser(Builder& b, const TerminalList& terminals, const UnlessList& unless, const std::vector<std::int32_t>& ignore, std::vector<std::string> nonterminals,
                 const RuleList& rules, const std::vector<std::int32_t>& starts, const std::vector<std::int32_t>& shared, const std::string& mode, const std::optional<IndenterTuple>& indenter) {
  Builder::OpenGuard g(b);
  LarkGrammar& lark = b.lark();
  const std::map<std::string, LarkGrammar::Mode> modes{{"contextual", LarkGrammar::Mode::kContextual}, {"lalr_basic", LarkGrammar::Mode::kBasic}, {"basic", LarkGrammar::Mode::kBasic},
                                                        {"dynamic", LarkGrammar::Mode::kDynamic}, {"dynamic_complete", LarkGrammar::Mode::kDynamicComplete}};
  const auto known = modes.find(mode);
  if (known == modes.end()) throw std::invalid_argument("not a mode: " + mode);
  lark.mode = known->second;
  lark.general = mode != "contextual" && mode != "lalr_basic";
  read_terminals(b, lark, terminals, ignore);
  if (indenter) read_indenter(lark, *indenter);
  const std::int32_t count = lark.end();
  for (const auto& [lhs, symbols, priority, name] : rules) {
    lark.rules.push_back({lhs, symbols, priority});
    lark.rule_names.push_back(name);
  }
  check_rules(lark.rules, count, static_cast<std::int32_t>(nonterminals.size()), starts);
  std::int32_t symbols = static_cast<std::int32_t>(nonterminals.size());
  if (lark.general) {
    WithoutEmpty free = without_empty(lark.rules, count, symbols, starts, kMostRules);
    std::vector<std::string> names;
    for (const std::int32_t from : free.from) names.push_back(lark.rule_names[static_cast<std::size_t>(from)]);
    lark.rules = std::move(free.rules);
    lark.rule_names = std::move(names);
    lark.empty_text = free.nullable_start;
    symbols = free.nonterminals;
  }
  lark.nonterminals = std::move(nonterminals);
  lark.symbols = symbols;
  lark.starts = starts;
  if (lark.general) {
    lark.tables = build_lr(lark.rules, count, symbols, starts, Conflicts::kKeep, kMostLrStates);
  } else {
    std::vector<std::int32_t> all = starts;
    all.insert(all.end(), shared.begin(), shared.end());
    lark.tables = build_lr(lark.rules, count, symbols, all, Conflicts::kResolve, kMostLrStates);
    lark.tables.starts.resize(starts.size());
  }
  std::vector<Scanner::Unless> pairs;
  for (const auto& [owner, keyword, texts, embedded] : unless) {
    b.check_re(texts);
    // What is ignored is dropped before keywords are looked for.
    if (!lark.ignored.at(static_cast<std::size_t>(owner))) pairs.push_back({owner, keyword, texts, embedded});
  }
  lark.used.assign(lark.terminals.size(), false);
  for (const LrRule& rule : lark.rules)
    for (const std::int32_t symbol : rule.rhs)
      if (symbol >= 0) lark.used[static_cast<std::size_t>(symbol)] = true;
  lark.keywords.assign(lark.terminals.size(), false);
  for (const Scanner::Unless& u : pairs) lark.keywords.at(static_cast<std::size_t>(u.keyword)) = true;
  std::vector<Pattern> scanned;
  for (const LarkGrammar::Terminal& t : lark.terminals) scanned.push_back(t.kind == LarkGrammar::Kind::kPattern ? t.handle : -1);
  // Of what is ignored, lark takes the preferred match alone.
  std::vector<bool> every_end(lark.terminals.size(), lark.mode == LarkGrammar::Mode::kDynamicComplete);
  if (lark.any_text >= 0) every_end[static_cast<std::size_t>(lark.any_text)] = true;
  for (std::size_t t = 0; t < every_end.size(); ++t) every_end[t] = every_end[t] && !lark.ignored[t];
  lark.scanner.prepare(std::move(scanned), std::move(pairs), lark.indents ? lark.indenter.newline : -1, lark.indenter.tab, std::move(every_end));
  lark.find_followers();
  lark.find_rebreaks();
  return b.grammar->lark(std::move(b.larking));
}

// Makes patterns beside each other; null trees are left out.
std::vector<Pattern> make_patterns(const std::vector<const pyregex::Node*>& trees, pyregex::Lowering& lowering) {
  std::vector<Pattern> made;
  for (const pyregex::Node* tree : trees) made.push_back(tree == nullptr ? PatternStore::kEmpty : lowering.pattern(tree));
  return made;
}

// Python's text may hold lone surrogates, which have no UTF-8.
std::string utf8(const nb::str& text) {
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (bytes == nullptr) {
    PyErr_Clear();
    throw pyregex::NotPlain{};
  }
  return {bytes, static_cast<std::size_t>(size)};
}

using Context = std::pair<std::vector<Ranges>, std::vector<std::vector<Left>>>;

// Patterns of re, and the left context that they need.
std::optional<std::pair<std::vector<Pattern>, Context>> python_patterns(Builder& b, const std::vector<nb::str>& patterns, const nb::callable& ask) {
  try {
    pyregex::Trees trees(asking(ask));
    std::vector<const pyregex::Node*> read;
    for (const nb::str& pattern : patterns) read.push_back(trees.tree(pyregex::parse(utf8(pattern))));
    Builder::OpenGuard g(b);
    pyregex::Lowering lowering(read, g.re, b.lark().scanner.patterns);
    std::vector<Pattern> made = make_patterns(read, lowering);
    std::vector<Ranges> cells;
    for (const CharSet& cell : lowering.cells()) {
      cells.emplace_back();
      for (const Range& r : cell) cells.back().emplace_back(r.low, r.high);
    }
    return std::pair{std::move(made), Context{std::move(cells), lowering.following()}};
  } catch (const pyregex::NotPlain&) {
    return std::nullopt;
  }
}

std::vector<std::int32_t> numbers_of(const std::vector<std::string>& names, const std::vector<std::string>& all) {
  std::vector<std::int32_t> made;
  for (const std::string& name : names) made.push_back(static_cast<std::int32_t>(std::find(all.begin(), all.end(), name) - all.begin()));
  return made;
}

// The parser of a grammar that the core has read itself; nothing if Python has to make it.
std::optional<Expr> make_loaded_parser(Builder& b, const LoadedGrammar& loaded, const std::vector<std::string>& starts, const std::vector<std::string>& shared,
                                       const std::string& mode) {
  if (!loaded.scanned) return std::nullopt;
  const larkread::Loaded& grammar = loaded.grammar;
  const larkread::Scanned& scanned = *loaded.scanned;
  TerminalList terminals;
  UnlessList unless;
  std::map<std::string, std::int32_t> numbers;
  try {
    Builder::OpenGuard g(b);
    PatternStore& patterns = b.lark().scanner.patterns;
    pyregex::Lowering lowering(scanned.patterns, g.re, patterns);
    std::vector<Pattern> handles = make_patterns(scanned.patterns, lowering);
    const auto literal = [&](std::size_t t) { return pyregex::decode(grammar.terminals[t].value); };
    for (std::size_t t = 0; t < handles.size(); ++t) {
      if (scanned.patterns[t] == nullptr) {
        std::vector<Pattern> parts;
        for (const std::uint32_t c : literal(t)) parts.push_back(patterns.chars({{c, c}}));
        handles[t] = patterns.concat(parts);
      }
      numbers.emplace(grammar.terminals[t].name, static_cast<std::int32_t>(t));
      terminals.emplace_back(grammar.terminals[t].shown(), static_cast<std::int32_t>(LarkGrammar::Kind::kPattern), handles[t]);
    }
    // What lexers that match each terminal on its own have no use for.
    if (mode != "dynamic" && mode != "dynamic_complete") {
      for (const larkread::Scanned::Unless& one : scanned.unless) {
        const auto string = static_cast<std::size_t>(one.string);
        const Re texts = scanned.patterns[string] == nullptr ? g.re.literal(literal(string)) : lowering.regex(scanned.patterns[string]);
        unless.emplace_back(one.regex, one.string, texts, one.embedded);
      }
    }
    // Nothing is left that Python might have to do again.
    if (lowering.following().size() > 1) b.lark().scanner.left_context(lowering.cells(), lowering.following());
  } catch (const pyregex::NotPlain&) {
    return std::nullopt;
  }
  std::vector<std::int32_t> ignore;
  for (const std::string& name : grammar.ignore) ignore.push_back(numbers.at(name));
  RuleList rules;
  for (const larkread::Loaded::Rule& r : grammar.rules) rules.emplace_back(r.origin, r.symbols, static_cast<std::int32_t>(r.priority), r.name);
  return make_parser(b, terminals, unless, ignore, grammar.nonterminals, rules, numbers_of(starts, grammar.nonterminals), numbers_of(shared, grammar.nonterminals), mode,
                     std::nullopt);
}

}  // namespace

void bind_lark(nb::class_<Builder>& c) {
  bind_patterns(c);
  c.def("lr_parser", &make_parser, "terminals"_a, "unless"_a, "ignore"_a, "nonterminals"_a, "rules"_a, "starts"_a, "shared"_a, "mode"_a, "indenter"_a.none())
      .def("python_patterns", &python_patterns, "patterns"_a, "ask"_a)
      .def("loaded_parser", &make_loaded_parser, "loaded"_a, "starts"_a, "shared"_a, "mode"_a);
}

}  // namespace structgen
