#include "automaton_api.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace nb = nanobind;

namespace structgen {

std::uint32_t* OutBuffer::get(nb::handle object, std::size_t items) {
  if (!held_ || view_.obj != object.ptr()) {
    release();
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0) throw nb::python_error();
    held_ = true;
    const std::string format = view_.format ? view_.format : "B";
    if (view_.itemsize != 4 || (format != "i" && format != "l" && format != "I")) {
      release();
      throw nb::type_error("out must be a writable, C-contiguous array of int32");
    }
  }
  if (static_cast<std::size_t>(view_.len) != items * 4) {
    const std::string message = "out holds " + std::to_string(view_.len / 4) + " int32, expected " + std::to_string(items);
    release();
    throw nb::value_error(message.c_str());
  }
  return static_cast<std::uint32_t*>(view_.buf);
}

void OutBuffer::release() {
  if (held_) PyBuffer_Release(&view_);
  held_ = false;
}

void StateView::check(State s) const {
  const bool known = s >= kSessionBase ? own_ && own_->is_state(s - kSessionBase) : core_->engine.is_state(s);
  if (known) return;
  throw nb::value_error(("not a state of this " + std::string(session_ ? "session" : "automaton") + ": " + std::to_string(s)).c_str());
}

std::uint32_t StateView::check_token(std::int64_t token) const {
  if (token < 0 || static_cast<std::size_t>(token) >= core_->logits_size)
    throw nb::value_error(("token id " + std::to_string(token) + " is out of range").c_str());
  return static_cast<std::uint32_t>(token);
}

Engine& StateView::own() {
  if (!own_) {
    own_ = std::make_unique<Engine>(core_->grammar, core_->engine.shared_vocabulary(), core_->limits);
    own_->verdicts = core_->engine.verdicts;
  }
  return *own_;
}

void StateView::judge(const std::vector<Verdicts::Question>& questions) {
  std::vector<bool> answers;
  for (const auto& [guard, text] : questions) {
    const nb::object answer = predicates_->guards[static_cast<std::size_t>(guard)](nb::str(text.data(), text.size()));
    const int truth = PyObject_IsTrue(answer.ptr());
    if (truth < 0) throw nb::python_error();
    answers.push_back(truth != 0);
  }
  nb::gil_scoped_release release;
  const std::unique_lock<std::shared_mutex> lock(core_->lexer->mutex);
  for (std::size_t i = 0; i < questions.size(); ++i) core_->engine.verdicts->put(questions[i].first, questions[i].second, answers[i]);
}

template <class Work>
auto StateView::judged(Work&& work) {
  for (bool first = true;; first = false) {
    std::vector<Verdicts::Question> questions;
    {
      nb::gil_scoped_release release;
      const std::unique_lock<std::shared_mutex> lock(core_->lexer->mutex);
      if (first) core_->engine.verdicts->trim();
      core_->grammar->goals().refill();
      try {
        return work();
      } catch (NeedVerdicts& need) {
        questions.swap(need.questions);
      }
    }
    judge(questions);
  }
}

// The number of one of the session's own states: that of the automaton's, where nothing that was captured is left.
State StateView::homeward(State local) {
  if (local <= kFinished) return local;
  if (core_->grammar->remembers() && !own_->remembers(local)) {
    try {
      return core_->engine.import(*own_, local);
    } catch (const StateLimitError&) {
    }
  }
  return local + kSessionBase;
}

template <class Work>
State StateView::move(State s, Work&& work) {
  return judged([&]() -> State {
    check(s);
    if (s >= kSessionBase) return homeward(work(*own_, s - kSessionBase));
    core_->engine.shared_only = session_;
    try {
      return work(core_->engine, s);
    } catch (const CapturedStateError&) {
    } catch (const StateLimitError&) {
      if (!session_) throw;
    }
    return homeward(work(own(), own().import(core_->engine, s)));
  });
}

template <class Work>
void StateView::read(State s, Work&& work) {
  judged([&] {
    check(s);
    core_->engine.shared_only = false;
    if (s >= kSessionBase)
      work(*own_, s - kSessionBase);
    else
      work(core_->engine, s);
  });
}

State StateView::step(State s, std::int64_t token) {
  const std::uint32_t id = check_token(token);
  {
    std::shared_lock<std::shared_mutex> lock(core_->lexer->mutex, std::try_to_lock);
    if (lock.owns_lock()) {
      check(s);
      const bool own = s >= kSessionBase;
      const Engine& e = own ? *own_ : core_->engine;
      const State known = e.known_step(own ? s - kSessionBase : s, id);
      // Where text is captured, a session's states are its own; where it no longer is, they aren't.
      const bool settled = known <= kFinished || !session_ || !core_->grammar->remembers() || e.remembers(known) == own;
      if (known >= 0 && settled) return known > kFinished && own ? known + kSessionBase : known;
    }
  }
  return move(s, [&](Engine& e, State local) {
    return e.step(local, id);
  });
}

std::vector<State> StateView::step_many(State s, const std::vector<std::int64_t>& tokens) {
  std::vector<State> out;
  for (std::int64_t token : tokens) {
    s = step(s, token);
    out.push_back(s);
    if (s == kDead) break;
  }
  return out;
}

MaskArray StateView::mask(State s) {
  std::shared_ptr<const Row> row;
  read(s, [&](Engine& e, State local) {
    row = e.dense_mask(local);
  });
  auto* owner = new std::shared_ptr<const Row>(std::move(row));
  nb::capsule capsule(owner, [](void* p) noexcept { delete static_cast<std::shared_ptr<const Row>*>(p); });
  return MaskArray(reinterpret_cast<const std::int32_t*>((*owner)->data()), {(*owner)->size()}, capsule);
}

void StateView::fill_mask(State s, nb::handle out) {
  auto&& buffer = kept_or({});
  std::uint32_t* row = buffer.get(out, core_->engine.vocabulary().mask_words);
  {
    std::shared_lock<std::shared_mutex> lock(core_->lexer->mutex, std::try_to_lock);
    if (lock.owns_lock()) {
      check(s);
      const Engine& e = s >= kSessionBase ? *own_ : core_->engine;
      const MaskRecord* record = e.known_mask(s >= kSessionBase ? s - kSessionBase : s);
      if (record) {
        e.copy_mask(*record, row);
        return;
      }
    }
  }
  read(s, [&](Engine& e, State local) {
    e.copy_mask(e.mask(local), row);
  });
}

// Masks that are known are copied under the shared lock, so that threads with a part of a batch each don't wait for one another.
void StateView::fill_masks(const std::vector<State>& states, nb::handle out) {
  const std::size_t words = core_->engine.vocabulary().mask_words;
  OutBuffer buffer;
  std::uint32_t* rows = buffer.get(out, words * states.size());
  const auto local = [](State s) { return s >= kSessionBase ? s - kSessionBase : s; };
  const auto engine = [&](State s) -> Engine& { return s >= kSessionBase ? *own_ : core_->engine; };
  std::vector<std::size_t> missing;
  {
    nb::gil_scoped_release release;
    std::shared_lock<std::shared_mutex> lock(core_->lexer->mutex);
    for (std::size_t i = 0; i < states.size(); ++i) {
      check(states[i]);
      const Engine& e = engine(states[i]);
      if (const MaskRecord* record = e.known_mask(local(states[i])))
        e.copy_mask(*record, rows + i * words);
      else
        missing.push_back(i);
    }
  }
  if (missing.empty()) return;
  judged([&] {
    core_->engine.shared_only = false;
    for (std::size_t i : missing) {
      Engine& e = engine(states[i]);
      e.copy_mask(e.mask(local(states[i])), rows + i * words);
    }
  });
}

void StateView::fill_mask_within(State s, nb::handle out, std::int64_t max_bytes) {
  auto&& buffer = kept_or({});
  std::uint32_t* row = buffer.get(out, core_->engine.vocabulary().mask_words);
  read(s, [&](Engine& e, State local) {
    e.mask_within(local, max_bytes, row);
  });
}

bool StateView::completable() {
  bool result = false;
  read(start(), [&](Engine& e, State local) {
    result = e.completable(local);
  });
  return result;
}

bool StateView::accepts(State s) {
  bool result = false;
  read(s, [&](Engine& e, State local) {
    result = e.accepts(local);
  });
  return result;
}

nb::bytes StateView::forced(State s) {
  std::string result;
  read(s, [&](Engine& e, State local) {
    result = e.forced(local);
  });
  return nb::bytes(result.data(), result.size());
}

nb::bytes StateView::shortest(State s) {
  std::string result;
  read(s, [&](Engine& e, State local) {
    if (local == kDead) throw std::invalid_argument("nothing completes a dead state");
    result = e.shortest(local);
  });
  return nb::bytes(result.data(), result.size());
}

State StateView::advance_bytes(State s, const nb::bytes& data) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(data.c_str());
  const std::size_t size = data.size();
  return move(s, [&](Engine& e, State local) {
    return e.advance(local, bytes, size);
  });
}

namespace {

// Events are immutable and few differ: to make one in Python takes longer than most questions about structure do.
class KnownEvents {
 public:
  nb::object operator()(const Event& e) {
    const auto found = known_.find(e);
    if (found != known_.end()) return found->second;
    static constexpr const char* kKinds[] = {"terminal", "ignored", "open", "close", "unknown"};
    if (!type_.is_valid()) type_ = nb::module_::import_("structgen._structure").attr("Event");
    nb::object made = type_(kKinds[static_cast<std::size_t>(e.kind)], nb::str(e.name.data(), e.name.size()), e.position);
    if (known_.size() >= kMost) {
      known_.clear();
      names_.clear();
    }
    // The grammar's name goes with the grammar.
    known_.emplace(Event{e.kind, *names_.emplace(e.name).first, e.position}, made);
    return made;
  }

 private:
  static constexpr std::size_t kMost = 1 << 14;
  struct Hash {
    std::size_t operator()(const Event& e) const {
      return std::hash<std::string_view>()(e.name) + 0x9e3779b97f4a7c15u * (8 * e.position + static_cast<std::size_t>(e.kind));
    }
  };
  nb::object type_;
  std::unordered_set<std::string> names_;
  std::unordered_map<Event, nb::object, Hash> known_;
};

nb::list as_list(const Events& events) {
  // Never destroyed: at exit, the interpreter is gone before it.
  static KnownEvents& known = *new KnownEvents;
  nb::list out;
  for (const Event& e : events) out.append(known(e));
  return out;
}

}  // namespace

// Nodes have their names from the first question about them on: to find names takes longer than most schemas take to compile.
void StateView::name_nodes() {
  if (!reads_json() || core_->named.load(std::memory_order_acquire)) return;
  std::vector<std::pair<Expr, std::vector<std::string>>> named;
  if (predicates_->names.is_valid()) named = nb::cast<std::vector<std::pair<Expr, std::vector<std::string>>>>(predicates_->names());
  nb::gil_scoped_release release;
  const std::unique_lock<std::shared_mutex> lock(core_->lexer->mutex);
  if (core_->named.load(std::memory_order_relaxed)) return;
  core_->grammar->name_nodes(named);
  core_->named.store(true, std::memory_order_release);
}

std::pair<State, Events> StateView::tell(State s, std::int64_t token) {
  const State after = step(s, token);
  if (after == kDead) return {after, {}};
  name_nodes();
  Events found;
  const auto tell_events = [&](Engine& e, State local) {
    found = e.events(local, static_cast<std::uint32_t>(token));
  };
  {
    // It takes less time than to let the GIL go and come back.
    const std::unique_lock<std::shared_mutex> lock(core_->lexer->mutex, std::try_to_lock);
    if (lock.owns_lock() && !core_->grammar->remembers()) {
      core_->engine.shared_only = false;
      tell_events(s >= kSessionBase ? *own_ : core_->engine, s >= kSessionBase ? s - kSessionBase : s);
      return {after, found};
    }
  }
  read(s, tell_events);
  return {after, found};
}

nb::list StateView::events(State s, std::int64_t token) {
  const std::uint32_t id = check_token(token);
  name_nodes();
  Events found;
  read(s, [&](Engine& e, State local) {
    found = e.events(local, id);
  });
  return as_list(found);
}

nb::list StateView::events_at_end(State s) {
  name_nodes();
  Events found;
  read(s, [&](Engine& e, State local) {
    found = e.events_at_end(local);
  });
  return as_list(found);
}

namespace {

nb::tuple as_tuple(const std::vector<std::string>& names) {
  nb::list out;
  for (const std::string& name : names) out.append(nb::str(name.data(), name.size()));
  return nb::tuple(out);
}

}  // namespace

nb::tuple StateView::open_rules(State s) {
  name_nodes();
  std::vector<std::string> names;
  read(s, [&](Engine& e, State local) {
    names = e.open_rules(local);
  });
  return as_tuple(names);
}

nb::tuple StateView::rule_names() {
  name_nodes();
  std::vector<std::string> names;
  read(kDead, [&](Engine& e, State) {
    names = e.rule_names();
  });
  return as_tuple(names);
}

FrozenTables TokenAutomaton::tables(FreezeLimits limits) const {
  nb::gil_scoped_release release;
  return Freezer(core_, limits).run();
}

nb::dict StateView::stats() {
  Engine::Counters c;
  std::size_t states = 0, stacks = 0, bytes = 0, mask_bytes = 0, scanner_states = 0, token_tables = 0;
  bool searches = false;
  const auto add = [&](Engine& e) {
    const Engine::Counters& k = e.counters;
    c.steps += k.steps;
    c.masks += k.masks;
    c.masks_shared += k.masks_shared;
    c.walks += k.walks;
    c.walks_shared += k.walks_shared;
    c.evictions += k.evictions;
    c.step_nanoseconds += k.step_nanoseconds;
    c.mask_nanoseconds += k.mask_nanoseconds;
    states += e.states();
    stacks += e.stacks();
    bytes += e.bytes();
    mask_bytes += e.mask_bytes();
  };
  read(kDead, [&](Engine& e, State) {
    if (!session_) add(e);
    if (own_) add(*own_);
    if (!session_) bytes += core_->grammar->goals().bytes() + core_->grammar->bytes();
    if (LarkGrammar* lark = core_->grammar->lark()) {
      searches = !lark->scanner.proof->holds();
      scanner_states = lark->scanner.states();
      token_tables = lark->scanner.shapes();
      if (!session_) bytes += lark->scanner.bytes();
    }
  });
  nb::dict d;
  d["states"] = states;
  d["stack_sets"] = stacks;
  d["bytes"] = bytes;
  d["mask_bytes"] = mask_bytes;
  d["steps_computed"] = c.steps;
  d["masks_computed"] = c.masks;
  d["masks_shared"] = c.masks_shared;
  d["suffix_walks"] = c.walks;
  d["suffix_walks_shared"] = c.walks_shared;
  d["mask_evictions"] = c.evictions;
  if (core_->grammar->lark()) {
    d["scanner_states"] = scanner_states;
    d["token_tables"] = token_tables;
    d["searches_dead_ends"] = searches;
  }
  d["step_nanoseconds"] = c.step_nanoseconds;
  d["mask_nanoseconds"] = c.mask_nanoseconds;
  return d;
}

}  // namespace structgen
