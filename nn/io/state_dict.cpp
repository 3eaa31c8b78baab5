#include <tapegrad/nn/io/state_dict.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include <tapegrad/nn/data/utf8.h>

namespace tapegrad {
namespace {

constexpr std::size_t most_lines = 20;     // of one kind of problem
constexpr std::size_t longest_name = 200;  // shown, and compared with others for a suggestion

std::string shown(std::string_view name) { return fmt::format("'{}'", printable(name, longest_name)); }

/// Everything that is wrong, by kind, in the order in which it is told.
class Problems {
 public:
  enum Kind : std::size_t { missing, unexpected, misshaped, mistyped, untied };

  void add(Kind kind, std::string line) {
    ++counts_[kind];
    if (lines_[kind].size() < most_lines) lines_[kind].push_back(std::move(line));
  }
  bool full(Kind kind) const { return lines_[kind].size() == most_lines; }

  void raise(const std::string& where) const {
    std::vector<std::string> counts, lines;
    std::size_t sum = 0;
    for (std::size_t kind = 0; kind < names_.size(); ++kind) {
      if (counts_[kind] == 0) continue;
      sum += counts_[kind];
      counts.push_back(fmt::format("{} {}", counts_[kind], names_[kind]));
      lines.insert(lines.end(), lines_[kind].begin(), lines_[kind].end());
      if (const std::size_t rest = counts_[kind] - lines_[kind].size(); rest > 0)
        lines.push_back(fmt::format("… and {} more {}", rest, names_[kind]));
    }
    if (sum == 0) return;
    if (sum == 1) throw DataError(fmt::format("{}: {}", where, lines[0]));
    throw DataError(fmt::format("{}: {} tensors do not fit the model ({}):\n  {}", where, sum,
                                fmt::join(counts, ", "), fmt::join(lines, "\n  ")));
  }

 private:
  static constexpr std::array<std::string_view, 5> names_ = {"missing", "unexpected", "of another shape",
                                                             "of another type", "tied but different"};
  std::array<std::size_t, 5> counts_{};
  std::array<std::vector<std::string>, 5> lines_;
};

using Item = TensorFile::Tensors::value_type;

/// Which tensor of a file belongs to which parameter.
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
        problems_.add(Problems::untied,
                      fmt::format("tensors {} and {}: different values, but they are one parameter",
                                  shown(first->first), shown(found->first)));
      if (!first) first = found;
    }
    if (!first) first = find_by_metadata(names);
    if (!first) return miss(p, names[0]);
    const auto& [name, value] = *first;
    const auto text = [&, &name = name] {  // which may be a name that only the file's metadata connect with p
      const bool own = std::find(names.begin(), names.end(), name) != names.end();
      return shown(name) + (own ? "" : fmt::format(", tied to {} by the metadata", shown(names[0])));
    };
    if (value.shape() != p.shape())
      problems_.add(Problems::misshaped,
                    fmt::format("tensor {}: got shape {}, expected {}", text(), value.shape(), p.shape()));
    else if (!is_floating(value.dtype()))
      problems_.add(Problems::mistyped, fmt::format("tensor {}: got {}, expected f64, f32, f16 or bf16",
                                                    text(), dtype_name(value.dtype())));
    else
      pairs.emplace_back(p, &value);
  }

  void miss(const Parameter& p, const std::string& name) {
    missing.push_back(p.path());
    missing_names_.push_back(name);
    if (!options_.allow_missing)
      problems_.add(Problems::missing, fmt::format("no tensor {} of shape {}", shown(name), p.shape()));
  }

  void find_unexpected() {
    for (const auto& [name, value] : file_.tensors) {
      if (!name.starts_with(options_.prefix) || used_.contains(name)) continue;
      unexpected.push_back(name);
      if (options_.allow_extra) continue;
      const bool suggest = name.size() <= longest_name && !problems_.full(Problems::unexpected);
      const std::string nearest = suggest ? nearest_name(name, missing_names_) : "";
      problems_.add(Problems::unexpected,
                    fmt::format("unknown tensor {} of shape {}{}", shown(name), value.shape(),
                                nearest.empty() ? "" : fmt::format("; did you mean {}?", shown(nearest))));
    }
  }

  const TensorFile& file_;
  const LoadOptions& options_;
  Problems problems_;
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
    if (names.size() == most_lines) break;
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
