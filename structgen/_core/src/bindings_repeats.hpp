#pragma once

#include <nanobind/nanobind.h>

namespace structgen {

void bind_repeats(nanobind::module_& m);

}  // namespace structgen
