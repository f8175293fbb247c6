#pragma once
#include <optional>
#include <string>
#include <vector>

#include "elbo/evaluation/report.h"

// The sections of report_html, each a piece of HTML, empty where there is nothing to show.

namespace elbo::detail {

using Runs = std::vector<RunReport>;

std::string headline_section(const Runs& runs);
std::string curves_section(const Runs& runs);
std::string units_section(const Runs& runs);
std::string codes_section(const Runs& runs);
std::string pictures_section(const Runs& runs);
std::string evaluations_section(const Runs& runs);
std::string config_section(const Runs& runs);
std::string environment_section(const Runs& runs);

/// log_likelihood_nats -> "log likelihood (nats)", psnr_db -> "PSNR (dB)".
std::string readable(std::string key);
/// "nats" for the quantities that a run logs in nats under bare names.
std::string unit_of(const std::string& logged_name);
/// The standard error that an evaluation's metrics hold of one of them.
std::optional<double> standard_error(const Json& metrics, const std::string& key);
/// "-237.53 ± 0.79", the error small.
std::string with_error(double value, const std::optional<double>& error);
/// A <th> for each run.
std::string run_headers(const Runs& runs, const char* css);

}  // namespace elbo::detail
