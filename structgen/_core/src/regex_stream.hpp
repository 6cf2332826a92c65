// Regexes as bytes, for files: nodes in an order in which parts come before what they are parts of.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "regex.hpp"

namespace structgen {

// Throws std::invalid_argument for residuals that no builder call makes.
std::string write_regexes(RegexStore& store, const std::vector<Re>& roots);

// The roots, made by the calls that a front end makes: they denote what they denoted, whatever the store holds already. Any bytes
// are safe to read; throws std::invalid_argument unless they are whole.
std::vector<Re> read_regexes(RegexStore& store, std::string_view bytes);

}  // namespace structgen
