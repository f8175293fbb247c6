#pragma once
#include <string>
#include <utility>
#include <vector>

#include "elbo/base/json.h"
#include "elbo/evaluation/run_log.h"

namespace elbo {

struct ReportPicture {
  std::string title = {};  // "step 4,300"
  std::string alt = {};    // what it shows, for who can't see it
  std::string png = {};    // the file's bytes
};

/// The result of one `elbo evaluate --json`.
struct ReportEvaluation {
  std::string file = {};
  Json json = {};
};

/// What a report tells of one run. Any part may be empty: its place then says so or is left out.
struct RunReport {
  using Rows = std::vector<std::pair<std::string, std::string>>;

  std::string title = {};  // differs between the runs of a report
  std::string folder = {};
  std::string status = {};  // "step 4,300, epoch 10"
  Rows facts = {};          // model, parameters, …
  Rows environment = {};    // versions, device, hashes
  Rows config = {};         // resolved, a value by its path
  RunLog log = {};
  std::vector<ReportEvaluation> evaluations = {};
  std::vector<ReportPicture> samples = {};  // oldest first
  std::vector<ReportPicture> reconstructions = {};
  std::vector<ReportPicture> cross_generations = {};
  std::vector<ReportPicture> traversals = {};
  std::vector<std::string> remarks = {};  // what is missing or broken, a sentence each
};

/// One HTML page that needs nothing else: styles inside, curves as SVG, pictures as data URIs, no script, no address of anything.
/// `written` says when and by what. Throws: UsageError for no runs.
std::string report_html(const std::vector<RunReport>& runs, const std::string& written);

}  // namespace elbo
