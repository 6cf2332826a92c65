// Repeats as Python sees them: immutable, so that places in a text share what came before.
#include "bindings_repeats.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>

#include "automaton_api.hpp"
#include "repeats.hpp"
#include "symbols.hpp"

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

using TokenArray = nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<1>>;

TokenArray as_array(const SymbolReader::Tokens& tokens) {
  auto* owner = new SymbolReader::Tokens(tokens);
  nb::capsule capsule(owner, [](void* p) noexcept { delete static_cast<SymbolReader::Tokens*>(p); });
  return TokenArray(tokens->data(), {tokens->size()}, capsule);
}

std::string_view viewed(const nb::bytes& text) { return {text.c_str(), text.size()}; }

// A reader with the session that it asks.
class PySymbolReader : public SymbolReader::Structure {
 public:
  PySymbolReader(nb::object session, SymbolReader::Options options)
      : session_(std::move(session)), view_(nb::cast<Session&>(session_)), reader_(std::move(options), Spelling(view_.vocabulary().trie)) {}

  std::pair<State, Events> tell(State s, std::int64_t token) override { return view_.tell(s, token); }
  std::string_view bytes(std::int64_t token) const override {
    const VocabularyData& vocabulary = view_.vocabulary();
    const auto id = static_cast<std::size_t>(token);
    if (!vocabulary.ordinary[id]) return {};
    return {reinterpret_cast<const char*>(vocabulary.token(id)), vocabulary.length(id)};
  }
  SymbolReader& reader() { return reader_; }

 private:
  nb::object session_;
  Session& view_;
  SymbolReader reader_;
};

void bind_symbols(nb::module_& m) {
  nb::class_<PySymbolReader>(m, "SymbolReader")
      .def("__init__",
           [](PySymbolReader* self, nb::handle_t<Session> session, const std::vector<std::string>& closing, std::int32_t window, bool terminals) {
             if (window < 2 || window > 1 << 20) throw std::invalid_argument("window must be from 2 to 2**20");
             const bool json = nb::cast<Session&>(session).reads_json();
             new (self) PySymbolReader(nb::borrow(session), {{closing.begin(), closing.end()}, window, terminals, json});
           }, "session"_a, nb::kw_only(), "closing"_a, "window"_a, "terminals"_a)
      .def("fresh", [](PySymbolReader& r, State s) { return r.reader().fresh(s); }, nb::lock_self(), "state"_a)
      .def("step",
           [](PySymbolReader& r, std::int32_t place, std::int64_t token) {
             const SymbolReader::Step step = r.reader().step(r, place, token);
             nb::list critical;
             if (step.state > kFinished)
               for (const auto& [repeats, tokens] : r.reader().critical(r, step.place)) critical.append(nb::make_tuple(repeats, as_array(tokens)));
             return nb::make_tuple(step.place, step.state, step.kept, critical);
           }, nb::lock_self(), "place"_a, "token"_a,
           nb::sig("def step(self, place: int, token: int) -> tuple[int, int, int, list[tuple[int, numpy.typing.NDArray[numpy.int64]]]]"));
}

}  // namespace

void bind_spelling(nb::class_<NativeVocabulary>& c) {
  c.def("beginnings",
        [](const NativeVocabulary& v, const nb::bytes& text, std::size_t beyond) { return Spelling(v.data->trie).beginnings(viewed(text), beyond); },
        "text"_a, "beyond"_a = std::size_t{0})
      .def("beginnings_and_longer",
           [](const NativeVocabulary& v, const nb::bytes& text, std::size_t beyond) { return Spelling(v.data->trie).beginnings_and_longer(viewed(text), beyond); },
           "text"_a, "beyond"_a = std::size_t{0});
}

void bind_repeats(nb::module_& m) {
  bind_symbols(m);
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
