// What looks into a run: step by step, derivatives, checks, explanations.
#pragma once
#include <tapegrad/autograd/check.h>
#include <tapegrad/autograd/derivatives.h>
#include <tapegrad/autograd/inspect/broken_rules.h>
#include <tapegrad/autograd/inspect/counterfactual.h>
#include <tapegrad/autograd/inspect/difference.h>
#include <tapegrad/autograd/inspect/dump.h>
#include <tapegrad/autograd/inspect/explanation.h>
#include <tapegrad/autograd/inspect/init_report.h>
#include <tapegrad/autograd/inspect/numerical_gradient.h>
#include <tapegrad/autograd/inspect/numerics_lens.h>
#include <tapegrad/autograd/inspect/record.h>
#include <tapegrad/autograd/inspect/replay.h>
#include <tapegrad/autograd/inspect/timeline.h>
#include <tapegrad/autograd/steps.h>
