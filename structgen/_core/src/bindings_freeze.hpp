#pragma once

#include <nanobind/nanobind.h>

#include "automaton_api.hpp"

namespace structgen {

void bind_freeze(nanobind::class_<TokenAutomaton>& c);

}  // namespace structgen
