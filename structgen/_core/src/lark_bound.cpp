// Embedded expressions behind a lexeme whose end obliges what follows: in `start: /[a-z]+/ %json {"type": "boolean"}` the JSON text cannot begin with a
// letter, since the word would have taken it. Mostly the first character settles that.
#include <algorithm>

#include "engine.hpp"

namespace structgen {

Lex LarkGrammar::bind(Scan promise, Lex lex) {
  const std::vector<std::int32_t>& kept = scanner.exits(promise);
  if (!kept.empty() && scanner.exit(kept[0]).obligation == 0) return lex;
  const std::uint64_t key = pair_key(promise, lex);
  const std::int32_t known = bound_index_.get(key, -1);
  if (known >= 0) return kBoundBase + known;
  bounds_.push_back({promise, lex});
  bound_index_.put(key, static_cast<std::int32_t>(bounds_.size() - 1));
  return kBoundBase + static_cast<Lex>(bounds_.size() - 1);
}

Lex LarkGrammar::next_bound(Lex q, std::uint8_t byte) {
  const Bound b = bound(q);
  const Scan promise = scanner.next(b.promise, byte);
  const Lex lex = scanner.lexer().next(b.lex, byte);
  return promise == kDeadScan || lex == kDeadLex ? kDeadLex : bind(promise, lex);
}

// Reads the first byte of a lexeme under a promise.
bool Engine::enter_bound(Scan promise, const Item& begin, std::uint8_t byte, Items& out, const Text* text) {
  LarkGrammar& lark = *grammar_->lark();
  const Scan to = lark.scanner.next(promise, byte);
  if (to == kDeadScan) return false;
  const std::size_t before = out.size();
  const bool guarded = enter(begin, byte, out, text);
  keep_bound(to, before, out);
  return guarded;
}

// Binds the items from a place on, and drops those that nothing completes.
void Engine::keep_bound(Scan promise, std::size_t from, Items& out) {
  LarkGrammar& lark = *grammar_->lark();
  for (std::size_t i = from; i < out.size(); ++i) out[i].lex = lark.bind(promise, out[i].lex);
  out.erase(std::remove_if(out.begin() + static_cast<std::ptrdiff_t>(from), out.end(), [&](const Item& i) { return is_bound(i.lex) && !live(i); }), out.end());
}

// What can begin where a lexeme of an embedded expression ends: further lexemes of it, still bound, and what the grammar has behind it.
void Engine::behind_bound(const Item& item, const Text* text, Items& within, Items& behind) {
  LarkGrammar& lark = *grammar_->lark();
  const LarkGrammar::Bound b = lark.bound(item.lex);
  const std::vector<std::int32_t>& kept = lark.scanner.exits(b.promise);
  if (!lexer_[b.lex].accepting || kept.empty()) return;
  const ScanExit e = lark.scanner.exit(kept[0]);
  const StackSet set = sets_[static_cast<std::size_t>(ended({b.lex, item.stacks}, text))];
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Stacks one = intern_set({entries_[i]}, false);
    const FrameKind kind = frames_[static_cast<std::size_t>(entries_[i].frame)].kind;
    const bool outside = kind == kLrFrame || kind == kIndentFrame;
    const Items& begins = outside ? open(one, e.obligation, e.left).items : expand(one).items;
    Items& to = outside ? behind : within;
    to.insert(to.end(), begins.begin(), begins.end());
  }
}

bool Engine::advance_bound(const Item& item, std::uint8_t byte, Items& out, const Text* text) {
  LarkGrammar& lark = *grammar_->lark();
  const LarkGrammar::Bound b = lark.bound(item.lex);
  const Scan to = lark.scanner.next(b.promise, byte);
  bool guarded = false;
  if (to != kDeadScan) {
    const std::size_t before = out.size();
    guarded = go_on({b.lex, item.stacks}, byte, out);
    keep_bound(to, before, out);
  }
  Items within, behind;
  behind_bound(item, text, within, behind);
  for (const Item& begin : within) guarded = enter_bound(b.promise, begin, byte, out, text) || guarded;
  for (const Item& begin : behind) guarded = enter(begin, byte, out, text) || guarded;
  return guarded;
}

}  // namespace structgen
