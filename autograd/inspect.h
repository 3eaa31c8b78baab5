/// Every inspection tool in one include: steps, derivatives, checks, records, replay, explanations,
/// timelines.
#pragma once
#include "backward/derivatives.h"
#include "backward/steps.h"
#include "inspect/explain/broken_rules.h"
#include "inspect/explain/explanation.h"
#include "inspect/record/difference.h"
#include "inspect/record/dump.h"
#include "inspect/record/record.h"
#include "inspect/replay/counterfactual.h"
#include "inspect/replay/numerical_gradient.h"
#include "inspect/replay/precision_report.h"
#include "inspect/replay/replay.h"
#include "inspect/timeline/init_report.h"
#include "inspect/timeline/timeline.h"
#include "observe/check.h"
