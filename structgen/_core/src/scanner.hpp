// Lark's lexing as an automaton: which terminal the next lexeme is, and where it ends, exactly as Python's `re` decides it.
//
// Lark tries the acceptable terminals in a fixed order, each with the leftmost-first meaning of `re`; the first that matches wins. Where that
// depends on text that is still to come, all possibilities go on side by side: a *reading* that has ended its lexeme carries the
// obligation that nothing which would have been preferred matches later, and what lookaheads ask for. A reading dies when its obligation is broken.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lexer.hpp"
#include "patterns.hpp"

namespace structgen {

using Scan = std::int32_t;
inline constexpr Scan kDeadScan = 0;
using Left = std::int32_t;        // state of the left context
using Obligation = std::int32_t;  // 0: none

// The lexeme may end: as this terminal, under this obligation. `indent` says what the text read since some earlier point
// means for the column of an indentation-sensitive newline: a new count, or an addition.
struct ScanExit {
  std::int32_t terminal;
  Obligation obligation;
  Left left;
  std::int32_t indent = 0;
  bool new_line = false;
  bool keyword = false;  // matched by a regex, of which it is a keyword: what is ignored is told by the regex
  bool operator==(const ScanExit& o) const {
    return terminal == o.terminal && obligation == o.obligation && left == o.left && indent == o.indent && new_line == o.new_line && keyword == o.keyword;
  }
};

// The tokens below a node of the trie, read from a state: those that stay inside the lexeme, and how the others leave it.
struct ScanShape {
  // Within brackets a newline counts for nothing, and anything can follow it.
  enum class Where : std::uint8_t { kAnywhere, kInBrackets, kOutside };
  struct Exits {
    std::int32_t exit = -1;             // number of a ScanExit
    Where where = Where::kAnywhere;     // where what can follow was looked for
    std::vector<std::uint32_t> nodes;   // where much can follow: nodes of the token trie
    const SuffixTrie* suffixes = nullptr;
    // Node of the suffix trie, token; sorted. Tables of similar states share them.
    std::shared_ptr<const std::vector<std::pair<std::uint32_t, std::uint32_t>>> tokens;
  };
  // Tokens that stay inside the lexeme, but in a state that is not plain.
  struct Doubt {
    Scan state;
    std::vector<std::uint32_t> tokens;
  };
  const Row* base = nullptr;
  std::vector<std::uint32_t> add;
  std::vector<Exits> exits;
  std::vector<Doubt> doubts;
};

class Scanner {
 public:
  // A string terminal that takes over the texts of a regex terminal; `embedded`: it is not tried on its own beside it.
  struct Unless {
    std::int32_t owner, keyword;
    Re texts;
    bool embedded;
  };

  explicit Scanner(Lexer& lexer) : lexer_(lexer), re_(lexer.regexes()) {}
  Scanner(const Scanner&) = delete;
  Scanner& operator=(const Scanner&) = delete;

  PatternStore patterns;
  Lexer& lexer() const { return lexer_; }
  void left_context(std::vector<CharSet> cells, std::vector<std::vector<Left>> next);
  Left left_contexts() const { return left_next_.empty() ? 1 : static_cast<Left>(left_next_.size()); }
  // Terminals in the order in which they are tried; -1 for those without a pattern.
  void prepare(std::vector<Pattern> terminals, std::vector<Unless> unless, std::int32_t newline, std::int32_t tab, std::vector<bool> every_end);

  // What can follow each terminal, and anything at all; where embedded expressions can, it is not known.
  void set_followers(const std::vector<std::vector<std::int32_t>>& followers, std::vector<bool> embeds, const std::vector<std::int32_t>& every);

  // Sets of terminals, sorted.
  std::int32_t terminal_set(const std::vector<std::int32_t>& terminals);
  // The set with each of its terminals as a keyword, too.
  std::int32_t with_keywords(std::int32_t set);
  const std::vector<std::int32_t>& terminals(std::int32_t set) const { return sets_[static_cast<std::size_t>(set)]; }

  // At the start of a lexeme: `tried` terminals compete, but only `wanted` ones may win. A terminal as the keyword of a regex is wanted by
  // its number plus the number of terminals.
  Scan start(std::int32_t tried, std::int32_t wanted, Obligation obligation, Left left);
  Scan next(Scan q, std::uint8_t byte) {
    const State& s = states_[static_cast<std::size_t>(q)];
    if (s.partial == 0) {
      const std::uint8_t column = columns_[byte];
      if (column == kNoColumn) return kDeadScan;
      if (s.row && s.row[column] >= 0) return s.row[column];
    } else if ((byte & 0xC0) != 0x80) {
      return kDeadScan;
    } else if (s.row && s.row[byte & 63] >= 0) {
      return s.row[byte & 63];
    }
    return next_slow(q, byte);
  }
  const std::vector<std::int32_t>& exits(Scan q) {
    const State& s = states_[static_cast<std::size_t>(q)];
    return s.partial == 0 ? cores_[static_cast<std::size_t>(s.core)].exits : no_exits_;
  }
  // Whether the text of a newline terminal is being read.
  bool counts(Scan q) const { return cores_[static_cast<std::size_t>(states_[static_cast<std::size_t>(q)].core)].counts; }
  // And nothing else that could win.
  bool only_counts(Scan q) const;
  const ScanExit& exit(std::int32_t number) const { return exits_[static_cast<std::size_t>(number)]; }
  // Whether the text may end under an obligation.
  bool may_end(Obligation o) const { return re_.nullable(obligations_[static_cast<std::size_t>(o)].rest); }
  const ScanShape& shape(Scan q, std::uint32_t node);
  // A lower bound of the bytes after which the lexeme can end as each of the terminals that it can still be.
  std::vector<std::pair<std::int32_t, std::int32_t>> distances(Scan q) const;
  // An exit as the terminal from the start of a lexeme, and the bytes of a short text that leads there; exit -1 where there is none. The text is
  // one that the terminal matches where it is alone, which mostly wins against the others, too; seek() looks for another.
  struct Realized {
    std::int32_t exit = -1, length = 0;
  };
  Realized realize(std::int32_t tried, std::int32_t terminal, Obligation obligation, Left left);
  Realized seek(std::int32_t tried, std::int32_t terminal, Obligation obligation, Left left);
  // Runs something that may look at so many states to tell whether a terminal can match. False where it takes more.
  template <class Run>
  bool within(std::size_t limit, Run&& run) {
    const std::size_t before = std::exchange(search_limit_, limit);
    bool done = true;
    try {
      run();
    } catch (const LimitError&) {
      done = false;
    }
    search_limit_ = before;
    return done;
  }
  // What is proved of the grammar.
  struct Proof {
    virtual ~Proof() = default;
    virtual bool holds() = 0;
    // Whether all can be completed behind an exit, if the parser takes it.
    virtual bool good(std::int32_t exit) = 0;
  };
  Proof* proof = nullptr;
  // Whether the lexeme can end by such an exit. Otherwise it takes more than the scanner to tell if anything completes it.
  bool plain(Scan q) {
    const std::int8_t known = states_[static_cast<std::size_t>(q)].plain;
    return known >= 0 ? known != 0 : find_plain(q);
  }
  // The ways in which the lexeme can end. False where there are more, or too much to look at.
  bool explore(Scan from, std::vector<std::int32_t>& exits);
  // Exits that can be reached, with the fewest bytes to them; some for each terminal that the lexeme can be.
  const std::vector<std::pair<std::int32_t, std::int32_t>>& finishes(Scan q);
  // Whether anything can lengthen the lexeme, from between two characters on.
  bool goes_on(Scan q) {
    const std::int8_t known = states_[static_cast<std::size_t>(q)].goes_on;
    if (known >= 0) return known != 0;
    const bool found = std::any_of(representatives_.begin(), representatives_.end(), [&](std::uint8_t byte) { return next(q, byte) != kDeadScan; });
    states_[static_cast<std::size_t>(q)].goes_on = found;
    return found;
  }
  bool between_characters(Scan q) const { return states_[static_cast<std::size_t>(q)].partial == 0; }
  // One byte for each column that the states can tell apart, continuation bytes of characters aside.
  const std::vector<std::uint8_t>& representatives() const { return representatives_; }

  std::size_t states() const { return states_.size(); }
  std::size_t cores() const { return cores_.size(); }
  std::size_t shapes() const { return shapes_.size(); }
  std::size_t bytes() const { return bytes_ + patterns.bytes(); }

 private:
  static constexpr std::uint8_t kNoColumn = 255;
  static constexpr std::uint8_t kFewLive = 6, kMany = 255;
  // A thread of a terminal; one that is not wanted takes precedence all the same.
  struct Contender {
    std::int32_t terminal;
    bool wanted;
    Thread thread;
    std::int32_t chars;  // the set of its next character
  };
  struct Shadow {
    std::int32_t owner, keyword;
    bool wanted;
    Re texts;
  };
  // One reading of the text so far.
  struct Reading {
    std::vector<Contender> contenders;  // preferred first; each reads a character next
    std::int32_t matched = -1;          // the lexeme may end here, as this terminal
    bool keyword = false;               // which is a keyword of the terminal that matched
    std::vector<Shadow> shadows;
    std::vector<Thread> never;          // must not match; sorted
    Re rest = RegexStore::kAnyStar;     // the rest of the text is in this
  };
  struct Core {
    Left left;
    std::vector<Reading> readings;
    std::vector<std::int32_t> exits;
    bool counts;
    std::int8_t alive;  // -1 unknown
    std::int8_t plain = -1;
    std::vector<std::uint64_t> reads{};  // the classes of characters with which it may go on, as bits; made on demand
  };
  struct State {
    std::int32_t core;
    std::int32_t partial;  // 0: between characters; 1 to 3: so many bytes that change nothing; else a node of the decoder
    std::int32_t* row = nullptr;
    std::int8_t plain = -1;    // -1 unknown
    std::uint8_t live = 0;     // bytes that may come next, kMany if there are many; once there is a row
    std::array<std::uint8_t, kFewLive> few{};  // these bytes
    std::int32_t stays = -1;   // number of the bytes that stay(), -1 unknown
    std::int8_t goes_on = -1;  // -1 unknown
  };
  struct Promise {
    std::vector<Thread> never;
    Re rest;
    bool operator==(const Promise& o) const { return never == o.never && rest == o.rest; }
  };
  struct Work;
  // A half-read character: 64 outcomes, by the next byte. Outcomes: >= 0 a class, kInvalid, or ~node.
  struct DecoderNode {
    std::vector<std::int32_t> outcomes;
    std::vector<std::int32_t> classes;
  };
  static constexpr std::int32_t kInvalid = -0x40000000;
  static constexpr std::int32_t kFirstNode = 4;

  void make_classes();
  void make_decoder();
  std::int32_t intern_node(DecoderNode node);
  std::int32_t decode(std::uint32_t low, int depth);
  std::int32_t class_of(std::uint32_t code_point) const;
  bool has(Pattern chars, std::int32_t cls) const;
  std::int32_t step(std::int32_t core, std::int32_t cls);
  bool reads(std::int32_t core, std::int32_t cls);
  bool reads_first(std::int32_t core, std::uint8_t byte);
  const std::vector<std::int32_t>& read_class(const Core& core, std::int32_t cls);
  std::int32_t settle_rest(const std::vector<std::int32_t>& rest);
  void settle(Work work, Left left, std::vector<Reading>& out, bool* asserts = nullptr);
  const std::vector<Thread>& first_threads(std::int32_t terminal);
  const std::vector<Reading>& beginning(std::int32_t tried, Obligation obligation, Left left);
  std::int32_t intern(Left left, std::vector<Reading> readings);
  void simplify(std::vector<Thread>& never) const;
  bool alive(std::int32_t core);
  bool soon_alive(std::int32_t core);
  bool clearly_alive(const Core& core) const;
  bool clearly_dead(std::int32_t core);
  bool find_plain(Scan q);
  bool plain_core(std::int32_t core);
  Scan state(std::int32_t core, std::int32_t partial);
  Scan next_slow(Scan q, std::uint8_t byte);
  void make_row(Scan q);
  Scan arrive(std::int32_t core, std::int32_t outcome);
  Obligation promise(Promise p);
  std::int32_t intern_exit(const ScanExit& e);
  struct Ends;
  struct Reference {
    Scan state;
    const ScanShape* shape;
  };
  Trie::Kinds stays(Scan q);
  Trie::Kinds follows(std::int32_t exit);
  template <class Visit>
  void each_child(Scan q, std::uint32_t node, Visit&& visit);
  bool all_stay(Scan from, Scan to, std::uint32_t node);
  void walk(ScanShape& out, Scan q, std::uint32_t root);
  Row row_of(std::vector<std::uint32_t> nodes, std::size_t size) const;
  const Reference* nearest(Scan q, std::uint32_t root, std::size_t& least);
  bool adapt(ScanShape& out, Scan q, const Reference& from, std::uint32_t root);
  void add_exits(ScanShape& out, const Ends& ends);
  void sort_in(Scan q, std::uint32_t node, std::vector<std::uint32_t>& inside, std::vector<std::pair<Scan, std::uint32_t>>& doubts);
  void remove_exits(ScanShape::Exits& from, const std::vector<std::uint32_t>& nodes) const;
  const ScanShape::Exits& follow(std::int32_t exit, ScanShape::Where where, const std::vector<std::uint32_t>& ends);
  void merge(ScanShape::Exits& exits, const std::vector<std::uint32_t>& ends);
  bool abounds(std::uint32_t node, Scan first);
  std::vector<std::int32_t> witness(Scan from, std::int32_t terminal);
  Realized read(Scan from, std::int32_t terminal, const std::vector<std::int32_t>& classes);
  std::vector<std::int32_t> onward(const Core& core, bool all) const;
  std::int32_t with_column(std::int32_t exit, std::int32_t indent, bool new_line);
  Scan follower(const ScanExit& e, bool dropped);

  Lexer& lexer_;
  RegexStore& re_;
  std::vector<Pattern> terminals_;
  std::vector<Unless> unless_;
  std::int32_t newline_ = -1, tab_ = 8;
  std::vector<bool> every_end_;  // by terminal: its lexemes may end wherever it matches, even if it would be preferred longer
  std::vector<CharSet> cells_;
  std::vector<std::vector<Left>> left_next_;

  std::vector<std::uint32_t> starts_;    // of the pieces of the partition of all code points
  std::vector<std::int32_t> classes_;    // of the pieces
  std::vector<std::uint32_t> members_;   // a code point of each class
  std::vector<std::vector<bool>> set_classes_;  // by character set of the patterns
  std::vector<std::vector<std::uint64_t>> class_sets_;  // by class, the sets as bits
  std::vector<std::vector<std::uint64_t>> set_bits_;    // by set, the classes as bits
  std::vector<std::int32_t> left_cells_;        // by class
  std::vector<DecoderNode> decoder_;
  std::array<std::int32_t, 256> lead_{};
  std::array<std::uint8_t, 256> columns_{};
  std::vector<std::uint8_t> representatives_;
  Index decoder_index_;

  std::vector<std::vector<std::int32_t>> sets_;
  Index set_index_;
  std::int32_t every_terminal_ = -1;
  FlatMap with_keywords_;
  std::vector<std::int32_t> followers_;  // sets, by terminal
  std::vector<bool> embeds_;
  std::vector<Promise> obligations_;
  Index obligation_index_;
  std::vector<ScanExit> exits_;
  Index exit_index_;
  std::deque<Core> cores_;  // they stay where they are while others are made
  Index core_index_;
  FlatMap steps_;
  std::vector<std::pair<std::vector<std::int32_t>, std::int32_t>> rests_;  // what a character leaves of a core, and the core that comes of it
  Index rest_index_;
  std::vector<std::int32_t> left_over_;  // that of the step being made
  std::vector<State> states_;
  FlatMap state_index_;
  std::vector<std::unique_ptr<std::int32_t[]>> rows_;
  std::vector<std::pair<std::array<std::int32_t, 4>, Scan>> starts_memo_;
  Index start_index_;
  std::vector<std::pair<std::array<std::int32_t, 3>, std::vector<Reading>>> beginnings_;
  Index beginning_index_;
  std::vector<std::vector<Thread>> first_threads_;  // by terminal, made on demand
  std::vector<std::unique_ptr<ScanShape>> shapes_;
  FlatMap shape_index_;
  std::unordered_map<std::uint32_t, std::vector<Reference>> references_;  // by node: tables that others are made from
  std::vector<Trie::Kinds> stays_;
  std::vector<std::optional<Trie::Kinds>> follows_;  // by exit
  // What follows an exit at some nodes, by exit and nodes.
  struct Followed {
    std::vector<std::uint32_t> ends;
    ScanShape::Exits exits;
  };
  std::deque<Followed> followed_;
  Index followed_index_;
  std::vector<std::unique_ptr<SuffixTrie>> tries_;
  std::vector<std::unique_ptr<Row>> mask_rows_;
  std::vector<std::pair<bool, std::vector<std::int32_t>>> witnesses_;  // by terminal, once sought
  FlatMap finish_index_;
  std::deque<std::vector<std::pair<std::int32_t, std::int32_t>>> finishes_;
  const std::vector<std::int32_t> no_exits_;
  std::size_t search_limit_ = 200000;  // states that are looked at to tell whether a terminal can still match
  std::size_t bytes_ = 0;
};

}  // namespace structgen
