#include "state_dict.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "../../autograd/base/utf8.h"
#include "problems.h"

namespace tapegrad {
namespace {

constexpr std::size_t longest_name = 200;      // of a name in errors, and of one compared for suggestions
constexpr std::size_t most_suggestions = 100;  // each is compared with all missing names
constexpr std::size_t most_in_warning = 20;

std::string shown(std::string_view name) { return fmt::format("'{}'", printable(name, longest_name)); }

enum Kind : std::size_t { missing_tensor, unexpected_tensor, misshaped, mistyped, untied };
const std::vector<std::string> kind_names = {"missing", "unexpected", "of another shape", "of another type",
                                             "tied but different"};

using Item = TensorFile::Tensors::value_type;

/// Matches the tensors of a file with parameters.
class Matching {
 public:
  Matching(const ParameterStore& params, const TensorFile& file, const LoadOptions& options)
      : file_(file), options_(options) {
    std::map<const ParameterData*, std::vector<std::string>> names;
    for (const Parameter& p : params) names[p.data()].push_back(options.prefix + p.path());
    for (const Tie& tie : params.ties()) names[tie.parameter.data()].push_back(options.prefix + tie.path);
    for (const Parameter& p : params) match(p, names.at(p.data()));
    find_unexpected();
    problems_.raise(options.where);
  }

  std::vector<std::pair<Parameter, const Tensor*>> pairs;
  std::vector<std::string> missing, unexpected;

 private:
  const Item* find(const std::string& name) {
    const auto at = file_.tensors.find(name);
    if (at == file_.tensors.end()) return nullptr;
    used_.insert(at->first);
    return &*at;
  }

  const Item* find_by_metadata(const std::vector<std::string>& names) {
    for (const std::string& name : names)
      if (const auto at = file_.metadata.find(name); at != file_.metadata.end())
        if (const Item* found = at->second.starts_with(options_.prefix) ? find(at->second) : nullptr)
          return found;
    return nullptr;
  }

  void match(const Parameter& p, const std::vector<std::string>& names) {
    const Item* first = nullptr;
    for (const std::string& name : names) {
      const Item* found = find(name);
      if (first && found && !identical(first->second, found->second))
        problems_.add(untied, fmt::format("tensors {} and {}: different values, but they are one parameter",
                                          shown(first->first), shown(found->first)));
      if (!first) first = found;
    }
    if (!first) first = find_by_metadata(names);
    if (!first) return miss(p, names[0]);
    const auto& [name, value] = *first;
    const auto text = [&, &name = name] {  // the name may be tied to p by the file's metadata alone
      const bool own = std::find(names.begin(), names.end(), name) != names.end();
      return shown(name) + (own ? "" : fmt::format(", tied to {} by the metadata", shown(names[0])));
    };
    if (value.shape() != p.shape())
      problems_.add(misshaped,
                    fmt::format("tensor {}: got shape {}, expected {}", text(), value.shape(), p.shape()));
    else if (options_.convert ? !is_floating(value.dtype()) : value.dtype() != p.dtype())
      problems_.add(mistyped,
                    fmt::format("tensor {}: got {}, expected {}", text(), dtype_name(value.dtype()),
                                options_.convert ? "f64, f32, f16 or bf16" : dtype_name(p.dtype())));
    else
      pairs.emplace_back(p, &value);
  }

  void miss(const Parameter& p, const std::string& name) {
    missing.push_back(p.path());
    missing_names_.push_back(name);
    if (!options_.allow_missing)
      problems_.add(missing_tensor, fmt::format("no tensor {} of shape {}", shown(name), p.shape()));
  }

  void find_unexpected() {
    for (const auto& [name, value] : file_.tensors) {
      if (!name.starts_with(options_.prefix) || used_.contains(name)) continue;
      unexpected.push_back(name);
      if (options_.allow_extra) continue;
      const bool suggest =
          name.size() <= longest_name && problems_.count(unexpected_tensor) < most_suggestions;
      const std::string nearest = suggest ? nearest_name(name, missing_names_) : "";
      problems_.add(unexpected_tensor,
                    fmt::format("unknown tensor {} of shape {}{}", shown(name), value.shape(),
                                nearest.empty() ? "" : fmt::format("; did you mean {}?", shown(nearest))));
    }
  }

  const TensorFile& file_;
  const LoadOptions& options_;
  Problems problems_{"tensors do not fit the model", kind_names};
  std::set<std::string_view> used_;
  std::vector<std::string> missing_names_;
};

Index count_non_finite(const Tensor& values) {
  return dispatch(values.dtype(), [&](auto zero) {
    const auto* begin = values.data<decltype(zero)>();
    return static_cast<Index>(
        std::count_if(begin, begin + values.size(), [](auto v) { return !std::isfinite(v); }));
  });
}

}  // namespace

std::string LoadReport::warning() const {
  if (non_finite == 0) return {};
  std::vector<std::string> names;
  for (const std::string& path : non_finite_in) {
    if (names.size() == most_in_warning) break;
    names.push_back(shown(path));
  }
  const std::size_t rest = non_finite_in.size() - names.size();
  return fmt::format("{} NaN or infinite values in {} tensors: {}{}", non_finite, non_finite_in.size(),
                     fmt::join(names, ", "), rest > 0 ? fmt::format(" and {} more", rest) : "");
}

TensorFile state_dict(const ParameterStore& params, const StateDictOptions& options) {
  TensorFile file;
  for (const Parameter& p : params)
    file.tensors.emplace(options.prefix + p.path(), options.copied ? p.value().clone() : p.value());
  for (const Tie& tie : params.ties())
    file.metadata.emplace(options.prefix + tie.path, options.prefix + tie.parameter.path());
  return file;
}

LoadReport load_state_dict(ParameterStore& params, const TensorFile& file, const LoadOptions& options) {
  Matching matching(params, file, options);
  LoadReport report;
  for (const auto& [parameter, value] : matching.pairs) {
    parameter.assign(*value);
    const Index found = count_non_finite(parameter.value());
    report.non_finite += found;
    if (found > 0) report.non_finite_in.push_back(parameter.path());
  }
  report.missing = std::move(matching.missing);
  report.unexpected = std::move(matching.unexpected);
  return report;
}

void check_state_dict(const ParameterStore& params, const TensorFile& file, const LoadOptions& options) {
  Matching(params, file, options);
}

void save_weights(const std::string& path, const ParameterStore& params) {
  save_safetensors(path, state_dict(params));
}

LoadReport load_weights(const std::string& path, ParameterStore& params, const LoadOptions& options) {
  LoadOptions named = options;
  named.where = printable(path);
  return load_state_dict(params, load_safetensors(path), named);
}

}  // namespace tapegrad
