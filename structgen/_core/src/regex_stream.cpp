#include "regex_stream.hpp"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <unordered_map>
#include <utility>

namespace structgen {

namespace {

// Numbers are little-endian groups of seven bits; the high bit says that another group follows.
void put(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

[[noreturn]] void damaged() { throw std::invalid_argument("these bytes are no regexes"); }

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  std::uint64_t number(std::uint64_t most) {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      if (at_ == bytes_.size() || shift > 56) damaged();
      const auto byte = static_cast<std::uint8_t>(bytes_[at_++]);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) break;
    }
    if (value > most) damaged();
    return value;
  }
  // How many things follow that take a byte each, at least.
  std::size_t count() { return static_cast<std::size_t>(number(bytes_.size() - at_)); }
  bool done() const { return at_ == bytes_.size(); }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

std::vector<Re> parts_of(const RegexStore& store, Re r) {
  const ReNode& n = store.node(r);
  switch (n.op) {
    case Op::kConcat:
      return {n.a, n.b};
    case Op::kComplement:
    case Op::kRepeat:
      return {n.a};
    case Op::kUnion:
    case Op::kIntersection: {
      std::vector<Re> parts;
      for (std::int32_t i = 0; i < n.b; ++i) parts.push_back(store.child(n, i));
      return parts;
    }
    default:
      return {};
  }
}

std::uint64_t halves(std::int32_t low, std::int32_t high) {
  return static_cast<std::uint64_t>(static_cast<std::uint32_t>(high)) << 32 | static_cast<std::uint32_t>(low);
}

constexpr std::uint64_t kMostCount = (1 << 30) - 1;

void put_node(std::string& out, RegexStore& store, Re r, const std::unordered_map<Re, std::size_t>& places) {
  const ReNode n = store.node(r);
  put(out, static_cast<std::uint64_t>(n.op));
  const std::vector<Re> parts = parts_of(store, r);
  if (n.op == Op::kUnion || n.op == Op::kIntersection) put(out, parts.size());
  // How far back each part is: small numbers.
  for (const Re part : parts) put(out, places.size() - places.at(part));
  if (n.op == Op::kSet) {
    const CharSet& set = store.set(n.a);
    put(out, set.size());
    std::uint32_t last = 0;
    for (const Range& range : set) {
      put(out, range.low - last);
      put(out, range.high - range.low);
      last = range.high;
    }
  } else if (n.op == Op::kRepeat) {
    put(out, static_cast<std::uint64_t>(n.low));
    put(out, n.high == kInfinity ? 0 : static_cast<std::uint64_t>(n.high) + 1);
  } else if (n.op == Op::kResidue) {
    const std::uint64_t modulus = halves(n.a, n.b);
    if (store.residue(modulus) != r) throw std::invalid_argument("a residual of a multiple can't be written");
    put(out, modulus);
  }
}

Re read_node(Reader& in, RegexStore& store, const std::vector<Re>& made) {
  const Op op = static_cast<Op>(in.number(static_cast<std::uint64_t>(Op::kResidue)));
  const auto part = [&] {
    const std::uint64_t back = in.number(made.size());
    if (back == 0) damaged();
    return made[made.size() - back];
  };
  const auto list = [&] {
    std::vector<Re> parts(in.count());
    for (Re& p : parts) p = part();
    return parts;
  };
  switch (op) {
    case Op::kNone:
      return RegexStore::kNone;
    case Op::kEpsilon:
      return RegexStore::kEpsilon;
    case Op::kSet: {
      CharSet set(in.count());
      std::uint32_t last = 0;
      for (Range& range : set) {
        range.low = last + static_cast<std::uint32_t>(in.number(kMaxCodePoint - last));
        range.high = last = range.low + static_cast<std::uint32_t>(in.number(kMaxCodePoint - range.low));
      }
      return store.chars(std::move(set));
    }
    case Op::kConcat: {
      const Re head = part();
      return store.concat(head, part());
    }
    case Op::kUnion:
      return store.unite(list());
    case Op::kIntersection:
      return store.intersect(list());
    case Op::kComplement:
      return store.complement(part());
    case Op::kRepeat: {
      const Re body = part();
      const auto low = static_cast<std::int32_t>(in.number(kMostCount));
      const auto high = static_cast<std::int32_t>(in.number(kMostCount + 1)) - 1;
      if (high != kInfinity && high < low) damaged();
      return store.repeat(body, low, high);
    }
    case Op::kResidue: {
      const std::uint64_t modulus = in.number(kModulusLimit - 1);
      if (modulus == 0) damaged();
      return store.residue(modulus);
    }
  }
  damaged();
}

}  // namespace

std::string write_regexes(RegexStore& store, const std::vector<Re>& roots) {
  std::unordered_map<Re, std::size_t> places;
  std::string nodes;
  std::vector<std::pair<Re, bool>> todo;  // whether the parts are written
  for (const Re root : roots) {
    todo.emplace_back(root, false);
    while (!todo.empty()) {
      const auto [r, ready] = todo.back();
      todo.pop_back();
      if (places.count(r)) continue;
      if (ready) {
        put_node(nodes, store, r, places);
        places.emplace(r, places.size());
        continue;
      }
      todo.emplace_back(r, true);
      for (const Re part : parts_of(store, r)) todo.emplace_back(part, false);
    }
  }
  std::string out;
  put(out, places.size());
  out += nodes;
  put(out, roots.size());
  for (const Re root : roots) put(out, places.at(root));
  return out;
}

std::vector<Re> read_regexes(RegexStore& store, std::string_view bytes) {
  Reader in(bytes);
  std::vector<Re> made, roots;
  for (std::size_t left = in.count(); left > 0; --left) made.push_back(read_node(in, store, made));
  for (std::size_t left = in.count(); left > 0; --left) {
    const std::uint64_t place = in.number(made.size());
    if (place == made.size()) damaged();
    roots.push_back(made[place]);
  }
  if (!in.done()) damaged();
  return roots;
}

}  // namespace structgen
