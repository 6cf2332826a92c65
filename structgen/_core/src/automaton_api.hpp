// TokenAutomaton and Session as Python sees them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <utility>
#include <vector>

#include "freeze.hpp"
#include "handles.hpp"

namespace structgen {

using MaskArray = nanobind::ndarray<nanobind::numpy, const std::int32_t, nanobind::ndim<1>>;

// A writable buffer of int32, kept between calls: asking numpy for it costs more than filling a mask.
class OutBuffer {
 public:
  OutBuffer() = default;
  ~OutBuffer() { release(); }
  OutBuffer(OutBuffer&& o) noexcept : held_(o.held_), view_(o.view_) { o.held_ = false; }
  OutBuffer(const OutBuffer&) = delete;
  OutBuffer& operator=(const OutBuffer&) = delete;
  // `items` int32 in `rows` rows (0: one-dimensional). Raises TypeError or ValueError otherwise.
  std::uint32_t* get(nanobind::handle object, std::size_t items);

 private:
  void release();
  bool held_ = false;
  Py_buffer view_{};
};

// What is asked of Python: what guards call, and what names the nodes of a schema. Freed with the GIL held, as the objects of Python
// that own it are.
struct Predicates {
  std::vector<nanobind::object> guards;
  nanobind::object names;
};

// The methods that TokenAutomaton and Session share.
class StateView {
 public:
  StateView(std::shared_ptr<Automaton> core, std::shared_ptr<const Predicates> predicates, bool session)
      : core_(std::move(core)), predicates_(std::move(predicates)), session_(session) {}
  StateView(StateView&&) = default;

  State start() const { return core_->engine.start(); }
  State step(State s, std::int64_t token);
  std::vector<State> step_many(State s, const std::vector<std::int64_t>& tokens);
  MaskArray mask(State s);
  void fill_mask(State s, nanobind::handle out);
  void fill_masks(const std::vector<State>& states, nanobind::handle out);
  void fill_mask_within(State s, nanobind::handle out, std::int64_t max_bytes);
  bool accepts(State s);
  nanobind::bytes forced(State s);
  nanobind::bytes shortest(State s);
  State advance_bytes(State s, const nanobind::bytes& data);
  // The state after a token and the events on the way; kDead and none if it is not allowed.
  std::pair<State, Events> tell(State s, std::int64_t token);
  nanobind::list events(State s, std::int64_t token);
  nanobind::list events_at_end(State s);
  nanobind::tuple open_rules(State s);
  nanobind::tuple rule_names();
  bool reads_json() const { return core_->grammar->json() && !core_->grammar->lark(); }
  nanobind::dict stats();
  const VocabularyData& vocabulary() const { return core_->engine.vocabulary(); }
  // Whether the language has a text that tokens can spell.
  bool completable();

 protected:
  void check(State s) const;
  std::uint32_t check_token(std::int64_t token) const;
  // Runs work(engine, local state) under the exclusive lock, the GIL released. Returned states are translated; when the
  // shared tables are full, a session goes on in its own.
  template <class Work>
  State move(State s, Work&& work);
  template <class Work>
  void read(State s, Work&& work);
  // Runs work() under the exclusive lock, the GIL released, until no predicate's verdict is missing. Predicates are called in
  // between, without the lock: no thread waits for the GIL while it holds it.
  template <class Work>
  auto judged(Work&& work);
  void judge(const std::vector<Verdicts::Question>& questions);
  void name_nodes();
  Engine& own();
  State homeward(State local);

  std::shared_ptr<Automaton> core_;
  std::shared_ptr<const Predicates> predicates_;
  bool session_;
  std::unique_ptr<Engine> own_;  // a session's overflow, and its states that hold captured text
  // Of two calls at once, each needs a buffer of its own: the one that is kept is guarded by the GIL alone.
#ifdef Py_GIL_DISABLED
  OutBuffer kept_or(OutBuffer&& own) { return std::move(own); }
#else
  OutBuffer& kept_or(OutBuffer&&) { return out_; }
  OutBuffer out_;
#endif
};

class Session : public StateView {
 public:
  Session(std::shared_ptr<Automaton> core, std::shared_ptr<const Predicates> predicates) : StateView(std::move(core), std::move(predicates), true) {}
};

class TokenAutomaton : public StateView {
 public:
  TokenAutomaton(std::shared_ptr<Automaton> core, std::shared_ptr<const Predicates> predicates) : StateView(std::move(core), std::move(predicates), false) {}
  Session session() const { return Session(core_, predicates_); }
  FrozenTables tables(FreezeLimits limits) const;
};

}  // namespace structgen
