// What can always be read: the proof that outputs of a Lark grammar never come to a dead end.
//
// A place is where a lexeme has ended: what that obliges the rest of the text to, and what can be looked back at. A place and a state of the parser
// are good together if every terminal that the parser may take can be read there, at once or behind something ignored, such that what it
// leads to is good again. That is a greatest fixpoint; pairs are looked at when they are asked for.
//
// Where all that the tables allow can be completed (LrCompletion), so can every good pair: a completion of the parser's stack can be read, one
// terminal after the other. Terminals that cannot be read even where nothing is obliged (they look ahead over several lexemes, say) are not relied
// on: the completions do without them.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lark.hpp"

namespace structgen {

using Place = std::int32_t;

class Liveness : public Scanner::Proof {
 public:
  explicit Liveness(LarkGrammar& lark);
  // Whether every stack has a completion by terminals that can be relied on. If not, nothing below says anything.
  bool holds() override;
  // The number of a place, -1 where there are too many.
  Place place(Obligation obligation, Left left);
  bool good(Place place, std::int32_t state);
  // Whether an exit of a lexeme leads to good pairs, whatever the stack: if the parser takes it.
  bool good(std::int32_t exit) override;
  // Whether what a place obliges to can be met at all, by lexemes in any order. May say so where it cannot.
  bool hopeful(Place place);
  // Bytes in which each terminal can be read at every good pair; LrCompletion::kImpossible for those not relied on.
  std::vector<std::int64_t> widths();
  // Changes when the widths do.
  std::size_t version() const { return version_; }

 private:
  // Of a place: a state of the parser, of those that take the same terminals, or all states that something leads to. Groups beyond those
  // stand for single terminals that are read among all others, whatever the state.
  struct Node {
    Place place;
    std::int32_t alike;  // -1 for a group
    std::int32_t group;
    bool bad;
    std::vector<std::int32_t> users;
  };
  struct Detour {
    bool decided = false;
    Place to = -1;
    std::int32_t length = 0;
  };
  struct Read {
    bool tried = false, sought = false;
    Scanner::Realized found;
  };
  using Key = std::uint64_t;

  void find_states();
  std::int32_t node(Place place, std::int32_t alike, std::int32_t group);
  void work();
  void look_at(std::int32_t i);
  Place detour(Place place);
  bool readable(std::int32_t user, Place place, std::int32_t terminal);
  template <class Succeeds>
  bool somehow(Place place, std::int32_t set, bool thorough, Succeeds&& succeeds);
  bool among(std::int32_t i, Place place, std::int32_t terminal, std::int32_t set, bool thorough);
  bool supported(std::int32_t i, std::int32_t terminal);
  bool hopeless(const Node& n, std::int32_t terminal);
  bool leads_on(std::int32_t user, Place place, std::int32_t group);
  bool reads(std::int32_t i, std::int32_t terminal, std::int32_t set, Place from, std::int64_t before, bool thorough);
  Scanner::Realized read(Place place, std::int32_t set, std::int32_t terminal, bool thorough);
  bool may_end(Place place) const;
  Place behind(std::int32_t exit);
  std::int32_t alone(std::int32_t set, std::int32_t terminal);

  LarkGrammar& lark_;
  Scanner& scanner_;
  bool decided_ = false, deciding_ = false, holds_ = false;
  std::int32_t every_ = -1;
  std::vector<std::int32_t> separators_;
  std::vector<std::int32_t> alike_, members_;  // the class of each state; a state of each class
  // Classes of states: by terminal, those behind it; then those behind a newline of indentation, and all.
  std::vector<std::vector<std::int32_t>> groups_;
  std::vector<bool> unreliable_;
  std::vector<std::int64_t> widths_;
  std::size_t version_ = 0;
  std::vector<std::pair<Obligation, Left>> places_;
  std::unordered_map<Key, Place> place_index_;
  std::vector<Node> nodes_;
  FlatMap node_index_;
  std::vector<std::int32_t> todo_;
  std::vector<Detour> detours_;  // by place
  std::vector<std::int8_t> exits_;  // by number: 1 good, 0 not, -1 unknown
  std::unordered_map<Place, bool> hopeful_;
  std::unordered_map<Key, std::vector<Read>> read_;
};

}  // namespace structgen
