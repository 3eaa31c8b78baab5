/// Every optimizer, schedule and averaging in one include: `#include <tapegrad/optim.h>`.
#pragma once
#include "adagrad.h"
#include "adam.h"
#include "clip.h"
#include "ema.h"
#include "rmsprop.h"
#include "schedule.h"
#include "sgd.h"
