#include "symbols.hpp"

#include <algorithm>
#include <tuple>

namespace structgen {

namespace {

// Of longer lexemes only the two ends are kept: no token spells more of one.
constexpr std::size_t kLongest = 1024;

// Spellings of a unit's first lexeme that count: those of its last copies.
constexpr std::int64_t kSpellings = 16;

// What is remembered of questions to the automaton, and of tokens that spell a text: loops ask the same again and again.
constexpr std::size_t kAnswers = 1 << 16, kSpelled = 1 << 12;

bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool all_blank(std::string_view text) { return std::all_of(text.begin(), text.end(), is_blank); }

bool begins_with(std::string_view text, std::string_view beginning) { return text.substr(0, beginning.size()) == beginning; }

// What may delimit the end of a lexeme, as quotes do.
bool is_punctuation(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u > ' ' && u < 0x7F && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_';
}

void shorten(std::string& text) {
  if (text.size() > kLongest) text.erase(kLongest / 2, text.size() - kLongest);
}

// The number of a key, the next one if it is new.
template <class Map, class Key>
std::pair<std::int32_t, bool> numbered(Map& map, Key&& key) {
  const auto [found, is_new] = map.emplace(std::forward<Key>(key), static_cast<std::int32_t>(map.size()));
  return {found->second, is_new};
}

}  // namespace

std::vector<std::int64_t> Spelling::found(std::string_view text, std::size_t beyond, bool longer) const {
  std::vector<std::int64_t> out;
  std::uint32_t node = 0;
  std::size_t depth = 0;
  const auto add_own = [&] {
    for (std::uint32_t i = trie_->token_begin(node); i < trie_->token_end(node); ++i) out.push_back(trie_->id(i));
  };
  for (; depth < text.size(); ++depth) {
    node = trie_->child(node, static_cast<std::uint8_t>(text[depth]));
    if (node == Trie::kNoChild) return out;
    if (depth + 1 > beyond) add_own();
  }
  // The shortest come first below a node.
  if (longer)
    for (std::uint32_t i = trie_->first(node) + (trie_->token_end(node) - trie_->token_begin(node)); i < trie_->last(node); ++i) out.push_back(trie_->ordered(i));
  return out;
}

// -- tables -----------------------------------------------------------------------------------------------

SymbolReader::Number SymbolReader::name(std::string_view text) { return numbered(names_, std::string(text)).first; }

SymbolReader::Number SymbolReader::piece(std::string ignored, std::string lexeme) {
  shorten(ignored);
  shorten(lexeme);
  const auto [number, is_new] = numbered(known_pieces_, std::to_string(ignored.size()) + ' ' + ignored + lexeme);
  if (is_new) pieces_.push_back({std::move(ignored), std::move(lexeme)});
  return number;
}

SymbolReader::Number SymbolReader::shape(Number before, Number name) {
  const auto [found, is_new] = known_shapes_.emplace(pair_key(before, name), static_cast<Number>(shapes_.size()));
  if (is_new) shapes_.push_back({before, shapes_[static_cast<std::size_t>(before)].depth + 1});
  return found->second;
}

bool SymbolReader::is_beginning(Number shape, Number longer, Number missing) const {
  for (; missing > 0; --missing) longer = shapes_[static_cast<std::size_t>(longer)].before;
  return longer == shape;
}

bool SymbolReader::wanted(const Event& event) const {
  switch (event.kind) {
    case Event::Kind::kTerminal:
    case Event::Kind::kIgnored:
      return true;
    case Event::Kind::kUnknown:
      return !options_.json;  // its terminals are certain all the same
    case Event::Kind::kClose:
      return options_.closing.count(std::string(event.name)) > 0;
    default:
      return false;
  }
}

// The answer stays where it is up to the next question.
const SymbolReader::Answer& SymbolReader::ask(Structure& structure, State s, std::int64_t token) {
  const std::uint64_t key = pair_key(s, static_cast<std::int32_t>(token));
  const auto known = answers_.find(key);
  if (known != answers_.end()) return known->second;
  const auto [state, events] = structure.tell(s, token);
  Answer answer{state, {}};
  for (const Event& event : events)
    if (wanted(event)) answer.told.push_back({event.kind, name(event.name), event.position});
  if (answers_.size() >= kAnswers) answers_.clear();
  return answers_[key] = std::move(answer);
}

// -- reading ----------------------------------------------------------------------------------------------

std::int32_t SymbolReader::fresh(State s) {
  places_.push_back({});
  places_.back().state = s;
  return static_cast<std::int32_t>(places_.size()) - 1;
}

SymbolReader::Step SymbolReader::step(Structure& structure, std::int32_t place, std::int64_t token) {
  const Answer& answer = ask(structure, at(place).state, token);
  if (answer.state == kDead) return {kNone, kDead, -1};
  Place after = at(place);
  after.state = answer.state;
  const std::string_view data = structure.bytes(token);
  const std::size_t before = after.pending.size();
  const std::string text = after.pending.append(data);
  const std::size_t cut = take_all(after.reading, answer.told, text, before, [&](const Reading& reading) {
    complete(after, reading);
    return true;
  }, [&] {
    after.symbols.reset();
    after.end = kNone;
  });
  after.pending = text.substr(cut);
  shorten(after.pending);
  const State state = after.state;
  places_.push_back(std::move(after));
  // A special token is the beginning of no lexeme.
  const std::int64_t kept = data.empty() ? 0 : cut > 0 ? static_cast<std::int64_t>(text.size() - cut) : -1;
  return {static_cast<std::int32_t>(places_.size()) - 1, state, kept};
}

// Takes the events of a text with some bytes `before` the token; `make` is called with what is a symbol, until it returns false, and `forget` where
// nothing is certain. Returns where the lexeme under way begins.
template <class Make, class Forget>
std::size_t SymbolReader::take_all(Reading& reading, const std::vector<Told>& told, std::string_view text, std::size_t before, Make&& make, Forget&& forget) {
  const auto completed = [&] {
    if (reading.shape == kEmptyShape) return true;
    const bool goes_on = make(reading);
    std::string ignored = std::move(reading.ignored);
    reading = {};
    reading.ignored = std::move(ignored);
    return goes_on;
  };
  std::size_t cut = 0;
  for (const Told& event : told) {
    const std::size_t end = before + event.position;
    const std::string_view lexeme = text.substr(cut, end - cut);
    if (end > cut && event.kind != Event::Kind::kClose) cut = end;
    switch (event.kind) {
      case Event::Kind::kTerminal:
        // Indents and dedents have no text to begin with: they only end what is in front of them.
        if (lexeme.empty() ? !options_.terminals : take(reading, event.name, lexeme) && options_.terminals)
          if (!completed()) return cut;
        break;
      case Event::Kind::kIgnored:
        reading.ignored.append(lexeme);
        shorten(reading.ignored);
        break;
      case Event::Kind::kUnknown:
        reading = {};
        forget();
        break;
      default:
        if (!completed()) return cut;
    }
  }
  return cut;
}

// Takes a terminal into the symbol under way; false where it belongs to none.
bool SymbolReader::take(Reading& reading, Number name, std::string_view lexeme) {
  if (options_.json) {
    const std::size_t blank = static_cast<std::size_t>(std::find_if_not(lexeme.begin(), lexeme.end(), is_blank) - lexeme.begin());
    reading.ignored.append(lexeme.substr(0, blank));
    lexeme.remove_prefix(blank);
    while (!lexeme.empty() && is_blank(lexeme.back())) lexeme.remove_suffix(1);
    // Members of different names are no repeats.
    if (name == key_) name = this->name(lexeme);
  } else if (!options_.terminals && all_blank(lexeme)) {
    // The ends of lines belong to no statement, or each copy would begin with one.
    reading.ignored.append(lexeme);
    shorten(reading.ignored);
    return false;
  }
  const Number number = piece(std::move(reading.ignored), std::string(lexeme));
  reading.ignored.clear();
  if (reading.shape == kEmptyShape) reading.first = number;
  std::move(reading.tail.begin() + 1, reading.tail.end(), reading.tail.begin());
  reading.tail.back() = number;
  reading.shape = shape(reading.shape, name);
  return true;
}

// Makes a symbol of the terminals since the symbol before.
void SymbolReader::complete(Place& after, const Reading& reading) {
  auto symbols = after.symbols ? std::make_shared<Repeats>(*after.symbols) : std::make_shared<Repeats>(options_.window);
  symbols->append(reading.shape);
  after.symbols = std::move(symbols);
  ends_.push_back({after.end, count(after.end) + 1, reading.first, reading.tail});
  after.end = static_cast<Number>(ends_.size()) - 1;
}

// -- critical tokens --------------------------------------------------------------------------------------

std::vector<SymbolReader::Group> SymbolReader::critical(Structure& structure, std::int32_t place) {
  std::vector<Group> found;
  if (!at(place).symbols) return found;
  std::vector<Candidate> candidates;
  {
    const Place& here = at(place);
    if (here.reading.shape == kEmptyShape && all_blank(here.pending)) find_at_end(here, found);
    if (here.reading.shape != kEmptyShape || !here.pending.empty()) candidates = find_candidates(here);
  }
  std::vector<std::pair<std::int64_t, Number>> completed;
  for (const Candidate& candidate : candidates) {
    const Tokens tokens = spelled(candidate.front, candidate.first);
    if (!tokens) continue;
    // The first tells for all whether what is under way ends there, and as what.
    const std::int64_t token = tokens->front();
    auto known = std::find_if(completed.begin(), completed.end(), [&](const auto& pair) { return pair.first == token; });
    if (known == completed.end()) known = completed.insert(known, {token, completed_by(structure, place, token)});
    if (known->second == candidate.symbol) found.emplace_back(candidate.repeats, tokens);
  }
  return found;
}

// The tokens behind complete symbols, with nothing but white space under way.
void SymbolReader::find_at_end(const Place& place, std::vector<Group>& found) {
  for (const Repeats::Run& run : place.symbols->runs()) {
    // The first lexeme of a unit longer than the window is forgotten.
    if (run.matched % run.period != 0 || run.period > count(place.end)) continue;
    const std::int64_t repeats = run.matched / run.period;
    for (const Number first : firsts(place.end, run.period, run.period, repeats + 1)) {
      const std::string& ignored = pieces_[static_cast<std::size_t>(first)].ignored;
      if (const Tokens tokens = spelled({}, first)) found.emplace_back(repeats, tokens);
      if (ignored.size() > place.pending.size() && begins_with(ignored, place.pending))
        if (const Tokens tokens = spelled(ignored.substr(place.pending.size()), first)) found.emplace_back(repeats, tokens);
    }
  }
}

// The texts that may end the symbol under way and begin the next copy.
std::vector<SymbolReader::Candidate> SymbolReader::find_candidates(const Place& place) const {
  std::vector<Candidate> candidates;
  const Reading& reading = place.reading;
  const std::vector<std::int32_t>& text = place.symbols->text();
  for (const Repeats::Run& run : place.symbols->nearly()) {
    if (run.period > count(place.end)) continue;
    const Number symbol = text[text.size() - static_cast<std::size_t>(run.period)];
    const Number missing = shapes_[static_cast<std::size_t>(symbol)].depth - shapes_[static_cast<std::size_t>(reading.shape)].depth;
    if (missing < 0 || missing > static_cast<Number>(kTail) || !is_beginning(reading.shape, symbol, missing)) continue;
    const std::int64_t repeats = (run.matched + 1) / run.period;
    const std::vector<std::string> ends = rests(place.pending, run.period, place.end, static_cast<std::size_t>(missing));
    // The copy under way has begun with an earlier symbol, or is the symbol under way.
    std::vector<Number> begins = firsts(place.end, std::max(run.period - 1, 1), run.period, repeats + (run.period > 1));
    if (run.period == 1 && reading.first != kNone && std::find(begins.begin(), begins.end(), reading.first) == begins.end()) begins.push_back(reading.first);
    for (const Number first : begins) {
      const std::string& ignored = pieces_[static_cast<std::size_t>(first)].ignored;
      for (const std::string& rest : ends) {
        candidates.push_back({rest, first, symbol, repeats});
        if (!ignored.empty()) candidates.push_back({rest + ignored, first, symbol, repeats});
      }
      if (!place.pending.empty() && begins_with(ignored, place.pending)) candidates.push_back({ignored.substr(place.pending.size()), first, symbol, repeats});
    }
  }
  // The periods of runs that go on alike differ, but not what is expected of them: the most repeats count.
  const auto key = [](const Candidate& c) { return std::tie(c.symbol, c.first, c.front); };
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    return key(a) != key(b) ? key(a) < key(b) : a.repeats > b.repeats;
  });
  candidates.erase(std::unique(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) { return key(a) == key(b); }), candidates.end());
  return candidates;
}

// What may be left of the symbol under way, of which `missing` terminals are not complete, spelled as the last copy was.
std::vector<std::string> SymbolReader::rests(std::string_view pending, std::int64_t period, Number end, std::size_t missing) const {
  if (missing == 0) return {{}};
  for (; period > 1; --period) end = ends_[static_cast<std::size_t>(end)].before;
  const Tail& tail = ends_[static_cast<std::size_t>(end)].tail;
  std::string later;
  for (std::size_t i = kTail - missing + 1; i < kTail; ++i) {
    const Piece& piece = pieces_[static_cast<std::size_t>(tail[i])];
    later += piece.ignored + piece.lexeme;
  }
  const Piece& next = pieces_[static_cast<std::size_t>(tail[kTail - missing])];
  if (all_blank(pending)) {
    std::vector<std::string> out{next.lexeme + later};
    if (next.ignored.size() > pending.size() && begins_with(next.ignored, pending)) out.push_back(next.ignored.substr(pending.size()) + next.lexeme + later);
    return out;
  }
  if (options_.json) pending.remove_prefix(static_cast<std::size_t>(std::find_if_not(pending.begin(), pending.end(), is_blank) - pending.begin()));
  // The lexeme under way is complete, or ends as the copy's does, or has the same delimiter.
  std::vector<std::string> out{later};
  if (begins_with(next.lexeme, pending) && next.lexeme.size() > pending.size()) out.push_back(next.lexeme.substr(pending.size()) + later);
  const std::string delimited = next.lexeme.back() + later;
  if (next.lexeme.size() > 1 && is_punctuation(next.lexeme.back()) && delimited != out.back()) out.push_back(delimited);
  return out;
}

SymbolReader::Number SymbolReader::count(Number end) const {
  return end == kNone ? 0 : std::min(ends_[static_cast<std::size_t>(end)].count, options_.window);
}

// The first lexemes of copies, the last of which begins `back` symbols ago, each once.
std::vector<SymbolReader::Number> SymbolReader::firsts(Number end, std::int64_t back, std::int64_t period, std::int64_t copies) const {
  const std::int64_t furthest = std::min<std::int64_t>(back + (std::min(copies, kSpellings) - 1) * period, count(end));
  std::vector<Number> out;
  for (std::int64_t ago = 1; ago <= furthest; ++ago) {
    const End& found = ends_[static_cast<std::size_t>(end)];
    if (ago >= back && (ago - back) % period == 0 && std::find(out.begin(), out.end(), found.first) == out.end()) out.push_back(found.first);
    end = found.before;
  }
  return out;
}

// The tokens, if any, that spell `front` and a beginning of a lexeme, or more.
SymbolReader::Tokens SymbolReader::spelled(const std::string& front, Number first) {
  const std::string& lexeme = pieces_[static_cast<std::size_t>(first)].lexeme;
  // A closing bracket never begins what could go on for ever.
  if (lexeme.empty() || lexeme == ")" || lexeme == "]" || lexeme == "}") return nullptr;
  std::string text = front + lexeme;
  const std::string key = std::to_string(front.size()) + ' ' + text;
  const auto known = spelled_.find(key);
  if (known != spelled_.end()) return known->second;
  if (spelled_.size() >= kSpelled) spelled_.clear();
  std::vector<std::int64_t> tokens = spelling_.beginnings_and_longer(text, front.size());
  return spelled_[key] = tokens.empty() ? nullptr : std::make_shared<const std::vector<std::int64_t>>(std::move(tokens));
}

// The symbol that a token makes of the one under way; -1 if it makes none.
SymbolReader::Number SymbolReader::completed_by(Structure& structure, std::int32_t place, std::int64_t token) {
  const Answer& answer = ask(structure, at(place).state, token);
  const auto is_unknown = [](const Told& event) { return event.kind == Event::Kind::kUnknown; };
  if (answer.told.empty() || std::any_of(answer.told.begin(), answer.told.end(), is_unknown)) return kNone;
  Reading reading = at(place).reading;
  const std::string& pending = at(place).pending;
  Number made = kNone;
  take_all(reading, answer.told, pending + std::string(structure.bytes(token)), pending.size(), [&](const Reading& symbol) {
    made = symbol.shape;
    return false;
  }, [] {});
  return made;
}

}  // namespace structgen
