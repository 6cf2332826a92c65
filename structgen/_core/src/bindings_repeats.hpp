#pragma once

#include <nanobind/nanobind.h>

#include "handles.hpp"

namespace structgen {

// Which tokens spell a text: methods of the vocabulary.
void bind_spelling(nanobind::class_<NativeVocabulary>& c);
void bind_repeats(nanobind::module_& m);

}  // namespace structgen
