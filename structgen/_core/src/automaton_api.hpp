// TokenAutomaton and Session as Python sees them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <memory>
#include <vector>

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

// The methods that TokenAutomaton and Session share.
class StateView {
 public:
  StateView(std::shared_ptr<Automaton> core, bool session) : core_(std::move(core)), session_(session) {}
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
  nanobind::dict stats();

 protected:
  void check(State s) const;
  std::uint32_t check_token(std::int64_t token) const;
  // Runs work(engine, local state) under the exclusive lock, the GIL released. Returned states are translated; when the
  // shared tables are full, a session goes on in its own.
  template <class Work>
  State move(State s, Work&& work);
  template <class Work>
  void read(State s, Work&& work);
  Engine& own();

  std::shared_ptr<Automaton> core_;
  bool session_;
  std::unique_ptr<Engine> own_;  // a session's overflow
  OutBuffer out_;
};

class Session : public StateView {
 public:
  explicit Session(std::shared_ptr<Automaton> core) : StateView(std::move(core), true) {}
};

class TokenAutomaton : public StateView {
 public:
  explicit TokenAutomaton(std::shared_ptr<Automaton> core) : StateView(std::move(core), false) {}
  Session session() const { return Session(core_); }
};

}  // namespace structgen
