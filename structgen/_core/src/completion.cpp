#include "completion.hpp"

#include <algorithm>
#include <tuple>

namespace structgen {

namespace {

constexpr std::int64_t kLongest = 1 << 24;
constexpr std::size_t kMostExtras = 100000;

void check_extras(std::size_t wanted) {
  if (wanted > kMostExtras) throw LimitError("the shortest completion needs more than " + std::to_string(kMostExtras) + " further properties");
}

bool between_characters(Decoder d) { return d == kClean || d == kDecoderOpen; }

}  // namespace

Completion::Completion(Engine& engine) : engine_(engine), lexer_(engine.lexer_), grammar_(*engine.grammar_), text_(lexer_.regexes(), Kind::kText), string_(lexer_.regexes(), Kind::kStringMinimal), exprs_(grammar_.size(), kImpossible) {
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t e = 0; e < exprs_.size(); ++e) {
      const std::int64_t c = evaluate(grammar_[static_cast<Expr>(e)]);
      if (c < exprs_[e]) {
        exprs_[e] = c;
        changed = true;
      }
    }
  }
  settled_ = true;
}

// The character that a decoder has begun to read, and what completes the residual behind it, as few bytes as can be.
std::pair<std::uint32_t, std::int64_t> Completion::begun(const Lexer::State& s) {
  Spellings& spellings = of(s.kind);
  std::pair<std::uint32_t, std::int64_t> best{0, kImpossible};
  std::vector<std::tuple<std::int64_t, std::uint32_t, Re>> ways;
  spellings.characters(s.residual, pending_ranges(s.kind, s.decoder), [&](std::uint32_t c, Re to) {
    ways.emplace_back(static_cast<std::int64_t>(spelled(s.kind, s.decoder, c).size()), c, to);
  });
  const auto least = [&](const auto& way) { return std::get<0>(way) + spellings.bound(std::get<2>(way)); };
  std::stable_sort(ways.begin(), ways.end(), [&](const auto& a, const auto& b) { return least(a) < least(b); });
  for (const auto& way : ways) {
    if (least(way) >= best.second) break;
    const std::int64_t cost = std::get<0>(way) + spellings.cost(std::get<2>(way));
    if (cost < best.second) best = {std::get<1>(way), cost};
  }
  return best;
}

std::int64_t Completion::lexeme(Lex q) {
  const std::int32_t memo = lexeme_costs_.get(static_cast<std::uint64_t>(q), -1);
  if (memo >= 0) return memo;
  const Lexer::State s = lexer_[q];
  std::int64_t cost = 0;
  if (!s.accepting) {
    cost = between_characters(s.decoder) ? of(s.kind).cost(s.residual) : begun(s).second;
    if (s.kind != Kind::kText) cost += 1 + text_.cost(s.tail) + (decoder_mode(s.decoder) == kOpen);
  }
  if (cost >= kImpossible) return kImpossible;
  lexeme_costs_.put(static_cast<std::uint64_t>(q), static_cast<std::int32_t>(std::min<std::int64_t>(cost, 1 << 30)));
  return cost;
}

// The first byte of a shortest way to the end of a lexeme that is not over.
std::uint8_t Completion::first_byte(Lex q) {
  const Lexer::State s = lexer_[q];
  std::uint32_t c;
  if (!between_characters(s.decoder)) c = begun(s).first;
  else if (decoder_mode(s.decoder) == kOpen || (s.kind != Kind::kText && of(s.kind).cost(s.residual) == 0)) return '"';
  else c = of(s.kind).first(s.residual);
  return static_cast<std::uint8_t>(spelled(s.kind, s.decoder, c)[0]);
}

// Appends a shortest way to the end of a lexeme; returns the length of `out` behind a closing quote, if there is one.
std::size_t Completion::append_lexeme(Lex q, std::string& out) {
  const Lexer::State s = lexer_[q];
  if (s.accepting) return out.size();
  Re rest = s.residual;
  if (decoder_mode(s.decoder) == kOpen) out.push_back('"');
  if (!between_characters(s.decoder)) {
    const std::uint32_t c = begun(s).first;
    out += spelled(s.kind, s.decoder, c);
    rest = lexer_.regexes().derive(rest, c);
  }
  of(s.kind).append(rest, out);
  if (s.kind == Kind::kText) return out.size();
  out.push_back('"');
  const std::size_t closed = out.size();
  text_.append(s.tail, out);
  return closed;
}

std::int64_t Completion::evaluate(const ExprNode& n) {
  if (!n.productive) return kImpossible;
  const auto kids = [&](auto&& combine, std::int64_t initial) {
    std::int64_t total = initial;
    for (std::int32_t i = 0; i < n.b; ++i) total = combine(total, exprs_[static_cast<std::size_t>(grammar_.child(n, i))]);
    return std::min(total, kImpossible);
  };
  switch (n.op) {
    case ExprOp::kNothing: return kImpossible;
    case ExprOp::kEmpty: return 0;
    case ExprOp::kTerminal: return lexeme(n.a);
    case ExprOp::kRule: return exprs_[static_cast<std::size_t>(n.a)];
    case ExprOp::kChoice: return kids([](std::int64_t a, std::int64_t b) { return std::min(a, b); }, kImpossible);
    case ExprOp::kSequence: return kids([](std::int64_t a, std::int64_t b) { return std::min(a + b, kImpossible); }, 0);
    case ExprOp::kObject: return std::min(kImpossible, lexeme(grammar_.open_brace) + frame(engine_.first_frame(n)));
    case ExprOp::kArray: return std::min(kImpossible, lexeme(grammar_.open_bracket) + frame(engine_.first_frame(n)));
    case ExprOp::kGuarded: return exprs_[static_cast<std::size_t>(n.a)];
    case ExprOp::kLark: return 0;  // lower bounds are its own (lark_completion.cpp)
  }
  return kImpossible;
}

std::int64_t Completion::item(const Item& i, std::int64_t held) {
  if (!is_lexeme(i.lex)) return engine_.lark_cost(i, false);
  if (!engine_.sets_[static_cast<std::size_t>(i.stacks)].captures) return std::min(kImpossible, lexeme(i.lex) + stacks(i.stacks));
  // The key being read, completed as shortly as can be, is one that later members can't have.
  const Engine::StackSet set = engine_.sets_[static_cast<std::size_t>(i.stacks)];
  const std::int64_t own = lexeme(i.lex);
  std::int64_t least = kImpossible;
  for (std::uint32_t at = set.begin; at < set.end; ++at) {
    const Engine::Entry e = engine_.entries_[at];
    const Engine::Frame& f = engine_.frames_[static_cast<std::size_t>(e.frame)];
    // Read so far and still to come, less the quotes and what follows them.
    const std::int64_t key = engine_.keys_.length({f.text, {}}) + held + own - lexeme(lexer_.exit(i.lex)) - 2;
    least = std::min(least, own + frame(f, f.phase == Engine::kKey ? key : -1) + stacks(e.below));
  }
  return least;
}

std::vector<std::int64_t> Completion::spellings(const ObjectNode& o, const Engine::Frame& f, std::size_t extra, std::int64_t key, std::size_t wanted) {
  check_extras(wanted);
  std::vector<std::int64_t> keys = lexer_.regexes().shortest_spellings(grammar_.extra_key(o, extra, f.excluded), wanted + 1);
  const auto taken = std::find(keys.begin(), keys.end(), key);
  if (key >= 0 && ~f.member == static_cast<std::int32_t>(extra) && taken != keys.end()) keys.erase(taken);
  return keys;
}

// What the cheapest `wanted` extras cost, one entry each.
void Completion::add_extras(const ObjectNode& o, const Engine::Frame& f, std::int64_t key, std::size_t wanted, std::vector<std::int64_t>& costs) {
  for (std::size_t j = 0; j < o.extras.size(); ++j) {
    const std::int64_t value = exprs_[static_cast<std::size_t>(o.extras[j].value)];
    if (value >= kImpossible) continue;
    if (!o.distinct) {
      costs.insert(costs.end(), wanted, lexeme(o.extras[j].key) + value);
      continue;
    }
    for (const std::int64_t k : spellings(o, f, j, key, wanted)) costs.push_back(k + 2 + lexeme(lexer_.exit(o.extras[j].key)) + value);
  }
}

std::int64_t Completion::object(const ObjectNode& o, const Engine::Frame& f, std::int64_t key) {
  const auto member = [&](const ObjectNode::Member& m) { return std::min(kImpossible, lexeme(m.key) + exprs_[static_cast<std::size_t>(m.value)]); };
  std::int64_t total = lexeme(grammar_.close_brace), taken = 0;
  std::vector<std::int64_t> optional;
  for (std::size_t i = o.ordered ? static_cast<std::size_t>(f.at) : 0; i < o.members.size(); ++i) {
    if (!o.ordered && engine_.has_seen(f.at, static_cast<std::int32_t>(i))) continue;
    if (o.members[i].required) {
      total = std::min(kImpossible, total + member(o.members[i]));
      ++taken;
    } else {
      optional.push_back(member(o.members[i]));
    }
  }
  // Members beyond the required ones, as few as the count and a comma already written ask for.
  const std::int64_t wanted = std::max<std::int64_t>(o.low - f.count, f.phase == Engine::kAfterComma ? 1 : 0);
  if (taken < wanted) {
    const std::size_t missing = static_cast<std::size_t>(wanted - taken);
    check_extras(missing);
    add_extras(o, f, key, missing, optional);
    if (optional.size() < missing) return kImpossible;
    std::sort(optional.begin(), optional.end());
    for (std::size_t i = 0; i < missing; ++i) total = std::min(kImpossible, total + optional[i]);
    taken = wanted;
  }
  const std::int64_t commas = f.phase != Engine::kFirst && f.phase != Engine::kAfterComma ? taken : std::max<std::int64_t>(0, taken - 1);
  return std::min(kImpossible, total + commas * lexeme(grammar_.comma));
}

std::int64_t Completion::array(const ArrayNode& a, std::int32_t at, Engine::Phase phase) {
  const std::int32_t items = std::max(a.low - at, phase == Engine::kAfterComma ? 1 : 0);
  std::int64_t total = lexeme(grammar_.close_bracket);
  for (std::int32_t i = 0; i < items; ++i) {
    if (i + at >= static_cast<std::int32_t>(a.prefix.size())) {
      const std::int64_t each = exprs_[static_cast<std::size_t>(a.rest)];
      if (each >= (kImpossible - total) / (items - i)) return kImpossible;
      total += each * (items - i);
      break;
    }
    total += exprs_[static_cast<std::size_t>(a.item(at + i))];
    if (total >= kImpossible) return kImpossible;
  }
  return std::min(kImpossible, total + (phase == Engine::kAfterValue ? items : std::max(0, items - 1)) * lexeme(grammar_.comma));
}

std::int64_t Completion::frame(const Engine::Frame& f, std::int64_t key) {
  if (f.kind == Engine::kGuardFrame || f.kind == Engine::kLrFrame || f.kind == Engine::kIndentFrame) return 0;
  if (f.kind == Engine::kArrayFrame) {
    const ArrayNode& a = grammar_.array_at(f.node);
    return a.tally ? tallied(a, f) : array(a, f.at, f.phase == Engine::kItem ? Engine::kAfterValue : f.phase);
  }
  if (f.kind == Engine::kObjectFrame) {
    const ObjectNode& o = grammar_.object_at(f.node);
    if (o.tally) return tallied(o, f, key);
    std::int64_t total = object(o, f, key);
    if (f.phase == Engine::kValue || f.phase == Engine::kKey)
      total += exprs_[static_cast<std::size_t>(f.member >= 0 ? o.members[static_cast<std::size_t>(f.member)].value : o.extras[static_cast<std::size_t>(~f.member)].value)];
    return std::min(kImpossible, total);
  }
  if (f.at < 0) return exprs_[static_cast<std::size_t>(f.node)];
  const ExprNode& n = grammar_[f.node];
  std::int64_t total = 0;
  for (std::int32_t i = f.at; i < n.b; ++i) total = std::min(kImpossible, total + exprs_[static_cast<std::size_t>(grammar_.child(n, i))]);
  return total;
}

std::int64_t Completion::stacks(Stacks root) {
  if (stack_costs_.size() < engine_.sets_.size()) stack_costs_.resize(engine_.sets_.size(), -1);
  std::vector<Stacks> todo{root};
  while (!todo.empty()) {
    const Stacks at = todo.back();
    const Engine::StackSet set = engine_.sets_[static_cast<std::size_t>(at)];
    std::int64_t least = set.done ? 0 : kImpossible;
    bool ready = true;
    for (std::uint32_t i = set.begin; i < set.end && stack_costs_[static_cast<std::size_t>(at)] < 0; ++i) {
      const Engine::Entry e = engine_.entries_[i];
      const std::int64_t below = stack_costs_[static_cast<std::size_t>(e.below)];
      if (below < 0) {
        todo.push_back(e.below);
        ready = false;
      } else {
        least = std::min(least, frame(engine_.frames_[static_cast<std::size_t>(e.frame)]) + below);
      }
    }
    if (!ready) continue;
    if (stack_costs_[static_cast<std::size_t>(at)] < 0) stack_costs_[static_cast<std::size_t>(at)] = std::min(least, kImpossible);
    todo.pop_back();
  }
  return stack_costs_[static_cast<std::size_t>(root)];
}

std::int64_t Completion::cost(const Items& items) {
  std::int64_t least = kImpossible;
  for (const Item& i : items) least = std::min(least, item(i));
  return least;
}

std::string Completion::shortest(Items items) {
  std::string out;
  std::int64_t left = cost(items);
  while (true) {
    // The first that costs no more than is left; what keys cost that must be remembered is known before they are read.
    Item best = items.front();
    std::int64_t least = kImpossible;
    for (const Item& i : items) {
      const std::int64_t c = item(i);
      if (c >= least) continue;
      least = c;
      best = i;
      if (least <= left) break;
    }
    left = least - lexeme(best.lex);
    Stacks after = best.stacks;
    const std::size_t from = out.size();
    const std::size_t closed = append_lexeme(best.lex, out);
    for (std::size_t i = from; i < closed && engine_.sets_[static_cast<std::size_t>(after)].captures; ++i)
      after = engine_.capture(after, static_cast<std::uint8_t>(out[i]), i + 1 == closed);
    const Engine::Expansion& next = engine_.expand(after);
    if (next.accepts) return out;
    items = next.items;
  }
}

// Goes on inside keys, of which `read` has not been captured yet; those that end are captured, and join the other items. Tells whether
// a guard is at work below any of them.
bool Completion::advance_keys(const Items& in, const std::string& read, std::uint8_t byte, Items& inside, Items& ended) {
  inside.clear();
  const std::size_t before = ended.size();
  bool capturing = false;
  for (const Item& i : in) {
    const Lex to = lexer_.next(i.lex, byte);
    if (to == kDeadLex) continue;
    capturing = capturing || engine_.sets_[static_cast<std::size_t>(i.stacks)].capturing;
    if (lexer_[to].kind != Kind::kText) {
      inside.push_back({to, i.stacks});
      continue;
    }
    Stacks stacks = i.stacks;
    for (const char c : read) stacks = engine_.capture(stacks, static_cast<std::uint8_t>(c), false);
    ended.push_back({to, engine_.capture(stacks, byte, true)});
  }
  if (ended.size() > before) engine_.normalize(ended);
  return capturing;
}

std::int64_t Completion::within(const Items& start, const Text& text, std::int64_t budget, std::uint32_t* out) {
  std::int64_t most = 0;
  const Trie& trie = lexer_.trie();
  struct Entry {
    std::uint32_t node;
    Items items;
    Items keys;  // inside a key that must be remembered, as at the start: the stacks of each byte would fill the tables
    Text text;
    std::string read;
  };
  const bool remembers = grammar_.remembers();
  std::vector<Entry> todo;
  todo.push_back({0, {}, {}, text, {}});
  for (const Item& i : start) (engine_.sets_[static_cast<std::size_t>(i.stacks)].captures ? todo[0].keys : todo[0].items).push_back(i);
  Items next, keys;
  Text read;
  while (!todo.empty()) {
    const Entry at = std::move(todo.back());
    todo.pop_back();
    const Trie::Node n = trie[at.node];
    for (std::uint32_t c = n.first_child; c < n.first_child + n.children; ++c) {
      if (remembers) read = at.text;
      engine_.advance(at.items, trie[c].byte, next, remembers ? &read : nullptr);
      if (advance_keys(at.keys, at.read, trie[c].byte, keys, next)) {
        read = at.text;
        read.tail.push_back(static_cast<char>(trie[c].byte));
      }
      if (next.empty() && keys.empty()) continue;
      if (trie.token_begin(c) != trie.token_end(c)) {
        std::int64_t left = cost(next);
        for (const Item& i : keys) left = std::min(left, item(i, static_cast<std::int64_t>(at.read.size()) + 1));
        most = std::max(most, left);
        for (std::uint32_t i = trie.token_begin(c); i < trie.token_end(c) && left <= budget; ++i) out[trie.id(i) >> 5] |= 1U << (trie.id(i) & 31);
      }
      if (trie[c].children) todo.push_back({c, next, keys, read, keys.empty() ? std::string() : at.read + static_cast<char>(trie[c].byte)});
    }
  }
  return most;
}

bool Completion::next_byte(const Items& items, const Text& text, std::uint8_t& byte) {
  Item best{kDeadLex, kNoStack};
  std::int64_t least = kImpossible;
  const auto consider = [&](const Item& i) {
    const std::int64_t c = item(i);
    if (lexeme(i.lex) == 0 || c >= least) return;
    least = c;
    best = i;
  };
  for (const Item& i : items) {
    consider(i);
    if (!lexer_[i.lex].accepting) continue;
    for (const Item& begin : engine_.expand(engine_.ended(i, &text)).items) consider(begin);
  }
  if (best.lex == kDeadLex) return false;
  byte = first_byte(best.lex);
  return true;
}

std::string Engine::shortest(State s) {
  if (s <= kFinished) return {};
  if (grammar_->lark() && vocabulary_->byte_complete) return search_bytes(s, false).value_or("");
  if (!vocabulary_->byte_complete) return search_tokens(s);
  if (!completion_) completion_ = std::make_unique<Completion>(*this);
  if (completion_->cost(items(s)) > kLongest) throw LimitError("the shortest completion is longer than " + std::to_string(kLongest) + " bytes");
  return grammar_->remembers() ? guarded_shortest(s) : completion_->shortest(items(s));
}

void Engine::mask_within(State s, std::int64_t budget, std::uint32_t* out) {
  MaskRecord& record = const_cast<MaskRecord&>(mask(s));
  if (s <= kFinished) return copy_mask(record, out);
  if (grammar_->lark()) return lark_mask_within(s, budget, out);
  if (!completion_) completion_ = std::make_unique<Completion>(*this);
  const Items here = items(s);
  const std::int64_t left = completion_->cost(here);
  const std::int64_t known = record.single ? record.growth : growth_.get(static_cast<std::uint64_t>(s), -1);
  if (known >= 0 && left + known <= budget) return copy_mask(record, out);
  std::fill(out, out + vocabulary_->mask_words, 0);
  const std::int64_t growth = std::max<std::int64_t>(0, completion_->within(here, text(s), budget, out) - left);
  if (record.single)
    record.growth = growth;
  else if (growth <= kLongest)
    growth_.put(static_cast<std::uint64_t>(s), static_cast<std::int32_t>(growth));
  settle();
  if (accepts(s))
    for (std::uint32_t t : vocabulary_->end_tokens) out[t >> 5] |= 1U << (t & 31);
  if (vocabulary_->byte_complete) return;
  std::vector<std::uint32_t> allowed(vocabulary_->mask_words);
  copy_mask(record, allowed.data());
  for (std::size_t i = 0; i < allowed.size(); ++i) out[i] &= allowed[i];
}

Engine::~Engine() = default;

}  // namespace structgen
