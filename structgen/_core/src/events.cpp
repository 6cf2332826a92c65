// Structure events of Lark grammars: a token is read again, and every item of the state keeps a history of its own.
//
// Nothing is stored in states. What is certain as soon as it has been read is told at once: how a lexeme ended that nothing can lengthen, and
// reductions that the parser makes whatever follows. Both can be seen of a state, so that the next token does not tell them again.
#include "events.hpp"

#include <algorithm>

#include "engine.hpp"

namespace structgen {

namespace {

// What both histories tell.
void join(Events& a, const Events& b) {
  if (a == b) return;
  const auto [own, other] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  std::size_t position = static_cast<std::size_t>(-1);
  if (own != a.end()) position = own->position;
  if (other != b.end()) position = std::min(position, other->position);
  a.erase(own, a.end());
  if (a.empty() || a.back().kind != Event::Kind::kUnknown) a.push_back({Event::Kind::kUnknown, {}, position});
}

// The history that all of several have in common.
class Agreement {
 public:
  void add(const Events& events) {
    if (any_)
      join(events_, events);
    else
      events_ = events;
    any_ = true;
  }
  bool any() const { return any_; }
  Events& events() { return events_; }

 private:
  bool any_ = false;
  Events events_;
};

}  // namespace

ParserStructure::ParserStructure(const LarkGrammar& lark) {
  const auto name = [&](std::int32_t rule) -> const std::string& { return lark.rule_names[static_cast<std::size_t>(rule)]; };
  for (std::size_t rule = 0; rule < lark.rules.size(); ++rule) told.push_back(reported(name(static_cast<std::int32_t>(rule))));
  for (const LrTables::State& state : lark.tables.states) {
    Certain found;
    for (const auto& [rule, dot] : state.kernel) {
      const bool known = static_cast<std::size_t>(rule) < lark.rules.size() && told[static_cast<std::size_t>(rule)];
      if (!known || (found.rule >= 0 && (dot != found.dot || name(rule) != name(found.rule)))) {
        found = {};
        break;
      }
      found = {rule, dot};
    }
    certain.push_back(found);
    std::int32_t only = state.actions.empty() ? 0 : state.actions.front().second;
    for (const auto& [terminal, action] : state.actions)
      if (action != only) only = 0;
    reduction.push_back(only < 0 && !lark.rules[static_cast<std::size_t>(~only)].rhs.empty() ? ~only : -1);
  }
}

// A history that is being written, and the parser's stack as its latest states above those of a set of stacks.
struct Engine::Recorder {
  Engine& engine;
  Events& events;
  std::size_t position;
  bool shifted = false;

  Recorder(Engine& e, Events& history, std::size_t at) : engine(e), events(history), position(at) {}
  // Shifts of the engine are noted as long as this lives.
  struct Listening {
    explicit Listening(Recorder& r) : engine(r.engine) { engine.recorder_ = &r; }
    ~Listening() { engine.recorder_ = nullptr; }
    Engine& engine;
  };

  const LarkGrammar& lark() const { return *engine.grammar_->lark(); }
  const ParserStructure& structure() const { return *engine.structure_; }
  void tell(Event::Kind kind, std::string_view name) { events.push_back({kind, name, position}); }
  void unknown() {
    if (events.empty() || events.back().kind != Event::Kind::kUnknown) tell(Event::Kind::kUnknown, {});
  }

  struct Stack {
    Stacks base;
    std::vector<std::int32_t> above{};
  };

  // Makes the topmost states known; false where there are several stacks.
  bool reach(Stack& stack, std::size_t count) const {
    std::vector<std::int32_t> found;
    while (stack.above.size() + found.size() < count) {
      const Entry* e = engine.only(stack.base);
      if (e == nullptr) break;
      found.push_back(engine.frames_[static_cast<std::size_t>(e->frame)].at);
      stack.base = e->below;
    }
    stack.above.insert(stack.above.begin(), found.rbegin(), found.rend());
    return stack.above.size() >= count;
  }

  // Whether one of the topmost states, the last `skipped` aside, told of the rule that all of them belong to.
  bool opened(const Stack& stack, std::size_t count, std::size_t skipped) const {
    for (std::size_t i = skipped; i < count; ++i)
      if (structure().certain[static_cast<std::size_t>(stack.above[stack.above.size() - 1 - i])].rule >= 0) return true;
    return false;
  }

  // The parser has come to a state.
  void arrive(Stack& stack) {
    const ParserStructure::Certain certain = structure().certain[static_cast<std::size_t>(stack.above.back())];
    if (certain.rule < 0) return;
    const auto dot = static_cast<std::size_t>(certain.dot);
    if (!reach(stack, dot)) return unknown();
    if (!opened(stack, dot, 1)) tell(Event::Kind::kOpen, lark().rule_names[static_cast<std::size_t>(certain.rule)]);
  }

  bool reduce(Stack& stack, std::int32_t number, bool telling) {
    const LrRule& rule = lark().rules[static_cast<std::size_t>(number)];
    const std::string& name = lark().rule_names[static_cast<std::size_t>(number)];
    const std::size_t pops = rule.rhs.size();
    if (!reach(stack, pops + 1)) return false;
    if (telling && structure().told[static_cast<std::size_t>(number)]) {
      if (!opened(stack, pops, 0)) tell(Event::Kind::kOpen, name);
      tell(Event::Kind::kClose, name);
    }
    stack.above.resize(stack.above.size() - pops);
    const std::vector<LrTables::Pair>& gotos = lark().tables.states[static_cast<std::size_t>(stack.above.back())].gotos;
    const auto less = [](const LrTables::Pair& p, std::int32_t n) { return p.first < n; };
    stack.above.push_back(std::lower_bound(gotos.begin(), gotos.end(), rule.lhs, less)->second);
    if (telling) arrive(stack);
    return true;
  }

  // The reductions that do not depend on what follows.
  bool reduce_all(Stack& stack, bool telling) {
    if (!reach(stack, 1)) return false;
    for (;;) {
      const std::int32_t rule = structure().reduction[static_cast<std::size_t>(stack.above.back())];
      if (rule < 0) return true;
      if (!reduce(stack, rule, telling)) return false;
    }
  }

  enum class Found { kAction, kRefused, kSeveral };
  Found action_on(std::int32_t state, std::int32_t terminal, std::int32_t& action) const {
    const std::vector<LrTables::Pair>& actions = lark().tables.states[static_cast<std::size_t>(state)].actions;
    const auto first = std::lower_bound(actions.begin(), actions.end(), terminal, [](const LrTables::Pair& p, std::int32_t t) { return p.first < t; });
    if (first == actions.end() || first->first != terminal) return Found::kRefused;
    if (first + 1 != actions.end() && (first + 1)->first == terminal) return Found::kSeveral;
    action = first->second;
    return Found::kAction;
  }

  // The reductions before a terminal; `action` becomes the state that shifting it leads to. kSeveral where that is not certain.
  Found look_ahead(Stack& stack, std::int32_t terminal, std::int32_t& action) {
    const std::size_t mark = events.size();
    if (!reduce_all(stack, false)) return Found::kSeveral;
    for (;;) {
      const Found found = action_on(stack.above.back(), terminal, action);
      if (found == Found::kRefused) events.resize(mark);
      if (found != Found::kAction || action >= 0) return found;
      if (!reduce(stack, ~action, true)) return Found::kSeveral;
    }
  }

  // The parser takes a terminal, or the end of the text. Where it refuses it, nothing is told.
  void shift(Stacks s, std::int32_t terminal) {
    shifted = true;
    Stack stack{s};
    std::int32_t to = -1;
    const Found found = look_ahead(stack, terminal, to);
    if (found == Found::kRefused) return;
    if (found == Found::kSeveral) unknown();
    if (terminal == lark().end()) return;
    tell(Event::Kind::kTerminal, lark().terminals[static_cast<std::size_t>(terminal)].name);
    if (found == Found::kSeveral) return;
    stack.above.push_back(to);
    arrive(stack);
    if (!reduce_all(stack, true)) unknown();
  }

  // Reads on behind a lexeme of the scanner; kNoStack where the parser refuses it.
  Stacks feed(Stacks s, const ScanExit& e) {
    const std::string& name = lark().terminals[static_cast<std::size_t>(e.terminal)].name;
    if (lark().indents && engine.only(s) == nullptr) {
      unknown();
      return engine.feed(s, e);
    }
    const Listening listening(*this);
    shifted = false;
    const Stacks behind = engine.feed(s, e);
    if (behind != kNoStack && !shifted) tell(Event::Kind::kIgnored, name);
    return behind;
  }

  bool accepts(Stacks s) {
    if (lark().indents && engine.only(s) == nullptr) {
      unknown();
      return engine.lark_accepts(s);
    }
    const Listening listening(*this);
    return engine.lark_accepts(s);
  }

  // Those of the parser, without the frame of indentation.
  Stacks parser_of(Stacks s) const {
    s = engine.outer(s);
    if (!lark().indents || s == kNoStack) return s;
    const Entry* e = engine.only(s);
    return e == nullptr ? kNoStack : e->below;
  }

  // The terminal that the parser has shifted last.
  std::int32_t last_terminal(Stacks parser) const {
    const Entry* e = engine.only(parser);
    return e == nullptr ? -1 : last_terminal(*e);
  }
  std::int32_t last_terminal(const Entry& e) const {
    const LrTables::State& state = lark().tables.states[static_cast<std::size_t>(engine.frames_[static_cast<std::size_t>(e.frame)].at)];
    if (state.kernel.empty()) return -1;
    const auto [rule, dot] = state.kernel.front();
    if (dot == 0 || static_cast<std::size_t>(rule) >= lark().rules.size()) return -1;
    return lark().rules[static_cast<std::size_t>(rule)].rhs[static_cast<std::size_t>(dot - 1)];
  }

  // Whether an item that is none of the scanner's reads an embedded expression: the parser has shifted its terminal already. Else it
  // is the start, or behind a special token.
  bool embeds(Stacks parser) const {
    if (parser == kNoStack) return true;
    const StackSet& set = engine.sets_[static_cast<std::size_t>(parser)];
    for (std::uint32_t i = set.begin; i < set.end; ++i) {
      const std::int32_t terminal = last_terminal(engine.entries_[i]);
      if (terminal >= 0 && lark().terminals[static_cast<std::size_t>(terminal)].kind == LarkGrammar::Kind::kExpression) return true;
    }
    return false;
  }

  // An embedded expression begins behind `before`; the parser has shifted its terminal already.
  void begin_embedded(Stacks before, Stacks after) {
    const std::int32_t terminal = last_terminal(after);
    Stack stack{before};
    std::int32_t to = -1;
    if (before == kNoStack || terminal < 0 || engine.ignores_embedded() || look_ahead(stack, terminal, to) != Found::kAction) unknown();
  }

  // It has ended.
  void end_embedded(Stacks parser) {
    const std::int32_t terminal = last_terminal(parser);
    if (terminal < 0 || engine.ignores_embedded()) return unknown();
    tell(Event::Kind::kTerminal, lark().terminals[static_cast<std::size_t>(terminal)].name);
    Stack stack{parser};
    if (!reach(stack, 1)) return unknown();
    arrive(stack);
    if (!reduce_all(stack, true)) unknown();
  }

  void special(Stacks before, std::uint32_t token) {
    for (const std::int32_t t : lark().embedded) {
      const LarkGrammar::Terminal& terminal = lark().terminals[static_cast<std::size_t>(t)];
      if (terminal.kind != LarkGrammar::Kind::kSpecial || terminal.handle != static_cast<std::int32_t>(token)) continue;
      if (lark().ignored[static_cast<std::size_t>(t)])
        tell(Event::Kind::kIgnored, terminal.name);
      else if (before == kNoStack)
        unknown();
      else
        shift(before, t);
      return;
    }
  }
};

// An item, and what has happened on the way to it.
struct Engine::Track {
  Item item;
  Events events;
  bool told;  // how its lexeme ends
};

void Engine::know_structure() {
  if (!grammar_->lark()) throw std::invalid_argument("only automata of Lark grammars and JSON Schemas tell of their structure");
  if (!structure_) structure_ = std::make_unique<ParserStructure>(*grammar_->lark());
}

void Engine::note_shift(Stacks s, std::int32_t terminal) { recorder_->shift(s, terminal); }

// Whether embedded expressions or special tokens are dropped: the stacks do not tell whether one was read last.
bool Engine::ignores_embedded() const {
  const LarkGrammar& lark = *grammar_->lark();
  return std::any_of(lark.embedded.begin(), lark.embedded.end(), [&](std::int32_t t) { return lark.ignored[static_cast<std::size_t>(t)]; });
}

// The stacks under the frames of an embedded expression; kNoStack where they are several.
Stacks Engine::outer(Stacks s) const {
  for (;;) {
    const StackSet& set = sets_[static_cast<std::size_t>(s)];
    if (set.begin == set.end) return kNoStack;
    const Entry& e = entries_[set.begin];
    const FrameKind kind = frames_[static_cast<std::size_t>(e.frame)].kind;
    if (kind == kLrFrame || kind == kIndentFrame) return s;
    if (only(s) == nullptr) return kNoStack;
    s = e.below;
  }
}

Stacks Engine::outer(const Item& item) { return outer(item == items(start_).front() ? lark_start(kDone) : item.stacks); }

// The only way in which a lexeme can go on is that it has ended like this; -1 where there are others.
std::int32_t Engine::decided(const Item& item) {
  if (!is_scan(item.lex)) return -1;
  Scanner& scanner = grammar_->lark()->scanner;
  const Scan q = item.lex - kScanBase;
  // Mostly, a lexeme can go on; to ask that is cheaper than what the parser says of its ends.
  if (scanner.exits(q).empty() || scanner.goes_on(q)) return -1;
  const std::vector<std::int32_t> exits = scanner.exits(q);
  std::int32_t found = -1;
  for (const std::int32_t number : exits) {
    const ScanExit e = scanner.exit(number);
    if (feed(item.stacks, e) == kNoStack) continue;
    if (found >= 0) return -1;
    found = number;
  }
  return found;
}

// Every item that can begin where the lexeme of a track ends, with its history and the parser's stacks in front of it. Behind a lexeme that
// is followed by none that is `wanted`, histories are not written.
template <class Wanted, class Visit>
void Engine::follow(const Track& track, std::size_t position, const Text* text, Wanted&& wanted, Visit&& visit) {
  const Item item = track.item;
  if (is_special(item.lex)) return;
  if (is_scan(item.lex)) {
    Scanner& scanner = grammar_->lark()->scanner;
    const std::vector<std::int32_t> exits = scanner.exits(item.lex - kScanBase);
    for (const std::int32_t number : exits) {
      const ScanExit e = scanner.exit(number);
      const Stacks behind = feed(item.stacks, e);
      if (behind == kNoStack) continue;
      const Items begins = open(behind, e.obligation, e.left).items;
      if (std::none_of(begins.begin(), begins.end(), wanted)) continue;
      Events history = track.events;
      Recorder recorder(*this, history, position);
      if (!track.told) recorder.feed(item.stacks, e);
      const Stacks parser = recorder.parser_of(behind);
      for (const Item& begin : begins) {
        Events longer = history;
        if (is_lexeme(begin.lex) || is_bound(begin.lex)) Recorder(*this, longer, position).begin_embedded(parser, recorder.parser_of(begin.stacks));
        visit(begin, std::move(longer), parser);
      }
    }
    return;
  }
  Items begins;
  if (is_bound(item.lex)) {
    Items behind;
    behind_bound(item, text, begins, behind);
    for (Item& begin : begins) begin.lex = grammar_->lark()->bind(grammar_->lark()->bound(item.lex).promise, begin.lex);
    begins.insert(begins.end(), behind.begin(), behind.end());
  } else if (lexer_[item.lex].accepting) {
    begins = expand(ended(item, text)).items;
  }
  if (begins.empty()) return;
  Events ended_events = track.events;
  Recorder recorder(*this, ended_events, position);
  const Stacks parser = recorder.parser_of(outer(item));
  const bool inside = recorder.embeds(parser);
  if (inside) recorder.end_embedded(parser);
  for (const Item& begin : begins) {
    if (is_scan(begin.lex) || is_special(begin.lex)) {
      visit(begin, ended_events, parser);
      continue;
    }
    const Stacks after = recorder.parser_of(begin.stacks);
    Events history = track.events;
    if (inside && after == parser && parser != kNoStack) {
      // Within the expression, or another of its kind has begun.
      const Items& anew = open(parser, 0, 0).items;
      if (std::any_of(anew.begin(), anew.end(), [&](const Item& i) { return i.lex == begin.lex; })) Recorder(*this, history, position).unknown();
    } else {
      history = ended_events;
      Recorder(*this, history, position).begin_embedded(parser, after);
    }
    visit(begin, std::move(history), parser);
  }
}

Events Engine::events(State s, std::uint32_t token) {
  if (grammar_->json() && !grammar_->lark()) return json_events(s, token);
  know_structure();
  if (token < vocabulary_->size() && vocabulary_->end[token]) return events_at_end(s);
  Text read = text(s);
  std::vector<Track> tracks;
  for (const Item& item : items(s)) tracks.push_back({item, {}, decided(item) >= 0});
  Agreement all;
  if (token < vocabulary_->size() && vocabulary_->ordinary[token]) {
    const std::size_t length = vocabulary_->length(token);
    for (std::size_t i = 0; i < length; ++i) read_byte(tracks, vocabulary_->token(token)[i], i, read);
    for (Track& track : tracks) {
      const std::int32_t number = track.told ? -1 : decided(track.item);
      if (number >= 0) Recorder(*this, track.events, length).feed(track.item.stacks, grammar_->lark()->scanner.exit(number));
      all.add(track.events);
    }
  } else {
    const auto is_token = [&](const Item& begin) { return begin.lex == kSpecialBase + static_cast<Lex>(token); };
    for (const Track& track : tracks)
      follow(track, 0, &read, is_token, [&](const Item& begin, Events history, Stacks parser) {
        if (!is_token(begin)) return;
        Recorder(*this, history, 0).special(parser, token);
        all.add(history);
      });
  }
  settle();
  if (!all.any()) throw std::invalid_argument("token " + std::to_string(token) + " is not allowed in state " + std::to_string(s));
  return all.events();
}

// Items are told apart by their lexer state: what the engine makes of all of them says which survive.
void Engine::read_byte(std::vector<Track>& tracks, std::uint8_t byte, std::size_t position, Text& text) {
  Items &before = tracked_, &after = reached_;
  before.clear();
  for (const Track& track : tracks) before.push_back(track.item);
  const Text here = text;
  advance(before, byte, after, grammar_->remembers() ? &text : nullptr);
  if (tracks.size() == 1 && after.size() == 1 && is_scan(before[0].lex) && grammar_->lark()->scanner.exits(before[0].lex - kScanBase).empty()) {
    // It cannot have ended.
    tracks[0].item = after[0];
    tracks[0].told = false;
    return;
  }
  std::vector<Agreement> histories(after.size());
  // The history of the item that a lexer state leads to; nullptr where that does not survive.
  const auto reached = [&](Lex from) -> Agreement* {
    Lex to = 0;
    if (is_scan(from))
      to = kScanBase + grammar_->lark()->scanner.next(from - kScanBase, byte);
    else if (is_bound(from))
      to = grammar_->lark()->next_bound(from, byte);
    else if (!is_special(from))
      to = lexer_.next(from, byte);
    else
      return nullptr;
    const auto found = std::lower_bound(after.begin(), after.end(), to, [](const Item& i, Lex lex) { return i.lex < lex; });
    return found != after.end() && found->lex == to ? &histories[static_cast<std::size_t>(found - after.begin())] : nullptr;
  };
  const auto read = [&](const Item& from, const Events& events) {
    if (Agreement* history = reached(from.lex)) history->add(events);
  };
  for (const Track& track : tracks) {
    read(track.item, track.events);
    follow(track, position, &here, [&](const Item& begin) { return reached(begin.lex) != nullptr; },
           [&](const Item& begin, const Events& events, Stacks) { read(begin, events); });
  }
  std::vector<Track> next;
  for (std::size_t i = 0; i < after.size(); ++i) next.push_back({after[i], std::move(histories[i].events()), false});
  tracks.swap(next);
}

Events Engine::events_at_end(State s) {
  if (grammar_->json() && !grammar_->lark()) return json_events_at_end(s);
  know_structure();
  if (s == kFinished) return {};
  const Text read = text(s);
  Scanner& scanner = grammar_->lark()->scanner;
  Agreement all;
  for (const Item& item : items(s)) {
    Events history;
    Recorder recorder(*this, history, 0);
    if (!is_scan(item.lex)) {
      if (!ends(item, &read)) continue;
      const Stacks stacks = outer(item), parser = recorder.parser_of(stacks);
      if (recorder.embeds(parser)) recorder.end_embedded(parser);
      if (stacks == kNoStack || !recorder.accepts(stacks)) recorder.unknown();
      all.add(history);
      continue;
    }
    const bool told = decided(item) >= 0;
    const std::vector<std::int32_t> exits = scanner.exits(item.lex - kScanBase);
    for (const std::int32_t number : exits) {
      const ScanExit e = scanner.exit(number);
      history.clear();
      if (!scanner.may_end(e.obligation)) continue;
      const Stacks behind = recorder.feed(item.stacks, e);
      if (behind == kNoStack) continue;
      if (told) history.clear();
      if (recorder.accepts(behind)) all.add(history);
    }
  }
  settle();
  if (!all.any()) throw std::invalid_argument("the text may not end in state " + std::to_string(s));
  return all.events();
}

// The rules that are open as far as it is certain: those of all readings, from the outermost on.
std::vector<std::string> Engine::open_rules(State s) {
  if (grammar_->json() && !grammar_->lark()) return open_nodes(s);
  know_structure();
  std::vector<std::string> common;
  bool any = false;
  for (const Item& item : items(s)) {
    Events none;
    Recorder recorder(*this, none, 0);
    const std::int32_t number = decided(item);
    const Stacks parser = recorder.parser_of(number >= 0 ? feed(item.stacks, grammar_->lark()->scanner.exit(number)) : outer(item));
    Recorder::Stack stack{parser};
    std::vector<std::string> names;
    bool single = parser != kNoStack && recorder.reach(stack, 1);
    if (single && !is_scan(item.lex) && recorder.embeds(parser))
      stack.above.pop_back();  // the terminal that is being read
    else if (single)
      single = recorder.reduce_all(stack, false);
    single = single && recorder.reach(stack, stack.above.size() + static_cast<std::size_t>(sets_[static_cast<std::size_t>(stack.base)].depth));
    for (std::size_t i = 0; single && i < stack.above.size(); ++i) {
      const ParserStructure::Certain certain = structure_->certain[static_cast<std::size_t>(stack.above[i])];
      if (certain.rule < 0) continue;
      Recorder::Stack below{kDone, {stack.above.begin(), stack.above.begin() + static_cast<std::ptrdiff_t>(i) + 1}};
      if (!recorder.opened(below, static_cast<std::size_t>(certain.dot), 1)) names.push_back(grammar_->lark()->rule_names[static_cast<std::size_t>(certain.rule)]);
    }
    if (any) names.erase(std::mismatch(names.begin(), names.end(), common.begin(), common.end()).first, names.end());
    common.swap(names);
    any = true;
  }
  settle();
  return common;
}

}  // namespace structgen
