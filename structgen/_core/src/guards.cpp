// Guards and arrays of distinct items: checks on the text of a value, made when the value ends.
//
// A value has ended when only white space can follow its last lexeme, or when such a lexeme is left (numbers). The frame of a check is
// then on top of the stacks behind the lexeme: where it passes, the stacks below take its place; where not, they are gone.
#include <algorithm>

#include "completion.hpp"
#include "engine.hpp"
#include "json_value.hpp"

namespace structgen {

namespace {

constexpr int kResolveDepth = 5000;
constexpr std::size_t kLongestWay = 1 << 24;
constexpr std::size_t kMostSearched = 1000;  // ways tried for a completion that guards let pass, before one comes closer to the end
constexpr std::size_t kMostPops = 50000;     // and of them all

std::string without_space_behind(std::string text) {
  text.erase(text.find_last_not_of(" \t\n\r") + 1);
  return text;
}

bool all_distinct(const std::string& text) {
  bool valid = false;
  std::vector<std::string> items = canonical_items(text, valid);
  std::sort(items.begin(), items.end());
  return valid && std::adjacent_find(items.begin(), items.end()) == items.end();
}

}  // namespace

// Whether nothing but white space can follow inside the lexeme.
bool Engine::closed(Lex q) {
  if (closed_.size() <= static_cast<std::size_t>(q)) closed_.resize(lexer_.states(), -1);
  if (closed_[static_cast<std::size_t>(q)] < 0) {
    RegexStore& re = lexer_.regexes();
    const Lexer::State s = lexer_[q];
    const Re space = re.repeat(re.chars({{' ', ' '}, {'\t', '\n'}, {'\r', '\r'}}), 0, kInfinity);
    closed_[static_cast<std::size_t>(q)] = s.kind == Kind::kText && s.decoder == kClean && re.is_empty(re.intersect({s.residual, re.complement(space)}));
  }
  return closed_[static_cast<std::size_t>(q)] != 0;
}

// After a byte: the text grows while anything is captured, and values that have ended are checked.
void Engine::finish_byte(Items& items, std::uint8_t byte, Text* text) {
  const auto capturing = [&] { return std::any_of(items.begin(), items.end(), [&](const Item& i) { return sets_[static_cast<std::size_t>(i.stacks)].capturing; }); };
  if (text && capturing())
    text->tail.push_back(static_cast<char>(byte));
  else if (text)
    *text = {};
  bool ended = false;
  for (Item& item : items) {
    if (!is_lexeme(item.lex) || !sets_[static_cast<std::size_t>(item.stacks)].checks || !closed(item.lex)) continue;
    item.stacks = resolve(item.stacks, text);
    ended = true;
  }
  if (!ended) return;
  items.erase(std::remove_if(items.begin(), items.end(), [](const Item& i) { return i.stacks == kNoStack; }), items.end());
  if (text && !capturing()) *text = {};
}

// Tells the checks of values that begin now where they begin.
Stacks Engine::place(Stacks s, std::int32_t position) {
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  if (!set.pending) return s;
  std::vector<Entry> out;
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    Entry e = entries_[i];
    Frame f = frames_[static_cast<std::size_t>(e.frame)];
    if (f.kind == kGuardFrame && f.at < 0) f.at = position;
    if (f.kind == kArrayFrame && f.phase == kItem && f.member < 0) f.member = position;
    e.frame = frame(f);
    e.below = place(e.below, position);
    out.push_back(e);
  }
  return intern_set(std::move(out), set.done);
}

// What is left of the stacks behind a lexeme when the values that end with it have been checked.
Stacks Engine::resolve(Stacks s, const Text* text, int depth) {
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  if (!set.checks) return s;
  if (depth > kResolveDepth) throw LimitError("more than " + std::to_string(kResolveDepth) + " guarded values end at once");
  std::vector<Entry> kept;
  std::vector<Stacks> more;
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Entry e = entries_[i];
    const Frame f = frames_[static_cast<std::size_t>(e.frame)];
    const bool item = f.kind == kArrayFrame && f.phase == kItem;
    if (!item && f.kind != kGuardFrame) {
      kept.push_back(e);
      continue;
    }
    if (!text) {
      unsure_ = true;
      continue;
    }
    const std::int32_t position = item ? f.member : f.at;
    checked_ = checked_ || position < captured_.length({text->node, {}});
    const std::string value = without_space_behind(captured_.from(*text, position));
    if (!item) {
      const std::int32_t guard = (*grammar_)[f.node].b;
      if (judge(guard / 2, value, guard % 2 != 0)) more.push_back(resolve(e.below, text, depth + 1));
      continue;
    }
    const std::string canonical = canonical_json(value);
    const std::vector<std::string>& seen = seen_items_[static_cast<std::size_t>(f.excluded)].values;
    if (std::binary_search(seen.begin(), seen.end(), canonical)) {
      refused_.back() = true;
      continue;
    }
    const ArrayNode& a = grammar_->array_at(f.node);
    const bool last = a.high != kInfinity && f.at >= a.high;
    more.push_back(push({kArrayFrame, kAfterValue, f.node, f.at, f.count, 0, last ? 0 : with_item(f.excluded, canonical)}, e.below));
  }
  Stacks out = intern_set(std::move(kept), set.done);
  for (const Stacks m : more) out = unite(out, m);
  return out;
}

// The stacks behind a lexeme if all checks passed.
Stacks Engine::passed(Stacks s) {
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  if (!set.checks) return s;
  const Stacks memo = passed_.get(static_cast<std::uint64_t>(s), -1);
  if (memo >= 0) return memo;
  std::vector<Entry> kept;
  std::vector<Stacks> more;
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Entry e = entries_[i];
    const Frame f = frames_[static_cast<std::size_t>(e.frame)];
    if (f.kind == kGuardFrame)
      more.push_back(passed(e.below));
    else if (f.kind == kArrayFrame && f.phase == kItem)
      more.push_back(push({kArrayFrame, kAfterValue, f.node, f.at, f.count, 0, f.excluded}, e.below));
    else
      kept.push_back(e);
  }
  Stacks out = intern_set(std::move(kept), set.done);
  for (const Stacks m : more) out = unite(out, m);
  passed_.put(static_cast<std::uint64_t>(s), out);
  return out;
}

// Whether the string that is being read could still become an item seen.
bool Engine::may_repeat(Stacks s, const Text& text) {
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Frame& f = frames_[static_cast<std::size_t>(entries_[i].frame)];
    if (f.phase != kItem) continue;
    std::string begun;
    if (f.member >= 0)
      for (const std::uint32_t c : decoded(captured_.from(text, f.member))) append_utf8(begun, c);
    for (const std::string& value : seen_items_[static_cast<std::size_t>(f.excluded)].values) {
      if (value[0] != 's') continue;
      checked_ = checked_ || f.member >= 0;
      if (value.compare(value.find(':') + 1, begun.size(), begun) == 0) return true;
    }
  }
  return false;
}

// Whether it is worth checking: the byte could begin what follows.
bool Engine::may_follow(Stacks s, std::uint8_t byte) {
  const Items& next = expand(passed(s)).items;
  return std::any_of(next.begin(), next.end(), [&](const Item& i) { return is_lexeme(i.lex) ? lexer_.next(i.lex, byte) != kDeadLex : !is_special(i.lex); });
}

// Asks a guard. What a predicate has not judged yet fails for now, and is asked for.
bool Engine::judge(std::int32_t guard, const std::string& value, bool negated) {
  int verdict = verdicts->get(guard, value);
  if (verdict < 0 && grammar_->guards()[static_cast<std::size_t>(guard)].distinct) {
    verdict = all_distinct(value);
    verdicts->put(guard, value, verdict != 0);
  }
  if (verdict < 0) {
    asked_.emplace_back(guard, value);
    return false;
  }
  if ((verdict != 0) != negated) return true;
  refused_[static_cast<std::size_t>(guard)] = true;
  return false;
}

// Ends an operation in which predicates were missed, before anything is remembered.
void Engine::settle() {
  if (asked_.empty()) return;
  NeedVerdicts need;
  need.questions.swap(asked_);
  std::sort(need.questions.begin(), need.questions.end());
  need.questions.erase(std::unique(need.questions.begin(), need.questions.end()), need.questions.end());
  throw need;
}

std::vector<std::string> Engine::refusals() const {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < refused_.size(); ++i) {
    if (!refused_[i]) continue;
    const std::string name = i < grammar_->guards().size() ? grammar_->guards()[i].name : "uniqueItems";
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  }
  return out;
}

void Engine::find_dead_end(MaskRecord& record, bool ends) {
  if (ends || !record.set.empty()) return;
  if (record.base) {
    std::vector<std::uint32_t> row(vocabulary_->mask_words);
    copy_mask(record, row.data());
    if (std::any_of(row.begin(), row.end(), [](std::uint32_t word) { return word != 0; })) return;
  }
  record.dead_end = true;
  record.refusals = refusals();
}

// -- arrays of distinct items --------------------------------------------------------------------------------

std::int32_t Engine::intern_seen_items(std::vector<std::string> values) {
  std::uint64_t h = values.size();
  for (const std::string& v : values) h = combine(h, std::hash<std::string>{}(v));
  const std::int32_t found = seen_items_index_.find(h, [&](std::int32_t i) { return seen_items_[static_cast<std::size_t>(i)].values == values; });
  if (found >= 0) return found;
  const std::int32_t id = static_cast<std::int32_t>(seen_items_.size());
  seen_items_.push_back({std::move(values)});
  seen_items_index_.insert(h, id);
  return id;
}

std::int32_t Engine::with_item(std::int32_t seen, const std::string& value) {
  std::vector<std::string> values = seen_items_[static_cast<std::size_t>(seen)].values;
  values.insert(std::upper_bound(values.begin(), values.end(), value), value);
  return intern_seen_items(std::move(values));
}

void Engine::expand_distinct(const Frame& f, Stacks below, Expansion& out) {
  if (f.phase == kItem) return;  // checked before anything follows
  const ArrayNode& a = grammar_->array_at(f.node);
  if (f.phase != kAfterComma && f.at >= a.low) out.items.push_back({grammar_->close_bracket, below});
  if (a.high != kInfinity && f.at >= a.high) return;
  SeenItems seen = seen_items_[static_cast<std::size_t>(f.excluded)];
  const std::int32_t need = std::max(a.low, f.at + 1);
  if (!grammar_->distinct().feasible(a, f.at, need, seen.values)) return;
  if (f.phase == kAfterValue) {
    out.items.push_back({grammar_->comma, push({kArrayFrame, kAfterComma, f.node, f.at, 0, 0, f.excluded}, below)});
    return;
  }
  const std::vector<std::string> reserved = grammar_->distinct().reserved(a, f.at, need, seen.values);
  if (!reserved.empty()) {
    seen.values.insert(seen.values.end(), reserved.begin(), reserved.end());
    seen.strings = seen.texts = -1;
  }
  std::int32_t next = f.at + 1;
  if (a.high == kInfinity) next = std::min(next, std::max(a.low, static_cast<std::int32_t>(a.prefix.size())));
  expand_item(a.item(f.at), seen, push({kArrayFrame, kItem, f.node, next, 0, -1, f.excluded}, below), out, 0);
  if (reserved.empty()) {
    seen_items_[static_cast<std::size_t>(f.excluded)].strings = seen.strings;
    seen_items_[static_cast<std::size_t>(f.excluded)].texts = seen.texts;
  }
}

// Scalars less the values that are excluded; what else an item can be is checked when it ends. So are strings that can always
// go on, which keeps the regexes of what requests wrote out of the shared tables.
void Engine::expand_item(Expr e, SeenItems& excluded, Stacks below, Expansion& out, int depth) {
  if (depth > kExpansionDepth) throw LimitError("the grammar nests deeper than " + std::to_string(kExpansionDepth) + " without reading a lexeme");
  if (!grammar_->productive(e)) return;
  const ExprNode n = (*grammar_)[e];
  switch (n.op) {
    case ExprOp::kTerminal: {
      RegexStore& re = lexer_.regexes();
      const Lexer::State q = lexer_[n.a];
      const bool text = q.kind == Kind::kText;
      Lex left = n.a;
      if (!excluded.values.empty() && (text || !grammar_->distinct().endless(q.residual))) {
        Re& without = text ? excluded.texts : excluded.strings;
        if (without < 0) without = grammar_->distinct().excluded(excluded.values, text);
        if (without != RegexStore::kNone) left = lexer_.start(q.kind, re.intersect({q.residual, re.complement(without)}), q.tail);
      }
      if (left != kDeadLex) out.items.push_back({left, below});
      break;
    }
    case ExprOp::kChoice:
      for (std::int32_t i = 0; i < n.b; ++i) expand_item(grammar_->child(n, i), excluded, below, out, depth + 1);
      break;
    case ExprOp::kRule: expand_item(n.a, excluded, below, out, depth + 1); break;
    case ExprOp::kGuarded: expand_item(n.a, excluded, push({kGuardFrame, kFirst, e, -1, 0, 0, 0}, below), out, depth + 1); break;
    default: expand_expr(e, below, out, depth);
  }
}

// -- states ------------------------------------------------------------------------------------------------------

bool Engine::remembers(State s) const {
  for (const Item& item : items(s)) {
    const StackSet& set = sets_[static_cast<std::size_t>(item.stacks)];
    if (set.capturing || set.seen) return true;
  }
  return false;
}

// -- completions -----------------------------------------------------------------------------------------------

// The cheapest way on, byte by byte; where guards refuse it, a search by bytes so far plus bytes left at least.
std::string Engine::guarded_shortest(State s) {
  refused_.assign(refused_.size(), false);
  struct Way {
    Items items;
    Text text;
    std::string bytes;
    std::int64_t cost;
  };
  const auto accepted = [&](const Way& w) {
    return std::any_of(w.items.begin(), w.items.end(), [&](const Item& i) { return ends(i, &w.text); });
  };
  Way way{items(s), text(s), {}, 0};
  Items next;
  std::uint8_t byte;
  while (!accepted(way) && way.bytes.size() < kLongestWay) {
    if (!completion_->next_byte(way.items, way.text, byte)) break;
    advance(way.items, byte, next, &way.text);
    way.items.swap(next);
    way.bytes.push_back(static_cast<char>(byte));
  }
  if (asked_.empty() && !way.items.empty() && accepted(way)) return way.bytes;
  settle();

  // A shortest way, if it is found soon; else any short one, by giving more weight to what is left; at last, one that goes on from wherever it
  // came closer to the end, as in long arrays of distinct strings, where all short ones are used up.
  const auto later = [](const Way& a, const Way& b) { return a.cost != b.cost ? a.cost > b.cost : a.bytes.size() < b.bytes.size(); };
  struct Attempt {
    std::int64_t weight;
    std::size_t most;
    bool commits;
  };
  for (const Attempt& attempt : {Attempt{1, kMostSearched / 4, false}, {4, kMostSearched, false}, {4, kMostSearched, true}}) {
    std::vector<Way> queue;
    queue.push_back({items(s), text(s), {}, 0});
    std::int64_t nearest = completion_->cost(items(s));
    std::size_t last = attempt.most;
    for (std::size_t pops = 0; !queue.empty() && pops < last; ++pops) {
      if (pops == kMostPops) throw LimitError("a completion that the guards let pass takes more than " + std::to_string(kMostPops) + " steps to find");
      std::pop_heap(queue.begin(), queue.end(), later);
      const Way best = std::move(queue.back());
      queue.pop_back();
      if (accepted(best)) {
        settle();
        return best.bytes;
      }
      if (const std::int64_t left = attempt.commits ? completion_->cost(best.items) : nearest; left < nearest) {
        nearest = left;
        queue.clear();
        last = pops + attempt.most;
      }
      for (int b = 0; b < 256; ++b) {
        Way to{{}, best.text, best.bytes, 0};
        advance(best.items, static_cast<std::uint8_t>(b), to.items, &to.text);
        if (to.items.empty()) continue;
        to.bytes.push_back(static_cast<char>(b));
        to.cost = static_cast<std::int64_t>(to.bytes.size()) + attempt.weight * completion_->cost(to.items);
        queue.push_back(std::move(to));
        std::push_heap(queue.begin(), queue.end(), later);
      }
      // Each time that predicates are asked, the search begins anew: rarely, then.
      if ((pops & (pops + 1)) == 0) settle();
    }
    settle();
    if (queue.empty()) break;
  }
  throw GuardDeadEndError(refusals());
}

}  // namespace structgen
