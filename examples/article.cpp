// Prints the common mistakes in attention and the Transformer, as docs/article.md names them, each with its
// wrong numbers beside the right ones.
#include <fmt/format.h>

#include <cmath>

#include "examples/article/exhibits.h"

using namespace tapegrad;
using namespace tapegrad::nn;
using namespace tapegrad::article;

namespace {

void title(const char* text) { fmt::print("\n{}\n", text); }

void line(const char* what, const std::vector<double>& numbers) {
  fmt::print("  {:<46}", what);
  for (const double x : numbers) fmt::print(" {:>9}", std::isnan(x) ? "nan" : fmt::format("{:.5g}", x));
  fmt::print("\n");
}

void show(const char* heading, const Numbers& numbers, const char* wrong, const char* right) {
  title(heading);
  line(wrong, numbers.wrong);
  line(right, numbers.right);
}

}  // namespace

int main() {
  fmt::print("ATTENTION\n");
  show("1. Softmax is taken row by row. Sums of the rows of the weights:", row_sums(),
       "wrong: divided by the sum of the whole matrix", "right: each row by its own sum");
  show("   So no query depends on another. Change of result 1 when query 3 changes:", neighbours(), "wrong",
       "right");
  show("2. Take the maximum out before exp. A result at scores of 100 and 99, in f32:", large_scores(),
       "wrong: e^100 overflows", "right");
  show("3. Normalise the weights, not the product. Two queries over (1, 10), (2, 20), (3, 30):",
       normalised_product(), "wrong: the product, afterwards", "right: a mix of the values");
  title("4. Other similarities. Weights of the keys (1, 0), (2, 2), (-1, 0) for the query (1, 0):");
  line("scaled dot product", weights_by(Score::scaled_dot));
  line("cosine similarity", weights_by(Score::cosine));
  line("Euclidean distance, with a minus sign", distance_sign().right);
  line("wrong: without it the far key wins", distance_sign().wrong);

  fmt::print("\nTRANSFORMER\n");
  show("5. n_layers counts. Parameters for 1, 2 and 6 layers:", parameters_by_layers(), "wrong: ignored",
       "right");
  show("6. output_dim counts. Width of the result for 3 and 5:", widths_by_output_dim(), "wrong: ignored",
       "right");
  title("7. The number of heads is not the hidden size. With 32 heads over a width of 8:");
  fmt::print("  {}\n", heads_error());
  show("8. The decoder reads the encoder's memory. Change of its output when the source does:",
       source_effect(), "wrong: its own input for a memory", "right");
  show("9. The decoder must not see the future. Change of outputs 1 to 4 when token 3 does:", leak(),
       "wrong: no mask", "right: causal mask");
  show("10. A layer is attention, then a feed-forward network. For one token, its distance from a line:",
       bend(), "wrong: attention and attention again", "right");

  Tape tape({.record = false});
  const article::Transformer transformer(/*input_dim=*/8, /*output_dim=*/3, /*hidden_dim=*/16,
                                         /*n_layers=*/2);
  const Var x = tape.constant(noise({5, 8}, 1));
  fmt::print("\nTransformer(8, 3, 16, 2) maps {} to {}\n", x.shape(), transformer(x).shape());
}
