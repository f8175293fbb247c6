#include "elbo/base/text.h"
#include "report_parts.h"
#include "report_sections.h"

namespace elbo::detail {

std::string codes_section(const Runs& runs) {
  std::string panels;
  for (size_t r = 0; r < runs.size(); ++r) {
    const auto& log = runs[r].log;
    for (const auto& codebook : log.codebooks) {
      if (codebook.largest_counts.empty()) continue;
      const auto used = codebook.size > 0 ? text(with_commas(codebook.used), " of ", with_commas(codebook.size), " codes used")
                                          : text(with_commas(codebook.used), " different codes");
      panels += text("<figure class=\"panel\"><figcaption>", runs.size() > 1 ? escaped(runs[r].title) + ", " : "",
                     escaped(codebook.name), ": ", used, ", perplexity ", six_digits(codebook.perplexity), " <span>step ",
                     with_commas(log.codebooks_step), ", ", with_commas(codebook.tokens), " tokens</span></figcaption>",
                     counts_svg(codebook, r), "</figure>");
    }
  }
  if (panels.empty()) return "";
  return text(
      "<section><h2 id=\"codes\">How the codes are used</h2><p class=\"soft\">Tokens of the validation split that chose each "
      "code, "
      "the most used first; the dashed line is where all codes would be if they were used alike. A codebook of which a few codes "
      "take everything has collapsed.</p><div class=\"charts\">",
      panels, "</div></section>");
}

}  // namespace elbo::detail
