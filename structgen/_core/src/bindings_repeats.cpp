// Repeats as Python sees them: immutable, so that places in a text share what came before.
#include "bindings_repeats.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>

#include "repeats.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace structgen {

namespace {

using Runs = std::vector<std::pair<std::int64_t, std::int64_t>>;

Runs listed(const std::vector<Repeats::Run>& runs) {
  Runs out;
  for (const Repeats::Run& run : runs) out.emplace_back(run.period, run.matched);
  return out;
}

}  // namespace

void bind_repeats(nb::module_& m) {
  nb::class_<Repeats>(m, "Repeats")
      .def("__init__",
           [](Repeats* self, std::int32_t window) {
             if (window < 2 || window > 1 << 20) throw std::invalid_argument("window must be from 2 to 2**20");
             new (self) Repeats(window);
           }, "window"_a)
      .def_prop_ro("window", &Repeats::window)
      .def_prop_ro("length", &Repeats::length)
      .def_prop_ro("runs", [](const Repeats& r) { return listed(r.runs()); })
      .def("nearly", [](const Repeats& r) { return listed(r.nearly()); })
      .def("append",
           [](const Repeats& r, std::int32_t symbol) {
             Repeats longer = r;
             longer.append(symbol);
             return longer;
           }, "symbol"_a)
      .def("extend",
           [](const Repeats& r, const nb::bytes& symbols) {
             Repeats longer = r;
             for (std::size_t i = 0; i < symbols.size(); ++i) longer.append(static_cast<unsigned char>(symbols.c_str()[i]));
             return longer;
           }, "symbols"_a)
      .def("ago",
           [](const Repeats& r, std::size_t count) {
             const std::vector<std::int32_t>& text = r.text();
             if (count < 1 || count > text.size()) throw std::out_of_range("count must be from 1 to what is known of the text");
             return text[text.size() - count];
           }, "count"_a)
      .def("last",
           [](const Repeats& r, std::size_t count) {
             const std::vector<std::int32_t>& text = r.text();
             return std::vector<std::int32_t>(text.end() - static_cast<std::ptrdiff_t>(std::min(count, text.size())), text.end());
           }, "count"_a);
}

}  // namespace structgen
