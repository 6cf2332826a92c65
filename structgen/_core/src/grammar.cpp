#include "grammar.hpp"

#include <algorithm>
#include <unordered_map>

#include "lark.hpp"

namespace structgen {

Grammar::Grammar(std::shared_ptr<Lexer> lexer) : lexer_(std::move(lexer)), distinct_(std::make_unique<Distinct>(*this)) {
  add({ExprOp::kNothing});
  add({ExprOp::kEmpty, true, true});
}

Grammar::~Grammar() = default;

void Grammar::json_style(Re ws, bool all_escapes) {
  RegexStore& re = lexer_->regexes();
  const auto punctuation = [&](char c) {
    const std::uint32_t p = static_cast<std::uint8_t>(c);
    return lexer_->start(Kind::kText, re.concat(re.chars({{p, p}}), ws), RegexStore::kEpsilon);
  };
  const auto ascii = [](const char* text) { return std::vector<std::uint32_t>(text, text + std::char_traits<char>::length(text)); };
  json_ = true;
  whitespace = ws;
  string_kind = all_escapes ? Kind::kStringAll : Kind::kStringMinimal;
  key_tail = re.concat({ws, re.chars({{':', ':'}}), ws});
  open_brace = punctuation('{');
  close_brace = punctuation('}');
  open_bracket = punctuation('[');
  close_bracket = punctuation(']');
  comma = punctuation(',');
  // What any JSON lexeme looks like from its first byte on. One filter for all JSON grammars, so that they
  // share the tables of white space, punctuation and numbers.
  const Re first = re.chars({{'{', '{'}, {'}', '}'}, {'[', '['}, {']', ']'}, {',', ','}, {'"', '"'}, {'-', '-'}, {'0', '9'}});
  json_family_ = re.concat(re.unite({first, re.words({ascii("true"), ascii("false"), ascii("null")})}), RegexStore::kAnyStar);
}

Expr Grammar::text(Re r) {
  const std::int32_t memo = text_memo_.get(static_cast<std::uint64_t>(r), -1);
  if (memo >= 0) return memo;
  RegexStore& re = lexer_->regexes();
  Expr out;
  if (re.nullable(r)) {
    const Re rest = re.intersect({r, re.repeat(RegexStore::kAny, 1, kInfinity)});
    out = re.is_empty(rest) ? kEmpty : choice({kEmpty, text(rest)});
    // White space in front of the document follows no lexeme.
    if (json_ && r == whitespace && !followers_.empty() && followers_.back() == rest) followers_.pop_back();
  } else {
    const Lex q = lexer_->start(Kind::kText, r, RegexStore::kEpsilon);
    ExprNode n{ExprOp::kTerminal, q != kDeadLex};
    n.a = q;
    out = q == kDeadLex ? kNothing : add(n);
    if (q != kDeadLex && !(json_ && re.is_empty(re.intersect({r, re.complement(json_family_)})))) followers_.push_back(r);
  }
  text_memo_.put(static_cast<std::uint64_t>(r), out);
  return out;
}

Expr Grammar::lexeme(Re r) { return text(lexer_->regexes().concat(r, whitespace)); }

Expr Grammar::string(Re r) {
  const std::int32_t memo = string_memo_.get(static_cast<std::uint64_t>(r), -1);
  if (memo >= 0) return memo;
  const Lex q = lexer_->start(string_kind, r, whitespace);
  ExprNode n{ExprOp::kTerminal, q != kDeadLex};
  n.a = q;
  const Expr out = q == kDeadLex ? kNothing : add(n);
  string_memo_.put(static_cast<std::uint64_t>(r), out);
  return out;
}

Expr Grammar::add_list(ExprOp op, const std::vector<Expr>& parts) {
  ExprNode n{op};
  n.a = static_cast<std::int32_t>(children_.size());
  n.b = static_cast<std::int32_t>(parts.size());
  children_.insert(children_.end(), parts.begin(), parts.end());
  return add(n);
}

Expr Grammar::choice(const std::vector<Expr>& parts) {
  std::vector<Expr> kept;
  for (Expr p : parts)
    if (p != kNothing && std::find(kept.begin(), kept.end(), p) == kept.end()) kept.push_back(p);
  if (kept.empty()) return kNothing;
  return kept.size() == 1 ? kept[0] : add_list(ExprOp::kChoice, kept);
}

Expr Grammar::sequence(const std::vector<Expr>& parts) {
  std::vector<Expr> kept;
  for (Expr p : parts) {
    if (p == kNothing) return kNothing;
    if (p != kEmpty) kept.push_back(p);
  }
  if (kept.empty()) return kEmpty;
  return kept.size() == 1 ? kept[0] : add_list(ExprOp::kSequence, kept);
}

Expr Grammar::rule() {
  ExprNode n{ExprOp::kRule};
  n.a = -1;
  return add(n);
}

void Grammar::define(Expr rule, Expr body) {
  ExprNode& n = exprs_[static_cast<std::size_t>(rule)];
  if (n.op != ExprOp::kRule || n.a >= 0) throw std::invalid_argument("define() takes a handle of rule(), once");
  n.a = body;
}

Expr Grammar::object(ObjectNode node, const std::vector<std::vector<std::uint32_t>>& keys) {
  RegexStore& re = lexer_->regexes();
  for (std::size_t i = 0; i < keys.size(); ++i) node.members[i].key = lexer_->start(string_kind, re.literal(keys[i]), key_tail);
  for (std::size_t i = 0; i < node.extras.size(); ++i) node.extras[i].key = lexer_->start(string_kind, node.extra_keys[i], key_tail);
  ExprNode n{ExprOp::kObject};
  n.a = static_cast<std::int32_t>(objects_.size());
  objects_.push_back(std::move(node));
  return add(n);
}

Expr Grammar::array(ArrayNode node) {
  ExprNode n{ExprOp::kArray};
  n.a = static_cast<std::int32_t>(arrays_.size());
  remembers_ = remembers_ || node.unique;
  arrays_.push_back(std::move(node));
  return add(n);
}

std::int32_t Grammar::guard(Guard guard) {
  guards_.push_back(std::move(guard));
  return static_cast<std::int32_t>(guards_.size() - 1);
}

Expr Grammar::guarded(Expr body, std::int32_t guard, bool negated) {
  if (body == kNothing) return kNothing;
  ExprNode n{ExprOp::kGuarded};
  n.a = body;
  n.b = guard * 2 + negated;
  remembers_ = true;
  return add(n);
}

Expr Grammar::lark(std::unique_ptr<LarkGrammar> lark) {
  if (lark_) throw std::invalid_argument("a builder takes one Lark grammar");
  lark_ = std::move(lark);
  return add({ExprOp::kLark});
}

void Grammar::name_nodes(const std::vector<std::pair<Expr, std::vector<std::string>>>& named) const {
  auto made = std::make_unique<NodeNames>();
  made->objects.assign(objects_.size(), {0});
  made->arrays.assign(arrays_.size(), {1});
  std::unordered_map<std::string, std::int32_t> numbers;
  for (const auto& [expr, names] : named) {
    if (names.empty() || !is_expr(expr)) continue;
    const ExprNode* n = &(*this)[expr];
    while (n->op == ExprOp::kGuarded) n = &(*this)[n->a];
    if (n->op != ExprOp::kObject && n->op != ExprOp::kArray) continue;
    std::vector<std::int32_t> list;
    for (const std::string& name : names) {
      const auto [found, added] = numbers.emplace(name, static_cast<std::int32_t>(made->names.size()));
      if (added) made->names.push_back(name);
      list.push_back(found->second);
    }
    (n->op == ExprOp::kObject ? made->objects : made->arrays)[static_cast<std::size_t>(n->a)] = std::move(list);
  }
  names_ = std::move(made);
}

bool Grammar::compute_productive(const ExprNode& n) {
  switch (n.op) {
    case ExprOp::kNothing: return false;
    case ExprOp::kEmpty: return true;
    case ExprOp::kTerminal: return n.a != kDeadLex;
    case ExprOp::kRule:
      if (n.a < 0) throw std::invalid_argument("a rule was never defined");
      return productive(n.a);
    case ExprOp::kChoice:
      for (std::int32_t i = 0; i < n.b; ++i)
        if (productive(child(n, i))) return true;
      return false;
    case ExprOp::kSequence:
      for (std::int32_t i = 0; i < n.b; ++i)
        if (!productive(child(n, i))) return false;
      return true;
    case ExprOp::kObject: {
      ObjectNode& o = objects_[static_cast<std::size_t>(n.a)];
      if (!o.tally) return compute_productive(o);
      refresh(o);
      return inhabited(members_plan(o.tally->slot_options, extras_plan(o, RegexStore::kNone)), o.tally->goal);
    }
    case ExprOp::kArray: {
      ArrayNode& a = arrays_[static_cast<std::size_t>(n.a)];
      if (!a.tally) return compute_productive(a);
      refresh(a);
      return inhabited(a.tally->plans[0], a.tally->goal);
    }
    case ExprOp::kGuarded: return productive(n.a);
    case ExprOp::kLark: return true;  // what can't be completed is found when it runs
  }
  return false;
}

bool Grammar::compute_productive(const ObjectNode& o) const {
  std::int32_t required = 0, possible = 0;
  for (const ObjectNode::Member& m : o.members) {
    const bool usable = m.key != kDeadLex && productive(m.value);
    if (m.required && !usable) return false;
    required += m.required;
    possible += usable;
  }
  if (o.high != kInfinity && required > o.high) return false;
  if (o.high != kInfinity && o.low > o.high) return false;
  std::int64_t room = possible;
  for (std::size_t i = 0; i < o.extras.size() && room < o.low; ++i) {
    if (o.extras[i].key == kDeadLex || !productive(o.extras[i].value)) continue;
    room += o.distinct ? lexer_->regexes().count(o.extra_keys[i], o.low) : o.low;
  }
  return room >= o.low;
}

bool Grammar::compute_productive(const ArrayNode& a) const {
  if (a.high != kInfinity && a.low > a.high) return false;
  const std::int32_t distinct = std::min(a.low, static_cast<std::int32_t>(a.prefix.size()) + 1);
  for (std::int32_t i = 0; i < distinct; ++i)
    if (!productive(a.item(i))) return false;
  return !a.unique || distinct_->feasible(a, 0, a.low, {});
}

bool Grammar::compute_nullable(const ExprNode& n) const {
  if (n.op == ExprOp::kRule) return exprs_[static_cast<std::size_t>(n.a)].nullable;
  if (n.op != ExprOp::kChoice && n.op != ExprOp::kSequence) return n.op == ExprOp::kEmpty;
  const bool all = n.op == ExprOp::kSequence;
  for (std::int32_t i = 0; i < n.b; ++i)
    if (exprs_[static_cast<std::size_t>(child(n, i))].nullable != all) return !all;
  return all;
}

void Grammar::prune(ObjectNode& o) const {
  if (o.tally) {
    prune_tally(o);
  } else {
    const auto useless = [&](const ObjectNode::Member& m) { return m.key == kDeadLex || !productive(m.value); };
    o.members.erase(std::remove_if(o.members.begin(), o.members.end(), useless), o.members.end());
    std::size_t kept = 0;
    for (std::size_t i = 0; i < o.extras.size(); ++i) {
      if (useless(o.extras[i])) continue;
      o.extras[kept] = o.extras[i];
      o.extra_keys[kept++] = o.extra_keys[i];
    }
    o.extras.resize(kept);
    o.extra_keys.resize(kept);
  }
  const std::size_t size = o.members.size();
  o.required_from.assign(size + 1, 0);
  o.next_required.assign(size + 1, static_cast<std::int32_t>(size));
  for (std::size_t i = size; i-- > 0;) {
    o.required_from[i] = o.required_from[i + 1] + o.members[i].required;
    o.next_required[i] = o.members[i].required ? static_cast<std::int32_t>(i) : o.next_required[i + 1];
  }
}

void Grammar::prune(ArrayNode& a) const {
  if (a.tally) return prune_tally(a);
  std::int32_t possible = 0;
  while (possible < static_cast<std::int32_t>(a.prefix.size()) && productive(a.item(possible))) ++possible;
  const bool bounded = possible < static_cast<std::int32_t>(a.prefix.size()) || !productive(a.rest);
  if (bounded && (a.high == kInfinity || a.high > possible)) a.high = possible;
  for (std::int32_t i = 0; a.unique && i <= static_cast<std::int32_t>(a.prefix.size()); ++i) a.plain = a.plain && !distinct_->domain(a.item(i)).sequences;
}

std::size_t Grammar::bytes() const {
  std::size_t total = exprs_.capacity() * sizeof(ExprNode) + children_.capacity() * sizeof(Expr) + text_memo_.bytes() + string_memo_.bytes();
  const auto add = [&](const std::unique_ptr<Tally>& tally) {
    if (!tally) return;
    total += sizeof(Tally) + (tally->slot_options.size() + tally->extra_options.size() + tally->plans.size()) * sizeof(std::int32_t);
    for (const std::vector<Cells>* list : {&tally->slots, &tally->extras})
      for (const Cells& cells : *list) total += sizeof(Cells) + cells.size() * sizeof(Cell);
  };
  for (const ObjectNode& o : objects_) {
    total += sizeof(ObjectNode) + (o.members.size() + o.extras.size()) * sizeof(ObjectNode::Member) +
             (o.extra_keys.size() + o.required_from.size() + o.next_required.size()) * sizeof(std::int32_t);
    add(o.tally);
  }
  for (const ArrayNode& a : arrays_) {
    total += sizeof(ArrayNode) + a.prefix.size() * sizeof(Expr);
    add(a.tally);
  }
  if (lark_) {
    for (const LrRule& rule : lark_->rules) total += sizeof(LrRule) + rule.rhs.size() * sizeof(std::int32_t);
    for (const LrTables::State& s : lark_->tables.states)
      total += sizeof(s) + (s.actions.size() + s.gotos.size() + s.kernel.size() + s.lost.size()) * sizeof(LrTables::Pair);
  }
  return total;
}

bool Grammar::finish(Expr e) {
  // Least fixpoint. Children mostly come before their parents, so few rounds are needed.
  for (bool changed = true; changed;) {
    changed = false;
    for (ExprNode& n : exprs_)
      if (!n.productive && compute_productive(n)) n.productive = changed = true;
    distinct_->forget();
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (ExprNode& n : exprs_)
      if (!n.nullable && compute_nullable(n)) n.nullable = changed = true;
  }
  const auto nullable = [&](Expr i) { return exprs_[static_cast<std::size_t>(i)].nullable; };
  const auto some_nullable = [&](const Cells& cells) { return std::any_of(cells.begin(), cells.end(), [&](const Cell& c) { return nullable(c.value); }); };
  const auto may_be_empty = [&](const ArrayNode& a) {
    if (a.tally) return some_nullable(a.tally->extras[0]) || std::any_of(a.tally->slots.begin(), a.tally->slots.end(), some_nullable);
    return nullable(a.rest) || std::any_of(a.prefix.begin(), a.prefix.end(), nullable);
  };
  for (const ExprNode& n : exprs_)
    if (n.op == ExprOp::kGuarded && nullable(n.a)) throw std::invalid_argument("a guarded expression must not match the empty string");
  for (const ArrayNode& a : arrays_)
    if (a.unique && may_be_empty(a)) throw std::invalid_argument("an item of a unique array must not match the empty string");
  for (ObjectNode& o : objects_) prune(o);
  for (ArrayNode& a : arrays_) prune(a);
  start = e;
  if (json_) followers_.push_back(json_family_);
  // Anything at all can follow what is embedded in a Lark grammar.
  if (lark_ && lark_->any_text >= 0) {
    filter = lexer_->filter(RegexStore::kAnyStar);
    return productive(e);
  }
  // A lone terminal is followed by nothing.
  const bool sequences = std::any_of(exprs_.begin(), exprs_.end(), [](const ExprNode& n) { return n.op == ExprOp::kSequence; });
  if (!followers_.empty() && (json_ || sequences)) {
    RegexStore& re = lexer_->regexes();
    std::vector<Re> parts;
    for (Re r : followers_) parts.push_back(re.concat(r, RegexStore::kAnyStar));
    filter = lexer_->filter(re.unite(std::move(parts)));
  }
  return productive(e);
}

}  // namespace structgen
