// What the Python classes hold: vocabularies with their shared lexer tables, builders, automata, sessions.
// Locking lives here: one shared mutex per lexer; memoised answers take it shared, everything else exclusive.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "engine.hpp"

namespace structgen {

class NativeVocabulary {
 public:
  NativeVocabulary(const std::vector<std::string>& tokens, const std::vector<std::uint32_t>& end_tokens, const std::vector<std::uint32_t>& special_tokens,
                   std::size_t logits_size, std::size_t table_bytes);
  // The tables for a new grammar. When those in use have outgrown their budget, later grammars start new ones; the old
  // ones go when the last automaton that uses them goes.
  std::shared_ptr<Lexer> lexer();
  std::string missing_bytes() const;

  std::shared_ptr<const VocabularyData> data;
  std::size_t logits_size;
  std::size_t table_bytes;
  std::size_t generations = 0;

 private:
  std::shared_ptr<Lexer> lexer_;
  std::mutex mutex_;
};

// Makes forking safe: no lexer is locked by another thread while the process forks.
std::shared_ptr<Lexer> make_lexer(const VocabularyData& data, const Lexer* previous);

struct Automaton {
  Automaton(std::shared_ptr<const Grammar> g, std::shared_ptr<const VocabularyData> v, std::size_t logits, EngineLimits l)
      : grammar(std::move(g)), lexer(grammar->shared_lexer()), engine(grammar, v, l), logits_size(logits), limits(l) {}
  std::shared_ptr<const Grammar> grammar;
  std::shared_ptr<Lexer> lexer;
  Engine engine;
  std::size_t logits_size;
  EngineLimits limits;
  std::atomic<bool> named{false};  // the nodes have names
};

// States from here on belong to the session's own engine.
inline constexpr State kSessionBase = 1 << 30;

}  // namespace structgen
