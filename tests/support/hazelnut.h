// The category that all goldens were made with. Test code only.
#pragma once

#include "server/category/category.h"

namespace filo::support {

// The two lists of the authors' code, which differ in one capital.
inline category::Category Hazelnut() {
  category::Category category;
  category.name = category.class_name = "hazelnut";
  category.descriptions = {"fungal growth",
                           "Unusual discoloration",
                           "rotten or foul odor emanating",
                           "insect infestation",
                           "wetness",
                           "misshapen shell",
                           "unusually thin",
                           "contaminants",
                           "unusual texture"};
  category.grounding_descriptions = category.descriptions;
  category.grounding_descriptions[1] = "unusual discoloration";
  return category;
}

}  // namespace filo::support
