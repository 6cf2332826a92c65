// The builder as Python sees it: limits, the lexer's lock, and what it has made so far.
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "automaton_api.hpp"
#include "handles.hpp"

namespace structgen {

inline std::vector<std::uint32_t> code_points(const nanobind::str& text) {
  const Py_ssize_t size = PyUnicode_GetLength(text.ptr());
  if (size < 0) throw nanobind::python_error();
  std::vector<std::uint32_t> out(static_cast<std::size_t>(size));
  if (size > 0 && !PyUnicode_AsUCS4(text.ptr(), out.data(), size, 0)) throw nanobind::python_error();
  return out;
}

inline std::chrono::steady_clock::time_point deadline_in(double seconds) {
  if (!(seconds >= 0)) throw std::invalid_argument("max_seconds must not be negative");
  if (seconds > 1e8) return std::chrono::steady_clock::time_point::max();
  return std::chrono::steady_clock::now() + std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6));
}

// Owns the lexer's lock for one builder call, without holding the GIL while it waits, and applies the limits.
class Builder {
 public:
  Builder(std::shared_ptr<NativeVocabulary> v, std::size_t max_regex_nodes, std::size_t max_emptiness_steps, double max_seconds)
      : vocabulary(std::move(v)),
        lexer(vocabulary->lexer()),
        grammar(std::make_shared<Grammar>(lexer)),
        max_nodes(max_regex_nodes),
        emptiness_limit(max_emptiness_steps),
        deadline(deadline_in(max_seconds)) {}

  // Short calls keep the GIL and never block with it; long ones work without it. In no case does a thread wait for the GIL
  // while it holds the lock: forking takes the lock with the GIL held.
  struct Guard {
    explicit Guard(Builder& b, bool long_call = false) : lock(b.lexer->mutex, std::defer_lock), re(b.lexer->regexes()), builder(b) {
      if (long_call) {
        release.emplace();
        lock.lock();
      } else {
        while (!lock.try_lock()) {
          nanobind::gil_scoped_release wait;
          const std::unique_lock<std::shared_mutex> turn(b.lexer->mutex);
        }
      }
      // Guards still ask about regexes once the automaton runs.
      if (!b.finished) re.deadline = b.deadline;
      // Nodes that other grammars make meanwhile don't count against this one.
      re.node_limit = re.size() + (b.max_nodes - b.used_nodes);
      re.emptiness_limit = b.emptiness_limit;
      before = re.size();
    }
    ~Guard() {
      builder.used_nodes = std::min(builder.max_nodes, builder.used_nodes + (re.size() - before));
      re.node_limit = ~std::size_t{0};
      re.deadline = std::chrono::steady_clock::time_point::max();
    }
    std::optional<nanobind::gil_scoped_release> release;  // taken again after the lock is gone
    std::unique_lock<std::shared_mutex> lock;
    RegexStore& re;
    Builder& builder;
    std::size_t before = 0;
  };

  // For calls that make expressions: they end with finish().
  struct OpenGuard : Guard {
    explicit OpenGuard(Builder& b, bool long_call = false) : Guard(b, long_call) {
      if (b.finished) throw std::invalid_argument("the builder has finished");
    }
  };

  void check_re(Re r) const {
    if (r < 0 || static_cast<std::size_t>(r) >= lexer->regexes().size()) throw std::invalid_argument("not a regex handle: " + std::to_string(r));
  }
  void check_expr(Expr e) const {
    if (!grammar->is_expr(e)) throw std::invalid_argument("not an expression handle: " + std::to_string(e));
  }

  void check_goal(Goal g) const {
    if (!grammar->goals().is_goal(g)) throw std::invalid_argument("not a goal handle: " + std::to_string(g));
  }

  std::shared_ptr<NativeVocabulary> vocabulary;
  std::shared_ptr<Lexer> lexer;
  std::shared_ptr<Grammar> grammar;
  std::size_t max_nodes, emptiness_limit;
  std::chrono::steady_clock::time_point deadline;
  std::size_t used_nodes = 0;
  // A Lark grammar in the making: its patterns.
  LarkGrammar& lark() {
    if (!larking) larking = std::make_unique<LarkGrammar>(*lexer);
    return *larking;
  }
  std::unique_ptr<LarkGrammar> larking;
  std::shared_ptr<Predicates> predicates = std::make_shared<Predicates>();
  bool finished = false;
};


void bind_lark(nanobind::class_<Builder>& c);

}  // namespace structgen
