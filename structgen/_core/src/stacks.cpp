// The residual parser: frames, sets of stacks, and what lexemes can come next.
#include <algorithm>

#include "completion.hpp"
#include "engine.hpp"

namespace structgen {

namespace {

constexpr int kUniteDepth = 5000;
constexpr std::size_t kAllocation = 32;  // bytes, about

}  // namespace

std::int32_t Engine::frame(const Frame& f) {
  std::uint64_t h = (static_cast<std::uint64_t>(f.kind) << 8) | f.phase;
  for (std::int32_t x : {f.node, f.at, f.count, f.member, f.excluded, f.text}) h = combine(h, static_cast<std::uint32_t>(x));
  const std::int32_t found = frame_index_.find(h, [&](std::int32_t i) { return frames_[static_cast<std::size_t>(i)] == f; });
  if (found >= 0) return found;
  const std::int32_t id = static_cast<std::int32_t>(frames_.size());
  frames_.push_back(f);
  frame_index_.insert(h, id);
  return id;
}

std::uint64_t Engine::hash_set(const Entry* begin, const Entry* end, bool done) const {
  std::uint64_t h = done;
  for (const Entry* e = begin; e != end; ++e) h = combine(h, (static_cast<std::uint64_t>(static_cast<std::uint32_t>(e->frame)) << 32) | static_cast<std::uint32_t>(e->below));
  return h;
}

Stacks Engine::intern_set(std::vector<Entry> entries, bool done) {
  std::sort(entries.begin(), entries.end());
  const std::uint64_t h = hash_set(entries.data(), entries.data() + entries.size(), done);
  const std::int32_t found = set_index_.find(h, [&](std::int32_t i) {
    const StackSet& s = sets_[static_cast<std::size_t>(i)];
    return s.done == done && s.end - s.begin == entries.size() && std::equal(entries.begin(), entries.end(), entries_.begin() + s.begin);
  });
  if (found >= 0) return found;
  const Stacks id = static_cast<Stacks>(sets_.size());
  const std::uint32_t begin = static_cast<std::uint32_t>(entries_.size());
  entries_.insert(entries_.end(), entries.begin(), entries.end());
  StackSet set{begin, static_cast<std::uint32_t>(entries_.size()), done, false, 0};
  for (const Entry& e : entries) {
    const Frame& f = frames_[static_cast<std::size_t>(e.frame)];
    const StackSet& below = sets_[static_cast<std::size_t>(e.below)];
    const bool item = f.phase == kItem, check = item || f.kind == kGuardFrame, begun = (item ? f.member : f.at) >= 0;
    set.depth = std::max(set.depth, below.depth + 1);
    set.captures = set.captures || f.phase == kKey;
    set.unsure = set.unsure || (f.text == kUnread && f.phase == kAfterComma);
    set.checks = set.checks || check;
    set.pending = set.pending || below.pending || (check && !begun);
    set.capturing = set.capturing || below.capturing || (check && begun);
    set.seen = set.seen || below.seen || (f.kind == kArrayFrame && f.excluded > 0);
  }
  sets_.push_back(set);
  expansions_.emplace_back();
  set_index_.insert(h, id);
  return id;
}

std::size_t Engine::stack_bytes() const {
  return entries_.size() * sizeof(Entry) + sets_.size() * (sizeof(StackSet) + sizeof(expansions_[0])) + set_index_.bytes() + united_.bytes() + shift_index_.bytes() +
         shifts_.size() * sizeof(Shift) + open_index_.bytes() + opened_.size() * (sizeof(Opened) + sizeof(Item) + kAllocation) + wanted_index_.bytes() +
         live_index_.bytes() + lives_.size() * sizeof(lives_[0]) + nesting_of_.bytes() + nesting_index_.bytes() +
         nestings_.size() * (sizeof(Nesting) + kAllocation);
}

// Masks try many stacks that no text may ever lead to; the masks themselves remain. What states hold keeps its order, so that sets and items stay sorted.
void Engine::sweep() {
  if (numbered_) {
    evict();
    wanted_index_.clear();
    numbered_ = false;
  }
  forget(walks_, forgotten_.walks);
  walk_index_.clear();
  completion_.reset();
  expansions_.clear();
  for (FlatMap* memo : {&united_, &passed_, &unread_, &shift_index_, &live_index_, &nesting_of_}) memo->clear();
  nestings_.clear();
  nesting_index_.clear();
  shifts_.clear();
  lives_.clear();
  forget(opened_, forgotten_.opened);
  open_index_.clear();
  // What was left the last time is still held, by the states that there were.
  const State first = static_cast<State>(std::max<std::size_t>(swept_states_, kFinished + 1));
  const Stacks kept = static_cast<Stacks>(std::max<std::size_t>(swept_sets_, kDone + 1));
  const auto hash_of = [&](State s) { return hash_state(items(s), state_texts_.empty() ? 0 : state_texts_[static_cast<std::size_t>(s)]); };
  for (State s = first; static_cast<std::size_t>(s) < states(); ++s) config_index_.erase(hash_of(s), s);
  std::vector<Stacks> renamed(sets_.size() - static_cast<std::size_t>(kept), -1);
  const auto hold = [&](Stacks s) {
    if (s >= kept) renamed[static_cast<std::size_t>(s - kept)] = 0;
  };
  const auto rename = [&](Stacks s) { return s < kept ? s : renamed[static_cast<std::size_t>(s - kept)]; };
  const std::size_t begin = offsets_[static_cast<std::size_t>(first)];
  for (std::size_t i = begin; i < pool_.size(); ++i) hold(pool_[i].stacks);
  // Sets refer to sets before them only.
  for (std::size_t s = renamed.size(); s-- > 0;) {
    const StackSet& set = sets_[static_cast<std::size_t>(kept) + s];
    for (std::uint32_t i = set.begin; renamed[s] == 0 && i < set.end; ++i) hold(entries_[i].below);
  }
  std::size_t sets = static_cast<std::size_t>(kept);
  std::uint32_t entries = sets < sets_.size() ? sets_[sets].begin : static_cast<std::uint32_t>(entries_.size());
  for (std::size_t s = 0; s < renamed.size(); ++s) {
    if (renamed[s] < 0) continue;
    StackSet set = sets_[static_cast<std::size_t>(kept) + s];
    const std::uint32_t from = std::exchange(set.begin, entries);
    for (std::uint32_t i = from; i < set.end; ++i) entries_[entries++] = {entries_[i].frame, rename(entries_[i].below)};
    set.end = entries;
    renamed[s] = static_cast<Stacks>(sets);
    sets_[sets++] = set;
  }
  entries_.resize(entries);
  sets_.resize(sets);
  expansions_.resize(sets);
  set_index_.clear();
  for (std::size_t s = 0; s < sets; ++s) set_index_.insert(hash_set(entries_.data() + sets_[s].begin, entries_.data() + sets_[s].end, sets_[s].done), static_cast<Stacks>(s));
  for (std::size_t i = begin; i < pool_.size(); ++i) pool_[i].stacks = rename(pool_[i].stacks);
  for (State s = first; static_cast<std::size_t>(s) < states(); ++s) config_index_.insert(hash_of(s), s);
  swept_sets_ = sets;
  swept_states_ = states();
  swept_bytes_ = stack_bytes();
}

Stacks Engine::push(const Frame& f, Stacks below) { return intern_set({{frame(f), below}}, false); }

Stacks Engine::unite(Stacks a, Stacks b) {
  if (a == b) return a;
  if (a > b) std::swap(a, b);
  const std::uint64_t key = (static_cast<std::uint64_t>(a) << 32) | static_cast<std::uint32_t>(b);
  const Stacks memo = united_.get(key, -1);
  if (memo >= 0) return memo;
  struct Depth {
    explicit Depth(int& d) : depth(d) {
      if (++depth > kUniteDepth) {
        --depth;
        throw LimitError("two readings of a deeply nested text differ over more than " + std::to_string(kUniteDepth) + " levels");
      }
    }
    ~Depth() { --depth; }
    int& depth;
  } guard(unite_depth_);
  std::vector<Entry> out;
  const StackSet sa = sets_[static_cast<std::size_t>(a)], sb = sets_[static_cast<std::size_t>(b)];
  std::uint32_t i = sa.begin, j = sb.begin;
  while (i < sa.end || j < sb.end) {
    if (j == sb.end || (i < sa.end && entries_[i].frame < entries_[j].frame)) {
      out.push_back(entries_[i++]);
    } else if (i == sa.end || entries_[j].frame < entries_[i].frame) {
      out.push_back(entries_[j++]);
    } else {
      // Equal frames merge what is below them, so that ambiguity does not multiply.
      const std::int32_t same = entries_[i].frame;
      const Stacks below_a = entries_[i++].below, below_b = entries_[j++].below;
      out.push_back({same, unite(below_a, below_b)});
    }
  }
  const Stacks result = intern_set(std::move(out), sa.done || sb.done);
  united_.put(key, result);
  return result;
}

bool Engine::nullable(const Frame& f) const {
  if (f.kind != kSequenceFrame) return false;
  if (f.at < 0) return (*grammar_)[f.node].nullable;
  const ExprNode& n = (*grammar_)[f.node];
  for (std::int32_t i = f.at; i < n.b; ++i)
    if (!(*grammar_)[grammar_->child(n, i)].nullable) return false;
  return true;
}

const Engine::Expansion& Engine::expand(Stacks s) {
  // Frames that may be empty let what is below them show: the lowest first, so that nothing recurses with the stack.
  std::vector<Stacks> todo;
  for (Stacks at = s; !expansions_[static_cast<std::size_t>(s)];) {
    Stacks first = kNoStack;
    const StackSet set = sets_[static_cast<std::size_t>(at)];
    for (std::uint32_t i = set.begin; i < set.end; ++i)
      if (!expansions_[static_cast<std::size_t>(entries_[i].below)] && nullable(frames_[static_cast<std::size_t>(entries_[i].frame)])) first = entries_[i].below;
    if (first != kNoStack) {
      todo.push_back(at);
      at = first;
      continue;
    }
    expand_one(at);
    if (todo.empty()) break;
    at = todo.back();
    todo.pop_back();
  }
  return *expansions_[static_cast<std::size_t>(s)];
}

void Engine::expand_one(Stacks s) {
  if (expansions_[static_cast<std::size_t>(s)]) return;
  if (expanding_ >= kMostLeftOut)
    throw LimitError("more than " + std::to_string(kMostLeftOut) + " parts that may be empty follow each other, or a rule begins with itself behind such a part");
  struct Nested {
    int& count;
    explicit Nested(int& c) : count(c) { ++count; }
    ~Nested() { --count; }
  } const nested(expanding_);
  auto out = std::make_unique<Expansion>();
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  out->accepts = set.done;
  std::vector<Entry> lark;
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    const Entry e = entries_[i];
    const FrameKind kind = frames_[static_cast<std::size_t>(e.frame)].kind;
    if (kind == kLrFrame || kind == kIndentFrame)
      lark.push_back(e);
    else
      expand_frame(frames_[static_cast<std::size_t>(e.frame)], e.below, *out);
  }
  if (!lark.empty()) {
    const Stacks parser = intern_set(std::move(lark), false);
    const Items& begin = open(parser, 0, 0).items;
    out->items.insert(out->items.end(), begin.begin(), begin.end());
    out->accepts = out->accepts || lark_accepts(parser);
  }
  normalize(out->items);
  expansions_[static_cast<std::size_t>(s)] = std::move(out);
}

void Engine::expand_frame(const Frame& frame, Stacks below, Expansion& out) {
  const Frame f = frame;  // interning may move the original
  if (f.text == kUnread && f.phase != kValue) {
    const Stacks unsure = push({f.kind, kAfterComma, f.node, 0, 0, 0, 0, kUnread}, below);
    out.items.push_back({grammar_->comma, unsure});
    out.items.push_back({f.kind == kObjectFrame ? grammar_->close_brace : grammar_->close_bracket, unsure});
    return;
  }
  switch (f.kind) {
    case kSequenceFrame:
      if (f.at < 0)
        expand_expr(f.node, below, out, 0);
      else
        expand_sequence(f.node, f.at, below, out, 0);
      break;
    case kObjectFrame: expand_object(f, below, out); break;
    case kArrayFrame: expand_array(f, below, out); break;
    case kGuardFrame: break;  // checked before anything follows
    case kLrFrame:
    case kIndentFrame: break;  // dealt with as a whole
  }
}

void Engine::expand_sequence(Expr e, std::int32_t at, Stacks below, Expansion& out, int depth) {
  const ExprNode& n = (*grammar_)[e];
  const bool last = at + 1 == n.b;
  const Stacks after = last ? below : push({kSequenceFrame, kFirst, e, at + 1, 0, 0, 0}, below);
  expand_expr(grammar_->child(n, at), after, out, depth + 1);
}

void Engine::expand_expr(Expr e, Stacks below, Expansion& out, int depth) {
  if (depth > kExpansionDepth) throw LimitError("the grammar nests deeper than " + std::to_string(kExpansionDepth) + " without reading a lexeme, as left recursion does");
  if (!grammar_->productive(e)) return;
  const ExprNode& n = (*grammar_)[e];
  switch (n.op) {
    case ExprOp::kNothing: break;
    case ExprOp::kEmpty: {
      const Expansion& next = expand(below);
      out.items.insert(out.items.end(), next.items.begin(), next.items.end());
      out.accepts = out.accepts || next.accepts;
      break;
    }
    case ExprOp::kTerminal: out.items.push_back({n.a, below}); break;
    case ExprOp::kChoice:
      for (std::int32_t i = 0; i < n.b; ++i) expand_expr(grammar_->child(n, i), below, out, depth + 1);
      break;
    case ExprOp::kSequence: expand_sequence(e, 0, below, out, depth); break;
    case ExprOp::kRule: expand_expr(n.a, below, out, depth + 1); break;
    case ExprOp::kObject: out.items.push_back({grammar_->open_brace, push(first_frame(n), below)}); break;
    case ExprOp::kArray: out.items.push_back({grammar_->open_bracket, push(first_frame(n), below)}); break;
    case ExprOp::kLark: {
      const Expansion& begin = expand(lark_start(below));
      out.items.insert(out.items.end(), begin.items.begin(), begin.items.end());
      out.accepts = out.accepts || begin.accepts;
      break;
    }
    case ExprOp::kGuarded: expand_expr(n.a, push({kGuardFrame, kFirst, e, -1, 0, 0, 0}, below), out, depth + 1); break;
  }
}

// The frame behind the opening bracket of an object or array.
Engine::Frame Engine::first_frame(const ExprNode& n) const {
  const bool object = n.op == ExprOp::kObject;
  const Tally* tally = object ? grammar_->object_at(n.a).tally.get() : grammar_->array_at(n.a).tally.get();
  return {object ? kObjectFrame : kArrayFrame, kFirst, n.a, 0, tally ? tally->goal : 0, 0, 0};
}

bool Engine::has_seen(std::int32_t seen, std::int32_t member) const {
  const std::vector<std::uint64_t>& bits = seen_[static_cast<std::size_t>(seen)];
  const std::size_t word = static_cast<std::size_t>(member) / 64;
  return word < bits.size() && (bits[word] >> (member % 64) & 1);
}

std::int32_t Engine::seen_with(std::int32_t seen, std::int32_t member) {
  std::vector<std::uint64_t> bits = seen_[static_cast<std::size_t>(seen)];
  const std::size_t word = static_cast<std::size_t>(member) / 64;
  if (bits.size() <= word) bits.resize(word + 1, 0);
  bits[word] |= std::uint64_t{1} << (member % 64);
  std::uint64_t h = bits.size();
  for (std::uint64_t b : bits) h = combine(h, b);
  const std::int32_t found = seen_index_.find(h, [&](std::int32_t i) { return seen_[static_cast<std::size_t>(i)] == bits; });
  if (found >= 0) return found;
  const std::int32_t id = static_cast<std::int32_t>(seen_.size());
  seen_.push_back(std::move(bits));
  seen_index_.insert(h, id);
  return id;
}

void Engine::expand_object(const Frame& f, Stacks below, Expansion& out) {
  const ObjectNode& o = grammar_->object_at(f.node);
  if (o.tally) return expand_tallied(o, f, below, out);
  const std::int32_t size = static_cast<std::int32_t>(o.members.size());
  if (f.phase == kValue) {
    const Expr value = f.member >= 0 ? o.members[static_cast<std::size_t>(f.member)].value : o.extras[static_cast<std::size_t>(~f.member)].value;
    expand_expr(value, push({kObjectFrame, kAfterValue, f.node, f.at, f.count, 0, f.excluded, f.text}, below), out, 0);
    return;
  }
  // Required members that have not come yet, and members that still can.
  std::int32_t required = 0, possible = 0;
  if (o.ordered) {
    required = o.required_from[static_cast<std::size_t>(f.at)];
    possible = size - f.at;
  } else {
    for (std::int32_t i = 0; i < size; ++i) {
      if (has_seen(f.at, i)) continue;
      required += o.members[static_cast<std::size_t>(i)].required;
      ++possible;
    }
  }
  const bool counted = o.high != kInfinity || o.low > 0;
  const auto next_count = [&]() { return !counted ? 0 : o.high == kInfinity ? std::min(f.count + 1, o.low) : f.count + 1; };
  // How many more extras there can be: no bound, or what distinct keys are left.
  const std::int32_t room = extra_room(o, f.excluded);
  const auto extra_fits = [&]() {
    if (room == 0 || (o.high != kInfinity && f.count + 1 + required > o.high)) return false;
    return room == kInfinity || f.count + possible + room >= o.low;
  };
  const auto fits = [&](std::int32_t still_required, std::int32_t still_possible) {
    if (o.high != kInfinity && f.count + 1 + still_required > o.high) return false;
    return room == kInfinity || f.count + 1 + still_possible + room >= o.low;
  };
  const bool closes = required == 0 && f.count >= o.low;
  if (f.phase == kAfterValue) {
    if (closes) out.items.push_back({grammar_->close_brace, below});
    bool more = extra_fits();
    for (std::int32_t i = o.ordered ? f.at : 0; i < size && !more; ++i) {
      if (!o.ordered && has_seen(f.at, i)) continue;
      const bool needed = o.members[static_cast<std::size_t>(i)].required;
      more = o.ordered ? fits(o.required_from[static_cast<std::size_t>(i) + 1], size - i - 1) : fits(required - needed, possible - 1);
      if (o.ordered && needed) break;
    }
    if (more) out.items.push_back({grammar_->comma, push({kObjectFrame, kAfterComma, f.node, f.at, f.count, 0, f.excluded}, below)});
    return;
  }
  if (f.phase == kFirst && closes) out.items.push_back({grammar_->close_brace, below});
  const std::int32_t count = next_count();
  const std::int32_t last = o.ordered ? std::min(size - 1, o.next_required[static_cast<std::size_t>(f.at)]) : size - 1;
  for (std::int32_t i = o.ordered ? f.at : 0; i <= last; ++i) {
    if (!o.ordered && has_seen(f.at, i)) continue;
    const ObjectNode::Member& m = o.members[static_cast<std::size_t>(i)];
    if (o.ordered ? !fits(o.required_from[static_cast<std::size_t>(i) + 1], size - i - 1) : !fits(required - m.required, possible - 1)) continue;
    out.items.push_back({m.key, push({kObjectFrame, kValue, f.node, o.ordered ? i + 1 : seen_with(f.at, i), count, i, f.excluded}, below)});
  }
  if (!extra_fits()) return;
  for (std::size_t j = 0; j < o.extras.size(); ++j) expand_extra(o, j, f, count, below, out);
}

void Engine::expand_extra(const ObjectNode& o, std::size_t j, const Frame& f, std::int32_t count, Stacks below, Expansion& out) {
  const Frame next{kObjectFrame, o.distinct ? kKey : kValue, f.node, f.at, count, ~static_cast<std::int32_t>(j), f.excluded};
  const Lex key = f.excluded == 0 ? o.extras[j].key : lexer_.start(grammar_->string_kind, grammar_->extra_key(o, j, f.excluded), grammar_->key_tail);
  if (key != kDeadLex) out.items.push_back({key, push(next, below)});
}

std::int32_t Engine::extra_room(const ObjectNode& o, std::int32_t excluded) {
  if (o.extras.empty()) return 0;
  if (!o.distinct) return kInfinity;
  RegexStore& re = lexer_.regexes();
  const std::int32_t enough = std::max(o.low, 1);
  std::int32_t room = 0;
  for (std::size_t j = 0; j < o.extras.size(); ++j) {
    if (re.node(o.extra_keys[j]).max_length == kInfinity && excluded == 0) return kInfinity;
    room += re.count(grammar_->extra_key(o, j, excluded), enough);
    if (room >= enough) return kInfinity;
  }
  return room;
}

// The characters of a string that has begun, quote included.
std::vector<std::uint32_t> Engine::decoded(const std::string& text) const {
  std::vector<std::uint32_t> out;
  Decoder decoder = kDecoderOpen;
  for (const char c : text) {
    const Fed fed = structgen::feed(grammar_->string_kind, decoder, static_cast<std::uint8_t>(c));
    if (fed.status == Fed::kChar) out.push_back(fed.value);
    decoder = fed.status == Fed::kPending ? fed.value : static_cast<Decoder>(kClean);
  }
  return out;
}

// Remembers a byte of a key; behind its closing quote, excludes the key from those that may come later.
Stacks Engine::capture(Stacks s, std::uint8_t byte, bool closed) {
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  std::vector<Entry> out;
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    Entry e = entries_[i];
    Frame f = frames_[static_cast<std::size_t>(e.frame)];
    if (f.phase == kKey) {
      f.text = keys_.intern({f.text, {static_cast<char>(byte)}});
      if (closed) {
        f.excluded = lexer_.regexes().unite({f.excluded, lexer_.regexes().literal(decoded(keys_.from({f.text, {}}, 0)))});
        f.phase = kValue;
        f.text = 0;
      }
      e.frame = frame(f);
    }
    out.push_back(e);
  }
  return intern_set(std::move(out), set.done);
}

// The stacks behind a key or string that is still being read, without a look at it: none where a guard must judge it. A string is
// taken to repeat no item.
Stacks Engine::unread(Stacks s) {
  const Stacks memo = unread_.get(static_cast<std::uint64_t>(s), -1);
  if (memo >= 0) return memo;
  const StackSet set = sets_[static_cast<std::size_t>(s)];
  std::vector<Entry> out;
  bool judged = false;
  for (std::uint32_t i = set.begin; i < set.end; ++i) {
    Entry e = entries_[i];
    Frame f = frames_[static_cast<std::size_t>(e.frame)];
    judged = judged || f.kind == kGuardFrame || (f.phase == kItem && !grammar_->array_at(f.node).plain);
    judged = judged || (f.phase == kKey && !keys_abound(grammar_->object_at(f.node), static_cast<std::size_t>(~f.member), f.excluded));
    if (f.phase == kKey || f.phase == kItem) {
      f.phase = f.phase == kKey ? kValue : kAfterValue;
      f.text = kUnread;
      if (f.kind == kArrayFrame) f.member = 0;
      e.frame = frame(f);
    }
    out.push_back(e);
  }
  const Stacks result = judged ? kNoStack : intern_set(std::move(out), set.done);
  unread_.put(static_cast<std::uint64_t>(s), result);
  return result;
}

void Engine::expand_array(const Frame& f, Stacks below, Expansion& out) {
  const ArrayNode& a = grammar_->array_at(f.node);
  if (a.tally) return expand_tallied(a, f, below, out);
  if (a.unique) return expand_distinct(f, below, out);
  const bool room = a.high == kInfinity || f.at < a.high;
  if (f.phase != kAfterComma && f.at >= a.low) out.items.push_back({grammar_->close_bracket, below});
  if (!room) return;
  if (f.phase == kAfterValue) {
    out.items.push_back({grammar_->comma, push({kArrayFrame, kAfterComma, f.node, f.at, 0, 0, 0}, below)});
    return;
  }
  // Counts that nothing depends on any more are all alike.
  std::int32_t next = f.at + 1;
  if (a.high == kInfinity) next = std::min(next, std::max(a.low, static_cast<std::int32_t>(a.prefix.size())));
  expand_expr(a.item(f.at), push({kArrayFrame, kAfterValue, f.node, next, 0, 0, 0}, below), out, 0);
}

}  // namespace structgen
