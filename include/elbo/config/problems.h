#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/config/node.h"

namespace elbo {

struct Problem {
  Mark mark = {};
  std::string path = {};  // "objective.samples"
  std::string what = {};

  /// `file:line: path: what`, absent parts left out.
  std::string str() const;
};

/// Collects everything that is wrong with a config, so that one error can say it all.
class Problems {
 public:
  void add(Mark mark, std::string path, std::string what);
  bool empty() const { return list_.empty(); }
  size_t size() const { return list_.size(); }
  const std::vector<Problem>& list() const { return list_; }

  /// A field that the config has, and a key that stands where no field of its name is: for "did you mean 'evaluation.samples'?".
  void know(std::string path) { known_.push_back(std::move(path)); }
  void add_stray(Mark mark, std::string path, std::string key, std::string what);

  /// One line a problem, in the order of the file, then "2 problems; nothing was run."
  std::string report() const;
  /// Throws: ConfigError with the report, if there is any problem.
  void throw_if_any() const;

 private:
  struct Stray {
    size_t place = 0;  // in list_
    std::string key = {};
  };
  /// "; did you mean 'evaluation.samples'?" where fields of this name are elsewhere.
  std::string elsewhere(const std::string& key) const;

  std::vector<Problem> list_ = {};
  std::vector<std::string> known_ = {};
  std::vector<Stray> strays_ = {};
};

/// Handed to `check(Relations&)` of a config struct, after its fields were read without problems: relations between them.
class Relations {
 public:
  Relations(const Node& node, std::string path, Problems& problems) : node_(node), path_(std::move(path)), problems_(problems) {}

  /// Points at this field's line (at the section's, where the file leaves the field to its default).
  void problem(std::string_view field, std::string what);

 private:
  const Node& node_;
  std::string path_;
  Problems& problems_;
};

namespace detail {
/// "a.b" from "a" and "b".
std::string child_path(const std::string& path, std::string_view name);
}  // namespace detail

}  // namespace elbo
