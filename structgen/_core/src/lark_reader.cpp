// The syntax of Lark's grammars, as its own grammar of grammars (lark.load_grammar.TERMINALS and RULES) has it.
#include <algorithm>
#include <string_view>

#include "lark_loader.hpp"

namespace structgen::larkread {

namespace {

constexpr int kDeepest = 100;           // groups inside each other
constexpr int kMostImportsDeep = 10;    // imports of imports
constexpr int kMostTerminalsDeep = 100; // terminals inside each other
constexpr std::size_t kMostDigits = 9;  // of a number

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool starts_name(char c) { return lower(c) || c == '_'; }

enum class Token : std::uint8_t {
  kEnd, kRegexp, kString, kRule, kTerminal, kNewLineOr, kNewLine, kNumber, kModifiers, kDotDot, kTo, kOperator, kDot, kOr, kTilde, kColon,
  kComma, kLeftParen, kRightParen, kLeftBracket, kRightBracket, kIgnore, kDeclare, kImport
};

// Lark's basic lexer: at every place, the first terminal that matches, in the order of its scanner (longest possible match first, then
// longest pattern). Where a match would take backtracking, or none is found, Lark's own is asked.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) { next(); }

  Token kind() const { return kind_; }
  std::string_view value() const { return text_.substr(begin_, end_ - begin_); }

  void next() {
    do {
      begin_ = end_;
    } while (begin_ < text_.size() && skip());
    kind_ = begin_ < text_.size() ? read() : Token::kEnd;
  }

 private:
  char at(std::size_t i) const { return i < text_.size() ? text_[i] : '\0'; }

  // Blanks and comments; newlines are tokens unless a comment follows.
  bool skip() {
    const char c = text_[begin_];
    if (c == '\\') {
      std::size_t i = begin_ + 1;
      while (at(i) == ' ') ++i;
      if (at(i) != '\n') throw NotPlain{};
      end_ = i + 1;
      return true;
    }
    std::size_t i = begin_;
    while (i < text_.size() && blank(text_[i])) ++i;
    // The other characters that Python takes for blanks.
    if (i > begin_ && i < text_.size() && (static_cast<unsigned char>(text_[i]) < 32 || static_cast<unsigned char>(text_[i]) > 126)) throw NotPlain{};
    if (at(i) == '#' || (at(i) == '/' && at(i + 1) == '/')) {
      const std::size_t line = text_.find('\n', i);
      end_ = line == std::string_view::npos ? text_.size() : line;
      return true;
    }
    if (c != ' ' && c != '\t') return false;
    end_ = begin_;
    while (at(end_) == ' ' || at(end_) == '\t') ++end_;
    return true;
  }

  Token one(Token kind) {
    end_ = begin_ + 1;
    return kind;
  }

  Token read() {
    const char c = text_[begin_];
    switch (c) {
      case '/': return regexp();
      case '"': return string();
      case '\n':
      case '\r': return newline();
      case '%': return directive();
      case '(': return one(Token::kLeftParen);
      case ')': return one(Token::kRightParen);
      case '[': return one(Token::kLeftBracket);
      case ']': return one(Token::kRightBracket);
      case '|': return one(Token::kOr);
      case '~': return one(Token::kTilde);
      case ':': return one(Token::kColon);
      case ',': return one(Token::kComma);
      case '*': return one(Token::kOperator);
      case '!':
      case '?': return question();
      case '.': {
        if (at(begin_ + 1) != '.') return one(Token::kDot);
        end_ = begin_ + 2;
        return Token::kDotDot;
      }
      case '+':
      case '-': return sign();
      default: return word();
    }
  }

  Token regexp() {
    end_ = begin_ + 1;
    while (at(end_) != '/') {
      if (at(end_) == '\\' && (at(end_ + 1) == '/' || at(end_ + 1) == '\\')) ++end_;
      if (++end_ >= text_.size()) throw NotPlain{};
    }
    ++end_;
    while (std::string_view("imslux").find(at(end_)) != std::string_view::npos && end_ < text_.size()) ++end_;
    return Token::kRegexp;
  }

  Token string() {
    end_ = begin_ + 1;
    while (at(end_) != '"') {
      if (at(end_) == '\\' && (at(end_ + 1) == '"' || at(end_ + 1) == '\\')) ++end_;
      if (end_ >= text_.size() || text_[end_] == '\n') throw NotPlain{};
      ++end_;
    }
    ++end_;
    if (at(end_) == 'i') ++end_;
    return Token::kString;
  }

  Token newline() {
    if (text_[begin_] == '\r' && at(begin_ + 1) != '\n') throw NotPlain{};
    end_ = begin_;
    while (end_ < text_.size() && blank(text_[end_])) ++end_;
    if (at(end_) != '|') return Token::kNewLine;
    ++end_;
    return Token::kNewLineOr;
  }

  Token directive() {
    const std::pair<std::string_view, Token> words[] = {{"%ignore", Token::kIgnore}, {"%declare", Token::kDeclare}, {"%import", Token::kImport}};
    for (const auto& [word, kind] : words) {
      if (text_.substr(begin_, word.size()) == word) {
        end_ = begin_ + word.size();
        return kind;
      }
    }
    throw NotPlain{};
  }

  Token question() {
    end_ = begin_ + 1;
    const bool both = (text_[begin_] == '?' && at(end_) == '!') || (text_[begin_] == '!' && at(end_) == '?');
    if (both && starts_name(at(end_ + 1))) {
      ++end_;
      return Token::kModifiers;
    }
    if (starts_name(at(end_))) return Token::kModifiers;
    if (text_[begin_] == '!') throw NotPlain{};
    return Token::kOperator;
  }

  Token sign() {
    if (digit(at(begin_ + 1))) return number();
    if (text_[begin_] == '+') {
      if (static_cast<unsigned char>(at(begin_ + 1)) > 126) throw NotPlain{};  // a digit of another script, perhaps
      return one(Token::kOperator);
    }
    if (at(begin_ + 1) != '>') throw NotPlain{};
    end_ = begin_ + 2;
    return Token::kTo;
  }

  Token number() {
    end_ = begin_ + 1;
    while (digit(at(end_))) ++end_;
    if (end_ - begin_ > kMostDigits || static_cast<unsigned char>(at(end_)) > 126) throw NotPlain{};
    return Token::kNumber;
  }

  Token word() {
    const char c = text_[begin_];
    if (digit(c)) return number();
    const char first = c == '_' ? at(begin_ + 1) : c;
    const bool small = lower(first);
    if (!small && !upper(first)) throw NotPlain{};
    end_ = begin_ + 1;
    while (at(end_) == '_' || digit(at(end_)) || (small ? lower(at(end_)) : upper(at(end_)))) ++end_;
    return small ? Token::kRule : Token::kTerminal;
  }

  std::string_view text_;
  std::size_t begin_ = 0, end_ = 0;
  Token kind_ = Token::kEnd;
};

class Parser {
 public:
  Parser(std::string_view text, std::deque<Node>& nodes) : lexer_(text), nodes_(nodes) {}

  File run() {
    File file;
    while (lexer_.kind() != Token::kEnd) statement(file);
    return file;
  }

 private:
  bool is(Token kind) const { return lexer_.kind() == kind; }

  std::string take(Token kind) {
    if (!is(kind)) throw NotPlain{};
    std::string value(lexer_.value());
    lexer_.next();
    return value;
  }

  bool took(Token kind) {
    if (!is(kind)) return false;
    lexer_.next();
    return true;
  }

  std::int64_t number() { return std::stoll(take(Token::kNumber)); }

  Node* node(Kind kind) {
    nodes_.push_back({});
    nodes_.back().kind = kind;
    return &nodes_.back();
  }

  void statement(File& file) {
    if (took(Token::kNewLine)) return;
    if (took(Token::kImport)) return import(file);
    Statement statement{};
    if (took(Token::kIgnore)) {
      statement.kind = Statement::Kind::kIgnore;
      statement.definition.tree = expansions(0);
    } else if (took(Token::kDeclare)) {
      statement.kind = Statement::Kind::kDeclare;
      do {
        statement.symbols.push_back(symbol());
      } while (!is(Token::kNewLine));
    } else {
      statement.kind = Statement::Kind::kDefinition;
      statement.definition = definition();
    }
    take(Token::kNewLine);
    file.statements.push_back(std::move(statement));
  }

  Definition definition() {
    Definition made{};
    bool inlined = false;
    if (is(Token::kModifiers)) {
      const std::string modifiers = take(Token::kModifiers);
      made.keep_all = modifiers.find('!') != std::string::npos;
      inlined = modifiers.find('?') != std::string::npos;
      if (!is(Token::kRule)) throw NotPlain{};
    }
    made.terminal = is(Token::kTerminal);
    made.name = take(made.terminal ? Token::kTerminal : Token::kRule);
    if (inlined && made.name[0] == '_') throw NotPlain{};
    if (took(Token::kDot)) made.priority = number();
    take(Token::kColon);
    made.tree = expansions(0);
    return made;
  }

  Node* expansions(int depth) {
    if (depth > kDeepest) throw NotPlain{};
    Node* made = node(Kind::kExpansions);
    do {
      Node* expansion = node(Kind::kExpansion);
      while (Node* item = expr(depth)) expansion->children.push_back(item);
      if (took(Token::kTo)) {
        Node* alias = node(Kind::kAlias);
        alias->text = take(Token::kRule);
        alias->children.push_back(expansion);
        expansion = alias;
      }
      made->children.push_back(expansion);
    } while (took(Token::kOr) || took(Token::kNewLineOr));
    return made;
  }

  // Null: no item begins here.
  Node* expr(int depth) {
    Node* inner = atom(depth);
    if (inner == nullptr || (!is(Token::kOperator) && !is(Token::kTilde))) return inner;
    Node* made = node(Kind::kExpr);
    made->children.push_back(inner);
    made->op = lexer_.value()[0];
    if (!took(Token::kTilde)) {
      lexer_.next();
      return made;
    }
    made->high = number();
    made->low = -1;
    if (took(Token::kDotDot)) {
      made->low = made->high;
      made->high = number();
    }
    if (made->high < 0 || made->low < -1 || made->low > made->high) throw NotPlain{};
    return made;
  }

  Node* atom(int depth) {
    if (is(Token::kRule) || is(Token::kTerminal)) return symbol();
    if (is(Token::kRegexp) || is(Token::kString)) return literal();
    if (took(Token::kLeftParen)) {
      Node* made = expansions(depth + 1);
      take(Token::kRightParen);
      return made;
    }
    if (!took(Token::kLeftBracket)) return nullptr;
    Node* made = node(Kind::kMaybe);
    made->children.push_back(expansions(depth + 1));
    take(Token::kRightBracket);
    return made;
  }

  Node* symbol() {
    Node* made = node(is(Token::kTerminal) ? Kind::kTerminal : Kind::kNonterminal);
    made->text = take(is(Token::kTerminal) ? Token::kTerminal : Token::kRule);
    made->filtered = made->text[0] == '_';
    return made;
  }

  Node* literal() {
    const bool string = is(Token::kString);
    Node* made = node(Kind::kLiteral);
    made->text = take(lexer_.kind());
    if (!took(Token::kDotDot)) return made;
    if (!string) throw NotPlain{};
    made->kind = Kind::kRange;
    made->last = take(Token::kString);
    return made;
  }

  std::string name() { return take(is(Token::kTerminal) ? Token::kTerminal : Token::kRule); }

  void import(File& file) {
    Import made;
    if (is(Token::kDot)) throw NotPlain{};
    made.path.push_back(name());
    while (took(Token::kDot)) made.path.push_back(name());
    if (took(Token::kLeftParen)) {
      do {
        const std::string one = name();
        made.aliases[one] = one;
      } while (took(Token::kComma));
      take(Token::kRightParen);
    } else {
      const std::string last = made.path.back();
      made.path.pop_back();
      if (made.path.empty()) throw NotPlain{};
      made.aliases[last] = took(Token::kTo) ? name() : last;
    }
    take(Token::kNewLine);
    for (Import& other : file.imports) {
      if (other.path != made.path) continue;
      for (auto& [there, here] : made.aliases) other.aliases[there] = here;
      return;
    }
    file.imports.push_back(std::move(made));
  }

  Lexer lexer_;
  std::deque<Node>& nodes_;
};

using Mangle = std::function<std::string(const std::string&)>;

// lark.load_grammar.GrammarBuilder
class Loader {
 public:
  Loader(const Find& find, Definitions& into) : find_(find), into_(into) {}

  using Scope = std::vector<const Definition*>;

  Scope load(const std::string& text, const Mangle& mangle, int depth) {
    if (depth > kMostImportsDeep) throw NotPlain{};
    File file = read_file(text, into_.nodes);
    Scope scope;
    std::unordered_map<std::string, const Definition*> known;
    const auto define = [&](const Definition* made) {
      if (!known.emplace(made->name, made).second) throw NotPlain{};
      scope.push_back(made);
    };
    for (const Import& import : file.imports) {
      for (const Definition* imported : load_import(import, mangle, depth)) define(imported);
    }
    for (Statement& statement : file.statements) {
      if (statement.kind == Statement::Kind::kDeclare) {
        for (const Node* symbol : statement.symbols) {
          if (symbol->kind != Kind::kTerminal) throw NotPlain{};
          define(keep({mangled(symbol->text, mangle), true, nullptr, 0, false}, mangle));
        }
      } else if (statement.kind == Statement::Kind::kDefinition) {
        statement.definition.name = mangled(statement.definition.name, mangle);
        define(keep(std::move(statement.definition), mangle));
      } else if (!mangle) {
        const Node* name = only_terminal(statement.definition.tree);
        if (name != nullptr) {
          into_.ignore.push_back(name->text);
          continue;
        }
        into_.ignore.push_back("__IGNORE_" + std::to_string(into_.ignore.size()));
        define(keep({into_.ignore.back(), true, statement.definition.tree, 0, false}, mangle));
      }
    }
    for (const Definition* one : scope) resolve(*one, known);
    return scope;
  }

  // lark.load_grammar.GrammarBuilder.validate
  void validate(const Scope& scope) {
    std::set<std::string> known;
    for (const Definition* one : scope) known.insert(one->name);
    for (const Definition* one : scope) {
      if (!one->terminal) check_names(one->tree, known);
    }
    for (const std::string& name : into_.ignore) {
      if (known.count(name) == 0) throw NotPlain{};
    }
  }

 private:
  static std::string mangled(const std::string& name, const Mangle& mangle) {
    std::string made = mangle ? mangle(name) : name;
    if (made.compare(0, 2, "__") == 0) throw NotPlain{};
    return made;
  }

  const Definition* keep(Definition made, const Mangle& mangle) {
    if (mangle && made.tree != nullptr) rename(made.tree, mangle);
    into_.all.push_back(std::move(made));
    return &into_.all.back();
  }

  static void rename(Node* node, const Mangle& mangle) {
    if (node->kind == Kind::kTerminal || node->kind == Kind::kNonterminal || node->kind == Kind::kAlias) node->text = mangle(node->text);
    for (Node* child : node->children) rename(child, mangle);
  }

  static const Node* only_terminal(const Node* tree) {
    for (const Kind kind : {Kind::kExpansions, Kind::kExpansion}) {
      if (tree->kind != kind || tree->children.size() != 1) return nullptr;
      tree = tree->children[0];
    }
    return tree->kind == Kind::kTerminal ? tree : nullptr;
  }

  Scope load_import(const Import& import, const Mangle& base, int depth) {
    std::string prefix, file;
    for (const std::string& part : import.path) {
      prefix += (prefix.empty() ? "" : "__") + part;
      file += (file.empty() ? "" : "/") + part;
    }
    const Mangle mangle = [&](const std::string& name) {
      const auto alias = import.aliases.find(name);
      std::string made = alias != import.aliases.end() ? alias->second : name[0] == '_' ? "_" + prefix + "__" + name.substr(1) : prefix + "__" + name;
      return base ? base(made) : made;
    };
    const Scope scope = load(find_(file + ".lark"), mangle, depth + 1);
    // Only what is imported, and what its rules need; terminals hold theirs.
    std::unordered_map<std::string, const Definition*> known;
    for (const Definition* one : scope) known.emplace(one->name, one);
    std::set<std::string> used;
    std::vector<std::string> waiting;
    for (const auto& [there, here] : import.aliases) waiting.push_back(mangle(there));
    while (!waiting.empty()) {
      const std::string name = std::move(waiting.back());
      waiting.pop_back();
      const auto found = known.find(name);
      if (found == known.end() || !used.insert(name).second) continue;
      if (!found->second->terminal) names(found->second->tree, waiting);
    }
    Scope kept;
    for (const Definition* one : scope) {
      if (used.count(one->name) != 0) kept.push_back(one);
    }
    return kept;
  }

  static void names(const Node* node, std::vector<std::string>& into) {
    if (node->kind == Kind::kTerminal || node->kind == Kind::kNonterminal) into.push_back(node->text);
    for (const Node* child : node->children) names(child, into);
  }

  static void check_names(const Node* node, const std::set<std::string>& known) {
    const bool symbol = node->kind == Kind::kTerminal || node->kind == Kind::kNonterminal;
    if (symbol && known.count(node->text) == 0) throw NotPlain{};
    for (const Node* child : node->children) check_names(child, known);
  }

  // Every terminal inside a terminal gets its definition. None may hold itself.
  void resolve(const Definition& one, const std::unordered_map<std::string, const Definition*>& known) {
    if (!one.terminal || one.tree == nullptr || done_[&one] == 2) return;
    char& state = done_[&one];
    if (state == 1 || ++inside_ > kMostTerminalsDeep) throw NotPlain{};
    state = 1;
    resolve(one.tree, known);
    --inside_;
    done_[&one] = 2;
  }

  void resolve(Node* node, const std::unordered_map<std::string, const Definition*>& known) {
    if (node->kind == Kind::kNonterminal || node->kind == Kind::kAlias) throw NotPlain{};
    if (node->kind == Kind::kExpansion && node->children.empty()) throw NotPlain{};
    if (node->kind == Kind::kTerminal) {
      const auto found = known.find(node->text);
      if (found == known.end() || found->second->tree == nullptr) throw NotPlain{};
      node->target = found->second;
      resolve(*node->target, known);
    }
    for (Node* child : node->children) resolve(child, known);
  }

  const Find& find_;
  Definitions& into_;
  int inside_ = 0;                                    // terminals being resolved
  std::unordered_map<const Definition*, char> done_;  // 1: being resolved, 2: resolved
};

}  // namespace

File read_file(const std::string& text, std::deque<Node>& nodes) {
  const std::string ended = text + "\n";
  return Parser(ended, nodes).run();
}

void read_grammar(const std::string& text, const Find& find, Definitions& into) {
  Loader loader(find, into);
  into.kept = loader.load(text, nullptr, 0);
  loader.validate(into.kept);
}

}  // namespace structgen::larkread
