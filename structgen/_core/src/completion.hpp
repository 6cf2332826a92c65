// Shortest completions: how many bytes a state still needs, and which.
//
// Costs are exact: lexemes by their regexes (spellings.hpp), expressions by least fixpoint (Knuth 1977, "A
// generalization of Dijkstra's algorithm"), stacks by adding up their frames.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine.hpp"
#include "spellings.hpp"

namespace structgen {

class Completion {
 public:
  static constexpr std::int64_t kImpossible = std::int64_t{1} << 60;

  explicit Completion(Engine& engine);
  std::int64_t cost(const Items& items);
  std::string shortest(Items items);
  // One byte of a shortest completion, guards aside. The items and text are behind the bytes so far; false where nothing completes them.
  bool next_byte(const Items& items, const Text& text, std::uint8_t& byte);
  // Marks the tokens after which at most `budget` bytes are left; returns the most that any token leaves.
  std::int64_t within(const Items& items, const Text& text, std::int64_t budget, std::uint32_t* out);

 private:
  Spellings& of(Kind kind) { return kind == Kind::kText ? text_ : string_; }
  std::pair<std::uint32_t, std::int64_t> begun(const Lexer::State& s);
  std::int64_t lexeme(Lex q);
  std::uint8_t first_byte(Lex q);
  std::size_t append_lexeme(Lex q, std::string& out);
  std::int64_t stacks(Stacks s);
  // `held`: bytes of the key being read that its frames have not captured.
  std::int64_t item(const Item& i, std::int64_t held = 0);
  bool advance_keys(const Items& in, const std::string& read, std::uint8_t byte, Items& inside, Items& ended);
  // `key`: the bytes of the key being read, when it will be complete; -1 for none.
  std::int64_t frame(const Engine::Frame& f, std::int64_t key = -1);
  std::int64_t object(const ObjectNode& o, const Engine::Frame& f, std::int64_t key = -1);
  void add_extras(const ObjectNode& o, const Engine::Frame& f, std::int64_t key, std::size_t wanted, std::vector<std::int64_t>& costs);
  std::int64_t array(const ArrayNode& a, std::int32_t at, Engine::Phase phase);
  std::int64_t evaluate(const ExprNode& n);
  // The lengths of the shortest `wanted` keys of an extra that have not been used, nor are being read.
  std::vector<std::int64_t> spellings(const ObjectNode& o, const Engine::Frame& f, std::size_t extra, std::int64_t key, std::size_t wanted);
  struct Way;
  struct Route;
  std::vector<Way> ways(const Cells& cells, std::int64_t more) const;
  // Of an array: what it costs to end it behind so many of its slots, when the goal that is left there is to be met; -1 unknown.
  class Known {
   public:
    std::int64_t get(std::size_t slot, Goal goal) const { return costs_.get(key(slot, goal), -1); }
    void put(std::size_t slot, Goal goal, std::int64_t cost) { costs_.put(key(slot, goal), static_cast<std::int32_t>(std::min<std::int64_t>(cost, 1 << 30))); }

    // It costs no less, where it is unknown.
    std::int64_t bound(std::size_t slot, Goal goal) const { return bounds_.get(key(slot, goal), 0); }
    void raise(std::size_t slot, Goal goal, std::int64_t cost) {
      if (cost > bound(slot, goal)) bounds_.put(key(slot, goal), static_cast<std::int32_t>(std::min<std::int64_t>(cost, 1 << 30)));
    }

   private:
    static std::uint64_t key(std::size_t slot, Goal goal) { return pair_key(static_cast<std::int32_t>(slot), goal); }
    FlatMap costs_, bounds_;
  };
  std::vector<std::int32_t> counters(const std::vector<Way>& ways) const;
  std::int64_t cheapest(const Route& route, Goal wanted, bool must, std::size_t first, Known* known) const;
  bool stage_repeated(Route& route, const std::vector<Goal>& goals) const;
  void order(Route& route, const std::vector<Goal>& goals) const;
  std::int64_t part_cost(const Route& route, Goal goal) const;
  std::int64_t search(const Route& route, Goal wanted, bool must, std::size_t first, Known* known) const;
  std::int64_t close(const Route& route, const Engine::Frame& f, bool complete, Lex bracket, Known* known);
  std::int64_t tallied(const ObjectNode& o, const Engine::Frame& f, std::int64_t key);
  std::int64_t tallied(const ArrayNode& a, const Engine::Frame& f);

  Engine& engine_;
  Lexer& lexer_;
  const Grammar& grammar_;
  Spellings text_, string_;
  std::vector<std::int64_t> exprs_;
  std::vector<std::int64_t> stack_costs_;
  FlatMap lexeme_costs_;  // saturated to int32
  std::unordered_map<std::int32_t, Known> arrays_;
  mutable std::map<std::vector<std::int64_t>, std::int64_t> parts_;  // of tallied objects
  mutable std::size_t part_keys_ = 0;
  bool settled_ = false;  // the expressions' costs are final
};

}  // namespace structgen
