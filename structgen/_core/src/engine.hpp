// The token automaton: stacks with interned sets as tails, interned configurations as integer states, masks.
//
// A stack set is a set of (frame, stack set below); set 1 is "the document is complete". A configuration is a
// sorted list of (lexer state, stacks after the lexeme), unique by lexer state: equal frames merge their tails, so
// ambiguity stays polynomial.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "events.hpp"
#include "grammar.hpp"
#include "guards.hpp"
#include "lark.hpp"
#include "prefix_memo.hpp"

namespace structgen {

using State = std::int32_t;
inline constexpr State kDead = 0;
inline constexpr State kFinished = 1;

using Stacks = std::int32_t;
inline constexpr Stacks kNoStack = 0;
inline constexpr Stacks kDone = 1;

struct Item {
  Lex lex;
  Stacks stacks;
  bool operator==(const Item& o) const { return lex == o.lex && stacks == o.stacks; }
  bool operator<(const Item& o) const { return lex != o.lex ? lex < o.lex : stacks < o.stacks; }
};
using Items = std::vector<Item>;

struct VocabularyData {
  std::string pool;                    // all token bytes
  std::vector<std::uint32_t> offsets;  // per id, and one past the end
  std::vector<bool> ordinary;          // neither end token nor special nor empty
  std::vector<bool> end;
  std::vector<std::uint32_t> end_tokens;
  std::size_t mask_words = 0;
  bool byte_complete = false;          // every byte of UTF-8 is a token of its own
  std::shared_ptr<const Trie> trie;

  std::size_t size() const { return ordinary.size(); }
  const std::uint8_t* token(std::size_t id) const { return reinterpret_cast<const std::uint8_t*>(pool.data()) + offsets[id]; }
  std::size_t length(std::size_t id) const { return offsets[id + 1] - offsets[id]; }
};

// A mask as shared rows, bits to clear, bits to set, in this order. Only where there is one row are bits cleared.
struct MaskRecord {
  const Row* base = nullptr;
  std::vector<const Row*> more;  // rows besides
  std::unique_ptr<Row> owned;
  std::vector<std::uint32_t> clear, set;
  std::shared_ptr<const Row> dense;  // made by the first mask()
  // The most by which one of its tokens lengthens the shortest completion; -1 unknown. States that share the record share
  // it too where there is one lexeme to read, of no key to remember: counts that the shapes clamp, and what follows, shift all completions alike.
  std::int64_t growth = -1;
  bool single = false;
  // Of a scanner's state: exits that are looked at anew for each stack, and the exits before them.
  struct Late {
    std::vector<std::int32_t> path;
    const ScanShape::Exits* exits;
  };
  std::vector<Late> late;
  // No token at all, and what refused them; looked for only where guards may do so.
  bool dead_end = false;
  std::vector<std::string> refusals;
};

struct EngineLimits {
  std::size_t states = 1000000;
  std::size_t mask_bytes = std::size_t{64} << 20;
};

// How deep expressions may nest without a lexeme between.
inline constexpr int kExpansionDepth = 1000;
// How many parts that may be empty may follow each other: each is left out while those before it are.
inline constexpr int kMostLeftOut = 4000;

// The state table is full; sessions continue in tables of their own.
struct StateLimitError : LimitError {
  using LimitError::LimitError;
};

// A session's state that holds captured text is kept out of the shared tables: it is of no use to others.
struct CapturedStateError {};

class Completion;

class Engine {
 public:
  Engine(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const VocabularyData> vocabulary, EngineLimits limits);

  ~Engine();

  State start() const { return start_; }
  // Memoised results, or -1 / nullptr. Safe under a shared lock.
  State known_step(State s, std::uint32_t token) const { return steps_.get((static_cast<std::uint64_t>(s) << 32) | token, -1); }
  const MaskRecord* known_mask(State s) const { return records_[static_cast<std::size_t>(s)]; }
  bool is_state(State s) const { return s >= 0 && static_cast<std::size_t>(s) < offsets_.size() - 1; }
  void copy_mask(const MaskRecord& record, std::uint32_t* out) const;

  // These may grow the tables: exclusive lock.
  State step(State s, std::uint32_t token);
  State advance(State s, const std::uint8_t* data, std::size_t size);
  bool accepts(State s);
  const MaskRecord& mask(State s);
  std::shared_ptr<const Row> dense_mask(State s);
  std::string forced(State s);
  // A shortest byte string that completes the document from s.
  std::string shortest(State s);
  // The mask of tokens after which some completion of at most `budget` bytes exists.
  void mask_within(State s, std::int64_t budget, std::uint32_t* out);
  // Whether some sequence of tokens completes the document: always, unless the vocabulary lacks bytes.
  bool completable(State s);
  // Whether there is any text at all.
  bool inhabited();
  // The same state of another engine of the same grammar.
  State import(const Engine& other, State s);
  // Whether a state holds captured text or items seen, as few other requests will.
  bool remembers(State s) const;
  // What happens when a token is read, when the text ends, and the rules or nodes that are certainly open; of Lark grammars (events.cpp)
  // and of JSON (json_events.cpp).
  Events events(State s, std::uint32_t token);
  Events events_at_end(State s);
  std::vector<std::string> open_rules(State s);
  std::vector<std::string> rule_names();

  // Refuses (CapturedStateError) to make states that hold captured text.
  bool shared_only = false;
  std::shared_ptr<Verdicts> verdicts;

  std::size_t states() const { return offsets_.size() - 1; }
  std::size_t stacks() const { return sets_.size(); }
  std::size_t mask_bytes() const { return mask_bytes_ + forgotten_.mask_bytes; }
  std::size_t bytes() const;
  const VocabularyData& vocabulary() const { return *vocabulary_; }
  const std::shared_ptr<const VocabularyData>& shared_vocabulary() const { return vocabulary_; }

  struct Counters {
    std::uint64_t steps = 0, masks = 0, masks_shared = 0, walks = 0, walks_shared = 0, evictions = 0;
    std::uint64_t step_nanoseconds = 0, mask_nanoseconds = 0;  // spent on what was not memoised
  } counters;

 private:
  // A guard's frame: `node` is its expression, `at` the position in the text where the value began, or -1. The frame of an array
  // of distinct items, in the phase kItem: `at` is the number of items after this one, `member` its position.
  // A Lark grammar's: `at` is the state of the LR parser. With indentation there is one frame more on top of these: `at` is the open
  // indentation, `count` that of open brackets, `member` the column of a newline that is being read, or -1.
  enum FrameKind : std::uint8_t { kSequenceFrame, kObjectFrame, kArrayFrame, kGuardFrame, kLrFrame, kIndentFrame };
  enum Phase : std::uint8_t { kFirst, kAfterValue, kAfterComma, kValue, kKey, kItem };
  static constexpr std::int32_t kUnread = -1;
  struct Frame {
    FrameKind kind;
    Phase phase;
    std::int32_t node;       // expression, object or array number
    std::int32_t at;         // next child, next member or seen-set, number of items
    std::int32_t count;      // properties so far, as far as they matter; of tallied nodes, the goal that is left
    std::int32_t member;     // kValue: the member; extras are ~index
    std::int32_t excluded;   // distinct extras: regex of the extra keys seen; distinct items: number of the set of items seen
    std::int32_t text = 0;   // kKey: node of the bytes of the key read so far; kUnread where `excluded` lacks the last key or item
    bool operator==(const Frame& o) const {
      return kind == o.kind && phase == o.phase && node == o.node && at == o.at && count == o.count && member == o.member && excluded == o.excluded && text == o.text;
    }
  };
  struct Entry {
    std::int32_t frame;
    Stacks below;
    bool operator==(const Entry& o) const { return frame == o.frame && below == o.below; }
    bool operator<(const Entry& o) const { return frame != o.frame ? frame < o.frame : below < o.below; }
  };
  struct StackSet {
    std::uint32_t begin, end;
    bool done;
    bool captures;  // some frame is reading a key that must be remembered
    std::int32_t depth = 0;
    // Some frame here checks a value that ends with this lexeme.
    bool checks = false;
    // Somewhere in the stacks: a check whose value has not begun, one whose value has, items seen.
    bool pending = false, capturing = false, seen = false;
    // Whether this may follow depends on a key or item that was not read.
    bool unsure = false;
    bool guarded() const { return pending || capturing; }
  };
  struct Expansion {
    Items items;
    bool accepts = false;
  };
  // One level of a walk. Where many items wait for one byte each (keys), the others are kept apart, so that a byte
  // nobody waits for costs no more than they do.
  struct Level {
    Items items, broad;
    std::array<std::uint64_t, 4> bytes{};
    bool sorted_out = false;
  };
  // Items of an array so far, as canonical texts; the array must not repeat them.
  struct SeenItems {
    std::vector<std::string> values;  // sorted
    Re strings = -1, texts = -1;      // their exclusions, made on demand
  };
  // The nodes of a suffix trie that can follow a lexeme. Whether those below `unsure` can depends on captured text.
  struct Walk {
    std::vector<std::uint32_t> live, unsure;
  };
  struct WalkKey {
    const SuffixTrie* trie;
    Lex exit;
    Stacks stacks;
  };

  std::uint64_t hash_set(const Entry* begin, const Entry* end, bool done) const;
  // Bytes of the sets of stacks, and of what is known about them; forgets those that no state holds.
  std::size_t stack_bytes() const;
  void sweep();
  std::int32_t frame(const Frame& f);
  Stacks intern_set(std::vector<Entry> entries, bool done);
  Stacks push(const Frame& f, Stacks below);
  Stacks unite(Stacks a, Stacks b);
  const Expansion& expand(Stacks s);
  void expand_one(Stacks s);
  bool nullable(const Frame& f) const;
  void expand_expr(Expr e, Stacks below, Expansion& out, int depth);
  void expand_sequence(Expr e, std::int32_t at, Stacks below, Expansion& out, int depth);
  void expand_frame(const Frame& f, Stacks below, Expansion& out);
  void expand_object(const Frame& f, Stacks below, Expansion& out);
  void expand_array(const Frame& f, Stacks below, Expansion& out);
  void expand_extra(const ObjectNode& o, std::size_t extra, const Frame& f, std::int32_t count, Stacks below, Expansion& out);
  std::int32_t extra_room(const ObjectNode& o, std::int32_t excluded);
  struct Open;
  Open open_members(const ObjectNode& o, std::int32_t at) const;
  bool keys_abound(const ObjectNode& o, std::size_t extra, Re excluded);
  bool some_feasible(const Cells& cells, Goal goal, Plan here, Plan rest);
  void expand_cells(const Cells& cells, Goal goal, Plan here, Plan rest, Frame next, Stacks below, Expansion& out);
  template <class Member>
  void offer_in_order(const ObjectNode& o, Goal goal, const Open& open, Plan extras, Member&& member);
  template <class Member>
  void offer_in_any_order(const ObjectNode& o, Goal goal, const Open& open, Plan extras, Member&& member);
  void expand_tallied(const ObjectNode& o, const Frame& f, Stacks below, Expansion& out);
  void expand_tallied(const ArrayNode& a, const Frame& f, Stacks below, Expansion& out);
  void expand_distinct_cells(const ArrayNode& a, const Cells& cells, std::size_t next, const Frame& f, Stacks below, Expansion& out);
  Stacks capture(Stacks s, std::uint8_t byte, bool closed);
  Stacks unread(Stacks s);
  std::vector<std::uint32_t> decoded(const std::string& text) const;
  Frame first_frame(const ExprNode& n) const;
  std::int32_t seen_with(std::int32_t seen, std::int32_t member);
  bool has_seen(std::int32_t seen, std::int32_t member) const;
  State advance_bytes(State s, const std::uint8_t* data, std::size_t size);
  const MaskRecord& byte_mask(State s);
  const MaskRecord& token_mask(State s);
  std::string search_tokens(State s);
  void normalize(Items& items);
  // `text` is the captured text before the byte, and becomes that after it; null where it is unknown.
  void advance(const Items& in, std::uint8_t byte, Items& out, Text* text);
  bool go_on(const Item& item, std::uint8_t byte, Items& out);
  bool enter(const Item& begin, std::uint8_t byte, Items& out, const Text* text);
  void advance(Level& in, std::uint8_t byte, Items& out);
  Items items(State s) const;
  Text text(State s) const { return {state_texts_.empty() ? 0 : state_texts_[static_cast<std::size_t>(s)], {}}; }
  State intern(const Items& items, const Text& text);
  std::uint64_t hash_state(const Items& items, std::int32_t text) const;
  void collect(const Item& item, const Text& text, MaskRecord& record, std::vector<const Shape*>& dense);
  void try_token(const Item& item, const Text& text, std::uint32_t token, MaskRecord& record);
  void try_tokens(const Item& first, const Text& text, MaskRecord& record);
  const Walk& live_suffixes(const SuffixTrie& trie, Lex exit, Stacks stacks);

  // Lark grammars (lark_stacks.cpp, lark_masks.cpp).
  struct Shift {
    Stacks to;
    std::int32_t lowest;
  };
  struct Opened {
    Stacks stacks;
    Obligation obligation;
    Left left;
    Items items;
    std::int32_t lowest;
  };
  Stacks lark_start(Stacks below);
  Stacks shift(Stacks s, std::int32_t terminal);
  const Entry* only(Stacks s) const;
  std::int32_t state_of(Stacks s);
  bool reduce(const LrRule& rule, Stacks& base, std::vector<std::int32_t>& above);
  static constexpr std::int32_t kRefused = -1, kDivides = -2;
  std::int32_t reduce_before(std::int32_t terminal, Stacks& base, std::vector<std::int32_t>& above);
  Stacks shift_one(Stacks s, std::int32_t terminal);
  Stacks shift_all(Stacks s, std::int32_t terminal);
  Stacks feed(Stacks s, const ScanExit& e);
  Stacks indent(Frame& f, Stacks lr, std::int32_t column);
  Stacks count_column(Stacks s, std::uint8_t byte);
  bool lark_accepts(Stacks s);
  bool takes(Stacks s, std::int32_t terminal);
  std::vector<std::uint64_t> taken(Stacks s, std::vector<std::uint64_t> asked);
  std::int32_t wanted(Stacks lr, std::int32_t tried, bool bracketed);
  bool in_brackets(Stacks s);
  bool column_fits(Stacks s);
  const Opened& open(Stacks s, Obligation obligation, Left left);
  void open_one(const Frame* indentation, Stacks lr, Opened& out);
  bool advance_scan(const Item& item, std::uint8_t byte, Items& out, const Text* text);
  bool advance_bound(const Item& item, std::uint8_t byte, Items& out, const Text* text);
  bool enter_bound(Scan promise, const Item& begin, std::uint8_t byte, Items& out, const Text* text);
  void keep_bound(Scan promise, std::size_t from, Items& out);
  void behind_bound(const Item& item, const Text* text, Items& within, Items& behind);
  bool ends(const Item& item, const Text* text);
  bool accepting(Lex q) const { return is_lexeme(q) && lexer_[q].accepting; }
  // Whether dead ends have to be looked for behind every token.
  bool careful() const { return grammar_->lark() && !grammar_->lark()->scanner.proof->holds(); }
  // Dead ends that the proof leaves open (lark_dead_ends.cpp).
  enum class Outlook : std::uint8_t { kDead, kUnknown, kLive };
  Stacks feed_anywhere(const Item& item, ScanExit e);
  struct Parser {
    bool indented;
    Frame frame;  // the indentation around the stack
    Stacks lr;
  };
  std::vector<Parser> parsers(Stacks s);
  bool is_good(Stacks s, Obligation obligation, Left left);
  Outlook outlook(Stacks s, Obligation obligation, Left left, int depth);
  Outlook outlook(const Item& item);
  bool live(const Item& item);
  bool reads(const std::vector<std::int32_t>& terminals);
  std::int64_t lark_cost(Stacks s, LrCompletion& costs);
  std::int64_t lark_cost(const Item& item, bool enough);
  // What an item counts for in a search that may be endless, besides one state: deep stacks take longer.
  std::size_t search_cost(const Item& item) const { return static_cast<std::size_t>(sets_[static_cast<std::size_t>(item.stacks)].depth) / 8; }
  std::optional<std::string> search_bytes(State s, bool any);
  void lark_mask_within(State s, std::int64_t budget, std::uint32_t* out);
  State read_token(State s, std::uint32_t token);
  State step_special(State s, std::uint32_t token);
  const MaskRecord& lark_mask(State s);
  void collect_followers(const ScanShape::Exits& exits, Stacks behind, const Opened& begin, MaskRecord& record);
  void collect_late(const Item& item, const MaskRecord& record, std::vector<std::uint32_t>& numbers, MaskRecord& out);
  // The frames of a stack from the top down, for PrefixMemo. Several stacks at once are told apart as a whole.
  auto frames_of(Stacks s) const {
    return [this, s, at = s, next = 0](std::int32_t i, std::int32_t& symbol) mutable {
      if (i < next) {
        at = s;
        next = 0;
      }
      for (; next < i; ++next) at = at <= kDone ? kNoStack : below_only(at);
      if (at <= kDone) return false;
      const StackSet& set = sets_[static_cast<std::size_t>(at)];
      symbol = set.end - set.begin == 1 ? entries_[set.begin].frame : ~at;
      numbered_ = numbered_ || symbol < 0;
      return true;
    };
  }
  Stacks below_only(Stacks s) const {
    const StackSet& set = sets_[static_cast<std::size_t>(s)];
    return set.end - set.begin == 1 ? entries_[set.begin].below : kNoStack;
  }
  std::int32_t scan_record(const Item& item, std::uint32_t node);
  void collect_scan(const Item& item, std::uint32_t node, MaskRecord& record);
  void collect_below(const Item& item, std::uint32_t node, MaskRecord& record);
  void merge_rows(MaskRecord& record, const std::vector<const Shape*>& dense) const;

  // Structure events (events.cpp).
  struct Recorder;
  struct Track;
  void know_structure();
  void note_shift(Stacks s, std::int32_t terminal);
  bool ignores_embedded() const;
  Stacks outer(Stacks s) const;
  Stacks outer(const Item& item);
  std::int32_t decided(const Item& item);
  template <class Wanted, class Visit>
  void follow(const Track& track, std::size_t position, const Text* text, Wanted&& wanted, Visit&& visit);
  void read_byte(std::vector<Track>& tracks, std::uint8_t byte, std::size_t position, Text& text);

  // Structure events of JSON (json_events.cpp). A nesting is a list of open objects and arrays, from the innermost on; 0 is the empty one.
  struct Nesting {
    std::vector<std::int32_t> names;  // that all readings agree on
    bool exact;                       // no reading has more
    std::int32_t outer;
    bool operator==(const Nesting& o) const { return names == o.names && exact == o.exact && outer == o.outer; }
  };
  struct JsonRecorder;
  Events json_events(State s, std::uint32_t token);
  Events json_events_at_end(State s);
  std::vector<std::string> open_nodes(State s);
  std::int32_t nesting(Nesting n);
  std::int32_t nesting(Stacks s);
  std::int32_t nesting(const Items& items);
  std::int32_t agreement(std::int32_t a, std::int32_t b);
  std::int32_t closing(const Items& items, std::uint8_t byte, const Text* text);
  const std::vector<std::int32_t>* names_of(const Frame& f) const;
  bool inside_string(const Items& items) const;
  bool goes_on(const Items& items);

  // Guards and arrays of distinct items (guards.cpp).
  void finish_byte(Items& items, std::uint8_t byte, Text* text);
  Stacks place(Stacks s, std::int32_t position);
  Stacks resolve(Stacks s, const Text* text, int depth = 0);
  Stacks ended(const Item& item, const Text* text) { return sets_[static_cast<std::size_t>(item.stacks)].checks ? resolve(item.stacks, text) : item.stacks; }
  Stacks passed(Stacks s);
  bool may_repeat(Stacks s, const Text& text);
  bool may_follow(Stacks s, std::uint8_t byte);
  bool judge(std::int32_t guard, const std::string& value, bool negated);
  std::int32_t with_item(std::int32_t seen, const std::string& value);
  std::int32_t intern_seen_items(std::vector<std::string> values);
  bool closed(Lex q);
  void expand_distinct(const Frame& f, Stacks below, Expansion& out);
  void expand_item(Expr e, SeenItems& excluded, Stacks below, Expansion& out, int depth);
  void settle();
  std::vector<std::string> refusals() const;
  void find_dead_end(MaskRecord& record, bool ends);
  std::string guarded_shortest(State s);
  // The items at levels_[0] begin.
  template <class Visit, class Skip, class Unsure>
  void walk(const SuffixTrie& trie, Skip&& skip, Visit&& visit, Unsure&& unsure);
  void begin_walk(Lex exit, Stacks stacks);
  void evict();
  // Empties a list into one of those to be freed.
  template <class List>
  static void forget(List& list, List& forgotten) {
    forgotten.clear();
    forgotten.swap(list);
  }
  void free_some();

  friend class Completion;
  friend class Freezer;

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const VocabularyData> vocabulary_;
  EngineLimits limits_;
  Lexer& lexer_;
  Lex empty_lex_;  // the lexeme that has ended

  std::vector<Frame> frames_;
  Index frame_index_;
  std::vector<Entry> entries_;
  std::vector<StackSet> sets_;
  Index set_index_;
  std::size_t swept_bytes_ = 0;    // that were left the last time
  std::size_t swept_sets_ = 0;     // sets and states that were left: states last, so that these sets are held for good
  std::size_t swept_states_ = 0;
  mutable bool numbered_ = false;  // some memo may tell stacks apart by the numbers of their sets
  FlatMap united_;
  int unite_depth_ = 0;
  std::vector<std::unique_ptr<Expansion>> expansions_;
  int expanding_ = 0;  // how many expansions are being made, each for another
  TextTrie keys_;  // what was read of keys
  std::vector<std::vector<std::uint64_t>> seen_;
  Index seen_index_;
  TextTrie captured_;
  std::vector<SeenItems> seen_items_;
  Index seen_items_index_;
  std::vector<std::int8_t> closed_;  // by lexer state; -1 unknown
  FlatMap passed_, unread_;
  // Of the operation under way.
  std::vector<Verdicts::Question> asked_;
  std::vector<bool> refused_;  // by guard, and one for arrays of distinct items
  bool unsure_ = false;        // a check met a text that is unknown
  bool checked_ = false;       // a check was made

  Items pool_;
  std::vector<std::uint32_t> offsets_;
  std::vector<std::int32_t> state_texts_;  // nodes of the text trie; only where the grammar remembers
  Index config_index_;
  std::vector<const MaskRecord*> records_;
  std::vector<std::int8_t> accepts_;
  std::vector<std::int8_t> completable_;  // 1 yes, 0 no, -1 unknown; only where the vocabulary lacks bytes
  std::vector<std::unique_ptr<MaskRecord>> token_masks_;
  FlatMap steps_;
  FlatMap growth_;  // of states whose record can't share it
  State start_ = kDead;

  std::vector<std::pair<std::vector<std::uint64_t>, std::unique_ptr<MaskRecord>>> shared_;
  Index shared_index_;
  std::vector<std::pair<WalkKey, Walk>> walks_;
  Index walk_index_;
  std::size_t mask_bytes_ = 0;
  MaskRecord dead_mask_, finished_mask_;

  std::unique_ptr<Completion> completion_;

  // Of Lark grammars: memos, each with the depth of the lowest frame that its making looked at.
  FlatMap live_index_;
  std::vector<std::pair<bool, std::int32_t>> lives_;
  bool searching_ = false;  // dead ends are followed
  FlatMap shift_index_;
  std::vector<Shift> shifts_;
  Index open_index_;
  std::deque<Opened> opened_;
  std::int32_t lowest_ = 0;            // of the operation under way
  std::vector<std::int32_t> reduced_;  // scratch
  PrefixMemo scan_records_index_, followers_index_, wanted_index_;
  std::vector<std::unique_ptr<MaskRecord>> scan_records_;
  std::vector<std::vector<std::uint32_t>> followers_;  // the tokens of exits that can follow

  std::unique_ptr<ParserStructure> structure_;
  Recorder* recorder_ = nullptr;  // notes what shift() does
  std::vector<Nesting> nestings_;
  Index nesting_index_;
  FlatMap nesting_of_;  // by set of stacks

  // Masks and memos that are forgotten. They are freed a few at a time, since all at once they would hold one mask up by milliseconds.
  struct Forgotten {
    decltype(shared_) shared;
    decltype(token_masks_) token_masks;
    decltype(walks_) walks;
    decltype(scan_records_) scan_records;
    decltype(followers_) followers;
    decltype(opened_) opened;
    std::size_t mask_bytes = 0;  // about
  };
  Forgotten forgotten_;

  // Scratch, kept to save allocations; the exclusive lock protects it.
  std::vector<Level> levels_;
  std::vector<std::uint32_t> ends_;
  Items scratch_a_, scratch_b_;
  Items tracked_, reached_;  // of read_byte
};

}  // namespace structgen
