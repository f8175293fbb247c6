#include "elbo/config/problems.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

namespace {
constexpr size_t kMostLines = 50;  // a hostile file has thousands of problems; a person reads the first
}  // namespace

std::string Problem::str() const {
  std::string line = to_string(mark);
  if (!path.empty()) line += (line.empty() ? "" : ": ") + path;
  return line + (line.empty() ? "" : ": ") + what;
}

void Problems::add(Mark mark, std::string path, std::string what) {
  list_.push_back({std::move(mark), std::move(path), std::move(what)});
}

void Problems::add_stray(Mark mark, std::string path, std::string key, std::string what) {
  strays_.push_back({list_.size(), std::move(key)});
  add(std::move(mark), std::move(path), std::move(what));
}

std::string Problems::elsewhere(const std::string& key) const {
  constexpr size_t kMostPlaces = 3;
  std::vector<std::string> places;
  for (const auto& path : known_) {
    const auto dot = path.rfind('.');
    const bool same = (dot == std::string::npos ? path : path.substr(dot + 1)) == key;
    const auto quoted = "'" + path + "'";
    if (same && std::find(places.begin(), places.end(), quoted) == places.end()) places.push_back(quoted);
  }
  return places.empty() || places.size() > kMostPlaces ? "" : "; did you mean " + alternatives(places) + "?";
}

std::string Problems::report() const {
  auto list = list_;
  for (const auto& stray : strays_) {
    if (const auto hint = elsewhere(stray.key); !hint.empty()) list[stray.place].what += hint;
  }
  std::vector<const Problem*> sorted;
  for (const auto& problem : list) sorted.push_back(&problem);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem* a, const Problem* b) {
    return a->mark.order != b->mark.order ? a->mark.order < b->mark.order : a->mark.line < b->mark.line;
  });
  std::string out;
  for (size_t i = 0; i < std::min(sorted.size(), kMostLines); ++i) out += sorted[i]->str() + "\n";
  if (sorted.size() > kMostLines) out += "… and " + with_commas(static_cast<int64_t>(sorted.size() - kMostLines)) + " more\n";
  return out + count_of(static_cast<int64_t>(list_.size()), "problem") + "; nothing was run.";
}

void Problems::throw_if_any() const {
  if (!empty()) throw ConfigError(report());
}

void Relations::problem(std::string_view field, std::string what) {
  const Node* value = node_.find(field);
  problems_.add(value != nullptr ? value->mark : node_.mark, detail::child_path(path_, field), std::move(what));
}

namespace detail {
std::string child_path(const std::string& path, std::string_view name) {
  constexpr size_t kLongest = 80;
  std::string shown(name);
  if (name.empty() || name.size() > kLongest || name.find_first_of(". \n\t\r'\"") != std::string_view::npos)
    shown = in_quotes(name);
  return path.empty() ? shown : path + "." + shown;
}
}  // namespace detail

}  // namespace elbo
