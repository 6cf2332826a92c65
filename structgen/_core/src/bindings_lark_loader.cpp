// Lark's loader, made natively, as Python calls it.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/set.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings_lr.hpp"
#include "lark_loader.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace structgen {

namespace {

nb::object load_grammar(const std::string& text, const std::vector<std::string>& starts, const std::set<std::string>& keep, const nb::callable& width,
                        const nb::callable& find) {
  const auto loaded = larkread::load(
      text, starts, keep, [&](const std::string& regexp) { return nb::cast<std::pair<larkread::Length, larkread::Length>>(width(regexp)); },
      [&](const std::string& path) { return nb::cast<std::string>(find(path)); });
  if (!loaded) return nb::none();
  nb::list terminals, rules;
  for (const auto& t : loaded->terminals) {
    terminals.append(nb::make_tuple(t.name, t.value, t.string, t.flag == 0 ? std::string() : std::string(1, t.flag), t.raw, t.priority));
  }
  for (const auto& r : loaded->rules) {
    nb::list symbols;
    for (const std::int32_t s : r.symbols) symbols.append(s);
    rules.append(nb::make_tuple(r.origin, nb::tuple(symbols), r.priority, r.name));
  }
  return nb::make_tuple(terminals, loaded->declared, loaded->nonterminals, rules, loaded->ignore, loaded->productive);
}

}  // namespace

void bind_lark_loader(nb::module_& m) {
  m.def("lark_load", &load_grammar, "text"_a, "starts"_a, "keep"_a, "width"_a, "find"_a);
}

}  // namespace structgen
