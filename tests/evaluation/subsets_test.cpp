#include "elbo/evaluation/subsets.h"

#include <gtest/gtest.h>

#include "fakes.h"

namespace elbo::subsets_test {

const Subset kModalities = {"image", "label", "text"};

std::vector<Subset> of(std::string_view word) { return subsets_of(subsets_named(word), kModalities); }
std::string refused(std::string_view word) {
  return fakes::message_of([&] { of(word); });
}

TEST(SubsetsNamed, AreFamiliesOrLists) {
  EXPECT_EQ(
      of("all"),
      (std::vector<Subset>{
          {"image"}, {"label"}, {"text"}, {"image", "label"}, {"image", "text"}, {"label", "text"}, {"image", "label", "text"}}));
  EXPECT_EQ(of("singles"), (std::vector<Subset>{{"image"}, {"label"}, {"text"}}));
  EXPECT_EQ(of(" full "), (std::vector<Subset>{kModalities}));
  EXPECT_EQ(of("text, image ;label"), (std::vector<Subset>{{"image", "text"}, {"label"}}));
  EXPECT_EQ(subset_name(of("text,image")[0]), "image,text");
}

TEST(SubsetsNamed, AreToldWhatTheyShouldBe) {
  const std::string expected = ", expected all, singles, full or names such as 'image;image,label' (in quotes, because of the ;)";
  EXPECT_EQ(refused(""), "subsets: got ''" + expected);
  EXPECT_EQ(refused("image;"), "subsets: got 'image;'" + expected);
  EXPECT_EQ(refused("image,,text"), "subsets: got 'image,,text'" + expected);
  EXPECT_EQ(refused("imago"), "'imago' is no modality, did you mean 'image'? The modalities are image, label, text");
  EXPECT_EQ(refused("image,image"), "[image, image] is empty or names a modality twice");
  EXPECT_EQ(refused("image,text;text,image"), "[image, text] is listed twice");
}

}  // namespace elbo::subsets_test
