// From a bundle's directory to a model that can answer.
#pragma once

#include <string>

#include "server/serving/model_slot.h"

namespace filo::program {

// Opens the bundle, checks every digest and tensor, builds the networks and runs the self-test. `device`:
// "cpu" or "cuda:N"; `threads`: intra-op threads of the process. Errors: those of Bundle::Open and
// Detector::Create, with the directory in front.
serving::ModelLoader MakeModelLoader(std::string device, int threads);

}  // namespace filo::program
