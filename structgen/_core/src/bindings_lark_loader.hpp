// A Lark grammar that the core's loader has read, as Python holds it.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "lark_loader.hpp"

namespace structgen {

struct LoadedGrammar {
  larkread::Loaded grammar;
  std::unique_ptr<larkread::Scanned> scanned;  // null: Python has to read the terminals
};

// Asks a Python function for the ranges of one item of a pattern.
pyregex::Ask asking(const nanobind::callable& ask);

}  // namespace structgen
