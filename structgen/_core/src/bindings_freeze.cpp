// Frozen automata as Python gets them: arrays.
#include "bindings_freeze.hpp"

#include <nanobind/ndarray.h>

#include <utility>
#include <vector>

#include "docstrings.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace structgen {

namespace {

template <class T>
nb::ndarray<nb::numpy, T, nb::ndim<1>> as_array(std::vector<T>&& values) {
  auto* owner = new std::vector<T>(std::move(values));
  nb::capsule capsule(owner, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  return nb::ndarray<nb::numpy, T, nb::ndim<1>>(owner->data(), {owner->size()}, capsule);
}

}  // namespace

void bind_freeze(nb::class_<TokenAutomaton>& c) {
  c.def("_tables",
        [](const TokenAutomaton& a, std::size_t max_states, std::size_t max_bytes, double max_seconds) {
          FrozenTables t = a.tables({max_states, max_bytes, max_seconds});
          std::vector<std::uint8_t> accepts(t.accepts.begin(), t.accepts.end());
          return nb::make_tuple(as_array(std::move(t.class_of_token)), as_array(std::move(t.row_begin)), as_array(std::move(t.row_class)), as_array(std::move(t.row_next)),
                                as_array(std::move(accepts)), t.classes);
        }, "max_states"_a, "max_bytes"_a, "max_seconds"_a, doc::kTables,
        nb::sig("def _tables(self, max_states: int, max_bytes: int, max_seconds: float) -> tuple[numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int64], "
                "numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.int32], numpy.typing.NDArray[numpy.uint8], int]"))
      .def("freeze",
           [](nb::object self, nb::kwargs options) { return nb::module_::import_("structgen.frozen").attr("freeze")(self, **options); }, doc::kFreeze);
}

}  // namespace structgen
