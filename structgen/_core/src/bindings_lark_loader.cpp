// Lark's loader, made natively, as Python calls it; and patterns of Python's re by themselves.
#include "bindings_lark_loader.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/set.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "bindings_lr.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace structgen {

pyregex::Ask asking(const nb::callable& ask) {
  return [ask](const std::string& item, std::uint32_t flags) {
    CharSet set;
    for (const auto& [low, high] : nb::cast<std::vector<std::pair<std::uint32_t, std::uint32_t>>>(ask(item, flags))) set.push_back({low, high});
    return set;
  };
}

namespace {

using larkread::Length;

std::unique_ptr<LoadedGrammar> load_grammar(const std::string& text, const std::vector<std::string>& starts, const std::set<std::string>& keep,
                                            const nb::callable& width, const nb::callable& find, const std::optional<nb::callable>& ask) {
  auto loaded = larkread::load(
      text, starts, keep, [&](const std::string& regexp) { return nb::cast<std::pair<Length, Length>>(width(regexp)); },
      [&](const std::string& path) { return nb::cast<std::string>(find(path)); }, ask.has_value());
  if (!loaded) return nullptr;
  auto made = std::make_unique<LoadedGrammar>();
  made->grammar = std::move(*loaded);
  if (ask && made->grammar.declared.empty() && made->grammar.productive) made->scanned = larkread::scan(made->grammar, asking(*ask));
  return made;
}

nb::tuple described(const LoadedGrammar& loaded) {
  nb::list terminals, rules;
  for (const auto& t : loaded.grammar.terminals) {
    terminals.append(nb::make_tuple(t.name, t.value, t.string, t.flag == 0 ? std::string() : std::string(1, t.flag), t.raw, t.priority, t.low, t.high));
  }
  for (const auto& r : loaded.grammar.rules) {
    nb::list symbols;
    for (const std::int32_t s : r.symbols) symbols.append(s);
    rules.append(nb::make_tuple(r.origin, nb::tuple(symbols), r.priority, r.name));
  }
  const larkread::Loaded& g = loaded.grammar;
  return nb::make_tuple(terminals, g.declared, g.nonterminals, rules, g.ignore, g.productive);
}

std::optional<std::pair<Length, Length>> pattern_width(const std::string& pattern) {
  try {
    const pyregex::Width width = pyregex::width(pyregex::parse(pattern));
    const auto halves = [](const pyregex::Extent& length) { return Length{static_cast<std::int64_t>(length.high), static_cast<std::int64_t>(length.low)}; };
    return std::pair{halves(width.low), halves(width.high)};
  } catch (const pyregex::NotPlain&) {
    return std::nullopt;
  }
}

std::optional<bool> pattern_matches(const std::string& pattern, const std::string& text, const nb::callable& ask) {
  try {
    pyregex::Trees trees(asking(ask));
    return pyregex::matches(trees.tree(pyregex::parse(pattern)), pyregex::decode(text));
  } catch (const pyregex::NotPlain&) {
    return std::nullopt;
  }
}

}  // namespace

void bind_lark_loader(nb::module_& m) {
  nb::class_<LoadedGrammar>(m, "LoadedGrammar")
      .def("described", &described)
      .def_prop_ro("shown", [](const LoadedGrammar& g) {
        std::vector<std::string> names;
        for (const auto& terminal : g.grammar.terminals) names.push_back(terminal.shown());
        return names;
      })
      .def_prop_ro("unless", [](const LoadedGrammar& g) {
        nb::list pairs;
        if (g.scanned) {
          for (const auto& one : g.scanned->unless) pairs.append(nb::make_tuple(one.regex, one.string, one.embedded));
        }
        return pairs;
      })
      .def_prop_ro("scanned", [](const LoadedGrammar& g) { return g.scanned != nullptr; })
      .def_prop_ro("asserts", [](const LoadedGrammar& g) {
        if (!g.scanned) return false;
        for (const pyregex::Node* tree : g.scanned->patterns)
          if (tree != nullptr && !tree->plain) return true;
        return false;
      });
  m.def("lark_load", &load_grammar, "text"_a, "starts"_a, "keep"_a, "width"_a, "find"_a, "ask"_a.none());
  m.def("pattern_width", &pattern_width, "pattern"_a);
  m.def("pattern_matches", &pattern_matches, "pattern"_a, "text"_a, "ask"_a);
}

}  // namespace structgen
