// Explanation -> one HTML file.
#include "../explain/explanation.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "../../base/file.h"
#include "../explain/head_table.h"
#include "embedded.h"
#include "page_form.h"

namespace tapegrad {
namespace {

constexpr std::size_t most_cells = 1024;

std::string static_table(const AttentionView& view, const HeadTable& table) {
  std::string out =
      fmt::format("<table><caption>{}: {} {}: {}</caption>\n<tr><td></td>", html_escaped(path_of(view)),
                  table.step, html_escaped(table.name), html_escaped(table.formula));
  for (const std::string& name : table.columns)
    out += fmt::format("<th scope=\"col\">{}</th>", html_escaped(name));
  out += "</tr>\n";
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    out += fmt::format("<tr><th scope=\"row\">{}</th>", html_escaped(table.rows[i]));
    for (std::size_t j = 0; j < table.columns.size(); ++j)
      out += fmt::format("<td>{:.3g}</td>", table.values[i * table.columns.size() + j]);
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

/// The attention of head 1, for readers without JavaScript; at most `most` bytes of it.
std::string static_tables(const Explanation& what, std::size_t most) {
  std::string out =
      "<p>This page needs JavaScript to step through the recording. The attention of head 1 of every "
      "layer:</p>\n";
  for (const AttentionView& view : what.attention_views)
    for (const HeadTable& table : head_tables(what, view, 0)) {
      if (table.values.size() > most_cells) continue;
      const std::string text = static_table(view, table);
      if (out.size() + text.size() <= most) out += text;
    }
  return out;
}

std::string default_date() {
  const char* epoch = std::getenv("SOURCE_DATE_EPOCH");
  if (epoch == nullptr) return {};
  const std::time_t seconds = std::strtoll(epoch, nullptr, 10);
  std::tm day{};
  char text[16];
  return gmtime_r(&seconds, &day) != nullptr && std::strftime(text, sizeof text, "%Y-%m-%d", &day) > 0 ? text
                                                                                                       : "";
}

}  // namespace

std::string to_html(const Explanation& what, const PageOptions& options) {
  std::string script;
  for (const char* part :
       {"data.js", "format.js", "text.js", "matrix.js", "explain.js", "gradient.js", "lab.js", "lab_steps.js",
        "tape.js", "step_card.js", "screens.js", "quiz.js", "app.js", "selftest.js"})
    script += embedded::page_file(part);
  PageOptions own = options;
  if (own.date.empty()) own.date = default_date();
  const std::string_view form = embedded::page_file("page.html"), style = embedded::page_file("style.css");
  const std::string tables = static_tables(what, options.max_bytes / 12);
  own.max_bytes -= std::min(own.max_bytes, script.size() + style.size() + form.size() + tables.size());
  return filled(form, {{"title", title_escaped("Tape explorer: " + what.title)},
                       {"style", std::string(style)},
                       {"noscript", tables},
                       {"kind", "tape"},
                       {"data", to_json(what, own)},
                       {"script", script}});
}

void write_html(const Explanation& what, const std::string& path, const PageOptions& options) {
  write_file(path, to_html(what, options));
}

}  // namespace tapegrad
