#include "elbo/evaluation/recorded_noise.h"

#include <filesystem>

#include "fakes.h"

using namespace elbo;

namespace recorded_noise_test {

struct TemporaryFile {
  explicit TemporaryFile(const std::string& name) : path(std::filesystem::temp_directory_path() / ("elbo_recorded_" + name)) {
    std::filesystem::remove(path);
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::filesystem::path path;
};

TEST(RecordedNoise, KeepsEveryDrawInTheOrderOfTheRows) {
  GranuleNoise source(3), expected(3);
  RecordingNoise recording(source);
  for (const int64_t row : {0, 30, 60}) {
    recording.place(row, 0);
    recording.normal({1, row == 60 ? 10 : 30}, {4});
    recording.uniform({5, row == 60 ? 10 : 30}, {});
  }
  const auto table = recording.table();
  ASSERT_EQ(table.size(), 2U);
  EXPECT_EQ(table[0].first, "noise_0");
  EXPECT_EQ(table[1].first, "noise_1");
  expect_equal(table[0].second, expected.normal({1, 70}, {4})[0]);  // [N, D] for one sample
  expect_equal(table[1].second, expected.uniform({5, 70}, {}));
}

TEST(RecordedNoise, SurvivesTheFileAndReplaysByPlace) {
  const TemporaryFile file("a.npz");
  GranuleNoise source(3);
  RecordingNoise recording(source);
  recording.normal({6, 70}, {4});
  recording.normal({1, 70}, {2});
  recording.write(file.path);
  ReplayNoise replay(ReplayNoise::read(file.path));
  replay.place(20, 2);
  expect_equal(replay.normal({3, 50}, {4}), recording.table()[0].second.narrow(0, 2, 3).narrow(1, 20, 50));
  replay.place(65, 0);
  replay.normal({1, 5}, {4});
  expect_equal(replay.normal({5}, {2}), recording.table()[1].second.narrow(0, 65, 5));
}

TEST(RecordedNoise, RefusesWhatWasNotRecorded) {
  const auto replay = [](int64_t row, int64_t sample, const Shape& leading, const Shape& event) {
    return fakes::message_of([&] {
      ReplayNoise noise({{"noise_0", torch::zeros({6, 70, 4})}});
      noise.place(row, sample);
      noise.normal(leading, event);
    });
  };
  EXPECT_EQ(replay(65, 0, {1, 6}, {4}), "recorded noise noise_0 is [6, 70, 4]: it has no [1, 6, 4] from row 65, sample 0");
  EXPECT_EQ(replay(0, 4, {3, 1}, {4}), "recorded noise noise_0 is [6, 70, 4]: it has no [3, 1, 4] from row 0, sample 4");
  EXPECT_EQ(replay(0, 0, {1, 6}, {5}), "recorded noise noise_0 is [6, 70, 4]: it has no [1, 6, 5] from row 0, sample 0");
  ReplayNoise noise({{"noise_0", torch::zeros({70})}});
  noise.normal({70}, {});
  EXPECT_EQ(fakes::message_of([&] { noise.normal({70}, {}); }), "recorded noise has 1 draw, one more was asked for");
}

TEST(RecordedNoise, RefusesRowsOutOfOrder) {
  GranuleNoise source(3);
  RecordingNoise recording(source);
  recording.normal({1, 30}, {4});
  EXPECT_EQ(fakes::message_of([&] { recording.place(31, 0); }),
            "recorded noise needs the rows in order with all samples at once: got row 31, sample 0, expected row 30, sample 0");
  EXPECT_THROW(recording.place(30, 16), UsageError);
  RecordingNoise empty(source);
  EXPECT_THROW(empty.write("nowhere.npz"), UsageError);
}

}  // namespace recorded_noise_test
