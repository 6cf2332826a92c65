#include "bindings_lr.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <tuple>

#include "lr_completion.hpp"
#include "lr_prepare.hpp"
#include "lr_tables.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace structgen {

namespace {

using RuleTuple = std::tuple<std::int32_t, std::vector<std::int32_t>, std::int32_t>;
using RuleTuples = std::vector<RuleTuple>;

constexpr std::size_t kMaxStates = 100000;
constexpr std::size_t kMaxRules = 1000000;
constexpr std::size_t kMaxFacts = 10000000;

std::vector<LrRule> rules_from(const RuleTuples& tuples) {
  std::vector<LrRule> rules;
  rules.reserve(tuples.size());
  for (const auto& [lhs, rhs, priority] : tuples) rules.push_back({lhs, rhs, priority});
  return rules;
}

Conflicts conflicts(bool resolve) { return resolve ? Conflicts::kResolve : Conflicts::kKeep; }

// Completions with the tables that they are of.
struct Completer {
  Completer(const RuleTuples& tuples, std::int32_t n_terminals, std::int32_t nonterminals, const std::vector<std::int32_t>& starts, bool resolve,
            std::vector<std::int64_t> costs, std::size_t max_facts)
      : rules(rules_from(tuples)),
        terminals(n_terminals),
        tables(build_lr(rules, terminals, nonterminals, starts, conflicts(resolve), kMaxStates)),
        completion(tables, rules, terminals, nonterminals, std::move(costs), max_facts) {}
  Completer(const Completer&) = delete;
  Completer& operator=(const Completer&) = delete;

  std::vector<LrRule> rules;
  std::int32_t terminals;
  LrTables tables;
  LrCompletion completion;
};

nb::tuple tables(const RuleTuples& tuples, std::int32_t terminals, std::int32_t nonterminals, const std::vector<std::int32_t>& starts, bool resolve,
                 std::size_t max_states) {
  LrTables t;
  {
    nb::gil_scoped_release release;
    t = build_lr(rules_from(tuples), terminals, nonterminals, starts, conflicts(resolve), max_states);
  }
  nb::list states;
  for (const LrTables::State& s : t.states) states.append(nb::make_tuple(s.actions, s.gotos, s.kernel));
  return nb::make_tuple(states, t.starts, t.accepts, t.conflicts);
}

}  // namespace

void bind_lr(nb::module_& m) {
  // What a reduce/reduce conflict is about is data of the exception, for whoever knows the names.
  nb::object conflict = nb::steal(PyErr_NewException("structgen._core._native.LrConflictError", PyExc_ValueError, nullptr));
  m.attr("LrConflictError") = conflict;
  nb::register_exception_translator(
      [](const std::exception_ptr& p, void* type) {
        try {
          std::rethrow_exception(p);
        } catch (const LrConflictError& e) {
          nb::list conflicts;
          for (const LrConflict& c : e.conflicts) conflicts.append(nb::make_tuple(c.state, c.terminal, c.rules));
          const nb::object error = nb::handle(static_cast<PyObject*>(type))(e.what());
          error.attr("conflicts") = conflicts;
          error.attr("endless") = e.endless;
          PyErr_SetObject(static_cast<PyObject*>(type), error.ptr());
        }
      },
      conflict.ptr());

  m.def("lr_tables", &tables, "rules"_a, "terminals"_a, "nonterminals"_a, "starts"_a, "resolve"_a, "max_states"_a = kMaxStates,
        nb::sig("def lr_tables(rules: Sequence[tuple[int, Sequence[int], int]], terminals: int, nonterminals: int, starts: Sequence[int], resolve: bool, "
                "max_states: int = ...) -> tuple[list[tuple[list[tuple[int, int]], list[tuple[int, int]], list[tuple[int, int]]]], list[int], list[int], bool]"));
  m.def(
      "lr_prune",
      [](const RuleTuples& rules, std::int32_t terminals, std::int32_t nonterminals, std::int32_t start, const std::vector<std::int32_t>& never) {
        if (terminals < 0) throw std::invalid_argument("terminals must not be negative");
        std::vector<char> matching(static_cast<std::size_t>(terminals), 1);
        for (const std::int32_t t : never) {
          if (t < 0 || t >= terminals) throw std::invalid_argument("not a terminal: " + std::to_string(t));
          matching[static_cast<std::size_t>(t)] = 0;
        }
        const Pruned p = prune(rules_from(rules), nonterminals, start, matching);
        return std::make_tuple(p.kept, p.unproductive, p.unreachable);
      },
      "rules"_a, "terminals"_a, "nonterminals"_a, "start"_a, "never"_a = std::vector<std::int32_t>{},
      nb::sig("def lr_prune(rules: Sequence[tuple[int, Sequence[int], int]], terminals: int, nonterminals: int, start: int, "
              "never: Sequence[int] = ...) -> tuple[list[int], list[int], list[int]]"));
  m.def(
      "lr_without_empty",
      [](const RuleTuples& rules, std::int32_t terminals, std::int32_t nonterminals, const std::vector<std::int32_t>& starts, std::size_t max_rules) {
        const WithoutEmpty w = without_empty(rules_from(rules), terminals, nonterminals, starts, max_rules);
        RuleTuples made;
        for (const LrRule& r : w.rules) made.emplace_back(r.lhs, r.rhs, r.priority);
        return std::make_tuple(made, w.from, w.nonterminals, w.nullable_start);
      },
      "rules"_a, "terminals"_a, "nonterminals"_a, "starts"_a, "max_rules"_a = kMaxRules,
      nb::sig("def lr_without_empty(rules: Sequence[tuple[int, Sequence[int], int]], terminals: int, nonterminals: int, starts: Sequence[int], "
              "max_rules: int = ...) -> tuple[list[tuple[int, list[int], int]], list[int], int, bool]"));

  nb::class_<Completer>(m, "LrCompletion")
      .def(nb::init<const RuleTuples&, std::int32_t, std::int32_t, const std::vector<std::int32_t>&, bool, std::vector<std::int64_t>, std::size_t>(), "rules"_a,
           "terminals"_a, "nonterminals"_a, "starts"_a, "resolve"_a, "costs"_a, "max_facts"_a = kMaxFacts)
      .def(
          "best",
          [](Completer& c, const std::vector<std::int32_t>& stack, std::int32_t lookahead) -> std::optional<std::pair<std::int64_t, std::int32_t>> {
            if (lookahead > c.terminals) throw std::invalid_argument("not a terminal: " + std::to_string(lookahead));
            const LrCompletion::Best best = c.completion.best(stack, lookahead < 0 ? LrCompletion::kFree : c.completion.only(lookahead));
            if (!best.possible()) return std::nullopt;
            return std::make_pair(best.cost.cost, best.first);
          },
          "stack"_a, "lookahead"_a = -1,
          nb::sig("def best(self, stack: Sequence[int], lookahead: int = -1) -> tuple[int, int] | None"))
      .def("always", [](const Completer& c) { return c.completion.always(); })
      .def_prop_ro("facts", [](const Completer& c) { return c.completion.facts(); });
}

}  // namespace structgen
