// Finite automata as tables: every state, and the classes of tokens that no state tells apart.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "handles.hpp"

namespace structgen {

struct FreezeLimits {
  std::size_t states;  // besides DEAD and FINISHED, and with those within tokens
  std::size_t bytes;   // of the tables, and of what they are made from, each
  double seconds;
};

// The transitions over classes of tokens, row after row: of state s, entries row_begin[s] up to row_begin[s + 1], sorted by class. A class
// that a row lacks leads to DEAD. States are numbered anew: DEAD, FINISHED, the start, then by their distance from it. Class 0 is that of all
// tokens which no state allows.
struct FrozenTables {
  std::vector<std::int32_t> class_of_token;  // as many as the logits are wide
  std::vector<std::int64_t> row_begin;
  std::vector<std::int32_t> row_class, row_next;
  std::vector<bool> accepts;
  std::size_t classes = 0;
};

// States that hold captured text are as many as there are texts.
struct FreezeError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Explores in an engine of its own, so that the automaton does not grow. Takes the lexer's lock a state at a time: other threads go on in between.
class Freezer {
 public:
  Freezer(std::shared_ptr<Automaton> core, FreezeLimits limits);
  ~Freezer();
  FrozenTables run();

 private:
  // Of one state: a token and where it leads.
  struct Move {
    std::uint32_t token;
    State to;
  };
  // One row of the tables in the making: classes as they were when its state was looked at.
  struct Row {
    std::size_t begin, end;  // of `entries_`
    std::int32_t classes;    // how many there were
  };

  State next(State s, std::size_t column);
  [[noreturn]] static void remembers();
  State compute(State s, std::size_t column);
  bool finite_memory() const;
  static std::int64_t rest_of_character(const Lexer::State& q);
  std::int32_t kind_of(Lex lex);
  std::string value_so_far(Lex lex, const std::string& text);
  State state_of(const Items& items, const Text& text);
  bool accepting(State s);
  void acquire();
  void release();
  void grow();
  void explore_bytes();
  void explore_tokens();
  void find_live();
  void walk(State s, std::vector<Move>& out);
  void refine(const std::vector<Move>& moves);
  void tabulate();
  FrozenTables finish();
  void check() const;
  void check_bytes(std::size_t bytes) const;

  std::shared_ptr<Automaton> core_;
  FreezeLimits limits_;
  std::chrono::steady_clock::time_point deadline_;
  const VocabularyData& vocabulary_;
  std::unique_ptr<Engine> engine_;
  std::unique_lock<std::shared_mutex> lock_;
  std::vector<std::uint32_t> specials_;  // special tokens of the grammar
  std::size_t columns_;                  // bytes, then special tokens
  bool complete_;                        // every byte is a token: the states between tokens are all there are

  FlatMap kinds_;                        // by state of the lexer; 0 unknown
  std::map<std::tuple<int, Re, Re, std::int64_t>, std::int32_t> kind_numbers_;
  std::map<std::vector<std::pair<std::int32_t, Stacks>>, State> within_;  // states within characters, by the kinds of their lexemes
  std::map<std::vector<std::tuple<Lex, Stacks, std::string>>, State> remembering_;  // states within items of arrays of distinct items
  Items items_;

  std::vector<State> next_;              // by state and column; -1 unknown
  std::vector<std::int8_t> accepts_;     // by state; -1 unknown
  std::vector<State> between_;           // states between tokens
  std::vector<bool> live_;               // by state: some tokens complete the text

  std::vector<std::int32_t> number_;     // by state: its row
  std::vector<State> order_;             // by row, from the start on
  std::vector<Row> rows_;
  std::vector<std::pair<std::int32_t, std::int32_t>> entries_;  // class, row that it leads to

  // Classes of tokens as far as the rows so far tell them apart.
  struct Class {
    std::int32_t parent;   // the class it was split off
    std::size_t size;
    std::size_t stamp = 0;  // the state whose moves `group` is about
    std::int32_t group = 0;
  };
  std::vector<Class> classes_;
  std::vector<std::int32_t> class_of_;
};

}  // namespace structgen
