/// Loss curves and attention maps as self-contained SVG texts that follow the reader's light or dark setting.
/// Any token may occur in them: text is escaped, and characters that XML forbids or that are invisible are
/// spelled out.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tapegrad {

struct LossPoint {
  std::int64_t step = 0;
  double loss = 0;
};

struct LossCurve {
  std::string title = "Loss";
  std::vector<LossPoint> train,
      valid;  ///< in rising order of steps; points that are not finite, or beyond 1e30, are left out
};

/// Training and validation loss against the step. The loss axis is logarithmic when the losses span more than
/// a factor of 30. More than 300 training points are drawn as their means over equal stretches, in a band
/// from the least to the greatest.
std::string loss_svg(const LossCurve& curve);

/// The weights of one head.
struct AttentionMap {
  std::string title;                 ///< such as `layer 1, head 2`
  std::vector<std::string> queries;  ///< the token of each row
  std::vector<std::string> keys;     ///< the token of each column
  std::vector<float> weights;        ///< [query, key], 0 to 1
};

struct AttentionPicture {
  std::string title = "Attention";
  std::string query_name = "query", key_name = "key";  ///< what rows and columns are
  int columns = 4;                                     ///< maps in a row: the heads of a layer
  std::vector<AttentionMap> maps;
};

/// One heat map for each head, in rows. A cell is the darker the greater its weight; pointing at it shows the
/// weight. Tokens are written where cells are large enough. Throws Error when a map's weights do not number
/// queries * keys.
std::string attention_svg(const AttentionPicture& picture);

}  // namespace tapegrad
