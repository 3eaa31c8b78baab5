// Every op.
#pragma once
#include <tapegrad/autograd/ops/arithmetic.h>
#include <tapegrad/autograd/ops/attention.h>
#include <tapegrad/autograd/ops/compare.h>
#include <tapegrad/autograd/ops/concat.h>
#include <tapegrad/autograd/ops/cross_entropy.h>
#include <tapegrad/autograd/ops/detach.h>
#include <tapegrad/autograd/ops/dropout.h>
#include <tapegrad/autograd/ops/index.h>
#include <tapegrad/autograd/ops/linear.h>
#include <tapegrad/autograd/ops/matmul.h>
#include <tapegrad/autograd/ops/norm.h>
#include <tapegrad/autograd/ops/reshape.h>
#include <tapegrad/autograd/ops/slice.h>
#include <tapegrad/autograd/ops/transpose.h>
