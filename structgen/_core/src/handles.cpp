#include "handles.hpp"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#endif

#include <algorithm>
#include <new>
#include <set>

namespace structgen {

namespace {

std::mutex& registry_mutex() {
  static std::mutex* m = new std::mutex;  // never destroyed: handlers may run at exit
  return *m;
}

std::set<Lexer*>& registry() {
  static std::set<Lexer*>* r = new std::set<Lexer*>;
  return *r;
}

// The bytes of UTF-8 that are no token of their own.
std::string missing(const Trie& trie) {
  std::string out;
  for (int b = 0; b < 256; ++b) {
    if (b == 0xC0 || b == 0xC1 || b > 0xF4) continue;
    const std::uint32_t node = trie.child(0, static_cast<std::uint8_t>(b));
    if (node == Trie::kNoChild || trie.token_begin(node) == trie.token_end(node)) out.push_back(static_cast<char>(b));
  }
  return out;
}

#ifndef _WIN32
void before_fork() {
  registry_mutex().lock();
  for (Lexer* l : registry()) l->mutex.lock();
}

void after_fork_in_parent() {
  for (Lexer* l : registry()) l->mutex.unlock();
  registry_mutex().unlock();
}

void after_fork_in_child() {
  // Threads that were waiting are gone, but the lock may still mean to hand itself to one of them: start afresh.
  for (Lexer* l : registry()) new (&l->mutex) std::shared_mutex;
  new (&registry_mutex()) std::mutex;
}
#endif

}  // namespace

std::shared_ptr<Lexer> make_lexer(const VocabularyData& data, const Lexer* previous) {
#ifndef _WIN32
  static const int registered = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  (void)registered;
#endif
  std::shared_ptr<Lexer> lexer(new Lexer(data.trie, data.mask_words, previous), [](Lexer* l) {
    {
      const std::lock_guard<std::mutex> lock(registry_mutex());
      registry().erase(l);
    }
    delete l;
#ifdef __GLIBC__
    malloc_trim(0);  // a generation of tables is much memory in small pieces
#endif
  });
  const std::lock_guard<std::mutex> lock(registry_mutex());
  registry().insert(lexer.get());
  return lexer;
}

NativeVocabulary::NativeVocabulary(const std::vector<std::string>& tokens, const std::vector<std::uint32_t>& end_tokens,
                                   const std::vector<std::uint32_t>& special_tokens, std::size_t logits, std::size_t budget)
    : logits_size(logits), table_bytes(budget) {
  if (logits < tokens.size()) throw std::invalid_argument("logits_size is smaller than the number of tokens");
  auto made = std::make_shared<VocabularyData>();
  std::vector<bool> excluded(tokens.size(), false);
  made->end.assign(tokens.size(), false);
  const auto mark = [&](std::uint32_t id, std::vector<bool>& flags) {
    if (id >= tokens.size()) throw std::invalid_argument("token id " + std::to_string(id) + " is out of range");
    flags[id] = true;
  };
  for (std::uint32_t id : end_tokens) {
    mark(id, excluded);
    mark(id, made->end);
  }
  for (std::uint32_t id : special_tokens) mark(id, excluded);
  made->end_tokens = end_tokens;
  std::sort(made->end_tokens.begin(), made->end_tokens.end());
  made->end_tokens.erase(std::unique(made->end_tokens.begin(), made->end_tokens.end()), made->end_tokens.end());
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    made->offsets.push_back(static_cast<std::uint32_t>(made->pool.size()));
    made->pool += tokens[i];
    made->ordinary.push_back(!excluded[i] && !tokens[i].empty());
  }
  made->offsets.push_back(static_cast<std::uint32_t>(made->pool.size()));
  made->mask_words = (logits + 31) / 32;
  made->trie = std::make_shared<const Trie>(tokens, excluded);
  made->byte_complete = missing(*made->trie).empty();
  data = std::move(made);
  lexer();
}

std::shared_ptr<Lexer> NativeVocabulary::lexer() {
  const std::lock_guard<std::mutex> lock(mutex_);
  bool outgrown = !lexer_;
  if (lexer_) {
    // Never waits: a table that is being worked on is measured for the next grammar.
    const std::shared_lock<std::shared_mutex> reading(lexer_->mutex, std::try_to_lock);
    outgrown = reading.owns_lock() && lexer_->bytes() > table_bytes;
  }
  if (outgrown) {
    lexer_ = make_lexer(*data, lexer_.get());
    ++generations;
  }
  return lexer_;
}

std::string NativeVocabulary::missing_bytes() const { return missing(*data->trie); }

}  // namespace structgen
