// Family "schedules": the rates of steps 1 to 60 of every schedule.
#include <tapegrad/optim/schedule.h>

#include <tests/parity/case.h>

namespace tapegrad::test {
using namespace optim;
namespace {

/// `torch`: see torch_schedules.py.
ParityCase rates(const char* torch, Schedule schedule) {
  return {.name = torch, .torch = torch, .run = [schedule](const Way& way, std::uint64_t) {
            Tensor rates({60}, DType::f64);
            for (Index i = 0; i < rates.size(); ++i) rates.data<double>()[i] = schedule(i + 1);
            return Tensors{{"out.0", rates.to(way.dtype)}};
          }};
}

const CaseFamily schedules("schedules", [] {
  return std::vector<ParityCase>{
      rates("rates(0.01, lambda o: ConstantLR(o, 1.0))", constant_rate(0.01)),
      rates("rates(0.01, lambda o: LinearLR(o, 1 / 10, total_iters=9))", linear_warmup(0.01, 10)),
      rates("rates(0.01, lambda o: LinearLR(o, 1, total_iters=1))", linear_warmup(0.01, 1)),
      rates("rates(0.01, lambda o: LinearLR(o, 1 / 10, total_iters=9), (9, lambda o: LinearLR(o, 1, 0, 50)))",
            linear_decay(0.01, 10, 60)),
      rates(
          "rates(0.01, lambda o: LinearLR(o, 1 / 10, total_iters=9), (9, lambda o: LinearLR(o, 1, 0.1, 30)))",
          linear_decay(0.01, 10, 40, 0.001)),
      rates("rates(0.01, lambda o: LinearLR(o, 0.98, 0.1, 44))", linear_decay(0.01, 0, 45, 0.001)),
      rates("rates(0.01, lambda o: LambdaLR(o, lambda e: noam(e + 1, 32, 10) / 0.01))", noam(32, 10)),
      rates("rates(0.01, lambda o: LambdaLR(o, lambda e: 2 * noam(e + 1, 32, 10) / 0.01))", noam(32, 10, 2)),
      rates("rates(0.01, lambda o: LinearLR(o, 1 / 10, total_iters=9), "
            "(9, lambda o: LambdaLR(o, lambda e: math.sqrt(10 / (e + 10)))))",
            inverse_square_root(0.01, 10)),
      rates("rates(0.01, lambda o: LambdaLR(o, lambda e: math.sqrt(1 / (e + 1))))",
            inverse_square_root(0.01, 0)),
      rates("rates(0.01, lambda o: CosineAnnealingLR(o, 60, 0.001))", cosine_decay(0.01, 0, 60, 0.001)),
      rates("rates(0.01, lambda o: LinearLR(o, 1 / 10, total_iters=9), "
            "(9, lambda o: CosineAnnealingLR(o, 50, 0.001)))",
            cosine_decay(0.01, 10, 60, 0.001)),
      rates("rates(0.01, lambda o: LinearLR(o, 1 / 20, total_iters=19), (19, lambda o: CosineAnnealingLR(o, "
            "41)))",
            cosine_decay(0.01, 20, 61)),
      rates("rates(0.01, lambda o: StepLR(o, 15, 0.5))", step_decay(0.01, 15, 0.5)),
      rates("rates(0.01, lambda o: StepLR(o, 7))", step_decay(0.01, 7)),
      rates("rates(0.01, lambda o: MultiStepLR(o, [5, 20, 21], 0.3))",
            multistep_decay(0.01, {5, 20, 21}, 0.3)),
      rates("rates(0.01, lambda o: MultiStepLR(o, [10, 10, 30]))", multistep_decay(0.01, {10, 10, 30})),
      rates("rates(0.01, lambda o: ExponentialLR(o, 0.95))", exponential_decay(0.01, 0.95)),
      rates("rates(0.01, lambda o: PolynomialLR(o, 40))", polynomial_decay(0.01, 40)),
      rates("rates(0.01, lambda o: PolynomialLR(o, 60, 2.5))", polynomial_decay(0.01, 60, 2.5)),
      rates("rates(0.01, lambda o: CosineAnnealingWarmRestarts(o, 13))", cosine_restarts(0.01, 13)),
      rates("rates(0.01, lambda o: CosineAnnealingWarmRestarts(o, 5, 2, 0.001))",
            cosine_restarts(0.01, 5, 2, 0.001)),
      rates("rates(0.01, lambda o: CosineAnnealingWarmRestarts(o, 3, 3))", cosine_restarts(0.01, 3, 3)),
      rates("rates(1, lambda o: OneCycleLR(o, 0.01, 60, cycle_momentum=False))", one_cycle(0.01, 60)),
      rates("rates(1, lambda o: OneCycleLR(o, 0.01, 64, pct_start=0.45, cycle_momentum=False))",
            one_cycle(0.01, 64, 0.45)),
  };
});

}  // namespace
}  // namespace tapegrad::test
