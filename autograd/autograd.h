/// All of the engine in one include: tensors, the tape, every op, parameters, gradients and gradcheck.
/// `<tapegrad/tapegrad.h>` gives it together with the reading and writing of safetensors files.
#pragma once
#include "backward/checkpoint.h"
#include "backward/derivatives.h"
#include "backward/steps.h"
#include "backward/tap_values.h"
#include "gradcheck/gradcheck.h"
#include "observe/check.h"
#include "ops.h"
#include "tape.h"
#include "tensor/eigen_tensor.h"
