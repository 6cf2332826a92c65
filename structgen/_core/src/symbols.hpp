// What a generated text repeats, as symbols: terminals of a grammar, or what rules of one level read.
//
// A symbol is the sequence of terminals since the symbol before, by name, so that `f(x)` and `g(y)` are copies of each other. Of each one it is
// remembered how it was spelled at both ends, as far as one token may reach: the next copy of a unit is expected to begin, and the last one to end,
// as a copy before did.
//
// Places, symbols and spellings are numbers into tables that only grow: a place is a pure function of the tokens up to it, and loops of
// generation return to places and drop them as they like.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engine.hpp"
#include "events.hpp"
#include "repeats.hpp"

namespace structgen {

// The tokens that spell the beginning of a text.
class Spelling {
 public:
  explicit Spelling(std::shared_ptr<const Trie> trie) : trie_(std::move(trie)) {}
  // Tokens that are a beginning of `text` longer than `beyond` bytes, the shortest first.
  std::vector<std::int64_t> beginnings(std::string_view text, std::size_t beyond) const { return found(text, beyond, false); }
  // These, and then those that begin with all of `text` and have more.
  std::vector<std::int64_t> beginnings_and_longer(std::string_view text, std::size_t beyond) const { return found(text, beyond, true); }

 private:
  std::vector<std::int64_t> found(std::string_view text, std::size_t beyond, bool longer) const;
  std::shared_ptr<const Trie> trie_;
};

class SymbolReader {
 public:
  // Says what a token does, or that it is not allowed (kDead and no events).
  class Structure {
   public:
    virtual ~Structure() = default;
    virtual std::pair<State, Events> tell(State s, std::int64_t token) = 0;
    virtual std::string_view bytes(std::int64_t token) const = 0;
  };

  struct Options {
    std::unordered_set<std::string> closing;  // rules whose ends end symbols
    std::int32_t window = 0;                  // symbols
    bool terminals = false;                   // each terminal is a symbol
    bool json = false;                        // events are those of a JSON Schema
  };

  struct Step {
    std::int32_t place;  // -1: the token is not allowed
    State state;
    // The bytes at the token's end that belong to the lexeme under way; -1: the whole token goes on with the one that was under way.
    std::int64_t kept;
  };

  // Tokens that begin another copy, and how many there are of what they would repeat.
  using Tokens = std::shared_ptr<const std::vector<std::int64_t>>;
  using Group = std::pair<std::int64_t, Tokens>;

  SymbolReader(Options options, Spelling spelling) : options_(std::move(options)), spelling_(std::move(spelling)) {}

  // A place at which nothing has been read.
  std::int32_t fresh(State s);
  Step step(Structure& structure, std::int32_t place, std::int64_t token);
  std::vector<Group> critical(Structure& structure, std::int32_t place);

 private:
  using Number = std::int32_t;
  static constexpr Number kNone = -1;
  static constexpr Number kEmptyShape = 0;
  // Lexemes at the end of a symbol that one token may have.
  static constexpr std::size_t kTail = 4;
  using Tail = std::array<Number, kTail>;

  // A lexeme with what is ignored in front of it.
  struct Piece {
    std::string ignored, lexeme;
  };
  // A sequence of terminals: one behind another sequence.
  struct Shape {
    Number before, depth;
  };
  // A symbol that is complete.
  struct End {
    Number before;  // that of the symbol in front
    Number count;   // symbols up to this one
    Number first;   // its first piece
    Tail tail;      // its last pieces
  };
  // The symbol under way.
  struct Reading {
    Number shape = kEmptyShape, first = kNone;
    Tail tail{};
    std::string ignored{};  // in front of the lexeme under way
  };
  struct Place {
    State state = kDead;
    std::shared_ptr<const Repeats> symbols{};
    Number end = kNone;  // of the last symbol
    Reading reading{};
    std::string pending{};  // text of the lexeme under way
  };
  // An event, its name as a number.
  struct Told {
    Event::Kind kind;
    Number name;
    std::size_t position;
  };
  struct Answer {
    State state;
    std::vector<Told> told;
  };
  // Tokens of which the first lexeme of a copy stands behind `front` are critical if they complete the symbol under way as `symbol`.
  struct Candidate {
    std::string front;
    Number first, symbol;
    std::int64_t repeats;
  };

  // Questions may let other threads of Python in: no reference into a table outlives one.
  const Place& at(std::int32_t place) const { return places_.at(static_cast<std::size_t>(place)); }
  const Answer& ask(Structure& structure, State s, std::int64_t token);
  bool wanted(const Event& event) const;
  Number name(std::string_view text);
  Number piece(std::string ignored, std::string lexeme);
  Number shape(Number before, Number name);
  bool is_beginning(Number shape, Number longer, Number missing) const;

  template <class Make, class Forget>
  std::size_t take_all(Reading& reading, const std::vector<Told>& told, std::string_view text, std::size_t before, Make&& make, Forget&& forget);
  bool take(Reading& reading, Number name, std::string_view lexeme);
  void complete(Place& after, const Reading& reading);

  void find_at_end(const Place& place, std::vector<Group>& found);
  std::vector<Candidate> find_candidates(const Place& place) const;
  std::vector<std::string> rests(std::string_view pending, std::int64_t period, Number end, std::size_t missing) const;
  Number count(Number end) const;
  std::vector<Number> firsts(Number end, std::int64_t back, std::int64_t period, std::int64_t copies) const;
  Tokens spelled(const std::string& front, Number first);
  Number completed_by(Structure& structure, std::int32_t place, std::int64_t token);

  const Options options_;
  const Spelling spelling_;
  std::vector<Place> places_;
  std::vector<Piece> pieces_;
  std::vector<Shape> shapes_{{kNone, 0}};
  std::vector<End> ends_;
  std::unordered_map<std::string, Number> names_, known_pieces_;
  std::unordered_map<std::uint64_t, Number> known_shapes_;
  std::unordered_map<std::uint64_t, Answer> answers_;
  std::unordered_map<std::string, Tokens> spelled_;
  const Number key_ = name("key");  // the terminal of JSON
};

}  // namespace structgen
