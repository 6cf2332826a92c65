#include "lr_prepare.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace structgen {

namespace {

// A rule with more symbols that can be left out is cut in pieces, so that it makes few variants instead of 2^n.
constexpr std::size_t kMostOptional = 3;

bool has(const std::vector<char>& set, std::int32_t i) { return set[static_cast<std::size_t>(i)] != 0; }

bool all_derive(const LrRule& r, const std::vector<char>& nonterminals, const std::vector<char>& terminals) {
  return std::all_of(r.rhs.begin(), r.rhs.end(), [&](std::int32_t s) { return s >= 0 ? has(terminals, s) : has(nonterminals, ~s); });
}

// Nonterminals that derive some string of at least one terminal.
std::vector<char> deriving_more(const std::vector<LrRule>& rules, const std::vector<char>& productive, const std::vector<char>& terminals) {
  std::vector<char> found(productive.size(), 0);
  std::vector<std::vector<std::int32_t>> users(found.size());
  std::vector<std::int32_t> work;
  const auto derive = [&](std::int32_t n) {
    if (has(found, n)) return;
    found[static_cast<std::size_t>(n)] = 1;
    work.push_back(n);
  };
  for (const LrRule& r : rules) {
    if (!all_derive(r, productive, terminals)) continue;
    for (const std::int32_t s : r.rhs) {
      if (s >= 0) derive(r.lhs);
      else users[static_cast<std::size_t>(~s)].push_back(r.lhs);
    }
  }
  while (!work.empty()) {
    const std::int32_t n = work.back();
    work.pop_back();
    for (const std::int32_t user : users[static_cast<std::size_t>(n)]) derive(user);
  }
  return found;
}

class EmptyRemoval {
 public:
  EmptyRemoval(WithoutEmpty& out, const std::vector<char>& nullable, const std::vector<char>& more, std::size_t max_rules)
      : out_(out), nullable_(nullable), more_(more), max_rules_(max_rules) {}

  void add(const LrRule& rule, std::int32_t from) {
    std::vector<Part> parts;
    for (const std::int32_t s : rule.rhs) {
      if (s >= 0) parts.push_back({s, false});
      else if (has(more_, ~s)) parts.push_back({s, has(nullable_, ~s)});
    }
    std::int32_t lhs = rule.lhs;
    for (auto begin = parts.begin();;) {
      std::size_t optional = 0;
      auto end = begin;
      while (end != parts.end() && optional + end->optional <= kMostOptional) optional += (end++)->optional;
      std::vector<Part> piece(begin, end);
      if (end != parts.end())
        piece.push_back({~out_.nonterminals, std::all_of(end, parts.end(), [](const Part& p) { return p.optional; })});
      variants(piece, 0, {lhs, {}, rule.priority}, from);
      if (end == parts.end()) return;
      lhs = out_.nonterminals++;
      begin = end;
    }
  }

 private:
  struct Part {
    std::int32_t symbol;
    bool optional;
  };

  void variants(const std::vector<Part>& parts, std::size_t at, LrRule made, std::int32_t from) {
    if (at < parts.size()) {
      if (parts[at].optional) variants(parts, at + 1, made, from);
      made.rhs.push_back(parts[at].symbol);
      variants(parts, at + 1, std::move(made), from);
      return;
    }
    if (made.rhs.empty() || (made.rhs.size() == 1 && made.rhs[0] == ~made.lhs)) return;
    if (!seen_.insert({made.lhs, made.rhs}).second) return;
    if (out_.rules.size() >= max_rules_) throw LimitError("the grammar has more than " + std::to_string(max_rules_) + " rules");
    out_.rules.push_back(std::move(made));
    out_.from.push_back(from);
  }

  WithoutEmpty& out_;
  const std::vector<char>&nullable_, &more_;
  std::size_t max_rules_;
  std::set<std::pair<std::int32_t, std::vector<std::int32_t>>> seen_;
};

}  // namespace

Pruned prune(const std::vector<LrRule>& rules, std::int32_t nonterminals, std::int32_t start, const std::vector<char>& terminals) {
  check_rules(rules, static_cast<std::int32_t>(terminals.size()), nonterminals, {start});
  Pruned out;
  const std::vector<char> productive = deriving(rules, nonterminals, terminals);
  const std::vector<std::vector<std::int32_t>> of = rules_by_lhs(rules, nonterminals);
  std::vector<char> reached(productive.size(), 0);
  std::vector<std::int32_t> work;
  const auto reach = [&](std::int32_t n) {
    if (has(reached, n)) return;
    reached[static_cast<std::size_t>(n)] = 1;
    work.push_back(n);
  };
  if (has(productive, start)) reach(start);
  while (!work.empty()) {
    const std::int32_t n = work.back();
    work.pop_back();
    for (const std::int32_t r : of[static_cast<std::size_t>(n)]) {
      const LrRule& rule = rules[static_cast<std::size_t>(r)];
      if (!all_derive(rule, productive, terminals)) continue;
      out.kept.push_back(r);
      for (const std::int32_t s : rule.rhs)
        if (s < 0) reach(~s);
    }
  }
  std::sort(out.kept.begin(), out.kept.end());
  for (std::int32_t n = 0; n < nonterminals; ++n) {
    if (!has(productive, n)) out.unproductive.push_back(n);
    else if (!has(reached, n)) out.unreachable.push_back(n);
  }
  return out;
}

WithoutEmpty without_empty(const std::vector<LrRule>& rules, std::int32_t terminals, std::int32_t nonterminals,
                           const std::vector<std::int32_t>& starts, std::size_t max_rules) {
  check_rules(rules, terminals, nonterminals, starts);
  const std::vector<char> all(static_cast<std::size_t>(terminals), 1), none(static_cast<std::size_t>(terminals), 0);
  const std::vector<char> nullable = deriving(rules, nonterminals, none), productive = deriving(rules, nonterminals, all);
  const std::vector<char> more = deriving_more(rules, productive, all);
  WithoutEmpty out{{}, {}, nonterminals, std::any_of(starts.begin(), starts.end(), [&](std::int32_t s) { return has(nullable, s); })};
  EmptyRemoval removal(out, nullable, more, max_rules);
  for (std::size_t r = 0; r < rules.size(); ++r)
    if (all_derive(rules[r], productive, all)) removal.add(rules[r], static_cast<std::int32_t>(r));
  return out;
}

}  // namespace structgen
