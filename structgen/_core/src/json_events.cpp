// Structure events of JSON: what a text's own structure tells, and which schema nodes its open objects and arrays belong to.
//
// All readings of a text agree about its terminals, and that there is an open object or array is known from the text alone. Both can be
// seen of a state: the lexemes under way tell whether they are strings or can go on, the frames which brackets are open. Which
// node of the schema an object or array belongs to is what the frames of all readings agree on.
#include <algorithm>
#include <string_view>

#include "engine.hpp"
#include "events.hpp"

namespace structgen {

namespace {

constexpr std::string_view kWithinScalars = "0123456789.eE+-truefalsn";
constexpr std::string_view kKeyName = "key", kStringName = "string", kNumberName = "number", kLiteralName = "literal", kPunctuation = "{}[],:";

bool is_space(std::uint8_t byte) { return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t'; }
bool is_punctuation(std::uint8_t byte) { return kPunctuation.find(static_cast<char>(byte)) != std::string_view::npos; }

}  // namespace

// What one token tells.
struct Engine::JsonRecorder {
  const Engine& engine;
  Events events{};

  void terminal(std::string_view name, std::size_t position) { events.push_back({Event::Kind::kTerminal, name, position}); }
  const Nesting& at(std::int32_t n) const { return engine.nestings_[static_cast<std::size_t>(n)]; }
  const std::string& name(std::int32_t n) const { return engine.grammar_->names()->names[static_cast<std::size_t>(n)]; }

  // Nodes of open objects and arrays that have become certain, the outermost first.
  void opened(std::int32_t before, std::int32_t after, std::size_t position) {
    std::vector<std::pair<std::int32_t, std::int32_t>> levels;
    for (; before != after && before != 0 && after != 0; before = at(before).outer, after = at(after).outer) levels.push_back({before, after});
    for (auto level = levels.rbegin(); level != levels.rend(); ++level) open(at(level->first).names, at(level->second).names, position);
  }
  void open(const std::vector<std::int32_t>& told, const std::vector<std::int32_t>& names, std::size_t position) {
    for (const std::int32_t n : names)
      if (std::find(told.begin(), told.end(), n) == told.end()) events.push_back({Event::Kind::kOpen, name(n), position});
  }
  void close(const Nesting& level, std::size_t position) {
    // What has not become certain by now never does.
    if (!level.exact) events.push_back({Event::Kind::kUnknown, {}, position});
    for (auto n = level.names.rbegin(); n != level.names.rend(); ++n) events.push_back({Event::Kind::kClose, name(*n), position});
  }
};

std::int32_t Engine::nesting(Nesting n) {
  if (nestings_.empty()) nestings_.push_back({{}, true, 0});
  std::uint64_t h = combine(static_cast<std::uint64_t>(n.exact), static_cast<std::uint32_t>(n.outer));
  for (const std::int32_t name : n.names) h = combine(h, static_cast<std::uint32_t>(name));
  const std::int32_t found = nesting_index_.find(h, [&](std::int32_t i) { return nestings_[static_cast<std::size_t>(i)] == n; });
  if (found >= 0) return found;
  const auto id = static_cast<std::int32_t>(nestings_.size());
  nestings_.push_back(std::move(n));
  nesting_index_.insert(h, id);
  return id;
}

// Null for frames of other kinds.
const std::vector<std::int32_t>* Engine::names_of(const Frame& f) const {
  const NodeNames& names = *grammar_->names();
  if (f.kind == kObjectFrame) return &names.objects[static_cast<std::size_t>(f.node)];
  return f.kind == kArrayFrame ? &names.arrays[static_cast<std::size_t>(f.node)] : nullptr;
}

std::int32_t Engine::nesting(Stacks s) {
  std::vector<Stacks> todo{s};
  while (!todo.empty()) {
    const Stacks at = todo.back();
    const StackSet& set = sets_[static_cast<std::size_t>(at)];
    const std::size_t waiting = todo.size();
    if (nesting_of_.get(static_cast<std::uint64_t>(at), -1) < 0)
      for (std::uint32_t i = set.begin; i < set.end; ++i)
        if (nesting_of_.get(static_cast<std::uint64_t>(entries_[i].below), -1) < 0) todo.push_back(entries_[i].below);
    if (todo.size() > waiting) continue;
    todo.pop_back();
    std::int32_t all = -1;
    for (std::uint32_t i = set.begin; i < set.end; ++i) {
      const std::int32_t below = nesting_of_.get(static_cast<std::uint64_t>(entries_[i].below), 0);
      const std::vector<std::int32_t>* names = names_of(frames_[static_cast<std::size_t>(entries_[i].frame)]);
      const std::int32_t one = names == nullptr ? below : nesting({*names, true, below});
      all = all < 0 ? one : agreement(all, one);
    }
    nesting_of_.put(static_cast<std::uint64_t>(at), std::max(all, 0));
  }
  return nesting_of_.get(static_cast<std::uint64_t>(s), 0);
}

std::int32_t Engine::nesting(const Items& items) {
  std::int32_t all = -1;
  for (const Item& item : items) {
    const std::int32_t one = nesting(item.stacks);
    all = all < 0 ? one : agreement(all, one);
  }
  return std::max(all, 0);
}

std::int32_t Engine::agreement(std::int32_t a, std::int32_t b) {
  std::vector<Nesting> levels;
  while (a != b && a != 0 && b != 0) {
    const Nesting& x = nestings_[static_cast<std::size_t>(a)];
    const Nesting& y = nestings_[static_cast<std::size_t>(b)];
    Nesting both{{}, x.exact && y.exact && x.names == y.names, 0};
    for (const std::int32_t name : x.names)
      if (std::find(y.names.begin(), y.names.end(), name) != y.names.end()) both.names.push_back(name);
    levels.push_back(std::move(both));
    a = x.outer;
    b = y.outer;
  }
  std::int32_t all = a == b ? a : 0;
  for (auto level = levels.rbegin(); level != levels.rend(); ++level) {
    level->outer = all;
    all = nesting(std::move(*level));
  }
  return all;
}

// The nesting in front of a closing bracket, in the readings that it closes.
std::int32_t Engine::closing(const Items& items, std::uint8_t byte, const Text* text) {
  std::int32_t all = -1;
  for (const Item& item : items) {
    if (!lexer_[item.lex].accepting) continue;
    const StackSet set = sets_[static_cast<std::size_t>(ended(item, text))];
    for (std::uint32_t i = set.begin; i < set.end; ++i) {
      const Entry e = entries_[i];
      const Frame f = frames_[static_cast<std::size_t>(e.frame)];
      const std::vector<std::int32_t>* names = names_of(f);
      if (names == nullptr) continue;
      Expansion next;
      expand_frame(f, e.below, next);
      if (std::none_of(next.items.begin(), next.items.end(), [&](const Item& begin) { return lexer_.next(begin.lex, byte) != kDeadLex; })) continue;
      const std::int32_t one = nesting({*names, true, nesting(e.below)});
      all = all < 0 ? one : agreement(all, one);
    }
  }
  return std::max(all, 0);
}

bool Engine::inside_string(const Items& items) const {
  return std::any_of(items.begin(), items.end(), [&](const Item& item) { return lexer_[item.lex].kind != Kind::kText; });
}

// Whether a number, or a part of one or of a literal, can go on.
bool Engine::goes_on(const Items& items) {
  return std::any_of(items.begin(), items.end(), [&](const Item& item) {
    return std::any_of(kWithinScalars.begin(), kWithinScalars.end(), [&](char c) { return lexer_.next(item.lex, static_cast<std::uint8_t>(c)) != kDeadLex; });
  });
}

Events Engine::json_events(State s, std::uint32_t token) {
  if (token < vocabulary_->size() && vocabulary_->end[token]) return json_events_at_end(s);
  Items before = items(s), after;
  if (token >= vocabulary_->size() || !vocabulary_->ordinary[token]) before.clear();
  Text read = text(s);
  Text* const reading = grammar_->remembers() ? &read : nullptr;
  JsonRecorder recorder{*this};
  std::int32_t nested = nesting(before);
  const std::size_t length = before.empty() ? 0 : vocabulary_->length(token);
  for (std::size_t i = 0; i < length && !before.empty(); ++i, before.swap(after)) {
    const std::uint8_t byte = vocabulary_->token(token)[i];
    const Text here = read;
    const bool quoted = inside_string(before), ending = !quoted && (is_space(byte) || is_punctuation(byte)) && goes_on(before);
    advance(before, byte, after, reading);
    if (after.empty()) continue;
    if (quoted) {
      if (!inside_string(after)) {
        const StackSet& set = sets_[static_cast<std::size_t>(after.front().stacks)];
        const Frame& f = frames_[static_cast<std::size_t>(set.begin < set.end ? entries_[set.begin].frame : 0)];
        const bool key = set.begin < set.end && f.kind == kObjectFrame && f.phase == kValue;
        recorder.terminal(key ? kKeyName : kStringName, i + 1);
      }
    } else if (ending) {
      recorder.terminal(kNumberName, i);
    } else if (!is_space(byte) && !is_punctuation(byte) && !inside_string(after) && !goes_on(after)) {
      recorder.terminal(byte == 'e' || byte == 'l' ? kLiteralName : kNumberName, i + 1);
    }
    if (!quoted && is_punctuation(byte)) recorder.terminal(kPunctuation.substr(kPunctuation.find(static_cast<char>(byte)), 1), i + 1);
    const std::int32_t then = nesting(after);
    if (!quoted && (byte == '{' || byte == '[')) {
      recorder.opened(nested, nestings_[static_cast<std::size_t>(then)].outer, i + 1);
      recorder.open({}, nestings_[static_cast<std::size_t>(then)].names, i + 1);
    } else if (!quoted && (byte == '}' || byte == ']')) {
      const std::int32_t closed = closing(before, byte, reading ? &here : nullptr);
      recorder.opened(nestings_[static_cast<std::size_t>(nested)].outer, then, i + 1);
      const Nesting level = nestings_[static_cast<std::size_t>(closed)];
      recorder.open(nestings_[static_cast<std::size_t>(nested)].names, level.names, i + 1);
      recorder.close(level, i + 1);
    } else {
      recorder.opened(nested, then, i + 1);
    }
    nested = then;
  }
  settle();
  if (before.empty()) throw std::invalid_argument("token " + std::to_string(token) + " is not allowed in state " + std::to_string(s));
  return recorder.events;
}

Events Engine::json_events_at_end(State s) {
  if (s == kFinished) return {};
  if (!accepts(s)) throw std::invalid_argument("the text may not end in state " + std::to_string(s));
  JsonRecorder recorder{*this};
  const Items last = items(s);
  if (!inside_string(last) && goes_on(last)) recorder.terminal(kNumberName, 0);
  return recorder.events;
}

std::vector<std::string> Engine::rule_names() {
  if (grammar_->json() && !grammar_->lark()) return grammar_->names()->names;
  know_structure();
  std::vector<std::string> names;
  for (const std::string& name : grammar_->lark()->rule_names)
    if (ParserStructure::reported(name) && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

// The nodes of the open objects and arrays that are certain, from the outermost on.
std::vector<std::string> Engine::open_nodes(State s) {
  std::vector<std::string> names;
  for (std::int32_t n = nesting(items(s)); n != 0; n = nestings_[static_cast<std::size_t>(n)].outer) {
    const std::vector<std::int32_t>& level = nestings_[static_cast<std::size_t>(n)].names;
    for (auto name = level.rbegin(); name != level.rend(); ++name) names.push_back(grammar_->names()->names[static_cast<std::size_t>(*name)]);
  }
  std::reverse(names.begin(), names.end());
  settle();
  return names;
}

}  // namespace structgen
