// Lexer states and the token tables that hang on them, shared by all grammars of one vocabulary.
//
// A lexer state is a decoder, a residual over code points and, for strings, the regex that follows the closing
// quote. Its *shape* (the state with its tail dropped and its counts clamped) decides which tokens stay
// inside the lexeme and where the others leave it; shapes are what gets tabulated.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include "decoder.hpp"
#include "regex.hpp"
#include "trie.hpp"

namespace structgen {

using Lex = std::int32_t;
inline constexpr Lex kDeadLex = 0;

using Row = std::vector<std::uint32_t>;  // packed mask, one bit a token

// Tokens that stay inside the lexeme: *base minus `clear` plus `add`. Tokens that leave it: (node of the suffix
// trie that spells what comes after the lexeme, token), sorted by node.
struct Shape {
  const Row* base = nullptr;
  std::vector<std::uint32_t> clear, add;
  const SuffixTrie* suffixes = nullptr;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> exits;
  std::uint32_t number = 0;
};

class Quotient;
struct CharacterTrie;

class Lexer {
 public:
  struct State {
    Kind kind;
    bool accepting;             // text: the lexeme may end here
    std::int16_t single = -2;   // the only byte that continues, kNoByte, kManyBytes or kUnknown
    Decoder decoder;
    Re residual;
    Re tail;                    // strings: what follows the closing quote
    Lex single_to = kDeadLex;
    std::int32_t* row = nullptr;
    Lex exit = -1;              // memo of exit()
    std::int32_t filter = -1;   // the follow filter that `shape` was made for
    const Shape* shape = nullptr;
  };
  static constexpr std::int16_t kUnknown = -2, kManyBytes = -1, kNoByte = 256;

  // `previous`, tables of the same trie, lends what never changes.
  Lexer(std::shared_ptr<const Trie> trie, std::size_t mask_words, const Lexer* previous);
  ~Lexer();
  Lexer(const Lexer&) = delete;
  Lexer& operator=(const Lexer&) = delete;

  Lex start(Kind kind, Re residual, Re tail);
  const State& operator[](Lex q) const { return states_[q]; }

  Lex next(Lex q, std::uint8_t byte) {
    const State& s = states_[q];
    if (s.single >= 0) return s.single == byte ? s.single_to : kDeadLex;
    if (s.row && s.row[byte] >= 0) return s.row[byte];
    return next_slow(q, byte);
  }

  // Where a token leaves the lexeme: behind the closing quote, or an ended text lexeme.
  Lex exit(Lex q);
  // The only byte that continues, kNoByte, or kManyBytes.
  std::int16_t single(Lex q) {
    if (states_[q].single == kUnknown) classify(q);
    return states_[q].single;
  }
  // Filter 0 lets nothing follow a text lexeme; others are registered lexer states: what may follow must
  // be a viable prefix of that state's language.
  std::int32_t filter(Re language);
  const Shape& shape(Lex q, std::int32_t filter);

  RegexStore& regexes() { return regexes_; }
  const Trie& trie() const { return *trie_; }
  std::size_t mask_words() const { return mask_words_; }
  std::size_t bytes() const { return bytes_ + regexes_.bytes(); }
  std::size_t states() const { return states_.size(); }
  std::size_t shapes() const { return shapes_.size(); }
  std::size_t quotients() const { return quotients_.size(); }

  // Tells tables apart: regex handles mean the same in builders with the same number.
  const std::uint64_t number;

  // One lock guards the tables and every automaton that uses them.
  mutable std::shared_mutex mutex;

  // Counters for stats(): how shapes were built.
  std::array<std::uint64_t, 4> built{};  // direct, plain quotient, difference, quotient

 private:
  friend class Quotient;
  friend struct CharacterTrie;
  using Exits = std::vector<std::pair<std::uint32_t, std::uint32_t>>;

  Lex intern(Kind kind, Re residual, Re tail, Decoder decoder);
  Lex next_slow(Lex q, std::uint8_t byte);
  Lex compute(const State& s, std::uint8_t byte);
  void classify(Lex q);
  void build(Shape& shape, Lex q, std::int32_t filter);
  bool build_direct(Shape& shape, Lex q, std::int32_t filter, std::size_t budget);
  bool build_difference(Shape& shape, Lex q, std::size_t budget);
  void set_inside(Shape& shape, std::vector<std::uint32_t> tokens);
  void quote_exits(std::uint32_t node, std::uint32_t suffix, Exits& out) const;
  void text_exits(Shape& shape, const std::vector<std::uint32_t>& ends, std::int32_t filter);
  void build_immortal(Shape& shape, Lex q);
  bool mostly_any(Re r);
  bool wide(Lex q);
  Quotient* find_quotient(Kind kind, const std::vector<std::int32_t>& atoms) const;
  Quotient& quotient(Kind kind, Re r);
  const CharacterTrie& characters(Kind kind);
  const Row& every_token(Kind kind);
  Row* new_row();

  RegexStore regexes_;
  std::shared_ptr<const Trie> trie_;
  std::size_t mask_words_;
  std::vector<State> states_;
  Index state_index_;
  std::vector<std::unique_ptr<std::int32_t[]>> row_blocks_;
  std::size_t row_used_ = 0;
  std::vector<std::unique_ptr<Row>> rows_;
  std::vector<std::unique_ptr<Shape>> shapes_;
  std::vector<std::unique_ptr<SuffixTrie>> tries_;
  std::shared_ptr<const SuffixTrie> quote_suffixes_;  // what follows a quote inside some token
  std::vector<Lex> filters_;
  std::vector<std::unique_ptr<Quotient>> quotients_;
  std::array<std::shared_ptr<const CharacterTrie>, 3> characters_;  // by decoder, made on demand
  std::array<const Row*, 3> every_token_{};  // the tokens of the character tries
  std::size_t bytes_ = 0;
};

}  // namespace structgen
