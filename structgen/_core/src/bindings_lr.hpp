// Parsing tables and what prepares them, for tests and for front ends that have to name conflicts.
#pragma once

#include <nanobind/nanobind.h>

namespace structgen {

void bind_lr(nanobind::module_& m);
void bind_lark_loader(nanobind::module_& m);

}  // namespace structgen
