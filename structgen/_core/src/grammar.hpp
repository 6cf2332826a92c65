// Grammars after lowering: expressions over terminals, with native object and array nodes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "distinct.hpp"
#include "goals.hpp"
#include "lexer.hpp"

namespace structgen {

using Expr = std::int32_t;

enum class ExprOp : std::uint8_t { kNothing, kEmpty, kTerminal, kChoice, kSequence, kRule, kObject, kArray, kGuarded, kLark };

struct ExprNode {
  ExprOp op;
  bool productive = false;  // some string matches
  bool nullable = false;    // the empty string matches
  std::int32_t a = 0;       // lexer state | first child's offset | body | object or array number
  std::int32_t b = 0;       // number of children | kGuarded: guard * 2 + negated
};

// One way to take a member or an item: its value, and the counters that go up.
struct Cell {
  Expr value;
  Hits hits;
};
using Cells = std::vector<Cell>;

// What makes an object or array a tallied one: any of several cells instead of one value, and a goal instead of bounds.
struct Tally {
  Goal goal;
  std::vector<Cells> slots;   // of the declared members, or of the items of the prefix
  std::vector<Cells> extras;  // of the extras, or of the later items
  // What can happen in them with the cells that are known to be productive.
  std::vector<Options> slot_options, extra_options;
  std::vector<Plan> plans;     // arrays: what can still come, by the number of items read
  std::int32_t most_hits = 0;  // further hits change nothing
};

// Members in order. Unproductive members are dropped by Grammar::finish.
struct ObjectNode {
  struct Member {
    Lex key;
    Expr value;
    bool required;
  };
  std::vector<Member> members;
  std::vector<Member> extras;  // key patterns; `required` is unused
  std::vector<Re> extra_keys;
  bool ordered = true;
  bool distinct = false;
  std::int32_t low = 0, high = kInfinity;
  // Number of required members from index i on, and the index of the first of them.
  std::vector<std::int32_t> required_from, next_required;
  std::unique_ptr<Tally> tally;  // members and extras have no value of their own then
};

struct ArrayNode {
  std::vector<Expr> prefix;
  Expr rest;
  std::int32_t low = 0, high = kInfinity;
  std::unique_ptr<Tally> tally;  // prefix, rest and bounds are unused then
  bool unique = false;  // items are pairwise distinct
  bool plain = true;    // of distinct items: a terminal that can begin one is all of it
  Expr item(std::int32_t i) const { return i < static_cast<std::int32_t>(prefix.size()) ? prefix[static_cast<std::size_t>(i)] : rest; }
};

// A check that is run on the text of a value when the value would end.
struct Guard {
  std::string name;
  bool distinct;  // "an array of distinct items", decided here; otherwise a predicate of the caller's
};

struct LarkGrammar;

// What the front end calls the objects and arrays: numbers of names, by the number of the node.
struct NodeNames {
  std::vector<std::string> names{"object", "array"};
  std::vector<std::vector<std::int32_t>> objects, arrays;
};

class Grammar {
 public:
  static constexpr Expr kNothing = 0;
  static constexpr Expr kEmpty = 1;

  explicit Grammar(std::shared_ptr<Lexer> lexer);
  ~Grammar();

  void json_style(Re whitespace, bool all_escapes);
  Expr text(Re r);
  Expr lexeme(Re r);
  Expr string(Re r);
  Expr choice(const std::vector<Expr>& parts);
  Expr sequence(const std::vector<Expr>& parts);
  Expr rule();
  void define(Expr rule, Expr body);
  Expr object(ObjectNode node, const std::vector<std::vector<std::uint32_t>>& keys);
  Expr array(ArrayNode node);
  std::int32_t guard(Guard guard);
  Expr guarded(Expr body, std::int32_t guard, bool negated);
  // At most one, and then it is the whole language.
  Expr lark(std::unique_ptr<LarkGrammar> lark);
  // Decides productivity, drops what is not productive. False when the language is empty.
  bool finish(Expr start);

  const ExprNode& operator[](Expr e) const { return exprs_[static_cast<std::size_t>(e)]; }
  Expr child(const ExprNode& n, std::int32_t i) const { return children_[static_cast<std::size_t>(n.a + i)]; }
  const ObjectNode& object_at(std::int32_t i) const { return objects_[static_cast<std::size_t>(i)]; }
  const ArrayNode& array_at(std::int32_t i) const { return arrays_[static_cast<std::size_t>(i)]; }
  const std::vector<ArrayNode>& arrays() const { return arrays_; }
  bool productive(Expr e) const { return exprs_[static_cast<std::size_t>(e)].productive; }
  bool is_expr(Expr e) const { return e >= 0 && static_cast<std::size_t>(e) < exprs_.size(); }
  std::size_t size() const { return exprs_.size(); }
  // What the expressions take, without the parts that grow while engines run.
  std::size_t bytes() const;
  const std::vector<Guard>& guards() const { return guards_; }
  // Whether this is a language of JSON texts.
  bool json() const { return json_; }
  // Made when somebody asks for the structure, under the lexer's exclusive lock; null until then.
  const NodeNames* names() const { return names_.get(); }
  void name_nodes(const std::vector<std::pair<Expr, std::vector<std::string>>>& named) const;
  // Whether texts are captured or items remembered anywhere.
  bool remembers() const { return remembers_; }
  Distinct& distinct() const { return *distinct_; }
  // Null where there is none. Grows while engines run, as the lexer does, under the lexer's exclusive lock.
  LarkGrammar* lark() const { return lark_.get(); }

  Lexer& lexer() const { return *lexer_; }
  // Grows while engines run, as the lexer does, under the lexer's exclusive lock.
  GoalStore& goals() const { return *goals_; }
  // The keys of an extra that have not been used. Zero, the empty language, stands for "none used".
  Re extra_key(const ObjectNode& o, std::size_t extra, Re excluded) const;
  // What may happen in the extras of a tallied object, less one key of extra `used`; and in members, too.
  Plan extras_plan(const ObjectNode& o, Re excluded, std::int32_t used = -1) const;
  Plan members_plan(const std::vector<Options>& members, Plan extras) const;
  // What items there can be from `at` on. Of distinct ones: none of those seen, and one less of the cell `used` of the rest.
  Plan items_plan(const ArrayNode& a, std::size_t at, const std::vector<std::string>& seen, std::size_t used) const;
  const std::shared_ptr<Lexer>& shared_lexer() const { return lexer_; }
  Expr start = kNothing;
  std::int32_t filter = 0;
  Kind string_kind = Kind::kStringMinimal;
  Re whitespace = RegexStore::kEpsilon;
  Re key_tail = RegexStore::kEpsilon;
  Lex open_brace = 0, close_brace = 0, open_bracket = 0, close_bracket = 0, comma = 0;

 private:
  Expr add(ExprNode n) {
    exprs_.push_back(n);
    return static_cast<Expr>(exprs_.size() - 1);
  }
  Expr add_list(ExprOp op, const std::vector<Expr>& parts);
  bool compute_productive(const ExprNode& n);
  bool compute_productive(const ObjectNode& o) const;
  bool compute_productive(const ArrayNode& a) const;
  bool inhabited(Plan p, Goal g) const { return goals_->feasible(p, goals_->settle(g, p)); }
  void refresh(ObjectNode& o) const;
  void refresh(ArrayNode& a) const;
  Plan slot_plan(const ArrayNode& a, std::size_t slot, const std::vector<std::string>& seen, Plan after) const;
  Options usable(const Cells& cells, bool optional) const;
  void prune_tally(ObjectNode& o) const;
  void prune_tally(ArrayNode& a) const;
  bool compute_nullable(const ExprNode& n) const;
  void prune(ObjectNode& o) const;
  void prune(ArrayNode& a) const;

  std::shared_ptr<Lexer> lexer_;
  std::unique_ptr<GoalStore> goals_ = std::make_unique<GoalStore>();
  std::vector<ExprNode> exprs_;
  std::vector<Expr> children_;
  std::vector<ObjectNode> objects_;
  std::vector<ArrayNode> arrays_;
  std::vector<Guard> guards_;
  bool remembers_ = false;
  std::unique_ptr<Distinct> distinct_;
  std::vector<Re> followers_;  // text terminals outside the JSON family
  Re json_family_ = RegexStore::kNone;
  bool json_ = false;
  mutable std::unique_ptr<NodeNames> names_;
  FlatMap text_memo_, string_memo_;
  std::unique_ptr<LarkGrammar> lark_;
};

}  // namespace structgen
