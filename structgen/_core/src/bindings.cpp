// The Python module: argument checks, the GIL, locks, errors. No algorithm lives here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <climits>
#include <optional>

#include "automaton_api.hpp"
#include "builder.hpp"
#include "bindings_freeze.hpp"
#include "bindings_lr.hpp"
#include "bindings_repeats.hpp"
#include "docstrings.hpp"
#include "handles.hpp"
#include "regex_stream.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace structgen {

namespace {

std::vector<Re> checked(const Builder& b, const std::vector<Re>& parts) {
  for (Re r : parts) b.check_re(r);
  return parts;
}

std::vector<Expr> checked_exprs(const Builder& b, const std::vector<Expr>& parts) {
  for (Expr e : parts) b.check_expr(e);
  return parts;
}

using CellList = std::vector<std::pair<Expr, std::vector<std::int32_t>>>;

std::vector<Cells> checked_cells(const Builder& b, const std::vector<CellList>& lists) {
  std::vector<Cells> out;
  for (const CellList& list : lists) {
    Cells& cells = out.emplace_back();
    for (const auto& [value, counters] : list) {
      b.check_expr(value);
      for (std::int32_t c : counters)
        if (c < 0) throw std::invalid_argument("a counter is a number from 0 on");
      cells.push_back({value, b.grammar->goals().hits(counters)});
    }
  }
  return out;
}

std::unique_ptr<Tally> checked_tally(const Builder& b, const std::vector<CellList>& slots, const std::vector<CellList>& extras, Goal goal) {
  b.check_goal(goal);
  auto tally = std::make_unique<Tally>();
  tally->goal = goal;
  tally->slots = checked_cells(b, slots);
  tally->extras = checked_cells(b, extras);
  tally->most_hits = b.grammar->goals().most_hits(goal);
  return tally;
}

void bind_tallies(nb::class_<Builder>& c) {
  using G = Builder::Guard;
  const auto combined = [](bool all) {
    return [all](Builder& b, const std::vector<Goal>& parts) {
      G g(b);
      for (Goal part : parts) b.check_goal(part);
      return all ? b.grammar->goals().all(parts) : b.grammar->goals().any(parts);
    };
  };
  c.def("goal",
        [](Builder& b, std::int32_t counter, std::int64_t low, std::int64_t high) {
          G g(b);
          if (counter < 0 || low < 0 || high < -1) throw std::invalid_argument("a goal must satisfy 0 <= counter, 0 <= low, and -1 <= high");
          const std::int64_t most = 1 << 30;
          return b.grammar->goals().count(counter, static_cast<std::int32_t>(std::min(low, most)), high < 0 || high >= most ? kInfinity : static_cast<std::int32_t>(high));
        }, "counter"_a, "low"_a, "high"_a)
      .def("goal_all", combined(true), "goals"_a)
      .def("goal_any", combined(false), "goals"_a)
      .def("tallied_object",
           [](Builder& b, const std::vector<nb::str>& keys, const std::vector<CellList>& cells, const std::vector<bool>& required, const std::vector<Re>& extra_keys,
              const std::vector<CellList>& extra_cells, bool ordered, bool distinct, Goal goal) {
             G g(b);
             if (keys.size() != cells.size() || keys.size() != required.size() || extra_keys.size() != extra_cells.size())
               throw std::invalid_argument("keys, cells and required (extra_keys and extra_cells) must have equal lengths");
             ObjectNode o;
             std::vector<std::vector<std::uint32_t>> texts;
             for (std::size_t i = 0; i < keys.size(); ++i) {
               texts.push_back(code_points(keys[i]));
               o.members.push_back({kDeadLex, Grammar::kNothing, required[i]});
             }
             o.extra_keys = checked(b, extra_keys);
             o.extras.assign(extra_keys.size(), {kDeadLex, Grammar::kNothing, false});
             o.ordered = ordered;
             o.distinct = distinct;
             o.tally = checked_tally(b, cells, extra_cells, goal);
             return b.grammar->object(std::move(o), texts);
           }, "keys"_a, "cells"_a, "required"_a, "extra_keys"_a, "extra_cells"_a, "ordered"_a, "distinct_extras"_a, "goal"_a)
      .def("tallied_array",
           [](Builder& b, const std::vector<CellList>& prefix, const CellList& rest, Goal goal, bool unique) {
             G g(b);
             ArrayNode a;
             a.unique = unique;
             a.rest = Grammar::kNothing;
             a.tally = checked_tally(b, prefix, {rest}, goal);
             return b.grammar->array(std::move(a));
           }, "prefix_cells"_a, "rest_cells"_a, "goal"_a, "unique"_a = false);
}

void bind_regexes(nb::class_<Builder>& c) {
  using G = Builder::Guard;
  c.def("re_none", [](Builder&) { return RegexStore::kNone; })
      .def("re_epsilon", [](Builder&) { return RegexStore::kEpsilon; })
      .def("re_any", [](Builder&) { return RegexStore::kAny; })
      .def("re_chars",
           [](Builder& b, const std::vector<std::pair<std::uint32_t, std::uint32_t>>& ranges) {
             CharSet set;
             for (const auto& r : ranges) {
               if (r.first > r.second || r.second > kMaxCodePoint) throw std::invalid_argument("a character range must satisfy 0 <= low <= high <= 0x10FFFF");
               set.push_back({r.first, r.second});
             }
             G g(b);
             return g.re.chars(std::move(set));
           }, "ranges"_a)
      .def("re_literal", [](Builder& b, const nb::str& text) { G g(b); return g.re.literal(code_points(text)); }, "text"_a)
      .def("re_words",
           [](Builder& b, const std::vector<nb::str>& words) {
             std::vector<std::vector<std::uint32_t>> list;
             for (const nb::str& w : words) list.push_back(code_points(w));
             G g(b);
             return g.re.words(std::move(list));
           }, "words"_a)
      .def("re_concat", [](Builder& b, const std::vector<Re>& parts) { G g(b); return g.re.concat(checked(b, parts)); }, "parts"_a)
      .def("re_union", [](Builder& b, const std::vector<Re>& parts) { G g(b); return g.re.unite(checked(b, parts)); }, "parts"_a)
      .def("re_intersection", [](Builder& b, const std::vector<Re>& parts) { G g(b); return g.re.intersect(checked(b, parts)); }, "parts"_a)
      .def("re_complement", [](Builder& b, Re r) { G g(b); b.check_re(r); return g.re.complement(r); }, "regex"_a)
      .def("re_repeat",
           [](Builder& b, Re r, std::int64_t low, std::int64_t high) {
             G g(b);
             b.check_re(r);
             if (low < 0 || high < -1 || (high != -1 && high < low)) throw std::invalid_argument("a repetition must satisfy 0 <= low <= high, or high = -1");
             if (low >= 1 << 30 || high >= 1 << 30) throw LimitError("a repetition count exceeds 2**30 - 1");
             return g.re.repeat(r, static_cast<std::int32_t>(low), static_cast<std::int32_t>(high));
           }, "regex"_a, "low"_a, "high"_a)
      .def("re_residue",
           [](Builder& b, const nb::int_& modulus) {
             if (modulus < nb::int_(1)) throw std::invalid_argument("a modulus must be positive");
             if (modulus >= nb::int_(kModulusLimit)) throw LimitError("a modulus reaches 2**60");
             G g(b);
             return g.re.residue(nb::cast<std::uint64_t>(modulus));
           }, "modulus"_a)
      .def("re_is_empty", [](Builder& b, Re r) { G g(b, true); b.check_re(r); return g.re.is_empty(r); }, "regex"_a)
      .def("re_is_nullable", [](Builder& b, Re r) { G g(b); b.check_re(r); return g.re.nullable(r); }, "regex"_a)
      .def("re_matches",
           [](Builder& b, Re r, const nb::str& text) {
             const std::vector<std::uint32_t> characters = code_points(text);
             G g(b, true);
             b.check_re(r);
             for (std::uint32_t c : characters) {
               if (is_surrogate_only(c, c)) return false;
               r = g.re.derive(r, c);
             }
             return g.re.nullable(r);
           }, "regex"_a, "text"_a)
      .def("re_shortest",
           [](Builder& b, Re r) {
             std::vector<std::uint32_t> text;
             {
               G g(b, true);
               b.check_re(r);
               if (g.re.is_empty(r)) throw std::invalid_argument("the regex is empty: it has no member");
               text = g.re.shortest(r);
             }
             int order = PY_BIG_ENDIAN ? 1 : -1;  // said outright, or a first U+FEFF would be taken for a byte order mark
             const auto* bytes = reinterpret_cast<const char*>(text.data());
             PyObject* s = PyUnicode_DecodeUTF32(bytes, static_cast<Py_ssize_t>(text.size() * sizeof(std::uint32_t)), "surrogatepass", &order);
             if (!s) throw nb::python_error();
             return nb::steal<nb::str>(s);
           }, "regex"_a)
      .def("re_write",
           [](Builder& b, const std::vector<Re>& regexes) {
             std::string bytes;
             {
               G g(b, true);
               bytes = write_regexes(g.re, checked(b, regexes));
             }
             return nb::bytes(bytes.data(), bytes.size());
           }, "regexes"_a)
      .def("re_read",
           [](Builder& b, const nb::bytes& data) {
             G g(b, true);
             return read_regexes(g.re, {data.c_str(), data.size()});
           }, "data"_a);
}

void bind_expressions(nb::class_<Builder>& c) {
  using G = Builder::OpenGuard;
  c.def("json_style", [](Builder& b, Re ws, bool all) { G g(b); b.check_re(ws); b.grammar->json_style(ws, all); }, "whitespace"_a, "all_escapes"_a)
      .def("text", [](Builder& b, Re r) { G g(b); b.check_re(r); return b.grammar->text(r); }, "regex"_a)
      .def("lexeme", [](Builder& b, Re r) { G g(b); b.check_re(r); return b.grammar->lexeme(r); }, "regex"_a)
      .def("string", [](Builder& b, Re r) { G g(b); b.check_re(r); return b.grammar->string(r); }, "regex"_a)
      .def("nothing", [](Builder&) { return Grammar::kNothing; })
      .def("empty", [](Builder&) { return Grammar::kEmpty; })
      .def("choice", [](Builder& b, const std::vector<Expr>& p) { G g(b); return b.grammar->choice(checked_exprs(b, p)); }, "parts"_a)
      .def("sequence", [](Builder& b, const std::vector<Expr>& p) { G g(b); return b.grammar->sequence(checked_exprs(b, p)); }, "parts"_a)
      .def("rule", [](Builder& b) { G g(b); return b.grammar->rule(); })
      .def("define", [](Builder& b, Expr r, Expr body) { G g(b); b.check_expr(r); b.check_expr(body); b.grammar->define(r, body); }, "rule"_a, "body"_a)
      .def("object",
           [](Builder& b, const std::vector<nb::str>& keys, const std::vector<Expr>& values, const std::vector<bool>& required, const std::vector<Re>& extra_keys,
              const std::vector<Expr>& extra_values, bool ordered, std::int64_t low, std::int64_t high, bool distinct) {
             G g(b);
             if (keys.size() != values.size() || keys.size() != required.size() || extra_keys.size() != extra_values.size())
               throw std::invalid_argument("keys, values and required (extra_keys and extra_values) must have equal lengths");
             ObjectNode o;
             std::vector<std::vector<std::uint32_t>> texts;
             for (std::size_t i = 0; i < keys.size(); ++i) {
               b.check_expr(values[i]);
               texts.push_back(code_points(keys[i]));
               o.members.push_back({kDeadLex, values[i], required[i]});
             }
             for (std::size_t i = 0; i < extra_keys.size(); ++i) {
               b.check_re(extra_keys[i]);
               b.check_expr(extra_values[i]);
               o.extras.push_back({kDeadLex, extra_values[i], false});
             }
             o.extra_keys = extra_keys;
             o.ordered = ordered;
             o.distinct = distinct;
             o.low = static_cast<std::int32_t>(std::min<std::int64_t>(low, 1 << 30));
             o.high = high < 0 || high >= 1 << 30 ? kInfinity : static_cast<std::int32_t>(high);
             return b.grammar->object(std::move(o), texts);
           }, "keys"_a, "values"_a, "required"_a, "extra_keys"_a, "extra_values"_a, "ordered"_a, "min_properties"_a, "max_properties"_a, "distinct_extras"_a)
      .def("array",
           [](Builder& b, const std::vector<Expr>& prefix, Expr rest, std::int64_t low, std::int64_t high, bool unique) {
             G g(b);
             ArrayNode a;
             a.prefix = checked_exprs(b, prefix);
             b.check_expr(rest);
             a.rest = rest;
             a.unique = unique;
             a.low = static_cast<std::int32_t>(std::min<std::int64_t>(low, 1 << 30));
             a.high = high < 0 || high >= 1 << 30 ? kInfinity : static_cast<std::int32_t>(high);
             return b.grammar->array(std::move(a));
           }, "prefix"_a, "rest"_a, "min_items"_a, "max_items"_a, "unique"_a = false)
      .def("guard",
           [](Builder& b, std::string name, nb::object predicate) {
             if (!predicate.is_none() && !PyCallable_Check(predicate.ptr())) throw nb::type_error("a guard's predicate must be callable, or None");
             G g(b);
             b.predicates->guards.push_back(predicate);
             return b.grammar->guard({std::move(name), predicate.is_none()});
           }, "name"_a, "predicate"_a.none())
      .def("name_nodes",
           [](Builder& b, nb::object names) {
             G g(b);
             b.predicates->names = std::move(names);
           }, "names"_a)
      .def("guarded",
           [](Builder& b, Expr e, std::int32_t guard, bool negated) {
             G g(b);
             b.check_expr(e);
             if (guard < 0 || static_cast<std::size_t>(guard) >= b.grammar->guards().size()) throw std::invalid_argument("not a guard handle: " + std::to_string(guard));
             return b.grammar->guarded(e, guard, negated);
           }, "expr"_a, "guard"_a, "negated"_a = false)
      .def("finish",
           [](Builder& b, Expr start, std::size_t max_states, std::size_t mask_cache_bytes) -> nb::object {
             std::shared_ptr<Automaton> made;
             {
               G g(b, true);
               b.check_expr(start);
               const bool inhabited = b.grammar->finish(start);
               b.finished = true;
               if (inhabited)
                 made = std::make_shared<Automaton>(b.grammar, b.vocabulary->data, b.vocabulary->logits_size, EngineLimits{max_states, mask_cache_bytes});
               // A vocabulary that lacks bytes may be unable to spell any of the language.
               if (made && !b.grammar->remembers() && !made->engine.inhabited()) made.reset();
             }
             if (!made) return nb::none();
             TokenAutomaton automaton(std::move(made), b.predicates);
             if (b.grammar->remembers() && !automaton.completable()) return nb::none();  // may ask predicates
             return nb::cast(std::move(automaton));
           }, "start"_a, nb::kw_only(), "max_states"_a = EngineLimits{}.states, "mask_cache_bytes"_a = EngineLimits{}.mask_bytes,
           nb::sig("def finish(self, start: int, *, max_states: int = ..., mask_cache_bytes: int = ...) -> TokenAutomaton | None"));
}

template <class T>
void bind_automaton(nb::class_<T>& c) {
  c.def_prop_ro("start", &T::start)
      .def("step", &T::step, "state"_a, "token"_a, doc::kStep)
      .def("step_many", &T::step_many, "state"_a, "tokens"_a, doc::kStepMany)
      .def("mask", &T::mask, "state"_a, doc::kMask)
      .def("fill_mask", &T::fill_mask, "state"_a, "out"_a, doc::kFillMask)
      .def("fill_masks", &T::fill_masks, "states"_a, "out"_a, doc::kFillMasks)
      .def("fill_mask_within", &T::fill_mask_within, "state"_a, "out"_a, "max_bytes"_a, doc::kFillMaskWithin)
      .def("accepts", &T::accepts, "state"_a, doc::kAccepts)
      .def("forced", &T::forced, "state"_a, doc::kForced)
      .def("shortest", &T::shortest, "state"_a, doc::kShortest)
      .def("advance_bytes", &T::advance_bytes, "state"_a, "data"_a, doc::kAdvanceBytes)
      .def("events", &T::events, "state"_a, "token"_a, doc::kEvents)
      .def("events_at_end", &T::events_at_end, "state"_a, doc::kEventsAtEnd)
      .def("open_rules", &T::open_rules, "state"_a, doc::kOpenRules)
      .def_prop_ro("rule_names", &T::rule_names, doc::kRuleNames)
      .def_prop_ro("reads_json", &T::reads_json, "Whether events are those of JSON: the automaton is that of a JSON Schema.")
      .def("stats", &T::stats, doc::kStats);
}

}  // namespace

NB_MODULE(_native, m) {
  nb::set_leak_warnings(false);  // vocabularies cached until exit are no leak
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const LimitError& e) {
      nb::object type = nb::module_::import_("structgen._errors").attr("LimitError");
      nb::object error = type(nb::str(e.what()), "limit"_a = e.option == nullptr ? nb::none() : nb::object(nb::str(e.option)));
      PyErr_SetObject(type.ptr(), error.ptr());
    } catch (const FreezeError& e) {
      nb::object type = nb::module_::import_("structgen._errors").attr("FreezeError");
      PyErr_SetString(type.ptr(), e.what());
    } catch (const GuardDeadEndError& e) {
      nb::object type = nb::module_::import_("structgen._errors").attr("GuardDeadEnd");
      nb::list names;
      for (const std::string& name : e.guards) names.append(nb::str(name.data(), name.size()));
      nb::object error = type(nb::tuple(names));
      PyErr_SetObject(type.ptr(), error.ptr());
    }
  });
  m.attr("DEAD") = kDead;
  m.attr("FINISHED") = kFinished;

  nb::class_<NativeVocabulary> vocabulary(m, "NativeVocabulary");
  bind_spelling(vocabulary);
  vocabulary.def("__init__",
           [](NativeVocabulary* self, const std::vector<nb::bytes>& tokens, const std::vector<std::uint32_t>& end, const std::vector<std::uint32_t>& special,
              std::size_t logits_size, std::size_t table_bytes) {
             std::vector<std::string> list;
             list.reserve(tokens.size());
             for (const nb::bytes& t : tokens) list.emplace_back(t.c_str(), t.size());
             nb::gil_scoped_release release;
             new (self) NativeVocabulary(list, end, special, logits_size, table_bytes);
           }, "tokens"_a, "eos_token_ids"_a, "special_token_ids"_a, "logits_size"_a, "table_bytes"_a = std::size_t{128} << 20)
      .def_prop_ro("mask_words", [](const NativeVocabulary& v) { return v.data->mask_words; })
      .def_prop_ro("max_token_bytes", [](const NativeVocabulary& v) { return v.data->trie->max_depth(); })
      .def_prop_ro("missing_bytes", [](const NativeVocabulary& v) { const std::string s = v.missing_bytes(); return nb::bytes(s.data(), s.size()); })
      .def("stats", [](NativeVocabulary& v) {
        const std::shared_ptr<Lexer> lexer = v.lexer();
        std::vector<std::pair<const char*, std::size_t>> values;
        {
          nb::gil_scoped_release release;
          const std::shared_lock<std::shared_mutex> lock(lexer->mutex);
          values = {{"generations", v.generations}, {"table_bytes", lexer->bytes()}, {"regex_nodes", lexer->regexes().size()},
                    {"lexer_states", lexer->states()}, {"shapes", lexer->shapes()}, {"quotients", lexer->quotients()},
                    {"trie_nodes", v.data->trie->size()}, {"shapes_direct", lexer->built[0]}, {"shapes_plain", lexer->built[1]},
                    {"shapes_difference", lexer->built[2]}, {"shapes_quotient", lexer->built[3]}};
        }
        nb::dict d;
        for (const auto& [name, value] : values) d[name] = value;
        return d;
      });

  nb::class_<Builder> builder(m, "Builder");
  builder.def("__init__",
              [](Builder* self, std::shared_ptr<NativeVocabulary> v, std::size_t nodes, std::size_t steps, double seconds) {
                new (self) Builder(std::move(v), nodes, steps, seconds);
              }, "vocabulary"_a, nb::kw_only(), "max_regex_nodes"_a = std::size_t{1000000}, "max_emptiness_steps"_a = std::size_t{200000}, "max_seconds"_a = 60.0);
  builder.def_prop_ro("tables", [](const Builder& b) { return b.lexer->number; });
  bind_regexes(builder);
  bind_expressions(builder);
  bind_tallies(builder);
  bind_lark(builder);

  nb::class_<TokenAutomaton> automaton(m, "TokenAutomaton", nb::dynamic_attr(), doc::kAutomaton);
  bind_automaton(automaton);
  automaton.def("session", &TokenAutomaton::session, nb::keep_alive<0, 1>(), doc::kSessionMethod);
  bind_freeze(automaton);
  nb::class_<Session> session(m, "Session", doc::kSession);
  bind_automaton(session);
  bind_lr(m);
  bind_lark_loader(m);
  bind_repeats(m);
}

}  // namespace structgen
